//! HTTP/1.x request heads (RFC 9112) through `httparse`, made into the variables that uWSGI's `http-socket` makes.
//! Strict where leniency lets two servers read one message differently: framing, field syntax, `Host`.
//!
//! `target` takes the request line's middle apart, `fields` the rest. Called by `worker` with all bytes received so
//! far; text is copied only where it changes: a path that is decoded, fields that repeat, the peer's address.

mod fields;
mod pieces;
mod target;

use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr};

use uwring_abi::{AREA_FIXED, VAR_PLAIN, Var};

use self::fields::Fields;
pub use self::pieces::Pieces;
use self::target::Target;
use super::proxy::Told;
use super::{Error, Limits, Step};
use crate::base::errors;
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
    /// Requests come over TLS.
    https: bool,
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
        Site { text, template, host, root, https: false }
    }

    /// The same behind TLS: requests have HTTPS too.
    pub fn over_tls(mut self) -> Site {
        let mut put = |part: &str| {
            let off = u32::try_from(self.text.len()).expect("a few names");
            self.text.extend_from_slice(part.as_bytes());
            Span { area: AREA_FIXED, off, len: u32::try_from(part.len()).expect("a name") }
        };
        let (name, value) = (put("HTTPS"), put("on"));
        self.template.push(var(VAR_PLAIN, name, value));
        self.https = true;
        self
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
    /// `None`: a unix socket's.
    address: Option<IpAddr>,
    /// What a proxy told of the connection.
    told: Option<Told>,
}

impl Peer {
    /// `None`: a unix socket's. Peers there and on this machine are taken for front ends: what they say of the
    /// scheme is believed.
    pub fn new(address: Option<SocketAddr>) -> Peer {
        let address = address.map(|address| address.ip().to_canonical());
        let text = address.map_or_else(String::new, |address| address.to_string());
        Peer { text, trusted: address.is_none_or(|address| address.is_loopback()), address, told: None }
    }

    /// Whether it is a unix socket's, or on this machine.
    pub fn is_near(&self) -> bool {
        self.trusted
    }

    /// The client of which the proxy `sender` told; the proxy itself where it told of none.
    pub fn told(sender: &Peer, told: Told) -> Peer {
        let mut peer = match told.ends {
            Some((client, _)) => Peer::new(Some(client)),
            None => Peer { text: sender.text.clone(), told: None, ..*sender },
        };
        peer.told = Some(told);
        peer
    }

    /// Its address; `None` for a unix socket's.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// REMOTE_ADDR.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// SERVER_PORT as uWSGI has it, for the listening socket of that address: its own, and 80 for a unix socket.
pub fn port(name: &str) -> u16 {
    name.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80)
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
    if let Some(b'\r' | b'\n') = head.first() {
        check_empty_lines(head)?;
    }
    let mut slots = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(head, &mut slots[..limits.vars.min(FIELDS_MAX)]) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if data.len() > limits.head_bytes => {
            return Err(too_large(head, limits));
        }
        Ok(httparse::Status::Partial) => return Ok(Step::NeedMore),
        Err(httparse::Error::Version) => return another_version(data, limits, site, peer, request),
        Err(error) => return Err(syntax(error, head, limits)),
    };
    let head = &head[..len];
    request.clear();
    request.head_bytes = len;
    request.https = site.https;
    request.version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let target = request_line(head, &parsed, site, request)?;
    request.addr = request.derive(peer.text.as_bytes());
    give(&mut request.vars[ADDR], request.addr);
    if let Some(told) = &peer.told {
        describe(told, request);
    }
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

/// The other variables that a proxy's preface gives, as uWSGI names them.
#[cold]
fn describe(told: &Told, request: &mut Request) {
    if let Some((client, server)) = told.ends {
        request.set(b"REMOTE_PORT", client.port().to_string().as_bytes());
        request.set(b"SERVER_ADDR", server.ip().to_canonical().to_string().as_bytes());
        request.set(b"SERVER_PORT", server.port().to_string().as_bytes());
    }
    if told.tls {
        request.set(b"HTTPS", b"on");
    }
}

/// Whether an HTTP request may begin with this byte: a method's, or an empty line's. No uwsgi packet for us does.
pub fn may_begin(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~\r\n".contains(&byte)
}

/// RFC 9112 §2.2 has a server ignore an empty line before a request: old clients sent one behind a body. Endless
/// ones are no request, and a bare line feed is no line.
#[cold]
fn check_empty_lines(head: &[u8]) -> Result<(), Error> {
    const EMPTY_LINES_MAX: usize = 4;
    let count = head.chunks(2).take_while(|line| *line == b"\r\n").count();
    if head.get(2 * count) == Some(&b'\n') {
        return Err(line_end());
    }
    if count > EMPTY_LINES_MAX {
        return Err(Error::new(400, "empty lines instead of a request".into()));
    }
    Ok(())
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
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    // Whichever takes most of the room is to blame.
    if line > max / 2 {
        return Error::new(
            414,
            format!("a request line too long for {max} bytes: raise buffer-size {}", errors::HEAD_TOO_LARGE),
        );
    }
    Error::new(
        431,
        format!(
            "a request head of more than {max} bytes: raise buffer-size (at most 65535) {}",
            errors::HEAD_TOO_LARGE
        ),
    )
}

/// `httparse` knows HTTP/1.0 and 1.1. A later 1.x is taken for 1.1 (RFC 9110 §2.5), anything else is refused.
#[cold]
fn another_version(
    data: &[u8],
    limits: &Limits,
    site: &Site,
    peer: &Peer,
    request: &mut Request,
) -> Result<Step, Error> {
    let head = &data[..data.len().min(limits.head_bytes)];
    let version = version_at(head).unwrap_or(head.len());
    match head[version..] {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'2'..=b'9', ..] => {
            // One byte more tells that there is more than fits. All offsets are those of `data`.
            let mut copy = data[..data.len().min(limits.head_bytes + 1)].to_vec();
            copy[version + "HTTP/1.".len()] = b'1';
            parse(&copy, limits, site, peer, request)
        }
        _ if head.starts_with(b"PRI * HTTP/2.0") => {
            Err(Error::new(505, "HTTP/2 (its connection preface) on a socket for HTTP/1.1".into()))
        }
        [b'H', b'T', b'T', b'P', b'/', ..] => {
            Err(Error::new(505, "a version other than HTTP/1.0 and HTTP/1.1".into()))
        }
        // `GET /a b HTTP/1.1`: what stands where the version should is none. `GET /`: HTTP/0.9.
        _ => Err(Error::new(400, "a request line without a version".into())),
    }
}

fn first_line(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b'\n').next().unwrap_or(head)
}

/// Where the third word of the request line begins.
fn version_at(head: &[u8]) -> Option<usize> {
    let mut blanks = head.iter().enumerate().filter(|(_, byte)| **byte == b' ');
    blanks.nth(1).map(|(at, _)| at + 1)
}

#[cold]
fn syntax(error: httparse::Error, head: &[u8], limits: &Limits) -> Error {
    match error {
        httparse::Error::TooManyHeaders => {
            Error::new(431, format!("more than {} fields", limits.vars.min(FIELDS_MAX)))
        }
        _ if head.first() == Some(&0x16) => Error::new(400, "TLS on a socket for plain HTTP".into()),
        _ if head.first() == Some(&0) => {
            Error::new(400, "a uwsgi packet on an HTTP socket (nginx: proxy_pass, not uwsgi_pass)".into())
        }
        httparse::Error::Token if first_line(head).iter().filter(|byte| **byte == b' ').count() < 2 => {
            Error::new(400, "a request line of less than method, target and version".into())
        }
        error => Error::new(400, format!("invalid HTTP request: {error}")),
    }
}

#[cfg(test)]
mod tests;
