//! Looks at the shared area and at the sockets: what the [`Scaler`](super::Scaler) judges by.

use std::sync::atomic::Ordering;

use super::{CYCLE_MS, Load, Sample};
use crate::base::clock::{self, Millis};
use crate::options::scaling::Scaling;
use crate::shared::area::Area;
use crate::sys::memory;
use crate::sys::socket::Listener;
use crate::sys::socket::queue::Queues;

/// While requests come, milliseconds.
const BUSY_MS: u64 = 100;

/// When to look, and how.
#[derive(Debug)]
pub struct Sampler {
    queues: Queues,
    weighs: bool,
    due: Millis,
    requests: u64,
}

impl Sampler {
    /// `None`: for these options nothing has to be known of at most `most` workers.
    pub fn new(rules: &Scaling, most: u32) -> Option<Sampler> {
        let weighs = rules.rss_soft > 0 || rules.rss_hard > 0;
        rules.watches(most).then(|| Sampler {
            queues: Queues::new(),
            weighs,
            due: clock::now().millis(),
            requests: 0,
        })
    }

    /// When to look.
    pub fn due(&self) -> Millis {
        self.due
    }

    /// Looks, if it is time.
    pub fn look(&mut self, area: &Area, listeners: &[Listener]) -> Option<Sample> {
        let now = clock::now().millis();
        if now < self.due {
            return None;
        }
        let sample = self.sample(area, listeners);
        let moves = sample.requests != self.requests
            || sample.waiting > 0
            || sample.loads.iter().any(|load| load.in_hand > 0);
        self.requests = sample.requests;
        self.due = now.after(if moves { BUSY_MS } else { CYCLE_MS });
        Some(sample)
    }

    fn sample(&self, area: &Area, listeners: &[Listener]) -> Sample {
        let loads = (1..=area.slot_count()).filter(|number| area.slot(*number).process() != 0);
        Sample {
            loads: loads.map(|number| self.load(area, number)).collect(),
            waiting: listeners.iter().map(|listener| self.queues.waiting(listener)).sum(),
            requests: area.total_requests(),
        }
    }

    fn load(&self, area: &Area, number: u32) -> Load {
        let (slot, now) = (area.slot(number), clock::now());
        let since: Vec<_> = area.cores_of(number).filter_map(|(_, core)| Some(core.busy()?.since)).collect();
        let unfinished: u64 = since.iter().map(|began| now.since(*began)).sum();
        let pid = slot.process();
        Load {
            pid,
            in_hand: slot.in_hand(),
            busy_us: slot.running_time_us.load(Ordering::Relaxed) + unfinished,
            since: since.into_iter().map(clock::Micros::millis).collect(),
            rss: if self.weighs { memory::resident_of(pid) } else { 0 },
        }
    }
}
