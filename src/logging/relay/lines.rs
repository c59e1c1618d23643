//! Bytes of a pipe become messages: lines, and tracebacks kept together.

use std::time::{Duration, Instant};

use super::ports::Frames;
use super::{Label, Message, Source};

/// A line that does not end is passed on in pieces of this many bytes.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the rest of a traceback is waited for: it is printed line by line.
const TRACEBACK_WAIT: Duration = Duration::from_millis(200);

/// Begins a line of the request pipe that is the server's own.
pub const SERVER_MARK: u8 = 1;

/// One pipe's bytes on their way to be messages.
#[derive(Debug)]
pub struct Lines {
    label: Label,
    frames: Frames,
    /// What has come of a line.
    part: Vec<u8>,
    /// Lines that belong together, so far.
    block: Vec<u8>,
    state: Block,
    /// Whether tracebacks are one message.
    together: bool,
    /// When the rest of a traceback is not waited for any more.
    due: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    None,
    /// A line behind which a traceback may come: the message that it belongs to.
    Line,
    /// Inside a traceback: the line that ends it has no blank in front.
    Traceback,
    /// Behind a traceback: that of the exception it came from may follow.
    Behind,
}

const TRACEBACK: &[u8] = b"Traceback (most recent call last):";
/// Between the tracebacks of two exceptions.
const CHAINED: [&[u8]; 2] =
    [b"During handling of the above exception", b"The above exception was the direct cause"];

impl Lines {
    /// Of the pipe with this label. `together`: tracebacks are one message.
    pub fn new(label: Label, together: bool) -> Lines {
        let together = together && label.source == Source::Output;
        Lines {
            label,
            frames: Frames::default(),
            part: Vec::new(),
            block: Vec::new(),
            state: Block::None,
            together,
            due: None,
        }
    }

    /// Takes what was read.
    pub fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(Message<'_>)) {
        let label = self.label;
        if label.source == Source::Server {
            return self.frames.feed(bytes, |text| each(Message { label, text }));
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.part.extend_from_slice(piece);
            if self.part.last() == Some(&b'\n') {
                self.part.pop();
            } else if self.part.len() < LINE_BYTES_MAX {
                continue;
            }
            let mut line = std::mem::take(&mut self.part);
            self.line(&line, each);
            line.clear();
            self.part = line;
        }
    }

    fn line(&mut self, line: &[u8], each: &mut impl FnMut(Message<'_>)) {
        let mut label = self.label;
        if !self.together {
            let text = match line {
                [SERVER_MARK, text @ ..] if label.source == Source::Request => {
                    label.source = Source::Server;
                    text
                }
                text => text,
            };
            return each(Message { label, text });
        }
        let indented = line.is_empty() || line.starts_with(b" ") || line.starts_with(b"\t");
        let goes_on = match self.state {
            // A blank in front says nothing of a line outside a traceback: it may be another print.
            Block::None | Block::Line => false,
            Block::Traceback => true,
            Block::Behind => indented || CHAINED.iter().any(|start| line.starts_with(start)),
        };
        if !goes_on && line != TRACEBACK {
            self.flush(each);
        } else if self.state != Block::None {
            self.block.push(b'\n');
        }
        self.block.extend_from_slice(line);
        self.state = match self.state {
            _ if line == TRACEBACK => Block::Traceback,
            Block::Traceback if indented => Block::Traceback,
            Block::Traceback | Block::Behind if goes_on => Block::Behind,
            _ => Block::Line,
        };
    }

    /// Everything that was there has been read: what does not wait for more goes on.
    pub fn pause(&mut self, now: Instant, each: &mut impl FnMut(Message<'_>)) {
        match self.state {
            Block::None => self.due = None,
            Block::Line => self.flush(each),
            Block::Traceback | Block::Behind => self.due = Some(now + TRACEBACK_WAIT),
        }
    }

    /// When to call [`Lines::tick`].
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant, each: &mut impl FnMut(Message<'_>)) {
        if self.due.is_some_and(|due| due <= now) {
            self.flush(each);
        }
    }

    /// The end: what is left is a message too.
    pub fn end(&mut self, each: &mut impl FnMut(Message<'_>)) {
        if !self.part.is_empty() {
            let line = std::mem::take(&mut self.part);
            self.line(&line, each);
        }
        self.flush(each);
    }

    fn flush(&mut self, each: &mut impl FnMut(Message<'_>)) {
        if self.state != Block::None {
            // Behind a traceback an empty line was kept for what might follow.
            let text = if self.state == Block::Behind { self.block.trim_ascii_end() } else { &self.block };
            each(Message { label: self.label, text });
        }
        self.block.clear();
        (self.state, self.due) = (Block::None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(source: Source, together: bool, pieces: &[&[u8]]) -> Vec<(Source, String)> {
        let mut lines = Lines::new(Label { source, pid: 1, worker: 1 }, together);
        let mut got = Vec::new();
        let mut each = |message: Message<'_>| {
            got.push((message.label.source, String::from_utf8_lossy(message.text).into_owned()));
        };
        let now = Instant::now();
        for piece in pieces {
            lines.feed(piece, &mut each);
            lines.pause(now, &mut each);
        }
        lines.end(&mut each);
        got
    }

    fn texts(pieces: &[&[u8]]) -> Vec<String> {
        read(Source::Output, true, pieces).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn lines_are_told_apart_wherever_they_were_cut() {
        let whole = b"one\ntwo\n\nrest";
        for size in 1..whole.len() {
            let pieces: Vec<&[u8]> = whole.chunks(size).collect();
            let got = read(Source::Output, false, &pieces);
            assert_eq!(
                got.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>(),
                ["one", "two", "", "rest"]
            );
            assert_eq!(texts(&pieces), ["one", "two", "", "rest"], "{size}");
        }
    }

    #[test]
    fn a_traceback_is_one_message() {
        let text = "before\nERROR:root:oh\nTraceback (most recent call last):\n  File \"x\", line 1\n    a()\n\
                    ValueError: y\nnext\n";
        let traceback =
            "ERROR:root:oh\nTraceback (most recent call last):\n  File \"x\", line 1\n    a()\nValueError: y";
        assert_eq!(texts(&[text.as_bytes()]), ["before", traceback, "next"]);
        // Printed line by line, the line before has gone on.
        let lines: Vec<&[u8]> = text.as_bytes().split_inclusive(|byte| *byte == b'\n').collect();
        let alone = traceback.split_once('\n').map(|(_, rest)| rest.to_owned()).expect("two lines");
        assert_eq!(texts(&lines), ["before", "ERROR:root:oh", &alone, "next"]);
        let chain = format!(
            "{alone}\n\nDuring handling of the above exception, another exception occurred:\n\n{alone}"
        );
        assert_eq!(texts(&[format!("{chain}\nnext").as_bytes()]), [&chain, "next"]);
    }

    #[test]
    fn a_traceback_that_breaks_off_is_not_waited_for_for_ever() {
        let mut lines = Lines::new(Label { source: Source::Output, pid: 1, worker: 1 }, true);
        let mut got = Vec::new();
        let now = Instant::now();
        let mut each = |message: Message<'_>| got.push(message.text.to_vec());
        lines.feed(b"Traceback (most recent call last):\n", &mut each);
        lines.pause(now, &mut each);
        lines.tick(now, &mut each);
        let due = lines.due().expect("it waits");
        lines.tick(due, &mut each);
        assert_eq!((got, lines.due()), (vec![TRACEBACK.to_vec()], None));
    }

    #[test]
    fn the_servers_lines_among_requests_are_marked() {
        let got = read(Source::Request, true, &[b"GET /\n\x01refused\n"]);
        assert_eq!(got, [(Source::Request, "GET /".to_owned()), (Source::Server, "refused".to_owned())]);
    }
}
