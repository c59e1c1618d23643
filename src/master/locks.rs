//! `flock` and its family: files that the master holds locked from the start to its end, over reloads and upgrades.
//!
//! Only the process that has taken such a lock has it. So it is taken when the server is in the background already; those
//! that are not `late` are tried before, where whoever starts it sees what comes of it.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::startup::Error;
use crate::options::locks::Lock;
use crate::options::settings::Process;
use crate::sys::Error as SysError;
use crate::sys::exec::Handed;
use crate::sys::lock::{FileLock, Otherwise};

/// Those that are held.
#[derive(Debug, Default)]
pub struct Locks(Vec<Held>);

#[derive(Debug)]
struct Held {
    path: PathBuf,
    lock: FileLock,
}

/// One as the next program of this process takes it over.
#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    path: PathBuf,
    lock: Handed,
}

/// Takes those that are not `late`, and gives them back at once: where they are free, or waited for, this process goes
/// into the background and takes them there.
pub fn try_early(settings: &Process) -> Result<(), Error> {
    let goes = settings.daemonize.is_some();
    take(settings.file_locks.iter().filter(|lock| goes && !lock.late)).map(drop)
}

impl Locks {
    /// Takes all of them, for the rest of this process's life.
    pub fn take(settings: &Process) -> Result<Locks, Error> {
        take(settings.file_locks.iter())
    }

    /// What the next program needs.
    pub fn hand_over(&self) -> Vec<Left> {
        self.0.iter().map(|Held { path, lock }| Left { path: path.clone(), lock: Handed::of(lock) }).collect()
    }

    /// Goes on where the program before has left. What that program's end and this one's start may have lost (a lock is gone
    /// when its process closes the file, should it have read it as its configuration) is taken again.
    pub fn take_over(left: Vec<Left>) -> io::Result<Locks> {
        let held = |Left { path, lock }: Left| {
            let lock = FileLock::adopt(lock.take()?);
            if !lock.take(Otherwise::GiveUp)? {
                crate::log!("{}", Error::Locked(path.clone()));
            }
            Ok(Held { path, lock })
        };
        Ok(Locks(left.into_iter().map(held).collect::<io::Result<_>>()?))
    }
}

impl Left {
    /// Its descriptor, to be kept open.
    pub fn descriptor(&self) -> Handed {
        self.lock
    }
}

fn take<'a>(wanted: impl Iterator<Item = &'a Lock>) -> Result<Locks, Error> {
    let mut held: Vec<Held> = Vec::new();
    for Lock { path, waits, .. } in wanted {
        let failed = |cause| SysError::call("lock", path.display().to_string(), cause);
        let lock = FileLock::open(path).map_err(failed)?;
        if !lock.take(Otherwise::GiveUp).map_err(failed)? {
            if !waits {
                return Err(Error::Locked(path.clone()));
            }
            crate::log!("{} is locked by another process: waiting for it", path.display());
            lock.take(Otherwise::Wait).map_err(failed)?;
        }
        held.push(Held { path: path.clone(), lock });
    }
    Ok(Locks(held))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn what_another_process_has_is_not_taken() {
        let folder = tempfile::tempdir().expect("a folder");
        let lock = |name: &str, late| Lock { path: folder.path().join(name), waits: false, late };
        let of = |locks: &[Lock], daemonize: Option<&str>| Process {
            file_locks: locks.to_vec(),
            daemonize: daemonize.map(str::to_owned),
            ..Process::default()
        };
        let both = of(&[lock("early", false), lock("late", true)], Some("log"));
        let held = Locks::take(&both).expect("free");
        assert_eq!(held.hand_over().len(), 2);
        for (settings, early, all) in [
            (&both, 1, 1),
            (&of(&[lock("late", true)], Some("log")), 0, 1),
            // In the foreground it is tried once.
            (&of(&[lock("early", false)], None), 0, 1),
            (&of(&[lock("other", false)], Some("log")), 0, 0),
        ] {
            let code = |result: Result<(), Error>| match result {
                Ok(()) => 0,
                Err(Error::Locked(_)) => 1,
                Err(_) => 2,
            };
            assert_eq!(in_child(|| code(try_early(settings))), Status::Exited(early), "{settings:?}");
            assert_eq!(
                in_child(|| code(Locks::take(settings).map(drop))),
                Status::Exited(all),
                "{settings:?}"
            );
        }
        let missing = folder.path().join("no/folder");
        let lock = Lock { path: missing, waits: true, late: false };
        assert!(matches!(Locks::take(&of(&[lock], None)), Err(Error::Sys(_))));
    }
}
