//! Messages between two processes of ours (a pair of SOCK_SEQPACKET sockets), and the line whose end says that a
//! process is gone.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};

/// Two ends. A message arrives whole or not at all, in order; both are closed on exec.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends one message. A peer that does not read fast enough is an error, not a wait.
pub fn put(fd: &OwnedFd, message: &[u8]) -> io::Result<()> {
    send(fd.as_raw_fd(), message, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL)?;
    Ok(())
}

/// Sends one message, waiting for room.
pub fn put_waiting(fd: &OwnedFd, message: &[u8]) -> io::Result<()> {
    loop {
        match send(fd.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL) {
            Err(nix::errno::Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// What [`take`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A message of so many bytes.
    Message(usize),
    /// Nothing yet.
    Nothing,
    /// The other end is closed.
    End,
}

/// The next message, without waiting for one.
pub fn take(fd: &OwnedFd, buffer: &mut [u8]) -> Taken {
    loop {
        match recv(fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Taken::End,
            Ok(len) => return Taken::Message(len),
            Err(nix::errno::Errno::EINTR) => {}
            Err(nix::errno::Errno::EAGAIN) => return Taken::Nothing,
            // The peer died with messages of ours unread.
            Err(_) => return Taken::End,
        }
    }
}

/// A line to hold on to: `(near, far)`. When every copy of `far` is closed, `near` becomes readable.
pub fn life_line() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::event::readable;

    #[test]
    fn messages_stay_apart_and_the_end_is_seen() {
        let (near, far) = pair().expect("a pair");
        let mut buffer = [0; 16];
        assert_eq!(take(&near, &mut buffer), Taken::Nothing);
        put(&far, b"one").expect("sent");
        put_waiting(&far, b"three").expect("sent");
        drop(far);
        assert_eq!(take(&near, &mut buffer), Taken::Message(3));
        assert_eq!(take(&near, &mut buffer), Taken::Message(5));
        assert_eq!(take(&near, &mut buffer), Taken::End);
        assert!(put(&near, b"x").is_err());
    }

    #[test]
    fn the_life_line_ends_with_its_far_end() {
        let (near, far) = life_line().expect("a pipe");
        assert_eq!(readable(&[near.as_fd()], Some(0)).expect("polled"), [false]);
        drop(far);
        assert_eq!(readable(&[near.as_fd()], Some(0)).expect("polled"), [true]);
    }
}
