//! What the front ends' protocols (uwsgi, FastCGI, SCGI) have in common: a request is a list of CGI variables
//! (RFC 3875 §4.1), which the front end has made and checked.

use uwring_abi::{VAR_PLAIN, Var};

use super::{Error, Limits, content_length};
use crate::request::{Body, Echo, Request, Span};

/// Takes down one variable, whose bytes are at `name_at` and `value_at`. Part of each parser's loop: called, it costs a
/// request of some twenty variables 760 instructions more.
#[inline(always)]
pub fn take(
    request: &mut Request,
    limits: &Limits,
    (name, name_at): (&[u8], Span),
    (value, value_at): (&[u8], Span),
) -> Result<(), Error> {
    if request.vars.len() >= limits.vars {
        return Err(Error::new(431, format!("more than {} variables", limits.vars)));
    }
    request.vars.push(Var {
        name_area: name_at.area,
        value_area: value_at.area,
        kind: VAR_PLAIN,
        // Who calls has seen to it that names are shorter than 64 KiB.
        name_len: name.len() as u16,
        name_off: name_at.off,
        value_off: value_at.off,
        value_len: value_at.len,
    });
    mark(request, name, value, value_at)
}

/// Remembers the variables that the server itself needs. Told apart by length first: most are none of them.
#[inline(always)]
fn mark(request: &mut Request, name: &[u8], value: &[u8], span: Span) -> Result<(), Error> {
    match name.len() {
        5 if name == b"HTTPS" => request.https = matches!(value, [b'1', ..] | [b'o', b'n', ..]),
        9 if name == b"HTTP_HOST" => request.host = span,
        11 if name == b"REMOTE_ADDR" => request.addr = span,
        11 if name == b"REMOTE_USER" => request.user = span,
        11 if name == b"REQUEST_URI" => request.uri = span,
        11 if name == b"SERVER_NAME" && request.host.is_empty() => request.host = span,
        12 if name == b"HTTP_REFERER" => request.referer = span,
        12 if name == b"UWSGI_SCHEME" => request.scheme = span,
        14 if name == b"REQUEST_METHOD" => {
            request.method = span;
            request.is_head = value == b"HEAD";
        }
        // Of equal names the last wins, here as in the environ: that is how nginx overrides one.
        14 if name == b"CONTENT_LENGTH" => {
            let len = if value.is_empty() { 0 } else { content_length(value)? };
            request.body = Body::sized(len);
        }
        15 if name == b"SERVER_PROTOCOL" => {
            request.protocol = span;
            request.echo = Echo::of(value);
        }
        15 if name == b"HTTP_USER_AGENT" => request.agent = span,
        20 if name == b"HTTP_X_FORWARDED_FOR" => request.forwarded_for = span,
        20 if name == b"HTTP_X_FORWARDED_SSL" => request.https = matches!(value, b"on" | b"1"),
        22 if name == b"HTTP_X_FORWARDED_PROTO" => request.scheme = span,
        _ => {}
    }
    Ok(())
}
