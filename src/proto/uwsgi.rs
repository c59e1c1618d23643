//! The uwsgi protocol: a packet of variables, then the body, then an HTTP response until the connection ends.
//!
//! ```text
//!  modifier1  size, u16 little endian  modifier2 | name length, u16  name  value length, u16  value | … | body
//! ```
//!
//! Called by `worker` with all bytes received so far. Nothing is copied: variables are offsets into those bytes.
//! Variables that would make uWSGI load code (`UWSGI_FILE`, `UWSGI_MODULE`, …) are carried like any other and
//! never acted upon.

use uwring_abi::{AREA_HEAD, VAR_PLAIN, Var};

use super::{Error, Limits, Step, content_length};
use crate::request::{Body, Request, Span};

/// Bytes of the packet header.
const HEADER_BYTES: usize = 4;

/// Reads the head of a request from `data`, which begins at its first byte. `trusted`: the peer is a front end
/// whose `X-Forwarded-Proto` and `X-Forwarded-SSL` may be believed.
pub fn parse(data: &[u8], limits: &Limits, trusted: bool, req: &mut Request) -> Result<Step, Error> {
    req.clear();
    let [modifier1, low, high, modifier2, ..] = *data else {
        return Ok(Step::NeedMore);
    };
    let size = usize::from(u16::from_le_bytes([low, high]));
    admit(data, modifier1, size, limits)?;
    let Some(packet) = data.get(..HEADER_BYTES + size) else {
        return Ok(Step::NeedMore);
    };
    (req.modifier1, req.modifier2, req.head_bytes) = (modifier1, modifier2, packet.len());
    let mut at = HEADER_BYTES;
    while at < packet.len() {
        if req.vars.len() == limits.vars {
            return Err(Error::refuse(431, format!("more than {} variables in a request", limits.vars)));
        }
        let (name, name_off) = piece(packet, &mut at)?;
        let (value, value_off) = piece(packet, &mut at)?;
        if name.is_empty() {
            return Err(broken(packet));
        }
        req.vars.push(Var {
            name_area: AREA_HEAD,
            value_area: AREA_HEAD,
            kind: VAR_PLAIN,
            name_len: name.len() as u16,
            name_off,
            value_off,
            value_len: value.len() as u32,
        });
        mark(req, name, value, Span::head(value_off, value.len() as u32), trusted)?;
    }
    Ok(Step::Head)
}

/// What the 4 bytes of the header already decide, before the rest is waited for.
fn admit(data: &[u8], modifier1: u8, size: usize, limits: &Limits) -> Result<(), Error> {
    if !matches!(modifier1, 0 | 30) {
        let hint = if data[..HEADER_BYTES].iter().all(|b| b.is_ascii_uppercase() || *b == b' ') {
            " (HTTP on a uwsgi socket?)"
        } else {
            ""
        };
        return Err(Error::close(format!("-- unavailable modifier requested: {modifier1} --{hint}")));
    }
    if size > limits.head_bytes {
        let reason = format!(
            "invalid request block size: {size} (max {})...skip: raise buffer-size to take it",
            limits.head_bytes
        );
        return Err(Error::refuse(431, reason));
    }
    if size == 0 {
        return Err(Error::close("Empty python request. skip."));
    }
    Ok(())
}

/// The length-prefixed text at `at`, and its offset; `at` moves behind it.
#[inline]
fn piece<'a>(packet: &'a [u8], at: &mut usize) -> Result<(&'a [u8], u32), Error> {
    let start = *at + 2;
    let Some(&[low, high]) = packet.get(*at..start).and_then(|b| b.first_chunk::<2>()) else {
        return Err(broken(packet));
    };
    let end = start + usize::from(u16::from_le_bytes([low, high]));
    let Some(text) = packet.get(start..end) else {
        return Err(broken(packet));
    };
    *at = end;
    Ok((text, start as u32))
}

#[cold]
fn broken(packet: &[u8]) -> Error {
    Error::refuse(
        400,
        format!("invalid uwsgi request (current strsize: {}). skip.", packet.len() - HEADER_BYTES),
    )
}

/// Remembers the variables the server itself needs. By length first: most names are none of these.
#[inline]
fn mark(req: &mut Request, name: &[u8], value: &[u8], span: Span, trusted: bool) -> Result<(), Error> {
    match name.len() {
        5 if name == b"HTTPS" => req.https = is_on(value),
        9 if name == b"HTTP_HOST" => req.host = span,
        11 => match name {
            b"REQUEST_URI" => req.uri = span,
            b"REMOTE_ADDR" => req.addr = span,
            b"REMOTE_USER" => req.user = span,
            // Only until a Host is seen, as uWSGI does.
            b"SERVER_NAME" if req.host.is_empty() => req.host = span,
            _ => {}
        },
        12 => match name {
            b"HTTP_REFERER" => req.referer = span,
            b"UWSGI_SCHEME" => req.scheme = span,
            _ => {}
        },
        14 => match name {
            b"REQUEST_METHOD" => (req.method, req.is_head) = (span, value == b"HEAD"),
            b"CONTENT_LENGTH" => return length(req, value),
            _ => {}
        },
        15 => match name {
            b"SERVER_PROTOCOL" => (req.protocol, req.protocol_echo) = (span, known_protocol(value)),
            b"HTTP_USER_AGENT" => req.agent = span,
            _ => {}
        },
        20 => match name {
            b"HTTP_X_FORWARDED_FOR" => req.forwarded_for = span,
            b"HTTP_X_FORWARDED_SSL" if trusted => req.https = is_on(value),
            _ => {}
        },
        22 if trusted && name == b"HTTP_X_FORWARDED_PROTO" => req.scheme = span,
        _ => {}
    }
    Ok(())
}

/// `CONTENT_LENGTH`: nginx sends it empty where there is no body. Two that differ are refused: which one counts is
/// a matter of taste, and tastes differ between servers.
fn length(req: &mut Request, value: &[u8]) -> Result<(), Error> {
    let length = if value.is_empty() { 0 } else { content_length(value)? };
    let seen = match req.body {
        Body::Sized(seen) => Some(seen),
        _ => req.length_seen.then_some(0),
    };
    if seen.is_some_and(|seen| seen != length) {
        return Err(Error::refuse(400, "two CONTENT_LENGTH variables that differ"));
    }
    req.length_seen = true;
    req.body = if length == 0 { Body::None } else { Body::Sized(length) };
    Ok(())
}

/// uWSGI takes whatever begins with `on` or `1`; `onion` is not what anybody means.
pub(super) fn is_on(value: &[u8]) -> bool {
    value.eq_ignore_ascii_case(b"on") || value == b"1"
}

fn known_protocol(value: &[u8]) -> &'static str {
    match value {
        b"HTTP/1.1" => "HTTP/1.1",
        b"HTTP/2.0" => "HTTP/2.0",
        b"HTTP/3.0" => "HTTP/3.0",
        b"HTTP/2" => "HTTP/2",
        b"HTTP/3" => "HTTP/3",
        _ => "HTTP/1.0",
    }
}

#[cfg(test)]
mod tests;
