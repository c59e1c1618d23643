//! From received bytes to a request that is handed over: head, body in memory or in a file, refusals.

use std::io;
use std::sync::Arc;

use super::channel::End;
use super::connection::{After, Conn, Reading, Writing};
use super::job::{Job, Parcel, Pending, Spool};
use super::ring_thread::Ring;
use crate::base::limits;
use crate::engine::{Chunk, Notice, Reactor, Then, Token};
use crate::options::settings::SocketProtocol;
use crate::plugin::host::View;
use crate::proto::chunked::Decoder;
use crate::proto::{self, Error, Limits, Step};
use crate::request::{Body, Version};

/// Body bytes received, or written to a spool file, at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Where a request's body goes before the application sees it.
enum Keep {
    /// It is all here.
    InHead,
    /// Into memory.
    Memory,
    /// Into a temporary file.
    File,
    /// Nowhere: the application reads it from the connection.
    Stream,
}

impl<R: Reactor> Ring<R> {
    pub(super) fn received(&mut self, token: Token, result: io::Result<Option<Chunk>>) {
        let Some(conn) = self.conn(token) else {
            if let Ok(Some(chunk)) = result {
                self.engine.release(chunk);
            }
            return;
        };
        conn.receiving = false;
        let Ok(Some(chunk)) = result else { return self.hung_up(token) };
        match (conn.reading, conn.writing) {
            (Reading::Head, Writing::Idle) => self.feed(token, chunk),
            (Reading::Head | Reading::Dispatched, _) => conn.pending = Some(chunk),
            (Reading::Body, _) => self.feed_chunked(token, chunk),
            (Reading::Drain, _) => self.discard(token, chunk),
            (Reading::Closing, _) => {
                self.engine.release(chunk);
                self.remove(token);
            }
        }
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

    /// Bytes of a head.
    pub(super) fn feed(&mut self, token: Token, chunk: Chunk) {
        self.know_peer(token);
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
            job.head.extend_from_slice(self.engine.bytes(&chunk));
            self.engine.release(chunk);
            self.reparse(token, job)
        };
        self.after_parse(token, parcel, step, first);
    }

    /// HTTP requests carry their client's address in the environ; a front end's uwsgi packet brings it along.
    fn know_peer(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        let listener = conn.listener;
        if self.doors.door(listener).listener.protocol != SocketProtocol::Uwsgi
            && let Some(conn) = self.conn(token)
        {
            conn.peer();
        }
    }

    /// Bytes that came behind the last request.
    pub(super) fn feed_leftover(&mut self, token: Token) {
        let mut parcel = self.fresh_job();
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        std::mem::swap(&mut parcel.job.head, &mut conn.leftover);
        conn.leftover.clear();
        let step = self.reparse(token, &mut parcel.job);
        self.after_parse(token, parcel, step, true);
    }

    fn reparse(&mut self, token: Token, job: &mut Job) -> Result<Step, Error> {
        let head = std::mem::take(&mut job.head);
        let step = self.parse(token, &head, job);
        job.head = head;
        step
    }

    /// `first`: these are the first bytes of a head.
    fn after_parse(&mut self, token: Token, parcel: Parcel, step: Result<Step, Error>, first: bool) {
        match step {
            Ok(Step::Head) => self.head_complete(token, parcel),
            Ok(Step::NeedMore) => {
                let patience = self.plan.settings.request.header_timeout_ms;
                let deadline = self.now.millis().after(patience);
                let Some(conn) = self.conn(token) else { return self.retire(parcel) };
                if first && conn.served > 0 {
                    // The time for a head runs from its first byte; for the first one, from the accept.
                    conn.deadline = Some(deadline);
                }
                conn.job = Some(parcel);
                self.receive_head(token);
            }
            Err(error) => {
                self.retire(parcel);
                self.refuse(token, &error);
            }
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
        let listener = conn.listener;
        let job = &mut parcel.job;
        job.token = Some(token);
        job.listener = listener;
        let limit = self.plan.settings.request.limit_post;
        match job.request.body {
            Body::None => {
                self.keep_leftover(token, &parcel.job, 0);
                self.dispatch(token, parcel);
            }
            Body::Sized(len) if limit > 0 && len > limit => {
                self.retire(parcel);
                let reason = format!("a body of {len} bytes, more than limit-post {limit}");
                self.refuse(token, &Error { status: Some(413), reason });
            }
            Body::Sized(len) => self.sized_body(token, parcel, len),
            Body::Chunked => {
                parcel.job.decoder = Some(Decoder::default());
                let rest = self.behind_head(&parcel.job).to_vec();
                if rest.is_empty() {
                    self.welcome_body(token, &parcel);
                }
                self.decode(token, parcel, &rest);
            }
        }
    }

    /// What was received with the head and does not belong to it.
    fn behind_head<'a>(&'a self, job: &'a Job) -> &'a [u8] {
        &self.head_bytes(job)[job.request.head_bytes..]
    }

    /// The received bytes a job's head lies in.
    pub(super) fn head_bytes<'a>(&'a self, job: &'a Job) -> &'a [u8] {
        job.chunk.as_ref().map_or(&job.head, |chunk| self.engine.bytes(chunk))
    }

    /// Keeps what comes `body` bytes behind the head for the next request.
    fn keep_leftover(&mut self, token: Token, job: &Job, body: usize) {
        let behind = self.behind_head(job);
        if behind.len() > body && job.request.version != Version::Uwsgi {
            let rest = behind[body..].to_vec();
            if let Some(conn) = self.conn(token) {
                conn.leftover = rest;
            }
        }
    }

    fn sized_body(&mut self, token: Token, mut parcel: Parcel, len: u64) {
        let here = self.behind_head(&parcel.job).len();
        parcel.job.body_len = len;
        match self.keep_where(&parcel.job, len, here) {
            Keep::InHead => {
                parcel.job.body_in_head = true;
                let len = usize::try_from(len).expect("no longer than what was received");
                self.keep_leftover(token, &parcel.job, len);
                self.dispatch(token, parcel);
            }
            Keep::Stream => {
                parcel.job.body_in_head = true;
                let left = len - here as u64;
                parcel.body = Pending { token: Some(token), left: left.into(), ..Pending::default() };
                if let Some(conn) = self.conn(token) {
                    conn.body_left = left;
                }
                if here == 0 {
                    self.welcome_body(token, &parcel);
                }
                self.dispatch(token, parcel);
            }
            keep => {
                if matches!(keep, Keep::File) && !self.open_spool(token, &mut parcel) {
                    return self.retire(parcel);
                }
                let mut body = std::mem::take(&mut parcel.job.body);
                body.extend_from_slice(self.behind_head(&parcel.job));
                parcel.job.body = body;
                if here == 0 {
                    self.welcome_body(token, &parcel);
                }
                self.receive_body(token, parcel);
            }
        }
    }

    fn keep_where(&self, job: &Job, len: u64, here: usize) -> Keep {
        if here as u64 >= len {
            return Keep::InHead;
        }
        let buffering = self.plan.settings.request.post_buffering;
        let faces_clients = self.doors.door(job.listener).listener.faces_clients;
        let http = job.request.version != Version::Uwsgi;
        if len <= limits::BODY_MEMORY_MAX.max(buffering) {
            Keep::Memory
        } else if buffering > 0 || faces_clients || http {
            Keep::File
        } else {
            Keep::Stream
        }
    }

    /// Tells a client that waits for it to go on (RFC 9110 §10.1.1).
    fn welcome_body(&mut self, token: Token, parcel: &Parcel) {
        if !parcel.job.request.expect_continue {
            return;
        }
        let mut text = self.spare();
        text.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        let Some(conn) = self.conn(token) else { return };
        let Some(fd) = conn.raw() else { return };
        conn.writing = Writing::Interim;
        self.engine.send(Then::Keep(fd), token, text, Notice::Lazy);
    }

    /// Receives the next piece of a sized body, or writes a full one to the spool, or hands the request over.
    fn receive_body(&mut self, token: Token, mut parcel: Parcel) {
        let job = &mut parcel.job;
        let spooled = job.spool.as_ref().map_or(0, |s| s.written);
        let left = job.body_len - spooled - job.body.len() as u64;
        if job.spool.is_some() && (left == 0 || job.body.len() >= PIECE_BYTES) && !job.body.is_empty() {
            return self.write_spool(token, parcel);
        }
        if left == 0 {
            return self.dispatch(token, parcel);
        }
        let buffer = std::mem::take(&mut job.body);
        let max = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        let deadline = self.patience();
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        let Some(fd) = conn.raw() else { return self.retire(parcel) };
        conn.reading = Reading::Body;
        conn.receiving = true;
        conn.deadline = Some(deadline);
        conn.job = Some(parcel);
        self.engine.recv_into(fd, token, buffer, max);
        self.fresh.push(token);
    }

    /// When a client that makes no progress is given up.
    pub(super) fn patience(&self) -> crate::base::clock::Millis {
        self.now.millis().after(self.plan.settings.request.socket_timeout_ms)
    }

    pub(super) fn filled(&mut self, token: Token, result: io::Result<usize>, buffer: Vec<u8>) {
        let Some(conn) = self.conn(token) else { return self.recycle(buffer) };
        conn.receiving = false;
        match (conn.reading, result) {
            (Reading::Body, Ok(n)) if n > 0 => {
                let Some(mut parcel) = conn.job.take() else { return self.close(token) };
                parcel.job.body = buffer;
                self.receive_body(token, parcel);
            }
            (Reading::Dispatched, result) => self.pass_body(token, result, buffer),
            (Reading::Drain, Ok(n)) if n > 0 => {
                conn.body_left = conn.body_left.saturating_sub(n as u64);
                self.recycle(buffer);
                self.drain(token);
            }
            _ => {
                self.recycle(buffer);
                self.close(token);
            }
        }
    }

    /// Body bytes the application waits for.
    fn pass_body(&mut self, token: Token, result: io::Result<usize>, buffer: Vec<u8>) {
        let deadline = self.patience();
        let Some(conn) = self.conn(token) else { return self.recycle(buffer) };
        let Some(channel) = conn.input.clone() else { return self.recycle(buffer) };
        let n = result.unwrap_or(0) as u64;
        if n == 0 {
            channel.end_input(End::Gone);
            return self.recycle(buffer);
        }
        conn.body_left = conn.body_left.saturating_sub(n);
        let left = conn.body_left;
        let room = channel.received(&buffer);
        self.recycle(buffer);
        if left == 0 {
            channel.end_input(End::Complete);
        } else if room {
            if let Some(conn) = self.conn(token) {
                conn.deadline = Some(deadline);
            }
            self.receive_for(token);
        }
    }

    /// The application waits for more of its body.
    pub(super) fn want_body(&mut self, token: Token, channel: Arc<super::channel::Channel>) {
        let deadline = self.patience();
        let Some(conn) = self.conn(token) else { return channel.end_input(End::Gone) };
        if conn.body_left == 0 {
            return channel.end_input(End::Complete);
        }
        conn.input = Some(channel);
        conn.deadline = Some(deadline);
        if !conn.receiving {
            self.receive_for(token);
        }
    }

    fn receive_for(&mut self, token: Token) {
        let buffer = self.spare();
        let Some(conn) = self.conn(token) else { return self.recycle(buffer) };
        let Some(fd) = conn.raw() else { return self.recycle(buffer) };
        let max = usize::try_from(conn.body_left).unwrap_or(usize::MAX).min(PIECE_BYTES);
        conn.receiving = true;
        self.engine.recv_into(fd, token, buffer, max);
        self.fresh.push(token);
    }

    /// Bytes of a chunked body.
    fn feed_chunked(&mut self, token: Token, chunk: Chunk) {
        let bytes = self.engine.bytes(&chunk).to_vec();
        self.engine.release(chunk);
        match self.conn(token).and_then(|conn| conn.job.take()) {
            Some(parcel) => self.decode(token, parcel, &bytes),
            None => self.close(token),
        }
    }

    fn decode(&mut self, token: Token, mut parcel: Parcel, bytes: &[u8]) {
        let job = &mut parcel.job;
        let before = job.body.len();
        let Some(decoder) = &mut job.decoder else { return self.retire(parcel) };
        let progress = match decoder.decode(bytes, &mut job.body) {
            Ok(progress) => progress,
            Err(error) => {
                self.retire(parcel);
                return self.refuse(token, &error);
            }
        };
        job.body_len += (job.body.len() - before) as u64;
        let limit = self.plan.settings.request.limit_post;
        if limit > 0 && job.body_len > limit {
            self.retire(parcel);
            let reason = format!("a chunked body of more than limit-post {limit} bytes");
            return self.refuse(token, &Error { status: Some(413), reason });
        }
        if progress.done {
            job.decoder = None;
            let rest = bytes[progress.consumed..].to_vec();
            if let Some(conn) = self.conn(token) {
                conn.leftover = rest;
            }
            return self.chunked_complete(token, parcel);
        }
        let in_memory = limits::BODY_MEMORY_MAX.max(self.plan.settings.request.post_buffering);
        if job.body_len > in_memory && job.spool.is_none() && !self.open_spool(token, &mut parcel) {
            return self.retire(parcel);
        }
        if parcel.job.spool.is_some() && parcel.job.body.len() >= PIECE_BYTES {
            return self.write_spool(token, parcel);
        }
        self.receive_chunked(token, parcel);
    }

    fn receive_chunked(&mut self, token: Token, parcel: Parcel) {
        let deadline = self.patience();
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        conn.reading = Reading::Body;
        conn.deadline = Some(deadline);
        conn.job = Some(parcel);
        self.receive_head(token);
    }

    fn chunked_complete(&mut self, token: Token, mut parcel: Parcel) {
        // The length is known now; frameworks read no body without it.
        let len = parcel.job.body_len;
        parcel.job.request.set_content_length(len);
        if parcel.job.spool.is_some() && !parcel.job.body.is_empty() {
            return self.write_spool(token, parcel);
        }
        self.dispatch(token, parcel);
    }

    fn open_spool(&mut self, token: Token, parcel: &mut Parcel) -> bool {
        match crate::sys::tempfile::unlinked() {
            Ok(file) => {
                parcel.job.spool = Some(Spool { file: Arc::new(file), written: 0 });
                true
            }
            Err(error) => {
                crate::log!("[uwring] {error}; a request body of more than 64 KiB cannot be kept");
                self.refuse(token, &Error { status: Some(500), reason: "no room for the body".into() });
                false
            }
        }
    }

    fn write_spool(&mut self, token: Token, mut parcel: Parcel) {
        let job = &mut parcel.job;
        let Some(spool) = &job.spool else { return self.dispatch(token, parcel) };
        let (file, at) = (Arc::clone(&spool.file), spool.written);
        let piece = std::mem::take(&mut job.body);
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        conn.reading = Reading::Body;
        conn.deadline = None;
        conn.job = Some(parcel);
        self.engine.write(&file, token, piece, Some(at));
    }

    pub(super) fn spooled(&mut self, token: Token, result: io::Result<()>, mut buffer: Vec<u8>) {
        let written = buffer.len() as u64;
        buffer.clear();
        let Some(mut parcel) = self.conn(token).and_then(|conn| conn.job.take()) else {
            return self.recycle(buffer);
        };
        parcel.job.body = buffer;
        if let Err(error) = result {
            self.retire(parcel);
            crate::log!("[uwring] writing a request body to a temporary file: {error} (see TMPDIR)");
            return self.refuse(token, &Error { status: Some(500), reason: "no room for the body".into() });
        }
        if let Some(spool) = &mut parcel.job.spool {
            spool.written += written;
        }
        match (&parcel.job.decoder, parcel.job.request.body) {
            (Some(_), _) => self.receive_chunked(token, parcel),
            (None, Body::Chunked) => self.dispatch(token, parcel),
            _ => self.receive_body(token, parcel),
        }
    }

    /// Hands a complete request to the interpreter.
    fn dispatch(&mut self, token: Token, mut parcel: Parcel) {
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        conn.reading = Reading::Dispatched;
        conn.deadline = None;
        conn.finished = false;
        conn.input = None;
        conn.output = None;
        self.show(&mut parcel);
        if self.backlog.is_empty() && self.in_flight < self.desk.handoff.capacity() {
            self.desk.handoff.push(parcel);
            self.in_flight += 1;
            self.handed_over = true;
        } else {
            self.backlog.push_back(parcel);
        }
    }

    /// Fills in what the plugin sees.
    fn show(&self, parcel: &mut Parcel) {
        let fixed = self.doors.door(parcel.job.listener).site.text();
        let engine = &self.engine;
        parcel.lend(|job| {
            let head = job.chunk.as_ref().map_or(job.head.as_slice(), |chunk| engine.bytes(chunk));
            let request = &job.request;
            let body = if job.body_in_head {
                let end =
                    head.len().min(request.head_bytes + usize::try_from(job.body_len).unwrap_or(usize::MAX));
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
        });
    }

    /// Answers a request that is refused before the application could see it, and ends the connection.
    pub(super) fn refuse(&mut self, token: Token, error: &Error) {
        self.log_refusal(token, error);
        let Some(status) = error.status else { return self.close(token) };
        let answer = proto::head::refusal(status);
        let Some(conn) = self.conn(token) else { return };
        let Some(fd) = conn.raw() else { return };
        conn.reading = Reading::Drain;
        conn.writing = Writing::Last;
        conn.after = After::Drain;
        conn.body_left = u64::MAX;
        self.engine.send(Then::Keep(fd), token, answer, Notice::Prompt);
    }

    fn log_refusal(&mut self, token: Token, error: &Error) {
        let Some(conn) = self.conn(token) else { return };
        let (listener, peer) = (conn.listener, conn.peer().text().to_owned());
        let name = &self.doors.door(listener).listener.name;
        let answer = error.status.map_or("closed".to_owned(), |s| s.to_string());
        self.logbook.refusal(self.now, || {
            format!("[uwring] refused a request from {peer} on {name}: {} ({answer})", error.reason)
        });
    }

    fn parse(&self, token: Token, data: &[u8], job: &mut Job) -> Result<Step, Error> {
        let super::connection::Name::Conn(index, _) = super::connection::Name::of(token) else {
            return Ok(Step::NeedMore);
        };
        let conn: &Conn = &self.conns[index];
        let door = self.doors.door(conn.listener);
        let limits =
            Limits { head_bytes: self.plan.settings.request.buffer_size as usize, ..Limits::default() };
        let http = match door.listener.protocol {
            SocketProtocol::Uwsgi => false,
            SocketProtocol::Http => true,
            // No uwsgi packet for us begins with a letter: modifier1 is 0 (or 30), a method is not.
            SocketProtocol::Auto => data.first().is_some_and(u8::is_ascii_alphabetic),
        };
        if !http {
            return proto::uwsgi::parse(data, &limits, &mut job.request);
        }
        let Some(peer) = conn.peer.as_deref() else { return Ok(Step::NeedMore) };
        proto::http::parse(data, &limits, &door.site, peer, &mut job.request)
    }
}
