//! Temporary files nobody else can see.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// An unlinked file open for reading and writing, in `TMPDIR` or `/tmp`. The error names the folder.
pub fn unlinked() -> io::Result<File> {
    let folder = std::env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_TMPFILE;
    match open(&folder, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
        Ok(fd) => Ok(File::from(fd)),
        Err(nix::errno::Errno::EOPNOTSUPP | nix::errno::Errno::EISDIR) => named_and_unlinked(&folder),
        Err(errno) => Err(named(&folder, errno.into())),
    }
}

/// For file systems without `O_TMPFILE` (overlayfs on older kernels, NFS).
fn named_and_unlinked(folder: &std::path::Path) -> io::Result<File> {
    // mkstemp(3) replaces six of these.
    let template = folder.join(format!("uwring-{}", "X".repeat(6)));
    let (fd, path) = nix::unistd::mkstemp(&template).map_err(|errno| named(folder, errno.into()))?;
    std::fs::remove_file(&path).map_err(|error| named(folder, error))?;
    Ok(File::from(fd))
}

fn named(folder: &std::path::Path, error: io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("cannot make a temporary file in {}: {error} (see TMPDIR)", folder.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek, Write};

    #[test]
    fn what_is_written_can_be_read_and_no_name_stays() {
        let mut file = unlinked().expect("a temporary folder");
        file.write_all(b"body").expect("room for 4 bytes");
        file.rewind().expect("a file");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("readable");
        assert_eq!(text, "body");
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&file.metadata().expect("open")), 0);
    }
}
