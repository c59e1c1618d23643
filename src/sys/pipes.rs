//! Pipes, and descriptors sent from one process to another (SCM_RIGHTS): what the log process lives by.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

/// What a pipe should hold, bytes; the kernel may give less (`pipe-user-pages-soft`).
const PIPE_BYTES: i32 = 256 * 1024;
/// Most that one `write` puts into a pipe in one piece, whoever else writes (pipe(7)).
pub const ATOMIC_BYTES: usize = libc::PIPE_BUF;

/// `(read, write)`, closed on exec. Reading does not wait; writing does.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
    let flags = OFlag::from_bits_retain(fcntl(&read, FcntlArg::F_GETFL)?);
    fcntl(&read, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    // A smaller one does as well.
    let _ = fcntl(&write, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES));
    Ok((read, write))
}

/// Writes `bytes` in one `write`. Usable from any thread, and after a fork: it takes no lock.
pub fn put(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and the length are of `bytes`; a number that names nothing is an error.
        let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written) => return Ok(written),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// Reads what is there into `buffer`: `None` if nothing is, 0 at the end.
pub fn take(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        match nix::unistd::read(fd, buffer) {
            Ok(len) => return Ok(Some(len)),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Sends one message with one descriptor over a pair of [`super::packets`]. `wait`: for room, if there is none.
pub fn send_with(socket: RawFd, message: &[u8], fd: &impl AsRawFd, wait: bool) -> io::Result<()> {
    let flags = if wait { MsgFlags::MSG_NOSIGNAL } else { MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT };
    let fds = [fd.as_raw_fd()];
    loop {
        match sendmsg::<()>(socket, &[IoSlice::new(message)], &[ControlMessage::ScmRights(&fds)], flags, None)
        {
            Err(Errno::EINTR) => {}
            other => return Ok(other.map(drop)?),
        }
    }
}

/// What [`take_with`] found.
#[derive(Debug)]
pub enum Taken {
    /// A message of so many bytes, perhaps with a descriptor.
    Message(usize, Option<OwnedFd>),
    /// Nothing yet.
    Nothing,
    /// The other end is closed.
    End,
}

/// The next message with its descriptor, without waiting.
pub fn take_with(socket: &OwnedFd, buffer: &mut [u8]) -> Taken {
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = match recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
        Ok(message) => message,
        Err(Errno::EAGAIN | Errno::EINTR) => return Taken::Nothing,
        Err(_) => return Taken::End,
    };
    let mut fd = None;
    for control in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(fds) = control {
            for number in fds {
                // SAFETY: the kernel has just made it for us, with this message; nobody else has it.
                fd = Some(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    if message.bytes == 0 && fd.is_none() { Taken::End } else { Taken::Message(message.bytes, fd) }
}

/// Closes all descriptors of this process but the standard ones and `keep`. For a child that will end by
/// `exit_now`, so that what owned them here is never dropped.
pub fn close_others(keep: &[RawFd]) -> io::Result<()> {
    let open: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2 && !keep.contains(fd)) {
        // SAFETY: the owners of these descriptors, if any, are never dropped here (see above), so none is closed
        // twice; one that is gone already (that of the folder just read) is an error and nothing worse.
        let _ = unsafe { libc::close(fd) };
    }
    Ok(())
}

/// A descriptor of this number for the rest of the process's life.
pub fn leak(fd: OwnedFd) -> RawFd {
    fd.into_raw_fd()
}

/// Another descriptor for the open file of number `fd`.
pub fn copy(fd: RawFd) -> io::Result<File> {
    if !super::process::is_open(fd) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, as has just been seen, and only borrowed for the copy.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    Ok(File::from(fd.try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::packets;

    #[test]
    fn a_descriptor_travels_with_its_message() {
        let (near, far) = packets::pair().expect("a pair");
        let (read, write) = pipe().expect("a pipe");
        send_with(far.as_raw_fd(), b"hello", &read, true).expect("sent");
        drop((read, far));
        let mut buffer = [0; 16];
        let Taken::Message(5, Some(read)) = take_with(&near, &mut buffer) else { panic!("no message") };
        assert_eq!(take(&read, &mut buffer).expect("read"), None);
        assert_eq!(put(write.as_raw_fd(), b"through").expect("written"), 7);
        assert_eq!(take(&read, &mut buffer).expect("read"), Some(7));
        drop(write);
        assert_eq!(take(&read, &mut buffer).expect("read"), Some(0));
        assert!(matches!(take_with(&near, &mut buffer), Taken::End));
    }
}
