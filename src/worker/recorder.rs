//! The flight recorder's pen: which requests are worth keeping (`shared::flight`). Of a request whose answer an interpreter
//! thread has sent, one comparison tells. Where the ring thread sends it, or its rest, what is to be kept travels with the
//! connection until that is out, in a box that is used again.

use super::direct::Sent;
use super::job::{Job, Parcel, Stage};
use super::ring_thread::Ring;
use crate::base::clock::Micros;
use crate::engine::{Reactor, Token};
use crate::plugin::host::Outcome;
use crate::proto::Error;
use crate::shared::area::Area;
use crate::shared::core::Busy;
use crate::shared::flight::{Failure, Flown, Ladder};

/// Boxes kept for reuse.
const SPARES: usize = 128;

/// See the module's page.
#[derive(Debug)]
pub struct Recorder {
    /// `disable-recorder`.
    off: bool,
    /// `recorder-query`.
    query: bool,
    /// Which request is slow enough.
    ladder: Ladder,
    /// This process: asking the kernel for each request would cost 1 % of a short one.
    pid: u32,
    #[expect(clippy::vec_box, reason = "the boxes travel: a connection has room for one pointer")]
    spares: Vec<Box<Flown>>,
}

impl Recorder {
    /// Of the worker in slot `number`, which takes over what those before it have kept.
    pub fn new(area: &Area, number: u32, now: Micros) -> Recorder {
        let (off, query) = (area.shape().no_flights, area.shape().queries);
        let ladder = if off { Ladder::unreachable() } else { area.flights(number).ladder(now) };
        Recorder { off, query, ladder, pid: std::process::id(), spares: Vec::new() }
    }

    /// Whether anything is kept.
    pub fn is_on(&self) -> bool {
        !self.off
    }
}

/// Why a request counts as failed whose answer is made.
fn failure(job: &Job) -> Option<Failure> {
    match job.outcome {
        Outcome::Exception | Outcome::LastException => Some(Failure::Exception),
        _ if job.sent == Sent::Failed || matches!(job.stage, Stage::Broken) => Some(Failure::Gone),
        _ if job.status >= 500 => Some(Failure::Status),
        _ => None,
    }
}

/// The phases of a request that is finished.
fn times(job: &Job, pid: u32, to: &mut Flown) {
    let on_core = job.serial > 0;
    // What the ring thread answers by itself never waited.
    let ready = if on_core { job.ready } else { job.started };
    to.arrived = job.arrived;
    to.accept_us = job.ahead_us;
    to.read_us = ready.since(job.arrived);
    to.queue_us = job.started.since(ready);
    to.app_us = job.finished.since(job.started);
    to.write_us = 0;
    to.status = job.status;
    to.pid = pid;
    to.core = on_core.then_some(job.thread);
}

impl<R: Reactor> Ring<R> {
    /// A request is finished. What is to be kept of it when its answer is out, if that is still to be sent. `late`: it
    /// was told as failed already.
    pub(super) fn record(&mut self, parcel: &Parcel, late: bool) -> Option<Box<Flown>> {
        if self.recorder.off {
            return None;
        }
        let job = &parcel.job;
        let why = if late { None } else { failure(job) };
        let over = job.sent != Sent::No || late;
        if over && why.is_none() && !self.recorder.ladder.is_slow(job.finished.since(job.arrived)) {
            return None;
        }
        let mut flown = self.recorder.spares.pop().unwrap_or_default();
        times(job, self.recorder.pid, &mut flown);
        flown.why = why;
        self.name(job, &mut flown);
        if !over {
            return Some(flown);
        }
        self.keep(flown);
        None
    }

    /// A request is refused.
    pub(super) fn record_refusal(&mut self, job: &Job, error: &Error) {
        let Some(status) = error.status.filter(|status| *status >= 500 && !self.recorder.off) else { return };
        let mut flown = self.recorder.spares.pop().unwrap_or_default();
        let ready = if job.ready == Micros(0) { self.now } else { job.ready };
        *flown = Flown {
            arrived: job.arrived,
            accept_us: job.ahead_us,
            read_us: ready.since(job.arrived),
            queue_us: self.now.since(ready),
            status,
            pid: self.recorder.pid,
            why: Some(Failure::Refused),
            text: std::mem::take(&mut flown.text),
            ..Flown::default()
        };
        self.name(job, &mut flown);
        self.keep(flown);
    }

    /// A request takes too long.
    pub(super) fn record_late(&mut self, core: u32, busy: &Busy, text: &[u8], status: u16) {
        if !self.recorder.off {
            let flown = busy.flown(self.now, text);
            let (core, why, pid) = (Some(core), Some(Failure::Harakiri), self.recorder.pid);
            self.keep(Box::new(Flown { core, why, status, pid, ..flown }));
        }
    }

    /// The answer on a connection is out.
    pub(super) fn landed(&mut self, token: Token) {
        let now = self.now;
        if let Some(mut flown) = self.conn(token).and_then(|conn| conn.trail.take()) {
            flown.write_us = now.since(flown.ended());
            self.keep(flown);
        }
    }

    /// Nobody takes this answer any more.
    pub(super) fn lost(&mut self, trail: Option<Box<Flown>>) {
        if let Some(mut flown) = trail {
            flown.write_us = self.now.since(flown.ended());
            flown.why = flown.why.or(Some(Failure::Gone));
            self.keep(flown);
        }
    }

    /// Time passes: what was slow long ago is not any more.
    pub(super) fn expire_flights(&mut self) {
        if self.recorder.ladder.until() <= self.now {
            self.recorder.ladder.expire(self.now);
        }
    }

    fn name(&self, job: &Job, flown: &mut Flown) {
        let (request, head) = (&job.request, self.head_bytes(job));
        let fixed = self.desk.site(job.listener).text();
        flown.name(request.bytes(request.method, head, fixed), request.bytes(request.uri, head, fixed));
    }

    fn keep(&mut self, mut flown: Box<Flown>) {
        let slow = self.recorder.ladder.is_slow(flown.total_us());
        if slow || flown.why.is_some() {
            let flights = self.plan.area.flights(self.plan.slot);
            if !self.recorder.query {
                flown.without_query();
            }
            if flown.why.is_some() {
                flights.keep_failed(&flown);
            }
            if slow {
                flights.keep_slow(&mut self.recorder.ladder, &flown);
            }
        }
        if self.recorder.spares.len() < SPARES {
            self.recorder.spares.push(flown);
        }
    }
}
