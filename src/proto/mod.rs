//! Bytes ⇄ messages. No I/O, no clock, no unsafe: the caller brings bytes and obeys the answer.

pub mod chunked;
pub mod fastcgi;
pub mod forwarded;
pub mod head;
pub mod http;
pub mod path;
pub mod proxy;
pub mod scgi;
pub mod trace;
pub mod uwsgi;
mod vars;

use crate::base::limits;
use crate::base::protocol::SocketProtocol;
use crate::request::{Body, Request};

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
    /// Answered with `status`.
    pub fn new(status: u16, reason: String) -> Error {
        Error { status: Some(status), reason }
    }
}

/// Whether what begins with these bytes on such a socket is HTTP. A packet for us begins with 0 or 30 (modifier1), no
/// method does.
#[inline]
pub fn is_http(protocol: SocketProtocol, data: &[u8]) -> bool {
    match protocol {
        SocketProtocol::Uwsgi => false,
        SocketProtocol::Http => true,
        SocketProtocol::Auto => data.first().is_some_and(|byte| http::may_begin(*byte)),
        _ => false,
    }
}

/// Parses a request in the protocol that a front end speaks on such a socket.
#[inline]
pub fn parse(
    protocol: SocketProtocol,
    data: &[u8],
    limits: &Limits,
    request: &mut Request,
) -> Result<Step, Error> {
    match protocol {
        SocketProtocol::FastCgi | SocketProtocol::FastCgiNph => {
            fastcgi::parse(data, limits, protocol.is_cgi(), request)
        }
        SocketProtocol::Scgi | SocketProtocol::ScgiNph => {
            scgi::parse(data, limits, protocol.is_cgi(), request)
        }
        _ => uwsgi::parse(data, limits, request),
    }
}

/// Takes a body apart that does not come as it is.
#[derive(Debug)]
pub enum Decoder {
    /// HTTP chunks.
    Chunked(chunked::Decoder),
    /// FastCGI records.
    Records(fastcgi::Stdin),
}

impl Decoder {
    /// For the body of this request.
    pub fn new(request: &Request) -> Decoder {
        match request.body {
            Body::Records(len) => Decoder::Records(fastcgi::Stdin::new(request.record_id, len)),
            _ => Decoder::Chunked(chunked::Decoder::default()),
        }
    }

    /// Appends the data in `input` to `out`.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<chunked::Progress, Error> {
        match self {
            Decoder::Chunked(decoder) => decoder.decode(input, out),
            Decoder::Records(decoder) => decoder.decode(input, out),
        }
    }
}

/// A `Content-Length`: digits and nothing else (RFC 9110 §8.6).
fn content_length(text: &[u8]) -> Result<u64, Error> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| digits).and_then(|text| text.parse().ok());
    number.ok_or_else(|| Error::new(400, "a Content-Length that is no number".into()))
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
