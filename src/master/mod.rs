//! The master: opens what all processes share, then waits, decides and acts. It knows no Python and has one
//! thread; nothing an application does can reach it.
//!
//! ```text
//!        ┌──────────── wait (events) ◄───────────┐
//!        ▼                                       │
//!  state: (State, Event) → Actions ──► perform (actions) ── an event of its own
//! ```

pub mod actions;
pub mod alarms;
pub mod certificates;
pub mod channel;
pub mod descriptors;
pub mod dumps;
mod ending;
pub mod events;
pub mod fifo;
mod foreground;
pub mod handover;
pub mod herald;
pub mod jobs;
pub mod lines;
pub mod listeners;
pub mod locks;
pub mod logs;
pub mod lord;
pub mod monitor;
pub mod mountpoints;
pub mod pidfile;
mod processes;
pub mod pulse;
pub mod raises;
pub mod report;
pub mod scaling;
pub mod seat;
pub mod shared;
pub mod startup;
pub mod state;
pub mod template;
pub mod titles;
pub mod touch;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use actions::{Office, Outcome};
use alarms::Watch;
use channel::TemplateEnd;
use descriptors::Descriptors;
use events::{Ears, Needs};
use fifo::Fifos;
use handover::{Handover, Image, Leaving, Made};
use jobs::Jobs;
use locks::Locks;
use lord::Lord;
use monitor::{Monitor, Source};
use mountpoints::Mountpoints;
use pidfile::Vacuum;
use scaling::sampler::Sampler;
use seat::Seat;
use startup::Prepared;
use state::{Action, Event, Policy, State};

use crate::base::clock;
use crate::control::monitor::Door;
use crate::options::hooks::Moment;
use crate::options::settings::{Process, Settings};
use crate::plugin::find::Library;
use crate::shared::instance::Stage;
use crate::sys::socket::Listener;
use crate::sys::{Error as SysError, cgroup, process, shell, signals};

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
    /// The command line, from the program's name on.
    pub argv: Vec<OsString>,
    /// The environment, as it came.
    pub env: Vec<(OsString, OsString)>,
    /// What the program before has left, where this one takes over from it.
    pub handover: Option<Box<Handover>>,
}

/// Serves until told to stop. The result is the exit code. In the processes forked on the way this call does not
/// return.
pub fn serve(start: Start) -> i32 {
    let code = run(start).unwrap_or_else(|error| {
        if !matches!(error, startup::Error::Said(_)) {
            crate::log!("{error}");
        }
        error.code()
    });
    foreground::tell(code);
    code
}

fn run(start: Start) -> Result<i32, startup::Error> {
    let failed = |what: &'static str| move |cause: io::Error| SysError::call(what, "for the master", cause);
    // From the first moment: a signal that comes too early is done when we can.
    signals::block().map_err(failed("block signals"))?;
    let Start { mut settings, mut notes, warnings, reread, argv, env, handover } = start;
    let library = Library::open().map_err(startup::Error::Plugin)?;
    let image = Image::new(argv.clone(), env).map_err(failed("find this program"))?;
    let start_dir = match (&settings.process.chroot, &settings.process.force_cwd) {
        // The folder it was started in lies outside.
        (Some(_), _) => std::path::PathBuf::from("/"),
        (None, Some(folder)) => folder.clone(),
        (None, None) => image.folder().clone(),
    };
    if settings.scaling.auto {
        notes.push(count_processes(&mut settings.process));
    }
    let policy = policy(&settings, std::process::id());
    let left = handover.as_ref().map(|left| left.jobs());
    let House { mut office, listeners, tls, locks, vacuum, doors, state, first } = match handover {
        None => move_in(&settings, &notes, &warnings, image, policy)?,
        Some(handover) => take_over(*handover, &mut settings, image, policy)?,
    };
    // Only now: who goes into the background is another process there.
    let master_pid = std::process::id();
    let made = Made { processes: settings.process.processes, sockets: settings.sockets.clone() };
    titles::set(&settings.process, "master");
    let hooks = settings.process.hooks.clone();
    startup::hook(&hooks, Moment::MasterStart)?;
    let source =
        Source { settings: settings.clone(), area: office.shared_area(), listeners: listeners.clone() };
    let view = source.view(master_pid);
    let monitor = match doors {
        Doors::Opened(doors) => Monitor::start(doors, source),
        Doors::Left(left) => Monitor::take_over(left, source).map_err(failed("show the server"))?,
    };
    office.set_monitor(monitor, view);
    *office.jobs_mut() = Jobs::new(&settings.process, left.unwrap_or_default(), clock::now().millis());
    let fifos = Fifos::open(&settings.process.fifos)?;
    let sampler = Sampler::new(&settings.scaling, settings.process.processes);
    let mut ears = Ears::new(touch::Touched::new(&settings.process.touch), fifos, &settings, sampler)
        .map_err(failed("listen to signals"))?
        .with_lord(Lord::find(settings.process.heartbeat, &hooks, clock::now().millis()))
        .with_alarms(Watch::new(&settings.logging.alarms, &settings.monitor.thresholds))
        .with_others(Descriptors::new(&settings.process.on_fds), Mountpoints::new(&settings.process));
    let turn = Turn {
        office: &mut office,
        ears: &mut ears,
        vacuum: &vacuum,
        made: &made,
        listeners: &listeners,
        tls: &tls,
        locks: &locks,
    };
    match turn.run(state, first) {
        Over::Exit(code) => {
            office.jobs_mut().stop();
            // Nothing that fails now changes the end.
            let _ = startup::hook(&hooks, Moment::AsUserAtExit);
            if let Some(file) = office.control().and_then(|control| control.file()) {
                let _ = std::fs::remove_file(file);
            }
            ears.fifos().remove();
            if settings.process.vacuum {
                vacuum.clean();
            }
            if let Some(logs) = office.logs() {
                logs.sync();
            }
            Ok(code)
        }
        Over::Template { generation, channel } => {
            drop(ears);
            let (plan, shared) = (office.jobs_mut().take_plan(), office.into_shared());
            let seat = Seat {
                generation,
                channel,
                shared,
                listeners,
                tls,
                settings,
                plan,
                reread,
                start_dir,
                argv,
                master_pid,
                library,
            };
            process::exit_now(seat.take_up())
        }
    }
}

/// What a master has before its first turn.
struct House {
    office: Office,
    listeners: Vec<Listener>,
    /// Certificates and keys, sealed.
    tls: Option<Arc<OwnedFd>>,
    /// `flock`, as long as the master lives.
    locks: Locks,
    vacuum: Vacuum,
    doors: Doors,
    state: State,
    first: First,
}

/// Where the server is looked at.
enum Doors {
    /// Just opened.
    Opened(Vec<Door>),
    /// Those of the program before.
    Left(monitor::Left),
}

/// What it begins with.
enum First {
    Event(Event),
    Action(Action),
}

/// An ordinary start.
fn move_in(
    settings: &Settings,
    notes: &[String],
    warnings: &[String],
    image: Image,
    mut policy: Policy,
) -> Result<House, startup::Error> {
    let failed = |what: &'static str| move |cause: io::Error| SysError::call(what, "for the master", cause);
    let Prepared { listeners, tls, locks, area, vacuum, control, doors, logs } =
        startup::prepare(settings, notes, warnings)?;
    process::adopt_orphans().map_err(failed("adopt orphans"))?;
    let office = Office::new(area, control, logs, image).map_err(failed("make pipes"))?;
    // In the background it is another process than the one that was started.
    policy.master_pid = std::process::id();
    let (state, first) = (State::new(policy), First::Event(Event::Start));
    Ok(House { office, listeners, tls, locks, vacuum, doors: Doors::Opened(doors), state, first })
}

/// The program was replaced, and this is the new one.
fn take_over(
    handover: Handover,
    settings: &mut Settings,
    image: Image,
    policy: Policy,
) -> Result<House, startup::Error> {
    let failed = |cause: io::Error| SysError::call("take over", "from the running server", cause);
    startup::set_date(&settings.logging);
    shell::choose(&settings.process.shells);
    crate::log!("{}", lines::new_program(crate::options::VERSION));
    startup::enter(&settings.process)?;
    let listeners = handover.listeners().map_err(failed)?;
    let tls = handover.tls().map_err(failed)?;
    // Should the log process die. Without (its options are wrong now), it is not replaced.
    let original = handover.office.logs.as_ref().and_then(|left| left.original()).and_then(Result::ok);
    let setup = original.and_then(|original| startup::log_setup(settings, original).ok().flatten());
    let Handover { begin, mut state, mut office, vacuum, made, locks, .. } = handover;
    let locks = Locks::take_over(locks).map_err(failed)?;
    let doors = office.monitor.take().map_or(Doors::Opened(Vec::new()), Doors::Left);
    settings.process.processes = made.processes;
    settings.sockets = made.sockets;
    let office = Office::take_over(office, setup, image, &state.pids()).map_err(failed)?;
    state.adopt(policy);
    let first = First::Action(Action::StartTemplate { generation: begin });
    Ok(House { office, listeners, tls, locks, vacuum, doors, state, first })
}

/// Why the loop is over in this process.
enum Over {
    /// The server is.
    Exit(i32),
    /// This is a template now.
    Template { generation: u32, channel: TemplateEnd },
}

/// Events in, actions out, until it is over.
struct Turn<'a> {
    office: &'a mut Office,
    ears: &'a mut Ears,
    vacuum: &'a Vacuum,
    made: &'a Made,
    listeners: &'a [Listener],
    tls: &'a Option<Arc<OwnedFd>>,
    locks: &'a Locks,
}

impl Turn<'_> {
    fn run(mut self, mut state: State, first: First) -> Over {
        let mut events = VecDeque::new();
        let mut actions = VecDeque::new();
        match first {
            First::Event(event) => events.push_back(event),
            First::Action(action) => actions.push_back(action),
        }
        let mut replace = None;
        loop {
            while let Some(action) = actions.pop_front() {
                match self.office.perform(action) {
                    Outcome::Done => {}
                    Outcome::Event(event) => events.push_back(event),
                    Outcome::Pidfiles => self.vacuum.write_pidfiles(),
                    Outcome::Replace { generation } => replace = Some(generation),
                    Outcome::Exit(code) => return Over::Exit(code),
                    Outcome::Template { generation, channel } => {
                        return Over::Template { generation, channel };
                    }
                }
            }
            if let Some(event) = events.pop_front() {
                actions.extend(state.handle(event, clock::now().millis()));
            } else if let Some(generation) = replace.take() {
                // Nothing is pending that the next program would not hear of.
                state = self.become_new(state, generation);
                actions.push_back(Action::StartTemplate { generation });
            } else {
                let instance = self.office.area().instance();
                instance.set_stage(state.stage());
                if instance.stage() == Stage::Running {
                    foreground::tell(0);
                }
                instance.set_asleep(state.listens());
                let summary = state.summary();
                self.office.herald_mut().tell(&summary);
                let needs = Needs { deadline: state.deadline(), knocks: state.listens() };
                events.extend(self.ears.wait(self.office, self.listeners, needs));
                let silent = self.ears.listen_for_hearts(self.office, self.listeners, &summary);
                events.extend(silent);
            }
        }
    }

    /// Returns if that was not possible: then this program goes on with the reload.
    fn become_new(&mut self, state: State, begin: u32) -> State {
        let Turn { vacuum, made, listeners, tls, locks, .. } = *self;
        let office = self.office.hand_over();
        let leaving = Leaving { begin, state, office, vacuum, made, listeners, tls, locks };
        let (state, error) = handover::become_new(self.office.image(), leaving);
        crate::log!("{}", lines::old_program(&error));
        self.office.stay();
        state
    }
}

/// `processes = auto`. What to say about it.
fn count_processes(settings: &mut Process) -> String {
    let (affinity, limits) = (cgroup::affinity(), cgroup::limits());
    settings.processes = cgroup::processors(affinity, limits);
    lines::auto(settings.processes, affinity, limits.millis, limits.memory)
}

fn policy(settings: &Settings, master_pid: u32) -> Policy {
    let Settings { process: settings, scaling, .. } = settings;
    Policy {
        scaling: *scaling,
        workers: settings.processes,
        cores: settings.threads,
        mercy_ms: settings.worker_reload_mercy.saturating_mul(1000),
        drain_delay_ms: settings.drain_delay.saturating_mul(1000),
        reload_timeout_ms: settings.reload_timeout.saturating_mul(1000),
        forkbomb_delay_ms: settings.forkbomb_delay.saturating_mul(1000),
        exit_on_reload: settings.exit_on_reload,
        master_pid,
    }
}
