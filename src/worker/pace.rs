//! How requests came of late, and what they took: an interpreter thread decides by it whether the next one is worth a wait.

use std::cell::Cell;

use super::held;
use super::job::Job;
use crate::base::clock::Micros;

/// The next request comes within so many microseconds of the last one's end.
const SOON_US: u64 = 1_000;
/// One that comes later than this, microseconds, has not waited: the thread has.
const WAITED_US: u64 = 20;
/// Before one is waited for so many came soon.
const STREAK: u32 = 4;
/// What requests took is remembered over so many.
const TAKEN_OVER: u64 = 8;

thread_local! {
    /// Of the calling thread.
    static PACE: Cell<Pace> = Cell::default();
}

/// The requests of one interpreter thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// When the last one was finished.
    finished: Micros,
    /// It came when nobody was there.
    waited: bool,
    /// Requests that came one after the other.
    streak: u32,
    /// What requests take the application, microseconds, times [`TAKEN_OVER`].
    taken: u64,
    /// The same where those count as nothing whose answers are too large to wait for others.
    taken_for_small: u64,
}

impl Pace {
    /// A request of the calling thread is finished: how they came up to it.
    pub fn with(job: &Job) -> Pace {
        let pace = PACE.get().and(job);
        PACE.set(pace);
        pace
    }

    /// How they came up to now.
    pub fn now() -> Pace {
        PACE.get()
    }

    fn and(self, job: &Job) -> Pace {
        let took = job.finished.since(job.started);
        let small = if held::fits(job.body_sent) { took } else { 0 };
        let gap = job.arrived.since(self.finished);
        Pace {
            finished: job.finished,
            waited: gap >= WAITED_US,
            streak: if gap < SOON_US { self.streak.saturating_add(1) } else { 0 },
            taken: over(self.taken, took),
            taken_for_small: over(self.taken_for_small, small),
        }
    }

    /// Whether they come one after the other.
    pub fn is_close(self) -> bool {
        self.streak >= STREAK
    }

    /// Whether nobody is likely to be there yet.
    pub fn is_ahead(self) -> bool {
        self.waited
    }

    /// What requests take the application, microseconds.
    pub fn taken_us(self) -> u64 {
        self.taken / TAKEN_OVER
    }

    /// What requests take whose answers could wait for others, microseconds.
    pub fn taken_for_small_us(self) -> u64 {
        self.taken_for_small / TAKEN_OVER
    }
}

/// A mean, times [`TAKEN_OVER`], with one more.
fn over(mean: u64, us: u64) -> u64 {
    mean - mean / TAKEN_OVER + us
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A request that came so many microseconds after the last one's end, and took so many.
    fn job(pace: Pace, gap: u64, us: u64) -> Job {
        let started = Micros(pace.finished.0 + gap);
        Job { arrived: started, started, finished: Micros(started.0 + us), ..Job::default() }
    }

    /// After requests that took `us` and came so many microseconds after the one before.
    pub fn after(gaps: &[u64], us: u64) -> Pace {
        let begin = Pace { finished: Micros(10_000), ..Pace::default() };
        gaps.iter().fold(begin, |pace, gap| pace.and(&job(pace, *gap, us)))
    }

    #[test]
    fn who_asks_again_at_once_is_close() {
        assert!(!after(&[10; 3], 50).is_close());
        assert!(after(&[10; 4], 50).is_close());
        assert!(!after(&[10, 10, 10, 10, SOON_US], 50).is_close(), "nobody came for a while");
        assert!(after(&[SOON_US, 999, 999, 999, 999], 50).is_close());
    }

    #[test]
    fn who_was_waited_for_is_likely_to_be_waited_for_again() {
        assert!(after(&[1, 1, WAITED_US], 50).is_ahead());
        assert!(!after(&[WAITED_US, WAITED_US, 19], 50).is_ahead());
    }

    #[test]
    fn what_requests_took_is_remembered_for_a_while() {
        let mut pace = after(&[10; 200], 50);
        assert_eq!((pace.taken_us(), pace.taken_for_small_us()), (50, 50));
        for _ in 0..200 {
            pace = pace.and(&Job { body_sent: u64::MAX, ..job(pace, 0, 90) });
        }
        assert_eq!((pace.taken_us(), pace.taken_for_small_us()), (90, 0));
    }
}
