//! The interpreter threads' side of a request: what the plugin's calls do. Runs on interpreter threads, shares
//! nothing with the ring thread but the handoff, the channels and the shared counters.

use std::cell::{Cell, RefCell};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::allowance::Allowance;
use super::channel::{Channel, FilePart};
use super::circle::Circle;
use super::direct::{self, Claims};
use super::filter::{Filter, Kept};
use super::handoff::{Handoff, Reply};
use super::held::Held;
use super::job::{Job, Parcel, Pending, Stage};
use super::lone::Lone;
use super::pace::Pace;
use super::pages::Pages;
use super::rules::Rules;
use super::shortcut::Shortcut;
use super::{Plan, office};
use crate::base::clock::{self, Micros};
use crate::base::errors;
use crate::plugin::host::{CacheCall, Host, Outcome, Piece, Refusal, SignalCall, Wake};
use crate::proto::fastcgi;
use crate::proto::head::{BodyOut, DateCache, Head, Length};
use crate::proto::http::Site;
use crate::response::Answer;
use crate::shared::core::CoreSlot;

/// What interpreter threads share.
pub struct Desk {
    /// The way to the ring thread and back.
    pub handoff: Handoff,
    /// What the worker was given.
    pub plan: Arc<Plan>,
    /// Who answers.
    pub claims: Claims,
    /// Answers that wait for others.
    pub held: Held,
    /// Memory for large bodies.
    pub allowance: Allowance,
    /// Of each listening socket, what its requests have in common.
    pub sites: Box<[Site]>,
    /// What an interpreter thread receives by itself.
    pub shortcut: Shortcut,
    /// Requests that come one after the other, each on a connection of its own.
    pub lone: Lone,
    /// Clients that ask again and again, on connections that stay.
    pub circle: Circle,
    /// What the configuration does to requests and answers by itself.
    pub rules: Option<Rules>,
    /// `error-page-…`.
    pub pages: Pages,
}

thread_local! {
    /// Which interpreter thread this is, and the kernel's number of it.
    static CORE: Cell<Option<u32>> = const { Cell::new(None) };
    static THREAD: Cell<u32> = Cell::new(crate::sys::process::thread_id());
    static DATE: RefCell<DateCache> = RefCell::new(DateCache::default());
}

impl Desk {
    /// What the requests of a listening socket have in common.
    pub fn site(&self, listener: usize) -> &Site {
        &self.sites[listener]
    }

    /// The shared line of an interpreter thread.
    fn core(&self, thread: u32) -> Option<&CoreSlot> {
        self.plan.area.core(self.plan.slot, thread)
    }

    /// That of the calling thread, if it is an interpreter thread.
    fn own_core(&self) -> Option<&CoreSlot> {
        self.core(CORE.get()?)
    }

    /// `uwsgi.set_user_harakiri()`.
    fn user_harakiri(&self, seconds: u64) -> i64 {
        let Some(core) = self.own_core() else { return 0 };
        let at = clock::now().millis().after(seconds.saturating_mul(1000));
        core.set_user_deadline((seconds > 0).then_some(at));
        self.handoff.nudge();
        1
    }

    /// Writes there what the thread begins with; its number.
    fn enter(&self, core: &CoreSlot, exchange: &Parcel) -> u64 {
        let (job, [head, _, fixed]) = (&exchange.job, exchange.shown());
        let text = |span| job.request.bytes(span, head, fixed);
        let parts = [text(job.request.addr), b" - ", text(job.request.method), b" ", text(job.request.uri)];
        let usual_ms = self.plan.settings.harakiri.seconds.saturating_mul(1000);
        let patience_ms = job.notes.patience_ms.unwrap_or(usual_ms);
        core.set_thread(THREAD.get());
        if let Some(place) = self.plan.area.head(self.plan.slot, job.thread) {
            place.text.put(head, u32::try_from(job.listener).unwrap_or(u32::MAX));
        }
        let serial =
            core.begin([job.arrived, job.started], patience_ms, job.token.map_or(0, |token| token.0), &parts);
        if patience_ms != usual_ms {
            self.handoff.nudge();
        }
        serial
    }

    /// Begins an answer of the server's own.
    pub(super) fn start(&self, job: &mut Job, head: &Head<'_>, length: Length) -> BodyOut {
        let Some(rules) = &self.rules else { return self.begin(job, head, length) };
        match rules.answer(job, head) {
            Ok(fields) => self.begin(job, &fields.head(head), length),
            Err(answer) => self.replace(job, answer),
        }
    }

    /// Begins the application's answer.
    fn start_filtered(&self, job: &mut Job, head: &Head<'_>, length: Length) -> BodyOut {
        let Some(rules) = &self.rules else { return self.begin(job, head, length) };
        let mut fields = match rules.answer(job, head) {
            Ok(fields) => fields,
            Err(answer) => return self.replace(job, answer),
        };
        let filter = Filter::new(job, head, &mut fields, &self.plan.area);
        let length = if filter.as_ref().is_some_and(Filter::is_changing) { Length::Open } else { length };
        job.filter = filter.filter(|_| !job.request.is_head);
        self.begin(job, &fields.head(head), length)
    }

    fn begin(&self, job: &mut Job, head: &Head<'_>, length: Length) -> BodyOut {
        let draining = self.plan.slot().is_draining();
        let before = job.out.len();
        let framing = DATE.with_borrow_mut(|date| {
            let date = date.at(clock::wall_seconds_about());
            crate::proto::head::encode(&mut job.out, &job.request, head, length, date, draining)
        });
        job.status = head.status;
        job.field_count = head.field_count;
        job.head_sent = content(job.out.len() - before, job.request.record_id);
        job.keep_alive = framing.keep_alive;
        BodyOut::new(framing).in_records(job.request.record_id)
    }

    /// Takes a piece of the body, the `last` one or not: sends it, if it is large, and keeps what is left of it, or puts that
    /// into `out`.
    fn put(&self, job: &mut Job, piece: &Piece<'_>, last: bool) -> Result<(), Refusal> {
        if job.rest.is_some() {
            return Err(Refusal::Misuse);
        }
        if let Some(bytes) = job.filter.as_mut().and_then(|filter| filter.push(piece, !last)) {
            let Stage::Started(body) = &mut job.stage else { return Err(Refusal::Misuse) };
            job.body_sent += body.push(&mut job.out, &bytes);
            return Ok(());
        }
        if direct::is_large(piece) {
            self.held.fetch(job);
        }
        let sent = direct::send_uncopied(job, &self.claims, piece);
        let left = sent.inspect_err(|_| job.stage = Stage::Broken)?;
        if direct::is_large(left) && direct::keep_rest(job, piece, left) {
            return Ok(());
        }
        let Stage::Started(body) = &mut job.stage else { return Err(Refusal::Misuse) };
        job.body_sent += body.push(&mut job.out, left);
        Ok(())
    }

    /// Sends what is in `out`, or passes it to the ring thread, or holds it.
    fn stream(&self, job: &mut Job) -> Result<(), Refusal> {
        let now = clock::now();
        if self.held.hold(job, || self.waiting(), now) {
            return Ok(());
        }
        self.pass(job, now)
    }

    /// Sends what is in `out`, or passes it to the ring thread.
    fn pass(&self, job: &mut Job, now: Micros) -> Result<(), Refusal> {
        let sent = direct::stream(job, &self.claims, now);
        let direct = sent.inspect_err(|_| job.stage = Stage::Broken)?;
        if direct {
            return Ok(());
        }
        let channel = Arc::clone(channel(job));
        let written = channel.write(&job.out);
        job.out.clear();
        let announce = written.inspect_err(|_| job.stage = Stage::Broken)?;
        self.announce(job, channel, announce);
        Ok(())
    }

    fn announce(&self, job: &Job, channel: Arc<Channel>, announce: bool) {
        if let (true, Some(token)) = (announce, job.token) {
            self.handoff.answer(Reply::Output(token, channel));
        }
    }

    /// Sends a file by reading it, where there is no descriptor left to keep it open with.
    fn send_copied(&self, job: &mut Job, fd: BorrowedFd<'_>, at: u64, len: u64) -> Result<(), Refusal> {
        let mut buffer = vec![0; 64 * 1024];
        let (mut at, end) = (at, at.saturating_add(len));
        while at < end {
            let max = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = crate::sys::net::read_at(fd, &mut buffer[..max], at).map_err(|error| {
                crate::log!("[uwring] cannot read the file of a response: {error} {}", errors::FILE_SHRANK);
                Refusal::Gone
            })?;
            if read == 0 {
                return Ok(());
            }
            self.write(job, &buffer[..read])?;
            at += read as u64;
        }
        Ok(())
    }

    /// The answer to a request whose application left none.
    fn answer_for_it(&self, job: &mut Job) {
        job.out.clear();
        self.answer(job, Answer::reason("500 Internal Server Error"));
    }

    /// What the filter has held back goes out; and what it keeps for a cache.
    fn end_filter(&self, job: &mut Job) -> Option<Kept> {
        let filter = job.filter.take()?;
        match (filter.end(), &mut job.stage) {
            (Some((bytes, kept)), Stage::Started(body)) => {
                job.body_sent += body.push(&mut job.out, &bytes);
                kept
            }
            _ => {
                say_too_short();
                job.keep_alive = false;
                job.stage = Stage::Broken;
                None
            }
        }
    }

    /// Ends the body, or notes that it could not be ended as promised.
    fn complete(&self, job: &mut Job, outcome: Outcome) {
        let mut kept = None;
        match (&job.stage, outcome) {
            (Stage::Fresh, _) => {
                self.answer_for_it(job);
            }
            (Stage::Broken, _) => job.keep_alive = false,
            (Stage::Started(_), Outcome::Ok) => kept = self.end_filter(job),
            (Stage::Started(_), _) => {
                // Half an answer must not look like a whole one.
                job.keep_alive = false;
                job.stage = Stage::Broken;
            }
        }
        let Stage::Started(body) = &mut job.stage else { return };
        if !body.end(&mut job.out) {
            say_too_short();
            job.keep_alive = false;
        } else if body.excess() > 0 {
            let excess = body.excess();
            crate::log!(
                "[uwring] the application sent {excess} bytes beyond its Content-Length; they were left out {}",
                errors::TOO_LONG
            );
        } else if let Some(kept) = kept {
            kept.store(&self.plan.area);
        }
    }
}

/// Of so many bytes, those that are not headers of FastCGI's records.
fn content(bytes: usize, record_id: u16) -> u64 {
    let records =
        if record_id == 0 { 0 } else { bytes.div_ceil(fastcgi::HEADER_BYTES + fastcgi::CONTENT_MAX) };
    (bytes - records * fastcgi::HEADER_BYTES) as u64
}

fn say_too_short() {
    crate::log!(
        "[uwring] the application ended its response before the announced Content-Length; connection closed {}",
        errors::TOO_SHORT
    );
}

pub(super) fn channel(job: &mut Job) -> &Arc<Channel> {
    job.channel.get_or_insert_with(Arc::default)
}

impl Host for Desk {
    type Job = Job;
    type Body = Pending;

    fn take(&self, thread: u32) -> Option<Parcel> {
        if self.owes_signal() {
            self.let_go();
            return None;
        }
        let mut exchange = match self.take_lone() {
            Some(exchange) => exchange,
            None => {
                let exchange = self.take_seated().or_else(|| self.handoff.take())?;
                self.let_go();
                exchange
            }
        };
        exchange.job.started = clock::now();
        exchange.job.thread = thread;
        let serial = self.core(thread).map_or(0, |core| self.enter(core, &exchange));
        exchange.number(serial);
        exchange.job.serial = serial;
        self.claims.open(thread, serial);
        CORE.set(Some(thread));
        Some(exchange)
    }

    fn wait(&self, _thread: u32) -> Wake {
        if self.wait_for_next() || self.wait_for_circle() { Wake::Request } else { self.handoff.wait() }
    }

    fn respond(&self, job: &mut Job, head: &Head<'_>, body: Piece<'_>, last: bool) -> Result<(), Refusal> {
        if !matches!(job.stage, Stage::Fresh) {
            return Err(Refusal::Misuse);
        }
        let length = if last { Length::Known(body.len() as u64) } else { Length::Open };
        job.stage = Stage::Started(self.start_filtered(job, head, length));
        self.put(job, &body.up_to(uwring_abi::WHOLE_MAX), last)?;
        if last { Ok(()) } else { self.stream(job) }
    }

    fn join(&self, job: &mut Job, body: &[u8]) -> bool {
        self.held.join(job, body)
    }

    fn write(&self, job: &mut Job, body: &[u8]) -> Result<(), Refusal> {
        // A large piece goes in slices, so that a slow client costs the high-water mark and no more.
        for slice in body.chunks(crate::base::limits::OUTPUT_HIGH_WATER) {
            self.put(job, &Piece::of(slice), false)?;
            self.stream(job)?;
            if let Some(channel) = &job.channel {
                channel.wait_for_room().inspect_err(|_| job.stage = Stage::Broken)?;
            }
        }
        Ok(())
    }

    fn send_file(&self, job: &mut Job, fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Refusal> {
        if job.filter.is_some() {
            return self.send_copied(job, fd, offset, len);
        }
        let (Stage::Started(out), None) = (&mut job.stage, &job.rest) else { return Err(Refusal::Misuse) };
        // The application may close its own as soon as this returns.
        let Ok(file) = fd.try_clone_to_owned() else { return self.send_copied(job, fd, offset, len) };
        let Some(len) = out.push_file(&mut job.out, len) else { return Ok(()) };
        // Nothing may be held back that the file is to follow.
        self.held.fetch(job);
        self.pass(job, clock::now())?;
        job.body_sent += len;
        job.via_sendfile = true;
        let channel = Arc::clone(channel(job));
        let announce = channel.send_file(FilePart::new(file, offset, len, job.request.record_id))?;
        self.announce(job, channel, announce);
        Ok(())
    }

    fn read_body(&self, body: &Pending, buffer: &mut [u8]) -> Result<usize, Refusal> {
        let (Some(token), 1..) = (body.token, body.left.load(Ordering::Relaxed)) else { return Ok(0) };
        let channel = body.channel.get_or_init(Arc::default);
        loop {
            if let Some(result) = channel.read(buffer) {
                body.left.fetch_sub(*result.as_ref().unwrap_or(&0) as u64, Ordering::Relaxed);
                return result;
            }
            if channel.ask() {
                self.handoff.answer(Reply::WantBody(token, Arc::clone(channel)));
            }
            channel.wait_for_input();
        }
    }

    fn finish(&self, mut exchange: Parcel, outcome: Outcome, app: u32) {
        let job = &mut exchange.job;
        if let Some(core) = self.core(job.thread) {
            core.end();
        }
        job.outcome = outcome;
        job.app = app;
        self.held.fetch(job);
        self.complete(job, outcome);
        if job.channel.is_some() && !job.out.is_empty() && self.stream(job).is_err() {
            job.stage = Stage::Broken;
        }
        job.finished = clock::now();
        let pace = Pace::with(job);
        // Whoever sits in the circle gets the answer at once: there the ring thread sleeps.
        let stays = self.may_sit(job, pace);
        let waiting = if stays { 0 } else { self.handoff.waiting() };
        let ends = direct::ends(job, waiting, self.plan.listeners[job.listener].is_tcp());
        let (later, now) = (direct::finish(job, &self.claims, waiting, ends), job.finished);
        let Some(exchange) = self.sit(exchange, stays) else { return };
        let Some(exchange) = self.keep(exchange, waiting, pace) else { return };
        if ends {
            direct::end_early(&exchange.job);
        }
        let seated = exchange.job.seated;
        self.handoff.answer_by(Reply::Done(exchange), later.then_some(now));
        self.leave_circle(seated);
    }

    fn set_logvar(&self, job: &mut Job, name: &[u8], value: &[u8]) {
        match job.logvars.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => value.clone_into(old),
            None => job.logvars.push((name.to_vec(), value.to_vec())),
        }
    }

    fn log(&self, line: &[u8]) {
        crate::logging::line(&String::from_utf8_lossy(line));
    }

    fn control(&self, what: u32, arg: u64) -> i64 {
        match what {
            uwring_abi::CONTROL_USER_HARAKIRI => self.user_harakiri(arg),
            uwring_abi::CONTROL_DISARM => self.own_core().map_or(0, |core| {
                core.disarm();
                1
            }),
            _ => office::of_worker(&self.plan, what, arg),
        }
    }

    fn loaded(&self, app: u32, mountpoint: &[u8], seconds: u64) {
        office::loaded(&self.plan.area, self.plan.slot().generation(), app, mountpoint, seconds);
    }

    fn cache(&self, call: &CacheCall<'_>) -> (i64, Vec<Vec<u8>>) {
        office::cache(&self.plan.area, call)
    }

    fn metric(&self, what: u32, name: &[u8], number: i64) -> i64 {
        if what == uwring_abi::METRIC_GET {
            return office::metric_value(&self.plan, name);
        }
        office::metric(&self.plan.area, what, name, number)
    }

    fn signal(&self, call: &SignalCall<'_>) -> i64 {
        self.signal_call(call)
    }
}
