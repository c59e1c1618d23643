//! What of a file is in memory, bringing the rest there, and writing, without waiting for the disk.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

/// Whether the page of `file` at `offset` can be read without waiting for the disk. `true` where that cannot be told.
pub fn is_cached(file: &OwnedFd, offset: u64) -> bool {
    let Ok(at) = libc::off_t::try_from(offset) else { return true };
    let mut byte = 0u8;
    let room = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // SAFETY: one vector of one byte, which lives across the call; the descriptor is borrowed for it.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const room, 1, at, libc::RWF_NOWAIT) };
    read >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock
}

/// Asks the kernel to read a part of `file` from the disk, without waiting for it.
pub fn read_ahead(file: &OwnedFd, offset: u64, len: u64) {
    if let (Ok(offset), Ok(len)) = (offset.try_into(), len.try_into()) {
        // It is advice: without it the read takes longer.
        let _ = posix_fadvise(file, offset, len, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
    }
}

/// Writes of `bytes` what can be written without waiting, at `offset` or (`None`) where the file or stream stands: how
/// many. An error (mostly `WouldBlock`, or `EOPNOTSUPP` where that cannot be told) says nothing about a write that waits.
pub fn write_now(fd: RawFd, bytes: &[u8], offset: Option<u64>) -> io::Result<usize> {
    let at = offset.map_or(Ok(-1), libc::off_t::try_from).map_err(|_| io::ErrorKind::InvalidInput)?;
    let from = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: one vector over `bytes`, which is only read from and lives across the call.
    let written = unsafe { libc::pwritev2(fd, &raw const from, 1, at, libc::RWF_NOWAIT) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_was_just_written_is_there_and_what_was_dropped_comes_back() {
        let mut file = crate::sys::tempfile::unlinked().expect("a temporary folder");
        file.write_all(&[b'x'; 1 << 20]).expect("room");
        file.sync_all().expect("a disk");
        let file = OwnedFd::from(file);
        assert!(is_cached(&file, 0) && is_cached(&file, 1 << 19));
        assert!(is_cached(&file, 1 << 20), "the end of a file is not waited for");
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("a file");
        // On a tmpfs it stays: nothing more can be seen there.
        if !is_cached(&file, 1 << 19) {
            read_ahead(&file, 0, 1 << 20);
            while !is_cached(&file, 1 << 19) {
                std::thread::yield_now();
            }
        }
    }
}
