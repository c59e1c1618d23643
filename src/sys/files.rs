//! Files as a server writes them: replaced whole, appended to, given away.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Uid};
use serde::{Deserialize, Serialize};

/// What a path leads to: survives a rename, changes when the file is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// Of the file at `path` itself (a link is not followed).
    pub fn of(path: &Path) -> Option<FileId> {
        let meta = path.symlink_metadata().ok()?;
        Some(FileId { device: meta.dev(), inode: meta.ino() })
    }

    /// Of what `path` leads to (links are followed).
    pub fn behind(path: &Path) -> Option<FileId> {
        let meta = path.metadata().ok()?;
        Some(FileId { device: meta.dev(), inode: meta.ino() })
    }
}

/// Whether what lies at `path` can be changed without this kernel's knowing: by another machine, or by the host of this
/// one.
pub fn is_remote(path: &Path) -> bool {
    // statfs(2): NFS, SMB (three versions), 9P, FUSE (virtiofs, too), AFS, Ceph, VirtualBox's shared folders.
    const REMOTE: [u32; 9] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x0102_1997,
        0x6573_5546,
        0x5346_414f,
        0x00c3_6400,
        0x786f_4256,
    ];
    // The field's width is the architecture's; the numbers have 32 bits.
    nix::sys::statfs::statfs(path).is_ok_and(|found| REMOTE.contains(&(found.filesystem_type().0 as u32)))
}

/// Which contents a file has, as far as can be told without reading: changes when it is replaced or rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    id: FileId,
    bytes: u64,
    modified: (i64, i64),
}

impl Version {
    /// Of the file at `path`, following links.
    pub fn of(path: &Path) -> Option<Version> {
        let meta = path.metadata().ok()?;
        let id = FileId { device: meta.dev(), inode: meta.ino() };
        Some(Version { id, bytes: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}

/// Descriptors this process may still open: its soft limit (`ulimit -n`) without those in use.
pub fn descriptors_free() -> io::Result<usize> {
    let (soft, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    let used = std::fs::read_dir("/proc/self/fd")?.count();
    Ok(usize::try_from(soft).unwrap_or(usize::MAX).saturating_sub(used))
}

/// Replaces the file at `path` in one step: a reader sees the old text or the new, never half. Where the folder
/// allows no new files (a pidfile made for us beforehand), the file is written in place.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.new", std::process::id()));
    let beside = PathBuf::from(beside);
    // A link, or a device as /dev/stdout, is meant to be written through.
    let replaceable = path.symlink_metadata().map_or(true, |meta| meta.is_file());
    let made = if replaceable { write_new(&beside, text) } else { Err(io::ErrorKind::InvalidInput.into()) };
    match made.and_then(|()| std::fs::rename(&beside, path)) {
        Ok(()) => Ok(()),
        Err(_) => {
            let _ = std::fs::remove_file(&beside);
            std::fs::write(path, text)
        }
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    file.write_all(text.as_bytes())
}

/// Opens a log: appended to, made with `mode` (uWSGI's without one).
pub fn open_log(path: &Path, mode: Option<u32>) -> io::Result<File> {
    let file = OpenOptions::new().append(true).create(true).mode(mode.unwrap_or(0o640)).open(path)?;
    if let Some(mode) = mode {
        // As asked for, whatever the mask; of a device or another's file it is none of our business.
        let _ = file.set_permissions(Permissions::from_mode(mode));
    }
    Ok(file)
}

/// Empties the file at `path`, if there is one.
pub fn truncate(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(file) if file.metadata()?.is_file() => file.set_len(0),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens without waiting for the other side.
pub const NONBLOCK: i32 = nix::libc::O_NONBLOCK;

/// Makes a fifo.
pub fn make_fifo(path: &Path, mode: u32) -> io::Result<()> {
    Ok(nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(mode))?)
}

/// Sets the mode of `path`.
pub fn chmod(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Sets the sticky bit of `path`, beside the others.
pub fn make_sticky(path: &Path) -> io::Result<()> {
    chmod(path, path.metadata()?.permissions().mode() & 0o7777 | 0o1000)
}

/// Gives `path` to a user, a group or both.
pub fn chown(path: &Path, uid: Option<Uid>, gid: Option<Gid>) -> io::Result<()> {
    Ok(nix::unistd::chown(path, uid, gid)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.pid");
        replace(&path, "1\n").expect("written");
        let first = FileId::of(&path);
        replace(&path, "22\n").expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "22\n");
        assert_ne!(FileId::of(&path), first);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_link_is_written_through() {
        let dir = tempfile::tempdir().expect("a folder");
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        std::fs::write(&file, "old").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        replace(&link, "new").expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "new");
        assert!(link.symlink_metadata().expect("there").is_symlink());
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(replace(&dir.path().join("none/app.pid"), "1").is_err());
    }
}
