//! A worker process: what happens after the fork, in order. Python keeps the process's main thread, where it
//! expects to be; the ring gets a thread of its own, and so does every further interpreter thread.

mod acceptor;
mod account;
mod allowance;
mod body;
mod census;
mod channel;
mod circle;
mod connection;
mod deadlines;
mod direct;
mod filter;
mod gate;
mod handoff;
mod harakiri;
mod health;
mod held;
mod job;
mod logbook;
mod lone;
pub mod modified;
pub mod office;
mod pace;
mod pages;
mod preface;
mod queue;
pub mod raised;
mod reading;
mod recorder;
mod recycle;
mod redirect;
mod refusing;
pub mod relay;
mod rescue;
mod ring_thread;
mod room;
mod rules;
mod serve;
mod share;
mod shortcut;
mod sized;
mod stop;
mod trace;
mod tracebacker;
mod trust;
mod writing;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::thread;

use crate::base::engine::Kind;
use crate::base::errors;
use crate::base::protocol::Cover;
use crate::engine::Reactor;
use crate::engine::epoll::Epoll;
use crate::engine::ring::Ring as Uring;
use crate::hooks::{self, Stop};
use crate::options::hooks::Moment;
use crate::options::settings::Settings;
use crate::plugin::Plugin;
use crate::plugin::host;
use crate::shared::area::{Area, Command, State, WorkerSlot};
use crate::shared::tally::Tally;
use crate::sys::socket::Listener;
use crate::sys::{limits, signals};
use crate::tls::{Layer, Shop};
use serve::Desk;

/// Requests with the interpreter at once; more wait with the ring thread.
const HANDOFF_REQUESTS: usize = 1024;

/// What a worker is given by the process that forked it.
pub struct Plan {
    /// Number, from 1.
    pub id: u32,
    /// It takes nobody's place: the first of its number since the application was loaded.
    pub is_first: bool,
    /// Everything that was configured.
    pub settings: Arc<Settings>,
    /// The listening sockets.
    pub listeners: Vec<Listener>,
    /// What all processes share.
    pub area: Arc<Area>,
    /// Number of this worker's slot there.
    pub slot: u32,
    /// An eventfd for each slot, the first one's first: the master, a signal handler or another worker has something to
    /// say.
    pub bells: Vec<Arc<OwnedFd>>,
    /// For requests that one worker hands to another; where there are several that have all sockets.
    pub relay: Option<relay::Sockets>,
    /// Read end of a pipe whose other end only the master has.
    pub life: Arc<OwnedFd>,
    /// Eventfd that wakes the master.
    pub notify: Arc<OwnedFd>,
    /// Where stacks go that the master asks for.
    pub stacks: Arc<OwnedFd>,
    /// Where a process writes where it stands that is not ready yet.
    pub place: Arc<File>,
    /// The application's side, started and (unless `lazy-apps`) loaded.
    pub plugin: Plugin,
    /// The master's process id.
    pub master_pid: u32,
    /// What HTTPS is served with, where it is.
    pub tls: Option<Arc<Shop>>,
}

impl Plan {
    /// This worker's shared counters.
    pub fn slot(&self) -> &WorkerSlot {
        self.area.slot(self.slot)
    }

    /// The bell of slot `number`.
    pub fn bell(&self, number: u32) -> &OwnedFd {
        &self.bells[number as usize - 1]
    }

    /// What its ring thread counts for those outside.
    pub fn tally(&self) -> &Tally {
        self.area.tally(self.slot)
    }

    /// What the worker shall do, by the master's word or a signal's.
    pub fn command(&self) -> Command {
        self.slot().command().max(signals::asked())
    }
}

/// Why a worker could not serve.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The loop.
    #[error("{0}")]
    Engine(#[source] io::Error),
    /// A thread.
    #[error("cannot start a thread: {0} (see `ulimit -u`, `limit-as`)")]
    Thread(#[source] io::Error),
    /// A hook.
    #[error("hook: {0}")]
    Hook(#[source] crate::sys::Error),
    /// A hook says so.
    #[error("a hook ends the worker with code {0}")]
    Exit(i32),
    /// `chdir2`.
    #[error("cannot chdir2 to {0}: {1}")]
    Folder(std::path::PathBuf, #[source] io::Error),
    /// The queue between the threads.
    #[error("cannot make an eventfd: {0}")]
    Handoff(#[source] io::Error),
}

/// Serves until told to stop. Called once, in the freshly forked child, on its only thread. The result is the
/// process's exit code.
pub fn run(plan: Plan) -> i32 {
    match serve(plan) {
        Ok(code) => code,
        Err(error) => {
            crate::log!("[uwring] worker cannot start: {error} {}", errors::WORKER_START);
            if let Error::Exit(code) = error { code } else { 1 }
        }
    }
}

fn serve(plan: Plan) -> Result<i32, Error> {
    place(&plan);
    hook(&plan, Moment::PostFork)?;
    let plan = Arc::new(plan);
    let rules = rules::Rules::new(&plan.settings, plan.id, &plan.area);
    let handoff = handoff::Handoff::new(HANDOFF_REQUESTS).map_err(Error::Handoff)?;
    let shortcut = shortcut::Shortcut::new(&plan, rules.is_some());
    let desk: &'static Desk = Box::leak(Box::new(Desk {
        lone: lone::Lone::new(&plan),
        circle: circle::Circle::new(shortcut.is_possible().then(|| handoff.bell())),
        shortcut,
        handoff,
        rules,
        pages: pages::Pages::read(&plan.settings.request.error_pages),
        claims: direct::Claims::new(plan.settings.process.threads),
        held: held::Held::new(plan.settings.process.threads),
        allowance: allowance::Allowance::default(),
        sites: acceptor::sites(&plan),
        plan: Arc::clone(&plan),
    }));
    let api: &'static _ = Box::leak(Box::new(host::api(desk, plan.id)));
    if plan.plugin.worker_start(api).is_err() {
        return Ok(1);
    }
    if plan.settings.process.lazy_apps {
        hook(&plan, Moment::PreApp)?;
        if plan.plugin.load() < 0 && plan.settings.process.need_app {
            // The plugin has said why.
            return Ok(22);
        }
        hook(&plan, Moment::PostApp)?;
    }
    if let Some(folder) = &plan.settings.process.chdir2 {
        std::env::set_current_dir(folder).map_err(|error| Error::Folder(folder.clone(), error))?;
    }
    about_to_accept(&plan)?;
    tracebacker::start(&plan);
    let ring = start_ring(&plan, desk)?;
    let others = start_interpreters(&plan)?;
    desk.prepare_to_wait();
    plan.slot().set_state(State::Ready);
    // Those sent before have rung no bell here; see `Area::send_signal`.
    fence(Ordering::SeqCst);
    desk.look_at_signals();
    // The master sees the state at its next look all the same.
    let _ = crate::sys::event::signal(plan.notify.as_raw_fd());
    plan.plugin.serve(0);
    others.into_iter().for_each(|thread| drop(thread.join()));
    let over = ring.join();
    plan.plugin.worker_stop();
    match over {
        Ok(Ok(())) => Ok(0),
        Ok(Err(error)) => Err(Error::Engine(error)),
        Err(_) => Ok(1),
    }
}

fn hook(plan: &Plan, moment: Moment) -> Result<(), Error> {
    hooks::run(&plan.settings.process.hooks, moment).map_err(|stop| match stop {
        Stop::Exit(code) => Error::Exit(code),
        Stop::Failed(error) => Error::Hook(error),
    })
}

/// The hooks that come when everything is there.
fn about_to_accept(plan: &Plan) -> Result<(), Error> {
    let first = plan.id == 1;
    for (moment, wanted) in [
        (Moment::Accepting, true),
        (Moment::AcceptingOnce, plan.is_first),
        (Moment::Accepting1, first),
        (Moment::Accepting1Once, first && plan.is_first),
    ] {
        if wanted {
            hook(plan, moment)?;
        }
    }
    Ok(())
}

/// `cpu-affinity`, before there are threads: they go where this one is.
fn place(plan: &Plan) {
    let each = plan.settings.process.affinity;
    if each == 0 {
        return;
    }
    let processors = limits::processors_of(plan.id, each, &crate::sys::cgroup::allowed());
    match limits::run_on(&processors) {
        Ok(()) => crate::log!("mapping worker {} to CPUs:{}", plan.id, words(&processors)),
        // The site runs all the same.
        Err(error) => crate::log!(
            "[uwring] worker {}: cpu-affinity {processors:?}: {error} {}",
            plan.id,
            errors::NO_AFFINITY
        ),
    }
}

fn words(numbers: &[u32]) -> String {
    numbers.iter().map(|number| format!(" {number}")).collect()
}

fn start_ring(plan: &Arc<Plan>, desk: &'static Desk) -> Result<thread::JoinHandle<io::Result<()>>, Error> {
    let plan = Arc::clone(plan);
    let body = move || {
        // Signals are for the main thread, where Python's handlers run.
        signals::block_all();
        let (left, result) = run_engine(&plan, desk);
        if left > 0 {
            crate::log!(
                "worker {} ends; threads that do not come back: {left} {}",
                plan.id,
                errors::LEFT_THREADS
            );
        }
        if plan.command() == Command::Quit || left > 0 {
            // The application may be stuck in a request: nobody waits for it now.
            crate::sys::process::exit_now(0);
        }
        desk.handoff.close();
        result
    };
    thread::Builder::new().name("uwring-ring".into()).spawn(body).map_err(Error::Thread)
}

/// Serves on the engine that the server runs on, to the end: threads that do not come back, and how it ended.
fn run_engine(plan: &Arc<Plan>, desk: &'static Desk) -> (usize, io::Result<()>) {
    if plan.area.instance().engine() == Kind::IoUring {
        match Uring::new() {
            Ok(engine) => return run_on(engine, plan, desk),
            Err(error) if plan.settings.process.engine == Some(Kind::IoUring) => {
                return (0, Err(io::Error::other(error)));
            }
            // It was there when the server started.
            Err(error) => {
                plan.area.instance().set_engine(Kind::Epoll);
                crate::log!(
                    "[uwring] worker {} goes on with epoll: {error} {}",
                    plan.id,
                    errors::NO_RING_HERE
                );
            }
        }
    }
    match Epoll::new() {
        Ok(engine) => run_on(engine, plan, desk),
        Err(error) => (0, Err(error)),
    }
}

fn run_on(engine: impl Reactor, plan: &Arc<Plan>, desk: &'static Desk) -> (usize, io::Result<()>) {
    fn run(engine: impl Reactor, plan: &Arc<Plan>, desk: &'static Desk) -> (usize, io::Result<()>) {
        let mut ring = ring_thread::Ring::new(engine, Arc::clone(plan), desk);
        let result = ring.run();
        (ring.given_up(), result)
    }
    // Where nobody speaks TLS, nothing is in the way.
    let Some(shop) = &plan.tls else { return run(engine, plan, desk) };
    let covered = plan.listeners.iter().filter_map(|listener| match listener.cover {
        Cover::Tls(number) => Some((listener.fd.as_raw_fd(), number)),
        Cover::None | Cover::ToHttps(_) => None,
    });
    run(Layer::new(engine, Arc::clone(shop), covered), plan, desk)
}

fn start_interpreters(plan: &Arc<Plan>) -> Result<Vec<thread::JoinHandle<()>>, Error> {
    (1..plan.settings.process.threads)
        .map(|number| {
            let plugin = plan.plugin;
            // Signals are not blocked here: a command started from this thread would inherit that.
            let body = move || plugin.serve(number);
            let name = format!("uWSGIWorker{}Core{number}", plan.id);
            let builder = thread::Builder::new().name(name);
            let builder = match plan.settings.process.stack_bytes {
                Some(bytes) => builder.stack_size(bytes),
                None => builder,
            };
            builder.spawn(body).map_err(Error::Thread)
        })
        .collect()
}
