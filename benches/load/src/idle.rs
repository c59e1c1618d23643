//! Connections that do nothing: each asks one keep-alive request, so that the server has seen it all the way
//! through, and is then held. The server's memory before and after is for the caller to weigh.
//!
//! Two JSON lines: `opened` when all are there (weigh now), `held` at the end, with how many the server kept.

use crate::args::IdlePlan;
use crate::target::Target;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const PEER_TIMEOUT: Duration = Duration::from_secs(3);
/// A server that refuses this many in a row has reached its limit; the count says where.
const FAILURES_IN_A_ROW_MAX: u32 = 4;

enum Held {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// How the opening went.
#[derive(Debug, Default, PartialEq, Eq)]
struct Opened {
    answered: u64,
    refused: u64,
    silent: u64,
}

pub(crate) fn run(plan: &IdlePlan) -> io::Result<()> {
    let (held, opened) = open(&plan.target, plan.connections);
    println!(
        "{{\"mode\":\"idle\",\"event\":\"opened\",\"answered\":{},\"refused\":{},\"silent\":{}}}",
        opened.answered, opened.refused, opened.silent
    );
    io::stdout().flush()?;
    wait_for_end(plan.duration)?;
    let alive = held.iter().filter(|peer| is_alive(peer)).count();
    println!("{{\"mode\":\"idle\",\"event\":\"held\",\"alive\":{alive}}}");
    Ok(())
}

fn open(target: &Target, connections: usize) -> (Vec<Held>, Opened) {
    let mut held = Vec::with_capacity(connections);
    let mut opened = Opened::default();
    let mut failures = 0;
    while held.len() < connections && failures < FAILURES_IN_A_ROW_MAX {
        failures += 1;
        match dial(target) {
            Err(_) => opened.refused += 1,
            Ok(mut peer) => match ask(&mut peer) {
                Ok(true) => {
                    opened.answered += 1;
                    failures = 0;
                    held.push(peer);
                }
                _ => opened.silent += 1,
            },
        }
    }
    (held, opened)
}

fn dial(target: &Target) -> io::Result<Held> {
    match target {
        Target::Unix(path) => {
            let peer = UnixStream::connect(path)?;
            peer.set_read_timeout(Some(PEER_TIMEOUT))?;
            Ok(Held::Unix(peer))
        }
        Target::Tcp(address) => {
            let peer = TcpStream::connect_timeout(address, PEER_TIMEOUT)?;
            peer.set_read_timeout(Some(PEER_TIMEOUT))?;
            Ok(Held::Tcp(peer))
        }
    }
}

/// One request. The hello application's answer fits a segment, so one read is the answer.
fn ask(peer: &mut Held) -> io::Result<bool> {
    let mut answer = [0; 4096];
    let count = match peer {
        Held::Unix(stream) => stream.write_all(REQUEST).and_then(|()| stream.read(&mut answer))?,
        Held::Tcp(stream) => stream.write_all(REQUEST).and_then(|()| stream.read(&mut answer))?,
    };
    Ok(answer[..count].starts_with(b"HTTP/1.1 200"))
}

/// The caller closes our standard input, or the time is over.
fn wait_for_end(duration: Duration) -> io::Result<()> {
    let stdin = io::stdin();
    let timeout = PollTimeout::try_from(duration).unwrap_or(PollTimeout::MAX);
    poll(&mut [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)], timeout)?;
    Ok(())
}

/// A held connection has nothing to read; a closed one has its end.
fn is_alive(peer: &Held) -> bool {
    let fd: BorrowedFd<'_> = match peer {
        Held::Unix(stream) => stream.as_fd(),
        Held::Tcp(stream) => stream.as_fd(),
    };
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers the first `served` connections and keeps them; closes the others unanswered.
    fn server(served: usize) -> Target {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for mut peer in listener.incoming().flatten() {
                if kept.len() < served {
                    let mut request = [0; 512];
                    let _ = peer.read(&mut request);
                    let _ = peer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                    kept.push(peer);
                }
            }
        });
        Target::Tcp(address)
    }

    #[test]
    fn connections_stay_open_and_are_counted() {
        let (held, opened) = open(&server(50), 50);
        assert_eq!(opened, Opened { answered: 50, refused: 0, silent: 0 });
        assert_eq!(held.iter().filter(|peer| is_alive(peer)).count(), 50);
    }

    #[test]
    fn a_server_at_its_limit_ends_the_opening() {
        let (held, opened) = open(&server(5), 50);
        assert_eq!((held.len(), opened.answered), (5, 5));
        assert_eq!(opened.silent, u64::from(FAILURES_IN_A_ROW_MAX));
    }
}
