//! The worker's log: request lines gathered over a turn and written at once. A log that is a file is written
//! directly (the page cache takes it); a pipe or a terminal, whose reader may be slow, through the engine, one
//! write at a time. What a slow reader leaves waiting is bounded, and what is lost beyond is counted and said.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use super::Plan;
use super::connection::Name;
use crate::base::clock::{self, Micros};
use crate::base::errors;
use crate::engine::Reactor;
use crate::logging::format::{Line, Record};
use crate::logging::relay::lines::SERVER_MARK;
use crate::logging::relay::ports;
use crate::options::settings::Settings;

/// Request lines waiting for a slow reader, bytes.
const WAITING_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Lines a peer can cause, per second; more are counted.
const REFUSALS_PER_SECOND: u32 = 10;

const SECOND_US: u64 = 1_000_000;

/// See the module's page.
pub struct Logbook {
    line: Line,
    /// Of this process: asking the kernel each time would be a system call.
    pid: u32,
    sink: Option<Arc<File>>,
    direct: bool,
    /// Lines of ours among the requests are marked for the log process.
    marked: bool,
    waiting: Vec<u8>,
    writing: bool,
    lost: u64,
    refusals: u32,
    refusals_since: Micros,
    unsaid: u64,
    wall: Wall,
}

/// What the wall clock is ahead of the monotonic one, microseconds: looked at once a second, for somebody may set it.
#[derive(Clone, Copy, Debug, Default)]
struct Wall {
    ahead_us: u64,
    looked: Option<Micros>,
}

impl Logbook {
    /// To the log process where there is one, else on standard error, where the master has put the log.
    pub fn new(plan: &Plan) -> Logbook {
        let relayed = ports::requests(plan.id);
        let marked = relayed.is_some();
        let sink = relayed.unwrap_or_else(crate::sys::process::stderr_copy).ok();
        Logbook { marked, ..Logbook::of(&plan.settings, sink) }
    }

    fn of(settings: &Settings, sink: Option<File>) -> Logbook {
        let direct = sink.as_ref().and_then(|f| f.metadata().ok()).is_some_and(|m| m.is_file());
        Logbook {
            line: Line::compile(&settings.logging),
            pid: std::process::id(),
            sink: sink.map(Arc::new),
            direct,
            marked: false,
            waiting: Vec::new(),
            writing: false,
            lost: 0,
            refusals: 0,
            refusals_since: clock::now(),
            unsaid: 0,
            wall: Wall::default(),
        }
    }

    /// This process, as request lines say it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether request lines say how many requests all workers have had.
    pub fn tells_total(&self) -> bool {
        self.line.tells_total()
    }

    /// Microseconds since the epoch at `moment`, by what the wall clock says about `now`.
    pub fn wall_us(&mut self, moment: Micros, now: Micros) -> u64 {
        if self.wall.looked.is_none_or(|looked| now.since(looked) >= SECOND_US) {
            let ahead_us = clock::wall().saturating_sub(clock::now().0);
            self.wall = Wall { ahead_us, looked: Some(now) };
        }
        self.wall.ahead_us + moment.0
    }

    /// Adds a request line.
    pub fn request(&mut self, record: &Record<'_>) {
        if self.waiting.len() > WAITING_BYTES_MAX {
            self.lost += 1;
            return;
        }
        self.line.append(&mut self.waiting, record);
    }

    /// Adds a line that a peer can cause, at most so many a second: the others are counted, and their number is said.
    pub fn by_peer(&mut self, now: Micros, text: impl FnOnce() -> String) {
        self.say_number(now);
        self.refusals += 1;
        if self.refusals > REFUSALS_PER_SECOND {
            self.unsaid += 1;
            return;
        }
        self.say(&text());
    }

    /// Adds a line of the server.
    fn say(&mut self, text: &str) {
        if self.marked {
            self.waiting.push(SERVER_MARK);
        }
        crate::logging::append(&mut self.waiting, text);
    }

    /// Says how many lines were left out, once their second is over.
    pub fn say_number(&mut self, now: Micros) {
        if now.since(self.refusals_since) < SECOND_US {
            return;
        }
        if self.unsaid > 0 {
            let line =
                format!("[uwring] {} more refusals in one second were not logged one by one", self.unsaid);
            self.say(&line);
        }
        (self.refusals, self.refusals_since, self.unsaid) = (0, now, 0);
    }

    /// Milliseconds until there is a number to say.
    pub fn number_due(&self, now: Micros) -> Option<u64> {
        (self.unsaid > 0).then(|| SECOND_US.saturating_sub(now.since(self.refusals_since)).div_ceil(1000))
    }

    /// Writes what has gathered, or has it written.
    pub fn flush(&mut self, engine: &mut impl Reactor) {
        if self.waiting.is_empty() || self.writing {
            return;
        }
        if self.direct {
            return self.flush_now();
        }
        if let Some(sink) = &self.sink {
            self.writing = true;
            engine.write(sink, Name::Log.token(), std::mem::take(&mut self.waiting), None);
        }
    }

    /// Writes what has gathered, waiting for the reader.
    pub fn flush_now(&mut self) {
        if let Some(sink) = &self.sink {
            // A log that cannot be written has nowhere to be reported.
            let _ = (&**sink).write_all(&self.waiting);
        }
        self.waiting.clear();
    }

    /// The engine's write has ended.
    pub fn written(&mut self, result: io::Result<()>, mut buffer: Vec<u8>) {
        self.writing = false;
        let works = result.is_ok();
        self.lost += u64::from(!works);
        if self.waiting.is_empty() {
            buffer.clear();
            self.waiting = buffer;
        }
        // Where nothing can be written, saying so would fail for ever, and at once.
        if works && self.lost > 0 && self.waiting.len() < WAITING_BYTES_MAX {
            let line = format!(
                "[uwring] the reader of the log is too slow: {} lines were lost {}",
                self.lost,
                errors::LOG_SLOW
            );
            self.say(&line);
            self.lost = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_cannot_be_written_is_not_tried_again_at_once() {
        let mut logbook = Logbook::of(&Settings::default(), None);
        logbook.writing = true;
        logbook.written(Err(io::ErrorKind::BrokenPipe.into()), b"a line\n".to_vec());
        assert!(logbook.waiting.is_empty() && !logbook.writing);
        logbook.written(Ok(()), Vec::new());
        assert!(String::from_utf8_lossy(&logbook.waiting).contains("1 lines were lost"));
    }
}
