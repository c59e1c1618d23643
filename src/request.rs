//! A request as the protocols describe it: variables in wire order, body framing, and marks on the few variables
//! the server itself needs. Filled by `proto`, read by `worker`, `logging` and (as plain data) the plugin.

use uwring_abi::{AREA_DERIVED, AREA_FIXED, AREA_HEAD, VAR_FIELD, VAR_PLAIN, Var};

/// Bytes somewhere in the request's areas. The default is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// `AREA_*` of `uwring_abi`.
    pub area: u8,
    /// Offset in the area.
    pub off: u32,
    /// Length in bytes.
    pub len: u32,
}

impl Span {
    /// `len` received bytes from `off`.
    pub fn head(off: u32, len: u32) -> Span {
        Span { area: AREA_HEAD, off, len }
    }

    /// Whether it covers no bytes.
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// How the request's body is delimited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    #[default]
    None,
    /// This many bytes follow the head.
    Sized(u64),
    /// HTTP chunks follow the head.
    Chunked,
}

/// The version that decides how the response is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// The uwsgi protocol: the response ends with the connection.
    #[default]
    Uwsgi,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// One parsed request head. Reused from request to request: [`Request::clear`] keeps the memory.
#[derive(Debug, Default)]
pub struct Request {
    /// Every variable, in wire order.
    pub vars: Vec<Var>,
    /// The bytes of `AREA_DERIVED`.
    pub derived: Vec<u8>,
    /// Framing of what follows the head.
    pub body: Body,
    /// A Content-Length was among the variables (it may have said 0).
    pub length_seen: bool,
    /// Framing of the answer.
    pub version: Version,
    /// The connection may carry another request after this one.
    pub keep_alive: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// HEAD: the answer has no body.
    pub is_head: bool,
    /// Length of the head on the wire, bytes (a uwsgi packet with its 4-byte header).
    pub head_bytes: usize,
    /// Of a uwsgi packet; 0 otherwise.
    pub modifier1: u8,
    /// Of a uwsgi packet; 0 otherwise.
    pub modifier2: u8,
    /// REQUEST_METHOD.
    pub method: Span,
    /// REQUEST_URI.
    pub uri: Span,
    /// SERVER_PROTOCOL.
    pub protocol: Span,
    /// SERVER_PROTOCOL as a uwsgi answer repeats it: one of a few known texts, so that nothing a peer sends can
    /// end up in a status line. Empty where the request named none of them.
    pub protocol_echo: &'static str,
    /// REMOTE_ADDR.
    pub addr: Span,
    /// REMOTE_USER.
    pub user: Span,
    /// HTTP_HOST, else SERVER_NAME.
    pub host: Span,
    /// HTTP_USER_AGENT.
    pub agent: Span,
    /// HTTP_REFERER.
    pub referer: Span,
    /// HTTP_X_FORWARDED_FOR.
    pub forwarded_for: Span,
    /// `wsgi.url_scheme` as a trusted front end named it; empty where none did.
    pub scheme: Span,
    /// HTTPS was `on` or `1`.
    pub https: bool,
}

impl Request {
    /// Ready for the next head, keeping allocations.
    pub fn clear(&mut self) {
        let (mut vars, mut derived) = (std::mem::take(&mut self.vars), std::mem::take(&mut self.derived));
        vars.clear();
        derived.clear();
        *self = Request { vars, derived, ..Request::default() };
    }

    /// The bytes of `span`; `head` and `fixed` are the areas that live elsewhere.
    pub fn bytes<'a>(&'a self, span: Span, head: &'a [u8], fixed: &'a [u8]) -> &'a [u8] {
        let area: &[u8] = match span.area {
            AREA_HEAD => head,
            AREA_DERIVED => &self.derived,
            AREA_FIXED => fixed,
            _ => &[],
        };
        let start = span.off as usize;
        area.get(start..start + span.len as usize).unwrap_or(&[])
    }

    /// Appends `text` to the derived area.
    pub fn derive(&mut self, text: &[u8]) -> Span {
        let off = offset(self.derived.len());
        self.derived.extend_from_slice(text);
        Span { area: AREA_DERIVED, off, len: offset(text.len()) }
    }

    /// One more variable, both texts copied: for what the server itself has to say (`CONTENT_LENGTH` of a chunked
    /// body that is complete). `name` is the environ key.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let (name, value) = (self.derive(name), self.derive(value));
        self.vars.push(plain(name, value));
    }

    /// Value of the variable with this environ key; of equal names the last, as in the environ.
    pub fn value<'a>(&'a self, key: &[u8], head: &'a [u8], fixed: &'a [u8]) -> Option<&'a [u8]> {
        let found = self.vars.iter().rev().find(|var| {
            let name = self.bytes(name_of(var), head, fixed);
            if var.kind == VAR_FIELD { field_is(name, key) } else { name == key }
        })?;
        Some(self.bytes(value_of(found), head, fixed))
    }

    /// Size of the variables as a uwsgi packet holds them, without its header: what uWSGI's log line calls
    /// `bytes`, and `%(pktsize)`. On HTTP it is the size of the packet uWSGI would have made.
    pub fn packet_bytes(&self, head: &[u8], fixed: &[u8]) -> usize {
        if self.version == Version::Uwsgi {
            return self.head_bytes.saturating_sub(4);
        }
        let one = |var: &Var| {
            let prefixed = var.kind == VAR_FIELD && !unprefixed(self.bytes(name_of(var), head, fixed));
            4 + usize::from(var.name_len) + var.value_len as usize + if prefixed { PREFIX.len() } else { 0 }
        };
        self.vars.iter().map(one).sum()
    }
}

/// What the environ key of an HTTP field begins with (RFC 3875 §4.1.18).
const PREFIX: &[u8] = b"HTTP_";

/// A variable whose name is the environ key.
pub fn plain(name: Span, value: Span) -> Var {
    var(VAR_PLAIN, name, value)
}

/// A variable named by an HTTP field name as received.
pub fn field(name: Span, value: Span) -> Var {
    var(VAR_FIELD, name, value)
}

/// Where a variable's name is.
pub fn name_of(var: &Var) -> Span {
    Span { area: var.name_area, off: var.name_off, len: u32::from(var.name_len) }
}

/// Where a variable's value is.
pub fn value_of(var: &Var) -> Span {
    Span { area: var.value_area, off: var.value_off, len: var.value_len }
}

fn var(kind: u8, name: Span, value: Span) -> Var {
    Var {
        name_area: name.area,
        value_area: value.area,
        kind,
        name_len: u16::try_from(name.len).expect("parsers refuse names that 16 bits cannot measure"),
        name_off: name.off,
        value_off: value.off,
        value_len: value.len,
    }
}

fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a head is far below 4 GiB (BUFFER_SIZE_MAX)")
}

/// Content-Type and Content-Length are the two fields whose keys take no prefix.
fn unprefixed(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-type") || name.eq_ignore_ascii_case(b"content-length")
}

/// Whether field `name` becomes environ key `key`.
fn field_is(name: &[u8], key: &[u8]) -> bool {
    let rest = if unprefixed(name) { Some(key) } else { key.strip_prefix(PREFIX) };
    let same = |(a, b): (&u8, &u8)| (if *a == b'-' { b'_' } else { a.to_ascii_uppercase() }) == *b;
    rest.is_some_and(|rest| rest.len() == name.len() && name.iter().zip(rest).all(same))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clear_keeps_the_memory_and_nothing_else() {
        let mut req = Request::default();
        req.add(b"A", b"1");
        req.https = true;
        let memory = (req.vars.capacity(), req.derived.capacity());
        req.clear();
        assert_eq!((req.vars.len(), req.derived.len(), req.https), (0, 0, false));
        assert_eq!((req.vars.capacity(), req.derived.capacity()), memory);
    }

    #[test]
    fn values_are_found_by_environ_key_and_the_last_wins() {
        let head = b"X-Real-IPoneContent-Typetwo";
        let mut req = Request::default();
        req.vars.push(field(Span::head(0, 9), Span::head(9, 3)));
        req.vars.push(field(Span::head(12, 12), Span::head(24, 3)));
        req.add(b"A", b"1");
        req.add(b"A", b"2");
        for (key, value) in [("HTTP_X_REAL_IP", "one"), ("CONTENT_TYPE", "two"), ("A", "2")] {
            assert_eq!(req.value(key.as_bytes(), head, b""), Some(value.as_bytes()), "{key}");
        }
        for key in ["X_REAL_IP", "HTTP_CONTENT_TYPE", "HTTP_X-REAL-IP", "B"] {
            assert_eq!(req.value(key.as_bytes(), head, b""), None, "{key}");
        }
    }
}
