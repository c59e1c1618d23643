//! Programs that the master runs beside the site: [`daemons`] and [`cron`] jobs. Nothing of theirs holds it up.

pub mod cron;
pub mod daemons;

use std::collections::HashMap;

use crate::base::clock::{self, Millis};
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

/// How a daemon or a cron job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its process, 0 none.
    pub pid: u32,
    /// Times it was started.
    pub starts: u64,
    /// The last time, seconds since the epoch.
    pub started_on: u64,
}

impl Standing {
    /// It was started just now.
    fn start(&mut self, pid: u32) {
        *self = Standing { pid, starts: self.starts + 1, started_on: clock::wall() / 1_000_000 };
    }
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

    /// How all of them are: daemons first, then cron jobs.
    pub fn all(&self) -> impl Iterator<Item = Standing> {
        self.daemons.all().chain(self.crons.all())
    }

    /// Daemons that run, for the next program of this process.
    pub fn hand_over(&self) -> HashMap<String, u32> {
        self.daemons.running()
    }
}
