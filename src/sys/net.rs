//! What the worker does with an open connection beyond the engine's operations.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{MsgFlags, Shutdown, SockaddrLike, SockaddrStorage, getpeername};

fn borrow<'a>(fd: RawFd) -> BorrowedFd<'a> {
    // SAFETY: callers pass the number of a descriptor they own and do not close during the call.
    unsafe { BorrowedFd::borrow_raw(fd) }
}

/// Makes system calls on `fd` return `WouldBlock` instead of waiting, or wait again.
pub fn set_nonblocking(fd: RawFd, on: bool) -> io::Result<()> {
    let fd = borrow(fd);
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    let mut wanted = flags;
    wanted.set(OFlag::O_NONBLOCK, on);
    if wanted != flags {
        fcntl(fd, FcntlArg::F_SETFL(wanted))?;
    }
    Ok(())
}

/// Whether something waits to be read or accepted, at this moment.
pub fn is_readable(fd: RawFd) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let mut polled = [PollFd::new(borrow(fd), PollFlags::POLLIN)];
    poll(&mut polled, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Reads `file` at `offset` into `buffer`: how many bytes, 0 at its end.
pub fn read_at(file: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let at = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(nix::sys::uio::pread(file, buffer, at)?)
}

/// Sends up to `len` bytes of `file` from `offset`: how many went, 0 at the end of the file.
pub fn send_file(fd: RawFd, file: &OwnedFd, offset: u64, len: u64) -> io::Result<u64> {
    let mut at = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    // SAFETY: plain numbers, and a pointer to `at`, which lives across the call.
    let sent = unsafe { libc::sendfile(fd, file.as_raw_fd(), &raw mut at, len) };
    u64::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Closes a descriptor that its owner has given up: nobody uses its number any more.
pub fn close(fd: RawFd) {
    // Whatever it says, the number is free.
    let _ = nix::unistd::close(fd);
}

/// Closes a connection whose last bytes were sent to go out with its end (see [`send_end`]).
pub fn end(fd: RawFd, is_tcp: bool) {
    if is_tcp {
        // Where it fails the client is gone.
        let _ = shutdown_write(fd);
    }
    close(fd);
}

/// Sends what fits into the socket's buffer at once: how many bytes went.
pub fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    send_both_now(fd, bytes, &[], false)
}

/// As [`send_now`], the last bytes of a connection; with the last of them its end. It is to be closed then: a close alone,
/// where the client has sent what nobody received, would be a reset, and take back what waits for the end.
pub fn send_end(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let sent = send_both_now(fd, bytes, &[], true)?;
    if sent == bytes.len() {
        // Where it fails the client is gone.
        let _ = shutdown_write(fd);
    }
    Ok(sent)
}

/// As [`send_now`], two pieces with one system call. `ends`: [`shutdown_write`] follows at once; over TCP, the last bytes and
/// the end go out in one segment.
pub fn send_both_now(fd: RawFd, first: &[u8], second: &[u8], ends: bool) -> io::Result<usize> {
    use nix::sys::socket::{UnixAddr, send, sendmsg};
    let more = MsgFlags::from_bits_retain(if ends { libc::MSG_MORE } else { 0 });
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL | more;
    if second.is_empty() {
        return Ok(send(fd, first, flags)?);
    }
    let pieces = [first, second].map(io::IoSlice::new);
    Ok(sendmsg::<UnixAddr>(fd, &pieces, &[], flags, None)?)
}

/// Receives what is there: how many bytes, 0 at the end of the stream. That many of `room` are written then.
pub fn receive_now(fd: RawFd, room: &mut [MaybeUninit<u8>]) -> io::Result<usize> {
    loop {
        // SAFETY: the pointer and the length name `room`, which lives across the call, and to which anything may be
        // written.
        let n = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT) };
        match usize::try_from(n) {
            Ok(n) => return Ok(n),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
}

/// The same, at most `max` bytes, appended to `buffer`.
pub fn append_now(fd: RawFd, buffer: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    buffer.reserve(max);
    let n = receive_now(fd, &mut buffer.spare_capacity_mut()[..max])?;
    // SAFETY: `n` bytes behind the end were written just now, within the capacity.
    unsafe { buffer.set_len(buffer.len() + n) };
    Ok(n)
}

/// Accepts a connection, close-on-exec, from a listening socket that does not wait.
pub fn accept_now(listener: RawFd) -> io::Result<OwnedFd> {
    loop {
        // SAFETY: no address is asked for, so there is no pointer to anything.
        let fd = unsafe {
            libc::accept4(listener, std::ptr::null_mut(), std::ptr::null_mut(), libc::SOCK_CLOEXEC)
        };
        if fd >= 0 {
            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
            return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

/// Connects to the first address of `host:port` that answers in time.
pub fn connect_to_any(place: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such address");
    for address in place.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Ends both directions: a receive that waits there returns.
pub fn shutdown(fd: RawFd) -> io::Result<()> {
    Ok(nix::sys::socket::shutdown(fd, Shutdown::Both)?)
}

/// Ends our direction: the peer sees the end of the answer.
pub fn shutdown_write(fd: RawFd) -> io::Result<()> {
    Ok(nix::sys::socket::shutdown(fd, Shutdown::Write)?)
}

/// The client's address; `None` on unix sockets, and where it is gone already.
pub fn peer(fd: RawFd) -> Option<SocketAddr> {
    let address: SockaddrStorage = getpeername(fd).ok()?;
    match address.family()? {
        nix::sys::socket::AddressFamily::Inet => {
            let v4 = address.as_sockaddr_in()?;
            Some(SocketAddr::from((v4.ip(), v4.port())))
        }
        nix::sys::socket::AddressFamily::Inet6 => {
            let v6 = address.as_sockaddr_in6()?;
            Some(SocketAddr::from((v6.ip(), v6.port())))
        }
        _ => None,
    }
}

/// Sends small answers at once (RFC 896's delay costs 40 ms against delayed acknowledgements). Accepted
/// connections inherit it from their listening socket.
pub fn set_nodelay(fd: RawFd) -> io::Result<()> {
    Ok(nix::sys::socket::setsockopt(&borrow(fd), nix::sys::socket::sockopt::TcpNoDelay, &true)?)
}
