//! Making listening sockets.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    self as net, AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    UnixAddr, sockopt,
};

use super::{Address, Kind, adopt};
use crate::sys::Error;

/// Where the kernel keeps the longest backlog it grants.
const SOMAXCONN: &str = "/proc/sys/net/core/somaxconn";
/// The same where that cannot be read: the kernel's default since 5.4.
const SOMAXCONN_DEFAULT: u32 = 4096;

/// How sockets are made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    /// `SO_REUSEPORT`.
    pub reuse_port: bool,
    /// `SO_KEEPALIVE`, inherited by connections.
    pub keepalive: bool,
    /// `IP_FREEBIND`.
    pub freebind: bool,
    /// `SO_SNDBUF`, bytes, inherited by connections.
    pub send_buffer: Option<u32>,
    /// `SO_RCVBUF`, the same.
    pub receive_buffer: Option<u32>,
    /// `TCP_FASTOPEN`: connections that may wait with a request in their first packet.
    pub fast_open: Option<u32>,
}

/// A socket that listens.
#[derive(Debug)]
pub struct Made {
    /// The socket.
    pub fd: OwnedFd,
    /// Its real address.
    pub name: String,
    /// Its family.
    pub kind: Kind,
}

/// The longest backlog the kernel grants.
pub fn backlog_max() -> u32 {
    let text = std::fs::read_to_string(SOMAXCONN).unwrap_or_default();
    text.trim().parse().unwrap_or(SOMAXCONN_DEFAULT)
}

/// Listens at `address`.
pub fn bind(address: &Address, manner: Manner) -> Result<Made, Error> {
    match address {
        Address::Tcp(at) => tcp(*at, manner),
        Address::Unix(path) => unix(path, manner),
        Address::Abstract(name) => {
            let at = UnixAddr::new_abstract(name.as_bytes())
                .map_err(|errno| Error::call("bind", address.to_string(), errno))?;
            let fd = make(AddressFamily::Unix, address, &at, manner)?;
            Ok(Made { fd, name: address.to_string(), kind: Kind::Unix(None) })
        }
        Address::Fd(fd) => adopt::adopt(*fd, manner.backlog),
    }
}

fn tcp(at: std::net::SocketAddr, manner: Manner) -> Result<Made, Error> {
    let address = Address::Tcp(at);
    let fd = match at {
        std::net::SocketAddr::V4(v4) => make(AddressFamily::Inet, &address, &SockaddrIn::from(v4), manner),
        std::net::SocketAddr::V6(v6) => make(AddressFamily::Inet6, &address, &SockaddrIn6::from(v6), manner),
    }?;
    let real = net::getsockname::<SockaddrStorage>(fd.as_raw_fd())
        .map_err(|errno| Error::call("getsockname", address.to_string(), errno))?;
    let name = adopt::name_of(&real).unwrap_or_else(|| address.to_string());
    Ok(Made { fd, name, kind: Kind::Tcp })
}

fn unix(path: &Path, manner: Manner) -> Result<Made, Error> {
    let address = Address::Unix(path.to_owned());
    let at = UnixAddr::new(path).map_err(|errno| Error::call("bind", address.to_string(), errno))?;
    clear(path, &at)?;
    let fd = make(AddressFamily::Unix, &address, &at, manner)?;
    // Vacuum removes it by this path, from wherever the server has gone meanwhile.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Ok(Made { fd, name: address.to_string(), kind: Kind::Unix(Some(path)) })
}

/// Removes what an ended server left at `path`. A server that still answers keeps its socket, and a file that is
/// no socket is somebody's data.
fn clear(path: &Path, at: &UnixAddr) -> Result<(), Error> {
    let name = path.display().to_string();
    let Ok(meta) = path.symlink_metadata() else { return Ok(()) };
    if !meta.file_type().is_socket() {
        let cause = io::Error::new(io::ErrorKind::AlreadyExists, "a file is there that is no socket");
        return Err(Error::Call { attempt: "bind", on: name, cause });
    }
    match probe(at) {
        // Nobody listens (or it went away by itself).
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => {}
        // EAGAIN: somebody listens whose backlog is full. EPROTOTYPE: somebody uses it in another way.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => {
            return Err(Error::InUse { attempt: "bind", name });
        }
        Err(errno) => return Err(Error::call("ask who listens at", name, errno)),
    }
    match std::fs::remove_file(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(Error::call("unlink", name, cause)),
        _ => Ok(()),
    }
}

fn probe(at: &UnixAddr) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = net::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    net::connect(fd.as_raw_fd(), at)
}

fn make(
    family: AddressFamily,
    address: &Address,
    at: &dyn SockaddrLike,
    manner: Manner,
) -> Result<OwnedFd, Error> {
    let name = address.to_string();
    let failed = |attempt: &'static str, errno: Errno| match errno {
        Errno::EADDRINUSE => Error::InUse { attempt, name: name.clone() },
        errno => Error::call(attempt, name.clone(), errno),
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = net::socket(family, SockType::Stream, flags, None).map_err(|errno| failed("socket", errno))?;
    if let Address::Tcp(_) = address {
        set_options(&fd, manner).map_err(|(option, errno)| failed(option, errno))?;
    }
    net::bind(fd.as_raw_fd(), at).map_err(|errno| failed("bind", errno))?;
    listen(&fd, manner.backlog).map_err(|cause| match cause.raw_os_error() {
        Some(libc::EADDRINUSE) => Error::InUse { attempt: "listen", name: name.clone() },
        _ => Error::call("listen", name.clone(), cause),
    })?;
    Ok(fd)
}

fn set_options(fd: &OwnedFd, manner: Manner) -> Result<(), (&'static str, Errno)> {
    // A restarted server need not wait for the old connections' TIME_WAIT.
    net::setsockopt(fd, sockopt::ReuseAddr, &true).map_err(|errno| ("setsockopt SO_REUSEADDR", errno))?;
    if manner.reuse_port {
        net::setsockopt(fd, sockopt::ReusePort, &true).map_err(|errno| ("setsockopt SO_REUSEPORT", errno))?;
    }
    if manner.keepalive {
        net::setsockopt(fd, sockopt::KeepAlive, &true).map_err(|errno| ("setsockopt SO_KEEPALIVE", errno))?;
    }
    if manner.freebind {
        // Of the socket, whatever its family: IPv6 looks at the same flag.
        net::setsockopt(fd, sockopt::IpFreebind, &true).map_err(|errno| ("setsockopt IP_FREEBIND", errno))?;
    }
    let bytes = |wanted: u32| usize::try_from(wanted).unwrap_or(usize::MAX);
    if let Some(wanted) = manner.send_buffer {
        net::setsockopt(fd, sockopt::SndBuf, &bytes(wanted))
            .map_err(|errno| ("setsockopt SO_SNDBUF", errno))?;
    }
    if let Some(wanted) = manner.receive_buffer {
        net::setsockopt(fd, sockopt::RcvBuf, &bytes(wanted))
            .map_err(|errno| ("setsockopt SO_RCVBUF", errno))?;
    }
    manner.fast_open.map_or(Ok(()), |waiting| fast_open(fd, waiting))
}

/// nix knows this option for connecting sockets only.
fn fast_open(fd: &OwnedFd, waiting: u32) -> Result<(), (&'static str, Errno)> {
    let waiting = libc::c_int::try_from(waiting).unwrap_or(libc::c_int::MAX);
    let size = libc::socklen_t::try_from(size_of::<libc::c_int>()).expect("four bytes");
    // SAFETY: the kernel reads one int, which outlives the call, on a descriptor we own.
    let done = unsafe {
        let value = std::ptr::from_ref(&waiting).cast();
        libc::setsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN, value, size)
    };
    Errno::result(done).map(drop).map_err(|errno| ("setsockopt TCP_FASTOPEN", errno))
}

/// Listens. Not nix's call: its `Backlog` ends at 4,096, `net.core.somaxconn` need not.
pub(super) fn listen(fd: &OwnedFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: plain numbers on a descriptor we own.
    match unsafe { libc::listen(fd.as_raw_fd(), backlog) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    const MANNER: Manner = Manner {
        backlog: 16,
        reuse_port: false,
        keepalive: false,
        freebind: false,
        send_buffer: None,
        receive_buffer: None,
        fast_open: None,
    };

    fn bound(text: &str) -> Result<Made, Error> {
        bind(&Address::parse(text).expect("an address"), MANNER)
    }

    #[test]
    fn port_zero_becomes_a_real_one() {
        let made = bound("127.0.0.1:0").expect("bound");
        assert!(!made.name.ends_with(":0"), "{}", made.name);
        TcpStream::connect(&made.name).expect("answers");
        let error = bound(&made.name).expect_err("taken");
        assert_eq!(error.to_string(), format!("bind {}: address already in use", made.name));
    }

    #[test]
    fn reuse_port_lets_two_servers_share() {
        let manner = Manner { reuse_port: true, keepalive: true, freebind: true, ..MANNER };
        let first = bind(&Address::parse("127.0.0.1:0").expect("an address"), manner).expect("bound");
        bind(&Address::parse(&first.name).expect("an address"), manner).expect("bound too");
    }

    #[test]
    fn ipv6_is_bound_where_the_machine_has_it() {
        match bound("[::1]:0") {
            Ok(made) => assert!(made.name.starts_with("[::1]:"), "{}", made.name),
            Err(error) => {
                assert!(matches!(error.errno(), Some(libc::EADDRNOTAVAIL | libc::EAFNOSUPPORT)), "{error}")
            }
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.sock");
        let text = path.display().to_string();
        drop(UnixListener::bind(&path).expect("bound"));
        let made = bound(&text).expect("the stale one is replaced");
        assert_eq!(made.kind, Kind::Unix(Some(path.clone())));
        UnixStream::connect(&path).expect("answers");
        assert!(matches!(bound(&text), Err(Error::InUse { .. })));
        UnixStream::connect(&path).expect("still answers");
    }

    #[test]
    fn a_file_in_the_way_is_left_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("data");
        std::fs::write(&path, "precious").expect("written");
        let error = bound(&path.display().to_string()).expect_err("refused");
        assert!(error.to_string().ends_with("a file is there that is no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "precious");
    }

    #[test]
    fn abstract_names_need_no_file() {
        let name = format!("@uwring-test-{}", std::process::id());
        let made = bound(&name).expect("bound");
        assert_eq!(made.name, name);
        assert!(matches!(bound(&name), Err(Error::InUse { .. })));
    }

    #[test]
    fn the_cause_is_said() {
        let error = bound("/nonexistent/app.sock").expect_err("no such folder").to_string();
        assert!(error.starts_with("bind /nonexistent/app.sock: No such file"), "{error}");
        assert!(backlog_max() > 0);
    }
}
