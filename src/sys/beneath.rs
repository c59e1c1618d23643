//! Files below a folder, opened so that no link and no `..` leads out of it (openat2(2)).

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, ResolveFlag, openat2};

/// Opened for its names only.
#[derive(Debug)]
pub struct Folder(OwnedFd);

/// What a path led to.
#[derive(Debug)]
pub enum Opened {
    /// A regular file.
    File(File, Metadata),
    /// A folder.
    Folder,
}

/// Why a path led nowhere.
#[derive(Debug)]
pub enum Miss {
    /// It leads out of the folder.
    Outside,
    /// There is nothing to be served: no such file, no permission, a device.
    Nothing,
}

impl Folder {
    /// The folder at `path`; `Ok(None)` where something else is there.
    pub fn open(path: &Path) -> io::Result<Option<Folder>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match openat2(AT_FDCWD, path, OpenHow::new().flags(flags)) {
            Ok(fd) => Ok(Some(Folder(fd))),
            Err(Errno::ENOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What lies at `path`, which begins without a slash, below it.
    pub fn look(&self, path: &[u8]) -> Result<Opened, Miss> {
        let path = if path.is_empty() { b"." } else { path };
        open(&self.0, path, ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS)
    }
}

/// What lies at `path`, where no part of it is a link: one that was resolved before.
pub fn look_at(path: &Path) -> Result<Opened, Miss> {
    open(AT_FDCWD, path.as_os_str().as_bytes(), ResolveFlag::RESOLVE_NO_SYMLINKS)
}

/// What lies at `path`, links followed: one that a configuration names.
pub fn look_through(path: &Path) -> Result<Opened, Miss> {
    open(AT_FDCWD, path.as_os_str().as_bytes(), ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

fn open(from: impl AsFd, path: &[u8], resolve: ResolveFlag) -> Result<Opened, Miss> {
    // A fifo without a writer must not hold the loop.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let how = OpenHow::new().flags(flags).resolve(resolve);
    let file = match openat2(from, OsStr::from_bytes(path), how) {
        Ok(fd) => File::from(fd),
        // EAGAIN: something was renamed meanwhile, so that the kernel cannot tell.
        Err(Errno::EXDEV | Errno::ELOOP | Errno::EAGAIN) => return Err(Miss::Outside),
        Err(_) => return Err(Miss::Nothing),
    };
    match file.metadata() {
        Ok(meta) if meta.is_file() => Ok(Opened::File(file, meta)),
        Ok(meta) if meta.is_dir() => Ok(Opened::Folder),
        _ => Err(Miss::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_is_reached() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("in/sub")).expect("made");
        std::fs::write(at("secret"), "s").expect("written");
        std::fs::write(at("in/a"), "a").expect("written");
        symlink("a", at("in/inner")).expect("linked");
        symlink("../secret", at("in/outer")).expect("linked");
        symlink(at("in/a"), at("in/absolute")).expect("linked");
        nix::unistd::mkfifo(&at("in/fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
        let folder = Folder::open(&at("in")).expect("opened").expect("a folder");
        let look = |path: &str| match folder.look(path.as_bytes()) {
            Ok(Opened::File(..)) => "file",
            Ok(Opened::Folder) => "folder",
            Err(Miss::Outside) => "outside",
            Err(Miss::Nothing) => "nothing",
        };
        for (path, found) in [
            ("a", "file"),
            ("inner", "file"),
            ("sub/../a", "file"),
            ("", "folder"),
            ("sub", "folder"),
            ("sub/", "folder"),
            ("a/", "nothing"),
            ("none", "nothing"),
            ("fifo", "nothing"),
            ("a\0b", "nothing"),
            ("outer", "outside"),
            ("absolute", "outside"),
            ("../secret", "outside"),
            ("/etc/passwd", "outside"),
        ] {
            assert_eq!(look(path), found, "{path:?}");
        }
        assert!(Folder::open(&at("in/a")).expect("there").is_none());
        assert!(Folder::open(&at("none")).is_err());
    }
}
