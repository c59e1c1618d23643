//! How many connections wait at a listening socket to be accepted.
//!
//! Of TCP the kernel says it in `TCP_INFO` (tcp(7)). Of unix sockets it says it to whoever asks by netlink, sock_diag(7):
//! one message there and one back, about the socket's inode. Where that is not allowed, what is left is whether anybody
//! waits at all.
#![allow(unsafe_code)]

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use super::Listener;
use crate::sys::net;

/// linux/sock_diag.h: ask about sockets of a family.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
/// linux/netlink.h: a request, and an answer that is an error.
const NLM_F_REQUEST: u16 = 1;
const NLMSG_ERROR: u16 = 2;
/// linux/unix_diag.h: show the queue's length, and its attribute in the answer.
const UDIAG_SHOW_RQLEN: u32 = 0x10;
const UNIX_DIAG_RQLEN: u16 = 4;
const HEADER_BYTES: usize = 16;
const MESSAGE_BYTES: usize = 16;

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

/// Connections that found a full line since the machine started, on all TCP sockets of this network.
pub fn overflows() -> u64 {
    overflows_in(&std::fs::read_to_string(NETSTAT).unwrap_or_default())
}

/// `TcpExt: … ListenOverflows …`, and below each name its number.
fn overflows_in(netstat: &str) -> u64 {
    let mut lines = netstat.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
    let (Some(names), Some(numbers)) = (lines.next(), lines.next()) else { return 0 };
    let mut pairs = names.split_ascii_whitespace().zip(numbers.split_ascii_whitespace());
    pairs
        .find(|(name, _)| *name == "ListenOverflows")
        .and_then(|(_, number)| number.parse().ok())
        .unwrap_or(0)
}

/// Asks the kernel.
#[derive(Debug)]
pub struct Queues {
    /// `None`: there is no such door in the kernel, or not for us.
    netlink: Option<OwnedFd>,
}

impl Default for Queues {
    fn default() -> Queues {
        Queues::new()
    }
}

impl Queues {
    /// Ready to ask.
    pub fn new() -> Queues {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let netlink =
            socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkSockDiag).ok();
        Queues { netlink }
    }

    /// Connections that wait at `listener`; where the kernel does not count them for us, 1 for any.
    pub fn waiting(&self, listener: &Listener) -> u32 {
        let counted = self.line(listener).map(|line| line.waiting);
        counted.unwrap_or_else(|_| u32::from(net::is_readable(listener.as_raw_fd())))
    }

    /// The line in front of `listener`. An error where the kernel does not count it for us.
    pub fn line(&self, listener: &Listener) -> io::Result<Backlog> {
        if listener.is_tcp() { of_tcp(listener.as_raw_fd()) } else { self.of_unix(listener) }
    }

    fn of_unix(&self, listener: &Listener) -> io::Result<Backlog> {
        let netlink = self.netlink.as_ref().ok_or(io::ErrorKind::Unsupported)?.as_raw_fd();
        // The kernel keeps sockets' numbers short.
        let inode = u32::try_from(nix::sys::stat::fstat(listener)?.st_ino).map_err(io::Error::other)?;
        send(netlink, &question(inode), MsgFlags::empty())?;
        // The kernel answers within the call above.
        let mut answer = [0; 512];
        let len = recv(netlink, &mut answer, MsgFlags::empty())?;
        match refusal(&answer[..len]) {
            Some(refusal) => Err(refusal),
            None => queue_in(&answer[..len], inode).ok_or_else(|| io::ErrorKind::InvalidData.into()),
        }
    }
}

/// `struct nlmsghdr`, `struct unix_diag_req`.
fn question(inode: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(40);
    let mut put = |field: &[u8]| bytes.extend_from_slice(field);
    put(&40_u32.to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&NLM_F_REQUEST.to_ne_bytes());
    put(&[0; 8]);
    // Family, protocol, padding; sockets in any state.
    put(&[1, 0, 0, 0]);
    put(&u32::MAX.to_ne_bytes());
    put(&inode.to_ne_bytes());
    put(&UDIAG_SHOW_RQLEN.to_ne_bytes());
    // Whatever its cookie is.
    put(&[0xff; 8]);
    bytes
}

/// `struct nlmsghdr`, `struct nlmsgerr`: the first number is the error, negative.
fn refusal(answer: &[u8]) -> Option<io::Error> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let error = i32::from_ne_bytes(answer.get(HEADER_BYTES..HEADER_BYTES + 4)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then(|| io::Error::from_raw_os_error(-error))
}

/// `struct nlmsghdr`, `struct unix_diag_msg`, attributes: of `rqlen` the first number is how many wait, the
/// second how many may.
fn queue_in(answer: &[u8], inode: u32) -> Option<Backlog> {
    let short = |at: usize| Some(u16::from_ne_bytes(answer.get(at..at + 2)?.try_into().ok()?));
    let word = |at: usize| Some(u32::from_ne_bytes(answer.get(at..at + 4)?.try_into().ok()?));
    // An error message, or an answer to an earlier question.
    if short(4)? != SOCK_DIAG_BY_FAMILY || word(HEADER_BYTES + 4)? != inode {
        return None;
    }
    let mut at = HEADER_BYTES + MESSAGE_BYTES;
    loop {
        let (len, kind) = (usize::from(short(at)?), short(at + 2)?);
        if kind == UNIX_DIAG_RQLEN {
            return Some(Backlog { waiting: word(at + 4)?, max: word(at + 8)? });
        }
        at += len.max(4).next_multiple_of(4);
    }
}

/// On a listening socket `tcpi_unacked` is the length of the accept queue, `tcpi_sacked` the longest it may have.
fn of_tcp(fd: RawFd) -> io::Result<Backlog> {
    let info = tcp_info(fd)?;
    Ok(Backlog { waiting: info.tcpi_unacked, max: info.tcpi_sacked })
}

/// How long a TCP connection that was accepted just now had waited for that, milliseconds: since the client's last word
/// of the handshake. 0 where the kernel does not tell.
pub fn waited_ms(fd: RawFd) -> u32 {
    tcp_info(fd).map_or(0, |info| info.tcpi_last_ack_recv)
}

fn tcp_info(fd: RawFd) -> io::Result<libc::tcp_info> {
    let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).map_err(io::Error::other)?;
    // SAFETY: the pointers name `info` and `len`, which live across the call; the kernel writes at most `len` bytes.
    let got = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    if got != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers, zeroed before the kernel wrote some of them.
    Ok(unsafe { info.assume_init() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use super::*;
    use crate::base::protocol::SocketProtocol;
    use crate::sys::socket::bind::{Made, Manner, bind};
    use crate::sys::socket::{Address, Kind};

    fn listener(address: &str) -> Listener {
        let manner = Manner { backlog: 16, ..Manner::default() };
        let Made { fd, name, kind } =
            bind(&Address::parse(address).expect("an address"), manner).expect("bound");
        Listener {
            fd: Arc::new(fd),
            name,
            kind,
            protocol: SocketProtocol::Http,
            faces_clients: true,
            cover: crate::base::protocol::Cover::None,
            index: 0,
        }
    }

    #[test]
    fn those_who_wait_are_counted() {
        let queues = Queues::new();
        let tcp = listener("127.0.0.1:0");
        assert_eq!(queues.waiting(&tcp), 0);
        let _clients: Vec<_> = (0..3).map(|_| TcpStream::connect(&tcp.name).expect("connected")).collect();
        assert_eq!(queues.waiting(&tcp), 3);
        assert_eq!(queues.line(&tcp).expect("counted"), Backlog { waiting: 3, max: 16 });

        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("s");
        let unix = listener(&path.display().to_string());
        assert!(matches!(unix.kind, Kind::Unix(_)));
        assert_eq!(queues.waiting(&unix), 0);
        let _clients: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).expect("connected")).collect();
        let without = Queues { netlink: None };
        assert_eq!(without.waiting(&unix), 1);
        // A kernel without sock_diag for unix sockets refuses to say more.
        match queues.of_unix(&unix) {
            Ok(line) => assert_eq!((line, queues.waiting(&unix)), (Backlog { waiting: 3, max: 16 }, 3)),
            Err(refused) => {
                assert!(refused.raw_os_error().is_some(), "not understood: {refused}");
                assert_eq!(queues.waiting(&unix), 1);
            }
        }
    }

    #[test]
    fn an_answer_is_understood() {
        // As a kernel gave it for a socket with the number 7, at which 3 wait, and 16 may.
        let mut answer = Vec::new();
        for half in [48_u16, 0, SOCK_DIAG_BY_FAMILY, 0, 0, 0, 0, 0, 0x0101, 10, 7, 0, 0, 0, 0, 0] {
            answer.extend(half.to_ne_bytes());
        }
        let name = [8_u16.to_ne_bytes(), 2_u16.to_ne_bytes(), [0; 2], [0; 2]].concat();
        let queue =
            [12_u16.to_ne_bytes(), UNIX_DIAG_RQLEN.to_ne_bytes(), [3, 0], [0; 2], [16, 0], [0; 2]].concat();
        answer.extend([name, queue].concat());
        let [waiting, max] = [[3, 0, 0, 0], [16, 0, 0, 0]].map(u32::from_ne_bytes);
        assert_eq!(queue_in(&answer, 7), Some(Backlog { waiting, max }));
        assert_eq!(queue_in(&answer, 8), None);
        assert!(refusal(&answer).is_none());
        let mut error = answer.clone();
        error[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
        error[16..20].copy_from_slice(&(-2_i32).to_ne_bytes());
        assert_eq!(refusal(&error).and_then(|error| error.raw_os_error()), Some(2));
    }

    #[test]
    fn overflows_are_found_by_name() {
        let text = "TcpExt: A ListenOverflows B\nTcpExt: 1 42 3\nIpExt: X\nIpExt: 9\n";
        assert_eq!(overflows_in(text), 42);
        assert_eq!(overflows_in(""), 0);
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for answer in [&b""[..], &[0; 16], &question(7), &[0xff; 64]] {
            assert_eq!(queue_in(answer, 7), None);
        }
    }

    #[test]
    fn what_a_connection_waited_to_be_accepted_is_known_then() {
        let listener = listener("127.0.0.1:0");
        let mut client = TcpStream::connect(&listener.name).expect("connected");
        std::io::Write::write_all(&mut client, b"GET").expect("sent");
        let begun = std::time::Instant::now();
        while begun.elapsed() < std::time::Duration::from_millis(60) {
            std::thread::yield_now();
        }
        let accepted = net::accept_now(listener.fd.as_raw_fd()).expect("accepted");
        assert!(waited_ms(accepted.as_raw_fd()) >= 40);
        let (unix, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(waited_ms(unix.as_raw_fd()), 0);
    }
}
