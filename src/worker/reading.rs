//! From received bytes to a request that is handed over: head, body in memory or in a file, refusals.

use std::io;

use super::connection::{After, Conn, Reading, Writing};
use super::job::{Job, Parcel};
use super::queue::POOLED_HEADS_MAX;
use super::ring_thread::Ring;
use crate::base::clock::Micros;
use crate::base::errors;
use crate::base::limits;
use crate::base::protocol::SocketProtocol;
use crate::engine::{Chunk, Reactor, Token};
use crate::options::settings::{Cover, Requests};
use crate::plugin::host::View;
use crate::proto::http::{Peer, Site};
use crate::proto::{self, Decoder, Error, Limits, Step};
use crate::request::{Body, Version};
use crate::sys::net;

impl<R: Reactor> Ring<R> {
    pub(super) fn received(&mut self, token: Token, result: io::Result<Option<Chunk>>) {
        let Some(conn) = self.conn(token) else {
            if let Ok(Some(chunk)) = result {
                self.engine.release(chunk);
            }
            return;
        };
        conn.receiving = false;
        let chunk = match result {
            Ok(Some(chunk)) => chunk,
            Ok(None) => return self.hung_up(token),
            Err(error) => return self.not_received(token, &error),
        };
        match (conn.reading, conn.writing) {
            (Reading::Head, Writing::Idle) => self.feed(token, chunk),
            (Reading::Head | Reading::Dispatched, _) => {
                conn.pending = Some(chunk);
                self.held.push(token);
            }
            (Reading::Body, _) => self.feed_chunked(token, chunk),
            (Reading::Drain, _) => self.discard(token, chunk),
            (Reading::Closing, _) => {
                self.engine.release(chunk);
                self.remove(token);
            }
        }
    }

    /// The connection is broken, or what came on it is not what is spoken there.
    #[cold]
    fn not_received(&mut self, token: Token, error: &io::Error) {
        let status = match error.kind() {
            io::ErrorKind::InvalidData => None,
            io::ErrorKind::Unsupported => Some(400),
            _ => return self.hung_up(token),
        };
        self.refuse(token, &Error { status, reason: error.to_string() });
    }

    /// The client has closed its side, or the connection is broken.
    fn hung_up(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        match (conn.reading, conn.writing) {
            // A response is still on its way out: its end closes the connection.
            (Reading::Head, Writing::Whole) => conn.after = After::Close,
            _ => self.close(token),
        }
    }

    /// What came while a response is on its way out is kept in the pool's buffer until the end of the turn, for most
    /// responses are out by then. Beyond, it is copied: a client that does not read must not hold one of the buffers
    /// that all connections receive into.
    pub(super) fn unhold(&mut self) {
        while let Some(token) = self.held.pop() {
            let Some(chunk) = self.conn(token).and_then(|conn| conn.pending.take()) else { continue };
            let bytes = self.engine.bytes(&chunk).to_vec();
            self.engine.release(chunk);
            if let Some(conn) = self.conn(token) {
                conn.leftover.extend_from_slice(&bytes);
            }
        }
    }

    /// Bytes of a head.
    pub(super) fn feed(&mut self, token: Token, chunk: Chunk) {
        if !self.know_peer(token) {
            return self.feed_preface(token, chunk);
        }
        let begun = self.conn(token).and_then(|conn| conn.job.take());
        let first = begun.is_none();
        let mut parcel = begun.unwrap_or_else(|| self.fresh_job());
        let job = &mut parcel.job;
        let step = if job.head.is_empty() {
            let step = self.parse(token, self.engine.bytes(&chunk), job);
            match step {
                Ok(Step::NeedMore) => {
                    job.head.extend_from_slice(self.engine.bytes(&chunk));
                    self.engine.release(chunk);
                }
                _ => job.chunk = Some(chunk),
            }
            step
        } else {
            let bytes = self.engine.bytes(&chunk);
            // A head ends with a line end. Looked at again for every byte of a dripped one, it would cost its square.
            let grown = job.head.len() + bytes.len();
            let may_end = !self.is_http(token, &job.head) || bytes.contains(&b'\n');
            job.head.extend_from_slice(bytes);
            self.engine.release(chunk);
            if may_end || grown > self.plan.settings.request.buffer_size as usize {
                self.reparse(token, job)
            } else {
                Ok(Step::NeedMore)
            }
        };
        self.after_parse(token, parcel, step, first);
    }

    /// HTTP requests carry their client's address in the environ; a front end's uwsgi packet brings it along. Whether
    /// requests may follow: a proxy's preface has been read, if there may be one.
    fn know_peer(&mut self, token: Token) -> bool {
        let Some(conn) = self.conn(token) else { return true };
        let (listener, introduced) = (conn.listener, conn.introduced);
        if self.doors.door(listener).listener.protocol.may_be_http()
            && let Some(conn) = self.conn(token)
        {
            conn.peer();
        }
        introduced
    }

    /// Bytes that came behind the last request.
    pub(super) fn feed_leftover(&mut self, token: Token) {
        let mut parcel = self.fresh_job();
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        std::mem::swap(&mut parcel.job.head, &mut conn.leftover);
        conn.leftover.clear();
        self.feed_copied(token, parcel);
    }

    /// The first bytes of a request, in the job itself.
    fn feed_copied(&mut self, token: Token, mut parcel: Parcel) {
        let step = self.reparse(token, &mut parcel.job);
        self.after_parse(token, parcel, step, true);
    }

    /// Who comes while nothing else is to be done most often brings the request along: to look at once spares a turn of
    /// the loop. Where several come, one system call receives from all of them. `false`: nothing is there yet.
    pub(super) fn receive_at_once(&mut self, token: Token) -> bool {
        let busy = self.in_flight + self.backlog.len() + self.newcomers > 0;
        let Some(conn) = self.conn(token).filter(|conn| !busy && conn.introduced) else { return false };
        let Some(fd) = conn.raw().filter(|fd| self.engine.is_open_to_all(*fd)) else { return false };
        let mut parcel = self.fresh_job();
        // Whatever else there is to be known is told by the receive that follows.
        if !matches!(net::append_now(fd, &mut parcel.job.head, limits::POOL_BUFFER_BYTES), Ok(1..)) {
            self.retire(parcel);
            return false;
        }
        self.feed_first(token, parcel);
        true
    }

    /// The first bytes of a connection, received elsewhere.
    pub(super) fn feed_read(&mut self, token: Token, read: Vec<u8>) {
        let mut parcel = self.fresh_job();
        parcel.job.head = read;
        self.feed_first(token, parcel);
    }

    /// The first bytes of a connection, in the job itself.
    fn feed_first(&mut self, token: Token, parcel: Parcel) {
        self.know_peer(token);
        self.feed_copied(token, parcel);
        self.recount(token);
    }

    fn reparse(&self, token: Token, job: &mut Job) -> Result<Step, Error> {
        self.heads(token).map_or(Ok(Step::NeedMore), |heads| heads.reparse(job))
    }

    /// `first`: these are the first bytes of a head.
    fn after_parse(&mut self, token: Token, parcel: Parcel, step: Result<Step, Error>, first: bool) {
        match step {
            Ok(Step::Head) => self.head_complete(token, parcel),
            Ok(Step::NeedMore) => {
                let patience = self.plan.settings.request.header_timeout_ms;
                let (now, deadline) = (self.now, self.now.millis().after(patience));
                let Some(conn) = self.conn(token) else { return self.retire(parcel) };
                if first && conn.served > 0 {
                    conn.arrived = now;
                    // The time for a head runs from its first byte; for the first one, from the accept.
                    conn.deadline = Some(deadline);
                }
                conn.job = Some(parcel);
                self.receive_head(token);
            }
            Err(error) => self.refuse_job(token, parcel, &error),
        }
    }

    /// Receives (more of) a head.
    pub(super) fn receive_head(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        let Some(fd) = conn.raw() else { return };
        conn.receiving = true;
        self.engine.recv(fd, token);
        self.fresh.push(token);
    }

    fn head_complete(&mut self, token: Token, mut parcel: Parcel) {
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        conn.deadline = None;
        conn.served += 1;
        conn.record_id = parcel.job.request.record_id;
        let (listener, served) = (conn.listener, conn.served);
        let arrived = std::mem::take(&mut conn.arrived);
        let line_ms = std::mem::take(&mut conn.line_ms);
        let told = conn.raw().and_then(|fd| self.engine.told(fd));
        for (name, value) in told.unwrap_or_default() {
            parcel.job.request.set(name.as_bytes(), value);
        }
        let limits = &self.plan.settings.request;
        let job = &mut parcel.job;
        job.token = Some(token);
        job.listener = listener;
        job.since = self.now.millis();
        job.arrived = if arrived == Micros(0) { self.now } else { arrived };
        job.ahead_us = u64::from(line_ms) * 1000;
        let leaves = self.plan.area.is_draining();
        if leaves || limits.keepalive_ms == 0 || (1..=served).contains(&limits.keepalive_requests) {
            job.request.keep_alive = false;
        }
        let limit = limits.limit_post;
        if let Cover::ToHttps(port) = self.doors.door(listener).listener.cover {
            return self.send_on(token, parcel, port);
        }
        if limits.tracing {
            self.identify(token, &mut parcel);
        }
        if !self.plan.settings.request.trusted_proxies.is_empty() {
            self.weigh_claims(&mut parcel);
        }
        match parcel.job.request.body {
            Body::None => {
                self.keep_leftover(token, &parcel.job, 0);
                self.dispatch(token, parcel);
            }
            Body::Sized(len) | Body::Records(Some(len)) if limit > 0 && len > limit => {
                let reason =
                    format!("a body of {len} bytes, more than limit-post {limit} {}", errors::BODY_TOO_LARGE);
                self.refuse_job(token, parcel, &Error::new(413, reason));
            }
            Body::Sized(len) => self.sized_body(token, parcel, len),
            Body::Chunked | Body::Records(_) => {
                parcel.job.decoder = Some(Decoder::new(&parcel.job.request));
                let rest = self.behind_head(&parcel.job).to_vec();
                self.own_head(&mut parcel);
                if rest.is_empty() {
                    self.welcome_body(token, &parcel);
                }
                self.decode(token, parcel, &rest);
            }
        }
    }

    /// Copies the head out of the pool's buffer, for a request that is going to wait: a slow client must not hold one
    /// of the buffers that all connections receive into.
    pub(super) fn own_head(&mut self, parcel: &mut Parcel) {
        let job = &mut parcel.job;
        if let Some(chunk) = job.chunk.take() {
            job.head.extend_from_slice(self.engine.bytes(&chunk));
            self.engine.release(chunk);
        }
    }

    /// What was received with the head and does not belong to it.
    pub(super) fn behind_head<'a>(&'a self, job: &'a Job) -> &'a [u8] {
        &self.head_bytes(job)[job.request.head_bytes..]
    }

    /// The received bytes a job's head lies in.
    pub(super) fn head_bytes<'a>(&'a self, job: &'a Job) -> &'a [u8] {
        job.chunk.as_ref().map_or(&job.head, |chunk| self.engine.bytes(chunk))
    }

    /// Keeps what comes `body` bytes behind the head for the next request.
    pub(super) fn keep_leftover(&mut self, token: Token, job: &Job, body: usize) {
        let behind = self.behind_head(job);
        if behind.len() > body && job.request.version != Version::Uwsgi {
            let rest = behind[body..].to_vec();
            if let Some(conn) = self.conn(token) {
                conn.leftover = rest;
            }
        }
    }

    /// Hands a complete request to the interpreter.
    pub(super) fn dispatch(&mut self, token: Token, mut parcel: Parcel) {
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        conn.reading = Reading::Dispatched;
        conn.deadline = None;
        conn.finished = false;
        conn.input = None;
        conn.output = None;
        if self.in_flight + self.backlog.len() >= POOLED_HEADS_MAX {
            self.own_head(&mut parcel);
        }
        if self.plan.settings.monitor.health_checks {
            let Some(passed) = self.by_health(parcel) else { return };
            parcel = passed;
        }
        if let Some(rules) = &self.desk.rules {
            let Some(passed) = self.by_rules(rules, parcel) else { return };
            parcel = passed;
        }
        self.show(&mut parcel);
        self.enqueue(parcel);
    }

    /// Fills in what the plugin sees.
    fn show(&self, parcel: &mut Parcel) {
        let fixed = self.desk.site(parcel.job.listener).text();
        let engine = &self.engine;
        parcel.lend(|job| {
            let head = job.chunk.as_ref().map_or(job.head.as_slice(), |chunk| engine.bytes(chunk));
            view(job, head, fixed)
        });
    }

    /// Whether the request that begins with these bytes is HTTP.
    fn is_http(&self, token: Token, data: &[u8]) -> bool {
        let super::connection::Name::Conn(index, _) = super::connection::Name::of(token) else {
            return false;
        };
        let listener = self.conns.get(index).map(|conn| conn.listener);
        listener.is_some_and(|n| proto::is_http(self.doors.door(n).listener.protocol, data))
    }

    fn parse(&self, token: Token, data: &[u8], job: &mut Job) -> Result<Step, Error> {
        self.heads(token).map_or(Ok(Step::NeedMore), |heads| heads.parse(data, job))
    }

    fn heads(&self, token: Token) -> Option<Heads<'_>> {
        let super::connection::Name::Conn(index, _) = super::connection::Name::of(token) else { return None };
        let conn: &Conn = &self.conns[index];
        let door = self.doors.door(conn.listener);
        Some(Heads {
            settings: &self.plan.settings.request,
            protocol: door.listener.protocol,
            site: self.desk.site(conn.listener),
            peer: conn.peer.as_deref(),
        })
    }
}

/// What there is to know to read a head.
pub struct Heads<'a> {
    pub settings: &'a Requests,
    pub protocol: SocketProtocol,
    pub site: &'a Site,
    /// The client, if it is known already: what is HTTP needs it.
    pub peer: Option<&'a Peer>,
}

impl Heads<'_> {
    /// Reads a head that lies in the job itself.
    pub fn reparse(&self, job: &mut Job) -> Result<Step, Error> {
        let head = std::mem::take(&mut job.head);
        let step = self.parse(&head, job);
        job.head = head;
        step
    }

    /// Reads a head, so far as it is here.
    pub fn parse(&self, data: &[u8], job: &mut Job) -> Result<Step, Error> {
        let limits = Limits { head_bytes: self.settings.buffer_size as usize, ..Limits::default() };
        if !proto::is_http(self.protocol, data) {
            return proto::parse(self.protocol, data, &limits, &mut job.request);
        }
        let Some(peer) = self.peer else { return Ok(Step::NeedMore) };
        if !job.pieces.worth_a_look(data, limits.head_bytes) {
            return Ok(Step::NeedMore);
        }
        proto::http::parse(data, &limits, self.site, peer, &mut job.request)
    }
}

/// What the plugin sees of a request whose head lies in `head`.
pub fn view<'a>(job: &'a Job, head: &'a [u8], fixed: &'a [u8]) -> View<'a> {
    let request = &job.request;
    let body = if job.body_in_head {
        let end = head.len().min(request.head_bytes + usize::try_from(job.body_len).unwrap_or(usize::MAX));
        &head[request.head_bytes..end]
    } else {
        &job.body
    };
    let scheme: &[u8] = match request.bytes(request.scheme, head, fixed) {
        [] if request.https => b"https",
        [] => b"http",
        scheme => scheme,
    };
    View {
        areas: [head, &request.derived, fixed],
        vars: &request.vars,
        listener: u32::try_from(job.listener).expect("few sockets"),
        protocol: u8::from(request.version != Version::Uwsgi),
        body_fd: job.spool.as_ref().map(|s| std::os::fd::AsRawFd::as_raw_fd(&*s.file)),
        scheme,
        body_len: job.body_len,
        body,
    }
}
