//! Health checks on the sockets of requests (`health-checks`): answered by the ring thread, so the interpreter may hang.

use super::job::Parcel;
use super::ring_thread::Ring;
use crate::engine::Reactor;
use crate::request::{Received, Values};
use crate::response::Answer;
use crate::stats::health::{self, Health};

impl<R: Reactor> Ring<R> {
    /// Answers a request that is one of the three, or gives it back. None is logged.
    pub(super) fn by_health(&mut self, mut parcel: Parcel) -> Option<Parcel> {
        let job = &parcel.job;
        let fixed = self.desk.site(job.listener).text();
        let received = Received { request: &job.request, head: self.head_bytes(job), fixed };
        let path = received.value(b"PATH_INFO").filter(|path| health::is_asked(path)).unwrap_or_default();
        let answer = std::str::from_utf8(path).ok().filter(|path| !path.is_empty()).and_then(|path| {
            let patience_ms = self.plan.settings.monitor.health_timeout.saturating_mul(1000);
            Health::of(&self.plan.area, patience_ms, self.now.millis()).answer(path)
        });
        let Some(verdict) = answer else { return Some(parcel) };
        parcel.job.notes.quiet = true;
        let mut answer = match verdict {
            Ok(()) => Answer::text("200 OK", "ok\n"),
            Err(why) => Answer::text("503 Service Unavailable", format!("{why}\n")),
        };
        answer.field("Cache-Control", b"no-store");
        self.answer(parcel, answer);
        None
    }
}
