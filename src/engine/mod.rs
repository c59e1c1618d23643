//! One loop in one process. The [`Reactor`] trait is all that the rest of the server sees of the kernel's
//! interface: operations go in with the buffers they need, [`Event`]s come out of [`Reactor::wait`] and bring
//! the buffers back. `ring` keeps the promises with io_uring, `epoll` where that is denied (`choice`).
//!
//! Every operation is named by the caller's [`Token`], which comes back in its event. The engine owns a buffer
//! from submission to event, so a connection can be forgotten at any time without freeing memory the kernel
//! still writes to.
#![allow(unsafe_code)]

pub mod buffers;
pub mod choice;
mod entries;
pub mod epoll;
pub mod payload;
pub mod readiness;
pub mod ring;
mod sendfile;
pub mod solo;
pub mod timer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

pub use buffers::Chunk;
pub use payload::{Loan, Payload};

use crate::sys::net;

/// The caller's name for an operation. The top bit is for layers between caller and engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub u64);

/// What became of an operation.
#[derive(Debug)]
pub enum Event {
    /// [`Reactor::accept`]: a connection, or why not (`ECANCELED` after [`Reactor::cancel_accepts`]).
    Accepted {
        /// As submitted.
        token: Token,
        /// The connection, close-on-exec.
        result: io::Result<OwnedFd>,
    },
    /// [`Reactor::recv`]: bytes in a pooled buffer; `None` at the end of the stream. Of a layer also that what came is
    /// not what this connection speaks: `InvalidData`; `Unsupported`, if it is plain HTTP, and would be answered so.
    Received {
        /// As submitted.
        token: Token,
        /// To be given back with [`Reactor::release`].
        result: io::Result<Option<Chunk>>,
    },
    /// [`Reactor::recv_into`]: so many bytes were appended to the buffer; 0 at the end of the stream.
    Filled {
        /// As submitted.
        token: Token,
        /// Bytes appended.
        result: io::Result<usize>,
        /// The caller's again.
        buffer: Vec<u8>,
    },
    /// [`Reactor::send`]: everything was sent, or the connection is broken.
    Sent {
        /// As submitted.
        token: Token,
        /// Broken: why.
        result: io::Result<()>,
        /// The caller's again, contents as submitted.
        buffer: Payload,
    },
    /// [`Reactor::send`], [`Reactor::send_file`]: part of it went out, more is to follow.
    Progress {
        /// As submitted.
        token: Token,
    },
    /// [`Reactor::send_file`]: everything was sent, or not.
    FileSent {
        /// As submitted.
        token: Token,
        /// `UnexpectedEof`: the file is shorter than it was said to be.
        result: io::Result<()>,
    },
    /// [`Reactor::write`]: everything was written, or not.
    Written {
        /// As submitted.
        token: Token,
        /// Why not (`ENOSPC`…).
        result: io::Result<()>,
        /// The caller's again, contents as submitted.
        buffer: Vec<u8>,
    },
    /// [`Reactor::watch`]: the descriptor was readable or hung up since the last such event.
    Readable {
        /// As submitted.
        token: Token,
    },
}

impl Event {
    /// The name it was asked for by.
    pub fn token(&self) -> Token {
        let (Event::Accepted { token, .. }
        | Event::Received { token, .. }
        | Event::Filled { token, .. }
        | Event::Sent { token, .. }
        | Event::Progress { token }
        | Event::FileSent { token, .. }
        | Event::Written { token, .. }
        | Event::Readable { token }) = self;
        *token
    }
}

/// What happens to the connection after a [`Reactor::send`].
#[derive(Debug)]
pub enum Then {
    /// It stays open and belongs to the caller: only its number is borrowed.
    Keep(RawFd),
    /// It is closed, whether or not everything could be sent.
    Close(OwnedFd),
    /// The same of a TCP connection, where the end goes out in one segment with the last bytes.
    End(OwnedFd),
}

impl Then {
    /// The connection's number.
    pub fn fd(&self) -> RawFd {
        match self {
            Then::Keep(fd) => *fd,
            Then::Close(owned) | Then::End(owned) => owned.as_raw_fd(),
        }
    }

    /// The connection, where it is given away.
    pub fn into_owned(self) -> Option<OwnedFd> {
        match self {
            Then::Keep(_) => None,
            Then::Close(owned) | Then::End(owned) => Some(owned),
        }
    }
}

/// When the caller must hear that a [`Reactor::send`] has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// At the next event of another kind at the latest: the cheapest.
    Lazy,
    /// As soon as it has.
    Prompt,
}

/// The promises of an engine.
pub trait Reactor {
    /// Makes a listening socket fit for [`Reactor::accept`], for all processes that share it.
    fn adopt(&mut self, listener: RawFd) -> io::Result<()>;
    /// Accepts one connection from `listener`.
    fn accept(&mut self, listener: RawFd, token: Token);
    /// Receives once into a pooled buffer. Waits by itself while the pool is empty.
    fn recv(&mut self, fd: RawFd, token: Token);
    /// Receives once, at most `max` bytes, appending to `buffer`.
    fn recv_into(&mut self, fd: RawFd, token: Token, buffer: Vec<u8>, max: usize);
    /// Sends all of `buffer`. An event comes for both ways of [`Then`].
    fn send(&mut self, then: Then, token: Token, buffer: Payload, notice: Notice);
    /// Sends `len` bytes of `file` from `offset`.
    fn send_file(&mut self, fd: RawFd, token: Token, file: Arc<OwnedFd>, offset: u64, len: u64);
    /// Writes all of `buffer` to `file` at `offset`, or at its end (streams: just on) where that is `None`.
    fn write(&mut self, file: &Arc<File>, token: Token, buffer: Vec<u8>, offset: Option<u64>);
    /// Reports whenever `fd` becomes readable or hangs up, until the engine ends.
    fn watch(&mut self, fd: RawFd, token: Token);
    /// Asks for the end of all accepts submitted with `token`. Their events come all the same, and may still
    /// bring connections. (A receive is ended by shutting its connection down.)
    fn cancel_accepts(&mut self, token: Token);
    /// Closes `fd` without waiting.
    fn close(&mut self, fd: OwnedFd);
    /// Submits what was asked for, and waits for nothing.
    fn submit(&mut self) -> io::Result<()>;
    /// Submits what was asked for and waits for events, at most `timeout` (`None`: until there is one).
    /// Appends to `events`. With a timeout of zero, one at least of those who wait to be accepted is among them.
    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()>;
    /// The bytes of a received chunk.
    fn bytes<'a>(&'a self, chunk: &'a Chunk) -> &'a [u8];
    /// Gives a chunk's buffer back to the pool.
    fn release(&mut self, chunk: Chunk);

    // What only a layer has its own way for.

    /// Whether others may send on a connection by its descriptor.
    fn is_open_to_all(&self, _fd: RawFd) -> bool {
        true
    }
    /// What a connection itself tells of its client, as variables of each of its requests.
    fn told(&self, _fd: RawFd) -> Option<&[(&'static str, Vec<u8>)]> {
        None
    }
    /// Sends a few bytes, which fit, without an event. Where nothing else is being sent.
    fn send_aside(&mut self, fd: RawFd, bytes: &[u8]) {
        // Where it fails the client is gone, which others find out.
        let _ = net::send_now(fd, bytes);
    }
    /// Ends a connection: what is under way returns.
    fn shutdown(&mut self, fd: RawFd) {
        // One that is gone has ended.
        let _ = net::shutdown(fd);
    }
    /// Ends our direction, when all is sent.
    fn shutdown_write(&mut self, fd: RawFd) {
        // Where it fails the client is gone.
        let _ = net::shutdown_write(fd);
    }
}
