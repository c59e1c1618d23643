//! From PATH_INFO to a file: folders a request may look into, and what keeps it there.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::options::files::Files as Settings;
use crate::sys::beneath::{Folder, Miss, Opened, look_at, look_through};

/// A path that is about to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// A folder; or the file itself, where a map names one.
    root: PathBuf,
    /// Below the folder, without a slash in front.
    below: Vec<u8>,
    /// The root may be a file, which then answers for everything below it.
    any_file: bool,
}

/// What lies at a place.
#[derive(Debug)]
pub enum Look {
    /// A regular file.
    File(File, Metadata),
    /// A folder.
    Folder,
    /// Nothing to be served.
    Nothing,
}

/// Where a request for `path` is to look, in order.
pub fn candidates<'a>(
    settings: &'a Settings,
    path: &'a [u8],
    docroot: Option<&'a [u8]>,
) -> impl Iterator<Item = Place> + 'a {
    let whole = |root: &Path| Place::new(root, path, false);
    let checked = settings.folders.iter().map(move |folder| whole(folder));
    let mapped = settings.maps.iter().filter_map(move |map| {
        rest(map.prefix.as_bytes(), path).map(|rest| Place::new(&map.target, rest, true))
    });
    let mapped_whole = settings
        .maps_whole
        .iter()
        .filter(move |map| rest(map.prefix.as_bytes(), path).is_some())
        .map(move |map| whole(&map.target));
    let docroot =
        docroot.filter(|root| !root.is_empty()).map(|root| whole(Path::new(OsStr::from_bytes(root))));
    checked.chain(mapped).chain(mapped_whole).chain(docroot)
}

/// What follows `prefix` in `path`, where it ends with a whole segment: `/static` is no prefix of `/statics`.
pub fn rest<'a>(prefix: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(b"/") || prefix.ends_with(b"/") || prefix.is_empty()).then_some(rest)
}

impl Place {
    fn new(root: &Path, below: &[u8], any_file: bool) -> Place {
        let start = below.iter().position(|&byte| byte != b'/').unwrap_or(below.len());
        Place { root: root.to_owned(), below: below[start..].to_vec(), any_file }
    }

    /// The file at `path` itself.
    pub fn exactly(path: &Path) -> Place {
        Place { root: path.to_owned(), below: Vec::new(), any_file: true }
    }

    /// A file in the folder at this place.
    pub fn below(&self, name: &str) -> Place {
        let mut place = self.clone();
        if !place.below.is_empty() && !place.below.ends_with(b"/") {
            place.below.push(b'/');
        }
        place.below.extend_from_slice(name.as_bytes());
        place.any_file = false;
        place
    }

    /// A file beside the one at this place.
    pub fn with_suffix(&self, suffix: &str) -> Place {
        let mut place = self.clone();
        // Where the root was the file, everything below it was only a name for it.
        if self.any_file && self.root.is_file() {
            place.root.as_mut_os_string().push(suffix);
        } else {
            place.below.extend_from_slice(suffix.as_bytes());
        }
        place
    }

    /// Where the file lies.
    pub fn path(&self) -> PathBuf {
        if self.below.is_empty() || self.any_file && self.root.is_file() {
            return self.root.clone();
        }
        self.root.join(OsStr::from_bytes(&self.below))
    }

    /// What lies here. Links may lead into the `safe` folders; `tell` hears of others.
    pub fn open(&self, safe: &[PathBuf], tell: &mut dyn FnMut(String)) -> Look {
        // Opened each time, so that a link that is turned to a new release is followed at once.
        let found = match Folder::open(&self.root) {
            Ok(Some(folder)) => folder.look(&self.below),
            Ok(None) if self.any_file => look_through(&self.root),
            _ => return Look::Nothing,
        };
        match found {
            Ok(Opened::File(file, meta)) => Look::File(file, meta),
            Ok(Opened::Folder) => Look::Folder,
            Err(Miss::Nothing) => Look::Nothing,
            Err(Miss::Outside) => self.resolve(safe, tell),
        }
    }

    /// The way leads by a link that the kernel would not follow inside the folder. It may be an absolute one that
    /// ends inside all the same, or in a safe folder.
    fn resolve(&self, safe: &[PathBuf], tell: &mut dyn FnMut(String)) -> Look {
        let Ok(real) = self.root.join(OsStr::from_bytes(&self.below)).canonicalize() else {
            return Look::Nothing;
        };
        let mut roots = std::iter::once(&self.root).chain(safe).filter_map(|root| root.canonicalize().ok());
        if !roots.any(|root| real.starts_with(root)) {
            let (real, root) = (real.display(), self.root.display());
            tell(format!("[uwsgi-fileserve] security error: {real} is not under {root} or a safe path"));
            return Look::Nothing;
        }
        match look_at(&real) {
            Ok(Opened::File(file, meta)) => Look::File(file, meta),
            Ok(Opened::Folder) => Look::Folder,
            Err(_) => Look::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_with_a_segment() {
        for (prefix, path, found) in [
            ("/static", "/static/a", Some("/a")),
            ("/static", "/static", Some("")),
            ("/static", "/statics", None),
            ("/static/", "/static/a", Some("a")),
            ("/static/", "/static", None),
            ("/", "/a", Some("a")),
            ("", "/a", Some("/a")),
            ("/static", "/Static/a", None),
        ] {
            let rest = rest(prefix.as_bytes(), path.as_bytes());
            assert_eq!(rest, found.map(str::as_bytes), "{prefix} {path}");
        }
    }

    #[test]
    fn a_path_below_never_begins_with_a_slash() {
        let place = Place::new(Path::new("/srv"), b"//etc/passwd", false);
        assert_eq!(place.path(), Path::new("/srv/etc/passwd"));
    }
}
