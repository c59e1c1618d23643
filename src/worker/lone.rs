//! Requests that come one after the other. A lone client's next request follows its last one within a fraction of a
//! millisecond: by way of the ring thread it would cost two changes of threads, which is more than all the rest of a short
//! request. So an interpreter thread that has answered, and has nothing else to do, waits for a moment itself, with a small
//! ring of its own, for the next request on the connection, or where that ends, for the next connection at the same door.
//!
//! ```text
//! answered ──► kept ──► the next one is here: `Reply::Next`, the ring thread hears of it within a millisecond
//!                │
//!                └────► nothing came, others did, or it is no plain one: `Reply::Back`, all goes its usual way
//! ```
//! For the ring thread the connection stays lent all the while, and a request in flight: nothing else changes hands. Whoever
//! comes at that door meanwhile is the interpreter thread's; the ring thread accepts none there as long as it sees the
//! interpreter thread come back within [`HOLD_US`], and looks each [`TICK_MS`].

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_queue::ArrayQueue;

use super::connection::Reading;
use super::direct::{self, Sent};
use super::handoff::Reply;
use super::job::{Job, Parcel, Pending};
use super::reading::{self, Heads};
use super::ring_thread::Ring;
use super::serve::Desk;
use super::stop::Phase;
use super::{Plan, preface};
use crate::base::clock::{self, Micros};
use crate::base::engine::Kind;
use crate::base::limits;
use crate::base::protocol::{Cover, SocketProtocol};
use crate::engine::solo::Solo;
use crate::engine::{Reactor, Token};
use crate::plugin::host::{Exchange, Outcome};
use crate::proto::http::{Peer, Site};
use crate::proto::{self, Step};
use crate::request::Body;
use crate::shared::area::bump;
use crate::sys::net;
use crate::sys::socket::Listener;
use crate::sys::socket::queue::Queues;

/// So long an interpreter thread waits for the next request, microseconds. A client that took longer for its last one is
/// not waited for.
const WAIT_US: u64 = 1_000;
/// And for the first bytes of a connection.
const FIRST: Duration = Duration::from_micros(300);
/// The ring thread looks at a door that is kept so often, milliseconds…
const TICK_MS: u64 = 4;
/// …and takes it back from a thread that has not come there for so long, microseconds.
const HOLD_US: u64 = 4_000;
/// Before that so many requests came one after the other.
const STREAK: u32 = 4;
/// Waiting was in vain so often: others have come instead. (Once is usual at a door where the ring thread accepts as well.)
const IN_VAIN: u32 = 2;
/// Then so many requests go their usual way.
const REST: u32 = 64;
/// It hears of what was done so late, microseconds.
const TOLD_US: u64 = 4_000;
/// Jobs that are ready for an interpreter thread: more than come in that time.
const SPARES: usize = 128;
/// With so many in the line at the door, many are better received at once: that is the ring thread's way.
const CROWD: u32 = 10;
const CROWD_TCP: u32 = 3;
/// One in so many looks at the line.
const LOOK_EACH: u32 = 32;
/// And then so many requests go their usual way.
const CROWD_REST: u32 = 1_024;

/// What interpreter thread and ring thread share about it.
#[derive(Debug)]
pub struct Lone {
    /// What is configured leaves nothing to be done between head and application but what is done here.
    possible: bool,
    /// Of each door; `None`: of what comes there more is to be known.
    sites: Box<[Option<Site>]>,
    /// The door that is kept, from 1; 0: none.
    door: AtomicUsize,
    /// When the thread began to wait last, microseconds.
    came: AtomicU64,
    /// Requests are taken here.
    is_on: AtomicBool,
    spares: ArrayQueue<Parcel>,
    /// Connections that were closed here. As long as the ring thread has not heard of all, the descriptor it knows of one that
    /// is lent may be another's.
    closed: Mutex<u64>,
}

/// What the waiting thread has of its own.
#[derive(Default)]
struct Own {
    solo: Option<Solo>,
    /// There is none to be had.
    denied: bool,
    /// The last request, answered, whose connection is waited on.
    kept: Option<Parcel>,
    /// The one that came.
    next: Option<Parcel>,
    /// When the last one was finished.
    finished: Micros,
    /// Requests that came one after the other.
    streak: u32,
    /// Waits in vain since the last one that was not.
    in_vain: u32,
    /// Requests that go their usual way.
    rest: u32,
    /// Guests, to know when to look at the line.
    guests: u32,
    /// Knows its length.
    queues: Option<Queues>,
    /// Who the client of a connection is.
    peer: Option<(Token, Peer)>,
}

thread_local! {
    static OWN: RefCell<Own> = RefCell::new(Own::default());
}

/// What a wait came to.
enum Came {
    /// A request; of somebody new, the connection.
    Request(Parcel, Option<OwnedFd>),
    /// None that is served here.
    Else(Rest),
}

/// What the ring thread goes on with.
#[derive(Debug, Default)]
pub struct Rest {
    /// Somebody new.
    guest: Option<OwnedFd>,
    /// What was received, from the guest or on the connection.
    read: Vec<u8>,
    /// Somebody else may wait at the door, of whom nobody was told.
    knocked: bool,
}

impl Lone {
    /// For a worker; `rules`: requests are looked at before the application is called.
    pub fn new(plan: &Plan, rules: bool) -> Lone {
        let settings = &plan.settings.request;
        let bounded =
            settings.queue_size > 0 || settings.queue_timeout > 0 || settings.keepalive_requests > 0;
        let looks = rules || settings.tracing || plan.settings.monitor.health_checks;
        let host = crate::sys::host::node();
        let site = |listener: &Listener| {
            let plain = matches!(listener.cover, Cover::None)
                && matches!(
                    listener.protocol,
                    SocketProtocol::Uwsgi | SocketProtocol::Http | SocketProtocol::Auto
                )
                && !preface::possible(settings, listener.protocol);
            plain.then(|| super::acceptor::site(&host, listener))
        };
        Lone {
            possible: plan.settings.process.threads == 1
                && plan.area.instance().engine() == Kind::IoUring
                && !bounded
                && !looks
                && settings.trusted_proxies.is_empty(),
            sites: plan.listeners.iter().map(site).collect(),
            door: AtomicUsize::new(0),
            came: AtomicU64::new(0),
            is_on: AtomicBool::new(false),
            spares: ArrayQueue::new(SPARES),
            closed: Mutex::new(0),
        }
    }

    fn site(&self, listener: usize) -> Option<&Site> {
        self.sites.get(listener)?.as_ref()
    }

    /// The door whose clients the interpreter thread takes.
    fn door(&self) -> Option<usize> {
        self.door.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Milliseconds until the ring thread looks at it again.
    pub fn look_in(&self) -> Option<u64> {
        (self.is_on() || self.door().is_some()).then_some(TICK_MS)
    }

    /// Whether requests are taken here now: jobs are needed, and the ring thread hears later of those that are over.
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Takes a cleared job for the next request, if one is needed.
    pub fn spare(&self, parcel: Parcel) -> Option<Parcel> {
        if self.is_on() { self.spares.push(parcel).err() } else { Some(parcel) }
    }

    /// Whether the thread has not come to wait for long.
    fn is_late(&self, now: Micros) -> bool {
        now.since(Micros(self.came.load(Ordering::Relaxed))) > HOLD_US
    }

    /// How many were closed here; until it is dropped, no more are.
    fn closed(&self) -> MutexGuard<'_, u64> {
        // A thread that panicked ends the process (panic = "abort"), so poison cannot be seen.
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stop(&self) {
        self.door.store(0, Ordering::Relaxed);
        self.is_on.store(false, Ordering::Relaxed);
    }
}

impl Desk {
    /// *Interpreter.* A request is answered, and `waiting` others wait: keeps it, if the next one is to be waited for. The
    /// request, if not.
    pub(super) fn keep(&self, exchange: Parcel, waiting: usize) -> Option<Parcel> {
        if !self.lone.possible {
            return Some(exchange);
        }
        OWN.with_borrow_mut(|own| {
            let job = &exchange.job;
            let soon = job.arrived.since(own.finished) < WAIT_US;
            own.finished = job.finished;
            own.streak = if soon { own.streak.saturating_add(1) } else { 0 };
            own.rest = own.rest.saturating_sub(1);
            let (slot, area) = (self.plan.slot(), &self.plan.area);
            // At a door one may have come just before the ring thread left it.
            let free = waiting == 0 && (!job.keep_alive || slot.in_hand() <= 1);
            let sent = job.sent == Sent::Whole && job.lent.is_some() && job.token.is_some();
            let usual = job.request.record_id == 0 && job.outcome != Outcome::LastException;
            let open = !slot.is_draining() && !area.is_paused() && self.lone.site(job.listener).is_some();
            let ripe = own.streak >= STREAK && own.rest == 0;
            let fits = ripe && sent && usual && open && own.has_ring(self);
            if fits && free {
                own.kept = Some(exchange);
                return None;
            }
            // A thread that has others to serve first comes back to its door.
            if !fits || job.keep_alive {
                self.lone.stop();
            }
            Some(exchange)
        })
    }

    /// *Interpreter.* The request that was waited for.
    pub(super) fn take_lone(&self) -> Option<Parcel> {
        if self.lone.possible { OWN.with_borrow_mut(|own| own.next.take()) } else { None }
    }

    /// *Interpreter.* There is another request: the one that was kept goes back.
    pub(super) fn let_go(&self) {
        if self.lone.possible
            && let Some(kept) = OWN.with_borrow_mut(|own| own.kept.take())
        {
            self.give_back(kept, Rest::default());
        }
    }

    /// *Interpreter.* Waits for the next request, if the last one was kept for it. `false`: there is none.
    pub(super) fn wait_for_next(&self) -> bool {
        if !self.lone.possible {
            return false;
        }
        OWN.with_borrow_mut(|own| {
            let Some(mut kept) = own.kept.take() else { return false };
            self.lone.came.store(kept.job.finished.0, Ordering::Relaxed);
            if !self.handoff.attend() {
                self.give_back(kept, Rest::default());
                return false;
            }
            let came = self.attend(own, &mut kept.job);
            let others = self.handoff.attended();
            match came {
                Came::Request(parcel, guest) => {
                    self.lone.is_on.store(true, Ordering::Relaxed);
                    own.in_vain = 0;
                    let now = parcel.job.ready;
                    own.next = Some(parcel);
                    self.handoff.answer_within(Reply::Next(kept, guest), now, TOLD_US);
                    true
                }
                Came::Else(rest) => {
                    own.in_vain += 1;
                    if own.in_vain >= IN_VAIN || others && kept.job.keep_alive {
                        (own.in_vain, own.rest) = (0, if others { CROWD_REST } else { REST });
                    }
                    // At a door that the ring thread has left, this thread comes back to wait.
                    if !others || own.rest > 0 {
                        self.lone.stop();
                    }
                    self.give_back(kept, rest);
                    false
                }
            }
        })
    }

    fn give_back(&self, kept: Parcel, rest: Rest) {
        direct::end_early(&kept.job, 0);
        self.handoff.answer(Reply::Back(kept, rest));
    }

    fn attend(&self, own: &mut Own, last: &mut Job) -> Came {
        let mut parcel = self
            .lone
            .spares
            .pop()
            .unwrap_or_else(|| Box::new(Exchange::new(Job::default(), Pending::default())));
        parcel.job.listener = last.listener;
        parcel.job.token = last.token;
        let Some(solo) = &mut own.solo else { return Came::Else(Rest::default()) };
        let Some(fd) = last.lent else { return Came::Else(Rest::default()) };
        // The ring thread's bell ends the wait (`look_after`), where it looks here already.
        let time = (!self.lone.is_on()).then_some(Duration::from_micros(WAIT_US));
        if last.keep_alive {
            receive(solo, fd, &mut parcel.job.head, time);
            return self.request(own, parcel, fd, None);
        }
        self.lone.door.store(last.listener + 1, Ordering::Relaxed);
        let door = self.plan.listeners[last.listener].fd.as_raw_fd();
        *self.lone.closed() += 1;
        last.closed = true;
        let Ok(Some(guest)) = solo.accept_next(fd, door, time) else {
            return Came::Else(Rest { knocked: net::is_readable(door), ..Rest::default() });
        };
        let fd = guest.as_raw_fd();
        receive(solo, fd, &mut parcel.job.head, Some(FIRST));
        own.look_at_line(&self.plan.listeners[last.listener]);
        own.peer = None;
        self.request(own, parcel, fd, Some(guest))
    }

    /// The request that the received bytes are, if they are one that goes to the application as it is.
    fn request(&self, own: &mut Own, mut parcel: Parcel, fd: RawFd, guest: Option<OwnedFd>) -> Came {
        let job = &mut parcel.job;
        if !job.head.is_empty() && self.is_plain(own, job, fd) {
            let now = clock::now();
            job.lent = Some(fd);
            job.since = now.millis();
            (job.arrived, job.ready) = (now, now);
            if self.plan.area.is_draining() || self.plan.settings.request.keepalive_ms == 0 {
                job.request.keep_alive = false;
            }
            let fixed = self.lone.site(job.listener).map_or(&[][..], Site::text);
            parcel.lend(|job| reading::view(job, &job.head, fixed));
            return Came::Request(parcel, guest);
        }
        let read = std::mem::take(&mut job.head);
        Came::Else(Rest { guest, read, knocked: false })
    }

    /// Whether a request is all here, and nothing but the application has to do with it.
    fn is_plain(&self, own: &mut Own, job: &mut Job, fd: RawFd) -> bool {
        let Some(token) = job.token else { return false };
        let Some(site) = self.lone.site(job.listener) else { return false };
        let settings = &self.plan.settings.request;
        let protocol = self.plan.listeners[job.listener].protocol;
        let http = proto::is_http(protocol, &job.head);
        if http && own.peer.as_ref().is_none_or(|(of, _)| *of != token) {
            own.peer = Some((token, Peer::new(net::peer(fd))));
        }
        let peer = own.peer.as_ref().map(|(_, peer)| peer);
        let head = std::mem::take(&mut job.head);
        let step = Heads { settings, protocol, site, peer }.parse(&head, job);
        let behind = head.len().saturating_sub(job.request.head_bytes) as u64;
        job.head = head;
        match (step, &job.request.body) {
            (Ok(Step::Head), Body::None) => behind == 0,
            (Ok(Step::Head), &Body::Sized(len)) if settings.limit_post == 0 || len <= settings.limit_post => {
                (job.body_len, job.body_in_head) = (len, true);
                behind == len
            }
            _ => false,
        }
    }
}

/// An end and an error are found again where all others are.
fn receive(solo: &mut Solo, fd: RawFd, buffer: &mut Vec<u8>, time: Option<Duration>) {
    match net::append_now(fd, buffer, limits::POOL_BUFFER_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let _ = solo.receive(fd, buffer, limits::POOL_BUFFER_BYTES, time);
        }
        _ => {}
    }
}

impl Own {
    /// One guest in so many looks how many others wait.
    fn look_at_line(&mut self, door: &Listener) {
        self.guests = self.guests.wrapping_add(1);
        if self.guests.is_multiple_of(LOOK_EACH)
            && self.queues.get_or_insert_default().waiting(door)
                >= if door.is_tcp() { CROWD_TCP } else { CROWD }
        {
            self.rest = CROWD_REST;
        }
    }

    /// A ring of one's own, made when it is first needed.
    fn has_ring(&mut self, desk: &Desk) -> bool {
        if self.solo.is_none() && !self.denied {
            match Solo::new(desk.handoff.bell()) {
                Ok(solo) => self.solo = Some(solo),
                // The worker has one, which does it all, a little slower.
                Err(_) => self.denied = true,
            }
        }
        self.solo.is_some()
    }
}

impl<R: Reactor> Ring<R> {
    /// An interpreter thread has finished a request, and is at work on the next one: on the same connection, or on that of
    /// `guest`, which takes its place.
    pub(super) fn went_on(&mut self, mut parcel: Parcel, guest: Option<OwnedFd>) {
        self.count_finished(&parcel);
        let (token, listener) = (parcel.job.token, parcel.job.listener);
        self.at_the_end(&mut parcel);
        self.account(&parcel);
        let trail = self.record(&parcel, false);
        self.lost(trail);
        self.note_closed(&parcel);
        self.retire(parcel);
        let conn = token.and_then(|token| self.conn(token)).expect("a connection that is lent stays");
        conn.served = if guest.is_some() { 1 } else { conn.served + 1 };
        let Some(guest) = guest else { return };
        conn.peer = None;
        conn.listener = listener;
        conn.reading = Reading::Dispatched;
        conn.leaving = false;
        if let Some(last) = conn.fd.replace(guest) {
            self.engine.close(last);
        }
        bump(&self.plan.tally().accepted, 1);
        self.count_taken();
    }

    /// An interpreter thread has finished a request, and waited for the next one: what came of that.
    pub(super) fn came_back(&mut self, parcel: Parcel, rest: Rest) {
        let Rest { guest, read, knocked } = rest;
        let listener = parcel.job.listener;
        self.note_closed(&parcel);
        match guest {
            Some(guest) => {
                self.done(parcel);
                self.welcome(guest, listener, false, read);
            }
            None => {
                if let Some(conn) = parcel.job.token.and_then(|token| self.conn(token)) {
                    conn.leftover = read;
                }
                self.done(parcel);
            }
        }
        if knocked {
            self.pass_on(listener);
        }
    }

    /// An interpreter thread may have closed the connection.
    fn note_closed(&mut self, parcel: &Parcel) {
        if parcel.job.closed {
            self.closed += 1;
            let fd = parcel.job.token.and_then(|token| self.conn(token)).and_then(|conn| conn.fd.take());
            // Its number is another's.
            let _ = fd.map(IntoRawFd::into_raw_fd);
        }
    }

    /// Shuts a connection down that is lent; it is not where its interpreter thread has closed it already.
    pub(super) fn shut_down_lent(&mut self, fd: RawFd) {
        let closed = self.desk.lone.closed();
        if *closed == self.closed {
            self.engine.shutdown(fd);
        }
    }

    /// A thread that waits for too long waits no more.
    pub(super) fn look_after(&mut self) {
        let lone = &self.desk.lone;
        if lone.is_on() && lone.is_late(self.now) {
            lone.stop();
            self.desk.handoff.ring_bell();
        }
    }

    /// The door that an interpreter thread keeps, and comes back to. One that it does not come back to is taken from it.
    pub(super) fn kept_door(&mut self) -> Option<usize> {
        let lone = &self.desk.lone;
        let door = lone.door()?;
        if !lone.is_late(self.now)
            && self.in_flight > 0
            && self.phase == Phase::Open
            && !self.plan.area.is_paused()
        {
            return Some(door);
        }
        lone.stop();
        None
    }
}
