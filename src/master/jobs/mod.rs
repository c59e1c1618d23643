//! Programs that the master runs beside the site: [`daemons`] and [`cron`] jobs. Nothing of theirs holds it up.

pub mod cron;
pub mod daemons;
pub mod plan;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::base::clock::{self, Millis};
use crate::base::errors;
use crate::hooks::{self, Stop};
use crate::options::hooks::Action;
use crate::options::settings::Process;
use crate::shared::seen::Job;
use crate::sys::process::Status;
use crate::sys::shell;
use cron::Crons;
use daemons::Daemons;
use plan::Plan;

/// SIGKILL.
const KILL: i32 = 9;

/// All of them.
#[derive(Debug, Default)]
pub struct Jobs {
    daemons: Daemons,
    crons: Crons,
    /// Of `hook-touch`, by their processes.
    commands: HashMap<u32, String>,
    /// Others have the places in the shared area than those that are shown there.
    changed: bool,
    /// What the generation that loads has found.
    plan: Option<Plan>,
}

/// What the program before has left running.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Daemons.
    pub daemons: daemons::Left,
    /// Cron jobs.
    pub crons: cron::Left,
    /// Commands of `hook-touch`, by their processes.
    pub commands: HashMap<u32, String>,
}

/// How a daemon or a cron job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
        *self = Standing { pid, starts: self.starts + 1, started_on: clock::wall_seconds() };
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
    /// Those of the options, and what the program before has left.
    pub fn new(settings: &Process, left: Left, now: Millis) -> Jobs {
        let daemons = Daemons::new(&settings.daemons, left.daemons, now);
        let crons = Crons::new(&settings.crons, left.crons, now);
        Jobs { daemons, crons, commands: left.commands, changed: true, plan: None }
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
        if let Some(command) = self.commands.remove(&pid) {
            if status != Status::Exited(0) {
                let how = super::lines::how(status);
                crate::log!("[uwring] hook-touch: {command}: it ended ({how}) {}", errors::HOOK_TOUCH);
            }
            return Ended::Ours;
        }
        if self.crons.ended(pid, now) { Ended::Ours } else { self.daemons.ended(pid, status, now) }
    }

    /// Does what `hook-touch` says. A command runs beside: nobody waits for it, and the log tells if it fails.
    pub fn hook(&mut self, action: &Action) -> Result<(), Stop> {
        let (Action::Run(command) | Action::TryRun(command)) = action else { return hooks::perform(action) };
        crate::log!("running \"{command}\"");
        let pid = shell::start(command, shell::Manner::default()).map_err(Stop::Failed)?;
        self.commands.insert(pid, command.clone());
        Ok(())
    }

    /// A template of `generation` is about to be forked, which will read the options anew.
    pub fn prepare(&mut self, generation: u32) {
        let made = Plan::new(generation);
        self.plan = made.inspect_err(|error| crate::log!("[uwring] jobs stay as they are: {error}")).ok();
    }

    /// *The template's process.* Where it writes what it has found.
    pub fn take_plan(&mut self) -> Option<Plan> {
        self.plan.take()
    }

    /// The site was loaded anew, by `generation`: what is no longer wanted ends, what is new starts, and daemons are
    /// started again with it.
    pub fn reload(&mut self, generation: u32, now: Millis) {
        self.daemons.reload(now);
        if let Some(planned) = self.plan.take().and_then(|plan| plan.read(generation)) {
            self.daemons.change(&planned.daemons, now);
            self.crons.change(planned.crons);
            self.changed = true;
        }
    }

    /// The server ends, and with it those that do not live on.
    pub fn stop(&mut self) {
        self.daemons.stop();
    }

    /// How all of them are: daemons first, then cron jobs.
    pub fn all(&self) -> impl Iterator<Item = (Job<'_>, Standing)> {
        let daemons = self.daemons.all().map(|(daemon, standing)| (Job::Daemon(&daemon.command), standing));
        daemons.chain(self.crons.all().map(|(cron, standing)| (Job::Cron(cron), standing)))
    }

    /// Whether others have the places since the last time.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// What the next program of this process is to know.
    pub fn hand_over(&self, now: Millis) -> Left {
        let (daemons, crons) = (self.daemons.hand_over(), self.crons.hand_over(now));
        Left { daemons, crons, commands: self.commands.clone() }
    }
}
