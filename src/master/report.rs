//! What `uwring ctl status` shows, and USR1 writes to the log.

use std::sync::atomic::Ordering;

use super::actions::Office;
use super::state::{Picture, WorkerPicture};
use crate::base::clock;
use crate::control::server::ClientId;
use crate::control::words as control;
use crate::stats::live::Live;

impl Office {
    /// All counts, to the log.
    pub(super) fn totals(&self) {
        let area = &self.shared.area;
        crate::log!("*** {} requests in {} workers ***", area.total_requests(), area.workers());
        for slot in area.slots().filter(|slot| slot.process() != 0) {
            crate::log!(
                "worker process {} (generation {}): {} requests, {} exceptions, {} bytes sent, {} ms in requests",
                slot.process(),
                slot.generation(),
                slot.requests_total(),
                slot.exceptions.load(Ordering::Relaxed),
                slot.tx_bytes.load(Ordering::Relaxed),
                slot.running_time_us.load(Ordering::Relaxed) / 1000,
            );
        }
    }

    /// All there is to see.
    pub(super) fn look(&mut self, client: ClientId) {
        if let (Some(control), Some(view)) = (&mut self.control, &self.view) {
            control.answer(client, &Live::of(view));
        }
    }

    /// What the state machine knows, with the workers' own counts.
    pub(super) fn report(&mut self, client: ClientId, picture: Picture) {
        let area = &self.shared.area;
        let worker = |known: WorkerPicture| {
            let number = area.slot_number(known.seat, known.generation);
            let slot = area.slot(number);
            control::Worker {
                id: known.id,
                pid: known.pid,
                generation: known.generation,
                state: known.state.to_owned(),
                requests: area.requests_of(number),
                exceptions: slot.exceptions.load(Ordering::Relaxed),
                write_errors: slot.write_errors.load(Ordering::Relaxed),
                refused_4xx: slot.refused_4xx.load(Ordering::Relaxed),
                refused_5xx: slot.refused_5xx.load(Ordering::Relaxed),
                refused_unanswered: slot.refused_unanswered.load(Ordering::Relaxed),
                in_flight: slot.in_flight.load(Ordering::Relaxed),
            }
        };
        let status = control::Status {
            version: crate::options::VERSION.to_owned(),
            engine: area.instance().engine().name().to_owned(),
            pid: std::process::id(),
            phase: picture.phase.to_owned(),
            generation: picture.generation,
            uptime_seconds: clock::wall_seconds().saturating_sub(area.started_on()),
            requests: area.total_requests(),
            workers: picture.workers.into_iter().map(worker).collect(),
        };
        if let Some(control) = &mut self.control {
            control.answer(client, &status);
        }
    }
}
