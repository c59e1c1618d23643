//! Request bodies: in memory, in a temporary file, chunk by chunk, or from the connection while the application
//! reads.

use std::io;
use std::sync::Arc;

use super::channel::{Channel, End};
use super::connection::Reading;
use super::job::{Parcel, Pending, Spool};
use super::ring_thread::Ring;
use super::sized::{self, Keep, PIECE_BYTES};
use crate::base::clock::Millis;
use crate::base::errors;
use crate::base::limits;
use crate::engine::{Chunk, Reactor, Token};
use crate::proto::Error;
use crate::request::Body;

impl<R: Reactor> Ring<R> {
    pub(super) fn sized_body(&mut self, token: Token, mut parcel: Parcel, len: u64) {
        let here = self.behind_head(&parcel.job).len();
        parcel.job.body_len = len;
        if here as u64 >= len {
            parcel.job.body_in_head = true;
            let len = usize::try_from(len).expect("no longer than what was received");
            self.keep_leftover(token, &parcel.job, len);
            return self.dispatch(token, parcel);
        }
        match self.desk.keep_where(&mut parcel.job) {
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
                sized::make_room(&mut parcel.job);
                let mut body = std::mem::take(&mut parcel.job.body);
                body.extend_from_slice(self.behind_head(&parcel.job));
                parcel.job.body = body;
                self.own_head(&mut parcel);
                sized::cut_head(&mut parcel.job);
                if here == 0 {
                    self.welcome_body(token, &parcel);
                }
                self.receive_body(token, parcel);
            }
        }
    }

    /// Tells a client that waits for it to go on (RFC 9110 §10.1.1).
    pub(super) fn welcome_body(&mut self, token: Token, parcel: &Parcel) {
        if !parcel.job.request.expect_continue {
            return;
        }
        // Nothing else is on its way out, and so little fits into any socket: no event has to be waited for. Where it
        // does not, the client is gone or has not read its last answer, and the deadline is for both.
        if let Some(fd) = self.conn(token).and_then(|conn| conn.raw()) {
            self.engine.send_aside(fd, b"HTTP/1.1 100 Continue\r\n\r\n");
        }
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
        let max = usize::try_from(left).unwrap_or(usize::MAX).min(sized::at_once(job));
        let buffer = std::mem::take(&mut job.body);
        let deadline = self.body_patience(job.since, job.body_len - left);
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
    pub(super) fn patience(&self) -> Millis {
        self.now.millis().after(self.plan.settings.request.socket_timeout_ms)
    }

    /// The same for a body that is received before the application is called: `body-min-rate` bounds the whole of it.
    /// `since`: when the head was complete; `come`: bytes received since.
    fn body_patience(&self, since: Millis, come: u64) -> Millis {
        let settings = &self.plan.settings.request;
        let earned = come.saturating_mul(1000).checked_div(settings.body_min_rate).unwrap_or(u64::MAX);
        self.patience().min(since.after(settings.socket_timeout_ms.saturating_add(earned)))
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
            self.count_read_error();
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
    pub(super) fn want_body(&mut self, token: Token, channel: Arc<Channel>) {
        let deadline = self.patience();
        let conn = self.conn(token).filter(|conn| !conn.disowned);
        let Some(conn) = conn else { return channel.end_input(End::Gone) };
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

    /// Bytes of a body in chunks or records.
    pub(super) fn feed_chunked(&mut self, token: Token, chunk: Chunk) {
        let bytes = self.engine.bytes(&chunk).to_vec();
        self.engine.release(chunk);
        match self.conn(token).and_then(|conn| conn.job.take()) {
            Some(parcel) => self.decode(token, parcel, &bytes),
            None => self.close(token),
        }
    }

    pub(super) fn decode(&mut self, token: Token, mut parcel: Parcel, bytes: &[u8]) {
        let job = &mut parcel.job;
        let before = job.body.len();
        let Some(decoder) = &mut job.decoder else { return self.retire(parcel) };
        let progress = match decoder.decode(bytes, &mut job.body) {
            Ok(progress) => progress,
            Err(error) => return self.refuse_job(token, parcel, &error),
        };
        job.body_len += (job.body.len() - before) as u64;
        let limit = self.plan.settings.request.limit_post;
        if limit > 0 && job.body_len > limit {
            let reason = format!("a body of more than limit-post {limit} bytes {}", errors::BODY_TOO_LARGE);
            return self.refuse_job(token, parcel, &Error::new(413, reason));
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
        let deadline = self.body_patience(parcel.job.since, parcel.job.body_len);
        let Some(conn) = self.conn(token) else { return self.retire(parcel) };
        conn.reading = Reading::Body;
        conn.deadline = Some(deadline);
        conn.job = Some(parcel);
        self.receive_head(token);
    }

    fn chunked_complete(&mut self, token: Token, mut parcel: Parcel) {
        let len = parcel.job.body_len;
        let known =
            matches!(parcel.job.request.body, Body::Records(announced) if announced.is_some() || len == 0);
        if !known {
            // Frameworks read no body without it.
            parcel.job.request.set_content_length(len);
        }
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
                // Descriptors or room on the disk may come back.
                self.refuse(token, &Error::new(503, format!("no room for the body: {error}")));
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
            let reason = format!("no room for the body: writing to a temporary file: {error} (see TMPDIR)");
            return self.refuse_job(token, parcel, &Error::new(503, reason));
        }
        if let Some(spool) = &mut parcel.job.spool {
            spool.written += written;
        }
        match (&parcel.job.decoder, parcel.job.request.body) {
            (Some(_), _) => self.receive_chunked(token, parcel),
            (None, Body::Chunked | Body::Records(_)) => self.dispatch(token, parcel),
            _ => self.receive_body(token, parcel),
        }
    }
}
