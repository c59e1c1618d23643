//! Refusals: a request that is answered, or dropped, before the application could see it. Each has a status, a line
//! in the log with the reason and the peer (so many a second, the rest as a number), and a counter.

use super::connection::{After, Reading, Writing};
use super::job::Parcel;
use super::ring_thread::Ring;
use crate::engine::{Notice, Reactor, Then, Token};
use crate::proto::{self, Error};

impl<R: Reactor> Ring<R> {
    /// Answers a request that is refused, and ends the connection once the client had time to read the answer.
    pub(super) fn refuse(&mut self, token: Token, error: &Error) {
        self.refuse_as(token, error, false);
    }

    /// The same for a request whose job is here.
    pub(super) fn refuse_job(&mut self, token: Token, parcel: Parcel, error: &Error) {
        let is_head = self.head_bytes(&parcel.job).starts_with(b"HEAD ");
        self.note_record(token, parcel.job.request.record_id);
        self.record_refusal(&parcel.job, error);
        self.retire(parcel);
        self.refuse_as(token, error, is_head);
    }

    /// `is_head`: the answer to HEAD has no body.
    fn refuse_as(&mut self, token: Token, error: &Error, is_head: bool) {
        self.note_refusal(token, error);
        self.refuse_quietly(token, error, is_head);
    }

    /// The same for a request that is counted and logged otherwise.
    pub(super) fn refuse_quietly(&mut self, token: Token, error: &Error, is_head: bool) {
        let Some(status) = error.status else { return self.close(token) };
        let patience = self.patience();
        let Some(conn) = self.conn(token) else { return };
        let (listener, record_id) = (conn.listener, conn.record_id);
        let protocol = self.doors.door(listener).listener.protocol;
        let answer = match protocol.has_records() || protocol.is_cgi() {
            true => proto::head::refusal_for(status, is_head, protocol.is_cgi(), record_id),
            false => proto::head::refusal(status, is_head),
        };
        let Some(conn) = self.conn(token) else { return };
        let Some(fd) = conn.raw() else { return };
        conn.reading = Reading::Drain;
        conn.writing = Writing::Last;
        conn.after = After::Drain;
        conn.body_left = u64::MAX;
        conn.deadline = Some(patience);
        self.send(Then::Keep(fd), token, answer.into(), Notice::Prompt);
        self.fresh.push(token);
    }

    /// Whose records an answer is to be in that somebody else than the application gives (FastCGI; 0: none).
    pub(super) fn note_record(&mut self, token: Token, record_id: u16) {
        if record_id != 0
            && let Some(conn) = self.conn(token)
        {
            conn.record_id = record_id;
        }
    }

    /// Counts a refusal and logs it.
    pub(super) fn note_refusal(&mut self, token: Token, error: &Error) {
        self.plan.slot().count_refusal(error.status);
        let now = self.now;
        let Some(conn) = self.conn(token) else { return };
        let listener = conn.listener;
        let peer = match conn.peer().text() {
            "" => "a unix socket".to_owned(),
            address => address.to_owned(),
        };
        let name = &self.doors.door(listener).listener.name;
        let answer = error.status.map_or("closed".to_owned(), |s| s.to_string());
        self.logbook.by_peer(now, || {
            format!("[uwring] refused a request from {peer} on {name}: {} ({answer})", error.reason)
        });
    }
}
