//! The two ways to do many things at once on Linux.

use serde::{Deserialize, Serialize};

/// What a worker's loop runs on (`engine`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// io_uring.
    #[default]
    IoUring,
    /// epoll.
    Epoll,
}

impl Kind {
    /// Both.
    pub const ALL: [Kind; 2] = [Kind::IoUring, Kind::Epoll];

    /// As it is written and shown.
    pub fn name(self) -> &'static str {
        match self {
            Kind::IoUring => "io_uring",
            Kind::Epoll => "epoll",
        }
    }
}
