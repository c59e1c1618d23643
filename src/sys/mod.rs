//! Safe doors to the kernel. `libc` and `nix` are used here (and for nothing that a door here offers elsewhere).

pub mod beneath;
pub mod cgroup;
pub mod credentials;
pub mod event;
pub mod exec;
pub mod files;
pub mod futex;
pub mod host;
pub mod identity;
pub mod limits;
pub mod lock;
pub mod memory;
pub mod mounts;
pub mod net;
pub mod notify;
pub mod output;
pub mod packets;
pub mod page_cache;
pub mod pipes;
pub mod process;
pub mod shell;
pub mod signals;
pub mod socket;
pub mod tempfile;
pub mod time;
pub mod title;
pub mod trim;
pub mod watch;

use std::io;

/// Error numbers the server tells apart.
pub mod errno {
    pub use libc::{
        EACCES, EADDRNOTAVAIL, EAGAIN, ECANCELED, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOENT,
        ENOMEM, EPERM, ESRCH,
    };
}

/// What the kernel, or the user's words for it, would not do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that cannot be understood.
    #[error("socket address {text:?}: {why}")]
    Address {
        /// As written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// Somebody answers at that address.
    #[error("{attempt} {name}: address already in use")]
    InUse {
        /// `bind` or `listen`.
        attempt: &'static str,
        /// The address.
        name: String,
    },
    /// No such user or group.
    #[error("{kind} {name:?} not found")]
    Nobody {
        /// `user` or `group`.
        kind: &'static str,
        /// As written.
        name: String,
    },
    /// An identity that stayed although the kernel said it was gone.
    #[error("{0} is still what it was after it was given up")]
    Kept(&'static str),
    /// A system call failed.
    #[error("{attempt} {on}: {cause}")]
    Call {
        /// What was tried: `bind`, `open`, `setuid`.
        attempt: &'static str,
        /// On what.
        on: String,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
}

impl Error {
    /// `attempt` failed on `on`.
    pub fn call(attempt: &'static str, on: impl Into<String>, cause: impl Into<io::Error>) -> Error {
        Error::Call { attempt, on: on.into(), cause: cause.into() }
    }

    /// The error number, where a system call failed.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Error::Call { cause, .. } => cause.raw_os_error(),
            Error::InUse { .. } => Some(libc::EADDRINUSE),
            _ => None,
        }
    }
}
