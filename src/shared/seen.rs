//! What else is seen from outside: the heads of running requests, the applications with their counts, daemons and cron
//! jobs. Each has one writer; a reader may see a text that is being replaced.

use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use super::slot::bump;
use crate::options::jobs::Cron;

/// Applications of one worker that are counted.
pub const APPS_MAX: usize = 64;
/// Bytes of a request's head that are kept.
const HEAD_WORDS: usize = 512;
/// Bytes of a mountpoint that are kept, in words.
const MOUNT_WORDS: usize = 14;
/// Bytes of a job's command that are kept, in words.
const COMMAND_WORDS: usize = 48;
/// Places of daemons and cron jobs beyond those of the start: a reload may add some.
pub const JOBS_SPARE: usize = 32;

/// Bytes in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Text<const WORDS: usize> {
    len: AtomicU32,
    mark: AtomicU32,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Text<WORDS> {
    /// *Its writer.* Keeps `bytes` as far as there is room, and `mark` with them.
    pub fn put(&self, bytes: &[u8], mark: u32) {
        self.len.store(0, Ordering::Relaxed);
        let kept = &bytes[..bytes.len().min(WORDS * 8)];
        let (whole, rest) = kept.as_chunks::<8>();
        for (word, piece) in self.words.iter().zip(whole) {
            word.store(u64::from_ne_bytes(*piece), Ordering::Relaxed);
        }
        if let (false, Some(word)) = (rest.is_empty(), self.words.get(whole.len())) {
            let mut piece = [0; 8];
            piece[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_ne_bytes(piece), Ordering::Relaxed);
        }
        self.mark.store(mark, Ordering::Relaxed);
        self.len.store(u32::try_from(kept.len()).unwrap_or(0), Ordering::Release);
    }

    /// Whether it is `bytes`, of which there are no more than there is room for.
    pub fn is(&self, bytes: &[u8]) -> bool {
        let same = |(word, piece): (&AtomicU64, &[u8])| {
            word.load(Ordering::Relaxed).to_ne_bytes().starts_with(piece)
        };
        self.len.load(Ordering::Acquire) as usize == bytes.len()
            && self.words.iter().zip(bytes.chunks(8)).all(same)
    }

    /// The bytes and their mark.
    pub fn get(&self) -> (Vec<u8>, u32) {
        let len = (self.len.load(Ordering::Acquire) as usize).min(WORDS * 8);
        let words = self.words.iter().take(len.div_ceil(8));
        let mut bytes: Vec<u8> = words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        bytes.truncate(len);
        (bytes, self.mark.load(Ordering::Relaxed))
    }
}

/// The head of the request an interpreter thread works on, as received, marked with the number of its listening
/// socket. Its writer is that thread.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Head {
    /// The bytes.
    pub text: Text<HEAD_WORDS>,
}

/// What a worker's ring thread counts of one application.
#[repr(C)]
#[derive(Debug, Default)]
pub struct AppCount {
    /// Requests finished.
    pub requests: AtomicU64,
    /// Those in which it raised.
    pub exceptions: AtomicU64,
}

impl AppCount {
    /// *Its ring thread.* One more.
    pub fn count(&self, raised: bool) {
        bump(&self.requests, 1);
        if raised {
            bump(&self.exceptions, 1);
        }
    }
}

/// What is known of an application of one generation. Its writer is the template; with `lazy-apps` each worker, and
/// they say the same.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct AppCard {
    /// Seconds it took to load, and one more; 0: there is none.
    loaded: AtomicU64,
    mountpoint: Text<MOUNT_WORDS>,
}

impl AppCard {
    /// It was loaded.
    pub fn put(&self, mountpoint: &[u8], seconds: u64) {
        self.mountpoint.put(mountpoint, 0);
        self.loaded.store(seconds + 1, Ordering::Release);
    }

    /// Another generation comes: there is none yet.
    pub fn clear(&self) {
        self.loaded.store(0, Ordering::Release);
    }

    /// Its mountpoint, and the seconds it took to load.
    pub fn get(&self) -> Option<(Vec<u8>, u64)> {
        let seconds = self.loaded.load(Ordering::Acquire).checked_sub(1)?;
        Some((self.mountpoint.get().0, seconds))
    }
}

/// What a job is: the mark of its command; 0 none.
const DAEMON: u32 = 1;
const CRON: u32 = 2;

/// A job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job<'a> {
    /// A daemon, by its command.
    Daemon(&'a str),
    /// A cron job.
    Cron(&'a Cron),
}

/// What is seen of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobSeen {
    /// A daemon, by its command.
    Daemon(String),
    /// A cron job; of its bounds nothing is told.
    Cron(Cron),
}

/// A daemon or a cron job. Its writer is the master.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct JobSlot {
    /// Its process, 0 while there is none.
    pub pid: AtomicU32,
    /// How often it was started.
    pub starts: AtomicU64,
    /// When it was started last, seconds since the epoch.
    pub started_on: AtomicU64,
    /// A cron job's minute, hour, day, month, weekday, and whether it runs alone.
    when: [AtomicI32; 6],
    command: Text<COMMAND_WORDS>,
}

impl JobSlot {
    /// Says what has this place; `None`: nothing.
    pub fn put(&self, job: Option<Job<'_>>) {
        match job {
            None => self.command.put(b"", 0),
            Some(Job::Daemon(command)) => self.command.put(command.as_bytes(), DAEMON),
            Some(Job::Cron(cron)) => {
                let Cron { minute, hour, day, month, weekday, unique, .. } = *cron;
                for (cell, n) in self.when.iter().zip([minute, hour, day, month, weekday, unique.into()]) {
                    cell.store(n, Ordering::Relaxed);
                }
                self.command.put(cron.command.as_bytes(), CRON);
            }
        }
    }

    /// What has this place.
    pub fn get(&self) -> Option<JobSeen> {
        let (command, kind) = self.command.get();
        let command = String::from_utf8_lossy(&command).into_owned();
        let [minute, hour, day, month, weekday, unique] =
            self.when.each_ref().map(|cell| cell.load(Ordering::Relaxed));
        match kind {
            DAEMON => Some(JobSeen::Daemon(command)),
            CRON => {
                let unique = unique != 0;
                Some(JobSeen::Cron(Cron { minute, hour, day, month, weekday, unique, harakiri: 0, command }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::area::{Area, Shape};

    #[test]
    fn a_text_is_kept_as_far_as_there_is_room() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let card = area.card(1, 0).expect("there is room");
        assert_eq!(card.get(), None);
        for len in [0, 1, 7, 8, 9, 112, 113, 300] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            card.put(&bytes, 3);
            let kept = &bytes[..bytes.len().min(MOUNT_WORDS * 8)];
            assert_eq!(card.get(), Some((kept.to_vec(), 3)), "{len}");
        }
        card.clear();
        assert_eq!(card.get(), None);
    }

    #[test]
    fn places_of_jobs_say_what_they_are() {
        let area = Area::shaped(Shape { workers: 1, cores: 1, jobs: 1, ..Shape::default() }).expect("mapped");
        let place = area.job(0).expect("there is one");
        assert_eq!(place.get(), None);
        place.put(Some(Job::Daemon("sleep 10")));
        assert_eq!(place.get(), Some(JobSeen::Daemon("sleep 10".to_owned())));
        let command = "date".to_owned();
        let cron =
            Cron { minute: -1, hour: 2, day: 3, month: 4, weekday: 5, unique: true, harakiri: 0, command };
        place.put(Some(Job::Cron(&cron)));
        assert_eq!(place.get(), Some(JobSeen::Cron(cron)));
        place.put(None);
        assert_eq!(place.get(), None);
    }
}
