//! Serving with io_uring, on tokio-uring: what clients say and get goes through the ring. The listening sockets are
//! tokio's own: those of tokio-uring are of TCP only, or bind a path by themselves.

use crate::base::errors;
use std::convert::Infallible;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_uring::net::UnixStream;

use super::desk::Desk;
use super::{CLIENTS_MAX, Door, LINGER, Listener, PATIENCE};

/// Entries of the ring: a client has one operation under way.
const ENTRIES: u32 = 128;
/// Bytes read at a time.
const READ_BYTES: usize = 4096;
/// Rest after an accept that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves for ever; returns only where there can be no ring. To be called once in a process, after its fork: a ring does
/// not survive one.
pub fn serve(doors: &'static [Door], desk: &'static Desk) -> io::Result<Infallible> {
    let runtime = tokio_uring::Runtime::new(tokio_uring::builder().entries(ENTRIES))?;
    runtime.block_on(async {
        let room = Arc::new(Semaphore::new(CLIENTS_MAX));
        for door in doors {
            let entry = Entry::new(&door.listener)?;
            tokio_uring::spawn(welcome(door, entry, desk, Arc::clone(&room)));
        }
        std::future::pending().await
    })
}

async fn welcome(door: &'static Door, entry: Entry, desk: &'static Desk, room: Arc<Semaphore>) {
    loop {
        let place = Arc::clone(&room).acquire_owned().await.expect("nobody closes it");
        match entry.accept().await {
            Ok(client) => {
                tokio_uring::spawn(attend(door, client, desk, place));
            }
            Err(cause) => {
                crate::log!("[uwring] monitor: accept on {}: {cause} {}", door.name, errors::NOT_ACCEPTED);
                sleep(PAUSE).await;
            }
        }
    }
}

/// A listening socket as the runtime waits for it.
enum Entry {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Entry {
    fn new(listener: &Listener) -> io::Result<Entry> {
        let fd = listener.as_fd().try_clone_to_owned()?;
        match listener {
            Listener::Tcp(_) => TcpListener::from_std(fd.into()).map(Entry::Tcp),
            Listener::Unix(_) => UnixListener::from_std(fd.into()).map(Entry::Unix),
        }
    }

    /// The next client, as the ring wants it: reading from it waits.
    async fn accept(&self) -> io::Result<OwnedFd> {
        match self {
            Entry::Tcp(listener) => {
                let stream = listener.accept().await?.0.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(stream.into())
            }
            Entry::Unix(listener) => {
                let stream = listener.accept().await?.0.into_std()?;
                stream.set_nonblocking(false)?;
                Ok(stream.into())
            }
        }
    }
}

/// One client, to its end. The place it takes is free again then.
async fn attend(door: &Door, client: OwnedFd, desk: &Desk, _place: OwnedSemaphorePermit) {
    // Of either family: what is used here is the same.
    let client = UnixStream::from_std(client.into());
    let served = timeout(PATIENCE, async {
        let answer =
            if door.role.asks() { listen(&client, door, desk).await? } else { desk.unasked(door.role) };
        client.write_all(answer).await.0
    });
    if matches!(served.await, Ok(Ok(()))) && client.shutdown(Shutdown::Write).is_ok() {
        // Who does not go is shown out.
        let _ = timeout(LINGER, until_gone(&client)).await;
    }
    // Ends what is under way too, which would keep the socket open otherwise.
    let _ = client.shutdown(Shutdown::Both);
}

async fn listen(client: &UnixStream, door: &Door, desk: &Desk) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    loop {
        let (read, buffer) = client.read(Vec::with_capacity(READ_BYTES)).await;
        if read? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer);
        if let Some(answer) = desk.answer(door.role, &head) {
            return Ok(answer);
        }
    }
}

async fn until_gone(client: &UnixStream) {
    let mut buffer = Vec::with_capacity(READ_BYTES);
    loop {
        buffer.clear();
        let (read, back) = client.read(buffer).await;
        buffer = back;
        if !matches!(read, Ok(1..)) {
            return;
        }
    }
}
