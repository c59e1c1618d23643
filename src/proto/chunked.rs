//! The chunked transfer coding (RFC 9112 §7.1), in pieces of any size.
//!
//! ```text
//!  SizeStart ─► Size ─► Extension ─► SizeEnd ─► Data ─► DataCr ─► DataLf ─► SizeStart
//!                                       └ size 0 ─► Trailer ⇄ TrailerName/Line/Lf, ─► End ─► Done
//! ```
//!
//! Strict about line ends and blanks: what one parser takes for a line's end and another does not moves the end of
//! the message (request smuggling by chunk extensions). Extensions and trailer fields are dropped, as RFC 9110
//! §6.5.1 allows.

use super::Error;

/// Extensions, trailers and leading zeros are of no use to anybody here. So many bytes of them are skipped, beyond
/// twice the data that came with them: a peer must not keep a connection busy with a body that hardly grows.
const IDLE_BYTES_MAX: u64 = 16 * 1024;

/// Takes a chunked body apart.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    /// Of the chunk: what its size line says so far, then its data still to come.
    left: u64,
    /// Skipped bytes that no data has made up for.
    idle: u64,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The first digit of a size.
    #[default]
    SizeStart,
    /// Further digits.
    Size,
    /// Blanks behind a size, which only an extension may follow.
    Blank,
    /// An extension, up to the line's end.
    Extension,
    /// The line feed behind a size.
    SizeEnd,
    Data,
    /// The line end behind data.
    DataCr,
    DataLf,
    /// A trailer line, or the empty line that ends it all.
    Trailer,
    /// The name of a trailer field: a request line that follows too early is none.
    TrailerName,
    TrailerLine,
    TrailerLf,
    /// The last line feed.
    End,
    Done,
}

/// What a call made of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that belong to the body: all of them, unless it is done.
    pub consumed: usize,
    /// The body is complete.
    pub done: bool,
}

impl Decoder {
    /// Appends the data in `input` to `out`.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state != State::Data {
                self.state = self.step(input[at])?;
                at += 1;
                continue;
            }
            let len = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len() - at);
            out.extend_from_slice(&input[at..at + len]);
            at += len;
            self.left -= len as u64;
            self.idle = self.idle.saturating_sub(2 * len as u64);
            if self.left == 0 {
                self.state = State::DataCr;
            }
        }
        Ok(Progress { consumed: at, done: self.state == State::Done })
    }

    /// One byte that is no data.
    fn step(&mut self, byte: u8) -> Result<State, Error> {
        use State as S;
        Ok(match (self.state, byte) {
            (S::SizeStart | S::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => self.digit(byte)?,
            (S::Size | S::Blank, b';') | (S::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.skip(S::Extension)?
            }
            // RFC 9112 §7.1.1: blanks may stand before a `;`, and nowhere else.
            (S::Size | S::Blank, b' ' | b'\t') => self.skip(S::Blank)?,
            (S::Size | S::Extension, b'\r') => S::SizeEnd,
            (S::SizeEnd, b'\n') if self.left == 0 => S::Trailer,
            (S::SizeEnd, b'\n') => S::Data,
            (S::DataCr, b'\r') => S::DataLf,
            (S::DataLf, b'\n') => S::SizeStart,
            (S::Trailer, b'\r') => S::End,
            (S::Trailer | S::TrailerName, byte) if is_token(byte) => self.skip(S::TrailerName)?,
            (S::TrailerName, b':') | (S::TrailerLine, b'\t' | b' '..=b'~' | 0x80..) => {
                self.skip(S::TrailerLine)?
            }
            (S::TrailerLine, b'\r') => S::TrailerLf,
            (S::TrailerLf, b'\n') => S::Trailer,
            (S::End, b'\n') => S::Done,
            (state, _) => return Err(invalid(misplaced(state))),
        })
    }

    fn digit(&mut self, byte: u8) -> Result<State, Error> {
        if self.state == State::Size && self.left == 0 {
            // Leading zeros are allowed, endless ones are not.
            self.skip(State::Size)?;
        }
        // RFC 9112 §7.1: a recipient must anticipate sizes that do not fit.
        let shifted = self.left.checked_mul(16).ok_or_else(|| invalid("a size beyond 64 bits"))?;
        self.left = shifted | u64::from(char::from(byte).to_digit(16).unwrap_or(0));
        Ok(State::Size)
    }

    fn skip(&mut self, next: State) -> Result<State, Error> {
        self.idle += 1;
        if self.idle > IDLE_BYTES_MAX {
            let reason = "chunk extensions and trailer fields of more than 16 KiB";
            return Err(Error::new(431, reason.into()));
        }
        Ok(next)
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// What is wrong where no other byte may stand.
fn misplaced(state: State) -> &'static str {
    match state {
        State::SizeStart | State::Size | State::Blank => "a size that is no number",
        State::Extension => "a bare line feed or control byte in an extension",
        State::Trailer | State::TrailerName => "a trailer that is no field",
        State::TrailerLine => "a bare line feed or control byte in a trailer",
        _ => "a line that does not end with CR LF",
    }
}

#[cold]
fn invalid(what: &str) -> Error {
    Error::new(400, format!("invalid chunked body: {what}"))
}

/// Appends `data` as one chunk. No data makes no chunk: an empty one would be the end.
pub fn encode(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    begin(out, data.len() as u64);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the size line of a chunk of `len` bytes.
pub fn begin(out: &mut Vec<u8>, len: u64) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut left = len;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(left & 15) as usize];
        left >>= 4;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Appends the end of the body.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

#[cfg(test)]
mod tests;
