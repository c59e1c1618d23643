//! Time as the server uses it: milliseconds for deadlines, microseconds for measuring.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Monotonic milliseconds, for deadlines. Comparable within one boot of the machine, across processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// This much later, in milliseconds.
    #[must_use]
    pub fn after(self, ms: u64) -> Millis {
        Millis(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to `self`, 0 where it is not earlier.
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Monotonic microseconds, for measuring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(pub u64);

impl Micros {
    /// Microseconds from `earlier` to `self`, 0 where it is not earlier.
    pub fn since(self, earlier: Micros) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The same instant for deadlines.
    pub fn millis(self) -> Millis {
        Millis(self.0 / 1000)
    }
}

/// The monotonic clock now.
pub fn now() -> Micros {
    let t = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC)
        .expect("CLOCK_MONOTONIC exists on every Linux");
    Micros(t.tv_sec().cast_unsigned() * 1_000_000 + t.tv_nsec().cast_unsigned() / 1000)
}

/// Seconds since the epoch, by the wall clock.
pub fn wall_seconds() -> u64 {
    wall() / 1_000_000
}

/// The same as of the kernel's last tick: up to 10 ms late, at a fraction of the price.
pub fn wall_seconds_about() -> u64 {
    let t = nix::time::clock_gettime(nix::time::ClockId::CLOCK_REALTIME_COARSE)
        .expect("CLOCK_REALTIME_COARSE exists on every Linux");
    t.tv_sec().cast_unsigned()
}

/// Microseconds since the epoch, by the wall clock.
pub fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
