//! `touch-reload` and its family: noticing that a file was touched, made or removed.
//!
//! inotify on the folders says when to look; looking (a stat) says which file it was. One `touch` is several
//! changes, so the look waits a moment for the last of them. Where a folder cannot be watched, the files are
//! looked at each second, as uWSGI does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::base::clock::Millis;
use crate::options::settings::Touch;
use crate::sys::watch::Watch;

/// How often files are looked at whose folders cannot be watched, milliseconds.
const LOOK_MS: u64 = 1_000;
/// How long after the first change of several they are looked at, milliseconds.
const SETTLE_MS: u64 = 100;

/// A file under watch.
#[derive(Debug)]
struct File<T> {
    path: PathBuf,
    leads_to: T,
    seen: Stamp,
}

/// The files under watch, with what a change of each leads to.
#[derive(Debug)]
pub struct Touched<T = Touch> {
    watch: Option<Watch>,
    files: Vec<File<T>>,
    /// Whether some folder cannot be watched.
    unwatched: bool,
    /// When to look.
    due: Option<Millis>,
}

/// What changes when a file is touched: seconds, nanoseconds, inode, and the same of a folder's entries; or nothing where
/// there is no file.
type Stamp = Option<(i64, i64, u64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let meta = path.metadata().ok()?;
    let entries = if meta.is_dir() { entries(path) } else { 0 };
    Some((meta.mtime(), meta.mtime_nsec(), meta.ino(), entries))
}

/// A number that changes with the files in a folder.
fn entries(folder: &Path) -> u64 {
    let Ok(entries) = folder.read_dir() else { return 0 };
    let mark = |entry: std::io::Result<std::fs::DirEntry>| {
        let (name, meta) = entry.and_then(|entry| Ok((entry.file_name(), entry.metadata()?))).ok()?;
        let mut hasher = DefaultHasher::new();
        (name, meta.mtime(), meta.mtime_nsec(), meta.ino(), meta.len()).hash(&mut hasher);
        Some(hasher.finish())
    };
    // In whatever order they come.
    entries.filter_map(mark).fold(0, u64::wrapping_add)
}

impl<T: Clone + PartialEq> Touched<T> {
    /// Watches `files` from now on.
    pub fn new(files: &[(PathBuf, T)]) -> Touched<T> {
        let watch = if files.is_empty() { None } else { Watch::new().ok() };
        let mut touched = Touched { watch, files: Vec::new(), unwatched: false, due: None };
        for (path, leads_to) in files {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            let now = stamp(&path);
            if now.is_none() {
                crate::log!(
                    "unable to stat() {}, events will be triggered as soon as the file is created",
                    path.display()
                );
            }
            let folder = path.parent().unwrap_or(Path::new("/"));
            touched.unwatched |= touched.watch.as_ref().is_none_or(|watch| watch.add(folder).is_err());
            if path.is_dir() {
                // What happens in it is told there only.
                touched.unwatched |= touched.watch.as_ref().is_none_or(|watch| watch.add(&path).is_err());
            }
            touched.files.push(File { path, leads_to: leads_to.clone(), seen: now });
        }
        touched
    }

    /// What to wait on.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.watch.as_ref().map(AsFd::as_fd)
    }

    /// When to call [`Touched::changed`] even if nothing happens.
    pub fn deadline(&self) -> Option<Millis> {
        self.due
    }

    /// Files that changed since the last look, with what that leads to. Of several that lead to the same one is told.
    pub fn changed(&mut self, now: Millis) -> Vec<(PathBuf, T)> {
        if self.watch.as_ref().is_some_and(Watch::clear) {
            let soon = now.after(SETTLE_MS);
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
        let found = if self.due.is_some_and(|due| due <= now) { self.look() } else { Vec::new() };
        if self.unwatched && self.due.is_none() {
            self.due = Some(now.after(LOOK_MS));
        }
        found
    }

    fn look(&mut self) -> Vec<(PathBuf, T)> {
        self.due = None;
        let mut found: Vec<(PathBuf, T)> = Vec::new();
        for File { path, leads_to, seen } in &mut self.files {
            let now = stamp(path);
            if std::mem::replace(seen, now) != now && !found.iter().any(|(_, other)| other == leads_to) {
                found.push((path.clone(), leads_to.clone()));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::event::readable;

    /// Waits for the kernel's word, then for the moment to look.
    fn told(touched: &mut Touched, now: &mut Millis) -> Option<PathBuf> {
        let fd = touched.fd().expect("inotify");
        assert_eq!(readable(&[fd], Some(1_000)).expect("polled"), [true]);
        assert_eq!(touched.changed(*now), [], "too soon");
        assert_eq!(touched.deadline(), Some(now.after(SETTLE_MS)));
        *now = now.after(SETTLE_MS);
        only(touched.changed(*now))
    }

    fn only(mut changed: Vec<(PathBuf, Touch)>) -> Option<PathBuf> {
        assert!(changed.len() < 2, "{changed:?}");
        changed.pop().map(|(path, _)| path)
    }

    #[test]
    fn what_happens_in_a_folder_touches_it() {
        let mut now = Millis(1_000);
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("file"), "").expect("made");
        let mut touched = reloaded_by(dir.path());
        std::fs::write(dir.path().join("file"), "written").expect("written");
        assert_eq!(told(&mut touched, &mut now).as_deref(), Some(dir.path()));
    }

    fn reloaded_by(path: &Path) -> Touched {
        Touched::new(&[(path.to_owned(), Touch::Reload)])
    }

    #[test]
    fn making_writing_and_removing_are_touching() {
        let mut now = Millis(1_000);
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("reload");
        let mut touched = reloaded_by(&path);
        assert_eq!((touched.changed(now), touched.deadline()), (vec![], None));
        std::fs::write(&path, "").expect("made");
        std::fs::write(&path, "twice").expect("written");
        assert_eq!(told(&mut touched, &mut now).as_ref(), Some(&path));
        assert_eq!((touched.changed(now), touched.deadline()), (vec![], None));
        std::fs::write(dir.path().join("other"), "").expect("made");
        assert_eq!(told(&mut touched, &mut now), None);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(told(&mut touched, &mut now), Some(path));
    }

    #[test]
    fn a_file_in_no_folder_is_looked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("later/reload");
        let mut touched = reloaded_by(&path);
        assert_eq!(touched.changed(Millis(0)), []);
        assert_eq!(touched.deadline(), Some(Millis(LOOK_MS)));
        std::fs::create_dir(dir.path().join("later")).expect("made");
        std::fs::write(&path, "").expect("made");
        // The folder above is not ours to watch, so nothing but the time makes us look.
        assert_eq!(touched.changed(Millis(LOOK_MS - 1)), []);
        assert_eq!(only(touched.changed(Millis(LOOK_MS))), Some(path));
        assert_eq!(touched.deadline(), Some(Millis(2 * LOOK_MS)));
    }
}
