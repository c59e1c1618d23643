//! The loop: replies in, submissions out, one wait, events. What an event means is said in the files beside this
//! one (`acceptor`, `reading`, `writing`, `deadlines`, `stop`).

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use slab::Slab;

use super::acceptor::Doors;
use super::census::Census;
use super::connection::{Conn, Name};
use super::gate::Gate;
use super::handoff::Reply;
use super::job::{self, Parcel, Pending};
use super::logbook::Logbook;
use super::queue::Bounds;
use super::recorder::Recorder;
use super::relay::Relay;
use super::room::Crowding;
use super::serve::Desk;
use super::{Plan, stop::Phase};
use crate::base::clock::{self, Micros, Millis};
use crate::base::limits;
use crate::engine::timer::Wheel;
use crate::engine::{Event, Payload, Reactor, Token};
use crate::sys::socket::Listener;

/// Spare jobs and buffers kept for the next requests: with what `job::reset` leaves each, 16 MiB at most.
const SPARES: usize = 128;

/// While an interpreter thread is busy it may not say that it has sent answers: they are looked for so often,
/// milliseconds, should it get stuck.
const UNTOLD_MS: u64 = 5;

/// A listening socket.
pub struct Door {
    pub listener: Listener,
    /// Connections may begin with a proxy's preface.
    pub preface: bool,
}

/// Everything the ring thread owns.
pub struct Ring<R> {
    pub(super) engine: R,
    pub(super) plan: Arc<Plan>,
    pub(super) desk: &'static Desk,
    pub(super) doors: Doors,
    pub(super) conns: Slab<Conn>,
    pub(super) generation: u32,
    pub(super) gate: Gate,
    pub(super) share: super::share::Share,
    pub(super) relay: Relay,
    pub(super) bounds: Bounds,
    pub(super) recycling: super::recycle::Bounds,
    pub(super) watch: super::harakiri::Watch,
    /// Bytes of answers that the engine has and the kernel has not taken yet.
    pub(super) unsent: usize,
    /// Connections this worker holds at most.
    pub(super) connections_max: usize,
    pub(super) crowding: Crowding,
    /// Requests that wait for room in the handoff.
    pub(super) backlog: VecDeque<Parcel>,
    /// Requests handed over and not yet finished.
    pub(super) in_flight: usize,
    /// There is something for interpreter threads that they were not woken for.
    pub(super) handed_over: bool,
    pub(super) wheel: Wheel<Token>,
    /// Connections that began to wait for a client since the last turn: most are served before they need a timer.
    pub(super) fresh: Vec<Token>,
    /// Connections with received bytes that came before their response was out, since the turn began.
    pub(super) held: Vec<Token>,
    /// Connections accepted in the last turn, whose first bytes have not been looked for yet: most bring a
    /// request at once, so they count as work.
    pub(super) newcomers: usize,
    pub(super) jobs: Vec<Parcel>,
    pub(super) buffers: Vec<Vec<u8>>,
    pub(super) logbook: Logbook,
    pub(super) recorder: Recorder,
    pub(super) census: Census,
    pub(super) now: Micros,
    pub(super) phase: Phase,
    /// Told to end at once, it waits so long for interpreter threads to tell of what is over.
    pub(super) patient_until: Millis,
    /// It ends, and others serve those who come.
    pub(super) succeeded: bool,
    /// Connections that interpreter threads have closed, so far as is known here.
    pub(super) closed: u64,
    /// What is known here of the connections in the circle.
    pub(super) circle: super::circle::Known,
    /// What the slot's counter stood at when this process took it over.
    pub(super) requests_before: u64,
    events: Vec<Event>,
    due: Vec<Token>,
}

impl<R: Reactor> Ring<R> {
    /// Ready to run.
    pub fn new(mut engine: R, plan: Arc<Plan>, desk: &'static Desk) -> Ring<R> {
        let now = clock::now();
        let alone = plan.settings.process.processes == 1;
        let threads = plan.settings.process.threads as usize;
        let requests_before = plan.slot().requests_total();
        plan.tally().requests_before.store(requests_before, Ordering::Relaxed);
        plan.tally().threads.store(threads as u64, Ordering::Relaxed);
        Ring {
            doors: Doors::new(&plan, &mut engine),
            engine,
            conns: Slab::with_capacity(256),
            generation: 0,
            gate: Gate::new(threads, alone),
            share: super::share::Share::default(),
            relay: Relay::new(plan.relay.clone()),
            bounds: Bounds::new(&plan, desk.handoff.capacity()),
            recycling: super::recycle::Bounds::new(plan.settings.recycling, now.millis()),
            watch: super::harakiri::Watch::new(plan.settings.harakiri, desk),
            connections_max: super::room::connections_max(&plan),
            unsent: 0,
            crowding: Crowding::default(),
            backlog: VecDeque::new(),
            in_flight: 0,
            handed_over: false,
            wheel: Wheel::new(now.millis()),
            fresh: Vec::new(),
            held: Vec::new(),
            newcomers: 0,
            jobs: Vec::new(),
            buffers: Vec::new(),
            logbook: Logbook::new(&plan),
            recorder: Recorder::new(&plan.area, plan.slot, now),
            census: Census::default(),
            now,
            phase: Phase::Open,
            patient_until: Millis(0),
            succeeded: false,
            closed: 0,
            circle: super::circle::Known::default(),
            requests_before,
            events: Vec::new(),
            due: Vec::new(),
            plan,
            desk,
        }
    }

    /// Serves until the worker is told to end and everything is answered.
    pub fn run(&mut self) -> io::Result<()> {
        self.engine.watch(self.desk.handoff.wake_fd(), Name::Replies.token());
        self.engine.watch(self.plan.bell(self.plan.slot).as_raw_fd(), Name::Control.token());
        self.engine.watch(self.plan.life.as_raw_fd(), Name::Life.token());
        if let Some(bell) = self.relay.bell() {
            self.engine.watch(bell, Name::Relay.token());
        }
        self.look_at_command();
        while !self.is_over() {
            self.turn()?;
        }
        self.read_replies();
        self.logbook.flush_now();
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        self.read_replies();
        self.take_held();
        self.look_after();
        self.look_after_circle();
        self.relay_waiting();
        self.take_relayed();
        self.hand_over();
        let accepts_end = self.regulate_accepts();
        self.wake_interpreters(accepts_end)?;
        let sweeping = self.phase == Phase::Sweeping;
        self.logbook.flush(&mut self.engine);
        // Once: an interpreter thread may change its mind between two looks, and what is said must be what is done.
        let patient = self.is_patient();
        let timeout = self.timeout(patient);
        let sleeps = self.desk.handoff.ring_may_sleep(patient);
        let timeout = if sleeps { timeout } else { Some(Duration::ZERO) };
        let mut events = std::mem::take(&mut self.events);
        let waited = self.engine.wait(timeout, &mut events);
        self.desk.handoff.ring_woke();
        waited?;
        self.now = clock::now();
        let young = std::mem::take(&mut self.fresh);
        self.newcomers = 0;
        for event in events.drain(..) {
            self.handle(event);
        }
        self.events = events;
        self.unhold();
        self.end_sweep(sweeping);
        self.logbook.say_number(self.now);
        self.census.publish(self.plan.tally());
        self.time_fresh(young);
        self.expire();
        self.expire_queue();
        self.expire_recycling();
        self.expire_flights();
        self.watch_threads();
        if self.unsent > limits::UNSENT_BYTES_MAX {
            self.close_unread();
        }
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        let token = event.token();
        match event {
            Event::Accepted { token, result } => self.accepted(token, result),
            Event::Received { token, result } => self.received(token, result),
            Event::Filled { token, result, buffer } => self.filled(token, result, buffer),
            Event::Sent { token, result, buffer } => self.sent(token, result, buffer),
            Event::Progress { token } => self.progressed(token),
            Event::FileSent { token, result } => self.file_sent(token, result),
            Event::Written { token, result, buffer } => match Name::of(token) {
                Name::Log => self.logbook.written(result, buffer),
                _ => self.spooled(token, result, buffer),
            },
            Event::Readable { token } => match Name::of(token) {
                Name::Control => self.look_at_command(),
                Name::Life => self.master_is_gone(),
                Name::Relay => self.relay.rang(),
                _ => {} // replies are read at the top of every turn
            },
        }
        self.recount(token);
    }

    pub(super) fn read_replies(&mut self) {
        while let Some(reply) = self.desk.handoff.reply() {
            match reply {
                Reply::Done(parcel) => self.done(parcel),
                Reply::Next(parcel, guest) => self.went_on(parcel, guest),
                Reply::Back(parcel, rest) => self.came_back(parcel, rest),
                Reply::Seated(parcel) => self.seated(parcel),
                Reply::Left(token, read) => self.left_circle(token, read),
                Reply::Output(token, channel) => {
                    self.output(token, channel);
                    self.recount(token);
                }
                Reply::WantBody(token, channel) => self.want_body(token, channel),
            }
        }
    }

    /// Whether an interpreter thread receives requests by itself now: it needs jobs, and tells of what is over later.
    fn takes_shortcuts(&self) -> bool {
        self.desk.lone.is_on() || self.desk.circle.is_on()
    }

    /// Whether one may.
    pub(super) fn may_take_shortcuts(&self) -> bool {
        self.phase == Phase::Open && !self.plan.area.is_paused()
    }

    /// Whether the interpreter thread may be late with the news of answers that it has sent: more of them are to come.
    fn is_patient(&self) -> bool {
        self.in_flight > 1 || self.takes_shortcuts()
    }

    fn timeout(&self, patient: bool) -> Option<Duration> {
        let now = self.now.millis();
        let timer = self.wheel.next_in(now);
        let pause = self.doors.pause_left(now);
        let stop = self.stop_poll();
        let log = self.logbook.number_due(self.now);
        let (full, queue) = (self.look_in(), self.queue_look_in());
        let untold = (patient || self.desk.held.is_any()).then_some(UNTOLD_MS);
        let (recycling, watch) = (self.recycling.look_in(now), self.watch.look_in(now));
        // Who has come is given a reminder a turn later: that turn must come, also where nothing else happens.
        let fresh = (!self.fresh.is_empty()).then_some(limits::FRESH_MS);
        let (share, door, circle) =
            (self.share.look_in(), self.desk.lone.look_in(), self.desk.circle.look_in());
        [timer, pause, stop, log, full, queue, recycling, watch, untold, fresh, share, door, circle]
            .into_iter()
            .flatten()
            .min()
            .map(Duration::from_millis)
    }

    fn expire(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.expire(self.now.millis(), &mut due);
        for token in due.drain(..) {
            self.reminded(token);
        }
        self.due = due;
    }

    /// The entry a token names, if it still does.
    pub(super) fn conn(&mut self, token: Token) -> Option<&mut Conn> {
        let Name::Conn(index, generation) = Name::of(token) else { return None };
        self.conns.get_mut(index).filter(|conn| conn.generation == generation)
    }

    /// A job for the next request.
    pub(super) fn fresh_job(&mut self) -> Parcel {
        self.jobs.pop().unwrap_or_else(job::blank)
    }

    /// Takes a job back, and the pooled buffer its head lies in.
    pub(super) fn retire(&mut self, mut parcel: Parcel) {
        if let Some(chunk) = parcel.job.chunk.take() {
            self.engine.release(chunk);
        }
        parcel.job.clear();
        parcel.body = Pending::default();
        let wanted = self.takes_shortcuts();
        let left = if wanted { self.desk.shortcut.refill(parcel) } else { Some(parcel) };
        if let Some(parcel) = left
            && self.jobs.len() < SPARES
        {
            self.jobs.push(parcel);
        }
    }

    /// Takes an engine's buffer back.
    pub(super) fn recycle(&mut self, mut buffer: Vec<u8>) {
        if self.buffers.len() < SPARES {
            super::job::reset(&mut buffer);
            self.buffers.push(buffer);
        }
    }

    /// Takes back what was sent. What an interpreter thread has lent, such a thread lets go of.
    pub(super) fn reuse(&mut self, payload: Payload) {
        match payload {
            Payload::Own(buffer) => self.recycle(buffer),
            Payload::Lent(loan) => {
                drop(loan);
                self.desk.handoff.give_back();
                self.handed_over = true;
            }
        }
    }

    /// An empty buffer.
    pub(super) fn spare(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }
}
