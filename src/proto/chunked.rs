//! The chunked transfer coding (RFC 9112 §7.1), in pieces of any size.

use super::Error;

/// A chunk's extensions are of no use to anybody here; so many bytes of them are skipped, per size line.
const EXTENSION_BYTES_MAX: usize = 1024;
/// Trailer fields are dropped (RFC 9110 §6.5.1 allows it); so many bytes of them are.
const TRAILER_BYTES_MAX: usize = 8192;

/// Takes a chunked body apart.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The first digit of a size.
    #[default]
    Start,
    /// Further digits.
    Size(u64),
    /// An extension, up to the line's end.
    Extension {
        size: u64,
        seen: usize,
    },
    /// The line feed behind a size.
    SizeEnd(u64),
    /// Data.
    Data(u64),
    /// The line end behind data.
    DataCr,
    DataLf,
    /// A trailer line: bytes seen of all, and whether this line has begun.
    Trailer {
        seen: usize,
        begun: bool,
    },
    /// The line feed of a trailer line, or of the empty one that ends it all.
    TrailerLf {
        seen: usize,
        begun: bool,
    },
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
            if let State::Data(left) = self.state {
                let n = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                out.extend_from_slice(&input[at..at + n]);
                at += n;
                self.state = if n as u64 == left { State::DataCr } else { State::Data(left - n as u64) };
                continue;
            }
            self.state = step(self.state, input[at])?;
            at += 1;
        }
        Ok(Progress { consumed: at, done: self.state == State::Done })
    }
}

fn step(state: State, byte: u8) -> Result<State, Error> {
    Ok(match (state, byte) {
        (State::Start, _) => State::Size(digit(byte).ok_or_else(|| invalid("a size that is no number"))?),
        (State::Size(size), b'\r') => State::SizeEnd(size),
        (State::Size(size), b';' | b' ' | b'\t') => State::Extension { size, seen: 0 },
        (State::Size(size), _) => {
            let digit = digit(byte).ok_or_else(|| invalid("a size that is no number"))?;
            let shifted = size.checked_mul(16).ok_or_else(|| invalid("a size beyond 64 bits"))?;
            State::Size(shifted | digit)
        }
        (State::Extension { size, .. }, b'\r') => State::SizeEnd(size),
        (State::Extension { .. }, b'\n' | 0) => {
            return Err(invalid("a bare line feed or NUL in an extension"));
        }
        (State::Extension { seen, .. }, _) if seen >= EXTENSION_BYTES_MAX => {
            return Err(invalid("extensions of more than 1 KiB"));
        }
        (State::Extension { size, seen }, _) => State::Extension { size, seen: seen + 1 },
        (State::SizeEnd(0), b'\n') => State::Trailer { seen: 0, begun: false },
        (State::SizeEnd(size), b'\n') => State::Data(size),
        (State::DataCr, b'\r') => State::DataLf,
        (State::DataLf, b'\n') => State::Start,
        (State::Trailer { seen, begun }, b'\r') => State::TrailerLf { seen, begun },
        (State::Trailer { .. }, b'\n' | 0) => return Err(invalid("a bare line feed or NUL in a trailer")),
        (State::Trailer { seen, .. }, _) if seen >= TRAILER_BYTES_MAX => {
            return Err(Error::new(431, "trailer fields of more than 8 KiB".into()));
        }
        (State::Trailer { seen, .. }, _) => State::Trailer { seen: seen + 1, begun: true },
        (State::TrailerLf { begun: false, .. }, b'\n') => State::Done,
        (State::TrailerLf { seen, begun: true }, b'\n') => State::Trailer { seen, begun: false },
        _ => return Err(invalid("a line that does not end with CR LF")),
    })
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}

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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BODY: &[u8] = b"4\r\nWiki\r\n6;name=\"v\"\r\npedia \r\n0E\r\nin \r\n\r\nchunks.\r\n0\r\nX-Trailer: a\r\n\r\nGET /next";

    #[test]
    fn a_body_is_the_same_at_every_split_and_byte_by_byte() {
        for split in 0..BODY.len() {
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            let first = decoder.decode(&BODY[..split], &mut out).expect("good");
            let mut end = first.consumed;
            if !first.done {
                let rest = decoder.decode(&BODY[split..], &mut out).expect("good");
                assert!(rest.done);
                end += rest.consumed;
            }
            assert_eq!(out, b"Wikipedia in \r\n\r\nchunks.");
            assert_eq!(&BODY[end..], b"GET /next");
        }
        let (mut decoder, mut out) = (Decoder::default(), Vec::new());
        let done = BODY.iter().position(|b| decoder.decode(&[*b], &mut out).expect("good").done);
        assert_eq!(done, Some(BODY.len() - 10));
    }

    #[test]
    fn what_is_not_exactly_chunked_is_refused() {
        let long = format!("1;{}\r\n", "x".repeat(2000));
        let cases: &[&[u8]] = &[
            b"\r\n",
            b"g\r\n",
            b"-1\r\n",
            b"+1\r\n",
            b"0x1\r\n",
            b"1\n",
            b"1\rx",
            b"1\r\nab",
            b"1\r\na\n",
            b"1\r\na\rx",
            b"10000000000000000\r\n",
            b"0\r\n\n",
            b"0\r\nA: b\n",
            b"1;a\nb",
            long.as_bytes(),
        ];
        for case in cases {
            let refused = Decoder::default().decode(case, &mut Vec::new());
            assert!(refused.is_err(), "{:?}", String::from_utf8_lossy(case));
        }
    }

    #[test]
    fn the_largest_size_is_no_overflow() {
        let mut decoder = Decoder::default();
        let progress = decoder.decode(b"ffffffffffffffff\r\nab", &mut Vec::new()).expect("a size");
        assert_eq!(progress, Progress { consumed: 20, done: false });
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..10), split in 0usize..100) {
            let mut wire = Vec::new();
            pieces.iter().for_each(|piece| encode(&mut wire, piece));
            end(&mut wire);
            let split = split.min(wire.len());
            let (mut decoder, mut out) = (Decoder::default(), Vec::new());
            decoder.decode(&wire[..split], &mut out).expect("ours");
            let last = decoder.decode(&wire[split..], &mut out).expect("ours");
            prop_assert!(last.done || split == wire.len());
            prop_assert_eq!(out, pieces.concat());
        }

        #[test]
        fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Decoder::default().decode(&data, &mut Vec::new());
        }
    }
}
