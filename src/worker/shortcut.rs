//! Requests that an interpreter thread receives by itself, without the ring thread: those that go to the application as they
//! are, in a worker whose configuration leaves nothing to be done before. `lone` and `circle` say when it does.

use std::cmp::Ordering;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_queue::ArrayQueue;

use super::direct::{self, Sent};
use super::job::{self, Job, Parcel};
use super::reading::{self, Heads};
use super::serve::Desk;
use super::sized::{self, Come, Keep};
use super::{Plan, preface};
use crate::base::clock::Micros;
use crate::base::engine::Kind;
use crate::base::protocol::{Cover, SocketProtocol};
use crate::plugin::host::Outcome;
use crate::proto::http::Peer;
use crate::proto::{self, Step};
use crate::request::Body;
use crate::sys::net;
use crate::sys::socket::Listener;

/// Jobs that are ready for an interpreter thread: more than come before the ring thread has more.
const SPARES: usize = 128;

/// While an interpreter thread takes them, the ring thread looks so often, milliseconds, whether it still gets to it…
pub const TICK_MS: u64 = 4;
/// …and takes back what that thread has left alone for so long, microseconds.
pub const HOLD_US: u64 = 4_000;

/// When an interpreter thread did something last, microseconds.
#[derive(Debug, Default)]
pub struct Moves(AtomicU64);

impl Moves {
    /// *Interpreter.* It does something.
    pub fn on(&self, now: Micros) {
        self.0.store(now.0, Relaxed);
    }

    /// *Ring.* Whether it did nothing for long.
    pub fn are_late(&self, now: Micros) -> bool {
        now.since(Micros(self.0.load(Relaxed))) > HOLD_US
    }
}

/// Where it is possible, and with what.
#[derive(Debug)]
pub struct Shortcut {
    /// What is configured leaves nothing to be done between head and application but what is done here.
    possible: bool,
    /// Of each listening socket, whether no more is to be known of what comes there.
    known: Box<[bool]>,
    spares: ArrayQueue<Parcel>,
}

impl Shortcut {
    /// For a worker; `rules`: requests are looked at before the application is called.
    pub fn new(plan: &Plan, rules: bool) -> Shortcut {
        let settings = &plan.settings.request;
        let bounded =
            settings.queue_size > 0 || settings.queue_timeout > 0 || settings.keepalive_requests > 0;
        let looks = rules || settings.tracing || plan.settings.monitor.health_checks;
        let is_known = |listener: &Listener| {
            matches!(listener.cover, Cover::None)
                && matches!(
                    listener.protocol,
                    SocketProtocol::Uwsgi | SocketProtocol::Http | SocketProtocol::Auto
                )
                && !preface::possible(settings, listener.protocol)
        };
        Shortcut {
            possible: plan.settings.process.threads == 1
                && plan.area.instance().engine() == Kind::IoUring
                && !bounded
                && !looks
                && settings.trusted_proxies.is_empty(),
            known: plan.listeners.iter().map(is_known).collect(),
            spares: ArrayQueue::new(SPARES),
        }
    }

    /// Whether there is any.
    pub fn is_possible(&self) -> bool {
        self.possible
    }

    /// Whether what comes by a listening socket can be served so.
    pub fn knows(&self, listener: usize) -> bool {
        self.known[listener]
    }

    /// *Ring.* Gives a cleared job for the next request, if one is needed.
    pub fn refill(&self, parcel: Parcel) -> Option<Parcel> {
        self.spares.push(parcel).err()
    }

    /// *Interpreter.* A job for the next request.
    pub fn spare(&self) -> Parcel {
        self.spares.pop().unwrap_or_else(job::blank)
    }
}

impl Desk {
    /// *Interpreter.* Whether a request is over in the usual way, and another may follow.
    pub(super) fn may_follow(&self, job: &Job) -> bool {
        let usual = job.sent == Sent::Whole && job.outcome != Outcome::LastException;
        let open = !self.plan.slot().is_draining() && !self.plan.area.is_paused();
        let told = !self.handoff.is_backed_up();
        usual && open && told && !direct::may_send_on(job) && self.shortcut.knows(job.listener)
    }

    /// *Interpreter.* What was received in `parcel`, and now, at `now`, of the rest of a body: `Whole` is a request that goes to
    /// the application as it is. `peer`: who the client of the connection is, once that was asked for.
    pub(super) fn make_plain(
        &self,
        parcel: &mut Parcel,
        fd: RawFd,
        peer: &mut Option<Peer>,
        now: Micros,
    ) -> Come {
        let job = &mut parcel.job;
        let come = if job.arrived == Micros(0) {
            (job.since, job.arrived) = (now.millis(), now);
            self.plain(job, fd, peer)
        } else {
            sized::receive_now(job, fd)
        };
        if come == Come::Whole {
            job.lent = Some(fd);
            job.ready = now;
            if self.plan.area.is_draining() || self.plan.settings.request.keepalive_ms == 0 {
                job.request.keep_alive = false;
            }
            parcel.lend(|job| reading::view(job, &job.head, self.site(job.listener).text()));
        }
        come
    }

    /// What a head and what came with it are, if nothing but the application has to do with that, and with what is here of its
    /// body.
    fn plain(&self, job: &mut Job, fd: RawFd, peer: &mut Option<Peer>) -> Come {
        let settings = &self.plan.settings.request;
        let listener = &self.plan.listeners[job.listener];
        let protocol = listener.protocol;
        if job.head.is_empty() {
            return Come::Else;
        }
        if peer.is_none() && proto::is_http(protocol, &job.head) {
            *peer = Some(Peer::new(if listener.is_tcp() { net::peer(fd) } else { None }));
        }
        let site = self.site(job.listener);
        let step = Heads { settings, protocol, site, peer: peer.as_ref() }.reparse(job);
        let behind = job.head.len().saturating_sub(job.request.head_bytes) as u64;
        match (step, &job.request.body) {
            (Ok(Step::Head), Body::None) if behind == 0 => Come::Whole,
            (Ok(Step::Head), &Body::Sized(len)) if settings.limit_post == 0 || len <= settings.limit_post => {
                job.body_len = len;
                match behind.cmp(&len) {
                    Ordering::Less => self.begin_body(job, fd),
                    Ordering::Equal => {
                        job.body_in_head = true;
                        Come::Whole
                    }
                    Ordering::Greater => Come::Else,
                }
            }
            _ => Come::Else,
        }
    }

    /// Receives what is here of a body whose beginning lies behind its head.
    fn begin_body(&self, job: &mut Job, fd: RawFd) -> Come {
        // A client that waits to be told to go on is told by the ring thread.
        if job.request.expect_continue || self.keep_where(job) != Keep::Memory {
            return Come::Else;
        }
        sized::make_room(job);
        job.body.extend_from_slice(&job.head[job.request.head_bytes..]);
        sized::cut_head(job);
        sized::receive_now(job, fd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_does_nothing_there_is_late() {
        let moves = Moves::default();
        moves.on(Micros(10_000));
        assert!(!moves.are_late(Micros(10_000 + HOLD_US)) && moves.are_late(Micros(10_001 + HOLD_US)));
    }
}
