//! Being told that something changed in a folder (inotify).
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Folders under watch.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
}

/// The kernel's number of a folder under watch. Paths that lead to the same folder have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number(i32);

/// What was told.
#[derive(Debug, Default)]
pub struct Told {
    /// Entries of folders that were made, written, touched, renamed or removed.
    pub entries: HashSet<(Number, OsString)>,
    /// Folders that are gone, and no longer under watch.
    pub gone: HashSet<Number>,
    /// More happened than the kernel remembers.
    pub lost: bool,
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
    pub fn add(&self, dir: &Path) -> io::Result<Number> {
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
            number => Ok(Number(number)),
        }
    }

    /// What was told since the last time.
    pub fn told(&self) -> Told {
        let mut told = Told::default();
        let mut messages = [0; 4096];
        while let Ok(len @ 1..) = nix::unistd::read(&self.fd, &mut messages) {
            told.read(&messages[..len]);
        }
        told
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

impl Told {
    /// Messages as inotify(7) has them: four words, the last of which is the length of the name behind them, which is
    /// padded with NUL. The kernel gives whole ones.
    fn read(&mut self, mut messages: &[u8]) {
        const HEAD: usize = 16;
        while let Some((head, rest)) = messages.split_at_checked(HEAD) {
            let word = |n: usize| [0, 1, 2, 3].map(|byte| head[4 * n + byte]);
            let (number, mask) = (Number(i32::from_ne_bytes(word(0))), u32::from_ne_bytes(word(1)));
            let len = usize::try_from(u32::from_ne_bytes(word(3))).unwrap_or(usize::MAX);
            let Some((name, behind)) = rest.split_at_checked(len) else { return };
            messages = behind;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            if mask & libc::IN_Q_OVERFLOW != 0 {
                self.lost = true;
            } else if mask & libc::IN_IGNORED != 0 {
                self.gone.insert(number);
            } else {
                self.entries.insert((number, OsStr::from_bytes(name).to_owned()));
            }
        }
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

    #[test]
    fn entries_and_lost_folders_are_told_by_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).expect("made");
        let watch = Watch::new().expect("inotify");
        let (outer, number) = (watch.add(dir.path()).expect("watched"), watch.add(&inner).expect("watched"));
        assert_eq!(watch.add(&dir.path().join("inner/../inner")).expect("watched"), number);
        for name in ["a.py", "a-name-that-is-longer-than-others.py"] {
            std::fs::write(inner.join(name), "").expect("written");
        }
        let told = watch.told();
        let names = ["a.py", "a-name-that-is-longer-than-others.py"].map(|name| (number, name.into()));
        assert_eq!((told.entries, told.lost), (HashSet::from(names), false));
        std::fs::remove_dir_all(&inner).expect("removed");
        let told = watch.told();
        assert!(told.gone.contains(&number) && told.entries.contains(&(outer, "inner".into())), "{told:?}");
        let told = watch.told();
        assert!(told.entries.is_empty() && told.gone.is_empty());
    }

    #[test]
    fn more_than_the_kernel_remembers_is_said_to_be_lost() {
        let mut told = Told::default();
        let words = [-1_i32, libc::IN_Q_OVERFLOW.cast_signed(), 0, 0];
        told.read(&words.map(i32::to_ne_bytes).concat());
        assert!(told.lost && told.entries.is_empty());
        // Half a message is none.
        told.read(&[0; 15]);
        assert!(told.entries.is_empty());
    }
}
