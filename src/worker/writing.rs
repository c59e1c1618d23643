//! From a finished request to the next one: whole responses, streamed ones, and the ways a connection ends.

use std::io;
use std::sync::Arc;

use super::channel::{Channel, Output};
use super::connection::{After, Reading, Writing};
use super::direct::{self, Sent};
use super::job::{Job, Parcel};
use super::ring_thread::Ring;
use super::stop::{LAST_CALL_MS, Phase};
use crate::base::clock::Millis;
use crate::base::errors;
use crate::base::limits;
use crate::engine::{Chunk, Notice, Payload, Reactor, Then, Token};
use crate::sys::net;

/// A response up to this fits into any socket's buffer, so that sending and closing can be one operation.
const SMALL_BYTES: usize = 64 * 1024;

impl<R: Reactor> Ring<R> {
    /// An interpreter thread has finished a request.
    pub(super) fn done(&mut self, parcel: Parcel) {
        self.count_seated(&parcel);
        self.count_finished(&parcel);
        self.conclude(parcel);
    }

    /// One more is finished: so far it goes on here.
    pub(super) fn count_finished(&mut self, parcel: &Parcel) {
        self.share.count_turn();
        self.relay.moves(self.now.millis());
        self.gate.observe(parcel.job.finished.since(parcel.job.started));
    }

    /// A request is finished: counts it, and sends what there is to send.
    pub(super) fn conclude(&mut self, mut parcel: Parcel) {
        let verdict = self.watch.verdict(parcel.job.thread, parcel.job.serial);
        if let Some(status) = verdict {
            let job = &mut parcel.job;
            (job.status, job.head_sent, job.body_sent, job.field_count) = (status, 0, 0, 0);
        }
        self.at_the_end(&mut parcel);
        self.account(&parcel);
        let trail = self.record(&parcel, verdict.is_some());
        let job = &mut parcel.job;
        let (token, keep_alive, sent) = (job.token, job.keep_alive, job.sent);
        let may_send_on = direct::may_send_on(job);
        let (answer, channel) = (self.take_answer(job), job.channel.take());
        self.retire(parcel);
        let stays = self.take_back(token);
        let conn = token.filter(|_| stays).and_then(|token| self.conn(token));
        let Some(conn) = conn.filter(|conn| !conn.disowned) else {
            answer.into_iter().for_each(|answer| self.reuse(answer));
            return self.lost(trail);
        };
        let token = token.expect("it named a connection");
        conn.trail = trail;
        conn.input = None;
        conn.finished = true;
        let sends_on =
            || !conn.leftover.is_empty() || may_send_on && conn.raw().is_some_and(net::is_readable);
        conn.after = match (conn.body_left > 0, keep_alive) {
            (true, _) => After::Drain,
            (false, true) => After::KeepAlive,
            (false, false) if sends_on() => {
                // More is on its way, and is not going to be answered.
                conn.body_left = u64::MAX;
                After::Drain
            }
            (false, false) => After::Close,
        };
        match (answer, channel) {
            (_, Some(channel)) => self.output(token, channel),
            (Some(answer), None) => self.send_whole(token, answer),
            (None, None) => self.was_sent(token, sent),
        }
        self.recount(token);
    }

    /// What of an answer is to be sent that is not in a channel. The job gets an empty buffer for it: else each answer's would
    /// be made by an interpreter thread and freed by this one.
    fn take_answer(&mut self, job: &mut Job) -> Option<Payload> {
        if job.sent != Sent::No || job.channel.is_some() {
            return None;
        }
        let rest = job.rest.take().map(Payload::from);
        Some(rest.unwrap_or_else(|| std::mem::replace(&mut job.out, self.spare()).into()))
    }

    /// An interpreter thread has sent the complete response, or tried to.
    fn was_sent(&mut self, token: Token, sent: Sent) {
        let Some(conn) = self.conn(token) else { return };
        match (sent, conn.after) {
            (Sent::Failed, _) => self.broken(token),
            (_, After::KeepAlive) => {
                conn.reading = Reading::Head;
                self.next_request(token);
            }
            (_, After::Close) => self.close(token),
            (_, After::Drain) => self.last_is_out(token),
        }
    }

    /// Sends a complete response, or the last piece of one.
    fn send_whole(&mut self, token: Token, out: Payload) {
        let patience = self.patience();
        let Some(conn) = self.conn(token) else { return self.reuse(out) };
        let Some(fd) = conn.raw() else { return self.reuse(out) };
        conn.deadline = Some(patience);
        match conn.after {
            After::KeepAlive if conn.leftover.is_empty() && out.len() <= SMALL_BYTES => {
                conn.writing = Writing::Whole;
                conn.reading = Reading::Head;
                self.send(Then::Keep(fd), token, out, Notice::Lazy);
                // In the same submission: the answer and the wait for the next request.
                self.receive_head(token);
            }
            After::KeepAlive => {
                conn.writing = Writing::Whole;
                conn.reading = Reading::Head;
                self.send(Then::Keep(fd), token, out, Notice::Prompt);
                self.fresh.push(token);
            }
            After::Close if out.len() <= SMALL_BYTES && !conn.receiving => {
                conn.writing = Writing::Final;
                let (listener, Some(fd)) = (conn.listener, conn.fd.take()) else { return };
                let is_tcp = self.plan.listeners[listener].is_tcp();
                let then = if is_tcp { Then::End(fd) } else { Then::Close(fd) };
                self.send(then, token, out, Notice::Lazy);
            }
            After::Close | After::Drain => {
                conn.writing = Writing::Last;
                self.send(Then::Keep(fd), token, out, Notice::Prompt);
                self.fresh.push(token);
            }
        }
    }

    /// Gives bytes to the engine, and keeps count of them.
    pub(super) fn send(&mut self, then: Then, token: Token, bytes: Payload, notice: Notice) {
        self.unsent += bytes.len();
        self.engine.send(then, token, bytes, notice);
    }

    /// There is something to send in a connection's channel.
    pub(super) fn output(&mut self, token: Token, channel: Arc<Channel>) {
        let conn = self.conn(token).filter(|conn| !conn.disowned);
        let Some(conn) = conn else { return channel.break_off() };
        conn.output = Some(channel);
        if conn.writing == Writing::Idle {
            self.pump(token);
        }
    }

    /// Sends the next piece of a streamed response, or ends it.
    fn pump(&mut self, token: Token) {
        let mut spare = self.spare();
        let patience = self.patience();
        let Some(conn) = self.conn(token) else { return };
        let (Some(channel), Some(fd)) = (conn.output.clone(), conn.raw()) else { return };
        let finished = conn.finished;
        conn.writing = Writing::Idle;
        match channel.output(&mut spare) {
            Output::None if finished => self.send_whole(token, spare.into()),
            Output::None => self.recycle(spare),
            Output::Bytes(bytes) => {
                conn.writing = Writing::Stream;
                conn.deadline = Some(patience);
                self.send(Then::Keep(fd), token, bytes.into(), Notice::Prompt);
                self.fresh.push(token);
            }
            Output::File(part) => {
                conn.writing = Writing::Stream;
                conn.deadline = Some(patience);
                self.engine.send_file(fd, token, part.file, part.offset, part.len);
                self.recycle(spare);
                self.fresh.push(token);
            }
        }
    }

    pub(super) fn sent(&mut self, token: Token, result: io::Result<()>, buffer: Payload) {
        let len = buffer.len();
        self.unsent -= len;
        self.reuse(buffer);
        let Some(conn) = self.conn(token) else { return };
        let writing = std::mem::replace(&mut conn.writing, Writing::Idle);
        if result.is_ok() && conn.reading != Reading::Closing && writing != Writing::Stream {
            self.landed(token);
        }
        if writing == Writing::Final {
            // The engine has closed it, sent or not.
            if result.is_err() {
                self.count_write_error();
            }
            return self.remove(token);
        }
        let Some(conn) = self.conn(token) else { return };
        if conn.reading == Reading::Closing {
            return self.close(token);
        }
        if result.is_err() {
            return self.broken(token);
        }
        match writing {
            Writing::Stream => {
                if let Some(channel) = &conn.output {
                    channel.sent(len);
                }
                self.pump(token);
            }
            Writing::Whole => self.next_request(token),
            Writing::Last => self.last_is_out(token),
            Writing::Idle | Writing::Final => {}
        }
    }

    /// Part of what is being sent went out: the client reads.
    pub(super) fn progressed(&mut self, token: Token) {
        let patience = self.patience();
        let Some(conn) = self.conn(token) else { return };
        if conn.writing != Writing::Idle && conn.reading != Reading::Closing {
            conn.deadline = Some(patience);
        }
    }

    pub(super) fn file_sent(&mut self, token: Token, result: io::Result<()>) {
        let Some(conn) = self.conn(token) else { return };
        conn.writing = Writing::Idle;
        if conn.reading == Reading::Closing {
            return self.close(token);
        }
        match result {
            Ok(()) => self.pump(token),
            Err(error) => {
                if error.kind() == io::ErrorKind::UnexpectedEof {
                    crate::log!(
                        "[uwring] a file shrank while it was being sent; connection closed {}",
                        errors::FILE_SHRANK
                    );
                }
                self.broken(token);
            }
        }
    }

    /// Nothing more can be sent.
    fn broken(&mut self, token: Token) {
        self.count_write_error();
        self.close(token);
    }

    /// Until when a connection may stay without a request. One that was told to stay, before the end began, gets its
    /// last call like all others.
    fn idle_until(&self) -> Millis {
        let patience = match self.phase {
            Phase::Open => self.plan.settings.request.keepalive_ms,
            _ => LAST_CALL_MS,
        };
        self.now.millis().after(patience)
    }

    /// The response is out and the connection stays.
    pub(super) fn next_request(&mut self, token: Token) {
        let idle_until = self.idle_until();
        let Some(conn) = self.conn(token) else { return };
        if conn.after == After::Close {
            return self.close(token);
        }
        conn.deadline = Some(idle_until);
        if let Some(chunk) = conn.pending.take() {
            return self.feed(token, chunk);
        }
        if !conn.leftover.is_empty() {
            return self.feed_leftover(token);
        }
        if !conn.receiving {
            self.receive_head(token);
        }
    }

    /// The last response is out: close, or read on for a while.
    fn last_is_out(&mut self, token: Token) {
        let deadline = self.now.millis().after(limits::LINGER_MS);
        let Some(conn) = self.conn(token) else { return };
        if conn.after != After::Drain {
            return self.close(token);
        }
        if let Some(fd) = conn.raw() {
            self.engine.shutdown_write(fd);
        }
        let Some(conn) = self.conn(token) else { return };
        conn.reading = Reading::Drain;
        conn.deadline = Some(deadline);
        conn.body_left = conn.body_left.min(limits::LINGER_BYTES_MAX);
        self.drain(token);
    }

    /// Receives what nobody wants.
    pub(super) fn drain(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        if conn.receiving {
            return;
        }
        match (conn.body_left, conn.raw()) {
            (0, _) | (_, None) => self.close(token),
            (_, Some(fd)) => {
                conn.receiving = true;
                self.engine.recv(fd, token);
                self.fresh.push(token);
            }
        }
    }

    pub(super) fn discard(&mut self, token: Token, chunk: Chunk) {
        let len = chunk.len() as u64;
        self.engine.release(chunk);
        if let Some(conn) = self.conn(token) {
            conn.body_left = conn.body_left.saturating_sub(len);
        }
        self.drain(token);
    }

    /// Ends a connection now. One that is being received on goes when that receive has ended, one that is lent when it is
    /// given back.
    pub(super) fn close(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        for channel in conn.output.take().into_iter().chain(conn.input.take()) {
            channel.break_off();
        }
        if conn.receiving || conn.lent || conn.writing != Writing::Idle {
            let (fd, lent) = (conn.raw(), conn.lent);
            if let Some(fd) = fd {
                // Ends the receive and the send that are under way; their events remove the entry.
                if lent { self.shut_down_lent(fd) } else { self.engine.shutdown(fd) }
            }
            let Some(conn) = self.conn(token) else { return };
            conn.reading = Reading::Closing;
            conn.after = After::Close;
            conn.leaving = conn.lent;
            return;
        }
        self.remove(token);
    }

    /// Takes the entry out of the table.
    pub(super) fn remove(&mut self, token: Token) {
        let super::connection::Name::Conn(index, _) = super::connection::Name::of(token) else { return };
        let Some(conn) = self.conn(token) else { return };
        if conn.lent {
            // Its number must not become another's while an interpreter thread may send there.
            conn.leaving = true;
            return;
        }
        let mut conn = self.conns.remove(index);
        self.census.gone(conn.counted);
        self.lost(conn.trail.take());
        self.plan.slot().set_connections(self.conns.len());
        if let Some(chunk) = conn.pending {
            self.engine.release(chunk);
        }
        if let Some(parcel) = conn.job {
            self.retire(parcel);
        }
        if let Some(fd) = conn.fd {
            self.engine.close(fd);
        }
    }
}
