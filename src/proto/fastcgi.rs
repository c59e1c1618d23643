//! FastCGI, as a responder that serves one request on a connection (fastcgi.com, FastCGI Specification 1.0).
//!
//! ```text
//! request   BEGIN_REQUEST  PARAMS… PARAMS(empty)  STDIN… STDIN(empty)
//! answer    STDOUT… STDOUT(empty)  END_REQUEST
//! record    version:8 = 1 | type:8 | id:16 | content:16 | padding:8 | 0:8 | content | padding      (big endian)
//! ```
//!
//! As under uWSGI the connection ends with the answer, whatever FCGI_KEEP_CONN says. Requests that share a connection
//! (multiplexing) are refused; no web server sends such.

use uwring_abi::AREA_DERIVED;

use super::chunked::Progress;
use super::{Error, Limits, Step, vars};
use crate::base::errors;
use crate::request::{Body, Echo, Request, Span, Version};

/// Length of a record's header.
pub const HEADER_BYTES: usize = 8;
/// Content of the longest record made here: the most that 16 bits say, less what is no multiple of 8 (§3.3 wants
/// records aligned).
pub const CONTENT_MAX: usize = 0xffff & !7;
/// A front end needs one for its variables, or a few. One for each variable is the most that makes sense.
const PARAMS_RECORDS_MAX: usize = 256;

const BEGIN_REQUEST: u8 = 1;
const ABORT_REQUEST: u8 = 2;
const END_REQUEST: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const RESPONDER: u16 = 1;

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    kind: u8,
    id: u16,
    content: usize,
    padding: usize,
}

impl Header {
    /// Of the record that begins at `data`, if so much of it is there.
    fn of(data: &[u8]) -> Result<Option<Header>, Error> {
        if let Some(version) = data.first().filter(|version| **version != 1) {
            let hint = if version.is_ascii_alphabetic() { " (HTTP on a socket for FastCGI?)" } else { "" };
            let reason = format!("no FastCGI record: version {version}{hint}");
            return Err(Error { status: None, reason });
        }
        let Some(&[_, kind, id1, id0, len1, len0, padding, _]) = data.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let content = usize::from(u16::from_be_bytes([len1, len0]));
        Ok(Some(Header { kind, id: u16::from_be_bytes([id1, id0]), content, padding: padding.into() }))
    }

    /// Bytes of the whole record.
    fn whole(self) -> usize {
        HEADER_BYTES + self.content + self.padding
    }

    /// Refuses what is none of ours.
    fn expect(self, kind: u8, id: u16) -> Result<(), Error> {
        match (self.kind, self.id) {
            (k, i) if (k, i) == (kind, id) => Ok(()),
            (ABORT_REQUEST, i) if i == id => {
                Err(Error { status: None, reason: "the web server has aborted the request".to_owned() })
            }
            (_, i) if i != id => Err(invalid("a record of another request (multiplexing)")),
            (k, _) => Err(invalid(&format!("a record of type {k} where one of type {kind} belongs"))),
        }
    }
}

/// Parses the records at the beginning of `data`, up to the end of the variables. `cgi`: the answer's status is a field.
pub fn parse(data: &[u8], limits: &Limits, cgi: bool, request: &mut Request) -> Result<Step, Error> {
    let Some(begin) = Header::of(data)? else { return Ok(Step::NeedMore) };
    if (begin.kind, begin.content) != (BEGIN_REQUEST, 8) || begin.id == 0 {
        return Err(invalid("it does not begin with FCGI_BEGIN_REQUEST"));
    }
    request.clear();
    request.record_id = begin.id;
    request.version = Version::Uwsgi;
    let Some(role) = data[HEADER_BYTES..].first_chunk() else { return Ok(Step::NeedMore) };
    if u16::from_be_bytes(*role) != RESPONDER {
        let reason = "a FastCGI role that is not FCGI_RESPONDER".to_owned();
        return Err(Error { status: None, reason });
    }
    let Some(block) = block(data, begin, limits)? else { return Ok(Step::NeedMore) };
    let Block { start, len, end } = block;
    match start {
        Some(start) => variables(&data[..start + len], start, limits, request)?,
        None if len > 0 => joined(data, begin, limits, request)?,
        None => return Err(invalid("no variables")),
    }
    request.head_bytes = end;
    if cgi {
        request.echo = Echo::Status;
    }
    frame_body(&data[end..], request)
}

/// Where the variables lie.
struct Block {
    /// Where they begin, if one record has them all.
    start: Option<usize>,
    /// How many bytes.
    len: usize,
    /// Where the records of them end.
    end: usize,
}

/// Walks the records of variables; `None`: their end has not come.
fn block(data: &[u8], begin: Header, limits: &Limits) -> Result<Option<Block>, Error> {
    let mut block = Block { start: None, len: 0, end: begin.whole() };
    for count in 0..=PARAMS_RECORDS_MAX {
        let Some(header) = Header::of(data.get(block.end..).unwrap_or_default())? else { return Ok(None) };
        header.expect(PARAMS, begin.id)?;
        block.start = (count == 0 && header.content > 0).then_some(block.end + HEADER_BYTES).or(
            // The record that ends them leaves them where they are.
            block.start.filter(|_| header.content == 0),
        );
        block.len += header.content;
        block.end += header.whole();
        if block.len > limits.head_bytes {
            let (size, max) = (block.len, limits.head_bytes);
            let reason = format!(
                "invalid FastCGI variables: {size} bytes (max {max}): raise buffer-size {}",
                errors::HEAD_TOO_LARGE
            );
            return Err(Error::new(431, reason));
        }
        if header.content == 0 {
            return Ok((data.len() >= block.end).then_some(block));
        }
    }
    Err(Error::new(431, format!("more than {PARAMS_RECORDS_MAX} FastCGI records of variables")))
}

/// Variables in several records: they have to be put together.
#[cold]
fn joined(data: &[u8], begin: Header, limits: &Limits, request: &mut Request) -> Result<(), Error> {
    let mut at = begin.whole();
    let mut all = std::mem::take(&mut request.derived);
    while let Some(header) = Header::of(data.get(at..).unwrap_or_default())?.filter(|h| h.content > 0) {
        all.extend_from_slice(&data[at + HEADER_BYTES..][..header.content]);
        at += header.whole();
    }
    // Nothing was derived before.
    let result = variables(&all, 0, limits, request);
    for var in &mut request.vars {
        (var.name_area, var.value_area) = (AREA_DERIVED, AREA_DERIVED);
    }
    for span in [
        &mut request.method,
        &mut request.uri,
        &mut request.protocol,
        &mut request.addr,
        &mut request.user,
        &mut request.host,
        &mut request.agent,
        &mut request.referer,
        &mut request.forwarded_for,
        &mut request.scheme,
    ] {
        span.area = AREA_DERIVED;
    }
    request.derived = all;
    result
}

/// Names and values, from `at` to the end.
fn variables(block: &[u8], mut at: usize, limits: &Limits, request: &mut Request) -> Result<(), Error> {
    while at < block.len() {
        let (name_len, value_len) = (length(block, &mut at)?, length(block, &mut at)?);
        let rest = &block[at..];
        if name_len > rest.len() || value_len > rest.len() - name_len {
            return Err(invalid("a text that ends behind the variables"));
        }
        if name_len == 0 {
            return Err(invalid("a variable without a name"));
        }
        let (name, value) = (&rest[..name_len], &rest[name_len..name_len + value_len]);
        // Variables are at most 64 KiB (`buffer-size`), and where they lie is at most so many records further.
        let span = |at: usize, text: &[u8]| Span::head(at as u32, text.len() as u32);
        vars::take(request, limits, (name, span(at, name)), (value, span(at + name_len, value)))?;
        at += name_len + value_len;
    }
    Ok(())
}

/// One byte, or four of which the first is 128 or more (§3.4).
fn length(block: &[u8], at: &mut usize) -> Result<usize, Error> {
    let cut = || invalid("a length cut off");
    let first = *block.get(*at).ok_or_else(cut)?;
    if first < 128 {
        *at += 1;
        return Ok(first.into());
    }
    let bytes = block[*at..].first_chunk().ok_or_else(cut)?;
    *at += 4;
    Ok((u32::from_be_bytes(*bytes) & 0x7fff_ffff) as usize)
}

/// What follows the head: where that is nothing and has come too, the head ends behind it.
fn frame_body(rest: &[u8], request: &mut Request) -> Result<Step, Error> {
    let announced = if let Body::Sized(len) = request.body { Some(len) } else { None };
    if let (None, Some(header)) = (announced, Header::of(rest)?) {
        header.expect(STDIN, request.record_id)?;
        if header.content == 0 && rest.len() >= header.whole() {
            request.head_bytes += header.whole();
            return Ok(Step::Head);
        }
    }
    request.body = Body::Records(announced);
    Ok(Step::Head)
}

/// Takes a body apart that comes in records.
#[derive(Debug)]
pub struct Stdin {
    id: u16,
    /// Bytes it is to have.
    announced: Option<u64>,
    /// Bytes that have come.
    come: u64,
    /// The header that is coming, and how much of it is here.
    header: [u8; HEADER_BYTES],
    filled: usize,
    /// Of the record: what is still to come.
    content: usize,
    padding: usize,
    /// The record is the last one.
    last: bool,
}

impl Stdin {
    /// The body of request `id`, of so many bytes if that was announced.
    pub fn new(id: u16, announced: Option<u64>) -> Stdin {
        Stdin { id, announced, come: 0, header: [0; 8], filled: 0, content: 0, padding: 0, last: false }
    }

    /// Appends the data in `input` to `out`.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Progress, Error> {
        let mut rest = input;
        let mut done = false;
        while !rest.is_empty() && !done {
            let content = self.content.min(rest.len());
            out.extend_from_slice(&rest[..content]);
            self.content -= content;
            let padding = self.padding.min(rest.len() - content);
            self.padding -= padding;
            rest = &rest[content + padding..];
            if !self.last {
                rest = self.begin(rest)?;
            }
            done = self.last && self.padding == 0;
        }
        Ok(Progress { consumed: input.len() - rest.len(), done })
    }

    /// The header of the next record, or what has come of it; what follows.
    fn begin<'a>(&mut self, rest: &'a [u8]) -> Result<&'a [u8], Error> {
        if self.content + self.padding > 0 {
            return Ok(rest);
        }
        let n = (HEADER_BYTES - self.filled).min(rest.len());
        self.header[self.filled..self.filled + n].copy_from_slice(&rest[..n]);
        self.filled += n;
        if let Some(header) = Header::of(&self.header[..self.filled])? {
            header.expect(STDIN, self.id)?;
            (self.filled, self.content, self.padding) = (0, header.content, header.padding);
            self.come += header.content as u64;
            self.last = header.content == 0;
            self.check()?;
        }
        Ok(&rest[n..])
    }

    /// §6.2: a body of another length than was announced is not to be acted upon.
    fn check(&self) -> Result<(), Error> {
        let (come, last) = (self.come, self.last);
        match self.announced {
            Some(len) if come > len || last && come < len => {
                let than = if come > len { "more" } else { "less" };
                Err(invalid(&format!("{than} than the {len} bytes of CONTENT_LENGTH came by FCGI_STDIN")))
            }
            _ => Ok(()),
        }
    }
}

#[cold]
fn invalid(what: &str) -> Error {
    Error::new(400, format!("invalid FastCGI request: {what}"))
}

/// The header of an answer's record of `len` bytes, at most [`CONTENT_MAX`].
pub fn stdout(id: u16, len: usize) -> [u8; HEADER_BYTES] {
    let ([id1, id0], [len1, len0]) = (id.to_be_bytes(), (len as u16).to_be_bytes());
    [1, STDOUT, id1, id0, len1, len0, 0, 0]
}

/// Appends `data` in as many records as it takes.
pub fn encode(out: &mut Vec<u8>, id: u16, data: &[u8]) {
    for piece in data.chunks(CONTENT_MAX) {
        out.extend_from_slice(&stdout(id, piece.len()));
        out.extend_from_slice(piece);
    }
}

/// Puts what stands in `out` from `start` on into records; how many bytes that adds.
pub fn wrap(out: &mut Vec<u8>, start: usize, id: u16) -> usize {
    let records = (out.len() - start).div_ceil(CONTENT_MAX);
    // From the last to the first, so that those before stay where they are.
    for at in (0..records).rev().map(|n| start + n * CONTENT_MAX) {
        let len = (out.len() - at).min(CONTENT_MAX);
        out.splice(at..at, stdout(id, len)).for_each(drop);
    }
    records * HEADER_BYTES
}

/// Appends the end of the answer: the end of FCGI_STDOUT, and that the request is complete.
pub fn end(out: &mut Vec<u8>, id: u16) {
    let [id1, id0] = id.to_be_bytes();
    out.extend_from_slice(&stdout(id, 0));
    out.extend_from_slice(&[1, END_REQUEST, id1, id0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
}

#[cfg(test)]
mod tests;
