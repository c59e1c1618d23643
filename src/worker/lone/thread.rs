//! The interpreter thread's side: it keeps what it has answered, waits, and takes what comes.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Rest;
use super::habit::{Habit, Vain};
use crate::base::clock;
use crate::base::limits::POOL_BUFFER_BYTES;
use crate::engine::solo::{Solo, Until};
use crate::sys::net;
use crate::sys::socket::queue::Queues;
use crate::worker::direct;
use crate::worker::handoff::Reply;
use crate::worker::job::{Job, Parcel};
use crate::worker::pace::Pace;
use crate::worker::serve::Desk;
use crate::worker::sized::Come;

/// So long it waits where the ring thread does not look yet.
const WAIT: Until = Until::BellOr(Duration::from_millis(1));
/// And for the first bytes of a connection.
const FIRST: Until = Until::Time(Duration::from_micros(300));
/// And longer where that has paid, unless others come: less than `HOLD_US` in all.
const LONGER: Until = Until::BellOr(Duration::from_micros(2_700));
/// The ring thread hears of what was done so late, microseconds.
const TOLD_US: u64 = 4_000;

/// What the waiting thread has of its own.
#[derive(Default)]
struct Own {
    habit: Habit,
    /// `None`: it does not wait; or there are none to be had, and all goes its usual way, a little slower.
    means: Option<Means>,
    /// The last request, answered, at whose door the next one is waited for.
    kept: Option<Parcel>,
    /// The one that came.
    next: Option<Parcel>,
}

/// What it waits with.
struct Means {
    solo: Solo,
    /// Knows who waits in a line.
    queues: Queues,
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::new(Own::default());
}

/// What a wait came to.
enum Came {
    /// A request, and the connection it came by.
    Request(Parcel, OwnedFd),
    /// None that is served here.
    Else(Rest),
}

impl Desk {
    /// *Interpreter.* What the calling thread is to wait with, before it serves: it belongs to an idle worker.
    pub(in crate::worker) fn prepare_to_wait(&self) {
        if self.shortcut.is_possible() {
            OWN.with_borrow_mut(|own| own.means = Means::new(self));
        }
    }

    /// *Interpreter.* A request is answered, and `waiting` others wait: keeps it, if the next one is to be waited for at its
    /// door. The request, if not.
    pub(in crate::worker) fn keep(&self, exchange: Parcel, waiting: usize, pace: Pace) -> Option<Parcel> {
        if !self.shortcut.is_possible() {
            return Some(exchange);
        }
        OWN.with_borrow_mut(|own| {
            let job = &exchange.job;
            own.habit.finished();
            let fits = own.habit.is_ripe(pace) && own.means.is_some() && self.may_follow(job);
            // Who sits in the circle is waited for there. (Its requests are not in flight one by one, as the one is that is kept.)
            if !fits || job.keep_alive || job.seated || self.circle.is_on() {
                self.lone.stop();
                return Some(exchange);
            }
            // One may have come just before the ring thread left the door. A thread that has others to serve first comes back.
            if waiting > 0 {
                return Some(exchange);
            }
            own.kept = Some(exchange);
            None
        })
    }

    /// *Interpreter.* The request that was waited for.
    pub(in crate::worker) fn take_lone(&self) -> Option<Parcel> {
        if self.shortcut.is_possible() { OWN.with_borrow_mut(|own| own.next.take()) } else { None }
    }

    /// *Interpreter.* There is another request: the one that was kept goes back.
    pub(in crate::worker) fn let_go(&self) {
        if self.shortcut.is_possible()
            && let Some(kept) = OWN.with_borrow_mut(|own| own.kept.take())
        {
            self.give_back(kept, Rest::default());
        }
    }

    /// *Interpreter.* Waits for the next request, if the last one was kept for it. `false`: there is none.
    pub(in crate::worker) fn wait_for_next(&self) -> bool {
        if !self.shortcut.is_possible() {
            return false;
        }
        OWN.with_borrow_mut(|own| self.wait_for_next_with(own))
    }

    fn wait_for_next_with(&self, own: &mut Own) -> bool {
        let Some(mut kept) = own.kept.take() else { return false };
        self.lone.moves.on(kept.job.finished);
        if !self.handoff.attend() {
            self.give_back(kept, Rest::default());
            return false;
        }
        let came = self.attend(own, &mut kept.job);
        let others = self.handoff.attended();
        match came {
            Came::Request(parcel, guest) => {
                self.lone.is_on.store(true, Ordering::Relaxed);
                own.habit.came();
                let now = parcel.job.ready;
                own.next = Some(parcel);
                self.handoff.answer_within(Reply::Next(kept, guest), now, TOLD_US);
                true
            }
            Came::Else(rest) => {
                own.habit.in_vain(match others {
                    false => Vain::Nobody,
                    true if rest.is_silent() => Vain::Silent,
                    true => Vain::Others,
                });
                // At a door that the ring thread has left, this thread comes back to wait.
                if !others || own.habit.rests() {
                    self.lone.stop();
                }
                self.give_back(kept, rest);
                false
            }
        }
    }

    fn give_back(&self, kept: Parcel, rest: Rest) {
        direct::end_early(&kept.job);
        self.handoff.answer(Reply::Back(kept, rest));
    }

    fn attend(&self, own: &mut Own, last: &mut Job) -> Came {
        let (Some(means), Some(fd)) = (&mut own.means, last.lent) else { return Came::Else(Rest::default()) };
        let mut parcel = self.shortcut.spare();
        parcel.job.listener = last.listener;
        parcel.job.token = last.token;
        // The ring thread's bell ends the wait (`look_after`), where it looks here already.
        let until = if self.lone.is_on() { Until::Bell } else { WAIT };
        let pace = Pace::now();
        self.lone.door.store(last.listener + 1, Ordering::Relaxed);
        let listener = &self.plan.listeners[last.listener];
        let door = listener.fd.as_raw_fd();
        *self.lone.closed() += 1;
        last.closed = true;
        // At once, and not with the accept: over TCP the answer waits for the end.
        net::end(fd, listener.is_tcp());
        let Ok(Some(guest)) = means.solo.accept(door, pace.is_ahead(), until) else {
            return Came::Else(Rest { knocked: net::is_readable(door), ..Rest::default() });
        };
        let fd = guest.as_raw_fd();
        // Who is new speaks at once, or soon; nobody is passed on because somebody else spoke sooner.
        receive(&mut means.solo, fd, &mut parcel.job.head, FIRST);
        if parcel.job.head.is_empty() && own.habit.is_patient() {
            receive(&mut means.solo, fd, &mut parcel.job.head, LONGER);
        }
        if self
            .lone
            .crowd
            .is_some_and(|crowd| own.habit.is_to_look(pace) && means.queues.waiting(listener) >= crowd)
        {
            own.habit.crowd();
        }
        if self.make_plain(&mut parcel, fd, &mut None, clock::now()) == Come::Whole {
            return Came::Request(parcel, guest);
        }
        Came::Else(Rest { guest: Some(guest), read: parcel.job.take_received(), knocked: false })
    }
}

/// An end and an error are found again where all others are.
fn receive(solo: &mut Solo, fd: RawFd, buffer: &mut Vec<u8>, until: Until) {
    match net::append_now(fd, buffer, POOL_BUFFER_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let _ = solo.receive(fd, buffer, POOL_BUFFER_BYTES, until);
        }
        _ => {}
    }
}

impl Means {
    /// Those of the calling thread.
    fn new(desk: &Desk) -> Option<Means> {
        let solo = Solo::new(desk.handoff.bell()).ok()?;
        Some(Means { solo, queues: Queues::new() })
    }
}
