//! One destination's thread and its queue. The queue is bounded: a destination that does not keep up loses lines,
//! which are counted and said, and keeps nobody waiting.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::dress::Dress;
use super::sinks::Sink;
use super::{Label, Message, Source};
use crate::base::clock;
use crate::base::errors;

/// Bytes that may wait for one destination.
const WAITING_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes written at once, so that a rotation by size comes at about that size.
const BATCH_BYTES: usize = 64 * 1024;

/// The other side's end of a destination.
#[derive(Clone, Debug)]
pub struct Writer(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Item>,
    bytes: usize,
    lost: usize,
    writing: bool,
}

#[derive(Debug)]
enum Item {
    Line(Vec<u8>),
    Reopen,
    Rotate,
}

impl Writer {
    /// Starts the thread of `sink`. `dress`: for what it has to say itself.
    pub fn start(sink: Sink, dress: Dress) -> std::io::Result<Writer> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let hand = Hand { sink, dress, failing: false };
        thread::Builder::new().name("uwring-log".into()).spawn(move || hand.run(&theirs))?;
        Ok(Writer(shared))
    }

    /// Queues a line.
    pub fn push(&self, line: Vec<u8>) {
        let mut state = lock(&self.0);
        if state.bytes + line.len() > WAITING_BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.waiting.push_back(Item::Line(line));
        drop(state);
        self.0.filled.notify_one();
    }

    /// Opens the file anew, behind what is queued.
    pub fn reopen(&self) {
        lock(&self.0).waiting.push_back(Item::Reopen);
        self.0.filled.notify_one();
    }

    /// Renames the file, behind what is queued.
    pub fn rotate(&self) {
        lock(&self.0).waiting.push_back(Item::Rotate);
        self.0.filled.notify_one();
    }

    /// Waits until everything is written, or until then.
    pub fn sync(&self, until: Instant) {
        let mut state = lock(&self.0);
        while !state.waiting.is_empty() || state.writing {
            let left = until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return;
            }
            state = self.0.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the thread has.
struct Hand {
    sink: Sink,
    dress: Dress,
    /// The last write failed, and that was said.
    failing: bool,
}

impl Hand {
    fn run(mut self, shared: &Shared) {
        loop {
            let (items, lost) = next(shared);
            if lost > 0 {
                self.say(&format!(
                    "[uwring] this log is written too slowly: {lost} lines were lost {}",
                    errors::LOG_SLOW
                ));
            }
            self.write(items);
        }
    }

    fn write(&mut self, items: Vec<Item>) {
        let mut lines = Vec::new();
        for item in items {
            match item {
                Item::Line(line) => lines.push(line),
                Item::Reopen => {
                    self.put(&mut lines);
                    if let Err(cause) = self.sink.reopen() {
                        self.say(&format!(
                            "[uwring] cannot open the log anew: {cause} {}",
                            errors::LOG_NOT_MOVED
                        ));
                    }
                }
                Item::Rotate => {
                    self.put(&mut lines);
                    self.rotate();
                }
            }
        }
        self.put(&mut lines);
        if self.sink.is_full() {
            self.rotate();
        }
    }

    fn rotate(&mut self) {
        match self.sink.rotate() {
            Ok(Some((bytes, to))) => {
                self.say(&format!("logsize: {bytes}, triggering rotation to {}...", to.display()));
            }
            Ok(None) => {}
            Err(cause) => {
                self.say(&format!("[uwring] cannot rename the log: {cause} {}", errors::LOG_NOT_MOVED))
            }
        }
    }

    fn put(&mut self, lines: &mut Vec<Vec<u8>>) {
        if lines.is_empty() {
            return;
        }
        let (count, apart) = (lines.len(), self.sink.takes_lines_apart());
        let packed = self.dress.pack(std::mem::take(lines), apart);
        let result =
            self.sink.write(&packed).map_err(|(failed, cause)| (if apart { failed } else { count }, cause));
        match result {
            Ok(()) => self.failing = false,
            Err((count, cause)) => {
                // Said once, where it may be read: on the standard error that the server was started with.
                if !std::mem::replace(&mut self.failing, true) {
                    let path =
                        self.sink.path().map(|path| format!(" {}", path.display())).unwrap_or_default();
                    eprintln!(
                        "[uwring] cannot write to the log{path}: {cause} ({count} lines were lost) {}",
                        errors::LOG_UNWRITABLE
                    );
                }
            }
        }
    }

    /// A line of its own, into the same log.
    fn say(&mut self, text: &str) {
        let label = Label { source: Source::Server, pid: std::process::id(), worker: 0 };
        let line = self.dress.put_on(Message { label, text: text.as_bytes() }, clock::wall());
        self.put(&mut vec![line]);
    }
}

/// Waits for lines, and takes some; with the number of those lost since.
fn next(shared: &Shared) -> (Vec<Item>, usize) {
    let mut state = lock(shared);
    state.writing = false;
    if state.waiting.is_empty() {
        shared.emptied.notify_all();
    }
    while state.waiting.is_empty() {
        state = shared.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    let mut items = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES
        && let Some(item) = state.waiting.pop_front()
    {
        if let Item::Line(line) = &item {
            bytes += line.len();
        }
        items.push(item);
    }
    state.bytes -= bytes;
    state.writing = true;
    (items, std::mem::take(&mut state.lost))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_a_slow_reader_misses_is_counted_and_said() {
        let (reader, writer) = UnixStream::pair().expect("a pair");
        let sink = Sink::Stream(std::fs::File::from(std::os::fd::OwnedFd::from(writer)));
        let writer = Writer::start(sink, Dress::new(false, &[], None)).expect("started");
        let line = [vec![b'x'; 1024 * 1024 - 1], vec![b'\n']].concat();
        let pushed = 2 * WAITING_BYTES_MAX / line.len();
        (0..pushed).for_each(|_| writer.push(line.clone()));
        // Now it is read, up to the line that is none of those.
        let mut text = BufReader::new(reader);
        let said = "[uwring] this log is written too slowly: ";
        let mut rest = String::new();
        while !rest.starts_with(said) {
            rest.clear();
            text.read_line(&mut rest).expect("read");
        }
        let lost: usize =
            rest[said.len()..].split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        assert!(lost > 0 && lost < pushed, "{lost} of {pushed}");
        let reading = std::thread::spawn(move || text.lines().map_while(Result::ok).last());
        writer.sync(Instant::now() + Duration::from_secs(30));
        writer.push(b"again\n".to_vec());
        writer.sync(Instant::now() + Duration::from_secs(30));
        drop(reading);
    }
}
