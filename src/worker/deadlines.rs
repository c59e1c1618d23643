//! When patience with a client ends. The wheel only reminds; the connection knows its deadline.

use super::connection::{Reading, Writing};
use super::ring_thread::Ring;
use crate::engine::{Reactor, Token};
use crate::proto::Error;

impl<R: Reactor> Ring<R> {
    /// Gives a reminder to connections that still wait a turn after they began to: most were served meanwhile.
    pub(super) fn time_fresh(&mut self, mut young: Vec<Token>) {
        for token in young.drain(..) {
            let Some(conn) = self.conn(token) else { continue };
            let Some(deadline) = conn.deadline else { continue };
            // A later one is reminded of by the earlier reminder.
            if conn.reminder.is_none_or(|at| deadline < at) {
                conn.reminder = Some(deadline);
                self.wheel.insert(deadline, token);
            }
        }
        if self.fresh.is_empty() {
            self.fresh = young; // keep its memory
        }
    }

    /// The wheel reminds of a connection.
    pub(super) fn reminded(&mut self, token: Token) {
        let now = self.now.millis();
        let Some(conn) = self.conn(token) else { return };
        if conn.reminder.is_some_and(|at| at > now) {
            return; // an old one, of a deadline that was drawn near since
        }
        conn.reminder = None;
        match conn.deadline {
            Some(deadline) if deadline <= now => {
                self.too_late(token);
                self.recount(token);
            }
            Some(deadline) => {
                conn.reminder = Some(deadline);
                self.wheel.insert(deadline, token);
            }
            None => {}
        }
    }

    fn too_late(&mut self, token: Token) {
        let Some(conn) = self.conn(token) else { return };
        conn.deadline = None;
        let http = conn.peer.is_some();
        match (conn.reading, conn.writing) {
            (Reading::Head, Writing::Idle) if conn.job.is_some() => {
                let reason = "the request head did not arrive in time (header-timeout)".to_owned();
                self.refuse(token, &Error { status: http.then_some(408), reason });
            }
            (Reading::Body, _) => {
                if let Some(parcel) = conn.job.take() {
                    self.retire(parcel);
                }
                let reason = "the request body came too slowly (socket-timeout, body-min-rate)".to_owned();
                self.refuse(token, &Error::new(408, reason));
            }
            (Reading::Dispatched, Writing::Idle) => {
                // The application waits for the body, and hears that it will not come.
                if let Some(input) = &conn.input {
                    input.end_input(super::channel::End::Timeout);
                    self.count_read_error();
                }
            }
            (_, writing) => {
                if writing != Writing::Idle {
                    self.count_write_error();
                }
                self.close(token);
            }
        }
    }
}
