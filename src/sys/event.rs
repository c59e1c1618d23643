//! Waking another process or thread: a counter with a descriptor (eventfd).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// A new one, at 0. Neither end waits, and it is closed on exec.
pub fn new() -> io::Result<OwnedFd> {
    Ok(EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?.into())
}

/// Wakes whoever watches `fd`. Usable in a signal handler: one `write`, and nothing else.
pub fn signal(fd: RawFd) -> io::Result<()> {
    let one: u64 = 1;
    // SAFETY: the pointer and the length name `one`, which lives across the call; the number may be of a
    // descriptor that is gone, which is an error and nothing worse.
    let written = unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
    match written {
        8 => Ok(()),
        _ => match io::Error::last_os_error() {
            // The counter is full: the other side has been woken often enough.
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            error => Err(error),
        },
    }
}

/// Takes what was signalled so far; whether there was anything.
pub fn take(fd: &OwnedFd) -> bool {
    let mut count = [0; 8];
    nix::unistd::read(fd, &mut count).is_ok()
}

/// Which of `fds` can be read (or are at their end), waiting up to `timeout_ms`, for ever without one.
pub fn readable(fds: &[BorrowedFd<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<bool>> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut polled: Vec<PollFd<'_>> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    let timeout = match timeout_ms {
        None => PollTimeout::NONE,
        Some(ms) => PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX),
    };
    match poll(&mut polled, timeout) {
        Ok(_) => Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect()),
        Err(nix::errno::Errno::EINTR) => Ok(vec![false; fds.len()]),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;

    #[test]
    fn many_signals_are_taken_at_once() {
        let fd = new().expect("an eventfd");
        assert!(!take(&fd));
        signal(fd.as_raw_fd()).expect("signalled");
        signal(fd.as_raw_fd()).expect("signalled");
        assert_eq!(readable(&[fd.as_fd()], Some(0)).expect("polled"), [true]);
        assert!(take(&fd));
        assert!(!take(&fd));
        assert_eq!(readable(&[fd.as_fd()], Some(0)).expect("polled"), [false]);
    }
}
