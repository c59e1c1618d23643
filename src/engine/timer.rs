//! Deadlines: a wheel of 100 ms slots. An entry is only a reminder to look at a connection; whether its deadline
//! has really passed, or was moved since, the owner says. So moving a deadline costs nothing here.

use crate::base::clock::Millis;

/// Width of a slot, milliseconds: deadlines are kept to this grain, never early.
const SLOT_MS: u64 = 100;
/// Slots: 51 s ahead; a later deadline is looked at there and put in again.
const SLOTS: usize = 512;
/// Words of a bit for each slot.
const WORDS: usize = SLOTS / 64;

/// Reminders a slot keeps memory for: with 10,000 clients every slot is crowded once in a while, all of them never.
const KEPT_MAX: usize = 64;

/// Reminders of type `T`.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<T>>,
    /// Which slots have reminders: every turn of the loop asks for the next one, and it is mostly far ahead.
    occupied: [u64; WORDS],
    /// Number of the first slot that has not been expired, in slots since the clock's start.
    next: u64,
    len: usize,
}

impl<T> Wheel<T> {
    /// Empty, beginning `now`.
    pub fn new(now: Millis) -> Wheel<T> {
        let slots = (0..SLOTS).map(|_| Vec::new()).collect();
        Wheel { slots, occupied: [0; WORDS], next: now.0 / SLOT_MS, len: 0 }
    }

    /// Puts a reminder in for `at`.
    pub fn insert(&mut self, at: Millis, item: T) {
        let slot = (at.0.div_ceil(SLOT_MS)).clamp(self.next, self.next + SLOTS as u64 - 1);
        let index = slot_index(slot);
        self.slots[index].push(item);
        self.occupied[index / 64] |= 1 << (index % 64);
        self.len += 1;
    }

    /// Takes out what is due by `now`.
    pub fn expire(&mut self, now: Millis, due: &mut Vec<T>) {
        let current = now.0 / SLOT_MS;
        if self.len == 0 {
            self.next = self.next.max(current + 1);
            return;
        }
        let last = current.min(self.next + SLOTS as u64 - 1);
        for slot in self.next..=last {
            let index = slot_index(slot);
            self.occupied[index / 64] &= !(1 << (index % 64));
            let items = &mut self.slots[index];
            self.len -= items.len();
            due.append(items);
            if items.capacity() > KEPT_MAX {
                *items = Vec::new();
            }
        }
        self.next = self.next.max(current + 1);
    }

    /// Milliseconds until the next reminder, `None` where there is none.
    pub fn next_in(&self, now: Millis) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let first = slot_index(self.next);
        let later = u64::MAX << (first % 64);
        // The word of the first slot twice: the slots from there on, and at last those before it.
        let index = (0..=WORDS).find_map(|n| {
            let place = (first / 64 + n) % WORDS;
            let of_ours = match n {
                0 => later,
                WORDS => !later,
                _ => u64::MAX,
            };
            let word = self.occupied[place] & of_ours;
            (word != 0).then(|| place * 64 + word.trailing_zeros() as usize)
        })?;
        let ahead = (index + SLOTS - first) % SLOTS;
        Some(((self.next + ahead as u64) * SLOT_MS).saturating_sub(now.0))
    }
}

fn slot_index(slot: u64) -> usize {
    usize::try_from(slot % SLOTS as u64).expect("less than SLOTS")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel<u32>, ms: u64) -> Vec<u32> {
        let mut out = Vec::new();
        wheel.expire(Millis(ms), &mut out);
        out.sort_unstable();
        out
    }

    #[test]
    fn reminders_come_on_time_and_never_early() {
        let mut wheel = Wheel::new(Millis(1000));
        wheel.insert(Millis(1250), 1);
        wheel.insert(Millis(1000), 2);
        assert_eq!(due(&mut wheel, 1000), [2]);
        assert_eq!(due(&mut wheel, 1249), [0u32; 0]);
        assert_eq!(wheel.next_in(Millis(1249)), Some(51));
        assert_eq!(due(&mut wheel, 1300), [1]);
        assert_eq!(wheel.next_in(Millis(1300)), None);
    }

    #[test]
    fn the_next_reminder_is_found_wherever_it_is() {
        for start in [0, 63, 64, 100, 511, 512, 70_000] {
            for ahead in 0..SLOTS as u64 {
                let now = Millis(start * SLOT_MS);
                let mut wheel = Wheel::new(now);
                let at = (start + ahead) * SLOT_MS;
                wheel.insert(Millis(at), 1);
                wheel.insert(Millis((start + SLOTS as u64 - 1) * SLOT_MS), 2);
                assert_eq!(wheel.next_in(now), Some(at - now.0), "{start} {ahead}");
                assert!(due(&mut wheel, at).contains(&1));
                assert_eq!(wheel.next_in(Millis(at)).is_none(), ahead == SLOTS as u64 - 1);
            }
        }
    }

    #[test]
    fn a_far_deadline_is_looked_at_before_it_is_due() {
        let mut wheel = Wheel::new(Millis(0));
        wheel.insert(Millis(3_600_000), 7);
        assert!(wheel.next_in(Millis(0)).expect("one reminder") < 52_000);
        assert_eq!(due(&mut wheel, 60_000), [7]);
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut wheel = Wheel::new(Millis(0));
        (0..100).for_each(|i| wheel.insert(Millis(u64::from(i) * 100), i));
        assert_eq!(due(&mut wheel, 1_000_000).len(), 100);
        wheel.insert(Millis(1_000_050), 5);
        assert_eq!(due(&mut wheel, 1_000_200), [5]);
    }

    #[test]
    fn a_deadline_in_the_past_is_due_at_the_next_look() {
        let mut wheel = Wheel::new(Millis(5_000));
        assert!(due(&mut wheel, 5_100).is_empty());
        wheel.insert(Millis(10), 1);
        assert_eq!(due(&mut wheel, 5_200), [1]);
    }
}
