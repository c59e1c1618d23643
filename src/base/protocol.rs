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
