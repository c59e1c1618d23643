//! Requests that wait behind one that does not end are handed to another worker. A worker takes short requests ahead
//! (`gate`), and nobody knows which one will not be short: those behind it would wait for it, and die with it, while other
//! workers idle. So their connections travel, with the bytes that were received, through a pair of sockets that all workers
//! of a template share: whoever has room takes the next one, as from a listening socket. Only requests that no interpreter
//! thread has seen go, and of these the simple ones: received whole, nothing else under way on the connection.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use super::connection::{Conn, Name};
use super::job::Parcel;
use super::ring_thread::Ring;
use super::stop::Phase;
use crate::base::clock::{Micros, Millis};
use crate::base::errors;
use crate::engine::Reactor;
use crate::shared::area::{State, WorkerSlot};
use crate::sys::pipes::{self, Taken};
use crate::sys::{event, net, packets};

/// An interpreter that has finished nothing for so long, milliseconds, is stuck: requests were taken ahead because
/// all were far shorter. It may also have got no processor for as long, and then handing over does no harm.
const STUCK_MS: u64 = 10;
/// A request with more bytes stays where it is.
const BYTES_MAX: usize = 64 * 1024;

/// The sockets, shared by the workers of one template.
#[derive(Clone, Debug)]
pub struct Sockets(Arc<(OwnedFd, OwnedFd)>);

impl Sockets {
    /// New ones. Both are closed on exec.
    pub fn new() -> std::io::Result<Sockets> {
        Ok(Sockets(Arc::new(packets::pair()?)))
    }

    fn near(&self) -> &OwnedFd {
        &self.0.0
    }

    fn far(&self) -> &OwnedFd {
        &self.0.1
    }
}

/// One worker's end.
#[derive(Debug)]
pub struct Relay {
    sockets: Option<Sockets>,
    /// There may be something for us.
    may_hold: bool,
    /// The interpreter has finished a request then, or begun with one after a rest.
    moved: Millis,
    buffer: Vec<u8>,
}

impl Relay {
    /// Nothing was handed over yet.
    pub fn new(sockets: Option<Sockets>) -> Relay {
        Relay { sockets, may_hold: true, moved: Millis(0), buffer: Vec::new() }
    }

    /// The descriptor that becomes readable when there is something to take.
    pub fn bell(&self) -> Option<i32> {
        self.sockets.as_ref().map(|sockets| sockets.near().as_raw_fd())
    }

    /// It has become readable.
    pub fn rang(&mut self) {
        self.may_hold = true;
    }

    /// The interpreter gets on with its work.
    pub fn moves(&mut self, now: Millis) {
        self.moved = now;
    }

    /// Whether anybody's request waits there.
    pub fn holds_any(&self) -> bool {
        self.sockets.as_ref().is_some_and(|sockets| net::is_readable(sockets.near().as_raw_fd()))
    }

    fn take(&mut self) -> Option<(Ticket, &[u8], OwnedFd)> {
        let sockets = self.sockets.as_ref().filter(|_| self.may_hold)?;
        self.buffer.resize(Ticket::BYTES + BYTES_MAX, 0);
        match pipes::take_with(sockets.near(), &mut self.buffer) {
            Taken::Message(len, Some(fd)) if len >= Ticket::BYTES => {
                let (ticket, bytes) = self.buffer[..len].split_at(Ticket::BYTES);
                Some((Ticket::of(ticket), bytes, fd))
            }
            taken => {
                if let Taken::Message(..) = taken {
                    crate::log!(
                        "[uwring] a request handed over by another worker is lost: there was no descriptor for its \
                         connection (see `max-fd` and `ulimit -n`) {}",
                        errors::NO_DESCRIPTORS
                    );
                }
                (self.may_hold, self.buffer) = (matches!(taken, Taken::Message(..)), Vec::new());
                None
            }
        }
    }
}

/// What travels with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticket {
    /// Number of the listening socket.
    listener: usize,
    /// Requests served on it, without this one.
    served: u32,
    /// When the request began to come.
    arrived: Micros,
}

impl Ticket {
    const BYTES: usize = 24;

    fn bytes(self) -> [u8; Ticket::BYTES] {
        let words = [self.listener as u64, u64::from(self.served), self.arrived.0];
        let mut bytes = [0; Ticket::BYTES];
        bytes.chunks_mut(8).zip(words).for_each(|(to, word)| to.copy_from_slice(&word.to_le_bytes()));
        bytes
    }

    /// From bytes of our own making.
    fn of(bytes: &[u8]) -> Ticket {
        let word = |n: usize| u64::from_le_bytes(bytes[8 * n..8 * n + 8].try_into().expect("8 bytes"));
        Ticket {
            listener: usize::try_from(word(0)).unwrap_or(usize::MAX),
            served: u32::try_from(word(1)).unwrap_or(u32::MAX),
            arrived: Micros(word(2)),
        }
    }
}

impl<R: Reactor> Ring<R> {
    /// Whether the interpreter has had work for a while and finished none of it.
    pub(super) fn is_stuck(&self) -> bool {
        self.in_flight > 0 && self.now.millis().since(self.relay.moved) >= STUCK_MS
    }

    /// Hands over what waits behind a request that does not end, if somebody has room for it.
    pub(super) fn relay_waiting(&mut self) {
        if self.relay.sockets.is_none() || !self.is_stuck() || self.desk.handoff.waiting() == 0 {
            return;
        }
        // Those of another generation are not served by the same template.
        let generation = self.plan.slot().generation();
        if self.another_with_room(|slot| slot.generation() == generation).is_none() {
            return;
        }
        for parcel in self.desk.handoff.reclaim() {
            match self.relay(parcel) {
                None => self.in_flight -= 1,
                Some(parcel) => self.desk.handoff.push(parcel),
            }
        }
        // A thread that has just become idle may have found the queue empty.
        self.desk.handoff.wake_interpreters();
    }

    /// Sends one request away: `None`. Or it stays.
    fn relay(&mut self, parcel: Parcel) -> Option<Parcel> {
        let job = &parcel.job;
        let (Some(sockets), Some(token)) = (&self.relay.sockets, job.token) else { return Some(parcel) };
        let whole = (job.body_in_head || job.body_len == 0) && job.spool.is_none() && job.decoder.is_none();
        let bytes = self.head_bytes(job);
        let Name::Conn(index, generation) = Name::of(token) else { return Some(parcel) };
        let Some(conn) = self.conns.get(index).filter(|conn| conn.generation == generation) else {
            return Some(parcel);
        };
        // Lent: nothing is being received or sent, and nothing was received beyond this request.
        let simple = conn.lent && !conn.leaving && !self.doors.door(conn.listener).preface;
        let (Some(fd), true) = (&conn.fd, whole && simple && bytes.len() <= BYTES_MAX) else {
            return Some(parcel);
        };
        let listener = self.doors.door(conn.listener).listener.index;
        let ticket = Ticket { listener, served: conn.served.saturating_sub(1), arrived: job.arrived };
        let message = [&ticket.bytes(), bytes].concat();
        if pipes::send_with(sockets.far().as_raw_fd(), &message, fd, false).is_err() {
            return Some(parcel);
        }
        self.retire(parcel);
        if let Some(conn) = self.conn(token) {
            conn.lent = false;
        }
        self.remove(token);
        None
    }

    /// Takes what others have handed over, as far as there is room.
    pub(super) fn take_relayed(&mut self) {
        while self.phase != Phase::Over && self.relay.may_hold && self.room_left() > 0 {
            let Some((ticket, bytes, fd)) = self.relay.take() else { return };
            let bytes = bytes.to_vec();
            let Some(listener) = self.doors.all().position(|d| d.listener.index == ticket.listener) else {
                // Workers of one template have the same sockets, unless these are mapped to them: then nobody relays.
                continue;
            };
            let mut conn = Conn::new(fd, listener);
            (conn.served, conn.arrived, conn.leftover) = (ticket.served, ticket.arrived, bytes);
            conn.peer();
            let token = self.enter(conn);
            self.feed_leftover(token);
            self.recount(token);
        }
    }

    /// Another worker that has room for a connection, of those that `may`.
    fn another_with_room(&self, may: impl Fn(&WorkerSlot) -> bool) -> Option<u32> {
        let (own, count) = (self.plan.slot, self.plan.area.slot_count());
        let takes = |slot: &WorkerSlot| {
            slot.state() == State::Ready && slot.is_accepting() && !slot.is_silent() && may(slot)
        };
        // Each begins with the one behind itself, so that not all choose the same.
        (1..count).map(|n| (own - 1 + n) % count + 1).find(|number| takes(self.plan.area.slot(*number)))
    }

    /// Tells another worker that has room to look at its listening sockets.
    pub(super) fn wake_another(&self) {
        if let Some(number) = self.another_with_room(|_| true) {
            // A bell that cannot be rung has rung already.
            let _ = event::signal(self.plan.bell(number).as_raw_fd());
        }
    }

    /// Whether what others have handed over keeps this worker from ending.
    pub(super) fn owes_relayed(&self) -> bool {
        self.gets_on() && self.relay.holds_any()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_is_sent_is_taken_once_by_any_of_them() {
        let sockets = Sockets::new().expect("a pair");
        let (mut one, mut other) = (Relay::new(Some(sockets.clone())), Relay::new(Some(sockets.clone())));
        assert!(one.take().is_none() && !one.holds_any());
        let (connection, _client) = UnixStream::pair().expect("a connection");
        let ticket = Ticket { listener: 3, served: 7, arrived: Micros(u64::MAX - 1) };
        let message = [&ticket.bytes(), &b"GET / HTTP/1.1"[..]].concat();
        pipes::send_with(sockets.far().as_raw_fd(), &message, &connection, false).expect("sent");
        assert!(one.holds_any() && one.take().is_none(), "it was not told that there is something");
        let (taken, bytes, _fd) = other.take().expect("the other one had not looked yet");
        assert_eq!((taken, bytes), (ticket, &b"GET / HTTP/1.1"[..]));
        one.rang();
        assert!(one.take().is_none() && !one.holds_any());
    }
}
