//! One vassal's life, as a table: what is to be done, given where it is and what happened. No system call, no clock.
//!
//! ```text
//!            found                  ended (loyal: at once; else after a pause)
//!  (none) ─────────► Running ◄───────────────────────────────────────┐
//!                    │  │ ended by itself                             │
//!                    │  └──────────────► Resting ──── touched, or ────┘
//!                    │ removed, or         │          the pause is over
//!                    ▼ another owner       │ removed
//!                  Ending ── ended ──► Over ◄┘
//! ```
//! One that is started on demand waits for the first connection to its socket, and again whenever it has ended with
//! code 0 (`die-on-idle`).
//!
//! A vassal that fails rests for itself alone; touching its configuration starts it at once.

use crate::base::clock::Millis;
use crate::base::vassalage as word;
use crate::options::emperor::Emperor;
use crate::sys::process::Status;

/// A vassal that ended with this code wants not to be started again (`EXILE`).
const EXILED: i32 = 26;
/// Whoever has lived so long has not failed at its start, milliseconds.
const LONG_MS: u64 = 60_000;
/// A loyal vassal that lived for less than this is not started at once, milliseconds: it would go on for ever.
const SHORT_MS: u64 = 1_000;

/// A configuration as it was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it was changed, and other signs of it.
    pub version: (i64, i64, u64, u64),
    /// Its owner.
    pub owner: (u32, u32),
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its configuration is there, like this.
    Found(Stamp),
    /// Its configuration is not there any more.
    Gone,
    /// It could not be started.
    NotStarted,
    /// Its process has ended.
    Ended(Status),
    /// It has said this.
    Said(u8),
    /// Somebody has connected to the socket that is kept for it.
    Knocked,
    /// All shall reload.
    Reload,
    /// The Emperor ends.
    Ragnarok,
    /// Time has passed.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start its process.
    Start,
    /// Tell it this.
    Tell(u8),
    /// Kill it.
    Kill,
    /// Its process is gone: the hook for that.
    Buried,
    /// A line for the log.
    Say(String),
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Running {
        since: Millis,
        loyal: bool,
        /// The next heartbeat must come before this.
        beat: Option<Millis>,
    },
    /// Until then, or until it is touched.
    Resting {
        until: Option<Millis>,
    },
    /// Until somebody connects.
    Waiting,
    Ending {
        kill_at: Millis,
        /// It shall be started again: its configuration came back, or has another owner.
        again: bool,
    },
    Over,
}

/// One of them.
#[derive(Debug)]
pub struct Vassal {
    name: String,
    stamp: Stamp,
    stage: Stage,
    /// Failures one after the other.
    failures: u64,
    /// It is started by the first connection (`emperor-on-demand-…`).
    on_demand: bool,
}

impl Vassal {
    /// Of a configuration just found; to be started.
    pub fn new(name: &str, stamp: Stamp) -> Vassal {
        let stage = Stage::Resting { until: Some(Millis(0)) };
        Vassal { name: name.to_owned(), stamp, stage, failures: 0, on_demand: false }
    }

    /// The same for one that is to be started by the first connection.
    pub fn on_demand(name: &str, stamp: Stamp) -> Vassal {
        Vassal { stage: Stage::Waiting, on_demand: true, ..Vassal::new(name, stamp) }
    }

    /// Whether a connection would start it.
    pub fn waits(&self) -> bool {
        self.stage == Stage::Waiting
    }

    /// Nothing is left of it.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// When it has to be looked at again.
    pub fn deadline(&self) -> Option<Millis> {
        match self.stage {
            Stage::Running { beat, .. } => beat,
            Stage::Resting { until } => until,
            Stage::Ending { kill_at, .. } => Some(kill_at),
            Stage::Waiting | Stage::Over => None,
        }
    }

    /// Takes in what happened and says what to do.
    pub fn handle(&mut self, event: Event, now: Millis, policy: &Emperor) -> Vec<Action> {
        match event {
            Event::Found(stamp) => self.found(stamp, now, policy),
            Event::Gone => self.leave(false, now, policy.curse),
            Event::Ragnarok => self.leave(false, now, policy.mercy),
            Event::NotStarted => self.failed(now, policy),
            Event::Ended(status) => self.ended(status, now, policy),
            Event::Said(word) => self.said(word, now, policy),
            Event::Reload => self.reload(now),
            Event::Knocked if self.waits() => self.start(now),
            Event::Knocked => Vec::new(),
            Event::Tick => self.tick(now, policy),
        }
    }

    fn say(&self, before: &str, behind: &str) -> Action {
        Action::Say(format!("[emperor] {before}{}{behind}", self.name))
    }

    fn start(&mut self, now: Millis) -> Vec<Action> {
        self.stage = Stage::Running { since: now, loyal: false, beat: None };
        vec![Action::Start]
    }

    fn found(&mut self, stamp: Stamp, now: Millis, policy: &Emperor) -> Vec<Action> {
        let before = std::mem::replace(&mut self.stamp, stamp);
        if let Stage::Ending { again, .. } = &mut self.stage {
            *again = true;
            return Vec::new();
        }
        if before.version == stamp.version && before.owner == stamp.owner {
            return Vec::new();
        }
        if policy.tyrant && before.owner != stamp.owner {
            return self.leave(true, now, policy.curse);
        }
        self.reload(now)
    }

    /// Everything anew: a running one is told, a resting one gets its chance.
    fn reload(&mut self, now: Millis) -> Vec<Action> {
        match self.stage {
            Stage::Running { .. } => {
                vec![self.say("reload the uwsgi instance ", ""), Action::Tell(word::RELOAD)]
            }
            Stage::Resting { .. } => {
                self.failures = 0;
                self.start(now)
            }
            // Whoever comes finds the configuration as it is then.
            Stage::Waiting | Stage::Ending { .. } | Stage::Over => Vec::new(),
        }
    }

    fn leave(&mut self, again: bool, now: Millis, patience: u64) -> Vec<Action> {
        match &mut self.stage {
            Stage::Running { .. } => {
                let kill_at = now.after(patience.saturating_mul(1000));
                self.stage = Stage::Ending { kill_at, again };
                vec![self.say("stop the uwsgi instance ", ""), Action::Tell(word::STOP)]
            }
            Stage::Resting { .. } if again => self.start(now),
            Stage::Waiting if again => Vec::new(),
            Stage::Resting { .. } | Stage::Waiting => {
                self.stage = Stage::Over;
                vec![self.say("removed uwsgi instance ", "")]
            }
            Stage::Ending { again: ending_again, .. } => {
                *ending_again = again;
                Vec::new()
            }
            Stage::Over => Vec::new(),
        }
    }

    fn ended(&mut self, status: Status, now: Millis, policy: &Emperor) -> Vec<Action> {
        let mut actions = vec![Action::Buried];
        match self.stage {
            Stage::Ending { again: true, .. } if self.on_demand => actions.push(self.wait()),
            Stage::Ending { again: true, .. } => actions.extend(self.start(now)),
            Stage::Ending { again: false, .. } => {
                self.stage = Stage::Over;
                actions.push(self.say("removed uwsgi instance ", ""));
            }
            Stage::Running { .. } if status == Status::Exited(EXILED) => {
                self.stage = Stage::Resting { until: None };
                actions.push(self.say("", " wants not to be started again, unless it is touched"));
            }
            Stage::Running { .. } if self.on_demand && status == Status::Exited(0) => {
                self.failures = 0;
                actions.push(self.wait());
            }
            Stage::Running { since, loyal, .. } => {
                let lived = now.since(since);
                if lived >= LONG_MS {
                    self.failures = 0;
                }
                if loyal && lived >= SHORT_MS {
                    self.failures = 0;
                    actions.push(self.say("", &format!(" has ended ({}): started again", spelled(status))));
                    actions.extend(self.start(now));
                } else {
                    actions.push(self.say("", &format!(" has ended ({})", spelled(status))));
                    actions.extend(self.failed(now, policy));
                }
            }
            Stage::Resting { .. } | Stage::Waiting | Stage::Over => {}
        }
        actions
    }

    fn wait(&mut self) -> Action {
        self.stage = Stage::Waiting;
        self.say("", " -> back to \"on demand\" mode, waiting for connections ...")
    }

    /// It rests, the longer the oftener it has failed.
    fn failed(&mut self, now: Millis, policy: &Emperor) -> Vec<Action> {
        self.failures += 1;
        let factor = if policy.no_blacklist { 1 } else { self.failures };
        let pause = policy.throttle_ms.saturating_mul(factor).min(policy.max_throttle_ms);
        self.stage = Stage::Resting { until: Some(now.after(pause)) };
        vec![self.say("unloyal bad behaving vassal found: ", &format!(" throttling it for {pause} ms..."))]
    }

    fn said(&mut self, word: u8, now: Millis, policy: &Emperor) -> Vec<Action> {
        let line = |this: &Vassal, text: &str| vec![this.say("vassal ", text)];
        if word == word::IDLE && self.on_demand && matches!(self.stage, Stage::Running { .. }) {
            return self.leave(true, now, policy.curse);
        }
        let Stage::Running { loyal, beat, .. } = &mut self.stage else { return Vec::new() };
        match word {
            word::READY => line(self, " is ready to accept requests"),
            word::LOYAL if !*loyal => {
                *loyal = true;
                self.failures = 0;
                line(self, " is now loyal")
            }
            word::HEARTBEAT => {
                *beat = Some(now.after(policy.heartbeat.saturating_mul(1000)));
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn tick(&mut self, now: Millis, policy: &Emperor) -> Vec<Action> {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        match &mut self.stage {
            Stage::Resting { .. } => self.start(now),
            Stage::Running { beat, .. } => {
                *beat = None;
                let line = format!(" gave no heartbeat for {} seconds: killed", policy.heartbeat);
                vec![self.say("vassal ", &line), Action::Kill]
            }
            Stage::Ending { kill_at, .. } => {
                // Once is enough, but nobody knows what the kernel is waiting for.
                *kill_at = now.after(policy.curse.max(1) * 1000);
                vec![self.say("curse the uwsgi instance ", ""), Action::Kill]
            }
            Stage::Waiting | Stage::Over => Vec::new(),
        }
    }
}

fn spelled(status: Status) -> String {
    match status {
        Status::Exited(code) => format!("code {code}"),
        Status::Killed(signal) => format!("signal {signal}"),
        Status::Unknown => "nobody knows how".to_owned(),
    }
}

#[cfg(test)]
mod tests;
