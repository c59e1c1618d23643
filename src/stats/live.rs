//! The live document: the server at one moment, for `uwring top`, `uwring ctl requests` and the status page. Counters go on
//! counting; who looks twice has rates. docs/top.md tells its fields: they may become more, and keep their meaning.

use serde::{Deserialize, Serialize};

use super::flights::Flights;
use super::snapshot::{Doing, Snapshot, View, Worker as Seen};
use crate::base::clock;
use crate::shared::instance::ENDINGS;
use crate::shared::tally::{BOUNDS_US, Times};

/// See the module's page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Live {
    /// Version of the server.
    pub version: String,
    /// When this was told, milliseconds since the epoch.
    pub now_ms: u64,
    /// Process id of the master.
    pub pid: u32,
    /// `starting`, `running`, `reloading` or `stopping`.
    pub phase: String,
    /// Which load of the application serves, from 1.
    pub generation: u32,
    /// When the server started, seconds since the epoch.
    pub started_on: u64,
    /// Requests finished.
    pub requests: u64,
    /// The same by class of status: none, 1xx to 5xx.
    pub answers: [u64; 6],
    /// Requests whose application raised.
    pub exceptions: u64,
    /// Requests that took too long.
    pub harakiri: u64,
    /// Requests the application never saw: answered 4xx, 5xx, not answered.
    pub refused: [u64; 3],
    /// Answers that clients did not take.
    pub write_errors: u64,
    /// Workers that ended while the server went on, for another reason than a reload or the load (`cheaper`).
    pub workers_lost: u64,
    /// Bytes of requests.
    pub rx_bytes: u64,
    /// Bytes of answers.
    pub tx_bytes: u64,
    /// Requests in hand.
    pub in_hand: u32,
    /// Of these, with the application.
    pub running: u32,
    /// Upper bounds of the buckets of times, microseconds. There is one bucket more.
    pub bounds_us: Vec<u64>,
    /// Time in the application, by bucket.
    pub app_time: Buckets,
    /// Time from a request's arrival until a thread took it, by bucket.
    pub queue_time: Buckets,
    /// Connections open, by what they do.
    pub connections: Vec<Count>,
    /// Connections accepted.
    pub accepted: u64,
    /// Listening sockets.
    pub sockets: Vec<Socket>,
    /// Workers, by number.
    pub workers: Vec<Worker>,
    /// Single requests.
    pub recorder: Flights,
}

/// Times, by bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Buckets {
    /// How many are in each, not cumulated.
    pub counts: Vec<u64>,
    /// All together, microseconds.
    pub sum_us: u64,
}

/// So many of a kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Count {
    /// Which kind.
    pub state: String,
    /// How many.
    pub count: u64,
}

/// A listening socket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Socket {
    /// Its address.
    pub name: String,
    /// What is spoken there.
    pub protocol: String,
    /// Connections that wait to be accepted; none where the kernel does not tell.
    pub waiting: Option<u32>,
    /// Connections that may wait.
    pub limit: Option<u32>,
}

/// A worker, with the counts of all that had its number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Worker {
    /// Number, from 1.
    pub id: u32,
    /// Its process, 0: none.
    pub pid: u32,
    /// `idle`, `busy`, `paused`, or `cheap` where there is none.
    pub state: String,
    /// Requests finished.
    pub requests: u64,
    /// Requests whose application raised.
    pub exceptions: u64,
    /// Requests that took too long.
    pub harakiri: u64,
    /// Resident memory, bytes.
    pub rss_bytes: u64,
    /// Time in requests, microseconds: of all its threads together.
    pub busy_us: u64,
    /// What uWSGI calls the average response time, microseconds.
    pub average_us: u64,
    /// Bytes of answers.
    pub tx_bytes: u64,
    /// When its process started, seconds since the epoch.
    pub started_on: u64,
    /// Times it was started.
    pub starts: u64,
    /// Its interpreter threads.
    pub cores: Vec<Core>,
}

/// An interpreter thread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Core {
    /// Number, from 0.
    pub id: u32,
    /// Requests finished.
    pub requests: u64,
    /// It works on one.
    pub busy: bool,
}

impl Live {
    /// As it is now.
    pub fn of(view: &View) -> Live {
        let (told, recorder) = (view.look(false), Flights::of(&view.area));
        let totals = &told.totals;
        let mut answers = [0; 6];
        for classes in totals.answers {
            answers.iter_mut().zip(classes).for_each(|(sum, count)| *sum += count);
        }
        let lost = ENDINGS.iter().zip(totals.endings).filter(|(why, _)| LOST.contains(why));
        Live {
            version: crate::options::VERSION.to_owned(),
            now_ms: clock::wall() / 1000,
            pid: told.pid,
            phase: totals.stage.name().to_owned(),
            generation: totals.generation,
            started_on: totals.started_on,
            requests: told.sum(|worker| worker.requests),
            answers,
            exceptions: told.sum(|worker| worker.exceptions),
            harakiri: told.sum(|worker| worker.harakiri_count),
            refused: totals.refused,
            write_errors: totals.write_errors,
            workers_lost: lost.map(|(_, count)| count).sum(),
            rx_bytes: totals.rx_bytes,
            tx_bytes: told.sum(|worker| worker.tx),
            in_hand: totals.in_hand,
            running: totals.running,
            bounds_us: BOUNDS_US.to_vec(),
            app_time: buckets(&totals.app),
            queue_time: buckets(&totals.queue),
            connections: totals
                .connections()
                .map(|(state, count)| Count { state: state.to_owned(), count })
                .to_vec(),
            accepted: totals.accepted,
            sockets: sockets(&told),
            workers: told.workers.iter().map(|seen| worker(seen, &recorder)).collect(),
            recorder,
        }
    }
}

/// Of [`ENDINGS`], what nobody has asked for.
const LOST: [&str; 3] = ["crashed", "harakiri", "killed"];

fn buckets(times: &Times) -> Buckets {
    Buckets { counts: times.counts.to_vec(), sum_us: times.sum_us }
}

fn sockets(told: &Snapshot) -> Vec<Socket> {
    let socket = |socket: &super::snapshot::Socket| Socket {
        name: socket.name.clone(),
        protocol: socket.protocol.to_owned(),
        waiting: socket.backlog.map(|line| line.waiting),
        limit: socket.backlog.map(|line| line.max),
    };
    told.distinct_sockets().map(socket).collect()
}

fn worker(seen: &Seen, recorder: &Flights) -> Worker {
    // What runs is counted when it ends; until then it is busy all the same.
    let running =
        recorder.in_flight.iter().filter(|request| (request.worker, request.pid) == (seen.id, seen.pid));
    let state = match seen.doing {
        Doing::Cheap => "cheap",
        Doing::Idle => "idle",
        Doing::Busy => "busy",
        Doing::Paused => "paused",
    };
    let core = |core: &super::snapshot::Core| Core {
        id: core.id,
        requests: core.requests,
        busy: core.request.is_some(),
    };
    Worker {
        id: seen.id,
        pid: seen.pid,
        state: state.to_owned(),
        requests: seen.requests,
        exceptions: seen.exceptions,
        harakiri: seen.harakiri_count,
        rss_bytes: seen.usage.rss,
        busy_us: seen.running_time + running.map(|request| request.running_us).sum::<u64>(),
        average_us: seen.avg_rt,
        tx_bytes: seen.tx,
        started_on: seen.last_spawn,
        starts: seen.respawn_count,
        cores: seen.cores.iter().map(core).collect(),
    }
}
