//! Becoming another program, with descriptors kept open across it.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use serde::{Deserialize, Serialize};

use super::process;

/// A descriptor as one program leaves it to the next: its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed(RawFd);

impl Handed {
    /// Leaves `fd`: [`keep_open`] before the next program, [`Handed::take`] in it.
    pub fn of(fd: &impl AsRawFd) -> Handed {
        Handed(fd.as_raw_fd())
    }

    /// Leaves the descriptor of that number, which is open for the rest of the process's life.
    pub fn number(number: RawFd) -> Handed {
        Handed(number)
    }

    /// Takes it over, closed on the next exec again. Only once: it is owned afterwards.
    pub fn take(self) -> io::Result<OwnedFd> {
        process::inherit(self.0)
    }
}

/// Whether `fds` stay open when this process becomes another program. All that we open do not.
pub fn keep_open(fds: &[Handed], open: bool) -> io::Result<()> {
    let flags = if open { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    for Handed(fd) in fds {
        // SAFETY: callers own the descriptors they name, and hold them during the call.
        let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
        fcntl(fd, FcntlArg::F_SETFD(flags))?;
    }
    Ok(())
}

/// A file without a name, in memory.
pub fn memory_file(name: &str) -> io::Result<File> {
    let name = CString::new(name)?;
    let flags = nix::sys::memfd::MFdFlags::MFD_CLOEXEC;
    Ok(File::from(nix::sys::memfd::memfd_create(name.as_c_str(), flags)?))
}

/// The same, in which whoever writes only ever appends.
pub fn memory_log(name: &str) -> io::Result<File> {
    let file = memory_file(name)?;
    fcntl(&file, FcntlArg::F_SETFL(nix::fcntl::OFlag::O_APPEND))?;
    Ok(file)
}

/// Becomes `program`. Returns only if that failed.
pub fn replace(program: &Path, argv: &[OsString], env: &[(OsString, OsString)]) -> io::Error {
    fn c_string(text: &OsStr) -> io::Result<CString> {
        Ok(CString::new(text.as_bytes())?)
    }
    let become_it = || -> io::Result<Infallible> {
        let argv: Vec<CString> = argv.iter().map(|word| c_string(word)).collect::<Result<_, _>>()?;
        let pair = |(name, value): &(OsString, OsString)| {
            let mut text = name.clone();
            text.push("=");
            text.push(value);
            c_string(&text)
        };
        let env: Vec<CString> = env.iter().map(pair).collect::<Result<_, _>>()?;
        Ok(nix::unistd::execve(&c_string(program.as_os_str())?, &argv, &env)?)
    };
    match become_it() {
        Err(error) => error,
        Ok(never) => match never {},
    }
}

/// Where the program that runs was started from: as the command line names it, so that a link is followed again
/// when it leads elsewhere, or else as the kernel knows it.
pub fn program(argv0: &OsStr) -> io::Result<PathBuf> {
    let kernel = std::env::current_exe()?;
    let named = if argv0.as_bytes().contains(&b'/') {
        std::path::absolute(argv0).ok()
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|folder| folder.join(argv0)).find(|file| file.is_file())
    };
    let same = |path: &PathBuf| std::fs::canonicalize(path).is_ok_and(|real| real == kernel);
    Ok(named.filter(same).unwrap_or(kernel))
}

/// The number of a descriptor that is left, for the next program's environment.
pub fn number(handed: Handed) -> i32 {
    handed.0
}

/// Takes over the descriptor of that number.
pub fn take_number(number: i32) -> io::Result<OwnedFd> {
    Handed(number).take()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};

    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn a_program_finds_what_was_left_to_it() {
        let mut file = memory_file("left").expect("made");
        file.write_all(b"for you").expect("written");
        file.rewind().expect("a file");
        let handed = Handed::of(&file);
        // Not `<&`: dash knows descriptors of one digit only, and other tests have those.
        let script = format!("test \"$(cat /proc/self/fd/{})\" = \"for you\" && test \"$A\" = b", handed.0);
        let argv = ["sh", "-c", &script].map(OsString::from);
        let run = |open: bool| {
            in_child(|| {
                keep_open(&[handed], open).expect("set");
                let _ = replace(Path::new("/bin/sh"), &argv, &[("A".into(), "b".into())]);
                99
            })
        };
        assert_eq!(run(true), Status::Exited(0));
        assert!(matches!(run(false), Status::Exited(1 | 2)));
        let mut again = File::from(handed.take().expect("open"));
        std::mem::forget(file);
        again.rewind().expect("a file");
        let mut text = String::new();
        again.read_to_string(&mut text).expect("read");
        assert_eq!(text, "for you");
    }

    #[test]
    fn what_cannot_be_run_is_an_error() {
        let error = replace(Path::new("/nonexistent/uwring"), &["x".into()], &[]);
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn this_program_is_found() {
        let this = std::env::current_exe().expect("known");
        assert_eq!(program(this.as_os_str()).expect("found"), this);
        assert_eq!(program(OsStr::new("no-such-program")).expect("found"), this);
    }
}
