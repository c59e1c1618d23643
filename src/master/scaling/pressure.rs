//! Requests wait and nobody is free: that is no matter of seconds and percentages, one more worker is wanted now.
//!
//! How long they wait is not measured but follows (Little's law): as many as wait, divided by as many as are finished in
//! a unit of time. A short queue in front of fast requests moves on by itself; the same queue in front of slow ones is
//! what a user feels.

use serde::{Deserialize, Serialize};

use super::Crowd;
use crate::base::clock::Millis;

/// A wait longer than this is too long, milliseconds.
pub const WAIT_MS: u64 = 10;
/// It must have been so in so many samples in a row: a burst that is over is none.
const SAMPLES: u64 = 3;

/// The samples in which requests waited.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Pressure {
    window: Option<Window>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Window {
    since: Millis,
    requests: u64,
    samples: u64,
    waiting: u64,
}

impl Pressure {
    /// Whether requests have been waiting too long.
    pub fn judge(&mut self, crowd: &Crowd<'_>, now: Millis) -> bool {
        let waiting = crowd.all_waiting();
        if waiting == 0 || crowd.free() > crowd.coming {
            self.window = None;
            return false;
        }
        let fresh = Window { since: now, requests: crowd.requests, samples: 0, waiting: 0 };
        let window = self.window.get_or_insert(fresh);
        window.samples += 1;
        window.waiting += waiting;
        if window.samples < SAMPLES {
            return false;
        }
        let (span_ms, finished) =
            (now.since(window.since), crowd.requests - window.requests.min(crowd.requests));
        // waiting / samples requests, at finished / span_ms each millisecond.
        let long = window.waiting * span_ms > WAIT_MS * window.samples * finished;
        self.window = None;
        long
    }
}
