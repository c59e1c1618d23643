//! What all response heads share, and the framing of the body behind them (RFC 9112 §6).
//! Over the uwsgi protocol the response is what uWSGI sends: status line, the application's fields, nothing added;
//! it ends with the connection. Over HTTP the server adds what the connection needs.

use super::{chunked, fastcgi};
use crate::base::digits::decimal;
use crate::request::{Echo, Request, Version};

/// Status and fields as the application gave them, checked by the plugin.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Three-digit code.
    pub status: u16,
    /// Code and reason.
    pub status_line: &'a [u8],
    /// `Name: value CRLF` each, without hop-by-hop ones.
    pub fields: &'a [u8],
    /// How many.
    pub field_count: u32,
    /// `Content-Length`, which is among the fields then.
    pub content_length: Option<u64>,
    /// `Date` is among the fields.
    pub has_date: bool,
    /// The application asked for the connection's end.
    pub close: bool,
}

/// What is known of the body when the head is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It is so long.
    Known(u64),
    /// Its end will show.
    Open,
}

/// How a response body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// There is none: HEAD, 1xx, 204, 304.
    NoBody,
    /// So many bytes.
    Sized(u64),
    /// Chunks.
    Chunked,
    /// The connection's end.
    Close,
}

/// The framing of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing {
    /// Where the body ends.
    pub body: Delimiter,
    /// Whether another request may follow on the connection.
    pub keep_alive: bool,
}

/// Appends the head of the response to `request`. `date`: the time in the form of RFC 9110 §5.6.7; `closing`: the
/// server ends connections. For FastCGI the head is in records.
pub fn encode(
    out: &mut Vec<u8>,
    request: &Request,
    head: &Head<'_>,
    length: Length,
    date: &[u8],
    closing: bool,
) -> Framing {
    let framing = frame(request, head, length, closing);
    let start = out.len();
    // uWSGI repeats the request's protocol; over HTTP a server says its own version (RFC 9112 §2.3).
    let uwsgi = request.version == Version::Uwsgi;
    out.extend_from_slice(if uwsgi { request.echo } else { Echo::Http11 }.text());
    out.extend_from_slice(head.status_line);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(head.fields);
    if !uwsgi {
        add_fields(out, request, head, framing, length, date);
    }
    out.extend_from_slice(b"\r\n");
    if request.record_id != 0 {
        fastcgi::wrap(out, start, request.record_id);
    }
    framing
}

fn frame(request: &Request, head: &Head<'_>, length: Length, closing: bool) -> Framing {
    let bodiless = request.is_head || matches!(head.status, 100..=199 | 204 | 304);
    let body = match (head.content_length, length) {
        _ if bodiless => Delimiter::NoBody,
        (Some(len), _) => Delimiter::Sized(len),
        (None, _) if request.version == Version::Uwsgi => Delimiter::Close,
        (None, Length::Known(len)) => Delimiter::Sized(len),
        (None, Length::Open) if request.version == Version::Http11 => Delimiter::Chunked,
        (None, Length::Open) => Delimiter::Close,
    };
    // An interim status in place of a final one leaves the client waiting: it has to see an end.
    let answered = head.status >= 200;
    let keep_alive = request.keep_alive && answered && !head.close && !closing && body != Delimiter::Close;
    Framing { body, keep_alive }
}

/// What an HTTP connection needs beside the application's fields.
fn add_fields(
    out: &mut Vec<u8>,
    request: &Request,
    head: &Head<'_>,
    framing: Framing,
    length: Length,
    date: &[u8],
) {
    match (framing.body, length) {
        // HEAD says what GET would; 1xx, 204 and 304 have no length to say (RFC 9110 §8.6).
        (Delimiter::NoBody, Length::Known(len)) if request.is_head && len > 0 => add_length(out, head, len),
        (Delimiter::Sized(len), _) => add_length(out, head, len),
        (Delimiter::Chunked, _) => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        _ => {}
    }
    if !head.has_date {
        out.extend_from_slice(b"Date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(b"\r\n");
    }
    match (framing.keep_alive, request.version) {
        (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (true, _) => {}
    }
}

fn add_length(out: &mut Vec<u8>, head: &Head<'_>, len: u64) {
    if head.content_length.is_none() {
        out.extend_from_slice(b"Content-Length: ");
        decimal(out, len);
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes a body as it was framed: no byte more than announced, and no silence about one less.
#[derive(Debug)]
pub struct BodyOut {
    delimiter: Delimiter,
    /// Bytes still owed.
    left: u64,
    /// Bytes the application gave beyond what it had announced.
    excess: u64,
    /// The last chunk is a file, whose line end is still to be written.
    in_file: bool,
    /// FastCGI: the body is in records of this request, whose end is still to be written; 0: there are none.
    record_id: u16,
}

impl BodyOut {
    /// For a head that was framed so.
    pub fn new(framing: Framing) -> BodyOut {
        let left = if let Delimiter::Sized(len) = framing.body { len } else { 0 };
        BodyOut { delimiter: framing.body, left, excess: 0, in_file: false, record_id: 0 }
    }

    /// The same in FastCGI's records of a request; 0: without.
    pub fn in_records(self, record_id: u16) -> BodyOut {
        BodyOut { record_id, ..self }
    }

    /// Appends a piece as it is, or in records.
    #[inline]
    fn append(&self, out: &mut Vec<u8>, piece: &[u8]) {
        match self.record_id {
            0 => out.extend_from_slice(piece),
            id => fastcgi::encode(out, id, piece),
        }
    }

    /// Appends a piece; returns how many of its bytes count as sent.
    pub fn push(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> u64 {
        self.end_file(out);
        match self.delimiter {
            Delimiter::NoBody => 0,
            Delimiter::Close => {
                self.append(out, piece);
                piece.len() as u64
            }
            Delimiter::Chunked => {
                chunked::encode(out, piece);
                piece.len() as u64
            }
            Delimiter::Sized(_) => {
                let n = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.append(out, &piece[..n]);
                self.left -= n as u64;
                self.excess += (piece.len() - n) as u64;
                n as u64
            }
        }
    }

    /// How many of `len` bytes are wanted next, where they go out as they are; `None` where they need a frame.
    pub fn unframed(&self, len: usize) -> Option<usize> {
        match self.delimiter {
            _ if self.in_file || self.record_id != 0 => None,
            Delimiter::Close => Some(len),
            Delimiter::Sized(_) => Some(len.min(usize::try_from(self.left).unwrap_or(usize::MAX))),
            Delimiter::NoBody | Delimiter::Chunked => None,
        }
    }

    /// Whether nothing can follow what was appended.
    pub fn is_whole(&self) -> bool {
        matches!(self.delimiter, Delimiter::Sized(_)) && self.left == 0 && self.record_id == 0
    }

    /// So many of them went out by themselves.
    pub fn went(&mut self, bytes: u64) {
        self.left = self.left.saturating_sub(bytes);
    }

    /// A file of `len` bytes is to follow what is in `out` now: how many of them, `None` where none are wanted. (What
    /// sends it puts it into records, where there are some.)
    pub fn push_file(&mut self, out: &mut Vec<u8>, len: u64) -> Option<u64> {
        self.end_file(out);
        match self.delimiter {
            Delimiter::Close => (len > 0).then_some(len),
            Delimiter::Sized(_) => {
                let n = len.min(self.left);
                self.left -= n;
                (n > 0).then_some(n)
            }
            Delimiter::Chunked if len > 0 => {
                chunked::begin(out, len);
                self.in_file = true;
                Some(len)
            }
            Delimiter::NoBody | Delimiter::Chunked => None,
        }
    }

    /// Appends the end. `false`: less came than was announced, so the connection must not go on.
    pub fn end(&mut self, out: &mut Vec<u8>) -> bool {
        self.end_file(out);
        if self.delimiter == Delimiter::Chunked {
            chunked::end(out);
        }
        if self.left == 0 && self.record_id != 0 {
            fastcgi::end(out, std::mem::take(&mut self.record_id));
        }
        self.left == 0
    }

    fn end_file(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.in_file) {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Bytes that were left out because they exceed the announced length.
    pub fn excess(&self) -> u64 {
        self.excess
    }
}

/// A complete answer to a request that is refused; the connection ends with it. `is_head`: its head only.
pub fn refusal(status: u16, is_head: bool) -> Vec<u8> {
    let reason = reason(status);
    let len = reason.len();
    // What is refused for want of room may be asked again (RFC 9110 §10.2.3).
    let retry = if status == 503 { "Retry-After: 1\r\n" } else { "" };
    let text = if is_head { "" } else { reason };
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\n{retry}Connection: close\r\n\r\n{text}"
    )
    .into_bytes()
}

/// The same answer for a front end: with a `Status` field (`cgi`), and in FastCGI's records of a request (not 0).
pub fn refusal_for(status: u16, is_head: bool, cgi: bool, record_id: u16) -> Vec<u8> {
    const LINE: &[u8] = b"HTTP/1.1 ";
    let mut out = refusal(status, is_head);
    if cgi {
        out.splice(..LINE.len(), Echo::Status.text().iter().copied()).for_each(drop);
    }
    if record_id != 0 {
        fastcgi::wrap(&mut out, 0, record_id);
        fastcgi::end(&mut out, record_id);
    }
    out
}

/// The reason phrase of the statuses this server makes itself, by its rules too (RFC 9110 §15).
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
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

/// The `Date` field's text, made once a second.
#[derive(Debug, Default)]
pub struct DateCache {
    second: u64,
    text: Vec<u8>,
}

impl DateCache {
    /// The text for `second` since the epoch.
    pub fn at(&mut self, second: u64) -> &[u8] {
        if self.text.is_empty() || self.second != second {
            self.second = second;
            self.text = date(second).into_bytes();
        }
        &self.text
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn date(second: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, rest) = (second / 86_400, second % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let weekday = DAYS[usize::try_from(days % 7).unwrap_or(0)];
    let month = MONTHS[usize::try_from(month).unwrap_or(0)];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Year, month from 0 and day from 1 of a day since the epoch, in the Gregorian calendar. Years begin in March here,
/// so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 1 March of the year 0
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = (march_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";

    fn request(version: Version) -> Request {
        Request { version, keep_alive: version == Version::Http11, ..Request::default() }
    }

    fn head(status: u16, fields: &'static str, content_length: Option<u64>) -> Head<'static> {
        Head {
            status,
            status_line: b"200 OK",
            fields: fields.as_bytes(),
            field_count: 1,
            content_length,
            has_date: false,
            close: false,
        }
    }

    fn encoded(request: &Request, head: &Head<'_>, length: Length) -> (String, Framing) {
        let mut out = Vec::new();
        let framing = encode(&mut out, request, head, length, DATE, false);
        (String::from_utf8(out).expect("ASCII"), framing)
    }

    #[test]
    fn over_uwsgi_the_protocol_is_repeated_and_nothing_added() {
        for (protocol, line) in [
            ("HTTP/1.1", "HTTP/1.1 200 OK"),
            ("HTTP/1.0", "HTTP/1.0 200 OK"),
            ("HTTP/2.0", "HTTP/2.0 200 OK"),
            ("HTTP/3.0", "HTTP/3.0 200 OK"),
            ("", "HTTP/1.0 200 OK"),
            ("HTTP/1.1 200 OK\r\nA: forged\r\n\r\n", "HTTP/1.0 200 OK"),
        ] {
            let request = Request { echo: Echo::of(protocol.as_bytes()), ..request(Version::Uwsgi) };
            let (text, framing) = encoded(&request, &head(200, "A: b\r\n", None), Length::Known(5));
            assert_eq!(text, format!("{line}\r\nA: b\r\n\r\n"));
            assert_eq!(framing, Framing { body: Delimiter::Close, keep_alive: false });
        }
    }

    #[test]
    fn an_interim_status_for_an_answer_ends_the_connection() {
        for status in [100, 101, 103] {
            let (text, framing) =
                encoded(&request(Version::Http11), &head(status, "", None), Length::Known(0));
            assert!(!framing.keep_alive && text.contains("Connection: close\r\n"), "{status}: {text}");
        }
    }

    #[test]
    fn each_version_and_length_has_its_framing() {
        use Delimiter::{Chunked, Close, NoBody, Sized};
        let http10 = Request { version: Version::Http10, keep_alive: true, ..Request::default() };
        let is_head = Request { is_head: true, ..request(Version::Http11) };
        let cases = [
            (
                &request(Version::Http11),
                head(200, "", None),
                Length::Known(5),
                Sized(5),
                true,
                "Content-Length: 5\r\n",
            ),
            (
                &request(Version::Http11),
                head(200, "", None),
                Length::Open,
                Chunked,
                true,
                "Transfer-Encoding: chunked\r\n",
            ),
            (&request(Version::Http11), head(200, "", Some(9)), Length::Open, Sized(9), true, "Date: "),
            (&http10, head(200, "", None), Length::Open, Close, false, "Connection: close\r\n"),
            (&http10, head(200, "", None), Length::Known(1), Sized(1), true, "Connection: keep-alive\r\n"),
            (&is_head, head(200, "", None), Length::Known(7), NoBody, true, "Content-Length: 7\r\n"),
            (&request(Version::Http11), head(204, "", None), Length::Known(0), NoBody, true, "Date: "),
            (&request(Version::Http11), head(304, "", Some(4)), Length::Known(0), NoBody, true, "Date: "),
        ];
        for (request, head, length, body, keep_alive, part) in cases {
            let (text, framing) = encoded(request, &head, length);
            assert_eq!(framing, Framing { body, keep_alive }, "{text}");
            assert!(text.contains(part), "{text}");
            assert!(text.ends_with("\r\n\r\n"));
        }
        let (text, _) = encoded(&request(Version::Http11), &head(204, "", None), Length::Known(0));
        assert!(!text.contains("Content-Length") && !text.contains("Transfer-Encoding"), "{text}");
    }

    #[test]
    fn a_closing_server_and_a_closing_application_say_so() {
        let request = request(Version::Http11);
        let closing = Head { close: true, ..head(200, "", None) };
        assert!(encoded(&request, &closing, Length::Known(0)).0.contains("Connection: close\r\n"));
        let mut out = Vec::new();
        let framing = encode(&mut out, &request, &head(200, "", None), Length::Known(0), DATE, true);
        assert!(!framing.keep_alive && out.windows(17).any(|w| w == b"Connection: close"));
    }

    #[test]
    fn a_body_is_cut_at_its_announced_length_and_a_short_one_is_told() {
        let mut out = Vec::new();
        let mut body = BodyOut::new(Framing { body: Delimiter::Sized(4), keep_alive: true });
        assert_eq!(body.push(&mut out, b"abc"), 3);
        assert!(!body.end(&mut Vec::new()));
        assert_eq!(body.push(&mut out, b"def"), 1);
        assert_eq!((out.as_slice(), body.excess()), (b"abcd".as_slice(), 2));
        assert!(body.end(&mut out));
        assert_eq!(body.push_file(&mut out, 10), None);
    }

    #[test]
    fn a_chunked_body_skips_empty_pieces_and_ends() {
        let mut out = Vec::new();
        let mut body = BodyOut::new(Framing { body: Delimiter::Chunked, keep_alive: true });
        body.push(&mut out, b"");
        body.push(&mut out, b"0123456789abcdef0");
        assert!(body.end(&mut out));
        assert_eq!(out, b"11\r\n0123456789abcdef0\r\n0\r\n\r\n");
    }

    #[test]
    fn a_file_behind_pieces_is_a_chunk() {
        let mut out = Vec::new();
        let mut body = BodyOut::new(Framing { body: Delimiter::Chunked, keep_alive: true });
        body.push(&mut out, b"a");
        assert_eq!(body.push_file(&mut out, 26), Some(26));
        assert_eq!(std::mem::take(&mut out), b"1\r\na\r\n1a\r\n");
        assert!(body.end(&mut out));
        assert_eq!(out, b"\r\n0\r\n\r\n");
    }

    #[test]
    fn dates_are_those_of_the_rfc() {
        let mut cache = DateCache::default();
        assert_eq!(cache.at(784_111_777), DATE);
        assert_eq!(cache.at(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(cache.at(951_782_400), b"Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(cache.at(4_107_542_399), b"Sun, 28 Feb 2100 23:59:59 GMT");
        assert_eq!(cache.at(1_798_761_599), b"Thu, 31 Dec 2026 23:59:59 GMT");
    }

    #[test]
    fn a_refusal_is_a_whole_answer() {
        let text = String::from_utf8(refusal(431, false)).expect("ASCII");
        assert!(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(text.ends_with("\r\n\r\nRequest Header Fields Too Large"));
        assert!(text.contains("Content-Length: 31\r\n") && text.contains("Connection: close\r\n"));
        let text = String::from_utf8(refusal(417, true)).expect("ASCII");
        assert!(text.contains("Content-Length: 18\r\n") && text.ends_with("\r\n\r\n"));
    }
}
