//! Groups of processes with limits, as containers have them.

use std::path::{Path, PathBuf};

use super::{program, skipped};

/// A group of a hierarchy of cgroups, version 1 or 2, with a limit.
pub struct Group(PathBuf);

impl Group {
    /// With the files of the first parent that is there; `None`, and said, where none can be made.
    pub fn new(name: &str, parents: &[(&str, &[(&str, &str)])]) -> Option<Group> {
        for (parent, files) in parents {
            let parent = Path::new(parent);
            if !parent.join("cgroup.procs").is_file() {
                continue;
            }
            let group = Group(parent.join(format!("uwring-test-{name}-{}", std::process::id())));
            let made = std::fs::create_dir(&group.0);
            let set = files.iter().try_for_each(|(file, text)| std::fs::write(group.0.join(file), text));
            if made.is_ok() && set.is_ok() {
                return Some(group);
            }
        }
        skipped("no cgroup with a limit can be made here");
        None
    }

    /// That may have so many megabytes together.
    pub fn of_megabytes(name: &str, megabytes: u32) -> Option<Group> {
        let limit = format!("{megabytes}M");
        let (first, second) = ([("memory.limit_in_bytes", &*limit)], [("memory.max", &*limit)]);
        // Within its own, where there are such: others may not be ours.
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = |root: &str, controllers: &str| {
            let line = own.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(controllers));
            format!("{root}{}", line.and_then(|path| path.strip_prefix(':')).unwrap_or_default())
        };
        let (old, new) = (own("/sys/fs/cgroup/memory", "memory"), own("/sys/fs/cgroup", ""));
        Group::new(
            name,
            &[
                (&old, &first),
                ("/sys/fs/cgroup/memory", &first),
                (&new, &second),
                ("/sys/fs/cgroup", &second),
            ],
        )
    }

    /// A program that runs uwring in this group.
    pub fn program(&self, folder: &tempfile::TempDir) -> PathBuf {
        let (path, procs) = (folder.path().join("limited"), self.0.join("cgroup.procs"));
        let script =
            format!("#!/bin/sh\necho $$ > {}\nexec {} \"$@\"\n", procs.display(), program().display());
        script_at(path, &script)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // It is empty when the server is gone.
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Writes a script that can be run; its path again.
pub fn script_at(path: PathBuf, script: &str) -> PathBuf {
    std::fs::write(&path, script).expect("write a script");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("chmod");
    path
}
