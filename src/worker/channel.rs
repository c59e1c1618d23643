//! The bytes that do not ride along with a request: a response produced piece by piece, a body read while the
//! application runs. One channel a request, made only for those that need it; a lock held for a copy of pointers,
//! and a condition on which only the interpreter thread ever waits.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::base::limits::OUTPUT_HIGH_WATER;
use crate::plugin::host::Refusal;
use crate::proto::fastcgi::{CONTENT_MAX, stdout};

/// Received body bytes held for the application before the ring stops receiving.
pub const INPUT_HIGH_WATER: usize = 128 * 1024;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Channel {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Framed response bytes the ring has not taken yet.
    pending: Vec<u8>,
    /// What follows them.
    file: Option<FilePart>,
    /// What follows the file.
    tail: Vec<u8>,
    /// Response bytes written and not yet sent.
    unsent: usize,
    /// The ring has been told that there is output, and has not looked yet.
    announced: bool,
    /// The connection is gone.
    broken: bool,
    /// Body bytes received and not yet read.
    input: Vec<u8>,
    /// Of these, read already.
    input_read: usize,
    /// The ring has been asked for more and has not answered yet.
    asked: bool,
    /// No more body will come.
    ended: Option<End>,
}

/// Part of a file to be sent.
#[derive(Debug)]
pub struct FilePart {
    /// Ours.
    pub file: Arc<OwnedFd>,
    /// First byte.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// FastCGI: it goes in records of this request; 0: as it is.
    record_id: u16,
    /// Of these bytes, the header of their record has gone.
    headed: u64,
}

impl FilePart {
    /// Bytes of a file, as they are or in FastCGI's records of a request.
    pub fn new(file: OwnedFd, offset: u64, len: u64, record_id: u16) -> FilePart {
        FilePart { file: Arc::new(file), offset, len, record_id, headed: 0 }
    }

    /// The next record, after its header; what is left then.
    fn split(self) -> (FilePart, Option<FilePart>) {
        let (offset, len) = (self.offset + self.headed, self.len - self.headed);
        let rest = FilePart { file: Arc::clone(&self.file), offset, len, headed: 0, ..self };
        (FilePart { len: self.headed, ..self }, (len > 0).then_some(rest))
    }
}

/// Why a request body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was received.
    Complete,
    /// The client is gone.
    Gone,
    /// The client sent nothing for too long.
    Timeout,
}

/// What the ring finds to send.
#[derive(Debug)]
pub enum Output {
    /// Nothing now.
    None,
    /// Bytes.
    Bytes(Vec<u8>),
    /// Part of a file.
    File(FilePart),
}

impl Channel {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A thread that panicked ends the process (panic = "abort"), so poison cannot be seen.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// *Interpreter.* Queues framed bytes. `Ok(true)`: the ring must be told.
    pub fn write(&self, bytes: &[u8]) -> Result<bool, Refusal> {
        let mut state = self.lock();
        if state.broken {
            return Err(Refusal::Gone);
        }
        let behind_file = state.file.is_some();
        let queue = if behind_file { &mut state.tail } else { &mut state.pending };
        queue.extend_from_slice(bytes);
        state.unsent += bytes.len();
        Ok(!std::mem::replace(&mut state.announced, true))
    }

    /// *Interpreter.* Waits while too much is unsent.
    pub fn wait_for_room(&self) -> Result<(), Refusal> {
        let full = |state: &mut State| state.unsent > OUTPUT_HIGH_WATER && !state.broken;
        let state = self.changed.wait_while(self.lock(), full).unwrap_or_else(PoisonError::into_inner);
        if state.broken { Err(Refusal::Gone) } else { Ok(()) }
    }

    /// *Interpreter.* Queues a part of a file behind the bytes, once the last one is on its way. `Ok(true)`: the ring
    /// must be told.
    pub fn send_file(&self, part: FilePart) -> Result<bool, Refusal> {
        let waits = |state: &mut State| state.file.is_some() && !state.broken;
        let mut state = self.changed.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        if state.broken {
            return Err(Refusal::Gone);
        }
        state.file = Some(part);
        Ok(!std::mem::replace(&mut state.announced, true))
    }

    /// *Interpreter.* Copies received body bytes out. `None`: there are none yet and the ring must be asked
    /// (or has been: then [`Channel::wait_for_input`]).
    pub fn read(&self, buffer: &mut [u8]) -> Option<Result<usize, Refusal>> {
        let mut state = self.lock();
        let available = &state.input[state.input_read..];
        let n = available.len().min(buffer.len());
        if n > 0 {
            buffer[..n].copy_from_slice(&available[..n]);
            state.input_read += n;
            if state.input_read == state.input.len() {
                state.input.clear();
                state.input_read = 0;
            }
            return Some(Ok(n));
        }
        Some(match state.ended? {
            End::Complete => Ok(0),
            End::Gone => Err(Refusal::Gone),
            End::Timeout => Err(Refusal::Timeout),
        })
    }

    /// Whether a part of the body was asked for, and did not come.
    pub fn input_failed(&self) -> bool {
        matches!(self.lock().ended, Some(End::Gone | End::Timeout))
    }

    /// *Interpreter.* Whether the ring must be asked for more.
    pub fn ask(&self) -> bool {
        !std::mem::replace(&mut self.lock().asked, true)
    }

    /// *Interpreter.* Waits for body bytes or the body's end.
    pub fn wait_for_input(&self) {
        let dry = |state: &mut State| state.input_read == state.input.len() && state.ended.is_none();
        drop(self.changed.wait_while(self.lock(), dry));
    }

    /// *Ring.* What is to be sent next; `spare` becomes the next buffer for writing.
    pub fn output(&self, spare: &mut Vec<u8>) -> Output {
        let mut state = self.lock();
        state.announced = false;
        if !state.pending.is_empty() {
            spare.clear();
            return Output::Bytes(std::mem::replace(&mut state.pending, std::mem::take(spare)));
        }
        let Some(mut part) = state.file.take() else { return Output::None };
        if part.record_id != 0 {
            if part.headed == 0 {
                part.headed = part.len.min(CONTENT_MAX as u64);
                spare.clear();
                spare.extend_from_slice(&stdout(part.record_id, part.headed as usize));
                state.unsent += spare.len();
                state.file = Some(part);
                return Output::Bytes(std::mem::take(spare));
            }
            let (record, rest) = part.split();
            if rest.is_some() {
                state.file = rest;
                return Output::File(record);
            }
            part = record;
        }
        state.pending = std::mem::take(&mut state.tail);
        drop(state);
        self.changed.notify_all();
        Output::File(part)
    }

    /// *Ring.* So many bytes went out.
    pub fn sent(&self, bytes: usize) {
        let mut state = self.lock();
        state.unsent = state.unsent.saturating_sub(bytes);
        drop(state);
        self.changed.notify_all();
    }

    /// *Ring.* The connection is gone, in both directions.
    pub fn break_off(&self) {
        let mut state = self.lock();
        state.broken = true;
        state.pending.clear();
        state.tail.clear();
        state.file = None;
        state.ended.get_or_insert(End::Gone);
        drop(state);
        self.changed.notify_all();
    }

    /// *Ring.* Body bytes have come. Returns whether there is room for more.
    pub fn received(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        state.input.extend_from_slice(bytes);
        let room = state.input.len() - state.input_read < INPUT_HIGH_WATER;
        state.asked = room;
        drop(state);
        self.changed.notify_all();
        room
    }

    /// *Ring.* No more of the body will come.
    pub fn end_input(&self, end: End) {
        self.lock().ended.get_or_insert(end);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_is_told_once_until_it_has_looked() {
        let channel = Channel::default();
        assert_eq!(channel.write(b"ab"), Ok(true));
        assert_eq!(channel.write(b"c"), Ok(false));
        let mut spare = Vec::new();
        assert!(matches!(channel.output(&mut spare), Output::Bytes(b) if b == b"abc"));
        assert_eq!(channel.write(b"d"), Ok(true));
    }

    #[test]
    fn what_is_written_behind_a_file_is_sent_behind_it() {
        let channel = Channel::default();
        let file = crate::sys::tempfile::unlinked().expect("a temporary folder").into();
        channel.write(b"a").expect("open");
        channel.send_file(FilePart::new(file, 0, 1, 0)).expect("open");
        channel.write(b"b").expect("open");
        let mut spare = Vec::new();
        assert!(matches!(channel.output(&mut spare), Output::Bytes(b) if b == b"a"));
        assert!(matches!(channel.output(&mut spare), Output::File(_)));
        assert!(matches!(channel.output(&mut spare), Output::Bytes(b) if b == b"b"));
    }

    #[test]
    fn a_file_in_records_has_a_header_before_each() {
        let channel = Channel::default();
        let file = crate::sys::tempfile::unlinked().expect("a temporary folder").into();
        let max = CONTENT_MAX as u64;
        channel.send_file(FilePart::new(file, 5, 2 * max + 3, 7)).expect("open");
        channel.write(b"end").expect("open");
        let mut seen = Vec::new();
        loop {
            match channel.output(&mut Vec::new()) {
                Output::Bytes(bytes) => seen.push((bytes, 0, 0)),
                Output::File(part) => seen.push((Vec::new(), part.offset, part.len)),
                Output::None => break,
            }
        }
        let header = |len| (stdout(7, len).to_vec(), 0, 0);
        assert_eq!(
            seen,
            [
                header(CONTENT_MAX),
                (vec![], 5, max),
                header(CONTENT_MAX),
                (vec![], 5 + max, max),
                header(3),
                (vec![], 5 + 2 * max, 3),
                (b"end".to_vec(), 0, 0)
            ]
        );
    }

    #[test]
    fn a_second_file_waits_until_the_first_is_on_its_way() {
        let file: OwnedFd = crate::sys::tempfile::unlinked().expect("a folder").into();
        let part = move |offset| FilePart::new(file.try_clone().expect("a descriptor"), offset, 1, 0);
        let channel = Arc::new(Channel::default());
        channel.send_file(part(1)).expect("open");
        let writer = Arc::clone(&channel);
        let thread = std::thread::spawn(move || writer.send_file(part(2)).map(drop));
        let mut seen = Vec::new();
        while seen.len() < 2 {
            if let Output::File(part) = channel.output(&mut Vec::new()) {
                seen.push(part.offset);
            }
        }
        assert_eq!((seen, thread.join().expect("no panic")), (vec![1, 2], Ok(())));
    }

    #[test]
    fn a_writer_waits_for_room_and_is_released_by_the_ring() {
        let channel = Arc::new(Channel::default());
        channel.write(&vec![0; OUTPUT_HIGH_WATER + 1]).expect("open");
        let writer = Arc::clone(&channel);
        let thread = std::thread::spawn(move || writer.wait_for_room());
        channel.sent(1);
        assert_eq!(thread.join().expect("no panic"), Ok(()));
    }

    #[test]
    fn a_broken_connection_releases_writer_and_reader() {
        let channel = Channel::default();
        channel.write(&vec![0; OUTPUT_HIGH_WATER + 1]).expect("open");
        channel.break_off();
        assert_eq!(channel.wait_for_room(), Err(Refusal::Gone));
        assert_eq!(channel.write(b"x"), Err(Refusal::Gone));
        assert_eq!(channel.read(&mut [0; 4]), Some(Err(Refusal::Gone)));
    }

    #[test]
    fn a_body_is_read_in_order_and_ends() {
        let channel = Channel::default();
        assert_eq!(channel.read(&mut [0; 4]), None);
        assert!(channel.ask() && !channel.ask());
        assert!(channel.received(b"hello"));
        let mut buffer = [0; 3];
        assert_eq!(channel.read(&mut buffer), Some(Ok(3)));
        assert_eq!(&buffer, b"hel");
        channel.end_input(End::Complete);
        assert_eq!(channel.read(&mut buffer), Some(Ok(2)));
        assert_eq!(channel.read(&mut buffer), Some(Ok(0)));
    }
}
