//! All figures at one moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::clock;
use crate::base::protocol::SocketProtocol;
use crate::options::jobs::Cron;
use crate::options::metric::Metric;
use crate::shared::area::{Area, State, WorkerSlot};
use crate::shared::core::CoreSlot;
use crate::shared::seen::JobSeen;
use crate::stats::declared::{self, Declared};
use crate::stats::totals::Totals;
use crate::stats::vars::Variables;
use crate::sys::memory::{self, Usage};
use crate::sys::socket::Listener;
use crate::sys::socket::queue::{Backlog, Queues};

/// What there is to look at.
#[derive(Debug)]
pub struct View {
    /// What all processes share.
    pub area: Arc<Area>,
    /// The listening sockets.
    pub listeners: Vec<Listener>,
    /// The master's process id.
    pub master_pid: u32,
    /// Whom the server runs as.
    pub uid: u32,
    /// The same, its group.
    pub gid: u32,
    /// Where it runs.
    pub folder: String,
    /// Interpreter threads of a worker that has not been started yet.
    pub threads: u32,
    /// User locks.
    pub locks: u32,
    /// What is known of a listening socket's requests.
    pub variables: Variables,
    /// The application's metrics.
    pub declared: Vec<Metric>,
}

/// See the module's page. Names are those of uWSGI's statistics where it has them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Figures of the whole server.
    pub totals: Totals,
    /// Longest line in front of a socket.
    pub load: u32,
    /// Connections that found a full line since the server started, on all TCP sockets of this network.
    pub listen_overflows: u64,
    /// The master.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its folder.
    pub folder: String,
    /// Daemons.
    pub daemons: Vec<Daemon>,
    /// Owners of the user locks, 0 nobody.
    pub locks: Vec<u32>,
    /// Listening sockets.
    pub sockets: Vec<Socket>,
    /// Workers, by number.
    pub workers: Vec<Worker>,
    /// Cron jobs.
    pub crons: Vec<(Cron, Job)>,
    /// The application's metrics.
    pub declared: Vec<Declared>,
}

/// A daemon.
#[derive(Clone, Debug, Default)]
pub struct Daemon {
    /// Its command.
    pub command: String,
    /// How it is.
    pub job: Job,
}

/// A daemon or a cron job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Job {
    /// Its process, 0 none.
    pub pid: u32,
    /// Times it was started.
    pub starts: u64,
    /// Seconds since the epoch.
    pub started_on: u64,
}

/// A listening socket.
#[derive(Clone, Debug, Default)]
pub struct Socket {
    /// Address.
    pub name: String,
    /// uWSGI's name of the protocol.
    pub protocol: &'static str,
    /// Whether it is TCP.
    pub tcp: bool,
    /// Who waits; `None` where the kernel does not tell.
    pub backlog: Option<Backlog>,
}

/// What a worker is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// There is none, and none is coming.
    #[default]
    Cheap,
    /// Waits for a request.
    Idle,
    /// Works on one.
    Busy,
    /// Accepts nothing for a while (SIGTSTP).
    Paused,
}

/// A worker: the one that serves now, with the counts of all that had its number.
#[derive(Clone, Debug, Default)]
pub struct Worker {
    /// Number, from 1.
    pub id: u32,
    /// Its process, 0 none.
    pub pid: u32,
    /// It takes connections.
    pub accepting: bool,
    /// Requests finished.
    pub requests: u64,
    /// Those of this process.
    pub delta_requests: u64,
    /// Requests whose application raised.
    pub exceptions: u64,
    /// Requests that took too long.
    pub harakiri_count: u64,
    /// Signals of the application's that it has handled.
    pub signals: u64,
    /// Those that wait for it alone.
    pub signal_queue: u32,
    /// What it does.
    pub doing: Doing,
    /// Memory.
    pub usage: Usage,
    /// In requests, microseconds.
    pub running_time: u64,
    /// Seconds since the epoch.
    pub last_spawn: u64,
    /// Times it was forked.
    pub respawn_count: u64,
    /// Bytes sent.
    pub tx: u64,
    /// uWSGI's average of response times, microseconds.
    pub avg_rt: u64,
    /// Applications.
    pub apps: Vec<App>,
    /// Interpreter threads.
    pub cores: Vec<Core>,
}

/// An application of a worker.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// Number, from 0.
    pub id: u32,
    /// Where it is mounted.
    pub mountpoint: String,
    /// Seconds it took to load.
    pub startup_time: u64,
    /// Requests finished.
    pub requests: u64,
    /// Those in which it raised.
    pub exceptions: u64,
}

/// An interpreter thread. What the ring thread does by itself, or meets, is counted for the first one.
#[derive(Clone, Debug, Default)]
pub struct Core {
    /// Number, from 0.
    pub id: u32,
    /// Requests finished.
    pub requests: u64,
    /// Of these, static files.
    pub static_requests: u64,
    /// Of these, answered by the internal router.
    pub routed_requests: u64,
    /// Answers a client did not take.
    pub write_errors: u64,
    /// Bodies a client did not send.
    pub read_errors: u64,
    /// The request it works on.
    pub request: Option<Running>,
}

/// A request that runs.
#[derive(Clone, Debug, Default)]
pub struct Running {
    /// Since then, seconds since the epoch.
    pub since: u64,
    /// Its variables, `NAME=value`.
    pub variables: Vec<String>,
}

impl Snapshot {
    /// A figure of all workers together.
    pub fn sum(&self, figure: fn(&Worker) -> u64) -> u64 {
        self.workers.iter().map(figure).sum()
    }

    /// The sockets, each name and protocol once.
    pub fn distinct_sockets(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.iter().enumerate().filter_map(|(n, socket)| {
            let same = |other: &Socket| (&other.name, other.protocol) == (&socket.name, socket.protocol);
            (!self.sockets[..n].iter().any(same)).then_some(socket)
        })
    }
}

impl View {
    /// Looks. `walk`: at every page of the workers' memory, too.
    pub fn look(&self, walk: bool) -> Snapshot {
        let queues = Queues::new();
        let sockets: Vec<Socket> = self.listeners.iter().map(|listener| socket(listener, &queues)).collect();
        let lines = sockets.iter().filter_map(|socket| socket.backlog);
        let locks = self.area.locks();
        let (daemons, crons) = self.jobs();
        Snapshot {
            totals: Totals::of(&self.area),
            load: lines.map(|line| line.waiting).max().unwrap_or(0),
            listen_overflows: self.area.overflows(),
            pid: self.master_pid,
            uid: self.uid,
            gid: self.gid,
            folder: self.folder.clone(),
            daemons,
            locks: (0..self.locks).map(|n| locks.owner(n.into()).unwrap_or(0)).collect(),
            sockets,
            workers: (1..=self.area.workers()).map(|id| self.worker(id, walk)).collect(),
            crons,
            declared: declared::look(&self.declared, self.area.meters()),
        }
    }

    /// Daemons and cron jobs.
    fn jobs(&self) -> (Vec<Daemon>, Vec<(Cron, Job)>) {
        let (mut daemons, mut crons) = (Vec::new(), Vec::new());
        for slot in (0..).map_while(|index| self.area.job(index)) {
            let job = Job {
                pid: slot.pid.load(Ordering::Relaxed),
                starts: slot.starts.load(Ordering::Relaxed),
                started_on: slot.started_on.load(Ordering::Relaxed),
            };
            match slot.get() {
                Some(JobSeen::Daemon(command)) => daemons.push(Daemon { command, job }),
                Some(JobSeen::Cron(cron)) => crons.push((cron, job)),
                None => {}
            }
        }
        (daemons, crons)
    }

    fn worker(&self, id: u32, walk: bool) -> Worker {
        let area = &self.area;
        let (number, slot) = area.current(id);
        let numbers = area.numbers_of(id);
        let sum =
            |counter: fn(&WorkerSlot) -> u64| numbers.iter().map(|n| counter(area.slot(*n))).sum::<u64>();
        let (pid, tally) = (slot.process(), area.tally(number));
        let threads = match area.threads_of(number) {
            0 => self.threads,
            n => n,
        };
        let cores: Vec<Core> = (0..threads).filter_map(|thread| self.core(id, number, thread)).collect();
        let signals = area.signals(area.serving().max(1));
        let doing = match slot.state() {
            State::None | State::Starting if pid == 0 => Doing::Cheap,
            _ if cores.iter().any(|core| core.request.is_some()) => Doing::Busy,
            _ if area.is_paused() => Doing::Paused,
            _ => Doing::Idle,
        };
        Worker {
            id,
            pid,
            accepting: slot.state() == State::Ready && !area.is_paused(),
            requests: sum(WorkerSlot::requests_total),
            delta_requests: slot
                .requests_total()
                .saturating_sub(tally.requests_before.load(Ordering::Relaxed)),
            exceptions: sum(|slot| slot.exceptions.load(Ordering::Relaxed)),
            harakiri_count: sum(|slot| slot.harakiris.load(Ordering::Relaxed)),
            signals: signals.handled(id),
            signal_queue: signals.queued(id),
            doing,
            usage: usage(pid, walk),
            running_time: sum(|slot| slot.running_time_us.load(Ordering::Relaxed)),
            last_spawn: slot.last_spawn.load(Ordering::Relaxed),
            respawn_count: sum(|slot| slot.spawns.load(Ordering::Relaxed)),
            tx: sum(|slot| slot.tx_bytes.load(Ordering::Relaxed)),
            avg_rt: tally.average_us.load(Ordering::Relaxed),
            apps: self.apps(id, slot.generation()),
            cores,
        }
    }

    fn apps(&self, id: u32, generation: u32) -> Vec<App> {
        let area = &self.area;
        let app = |(app, (mountpoint, startup_time)): (u32, (Vec<u8>, u64))| {
            let numbers = area.numbers_of(id);
            let counts = || numbers.iter().filter_map(move |number| area.app(*number, app));
            App {
                id: app,
                mountpoint: String::from_utf8_lossy(&mountpoint).into_owned(),
                startup_time,
                requests: counts().map(|count| count.requests.load(Ordering::Relaxed)).sum(),
                exceptions: counts().map(|count| count.exceptions.load(Ordering::Relaxed)).sum(),
            }
        };
        (0..).zip(area.cards_of(generation).map_while(|card| card.get())).map(app).collect()
    }

    fn core(&self, id: u32, current: u32, thread: u32) -> Option<Core> {
        let area = &self.area;
        let numbers = area.numbers_of(id);
        let core = area.core(current, thread)?;
        let own = numbers.iter().filter_map(|n| area.core(*n, thread)).map(CoreSlot::finished).sum();
        let mut told = Core {
            id: thread,
            requests: own,
            request: self.running(current, thread, core),
            ..Core::default()
        };
        if thread == 0 {
            for number in numbers {
                let (slot, tally) = (area.slot(number), area.tally(number));
                told.static_requests += tally.static_requests.load(Ordering::Relaxed);
                told.routed_requests += tally.routed_requests.load(Ordering::Relaxed);
                told.read_errors += tally.read_errors.load(Ordering::Relaxed);
                told.write_errors += slot.write_errors.load(Ordering::Relaxed);
            }
            told.requests += told.static_requests + told.routed_requests;
        }
        Some(told)
    }

    fn running(&self, number: u32, thread: u32, core: &CoreSlot) -> Option<Running> {
        let busy = core.busy()?;
        let (line, head) = (core.text(), self.area.head(number, thread).map(|head| head.text.get()));
        // What was read may belong to the next request already.
        if core.busy().is_none_or(|now| now.serial != busy.serial) {
            return None;
        }
        let ago_us = clock::now().since(busy.since);
        let variables =
            head.map_or_else(Vec::new, |(head, listener)| self.variables.of(&line, &head, listener));
        Some(Running { since: clock::wall().saturating_sub(ago_us) / 1_000_000, variables })
    }
}

/// Of process `pid`, as much as the kernel tells us.
fn usage(pid: u32, walk: bool) -> Usage {
    match pid {
        0 => Usage::default(),
        pid => memory::usage_of(pid, walk).or_else(|_| memory::usage_of(pid, false)).unwrap_or_default(),
    }
}

fn socket(listener: &Listener, queues: &Queues) -> Socket {
    let protocol = match listener.protocol {
        SocketProtocol::Http => "http",
        SocketProtocol::Uwsgi | SocketProtocol::Auto => "uwsgi",
        SocketProtocol::FastCgi | SocketProtocol::FastCgiNph => "fastcgi",
        SocketProtocol::Scgi | SocketProtocol::ScgiNph => "scgi",
    };
    Socket {
        name: listener.name.clone(),
        protocol,
        tcp: listener.is_tcp(),
        backlog: queues.line(listener).ok(),
    }
}
