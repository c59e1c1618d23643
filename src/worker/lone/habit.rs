//! When an interpreter thread waits for the next request itself: while requests come one after the other, and not for a while
//! after others came instead.

use crate::base::clock::Micros;
use crate::worker::direct::WORTH_US;

/// The next request comes within so many microseconds of the last one's end.
const SOON_US: u64 = 1_000;
/// One that comes later than this, microseconds, has not waited: the thread has.
const WAITED_US: u64 = 20;
/// Before that so many did.
const STREAK: u32 = 4;
/// Waits in vain that are borne in a row, as [`Vain`] weighs them.
const PATIENCE: u32 = 64;
/// Then so many requests go their usual way…
const REST: u32 = 64;
/// …and so many where there was a crowd.
const CROWD_REST: u32 = 1_024;
/// One guest in so many looks at the line.
const LOOK_EACH: u32 = 32;
/// What requests took is remembered over so many.
const TAKEN_OVER: u64 = 8;

/// Why a wait was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vain {
    /// Nobody came.
    Nobody,
    /// Others came by way of the ring thread, which had accepted them before it left the door.
    Others,
    /// Somebody new came and said nothing, while others waited.
    Silent,
    /// Others came, and only one connection was waited on.
    Elsewhere,
}

/// How requests came of late.
#[derive(Debug, Default)]
pub struct Habit {
    /// When the last one was finished.
    finished: Micros,
    /// The last one came when nobody was there.
    waited: bool,
    /// Requests that came one after the other.
    streak: u32,
    /// What waits in vain weigh since the last one that was not.
    in_vain: u32,
    /// Requests that go their usual way.
    rest: u32,
    guests: u32,
    /// What requests take the application, microseconds, times [`TAKEN_OVER`].
    taken: u64,
    /// Who is new is given longer.
    patient: bool,
}

impl Habit {
    /// One is finished that came at `arrived`, and with which the application began at `started`.
    pub fn finished(&mut self, arrived: Micros, started: Micros, finished: Micros) {
        self.taken = self.taken - self.taken / TAKEN_OVER + finished.since(started);
        let gap = arrived.since(self.finished);
        let soon = gap < SOON_US;
        self.waited = gap >= WAITED_US;
        self.finished = finished;
        self.streak = if soon { self.streak.saturating_add(1) } else { 0 };
        self.rest = self.rest.saturating_sub(1);
    }

    /// Whether to wait for the next one.
    pub fn is_ripe(&self) -> bool {
        self.streak >= STREAK && self.rest == 0
    }

    /// Whether nobody is likely to be there yet.
    pub fn is_first(&self) -> bool {
        self.waited
    }

    /// It came.
    pub fn came(&mut self) {
        self.in_vain = 0;
    }

    /// It did not.
    pub fn in_vain(&mut self, vain: Vain) {
        self.in_vain += match vain {
            Vain::Others => PATIENCE / 64,
            Vain::Silent => PATIENCE / 4,
            Vain::Nobody => PATIENCE / 2,
            Vain::Elsewhere => PATIENCE,
        };
        if self.in_vain >= PATIENCE {
            self.in_vain = 0;
            self.rest = if vain == Vain::Nobody { REST } else { CROWD_REST };
            // A client with many connections is a while between connecting and speaking: worth a try, and another when
            // that was in vain.
            self.patient ^= vain == Vain::Silent;
        }
    }

    /// Whether somebody new who does not speak at once is given longer.
    pub fn is_patient(&self) -> bool {
        self.patient
    }

    /// Whether it waits no more for now.
    pub fn rests(&self) -> bool {
        self.rest > 0
    }

    /// Somebody new is here. Whether to look how many wait behind him: a ring thread that receives from them meanwhile is of
    /// use only where requests take longer than to hand them over.
    pub fn is_to_look(&mut self) -> bool {
        self.guests = self.guests.wrapping_add(1);
        self.guests % LOOK_EACH == 1 && self.taken / TAKEN_OVER >= WORTH_US
    }

    /// Many do.
    pub fn crowd(&mut self) {
        self.rest = CROWD_REST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After requests that came so many microseconds after the one before.
    fn after(gaps: &[u64]) -> Habit {
        let mut habit = Habit { finished: Micros(10_000), ..Habit::default() };
        for gap in gaps {
            let arrived = Micros(habit.finished.0 + gap);
            habit.finished(arrived, arrived, Micros(arrived.0 + 50));
        }
        habit
    }

    #[test]
    fn who_asks_again_at_once_is_waited_for() {
        assert!(!after(&[10; 3]).is_ripe());
        assert!(after(&[10; 4]).is_ripe());
        assert!(!after(&[10, 10, 10, 10, SOON_US]).is_ripe(), "nobody came for a while");
        assert!(after(&[SOON_US, 999, 999, 999, 999]).is_ripe());
    }

    #[test]
    fn who_was_waited_for_is_likely_to_be_waited_for_again() {
        assert!(after(&[1, 1, WAITED_US]).is_first());
        assert!(!after(&[WAITED_US, WAITED_US, 19]).is_first());
    }

    #[test]
    fn waiting_in_vain_is_given_up_for_a_while() {
        let mut habit = after(&[10; 4]);
        habit.in_vain(Vain::Nobody);
        assert!(habit.is_ripe(), "once is usual");
        habit.came();
        habit.in_vain(Vain::Nobody);
        assert!(habit.is_ripe(), "the last one was not in vain");
        habit.in_vain(Vain::Nobody);
        assert!(!habit.is_ripe() && habit.rests());
        for _ in 0..REST {
            habit.finished(habit.finished, habit.finished, habit.finished);
        }
        assert!(habit.is_ripe());
    }

    #[test]
    fn who_keeps_others_waiting_is_borne_less_often() {
        for (vain, borne) in [(Vain::Others, 63), (Vain::Silent, 3), (Vain::Nobody, 1), (Vain::Elsewhere, 0)]
        {
            let mut habit = after(&[10; 4]);
            (0..borne).for_each(|_| habit.in_vain(vain));
            assert!(habit.is_ripe(), "{vain:?}");
            habit.in_vain(vain);
            let rest = if vain == Vain::Nobody { REST } else { CROWD_REST };
            assert_eq!(habit.rest, rest, "{vain:?}");
        }
    }

    #[test]
    fn after_silence_the_next_ones_are_given_longer_and_then_no_more() {
        let mut habit = after(&[10; 4]);
        for (silent, patient) in [(3, false), (1, true), (3, true), (1, false)] {
            (0..silent).for_each(|_| habit.in_vain(Vain::Silent));
            assert_eq!(habit.is_patient(), patient);
        }
        habit.in_vain(Vain::Elsewhere);
        assert!(!habit.is_patient(), "that tells nothing of who is new");
    }

    #[test]
    fn one_in_so_many_looks_at_the_line_where_requests_take_their_time() {
        let looks = |habit: &mut Habit| (0..128).filter(|_| habit.is_to_look()).collect::<Vec<usize>>();
        let mut habit = Habit::default();
        for (us, looked) in [(WORTH_US - 1, &[][..]), (WORTH_US, &[0, 32, 64, 96]), (WORTH_US - 1, &[])] {
            for _ in 0..200 {
                habit.finished(Micros(1_000), Micros(1_000), Micros(1_000 + us));
            }
            assert_eq!(looks(&mut habit), looked, "{us}");
        }
        habit.crowd();
        assert!(habit.rests());
    }
}
