//! Room for connections. A full table, or no descriptor left, must not lock out new clients while old ones sit idle:
//! connections without a request are closed then, those that have waited longest first.

use std::os::fd::AsRawFd;

use super::Plan;
use super::connection::{Conn, Name, Reading, Writing};
use super::ring_thread::Ring;
use super::stop::Phase;
use crate::base::clock::Millis;
use crate::base::errors;
use crate::base::limits;
use crate::engine::{Reactor, Token};
use crate::sys::{files, net};

/// A full worker looks so often whether somebody waits to be accepted, milliseconds.
const LOOK_MS: u64 = 50;
/// A connection whose first request has not come whole by then may be closed for others, milliseconds.
const FIRST_HEAD_MS: u64 = 2_000;
/// The share of the table closed at once: looking for those to close costs a pass over all.
const SHARE: usize = 16;
/// The same share of those that do not read: they have had their time.
const UNREAD_SHARE: usize = 4;
/// The log says so at most this often, milliseconds.
const SAY_MS: u64 = 10_000;

/// A client that took nothing of its answer for so long may be closed for others, milliseconds.
const UNREAD_MS: u64 = 1_000;

/// When a worker last looked and spoke.
#[derive(Debug, Default)]
pub struct Crowding {
    look_at: Millis,
    say_at: Millis,
    /// Closed and not yet told.
    closed: usize,
    unread_look_at: Millis,
    unread_say_at: Millis,
    unread: usize,
}

/// How many connections a worker holds: what is configured, but no more than its descriptors allow, of which some
/// are left to the application and to bodies kept in files.
pub fn connections_max(plan: &Plan) -> usize {
    let wanted = plan.settings.request.connections_max as usize;
    let free = files::descriptors_free().unwrap_or(usize::MAX);
    wanted.min(free - free.div_ceil(4).min(limits::DESCRIPTORS_KEPT)).max(1)
}

/// The order in which connections go: idle ones that were served before others, then by the time they wait.
type Rank = (bool, Millis);

impl<R: Reactor> Ring<R> {
    /// How many more connections fit.
    pub(super) fn connections_free(&self) -> usize {
        self.connections_max.saturating_sub(self.conns.len())
    }

    /// In a full worker: closes idle connections where somebody waits to be accepted.
    pub(super) fn make_room(&mut self) {
        let now = self.now.millis();
        if now < self.crowding.look_at {
            return;
        }
        let waited_for = self.doors.all().any(|door| net::is_readable(door.listener.fd.as_raw_fd()));
        let closed = if waited_for { self.close_idle() } else { 0 };
        // Those that close are gone in a turn or two.
        self.crowding.look_at = now.after(if closed > 0 { 1 } else { LOOK_MS });
        if self.crowding.closed > 0 && now >= self.crowding.say_at {
            crate::log!(
                "[uwring] all {} connections of worker {} are in use (max-connections, max-fd): closed {} without a \
                 request for new clients {}",
                self.connections_max,
                self.plan.id,
                std::mem::take(&mut self.crowding.closed),
                errors::ALL_CONNECTIONS
            );
            self.crowding.say_at = now.after(SAY_MS);
        }
    }

    /// Milliseconds until a crowded worker looks again.
    pub(super) fn look_in(&self) -> Option<u64> {
        let now = self.now.millis();
        let unread = self.unsent > limits::UNSENT_BYTES_MAX;
        let unread = unread.then(|| self.crowding.unread_look_at.since(now));
        unread.into_iter().chain(self.full_look_in()).min()
    }

    fn full_look_in(&self) -> Option<u64> {
        (self.phase == Phase::Open && self.connections_free() == 0)
            .then(|| self.crowding.look_at.since(self.now.millis()))
    }

    /// Too many answers wait for clients: closes a share of those that took nothing of theirs for a while.
    pub(super) fn close_unread(&mut self) {
        let now = self.now.millis();
        if now < self.crowding.unread_look_at {
            return;
        }
        self.crowding.unread_look_at = now.after(LOOK_MS);
        let patience = self.plan.settings.request.socket_timeout_ms;
        let mut stuck: Vec<(Millis, Token)> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.writing != Writing::Idle && conn.reading != Reading::Closing)
            .filter_map(|(index, conn)| {
                let since = Millis(conn.deadline?.0.saturating_sub(patience));
                let token = Name::Conn(index, conn.generation).token();
                (now.since(since) >= UNREAD_MS).then_some((since, token))
            })
            .collect();
        stuck.sort_unstable_by_key(|(since, _)| *since);
        stuck.truncate(stuck.len().div_ceil(UNREAD_SHARE));
        self.crowding.unread += stuck.len();
        for (_, token) in stuck {
            self.count_write_error();
            self.close(token);
        }
        if self.crowding.unread > 0 && now >= self.crowding.unread_say_at {
            crate::log!(
                "[uwring] worker {} keeps {} MiB of answers that clients do not read: closed {} of the connections {}",
                self.plan.id,
                self.unsent >> 20,
                std::mem::take(&mut self.crowding.unread),
                errors::UNREAD
            );
            self.crowding.unread_say_at = now.after(SAY_MS);
        }
    }

    /// Closes a share of the connections that have no request: how many.
    pub(super) fn close_idle(&mut self) -> usize {
        let mut idle: Vec<(Rank, Token)> = self
            .conns
            .iter()
            .filter_map(|(index, conn)| Some((self.rank(conn)?, Name::Conn(index, conn.generation).token())))
            .collect();
        let share = (self.connections_max / SHARE).max(1).min(idle.len());
        if share == 0 {
            return 0;
        }
        idle.select_nth_unstable_by_key(share - 1, |(rank, _)| *rank);
        for &((unserved, _), token) in &idle[..share] {
            if unserved {
                // Somebody was on the way to a request.
                self.plan.slot().count_refusal(None);
            }
            self.close(token);
        }
        self.crowding.closed += share;
        share
    }

    /// The place of a connection among those that can go, if it is one.
    fn rank(&self, conn: &Conn) -> Option<Rank> {
        if conn.reading != Reading::Head || conn.writing != Writing::Idle {
            return None;
        }
        let limits = &self.plan.settings.request;
        let kept = conn.served > 0 && conn.is_idle();
        let patience = if kept { limits.keepalive_ms } else { limits.header_timeout_ms };
        let since = Millis(conn.deadline?.0.saturating_sub(patience));
        (kept || self.now.millis().since(since) >= FIRST_HEAD_MS).then_some((!kept, since))
    }
}
