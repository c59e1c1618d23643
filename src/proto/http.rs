//! HTTP/1.x request heads (RFC 9112) through `httparse`, made into the variables that uWSGI's `http-socket` makes.
//! Strict where leniency lets two servers read one message differently: framing, field syntax, `Host`.

use std::mem::MaybeUninit;
use std::net::SocketAddr;

use uwring_abi::{AREA_FIXED, VAR_FIELD, VAR_PLAIN, Var};

use super::{Error, Limits, Step, content_length, path};
use crate::request::{Body, Request, Span, Version};

/// What every request of a listening socket has in common: AREA_FIXED.
#[derive(Debug)]
pub struct Site {
    text: Vec<u8>,
    names: [Span; NAMES.len()],
    server_name: Span,
    server_port: Span,
}

/// The variables a request line and a connection make, in uWSGI's order.
const NAMES: [&str; 11] = [
    "REQUEST_METHOD",
    "REQUEST_URI",
    "PATH_INFO",
    "QUERY_STRING",
    "SERVER_PROTOCOL",
    "SCRIPT_NAME",
    "SERVER_NAME",
    "SERVER_PORT",
    "REMOTE_ADDR",
    "HTTP_HOST",
    "HTTPS",
];
const METHOD: usize = 0;
const URI: usize = 1;
const PATH: usize = 2;
const QUERY: usize = 3;
const PROTOCOL: usize = 4;
const SCRIPT: usize = 5;
const SERVER_NAME: usize = 6;
const SERVER_PORT: usize = 7;
const ADDR: usize = 8;
const HOST: usize = 9;

impl Site {
    /// Of the host `server_name`; `port` as SERVER_PORT shows it.
    pub fn new(server_name: &str, port: u16) -> Site {
        let mut text = Vec::new();
        let mut put = |part: &str| {
            let off = u32::try_from(text.len()).expect("a few names");
            text.extend_from_slice(part.as_bytes());
            Span { area: AREA_FIXED, off, len: u32::try_from(part.len()).expect("a name") }
        };
        let names = NAMES.map(&mut put);
        let server_name = put(server_name);
        let server_port = put(&port.to_string());
        Site { text, names, server_name, server_port }
    }

    /// The bytes of AREA_FIXED.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn add(&self, request: &mut Request, name: usize, value: Span) {
        request.vars.push(var(VAR_PLAIN, self.names[name], value));
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
    // RFC 9112 §2.2: an empty line before a request is ignored.
    let skipped = if data.starts_with(b"\r\n") { 2 } else { 0 };
    let mut fields = [const { MaybeUninit::uninit() }; crate::base::limits::FIELDS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match parsed.parse_with_uninit_headers(&data[skipped..], &mut fields) {
        Ok(httparse::Status::Complete(len)) => skipped + len,
        Ok(httparse::Status::Partial) if data.len() > limits.head_bytes => {
            return Err(too_large(data, limits));
        }
        Ok(httparse::Status::Partial) => return Ok(Step::NeedMore),
        Err(error) => return Err(syntax(error)),
    };
    if len > limits.head_bytes {
        return Err(too_large(data, limits));
    }
    check_line_ends(&data[skipped..len], parsed.headers.len())?;
    request.clear();
    request.head_bytes = len;
    request.version = if parsed.version == Some(1) { Version::Http11 } else { Version::Http10 };
    let start = data.as_ptr() as usize;
    let place = Place { start, end: start + data.len() };
    let target = Target::of(parsed.method.unwrap_or(""), parsed.path.unwrap_or(""))?;
    request_line(request, site, &place, &parsed, &target)?;
    connection(request, site, peer);
    let mut seen = Seen::default();
    for field in parsed.headers.iter() {
        seen.field(request, &place, peer, field, data)?;
    }
    seen.conclude(request, site, &place, &target)?;
    Ok(Step::Head)
}

/// Turns what `httparse` borrowed back into offsets.
struct Place {
    start: usize,
    end: usize,
}

impl Place {
    /// Whether `part` was received as it is.
    fn holds(&self, part: &[u8]) -> bool {
        (self.start..self.end).contains(&(part.as_ptr() as usize))
    }

    fn span(&self, part: &[u8]) -> Span {
        // `part` lies in the received bytes, far below 4 GiB.
        let off = u32::try_from((part.as_ptr() as usize).wrapping_sub(self.start)).unwrap_or(u32::MAX);
        Span::head(off, u32::try_from(part.len()).unwrap_or(u32::MAX))
    }
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

/// The parts of a request target (RFC 9112 §3.2).
struct Target<'a> {
    whole: &'a str,
    path: &'a str,
    query: &'a str,
    /// Of the absolute form: it outranks `Host`.
    authority: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn of(method: &str, whole: &'a str) -> Result<Target<'a>, Error> {
        if method == "CONNECT" {
            return Err(Error::new(501, "CONNECT: this is no proxy".into()));
        }
        if whole.contains('#') {
            return Err(Error::new(400, "a fragment in the request target".into()));
        }
        if whole == "*" && method == "OPTIONS" {
            return Ok(Target { whole, path: whole, query: "", authority: None });
        }
        let (authority, local) = match whole.get(..7) {
            Some(scheme) if scheme.eq_ignore_ascii_case("http://") => absolute(&whole[7..])?,
            _ => match whole.get(..8) {
                Some(scheme) if scheme.eq_ignore_ascii_case("https://") => absolute(&whole[8..])?,
                _ => (None, whole),
            },
        };
        if !local.starts_with('/') && authority.is_none() {
            return Err(Error::new(400, "a request target that is neither a path nor a URI".into()));
        }
        let (path, query) = local.split_once('?').unwrap_or((local, ""));
        Ok(Target { whole, path: if path.is_empty() { "/" } else { path }, query, authority })
    }
}

/// Authority, and path with query, of a URI behind its scheme.
fn absolute(rest: &str) -> Result<(Option<&str>, &str), Error> {
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, local) = rest.split_at(end);
    if authority.is_empty() || authority.contains('@') {
        return Err(Error::new(400, "a URI without a host, or with user information".into()));
    }
    Ok((Some(authority), local))
}

fn request_line(
    request: &mut Request,
    site: &Site,
    place: &Place,
    parsed: &httparse::Request<'_, '_>,
    target: &Target<'_>,
) -> Result<(), Error> {
    let method = parsed.method.unwrap_or("");
    request.is_head = method == "HEAD";
    request.method = place.span(method.as_bytes());
    request.uri = place.span(target.whole.as_bytes());
    // Behind the target comes one blank (httparse accepts no more), then the version.
    let version = request.uri.off + request.uri.len + 1;
    request.protocol = Span::head(version, "HTTP/1.1".len() as u32);
    let path_info = path_info(request, place, target)?;
    let query = if target.query.is_empty() { Span::default() } else { place.span(target.query.as_bytes()) };
    site.add(request, METHOD, request.method);
    site.add(request, URI, request.uri);
    site.add(request, PATH, path_info);
    site.add(request, QUERY, query);
    site.add(request, PROTOCOL, request.protocol);
    site.add(request, SCRIPT, Span::default());
    Ok(())
}

fn path_info(request: &mut Request, place: &Place, target: &Target<'_>) -> Result<Span, Error> {
    let text = target.path.as_bytes();
    if place.holds(text) && (text == b"*" || path::is_plain(text)) {
        return Ok(place.span(text));
    }
    let off = u32::try_from(request.derived.len()).unwrap_or(u32::MAX);
    path::decode(text, &mut request.derived)?;
    let len = u32::try_from(request.derived.len()).unwrap_or(u32::MAX) - off;
    Ok(Span { area: uwring_abi::AREA_DERIVED, off, len })
}

fn connection(request: &mut Request, site: &Site, peer: &Peer) {
    site.add(request, SERVER_NAME, site.server_name);
    site.add(request, SERVER_PORT, site.server_port);
    request.addr = request.derive(peer.text.as_bytes());
    let addr = request.addr;
    site.add(request, ADDR, addr);
}

/// What fields say about the message itself.
#[derive(Default)]
struct Seen {
    host: Option<usize>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    /// Index of the first variable that is a field.
    first: Option<usize>,
}

impl Seen {
    fn field(
        &mut self,
        request: &mut Request,
        place: &Place,
        peer: &Peer,
        field: &httparse::Header<'_>,
        data: &[u8],
    ) -> Result<(), Error> {
        let (name, value) = (field.name.as_bytes(), field.value);
        if name.contains(&b'_') {
            // `X_Forwarded_For` and `X-Forwarded-For` would become one key: a client could pass for a front end.
            return Ok(());
        }
        let span = place.span(value);
        let again = match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => {
                check_host(value, self.host.is_some())?;
                self.host = Some(request.vars.len());
                request.host = span;
                false
            }
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(request, value)?,
            7 if name.eq_ignore_ascii_case(b"referer") => mark(&mut request.referer, span),
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(value),
            10 if name.eq_ignore_ascii_case(b"user-agent") => mark(&mut request.agent, span),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value)?,
            15 if name.eq_ignore_ascii_case(b"x-forwarded-for") => mark(&mut request.forwarded_for, span),
            15 if peer.trusted && name.eq_ignore_ascii_case(b"x-forwarded-ssl") => {
                request.https = matches!(value, b"on" | b"1");
                false
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                self.transfer_encoding(request, value)?
            }
            17 if peer.trusted && name.eq_ignore_ascii_case(b"x-forwarded-proto") => {
                mark(&mut request.scheme, span)
            }
            _ => false,
        };
        if !again {
            self.add(request, place, field, data);
        }
        Ok(())
    }

    /// Adds the variable, or joins its value to that of an earlier field of the same name.
    fn add(&mut self, request: &mut Request, place: &Place, field: &httparse::Header<'_>, data: &[u8]) {
        let name = field.name.as_bytes();
        let first = *self.first.get_or_insert(request.vars.len());
        let earlier = request.vars[first..].iter().position(|var| {
            let start = var.name_off as usize;
            usize::from(var.name_len) == name.len()
                && data[start..start + name.len()].eq_ignore_ascii_case(name)
        });
        let Some(earlier) = earlier else {
            request.vars.push(var(VAR_FIELD, place.span(name), place.span(field.value)));
            return;
        };
        // RFC 9110 §5.3; cookies have their own separator (RFC 6265 §5.4).
        let separator: &[u8] = if name.eq_ignore_ascii_case(b"cookie") { b"; " } else { b", " };
        let before = request.vars[first + earlier];
        let value = Span { area: before.value_area, off: before.value_off, len: before.value_len };
        let joined = [request.bytes(value, data, &[]), separator, field.value].concat();
        let joined = request.derive(&joined);
        let var = &mut request.vars[first + earlier];
        (var.value_area, var.value_off, var.value_len) = (joined.area, joined.off, joined.len);
    }

    fn expect(&mut self, request: &mut Request, value: &[u8]) -> Result<bool, Error> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Error::new(417, "an expectation other than 100-continue".into()));
        }
        // RFC 9110 §10.1.1: from an HTTP/1.0 client it is ignored.
        request.expect_continue = request.version == Version::Http11;
        Ok(false)
    }

    fn connection(&mut self, value: &[u8]) -> bool {
        for token in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            self.close |= token.eq_ignore_ascii_case(b"close");
            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
        }
        false
    }

    fn content_length(&mut self, value: &[u8]) -> Result<bool, Error> {
        let len = content_length(value)?;
        match self.length.replace(len) {
            Some(before) if before != len => Err(Error::new(400, "two different Content-Lengths".into())),
            before => Ok(before.is_some()),
        }
    }

    fn transfer_encoding(&mut self, request: &Request, value: &[u8]) -> Result<bool, Error> {
        if request.version == Version::Http10 {
            return Err(Error::new(400, "Transfer-Encoding in HTTP/1.0".into()));
        }
        if self.chunked {
            return Err(Error::new(400, "Transfer-Encoding twice".into()));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Error::new(501, "a transfer coding other than chunked".into()));
        }
        self.chunked = true;
        Ok(false)
    }

    fn conclude(
        self,
        request: &mut Request,
        site: &Site,
        place: &Place,
        target: &Target<'_>,
    ) -> Result<(), Error> {
        if self.host.is_none() && request.version == Version::Http11 {
            return Err(Error::new(400, "no Host in HTTP/1.1".into()));
        }
        if self.chunked && self.length.is_some() {
            return Err(Error::new(400, "both Content-Length and Transfer-Encoding".into()));
        }
        if let Some(authority) = target.authority {
            request.host = place.span(authority.as_bytes());
            let host = request.host;
            match self.host {
                Some(at) => (request.vars[at].value_off, request.vars[at].value_len) = (host.off, host.len),
                None => site.add(request, HOST, host),
            }
        }
        request.body = if self.chunked { Body::Chunked } else { Body::sized(self.length.unwrap_or(0)) };
        request.keep_alive = !self.close && (request.version == Version::Http11 || self.keep_alive);
        Ok(())
    }
}

fn mark(what: &mut Span, span: Span) -> bool {
    *what = span;
    false
}

/// The bytes of RFC 3986's `host [":" port]`.
const HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let special =
            matches!(byte as u8, b'-' | b'.' | b'_' | b'~' | b':' | b'[' | b']' | b'%' | b'!' | b'$')
                || matches!(byte as u8, b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=');
        table[byte] = special || (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    table
};

/// RFC 9112 §3.2: exactly one, and nothing but a host and a port.
fn check_host(value: &[u8], again: bool) -> Result<(), Error> {
    if again {
        return Err(Error::new(400, "Host twice".into()));
    }
    if !value.iter().all(|&byte| HOST_BYTES[usize::from(byte)]) {
        return Err(Error::new(400, "a Host that is no host".into()));
    }
    Ok(())
}

/// httparse takes a bare line feed for a line's end; another server may not (RFC 9112 §2.2). Values hold neither
/// character, so counting them is enough.
fn check_line_ends(head: &[u8], fields: usize) -> Result<(), Error> {
    // In blocks of 255 a byte counts a block's matches, which the compiler turns into vector instructions.
    let count = |wanted: u8| -> usize {
        head.chunks(255)
            .map(|block| usize::from(block.iter().map(|&byte| u8::from(byte == wanted)).sum::<u8>()))
            .sum()
    };
    let lines = fields + 2;
    if count(b'\n') != lines || count(b'\r') != lines {
        return Err(Error::new(400, "a line that does not end with CR LF".into()));
    }
    Ok(())
}

fn too_large(data: &[u8], limits: &Limits) -> Error {
    let max = limits.head_bytes;
    if !data.contains(&b'\n') {
        return Error::new(414, format!("a request line of more than {max} bytes: raise buffer-size"));
    }
    Error::new(431, format!("a request head of more than {max} bytes: raise buffer-size (at most 65535)"))
}

fn syntax(error: httparse::Error) -> Error {
    match error {
        httparse::Error::Version => Error::new(505, "a version other than HTTP/1.0 and HTTP/1.1".into()),
        httparse::Error::TooManyHeaders => {
            Error::new(431, format!("more than {} fields", crate::base::limits::FIELDS_MAX))
        }
        error => Error::new(400, format!("invalid HTTP request: {error}")),
    }
}

#[cfg(test)]
mod tests;
