//! HTTP/1.x request heads, by way of `httparse`, as the variables uWSGI's http-socket makes of them.
//!
//! `httparse` knows the grammar; what is decided here is everything it leaves open, strictly: a head that two
//! servers could read differently is refused (RFC 9112 §11.2), not repaired. Called by `worker` with all bytes
//! received so far. Text is not copied but for the peer's address, a path that needs decoding, and repeated fields.
//!
//! Differences from uWSGI, on purpose: lines end with CRLF and nothing else; no folded lines; a field name with an
//! underscore is dropped, since `X_Forwarded_For` and `X-Forwarded-For` make the same variable and a front end
//! guards only one of them; Cookie is joined with `; ` as RFC 6265 §5.4 wants it; a malformed `%` is an error.

mod fields;
mod target;

use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};
use uwring_abi::{AREA_FIXED, Var};

use self::fields::Fields;
use super::{Error, Limits, Step};
use crate::base::limits::VARS_MAX;
use crate::request::{self, Request, Span, Version};

/// Who is on the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    /// `REMOTE_ADDR`.
    pub addr: &'a [u8],
    /// `REMOTE_PORT`: uWSGI's http router tells it, its http-socket does not.
    pub port: Option<&'a [u8]>,
}

/// What every request of a listener has in common, made once: the bytes of `AREA_FIXED` and the variables that
/// go before the fields.
#[derive(Debug)]
pub struct Site {
    text: Vec<u8>,
    template: Vec<Var>,
    remote_port: Span,
    host: Span,
    root: Span,
}

/// Places in the template that each request fills.
const REQUEST_METHOD: usize = 0;
const REQUEST_URI: usize = 1;
const PATH_INFO: usize = 2;
const QUERY_STRING: usize = 3;
const SERVER_PROTOCOL: usize = 4;
const REMOTE_ADDR: usize = 8;

impl Site {
    /// For a listener on `server_port`; uWSGI says the machine's name for `server_name`, and port 80 for a unix
    /// socket. `https`: the listener itself speaks TLS.
    pub fn new(server_name: &str, server_port: &str, https: bool) -> Site {
        let mut site = Site {
            text: Vec::new(),
            template: Vec::new(),
            remote_port: Span::default(),
            host: Span::default(),
            root: Span::default(),
        };
        let fixed = [("SCRIPT_NAME", ""), ("SERVER_NAME", server_name), ("SERVER_PORT", server_port)];
        for name in ["REQUEST_METHOD", "REQUEST_URI", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL"] {
            site.var(name, "");
        }
        for (name, value) in fixed {
            site.var(name, value);
        }
        site.var("REMOTE_ADDR", "");
        if https {
            site.var("HTTPS", "on");
        }
        site.remote_port = site.put("REMOTE_PORT");
        site.host = site.put("Host");
        site.root = site.put("/");
        site
    }

    /// The bytes of `AREA_FIXED` for requests parsed with this site.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    fn var(&mut self, name: &str, value: &str) {
        let (name, value) = (self.put(name), self.put(value));
        self.template.push(request::plain(name, value));
    }

    fn put(&mut self, text: &str) -> Span {
        let off = self.text.len() as u32;
        self.text.extend_from_slice(text.as_bytes());
        Span { area: AREA_FIXED, off, len: text.len() as u32 }
    }
}

/// Reads the head of a request from `data`, which begins where the previous request ended. `trusted`: the peer is
/// a front end whose `X-Forwarded-Proto` and `X-Forwarded-SSL` may be believed.
pub fn parse(
    data: &[u8],
    limits: &Limits,
    site: &Site,
    peer: &Peer<'_>,
    trusted: bool,
    req: &mut Request,
) -> Result<Step, Error> {
    req.clear();
    let head = &data[..data.len().min(limits.head_bytes)];
    let mut slots = [const { MaybeUninit::<Header<'_>>::uninit() }; VARS_MAX];
    let slots = &mut slots[..limits.vars.min(VARS_MAX)];
    let mut parsed = httparse::Request::new(&mut []);
    let len = match ParserConfig::default().parse_request_with_uninit_headers(&mut parsed, head, slots) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) if head.len() < limits.head_bytes => return Ok(Step::NeedMore),
        Ok(Status::Partial) => return Err(too_large(head, limits)),
        Err(error) => return Err(malformed(error, head, limits)),
    };
    let head = &head[..len];
    let (Some(method), Some(uri), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Error::refuse(400, "invalid HTTP request: no request line"));
    };
    req.head_bytes = len;
    req.version = if minor == 0 { Version::Http10 } else { Version::Http11 };
    request_line(head, method.as_bytes(), uri.as_bytes(), site, req)?;
    let target =
        target::resolve(method.as_bytes(), uri.as_bytes(), req.uri.off, site.root, &mut req.derived)?;
    req.vars[PATH_INFO] = valued(req.vars[PATH_INFO], target.path);
    req.vars[QUERY_STRING] = valued(req.vars[QUERY_STRING], target.query);
    req.addr = req.derive(peer.addr);
    req.vars[REMOTE_ADDR] = valued(req.vars[REMOTE_ADDR], req.addr);
    if let Some(port) = peer.port {
        let port = req.derive(port);
        req.vars.push(request::plain(site.remote_port, port));
    }
    let mut fields = Fields::new(trusted);
    for header in parsed.headers.iter() {
        fields.take(head, header, req)?;
    }
    if !head.ends_with(b"\r\n\r\n") {
        return Err(bare_line_feed());
    }
    fields.settle(head, target.authority, site.host, req)?;
    Ok(Step::Head)
}

/// The template's variables, and the request line's among them.
fn request_line(head: &[u8], method: &[u8], uri: &[u8], site: &Site, req: &mut Request) -> Result<(), Error> {
    let start = offset_in(head, method);
    // Empty lines before a request are let pass (RFC 9112 §2.2), as CRLF.
    if !head[..start].chunks(2).all(|line| line == b"\r\n") {
        return Err(bare_line_feed());
    }
    req.method = Span::head(start as u32, method.len() as u32);
    req.uri = Span::head(offset_in(head, uri) as u32, uri.len() as u32);
    // One blank, then `HTTP/1.x`: the parser has checked both.
    req.protocol = Span::head(req.uri.off + req.uri.len + 1, 8);
    req.is_head = method == b"HEAD";
    req.vars.extend_from_slice(&site.template);
    for (place, span) in
        [(REQUEST_METHOD, req.method), (REQUEST_URI, req.uri), (SERVER_PROTOCOL, req.protocol)]
    {
        req.vars[place] = valued(req.vars[place], span);
    }
    Ok(())
}

/// `var` with another value.
fn valued(var: Var, value: Span) -> Var {
    Var { value_area: value.area, value_off: value.off, value_len: value.len, ..var }
}

/// Where `part`, which `httparse` cut out of `whole`, begins.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr() - whole.as_ptr().addr()
}

#[cold]
fn bare_line_feed() -> Error {
    Error::refuse(400, "invalid HTTP request: a line that does not end with CRLF")
}

#[cold]
fn too_large(head: &[u8], limits: &Limits) -> Error {
    // Without a single complete line it is the target that is too long (RFC 9110 §15.5.15).
    let in_request_line = !head.trim_ascii_start().contains(&b'\n');
    let (status, what) = if in_request_line { (414, "request target") } else { (431, "head") };
    let max = limits.head_bytes;
    Error::refuse(
        status,
        format!("invalid HTTP request size (max {max})...skip: raise buffer-size to take a larger {what}"),
    )
}

#[cold]
fn malformed(error: httparse::Error, head: &[u8], limits: &Limits) -> Error {
    use httparse::Error as Http;
    match error {
        Http::TooManyHeaders => {
            let max = limits.vars.min(VARS_MAX);
            Error::refuse(
                431,
                format!("more than {max} fields in a request (buffer-size does not change that)"),
            )
        }
        Http::Version => bad_version(head),
        _ if head.first() == Some(&0) => Error::refuse(
            400,
            "invalid HTTP request: a uwsgi packet on an HTTP socket? (nginx: proxy_pass, not uwsgi_pass)",
        ),
        _ if head.first() == Some(&0x16) => {
            Error::refuse(400, "invalid HTTP request: TLS on a plain HTTP socket")
        }
        other => Error::refuse(400, format!("invalid HTTP request: {other}")),
    }
}

/// A version we don't speak is told so; a request line whose last word is no version is just invalid.
fn bad_version(head: &[u8]) -> Error {
    let line = head.trim_ascii_start();
    if line.starts_with(b"PRI * HTTP/2.0") {
        return Error::refuse(505, "invalid HTTP request: HTTP/2 without TLS is not spoken here");
    }
    match line.splitn(3, |b| *b == b' ').nth(2) {
        Some(version) if version.starts_with(b"HTTP/") => {
            Error::refuse(505, "invalid HTTP request: neither HTTP/1.0 nor HTTP/1.1")
        }
        _ => Error::refuse(400, "invalid HTTP request: no version in the request line"),
    }
}

#[cfg(test)]
mod tests;
