//! Clients that ask again and again, on connections that stay, a few of them. By way of the ring thread each request, or each
//! second or third, would cost two changes of threads. So an interpreter thread that has answered such a client keeps the
//! connection in its circle: where it has nothing else to do, it waits for all of these itself, receives, and answers.
//!
//! ```text
//! answered ──► in the circle ──► a plain request is here ──► answered
//!    ▲               │   │ ▲
//!    │               │   │ └── so far as its body is here: it waits for the rest
//!    │               │   └─► anything else, or the end: `Reply::Left`, what was received goes with it
//!    └─ ring thread ◄┘ takes all back when the thread has done nothing here for 4 ms, and who has not asked for 100
//! ```
//! For the ring thread a connection in the circle is lent, and all of them together are one request in flight. It hears
//! a millisecond later, or soon after, of what was done (`Reply::Seated`), counts and logs it: with more at once it would be busy
//! for so long that who asks just then waits. The kernel's list of connections that have something to be read only tells: nothing
//! is received before the interpreter thread has taken a connection out of the shared list. So those that are in it can be taken
//! back at any time, while an application is slow with the request of another.
//!
//! Where more than a few ask for what takes its time, the ring thread, which sends several answers at once, is better
//! (docs/performance.md). `thread` has the interpreter thread's side.

mod thread;

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::connection::{After, Reading};
use super::job::Parcel;
use super::ring_thread::Ring;
use super::shortcut::{Moves, TICK_MS};
use crate::base::clock::Millis;
use crate::engine::readiness::Readiness;
use crate::engine::{Reactor, Token};
use crate::proto::http::Peer;

/// Who did not ask for so long, milliseconds, goes back: the ring thread knows how long he may stay.
const IDLE_MS: u64 = 100;

/// A connection in the circle.
#[derive(Debug)]
struct Seat {
    token: Token,
    fd: RawFd,
    /// Number of the listening socket it came by.
    listener: usize,
    /// Who the client is, once that was asked for.
    peer: Option<Peer>,
    /// The last request was over then.
    since: Millis,
    /// A request whose body is on its way.
    begun: Option<Parcel>,
}

/// Who sits in the circle.
#[derive(Debug, Default)]
struct Seats {
    /// Those of whom nobody is receiving.
    list: Vec<Seat>,
    /// The interpreter thread has taken one, with a request or to look for it.
    is_one_out: bool,
    /// All were taken back, and the interpreter thread has not seen it.
    recalled: bool,
}

/// What both threads share.
#[derive(Debug)]
pub struct Circle {
    /// Those in the circle that have something to be read. `None`: there is no circle.
    readiness: Option<Readiness>,
    seats: Mutex<Seats>,
    /// Somebody sits here.
    is_on: AtomicBool,
    /// The interpreter thread does something here.
    moves: Moves,
}

impl Circle {
    /// Nobody sits in it. `bell`: what ends the interpreter thread's waits, if there can be a circle.
    pub fn new(bell: Option<RawFd>) -> Circle {
        Circle {
            // Without one all goes its usual way, a little slower.
            readiness: bell.and_then(|bell| Readiness::new(bell).ok()),
            seats: Mutex::default(),
            is_on: AtomicBool::new(false),
            moves: Moves::default(),
        }
    }

    fn seats(&self) -> MutexGuard<'_, Seats> {
        // A thread that panicked ends the process (panic = "abort"), so poison cannot be seen.
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody sits here: jobs are needed, and the ring thread hears later of requests that are over.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Milliseconds until the ring thread looks at it again.
    pub fn look_in(&self) -> Option<u64> {
        self.is_on().then_some(TICK_MS)
    }

    /// The list has changed.
    fn settle(&self, seats: &Seats) {
        self.is_on.store(!seats.list.is_empty() || seats.is_one_out, Ordering::Relaxed);
    }

    /// *Ring.* Takes all back; the one that is out does not return.
    fn take_all(&self) -> Vec<Seat> {
        let mut seats = self.seats();
        let list = std::mem::take(&mut seats.list);
        seats.recalled = true;
        self.settle(&seats);
        list
    }

    /// *Ring.* Takes those back whose last request was over before that.
    fn take_idle(&self, before: Millis) -> Vec<Seat> {
        let mut seats = self.seats();
        let list = seats.list.extract_if(.., |seat| seat.since < before).collect();
        self.settle(&seats);
        list
    }

    /// *Interpreter.* Takes one out, if it still sits here: also, whether others do.
    fn take(&self, token: Token) -> Option<(Seat, bool)> {
        let mut seats = self.seats();
        let index = seats.list.iter().position(|seat| seat.token == token)?;
        let seat = seats.list.swap_remove(index);
        seats.is_one_out = true;
        Some((seat, !seats.list.is_empty()))
    }

    /// *Interpreter.* Nothing is told of a connection any more.
    fn forget(&self, fd: RawFd) {
        if let Some(readiness) = &self.readiness {
            readiness.remove(fd);
        }
    }
}

/// What the ring thread knows of it.
#[derive(Debug, Default)]
pub struct Known {
    /// It counts as a request in flight.
    counted: bool,
    /// Who did not ask for long is looked for again.
    look_at: Millis,
}

impl<R: Reactor> Ring<R> {
    /// An interpreter thread has finished a request and keeps the connection.
    pub(super) fn seated(&mut self, parcel: Parcel) {
        if !std::mem::replace(&mut self.circle.counted, true) {
            self.in_flight += 1;
        }
        self.count_seated(&parcel);
        if let (false, Some(token)) = (parcel.job.seated, parcel.job.token) {
            self.keeps(token);
        }
        self.finished_elsewhere(parcel);
    }

    /// A connection is in the circle from now on.
    fn keeps(&mut self, token: Token) {
        if let Some(conn) = self.conn(token) {
            conn.kept = true;
        }
        self.recount(token);
    }

    /// A request is over: one that came by way of the ring thread was in flight, any other one is told of only now.
    pub(super) fn count_seated(&mut self, parcel: &Parcel) {
        if !parcel.job.seated {
            self.in_flight -= 1;
        } else if let Some(conn) = parcel.job.token.and_then(|token| self.conn(token)) {
            conn.served += 1;
        }
    }

    /// An interpreter thread keeps a connection no more, and has `read` something there.
    pub(super) fn left_circle(&mut self, token: Token, read: Vec<u8>) {
        if let Some(conn) = self.conn(token) {
            conn.leftover = read;
        }
        self.recall(token);
    }

    /// A connection is the ring thread's again.
    fn recall(&mut self, token: Token) {
        if !self.take_back(Some(token)) {
            return;
        }
        let Some(conn) = self.conn(token) else { return };
        conn.reading = Reading::Head;
        conn.after = After::KeepAlive;
        self.next_request(token);
        self.recount(token);
    }

    fn recall_all(&mut self, seats: Vec<Seat>) {
        if seats.is_empty() {
            return;
        }
        // Of their last requests the ring thread is told before.
        self.read_replies();
        for seat in seats {
            self.desk.circle.forget(seat.fd);
            let read = seat.begun.map_or_else(Vec::new, |mut parcel| parcel.job.take_received());
            self.left_circle(seat.token, read);
        }
    }

    /// Takes all back: the interpreter thread has something else to do, or the worker ends.
    fn end_circle(&mut self) {
        if self.circle.counted {
            let seats = self.desk.circle.take_all();
            // A thread that begins to wait now sees that (`wait_for_circle`), or is seen here.
            fence(Ordering::SeqCst);
            self.desk.handoff.ring_bell();
            self.recall_all(seats);
        }
    }

    /// Takes back what the interpreter thread does not get to, or must not.
    pub(super) fn look_after_circle(&mut self) {
        if !self.circle.counted {
            return;
        }
        let now = self.now.millis();
        if !self.may_take_shortcuts() || self.desk.circle.moves.are_late(self.now) {
            self.end_circle();
        } else if now >= self.circle.look_at {
            self.circle.look_at = now.after(IDLE_MS);
            let idle = self.desk.circle.take_idle(Millis(now.0.saturating_sub(IDLE_MS)));
            self.recall_all(idle);
        }
        if !self.desk.circle.is_on() {
            // What was told before nobody sat there any more; by now somebody may again.
            self.read_replies();
            if !self.desk.circle.is_on() {
                self.circle.counted = false;
                self.in_flight -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(seats: &[(u64, u64)]) -> Circle {
        let circle = Circle::new(None);
        let seat = |&(token, since)| Seat {
            token: Token(token),
            fd: -1,
            listener: 0,
            peer: None,
            since: Millis(since),
            begun: None,
        };
        let mut all = circle.seats();
        all.list.extend(seats.iter().map(seat));
        circle.settle(&all);
        drop(all);
        circle
    }

    fn tokens(seats: &[Seat]) -> Vec<u64> {
        let mut tokens: Vec<u64> = seats.iter().map(|seat| seat.token.0).collect();
        tokens.sort_unstable();
        tokens
    }

    #[test]
    fn whoever_takes_a_connection_has_it_alone() {
        let circle = with(&[(1, 5), (2, 5), (3, 5)]);
        let (seat, others) = circle.take(Token(2)).expect("it sits there");
        assert_eq!((seat.token, others), (Token(2), true));
        assert!(circle.take(Token(2)).is_none() && circle.take(Token(9)).is_none());
        assert_eq!(tokens(&circle.take_all()), [1, 3]);
        assert!(circle.is_on() && circle.seats().recalled, "one of them is out");
        assert!(circle.take_all().is_empty() && circle.take(Token(1)).is_none());
    }

    #[test]
    fn who_does_not_ask_goes_back_alone() {
        let circle = with(&[(1, 5), (2, 6), (3, 4)]);
        assert_eq!(tokens(&circle.take_idle(Millis(6))), [1, 3]);
        assert!(circle.is_on() && !circle.seats().recalled);
        assert_eq!(tokens(&circle.take_idle(Millis(7))), [2]);
        assert!(!circle.is_on());
    }
}
