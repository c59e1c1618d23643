//! Being told that something changed in a folder (inotify).
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Folders under watch.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
}

impl Watch {
    /// Nothing under watch yet.
    pub fn new() -> io::Result<Watch> {
        // SAFETY: plain numbers.
        let fd = unsafe { libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made it for us.
        Ok(Watch { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Watches the entries of folder `dir`: made, written, touched, renamed, removed.
    pub fn add(&self, dir: &Path) -> io::Result<()> {
        let dir = CString::new(dir.as_os_str().as_bytes())?;
        let mask = libc::IN_ATTRIB
            | libc::IN_CLOSE_WRITE
            | libc::IN_CREATE
            | libc::IN_DELETE
            | libc::IN_MODIFY
            | libc::IN_MOVED_FROM
            | libc::IN_MOVED_TO
            | libc::IN_ONLYDIR;
        // SAFETY: `dir` is a C string that lives across the call.
        match unsafe { libc::inotify_add_watch(self.fd.as_raw_fd(), dir.as_ptr(), mask) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    /// Forgets what was told; whether there was anything. The caller looks for itself which file it was: several
    /// changes come as one, and names in the messages are relative to folders that may have moved.
    pub fn clear(&self) -> bool {
        let mut messages = [0; 4096];
        let mut told = false;
        while nix::unistd::read(&self.fd, &mut messages).is_ok_and(|n| n > 0) {
            told = true;
        }
        told
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::event::readable;

    #[test]
    fn a_touched_file_is_told_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let watch = Watch::new().expect("inotify");
        watch.add(dir.path()).expect("watched");
        assert_eq!(readable(&[watch.as_fd()], Some(0)).expect("polled"), [false]);
        std::fs::write(dir.path().join("reload"), "").expect("written");
        assert_eq!(readable(&[watch.as_fd()], Some(1000)).expect("polled"), [true]);
        assert!(watch.clear());
        assert!(!watch.clear());
        assert_eq!(readable(&[watch.as_fd()], Some(0)).expect("polled"), [false]);
        assert!(watch.add(&dir.path().join("none")).is_err());
    }
}
