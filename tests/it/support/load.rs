//! Load on a server, with every failure counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::{Packet, Server};

/// Clients in a closed loop, each on its own connections.
pub struct Load {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<BTreeMap<String, usize>>>,
}

impl Load {
    /// `clients` of them; the application answers with its worker's pid.
    pub fn on(server: &Server, clients: usize) -> Load {
        let (stop, failed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..clients)
            .map(|_| {
                let (stop, failed, socket) = (Arc::clone(&stop), Arc::clone(&failed), server.socket());
                std::thread::spawn(move || {
                    let mut answers = BTreeMap::new();
                    while !stop.load(Ordering::Relaxed) {
                        let mut client = socket.connect();
                        client.send(Packet::get("/").bytes());
                        let answer = String::from_utf8_lossy(&client.rest_or_reset()).into_owned();
                        match answer.split_once("\r\n\r\n") {
                            Some((head, pid)) if head.contains(" 200 ") => {
                                *answers.entry(pid.to_owned()).or_default() += 1;
                            }
                            _ => _ = failed.fetch_add(1, Ordering::Relaxed),
                        }
                    }
                    answers
                })
            })
            .collect();
        Load { stop, failed, threads }
    }

    /// Ends it: answers by worker, and how many there were not.
    pub fn end(self) -> (BTreeMap<String, usize>, usize) {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for thread in self.threads {
            for (pid, n) in thread.join().expect("a client") {
                *all.entry(pid).or_default() += n;
            }
        }
        (all, self.failed.load(Ordering::Relaxed))
    }
}

/// The process that `pid` is a child of.
pub fn parent_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
    parent.and_then(|n| n.parse().ok()).expect("a pid")
}
