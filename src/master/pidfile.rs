//! The file that says where the server is: written at the start, removed by `vacuum`, read by `--reload` and
//! `--stop`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::errors;
use crate::control::monitor::Door;
use crate::options::SignalWhat;
use crate::sys::files::{self, FileId};
use crate::sys::signals::{Signal, send_to_number};
use crate::sys::{Error, socket::Listener};

/// Writes this process's id to `path`, which is absolute (vacuum comes after `chdir`), in one step. Returns the file, for [`Vacuum`].
pub fn write(path: &Path) -> Result<Kept, Error> {
    files::replace(path, &format!("{}\n", std::process::id()))
        .map_err(|cause| Error::call("write pidfile", path.display().to_string(), cause))?;
    Ok(Kept::of(path.to_owned()))
}

/// A file of ours, as it was when we made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    path: PathBuf,
    id: Option<FileId>,
}

impl Kept {
    fn of(path: PathBuf) -> Kept {
        let id = FileId::of(&path);
        Kept { path, id }
    }

    /// Removes it, if it is still the one we made: another server may have taken the place.
    fn remove(&self) -> Option<std::io::Result<()>> {
        (self.id.is_some() && FileId::of(&self.path) == self.id).then(|| std::fs::remove_file(&self.path))
    }
}

/// `vacuum`: what to remove at the end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Vacuum {
    pidfiles: Vec<Kept>,
    sockets: Vec<Kept>,
}

impl Vacuum {
    /// Remembers pidfiles and the unix sockets among `listeners` and `doors`.
    pub fn new(pidfiles: Vec<Kept>, listeners: &[Listener], doors: &[Door]) -> Vacuum {
        let path = |listener: &Listener| match &listener.kind {
            crate::sys::socket::Kind::Unix(path) => path.clone(),
            crate::sys::socket::Kind::Tcp => None,
        };
        let of_doors = doors.iter().filter_map(|door| door.file.clone());
        let paths = listeners.iter().filter_map(path).chain(of_doors);
        Vacuum { pidfiles, sockets: paths.map(Kept::of).collect() }
    }

    /// Writes the pidfiles again: somebody may have removed them.
    pub fn write_pidfiles(&self) {
        for kept in &self.pidfiles {
            match write(&kept.path) {
                Ok(_) => crate::log!("pidfile {} written again", kept.path.display()),
                Err(error) => crate::log!("[uwring] master: {error} {}", errors::MASTER),
            }
        }
    }

    /// Removes everything, and says so.
    pub fn clean(&self) {
        let kinds = [("pidfile", &self.pidfiles), ("unix socket", &self.sockets)];
        for (kind, kept) in kinds.into_iter().flat_map(|(kind, all)| all.iter().map(move |kept| (kind, kept)))
        {
            match kept.remove() {
                Some(Ok(())) => crate::log!("VACUUM: {kind} {} removed.", kept.path.display()),
                Some(Err(cause)) => {
                    crate::log!(
                        "VACUUM: cannot remove {kind} {}: {cause} {}",
                        kept.path.display(),
                        errors::STALE_FILE
                    )
                }
                None => {}
            }
        }
    }
}

/// `--reload FILE` and its like: signals the server whose pidfile this is.
pub fn signal(path: &Path, what: SignalWhat) -> Result<(), Error> {
    let name = path.display().to_string();
    let text =
        std::fs::read_to_string(path).map_err(|cause| Error::call("read pidfile", name.clone(), cause))?;
    let Ok(pid) = text.trim().parse::<u32>() else {
        let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, "error: invalid pidfile");
        return Err(Error::call("read pidfile", name, cause));
    };
    let signal = match what {
        SignalWhat::Reload => Signal::SIGHUP,
        SignalWhat::Stop => Signal::SIGINT,
        SignalWhat::Pause => Signal::SIGTSTP,
    };
    send_to_number(pid, signal)
        .map_err(|cause| Error::call("signal process", format!("{pid} of {name}"), cause))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn a_pidfile_is_written_and_vacuumed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.pid");
        let kept = write(&path).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), format!("{}\n", std::process::id()));
        Vacuum { pidfiles: vec![kept], sockets: Vec::new() }.clean();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_another_server_put_there_stays() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.pid");
        let kept = write(&path).expect("written");
        files::replace(&path, "1\n").expect("replaced");
        Vacuum { pidfiles: vec![kept], sockets: Vec::new() }.clean();
        assert!(path.exists());
    }

    #[test]
    fn the_server_behind_a_pidfile_is_signalled() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.pid");
        let status = in_child(|| {
            // A shell that runs the tests in the background has them ignore SIGINT.
            crate::sys::signals::reset().expect("reset");
            let sent = write(&path).and_then(|_| signal(&path, SignalWhat::Stop));
            // The signal comes before `kill` returns; only a failure gets here.
            i32::from(sent.is_ok()) + 1
        });
        assert_eq!(status, Status::Killed(2));
    }

    #[test]
    fn nonsense_in_a_pidfile_signals_nobody() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.pid");
        assert!(signal(&path, SignalWhat::Stop).is_err());
        for text in ["", "x", "0", "-1", "99999999999"] {
            std::fs::write(&path, text).expect("written");
            assert!(signal(&path, SignalWhat::Stop).is_err(), "{text:?}");
        }
    }
}
