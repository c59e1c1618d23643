//! Which configurations there are: files of a folder, or those that match a pattern.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::vassal::Stamp;
use crate::options::emperor::Emperor;

/// The endings of configurations.
const SUFFIXES: [&str; 7] = ["ini", "xml", "yml", "yaml", "json", "js", "toml"];

/// One place to look at.
#[derive(Debug)]
pub enum Monitor {
    /// Files of a folder; vassals are started in it.
    Folder(PathBuf),
    /// Files that match.
    Pattern(String),
}

/// A configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As the vassal is told.
    pub name: String,
    /// Where the vassal is started.
    pub folder: Option<PathBuf>,
    /// What it looks like.
    pub stamp: Stamp,
}

impl Monitor {
    /// Of an `emperor` option.
    pub fn new(place: &str) -> Monitor {
        if let Some(pattern) = place.strip_prefix("glob://") {
            return Monitor::Pattern(pattern.to_owned());
        }
        let path = place.strip_prefix("dir://").unwrap_or(place);
        if Path::new(path).is_dir() || !path.contains(['*', '?', '[']) {
            return Monitor::Folder(std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path)));
        }
        Monitor::Pattern(path.to_owned())
    }

    /// The folder whose changes tell that something is to be seen.
    pub fn watched(&self) -> Option<PathBuf> {
        match self {
            Monitor::Folder(folder) => Some(folder.clone()),
            Monitor::Pattern(pattern) => {
                let parent = Path::new(pattern).parent()?;
                let named = !parent.to_string_lossy().contains(['*', '?', '[']);
                named.then(|| std::path::absolute(parent).unwrap_or_else(|_| parent.to_owned()))
            }
        }
    }

    /// What is there now. A folder that cannot be read has nothing to say of its vassals: an error.
    pub fn look(&self, policy: &Emperor) -> std::io::Result<Vec<Found>> {
        match self {
            Monitor::Folder(folder) => {
                let entries = std::fs::read_dir(folder)?;
                let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
                let found = names.filter(|name| is_configuration(name, policy)).filter_map(|name| {
                    let stamp = stamp(&folder.join(&name), policy)?;
                    Some(Found { name, folder: Some(folder.clone()), stamp })
                });
                Ok(found.collect())
            }
            Monitor::Pattern(pattern) => {
                let found = crate::options::files_matching(pattern).into_iter().filter_map(|name| {
                    let stamp = stamp(Path::new(&name), policy)?;
                    is_configuration(&name, policy).then_some(Found { name, folder: None, stamp })
                });
                Ok(found.collect())
            }
        }
    }
}

/// By its name; what editors leave behind is none.
fn is_configuration(name: &str, policy: &Emperor) -> bool {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    let extra = policy.extensions.iter().any(|extra| name.ends_with(extra.as_str()));
    let file = name.rsplit('/').next().unwrap_or(name);
    !file.starts_with('.') && (SUFFIXES.contains(&suffix) || extra)
}

fn stamp(path: &Path, policy: &Emperor) -> Option<Stamp> {
    let meta = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let link = path.symlink_metadata().ok()?;
    let seen = if policy.nofollow { &link } else { &meta };
    let owner = if policy.tyrant_nofollow { &link } else { &meta };
    Some(Stamp {
        version: (seen.mtime(), seen.mtime_nsec(), seen.len(), seen.ino()),
        owner: (owner.uid(), owner.gid()),
    })
}

/// The option that a vassal is given its configuration by.
pub fn option_for(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, suffix)| suffix) {
        "ini" => "--ini",
        "xml" => "--xml",
        "yml" | "yaml" => "--yaml",
        "json" | "js" => "--json",
        "toml" => "--toml",
        _ => "--config",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(monitor: &Monitor, policy: &Emperor) -> Vec<String> {
        let mut names: Vec<String> =
            monitor.look(policy).expect("readable").into_iter().map(|found| found.name).collect();
        names.sort();
        names
    }

    #[test]
    fn configurations_of_every_kind_are_found() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in
            ["a.ini", "b.yml", "c.json", "d.toml", "e.xml", ".hidden.ini", "f.ini~", "readme", "g.conf"]
        {
            std::fs::write(folder.path().join(name), "").expect("written");
        }
        std::fs::create_dir(folder.path().join("folder.ini")).expect("made");
        let place = folder.path().display().to_string();
        let mut policy = Emperor::default();
        let monitor = Monitor::new(&format!("dir://{place}"));
        assert_eq!(names(&monitor, &policy), ["a.ini", "b.yml", "c.json", "d.toml", "e.xml"]);
        policy.extensions.push(".conf".to_owned());
        assert!(names(&monitor, &policy).contains(&"g.conf".to_owned()));
        let pattern = Monitor::new(&format!("{place}/*.ini"));
        assert_eq!(names(&pattern, &policy), [format!("{place}/a.ini")]);
        assert_eq!(pattern.watched(), monitor.watched());
        assert!(Monitor::new("/nonexistent").look(&policy).is_err());
    }

    #[test]
    fn a_link_is_what_it_leads_to_unless_told_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("real"), folder.path().join("a.ini"));
        std::fs::write(&file, "1").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        let mut policy = Emperor::default();
        let followed = stamp(&link, &policy);
        policy.nofollow = true;
        let itself = stamp(&link, &policy);
        std::fs::write(&file, "22").expect("written");
        assert_eq!(stamp(&link, &policy), itself);
        policy.nofollow = false;
        assert_ne!(stamp(&link, &policy), followed);
        // Root's file by somebody else's link.
        let link = folder.path().join("b.ini");
        std::os::unix::fs::symlink("/etc/passwd", &link).expect("linked");
        // Fails for those who are not root: theirs is somebody else's already.
        let _ = std::os::unix::fs::lchown(&link, Some(65_534), Some(65_534));
        assert_eq!(stamp(&link, &policy).expect("a file").owner, (0, 0));
        policy.tyrant_nofollow = true;
        assert_ne!(stamp(&link, &policy).expect("a file").owner.0, 0);
    }
}
