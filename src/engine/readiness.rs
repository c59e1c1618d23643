//! Which of many connections have something to be read, for a thread that receives by itself.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::Token;

/// What is there already when a connection is added is told, and then what comes.
const WANTED: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP).union(EpollFlags::EPOLLET);
/// So many are told at once.
const BATCH: usize = 32;
/// No connection's name.
const BELL: u64 = u64::MAX;

/// The set. One thread waits, any may add and remove.
#[derive(Debug)]
pub struct Readiness(Epoll);

/// Room for what a wait tells.
#[derive(Debug)]
pub struct Room([EpollEvent; BATCH]);

impl Default for Room {
    fn default() -> Room {
        Room([EpollEvent::empty(); BATCH])
    }
}

impl Readiness {
    /// With nothing in it but what ends a wait. `bell`: an eventfd.
    pub fn new(bell: RawFd) -> io::Result<Readiness> {
        let set = Readiness(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        set.add(bell, Token(BELL))?;
        Ok(set)
    }

    /// Adds a connection.
    pub fn add(&self, fd: RawFd, token: Token) -> io::Result<()> {
        // SAFETY: callers own the descriptor and do not close it during the call; it is not kept.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(self.0.add(fd, EpollEvent::new(WANTED, token.0))?)
    }

    /// Removes one: of it nothing is told any more, but what was told before may still be on its way.
    pub fn remove(&self, fd: RawFd) {
        // SAFETY: as in `add`.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        // It is not there if it could not be added.
        let _ = self.0.delete(fd);
    }

    /// Waits until something is there, or the bell rings: those that have something.
    pub fn wait<'a>(&self, room: &'a mut Room) -> io::Result<impl Iterator<Item = Token> + use<'a>> {
        let count = match self.0.wait(&mut room.0, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(room.0[..count].iter().map(|event| Token(event.data())).filter(|token| token.0 != BELL))
    }
}
