//! The words the state machine is spoken to and answers in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::control::server::ClientId;
use crate::control::words::{Answer, Change, Request};
use crate::master::scaling::Sample;
use crate::options::hooks;
use crate::options::scaling::Scaling;
use crate::options::settings::Touch;
use crate::shared::area::Tired;
use crate::sys::process::Status;
pub use crate::sys::signals::Command;

/// What the options say.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Policy {
    /// `processes`.
    pub workers: u32,
    /// `threads`, for the log.
    pub cores: u32,
    /// `worker-reload-mercy`, milliseconds.
    pub mercy_ms: u64,
    /// `drain-delay`: a server told to stop serves for so long, milliseconds.
    pub drain_delay_ms: u64,
    /// `reload-timeout`: a new generation has so long until it serves, milliseconds; 0: for ever.
    #[serde(default)]
    pub reload_timeout_ms: u64,
    /// `forkbomb-delay`, milliseconds; 0: never pause.
    pub forkbomb_delay_ms: u64,
    /// `exit-on-reload`.
    pub exit_on_reload: bool,
    /// The master's own process id, for the log.
    pub master_pid: u32,
    /// `cheaper` and its family.
    #[serde(default)]
    pub scaling: Scaling,
}

/// What somebody asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// HUP, `uwsgi.reload()`, touch-reload.
    Reload,
    /// Replace the workers one by one: `touch-workers-reload`, `touch-chain-reload`.
    Renew,
    /// TSTP: accept nothing, or go on.
    Pause,
    /// TERM, QUIT, `uwsgi.stop()`: finish what is in hand.
    Stop,
    /// INT: now.
    StopNow,
    /// USR1.
    Totals,
    /// Another number of workers: TTIN, TTOU, `master-fifo`.
    Workers(Change),
    /// No worker until the next connection comes: `master-fifo`.
    Sleep,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server starts.
    Start,
    /// The template of `generation` was forked.
    TemplateForked {
        /// Which.
        generation: u32,
        /// Its process.
        pid: u32,
    },
    /// It could not be.
    TemplateNotForked {
        /// Which.
        generation: u32,
        /// Why.
        why: String,
    },
    /// The template has loaded everything.
    TemplateReady {
        /// Which.
        generation: u32,
    },
    /// The template was weighed, as [`Action::Weigh`] asked.
    Weighed {
        /// Its generation.
        generation: u32,
        /// Bytes resident.
        resident: u64,
        /// Bytes that its cgroup allows.
        limit: Option<u64>,
    },
    /// Where the load of a generation stands, as [`Action::Located`] asked.
    Located {
        /// Which.
        generation: u32,
        /// As Python's `faulthandler` writes it; empty where the process did not answer.
        stack: String,
    },
    /// A worker was forked.
    Forked {
        /// Its generation.
        generation: u32,
        /// Its seat.
        worker: u32,
        /// Its process.
        pid: u32,
    },
    /// A worker could not be forked.
    NotForked {
        /// Its generation.
        generation: u32,
        /// Its seat.
        worker: u32,
        /// Why.
        why: String,
    },
    /// A worker serves.
    Ready {
        /// Its process.
        pid: u32,
    },
    /// A worker asks to be replaced. Said again and again.
    Tired {
        /// Its process.
        pid: u32,
        /// Why.
        why: Tired,
    },
    /// A worker is in a request that has taken far too long, and does nothing about it.
    Frozen {
        /// Its process.
        pid: u32,
    },
    /// A worker or a template gives no sign of life.
    Silent {
        /// Its process.
        pid: u32,
    },
    /// A process ended: a worker, a template, or some orphan of the application's.
    Exited {
        /// Which.
        pid: u32,
        /// How.
        status: Status,
    },
    /// Somebody wants something.
    Wished(Wish),
    /// A client of the control socket asks.
    Asked {
        /// Who.
        client: ClientId,
        /// What.
        request: Request,
    },
    /// A file under `touch-reload` or its family changed.
    Touched {
        /// Which.
        path: PathBuf,
        /// What that leads to.
        what: Touch,
    },
    /// The pidfiles shall be written anew.
    PidfilesWanted,
    /// A file system of `check-mount` is gone, or does not answer.
    Lost {
        /// Where it is mounted.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// What the workers do, and who waits.
    Sampled(Sample),
    /// A connection waits, and there is no worker.
    Knocked,
    /// Time has passed.
    Tick,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Fork a template; it loads everything and reports.
    StartTemplate {
        /// For which generation.
        generation: u32,
    },
    /// See how much memory a template takes, and how much there may be.
    Weigh {
        /// Its generation.
        generation: u32,
        /// Its process.
        pid: u32,
    },
    /// Have the template fork a worker.
    Fork {
        /// Its generation.
        generation: u32,
        /// Its seat: its number, or its number plus that of all workers.
        worker: u32,
    },
    /// Give a worker a command.
    Tell {
        /// Its generation.
        generation: u32,
        /// Its seat.
        worker: u32,
        /// What it shall do.
        command: Command,
    },
    /// SIGKILL.
    Kill {
        /// Whom.
        pid: u32,
    },
    /// Have a process that is not ready yet write where it stands.
    Locate {
        /// Which.
        pid: u32,
    },
    /// Read what it has written.
    Located {
        /// Its generation.
        generation: u32,
    },
    /// Let the template go: it ends.
    Dismiss {
        /// Whose.
        generation: u32,
    },
    /// A worker is gone: give back what it held.
    Bury {
        /// Which.
        pid: u32,
        /// Its number, where it should not have died: the log tells in which requests.
        crashed: Option<u32>,
    },
    /// Tell whoever started us that we serve.
    Announce,
    /// This generation serves from now on.
    Serve {
        /// Which.
        generation: u32,
    },
    /// Write a line.
    Say(String),
    /// Write what was served so far.
    Totals,
    /// Have the workers accept nothing, or go on.
    Pause(bool),
    /// Show a client of the control socket the stacks of a worker.
    Dump {
        /// Whom.
        client: ClientId,
        /// The worker's process.
        pid: u32,
    },
    /// Have clients and front ends look for another server, or stay.
    Drain(bool),
    /// Run a shell command, and do not wait for it.
    Run(String),
    /// `hook-touch`.
    Hook(hooks::Action),
    /// Write the pidfiles anew.
    Pidfiles,
    /// Answer a client of the control socket.
    Answer {
        /// Whom.
        client: ClientId,
        /// What.
        answer: Answer,
        /// Keep the connection: its end is news.
        keep: bool,
    },
    /// Tell a client of the control socket how it goes.
    Report {
        /// Whom.
        client: ClientId,
        /// What the state machine knows of it.
        picture: Picture,
    },
    /// Show a client of the control socket all there is to see.
    Look {
        /// Whom.
        client: ClientId,
    },
    /// What is left to do may wait for ever: the master ends then, whatever it does.
    Hurry {
        /// When.
        seconds: u32,
    },
    /// End the master.
    Exit(i32),
}

/// How it goes, as far as the state machine knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// `starting`, `running`, `reloading` or `stopping`.
    pub phase: &'static str,
    /// Which generation serves.
    pub generation: u32,
    /// Every worker of every generation.
    pub workers: Vec<WorkerPicture>,
}

/// The same of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerPicture {
    /// Number, from 1.
    pub id: u32,
    /// Where it sits: its number, or its number plus that of all workers.
    pub seat: u32,
    /// Its generation.
    pub generation: u32,
    /// Process id; 0 while there is none.
    pub pid: u32,
    /// `wanted`, `starting`, `ready`, `leaving`, or `cheap` where there shall be none now.
    pub state: &'static str,
}
