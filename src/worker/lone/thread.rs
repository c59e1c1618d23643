//! The interpreter thread's side: it keeps what it has answered, waits, and takes what comes.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Rest;
use super::habit::{Habit, Vain};
use crate::base::clock;
use crate::base::limits::POOL_BUFFER_BYTES;
use crate::engine::Token;
use crate::engine::solo::{Solo, Until};
use crate::plugin::host::Outcome;
use crate::proto::http::{Peer, Site};
use crate::proto::{self, Step};
use crate::request::Body;
use crate::sys::net;
use crate::sys::socket::queue::Queues;
use crate::worker::direct::{self, Sent};
use crate::worker::handoff::Reply;
use crate::worker::job::{self, Job, Parcel};
use crate::worker::reading::{self, Heads};
use crate::worker::serve::Desk;

/// So long it waits where the ring thread does not look yet.
const WAIT: Until = Until::BellOr(Duration::from_millis(1));
/// And for the first bytes of a connection.
const FIRST: Until = Until::Time(Duration::from_micros(300));
/// And longer where that has paid, unless others come: less than `HOLD_US` in all.
const LONGER: Until = Until::BellOr(Duration::from_micros(2_700));
/// The ring thread hears of what was done so late, microseconds.
const TOLD_US: u64 = 4_000;

/// What the waiting thread has of its own.
#[derive(Default)]
struct Own {
    habit: Habit,
    /// `None`: it does not wait; or there are none to be had, and all goes its usual way, a little slower.
    means: Option<Means>,
    /// The last request, answered, whose connection is waited on.
    kept: Option<Parcel>,
    /// The one that came.
    next: Option<Parcel>,
    /// Who the client of a connection is.
    peer: Option<(Token, Peer)>,
}

/// What it waits with.
struct Means {
    solo: Solo,
    /// Knows who waits in a line.
    queues: Queues,
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

impl Desk {
    /// *Interpreter.* What the calling thread is to wait with, before it serves: it belongs to an idle worker.
    pub(in crate::worker) fn prepare_to_wait(&self) {
        if self.lone.possible {
            OWN.with_borrow_mut(|own| own.means = Means::new(self));
        }
    }

    /// *Interpreter.* A request is answered, and `waiting` others wait: keeps it, if the next one is to be waited for. The
    /// request, if not.
    pub(in crate::worker) fn keep(&self, exchange: Parcel, waiting: usize) -> Option<Parcel> {
        if !self.lone.possible {
            return Some(exchange);
        }
        OWN.with_borrow_mut(|own| {
            let job = &exchange.job;
            own.habit.finished(job.arrived, job.started, job.finished);
            let fits = own.habit.is_ripe() && own.means.is_some() && self.may_be_kept(job);
            // At a door one may have come just before the ring thread left it.
            if fits && waiting == 0 && (!job.keep_alive || self.plan.slot().in_hand() <= 1) {
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

    /// Whether a request is over in the usual way, and another may follow.
    fn may_be_kept(&self, job: &Job) -> bool {
        let usual = job.sent == Sent::Whole && job.outcome != Outcome::LastException;
        let open = !self.plan.slot().is_draining() && !self.plan.area.is_paused();
        usual && open && !direct::may_send_on(job) && self.lone.site(job.listener).is_some()
    }

    /// *Interpreter.* The request that was waited for.
    pub(in crate::worker) fn take_lone(&self) -> Option<Parcel> {
        if self.lone.possible { OWN.with_borrow_mut(|own| own.next.take()) } else { None }
    }

    /// *Interpreter.* There is another request: the one that was kept goes back.
    pub(in crate::worker) fn let_go(&self) {
        if self.lone.possible
            && let Some(kept) = OWN.with_borrow_mut(|own| own.kept.take())
        {
            self.give_back(kept, Rest::default());
        }
    }

    /// *Interpreter.* Waits for the next request, if the last one was kept for it. `false`: there is none.
    pub(in crate::worker) fn wait_for_next(&self) -> bool {
        if !self.lone.possible {
            return false;
        }
        OWN.with_borrow_mut(|own| self.wait_for_next_with(own))
    }

    fn wait_for_next_with(&self, own: &mut Own) -> bool {
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
                own.habit.came();
                let now = parcel.job.ready;
                own.next = Some(parcel);
                self.handoff.answer_within(Reply::Next(kept, guest), now, TOLD_US);
                true
            }
            Came::Else(rest) => {
                own.habit.in_vain(match (others, kept.job.keep_alive) {
                    (false, _) => Vain::Nobody,
                    (true, true) => Vain::Elsewhere,
                    (true, false) if rest.is_silent() => Vain::Silent,
                    (true, false) => Vain::Others,
                });
                // At a door that the ring thread has left, this thread comes back to wait.
                if !others || own.habit.rests() {
                    self.lone.stop();
                }
                self.give_back(kept, rest);
                false
            }
        }
    }

    fn give_back(&self, kept: Parcel, rest: Rest) {
        direct::end_early(&kept.job);
        self.handoff.answer(Reply::Back(kept, rest));
    }

    fn attend(&self, own: &mut Own, last: &mut Job) -> Came {
        let (Some(means), Some(fd)) = (&mut own.means, last.lent) else { return Came::Else(Rest::default()) };
        let mut parcel = self.lone.spares.pop().unwrap_or_else(job::blank);
        parcel.job.listener = last.listener;
        parcel.job.token = last.token;
        // The ring thread's bell ends the wait (`look_after`), where it looks here already.
        let until = if self.lone.is_on() { Until::Bell } else { WAIT };
        if last.keep_alive {
            receive(&mut means.solo, fd, &mut parcel.job.head, until);
            return self.request(own, parcel, fd, None);
        }
        self.lone.door.store(last.listener + 1, Ordering::Relaxed);
        let listener = &self.plan.listeners[last.listener];
        let door = listener.fd.as_raw_fd();
        *self.lone.closed() += 1;
        last.closed = true;
        // At once, and not with the accept: over TCP the answer waits for the end.
        net::end(fd, listener.is_tcp());
        let Ok(Some(guest)) = means.solo.accept(door, own.habit.is_first(), until) else {
            return Came::Else(Rest { knocked: net::is_readable(door), ..Rest::default() });
        };
        let fd = guest.as_raw_fd();
        // Who is new speaks at once, or soon; nobody is passed on because somebody else spoke sooner.
        receive(&mut means.solo, fd, &mut parcel.job.head, FIRST);
        if parcel.job.head.is_empty() && own.habit.is_patient() {
            receive(&mut means.solo, fd, &mut parcel.job.head, LONGER);
        }
        own.peer = None;
        if self
            .lone
            .crowd
            .is_some_and(|crowd| own.habit.is_to_look() && means.queues.waiting(listener) >= crowd)
        {
            own.habit.crowd();
        }
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
        let listener = &self.plan.listeners[job.listener];
        let protocol = listener.protocol;
        let http = proto::is_http(protocol, &job.head);
        if http && own.peer.as_ref().is_none_or(|(of, _)| *of != token) {
            let address = if listener.is_tcp() { net::peer(fd) } else { None };
            own.peer = Some((token, Peer::new(address)));
        }
        let peer = own.peer.as_ref().map(|(_, peer)| peer);
        let step = Heads { settings, protocol, site, peer }.reparse(job);
        let behind = job.head.len().saturating_sub(job.request.head_bytes) as u64;
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
fn receive(solo: &mut Solo, fd: RawFd, buffer: &mut Vec<u8>, until: Until) {
    match net::append_now(fd, buffer, POOL_BUFFER_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let _ = solo.receive(fd, buffer, POOL_BUFFER_BYTES, until);
        }
        _ => {}
    }
}

impl Means {
    /// Those of the calling thread.
    fn new(desk: &Desk) -> Option<Means> {
        let solo = Solo::new(desk.handoff.bell()).ok()?;
        Some(Means { solo, queues: Queues::new() })
    }
}
