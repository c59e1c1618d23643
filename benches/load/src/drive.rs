//! The loop: keeps N connections busy on one thread, until the time or the count is over. It asks by poll(2): each of its
//! connections lives for one request, and to register it and have it forgotten would cost more than to name all each time.
//!
//! Closed loop: a connection starts its next request when the last one is answered. Latencies under load
//! therefore say how the server shares itself out, not how it behaves at a given arrival rate.

use crate::args::UwsgiPlan;
use crate::connection::{Connection, Job, Outcome};
use crate::request::{self, Wish};
use crate::tally::{Fault, Tally};
use nix::poll::{PollFd, PollTimeout, poll};
use std::io;
use std::time::{Duration, Instant};

/// A failed connection tries again after this long: nobody hammers a full backlog without pause.
const RETRY_PAUSE: Duration = Duration::from_millis(1);
/// How long requests that are under way at the end may take.
const GRACE: Duration = Duration::from_secs(2);
/// Large enough for one read an answer in most rows, small enough to stay in the cache.
const SCRATCH_BYTES: usize = 64 * 1024;

/// Runs the load and returns what came of it.
pub(crate) fn run(plan: &UwsgiPlan) -> io::Result<Tally> {
    let wish = Wish { path: &plan.path, method: plan.method.as_deref(), body_bytes: plan.body_bytes };
    let packet = request::build(&wish).map_err(io::Error::other)?;
    let door = plan.target.door()?;
    let job = Job { door: &door, packet: &packet, expected_body_bytes: plan.expected_body_bytes };
    Drive::new(plan, &job)?.run()
}

struct Drive<'a> {
    plan: &'a UwsgiPlan,
    job: &'a Job<'a>,
    connections: Vec<Connection>,
    scratch: Vec<u8>,
    tally: Tally,
    started: u64,
    end: Instant,
}

impl<'a> Drive<'a> {
    fn new(plan: &'a UwsgiPlan, job: &'a Job<'a>) -> io::Result<Drive<'a>> {
        Ok(Drive {
            plan,
            job,
            connections: (0..plan.connections).map(|_| Connection::new()).collect(),
            scratch: vec![0; SCRATCH_BYTES],
            tally: Tally::new(),
            started: 0,
            end: Instant::now() + plan.duration,
        })
    }

    fn run(mut self) -> io::Result<Tally> {
        let begun = Instant::now();
        let mut swept = begun;
        self.sweep(begun);
        loop {
            self.turn()?;
            let now = Instant::now();
            if now - swept >= RETRY_PAUSE {
                swept = now;
                self.sweep(now);
            }
            if self.is_over(now) {
                break;
            }
        }
        let stopped = Instant::now().min(self.end);
        self.abandon_rest();
        self.tally.finish(stopped - begun);
        Ok(self.tally)
    }

    /// Waits, then steps every connection that is ready and starts its next request.
    fn turn(&mut self) -> io::Result<()> {
        for index in self.ready()? {
            let mut received = 0;
            let outcome = self.connections[index].step(self.job, &mut self.scratch, &mut received);
            self.tally.received(received);
            if self.settle(outcome) {
                self.start(index);
            }
        }
        Ok(())
    }

    /// Those that something has happened to.
    fn ready(&self) -> io::Result<Vec<usize>> {
        let open = self.connections.iter().enumerate();
        let (indices, mut polled): (Vec<usize>, Vec<PollFd<'_>>) = open
            .filter_map(|(index, connection)| {
                let (fd, flags) = connection.interest()?;
                Some((index, PollFd::new(fd, flags)))
            })
            .unzip();
        match poll(&mut polled, PollTimeout::from(1u8)) {
            Err(nix::errno::Errno::EINTR) => return Ok(Vec::new()),
            result => result?,
        };
        let ready = indices.into_iter().zip(&polled).filter(|(_, polled)| polled.any() == Some(true));
        Ok(ready.map(|(index, _)| index).collect())
    }

    /// Once a millisecond: time-outs, and another try for connections that failed.
    fn sweep(&mut self, now: Instant) {
        for index in 0..self.connections.len() {
            let connection = &mut self.connections[index];
            if connection.is_shut() {
                self.start(index);
            } else if connection.age(now) > self.plan.timeout {
                let outcome = connection.abandon(Fault::Timeout);
                self.settle(outcome);
            }
        }
    }

    fn start(&mut self, index: usize) {
        if self.may_start() {
            self.started += 1;
            let outcome = self.connections[index].open(self.job);
            self.settle(outcome);
        }
    }

    /// Books the outcome. True: answered, so the place is free for the next at once.
    fn settle(&mut self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Busy => return false,
            // An answer after the end belongs to no second of the run, but is no error either.
            Outcome::Answered(latency) if Instant::now() <= self.end => self.tally.answer(latency),
            Outcome::Answered(_) => {}
            Outcome::Failed(fault) => {
                self.tally.fault(fault);
                return false;
            }
        }
        true
    }

    fn may_start(&self) -> bool {
        self.plan.requests_max.is_none_or(|max| self.started < max) && Instant::now() < self.end
    }

    fn is_over(&self, now: Instant) -> bool {
        if self.may_start() {
            return false;
        }
        let quiet = self.connections.iter().all(Connection::is_shut);
        quiet || now > self.end + GRACE
    }

    fn abandon_rest(&mut self) {
        let open = self.connections.iter().filter(|connection| !connection.is_shut()).count();
        for _ in 0..open {
            self.tally.fault(Fault::Unfinished);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::floor;
    use crate::target::Target;
    use std::net::SocketAddr;
    use std::path::Path;

    fn plan(target: Target) -> UwsgiPlan {
        UwsgiPlan {
            target,
            connections: 16,
            duration: Duration::from_secs(20),
            requests_max: Some(500),
            path: "/".to_owned(),
            method: None,
            body_bytes: 0,
            expected_body_bytes: Some(floor::BODY.len() as u64),
            timeout: Duration::from_secs(5),
        }
    }

    /// A floor server that lives as long as the test process; nothing else knows its address.
    fn serve(target: Target) -> Target {
        let bound = floor::bind(&target).expect("a free address");
        let address = bound.target().expect("a bound socket has an address");
        std::thread::spawn(move || bound.serve());
        address
    }

    fn unix(folder: &Path) -> Target {
        Target::Unix(folder.join("s"))
    }

    #[test]
    fn every_request_over_a_unix_socket_is_answered_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let json = run(&plan(serve(unix(folder.path())))).expect("it runs").to_json();
        assert!(json.contains("\"requests\":500,"), "{json}");
        assert!(!json.contains("\"eof\":1"), "{json}");
    }

    #[test]
    fn every_request_over_tcp_is_answered_once() {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let json = run(&plan(serve(Target::Tcp(any)))).expect("it runs").to_json();
        assert!(json.contains("\"requests\":500,"), "{json}");
    }

    #[test]
    fn a_body_larger_than_the_socket_buffer_arrives() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut plan = plan(serve(unix(folder.path())));
        plan.body_bytes = 3 << 20;
        plan.requests_max = Some(20);
        let json = run(&plan).expect("it runs").to_json();
        assert!(json.contains("\"requests\":20,"), "{json}");
    }

    #[test]
    fn a_wrong_size_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut plan = plan(serve(unix(folder.path())));
        plan.expected_body_bytes = Some(1);
        plan.requests_max = Some(10);
        let json = run(&plan).expect("it runs").to_json();
        assert!(json.contains("\"requests\":0,") && json.contains("\"size\":10,"), "{json}");
    }

    #[test]
    fn nobody_listening_is_counted_and_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut plan = plan(unix(folder.path()));
        plan.requests_max = Some(20);
        let json = run(&plan).expect("it runs").to_json();
        assert!(json.contains("\"connect\":20,"), "{json}");
    }
}
