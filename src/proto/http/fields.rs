//! The fields of a request head: which become variables, and what the few that frame the message say together.

use httparse::Header;

use super::super::{Error, content_length};
use super::{bare_line_feed, offset_in, valued};
use crate::request::{self, Body, Request, Span, Version};

/// What the fields have said so far.
#[derive(Debug)]
pub(super) struct Fields {
    trusted: bool,
    /// The value of Host is this variable's.
    host: Option<usize>,
    length: Option<u64>,
    coding: Coding,
    close: bool,
    persist: bool,
    expect_continue: bool,
    /// Signatures of the names seen, one bit each: a bit that was set already asks for a closer look.
    seen: u64,
    repeated: bool,
}

/// What Transfer-Encoding says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Chunked,
}

/// Whether a field becomes a variable.
enum Verdict {
    Keep,
    Drop,
}

impl Fields {
    pub(super) fn new(trusted: bool) -> Fields {
        Fields {
            trusted,
            host: None,
            length: None,
            coding: Coding::None,
            close: false,
            persist: false,
            expect_continue: false,
            seen: 0,
            repeated: false,
        }
    }

    /// One field, in wire order.
    #[inline]
    pub(super) fn take(&mut self, head: &[u8], header: &Header<'_>, req: &mut Request) -> Result<(), Error> {
        let (name, value) = (header.name.as_bytes(), header.value);
        let name_off = offset_in(head, name);
        // Whatever stood before this name, request line or field, ended with CRLF.
        if !head[..name_off].ends_with(b"\r\n") {
            return Err(bare_line_feed());
        }
        if has_underscore(name) {
            return Ok(());
        }
        if name.len() > usize::from(u16::MAX) {
            return Err(Error::refuse(431, "a field name longer than 65535 bytes"));
        }
        let span = Span::head(offset_in(head, value) as u32, value.len() as u32);
        if let Verdict::Drop = self.note(name, value, span, req)? {
            return Ok(());
        }
        let bit = signature(name);
        self.repeated |= self.seen & bit != 0;
        self.seen |= bit;
        req.vars.push(request::field(Span::head(name_off as u32, name.len() as u32), span));
        Ok(())
    }

    /// Remembers what the server itself needs. By length first: most names are none of these.
    #[inline]
    fn note(&mut self, name: &[u8], value: &[u8], span: Span, req: &mut Request) -> Result<Verdict, Error> {
        let is = |text: &[u8]| name.eq_ignore_ascii_case(text);
        match name.len() {
            4 if is(b"host") => return self.host(value, span, req),
            6 if is(b"expect") => self.expect(value)?,
            7 if is(b"referer") => req.referer = span,
            10 if is(b"user-agent") => req.agent = span,
            10 if is(b"connection") => self.connection(value),
            14 if is(b"content-length") => return self.length(value),
            15 if is(b"x-forwarded-for") => req.forwarded_for = span,
            15 if self.trusted && is(b"x-forwarded-ssl") => req.https = super::super::uwsgi::is_on(value),
            17 if is(b"transfer-encoding") => self.transfer_encoding(value)?,
            17 if self.trusted && is(b"x-forwarded-proto") => req.scheme = span,
            _ => {}
        }
        Ok(Verdict::Keep)
    }

    fn host(&mut self, value: &[u8], span: Span, req: &mut Request) -> Result<Verdict, Error> {
        if self.host.is_some() {
            return Err(Error::refuse(400, "invalid HTTP request: more than one Host"));
        }
        if !is_host(value) {
            return Err(Error::refuse(
                400,
                format!("invalid HTTP request: invalid Host \"{}\"", value.escape_ascii()),
            ));
        }
        self.host = Some(req.vars.len());
        req.host = span;
        Ok(Verdict::Keep)
    }

    /// RFC 9112 §6.3: equal ones may count as one, others are an unrecoverable error.
    fn length(&mut self, value: &[u8]) -> Result<Verdict, Error> {
        let length = content_length(value)?;
        match self.length.replace(length) {
            None => Ok(Verdict::Keep),
            Some(seen) if seen == length => Ok(Verdict::Drop),
            Some(_) => Err(Error::refuse(400, "invalid HTTP request: two Content-Length that differ")),
        }
    }

    /// Nothing but `chunked`, once (RFC 9112 §6.1).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.coding == Coding::None && value.eq_ignore_ascii_case(b"chunked") {
            self.coding = Coding::Chunked;
            return Ok(());
        }
        let mut codings = tokens(value).rev();
        let last_is_chunked = codings.next().is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        let once =
            !codings.any(|coding| coding.eq_ignore_ascii_case(b"chunked")) && self.coding == Coding::None;
        // Well-formed but unknown to us is 501, anything else has no certain end.
        let status = if last_is_chunked && once { 501 } else { 400 };
        Err(Error::refuse(status, format!("unsupported Transfer-Encoding \"{}\"", value.escape_ascii())))
    }

    fn connection(&mut self, value: &[u8]) {
        // What nearly everybody sends.
        if value == b"keep-alive" {
            self.persist = true;
            return;
        }
        for option in tokens(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.persist |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9110 §10.1.1: there is one expectation, others fail.
    fn expect(&mut self, value: &[u8]) -> Result<(), Error> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Error::refuse(417, format!("unknown expectation \"{}\"", value.escape_ascii())));
        }
        self.expect_continue = true;
        Ok(())
    }

    /// After the last field: what they mean together.
    pub(super) fn settle(
        &self,
        head: &[u8],
        authority: Option<Span>,
        host_name: Span,
        req: &mut Request,
    ) -> Result<(), Error> {
        let modern = req.version == Version::Http11;
        // RFC 9112 §3.2: also where the target has an authority.
        if modern && self.host.is_none() {
            return Err(Error::refuse(400, "invalid HTTP request: HTTP/1.1 without Host"));
        }
        if let Some(authority) = authority {
            match self.host {
                Some(at) => req.vars[at] = valued(req.vars[at], authority),
                None => req.vars.push(request::field(host_name, authority)),
            }
            req.host = authority;
        }
        req.body = self.framing(modern)?;
        req.length_seen = self.length.is_some();
        req.keep_alive = !self.close && (modern || self.persist);
        // RFC 9110 §10.1.1: not for HTTP/1.0, and without a body there is nothing to wait for.
        req.expect_continue = self.expect_continue && modern && req.body != Body::None;
        if self.repeated {
            join_repeats(head, req);
        }
        Ok(())
    }

    /// RFC 9112 §6.1 and §6.3, without the liberties: two ways to tell the length are one too many.
    fn framing(&self, modern: bool) -> Result<Body, Error> {
        match (self.coding, self.length) {
            (Coding::Chunked, Some(_)) => {
                Err(Error::refuse(400, "invalid HTTP request: Transfer-Encoding and Content-Length"))
            }
            (Coding::Chunked, None) if !modern => {
                Err(Error::refuse(400, "invalid HTTP request: Transfer-Encoding on HTTP/1.0"))
            }
            (Coding::Chunked, None) => Ok(Body::Chunked),
            (Coding::None, None | Some(0)) => Ok(Body::None),
            (Coding::None, Some(length)) => Ok(Body::Sized(length)),
        }
    }
}

/// Host or authority: `host [":" port]` of RFC 3986 §3.2.2, by its characters. May be empty (RFC 9112 §3.2).
pub(super) fn is_host(value: &[u8]) -> bool {
    const ALLOWED: [bool; 256] = {
        let marks = b"-._~!$&'()*+,;=%:[]";
        let (mut table, mut at) = ([false; 256], 0);
        while at < 128 {
            table[at] = (at as u8).is_ascii_alphanumeric();
            at += 1;
        }
        at = 0;
        while at < marks.len() {
            table[marks[at] as usize] = true;
            at += 1;
        }
        table
    };
    value.iter().all(|b| ALLOWED[usize::from(*b)])
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), without empty ones.
fn tokens(value: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Eight bytes at a time: every name is asked.
#[inline]
fn has_underscore(name: &[u8]) -> bool {
    const ONES: u64 = u64::MAX / 255;
    // The classic test for a zero byte, after `_` became one.
    let within = |word: &[u8; 8]| {
        let word = u64::from_ne_bytes(*word) ^ (ONES * b'_' as u64);
        word.wrapping_sub(ONES) & !word & (ONES << 7) != 0
    };
    let (words, rest) = name.as_chunks::<8>();
    words.iter().any(within)
        || match name.last_chunk() {
            Some(last) => within(last),
            None => rest.contains(&b'_'),
        }
}

/// One of 64 bits by length, first and last letter, case aside.
#[inline]
fn signature(name: &[u8]) -> u64 {
    let letter = |at: usize| name.get(at).map_or(0, |b| usize::from(*b | 0x20));
    let sum =
        name.len() * 7 + letter(0) * 3 + letter(name.len().wrapping_sub(1)) + letter(name.len() / 2) * 5;
    1 << (sum & 63)
}

/// Gives the first of several fields of one name all their values, in order, and drops the others. Each value is
/// copied once, so that the derived text stays smaller than the head however a peer arranges the names.
#[cold]
fn join_repeats(head: &[u8], req: &mut Request) {
    let name_in = |var: &uwring_abi::Var| {
        let name = request::name_of(var);
        let start = name.off as usize;
        if var.kind == uwring_abi::VAR_FIELD && name.area == uwring_abi::AREA_HEAD {
            head.get(start..start + name.len as usize).unwrap_or(&[])
        } else {
            &[]
        }
    };
    let mut at = 0;
    while at < req.vars.len() {
        let name = name_in(&req.vars[at]);
        let same = |var: &uwring_abi::Var| {
            usize::from(var.name_len) == name.len()
                && !name.is_empty()
                && name_in(var).eq_ignore_ascii_case(name)
        };
        if req.vars[at + 1..].iter().any(same) {
            // RFC 9110 §5.3 for all, RFC 6265 §5.4 for the one that commas would break.
            let comma: &[u8] = if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b", " };
            let start = req.derived.len();
            for (count, var) in req.vars[at..].iter().filter(|var| same(var)).enumerate() {
                let off = var.value_off as usize;
                req.derived.extend_from_slice(if count == 0 { b"" } else { comma });
                req.derived.extend_from_slice(&head[off..off + var.value_len as usize]);
            }
            let len = (req.derived.len() - start) as u32;
            let joined = Span { area: uwring_abi::AREA_DERIVED, off: start as u32, len };
            // Marks were set to the last of them.
            let last = req.vars.iter().rfind(|var| same(var)).map(request::value_of);
            for mark in [&mut req.agent, &mut req.referer, &mut req.forwarded_for] {
                if last == Some(*mark) {
                    *mark = joined;
                }
            }
            req.vars[at] = valued(req.vars[at], joined);
            let mut index = 0;
            req.vars.retain(|var| {
                index += 1;
                index <= at + 1 || !same(var)
            });
        }
        at += 1;
    }
}
