//! Answers that wait for the end of their requests, to go out with those of others.
//!
//! Each answer that an interpreter thread sends wakes a client, and a client that has nothing else to do sleeps: waking
//! it is the most expensive part of a short answer. While many requests wait, then, the ring thread sends several
//! answers with one system call, a moment later ([`LATER_US`]). Nothing is gained for whoever waits in a
//! short queue, and nothing is held there. The pieces of an answer that an application begins at once most often follow at
//! once, too: while others wait, they are held as well.
//!
//! An application can be busy for any time between two pieces, and when its answer is complete (`close()`). So the
//! answer does not wait with the request: it is here, and the ring thread takes what is not fetched soon.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::channel::Channel;
use super::direct::WORTH_US;
use super::handoff::LATER_US;
use super::job::{Job, Stage};
use super::ring_thread::Ring;
use crate::base::clock::Micros;
use crate::engine::{Reactor, Token};

/// With so many requests waiting answers are held.
pub const CROWD: usize = 8;
/// Longer ones are not.
const BYTES_MAX: usize = 16 * 1024;

/// How often answers come, where requests take `us` microseconds and each of so many `threads` (one at least) is busy: each so
/// many microseconds.
pub fn each(us: u64, threads: usize) -> u64 {
    us / threads as u64
}

/// Whether an answer is left to the ring thread where one comes [`each`] `us` microseconds and `waiting` others wait.
/// What takes longer does not come in numbers, and a shorter one is left to it anyway.
pub fn is_worth(us: u64, waiting: usize) -> bool {
    waiting >= CROWD && (WORTH_US..LATER_US).contains(&us)
}

/// For each interpreter thread, the answer of the request it works on.
#[derive(Debug)]
pub struct Held {
    slots: Box<[Mutex<Slot>]>,
    /// How many are held.
    count: AtomicUsize,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    /// So much of it, the first since then.
    Answer { token: Token, bytes: Vec<u8>, since: Micros },
    /// The ring thread sends it.
    Taken(Arc<Channel>),
}

/// Whether an answer with a body of so many bytes can be held.
pub fn fits(body_bytes: u64) -> bool {
    body_bytes <= BYTES_MAX as u64
}

impl Held {
    /// For so many threads.
    pub fn new(threads: u32) -> Held {
        Held { slots: (0..threads).map(|_| Mutex::default()).collect(), count: AtomicUsize::new(0) }
    }

    fn slot(&self, thread: u32) -> MutexGuard<'_, Slot> {
        // A thread that panicked ends the process (panic = "abort"), so poison cannot be seen.
        self.slots[thread as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// *Interpreter.* Holds what is in `job.out`, if it is complete and `waiting` requests are a crowd, or if it came at
    /// once, or at once behind a piece that was sent, and others wait; and what follows it.
    pub fn hold(&self, job: &mut Job, waiting: impl FnOnce() -> usize, now: Micros) -> bool {
        if job.held {
            return self.add(job);
        }
        // Of most pieces this is all that is asked.
        if job.channel.is_some() || job.filter.is_some() || job.out.len() > BYTES_MAX {
            return false;
        }
        // What was claimed has begun to be sent: the last piece went then.
        let us = now.since(if job.claimed { job.streamed } else { job.started });
        let is_whole = !job.claimed && matches!(&job.stage, Stage::Started(body) if body.is_whole());
        let waiting = waiting();
        if !(is_whole && is_worth(each(us, self.slots.len()), waiting) || us < WORTH_US && waiting > 0) {
            return false;
        }
        let Some(token) = job.token else { return false };
        *self.slot(job.thread) = Slot::Answer { token, bytes: std::mem::take(&mut job.out), since: now };
        self.count.fetch_add(1, Ordering::Relaxed);
        job.held = true;
        true
    }

    /// *Interpreter.* Frames a piece of the body behind what is held, if there is something and room beside it.
    pub fn join(&self, job: &mut Job, piece: &[u8]) -> bool {
        if !job.held {
            return false;
        }
        let Stage::Started(body) = &mut job.stage else { return false };
        match &mut *self.slot(job.thread) {
            Slot::Answer { bytes, .. } if bytes.len() + piece.len() <= BYTES_MAX => {
                job.body_sent += body.push(bytes, piece);
                true
            }
            _ => false,
        }
    }

    /// Adds what is in `job.out` to what is held. `false`: nothing is held any more, what was is in `job` again.
    fn add(&self, job: &mut Job) -> bool {
        if let Slot::Answer { bytes, .. } = &mut *self.slot(job.thread)
            && bytes.len() + job.out.len() <= BYTES_MAX
        {
            bytes.append(&mut job.out);
            return true;
        }
        self.fetch(job);
        false
    }

    /// *Interpreter.* The request is over, or something follows that is not held: the answer goes with it, or what the
    /// ring thread made of it.
    pub fn fetch(&self, job: &mut Job) {
        if !std::mem::take(&mut job.held) {
            return;
        }
        match std::mem::take(&mut *self.slot(job.thread)) {
            Slot::Answer { mut bytes, .. } => {
                self.count.fetch_sub(1, Ordering::Relaxed);
                bytes.append(&mut job.out);
                job.out = bytes;
            }
            Slot::Taken(channel) => job.channel = Some(channel),
            Slot::Empty => {}
        }
    }

    /// *Ring.* Whether there are any.
    pub fn is_any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    /// *Ring.* Takes one that is here for longer than the moment.
    fn take_late(&self, now: Micros) -> Option<(Token, Arc<Channel>)> {
        if !self.is_any() {
            return None;
        }
        (0..self.slots.len()).find_map(|thread| {
            let mut slot = self.slot(u32::try_from(thread).ok()?);
            let Slot::Answer { token, bytes, since } = &mut *slot else { return None };
            if now.since(*since) < LATER_US {
                return None;
            }
            let (token, bytes) = (*token, std::mem::take(bytes));
            let channel = Arc::new(Channel::default());
            // Nobody has broken it off: it is new.
            let _ = channel.write(&bytes);
            *slot = Slot::Taken(Arc::clone(&channel));
            self.count.fetch_sub(1, Ordering::Relaxed);
            Some((token, channel))
        })
    }
}

impl<R: Reactor> Ring<R> {
    /// Sends the answers whose requests do not end.
    pub(super) fn take_held(&mut self) {
        while let Some((token, channel)) = self.desk.held.take_late(self.now) {
            self.output(token, channel);
            self.recount(token);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::head::{BodyOut, Delimiter, Framing};
    use crate::worker::channel::Output;

    fn job(body: Delimiter) -> Job {
        let framing = Framing { body, keep_alive: true };
        let stage = Stage::Started(BodyOut::new(framing));
        Job { token: Some(Token(7)), thread: 1, out: b"answer".to_vec(), stage, ..Job::default() }
    }

    /// Of each of two threads.
    const LATE: Micros = Micros(2 * WORTH_US);

    #[test]
    fn an_answer_goes_with_its_request() {
        let held = Held::new(2);
        let mut job = job(Delimiter::Sized(0));
        assert!(held.hold(&mut job, || CROWD, LATE));
        assert!(job.out.is_empty() && held.is_any());
        assert!(held.take_late(LATE).is_none(), "it was held just now");
        held.fetch(&mut job);
        assert_eq!((job.out.as_slice(), job.channel.is_none()), (&b"answer"[..], true));
        assert!(!held.is_any() && held.take_late(Micros(u64::MAX)).is_none());
    }

    #[test]
    fn one_whose_request_does_not_end_is_sent_before() {
        let held = Held::new(2);
        let mut job = job(Delimiter::Sized(0));
        assert!(held.hold(&mut job, || CROWD, LATE));
        let (token, channel) = held.take_late(Micros(LATE.0 + LATER_US)).expect("late");
        assert_eq!(token, Token(7));
        assert!(matches!(channel.output(&mut Vec::new()), Output::Bytes(bytes) if bytes == b"answer"));
        assert!(!held.is_any());
        held.fetch(&mut job);
        assert!(job.out.is_empty() && job.channel.is_some_and(|known| Arc::ptr_eq(&known, &channel)));
    }

    #[test]
    fn pieces_made_at_once_are_held_while_others_wait_and_stay_in_order() {
        let held = Held::new(2);
        let mut job = job(Delimiter::Chunked);
        assert!(!held.hold(&mut job, || 0, Micros(1)), "nobody waits");
        assert!(held.hold(&mut job, || 1, Micros(1)));
        job.out.extend_from_slice(b", more");
        assert!(held.hold(&mut job, || 0, Micros(900)), "with what it follows");
        assert!(held.join(&mut job, b"!"));
        assert!(!held.join(&mut job, &vec![0; BYTES_MAX]), "there is no room for it");
        held.fetch(&mut job);
        assert_eq!(job.out, b"answer, more1\r\n!\r\n");
        assert!(!held.join(&mut job, b"!"), "nothing is held");
        assert!(held.hold(&mut job, || 1, Micros(1)));
        job.out = vec![b'x'; BYTES_MAX];
        assert!(!held.hold(&mut job, || 1, Micros(2)), "too much");
        assert!(!job.held && !held.is_any());
        assert!(job.out.starts_with(b"answer, more1\r\n!\r\nxx"), "in order");
    }

    #[test]
    fn pieces_behind_what_the_ring_thread_has_taken_go_the_same_way() {
        let held = Held::new(2);
        let mut job = job(Delimiter::Chunked);
        assert!(held.hold(&mut job, || 1, Micros(1)));
        let (_, channel) = held.take_late(Micros(1 + LATER_US)).expect("late");
        job.out.extend_from_slice(b"more");
        assert!(!held.hold(&mut job, || 1, Micros(2 + LATER_US)));
        assert!(job.channel.is_some_and(|known| Arc::ptr_eq(&known, &channel)));
        assert_eq!(job.out, b"more");
    }

    #[test]
    fn only_complete_answers_are_held_and_only_in_a_crowd() {
        let held = Held::new(2);
        for (body, waiting, now) in [
            (Delimiter::Sized(0), CROWD - 1, LATE),
            (Delimiter::Sized(0), 0, Micros(WORTH_US - 1)),
            (Delimiter::Sized(0), CROWD, Micros(2 * LATER_US)),
            (Delimiter::Sized(0), CROWD, Micros(LATE.0 - 1)),
            (Delimiter::Sized(1), CROWD, LATE),
            (Delimiter::Chunked, CROWD, LATE),
            (Delimiter::Close, CROWD, LATE),
        ] {
            assert!(!held.hold(&mut job(body), || waiting, now), "{body:?} {waiting} {now:?}");
        }
        let mut long = Job { out: vec![b'x'; BYTES_MAX + 1], ..job(Delimiter::Sized(0)) };
        assert!(!held.hold(&mut long, || CROWD, LATE));
        let mut claimed = job(Delimiter::Sized(0));
        claimed.claimed = true;
        assert!(!held.hold(&mut claimed, || CROWD, LATE), "part of it has gone");
    }

    #[test]
    fn a_piece_is_held_behind_one_that_was_sent_just_now() {
        let held = Held::new(2);
        let sent = |claimed| Job { claimed, streamed: LATE, ..job(Delimiter::Chunked) };
        let (soon, late) = (Micros(LATE.0 + WORTH_US - 1), Micros(LATE.0 + WORTH_US));
        assert!(!held.hold(&mut sent(true), || 0, soon), "nobody waits");
        assert!(!held.hold(&mut sent(true), || 1, late));
        assert!(!held.hold(&mut sent(false), || 1, soon), "its request took its time");
        let mut job = sent(true);
        assert!(held.hold(&mut job, || 1, soon) && job.out.is_empty());
    }
}
