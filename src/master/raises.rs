//! What raises signals of the application: timers, cron times and files that it or the options have registered for the
//! generation that serves (src/shared/signals.rs). When each is due is kept there too, so the next program goes on with it.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use super::actions::Office;
use super::jobs::cron;
use super::touch::Touched;
use crate::base::clock::{self, Millis};
use crate::options::jobs::{Cause, Cron};
use crate::shared::area::Area;
use crate::shared::signals::Row;
use crate::worker::raised::send;

/// A minute, seconds.
const MINUTE: u64 = 60;

/// What the master keeps of it by itself: the files it watches.
#[derive(Debug, Default)]
pub struct Raises {
    generation: u32,
    files: Vec<(PathBuf, u8)>,
    touched: Option<Touched<u8>>,
}

impl Raises {
    /// What to wait on.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.touched.as_ref().and_then(Touched::fd)
    }

    /// When to look next.
    pub fn deadline(&self, area: &Area, now: Millis) -> Option<Millis> {
        let generation = area.serving().max(1);
        let begun = has_begun(area, generation);
        let rows = area.signals(generation).rows().filter_map(|row| {
            let due = row.due();
            match row.get()?.1 {
                _ if due == 0 => begun.then_some(now),
                Cause::Every { .. } => Some(Millis(due)),
                Cause::Cron(_) => Some(now.after(MINUTE * 1000 - clock::wall() / 1000 % (MINUTE * 1000))),
                Cause::File(_) => None,
            }
        });
        rows.chain(self.touched.as_ref().and_then(Touched::deadline)).min()
    }

    /// Sends what is due.
    pub fn look(&mut self, office: &Office, now: Millis) {
        let area = office.area();
        let generation = area.serving().max(1);
        let mut due: Vec<u8> = Vec::new();
        let mut new_files = generation != self.generation;
        let begun = has_begun(area, generation);
        for row in area.signals(generation).rows().filter(|row| begun || row.due() != 0) {
            match row.get() {
                Some((signal, Cause::Every { ms, times })) if timer_is_due(row, ms, times, now) => {
                    due.push(signal);
                }
                Some((signal, Cause::Cron(when))) if cron_is_due(row, when) => due.push(signal),
                Some((_, Cause::File(_))) if row.due() == 0 => {
                    row.set_due(1);
                    new_files = true;
                }
                _ => {}
            }
        }
        if new_files {
            self.watch(area, generation);
        }
        let changed = self.touched.as_mut().map(|touched| touched.changed(now)).unwrap_or_default();
        due.extend(changed.into_iter().map(|(_, signal)| signal));
        for signal in due {
            for number in send(area, generation, signal).1 {
                // A bell that cannot be rung has rung already.
                let _ = office.ring(number);
            }
        }
    }

    /// Other files are to be watched from now on.
    fn watch(&mut self, area: &Area, generation: u32) {
        self.generation = generation;
        let files = area.signals(generation).files();
        if files == self.files {
            return;
        }
        self.touched = (!files.is_empty()).then(|| Touched::new(&files));
        self.files = files;
    }
}

/// Whether somebody serves. Nothing is raised before, but afterwards also while there is no worker: the next one will know.
fn has_begun(area: &Area, generation: u32) -> bool {
    area.serving_slots(generation).next().is_some()
}

/// Whether it is; if so, when it is next. One that was missed is not made up for.
fn timer_is_due(row: &Row, ms: u64, times: u64, now: Millis) -> bool {
    let due = row.due();
    if due == 0 {
        row.set_due(now.after(ms).0);
        return false;
    }
    if now.0 < due {
        return false;
    }
    row.set_due(Millis(due).after(ms).0.max(now.0 + 1));
    if row.count() == times {
        row.free();
    }
    true
}

/// Whether it is, and was not yet in this minute.
fn cron_is_due(row: &Row, [minute, hour, day, month, weekday]: [i32; 5]) -> bool {
    let seconds = clock::wall_seconds();
    if row.due() == seconds / MINUTE {
        return false;
    }
    row.set_due(seconds / MINUTE);
    let command = String::new();
    let cron = Cron { minute, hour, day, month, weekday, unique: false, harakiri: 0, command };
    cron::parts(seconds).is_some_and(|parts| cron.is_due(parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timer_counts_and_makes_up_for_nothing() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let signals = area.signals(1);
        signals.begin(1);
        signals.add(3, &Cause::Every { ms: 1_000, times: 3 }).expect("room");
        let row = signals.rows().next().expect("a row");
        let mut due = |ms: u64| timer_is_due(row, 1_000, 3, Millis(ms));
        assert_eq!([500, 1_499, 1_500, 1_501].map(&mut due), [false, false, true, false]);
        assert_eq!([9_000, 9_000, 9_001].map(&mut due), [true, false, true], "late once, then the third");
        assert_eq!(row.get(), None, "three times are over");
    }

    #[test]
    fn a_cron_time_is_once_a_minute() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let signals = area.signals(1);
        signals.begin(1);
        signals.add(3, &Cause::Cron([-1; 5])).expect("room");
        let row = signals.rows().next().expect("a row");
        assert!(cron_is_due(row, [-1; 5]));
        row.set_due(clock::wall_seconds() / MINUTE);
        let minute = clock::wall_seconds() / MINUTE;
        assert!(!cron_is_due(row, [-1; 5]) || clock::wall_seconds() / MINUTE > minute);
    }
}
