//! Bytes ⇄ messages. No I/O, no clock, no unsafe: the caller brings bytes and obeys the answer.

pub mod chunked;
pub mod head;
pub mod http;
pub mod uwsgi;

use crate::base::{digits, limits};

/// What a parser made of the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The head is not complete; call again with the same bytes and more behind them.
    NeedMore,
    /// The head is complete: its length is in `Request::head_bytes`, the body (or the next request) follows.
    Head,
}

/// What the peer did wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Status of the refusal sent to the peer, `None` where the connection is closed without one.
    pub status: Option<u16>,
    /// For the log: what was wrong, with sizes and the option that would change it.
    pub reason: String,
}

impl Error {
    /// The peer is told `status`.
    pub fn refuse(status: u16, reason: impl Into<String>) -> Error {
        Error { status: Some(status), reason: reason.into() }
    }

    /// The connection ends without an answer.
    pub fn close(reason: impl Into<String>) -> Error {
        Error { status: None, reason: reason.into() }
    }
}

/// `Content-Length`: digits and nothing else (RFC 9110 §8.6). What another parser could read differently, a sign,
/// a blank, a list, is refused: two ends that disagree about a body's length are how requests are smuggled.
fn content_length(text: &[u8]) -> Result<u64, Error> {
    match digits::parse(text) {
        Some(length) => Ok(length),
        None => Err(Error::refuse(400, format!("invalid Content-Length \"{}\"", text.escape_ascii()))),
    }
}

/// Limits of one request head.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `buffer-size`: bytes of the uwsgi block, or of the HTTP head.
    pub head_bytes: usize,
    /// Variables or fields.
    pub vars: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { head_bytes: limits::BUFFER_SIZE_DEFAULT as usize, vars: limits::VARS_MAX }
    }
}
