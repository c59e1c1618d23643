//! Listening sockets. One is registered while there are accepts for it, and leaves before the engine waits without:
//! the kernel wakes one worker for a connection, and that must be one that takes it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags};

use super::{Epoll, Place, TAG_DOOR};
use crate::engine::{Event, Token};
use crate::sys::net;

const GUESTS: EpollFlags = EpollFlags::EPOLLIN;

/// A listening socket.
pub(super) struct Door {
    fd: RawFd,
    /// Accepts to serve, by their tokens.
    accepts: VecDeque<Token>,
    armed: bool,
    /// At which asking of the kernel somebody was there.
    seen: u64,
}

impl Epoll {
    pub(super) fn expect_guest(&mut self, listener: RawFd, token: Token) {
        let known = self.doors.iter().position(|door| door.fd == listener);
        let number = known.unwrap_or_else(|| {
            self.doors.push(Door { fd: listener, accepts: VecDeque::new(), armed: false, seen: 0 });
            self.doors.len() - 1
        });
        self.doors[number].accepts.push_back(token);
    }

    pub(super) fn turn_away(&mut self, token: Token) {
        for door in &mut self.doors {
            let before = door.accepts.len();
            door.accepts.retain(|&of| of != token);
            for _ in door.accepts.len()..before {
                let result = Err(io::Error::from_raw_os_error(libc::ECANCELED));
                self.ready.push(Event::Accepted { token, result });
            }
        }
    }

    /// Registers the sockets that have accepts, and no others.
    pub(super) fn man_doors(&mut self) -> io::Result<()> {
        for (number, door) in self.doors.iter_mut().enumerate() {
            if door.armed != door.accepts.is_empty() {
                continue;
            }
            // SAFETY: the caller keeps its listening sockets as long as the engine; it is only borrowed for this call.
            let fd = unsafe { BorrowedFd::borrow_raw(door.fd) };
            if door.armed {
                self.epoll.delete(fd)?;
            } else {
                let tag = TAG_DOOR << 56 | number as u64;
                let alone = EpollEvent::new(GUESTS | EpollFlags::EPOLLEXCLUSIVE, tag);
                match self.epoll.add(fd, alone) {
                    // Not every kernel that is called Linux knows it. Without, all workers are woken and one is first.
                    Err(Errno::EINVAL) => self.epoll.add(fd, EpollEvent::new(GUESTS, tag))?,
                    added => added?,
                }
            }
            door.armed = !door.armed;
        }
        Ok(())
    }

    /// Somebody waits at a door. Mostly that is one: only if somebody was there the last time too, all are accepted at once.
    pub(super) fn welcome(&mut self, number: usize, events: &mut Vec<Event>) {
        let door = &mut self.doors[number];
        let (fd, crowded) = (door.fd, door.seen + 1 == self.asked);
        door.seen = self.asked;
        while let Some(&token) = self.doors[number].accepts.front() {
            let result = net::accept_now(fd);
            match &result {
                Ok(guest) => *self.place(guest.as_raw_fd()) = Place::default(),
                // Another worker was faster.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {}
            }
            self.doors[number].accepts.pop_front();
            events.push(Event::Accepted { token, result });
            if !crowded {
                return;
            }
        }
    }
}
