//! Mounting and unmounting file systems, and whether one still answers.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags};

/// Mounts `source`. `flags` are words of mount(8), and some of uWSGI's; `data` is for the file system itself.
pub fn mount(kind: &str, source: &str, target: &Path, flags: &[String], data: &str) -> io::Result<()> {
    let flags = flags.iter().map(|word| how(word)).collect::<io::Result<MsFlags>>()?;
    let data = Some(data).filter(|data| !data.is_empty());
    Ok(nix::mount::mount(Some(source), target, Some(kind), flags, data)?)
}

/// Unmounts what is mounted at `target`; with `rec` first all that is mounted below.
pub fn unmount(target: &Path, flags: &[String]) -> io::Result<()> {
    let (all, flags): (Vec<&String>, Vec<&String>) = flags.iter().partition(|word| *word == "rec");
    let flags = flags.into_iter().map(|word| how_off(word)).collect::<io::Result<MntFlags>>()?;
    if all.is_empty() {
        return Ok(nix::mount::umount2(target, flags)?);
    }
    for mounted in below(target)? {
        nix::mount::umount2(&mounted, flags)?;
    }
    Ok(())
}

/// Asks the file system of `path` how it is: it may take any time to answer.
pub fn ask(path: &Path) -> io::Result<()> {
    Ok(nix::sys::statfs::statfs(path).map(drop)?)
}

/// Where something is mounted at or below `folder`, what was mounted last first.
fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let folder = std::fs::canonicalize(folder)?;
    let table = std::fs::read("/proc/self/mountinfo")?;
    let points =
        table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let points = points.map(|point| PathBuf::from(std::ffi::OsStr::from_bytes(&unescaped(point))));
    let mut found: Vec<PathBuf> = points.filter(|point| point.starts_with(&folder)).collect();
    found.reverse();
    if found.is_empty() { Err(io::Error::from(nix::errno::Errno::EINVAL)) } else { Ok(found) }
}

/// A path as the kernel lists it: blanks and the like are three octal digits behind a `\`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, behind @ ..] = rest {
        let digits = behind.first_chunk::<3>().and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code.filter(|_| *byte == b'\\') {
            Some(code) => {
                plain.push(code);
                rest = &behind[3..];
            }
            None => {
                plain.push(*byte);
                rest = behind;
            }
        }
    }
    plain
}

fn how(word: &str) -> io::Result<MsFlags> {
    Ok(match word {
        "bind" => MsFlags::MS_BIND,
        "dirsync" => MsFlags::MS_DIRSYNC,
        "mandlock" => MsFlags::MS_MANDLOCK,
        "move" => MsFlags::MS_MOVE,
        "noatime" => MsFlags::MS_NOATIME,
        "nodev" => MsFlags::MS_NODEV,
        "nodiratime" => MsFlags::MS_NODIRATIME,
        "noexec" => MsFlags::MS_NOEXEC,
        "nosuid" => MsFlags::MS_NOSUID,
        "private" => MsFlags::MS_PRIVATE,
        "rdonly" | "readonly" | "ro" => MsFlags::MS_RDONLY,
        "rec" | "recursive" => MsFlags::MS_REC,
        "relatime" => MsFlags::MS_RELATIME,
        "remount" => MsFlags::MS_REMOUNT,
        "shared" => MsFlags::MS_SHARED,
        "silent" => MsFlags::MS_SILENT,
        "slave" => MsFlags::MS_SLAVE,
        "strictatime" => MsFlags::MS_STRICTATIME,
        "sync" => MsFlags::MS_SYNCHRONOUS,
        "unbindable" => MsFlags::MS_UNBINDABLE,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no flag is called {word}"))),
    })
}

fn how_off(word: &str) -> io::Result<MntFlags> {
    Ok(match word {
        "detach" => MntFlags::MNT_DETACH,
        "force" => MntFlags::MNT_FORCE,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("no flag is called {word}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_unescaped_as_the_kernel_escapes_them() {
        for (listed, path) in
            [("/a", "/a"), ("/a\\040b", "/a b"), ("/a\\134", "/a\\"), ("/a\\", "/a\\"), ("/a\\04", "/a\\04")]
        {
            assert_eq!(unescaped(listed.as_bytes()), path.as_bytes());
        }
    }

    #[test]
    fn a_file_system_answers_and_a_folder_that_is_gone_has_none() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(ask(folder.path()).is_ok());
        assert_eq!(ask(&folder.path().join("gone")).expect_err("gone").kind(), io::ErrorKind::NotFound);
        // Not a mount: nothing to unmount there, nor below.
        for flags in [&[][..], &["rec".to_owned()]] {
            assert!(unmount(folder.path(), flags).is_err());
        }
    }
}
