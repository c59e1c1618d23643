//! The request that an interpreter thread is working on, and how far its response has come.
//!
//! ```text
//!  Idle -begin-> Waiting -start_response-> Ready -first bytes-> Sent -> finish -> Idle
//!                                             +------- client gone: Gone --------^
//! ```
//!
//! One for each thread: `start_response` and the `uwsgi` module find theirs here.

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use uwring_abi::{OK, PROTOCOL_HTTP, ResponseHead, Slice, WHOLE_MAX};

use crate::file_wrapper::Extent;
use crate::host::Request;

thread_local! {
    static CURRENT: RefCell<Exchange> = const { RefCell::new(Exchange::new()) };
}

/// How far the response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// No request.
    Idle,
    /// `start_response` was not called.
    Waiting,
    /// It was; nothing is sent.
    Ready,
    /// The head is on its way.
    Sent,
    /// Nobody listens any more.
    Gone,
}

/// The address of the object that a request's `start_response` and `write` carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub usize);

impl Ticket {
    /// Nobody's.
    pub const NONE: Ticket = Ticket(0);
}

/// Whether to go on with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// There is somebody who wants more.
    Open,
    /// There is not: the client left, asked for the head only, or has all that `Content-Length` promised.
    Done,
}

/// Status and fields, checked and in wire form.
#[derive(Debug)]
pub struct Head {
    /// Three digits.
    pub status: u16,
    /// `200 OK`.
    pub line: Vec<u8>,
    /// `Name: value CRLF`, each.
    pub fields: Vec<u8>,
    /// How many.
    pub field_count: u32,
    /// `HEAD_*`.
    pub flags: u32,
    /// `Content-Length`.
    pub content_length: Option<u64>,
}

impl Head {
    const fn new() -> Head {
        Head {
            status: 0,
            line: Vec::new(),
            fields: Vec::new(),
            field_count: 0,
            flags: 0,
            content_length: None,
        }
    }

    /// For the next response; the room is kept.
    pub fn clear(&mut self) {
        self.line.clear();
        self.fields.clear();
        self.status = 0;
        self.field_count = 0;
        self.flags = 0;
        self.content_length = None;
    }

    /// Adds a checked field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.fields.extend_from_slice(name);
        self.fields.extend_from_slice(b": ");
        self.fields.extend_from_slice(value);
        self.fields.extend_from_slice(b"\r\n");
        self.field_count += 1;
    }

    fn lend(&self) -> ResponseHead {
        ResponseHead {
            status: self.status,
            field_count: self.field_count,
            flags: self.flags,
            status_line: Slice::new(&self.line),
            fields: Slice::new(&self.fields),
            content_length: self.content_length.and_then(|len| i64::try_from(len).ok()).unwrap_or(-1),
        }
    }
}

/// See the module.
pub struct Exchange {
    request: Option<Request>,
    /// How far the response has come.
    pub phase: Phase,
    /// What `start_response` was told.
    pub head: Head,
    /// The method is HEAD: no body is wanted.
    head_only: bool,
    /// Who may work on it.
    pub ticket: Ticket,
    /// What `start_response` returns.
    pub write: Option<Py<PyAny>>,
    /// Bytes of the body so far (`uwsgi.logsize` and friends).
    pub body_bytes: u64,
    /// Requests of this thread (`uwsgi.request_id`).
    pub count: u64,
    /// `uwsgi.env`.
    environ: Option<Py<PyDict>>,
    /// `uwsgi.set_logvar`'s, for `get_logvar`: the host has its own copy.
    logvars: Vec<(Vec<u8>, Vec<u8>)>,
}

/// `uwsgi.env`: the environ of this thread's request.
pub fn environ(py: Python<'_>) -> Option<Py<PyDict>> {
    with(|exchange| exchange.environ.as_ref().map(|environ| environ.clone_ref(py))).flatten()
}

/// Sets it, for the time of the request. The old one is dropped outside: destructors may call us.
pub fn set_environ(environ: Option<Py<PyDict>>) {
    let before = with(|exchange| std::mem::replace(&mut exchange.environ, environ));
    drop(before);
}

/// Works on this thread's exchange. `None` where it is being worked on already, which only a destructor that
/// runs inside of `start_response` can see.
pub fn with<R>(work: impl FnOnce(&mut Exchange) -> R) -> Option<R> {
    CURRENT.with(|current| current.try_borrow_mut().ok().map(|mut exchange| work(&mut exchange)))
}

impl Exchange {
    const fn new() -> Exchange {
        Exchange {
            request: None,
            phase: Phase::Idle,
            head: Head::new(),
            head_only: false,
            ticket: Ticket::NONE,
            write: None,
            body_bytes: 0,
            count: 0,
            environ: None,
            logvars: Vec::new(),
        }
    }

    /// A new request.
    pub fn begin(&mut self, request: Request, head_only: bool, ticket: Ticket, write: Py<PyAny>) {
        self.ticket = ticket;
        self.write = Some(write);
        self.request = Some(request);
        self.phase = Phase::Waiting;
        self.head_only = head_only;
        self.body_bytes = 0;
        self.count += 1;
        self.logvars.clear();
    }

    /// Sets a variable of the request's log line.
    pub fn set_logvar(&mut self, name: Vec<u8>, value: Vec<u8>) {
        if let Some(request) = &self.request {
            request.set_logvar(&name, &value);
        }
        self.logvars.retain(|(known, _)| *known != name);
        self.logvars.push((name, value));
    }

    /// One that was set.
    pub fn logvar(&self, name: &[u8]) -> Option<&[u8]> {
        self.logvars.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }

    /// The request, while there is one.
    pub fn request(&self) -> Option<&Request> {
        self.request.as_ref()
    }

    /// Whether the client wants no body.
    pub fn head_only(&self) -> bool {
        self.head_only
    }

    /// Sends the head where it was not yet, and `bytes` of the body; with `last` they are all of it.
    pub fn send(&mut self, py: Python<'_>, bytes: &[u8], last: bool) -> Sending {
        self.send_of(py, bytes, None, last)
    }

    /// The same. `owner`: what the bytes belong to.
    pub fn send_of(
        &mut self,
        py: Python<'_>,
        bytes: &[u8],
        owner: Option<&Bound<'_, PyBytes>>,
        last: bool,
    ) -> Sending {
        let Some(request) = self.request.as_ref() else { return Sending::Done };
        let code = match self.phase {
            Phase::Ready => match request.respond(&self.head.lend(), bytes, owner, last) {
                // The host takes the rest of a large one as fast as the client does.
                OK if last && bytes.len() > WHOLE_MAX => request.write(py, &bytes[WHOLE_MAX..]),
                code => code,
            },
            Phase::Sent if bytes.is_empty() => OK,
            Phase::Sent => request.write(py, bytes),
            Phase::Idle | Phase::Waiting | Phase::Gone => return Sending::Done,
        };
        self.after(code, bytes.len() as u64)
    }

    /// The head where it was not sent yet, and a part of a file, no longer than the application promised. With `whole` it
    /// is all of the body.
    pub fn send_file(&mut self, py: Python<'_>, extent: Extent, whole: bool) -> Sending {
        let Some(request) = self.request.as_ref() else { return Sending::Done };
        let len = self.head.content_length.map_or(extent.len, |promised| promised.min(extent.len));
        if self.phase == Phase::Ready {
            // The length is known, so an HTTP connection need not end (or be chunked) to show it.
            if whole && self.head.content_length.is_none() && request.protocol() == PROTOCOL_HTTP {
                self.head.content_length = Some(len);
                let text = len.to_string();
                self.head.push(b"Content-Length", text.as_bytes());
            }
            let code = request.respond(&self.head.lend(), &[], None, whole && len == 0 && !self.head_only);
            if code != OK || self.head_only || len == 0 {
                return self.after(code, 0);
            }
        }
        let code = request.send_file(py, extent.fd, extent.offset, len);
        self.after(code, len)
    }

    fn after(&mut self, code: i32, bytes: u64) -> Sending {
        if code != OK {
            self.phase = Phase::Gone;
            return Sending::Done;
        }
        self.phase = Phase::Sent;
        self.body_bytes += bytes;
        let bodiless = self.head_only || matches!(self.head.status, 100..=199 | 204 | 304);
        // One byte too many, not the last one: what an application does after its last item shall happen.
        let too_much = self.head.content_length.is_some_and(|promised| self.body_bytes > promised);
        if bodiless || too_much { Sending::Done } else { Sending::Open }
    }

    /// Gives the request back.
    pub fn finish(&mut self, outcome: u32) {
        self.phase = Phase::Idle;
        self.ticket = Ticket::NONE;
        self.write = None;
        if let Some(request) = self.request.take() {
            request.finish(outcome);
        }
    }
}
