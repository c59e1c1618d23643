//! Chunked transfer coding (RFC 9112 §7.1): an incremental decoder, and what frames a chunk on the way out.
//!
//! ```text
//!  Size ─► Extension ─► SizeEnd ─► Data ─► DataCr ─► DataLf ─► Size
//!                          └ size 0 ─► Trailer ⇄ TrailerLine ─► … ─► End ─► Done
//! ```
//!
//! Called by `worker` for request bodies, and by `head::BodyOut`. Extensions and trailers are read and dropped.
//! Strict about line ends: a bare LF or CR that one parser takes and another does not moves the end of the message.

use super::Error;
use crate::base::digits;

/// Bytes of extensions and trailers in one body. They carry nothing we use; without a bound a peer could keep a
/// connection busy for ever with a body that never grows.
pub const OVERHEAD_BYTES_MAX: usize = 16 * 1024;

/// The chunk that ends a body, without trailers.
pub const LAST: &[u8] = b"0\r\n\r\n";

/// What one call of [`Decoder::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the input that are used up. Less than all of them where the room was filled or the body ended.
    pub consumed: usize,
    /// The body ended; what follows is the next request.
    pub done: bool,
}

/// Where in the coding the next byte falls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    #[default]
    SizeStart,
    /// Behind a digit.
    Size,
    /// Blanks behind the size, which only an extension may follow.
    Blank,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line, or of the empty line that ends the body.
    Trailer,
    TrailerLine,
    TrailerLf,
    End,
    Done,
}

/// Reads one chunked body, in pieces of any size.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decoder {
    state: State,
    /// Of the size line, then of the data still to come.
    left: u64,
    overhead: usize,
}

impl Decoder {
    /// At the start of a body.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Whether the body ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes `input`, appends body bytes to `out`, at most `room` of them. Call again with what was not consumed
    /// when there is room again. After an error the connection is of no more use.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>, room: usize) -> Result<Progress, Error> {
        let (mut at, mut room) = (0, room);
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let len = left.min(room).min(input.len() - at);
                if len == 0 {
                    break;
                }
                out.extend_from_slice(&input[at..at + len]);
                (at, room, self.left) = (at + len, room - len, self.left - len as u64);
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(Progress { consumed: at, done: self.is_done() })
    }

    /// One byte outside the data.
    fn step(&mut self, byte: u8) -> Result<State, Error> {
        use State as S;
        Ok(match (self.state, byte) {
            (S::SizeStart | S::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (S::Size | S::Blank, b';') | (S::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extra(S::Extension)?
            }
            // RFC 9112 §7.1.1: blanks may stand before the `;`, and nowhere else.
            (S::Size | S::Blank, b' ' | b'\t') => self.extra(S::Blank)?,
            (S::Size | S::Extension, b'\r') => S::SizeEnd,
            (S::SizeEnd, b'\n') if self.left == 0 => S::Trailer,
            (S::SizeEnd, b'\n') => S::Data,
            (S::DataCr, b'\r') => S::DataLf,
            (S::DataLf, b'\n') => S::SizeStart,
            (S::Trailer, b'\r') => S::End,
            (S::Trailer, b'!'..=b'~') | (S::TrailerLine, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extra(S::TrailerLine)?
            }
            (S::TrailerLine, b'\r') => S::TrailerLf,
            (S::TrailerLf, b'\n') => S::Trailer,
            (S::End, b'\n') => S::Done,
            (state, byte) => return Err(invalid(state, byte)),
        })
    }

    fn digit(&mut self, byte: u8) -> Result<State, Error> {
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        if self.state == State::Size && self.left == 0 {
            // Leading zeros are allowed, endless ones are not.
            self.extra(State::Size)?;
        }
        // The top four bits must be free before the shift (RFC 9112 §7.1: recipients MUST anticipate overflow).
        if self.left >> 60 != 0 {
            return Err(Error::refuse(400, "invalid chunked body: chunk size overflow"));
        }
        self.left = self.left << 4 | u64::from(digit);
        Ok(State::Size)
    }

    fn extra(&mut self, next: State) -> Result<State, Error> {
        self.overhead += 1;
        if self.overhead > OVERHEAD_BYTES_MAX {
            let reason = format!("chunk extensions and trailers beyond {OVERHEAD_BYTES_MAX} bytes");
            return Err(Error::refuse(431, reason));
        }
        Ok(next)
    }
}

#[cold]
fn invalid(state: State, byte: u8) -> Error {
    let place = match state {
        State::SizeStart | State::Size | State::Blank => "in a chunk size",
        State::Extension => "in a chunk extension",
        State::DataCr | State::DataLf => "after the data of a chunk",
        State::SizeEnd | State::TrailerLf | State::End => "where a line ends",
        State::Trailer | State::TrailerLine => "in a trailer",
        State::Data | State::Done => "outside the body",
    };
    Error::refuse(400, format!("invalid chunked body: \"{}\" {place}", byte.escape_ascii()))
}

/// Appends what goes before a chunk of `len` bytes; `len` 0 would end the body, so there is no such chunk.
pub fn open(out: &mut Vec<u8>, len: u64) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    digits::hexadecimal(out, len);
    out.extend_from_slice(b"\r\n");
}

/// Appends what goes behind a chunk.
pub fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Appends `data` as a chunk; nothing for no data.
pub fn encode(out: &mut Vec<u8>, data: &[u8]) {
    if !data.is_empty() {
        open(out, data.len() as u64);
        out.extend_from_slice(data);
        close(out);
    }
}

#[cfg(test)]
mod tests;
