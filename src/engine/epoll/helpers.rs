//! Threads for what epoll cannot wait for: disks, and readers of pipes that are shared with others. They are started
//! when they are first needed, and their results come home with the engine's other events.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::engine::{Event, Token};
use crate::sys::net;

/// What is to be done.
pub(super) enum Job {
    /// Reads the byte at an offset: then the part before it, which is read ahead, is there too.
    Fetch { fd: RawFd, file: Arc<OwnedFd>, at: u64 },
    /// Writes what is left of a buffer.
    Write(Writing),
}

/// A [`crate::engine::Reactor::write`] under way.
pub(super) struct Writing {
    pub(super) file: Arc<File>,
    pub(super) token: Token,
    pub(super) buffer: Vec<u8>,
    pub(super) done: usize,
    pub(super) offset: Option<u64>,
}

/// What was done.
pub(super) enum Done {
    /// For the connection with this number.
    Fetched(RawFd),
    /// To be told as it is.
    Told(Event),
}

impl Job {
    fn run(self) -> Done {
        match self {
            Job::Fetch { fd, file, at } => {
                // The error, if there is one, is sendfile's to tell.
                let _ = net::read_at(file.as_fd(), &mut [0], at);
                Done::Fetched(fd)
            }
            Job::Write(writing) => Done::Told(writing.run()),
        }
    }
}

impl Writing {
    fn run(mut self) -> Event {
        let result = loop {
            let rest = &self.buffer[self.done..];
            if rest.is_empty() {
                break Ok(());
            }
            let written = match self.offset {
                Some(offset) => self.file.write_at(rest, offset + self.done as u64),
                None => (&*self.file).write(rest),
            };
            match written {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut polled = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut polled, PollTimeout::NONE);
                }
                Err(error) => break Err(error),
            }
        };
        self.end(result)
    }

    /// Its end.
    pub(super) fn end(self, result: io::Result<()>) -> Event {
        Event::Written { token: self.token, result, buffer: self.buffer }
    }
}

/// What the helpers have done, and the descriptor that says so.
pub(super) struct Bell {
    done: Mutex<Vec<Done>>,
    event: EventFd,
}

impl Bell {
    pub(super) fn new() -> io::Result<Bell> {
        let event = EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
        Ok(Bell { done: Mutex::default(), event })
    }

    /// All that was done since the last time.
    pub(super) fn take(&self) -> Vec<Done> {
        std::mem::take(&mut *lock(&self.done))
    }

    fn ring(&self, done: Done) {
        lock(&self.done).push(done);
        // Only a full counter could fail, and that is readable already.
        let _ = self.event.write(1);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}

/// Some threads and the jobs that wait for them.
pub(super) struct Lane {
    name: &'static str,
    threads: usize,
    threads_max: usize,
    line: Arc<Line>,
    bell: Arc<Bell>,
}

#[derive(Default)]
struct Line {
    jobs: Mutex<Jobs>,
    more: Condvar,
}

#[derive(Default)]
struct Jobs {
    waiting: VecDeque<Job>,
    idle: usize,
    closed: bool,
}

impl Lane {
    /// Without threads yet.
    pub(super) fn new(name: &'static str, threads_max: usize, bell: Arc<Bell>) -> Lane {
        Lane { name, threads: 0, threads_max, line: Arc::default(), bell }
    }

    /// Has it done.
    pub(super) fn give(&mut self, job: Job) {
        let mut jobs = lock(&self.line.jobs);
        jobs.waiting.push_back(job);
        let crowded = jobs.waiting.len() > jobs.idle;
        drop(jobs);
        if crowded && self.threads < self.threads_max {
            let (line, bell) = (Arc::clone(&self.line), Arc::clone(&self.bell));
            let started =
                std::thread::Builder::new().name(self.name.to_owned()).spawn(move || work(&line, &bell));
            match started {
                Ok(_) => self.threads += 1,
                // Better slow than not at all.
                Err(_) if self.threads == 0 => {
                    let job = lock(&self.line.jobs).waiting.pop_front();
                    job.into_iter().for_each(|job| self.bell.ring(job.run()));
                }
                Err(_) => {}
            }
        }
        self.line.more.notify_one();
    }
}

impl Drop for Lane {
    /// What is being done goes on to its end, and nobody hears of it.
    fn drop(&mut self) {
        lock(&self.line.jobs).closed = true;
        self.line.more.notify_all();
    }
}

fn work(line: &Line, bell: &Bell) {
    let mut jobs = lock(&line.jobs);
    loop {
        if let Some(job) = jobs.waiting.pop_front() {
            drop(jobs);
            bell.ring(job.run());
            jobs = lock(&line.jobs);
        } else if jobs.closed {
            return;
        } else {
            jobs.idle += 1;
            jobs = line.more.wait(jobs).unwrap_or_else(PoisonError::into_inner);
            jobs.idle -= 1;
        }
    }
}

/// Nothing is left half done under these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
