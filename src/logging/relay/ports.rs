//! A process's side: its pipes to the log process, and how messages go into them.
//!
//! The server's own messages go in frames of at most what a pipe takes in one piece, so that several threads may
//! write without a lock: a lock held by another thread at a fork would stay locked in the child for ever.

use std::fs::File;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

use super::{Label, Source};
use crate::sys::exec::Handed;
use crate::sys::pipes::{self, ATOMIC_BYTES};
use crate::sys::process;

/// The socket to the master by which pipes are announced; -1: there is no log process.
static DESK: AtomicI32 = AtomicI32::new(-1);
/// This process's pipe for the server's own messages; -1: standard error.
static LINES: AtomicI32 = AtomicI32::new(-1);
/// Number of the next message, to put its frames together by.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Length of a frame's head: the message's number, and whether more frames of it follow.
pub const HEAD_BYTES: usize = 7;
/// Bytes of a message in one frame.
const PIECE_BYTES: usize = ATOMIC_BYTES - HEAD_BYTES;

/// Whether there is a log process.
pub fn relayed() -> bool {
    DESK.load(Ordering::Relaxed) >= 0
}

/// From now on there is one, and pipes are announced on `desk`.
pub fn open(desk: RawFd) {
    DESK.store(desk, Ordering::Relaxed);
}

/// For a program that took over: the pipe of the one before.
pub fn resume(lines: RawFd) {
    LINES.store(lines, Ordering::Relaxed);
}

/// The ways to the log process, as a process leaves them to its next program.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Left {
    desk: Handed,
    lines: Handed,
}

impl Left {
    /// What to keep open.
    pub fn descriptors(&self) -> [Handed; 2] {
        [self.desk, self.lines]
    }

    /// Goes on with them.
    pub fn take(self) -> io::Result<()> {
        open(pipes::leak(self.desk.take()?));
        resume(pipes::leak(self.lines.take()?));
        Ok(())
    }
}

/// What the next program of this process needs, if there is a log process.
pub fn hand_over() -> Option<Left> {
    let [desk, lines] = [&DESK, &LINES].map(|number| Handed::number(number.load(Ordering::Relaxed)));
    relayed().then_some(Left { desk, lines })
}

/// The number of the pipe for messages, to hand over.
pub fn lines_fd() -> RawFd {
    LINES.load(Ordering::Relaxed)
}

/// Gives this process, `worker` (0: master or template), pipes of its own. Without a log process nothing is to be
/// done.
pub fn attach(worker: u32) -> io::Result<()> {
    if !relayed() {
        return Ok(());
    }
    let output = File::from(announce(Source::Output, worker)?);
    let lines = announce(Source::Server, worker)?;
    process::redirect_output(&output)?;
    // The one before stays open: another thread may be writing to it.
    LINES.store(pipes::leak(lines), Ordering::Relaxed);
    Ok(())
}

/// A pipe for the request lines of this worker, if there is a log process.
pub fn requests(worker: u32) -> Option<io::Result<File>> {
    relayed().then(|| announce(Source::Request, worker).map(File::from))
}

/// Makes a pipe, sends off its reading end, and gives the writing one.
fn announce(source: Source, worker: u32) -> io::Result<OwnedFd> {
    let (read, write) = pipes::pipe()?;
    let label = Label { source, pid: std::process::id(), worker };
    pipes::send_with(DESK.load(Ordering::Relaxed), &label.encode(), &read, true)?;
    Ok(write)
}

/// Sends a message off, if this process has a pipe for it.
pub fn send(message: &[u8]) -> bool {
    let fd = LINES.load(Ordering::Relaxed);
    if fd < 0 {
        return false;
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    frames(number, message, |frame| pipes::put(fd, frame).is_ok())
}

/// Cuts a message into frames, each given to `put` until it fails.
fn frames(number: u32, message: &[u8], mut put: impl FnMut(&[u8]) -> bool) -> bool {
    let mut pieces = message.chunks(PIECE_BYTES).peekable();
    let mut frame = Vec::with_capacity(HEAD_BYTES + message.len().min(PIECE_BYTES));
    loop {
        let piece = pieces.next().unwrap_or_default();
        let last = pieces.peek().is_none();
        frame.clear();
        frame.extend_from_slice(&number.to_le_bytes());
        frame.push(u8::from(last));
        frame.extend_from_slice(&u16::try_from(piece.len()).unwrap_or(0).to_le_bytes());
        frame.extend_from_slice(piece);
        if !put(&frame) {
            return false;
        }
        if last {
            return true;
        }
    }
}

/// Frames put together again: from one pipe.
#[derive(Debug, Default)]
pub struct Frames {
    waiting: Vec<u8>,
    open: Vec<(u32, Vec<u8>)>,
}

impl Frames {
    /// Takes bytes of the pipe, and gives each message that is complete.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        self.waiting.extend_from_slice(bytes);
        let mut at = 0;
        while let Some((number, last, len)) = self.waiting.get(at..at + HEAD_BYTES).map(head) {
            let Some(piece) = self.waiting.get(at + HEAD_BYTES..at + HEAD_BYTES + len) else { break };
            at += HEAD_BYTES + len;
            let place = self.open.iter().position(|(open, _)| *open == number);
            match (place, last) {
                (None, true) => each(piece),
                (None, false) => self.open.push((number, piece.to_vec())),
                (Some(place), false) => self.open[place].1.extend_from_slice(piece),
                (Some(place), true) => {
                    let (_, mut message) = self.open.swap_remove(place);
                    message.extend_from_slice(piece);
                    each(&message);
                }
            }
        }
        self.waiting.drain(..at);
    }
}

fn head(bytes: &[u8]) -> (u32, bool, usize) {
    let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    (number, bytes[4] != 0, usize::from(u16::from_le_bytes([bytes[5], bytes[6]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_any_length_come_through_in_any_order() {
        let long = vec![b'x'; 3 * ATOMIC_BYTES];
        let mut first = Vec::new();
        frames(1, &long, |frame| {
            assert!(frame.len() <= ATOMIC_BYTES);
            first.push(frame.to_vec());
            true
        });
        let mut second = Vec::new();
        frames(2, b"", |frame| {
            second.extend_from_slice(frame);
            true
        });
        assert_eq!(first.len(), 4);
        // Another thread's message between the frames of the first.
        let stream = [first[..2].concat(), second, first[2..].concat()].concat();
        for size in [1, 5, 100, stream.len()] {
            let mut parts = Frames::default();
            let mut got = Vec::new();
            stream.chunks(size).for_each(|bytes| parts.feed(bytes, |message| got.push(message.to_vec())));
            assert_eq!(got, [Vec::new(), long.clone()], "{size}");
        }
    }
}
