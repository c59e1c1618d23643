//! What a worker's ring thread counts for those who look at the server from outside: requests by method and status,
//! times in buckets, bytes. A cell is a load and a store by that thread alone; what a dead worker counted stays.

use std::sync::atomic::{AtomicU64, Ordering};

use super::slot::bump;

/// Methods that are told apart; the last stands for all others.
pub const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", "_OTHER"];
/// Where connections can be.
pub const PLACES: usize = 6;
/// Classes of status codes: none at all, then `1xx` to `5xx`.
pub const CLASSES: usize = 6;
/// Upper bounds of the buckets of times, microseconds: 100 µs to 60 s.
pub const BOUNDS_US: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Where a connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It waits for a request.
    #[default]
    Idle = 0,
    /// A head or a body is coming.
    Reading = 1,
    /// Its request waits for an interpreter thread, or is with one.
    Working = 2,
    /// An answer is on its way out.
    Writing = 3,
    /// It ends.
    Closing = 4,
    /// An interpreter thread waits for its next request, or works on it.
    Kept = 5,
}

/// Times in buckets.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// What a histogram held when it was looked at. Those of several workers add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// By bucket, not cumulated; the last is beyond all bounds.
    pub counts: [u64; BOUNDS_US.len() + 1],
    /// Microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// *Its thread.* One more.
    pub fn observe(&self, us: u64) {
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        bump(&self.counts[bucket], 1);
        bump(&self.sum_us, us);
    }

    /// What it holds.
    pub fn read(&self) -> Times {
        let mut times = Times { sum_us: self.sum_us.load(Ordering::Relaxed), ..Times::default() };
        for (to, from) in times.counts.iter_mut().zip(&self.counts) {
            *to = from.load(Ordering::Relaxed);
        }
        times
    }
}

impl Times {
    /// With those of another.
    pub fn add(&mut self, other: &Times) {
        self.sum_us += other.sum_us;
        for (to, from) in self.counts.iter_mut().zip(other.counts) {
            *to += from;
        }
    }
}

/// The counters of one worker's slot.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct Tally {
    answered: [[AtomicU64; CLASSES]; METHODS.len()],
    /// From the arrival of a request (its connection's accept, or its first byte on a kept one) until an interpreter
    /// thread took it.
    pub queue: Histogram,
    /// In the application.
    pub app: Histogram,
    /// Bytes of requests, heads and bodies.
    pub rx_bytes: AtomicU64,
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Connections open, by [`Place`]. Gauges.
    pub connections: [AtomicU64; PLACES],
    /// Requests answered by a static file.
    pub static_requests: AtomicU64,
    /// Requests answered by the internal router.
    pub routed_requests: AtomicU64,
    /// Requests whose client sent no more of them.
    pub read_errors: AtomicU64,
    /// What uWSGI calls the average: half of the last one and half of the one before, microseconds.
    pub average_us: AtomicU64,
    /// Interpreter threads of its worker; 0: there never was one.
    pub threads: AtomicU64,
    /// What the slot's requests stood at when its worker came.
    pub requests_before: AtomicU64,
}

impl Tally {
    /// *Its ring thread.* A request was answered with `status` (0: not at all).
    pub fn answered(&self, method: &[u8], status: u16) {
        let method = METHODS.iter().position(|name| name.as_bytes() == method).unwrap_or(METHODS.len() - 1);
        let class = usize::from(status / 100);
        bump(&self.answered[method][if class < CLASSES { class } else { 0 }], 1);
    }

    /// *Its ring thread.* A request took so long.
    pub fn took(&self, us: u64) {
        let average = self.average_us.load(Ordering::Relaxed);
        self.average_us.store(average.midpoint(us), Ordering::Relaxed);
    }

    /// Requests answered, by method and class of status.
    pub fn answers(&self) -> [[u64; CLASSES]; METHODS.len()] {
        self.answered.each_ref().map(|classes| classes.each_ref().map(|cell| cell.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_method_and_class() {
        let tally = Tally::default();
        for (method, status) in
            [("GET", 200), ("GET", 204), ("GET", 503), ("BREW", 418), ("PUT", 0), ("PUT", 999)]
        {
            tally.answered(method.as_bytes(), status);
        }
        let answers = tally.answers();
        let other = METHODS.len() - 1;
        assert_eq!((answers[0][2], answers[0][5], answers[other][4], answers[3][0]), (2, 1, 1, 2));
        assert_eq!(answers.as_flattened().iter().sum::<u64>(), 6);
    }

    #[test]
    fn a_time_is_in_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for us in [0, 100, 101, 60_000_000, 60_000_001] {
            histogram.observe(us);
        }
        let mut times = histogram.read();
        let counts = times.counts;
        assert_eq!((counts[0], counts[1], counts[17], counts[18]), (2, 1, 1, 1));
        assert_eq!(times.sum_us, 120_000_202);
        times.add(&histogram.read());
        assert_eq!((times.counts[0], times.sum_us), (4, 240_000_404));
    }

    #[test]
    fn the_average_is_half_of_the_last() {
        let tally = Tally::default();
        tally.took(200);
        tally.took(300);
        assert_eq!(tally.average_us.load(Ordering::Relaxed), 200);
    }
}
