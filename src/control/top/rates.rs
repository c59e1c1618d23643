//! What two live documents come to: so much a second, and how long requests took between them.

use std::collections::HashMap;

use crate::stats::live::{Buckets, Live};

/// See the module's page. Where nothing is known it is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rates {
    /// Requests a second.
    pub requests: f64,
    /// The same by class of status: none, 1xx to 5xx.
    pub answers: [f64; 6],
    /// Requests a second that the application never saw.
    pub refused: f64,
    /// Requests a second whose application raised.
    pub exceptions: f64,
    /// Bytes of requests a second.
    pub rx_bytes: f64,
    /// Bytes of answers a second.
    pub tx_bytes: f64,
    /// Each worker's, by number.
    pub workers: HashMap<u32, WorkerRates>,
}

/// Those of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorkerRates {
    /// Requests a second.
    pub requests: f64,
    /// How much of its threads' time was spent in requests, 0 to 1.
    pub busy: f64,
}

impl Rates {
    /// From `before` to `now`.
    pub fn between(before: &Live, now: &Live) -> Rates {
        let seconds = now.now_ms.saturating_sub(before.now_ms).max(1) as f64 / 1000.0;
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        let mut answers = [0.0; 6];
        for (to, (before, now)) in answers.iter_mut().zip(before.answers.iter().zip(now.answers)) {
            *to = rate(*before, now);
        }
        let earlier: HashMap<u32, _> = before.workers.iter().map(|worker| (worker.id, worker)).collect();
        let worker = |worker: &crate::stats::live::Worker| {
            let before = earlier.get(&worker.id)?;
            let threads = worker.cores.len().max(1) as f64;
            let busy = rate(before.busy_us, worker.busy_us) / 1e6 / threads;
            let requests = rate(before.requests, worker.requests);
            Some((worker.id, WorkerRates { requests, busy: busy.min(1.0) }))
        };
        Rates {
            requests: rate(before.requests, now.requests),
            answers,
            refused: rate(before.refused.iter().sum(), now.refused.iter().sum()),
            exceptions: rate(before.exceptions, now.exceptions),
            rx_bytes: rate(before.rx_bytes, now.rx_bytes),
            tx_bytes: rate(before.tx_bytes, now.tx_bytes),
            workers: now.workers.iter().filter_map(worker).collect(),
        }
    }
}

/// How long so many of a hundred requests took at most, microseconds, of those that came between two readings of the
/// buckets: within the bucket it is guessed that they are spread evenly. `None`: there were none, or nothing is known.
pub fn percentile(bounds_us: &[u64], before: &Buckets, now: &Buckets, percent: f64) -> Option<f64> {
    let count = |n: usize| {
        let earlier = before.counts.get(n).copied().unwrap_or(0);
        now.counts[n].saturating_sub(earlier) as f64
    };
    let total: f64 = (0..now.counts.len()).map(count).sum();
    if total == 0.0 {
        return None;
    }
    let (wanted, mut seen) = (total * percent / 100.0, 0.0);
    for n in 0..now.counts.len() {
        let here = count(n);
        if here > 0.0 && seen + here >= wanted {
            let low = if n == 0 { 0.0 } else { *bounds_us.get(n - 1)? as f64 };
            // What is beyond all bounds is told as the last of them.
            let high = bounds_us.get(n).map_or(low, |bound| *bound as f64);
            return Some(low + (high - low) * ((wanted - seen) / here).clamp(0.0, 1.0));
        }
        seen += here;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::live::{Core, Worker};

    #[test]
    fn a_rate_is_the_difference_over_the_time() {
        let worker = |requests, busy_us| Worker {
            id: 3,
            requests,
            busy_us,
            cores: vec![Core::default(); 2],
            ..Worker::default()
        };
        let before = Live {
            now_ms: 1_000,
            requests: 10,
            answers: [0, 0, 10, 0, 0, 0],
            workers: vec![worker(10, 0)],
            ..Live::default()
        };
        let now = Live {
            now_ms: 3_000,
            requests: 30,
            answers: [0, 0, 26, 0, 0, 4],
            workers: vec![worker(30, 1_000_000), Worker::default()],
            ..Live::default()
        };
        let rates = Rates::between(&before, &now);
        assert_eq!((rates.requests, rates.answers), (10.0, [0.0, 0.0, 8.0, 0.0, 0.0, 2.0]));
        assert_eq!(rates.workers, HashMap::from([(3, WorkerRates { requests: 10.0, busy: 0.25 })]));
        // A server that started anew has counted less.
        assert_eq!(Rates::between(&now, &Live { now_ms: 4_000, ..Live::default() }).requests, 0.0);
    }

    #[test]
    fn percentiles_are_of_what_came_between() {
        let bounds = [100, 200];
        let buckets = |counts: [u64; 3]| Buckets { counts: counts.to_vec(), sum_us: 0 };
        let before = buckets([1_000, 0, 0]);
        let of = |counts, percent| percentile(&bounds, &before, &buckets(counts), percent);
        assert_eq!(of([1_000, 0, 0], 50.0), None);
        assert_eq!(of([1_050, 50, 0], 25.0), Some(50.0));
        assert_eq!(of([1_050, 50, 0], 75.0), Some(150.0));
        assert_eq!(of([1_000, 0, 9], 99.0), Some(200.0));
        assert_eq!(percentile(&[], &Buckets::default(), &Buckets::default(), 50.0), None);
    }
}
