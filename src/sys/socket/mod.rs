//! Listening sockets: from an address as the configuration writes it to a descriptor that listens.
//!
//! [`address`] understands the text, [`bind`](mod@bind) makes sockets, [`adopt`] takes those that another program
//! opened for us (`fd://N`, systemd), [`queue`] counts who waits.

pub mod address;
pub mod adopt;
pub mod bind;
pub mod queue;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use address::Address;

use crate::base::protocol::{Cover, SocketProtocol};

/// What family a listener is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// IPv4 or IPv6.
    Tcp,
    /// A unix socket; its path, where it has one that we made.
    Unix(Option<PathBuf>),
}

/// A socket that listens. Clones are the same socket.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The socket. It does not wait, and is closed on exec.
    pub fd: Arc<OwnedFd>,
    /// Its address, with the port it really has.
    pub name: String,
    /// Family.
    pub kind: Kind,
    /// What is spoken.
    pub protocol: SocketProtocol,
    /// Clients may be anyone.
    pub faces_clients: bool,
    /// What lies around it.
    pub cover: Cover,
    /// Number, from 0, in order of declaration.
    pub index: usize,
}

impl Listener {
    /// Whether it is TCP.
    pub fn is_tcp(&self) -> bool {
        self.kind == Kind::Tcp
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
