//! Programs that the master runs beside the site: [`daemons`] and [`cron`] jobs. Nothing of theirs holds it up.

pub mod cron;
pub mod daemons;

use std::collections::HashMap;

use crate::base::clock::Millis;
use crate::options::settings::Process;
use crate::sys::process::Status;
use cron::Crons;
use daemons::Daemons;

/// All of them.
#[derive(Debug, Default)]
pub struct Jobs {
    daemons: Daemons,
    crons: Crons,
}

/// What came of a process that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was none of these.
    Foreign,
    /// It was one.
    Ours,
    /// It was one without which the server does not go on.
    Control,
}

impl Jobs {
    /// Those of the options. `running` are daemons that the program before has left, by their commands.
    pub fn new(settings: &Process, running: &HashMap<String, u32>, now: Millis) -> Jobs {
        Jobs { daemons: Daemons::new(&settings.daemons, running, now), crons: Crons::new(&settings.crons) }
    }

    /// When to come back with [`Jobs::tick`].
    pub fn deadline(&self, now: Millis) -> Option<Millis> {
        [self.daemons.deadline(), self.crons.deadline(now)].into_iter().flatten().min()
    }

    /// Starts what is due.
    pub fn tick(&mut self, now: Millis) {
        self.daemons.tick(now);
        self.crons.tick(now);
    }

    /// A process has ended.
    pub fn ended(&mut self, pid: u32, status: Status, now: Millis) -> Ended {
        if self.crons.ended(pid, now) { Ended::Ours } else { self.daemons.ended(pid, status, now) }
    }

    /// The site was loaded anew: daemons are, too.
    pub fn reload(&mut self, now: Millis) {
        self.daemons.reload(now);
    }

    /// The server ends, and with it those that do not live on.
    pub fn stop(&mut self) {
        self.daemons.stop();
    }

    /// Daemons that run, for the next program of this process.
    pub fn hand_over(&self) -> HashMap<String, u32> {
        self.daemons.running()
    }
}
