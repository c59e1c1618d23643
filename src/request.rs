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

/// A request's variables by the names an application knows them by.
pub trait Values {
    /// Value of the last variable of that name.
    fn value(&self, name: &[u8]) -> Option<&[u8]>;
}

/// A request with the areas its variables lie in.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The parsed head.
    pub request: &'a Request,
    /// Received bytes.
    pub head: &'a [u8],
    /// What all requests of a socket have in common.
    pub fixed: &'a [u8],
}

impl Values for Received<'_> {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.request.value(name, self.head, self.fixed)
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
    /// FastCGI records of FCGI_STDIN follow the head. They are to hold so many bytes, if a length was announced.
    Records(Option<u64>),
}

impl Body {
    /// So many bytes, which may be none.
    pub fn sized(len: u64) -> Body {
        if len == 0 { Body::None } else { Body::Sized(len) }
    }
}

/// The version that decides how the response is framed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// A front end's protocol (uwsgi, FastCGI, SCGI): the response ends with the connection.
    #[default]
    Uwsgi,
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The protocol of the request as a uwsgi answer repeats it. One of these, so that nothing a peer sends can end up
/// in a status line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as they are written")]
pub enum Echo {
    /// Also for what is not known: uWSGI says it where SERVER_PROTOCOL is missing.
    #[default]
    Http10,
    Http11,
    Http20,
    Http30,
    /// No protocol: the status is a field, as in a CGI program's answer (RFC 3875 §6.3.3).
    Status,
}

impl Echo {
    /// Of a SERVER_PROTOCOL.
    pub fn of(protocol: &[u8]) -> Echo {
        match protocol {
            b"HTTP/1.1" => Echo::Http11,
            b"HTTP/2.0" => Echo::Http20,
            b"HTTP/3.0" => Echo::Http30,
            _ => Echo::Http10,
        }
    }

    /// As a status line begins.
    pub fn text(self) -> &'static [u8] {
        match self {
            Echo::Http10 => b"HTTP/1.0 ",
            Echo::Http11 => b"HTTP/1.1 ",
            Echo::Http20 => b"HTTP/2.0 ",
            Echo::Http30 => b"HTTP/3.0 ",
            Echo::Status => b"Status: ",
        }
    }
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
    /// FastCGI's number of the request, which its answer's records bear; 0 where there are no records.
    pub record_id: u16,
    /// It came over SCGI.
    pub is_netstring: bool,
    /// REQUEST_METHOD.
    pub method: Span,
    /// REQUEST_URI.
    pub uri: Span,
    /// SERVER_PROTOCOL.
    pub protocol: Span,
    /// The same, for the status line of a uwsgi answer.
    pub echo: Echo,
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

    /// Appends `text` to the derived bytes.
    pub fn derive(&mut self, text: &[u8]) -> Span {
        let off = u32::try_from(self.derived.len()).unwrap_or(u32::MAX);
        self.derived.extend_from_slice(text);
        Span { area: AREA_DERIVED, off, len: u32::try_from(text.len()).unwrap_or(u32::MAX) }
    }

    /// Sets CONTENT_LENGTH once the length of a chunked body is known: frameworks read no body without it.
    pub fn set_content_length(&mut self, len: u64) {
        self.add(b"CONTENT_LENGTH", len.to_string().as_bytes());
    }

    /// Sets a variable beside those received, of which it takes the place.
    pub fn set(&mut self, name: &[u8], value: &[u8]) {
        let span = self.add(name, value);
        match name {
            // Whether the answer has a body is still the received method's matter.
            b"REQUEST_METHOD" => self.method = span,
            b"REQUEST_URI" => self.uri = span,
            b"REMOTE_ADDR" => self.addr = span,
            b"REMOTE_USER" => self.user = span,
            b"HTTP_HOST" => self.host = span,
            b"HTTP_USER_AGENT" => self.agent = span,
            b"HTTP_REFERER" => self.referer = span,
            b"UWSGI_SCHEME" => self.scheme = span,
            b"HTTPS" => self.https = matches!(value, b"on" | b"1"),
            _ => {}
        }
    }

    fn add(&mut self, name: &[u8], value: &[u8]) -> Span {
        let (name, value) = (self.derive(name), self.derive(value));
        self.vars.push(Var {
            name_area: name.area,
            value_area: value.area,
            kind: VAR_PLAIN,
            name_len: u16::try_from(name.len).unwrap_or(u16::MAX),
            name_off: name.off,
            value_off: value.off,
            value_len: value.len,
        });
        value
    }

    /// What uWSGI calls the size of a request in its log: that of a uwsgi packet without its header, which it makes of
    /// the other front ends' requests too. Of an HTTP request its head.
    pub fn packet_bytes(&self) -> usize {
        let is_packet = self.record_id == 0 && !self.is_netstring;
        match (self.version, is_packet) {
            (Version::Uwsgi, true) => self.head_bytes.saturating_sub(4),
            (Version::Uwsgi, false) => {
                self.vars.iter().map(|var| 4 + usize::from(var.name_len) + var.value_len as usize).sum()
            }
            _ => self.head_bytes,
        }
    }

    /// The value of the variable that the environ knows as `name`; of several the last.
    pub fn value<'a>(&'a self, name: &[u8], head: &'a [u8], fixed: &'a [u8]) -> Option<&'a [u8]> {
        let var = self.vars.iter().rfind(|var| self.is_called(var, name, head, fixed))?;
        let value = Span { area: var.value_area, off: var.value_off, len: var.value_len };
        Some(self.bytes(value, head, fixed))
    }

    /// Where the variables stand that the environ knows as `name`.
    pub fn positions(&self, name: &[u8], head: &[u8], fixed: &[u8]) -> Vec<usize> {
        let all = self.vars.iter().enumerate();
        all.filter(|(_, var)| self.is_called(var, name, head, fixed)).map(|(at, _)| at).collect()
    }

    /// The name of a variable as received.
    pub fn name<'a>(&'a self, var: &Var, head: &'a [u8], fixed: &'a [u8]) -> &'a [u8] {
        self.bytes(Span { area: var.name_area, off: var.name_off, len: var.name_len.into() }, head, fixed)
    }

    /// Whether the environ knows a variable as `name`.
    fn is_called(&self, var: &Var, name: &[u8], head: &[u8], fixed: &[u8]) -> bool {
        let own = self.name(var, head, fixed);
        if var.kind == VAR_FIELD { is_key_of(name, own) } else { own == name }
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
}

/// Whether `key` is what the HTTP field `field` is called in an environ.
fn is_key_of(key: &[u8], field: &[u8]) -> bool {
    let bare = field.eq_ignore_ascii_case(b"content-type") || field.eq_ignore_ascii_case(b"content-length");
    let name = if bare { Some(key) } else { key.strip_prefix(b"HTTP_") };
    name.is_some_and(|name| {
        let upper = |byte: &u8| if *byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
        name.len() == field.len() && name.iter().copied().eq(field.iter().map(upper))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_the_names_of_an_environ() {
        for (key, field, same) in [
            ("HTTP_X_FORWARDED_FOR", "X-Forwarded-For", true),
            ("CONTENT_TYPE", "content-type", true),
            ("HTTP_CONTENT_TYPE", "content-type", false),
            ("HTTP_HOST", "HostX", false),
            ("HOST", "Host", false),
        ] {
            assert_eq!(is_key_of(key.as_bytes(), field.as_bytes()), same, "{key} {field}");
        }
    }

    #[test]
    fn a_variable_that_is_set_counts_more_than_the_received_one() {
        let mut request = Request::default();
        request.set(b"REMOTE_USER", b"eve");
        request.set(b"REMOTE_USER", b"bob");
        assert_eq!(request.value(b"REMOTE_USER", b"", b""), Some(b"bob".as_slice()));
        assert_eq!(request.bytes(request.user, b"", b""), b"bob");
    }

    #[test]
    fn a_length_known_late_is_a_variable() {
        let mut request = Request::default();
        request.set_content_length(12);
        assert_eq!(request.value(b"CONTENT_LENGTH", b"", b""), Some(b"12".as_slice()));
    }
}
