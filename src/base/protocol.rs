//! What a listening socket speaks: a word of the options, of the sockets and of the parsers.

use serde::{Deserialize, Serialize};

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SocketProtocol {
    /// `uwsgi-socket`, and `socket` unless `protocol` says otherwise.
    #[default]
    Uwsgi,
    /// `http`, `http-socket`, `http11-socket`.
    Http,
    /// `protocol = auto`: known by the first byte.
    Auto,
    /// `fastcgi-socket`: answers begin with a `Status` field, as a CGI program's do.
    FastCgi,
    /// `fastcgi-nph-socket`: answers begin with a status line ("no parsed headers").
    FastCgiNph,
    /// `scgi-socket`.
    Scgi,
    /// `scgi-nph-socket`.
    ScgiNph,
}

impl SocketProtocol {
    /// The client itself may be at the other end, or a proxy that speaks as it does; otherwise a front end is, which
    /// tells all it knows of the client in variables.
    pub fn may_be_http(self) -> bool {
        matches!(self, SocketProtocol::Http | SocketProtocol::Auto)
    }

    /// An answer's head is that of a CGI program (RFC 3875 §6.3.3): a field in place of the status line.
    pub fn is_cgi(self) -> bool {
        matches!(self, SocketProtocol::FastCgi | SocketProtocol::Scgi)
    }

    /// Answers come in FastCGI's records.
    pub fn has_records(self) -> bool {
        matches!(self, SocketProtocol::FastCgi | SocketProtocol::FastCgiNph)
    }
}

/// What lies between a connection and its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cover {
    /// Nothing.
    #[default]
    None,
    /// `https`, `https-socket`: TLS, with the identity of this number.
    Tls(usize),
    /// `http-to-https`: nothing, and every request is sent on to HTTPS on this port; 0: the usual one.
    ToHttps(u16),
}
