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
