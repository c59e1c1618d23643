//! Even work: several workers get about as much each, whether connections are kept or not, and a connection wakes one of
//! them. What is compared are numbers of connections and of requests, never times.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::support::{Address, Connection, Gate, Packet, Server, uwring_only};

const WORKERS: usize = 8;
const CLIENTS: usize = 64;

fn server() -> Server {
    let server = Server::app("wait").processes(WORKERS).http().ini("disable-logging = true").start();
    // Every one of them serves before it is counted.
    let _ = server.tcp(0);
    server
}

fn ask(client: &mut Connection) -> String {
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response("GET").expect(200).text()
}

/// The one with most, divided by the one with least.
fn ratio(counts: &BTreeMap<String, usize>) -> f64 {
    let of = |n: Option<&usize>| f64::from(u32::try_from(*n.expect("some")).expect("few"));
    if counts.len() < WORKERS { f64::INFINITY } else { of(counts.values().max()) / of(counts.values().min()) }
}

/// Counts of answers by worker.
fn count(answers: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    answers.for_each(|pid| *counts.entry(pid).or_default() += 1);
    counts
}

/// A worker that gets no processor for longer than others wait for it misses its share: once more, then, and again.
fn evenest(mut round: impl FnMut(&Server) -> BTreeMap<String, usize>) -> BTreeMap<String, usize> {
    let mut counts = round(&server());
    for _ in 0..2 {
        if ratio(&counts) > 1.3 {
            counts = round(&server());
        }
    }
    counts
}

#[test]
fn kept_connections_that_come_at_once_are_shared_out_evenly() {
    if uwring_only("it does not keep connections") {
        return;
    }
    let counts = evenest(|server| {
        let address: Address = server.tcp(0);
        let mut clients: Vec<Connection> = (0..CLIENTS).map(|_| address.connect()).collect();
        count(clients.iter_mut().map(ask))
    });
    assert!(ratio(&counts) <= 1.3, "{counts:?}");
}

#[test]
fn short_connections_are_shared_out_evenly() {
    let each = 40;
    let counts = evenest(|server| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let address = server.tcp(0);
                std::thread::spawn(move || (0..each).map(|_| address.get("/").text()).collect::<Vec<_>>())
            })
            .collect();
        count(threads.into_iter().flat_map(|thread| thread.join().expect("a client")))
    });
    assert_eq!(counts.values().sum::<usize>(), CLIENTS * each);
    assert!(ratio(&counts) <= 1.3, "{counts:?}");
}

/// Asks so much, from several sides, that the workers find all requests short.
fn warm_up(server: &Server) {
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let address = server.socket();
            std::thread::spawn(move || {
                for _ in 0..40 {
                    address.uwsgi(&Packet::get("/")).expect(200);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a client"));
}

#[test]
fn nobody_waits_behind_a_request_that_does_not_end() {
    let server = Server::app("wait").processes(2).ini("disable-logging = true").start();
    let gate = Gate::new(server.path("gate"));
    for _ in 0..4 {
        warm_up(&server);
        let mut blocked = server.send_to(&gate);
        let mut others: Vec<Connection> = (0..24).map(|_| server.socket().connect()).collect();
        others.iter_mut().for_each(|other| other.send(Packet::get("/").bytes()));
        others.iter_mut().for_each(|other| drop(other.response("GET").expect(200)));
        gate.open();
        blocked.response("GET").expect(200);
    }
}

#[test]
fn a_kept_connection_goes_to_a_worker_that_can_serve_it() {
    if uwring_only("it does not keep connections") {
        return;
    }
    let server = Server::app("wait").processes(2).http().ini("disable-logging = true").start();
    let gate = Gate::new(server.path("gate"));
    let address: Address = server.tcp(0);
    let mut clients: Vec<Connection> = (0..16).map(|_| address.connect()).collect();
    for round in 1..=4 {
        // Whoever holds them: one of the two workers is at the gate now.
        count(clients.iter_mut().map(ask));
        let mut blocked = server.send_to(&gate);
        assert!(server.log().wait_n(round, |line| line.contains("waiting at")).is_some());
        let pids = count(clients.iter_mut().map(ask));
        assert_eq!(pids.len(), 1, "one of two workers is busy: {pids:?}");
        gate.open();
        blocked.response("GET").expect(200);
    }
}

/// What each worker got.
#[derive(Debug, Default)]
pub struct Shared {
    /// Kept connections, each as of its last answer.
    pub connections: BTreeMap<String, usize>,
    /// Answers on these.
    pub kept: BTreeMap<String, usize>,
    /// Answers on connections of their own.
    pub short: BTreeMap<String, usize>,
}

impl Shared {
    /// Of all answers.
    pub fn ratio(&self) -> f64 {
        let mut all = self.kept.clone();
        self.short.iter().for_each(|(pid, n)| *all.entry(pid.clone()).or_default() += n);
        ratio(&all)
    }
}

/// 64 clients on kept connections and 64 with a new one each time ask for a millisecond of the processor, with a pause
/// after each answer, for so long.
pub fn kept_and_short(engine: &str, pause: Duration, lasting: Duration) -> Shared {
    let lines = format!("engine = {engine}\ndisable-logging = true");
    let server = Server::app("takes").processes(WORKERS).http().ini(&lines).start();
    let (address, begun) = (server.tcp(0), Instant::now());
    // The pace is the point; nothing happens that could be waited for.
    let again = || {
        std::thread::park_timeout(pause);
        begun.elapsed() < lasting
    };
    let kept = || {
        let (mut client, mut answers) = (address.connect(), Vec::new());
        while again() {
            client.send("GET /cpu/1 HTTP/1.1\r\nHost: test\r\n\r\n");
            answers.push(client.response("GET").expect(200).text());
        }
        answers
    };
    let short = || {
        let mut answers = Vec::new();
        while again() {
            answers.push(address.get("/cpu/1").text());
        }
        answers
    };
    std::thread::scope(|scope| {
        let kept: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(kept)).collect();
        let short: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(short)).collect();
        let kept: Vec<_> = kept.into_iter().map(|client| client.join().expect("a client")).collect();
        let short = short.into_iter().flat_map(|client| client.join().expect("a client"));
        Shared {
            connections: count(kept.iter().filter_map(|answers| answers.last().cloned())),
            short: count(short),
            kept: count(kept.into_iter().flatten()),
        }
    })
}

/// Voluntary switches of a worker's ring thread: how often it went to sleep.
fn sleeps(worker: i32) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{worker}/task")).expect("its threads");
    let statuses = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("status")).ok());
    let ring = statuses.filter(|status| status.contains("\tuwring-ring\n"));
    let count = |status: String| {
        let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches"))?;
        line.split_whitespace().nth(1)?.parse::<usize>().ok()
    };
    ring.filter_map(count).sum()
}

#[test]
fn a_connection_wakes_one_worker() {
    if uwring_only("it wakes as many as there are") {
        return;
    }
    let server = server();
    let address = server.tcp(0);
    let all = || server.workers().into_iter().map(sleeps).sum::<usize>();
    count((0..2 * WORKERS).map(|_| address.get("/").text()));
    let (before, connections) = (all(), 100);
    count((0..connections).map(|_| address.get("/").text()));
    let each = (all() - before) / connections;
    // The one that serves goes to sleep a few times for it. A herd would add as many as there are others.
    assert!(each < WORKERS, "{each} times for each of {connections} connections");
}
