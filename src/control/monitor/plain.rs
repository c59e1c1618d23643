//! Serving with threads that wait, where there can be no ring: a thread for each door, and one for each client.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::desk::Desk;
use super::{CLIENTS_MAX, Door, LINGER, PATIENCE};
use crate::sys::event;

/// Rest after an accept that failed, or while the house is full.
const PAUSE: Duration = Duration::from_millis(100);

static CLIENTS: AtomicUsize = AtomicUsize::new(0);

/// Serves for ever; returns only where no thread can be started.
pub fn serve(doors: &'static [Door], desk: &'static Desk) -> io::Result<Infallible> {
    for door in doors {
        thread::Builder::new().spawn(move || welcome(door, desk))?;
    }
    loop {
        thread::park();
    }
}

fn welcome(door: &'static Door, desk: &'static Desk) {
    loop {
        let full = CLIENTS.load(Ordering::Relaxed) >= CLIENTS_MAX;
        let readable = if full { Ok(vec![false]) } else { event::readable(&[door.listener.as_fd()], None) };
        match readable
            .and_then(|_| if full { Err(io::ErrorKind::WouldBlock.into()) } else { door.listener.accept() })
        {
            Ok(client) => attend(door, client, desk),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// One client, to its end, in a thread of its own. Without one the client is let go.
fn attend(door: &'static Door, client: OwnedFd, desk: &'static Desk) {
    CLIENTS.fetch_add(1, Ordering::Relaxed);
    let body = move || {
        // Of either family: what is used here is the same.
        let mut client = UnixStream::from(client);
        let served = client
            .set_write_timeout(Some(PATIENCE))
            .and_then(
                |()| if door.role.asks() { listen(&mut client, door, desk) } else { Ok(desk.unasked()) },
            )
            .and_then(|answer| client.write_all(&answer));
        if served.is_ok() && client.shutdown(Shutdown::Write).is_ok() {
            let until = Instant::now() + LINGER;
            while read(&mut client, until).is_ok_and(|bytes| !bytes.is_empty()) {}
        }
        CLIENTS.fetch_sub(1, Ordering::Relaxed);
    };
    if thread::Builder::new().spawn(body).is_err() {
        CLIENTS.fetch_sub(1, Ordering::Relaxed);
    }
}

fn listen(client: &mut UnixStream, door: &Door, desk: &Desk) -> io::Result<Vec<u8>> {
    let until = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    loop {
        let bytes = read(client, until)?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&bytes);
        if let Some(answer) = desk.answer(door.role, &head) {
            return Ok(answer);
        }
    }
}

/// What comes next, none at the end; an error if nothing comes until then.
fn read(client: &mut UnixStream, until: Instant) -> io::Result<Vec<u8>> {
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    client.set_read_timeout(Some(left))?;
    let mut buffer = vec![0; 4096];
    let len = client.read(&mut buffer)?;
    buffer.truncate(len);
    Ok(buffer)
}
