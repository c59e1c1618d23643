//! `touch-reload`: noticing that a file was touched, made or removed.
//!
//! inotify on the folders says when to look; looking (a stat) says which file it was. Where a folder cannot be
//! watched, the files are looked at each second, as uWSGI does.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::sys::watch::Watch;

/// How often files are looked at whose folders cannot be watched, milliseconds.
const LOOK_MS: u64 = 1_000;

/// The files under watch.
#[derive(Debug)]
pub struct Touched {
    watch: Option<Watch>,
    files: Vec<(PathBuf, Stamp)>,
    look: bool,
}

/// What changes when a file is touched: seconds, nanoseconds and inode, or nothing where there is no file.
type Stamp = Option<(i64, i64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let meta = path.metadata().ok()?;
    Some((meta.mtime(), meta.mtime_nsec(), meta.ino()))
}

impl Touched {
    /// Watches `paths` from now on.
    pub fn new(paths: &[PathBuf]) -> Touched {
        let watch = if paths.is_empty() { None } else { Watch::new().ok() };
        let mut touched = Touched { watch, files: Vec::new(), look: false };
        for path in paths {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let now = stamp(&path);
            if now.is_none() {
                crate::log!(
                    "unable to stat() {}, events will be triggered as soon as the file is created",
                    path.display()
                );
            }
            let folder = path.parent().unwrap_or(Path::new("/"));
            touched.look |= !touched.watch.as_ref().is_some_and(|watch| watch.add(folder).is_ok());
            touched.files.push((path, now));
        }
        touched
    }

    /// What to wait on.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// How long to wait at most before the next [`Touched::changed`], milliseconds.
    pub fn look_after(&self) -> Option<u64> {
        self.look.then_some(LOOK_MS)
    }

    /// A file that changed since the last time; of several, one: they lead to the same reload.
    pub fn changed(&mut self) -> Option<PathBuf> {
        if let Some(watch) = &self.watch {
            watch.clear();
        }
        let mut found = None;
        for (path, seen) in &mut self.files {
            let now = stamp(path);
            if now != *seen {
                *seen = now;
                found = Some(path.clone());
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::event::readable;

    fn told(touched: &Touched) -> bool {
        let fd = touched.fd().expect("inotify");
        readable(&[fd], Some(1_000)).expect("polled") == [true]
    }

    #[test]
    fn making_writing_and_removing_are_touching() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("reload");
        let mut touched = Touched::new(std::slice::from_ref(&path));
        assert_eq!((touched.changed(), touched.look_after()), (None, None));
        std::fs::write(&path, "").expect("made");
        assert!(told(&touched));
        assert_eq!(touched.changed().as_ref(), Some(&path));
        assert_eq!(touched.changed(), None);
        std::fs::write(dir.path().join("other"), "").expect("made");
        assert!(told(&touched));
        assert_eq!(touched.changed(), None);
        std::fs::remove_file(&path).expect("removed");
        assert!(told(&touched));
        assert_eq!(touched.changed(), Some(path));
    }

    #[test]
    fn a_file_in_no_folder_is_looked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("later/reload");
        let mut touched = Touched::new(std::slice::from_ref(&path));
        assert_eq!(touched.look_after(), Some(LOOK_MS));
        std::fs::create_dir(dir.path().join("later")).expect("made");
        std::fs::write(&path, "").expect("made");
        assert_eq!(touched.changed(), Some(path));
    }
}
