//! Answers that an interpreter thread sends itself: they go out one change of threads earlier, and while more requests
//! wait the ring thread need not hear at once that they went. What a socket does not take at once is the ring thread's. The connection stays the ring thread's: it is
//! lent, with the promise not to close it meanwhile (`Conn::lent`), and whoever answers first, the interpreter thread
//! or the ring thread for a request that is late, takes the claim of that request; the other leaves it alone.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use super::connection::Writing;
use super::job::{Job, Parcel};
use super::ring_thread::Ring;
use crate::engine::{Reactor, Token};
use crate::plugin::host::Refusal;
use crate::sys::net;

/// Longer answers are the ring thread's: copying them holds up nobody there.
const BYTES_MAX: usize = 64 * 1024;
/// A request that took the application longer, microseconds, is answered directly. For shorter ones the ring thread sends
/// many answers with one system call.
const WORTH_US: u64 = 20;

/// What an interpreter thread did about an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sent {
    /// Not all: what is in `out`, or in the channel, is to be sent.
    #[default]
    No,
    /// It is out.
    Whole,
    /// The client is gone.
    Failed,
}

/// For each interpreter thread, the request that nobody has answered yet.
#[derive(Debug)]
pub struct Claims(Box<[AtomicU64]>);

impl Claims {
    /// For so many threads.
    pub fn new(threads: u32) -> Claims {
        Claims((0..threads).map(|_| AtomicU64::new(0)).collect())
    }

    /// *Interpreter.* `thread` begins with request `serial`.
    pub fn open(&self, thread: u32, serial: u64) {
        if let Some(claim) = self.0.get(thread as usize) {
            claim.store(serial, Ordering::Release);
        }
    }

    /// Takes the claim of that request. `false`: the other one has it.
    pub fn take(&self, thread: u32, serial: u64) -> bool {
        let Some(claim) = self.0.get(thread as usize) else { return false };
        claim.compare_exchange(serial, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

/// Sends what is in `out`, so far as it goes without waiting. `Ok(true)`: all of it; the rest is the ring thread's.
pub fn send(job: &mut Job, claims: &Claims) -> Result<bool, Refusal> {
    let Some(fd) = job.lent.filter(|_| job.channel.is_none()) else { return Ok(false) };
    if !job.claimed {
        job.claimed = job.out.len() <= BYTES_MAX && claims.take(job.thread, job.serial);
        if !job.claimed {
            return Ok(false);
        }
    }
    match net::send_now(fd, &job.out) {
        Ok(n) => {
            job.out.drain(..n);
            Ok(job.out.is_empty())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(_) => {
            job.sent = Sent::Failed;
            job.out.clear();
            Err(Refusal::Gone)
        }
    }
}

/// Sends the end of an answer, if that is worth it. `more`: other requests wait for this thread.
pub fn finish(job: &mut Job, claims: &Claims, more: bool) {
    if job.sent == Sent::Failed || job.channel.is_some() {
        return;
    }
    let worth = job.claimed || !more || job.finished.since(job.started) >= WORTH_US;
    // A failure is noted in the job.
    if worth && (job.claimed && job.out.is_empty() || send(job, claims) == Ok(true)) {
        job.sent = Sent::Whole;
    }
}

impl<R: Reactor> Ring<R> {
    /// Lends the connection with the request, if nothing else of it is under way.
    pub(super) fn lend(&mut self, parcel: &mut Parcel) {
        let Some(conn) = parcel.job.token.and_then(|token| self.conn(token)) else { return };
        let idle = conn.writing == Writing::Idle && !conn.receiving;
        if idle && conn.body_left == 0 && conn.leftover.is_empty() {
            parcel.job.lent = conn.raw();
            conn.lent = parcel.job.lent.is_some();
        }
    }

    /// The request is back, or its claim was taken: the connection can be closed again. `false`: that was due.
    pub(super) fn take_back(&mut self, token: Option<Token>) -> bool {
        let Some(token) = token else { return true };
        let Some(conn) = self.conn(token) else { return true };
        if !std::mem::take(&mut conn.lent) || !conn.leaving {
            return true;
        }
        self.close(token);
        false
    }
}
