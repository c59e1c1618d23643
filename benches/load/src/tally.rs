//! What a run amounted to: counts, errors by kind, latencies, and the one line of JSON they become.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use std::time::Duration;

/// Why a request brought no good answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused, or no descriptor left.
    Connect,
    /// The unix socket's backlog was full; nginx answers 502 here.
    Backlog,
    /// Reset or broken pipe.
    Reset,
    /// Closed before the answer was whole.
    Eof,
    /// Bytes that are no HTTP answer.
    Nonsense,
    /// A status outside 2xx and 3xx.
    Status,
    /// A body of another size than expected.
    Size,
    Timeout,
    /// Still open two seconds after the end.
    Unfinished,
}

/// Names in the JSON, in the order of [`Fault`].
const FAULT_NAMES: [&str; 9] =
    ["connect", "backlog", "reset", "eof", "nonsense", "status", "size", "timeout", "unfinished"];

/// A run's result.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// One a good answer, in tenths of a microsecond; exact, and 4 bytes each for a few million requests.
    latencies: Vec<u32>,
    faults: [u64; FAULT_NAMES.len()],
    bytes: u64,
    elapsed: Duration,
}

impl Tally {
    pub(crate) fn new() -> Tally {
        Tally { latencies: Vec::with_capacity(1 << 20), ..Tally::default() }
    }

    pub(crate) fn answer(&mut self, latency: Duration) {
        self.latencies.push(u32::try_from(latency.as_nanos() / 100).unwrap_or(u32::MAX));
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.faults[fault as usize] += 1;
    }

    pub(crate) fn received(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    pub(crate) fn finish(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        self.latencies.sort_unstable();
    }

    /// The line `scripts/bench` reads. Latencies are of good answers only.
    pub(crate) fn to_json(&self) -> String {
        let seconds = self.elapsed.as_secs_f64();
        let requests = self.latencies.len();
        let rate = if seconds > 0.0 { requests as f64 / seconds } else { 0.0 };
        format!(
            "{{\"mode\":\"uwsgi\",\"requests\":{requests},\"errors\":{{{errors}}},\"seconds\":{seconds:.4},\
             \"rps\":{rate:.1},\"p50_us\":{p50:.1},\"p99_us\":{p99:.1},\"p999_us\":{p999:.1},\
             \"max_us\":{max:.1},\"bytes\":{bytes},\"client_cpu_s\":{cpu:.3}}}",
            errors = self.errors_json(),
            p50 = self.percentile_us(0.5),
            p99 = self.percentile_us(0.99),
            p999 = self.percentile_us(0.999),
            max = self.percentile_us(1.0),
            bytes = self.bytes,
            cpu = own_cpu_seconds(),
        )
    }

    fn errors_json(&self) -> String {
        let pairs: Vec<String> =
            FAULT_NAMES.iter().zip(self.faults).map(|(name, count)| format!("\"{name}\":{count}")).collect();
        pairs.join(",")
    }

    /// Nearest rank. `finish` has sorted the list.
    fn percentile_us(&self, share: f64) -> f64 {
        let Some(last) = self.latencies.len().checked_sub(1) else { return 0.0 };
        let rank = (share * self.latencies.len() as f64).ceil() as usize;
        f64::from(self.latencies[rank.saturating_sub(1).min(last)]) / 10.0
    }
}

/// The generator's own CPU time: when it nears `seconds`, the client was the limit and not the server.
fn own_cpu_seconds() -> f64 {
    getrusage(UsageWho::RUSAGE_SELF).map_or(0.0, |usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let mut tally = Tally::new();
        for micros in (1..=1000).rev() {
            tally.answer(Duration::from_micros(micros));
        }
        tally.finish(Duration::from_secs(2));
        let shown: Vec<f64> = [0.5, 0.99, 0.999, 1.0].map(|share| tally.percentile_us(share)).to_vec();
        assert_eq!(shown, [500.0, 990.0, 999.0, 1000.0]);
    }

    #[test]
    fn a_run_without_answers_still_prints_its_errors() {
        let mut tally = Tally::new();
        tally.fault(Fault::Backlog);
        tally.fault(Fault::Unfinished);
        tally.finish(Duration::from_secs(1));
        let json = tally.to_json();
        assert!(json.contains("\"requests\":0"), "{json}");
        assert!(json.contains("\"backlog\":1"), "{json}");
        assert!(json.contains("\"unfinished\":1}"), "{json}");
        assert!(!json.contains('\n'));
    }
}
