//! Load on a server, with every failure counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Packet, Server};

/// Clients that ask again and again, each request on its own connection.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Served>>,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Served {
    /// Answers, by worker.
    pub answers: BTreeMap<String, usize>,
    /// Requests without one, or with one that is not 200.
    pub failed: usize,
    /// How long each request took, from when it was due.
    pub times: Vec<Duration>,
}

impl Served {
    /// How many were asked.
    pub fn requests(&self) -> usize {
        self.times.len()
    }

    /// The longest.
    pub fn slowest(&self) -> Duration {
        self.times.iter().max().copied().unwrap_or_default()
    }

    /// For people: what so many requests were like.
    pub fn summary(&self) -> String {
        let mut times = self.times.clone();
        times.sort();
        let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
        format!(
            "{} requests, {} failed, median {:.1?}, 99 % {:.1?}, slowest {:.1?}",
            times.len(),
            self.failed,
            at(50),
            at(99),
            self.slowest()
        )
    }

    fn and(mut self, other: Served) -> Served {
        for (pid, n) in other.answers {
            *self.answers.entry(pid).or_default() += n;
        }
        self.failed += other.failed;
        self.times.extend(other.times);
        self
    }
}

impl Load {
    /// `clients` of them, in a closed loop; the application answers with its worker's pid.
    pub fn on(server: &Server, clients: usize) -> Load {
        Load::with(server, clients, None, &Packet::get("/"))
    }

    /// At a steady rate, requests a second: each client asks when its time has come, or as soon as it has its answer.
    pub fn at_rate(server: &Server, clients: u32, rate: u32, packet: &Packet) -> Load {
        Load::with(server, clients as usize, Some(Duration::from_secs(1) * clients / rate), packet)
    }

    fn with(server: &Server, clients: usize, every: Option<Duration>, packet: &Packet) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..clients)
            .map(|_| {
                let (stop, socket, bytes) = (Arc::clone(&stop), server.socket(), packet.bytes());
                std::thread::spawn(move || {
                    let (mut served, mut next) = (Served::default(), Instant::now());
                    while !stop.load(Ordering::Relaxed) {
                        let due = if let Some(every) = every {
                            // The rate is the point; nothing happens that could be waited for.
                            std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
                            next += every;
                            next - every
                        } else {
                            Instant::now()
                        };
                        let mut client = socket.connect();
                        // A server that is killed meanwhile may close early.
                        let _ = client.try_send(&bytes);
                        let answer = String::from_utf8_lossy(&client.rest_or_reset()).into_owned();
                        match answer.split_once("\r\n\r\n") {
                            Some((head, pid)) if head.contains(" 200 ") => {
                                *served.answers.entry(pid.to_owned()).or_default() += 1;
                            }
                            _ => served.failed += 1,
                        }
                        served.times.push(due.elapsed());
                    }
                    served
                })
            })
            .collect();
        Load { stop, threads }
    }

    /// Ends it: answers by worker, and how many there were not.
    pub fn end(self) -> (BTreeMap<String, usize>, usize) {
        let served = self.finish();
        (served.answers, served.failed)
    }

    /// Ends it, and tells all.
    pub fn finish(self) -> Served {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .map(|thread| thread.join().expect("a client"))
            .fold(Served::default(), Served::and)
    }
}

/// The process that `pid` is a child of.
pub fn parent_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
    parent.and_then(|n| n.parse().ok()).expect("a pid")
}
