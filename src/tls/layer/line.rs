//! One connection to a TLS socket: what the caller has asked for, and what is under way below.

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::sync::Arc;

use super::super::session::{Fault, PIECE_BYTES, Session};
use super::super::shop::Shop;
use crate::engine::{Notice, Payload, Token};
use crate::sys::{net, page_cache};

/// What of a file is read ahead, bytes.
const AHEAD_BYTES: u64 = 1 << 20;

/// What the caller waits for.
pub enum Asked {
    /// Nothing.
    Nothing,
    /// Bytes in a buffer of ours.
    Chunk(Token),
    /// Bytes in its own.
    Filled { token: Token, buffer: Vec<u8>, max: usize },
}

/// What the caller sends.
pub struct Outgoing {
    pub token: Token,
    pub source: Source,
    /// The connection ends with it.
    pub closing: Option<OwnedFd>,
    pub notice: Notice,
}

/// Where it comes from, and how much of it has been encrypted.
pub enum Source {
    Bytes { buffer: Payload, at: usize },
    File { file: Arc<OwnedFd>, offset: u64, left: u64 },
}

impl Outgoing {
    /// Whether all of it has been encrypted.
    pub fn is_over(&self) -> bool {
        match &self.source {
            Source::Bytes { buffer, at } => *at == buffer.len(),
            Source::File { left, .. } => *left == 0,
        }
    }

    /// Encrypts the next piece.
    fn encrypt(&mut self, session: &mut Session) -> io::Result<()> {
        let went = match &mut self.source {
            Source::Bytes { buffer, at } => {
                let piece = &buffer[*at..buffer.len().min(*at + PIECE_BYTES)];
                *at += piece.len();
                session.write(piece)
            }
            Source::File { left: 0, .. } => true,
            Source::File { file, offset, left } => {
                let mut piece = vec![0; usize::try_from(*left).unwrap_or(usize::MAX).min(PIECE_BYTES)];
                if *offset % AHEAD_BYTES < PIECE_BYTES as u64 {
                    page_cache::read_ahead(file, *offset, (*left).min(2 * AHEAD_BYTES));
                }
                let n = net::read_at(file.as_fd(), &mut piece, *offset)?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                (*offset, *left) = (*offset + n as u64, *left - n as u64);
                session.write(&piece[..n])
            }
        };
        if went { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) }
    }
}

/// See the module's page.
pub struct Line {
    /// The connection. It is the caller's, or that of `parting`.
    pub fd: RawFd,
    pub session: Session,
    pub asked: Asked,
    pub outgoing: Option<Outgoing>,
    /// A receive is under way below.
    pub receiving: bool,
    /// A send is…
    pub sending: bool,
    /// …and its event may come late.
    pub lazy: bool,
    /// The engine below has it, to close it after that send.
    pub closed: bool,
    /// The caller has given it up.
    pub parting: Option<OwnedFd>,
    /// Nothing more is received, and why.
    end: Option<Result<(), (io::ErrorKind, String)>>,
}

impl Line {
    pub fn new(fd: RawFd, shop: Arc<Shop>, number: usize) -> Line {
        Line {
            fd,
            session: Session::new(shop, number),
            asked: Asked::Nothing,
            outgoing: None,
            receiving: false,
            sending: false,
            lazy: false,
            closed: false,
            parting: None,
            end: None,
        }
    }

    /// Takes what was received.
    pub fn take(&mut self, bytes: &[u8]) {
        let fault = match self.session.receive(bytes) {
            Ok(()) => return,
            Err(fault) => fault,
        };
        if !self.sending {
            self.flush();
        }
        self.end = Some(Err(match fault {
            Fault::Plain => (io::ErrorKind::Unsupported, "plain HTTP on a socket for HTTPS".to_owned()),
            Fault::Broken(why) => (io::ErrorKind::InvalidData, format!("TLS: {why}")),
        }));
    }

    /// Nothing more comes.
    pub fn come_to_end(&mut self, how: io::Result<()>) {
        self.end.get_or_insert(how.map_err(|error| (error.kind(), error.to_string())));
    }

    /// Whether nothing more comes, and why. (The reason is told once.)
    pub fn over(&mut self) -> Option<io::Result<()>> {
        match &self.end {
            Some(Err((kind, why))) => {
                let error = io::Error::new(*kind, why.clone());
                // Who speaks plain HTTP is answered, and what it still sends is thrown away.
                self.end = (*kind != io::ErrorKind::Unsupported).then_some(Ok(()));
                Some(Err(error))
            }
            Some(Ok(())) => Some(Ok(())),
            None => self.session.has_ended().then_some(Ok(())),
        }
    }

    /// Puts the next piece of what is to be sent into `cipher`.
    pub fn prepare(&mut self, cipher: &mut Vec<u8>) -> io::Result<()> {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.encrypt(&mut self.session)?;
            if outgoing.is_over() && outgoing.closing.is_some() {
                self.session.end();
            }
        }
        self.session.take_out(cipher);
        Ok(())
    }

    /// Tells the client that nothing more comes, if that can be said now.
    pub fn say_end(&mut self) {
        // A send of which nobody hears at once is small, and out.
        let out = !self.sending || self.lazy;
        if out && !self.closed {
            self.session.end();
            self.flush();
        }
    }

    /// Sends what the session itself has to say, where nobody waits until it is out: the last words of a connection.
    fn flush(&mut self) {
        let mut cipher = Vec::new();
        self.session.take_out(&mut cipher);
        if !cipher.is_empty() {
            // So little fits, or the client does not read, and will not hear.
            let _ = net::send_now(self.fd, &cipher);
        }
    }
}
