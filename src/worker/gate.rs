//! When a worker accepts: only while it has room to work. A connection taken by a busy worker waits behind its
//! requests while other workers idle, so with several workers the room is its idle interpreter threads, and for
//! short requests a look-ahead that lets the interpreter work in batches (measured in docs/internals.md).

/// Requests taken ahead of the interpreter while all recent ones were short.
const LOOK_AHEAD: usize = 16;
/// What counts as short, microseconds.
const SHORT_US: u64 = 500;
/// Requests to see before judging.
const SEEN_MIN: u32 = 8;
/// Requests a lone worker takes in: nobody else could serve them earlier.
const ALONE: usize = 256;

/// The rule of one worker.
#[derive(Debug)]
pub struct Gate {
    threads: usize,
    alone: bool,
    /// Decayed maximum of the service times, microseconds. Not their mean: one slow request in twenty is enough
    /// to make waiting behind it expensive.
    worst_us: u64,
    seen: u32,
}

impl Gate {
    /// For a worker with so many interpreter threads, `alone` or one of several.
    pub fn new(threads: usize, alone: bool) -> Gate {
        Gate { threads, alone, worst_us: 0, seen: 0 }
    }

    /// A request took so long in the interpreter.
    pub fn observe(&mut self, us: u64) {
        self.worst_us = us.max(self.worst_us - self.worst_us / 16);
        self.seen = self.seen.saturating_add(1);
    }

    /// Requests this worker may have in hand before it stops accepting. `stuck`: the one at hand is no short one.
    pub fn capacity(&self, stuck: bool) -> usize {
        if self.alone {
            return self.threads + ALONE;
        }
        let short = !stuck && self.seen >= SEEN_MIN && self.worst_us < SHORT_US;
        self.threads + if short { LOOK_AHEAD } else { 0 }
    }

    /// Whether another worker may be waiting for the connections this one holds back.
    pub fn is_alone(&self) -> bool {
        self.alone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ahead_comes_slowly_and_goes_at_once() {
        let mut gate = Gate::new(2, false);
        assert_eq!(gate.capacity(false), 2);
        (0..8).for_each(|_| gate.observe(100));
        assert_eq!(gate.capacity(false), 2 + LOOK_AHEAD);
        assert_eq!(gate.capacity(true), 2, "the first one is not over yet");
        gate.observe(20_000);
        assert_eq!(gate.capacity(false), 2);
        (0..20).for_each(|_| gate.observe(100));
        assert_eq!(gate.capacity(false), 2, "one slow request in twenty keeps the gate narrow");
        (0..200).for_each(|_| gate.observe(100));
        assert_eq!(gate.capacity(false), 2 + LOOK_AHEAD);
    }

    #[test]
    fn a_lone_worker_takes_what_comes() {
        assert!(Gate::new(1, true).capacity(true) > 100);
    }
}
