//! Where the load goes: a unix socket or a loopback TCP address, nothing else. A load generator that can be
//! pointed at other people's machines by a typing mistake is a nuisance.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, UnixAddr, connect, socket,
};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::str::FromStr;

/// A checked address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// How far a non-blocking connect came.
pub(crate) enum Connect {
    Done(OwnedFd),
    /// TCP: writable when the handshake is over.
    Pending(OwnedFd),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        if text.contains('/') {
            return Ok(Target::Unix(PathBuf::from(text)));
        }
        let address: SocketAddr =
            text.parse().map_err(|_| format!("{text}: neither a path nor an address with port"))?;
        if !address.ip().is_loopback() {
            return Err(format!("{text}: loopback only"));
        }
        Ok(Target::Tcp(address))
    }
}

/// A [`Target`] in the kernel's form, made once and used for every connection.
pub(crate) enum Door {
    Unix(UnixAddr),
    Tcp4(SockaddrIn),
    Tcp6(SockaddrIn6),
}

impl Target {
    pub(crate) fn door(&self) -> Result<Door, Errno> {
        Ok(match self {
            Target::Unix(path) => Door::Unix(UnixAddr::new(path)?),
            Target::Tcp(SocketAddr::V4(address)) => Door::Tcp4((*address).into()),
            Target::Tcp(SocketAddr::V6(address)) => Door::Tcp6((*address).into()),
        })
    }
}

impl Door {
    /// Starts a connection without waiting. A full backlog of a unix socket is `EAGAIN`, at once.
    pub(crate) fn knock(&self) -> Result<Connect, Errno> {
        match self {
            Door::Unix(address) => dial(AddressFamily::Unix, address),
            Door::Tcp4(address) => dial(AddressFamily::Inet, address),
            Door::Tcp6(address) => dial(AddressFamily::Inet6, address),
        }
    }
}

fn dial(family: AddressFamily, address: &dyn SockaddrLike) -> Result<Connect, Errno> {
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC, None)?;
    match connect(fd.as_raw_fd(), address) {
        Ok(()) => Ok(Connect::Done(fd)),
        Err(Errno::EINPROGRESS) => Ok(Connect::Pending(fd)),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_can_be_named() {
        for good in ["/run/app.sock", "./app.sock", "127.0.0.1:3031", "127.8.9.1:80", "[::1]:3031"] {
            assert!(good.parse::<Target>().is_ok(), "{good} was refused");
        }
        for bad in ["192.0.2.7:80", "0.0.0.0:80", "[2001:db8::1]:80", "localhost:80", "app.sock", ""] {
            assert!(bad.parse::<Target>().is_err(), "{bad} was accepted");
        }
    }
}
