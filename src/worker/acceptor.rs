//! Listening sockets: accepting while there is room, and what a new connection gets.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use super::Plan;
use super::connection::{Conn, Name};
use super::preface;
use super::ring_thread::{Door, Ring};
use super::stop::{LAST_CALL_MS, Phase};
use crate::base::clock::Millis;
use crate::base::errors;
use crate::base::protocol::Cover;
use crate::engine::{Reactor, Token};
use crate::proto::http::{Site, port};
use crate::shared::area::bump;
use crate::sys::errno;
use crate::sys::socket::{Listener, queue};

/// Rest after the kernel had no descriptor or memory for a connection, milliseconds: long enough not to spin,
/// short enough not to be noticed.
const PAUSE_MS: u64 = 100;
/// The log says so at most this often, milliseconds.
const SAY_MS: u64 = 10_000;

/// Accepts under way at once on one socket, by a lone worker and by one of several: enough of them that a burst
/// of connections is taken in one turn, few enough that the burst is shared with the other workers.
const AT_ONCE_ALONE: usize = 32;
const AT_ONCE: usize = 4;

/// The listening sockets and their accepts.
pub struct Doors {
    doors: Vec<Door>,
    /// Accepts under way, a socket.
    armed: Vec<usize>,
    /// They were asked to end.
    cancelling: Vec<bool>,
    /// Nobody was accepted before the accept that is under way, for want of room: who comes now may have waited.
    reopened: Vec<bool>,
    paused_until: Option<Millis>,
    /// The last accept found no descriptor or memory.
    exhausted: bool,
    /// The log says so again from then on.
    say_at: Millis,
}

/// Of each listening socket of a worker, what its requests have in common.
pub fn sites(plan: &Plan) -> Box<[Site]> {
    let host = crate::sys::host::node();
    let site = |listener: &Listener| {
        let site = Site::new(&host, port(&listener.name));
        if matches!(listener.cover, Cover::Tls(_)) { site.over_tls() } else { site }
    };
    plan.listeners.iter().map(site).collect()
}

impl Doors {
    /// Those of `plan`, fit for `engine`.
    pub fn new(plan: &Plan, engine: &mut impl Reactor) -> Doors {
        let doors: Vec<Door> = plan
            .listeners
            .iter()
            .map(|listener| Door {
                preface: preface::possible(&plan.settings.request, listener.protocol),
                listener: listener.clone(),
            })
            .collect();
        for door in &doors {
            if let Err(error) = engine.adopt(door.listener.fd.as_raw_fd()) {
                crate::log!("[uwring] {}: {error}", door.listener.name);
            }
        }
        for door in doors.iter().filter(|d| d.listener.is_tcp()) {
            // A socket that cannot have it works all the same, slower.
            let _ = crate::sys::net::set_nodelay(door.listener.fd.as_raw_fd());
        }
        let count = doors.len();
        Doors {
            doors,
            armed: vec![0; count],
            cancelling: vec![false; count],
            reopened: vec![false; count],
            paused_until: None,
            exhausted: false,
            say_at: Millis(0),
        }
    }

    /// The door a connection came by.
    pub fn door(&self, listener: usize) -> &Door {
        &self.doors[listener]
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Door> {
        self.doors.iter()
    }

    /// Whether an accept is under way.
    pub fn any_armed(&self) -> bool {
        self.armed.iter().any(|&n| n > 0)
    }

    /// Milliseconds until accepting goes on after a pause.
    pub fn pause_left(&self, now: Millis) -> Option<u64> {
        self.paused_until.map(|until| until.since(now))
    }
}

impl<R: Reactor> Ring<R> {
    /// Arms or cancels accepts so that they agree with the room there is. Whether any was cancelled.
    pub(super) fn regulate_accepts(&mut self) -> bool {
        if self.doors.paused_until.is_some_and(|until| until <= self.now.millis()) {
            self.doors.paused_until = None;
        }
        if self.phase == Phase::Sweeping {
            self.arm_for_sweep();
            return false;
        }
        let paused = self.is_paused();
        let open = !paused && self.phase == Phase::Open;
        if open && self.connections_free() == 0 {
            self.make_room();
        }
        let free = self.connections_free();
        let room = if open { self.room_left() } else { 0 };
        self.tell_room(room > 0);
        let owed = room == 0 && open && free > 0 && self.takes_in_turn();
        let wanted = room.max(usize::from(owed)).min(self.at_once());
        let mut cancelled = false;
        let kept = self.kept_door();
        for index in 0..self.doors.doors.len() {
            let token = Name::Listener(index).token();
            let armed = self.doors.armed[index];
            if self.doors.cancelling[index] && armed > 0 {
                continue;
            }
            let is_kept = kept == Some(index);
            let wanted = if is_kept {
                0
            } else {
                self.share_of(self.doors.doors[index].listener.protocol, armed, wanted)
            };
            self.doors.reopened[index] |= armed == 0 && wanted > 0;
            // Half of them are enough for who comes next: they are renewed several at a time.
            if armed <= wanted / 2 {
                for _ in armed..wanted {
                    self.engine.accept(self.doors.doors[index].listener.fd.as_raw_fd(), token);
                }
                self.doors.armed[index] = wanted.max(armed);
            }
            if wanted == 0 && armed > 0 && (paused || free == 0 || is_kept || self.must_not_hold()) {
                self.doors.cancelling[index] = true;
                self.engine.cancel_accepts(token);
                cancelled = true;
            }
        }
        cancelled
    }

    /// Nobody is accepted for now.
    fn is_paused(&self) -> bool {
        self.doors.paused_until.is_some() || self.plan.area.is_paused()
    }

    /// Connections this worker has room for: requests it would not be busy with, and entries in its table.
    pub(super) fn room_left(&self) -> usize {
        let busy = self.in_flight + self.backlog.len() + self.newcomers + self.desk.handoff.signals_in_hand();
        self.accept_capacity().saturating_sub(busy).min(self.connections_free())
    }

    /// Accepts under way on one socket.
    fn at_once(&self) -> usize {
        match (self.doors.exhausted, self.gate.is_alone()) {
            // One is enough to see whether it is over.
            (true, _) => 1,
            (false, true) => AT_ONCE_ALONE,
            (false, false) => AT_ONCE,
        }
    }

    /// Whether a connection waits to be accepted.
    pub(super) fn somebody_knocks(&self) -> bool {
        self.doors.all().any(|door| crate::sys::net::is_readable(door.listener.fd.as_raw_fd()))
    }

    /// Accepts without regard to room: what waits now has nobody else.
    fn arm_for_sweep(&mut self) {
        for index in 0..self.doors.doors.len() {
            let fd = self.doors.doors[index].listener.fd.as_raw_fd();
            for _ in self.doors.armed[index]..AT_ONCE_ALONE {
                self.engine.accept(fd, Name::Listener(index).token());
            }
            self.doors.armed[index] = self.doors.armed[index].max(AT_ONCE_ALONE);
            self.doors.cancelling[index] = false;
        }
    }

    /// An armed accept takes the wake-up for a connection that another worker could serve at once.
    fn must_not_hold(&self) -> bool {
        !self.gate.is_alone() || self.phase != Phase::Open
    }

    pub(super) fn accepted(&mut self, token: Token, result: io::Result<OwnedFd>) {
        let Name::Listener(index) = Name::of(token) else { return };
        self.doors.armed[index] -= 1;
        let reopened = std::mem::take(&mut self.doors.reopened[index]);
        self.doors.cancelling[index] &= self.doors.armed[index] > 0;
        match result {
            Ok(fd) => self.welcome(fd, index, reopened, Vec::new()),
            Err(error) => self.not_accepted(index, &error),
        }
    }

    /// `reopened`: it may have waited in the line. `read`: what was received of it.
    pub(super) fn welcome(&mut self, fd: OwnedFd, listener: usize, reopened: bool, read: Vec<u8>) {
        self.doors.exhausted = false;
        let raw = fd.as_raw_fd();
        let mut conn = Conn::new(fd, listener);
        conn.arrived = self.now;
        if reopened && self.recorder.is_on() && self.doors.door(listener).listener.is_tcp() {
            conn.line_ms = queue::waited_ms(raw);
        }
        bump(&self.plan.tally().accepted, 1);
        conn.introduced = !self.doors.door(listener).preface;
        let patience = match self.phase {
            Phase::Open => self.plan.settings.request.header_timeout_ms,
            _ => LAST_CALL_MS,
        };
        conn.deadline = Some(self.now.millis().after(patience));
        let token = self.enter(conn);
        self.count_taken();
        if !read.is_empty() {
            self.feed_read(token, read);
        } else if !self.receive_at_once(token) {
            self.receive_head(token);
            self.newcomers += 1;
        }
    }

    /// Puts a connection into the table.
    pub(super) fn enter(&mut self, mut conn: Conn) -> Token {
        self.generation = (self.generation + 1) & 0xff_ffff;
        conn.generation = self.generation;
        let token = Name::Conn(self.conns.insert(conn), self.generation).token();
        self.census.come();
        self.plan.slot().set_connections(self.conns.len());
        token
    }

    /// The kernel wakes one waiter for a connection. Where that was an accept which has just been cancelled, nobody
    /// else is woken for it: what waits now is taken here, or by a worker with room, which is told. If there is none,
    /// whoever has room first looks before it sleeps.
    pub(super) fn pass_on(&mut self, index: usize) {
        let fd = self.doors.doors[index].listener.fd.as_raw_fd();
        if self.kept_door() == Some(index) || self.phase == Phase::Over || !crate::sys::net::is_readable(fd) {
            return;
        }
        let is_ours = match self.phase {
            Phase::Open => !self.is_paused() && self.room_left() > 0,
            _ => !self.succeeded,
        };
        if is_ours {
            self.doors.armed[index] += 1;
            self.doors.cancelling[index] = false;
            self.engine.accept(fd, Name::Listener(index).token());
        } else {
            self.wake_another();
        }
    }

    /// The same where the one who was woken is a worker that was stopped or killed before it accepted: somebody may wait
    /// at a socket although our accepts are under way.
    pub(super) fn look_for_forgotten(&mut self) {
        let once_more = 1..=self.at_once();
        for index in 0..self.doors.doors.len() {
            if self.phase == Phase::Open && once_more.contains(&self.doors.armed[index]) {
                self.pass_on(index);
            }
        }
    }

    fn not_accepted(&mut self, index: usize, error: &io::Error) {
        match error.raw_os_error() {
            Some(errno::ECANCELED) => self.pass_on(index),
            // The client went away before it was accepted.
            Some(errno::ECONNABORTED | errno::EINTR | errno::EAGAIN) => {}
            Some(errno::EMFILE | errno::ENFILE | errno::ENOBUFS | errno::ENOMEM) => {
                self.exhausted(index, error);
            }
            _ => {
                let name = &self.doors.doors[index].listener.name;
                crate::log!("[uwring] accept on {name}: {error} {}", errors::NOT_ACCEPTED);
                self.doors.paused_until = Some(self.now.millis().after(PAUSE_MS));
            }
        }
    }

    /// There is no descriptor or no memory for a connection, which waits in the backlog meanwhile: idle ones go, and
    /// after a pause one accept finds out whether that was enough.
    fn exhausted(&mut self, index: usize, error: &io::Error) {
        let now = self.now.millis();
        if self.doors.paused_until.is_some() {
            return;
        }
        self.doors.paused_until = Some(now.after(PAUSE_MS));
        self.doors.exhausted = true;
        let (open, closed) = (self.conns.len(), self.close_idle());
        if now >= self.doors.say_at {
            self.doors.say_at = now.after(SAY_MS);
            crate::log!(
                "[uwring] accept on {}: {error}; {open} connections open, closed {closed} without a request; trying \
                 again every {PAUSE_MS} ms, new clients wait (see `max-fd` and `ulimit -n`) {}",
                self.doors.doors[index].listener.name,
                errors::NO_DESCRIPTORS
            );
        }
    }
}
