//! The interpreter thread's side: who may sit in the circle, and what comes from there.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;

use super::{Circle, Seat};
use crate::base::clock::{self, Micros};
use crate::base::limits::POOL_BUFFER_BYTES;
use crate::engine::Token;
use crate::engine::readiness::Room;
use crate::sys::net;
use crate::worker::direct::WORTH_US;
use crate::worker::handoff::{LATER_US, Reply};
use crate::worker::job::{Job, Parcel};
use crate::worker::pace::Pace;
use crate::worker::serve::Desk;
use crate::worker::sized::Come;

/// With more connections than this, the ring thread sends several answers at once…
const FEW: u32 = 8;
/// …and with so many, those that come too fast, or are too large, to be held for that.
const MANY: u32 = 24;
/// While others come all the time, the circle has its turn after so many of them.
const TURN: u32 = 8;
/// Where requests take longer than this, microseconds, a change of threads is nothing, and those beside would wait.
const SLOW_US: u64 = 1_000;
/// After something came that is not served here, so many requests go their usual way…
const REST: u32 = 64;
/// …and so many after all were taken back from a circle that had not even served…
const LONG_REST: u32 = 1_024;
/// …so many.
const WORTH: u32 = 16;

/// What the thread has of its own.
#[derive(Default)]
struct Own {
    /// Those that have something to be read, in the order in which that came.
    ready: VecDeque<Token>,
    room: Room,
    /// Requests from elsewhere since that was asked for.
    passed: u32,
    /// When that was told.
    told: Micros,
    /// The one whose request the application has.
    out: Option<Seat>,
    /// Others sit there meanwhile.
    has_company: bool,
    /// Requests from the circle since all were taken back.
    served: u32,
    /// Requests that go their usual way.
    rest: u32,
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::new(Own::default());
}

/// Whether so many connections make a circle, where requests come like this.
fn is_circle(connections: u32, pace: Pace) -> bool {
    let max = if pace.taken_for_small_us() < WORTH_US { MANY } else { FEW };
    connections <= max && pace.taken_us() < SLOW_US
}

impl Own {
    /// All were taken back.
    fn recalled(&mut self) {
        self.rest = if self.served < WORTH { LONG_REST } else { 0 };
        self.served = 0;
        self.ready.clear();
    }
}

impl Desk {
    /// *Interpreter.* A request is finished: whether its connection may be in the circle.
    pub(in crate::worker) fn may_sit(&self, job: &Job, pace: Pace) -> bool {
        if self.circle.readiness.is_none() {
            return false;
        }
        OWN.with_borrow_mut(|own| {
            own.rest = own.rest.saturating_sub(1);
            let begun = own.out.is_some() || own.rest == 0 && pace.is_close();
            let fits = job.keep_alive && job.lent.is_some() && self.shortcut.knows(job.listener);
            begun && fits && is_circle(self.plan.slot().connections(), pace)
        })
    }

    /// *Interpreter.* A request is answered: keeps its connection in the circle, if it `stays`. The request, if not.
    pub(in crate::worker) fn sit(&self, mut exchange: Parcel, stays: bool) -> Option<Parcel> {
        if self.circle.readiness.is_none() {
            return Some(exchange);
        }
        OWN.with_borrow_mut(|own| {
            let out = own.out.take();
            exchange.job.seated = out.is_some();
            let stays = stays && self.may_follow(&exchange.job);
            let seat = out.or_else(|| stays.then(|| self.circle.invite(&exchange.job)).flatten());
            let Some(seat) = seat else { return Some(exchange) };
            self.sit_down(own, seat, exchange, stays)
        })
    }

    fn sit_down(&self, own: &mut Own, mut seat: Seat, exchange: Parcel, stays: bool) -> Option<Parcel> {
        let now = exchange.job.finished;
        let mut seats = self.circle.seats();
        let recalled = std::mem::take(&mut seats.recalled);
        if recalled {
            own.recalled();
        }
        // The end may have begun since that was asked.
        if !stays || recalled || self.plan.slot().is_draining() {
            drop(seats);
            self.circle.forget(seat.fd);
            return Some(exchange);
        }
        seats.is_one_out = false;
        seat.since = now.millis();
        seats.list.push(seat);
        self.circle.settle(&seats);
        self.circle.moves.on(now);
        self.lone.stop();
        own.served = own.served.saturating_add(u32::from(exchange.job.seated));
        // Told before the ring thread can take the connection back.
        self.handoff.answer_within(Reply::Seated(exchange), now, LATER_US);
        None
    }

    /// *Interpreter.* The ring thread was told of a request: if it came by way of the circle, it is out no more.
    pub(in crate::worker) fn leave_circle(&self, seated: bool) {
        if seated {
            let mut seats = self.circle.seats();
            seats.is_one_out = false;
            self.circle.settle(&seats);
        }
    }

    /// *Interpreter.* How many wait while the application is at work, so far as is known. In company somebody always may.
    pub(in crate::worker) fn waiting(&self) -> usize {
        let waiting = self.handoff.waiting();
        if !self.circle.is_on() {
            return waiting;
        }
        let company = OWN.with_borrow(|own| own.out.is_none() || own.has_company);
        waiting + usize::from(company)
    }

    /// *Interpreter.* The next request from the circle.
    pub(in crate::worker) fn take_seated(&self) -> Option<Parcel> {
        if !self.circle.is_on() {
            return None;
        }
        OWN.with_borrow_mut(|own| {
            self.look_in_turn(own);
            while let Some(token) = own.ready.pop_front() {
                let Some((seat, others)) = self.circle.take(token) else { continue };
                own.has_company = others;
                if let Some(parcel) = self.receive(own, seat) {
                    return Some(parcel);
                }
            }
            None
        })
    }

    /// Where the thread does not come to wait, since others have requests all the time, it looks who has one in the circle.
    fn look_in_turn(&self, own: &mut Own) {
        if !own.ready.is_empty() || self.handoff.waiting() == 0 {
            return;
        }
        own.passed += 1;
        if own.passed >= TURN
            && let Some(readiness) = &self.circle.readiness
        {
            // One that cannot be asked is left to the ring thread, which takes all back.
            if let Ok(ready) = readiness.look(&mut own.room) {
                own.ready.extend(ready);
            }
            self.told(own);
        }
    }

    /// Who has something to be read was asked for just now.
    fn told(&self, own: &mut Own) {
        (own.passed, own.told) = (0, clock::now());
        self.circle.moves.on(own.told);
    }

    /// The request that has come on a connection, if it is a plain one and whole. If it is none, the ring thread goes on with what
    /// was received.
    fn receive(&self, own: &mut Own, mut seat: Seat) -> Option<Parcel> {
        let (mut parcel, nothing) = match seat.begun.take() {
            Some(parcel) => (parcel, false),
            None => self.first_bytes(&seat),
        };
        let come = self.make_plain(&mut parcel, seat.fd, &mut seat.peer, own.told);
        if come == Come::Whole {
            own.out = Some(seat);
            return Some(parcel);
        }
        let mut seats = self.circle.seats();
        seats.is_one_out = false;
        if (nothing || come == Come::Part) && !seats.recalled {
            seat.begun = (come == Come::Part).then_some(parcel);
            seats.list.push(seat);
            return None;
        }
        self.circle.settle(&seats);
        self.circle.forget(seat.fd);
        let read = parcel.job.take_received();
        if come == Come::Else && !read.is_empty() {
            own.rest = REST;
        }
        self.handoff.answer(Reply::Left(seat.token, read));
        None
    }

    /// Receives the first bytes of a request. `true`: there is nothing.
    fn first_bytes(&self, seat: &Seat) -> (Parcel, bool) {
        let mut parcel = self.shortcut.spare();
        parcel.job.token = Some(seat.token);
        parcel.job.listener = seat.listener;
        // An end and an error are found again where all others are.
        let read = net::append_now(seat.fd, &mut parcel.job.head, POOL_BUFFER_BYTES);
        (parcel, matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock))
    }

    /// *Interpreter.* Waits until something comes from the circle, if somebody sits there. `false`: there is something else to
    /// do, or nobody is there any more.
    pub(in crate::worker) fn wait_for_circle(&self) -> bool {
        let Some(readiness) = self.circle.readiness.as_ref().filter(|_| self.circle.is_on()) else {
            return false;
        };
        OWN.with_borrow_mut(|own| {
            // In this order: the ring thread takes all back, and then looks whether somebody attends.
            while self.handoff.attend() && self.circle.is_on() {
                // A set that cannot be waited for is left to the ring thread, which takes all back.
                let Ok(ready) = readiness.wait(&mut own.room) else { break };
                own.ready.extend(ready);
                if !own.ready.is_empty() {
                    self.told(own);
                    self.handoff.attended();
                    return true;
                }
            }
            self.handoff.attended();
            false
        })
    }
}

impl Circle {
    /// A place for the connection of a request that came by way of the ring thread.
    fn invite(&self, job: &Job) -> Option<Seat> {
        let (token, fd) = (job.token?, job.lent?);
        self.readiness.as_ref()?.add(fd, token).ok()?;
        Some(Seat {
            token,
            fd,
            listener: job.listener,
            peer: None,
            since: job.finished.millis(),
            begun: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::pace::tests::after;

    #[test]
    fn a_few_make_a_circle_and_more_where_answers_come_fast() {
        let (fast, slow) = (after(&[0; 100], WORTH_US - 1), after(&[0; 100], 2 * WORTH_US));
        assert!(is_circle(FEW, slow) && !is_circle(FEW + 1, slow));
        assert!(is_circle(MANY, fast) && !is_circle(MANY + 1, fast));
        assert!(!is_circle(1, after(&[0; 100], SLOW_US + 8)), "those beside would wait");
    }

    #[test]
    fn a_circle_that_was_of_little_use_is_not_made_again_soon() {
        for (served, rest) in [(WORTH - 1, LONG_REST), (WORTH, 0)] {
            let mut own = Own { served, ready: [Token(1)].into(), ..Own::default() };
            own.recalled();
            assert_eq!((own.rest, own.served, own.ready.len()), (rest, 0, 0));
        }
    }
}
