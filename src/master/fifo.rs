//! `master-fifo`: a pipe in the file system that takes commands of one letter each, `echo r > fifo`.
//!
//! Up to ten can be named; one of them is open, at first the first, and the digits choose another. It is open for
//! reading and writing, so that it has no end and no command between two writers is lost.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::state::Wish;
use crate::control::words::Change;
use crate::logging::relay::Order;
use crate::sys::Error;
use crate::sys::files;

/// More names than digits can choose make no sense.
const SLOTS_MAX: usize = 10;

/// The pipes.
#[derive(Debug)]
pub struct Fifos {
    paths: Vec<PathBuf>,
    active: Option<(PathBuf, File)>,
}

/// What a letter asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// Of the state machine.
    Wish(Wish),
    /// Of the log process.
    Log(Order),
    /// Write the pidfiles anew.
    Pidfiles,
    /// Listen at another pipe.
    Slot(usize),
    /// Nothing: the end of a line, a blank.
    Blank,
    /// uWSGI knows it, and it makes no sense here.
    Foreign,
    /// Nobody knows it.
    Unknown,
}

/// What a byte asks for.
pub fn letter(byte: u8) -> Letter {
    match byte {
        b'r' | b'R' => Letter::Wish(Wish::Reload),
        b'q' => Letter::Wish(Wish::Stop),
        b'Q' => Letter::Wish(Wish::StopNow),
        b'c' | b'w' | b'W' => Letter::Wish(Wish::Renew),
        b's' => Letter::Wish(Wish::Totals),
        b'+' => Letter::Wish(Wish::Workers(Change::More(1))),
        b'-' => Letter::Wish(Wish::Workers(Change::Fewer(1))),
        b'C' => Letter::Wish(Wish::Sleep),
        b'p' => Letter::Wish(Wish::Pause),
        b'P' => Letter::Pidfiles,
        b'l' => Letter::Log(Order::Reopen),
        b'L' => Letter::Log(Order::Rotate),
        b'0'..=b'9' => Letter::Slot(usize::from(byte - b'0')),
        b'\n' | b'\r' | b' ' => Letter::Blank,
        b'B' | b'E' | b'f' | b'S' => Letter::Foreign,
        _ => Letter::Unknown,
    }
}

impl Fifos {
    /// Makes and opens the first of `paths`.
    pub fn open(paths: &[PathBuf]) -> Result<Fifos, Error> {
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let paths = paths.iter().take(SLOTS_MAX).map(absolute).collect();
        let mut fifos = Fifos { paths, active: None };
        if !fifos.paths.is_empty() {
            fifos.choose(0)?;
        }
        Ok(fifos)
    }

    /// What to wait on.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.active.as_ref().map(|(_, file)| file.as_fd())
    }

    /// Letters that have come.
    pub fn read(&mut self) -> Vec<u8> {
        let mut letters = Vec::new();
        let mut buffer = [0; 64];
        while let Some((_, file)) = &mut self.active
            && let Ok(len @ 1..) = file.read(&mut buffer)
        {
            letters.extend_from_slice(&buffer[..len]);
        }
        letters
    }

    /// Listens at the pipe of that number instead.
    pub fn choose(&mut self, slot: usize) -> Result<(), Error> {
        let Some(path) = self.paths.get(slot) else {
            let why = std::io::Error::new(std::io::ErrorKind::NotFound, "no master-fifo has this number");
            return Err(Error::call("choose fifo", slot.to_string(), why));
        };
        let opened = make(path)?;
        self.active = Some((path.clone(), opened));
        Ok(())
    }

    /// Removes the pipe, when the server ends.
    pub fn remove(&self) {
        if let Some((path, _)) = &self.active {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Makes the pipe, in place of one that was left there.
fn make(path: &Path) -> Result<File, Error> {
    let failed = |attempt: &'static str| {
        move |cause: std::io::Error| Error::call(attempt, path.display().to_string(), cause)
    };
    match path.symlink_metadata() {
        Ok(meta) if !meta.file_type().is_fifo() => {
            let cause =
                std::io::Error::new(std::io::ErrorKind::AlreadyExists, "a file is there that is no fifo");
            return Err(failed("make fifo")(cause));
        }
        Ok(_) => std::fs::remove_file(path).map_err(failed("remove fifo"))?,
        Err(_) => {}
    }
    files::make_fifo(path, 0o600).map_err(failed("make fifo"))?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(files::NONBLOCK)
        .open(path)
        .map_err(failed("open fifo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_come_in_order_and_writers_may_come_and_go() {
        let dir = tempfile::tempdir().expect("a folder");
        let paths = ["one", "two"].map(|name| dir.path().join(name));
        std::fs::write(&paths[1], "precious").expect("written");
        let mut fifos = Fifos::open(&paths).expect("made");
        assert_eq!(fifos.read(), b"");
        for text in ["r\n", "q"] {
            std::fs::write(&paths[0], text).expect("written");
        }
        assert_eq!(fifos.read(), b"r\nq");
        let error = fifos.choose(1).expect_err("a file is in the way").to_string();
        assert!(error.ends_with("a file is there that is no fifo"), "{error}");
        assert!(fifos.choose(2).is_err());
        std::fs::remove_file(&paths[1]).expect("removed");
        fifos.choose(1).expect("made");
        std::fs::write(&paths[1], "s").expect("written");
        assert_eq!(fifos.read(), b"s");
        fifos.remove();
        assert!(!paths[1].exists());
    }

    #[test]
    fn each_letter() {
        assert_eq!(letter(b'R'), Letter::Wish(Wish::Reload));
        assert_eq!(letter(b'+'), Letter::Wish(Wish::Workers(Change::More(1))));
        assert_eq!(letter(b'3'), Letter::Slot(3));
        assert_eq!(letter(b'E'), Letter::Foreign);
        assert_eq!(letter(b'x'), Letter::Unknown);
    }
}
