//! The floor: answers every uwsgi request with the same bytes, by blocking accept, recv, send and close. A server
//! that runs Python cannot be cheaper than this on the same kernel, so the tables show it beside the servers; it
//! also shows how much load the generator can produce.

use crate::args::FloorPlan;
use crate::target::Target;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;

/// What the hello application of the benchmarks answers, too.
pub(crate) const BODY: &str = "Hello World\n";
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n";

/// A listening socket.
pub(crate) enum Floor {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Answers until the time is over.
pub(crate) fn run(plan: &FloorPlan) -> io::Result<()> {
    let floor = bind(&plan.target)?;
    let duration = plan.duration;
    // A timer beside the loop, so that the loop itself needs no time-outs and stays at four system calls.
    std::thread::spawn(move || {
        std::thread::sleep(duration);
        std::process::exit(0);
    });
    floor.serve()
}

/// Binds without unlinking: a path that is in use is the caller's mistake.
pub(crate) fn bind(target: &Target) -> io::Result<Floor> {
    Ok(match target {
        Target::Unix(path) => Floor::Unix(UnixListener::bind(path)?),
        Target::Tcp(address) => Floor::Tcp(TcpListener::bind(address)?),
    })
}

impl Floor {
    /// Where it listens, with the port the kernel chose.
    #[cfg(test)]
    pub(crate) fn target(&self) -> Option<Target> {
        match self {
            Floor::Unix(listener) => {
                Some(Target::Unix(listener.local_addr().ok()?.as_pathname()?.to_path_buf()))
            }
            Floor::Tcp(listener) => Some(Target::Tcp(listener.local_addr().ok()?)),
        }
    }

    /// Answers for ever. What becomes of one peer is that peer's business; only a broken listener ends it.
    pub(crate) fn serve(&self) -> io::Result<()> {
        let answer = [HEAD, BODY].concat();
        let mut scratch = vec![0; 128 * 1024];
        loop {
            let _ = match self {
                Floor::Unix(listener) => talk(listener.accept()?.0, &mut scratch, answer.as_bytes()),
                Floor::Tcp(listener) => talk(listener.accept()?.0, &mut scratch, answer.as_bytes()),
            };
        }
    }
}

/// Reads one request to its end, answers, closes.
fn talk(mut peer: impl Read + Write, scratch: &mut [u8], answer: &[u8]) -> io::Result<()> {
    let mut filled = 0;
    let needed = loop {
        match peer.read(&mut scratch[filled..])? {
            0 => return Ok(()),
            count => filled += count,
        }
        if let Some(needed) = request_bytes(&scratch[..filled]) {
            break needed;
        }
    };
    let mut left = needed.saturating_sub(filled);
    while left > 0 {
        match peer.read(scratch)? {
            0 => return Ok(()),
            count => left = left.saturating_sub(count),
        }
    }
    peer.write_all(answer)
}

/// The size of the whole request, once its variables are here.
fn request_bytes(packet: &[u8]) -> Option<usize> {
    let size = usize::from(u16::from_le_bytes([*packet.get(1)?, *packet.get(2)?]));
    let block = packet.get(4..4 + size)?;
    Some(4 + size + content_length(block))
}

/// `CONTENT_LENGTH` as the generator writes it, among the first variables; 0 when empty or absent.
fn content_length(mut block: &[u8]) -> usize {
    for _ in 0..6 {
        let Some((name, rest)) = text(block) else { return 0 };
        let Some((value, rest)) = text(rest) else { return 0 };
        if name == b"CONTENT_LENGTH" {
            return std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0);
        }
        block = rest;
    }
    0
}

fn text(block: &[u8]) -> Option<(&[u8], &[u8])> {
    let size = usize::from(u16::from_le_bytes([*block.first()?, *block.get(1)?]));
    Some((block.get(2..2 + size)?, &block[2 + size..]))
}
