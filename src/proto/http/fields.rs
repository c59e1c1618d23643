//! The fields of a request head: which become variables, and what the few that frame the message say together.
//!
//! `X_Forwarded_For` and `X-Forwarded-For` would become one key, so a client could pass for a front end that sets
//! only the latter: names with an underscore are dropped.

use httparse::Header;

use uwring_abi::{AREA_DERIVED, AREA_HEAD, VAR_FIELD, VAR_PLAIN, Var};

use super::super::{Error, content_length};
use super::{Site, give, line_end, span_in, var};
use crate::request::{Body, Request, Span, Version};

/// What the fields have said so far.
#[derive(Debug)]
pub(super) struct Fields {
    trusted: bool,
    /// The value of Host is this variable's.
    host: Option<usize>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    persist: bool,
    expect_continue: bool,
    /// Signatures of the names seen, one bit each: a bit that was set already asks for a closer look.
    seen: u64,
    repeated: bool,
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
            chunked: false,
            close: false,
            persist: false,
            expect_continue: false,
            seen: 0,
            repeated: false,
        }
    }

    /// One field, in wire order.
    #[inline]
    pub(super) fn take(
        &mut self,
        head: &[u8],
        field: &Header<'_>,
        request: &mut Request,
    ) -> Result<(), Error> {
        let (name, value) = (span_in(head, field.name.as_bytes()), span_in(head, field.value));
        // Whatever stood before this name, request line or field, must have ended with CR LF.
        if !head[..name.off as usize].ends_with(b"\r\n") {
            return Err(line_end());
        }
        if has_underscore(field.name.as_bytes()) {
            return Ok(());
        }
        if let Verdict::Keep = self.note(field, value, request)? {
            let bit = signature(field.name.as_bytes());
            self.repeated |= self.seen & bit != 0;
            self.seen |= bit;
            request.vars.push(var(VAR_FIELD, name, value));
        }
        Ok(())
    }

    /// Remembers what the server itself needs. By length first: most names are none of these.
    #[inline]
    fn note(&mut self, field: &Header<'_>, span: Span, request: &mut Request) -> Result<Verdict, Error> {
        let (name, value) = (field.name.as_bytes(), field.value);
        let is = |text: &[u8]| name.eq_ignore_ascii_case(text);
        match name.len() {
            4 if is(b"host") => {
                check_host(value, self.host.is_some())?;
                self.host = Some(request.vars.len());
                request.host = span;
            }
            6 if is(b"expect") => self.expect(value)?,
            7 if is(b"referer") => request.referer = span,
            10 if is(b"connection") => self.connection(value),
            10 if is(b"user-agent") => request.agent = span,
            14 if is(b"content-length") => return self.content_length(value),
            15 if is(b"x-forwarded-for") => request.forwarded_for = span,
            15 if self.trusted && is(b"x-forwarded-ssl") => request.https = matches!(value, b"on" | b"1"),
            17 if is(b"transfer-encoding") => self.transfer_encoding(value)?,
            17 if self.trusted && is(b"x-forwarded-proto") => request.scheme = span,
            _ => {}
        }
        Ok(Verdict::Keep)
    }

    /// RFC 9112 §6.3: equal ones may count as one, others are beyond recovery.
    fn content_length(&mut self, value: &[u8]) -> Result<Verdict, Error> {
        let length = content_length(value)?;
        match self.length.replace(length) {
            None => Ok(Verdict::Keep),
            Some(before) if before == length => Ok(Verdict::Drop),
            Some(_) => Err(Error::new(400, "two different Content-Lengths".into())),
        }
    }

    /// `chunked`, once, is the only coding (RFC 9112 §6.1).
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.chunked {
            return Err(Error::new(400, "Transfer-Encoding twice".into()));
        }
        if value.is_empty() {
            return Err(Error::new(400, "a Transfer-Encoding that names no coding".into()));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Error::new(501, "a transfer coding other than chunked".into()));
        }
        self.chunked = true;
        Ok(())
    }

    /// RFC 9110 §10.1.1: there is one expectation, any other fails.
    fn expect(&mut self, value: &[u8]) -> Result<(), Error> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Error::new(417, "an expectation other than 100-continue".into()));
        }
        self.expect_continue = true;
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        // What nearly everybody sends needs no taking apart.
        if value == b"keep-alive" {
            self.persist = true;
            return;
        }
        for option in tokens(value) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.persist |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// After the last field: what they mean together.
    pub(super) fn conclude(
        &self,
        head: &[u8],
        authority: Option<Span>,
        site: &Site,
        request: &mut Request,
    ) -> Result<(), Error> {
        let modern = request.version == Version::Http11;
        // RFC 9112 §3.2: also where the target has an authority.
        if modern && self.host.is_none() {
            return Err(Error::new(400, "no Host in HTTP/1.1".into()));
        }
        if let Some(authority) = authority {
            match self.host {
                Some(at) => give(&mut request.vars[at], authority),
                None => request.vars.push(var(VAR_PLAIN, site.host, authority)),
            }
            request.host = authority;
        }
        request.body = self.body(modern)?;
        request.keep_alive = !self.close && (modern || self.persist);
        // RFC 9110 §10.1.1: not for HTTP/1.0, and without a body there is nothing to wait for.
        request.expect_continue = self.expect_continue && modern && request.body != Body::None;
        if self.repeated {
            join_repeats(head, request);
        }
        Ok(())
    }

    /// Two ways to tell a length are one too many (RFC 9112 §6.1).
    fn body(&self, modern: bool) -> Result<Body, Error> {
        match (self.chunked, self.length) {
            (true, _) if !modern => Err(Error::new(400, "Transfer-Encoding in HTTP/1.0".into())),
            (true, Some(_)) => Err(Error::new(400, "both Content-Length and Transfer-Encoding".into())),
            (true, None) => Ok(Body::Chunked),
            (false, length) => Ok(Body::sized(length.unwrap_or(0))),
        }
    }
}

/// RFC 9112 §3.2: exactly one, and nothing but a host and a port.
fn check_host(value: &[u8], again: bool) -> Result<(), Error> {
    if again {
        return Err(Error::new(400, "Host twice".into()));
    }
    if !is_host(value) {
        return Err(Error::new(400, "a Host that is no host".into()));
    }
    Ok(())
}

/// Whether `value` is RFC 3986's `host [":" port]`. The empty host is one, without a port (RFC 9110 §7.2).
#[inline]
pub(super) fn is_host(value: &[u8]) -> bool {
    // Nearly every host is a name: one pass without a branch tells.
    let seen = value.iter().fold(0, |seen, byte| seen | HOST_BYTES[usize::from(*byte)]);
    seen == 0 || (seen < NOWHERE && is_host_of_parts(value, seen == COLON))
}

/// What a byte of a host is beside a plain one of a name, which is 0: a mark of a port or an address…
const COLON: u8 = 1;
/// …of an address in brackets or an escape…
const SPECIAL: u8 = 2;
/// …or of no host.
const NOWHERE: u8 = 4;

const HOST_BYTES: [u8; 256] = {
    let (plain, special) = (b"-._~!$&'()*+,;=", b"[]%");
    let (mut table, mut at) = ([NOWHERE; 256], 0);
    while at < table.len() {
        if (at as u8).is_ascii_alphanumeric() {
            table[at] = 0;
        }
        at += 1;
    }
    at = 0;
    while at < plain.len() {
        table[plain[at] as usize] = 0;
        at += 1;
    }
    at = 0;
    while at < special.len() {
        table[special[at] as usize] = SPECIAL;
        at += 1;
    }
    table[b':' as usize] = COLON;
    table
};

/// The same for hosts with a port, an IPv6 address or escapes. `plain`: a colon is all that is special.
fn is_host_of_parts(value: &[u8], plain: bool) -> bool {
    let end = match value.first() {
        Some(b'[') => value.iter().position(|byte| *byte == b']').map_or(0, |at| at + 1),
        _ => value.iter().position(|byte| *byte == b':').unwrap_or(value.len()),
    };
    let (host, port) = value.split_at(end);
    let port_is_one = match port {
        [] => true,
        [b':', digits @ ..] => is_port(digits),
        _ => false,
    };
    port_is_one
        && match host {
            [] => false,
            [b'[', address @ .., b']'] => is_bracketed(address),
            name => plain || is_name(name),
        }
}

/// `*DIGIT`, none or a number of 16 bits.
fn is_port(digits: &[u8]) -> bool {
    let number = |sum: u32, digit: &u8| digit.is_ascii_digit().then(|| sum * 10 + u32::from(digit - b'0'));
    digits.len() <= 5 && digits.iter().try_fold(0, number).is_some_and(|port| port <= 0xffff)
}

/// `IPv6address / IPvFuture`.
fn is_bracketed(address: &[u8]) -> bool {
    match address {
        [b'v' | b'V', future @ ..] => future.iter().all(|b| *b == b':' || HOST_BYTES[usize::from(*b)] == 0),
        _ => str::from_utf8(address).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok()),
    }
}

/// `reg-name`, whose percent signs are all escapes.
fn is_name(name: &[u8]) -> bool {
    let mut rest = name.iter();
    while let Some(byte) = rest.next() {
        let mut is_hex = || rest.next().is_some_and(u8::is_ascii_hexdigit);
        match byte {
            b'%' if is_hex() && is_hex() => {}
            byte if HOST_BYTES[usize::from(*byte)] == 0 => {}
            _ => return false,
        }
    }
    true
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
/// copied once: joined as they come, a head of alternating names would grow into megabytes.
#[cold]
fn join_repeats(head: &[u8], request: &mut Request) {
    let mut at = 0;
    while at < request.vars.len() {
        let first = request.vars[at];
        let same = |var: &Var| is_field_of(head, &first, var);
        if request.vars[at + 1..].iter().any(same) {
            let joined = join(head, &request.vars[at..], same, &mut request.derived);
            // A mark was set to the last of them.
            let last = request.vars.iter().rfind(|var| same(var)).map(value_of);
            for mark in [&mut request.agent, &mut request.referer, &mut request.forwarded_for] {
                if last == Some(*mark) {
                    *mark = joined;
                }
            }
            give(&mut request.vars[at], joined);
            let mut index = 0;
            request.vars.retain(|var| {
                index += 1;
                index <= at + 1 || !same(var)
            });
        }
        at += 1;
    }
}

/// Appends the values of those of `vars` that are `same` to `derived`, as one list.
fn join(head: &[u8], vars: &[Var], same: impl Fn(&Var) -> bool, derived: &mut Vec<u8>) -> Span {
    let is_cookie = name_of(head, &vars[0]).eq_ignore_ascii_case(b"cookie");
    // RFC 9110 §5.3; cookies have their own separator (RFC 6265 §5.4).
    let separator: &[u8] = if is_cookie { b"; " } else { b", " };
    let start = derived.len();
    for (count, var) in vars.iter().filter(|var| same(var)).enumerate() {
        let off = var.value_off as usize;
        derived.extend_from_slice(if count == 0 { b"" } else { separator });
        derived.extend_from_slice(&head[off..off + var.value_len as usize]);
    }
    Span { area: AREA_DERIVED, off: start as u32, len: (derived.len() - start) as u32 }
}

fn is_field_of(head: &[u8], first: &Var, var: &Var) -> bool {
    let received = |var: &Var| var.kind == VAR_FIELD && var.name_area == AREA_HEAD;
    first.name_len == var.name_len
        && received(first)
        && received(var)
        && name_of(head, first).eq_ignore_ascii_case(name_of(head, var))
}

fn name_of<'a>(head: &'a [u8], var: &Var) -> &'a [u8] {
    let off = var.name_off as usize;
    &head[off..off + usize::from(var.name_len)]
}

fn value_of(var: &Var) -> Span {
    Span { area: var.value_area, off: var.value_off, len: var.value_len }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_a_port() {
        for host in [
            "",
            "h",
            "h:",
            "h:80",
            "a-b.example.:8080",
            "192.0.2.1:80",
            "[::1]",
            "[2001:db8::192.0.2.1]:443",
            "[v1.a:b]",
            "a%20b",
            "a_b~!$&'()*+,;=c",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            ":80",
            "h:x",
            "h:80:80",
            "h:-1",
            "h:123456",
            "h:65536",
            "[::1",
            "::1",
            "[::1]80",
            "[::1]:x",
            "[h]",
            "[]",
            "[::1%eth0]",
            "a[::1]",
            "a%2",
            "a%zz",
            "a\tb",
            "a,b c",
            "a\"b",
            "a\\b",
            "a?b",
            "a#b",
            "a/b",
            "u@h",
            "\u{e9}.example",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
