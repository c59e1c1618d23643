//! Holding a cache, and what happens to it when its holder dies.
//!
//! The lock is a word with its owner's process id, as the application's own (`shared::locks`). Nobody has to hear of a
//! death to free it: who waits looks from time to time whether the owner lives.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering, fence};

use super::item::Table;
use super::{At, Cache};
use crate::sys::{futex, process};

/// Set beside the owner while somebody may sleep. Process ids end far below (2^22).
const WAITED: u32 = 1 << 31;
/// How often a waiter looks whether the owner lives, milliseconds.
const LOOK_MS: u32 = 100;
/// What a thread that must not wait waits: others hold it for the copy of a value.
const SOON_MS: u32 = 20;

/// A cache that nobody else works on.
pub struct Held<'a> {
    table: Table<'a>,
    lock: &'a AtomicU32,
}

impl<'a> Held<'a> {
    /// Waits for it.
    pub fn new(cache: Cache<'a>, now: u64) -> Held<'a> {
        loop {
            if let Some(held) = Held::within(cache, now, LOOK_MS) {
                return held;
            }
        }
    }

    /// Waits a moment.
    pub fn soon(cache: Cache<'a>, now: u64) -> Option<Held<'a>> {
        Held::within(cache, now, SOON_MS)
    }

    fn within(cache: Cache<'a>, now: u64, patience_ms: u32) -> Option<Held<'a>> {
        acquire(cache.lock, std::process::id(), patience_ms).then(|| {
            let held = Held { table: Table::new(cache, now), lock: cache.lock };
            if cache.number(At::Dirty) != 0 {
                // Its holder died while changing it: what it holds cannot be trusted.
                held.change(Table::clear);
            }
            held
        })
    }

    /// Changes it. If this process dies meanwhile, the next one empties it.
    pub fn change<R>(&self, work: impl FnOnce(&Table<'a>) -> R) -> R {
        self.table.cache.at(At::Dirty).store(1, Ordering::Relaxed);
        // The mark before what it warns of.
        fence(Ordering::Release);
        let result = work(&self.table);
        self.table.cache.at(At::Dirty).store(0, Ordering::Release);
        result
    }
}

impl<'a> Deref for Held<'a> {
    type Target = Table<'a>;
    fn deref(&self) -> &Table<'a> {
        &self.table
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.lock.swap(0, Ordering::Release) & WAITED != 0 {
            futex::wake_shared(self.lock, 1);
        }
    }
}

/// Takes the lock for `owner`: at once, within that time, or from a dead one. `false`: it is held still.
fn acquire(lock: &AtomicU32, owner: u32, patience_ms: u32) -> bool {
    if lock.compare_exchange(0, owner, Ordering::Acquire, Ordering::Relaxed).is_ok() {
        return true;
    }
    let mut waited = false;
    loop {
        let held = lock.load(Ordering::Relaxed);
        let free = held == 0 || waited && !process::is_alive(held & !WAITED);
        if free {
            // Others may sleep: the mark stays, and costs at most a wake-up.
            let taken = lock.compare_exchange(held, owner | WAITED, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_ok() {
                return true;
            }
            continue;
        }
        if waited {
            return false;
        }
        let marked = held | WAITED;
        let agreed = held == marked
            || lock.compare_exchange(held, marked, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if agreed {
            waited = !futex::wait_shared_for(lock, marked, patience_ms);
        }
    }
}
