//! One connection's life, as two enums:
//!
//! ```text
//! Reading:  Head ──► Body ──► Dispatched ──► Head (keep-alive) | Drain ──► Closing
//!            └───────────────────▲              a request is with the interpreter
//! Writing:  Idle ──► Whole | Last | Stream ──► Idle
//! ```
//!
//! While a request is dispatched nothing is received for its head: a client that sends on meets the kernel's
//! back-pressure. An entry is removed when no operation of the engine names it.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use super::channel::Channel;
use super::job::Parcel;
use crate::base::clock::{Micros, Millis};
use crate::engine::{Chunk, Token};
use crate::proto::http::Peer;
use crate::shared::flight::Flown;
use crate::shared::tally::Place;

/// What is received next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A request's head, or its first byte.
    Head,
    /// The body, before the request is handed over.
    Body,
    /// Nothing, or body bytes the application asked for.
    Dispatched,
    /// What the client still sends after the response, to throw it away.
    Drain,
    /// The end of the receive under way; then the entry goes.
    Closing,
}

/// What is sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Nothing.
    Idle,
    /// A complete response; the connection stays.
    Whole,
    /// The end of a response; the connection is drained, then closed.
    Last,
    /// A complete response; the engine closes the connection.
    Final,
    /// A piece of a response.
    Stream,
}

/// What follows the response that is being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next request.
    KeepAlive,
    /// The end.
    Close,
    /// The end, once the rest of what the client sends was read: closing with unread bytes resets the
    /// connection, and a reset can destroy the response on its way.
    Drain,
}

/// One entry of the connection table.
pub struct Conn {
    /// Distinguishes entries that had the same index.
    pub generation: u32,
    /// `None` once the engine has it for closing.
    pub fd: Option<OwnedFd>,
    /// Number of the listening socket.
    pub listener: usize,
    /// See [`Reading`].
    pub reading: Reading,
    /// See [`Writing`].
    pub writing: Writing,
    /// A receive is under way.
    pub receiving: bool,
    /// What is to happen when the response under way is out.
    pub after: After,
    /// The request being read.
    pub job: Option<Parcel>,
    /// Received while the last response was still on its way out.
    pub pending: Option<Chunk>,
    /// The next requests' bytes that came behind the last one.
    pub leftover: Vec<u8>,
    /// The streamed response under way.
    pub output: Option<Arc<Channel>>,
    /// The application has finished it.
    pub finished: bool,
    /// The application reads the body through it.
    pub input: Option<Arc<Channel>>,
    /// Body bytes not yet received; what is to be drained otherwise.
    pub body_left: u64,
    /// Who the client is, made when first needed.
    pub peer: Option<Box<Peer>>,
    /// What it may begin with before the first request (PROXY protocol) is read.
    pub introduced: bool,
    /// Its request is with the interpreter, but was answered already (harakiri).
    pub disowned: bool,
    /// An interpreter thread may send on it: it is not closed meanwhile…
    pub lent: bool,
    /// …but afterwards.
    pub leaving: bool,
    /// It is lent for more than the answer to one request.
    pub kept: bool,
    /// FastCGI's number of the request under way; 0 where there are no records.
    pub record_id: u16,
    /// Requests served.
    pub served: u32,
    /// When the request that is being read began to come: the accept, or its first byte; 0 before that.
    pub arrived: Micros,
    /// What it waited in the listening socket's line, milliseconds, where that was asked.
    pub line_ms: u32,
    /// What the flight recorder keeps of the request whose answer is on its way out.
    pub trail: Option<Box<Flown>>,
    /// The place it is counted in.
    pub counted: Place,
    /// When patience ends.
    pub deadline: Option<Millis>,
    /// When the wheel reminds of it, at first.
    pub reminder: Option<Millis>,
}

impl Conn {
    /// Just accepted. Its generation is that of the table's entry.
    pub fn new(fd: OwnedFd, listener: usize) -> Conn {
        Conn {
            generation: 0,
            fd: Some(fd),
            listener,
            reading: Reading::Head,
            writing: Writing::Idle,
            receiving: false,
            after: After::Close,
            job: None,
            pending: None,
            leftover: Vec::new(),
            output: None,
            finished: false,
            input: None,
            body_left: 0,
            peer: None,
            introduced: true,
            disowned: false,
            lent: false,
            leaving: false,
            kept: false,
            record_id: 0,
            served: 0,
            arrived: Micros(0),
            line_ms: 0,
            trail: None,
            counted: Place::Idle,
            deadline: None,
            reminder: None,
        }
    }

    /// Its number, while it is ours.
    pub fn raw(&self) -> Option<RawFd> {
        self.fd.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Nothing of a request is here, read or written.
    pub fn is_idle(&self) -> bool {
        self.reading == Reading::Head
            && self.writing == Writing::Idle
            && self.job.is_none()
            && self.pending.is_none()
            && self.leftover.is_empty()
    }

    /// The peer's address, asked of the kernel once.
    pub fn peer(&mut self) -> &Peer {
        let fd = self.raw();
        self.peer.get_or_insert_with(|| Box::new(peer(fd.and_then(crate::sys::net::peer))))
    }
}

fn peer(address: Option<SocketAddr>) -> Peer {
    Peer::new(address)
}

/// What a token names, in its top byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// Entry of the connection table: index and generation.
    Conn(usize, u32),
    /// Listening socket.
    Listener(usize),
    /// The master has written a command.
    Control,
    /// The master is gone.
    Life,
    /// Replies have come.
    Replies,
    /// The log.
    Log,
    /// Another worker has handed something over.
    Relay,
}

impl Name {
    /// As `kind:8 | generation:24 | index:32`.
    pub fn token(self) -> Token {
        let (kind, generation, index) = match self {
            Name::Conn(index, generation) => (1, generation, index),
            Name::Listener(index) => (2, 0, index),
            Name::Control => (3, 0, 0),
            Name::Life => (4, 0, 0),
            Name::Replies => (5, 0, 0),
            Name::Log => (6, 0, 0),
            Name::Relay => (7, 0, 0),
        };
        Token(kind << 56 | u64::from(generation & 0xff_ffff) << 32 | index as u64 & 0xffff_ffff)
    }

    /// Back from a token of ours.
    pub fn of(token: Token) -> Name {
        let index = usize::try_from(token.0 & 0xffff_ffff).expect("32 bits");
        match token.0 >> 56 {
            1 => Name::Conn(index, u32::try_from(token.0 >> 32 & 0xff_ffff).expect("24 bits")),
            2 => Name::Listener(index),
            3 => Name::Control,
            4 => Name::Life,
            5 => Name::Replies,
            6 => Name::Log,
            _ => Name::Relay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_what_it_was_made_from() {
        for name in [
            Name::Conn(7, 0xff_fffe),
            Name::Conn(0xffff_fffe, 1),
            Name::Listener(3),
            Name::Control,
            Name::Life,
            Name::Replies,
            Name::Log,
            Name::Relay,
        ] {
            assert_eq!(Name::of(name.token()), name);
        }
    }
}
