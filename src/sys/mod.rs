//! Safe doors to the kernel. `libc` and `nix` are used here (and for nothing that a door here offers elsewhere).

pub mod futex;
pub mod net;
pub mod tempfile;

/// Error numbers the server tells apart.
pub mod errno {
    pub use libc::{EAGAIN, ECANCELED, ECONNABORTED, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM};
}
