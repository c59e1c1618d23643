//! Which of many files were modified, at little cost: the kernel tells (inotify) in which folders something happened, and
//! only what it names is looked at. Where it tells nothing, files are looked at one by one.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::sys::event;
use crate::sys::files::{self, FileId};
use crate::sys::watch::{Number, Watch};

/// The files, and what is known of them.
#[derive(Debug)]
pub struct Modified {
    watch: io::Result<Watch>,
    /// When each was modified, as far as it was there.
    files: HashMap<PathBuf, Option<SystemTime>>,
    /// Folders in which these lie, and those in which the files lie that links among them lead to.
    folders: HashMap<PathBuf, Folder>,
    /// Which files an entry of a folder under watch stands for.
    entries: HashMap<(Number, OsString), Vec<PathBuf>>,
    /// It was said that there are folders which are not watched.
    said: bool,
}

#[derive(Debug, Default)]
struct Folder {
    seen: Option<FileId>,
    watched: Option<Number>,
    /// The kernel does not tell all that happens there.
    is_silent: bool,
    /// What lies there, by its name, and which of the files it stands for.
    entries: HashSet<(OsString, PathBuf)>,
}

impl Default for Modified {
    fn default() -> Modified {
        Modified {
            watch: Watch::new(),
            files: HashMap::new(),
            folders: HashMap::new(),
            entries: HashMap::new(),
            said: false,
        }
    }
}

impl Modified {
    /// These files are wanted from now on, as they are now. What was known of some of them stays.
    pub fn follow<'a>(&mut self, files: impl Iterator<Item = &'a Path>) {
        let mut old = std::mem::take(&mut self.files);
        for file in files {
            let known = old.remove(file).unwrap_or_else(|| {
                // Watched first: whatever happens after the look is told.
                self.add(file);
                modified(file)
            });
            self.files.insert(file.to_owned(), known);
        }
    }

    /// Waits until something happens in one of the folders, no longer than that.
    pub fn wait(&self, timeout: Duration) {
        let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        match &self.watch {
            Ok(watch) if event::readable(&[watch.as_fd()], Some(ms)).is_ok() => {}
            _ => std::thread::sleep(timeout),
        }
    }

    /// Files that were modified since the last look, as far as the kernel tells.
    pub fn told(&mut self) -> Vec<PathBuf> {
        let Ok(watch) = &self.watch else { return Vec::new() };
        let told = watch.told();
        if told.lost {
            return self.all();
        }
        for folder in self.folders.values_mut() {
            // Another may have its place, or its number: [`Modified::rest`] looks.
            if folder.watched.is_some_and(|number| told.gone.contains(&number)) {
                folder.seen = None;
            }
        }
        let named = told.entries.iter().filter_map(|entry| self.entries.get(entry));
        let files: Vec<PathBuf> = named.flatten().cloned().collect();
        self.look(files)
    }

    /// Files that were modified since the last look, of those the kernel does not tell about: it does not where a folder
    /// was replaced by another (a link that leads elsewhere now), or cannot be watched.
    pub fn rest(&mut self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let paths: Vec<PathBuf> = self.folders.keys().cloned().collect();
        for path in paths {
            let now = FileId::behind(&path);
            let folder = &self.folders[&path];
            if folder.seen != now {
                self.watch(&path);
            } else if !folder.is_silent {
                continue;
            }
            files.extend(self.folders[&path].entries.iter().map(|(_, file)| file.clone()));
        }
        self.look(files)
    }

    /// Files that were modified since the last look, whatever the kernel tells.
    pub fn all(&mut self) -> Vec<PathBuf> {
        self.look(self.files.keys().cloned().collect())
    }

    fn look(&mut self, files: Vec<PathBuf>) -> Vec<PathBuf> {
        let is_modified = |file: &PathBuf| {
            // Gone for the moment, as editors do it while they save; or no longer wanted.
            let (Some(now), Some(seen)) = (modified(file), self.files.get_mut(file)) else { return false };
            seen.replace(now).is_some_and(|before| before != now)
        };
        files.into_iter().filter(is_modified).collect()
    }

    /// Where to hear of `file`.
    fn add(&mut self, file: &Path) {
        self.add_entry(file, file);
        let is_link = file.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        if let Some(target) = is_link.then(|| file.canonicalize().ok()).flatten() {
            self.add_entry(&target, file);
        }
    }

    fn add_entry(&mut self, place: &Path, file: &Path) {
        let Some(name) = place.file_name() else { return };
        let path = place.parent().filter(|path| *path != Path::new("")).unwrap_or(Path::new("."));
        if !self.folders.contains_key(path) {
            self.folders.insert(path.to_owned(), Folder::default());
            self.watch(path);
        }
        let Some(folder) = self.folders.get_mut(path) else { return };
        folder.entries.insert((name.to_owned(), file.to_owned()));
        if let Some(number) = folder.watched {
            enter(&mut self.entries, number, name, file);
        }
    }

    /// Watches what is at `path` now.
    fn watch(&mut self, path: &Path) {
        let Some(folder) = self.folders.get_mut(path) else { return };
        folder.seen = FileId::behind(path);
        folder.watched = None;
        if folder.seen.is_none() {
            // Looked for again.
            return;
        }
        let watched = match &self.watch {
            Ok(watch) => watch.add(path),
            Err(error) => Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or_default())),
        };
        let why = match &watched {
            Err(error) => Some(format!("cannot be watched: {error} (see fs.inotify in sysctl)")),
            Ok(_) if files::is_remote(path) => Some("may be changed from elsewhere, unheard".to_owned()),
            Ok(_) => None,
        };
        folder.is_silent = why.is_some();
        folder.watched = watched.ok();
        if let Some(number) = folder.watched {
            for (name, file) in &folder.entries {
                enter(&mut self.entries, number, name, file);
            }
        }
        if let Some(why) = why.filter(|_| !std::mem::replace(&mut self.said, true)) {
            crate::log!(
                "[uwring] py-auto-reload: {} {why}: each file there, and in folders like it, is looked at every time",
                path.display()
            );
        }
    }
}

fn enter(entries: &mut HashMap<(Number, OsString), Vec<PathBuf>>, number: Number, name: &OsStr, file: &Path) {
    let files = entries.entry((number, name.to_owned())).or_default();
    if !files.iter().any(|known| known == file) {
        files.push(file.to_owned());
    }
}

/// When it was, if it is there.
fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Files {
        dir: tempfile::TempDir,
        modified: Modified,
        /// Times that differ, however coarse the file system's clock.
        times: u64,
    }

    impl Files {
        fn new(modified: Modified) -> Files {
            Files { dir: tempfile::tempdir().expect("a folder"), modified, times: 0 }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn write(&mut self, name: &str) -> PathBuf {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(&path, "").expect("written");
            self.times += 1;
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(self.times);
            let file = std::fs::File::options().write(true).open(&path).expect("opened");
            file.set_modified(time).expect("a time");
            path
        }

        fn follow(&mut self, files: &[&PathBuf]) {
            self.modified.follow(files.iter().map(|file| file.as_path()));
        }
    }

    #[test]
    fn what_is_written_or_renamed_is_told_and_nothing_else() {
        let mut files = Files::new(Modified::default());
        let (a, b) = (files.write("a.py"), files.write("parts/b.py"));
        files.follow(&[&a, &b]);
        assert_eq!(files.modified.told(), [] as [PathBuf; 0]);
        files.write("a.py");
        assert_eq!(files.modified.told(), [a.as_path()]);
        // As an editor saves it.
        let new = files.write("parts/.b.py.new");
        assert_eq!(files.modified.told(), [] as [PathBuf; 0], "nobody asked for that one");
        std::fs::rename(new, &b).expect("renamed");
        assert_eq!(files.modified.told(), [b.as_path()]);
        // Gone, and there again as it was; then no longer wanted.
        let kept = files.path("kept");
        std::fs::rename(&a, &kept).expect("renamed");
        assert_eq!(files.modified.told(), [] as [PathBuf; 0]);
        std::fs::rename(&kept, &a).expect("renamed");
        assert_eq!(files.modified.told(), [] as [PathBuf; 0]);
        files.follow(&[&b]);
        files.write("a.py");
        assert_eq!((files.modified.told(), files.modified.all()), (vec![], vec![]));
        assert_eq!(files.modified.rest(), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_file_behind_a_link_is_told() {
        let mut files = Files::new(Modified::default());
        let target = files.write("elsewhere/real.py");
        let link = files.path("link.py");
        std::os::unix::fs::symlink(&target, &link).expect("linked");
        files.follow(&[&link]);
        files.write("elsewhere/real.py");
        assert_eq!(files.modified.told(), [link.as_path()]);
    }

    #[test]
    fn another_folder_in_the_place_of_one_is_seen() {
        let mut files = Files::new(Modified::default());
        files.write("1/a.py");
        files.write("2/a.py");
        let current = files.path("current");
        let a = current.join("a.py");
        std::os::unix::fs::symlink(files.path("1"), &current).expect("linked");
        files.follow(&[&a]);
        std::fs::remove_file(&current).expect("removed");
        std::os::unix::fs::symlink(files.path("2"), &current).expect("linked");
        assert_eq!((files.modified.told(), files.modified.rest()), (vec![], vec![a.clone()]));
        // From now on this one is told about.
        files.write("2/a.py");
        assert_eq!((files.modified.told(), files.modified.rest()), (vec![a.clone()], vec![]));
        // Removed, with its number free for the next; and made again.
        std::fs::remove_dir_all(files.path("2")).expect("removed");
        assert_eq!((files.modified.told(), files.modified.rest()), (vec![], vec![]));
        files.write("2/a.py");
        assert_eq!(files.modified.rest(), [a.as_path()]);
        files.write("2/a.py");
        assert_eq!(files.modified.told(), [a.as_path()]);
    }

    #[test]
    fn what_cannot_be_watched_is_looked_at() {
        let watch = Err(io::Error::from_raw_os_error(crate::sys::errno::EMFILE));
        let mut files = Files::new(Modified { watch, ..Modified::default() });
        let a = files.write("a.py");
        files.follow(&[&a]);
        files.write("a.py");
        assert_eq!((files.modified.told(), files.modified.rest()), (vec![], vec![a]));
        assert!(files.modified.said);
        assert_eq!(files.modified.rest(), [] as [PathBuf; 0]);
        files.modified.wait(Duration::ZERO);
    }
}
