//! The requests that wait for an interpreter thread. Without a bound they wait as long as they must; with one
//! (`request-queue-size`, `request-queue-timeout`) who would wait too long is told at once, while the queue stays with
//! the ring thread, which can still answer.

use std::io;

use super::Plan;
use super::job::Parcel;
use super::ring_thread::Ring;
use crate::base::clock::Millis;
use crate::base::errors;
use crate::base::limits::{self, UNSENT_BYTES_MAX};
use crate::engine::Reactor;
use crate::proto::Error;
use crate::shared::area::State;

/// A worker whose neighbours decide whether it accepts looks at them so often, milliseconds.
const LOOK_MS: u64 = 50;

/// Requests that may hold a buffer of the pool all connections receive into: those beyond have their heads copied.
pub const POOLED_HEADS_MAX: usize = crate::base::limits::POOL_BUFFERS as usize / 2;

/// The bounds of one worker.
#[derive(Debug)]
pub struct Bounds {
    /// `request-queue-size`, 0 none.
    size: usize,
    /// `request-queue-timeout`, milliseconds; 0 none.
    timeout_ms: u64,
    /// Requests with the interpreter at a time.
    room: usize,
    threads: usize,
}

impl Bounds {
    /// Those of `plan`; `room`: what the handoff holds.
    pub fn new(plan: &Plan, room: usize) -> Bounds {
        let settings = &plan.settings.request;
        let threads = plan.settings.process.threads as usize;
        let bounded = settings.queue_size > 0 || settings.queue_timeout > 0;
        Bounds {
            size: settings.queue_size as usize,
            timeout_ms: settings.queue_timeout.saturating_mul(1000),
            room: if bounded { threads.min(room) } else { room },
            threads,
        }
    }

    /// Requests in hand up to which a worker accepts, where its queue is bounded: `usual` while another worker could
    /// serve at once, its whole queue while others have room in theirs, and all that come when nobody has, to tell them.
    /// `least`: requests in hand of the least busy other worker.
    fn capacity(&self, usual: usize, least: Option<usize>) -> usize {
        let all = self.threads + self.size;
        match least {
            Some(n) if n < self.threads => usual.min(all),
            Some(n) if n < all => all,
            _ => usize::MAX,
        }
    }
}

impl<R: Reactor> Ring<R> {
    /// Gives a request to the interpreter, or to the queue, or refuses it.
    pub(super) fn enqueue(&mut self, mut parcel: Parcel) {
        parcel.job.ready = self.now;
        if !self.gets_on() {
            return self.turn_away(parcel, "all threads of this worker are lost (harakiri)".to_owned());
        }
        if self.backlog.is_empty() && self.in_flight < self.room() {
            return self.pass_to_interpreter(parcel);
        }
        if self.bounds.size > 0 && self.backlog.len() >= self.bounds.size {
            let reason = format!(
                "{} requests wait already (request-queue-size) {}",
                self.backlog.len(),
                errors::QUEUE_FULL
            );
            return self.turn_away(parcel, reason);
        }
        parcel.job.since = self.now.millis();
        self.backlog.push_back(parcel);
    }

    /// Gives waiting requests to the interpreter as far as there is room; [`Ring::wake_interpreters`] follows.
    pub(super) fn hand_over(&mut self) {
        let room = self.room();
        while self.in_flight < room {
            let Some(parcel) = self.backlog.pop_front() else { break };
            self.pass_to_interpreter(parcel);
        }
        self.plan.slot().set_in_hand(self.in_flight + self.backlog.len());
    }

    /// Wakes the interpreter once for all that was given to it. By then accepts that are to end have ended: it may be
    /// slow with a request, and a connection that came in meanwhile would wait for it while other workers idle.
    pub(super) fn wake_interpreters(&mut self, accepts_end: bool) -> io::Result<()> {
        if !std::mem::take(&mut self.handed_over) {
            return Ok(());
        }
        if accepts_end {
            self.engine.submit()?;
        }
        self.desk.handoff.wake_interpreters();
        Ok(())
    }

    /// Requests that may be with the interpreter: each adds an answer, perhaps to those nobody reads.
    fn room(&self) -> usize {
        match self.unsent / UNSENT_BYTES_MAX {
            0 => self.bounds.room,
            1..limits::UNSENT_STOP => self.bounds.room.min(self.bounds.threads),
            _ => 0,
        }
    }

    fn pass_to_interpreter(&mut self, mut parcel: Parcel) {
        self.lend(&mut parcel);
        if self.in_flight == 0 {
            self.relay.moves(self.now.millis());
        }
        self.desk.handoff.push(parcel);
        self.in_flight += 1;
        self.handed_over = true;
    }

    /// Answers requests that have waited for too long.
    pub(super) fn expire_queue(&mut self) {
        while self.queue_due() == Some(0) {
            let Some(parcel) = self.backlog.pop_front() else { return };
            let waited = self.now.millis().since(parcel.job.since);
            self.turn_away(
                parcel,
                format!("no thread took it in {waited} ms (request-queue-timeout) {}", errors::QUEUE_LATE),
            );
        }
    }

    pub(super) fn turn_away(&mut self, parcel: Parcel, reason: String) {
        if !self.take_back(parcel.job.token) {
            return self.retire(parcel);
        }
        match parcel.job.token {
            Some(token) => self.refuse_job(token, parcel, &Error::new(503, reason)),
            None => self.retire(parcel),
        }
    }

    /// Milliseconds until the longest waiting request has waited for too long.
    fn queue_due(&self) -> Option<u64> {
        let oldest = self.backlog.front().filter(|_| self.bounds.timeout_ms > 0)?;
        let at: Millis = oldest.job.since.after(self.bounds.timeout_ms);
        Some(at.since(self.now.millis()))
    }

    /// Milliseconds until the queue must be looked at.
    pub(super) fn queue_look_in(&self) -> Option<u64> {
        let neighbours =
            self.bounds.size > 0 && !self.gate.is_alone() && self.in_flight >= self.bounds.threads;
        self.queue_due().into_iter().chain(neighbours.then_some(LOOK_MS)).min()
    }

    /// Requests in hand up to which this worker accepts.
    pub(super) fn accept_capacity(&self) -> usize {
        if !self.gets_on() {
            return 0;
        }
        let usual = self.gate.capacity(self.is_stuck());
        if self.bounds.size == 0 {
            return usual;
        }
        let (own, area) = (self.plan.slot(), &self.plan.area);
        let others = area.slots().filter(|&slot| !std::ptr::eq(slot, own) && slot.state() == State::Ready);
        self.bounds.capacity(usual, others.map(|slot| slot.in_hand() as usize).min())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_worker_leaves_clients_to_idle_ones_and_tells_them_off_when_all_are_full() {
        let bounds = Bounds { size: 5, timeout_ms: 0, room: 2, threads: 2 };
        assert_eq!(bounds.capacity(3, Some(1)), 3, "another has an idle thread");
        assert_eq!(
            bounds.capacity(18, Some(1)),
            7,
            "short requests are taken ahead as far as the queue goes"
        );
        assert_eq!(bounds.capacity(18, Some(2)), 7, "another has room in its queue");
        assert_eq!(bounds.capacity(3, Some(7)), usize::MAX, "nobody has");
        assert_eq!(bounds.capacity(3, None), usize::MAX, "there is nobody else");
    }
}
