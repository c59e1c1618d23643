//! A lock on a file (fcntl(2)): it is this process's alone, gone with it, and no child has it.
//!
//! The kernel takes it away when its process closes *any* descriptor of that file, also one that was opened only to read
//! it. It stays across an exec that leaves the descriptor open.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::signals;

/// A file that can be locked.
#[derive(Debug)]
pub struct FileLock(File);

/// What to do while another process has the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// Nothing.
    GiveUp,
    /// Wait, for ever: signals do then what they do to any program.
    Wait,
}

impl FileLock {
    /// Opens the file, and makes it if there is none.
    pub fn open(path: &Path) -> io::Result<FileLock> {
        Ok(FileLock(OpenOptions::new().read(true).append(true).create(true).mode(0o644).open(path)?))
    }

    /// One that is open already.
    pub fn adopt(file: OwnedFd) -> FileLock {
        FileLock(File::from(file))
    }

    /// Takes the lock; whether this process has it now. It may have had it before.
    pub fn take(&self, otherwise: Otherwise) -> io::Result<bool> {
        let all = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        match fcntl(&self.0, FcntlArg::F_SETLK(&all)) {
            Ok(_) => return Ok(true),
            Err(Errno::EACCES | Errno::EAGAIN) if otherwise == Otherwise::GiveUp => return Ok(false),
            Err(Errno::EACCES | Errno::EAGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
        let _open = signals::Meanwhile::open()?;
        loop {
            match fcntl(&self.0, FcntlArg::F_SETLKW(&all)) {
                Ok(_) => return Ok(true),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsRawFd for FileLock {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::exec::{self, Handed};
    use crate::sys::process::{Status, in_child};

    /// Whether another process could have the lock.
    fn is_free(path: &Path) -> bool {
        let take = || match FileLock::open(path).expect("open").take(Otherwise::GiveUp) {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(_) => 2,
        };
        match in_child(take) {
            Status::Exited(code @ (0 | 1)) => code == 0,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_process_has_it_and_none_that_it_forks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        assert!(is_free(&path), "it is made");
        let lock = FileLock::open(&path).expect("open");
        assert!(lock.take(Otherwise::GiveUp).expect("taken"));
        assert!(lock.take(Otherwise::Wait).expect("taken"), "again");
        assert!(!is_free(&path));
        // A child has the descriptor, and not the lock.
        assert_eq!(in_child(|| i32::from(lock.take(Otherwise::GiveUp).expect("asked"))), Status::Exited(0));
        assert!(!is_free(&path), "what a child closes changes nothing");
        drop(lock);
        assert!(is_free(&path));
    }

    #[test]
    fn it_stays_when_the_process_becomes_another_program() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        // The new program looks for itself whether the kernel knows a lock of its process.
        let argv = ["sh", "-c", "grep -q \" $$ \" /proc/locks"].map(std::ffi::OsString::from);
        for (open, code) in [(true, 0), (false, 1)] {
            let status = in_child(|| {
                let lock = FileLock::open(&path).expect("open");
                lock.take(Otherwise::GiveUp).expect("taken");
                exec::keep_open(&[Handed::of(&lock)], open).expect("set");
                let _ =
                    exec::replace(Path::new("/bin/sh"), &argv, &[("PATH".into(), "/usr/bin:/bin".into())]);
                99
            });
            assert_eq!(status, Status::Exited(code), "{open}");
        }
    }
}
