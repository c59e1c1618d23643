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
        self.ask(room, EpollTimeout::NONE)
    }

    /// Those that have something now.
    pub fn look<'a>(&self, room: &'a mut Room) -> io::Result<impl Iterator<Item = Token> + use<'a>> {
        self.ask(room, EpollTimeout::ZERO)
    }

    fn ask<'a>(
        &self,
        room: &'a mut Room,
        timeout: EpollTimeout,
    ) -> io::Result<impl Iterator<Item = Token> + use<'a>> {
        let count = match self.0.wait(&mut room.0, timeout) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(errno) => return Err(errno.into()),
        };
        Ok(room.0[..count].iter().map(|event| Token(event.data())).filter(|token| token.0 != BELL))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::eventfd::{EfdFlags, EventFd};

    use super::*;

    struct Set {
        bell: EventFd,
        readiness: Readiness,
        room: Room,
    }

    impl Set {
        fn new() -> Set {
            let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an eventfd");
            let readiness = Readiness::new(bell.as_raw_fd()).expect("a set");
            Set { bell, readiness, room: Room::default() }
        }

        /// What is there now: the bell rings.
        fn told(&mut self) -> Vec<u64> {
            self.bell.write(1).expect("rung");
            let told = self.readiness.wait(&mut self.room).expect("waited");
            told.map(|token| token.0).collect()
        }
    }

    #[test]
    fn each_that_has_something_is_told_once() {
        let mut set = Set::new();
        let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().expect("a pair")).collect();
        // Before it is added, and after.
        (&pairs[1].1).write_all(b"a").expect("written");
        for (n, (ours, _)) in pairs.iter().enumerate() {
            set.readiness.add(ours.as_raw_fd(), Token(n as u64)).expect("added");
        }
        assert_eq!(set.told(), [1]);
        (&pairs[2].1).write_all(b"b").expect("written");
        assert_eq!(set.told(), [2]);
        assert!(set.told().is_empty(), "nothing new has come");
        (&pairs[1].1).write_all(b"c").expect("written");
        pairs[0].1.shutdown(std::net::Shutdown::Write).expect("shut down");
        let mut told = set.told();
        told.sort_unstable();
        assert_eq!(told, [0, 1]);
        (&pairs[1].0).read_exact(&mut [0; 2]).expect("read");
        (&pairs[1].1).write_all(b"d").expect("written");
        assert_eq!(set.told(), [1]);
    }

    #[test]
    fn a_look_does_not_wait() {
        let mut set = Set::new();
        assert_eq!(set.readiness.look(&mut set.room).expect("looked").count(), 0);
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        set.readiness.add(ours.as_raw_fd(), Token(7)).expect("added");
        theirs.write_all(b"a").expect("written");
        let told: Vec<Token> = set.readiness.look(&mut set.room).expect("looked").collect();
        assert_eq!(told, [Token(7)]);
    }

    #[test]
    fn of_one_that_is_removed_nothing_is_told() {
        let mut set = Set::new();
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        set.readiness.add(ours.as_raw_fd(), Token(7)).expect("added");
        set.readiness.remove(ours.as_raw_fd());
        theirs.write_all(b"a").expect("written");
        assert!(set.told().is_empty());
        set.readiness.add(ours.as_raw_fd(), Token(8)).expect("added");
        assert_eq!(set.told(), [8]);
    }
}
