//! A file on its way to a socket, in slices. Neither engine's loop is held up: what is to be sent is brought into the
//! page cache first, and a socket that is full is waited for.

use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use crate::sys::{net, page_cache};

/// A file goes out in slices, so that one download does not hold up the loop.
const SLICE: u64 = 512 * 1024;

/// What is left of a [`super::Reactor::send_file`].
pub(super) struct Outgoing {
    pub(super) file: Arc<OwnedFd>,
    offset: u64,
    left: u64,
}

/// What came of sending a slice.
pub(super) enum Step {
    /// It is not in memory: the byte at this offset is to be read first. The kernel has been asked to read ahead.
    Cold(u64),
    /// Part of it went, and more is to follow when the socket takes it.
    Progress,
    /// The socket takes nothing now.
    Full,
    /// That was all, or it cannot go on.
    Over(io::Result<()>),
}

impl Outgoing {
    pub(super) fn new(file: Arc<OwnedFd>, offset: u64, left: u64) -> Outgoing {
        Outgoing { file, offset, left }
    }

    /// Sends a slice. `fetched`: it has been waited for; whatever came of that, the error is sendfile's to tell.
    pub(super) fn step(&mut self, fd: RawFd, fetched: bool) -> Step {
        let slice = self.left.min(SLICE);
        let last = self.offset + slice.saturating_sub(1);
        // Of a slice that is read ahead, the ends tell.
        if !fetched && ![self.offset, last].into_iter().all(|at| page_cache::is_cached(&self.file, at)) {
            page_cache::read_ahead(&self.file, self.offset, slice);
            return Step::Cold(last);
        }
        match net::send_file(fd, &self.file, self.offset, slice) {
            Ok(0) => Step::Over(Err(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                self.offset += n;
                self.left -= n;
                if self.left > 0 { Step::Progress } else { Step::Over(Ok(())) }
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Step::Full,
            Err(e) => Step::Over(Err(e)),
        }
    }
}
