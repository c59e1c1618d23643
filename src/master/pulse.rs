//! Whether the other processes move: once a second the master looks, and nobody else wakes up for that. Where there is
//! nothing to wait for, no connection and no request, it looks every five seconds.
//!
//! A process that was stopped is seen in the kernel's list. A worker on which somebody waits (it has requests in hand,
//! or connections wait at the listening sockets) is poked: its ring thread answers at its next turn. One that holds
//! connections only is poked less often, one without any not at all.
//!
//! It is *looks* without an answer that count, not time: where all processes stood still (a frozen container, a
//! suspended machine), the first look afterwards must not find everybody guilty.

use std::collections::HashMap;

use crate::base::clock::Millis;
use crate::shared::area::{Area, State};
use crate::sys::process::{self, Doing};

/// Between two looks, milliseconds.
const LOOK_MS: u64 = 1_000;
/// And while nobody has any connection.
const IDLE_LOOK_MS: u64 = 5_000;
/// A worker with connections and nothing else is poked at every so many looks.
const CALM_LOOKS: u32 = 10;

/// What the master remembers between two looks.
#[derive(Debug)]
pub struct Pulse {
    /// So many looks in a row without a sign of life are too many.
    looks_max: u32,
    is_on: bool,
    /// Somebody else wants to know, at every look.
    watched: bool,
    next: Millis,
    beats: HashMap<u32, Beat>,
}

/// Of one process.
#[derive(Debug, Default)]
struct Beat {
    /// Looks without a sign of life.
    silent: u32,
    /// Looks since the last poke.
    calm: u32,
    /// Requests finished when that last changed, and when that was.
    requests: u64,
    since: Millis,
}

/// What a look found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Processes that do not move any more.
    pub silent: Vec<u32>,
    /// Slots whose ring threads are to be woken.
    pub poked: Vec<u32>,
    /// Workers that serve.
    pub workers: usize,
    /// Those of them that get on: their ring threads turn, and not all of their threads are in requests that take
    /// longer than the time asked about.
    pub getting_on: usize,
    /// Something goes on, or is not as it should be.
    pub restless: bool,
}

/// What can be seen of a worker.
#[derive(Clone, Copy, Debug)]
struct Seen {
    pid: u32,
    doing: Doing,
    /// It has not answered the last poke.
    silent: bool,
    /// Somebody waits for it.
    wanted: bool,
    connections: u32,
    requests: u64,
    /// All of its threads have work.
    full: bool,
}

impl Pulse {
    /// Workers may be silent for so many seconds; 0: for ever. `watched`: somebody else wants to know, too.
    pub fn new(seconds: u64, watched: bool) -> Pulse {
        let looks_max = u32::try_from(seconds * 1_000 / LOOK_MS).unwrap_or(u32::MAX);
        Pulse { looks_max, is_on: watched || seconds > 0, watched, next: Millis(0), beats: HashMap::new() }
    }

    /// Milliseconds until the next look; `None`: nobody wants to know.
    pub fn look_in(&self, now: Millis) -> Option<u64> {
        self.is_on.then(|| self.next.since(now))
    }

    /// Looks at the workers of `area` and at `templates`, if it is time to. `clients_wait`: at the listening sockets;
    /// `threads`: each worker's; `patience_ms`: what a request may take before its thread counts as stuck.
    pub fn look(
        &mut self,
        area: &Area,
        templates: &[u32],
        clients_wait: impl FnOnce() -> bool,
        threads: u32,
        patience_ms: u64,
        now: Millis,
    ) -> Option<Found> {
        if !self.is_on || self.next > now {
            return None;
        }
        let clients_wait = clients_wait();
        let mut found = Found { restless: self.watched || clients_wait, ..Found::default() };
        let mut alive = templates.to_vec();
        for number in 1..=area.slot_count() {
            let slot = area.slot(number);
            let pid = slot.process();
            if pid == 0 || !matches!(slot.state(), State::Ready | State::Draining) {
                continue;
            }
            alive.push(pid);
            let seen = Seen {
                pid,
                doing: process::doing(pid),
                silent: slot.is_silent(),
                wanted: clients_wait || slot.in_hand() > 0,
                connections: slot.connections(),
                requests: slot.requests_total(),
                full: slot.in_hand() >= threads,
            };
            if self.worker(seen, patience_ms, now, &mut found) {
                slot.poke();
                found.poked.push(number);
            }
        }
        for pid in templates {
            let beat = self.beats.entry(*pid).or_default();
            let stopped = process::doing(*pid) == Doing::Stopped;
            beat.see(stopped);
            found.restless |= stopped;
            if beat.is_silent_for(self.looks_max) {
                found.silent.push(*pid);
            }
        }
        self.beats.retain(|pid, _| alive.contains(pid));
        self.next = now.after(if found.restless { LOOK_MS } else { IDLE_LOOK_MS });
        Some(found)
    }

    /// Whether it is to be poked.
    fn worker(&mut self, seen: Seen, patience_ms: u64, now: Millis, found: &mut Found) -> bool {
        let beat = self.beats.entry(seen.pid).or_default();
        if beat.since == Millis(0) || seen.requests != beat.requests || !seen.full {
            (beat.requests, beat.since) = (seen.requests, now);
        }
        let silent = match seen.doing {
            // Who looks into it with a debugger knows that it does not serve meanwhile.
            Doing::Traced | Doing::Gone => false,
            Doing::Stopped => true,
            Doing::Something => seen.silent,
        };
        beat.see(silent);
        found.restless |= silent || seen.silent || seen.wanted || seen.connections > 0;
        found.workers += 1;
        // One look without an answer is not yet a sign of anything.
        if beat.silent <= 1 && now.since(beat.since) < patience_ms {
            found.getting_on += 1;
        }
        if beat.is_silent_for(self.looks_max) {
            found.silent.push(seen.pid);
        }
        beat.calm += 1;
        let due = seen.wanted || (seen.connections > 0 && beat.calm >= CALM_LOOKS);
        let poke = due && !seen.silent && seen.doing == Doing::Something;
        if poke {
            beat.calm = 0;
        }
        poke
    }
}

impl Beat {
    fn see(&mut self, silent: bool) {
        self.silent = if silent { self.silent + 1 } else { 0 };
    }

    /// Said once, and again after as many looks.
    fn is_silent_for(&mut self, looks_max: u32) -> bool {
        let over = looks_max > 0 && self.silent >= looks_max;
        if over {
            self.silent = 0;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: Seen = Seen {
        pid: 7,
        doing: Doing::Something,
        silent: false,
        wanted: false,
        connections: 0,
        requests: 0,
        full: false,
    };

    /// One look each second at what `seen` says; what was found at the last.
    fn looks(pulse: &mut Pulse, from_s: u64, seen: &[Seen]) -> (Found, bool) {
        let mut last = (Found::default(), false);
        for (n, seen) in seen.iter().enumerate() {
            let mut found = Found::default();
            let poke = pulse.worker(*seen, 5_000, Millis((from_s + n as u64) * 1_000), &mut found);
            last = (found, poke);
        }
        last
    }

    #[test]
    fn nobody_is_woken_without_reason() {
        let mut pulse = Pulse::new(3, false);
        assert!(!looks(&mut pulse, 1, &[FINE; 40]).1);
        assert!(looks(&mut pulse, 50, &[Seen { wanted: true, ..FINE }]).1);
        let calm = Seen { connections: 1, ..FINE };
        assert!(!looks(&mut pulse, 60, &[calm; 9]).1);
        assert!(looks(&mut pulse, 69, &[calm]).1);
        assert!(!looks(&mut pulse, 70, &[Seen { silent: true, wanted: true, ..FINE }]).1);
    }

    #[test]
    fn the_next_look_is_later_while_nothing_goes_on() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let slot = area.slot(1);
        slot.occupy(1);
        slot.set_state(State::Ready);
        let own = std::process::id();
        let next = |pulse: &mut Pulse, templates: &[u32], waiting: bool| {
            pulse.next = Millis(0);
            pulse.look(&area, templates, || waiting, 1, 5_000, Millis(1_000)).expect("due");
            pulse.look_in(Millis(1_000))
        };
        let mut pulse = Pulse::new(3, false);
        assert_eq!(next(&mut pulse, &[own], false), Some(IDLE_LOOK_MS));
        assert_eq!(next(&mut pulse, &[own], true), Some(LOOK_MS), "somebody is not let in");
        assert_eq!(next(&mut Pulse::new(3, true), &[own], false), Some(LOOK_MS), "the service manager waits");
        for seen in [
            Seen { connections: 1, ..FINE },
            Seen { wanted: true, ..FINE },
            Seen { doing: Doing::Stopped, ..FINE },
            Seen { silent: true, ..FINE },
        ] {
            assert!(looks(&mut pulse, 1, &[seen]).0.restless, "{seen:?}");
        }
        assert!(!looks(&mut pulse, 2, &[FINE]).0.restless);
    }

    #[test]
    fn silence_is_told_after_so_many_looks_and_not_before() {
        let mut pulse = Pulse::new(3, false);
        for gone in [Seen { doing: Doing::Stopped, ..FINE }, Seen { silent: true, wanted: true, ..FINE }] {
            assert_eq!(looks(&mut pulse, 1, &[gone; 2]).0.silent, [0; 0]);
            // It answered in between.
            assert_eq!(looks(&mut pulse, 3, &[FINE, gone, gone]).0.silent, [0; 0]);
            let (found, _) = looks(&mut pulse, 6, &[gone]);
            assert_eq!((found.silent.as_slice(), found.getting_on), ([7].as_slice(), 0));
            assert_eq!(looks(&mut pulse, 7, &[gone]).0.silent, [0; 0]);
            looks(&mut pulse, 8, &[FINE]);
        }
        assert_eq!(
            looks(&mut pulse, 20, &[Seen { doing: Doing::Traced, silent: true, ..FINE }; 9]).0.silent,
            [0; 0]
        );
        assert_eq!(
            looks(&mut Pulse::new(0, true), 1, &[Seen { doing: Doing::Stopped, ..FINE }; 99]).0.silent,
            [0; 0]
        );
    }

    #[test]
    fn a_worker_whose_threads_are_all_stuck_does_not_get_on() {
        let mut pulse = Pulse::new(10, false);
        let full = Seen { full: true, wanted: true, ..FINE };
        assert_eq!(looks(&mut pulse, 1, &[full; 5]).0.getting_on, 1);
        assert_eq!(looks(&mut pulse, 6, &[full]).0.getting_on, 0);
        assert_eq!(looks(&mut pulse, 7, &[Seen { requests: 1, ..full }]).0.getting_on, 1);
        // Long requests beside free threads are nothing to worry about.
        assert_eq!(looks(&mut pulse, 8, &[Seen { full: false, ..full }; 30]).0.getting_on, 1);
    }
}
