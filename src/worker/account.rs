//! The end of a request in figures: shared counters and the request line.

use super::Plan;
use super::job::{Job, Parcel, Stage};
use super::office;
use super::ring_thread::Ring;
use crate::engine::Reactor;
use crate::logging::format::{self, Known, Record, Sent, Variables};
use crate::plugin::host::Outcome;
use crate::request::{Received, Values};
use crate::routes::Notes;
use crate::shared::area::bump;
use crate::sys::process;

/// What `%(var.NAME)` finds: variables as received, or as set on the way.
struct Logged<'a> {
    received: Received<'a>,
    notes: &'a Notes,
    plan: &'a Plan,
}

impl std::fmt::Debug for Logged<'_> {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.debug_struct("Logged").field("received", &self.received).finish_non_exhaustive()
    }
}

impl Variables for Logged<'_> {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.notes.value(name).or_else(|| self.received.value(name))
    }

    fn metric(&self, name: &[u8]) -> i64 {
        office::metric_value(self.plan, name)
    }

    fn known(&self, which: Known) -> &[u8] {
        let Received { request, head, fixed } = self.received;
        let span = match which {
            Known::Host => request.host,
            Known::Agent => request.agent,
            Known::Referer => request.referer,
            Known::ForwardedFor => request.forwarded_for,
        };
        request.bytes(span, head, fixed)
    }
}

impl<R: Reactor> Ring<R> {
    /// Counts a finished request, and writes its line.
    pub(super) fn account(&mut self, parcel: &Parcel) {
        let job = &parcel.job;
        let took = job.finished.since(job.started);
        let plan = std::sync::Arc::clone(&self.plan);
        let slot = plan.slot();
        let requests = bump(&slot.requests, 1);
        bump(&slot.tx_bytes, job.head_sent + job.body_sent);
        bump(&slot.running_time_us, took);
        let raised = matches!(job.outcome, Outcome::Exception | Outcome::LastException);
        if raised {
            bump(&slot.exceptions, 1);
        }
        self.tally(job, took, raised);
        self.log_request(parcel, requests, took);
        if self.plan.settings.process.reaper {
            // A worker's children are all the application's own.
            while process::reap().is_some() {}
        }
        self.consider_recycling(requests - self.requests_before);
        if job.outcome == Outcome::LastException {
            // What it has broken nobody shall meet: it ends at once, before its successor comes.
            self.end_early("an exception (reload-on-exception)");
        }
    }

    /// Counts it for those who look at the server from outside.
    fn tally(&self, job: &Job, took: u64, raised: bool) {
        let tally = self.plan.tally();
        let (request, head) = (&job.request, self.head_bytes(job));
        let fixed = self.desk.site(job.listener).text();
        tally.answered(request.bytes(request.method, head, fixed), job.status);
        tally.took(took);
        bump(&tally.rx_bytes, request.head_bytes as u64 + job.body_len);
        // The number of the request on its interpreter thread: without one it never was on one.
        if job.serial > 0 {
            tally.app.observe(took);
            tally.queue.observe(job.ahead_us + job.started.since(job.arrived));
            let app = self.plan.area.app(self.plan.slot, job.app);
            if let Some(app) = app.filter(|_| job.outcome != Outcome::NoApp) {
                app.count(raised);
            }
        } else if job.notes.by_file {
            bump(&tally.static_requests, 1);
        } else {
            bump(&tally.routed_requests, 1);
        }
    }

    pub(super) fn count_read_error(&self) {
        bump(&self.plan.tally().read_errors, 1);
    }

    pub(super) fn count_write_error(&self) {
        bump(&self.plan.slot().write_errors, 1);
    }

    fn log_request(&mut self, parcel: &Parcel, requests: u64, took: u64) {
        let job = &parcel.job;
        let request = &job.request;
        if job.notes.quiet {
            return;
        }
        let sent = match (&job.stage, job.via_sendfile) {
            (Stage::Broken, _) => Sent::Broken,
            (_, true) => Sent::File,
            _ => Sent::Whole,
        };
        if !format::wanted(&self.plan.settings.logging, job.status, took, job.body_sent, sent) {
            return;
        }
        let started_wall_us = self.logbook.wall_us(job.started, self.now);
        let head = job.chunk.as_ref().map_or(job.head.as_slice(), |chunk| self.engine.bytes(chunk));
        let fixed = self.desk.site(job.listener).text();
        let text = |span| request.bytes(span, head, fixed);
        let no_app = job.outcome == Outcome::NoApp;
        let record = Record {
            pid: self.logbook.pid(),
            worker: self.plan.id,
            core: job.thread,
            app: if no_app { -1 } else { i64::from(job.app) },
            app_requests: if no_app { -1 } else { i64::try_from(requests).unwrap_or(i64::MAX) },
            total_requests: if self.logbook.tells_total() { self.plan.area.total_requests() } else { 0 },
            addr: text(request.addr),
            user: text(request.user),
            method: text(request.method),
            uri: text(request.uri),
            protocol: text(request.protocol),
            vars: 2 * request.vars.len(),
            packet_bytes: request.packet_bytes(),
            started_wall_us,
            took_us: took,
            status: job.status,
            header_count: job.field_count,
            header_bytes: job.head_sent,
            body_bytes: job.body_sent,
            content_length: job.body_len,
            broken: sent == Sent::Broken,
            cut_off: parcel.body.channel.get().is_some_and(|channel| channel.input_failed()),
            via_sendfile: job.via_sendfile,
            modifier1: request.modifier1,
            modifier2: request.modifier2,
            traced: self.plan.settings.request.tracing,
            logvars: &job.logvars,
            variables: &Logged {
                received: Received { request, head, fixed },
                notes: &job.notes,
                plan: &self.plan,
            },
        };
        self.logbook.request(&record);
    }
}
