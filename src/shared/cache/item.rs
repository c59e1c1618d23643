//! A cache while it is held: its items, where they are found, and the room for them.
//!
//! ```text
//!  bucket ─► item ─► item     items of equal hash        oldest ─► … ─► newest     all items in use
//!             └─► blocks, one behind the other
//! ```
//! Links are the numbers of items from 1; 0 is nobody.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lock::Held;
use super::{At, CLEAR_ON_FULL, Cache, Found, HEADER, IGNORE_FULL, LRU, Math, NO_EXPIRE, Put};
use crate::options::cache as options;
use crate::shared::words::{self, hash};

/// What stands where in an item; its key follows.
#[derive(Clone, Copy)]
enum Of {
    Hash,
    /// In its bucket; among those that are free.
    Next,
    Older,
    Newer,
    Expires,
    KeyLen,
    Len,
    Block,
}

/// Words of an item without its key.
const ITEM: usize = Of::Block as usize + 1;
/// Of these there are no more, however many items.
const BUCKETS_MAX: usize = 1 << 20;

/// How large each part of a cache is, in words.
struct Sizes {
    buckets: usize,
    taken: usize,
    item: usize,
    items: usize,
    block: usize,
    blocks: usize,
}

impl Sizes {
    fn of(items: usize, key_bytes: usize, blocks: usize, block_bytes: usize) -> Sizes {
        let (item, block) = (ITEM + key_bytes.div_ceil(8), block_bytes.div_ceil(8));
        Sizes {
            buckets: items.next_power_of_two().min(BUCKETS_MAX),
            taken: blocks.div_ceil(64),
            item,
            items: items * item,
            block,
            blocks: blocks * block,
        }
    }

    fn all(&self) -> usize {
        HEADER + self.buckets + self.taken + self.items + self.blocks
    }
}

/// The parts of a cache.
pub struct Table<'a> {
    pub cache: Cache<'a>,
    now: u64,
    buckets: &'a [AtomicU64],
    taken: &'a [AtomicU64],
    items: &'a [AtomicU64],
    data: &'a [AtomicU64],
    item_words: usize,
    block_words: usize,
}

impl<'a> Table<'a> {
    /// Words that a cache takes.
    pub fn words_of(cache: &options::Cache) -> usize {
        let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Sizes::of(size(cache.items), size(cache.key_bytes), size(cache.blocks), size(cache.block_bytes)).all()
    }

    pub fn new(cache: Cache<'a>, now: u64) -> Table<'a> {
        let size = |place| cache.size(place);
        let sizes = Sizes::of(size(At::Items), size(At::KeyBytes), size(At::Blocks), size(At::BlockBytes));
        let (buckets, rest) = cache.words[HEADER..].split_at(sizes.buckets);
        let (taken, rest) = rest.split_at(sizes.taken);
        let (items, data) = rest.split_at(sizes.items);
        Table { cache, now, buckets, taken, items, data, item_words: sizes.item, block_words: sizes.block }
    }

    fn field(&self, item: usize, field: Of) -> &'a AtomicU64 {
        &self.items[(item - 1) * self.item_words + field as usize]
    }

    fn of(&self, item: usize, field: Of) -> u64 {
        self.field(item, field).load(Ordering::Relaxed)
    }

    fn link(&self, item: usize, field: Of) -> usize {
        usize::try_from(self.of(item, field)).unwrap_or(0)
    }

    fn set(&self, item: usize, field: Of, value: u64) {
        self.field(item, field).store(value, Ordering::Relaxed);
    }

    fn key_words(&self, item: usize) -> &'a [AtomicU64] {
        let first = (item - 1) * self.item_words;
        &self.items[first + ITEM..first + self.item_words]
    }

    fn value_words(&self, item: usize) -> &'a [AtomicU64] {
        &self.data[self.link(item, Of::Block) * self.block_words..]
    }

    fn bucket(&self, hash: u64) -> &'a AtomicU64 {
        &self.buckets[usize::try_from(hash).unwrap_or(0) & (self.buckets.len() - 1)]
    }

    /// The item of `key`, unless it has expired.
    pub fn find(&self, key: &[u8]) -> Option<usize> {
        self.find_any(key).filter(|item| !self.is_over(*item))
    }

    fn find_any(&self, key: &[u8]) -> Option<usize> {
        let hash = hash(key);
        let mut item = usize::try_from(self.bucket(hash).load(Ordering::Relaxed)).unwrap_or(0);
        while item != 0 {
            let same = self.of(item, Of::Hash) == hash
                && self.of(item, Of::KeyLen) == key.len() as u64
                && words::begin_with(self.key_words(item), key);
            if same {
                return Some(item);
            }
            item = self.link(item, Of::Next);
        }
        None
    }

    fn is_over(&self, item: usize) -> bool {
        let expires = self.of(item, Of::Expires);
        expires != 0 && expires <= self.now && !self.cache.is(NO_EXPIRE)
    }

    fn found(&self, item: usize) -> Found {
        let value = words::read(self.value_words(item), self.link(item, Of::Len));
        Found { value, expires: self.of(item, Of::Expires) }
    }

    fn blocks_for(&self, len: usize) -> usize {
        len.div_ceil(self.cache.size(At::BlockBytes))
    }

    /// The items in use, oldest first.
    fn all(&self) -> impl Iterator<Item = usize> {
        let some = |item: usize| (item != 0).then_some(item);
        std::iter::successors(some(self.cache.size(At::Oldest)), move |item| {
            some(self.link(*item, Of::Newer))
        })
    }

    /// Removes an item.
    pub fn remove(&self, item: usize) {
        let bucket = self.bucket(self.of(item, Of::Hash));
        let next = self.of(item, Of::Next);
        let mut before = usize::try_from(bucket.load(Ordering::Relaxed)).unwrap_or(0);
        if before == item {
            bucket.store(next, Ordering::Relaxed);
        } else {
            while before != 0 && self.link(before, Of::Next) != item {
                before = self.link(before, Of::Next);
            }
            if before != 0 {
                self.set(before, Of::Next, next);
            }
        }
        self.unlink(item);
        self.mark(self.link(item, Of::Block), self.blocks_for(self.link(item, Of::Len)), false);
        self.set(item, Of::Next, self.cache.number(At::Free));
        self.cache.set(At::Free, item as u64);
        self.cache.set(At::Used, self.cache.number(At::Used) - 1);
    }

    /// Removes all.
    pub fn clear(&self) {
        for words in [self.buckets, self.taken] {
            words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        for place in [At::Used, At::High, At::Free, At::Oldest, At::Newest, At::Hint] {
            self.cache.set(place, 0);
        }
    }

    /// Takes an item out of the list of those in use.
    fn unlink(&self, item: usize) {
        let (older, newer) = (self.link(item, Of::Older), self.link(item, Of::Newer));
        match older {
            0 => self.cache.set(At::Oldest, newer as u64),
            older => self.set(older, Of::Newer, newer as u64),
        }
        match newer {
            0 => self.cache.set(At::Newest, older as u64),
            newer => self.set(newer, Of::Older, older as u64),
        }
    }

    /// Puts it at the end of that list.
    fn link_newest(&self, item: usize) {
        let last = self.cache.size(At::Newest);
        self.set(item, Of::Older, last as u64);
        self.set(item, Of::Newer, 0);
        match last {
            0 => self.cache.set(At::Oldest, item as u64),
            last => self.set(last, Of::Newer, item as u64),
        }
        self.cache.set(At::Newest, item as u64);
    }

    fn use_again(&self, item: usize) {
        if self.cache.size(At::Newest) != item {
            self.unlink(item);
            self.link_newest(item);
        }
    }

    fn is_taken(&self, block: usize) -> bool {
        self.taken[block / 64].load(Ordering::Relaxed) >> (block % 64) & 1 != 0
    }

    fn mark(&self, first: usize, count: usize, taken: bool) {
        for block in first..first + count {
            let (word, bit) = (&self.taken[block / 64], 1 << (block % 64));
            let before = word.load(Ordering::Relaxed);
            word.store(if taken { before | bit } else { before & !bit }, Ordering::Relaxed);
        }
        if !taken {
            self.cache.set(At::Hint, first as u64);
        }
    }

    /// So many free blocks, one behind the other.
    fn room(&self, count: usize) -> Option<usize> {
        let (blocks, hint) = (self.cache.size(At::Blocks), self.cache.size(At::Hint));
        self.run(hint, blocks, count).or_else(|| self.run(0, blocks, count))
    }

    fn run(&self, from: usize, to: usize, count: usize) -> Option<usize> {
        let (mut block, mut first) = (from, from);
        while block < to {
            if block % 64 == 0 && self.taken[block / 64].load(Ordering::Relaxed) == u64::MAX {
                block += 64;
                first = block;
            } else if self.is_taken(block) {
                block += 1;
                first = block;
            } else {
                block += 1;
                if block - first == count {
                    return Some(first);
                }
            }
        }
        None
    }

    /// An item nobody uses.
    fn unused(&self) -> Option<usize> {
        match self.cache.size(At::Free) {
            0 => Some(self.cache.size(At::High) + 1).filter(|item| *item <= self.cache.size(At::Items)),
            free => Some(free),
        }
    }

    /// Puts the value of an item, which has no blocks, into those from `block` on.
    fn store(&self, item: usize, block: usize, value: &[u8]) {
        self.mark(block, self.blocks_for(value.len()), true);
        self.set(item, Of::Block, block as u64);
        self.set(item, Of::Len, value.len() as u64);
        words::write(self.value_words(item), value);
    }

    /// A new item. `false`: there is no room.
    fn add(&self, key: &[u8], value: &[u8], expires: u64) -> bool {
        let (Some(item), Some(block)) = (self.unused(), self.room(self.blocks_for(value.len()))) else {
            return false;
        };
        if self.cache.size(At::Free) == item {
            self.cache.set(At::Free, self.of(item, Of::Next));
        } else {
            self.cache.set(At::High, item as u64);
        }
        self.cache.set(At::Used, self.cache.number(At::Used) + 1);
        let hash = hash(key);
        let bucket = self.bucket(hash);
        self.set(item, Of::Hash, hash);
        self.set(item, Of::KeyLen, key.len() as u64);
        self.set(item, Of::Expires, expires);
        words::write(self.key_words(item), key);
        self.store(item, block, value);
        self.set(item, Of::Next, bucket.load(Ordering::Relaxed));
        bucket.store(item as u64, Ordering::Relaxed);
        self.link_newest(item);
        true
    }

    /// Another value for an item. `false`: there is no room, and it keeps the one it has.
    fn alter(&self, item: usize, value: &[u8], expires: u64) -> bool {
        let (old, had) = (self.link(item, Of::Block), self.blocks_for(self.link(item, Of::Len)));
        let wanted = self.blocks_for(value.len());
        let block = if wanted <= had { Some(old) } else { self.room(wanted) };
        let Some(block) = block else { return false };
        self.mark(old, had, false);
        self.store(item, block, value);
        self.set(item, Of::Expires, expires);
        true
    }

    pub fn keys(&self) -> Vec<Vec<u8>> {
        self.all().map(|item| words::read(self.key_words(item), self.link(item, Of::KeyLen))).collect()
    }
}

impl Held<'_> {
    /// See [`Cache::get`].
    pub fn get(&self, key: &[u8]) -> Option<Found> {
        let item = self.find(key);
        let place = if item.is_some() { At::Hits } else { At::Misses };
        self.cache.set(place, self.cache.number(place) + 1);
        let item = item?;
        if self.cache.is(LRU) {
            self.change(|table| table.use_again(item));
        }
        Some(self.found(item))
    }

    /// Removes what has expired.
    pub fn sweep(&self) {
        let over: Vec<usize> = self.all().filter(|item| self.is_over(*item)).collect();
        if !over.is_empty() {
            self.change(|table| over.into_iter().for_each(|item| table.remove(item)));
        }
    }

    /// See [`Cache::put`].
    pub fn put(&self, key: &[u8], value: &[u8], expires_in: u64, replace: bool) -> Put {
        let fits = |bytes: &[u8], max: usize| !bytes.is_empty() && bytes.len() <= max;
        if !fits(key, self.cache.size(At::KeyBytes)) || !fits(value, self.cache.value_max()) {
            return Put::Unfit;
        }
        let expires = self.expires(expires_in);
        match self.find_any(key) {
            Some(item) if !self.is_over(item) && !replace => Put::Exists,
            Some(item) if self.change(|table| table.alter(item, value, expires)) => {
                self.change(|table| table.use_again(item));
                Put::Done
            }
            old => self.add_somehow(old, key, value, expires),
        }
    }

    fn expires(&self, expires_in: u64) -> u64 {
        if expires_in == 0 { 0 } else { self.now.saturating_add(expires_in) }
    }

    /// A new item in the place of `old`, for which others may have to make room.
    fn add_somehow(&self, old: Option<usize>, key: &[u8], value: &[u8], expires: u64) -> Put {
        let add = || old.is_none() && self.change(|table| table.add(key, value, expires));
        if add() {
            return Put::Done;
        }
        self.sweep();
        // It may have been swept, or make room itself.
        if let Some(item) = self.find_any(key) {
            if self.change(|table| table.alter(item, value, expires)) {
                return Put::Done;
            }
        } else if self.change(|table| table.add(key, value, expires)) {
            return Put::Done;
        }
        if !self.cache.is(CLEAR_ON_FULL | LRU) {
            return self.full();
        }
        self.change(|table| {
            if table.cache.is(CLEAR_ON_FULL) {
                table.clear();
            } else if let Some(item) = table.find_any(key) {
                table.remove(item);
            }
            while !table.add(key, value, expires) {
                match table.cache.size(At::Oldest) {
                    0 => return Put::Unfit,
                    oldest => table.remove(oldest),
                }
            }
            Put::Done
        })
    }

    fn full(&self) -> Put {
        let (count, told) = (self.cache.number(At::Full), self.cache.number(At::ToldFull));
        self.cache.set(At::Full, count + 1);
        // Once a second is enough to be seen.
        let tell = told != self.now && !self.cache.is(IGNORE_FULL);
        if tell {
            self.cache.set(At::ToldFull, self.now);
        }
        Put::Full(tell)
    }

    /// See [`Cache::count`].
    pub fn count(&self, key: &[u8], math: Math, expires_in: u64) -> Put {
        let item = self.find(key);
        let before = item.map_or(self.cache.number(At::Initial).cast_signed(), |item| {
            words::number(&self.found(item).value)
        });
        let after = match math {
            Math::Add(n) => before.wrapping_add(n),
            Math::Multiply(n) => before.wrapping_mul(n),
            Math::Divide(0) => 0,
            Math::Divide(n) => before.wrapping_div(n),
        };
        // What counts down to its end does so however often it is counted.
        let kept = item.map(|item| self.of(item, Of::Expires));
        let put = self.put(key, &after.to_le_bytes(), expires_in, true);
        if let (Put::Done, Some(expires), Some(item)) = (put, kept, self.find_any(key)) {
            self.change(|table| table.set(item, Of::Expires, expires));
        }
        put
    }
}
