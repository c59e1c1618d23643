//! The application's locks (`uwsgi.lock`), across all workers.
//!
//! ```text
//!  0 ── lock ──► pid ── another waits ──► pid | WAITED ── unlock ──► 0, one waiter woken
//! ```
//! A lock is a word holding its owner's process id. Nobody holds it on behalf of a dead process: the master,
//! which learns of every death, gives back what the dead one owned.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::futex;

/// Set beside the owner while somebody may sleep. Process ids end far below (2^22).
const WAITED: u32 = 1 << 31;

/// All user locks.
#[derive(Clone, Copy, Debug)]
pub struct Locks<'a> {
    words: &'a [AtomicU32],
}

impl<'a> Locks<'a> {
    /// Over words in shared memory.
    pub(super) fn new(words: &'a [AtomicU32]) -> Locks<'a> {
        Locks { words }
    }

    fn word(self, number: u64) -> Option<&'a AtomicU32> {
        self.words.get(usize::try_from(number).ok()?)
    }

    /// Takes lock `number` for this process, waiting for it as long as it takes; `false` where there is no such
    /// lock. It is not re-entrant, as in uWSGI.
    pub fn lock(self, number: u64) -> bool {
        self.word(number).map(|word| acquire(word, std::process::id())).is_some()
    }

    /// Gives lock `number` back; `false` where there is no such lock. What another process holds stays held.
    pub fn unlock(self, number: u64) -> bool {
        self.word(number).map(|word| release(word, std::process::id())).is_some()
    }

    /// Whether lock `number` is taken; `None` where there is no such lock.
    pub fn is_locked(self, number: u64) -> Option<bool> {
        self.word(number).map(|word| word.load(Ordering::Acquire) != 0)
    }

    /// Who holds lock `number`, 0 nobody.
    pub fn owner(self, number: u64) -> Option<u32> {
        self.word(number).map(|word| word.load(Ordering::Acquire) & !WAITED)
    }

    /// Gives back what the dead process `pid` held: the numbers of those locks.
    pub fn release_all_of(self, pid: u32) -> Vec<usize> {
        let held = |(number, word): (usize, &AtomicU32)| release(word, pid).then_some(number);
        self.words.iter().enumerate().filter_map(held).collect()
    }
}

fn acquire(word: &AtomicU32, owner: u32) {
    if word.compare_exchange(0, owner, Ordering::Acquire, Ordering::Relaxed).is_ok() {
        return;
    }
    loop {
        let held = word.load(Ordering::Relaxed);
        if held == 0 {
            // Having slept, we cannot know that nobody else does: the mark stays, and costs at most a wake-up.
            let taken = word.compare_exchange(0, owner | WAITED, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_ok() {
                return;
            }
            continue;
        }
        let marked = held | WAITED;
        let agreed = held == marked
            || word.compare_exchange(held, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if agreed {
            futex::wait_shared(word, marked);
        }
    }
}

/// Whether `owner` held it.
fn release(word: &AtomicU32, owner: u32) -> bool {
    loop {
        let held = word.load(Ordering::Relaxed);
        if held & !WAITED != owner {
            return false;
        }
        if word.compare_exchange(held, 0, Ordering::Release, Ordering::Relaxed).is_ok() {
            if held & WAITED != 0 {
                futex::wake_shared(word, 1);
            }
            return true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::shared::area::{Area, bump};
    use crate::sys::process::{Fork, Status, exit_now, fork_among_threads, in_child, peek};

    #[test]
    fn a_lock_is_taken_and_given_back() {
        let area = Area::new(1, 1, 1).expect("mapped");
        let locks = area.locks();
        assert_eq!(locks.is_locked(0), Some(false));
        assert!(locks.lock(0));
        assert_eq!((locks.is_locked(0), locks.owner(0)), (Some(true), Some(std::process::id())));
        assert!(locks.unlock(0));
        assert_eq!(locks.is_locked(0), Some(false));
        assert!(!locks.lock(1) && !locks.unlock(1));
        assert_eq!(locks.is_locked(1), None);
    }

    #[test]
    fn another_process_cannot_give_it_back() {
        let area = Area::new(1, 1, 1).expect("mapped");
        area.locks().lock(0);
        assert_eq!(in_child(|| i32::from(!area.locks().unlock(0))), Status::Exited(0));
        assert_eq!(area.locks().owner(0), Some(std::process::id()));
    }

    #[test]
    fn processes_exclude_each_other() {
        const ROUNDS: u64 = 2000;
        let area = Area::new(1, 1, 1).expect("mapped");
        let children: Vec<u32> = (0..3)
            .map(|_| match fork_among_threads().expect("forked") {
                Fork::Parent(pid) => pid,
                Fork::Child => {
                    for _ in 0..ROUNDS {
                        area.locks().lock(0);
                        // Not atomic on purpose: only the lock keeps the sum right.
                        bump(&area.slot(1).requests, 1);
                        area.locks().unlock(0);
                    }
                    exit_now(0)
                }
            })
            .collect();
        for pid in children {
            while peek(pid).is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
            crate::sys::process::bury(pid);
        }
        assert_eq!(area.total_requests(), 3 * ROUNDS);
        assert_eq!(area.locks().is_locked(0), Some(false));
    }

    #[test]
    fn what_a_dead_process_held_is_given_to_a_waiter() {
        let area = Area::new(1, 1, 2).expect("mapped");
        let Fork::Parent(holder) = fork_among_threads().expect("forked") else {
            area.locks().lock(1);
            exit_now(0)
        };
        while peek(holder).is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| area.locks().lock(1));
            assert_eq!(area.locks().release_all_of(holder), [1]);
            assert!(waiter.join().expect("joined"));
        });
        crate::sys::process::bury(holder);
        assert_eq!(area.locks().owner(1), Some(std::process::id()));
        assert!(area.locks().release_all_of(holder).is_empty());
    }
}
