//! Requests that come one after the other, each on a connection of its own. A lone client's next request follows its last one
//! within a fraction of a millisecond: by way of the ring thread it would cost two changes of threads, which is more than all the
//! rest of a short request. So an interpreter thread that has answered, and has nothing else to do, waits for a moment itself,
//! with a small ring of its own, for the next connection at the same door. (On connections that stay: `circle`.)
//!
//! ```text
//! answered ──► kept ──► the next one is here: `Reply::Next`, the ring thread hears of it 4 ms later at most
//!                │
//!                └────► nothing came, others did, or it is no plain one: `Reply::Back`, all goes its usual way
//! ```
//! For the ring thread the connection stays lent all the while, and a request in flight: nothing else changes hands. Whoever
//! comes at that door meanwhile is the interpreter thread's; the ring thread accepts none there as long as it sees the
//! interpreter thread come back within [`HOLD_US`](super::shortcut::HOLD_US), and looks each [`TICK_MS`].
//!
//! `thread` has the interpreter thread's side, `habit` when to wait at all.

mod habit;
mod thread;

use std::os::fd::{IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Plan;
use super::connection::Reading;
use super::job::Parcel;
use super::ring_thread::Ring;
use super::shortcut::{Moves, TICK_MS};
use crate::engine::Reactor;
use crate::shared::area::bump;
use crate::sys::host;

/// With so many in the line at a door, and requests that take their time (`habit`), the ring thread, which receives from many
/// at once, is as good, and leaves another core for the application.
const CROWD: u32 = 24;

/// What interpreter thread and ring thread share about it.
#[derive(Debug)]
pub struct Lone {
    /// With so many in a line it is left to the ring thread, if there is a core for that.
    crowd: Option<u32>,
    /// The door that is kept, from 1; 0: none.
    door: AtomicUsize,
    /// The thread begins to wait.
    moves: Moves,
    /// Requests are taken here.
    is_on: AtomicBool,
    /// Connections that were closed here. As long as the ring thread has not heard of all, the descriptor it knows of one that
    /// is lent may be another's.
    closed: Mutex<u64>,
}

/// What the ring thread goes on with.
#[derive(Debug, Default)]
pub struct Rest {
    /// Somebody new.
    guest: Option<OwnedFd>,
    /// What was received from him.
    read: Vec<u8>,
    /// Somebody else may wait at the door, of whom nobody was told.
    knocked: bool,
}

impl Rest {
    /// Somebody new has come, and said nothing.
    fn is_silent(&self) -> bool {
        self.guest.is_some() && self.read.is_empty()
    }
}

impl Lone {
    /// For a worker.
    pub fn new(plan: &Plan) -> Lone {
        Lone {
            crowd: has_room(plan).then_some(CROWD),
            door: AtomicUsize::new(0),
            moves: Moves::default(),
            is_on: AtomicBool::new(false),
            closed: Mutex::new(0),
        }
    }

    /// The door whose clients the interpreter thread takes.
    fn door(&self) -> Option<usize> {
        self.door.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Milliseconds until the ring thread looks at it again.
    pub fn look_in(&self) -> Option<u64> {
        self.is_begun().then_some(TICK_MS)
    }

    /// Whether requests are taken here now: jobs are needed, and the ring thread hears later of those that are over.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether a thread takes requests here, or is at a door to.
    fn is_begun(&self) -> bool {
        self.is_on() || self.door().is_some()
    }

    /// How many were closed here; until it is dropped, no more are.
    fn closed(&self) -> MutexGuard<'_, u64> {
        // A thread that panicked ends the process (panic = "abort"), so poison cannot be seen.
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// *Interpreter.* It waits no more.
    pub fn stop(&self) {
        if self.is_begun() {
            self.door.store(0, Ordering::Relaxed);
            self.is_on.store(false, Ordering::Relaxed);
        }
    }
}

/// Whether a worker has more than one core. Where each core has its worker, its ring thread takes turns with another's.
fn has_room(plan: &Plan) -> bool {
    let process = &plan.settings.process;
    let sharing = if process.affinity > 0 { 1 } else { process.processes };
    host::cores() > sharing as usize
}

impl<R: Reactor> Ring<R> {
    /// An interpreter thread has finished a request, and is at work on the next one: on the connection of `guest`, which takes
    /// the last one's place.
    pub(super) fn went_on(&mut self, parcel: Parcel, guest: OwnedFd) {
        let (token, listener) = (parcel.job.token, parcel.job.listener);
        self.note_closed(&parcel);
        self.finished_elsewhere(parcel);
        let conn = token.and_then(|token| self.conn(token)).expect("a connection that is lent stays");
        conn.served = 1;
        conn.peer = None;
        conn.listener = listener;
        conn.reading = Reading::Dispatched;
        conn.leaving = false;
        if let Some(last) = conn.fd.replace(guest) {
            self.engine.close(last);
        }
        bump(&self.plan.tally().accepted, 1);
        self.count_taken();
    }

    /// A request is over whose answer is out, and an interpreter thread keeps the connection.
    pub(super) fn finished_elsewhere(&mut self, mut parcel: Parcel) {
        self.count_finished(&parcel);
        self.at_the_end(&mut parcel);
        self.account(&parcel);
        let trail = self.record(&parcel, false);
        self.lost(trail);
        self.retire(parcel);
    }

    /// An interpreter thread has finished a request, and waited for the next one: what came of that.
    pub(super) fn came_back(&mut self, parcel: Parcel, rest: Rest) {
        let Rest { guest, read, knocked } = rest;
        let listener = parcel.job.listener;
        self.note_closed(&parcel);
        match guest {
            Some(guest) => {
                self.done(parcel);
                self.welcome(guest, listener, false, read);
            }
            None => self.done(parcel),
        }
        if knocked {
            self.pass_on(listener);
        }
    }

    /// An interpreter thread may have closed the connection.
    fn note_closed(&mut self, parcel: &Parcel) {
        if parcel.job.closed {
            self.closed += 1;
            let fd = parcel.job.token.and_then(|token| self.conn(token)).and_then(|conn| conn.fd.take());
            // Its number is another's.
            let _ = fd.map(IntoRawFd::into_raw_fd);
        }
    }

    /// Shuts a connection down that is lent; it is not where its interpreter thread has closed it already.
    pub(super) fn shut_down_lent(&mut self, fd: RawFd) {
        let closed = self.desk.lone.closed();
        if *closed == self.closed {
            self.engine.shutdown(fd);
        }
    }

    /// A thread that does not come back, or must not take anybody, waits no more.
    pub(super) fn look_after(&mut self) {
        if self.desk.lone.is_begun() && !self.comes_back() {
            self.desk.lone.stop();
            // A thread that begins to wait now sees that, or is seen here.
            fence(Ordering::SeqCst);
            self.desk.handoff.ring_bell();
        }
    }

    fn comes_back(&self) -> bool {
        self.may_take_shortcuts() && self.in_flight > 0 && !self.desk.lone.moves.are_late(self.now)
    }

    /// Whether requests are over of which the ring thread has not been told.
    pub(super) fn is_untold(&self) -> bool {
        let busy = self.plan.area.cores_of(self.plan.slot).any(|(_, core)| core.busy().is_some());
        self.in_flight > 0 && !busy
    }

    /// The door that an interpreter thread keeps, and comes back to.
    pub(super) fn kept_door(&self) -> Option<usize> {
        self.desk.lone.door().filter(|_| self.comes_back())
    }
}
