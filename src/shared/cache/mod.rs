//! The application's caches (`uwsgi.cache_…`, `cache2`), across all workers.
//!
//! ```text
//!  header | buckets | which blocks are taken | items, each with its key | blocks of values
//! ```
//! Each is a run of words that begins with its own header, so nobody needs the configuration to find the next. A lock
//! for each holds off the others for the time of a copy. Its owner may die anywhere: whoever waits then finds that out,
//! takes the lock, and empties the cache if the dead one was changing it ([`lock`]).
//!
//! An item is gone at the second it expires; what expired makes room when there is none, so nobody sweeps.

mod item;
mod lock;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::words;
use crate::options::cache::{self as options, NAME_MAX};
use item::Table;
use lock::Held;

/// Words of a header.
const HEADER: usize = 32;
const NAME_WORDS: usize = NAME_MAX / 8;

/// What stands where in a header.
#[derive(Clone, Copy)]
enum At {
    Words,
    Items,
    KeyBytes,
    Blocks,
    BlockBytes,
    Flags,
    Initial,
    /// Somebody is changing it.
    Dirty,
    /// Items in use.
    Used,
    /// Items beyond were never used.
    High,
    /// First of the list of items that were.
    Free,
    /// Ends of the list of items in use.
    Oldest,
    Newest,
    /// Where free blocks are looked for first.
    Hint,
    Hits,
    Misses,
    Full,
    /// When it was told last that it is full, seconds.
    ToldFull,
    Name,
}

const _: () = assert!(At::Name as usize + NAME_WORDS <= HEADER);

const BITMAP: u64 = 1;
const LRU: u64 = 2;
const CLEAR_ON_FULL: u64 = 4;
const IGNORE_FULL: u64 = 8;
const NO_EXPIRE: u64 = 16;

/// All caches.
#[derive(Clone, Copy, Debug)]
pub struct Caches<'a> {
    words: &'a [AtomicU64],
    locks: &'a [AtomicU32],
}

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Cache<'a> {
    words: &'a [AtomicU64],
    lock: &'a AtomicU32,
}

/// What came of storing something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Done,
    /// There is one of that key.
    Exists,
    /// It can never be stored: no key, no value, or too long for this cache.
    Unfit,
    /// There is no room; and whether to say so.
    Full(bool),
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The bytes.
    pub value: Vec<u8>,
    /// When it expires, seconds since the epoch; 0: never.
    pub expires: u64,
}

/// What to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they say")]
pub enum Math {
    Add(i64),
    Multiply(i64),
    Divide(i64),
}

/// Words that `cache` takes.
pub fn words(cache: &options::Cache) -> u64 {
    Table::words_of(cache) as u64
}

impl<'a> Caches<'a> {
    /// Over words in shared memory, and one lock for each cache.
    pub(super) fn new(words: &'a [AtomicU64], locks: &'a [AtomicU32]) -> Caches<'a> {
        Caches { words, locks }
    }

    /// Writes the headers of new ones.
    pub(super) fn format(self, caches: &[options::Cache]) {
        let mut at = 0;
        for cache in caches {
            let len = Table::words_of(cache);
            Cache { words: &self.words[at..at + len], lock: &self.locks[0] }.write_header(cache);
            at += len;
        }
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = Cache<'a>> {
        let mut rest = self.words;
        self.locks.iter().map_while(move |lock| {
            let len =
                usize::try_from(rest.first()?.load(Ordering::Relaxed)).ok().filter(|len| *len >= HEADER)?;
            let (own, others) = rest.split_at_checked(len)?;
            rest = others;
            Some(Cache { words: own, lock })
        })
    }

    /// The one of that name; the first for none.
    pub fn named(self, name: &[u8]) -> Option<Cache<'a>> {
        self.all().find(|cache| name.is_empty() || cache.name() == name)
    }
}

impl<'a> Cache<'a> {
    fn at(self, place: At) -> &'a AtomicU64 {
        &self.words[place as usize]
    }

    fn number(self, place: At) -> u64 {
        self.at(place).load(Ordering::Relaxed)
    }

    fn size(self, place: At) -> usize {
        usize::try_from(self.number(place)).unwrap_or(usize::MAX)
    }

    fn set(self, place: At, value: u64) {
        self.at(place).store(value, Ordering::Relaxed);
    }

    fn is(self, flag: u64) -> bool {
        self.number(At::Flags) & flag != 0
    }

    fn write_header(self, cache: &options::Cache) {
        let flags = [
            (cache.bitmap, BITMAP),
            (cache.lru, LRU),
            (cache.clear_on_full, CLEAR_ON_FULL),
            (cache.ignore_full, IGNORE_FULL),
            (cache.no_expire, NO_EXPIRE),
        ];
        self.set(At::Items, cache.items);
        self.set(At::KeyBytes, cache.key_bytes);
        self.set(At::Blocks, cache.blocks);
        self.set(At::BlockBytes, cache.block_bytes);
        self.set(At::Flags, flags.iter().filter(|(on, _)| *on).map(|(_, flag)| flag).sum());
        self.set(At::Initial, cache.initial.cast_unsigned());
        words::write(&self.words[At::Name as usize..HEADER], cache.name.as_bytes());
        self.set(At::Words, self.words.len() as u64);
    }

    /// What the application calls it.
    pub fn name(self) -> Vec<u8> {
        let mut name = words::read(&self.words[At::Name as usize..HEADER], NAME_MAX);
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(NAME_MAX));
        name
    }

    /// Bytes of the longest value.
    pub fn value_max(self) -> usize {
        let blocks = if self.is(BITMAP) { self.size(At::Blocks) } else { 1 };
        blocks.saturating_mul(self.size(At::BlockBytes))
    }

    /// Works on it alone. `now`: seconds since the epoch.
    fn hold(self, now: u64) -> Held<'a> {
        Held::new(self, now)
    }

    /// The value of `key`.
    pub fn get(self, key: &[u8], now: u64) -> Option<Found> {
        self.hold(now).get(key)
    }

    /// The same for threads that must not wait for long: `None` too where somebody else keeps the cache busy.
    pub fn get_soon(self, key: &[u8], now: u64) -> Option<Found> {
        Held::soon(self, now)?.get(key)
    }

    /// Whether there is a value of `key`, for threads that must not wait for long.
    pub fn has_soon(self, key: &[u8], now: u64) -> bool {
        Held::soon(self, now).is_some_and(|held| held.find(key).is_some())
    }

    /// Whether there is a value of `key`.
    pub fn has(self, key: &[u8], now: u64) -> bool {
        self.hold(now).find(key).is_some()
    }

    /// Stores `value`, in the place of another only with `replace`. It expires in so many seconds; 0: never.
    pub fn put(self, key: &[u8], value: &[u8], expires_in: u64, replace: bool, now: u64) -> Put {
        self.hold(now).put(key, value, expires_in, replace)
    }

    /// Stores `value` whatever was there, on threads that must not wait for long; where somebody else keeps the cache
    /// busy, not at all.
    pub fn put_soon(self, key: &[u8], value: &[u8], expires_in: u64, now: u64) -> Option<Put> {
        Held::soon(self, now).map(|held| held.put(key, value, expires_in, true))
    }

    /// [`Cache::count`] in the same way.
    pub fn count_soon(self, key: &[u8], math: Math, expires_in: u64, now: u64) -> Option<Put> {
        Held::soon(self, now).map(|held| held.count(key, math, expires_in))
    }

    /// Removes the value of `key`, if there is one.
    pub fn remove(self, key: &[u8], now: u64) -> bool {
        let held = self.hold(now);
        let found = held.find(key);
        found.map(|item| held.change(|table| table.remove(item))).is_some()
    }

    /// Removes all.
    pub fn clear(self, now: u64) {
        self.hold(now).change(Table::clear);
    }

    /// Counts with the value of `key`, which is made if there is none.
    pub fn count(self, key: &[u8], math: Math, expires_in: u64, now: u64) -> Put {
        self.hold(now).count(key, math, expires_in)
    }

    /// The value of `key` as a number.
    pub fn amount(self, key: &[u8], now: u64) -> Option<i64> {
        self.hold(now).get(key).map(|found| words::number(&found.value))
    }

    /// All keys, those that were set or used last at the end.
    pub fn keys(self, now: u64) -> Vec<Vec<u8>> {
        let held = self.hold(now);
        held.sweep();
        held.keys()
    }
}

#[cfg(test)]
mod tests;
