//! Shares of connections: a worker that is ahead of the others leaves the next one to them, for a moment.
//!
//! The kernel wakes one worker for a connection, and whoever runs takes what else waits meanwhile: a burst of kept
//! connections would end with the first worker that wakes up, and stay there. So each worker says in the shared area how
//! many connections it holds, how many it has taken in this second and whether it has room, and looks at the others' before
//! it accepts. It waits for those only that have room themselves, and for [`HOLD_MS`] at most.

use super::ring_thread::Ring;
use crate::base::clock::Millis;
use crate::base::protocol::SocketProtocol;
use crate::engine::Reactor;
use crate::shared::area::{Area, State};

/// Who is ahead looks so often whether the others have caught up, milliseconds.
const TICK_MS: u64 = 1;
/// And accepts after so long all the same, milliseconds: they may not be able to run.
const HOLD_MS: u64 = 20;
/// Connections are counted for so long, milliseconds.
const PERIOD_MS: u64 = 1_000;
/// Kept connections a worker may hold more than the one with least.
const KEPT_AHEAD: u32 = 1;
/// Connections a worker may have taken more than the one with least.
const TAKEN_AHEAD: u32 = 4;
/// And this part of what that one has: under load connections are taken in batches.
const PART: u32 = 16;

/// What a worker has of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    kept: u32,
    taken: u32,
}

/// Where this worker stands.
#[derive(Debug, Default)]
pub struct Share {
    held_since: Option<Millis>,
    /// What the others see of it.
    has_room: bool,
}

impl Share {
    /// Milliseconds until the others are looked at again.
    pub fn look_in(&self) -> Option<u64> {
        self.held_since.map(|_| TICK_MS)
    }
}

impl<R: Reactor> Ring<R> {
    /// Tells the others whether there is room; nobody is waited for without.
    pub(super) fn tell_room(&mut self, has_room: bool) {
        if !has_room {
            self.share.held_since = None;
        }
        if self.share.has_room != has_room {
            self.share.has_room = has_room;
            self.plan.slot().set_accepting(has_room);
        }
    }

    /// A connection was taken.
    pub(super) fn count_taken(&self) {
        self.plan.slot().take_one(period(self.now.millis()));
    }

    /// How many accepts may be under way at a socket where `armed` are and `wanted` could be.
    pub(super) fn share_of(&mut self, protocol: SocketProtocol, armed: usize, wanted: usize) -> usize {
        if armed >= wanted || self.gate.is_alone() {
            return wanted;
        }
        let now = self.now.millis();
        let own = Load {
            kept: u32::try_from(self.conns.len()).unwrap_or(u32::MAX),
            taken: self.plan.slot().taken_in(period(now)),
        };
        let fair = fair(own, least(&self.plan.area, self.plan.slot, period(now)), protocol);
        if fair > armed {
            self.share.held_since = None;
            return wanted.min(fair);
        }
        if armed > 0 {
            return armed;
        }
        let since = *self.share.held_since.get_or_insert(now);
        if now.since(since) < HOLD_MS {
            return 0;
        }
        self.share.held_since = None;
        1
    }
}

fn period(now: Millis) -> u32 {
    u32::try_from(now.0 / PERIOD_MS).unwrap_or_default()
}

/// The least of each among the other workers that could take a connection now.
fn least(area: &Area, own: u32, period: u32) -> Option<Load> {
    (1..=area.slot_count())
        .filter(|number| *number != own)
        .map(|number| area.slot(number))
        .filter(|slot| slot.is_accepting() && slot.state() == State::Ready && !slot.is_silent())
        .map(|slot| Load { kept: slot.connections(), taken: slot.taken_in(period) })
        .reduce(|a, b| Load { kept: a.kept.min(b.kept), taken: a.taken.min(b.taken) })
}

/// How many more connections one that has `own` may take before the one with `least` is to have one.
fn fair(own: Load, least: Option<Load>, protocol: SocketProtocol) -> usize {
    let Some(least) = least else { return usize::MAX };
    let more = |own: u32, least: u32, ahead: u32| {
        least.saturating_add(ahead).saturating_add(least / PART).saturating_sub(own) as usize
    };
    let taken = more(own.taken, least.taken, TAKEN_AHEAD);
    // Over the uwsgi protocol each request has its own connection: none stays.
    if protocol == SocketProtocol::Uwsgi { taken } else { taken.min(more(own.kept, least.kept, KEPT_AHEAD)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_ahead_takes_nothing() {
        let load = |kept, taken| Load { kept, taken };
        for (own, least, http, uwsgi) in [
            (load(0, 0), load(0, 0), 1, 4),
            (load(1, 1), load(0, 0), 0, 3),
            (load(2, 2), load(0, 0), 0, 2),
            (load(2, 4), load(0, 0), 0, 0),
            (load(9, 100), load(7, 99), 0, 9),
            (load(8, 100), load(7, 0), 0, 0),
            (load(0, 100), load(900, 100), 10, 10),
            (load(900, 0), load(900, 1600), 57, 1704),
        ] {
            let fair = |protocol| fair(own, Some(least), protocol);
            assert_eq!(
                (fair(SocketProtocol::Http), fair(SocketProtocol::Uwsgi)),
                (http, uwsgi),
                "{own:?} {least:?}"
            );
        }
        assert_eq!(fair(load(9, 9), None, SocketProtocol::Http), usize::MAX);
    }

    #[test]
    fn only_those_with_room_are_waited_for() {
        let area = Area::new(3, 3, 0).expect("mapped");
        for number in 1..=3 {
            let slot = area.slot(number);
            slot.occupy(1);
            slot.set_state(State::Ready);
            slot.set_accepting(true);
            (0..number).for_each(|_| slot.take_one(7));
            slot.set_connections(number as usize);
        }
        assert_eq!(least(&area, 1, 7), Some(Load { kept: 2, taken: 2 }));
        assert_eq!(least(&area, 3, 7), Some(Load { kept: 1, taken: 1 }));
        assert_eq!(least(&area, 3, 8), Some(Load { kept: 1, taken: 0 }), "another period");
        area.slot(1).set_accepting(false);
        area.slot(2).poke();
        assert_eq!(least(&area, 3, 7), None, "one is busy, the other silent");
    }
}
