//! The master: opens what all processes share, then waits, decides and acts. It knows no Python and has one
//! thread; nothing an application does can reach it.
//!
//! ```text
//!        ┌──────────── wait (events) ◄───────────┐
//!        ▼                                       │
//!  state: (State, Event) → Actions ──► perform (actions) ── an event of its own
//! ```

pub mod actions;
pub mod channel;
pub mod events;
pub mod lines;
pub mod listeners;
pub mod pidfile;
pub mod startup;
pub mod state;
pub mod template;
pub mod titles;
pub mod touch;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use actions::{Office, Outcome};
use channel::TemplateEnd;
use events::Ears;
use state::{Event, Policy, State};
use template::Seat;

use crate::base::clock;
use crate::options::settings::{Process, Settings};
use crate::sys::{Error as SysError, process, signals};

/// Reads the configuration again, for a reload.
pub type Reread = Box<dyn Fn() -> Result<Settings, String>>;

/// What to serve.
pub struct Start {
    /// The configuration.
    pub settings: Settings,
    /// Lines about it, for the log.
    pub notes: Vec<String>,
    /// Warnings about it.
    pub warnings: Vec<String>,
    /// How to read it again.
    pub reread: Reread,
}

/// Serves until told to stop. The result is the exit code. In the processes forked on the way this call does not
/// return.
pub fn serve(start: Start) -> i32 {
    run(start).unwrap_or_else(|error| {
        crate::log!("{error}");
        1
    })
}

fn run(start: Start) -> Result<i32, startup::Error> {
    let failed = |what: &'static str| move |cause: io::Error| SysError::call(what, "for the master", cause);
    // From the first moment: a signal that comes too early is done when we can.
    signals::block().map_err(failed("block signals"))?;
    let start_dir = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let Start { settings, notes, warnings, reread } = start;
    let prepared = startup::prepare(&settings, &notes, &warnings)?;
    titles::set(&settings.process, "master");
    process::adopt_orphans().map_err(failed("adopt orphans"))?;
    let mut office = Office::new(prepared.area, prepared.control).map_err(failed("make pipes"))?;
    let mut ears = Ears::new(touch::Touched::new(&settings.process.touch_reload))
        .map_err(failed("listen to signals"))?;
    let master_pid = std::process::id();

    match turn(&mut office, &mut ears, State::new(policy(&settings.process, master_pid))) {
        Over::Exit(code) => {
            if let Some(file) = office.control().and_then(|control| control.file()) {
                let _ = std::fs::remove_file(file);
            }
            if settings.process.vacuum {
                prepared.vacuum.clean();
            }
            Ok(code)
        }
        Over::Template { generation, channel } => {
            drop(ears);
            let shared = office.into_shared();
            let listeners = prepared.listeners;
            let seat =
                Seat { generation, channel, shared, listeners, settings, reread, start_dir, master_pid };
            process::exit_now(template::run(seat))
        }
    }
}

/// Why the loop is over in this process.
enum Over {
    /// The server is.
    Exit(i32),
    /// This is a template now.
    Template { generation: u32, channel: TemplateEnd },
}

fn turn(office: &mut Office, ears: &mut Ears, mut state: State) -> Over {
    let mut events = VecDeque::from([Event::Start]);
    loop {
        while let Some(event) = events.pop_front() {
            for action in state.handle(event, clock::now().millis()) {
                match office.perform(action) {
                    Outcome::Done => {}
                    Outcome::Event(event) => events.push_back(event),
                    Outcome::Exit(code) => return Over::Exit(code),
                    Outcome::Template { generation, channel } => {
                        return Over::Template { generation, channel };
                    }
                }
            }
        }
        events.extend(ears.wait(office, state.deadline()));
    }
}

fn policy(settings: &Process, master_pid: u32) -> Policy {
    Policy {
        workers: settings.processes,
        cores: settings.threads,
        mercy_ms: settings.worker_reload_mercy.saturating_mul(1000),
        forkbomb_delay_ms: settings.forkbomb_delay.saturating_mul(1000),
        exit_on_reload: settings.exit_on_reload,
        master_pid,
    }
}
