//! A request on its way: parsed head, body so far, response so far, times. One box a request, reused; it belongs
//! to the ring thread, travels to an interpreter thread and comes back, so nobody ever shares it.

use std::fs::File;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use super::allowance::Granted;
use super::channel::Channel;
use super::direct::Sent;
use super::filter::Filter;
use crate::base::clock::{Micros, Millis};
use crate::engine::{Chunk, Loan, Token};
use crate::plugin::host::{Exchange, Outcome};
use crate::proto::Decoder;
use crate::proto::head::BodyOut;
use crate::proto::http::Pieces;
use crate::request::Request;
use crate::routes::Notes;

/// A job and the plugin's view of it.
pub type Parcel = Box<Exchange<Job, Pending>>;

/// A new one, for any request.
pub fn blank() -> Parcel {
    Box::new(Exchange::new(Job::default(), Pending::default()))
}

/// See the module's page.
#[derive(Debug, Default)]
pub struct Job {
    /// The connection it came by.
    pub token: Option<Token>,
    /// Number of the listening socket.
    pub listener: usize,
    /// The parsed head.
    pub request: Request,
    /// The pooled buffer the head lies in…
    pub chunk: Option<Chunk>,
    /// …or the head, when it came in pieces.
    pub head: Vec<u8>,
    /// How far it was looked at then.
    pub pieces: Pieces,
    /// Length of the whole body; grows while chunks are decoded.
    pub body_len: u64,
    /// Where the body lies when it came whole behind the head.
    pub body_in_head: bool,
    /// The body, or what has come of it, otherwise.
    pub body: Vec<u8>,
    /// Memory for a large one.
    pub granted: Option<Granted>,
    /// The file a large body is kept in.
    pub spool: Option<Spool>,
    /// Takes a body apart that comes in chunks or records.
    pub decoder: Option<Decoder>,
    /// How far the response is.
    pub stage: Stage,
    /// Framed response bytes: all of them, unless there is a channel.
    pub out: Vec<u8>,
    /// What follows them: the rest of a large body, from where it lies.
    pub rest: Option<Loan>,
    /// The response's, when it is produced piece by piece.
    pub channel: Option<Arc<Channel>>,
    /// What the body goes through before it is framed.
    pub filter: Option<Filter>,
    /// Status of the response.
    pub status: u16,
    /// Fields in its head.
    pub field_count: u32,
    /// Bytes of its head.
    pub head_sent: u64,
    /// Bytes of its body.
    pub body_sent: u64,
    /// It waits since then: for its body, then for an interpreter thread.
    pub since: Millis,
    /// It began to come.
    pub arrived: Micros,
    /// Microseconds before that: in the line of the listening socket, or on its way from a front end.
    pub ahead_us: u64,
    /// All of it was there that was to be waited for.
    pub ready: Micros,
    /// An interpreter thread took it.
    pub started: Micros,
    /// It was finished.
    pub finished: Micros,
    /// Which thread.
    pub thread: u32,
    /// Number of the request on it.
    pub serial: u64,
    /// How the application fared.
    pub outcome: Outcome,
    /// Which application.
    pub app: u32,
    /// What routes and header options noted.
    pub notes: Notes,
    /// `uwsgi.set_logvar`.
    pub logvars: Vec<(Vec<u8>, Vec<u8>)>,
    /// How the body was sent, for the request line.
    pub via_sendfile: bool,
    /// The connection may carry another request.
    pub keep_alive: bool,
    /// The application made a piece of the response then.
    pub streamed: Micros,
    /// The connection itself, for an answer sent by the interpreter thread.
    pub lent: Option<RawFd>,
    /// It is closed, and its number may be another's already.
    pub closed: bool,
    /// It came by way of the circle.
    pub seated: bool,
    /// The interpreter thread answers, nobody else does.
    pub claimed: bool,
    /// Its answer is with those that are held.
    pub held: bool,
    /// What became of that.
    pub sent: Sent,
}

/// A body that is still to come when the application is called. Shared with threads the application may read it in.
#[derive(Debug, Default)]
pub struct Pending {
    /// The connection it comes by.
    pub token: Option<Token>,
    /// Bytes the application may still ask for.
    pub left: AtomicU64,
    /// What it comes through, once it was asked for.
    pub channel: OnceLock<Arc<Channel>>,
}

/// How far a response is.
#[derive(Debug, Default)]
pub enum Stage {
    /// Nothing yet.
    #[default]
    Fresh,
    /// The head is written; this frames the body.
    Started(BodyOut),
    /// It cannot be completed: the connection must not carry on as if it were.
    Broken,
}

/// A request body in an unlinked temporary file.
#[derive(Debug)]
pub struct Spool {
    /// Open for reading and writing.
    pub file: Arc<File>,
    /// Bytes written.
    pub written: u64,
}

/// Empties a job in its place, field by field: it is a kilobyte, and another one moved here would be several copies of that.
/// All fields are named, so that none can be forgotten.
macro_rules! empty {
    ($job:expr; keeps $($kept:ident)+; forgets $($field:ident)+) => {{
        let Job { $($kept,)+ $($field,)+ } = $job;
        $($kept.clear();)+
        $(*$field = Default::default();)+
    }};
}

impl Job {
    /// All that was received, of a request that somebody else goes on with: its head, and what is here of its body.
    pub fn take_received(&mut self) -> Vec<u8> {
        let mut received = std::mem::take(&mut self.head);
        received.append(&mut self.body);
        received
    }

    /// Ready for the next request, keeping allocations of ordinary size.
    pub fn clear(&mut self) {
        for buffer in [&mut self.head, &mut self.body, &mut self.out] {
            reset(buffer);
        }
        empty! { self;
            keeps request head body out logvars notes;
            forgets token listener chunk pieces body_len body_in_head granted spool decoder stage rest channel filter status
                field_count head_sent body_sent since arrived ahead_us ready started finished thread serial outcome app
                via_sendfile keep_alive streamed lent closed seated claimed held sent
        }
    }
}

/// Empties a buffer, and gives an unusually large one back to the allocator.
pub fn reset(buffer: &mut Vec<u8>) {
    /// One large request must not hold memory for ever.
    const KEPT_BYTES_MAX: usize = 32 * 1024;
    if buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}
