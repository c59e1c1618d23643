//! One connection's life. It is driven by readiness and knows neither the loop nor its siblings.
//!
//! ```text
//! Shut ──open──▶ Opening ──writable──▶ Sending ──all sent──▶ Awaiting ──whole answer──▶ Shut
//!                 (TCP)                 │                       │
//!                                       └───────── fault ───────┴──────────────────────▶ Shut
//! ```

use crate::response::{Progress, Response};
use crate::tally::Fault;
use crate::target::{Connect, Door};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{MsgFlags, recv, send, sockopt::SocketError};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A place among the N.
#[derive(Debug)]
pub(crate) struct Connection {
    state: State,
    response: Response,
    begun: Instant,
}

#[derive(Debug)]
enum State {
    Shut,
    Opening(OwnedFd),
    Sending { fd: OwnedFd, sent: usize },
    Awaiting(OwnedFd),
}

/// What a step led to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Waits for the socket.
    Busy,
    /// Answered; the connection is shut.
    Answered(Duration),
    /// Gave up; the connection is shut.
    Failed(Fault),
}

/// What every connection of a run shares.
pub(crate) struct Job<'a> {
    pub(crate) door: &'a Door,
    pub(crate) packet: &'a [u8],
    pub(crate) expected_body_bytes: Option<u64>,
}

impl Connection {
    pub(crate) fn new() -> Connection {
        Connection { state: State::Shut, response: Response::default(), begun: Instant::now() }
    }

    pub(crate) fn is_shut(&self) -> bool {
        matches!(self.state, State::Shut)
    }

    pub(crate) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    /// Connects and sends as much as goes without waiting. The clock of the latency starts here.
    pub(crate) fn open(&mut self, job: &Job<'_>) -> Outcome {
        self.response.clear();
        self.begun = Instant::now();
        match job.door.knock() {
            Ok(Connect::Done(fd)) => self.push(fd, 0, job),
            Ok(Connect::Pending(fd)) => {
                self.state = State::Opening(fd);
                Outcome::Busy
            }
            Err(Errno::EAGAIN) => self.fail(Fault::Backlog),
            Err(_) => self.fail(Fault::Connect),
        }
    }

    /// The descriptor and what to watch it for.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.state {
            State::Shut => None,
            State::Opening(fd) => Some((fd.as_fd(), PollFlags::POLLOUT)),
            // A server may answer, or give up, before it has read the whole body.
            State::Sending { fd, .. } => Some((fd.as_fd(), PollFlags::POLLIN | PollFlags::POLLOUT)),
            State::Awaiting(fd) => Some((fd.as_fd(), PollFlags::POLLIN)),
        }
    }

    /// The socket is ready for something.
    pub(crate) fn step(&mut self, job: &Job<'_>, scratch: &mut [u8], received: &mut usize) -> Outcome {
        match std::mem::replace(&mut self.state, State::Shut) {
            State::Shut => Outcome::Busy,
            State::Opening(fd) => match nix::sys::socket::getsockopt(&fd, SocketError) {
                Ok(0) => self.push(fd, 0, job),
                _ => self.fail(Fault::Connect),
            },
            State::Sending { fd, sent } => match self.push(fd, sent, job) {
                Outcome::Busy => self.pull_early(job, scratch, received),
                end => end,
            },
            State::Awaiting(fd) => self.pull(fd, job, scratch, received),
        }
    }

    /// Gives the request up.
    pub(crate) fn abandon(&mut self, fault: Fault) -> Outcome {
        self.fail(fault)
    }

    fn push(&mut self, fd: OwnedFd, mut sent: usize, job: &Job<'_>) -> Outcome {
        while sent < job.packet.len() {
            match send(fd.as_raw_fd(), &job.packet[sent..], MsgFlags::MSG_NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    self.state = State::Sending { fd, sent };
                    return Outcome::Busy;
                }
                Err(_) => return self.fail(Fault::Reset),
            }
        }
        self.state = State::Awaiting(fd);
        Outcome::Busy
    }

    /// An answer that came while we were still sending. Only once all is sent do we wait for one properly.
    fn pull_early(&mut self, job: &Job<'_>, scratch: &mut [u8], received: &mut usize) -> Outcome {
        match std::mem::replace(&mut self.state, State::Shut) {
            State::Sending { fd, sent } => {
                let outcome = self.pull(fd, job, scratch, received);
                if let State::Awaiting(fd) = std::mem::replace(&mut self.state, State::Shut) {
                    self.state = State::Sending { fd, sent };
                }
                outcome
            }
            other => {
                self.state = other;
                Outcome::Busy
            }
        }
    }

    fn pull(&mut self, fd: OwnedFd, job: &Job<'_>, scratch: &mut [u8], received: &mut usize) -> Outcome {
        loop {
            match recv(fd.as_raw_fd(), scratch, MsgFlags::empty()) {
                Ok(0) if self.response.ended_well() => return self.conclude(job),
                Ok(0) => return self.fail(Fault::Eof),
                Ok(count) => {
                    *received += count;
                    match self.response.feed(&scratch[..count]) {
                        Progress::Complete => return self.conclude(job),
                        Progress::Nonsense => return self.fail(Fault::Nonsense),
                        Progress::More if count < scratch.len() => break,
                        Progress::More => {}
                    }
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => break,
                Err(_) => return self.fail(Fault::Reset),
            }
        }
        self.state = State::Awaiting(fd);
        Outcome::Busy
    }

    fn conclude(&mut self, job: &Job<'_>) -> Outcome {
        if !(200..400).contains(&self.response.status()) {
            return self.fail(Fault::Status);
        }
        if job.expected_body_bytes.is_some_and(|bytes| bytes != self.response.body_bytes()) {
            return self.fail(Fault::Size);
        }
        self.state = State::Shut;
        Outcome::Answered(self.begun.elapsed())
    }

    fn fail(&mut self, fault: Fault) -> Outcome {
        self.state = State::Shut;
        Outcome::Failed(fault)
    }
}
