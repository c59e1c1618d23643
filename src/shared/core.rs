//! What an interpreter thread is doing: one line of the shared area for each, so that the ring thread can see a request
//! that takes too long, and the master in which requests a worker died.
//!
//! The thread itself is the only writer but for [`CoreSlot::clear`], which comes when it is gone. Readers may see a
//! text that is being replaced: it is for the log.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::flight::Flown;
use crate::base::clock::{Micros, Millis};

/// Bytes of the request's description that are kept.
const TEXT_BYTES: usize = 192;

/// One interpreter thread of one worker.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct CoreSlot {
    /// Number of the request on this thread, from 1.
    serial: AtomicU64,
    /// When it was taken, microseconds; 0: no request.
    since: AtomicU64,
    /// When it began to come.
    arrived: AtomicU64,
    /// `harakiri`: milliseconds; 0 none.
    deadline: AtomicU64,
    /// `uwsgi.set_user_harakiri()`: the same.
    user_deadline: AtomicU64,
    /// Requests finished, by all threads that had this line.
    finished: AtomicU64,
    /// The connection, as its worker names it.
    token: AtomicU64,
    /// The thread, as the kernel numbers it.
    thread: AtomicU32,
    text_len: AtomicU32,
    text: [AtomicU64; TEXT_BYTES / 8],
}

/// A request as a thread works on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// Number of the request on this thread.
    pub serial: u64,
    /// When it was taken.
    pub since: Micros,
    /// When it began to come.
    pub arrived: Micros,
    /// When it has taken too long.
    pub deadline: Option<Millis>,
    /// The connection, as its worker names it.
    pub token: u64,
}

impl Busy {
    /// As a finished one that would end now; what it waited before it was taken is told as one. `text`: of the thread's
    /// line.
    pub fn flown(&self, now: Micros, text: &[u8]) -> Flown {
        let mut flown = Flown {
            arrived: self.arrived,
            queue_us: self.since.since(self.arrived),
            app_us: now.since(self.since),
            ..Flown::default()
        };
        let (method, uri) = method_and_uri(text);
        flown.name(method, uri);
        flown
    }
}

/// Of `CLIENT - METHOD URI`.
pub fn method_and_uri(text: &[u8]) -> (&[u8], &[u8]) {
    let rest = text.windows(3).position(|three| three == b" - ").map_or(text, |at| &text[at + 3..]);
    match rest.iter().position(|byte| *byte == b' ') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, b""),
    }
}

impl CoreSlot {
    /// *Its thread.* A request that began to come at `arrived` begins here: its number. `text` are the parts of its
    /// description, joined and cut off.
    pub fn begin(&self, [arrived, now]: [Micros; 2], patience_ms: u64, token: u64, text: &[&[u8]]) -> u64 {
        let serial = self.serial.load(Ordering::Relaxed) + 1;
        let deadline = if patience_ms > 0 { now.millis().after(patience_ms).0 } else { 0 };
        self.describe(text);
        self.token.store(token, Ordering::Relaxed);
        self.arrived.store(arrived.0, Ordering::Relaxed);
        self.user_deadline.store(0, Ordering::Relaxed);
        self.deadline.store(deadline, Ordering::Relaxed);
        self.serial.store(serial, Ordering::Relaxed);
        self.since.store(now.0, Ordering::Release);
        serial
    }

    /// *Its thread.* The request is over.
    pub fn end(&self) {
        self.finished.store(self.finished.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.since.store(0, Ordering::Release);
    }

    /// Requests finished here.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// *Its thread.* Its number for the kernel.
    pub fn set_thread(&self, id: u32) {
        self.thread.store(id, Ordering::Relaxed);
    }

    /// The thread's number for the kernel.
    pub fn thread(&self) -> u32 {
        self.thread.load(Ordering::Relaxed)
    }

    /// *Its thread.* The application's own deadline; `None` takes it back.
    pub fn set_user_deadline(&self, deadline: Option<Millis>) {
        self.user_deadline.store(deadline.map_or(0, |at| at.0), Ordering::Release);
    }

    /// *Its thread.* No deadline counts any more for this request.
    pub fn disarm(&self) {
        self.deadline.store(0, Ordering::Release);
        self.user_deadline.store(0, Ordering::Release);
    }

    /// The request it works on.
    pub fn busy(&self) -> Option<Busy> {
        let since = self.since.load(Ordering::Acquire);
        let times = [self.deadline.load(Ordering::Acquire), self.user_deadline.load(Ordering::Acquire)];
        let busy = Busy {
            serial: self.serial.load(Ordering::Relaxed),
            since: Micros(since),
            arrived: Micros(self.arrived.load(Ordering::Relaxed)),
            deadline: times.into_iter().filter(|at| *at > 0).min().map(Millis),
            token: self.token.load(Ordering::Relaxed),
        };
        std::sync::atomic::fence(Ordering::Acquire);
        // Ended, or replaced, while we looked: no request is known to be late.
        (since != 0 && self.since.load(Ordering::Relaxed) == since).then_some(busy)
    }

    /// `CLIENT - METHOD URI`, as far as it is kept.
    pub fn text(&self) -> String {
        let bytes = self.bytes();
        let text = String::from_utf8_lossy(&bytes);
        crate::base::text::readable(&text)
    }

    /// The same, as it came.
    pub fn bytes(&self) -> Vec<u8> {
        let len = (self.text_len.load(Ordering::Relaxed) as usize).min(TEXT_BYTES);
        self.text.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).take(len).collect()
    }

    /// Whoever was here is gone.
    pub fn clear(&self) {
        self.since.store(0, Ordering::Relaxed);
        self.disarm();
    }

    fn describe(&self, parts: &[&[u8]]) {
        let mut bytes = [0; TEXT_BYTES];
        let mut len = 0;
        for part in parts {
            let n = part.len().min(TEXT_BYTES - len);
            bytes[len..len + n].copy_from_slice(&part[..n]);
            len += n;
        }
        for (word, piece) in self.text.iter().zip(bytes[..len].chunks(8)) {
            let mut whole = [0; 8];
            whole[..piece.len()].copy_from_slice(piece);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        self.text_len.store(u32::try_from(len).unwrap_or(0), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::area::Area;

    #[test]
    fn a_request_is_seen_from_its_begin_to_its_end() {
        let area = Area::new(1, 2, 0).expect("mapped");
        let core = area.core(1, 1).expect("two cores");
        assert_eq!(core.busy(), None);
        let long = [b'x'; 300];
        assert_eq!(
            core.begin([Micros(4_900_000), Micros(5_000_000)], 2_000, 7, &[b"1.2.3.4 - GET /", &long]),
            1
        );
        assert!(core.text().starts_with("1.2.3.4 - GET /xxx") && core.text().len() == TEXT_BYTES);
        let busy = core.busy().expect("a request");
        assert_eq!((busy.serial, busy.token, busy.deadline), (1, 7, Some(Millis(7_000))));
        let flown = busy.flown(Micros(5_000_003), &core.bytes());
        assert_eq!((flown.queue_us, flown.app_us, flown.method()), (100_000, 3, &b"GET"[..]));
        assert!(flown.uri().starts_with(b"/xxx"));
        core.set_user_deadline(Some(Millis(6_000)));
        assert_eq!(core.busy().expect("a request").deadline, Some(Millis(6_000)));
        core.set_user_deadline(Some(Millis(9_000)));
        assert_eq!(core.busy().expect("a request").deadline, Some(Millis(7_000)));
        core.disarm();
        assert_eq!(core.busy().expect("a request").deadline, None);
        core.end();
        assert_eq!(core.busy(), None);
        assert_eq!(core.finished(), 1);
        assert_eq!(core.begin([Micros(6_000_000); 2], 0, 7, &[b"GET /a\nb"]), 2);
        assert_eq!(core.text(), "GET /a?b");
        assert_eq!(core.busy().expect("a request").deadline, None);
    }
}
