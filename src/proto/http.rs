//! HTTP/1.x request heads (RFC 9112) through `httparse`, made into the variables that uWSGI's `http-socket` makes.
//! Strict where leniency lets two servers read one message differently: framing, field syntax, `Host`.
//!
//! `target` takes the request line's middle apart, `fields` the rest. Called by `worker` with all bytes received so
//! far; text is copied only where it changes: a path that is decoded, fields that repeat, the peer's address.

mod fields;
mod target;

use std::mem::MaybeUninit;
use std::net::SocketAddr;

use uwring_abi::{AREA_FIXED, VAR_PLAIN, Var};

use self::fields::Fields;
use self::target::Target;
use super::{Error, Limits, Step};
use crate::base::limits::FIELDS_MAX;
use crate::request::{Request, Span, Version};

/// What every request of a listening socket has in common: the bytes of AREA_FIXED, and the variables that go
/// before the fields, in uWSGI's order.
#[derive(Debug)]
pub struct Site {
    text: Vec<u8>,
    template: Vec<Var>,
    /// The name of a Host that only the target gave.
    host: Span,
    /// The path of a target that has none.
    root: Span,
}

/// Places in the template that each request fills.
const METHOD: usize = 0;
const URI: usize = 1;
const PATH: usize = 2;
const QUERY: usize = 3;
const PROTOCOL: usize = 4;
const ADDR: usize = 8;

impl Site {
    /// Of the host `server_name`; `port` as SERVER_PORT shows it.
    pub fn new(server_name: &str, port: u16) -> Site {
        let mut text = Vec::new();
        let mut put = |part: &str| {
            let off = u32::try_from(text.len()).expect("a few names");
            text.extend_from_slice(part.as_bytes());
            Span { area: AREA_FIXED, off, len: u32::try_from(part.len()).expect("a name") }
        };
        let variables = [
            ("REQUEST_METHOD", ""),
            ("REQUEST_URI", ""),
            ("PATH_INFO", ""),
            ("QUERY_STRING", ""),
            ("SERVER_PROTOCOL", ""),
            ("SCRIPT_NAME", ""),
            ("SERVER_NAME", server_name),
            ("SERVER_PORT", &port.to_string()),
            ("REMOTE_ADDR", ""),
        ];
        let template = variables.map(|(name, value)| var(VAR_PLAIN, put(name), put(value))).into();
        let (host, root) = (put("HTTP_HOST"), put("/"));
        Site { text, template, host, root }
    }

    /// The bytes of AREA_FIXED.
    pub fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Who is at the other end of a connection.
#[derive(Debug)]
pub struct Peer {
    text: String,
    trusted: bool,
}

impl Peer {
    /// `None`: a unix socket's. Peers there and on this machine are taken for front ends: what they say of the
    /// scheme is believed.
    pub fn new(address: Option<SocketAddr>) -> Peer {
        let text = address.map_or_else(String::new, |address| address.ip().to_canonical().to_string());
        Peer { text, trusted: address.is_none_or(|address| address.ip().to_canonical().is_loopback()) }
    }

    /// REMOTE_ADDR.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Parses the head at the beginning of `data`.
pub fn parse(
    data: &[u8],
    limits: &Limits,
    site: &Site,
    peer: &Peer,
    request: &mut Request,
) -> Result<Step, Error> {
    // No byte beyond the limit is looked at.
    let head = &data[..data.len().min(limits.head_bytes)];
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(head, &mut slots) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if data.len() > limits.head_bytes => {
            return Err(too_large(head, limits));
        }
        Ok(httparse::Status::Partial) => return Ok(Step::NeedMore),
        Err(error) => return Err(syntax(error, head)),
    };
    let head = &head[..len];
    request.clear();
    request.head_bytes = len;
    request.version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let target = request_line(head, &parsed, site, request)?;
    request.addr = request.derive(peer.text.as_bytes());
    give(&mut request.vars[ADDR], request.addr);
    let mut fields = Fields::new(peer.trusted);
    for field in parsed.headers.iter() {
        fields.take(head, field, request)?;
    }
    if !head.ends_with(b"\r\n\r\n") {
        return Err(line_end());
    }
    fields.conclude(head, target.authority, site, request)?;
    Ok(Step::Head)
}

/// The template's variables, with what the request line says.
fn request_line(
    head: &[u8],
    parsed: &httparse::Request<'_, '_>,
    site: &Site,
    request: &mut Request,
) -> Result<Target, Error> {
    let method = parsed.method.unwrap_or("").as_bytes();
    let uri = parsed.path.unwrap_or("").as_bytes();
    request.method = span_in(head, method);
    // RFC 9112 §2.2: empty lines before a request are ignored; httparse would take a bare line feed for one.
    if !head[..request.method.off as usize].chunks(2).all(|line| line == b"\r\n") {
        return Err(line_end());
    }
    request.uri = span_in(head, uri);
    // Behind the target comes one blank (httparse accepts no more), then the version.
    let version = request.uri.off + request.uri.len + 1;
    request.protocol = Span::head(version, "HTTP/1.1".len() as u32);
    request.is_head = method == b"HEAD";
    request.vars.extend_from_slice(&site.template);
    let target = Target::of(method, uri, request.uri.off, site.root, &mut request.derived)?;
    let values = [
        (METHOD, request.method),
        (URI, request.uri),
        (PATH, target.path),
        (QUERY, target.query),
        (PROTOCOL, request.protocol),
    ];
    for (place, value) in values {
        give(&mut request.vars[place], value);
    }
    Ok(target)
}

fn var(kind: u8, name: Span, value: Span) -> Var {
    Var {
        name_area: name.area,
        value_area: value.area,
        kind,
        name_len: u16::try_from(name.len).unwrap_or(u16::MAX),
        name_off: name.off,
        value_off: value.off,
        value_len: value.len,
    }
}

/// Gives `var` another value.
fn give(var: &mut Var, value: Span) {
    (var.value_area, var.value_off, var.value_len) = (value.area, value.off, value.len);
}

/// Turns what `httparse` borrowed from `head` back into offsets.
fn span_in(head: &[u8], part: &[u8]) -> Span {
    // `part` lies in the received bytes, far below 4 GiB.
    let off = part.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
    Span::head(u32::try_from(off).unwrap_or(u32::MAX), u32::try_from(part.len()).unwrap_or(u32::MAX))
}

/// httparse takes a bare line feed for a line's end; another server may not (RFC 9112 §2.2).
#[cold]
fn line_end() -> Error {
    Error::new(400, "a line that does not end with CR LF".into())
}

#[cold]
fn too_large(data: &[u8], limits: &Limits) -> Error {
    let max = limits.head_bytes;
    if !data.contains(&b'\n') {
        return Error::new(414, format!("a request line of more than {max} bytes: raise buffer-size"));
    }
    Error::new(431, format!("a request head of more than {max} bytes: raise buffer-size (at most 65535)"))
}

#[cold]
fn syntax(error: httparse::Error, head: &[u8]) -> Error {
    match error {
        // `GET /a b HTTP/1.1`: what stands where the version should is none.
        httparse::Error::Version if !names_a_version(head) => {
            Error::new(400, "a request line without a version".into())
        }
        httparse::Error::Version => Error::new(505, "a version other than HTTP/1.0 and HTTP/1.1".into()),
        httparse::Error::TooManyHeaders => Error::new(431, format!("more than {FIELDS_MAX} fields")),
        _ if head.first() == Some(&0x16) => Error::new(400, "TLS on a socket for plain HTTP".into()),
        _ if head.first() == Some(&0) => {
            Error::new(400, "a uwsgi packet on an HTTP socket (nginx: proxy_pass, not uwsgi_pass)".into())
        }
        error => Error::new(400, format!("invalid HTTP request: {error}")),
    }
}

fn names_a_version(head: &[u8]) -> bool {
    head.trim_ascii_start()
        .splitn(3, |byte| *byte == b' ')
        .nth(2)
        .is_some_and(|rest| rest.starts_with(b"HTTP/"))
}

#[cfg(test)]
mod tests;
