//! How many connections wait to be accepted on a listening socket, and how many may: of TCP by `TCP_INFO`, of unix
//! sockets by the kernel's socket diagnosis (sock_diag(7)).
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Where the kernel counts connections that found a full line.
const NETSTAT: &str = "/proc/net/netstat";

/// The line in front of a listening socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Connections that wait.
    pub waiting: u32,
    /// Connections that may wait.
    pub max: u32,
}

/// That of a TCP socket.
pub fn of_tcp(listener: impl AsFd) -> io::Result<Backlog> {
    // SAFETY: zeroes are a valid `tcp_info`, numbers all of it.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a small struct");
    // SAFETY: the kernel writes no more than `len` bytes to `info`, both of which live across the call.
    let got = unsafe {
        libc::getsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut len,
        )
    };
    match got {
        // Of a listening socket the kernel says its line in these two (net/ipv4/tcp.c).
        0 => Ok(Backlog { waiting: info.tcpi_unacked, max: info.tcpi_sacked }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Connections that found a full line since the machine started, on all TCP sockets of this network.
pub fn overflows() -> u64 {
    counted(&std::fs::read_to_string(NETSTAT).unwrap_or_default())
}

/// `TcpExt: … ListenOverflows …`, and below each name its number.
fn counted(netstat: &str) -> u64 {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace());
    pairs
        .find(|(name, _)| *name == "ListenOverflows")
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(0)
}

/// `SOCK_DIAG_BY_FAMILY`, and the answer's type.
const BY_FAMILY: u16 = 20;
/// `UDIAG_SHOW_RQLEN`.
const SHOW_QUEUE: u32 = 0x10;
/// The attribute that answers it: `UNIX_DIAG_RQLEN`.
const QUEUE: u16 = 4;
/// Bytes of a netlink header, and of what a unix socket's answer begins with.
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 16;

/// That of a unix socket. An error where the kernel has no diagnosis of them (`CONFIG_UNIX_DIAG`).
pub fn of_unix(listener: impl AsFd) -> io::Result<Backlog> {
    let inode = nix::sys::stat::fstat(listener.as_fd())?.st_ino;
    let asked = question(u32::try_from(inode).map_err(io::Error::other)?);
    let flags = SockFlag::SOCK_CLOEXEC;
    let netlink: OwnedFd =
        socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag)?;
    send(netlink.as_raw_fd(), &asked, MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let len = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    read(&answer[..len]).ok_or_else(|| io::Error::other("the kernel's diagnosis says nothing of it"))
}

/// About the one socket with that inode number.
fn question(inode: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&40u32.to_ne_bytes());
    bytes.extend_from_slice(&BY_FAMILY.to_ne_bytes());
    let request = u16::try_from(libc::NLM_F_REQUEST).expect("a small number");
    bytes.extend_from_slice(&request.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    // Family, protocol, padding; all states; the socket, whatever its cookie.
    bytes.extend_from_slice(&[u8::try_from(libc::AF_UNIX).expect("a small number"), 0, 0, 0]);
    for word in [u32::MAX, inode, SHOW_QUEUE, u32::MAX, u32::MAX] {
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    bytes
}

fn read(answer: &[u8]) -> Option<Backlog> {
    let half = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    if half(4)? != BY_FAMILY {
        return None;
    }
    let mut at = HEADER_BYTES + MESSAGE_BYTES;
    while let (Some(len), Some(kind)) = (half(at), half(at + 2)) {
        if kind == QUEUE {
            return Some(Backlog { waiting: word(at + 4)?, max: word(at + 8)? });
        }
        at += usize::from(len.max(4)).next_multiple_of(4);
    }
    None
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::sys::socket::Address;
    use crate::sys::socket::bind::{Manner, bind};

    #[test]
    fn who_waits_is_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let before = of_tcp(&listener).expect("told");
        assert!(before.waiting == 0 && before.max > 0, "{before:?}");
        let address = listener.local_addr().expect("an address");
        let _clients = [(); 3].map(|()| TcpStream::connect(address).expect("connected"));
        assert_eq!(of_tcp(&listener).expect("told"), Backlog { waiting: 3, ..before });
    }

    #[test]
    fn who_waits_at_a_unix_socket_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let manner = Manner { backlog: 7, ..Manner::default() };
        let made = bind(&Address::Unix(path.clone()), manner).expect("bound");
        match of_unix(&made.fd) {
            Ok(backlog) => assert_eq!(backlog, Backlog { waiting: 0, max: 7 }),
            // A kernel without it.
            Err(error) => return eprintln!("no diagnosis of unix sockets: {error}"),
        }
        let _clients = [(); 2].map(|()| UnixStream::connect(&path).expect("connected"));
        assert_eq!(of_unix(&made.fd).expect("told"), Backlog { waiting: 2, max: 7 });
    }

    #[test]
    fn an_answer_that_is_none_is_not_read() {
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[0; 64]), None);
    }

    #[test]
    fn overflows_are_found_by_name() {
        let text = "TcpExt: A ListenOverflows B\nTcpExt: 1 42 3\nIpExt: X\nIpExt: 9\n";
        assert_eq!(counted(text), 42);
        assert_eq!(counted(""), 0);
    }
}
