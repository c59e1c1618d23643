//! When an interpreter thread waits for the next request itself: while requests come one after the other, and not for a while
//! after others came instead.

use crate::worker::direct::WORTH_US;
use crate::worker::pace::Pace;

/// Waits in vain that are borne in a row, as [`Vain`] weighs them.
const PATIENCE: u32 = 64;
/// Then so many requests go their usual way…
const REST: u32 = 64;
/// …and so many where there was a crowd.
const CROWD_REST: u32 = 1_024;
/// One guest in so many looks at the line.
const LOOK_EACH: u32 = 32;

/// Why a wait was in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vain {
    /// Nobody came.
    Nobody,
    /// Others came by way of the ring thread, which had accepted them before it left the door.
    Others,
    /// Somebody new came and said nothing, while others waited.
    Silent,
}

/// What waiting came to of late.
#[derive(Debug, Default)]
pub struct Habit {
    /// What waits in vain weigh since the last one that was not.
    in_vain: u32,
    /// Requests that go their usual way.
    rest: u32,
    guests: u32,
    /// Who is new is given longer.
    patient: bool,
}

impl Habit {
    /// A request is finished.
    pub fn finished(&mut self) {
        self.rest = self.rest.saturating_sub(1);
    }

    /// Whether to wait for the next one, where they come like this.
    pub fn is_ripe(&self, pace: Pace) -> bool {
        pace.is_close() && self.rest == 0
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
    pub fn is_to_look(&mut self, pace: Pace) -> bool {
        self.guests = self.guests.wrapping_add(1);
        self.guests % LOOK_EACH == 1 && pace.taken_us() >= WORTH_US
    }

    /// Many do.
    pub fn crowd(&mut self) {
        self.rest = CROWD_REST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::pace::tests::after;

    fn ripe(habit: &Habit) -> bool {
        habit.is_ripe(after(&[10; 4], 50))
    }

    #[test]
    fn only_who_asks_again_at_once_is_waited_for() {
        assert!(ripe(&Habit::default()));
        assert!(!Habit::default().is_ripe(after(&[10; 3], 50)));
    }

    #[test]
    fn waiting_in_vain_is_given_up_for_a_while() {
        let mut habit = Habit::default();
        habit.in_vain(Vain::Nobody);
        assert!(ripe(&habit), "once is usual");
        habit.came();
        habit.in_vain(Vain::Nobody);
        assert!(ripe(&habit), "the last one was not in vain");
        habit.in_vain(Vain::Nobody);
        assert!(!ripe(&habit) && habit.rests());
        (0..REST).for_each(|_| habit.finished());
        assert!(ripe(&habit));
    }

    #[test]
    fn who_keeps_others_waiting_is_borne_less_often() {
        for (vain, borne) in [(Vain::Others, 63), (Vain::Silent, 3), (Vain::Nobody, 1)] {
            let mut habit = Habit::default();
            (0..borne).for_each(|_| habit.in_vain(vain));
            assert!(ripe(&habit), "{vain:?}");
            habit.in_vain(vain);
            let rest = if vain == Vain::Nobody { REST } else { CROWD_REST };
            assert_eq!(habit.rest, rest, "{vain:?}");
        }
    }

    #[test]
    fn after_silence_the_next_ones_are_given_longer_and_then_no_more() {
        let mut habit = Habit::default();
        for (silent, patient) in [(3, false), (1, true), (3, true), (1, false)] {
            (0..silent).for_each(|_| habit.in_vain(Vain::Silent));
            assert_eq!(habit.is_patient(), patient);
        }
        (0..2).for_each(|_| habit.in_vain(Vain::Nobody));
        assert!(!habit.is_patient(), "that tells nothing of who is new");
    }

    #[test]
    fn one_in_so_many_looks_at_the_line_where_requests_take_their_time() {
        let looks = |habit: &mut Habit, us| {
            let pace = after(&[0; 200], us);
            (0..128).filter(|_| habit.is_to_look(pace)).collect::<Vec<usize>>()
        };
        let mut habit = Habit::default();
        for (us, looked) in [(WORTH_US - 1, &[][..]), (WORTH_US + 1, &[0, 32, 64, 96]), (WORTH_US - 1, &[])] {
            assert_eq!(looks(&mut habit, us), looked, "{us}");
        }
        habit.crowd();
        assert!(habit.rests());
    }
}
