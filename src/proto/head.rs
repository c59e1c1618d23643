//! Response heads, the framing of what follows them, and the small complete answers the server gives itself.
//!
//! Over uwsgi the application's fields go out as they are: the front end frames the answer. Over HTTP the server
//! is the front end: it dates the answer, says how long it is, and whether the connection goes on (RFC 9112 §6, §9).
//! Called by `worker`, which owns the buffers and the clock.

mod date;

pub use self::date::DateCache;

use super::chunked;
use crate::base::digits::decimal;
use crate::request::{Request, Version};

/// Status and fields as the application gave them: the safe twin of `uwring_abi::ResponseHead`, under the same
/// promises (checked text, no hop-by-hop fields).
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Three-digit code.
    pub status: u16,
    /// Code and reason, as `200 OK`.
    pub status_line: &'a [u8],
    /// `Name: value CRLF` each.
    pub fields: &'a [u8],
    /// Value of the Content-Length among `fields`.
    pub content_length: Option<u64>,
    /// Date is among `fields`.
    pub has_date: bool,
    /// The application asked for `Connection: close`.
    pub close: bool,
}

/// What is known about the body when the head is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// The body is complete, this many bytes.
    Known(u64),
    /// More of it may come.
    Unknown,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is none, whatever the application produces.
    None,
    /// Exactly so many bytes.
    Sized(u64),
    /// Chunks.
    Chunked,
    /// Whatever comes until the connection ends.
    UntilClose,
}

/// What the head promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// How the body is delimited.
    pub body: BodyFraming,
    /// The connection may carry another request, once the body is out as promised.
    pub keep_alive: bool,
}

/// Appends the head of an answer to `req` and says how the body must follow. `draining`: the server lets its
/// connections go.
pub fn encode(
    out: &mut Vec<u8>,
    req: &Request,
    head: &Head<'_>,
    length: Length,
    date: &DateCache,
    draining: bool,
) -> Framing {
    // One growth at most; the fields are the only part of any size.
    out.reserve(head.status_line.len() + head.fields.len() + 160);
    let framing = promise(req, head, length, draining);
    if req.version == Version::Uwsgi {
        let protocol = if req.protocol_echo.is_empty() { "HTTP/1.0" } else { req.protocol_echo };
        out.extend_from_slice(protocol.as_bytes());
        out.push(b' ');
        out.extend_from_slice(head.status_line);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(head.fields);
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(head.status_line);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(head.fields);
        http_fields(out, req, head, length, date, framing);
    }
    out.extend_from_slice(b"\r\n");
    framing
}

fn promise(req: &Request, head: &Head<'_>, length: Length, draining: bool) -> Framing {
    let body = match (head.content_length, length) {
        _ if req.is_head || bodiless(head.status) => BodyFraming::None,
        (Some(length), _) => BodyFraming::Sized(length),
        (None, _) if req.version == Version::Uwsgi => BodyFraming::UntilClose,
        (None, Length::Known(length)) => BodyFraming::Sized(length),
        (None, Length::Unknown) if req.version == Version::Http11 => BodyFraming::Chunked,
        (None, Length::Unknown) => BodyFraming::UntilClose,
    };
    let keep_alive = req.version != Version::Uwsgi
        && req.keep_alive
        && !head.close
        && !draining
        && body != BodyFraming::UntilClose
        // An interim status in place of the final one leaves the client waiting: it has to see an end.
        && head.status >= 200;
    Framing { body, keep_alive }
}

/// Statuses whose answers end with the head (RFC 9112 §6.3).
fn bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// What HTTP wants said and the application has not.
fn http_fields(
    out: &mut Vec<u8>,
    req: &Request,
    head: &Head<'_>,
    length: Length,
    date: &DateCache,
    framing: Framing,
) {
    if !head.has_date {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date.text());
        out.extend_from_slice(b"\r\n");
    }
    match (framing.body, length) {
        (BodyFraming::Chunked, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        (BodyFraming::Sized(length), _) if head.content_length.is_none() => field_length(out, length),
        // To HEAD the length that GET would have: known only where the application produced that body
        // (RFC 9110 §8.6). 1xx, 204 and 304 say none.
        (BodyFraming::None, Length::Known(length @ 1..))
            if head.content_length.is_none() && !bodiless(head.status) =>
        {
            field_length(out, length);
        }
        _ => {}
    }
    if !framing.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if req.version == Version::Http10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
}

fn field_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    decimal(out, length);
    out.extend_from_slice(b"\r\n");
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As the head promised.
    Whole,
    /// So many bytes less than promised: the connection must be closed, that the client notices.
    Short(u64),
}

/// Holds a body to what its head promised. Pieces go either through [`BodyOut::piece`], which copies, or, where
/// they are sent from elsewhere (a file, a lent buffer), between [`BodyOut::open`] and [`BodyOut::close`].
#[derive(Clone, Copy, Debug)]
pub struct BodyOut {
    framing: BodyFraming,
    sent: u64,
    cut: u64,
}

impl BodyOut {
    /// For the body behind a head that promised `framing`.
    pub fn new(framing: BodyFraming) -> BodyOut {
        BodyOut { framing, sent: 0, cut: 0 }
    }

    /// Appends `data`, framed, to `out`.
    pub fn piece(&mut self, out: &mut Vec<u8>, data: &[u8]) {
        let take = self.open(out, data.len() as u64);
        // `take` is no more than the length of `data`.
        out.extend_from_slice(&data[..take as usize]);
        self.close(out, take);
    }

    /// Appends to `out` what goes before a piece of `len` bytes; the caller then sends the first so many bytes of
    /// it as returned, and [`BodyOut::close`]s it. 0: nothing of it may be sent.
    #[must_use]
    pub fn open(&mut self, out: &mut Vec<u8>, len: u64) -> u64 {
        let take = match self.framing {
            BodyFraming::None => 0,
            BodyFraming::Sized(length) => len.min(length - self.sent),
            BodyFraming::Chunked | BodyFraming::UntilClose => len,
        };
        if take > 0 && self.framing == BodyFraming::Chunked {
            chunked::open(out, take);
        }
        self.sent += take;
        self.cut += len - take;
        take
    }

    /// Appends to `out` what goes behind a piece for which `open` returned `take`.
    pub fn close(&mut self, out: &mut Vec<u8>, take: u64) {
        if take > 0 && self.framing == BodyFraming::Chunked {
            chunked::close(out);
        }
    }

    /// The application has no more: appends the end to `out`.
    #[must_use]
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Ended {
        match self.framing {
            BodyFraming::Chunked => out.extend_from_slice(chunked::LAST),
            BodyFraming::Sized(length) if self.sent < length => return Ended::Short(length - self.sent),
            _ => {}
        }
        Ended::Whole
    }

    /// Body bytes let through so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Body bytes dropped, being more than the head promised. To HEAD and the like all of them, rightly.
    pub fn cut(&self) -> u64 {
        self.cut
    }
}

/// A complete answer by the server itself, after which the connection is closed. The texts are uWSGI's, where it
/// has one; with `date` on HTTP, without on uwsgi.
pub fn refusal(status: u16, is_head: bool, date: Option<&DateCache>) -> Vec<u8> {
    let text = reason(status);
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(b"HTTP/1.1 ");
    decimal(&mut out, u64::from(status));
    out.push(b' ');
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\nConnection: close\r\nContent-Type: text/plain\r\n");
    if let Some(date) = date {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date.text());
        out.extend_from_slice(b"\r\n");
    }
    field_length(&mut out, text.len() as u64);
    out.extend_from_slice(b"\r\n");
    if !is_head {
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// The interim answer to `Expect: 100-continue` (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The reason phrase of a status the server itself gives.
pub fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests;
