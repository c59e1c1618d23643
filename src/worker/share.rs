//! Shares of connections: a worker that is ahead of the others leaves the next one to them, for a moment.
//!
//! The kernel wakes one worker for a connection, and whoever runs takes what else waits meanwhile: a burst of kept
//! connections would end with the first worker that wakes up, and stay there. So each worker says in the shared area how
//! many connections it holds, how many it has taken in this second and whether it has room, and looks at the others' before
//! it accepts. It waits for those only that have room themselves, or had a moment ago, and for [`HOLD_MS`] at most.
//!
//! Nobody waits for ever in front of workers that are all busy with the connections they hold: one in [`TURNS`] requests,
//! or one request after [`HOLD_MS`], is that of somebody who comes.

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
/// Requests of connections it holds that may end without room for another one, at most.
const TURNS: u32 = 16;

/// What a worker has of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Load {
    kept: u32,
    taken: u32,
}

/// The least of each among the others that count; `None`: none does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Least {
    kept: Option<u32>,
    taken: Option<u32>,
}

/// Where this worker stands.
#[derive(Debug, Default)]
pub struct Share {
    /// Since then it leaves connections to others. Kept while it has no room: else it would never be its turn.
    held_since: Option<Millis>,
    /// What the others see of it.
    has_room: bool,
    /// Requests that have ended since there was room.
    turns: u32,
    /// Since then there was none.
    full_since: Millis,
}

impl Share {
    /// The interpreter has finished a request. That counts, and not what begins: who is stuck in one takes nobody.
    pub fn count_turn(&mut self) {
        self.turns += 1;
    }

    /// Milliseconds until the others are looked at again.
    pub fn look_in(&self) -> Option<u64> {
        self.held_since.filter(|_| self.has_room).map(|_| TICK_MS)
    }

    /// Whether somebody who waits has a turn, although there is no room.
    fn owes_a_turn(&mut self, now: Millis) -> bool {
        let owes = self.turns >= TURNS || self.turns > 0 && now.since(self.full_since) >= HOLD_MS;
        if owes {
            (self.turns, self.full_since) = (0, now);
        }
        owes
    }
}

impl<R: Reactor> Ring<R> {
    /// Tells the others whether there is room; nobody is waited for who has had none for long.
    pub(super) fn tell_room(&mut self, has_room: bool) {
        let now = self.now.millis();
        if has_room {
            self.share.turns = 0;
        }
        if self.share.has_room != has_room {
            (self.share.has_room, self.share.full_since) = (has_room, now);
            self.plan.slot().set_accepting(has_room, now);
        }
    }

    /// Whether to take one of those that wait although there is no room. Clients that ask again at once on the connections
    /// they hold would else keep all workers busy, and everybody else waiting for as long as they like.
    pub(super) fn takes_in_turn(&mut self) -> bool {
        let now = self.now.millis();
        if self.gate.is_alone() || !self.gets_on() || !self.share.owes_a_turn(now) {
            return false;
        }
        let others = least(&self.plan.area, self.plan.slot, period(now), now);
        others.taken.is_none() && self.somebody_knocks()
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
        let fair = fair(own, least(&self.plan.area, self.plan.slot, period(now), now), protocol);
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

/// The least of each among the other workers: of connections taken now, of those that could take one now; of connections
/// held, also of those that are busy for a moment.
fn least(area: &Area, own: u32, period: u32, now: Millis) -> Least {
    let mut least = Least::default();
    let less = |of: Option<u32>, n: u32| Some(of.map_or(n, |of| of.min(n)));
    for slot in (1..=area.slot_count()).filter(|number| *number != own).map(|number| area.slot(number)) {
        if slot.state() != State::Ready || slot.is_silent() || !slot.accepted_within(HOLD_MS, now) {
            continue;
        }
        least.kept = less(least.kept, slot.connections());
        if slot.is_accepting() {
            least.taken = less(least.taken, slot.taken_in(period));
        }
    }
    least
}

/// How many more connections one that has `own` may take before the one with `least` is to have one.
fn fair(own: Load, least: Least, protocol: SocketProtocol) -> usize {
    let more = |own: u32, least: Option<u32>, ahead: u32| {
        let Some(least) = least else { return usize::MAX };
        least.saturating_add(ahead).saturating_add(least / PART).saturating_sub(own) as usize
    };
    let taken = more(own.taken, least.taken, TAKEN_AHEAD);
    // Over a front end's protocol each request has its own connection: none stays.
    if !protocol.may_be_http() { taken } else { taken.min(more(own.kept, least.kept, KEPT_AHEAD)) }
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
            let least = Least { kept: Some(least.kept), taken: Some(least.taken) };
            let fair = |protocol| fair(own, least, protocol);
            assert_eq!(
                (fair(SocketProtocol::Http), fair(SocketProtocol::Uwsgi)),
                (http, uwsgi),
                "{own:?} {least:?}"
            );
        }
        assert_eq!(fair(load(9, 9), Least::default(), SocketProtocol::Http), usize::MAX);
    }

    #[test]
    fn only_those_with_room_are_waited_for() {
        let area = Area::new(3, 3, 0).expect("mapped");
        let now = Millis(7_000);
        for number in 1..=3 {
            let slot = area.slot(number);
            slot.occupy(1);
            slot.set_state(State::Ready);
            slot.set_accepting(true, now);
            (0..number).for_each(|_| slot.take_one(7));
            slot.set_connections(number as usize);
        }
        let least = |own: u32, period: u32, now: Millis| {
            let least = least(&area, own, period, now);
            (least.kept, least.taken)
        };
        assert_eq!(least(1, 7, now), (Some(2), Some(2)));
        assert_eq!(least(3, 7, now), (Some(1), Some(1)));
        assert_eq!(least(3, 8, now), (Some(1), Some(0)), "another period");
        area.slot(1).set_accepting(false, now);
        assert_eq!(least(3, 7, now), (Some(1), Some(2)), "busy for a moment");
        assert_eq!(least(3, 7, now.after(HOLD_MS)), (Some(2), Some(2)), "busy");
        area.slot(2).poke();
        assert_eq!(least(3, 7, now.after(HOLD_MS)), (None, None), "one is busy, the other silent");
    }

    #[test]
    fn who_waits_has_a_turn() {
        let mut share = Share { full_since: Millis(100), ..Share::default() };
        assert!(!share.owes_a_turn(Millis(500)), "nothing was finished");
        for round in 0..3 {
            (1..TURNS).for_each(|_| share.count_turn());
            let now = Millis(500 + round);
            share.full_since = now;
            assert!(!share.owes_a_turn(now));
            share.count_turn();
            assert!(share.owes_a_turn(now));
        }
        share.count_turn();
        assert!(!share.owes_a_turn(Millis(502 + HOLD_MS - 1)));
        assert!(share.owes_a_turn(Millis(502 + HOLD_MS)), "requests are slow");
    }
}
