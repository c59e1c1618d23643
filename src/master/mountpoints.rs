//! `check-mount`: file systems without which the server is to end.
//!
//! One that does not answer holds up whoever asks it, perhaps for ever. So another process asks, once a second, and says
//! each time what it is about to do. The master only listens, and counts the seconds without a word.
//!
//! ```text
//!  asks ── "?0" ──► statfs ──► "?1" ──► statfs ──► … a second ──► "?0" ──► statfs: it is not there ──► "!0 why"
//! ```

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::time::Duration;

use super::{startup, titles};
use crate::base::clock::Millis;
use crate::base::errors;
use crate::options::settings::Process;
use crate::sys::process::{self, Fork};
use crate::sys::{mounts, pipes};

/// How often they are asked.
const ASK: Duration = Duration::from_secs(1);
/// How often the master listens at least, milliseconds.
const LISTEN_MS: u64 = 1_000;
/// So often it may hear nothing: then the file system asked last does not answer. It listens itself each time, so a machine
/// that was stopped for a while is no reason.
const SILENCES_MAX: u32 = 10;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Mountpoints {
    paths: Vec<PathBuf>,
    process: Process,
    asker: Option<Asker>,
    silences: u32,
    /// When to listen.
    due: Millis,
}

/// The other process.
#[derive(Debug)]
struct Asker {
    pid: u32,
    words: OwnedFd,
    /// Which it asks.
    at: usize,
}

impl Mountpoints {
    /// Has these asked from the first [`Mountpoints::look`] on.
    pub fn new(settings: &Process) -> Mountpoints {
        Mountpoints {
            paths: settings.mountpoints.clone(),
            process: settings.clone(),
            ..Mountpoints::default()
        }
    }

    /// What to wait on.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.asker.as_ref().map(|asker| asker.words.as_fd())
    }

    /// When to look even if nothing is said.
    pub fn due(&self) -> Option<Millis> {
        (!self.paths.is_empty()).then_some(self.due)
    }

    /// Whether process `pid`, which ended, was the one that asks. The next look starts another.
    pub fn ended(&mut self, pid: u32) -> bool {
        self.asker.take_if(|asker| asker.pid == pid).is_some()
    }

    /// Listens. Which file system is lost, and why.
    pub fn look(&mut self, now: Millis) -> Option<(PathBuf, String)> {
        if self.paths.is_empty() {
            return None;
        }
        let due = self.due <= now;
        if due {
            self.due = now.after(LISTEN_MS);
        }
        let Some(asker) = &mut self.asker else {
            if due {
                self.start();
            }
            return None;
        };
        match asker.hear() {
            Heard::Lost(at, why) => return self.paths.get(at).map(|path| (path.clone(), why)),
            Heard::Something => self.silences = 0,
            Heard::Nothing if due => self.silences += 1,
            Heard::Nothing => {}
        }
        if self.silences < SILENCES_MAX {
            return None;
        }
        let path = self.paths.get(asker.at)?;
        Some((path.clone(), format!("it has not answered for {SILENCES_MAX} seconds")))
    }

    /// Starts the process that asks. The next look tries again if it cannot be.
    fn start(&mut self) {
        self.silences = 0;
        let master = std::process::id();
        let forked = pipes::pipe().and_then(|(near, far)| Ok((near, far, process::fork_alone()?)));
        match forked {
            Ok((words, _, Fork::Parent(pid))) => self.asker = Some(Asker { pid, words, at: 0 }),
            Ok((_, far, Fork::Child)) => {
                crate::sys::title::set("uwring mounts");
                titles::set(&self.process, "mounts");
                // As who the workers are: some file systems answer their owner alone.
                if let Err(error) = startup::give_up(&self.process) {
                    crate::log!("{error}");
                    process::exit_now(1);
                }
                process::exit_now(ask(&self.paths, &far, master))
            }
            Err(cause) => {
                crate::log!("[uwring] master: cannot look at check-mount: {cause} {}", errors::MASTER)
            }
        }
    }
}

/// What was said since the last time.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    Nothing,
    Something,
    Lost(usize, String),
}

impl Asker {
    fn hear(&mut self) -> Heard {
        let mut heard = Heard::Nothing;
        let mut words = [0; pipes::ATOMIC_BYTES];
        while let Ok(Some(len @ 1..)) = pipes::take(&self.words, &mut words) {
            heard = Heard::Something;
            for word in String::from_utf8_lossy(&words[..len]).lines() {
                let number = |text: &str| text.parse().unwrap_or_default();
                if let Some(at) = word.strip_prefix('?') {
                    self.at = number(at);
                } else if let Some((at, why)) = word.strip_prefix('!').and_then(|text| text.split_once(' ')) {
                    return Heard::Lost(number(at), why.to_owned());
                }
            }
        }
        heard
    }
}

/// *In the process that asks.* Until there is nobody to tell.
fn ask(paths: &[PathBuf], words: &OwnedFd, master: u32) -> i32 {
    // Should it hang, it must not hold what the master had open: sockets above all.
    let alone = pipes::close_others(&[words.as_raw_fd()]).and_then(|()| process::die_with_parent(master));
    if alone.is_err() {
        return 1;
    }
    loop {
        for (at, path) in paths.iter().enumerate() {
            let told = tell(words.as_raw_fd(), &format!("?{at}\n")).and_then(|()| match mounts::ask(path) {
                Ok(()) => Ok(()),
                Err(why) => tell(words.as_raw_fd(), &format!("!{at} {why}\n")),
            });
            if told.is_err() {
                return 0;
            }
        }
        std::thread::sleep(ASK);
    }
}

/// A line in one piece.
fn tell(words: RawFd, line: &str) -> io::Result<()> {
    pipes::put(words, line.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(paths: &[&str]) -> (Mountpoints, OwnedFd) {
        let (words, far) = pipes::pipe().expect("a pipe");
        // (Nobody has this number.)
        let asker = Some(Asker { pid: u32::MAX / 2, words, at: 0 });
        let paths = paths.iter().map(PathBuf::from).collect();
        (Mountpoints { paths, asker, ..Mountpoints::default() }, far)
    }

    fn say(far: &OwnedFd, words: &str) {
        tell(far.as_raw_fd(), words).expect("said");
    }

    #[test]
    fn a_file_system_that_is_gone_is_told_with_its_reason() {
        let (mut mountpoints, far) = asked(&["/a", "/b"]);
        say(&far, "?0\n?1\n");
        assert_eq!(mountpoints.look(Millis(1_000)), None);
        say(&far, "?0\n?1\n!1 it is gone\n");
        assert_eq!(mountpoints.look(Millis(1_500)), Some(("/b".into(), "it is gone".to_owned())));
    }

    #[test]
    fn silence_counts_as_often_as_somebody_listened() {
        let (mut mountpoints, far) = asked(&["/a", "/b"]);
        let silences = u64::from(SILENCES_MAX);
        say(&far, "?0\n?1\n");
        assert_eq!(mountpoints.look(Millis(1_000)), None);
        // A master that slept for an hour has listened once since.
        let mut now = Millis(3_600_000);
        for _ in 1..silences {
            assert_eq!(mountpoints.look(now), None);
            assert_eq!(mountpoints.look(now), None, "in the same second");
            now = now.after(LISTEN_MS);
        }
        assert_eq!(mountpoints.due(), Some(now));
        let (path, why) = mountpoints.look(now).expect("lost");
        assert_eq!((path, why.as_str()), ("/b".into(), "it has not answered for 10 seconds"));
        say(&far, "?0\n");
        assert_eq!(mountpoints.look(now.after(LISTEN_MS)), None, "it answers after all");
    }

    #[test]
    fn only_its_own_end_is_its_end() {
        let (mut mountpoints, _far) = asked(&["/a"]);
        assert!(!mountpoints.ended(1));
        assert!(mountpoints.ended(u32::MAX / 2) && mountpoints.fd().is_none());
        assert_eq!(Mountpoints::default().due(), None);
    }
}
