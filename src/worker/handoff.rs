//! From the ring thread to the interpreter threads and back: two bounded queues and the wake-ups between them.
//!
//! A wake-up is a system call and perhaps a context switch, so each side is woken only if it sleeps, and once for
//! a batch. Who is about to sleep says so first and then looks at its queue once more; who has put something in
//! the queue looks for sleepers afterwards. With sequentially consistent fences between, one of the two always
//! sees the other.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use crossbeam_queue::ArrayQueue;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::channel::Channel;
use super::job::Parcel;
use super::lone::Rest;
use crate::base::clock::Micros;
use crate::engine::Token;
use crate::plugin::host::Wake;
use crate::sys::futex;

/// So long the ring thread need not hear of answers that are out, while an interpreter thread has more to do.
pub const LATER_US: u64 = 1_000;

/// What interpreter threads tell the ring thread.
pub enum Reply {
    /// The request is finished; its response is in the job, or the rest of it in the channel.
    Done(Parcel),
    /// The same, and the thread has the next one already, by this connection.
    Next(Parcel, OwnedFd),
    /// The same, and what came of waiting for the next one.
    Back(Parcel, Rest),
    /// The same, and its connection is in the circle.
    Seated(Parcel),
    /// A connection is in the circle no more: what was received on it.
    Left(Token, Vec<u8>),
    /// There are bytes to send in the connection's channel.
    Output(Token, Arc<Channel>),
    /// The application waits for more of the request body.
    WantBody(Token, Arc<Channel>),
}

/// The two queues.
pub struct Handoff {
    requests: ArrayQueue<Parcel>,
    replies: ArrayQueue<Reply>,
    sleepers: Sleepers,
    ring_sleeps: AtomicBool,
    ring_is_patient: AtomicBool,
    ring_wake: EventFd,
    nudged: AtomicBool,
    /// Wakes the thread that waits elsewhere for the next request, while it does.
    bell: EventFd,
    attends: AtomicBool,
    closed: AtomicBool,
    /// Since when replies wait of which the ring thread was not told, microseconds; 0: there are none.
    untold_since: AtomicU64,
    /// What interpreter threads had lent was given back: one of them lets go of it.
    gave_back: AtomicBool,
    /// Signals of the application's may wait.
    signals: AtomicBool,
    /// Threads that handle one.
    signals_in_hand: AtomicUsize,
}

impl Handoff {
    /// For at most `requests` requests at a time.
    pub fn new(requests: usize) -> std::io::Result<Handoff> {
        Ok(Handoff {
            requests: ArrayQueue::new(requests),
            // A request has at most one of each kind of reply under way (`Channel` sees to it).
            replies: ArrayQueue::new(3 * requests),
            sleepers: Sleepers::default(),
            ring_sleeps: AtomicBool::new(false),
            ring_is_patient: AtomicBool::new(false),
            ring_wake: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            nudged: AtomicBool::new(false),
            bell: EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?,
            attends: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            untold_since: AtomicU64::new(0),
            gave_back: AtomicBool::new(false),
            signals: AtomicBool::new(false),
            signals_in_hand: AtomicUsize::new(0),
        })
    }

    /// Requests that fit in at once.
    pub fn capacity(&self) -> usize {
        self.requests.capacity()
    }

    /// *Ring.* Becomes readable when replies have come while the ring thread slept.
    pub fn wake_fd(&self) -> RawFd {
        self.ring_wake.as_raw_fd()
    }

    /// *Ring.* Hands a request over; [`Handoff::wake_interpreters`] follows once per batch.
    pub fn push(&self, parcel: Parcel) {
        let full = self.requests.push(parcel).is_err();
        assert!(!full, "the ring thread counts the requests it has handed over");
    }

    /// *Ring.* Wakes one interpreter thread if all that could take the batch sleep; it wakes the next.
    pub fn wake_interpreters(&self) {
        self.sleepers.wake_one();
        self.ring_bell();
    }

    /// *Ring.* What interpreter threads had lent was given back; [`Handoff::wake_interpreters`] follows, for whoever wakes lets
    /// go of it.
    pub fn give_back(&self) {
        self.gave_back.store(true, Ordering::SeqCst);
    }

    /// *Ring.* Wakes the thread that waits elsewhere. The callers' fences are those of `Sleepers`.
    pub fn ring_bell(&self) {
        if self.attends.load(Ordering::Relaxed) && self.attends.swap(false, Ordering::SeqCst) {
            // Only a full counter could fail, and that is readable already.
            let _ = self.bell.write(1);
        }
    }

    /// *Interpreter.* What rings while the thread waits elsewhere ([`Handoff::attend`]).
    pub fn bell(&self) -> RawFd {
        self.bell.as_raw_fd()
    }

    /// *Interpreter.* It is about to wait elsewhere. `false`: it must not, there is something to do.
    pub fn attend(&self) -> bool {
        self.attends.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let free = !self.has_work();
        if !free {
            self.attended();
        }
        free
    }

    /// *Interpreter.* It waits no more. Whether there is something to do.
    pub fn attended(&self) -> bool {
        self.attends.store(false, Ordering::Relaxed);
        self.has_work()
    }

    fn has_work(&self) -> bool {
        !self.requests.is_empty()
            || self.has_signals()
            || self.gave_back.load(Ordering::Relaxed)
            || self.closed.load(Ordering::SeqCst)
    }

    /// *Ring.* The next reply.
    pub fn reply(&self) -> Option<Reply> {
        self.replies.pop()
    }

    /// *Ring.* Announces that the ring thread is about to sleep; `patient`: for a moment only, so that it need not be
    /// woken for answers that are out. `false`: it must not, a reply has come.
    pub fn ring_may_sleep(&self, patient: bool) -> bool {
        self.ring_is_patient.store(patient, Ordering::Relaxed);
        self.ring_sleeps.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        self.replies.is_empty()
    }

    /// *Ring.* It is awake again.
    pub fn ring_woke(&self) {
        self.ring_sleeps.store(false, Ordering::Relaxed);
        self.untold_since.store(0, Ordering::Relaxed);
    }

    /// *Ring.* No request will come any more: interpreter threads end.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.sleepers.wake_all();
        self.ring_bell();
    }

    /// *Ring.* Takes back what no interpreter thread has taken yet.
    pub fn reclaim(&self) -> Vec<Parcel> {
        std::iter::from_fn(|| self.requests.pop()).collect()
    }

    /// *Any thread.* The ring thread shall look at the interpreter threads.
    pub fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        // As in `wake_ring`.
        let _ = self.ring_wake.write(1);
    }

    /// *Ring.* Whether it shall.
    pub fn take_nudge(&self) -> bool {
        self.nudged.load(Ordering::Relaxed) && self.nudged.swap(false, Ordering::AcqRel)
    }

    /// *Interpreter.* The next request. Where more are waiting, another thread is woken for them.
    pub fn take(&self) -> Option<Parcel> {
        let parcel = self.requests.pop()?;
        if !self.requests.is_empty() {
            self.sleepers.wake_one();
        }
        Some(parcel)
    }

    /// *Interpreter.* Sleeps until there is something to do.
    pub fn wait(&self) -> Wake {
        self.sleepers.sleep_unless(|| self.has_work());
        // Before the interpreter's lock is taken, which lets go: what is given back from now on is told anew.
        self.gave_back.store(false, Ordering::Relaxed);
        if self.requests.is_empty() && self.closed.load(Ordering::SeqCst) {
            Wake::Over
        } else if self.has_signals() {
            Wake::Signal
        } else {
            Wake::Request
        }
    }

    /// *Any thread.* Signals of the application's wait: a thread is to look.
    pub fn tell_signals(&self) {
        self.signals.store(true, Ordering::SeqCst);
        self.wake_interpreters();
    }

    /// Whether they may.
    pub fn has_signals(&self) -> bool {
        self.signals.load(Ordering::Relaxed)
    }

    /// *Interpreter.* It looks.
    pub fn forget_signals(&self) {
        self.signals.store(false, Ordering::SeqCst);
    }

    /// *Interpreter.* It handles one: no request is to be taken in for this thread.
    pub fn signal_begins(&self) {
        self.signals_in_hand.fetch_add(1, Ordering::Relaxed);
        self.nudge();
    }

    /// *Interpreter.* It has.
    pub fn signal_handled(&self) {
        self.signals_in_hand.fetch_sub(1, Ordering::Relaxed);
        self.nudge();
    }

    /// How many threads handle one.
    pub fn signals_in_hand(&self) -> usize {
        self.signals_in_hand.load(Ordering::Relaxed)
    }

    /// *Interpreter.* Whether the ring thread has not heard of so much that it is to catch up first. (It may get no processor
    /// for a while.)
    pub fn is_backed_up(&self) -> bool {
        self.replies.len() > self.replies.capacity() / 2
    }

    /// Requests that no thread has taken yet.
    pub fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// *Interpreter.* Answers. The ring thread is woken if it sleeps, unless it may hear of it `later` than this moment
    /// and is patient: then when [`LATER_US`] have gone by with such replies, or with the next one that is not.
    pub fn answer_by(&self, reply: Reply, later: Option<Micros>) {
        match later {
            Some(now) => self.answer_within(reply, now, LATER_US),
            None => self.answer(reply),
        }
    }

    /// *Interpreter.* The same, `us` microseconds after the first of such replies.
    pub fn answer_within(&self, reply: Reply, now: Micros, us: u64) {
        let is_patient = || self.ring_is_patient.load(Ordering::Relaxed);
        let may_wait = is_patient() && self.is_told_within(now, us);
        self.put(reply);
        // It may have lost its patience just before it went to sleep, without having seen this.
        if !may_wait || !is_patient() {
            self.wake_ring();
        }
    }

    /// Whether the first reply of which the ring thread was not told is no older than `us`. If there is none, it is this.
    fn is_told_within(&self, now: Micros, us: u64) -> bool {
        let since = self.untold_since.load(Ordering::Relaxed);
        if since == 0 {
            self.untold_since.store(now.0, Ordering::Relaxed);
        }
        since == 0 || now.since(Micros(since)) < us
    }

    fn put(&self, reply: Reply) {
        let full = self.replies.push(reply).is_err();
        assert!(!full, "a request has at most three replies under way");
        fence(Ordering::SeqCst);
    }

    fn wake_ring(&self) {
        if self.ring_sleeps.load(Ordering::Relaxed) && self.ring_sleeps.swap(false, Ordering::SeqCst) {
            // Only a full counter could fail, and that is readable already.
            let _ = self.ring_wake.write(1);
        }
    }

    /// *Interpreter.* Answers, waking the ring thread if it sleeps.
    pub fn answer(&self, reply: Reply) {
        self.put(reply);
        self.wake_ring();
    }
}

/// Threads asleep on a futex, and the wake-ups granted to them. A waker claims one sleeper before it grants, so
/// no wake-up is spent on a thread that is awake.
#[derive(Default)]
struct Sleepers {
    asleep: AtomicU32,
    granted: AtomicU32,
}

impl Sleepers {
    fn wake_one(&self) {
        fence(Ordering::SeqCst);
        if self.claim() {
            self.granted.fetch_add(1, Ordering::SeqCst);
            futex::wake(&self.granted, 1);
        }
    }

    fn wake_all(&self) {
        fence(Ordering::SeqCst);
        while self.claim() {
            self.granted.fetch_add(1, Ordering::SeqCst);
            futex::wake(&self.granted, 1);
        }
    }

    /// Takes one off the sleepers, by whoever is to wake it or by itself.
    fn claim(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) > 0
            && self.asleep.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
    }

    fn sleep_unless(&self, ready: impl Fn() -> bool) {
        if ready() {
            return;
        }
        self.asleep.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if ready() && self.claim() {
            return;
        }
        // Asleep, or claimed by a waker whose grant is on its way.
        let spend = |n: u32| n.checked_sub(1);
        while self.granted.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err() {
            futex::wait(&self.granted, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_ends_a_wait_once() {
        let handoff = Handoff::new(1).expect("made");
        assert!(handoff.attend());
        handoff.give_back();
        handoff.wake_interpreters();
        assert!(handoff.attended() && !handoff.attend(), "there is something to let go of");
        assert_eq!(handoff.wait(), Wake::Request);
        assert!(handoff.attend(), "it has");
    }

    #[test]
    fn who_hears_of_too_much_at_once_is_to_catch_up() {
        let handoff = Handoff::new(2).expect("made");
        for n in 0..4 {
            assert!(!handoff.is_backed_up(), "{n} of 6");
            handoff.answer(Reply::Left(Token(n), Vec::new()));
        }
        assert!(handoff.is_backed_up());
        handoff.reply().expect("one of them");
        assert!(!handoff.is_backed_up());
    }

    #[test]
    fn no_wake_up_is_lost_between_many_sleepers() {
        let sleepers = Arc::new(Sleepers::default());
        let work = Arc::new(ArrayQueue::new(64));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (sleepers, work) = (Arc::clone(&sleepers), Arc::clone(&work));
                std::thread::spawn(move || {
                    let mut sum = 0u64;
                    loop {
                        match work.pop() {
                            Some(0) => return sum,
                            Some(n) => sum += n,
                            None => sleepers.sleep_unless(|| !work.is_empty()),
                        }
                    }
                })
            })
            .collect();
        let mut put = |n: u64| {
            while work.push(n).is_err() {
                std::thread::yield_now();
            }
            sleepers.wake_one();
        };
        (1..=100_000u64).for_each(&mut put);
        (0..4).for_each(|_| put(0));
        let sum: u64 = threads.into_iter().map(|t| t.join().expect("no panic")).sum();
        assert_eq!(sum, 100_000 * 100_001 / 2);
    }
}
