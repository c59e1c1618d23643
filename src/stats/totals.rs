//! Figures of the whole server: sums over all slots, so that those of workers that are gone stay in them.

use std::sync::atomic::Ordering;

use crate::base::engine::Kind;
use crate::shared::area::Area;
use crate::shared::instance::{ENDINGS, Stage};
use crate::shared::tally::{CLASSES, METHODS, PLACES, Place, Times};

/// See the module's page.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// When the server started, seconds since the epoch.
    pub started_on: u64,
    /// Which load of the application serves.
    pub generation: u32,
    /// What workers run on.
    pub engine: Kind,
    /// What the server is doing.
    pub stage: Stage,
    /// The last reload failed.
    pub reload_failed: bool,
    /// Requests finished, by method and class of status.
    pub answers: [[u64; CLASSES]; METHODS.len()],
    /// Time in the application.
    pub app: Times,
    /// Time before it.
    pub queue: Times,
    /// Requests in hand.
    pub in_hand: u32,
    /// Of these, with the application.
    pub running: u32,
    /// Bytes of requests.
    pub rx_bytes: u64,
    /// Requests refused: 4xx, 5xx, without an answer.
    pub refused: [u64; 3],
    /// Bodies that did not come.
    pub read_errors: u64,
    /// Answers not taken.
    pub write_errors: u64,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections open, by [`Place`].
    pub connections: [u64; PLACES],
    /// Workers that ended, in the order of [`ENDINGS`].
    pub endings: [u64; ENDINGS.len()],
}

impl Totals {
    /// As they are now.
    pub fn of(area: &Area) -> Totals {
        let instance = area.instance();
        let mut totals = Totals {
            started_on: area.started_on(),
            generation: area.serving().max(1),
            engine: instance.engine(),
            stage: instance.stage(),
            reload_failed: instance.reload_failed(),
            endings: instance.endings(),
            ..Totals::default()
        };
        (1..=area.slot_count()).for_each(|number| totals.add(area, number));
        totals
    }

    /// Connections open, by what they do. Of those with a request in hand the one with the application are told apart, and of
    /// those that interpreter threads keep.
    pub fn connections(&self) -> [(&'static str, u64); 6] {
        let of = |place: Place| self.connections[place as usize];
        // One that runs may be writing already; one that waits is not.
        let waiting = u64::from(self.in_hand.saturating_sub(self.running)).min(of(Place::Working));
        let running = of(Place::Working) - waiting;
        let kept_running = u64::from(self.running).saturating_sub(running).min(of(Place::Kept));
        [
            ("idle", of(Place::Idle) + of(Place::Kept) - kept_running),
            ("reading", of(Place::Reading)),
            ("waiting", waiting),
            ("running", running + kept_running),
            ("writing", of(Place::Writing)),
            ("closing", of(Place::Closing)),
        ]
    }

    fn add(&mut self, area: &Area, number: u32) {
        let (slot, tally) = (area.slot(number), area.tally(number));
        let read = |cell: &std::sync::atomic::AtomicU64| cell.load(Ordering::Relaxed);
        for (to, from) in self.answers.as_flattened_mut().iter_mut().zip(tally.answers().as_flattened()) {
            *to += from;
        }
        self.app.add(&tally.app.read());
        self.queue.add(&tally.queue.read());
        self.rx_bytes += read(&tally.rx_bytes);
        self.read_errors += read(&tally.read_errors);
        self.write_errors += read(&slot.write_errors);
        self.accepted += read(&tally.accepted);
        let refused = [&slot.refused_4xx, &slot.refused_5xx, &slot.refused_unanswered];
        for (to, from) in self.refused.iter_mut().zip(refused) {
            *to += read(from);
        }
        // What goes up and down is of those that live.
        if slot.process() != 0 {
            for (to, from) in self.connections.iter_mut().zip(&tally.connections) {
                *to += read(from);
            }
            self.in_hand += slot.in_hand();
            let running = area.cores_of(number).filter(|(_, core)| core.busy().is_some()).count();
            self.running += u32::try_from(running).unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::area::{State, bump};

    #[test]
    fn what_the_dead_have_counted_stays_and_what_they_held_goes() {
        let area = Area::new(1, 1, 0).expect("mapped");
        for number in [1, 2, 3] {
            let (slot, tally) = (area.slot(number), area.tally(number));
            slot.occupy(1);
            slot.set_state(State::Ready);
            tally.answered(b"GET", 200);
            tally.app.observe(10);
            bump(&tally.accepted, 2);
            tally.connections[Place::Reading as usize].store(5, Ordering::Relaxed);
            slot.set_in_hand(3);
        }
        area.slot(2).vacate();
        area.slot(3).vacate();
        let totals = Totals::of(&area);
        assert_eq!((totals.answers[0][2], totals.accepted, totals.app.counts[0]), (3, 6, 3));
        assert_eq!((totals.connections, totals.in_hand, totals.running), ([0, 5, 0, 0, 0, 0], 3, 0));
    }

    #[test]
    fn of_those_that_are_kept_as_many_run_as_are_not_found_elsewhere() {
        let shown = |working, kept, in_hand, running| {
            let mut totals = Totals { in_hand, running, ..Totals::default() };
            totals.connections[Place::Idle as usize] = 10;
            totals.connections[Place::Working as usize] = working;
            totals.connections[Place::Kept as usize] = kept;
            totals.connections().map(|(_, count)| count)
        };
        // Idle, reading, waiting, running, writing, closing.
        assert_eq!(shown(3, 0, 3, 1), [10, 0, 2, 1, 0, 0]);
        assert_eq!(shown(0, 4, 1, 0), [14, 0, 0, 0, 0, 0], "nobody asks");
        assert_eq!(shown(0, 4, 1, 1), [13, 0, 0, 1, 0, 0]);
        assert_eq!(shown(2, 4, 3, 1), [13, 0, 2, 1, 0, 0], "two wait for that");
        assert_eq!(shown(0, 0, 1, 1), [10, 0, 0, 0, 0, 0], "it is writing already");
    }
}
