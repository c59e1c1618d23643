//! Numbers that the application counts itself (`prometheus_client`), where the monitor can read them: one *ledger* for each
//! slot of the area and one for each of two templates. Only the process that has the slot writes there, and the next one
//! that gets the slot goes on where it ended, so nothing is folded or lost when a process dies, and nothing grows with
//! the number of workers there ever were.
//!
//! A ledger is a chain of entries in words of 64 bits; the first word that is 0 is its end. Who appends takes the end by
//! exchanging that word for a length, and says that the entry can be read when it is complete: a process may die anywhere.
//!
//! ```text
//!  length of the key, READY | value | stamp | kept | owner | the key, eight bytes a word
//! ```

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::words;
use crate::base::clock;

/// Bytes of one ledger: some 40,000 series. Memory is used as far as it is written.
pub const LEDGER_BYTES: u64 = 8 * 1024 * 1024;

const READY: u64 = 1 << 63;
/// Words before the key.
const HEAD: usize = 5;
const VALUE: usize = 1;
const STAMP: usize = 2;
const KEPT: usize = 3;
const OWNER: usize = 4;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
    /// A count and a sum.
    Summary,
}

/// What one number stands for those of several processes (`multiprocess_mode` of a gauge).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// All are shown.
    All,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// What they are together.
    #[default]
    Sum,
    /// The one set last.
    MostRecent,
}

/// Which number it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the metric is.
    pub kind: Kind,
    /// How the numbers of processes become one.
    pub merge: Merge,
    /// Those of ended processes count no more.
    pub live: bool,
    /// The metric's name.
    pub family: String,
    /// The sample's: with `_total`, `_bucket` and the like.
    pub name: String,
    /// Names and values.
    pub labels: Vec<(String, String)>,
    /// What the metric is about.
    pub help: String,
}

impl Key {
    /// As it lies in a ledger.
    pub fn text(&self) -> String {
        let Key { kind, merge, live, family, name, labels, help } = self;
        // Texts and lists of them are always JSON.
        serde_json::to_string(&(kind, merge, live, family, name, labels, help)).unwrap_or_default()
    }

    /// Of what lies there.
    pub fn parse(text: &str) -> Option<Key> {
        let (kind, merge, live, family, name, labels, help) = serde_json::from_str(text).ok()?;
        Some(Key { kind, merge, live, family, name, labels, help })
    }
}

/// One entry, as it was when somebody looked.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its [`Key`], as text.
    pub key: String,
    /// The number.
    pub value: f64,
    /// Seconds since the epoch: when it was set ([`Merge::MostRecent`]), or when its process began with it.
    pub stamp: f64,
    /// The least or greatest of processes before; not a number where there was none.
    pub kept: f64,
    /// Process id of who writes it.
    pub owner: u64,
}

/// A place in a ledger, as one process has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    index: usize,
    /// What the value was when this process began with it.
    base: f64,
}

/// A ledger.
#[derive(Clone, Copy, Debug)]
pub struct Ledger<'a>(pub &'a [AtomicU64]);

impl Ledger<'_> {
    /// Adds to a number.
    pub fn add(&self, at: Place, amount: f64) {
        let add = |bits| Some((f64::from_bits(bits) + amount).to_bits());
        // Never refused. Threads of a free-threaded interpreter, and processes the application forks, add as well.
        let _ = self.0[at.index + VALUE].fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Sets a number, at a time if that matters.
    pub fn set(&self, at: Place, value: f64, stamp: Option<f64>) {
        self.put(at.index + VALUE, at.base + value);
        if let Some(stamp) = stamp {
            self.put(at.index + STAMP, stamp);
        }
    }

    /// A number, of this process alone.
    pub fn get(&self, at: Place) -> f64 {
        self.number(at.index + VALUE) - at.base
    }

    /// All that can be read.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.chain().filter_map(|index| self.entry(index))
    }

    /// Where entries begin.
    fn chain(&self) -> impl Iterator<Item = usize> {
        let next = |index: &usize| self.after(*index);
        std::iter::successors(Some(0), next).take_while(|index| self.length(*index) > 0)
    }

    fn entry(&self, index: usize) -> Option<Entry> {
        let first = self.0[index].load(Ordering::Acquire);
        if first & READY == 0 {
            return None;
        }
        let words = self.0.get(index + HEAD..self.after(index)?)?;
        let key = words::read(words, usize::try_from(first & !READY).ok()?);
        Some(Entry {
            key: String::from_utf8(key).ok()?,
            value: self.number(index + VALUE),
            stamp: self.number(index + STAMP),
            kept: self.number(index + KEPT),
            owner: self.0[index + OWNER].load(Ordering::Relaxed),
        })
    }

    /// Length of the key of the entry there; 0 beyond the end.
    fn length(&self, index: usize) -> usize {
        let first = self.0.get(index).map_or(0, |word| word.load(Ordering::Acquire));
        usize::try_from(first & !READY).unwrap_or(usize::MAX)
    }

    /// Where the next entry begins.
    fn after(&self, index: usize) -> Option<usize> {
        index.checked_add(HEAD)?.checked_add(self.length(index).div_ceil(8))
    }

    fn number(&self, index: usize) -> f64 {
        f64::from_bits(self.0[index].load(Ordering::Relaxed))
    }

    fn put(&self, index: usize, number: f64) {
        self.0[index].store(number.to_bits(), Ordering::Relaxed);
    }

    /// Begins an entry at the end; `None` where there is no room.
    fn append(&self, from: usize, key: &str, stamp: f64, owner: u64) -> Option<usize> {
        let bytes = key.as_bytes();
        let mut index = from;
        loop {
            // Room for it, and for the word that says that nothing follows.
            if key.is_empty() || index + HEAD + bytes.len().div_ceil(8) >= self.0.len() {
                return None;
            }
            let length = bytes.len() as u64;
            if self.0[index].compare_exchange(0, length, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                break;
            }
            index = self.after(index)?;
        }
        words::write(&self.0[index + HEAD..], bytes);
        self.put(index + STAMP, stamp);
        self.put(index + KEPT, f64::NAN);
        self.0[index + OWNER].store(owner, Ordering::Relaxed);
        self.0[index].fetch_or(READY, Ordering::Release);
        Some(index)
    }

    /// A process begins with a number that one before had there.
    fn adopt(&self, index: usize, key: &Key, stamp: f64, owner: u64) -> Place {
        let value = self.number(index + VALUE);
        self.0[index + OWNER].store(owner, Ordering::Relaxed);
        match (key.merge, key.live) {
            (Merge::Sum, false) => return Place { index, base: value },
            (Merge::MostRecent, false) => return Place { index, base: 0.0 },
            // `f64::min` and `max` take the other where one is not a number. To be killed between these two stores
            // changes nothing: the same would be kept again.
            (Merge::Min, false) => self.put(index + KEPT, self.number(index + KEPT).min(value)),
            (Merge::Max, false) => self.put(index + KEPT, self.number(index + KEPT).max(value)),
            _ => {}
        }
        self.put(index + STAMP, stamp);
        self.put(index + VALUE, 0.0);
        Place { index, base: 0.0 }
    }
}

/// Finds numbers in a ledger, for the one process that writes there.
#[derive(Debug)]
pub struct Writer {
    owner: u64,
    known: HashMap<String, Known>,
    end: usize,
    full_told: bool,
}

/// What is known of an entry.
#[derive(Clone, Copy, Debug)]
enum Known {
    /// Of a process before.
    Found(usize),
    Ours(Place),
}

impl Writer {
    /// Of process `owner`.
    pub fn new(ledger: Ledger<'_>, owner: u32) -> Writer {
        let (mut known, mut end) = (HashMap::new(), 0);
        for index in ledger.chain() {
            if let Some(entry) = ledger.entry(index) {
                known.entry(entry.key).or_insert(Known::Found(index));
            }
            end = ledger.after(index).unwrap_or(usize::MAX);
        }
        Writer { owner: u64::from(owner), known, end, full_told: false }
    }

    /// Whether it was asked before: what is to be said once.
    pub fn told_full(&mut self) -> bool {
        std::mem::replace(&mut self.full_told, true)
    }

    /// Where the number is; `None` where there is no room for another.
    pub fn place(&mut self, ledger: Ledger<'_>, key: &Key) -> Option<Place> {
        let text = key.text();
        let stamp = if key.merge == Merge::MostRecent { 0.0 } else { clock::wall() as f64 / 1e6 };
        let place = match self.known.get(&text) {
            Some(Known::Ours(place)) => return Some(*place),
            Some(Known::Found(index)) => ledger.adopt(*index, key, stamp, self.owner),
            None => {
                let index = ledger.append(self.end, &text, stamp, self.owner)?;
                self.end = ledger.after(index)?;
                Place { index, base: 0.0 }
            }
        };
        self.known.insert(text, Known::Ours(place));
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    fn key(name: &str, merge: Merge, live: bool) -> Key {
        let labels = vec![("path".to_owned(), "/\"ü".to_owned())];
        let help = String::new();
        Key { kind: Kind::Gauge, merge, live, family: name.to_owned(), name: name.to_owned(), labels, help }
    }

    fn values(ledger: Ledger<'_>) -> Vec<(String, f64)> {
        let entry = |entry: Entry| (Key::parse(&entry.key).expect("a key").name, entry.value);
        ledger.entries().map(entry).collect()
    }

    #[test]
    fn what_a_process_counted_stays_and_the_next_one_goes_on() {
        let words = words(1000);
        let ledger = Ledger(&words);
        let count = key("count", Merge::Sum, false);
        for process in 1..=1000_u32 {
            let all = 3.5 * f64::from(process);
            let mut writer = Writer::new(ledger, process);
            let place = writer.place(ledger, &count).expect("room");
            assert_eq!(writer.place(ledger, &count), Some(place));
            ledger.add(place, 1.0);
            ledger.add(place, 2.5);
            assert_eq!((ledger.get(place), values(ledger)), (3.5, vec![("count".to_owned(), all)]));
        }
        assert_eq!(ledger.entries().next().expect("one").owner, 1000);
    }

    #[test]
    fn gauges_begin_anew_but_for_what_their_mode_keeps() {
        let words = words(1000);
        let ledger = Ledger(&words);
        let keys = [
            key("all", Merge::All, false),
            key("max", Merge::Max, false),
            key("min", Merge::Min, false),
            key("recent", Merge::MostRecent, false),
            key("livesum", Merge::Sum, true),
        ];
        let mut first = Writer::new(ledger, 1);
        for key in &keys {
            let place = first.place(ledger, key).expect("room");
            ledger.set(place, -4.0, Some(9.0));
        }
        let mut second = Writer::new(ledger, 2);
        let places: Vec<_> = keys.iter().map(|key| second.place(ledger, key).expect("room")).collect();
        assert_eq!(values(ledger).iter().map(|(_, n)| *n).collect::<Vec<_>>(), [0.0, 0.0, 0.0, -4.0, 0.0]);
        let entries: Vec<Entry> = ledger.entries().collect();
        assert_eq!((entries[1].kept, entries[2].kept, entries[3].stamp), (-4.0, -4.0, 9.0));
        assert!(entries[0].kept.is_nan());
        ledger.set(places[1], 3.0, None);
        let mut third = Writer::new(ledger, 3);
        third.place(ledger, &keys[1]).expect("room");
        assert_eq!(ledger.entries().nth(1).expect("max").kept, 3.0);
    }

    #[test]
    fn a_full_ledger_takes_no_more_and_a_torn_entry_is_passed_over() {
        let words = words(36);
        let ledger = Ledger(&words);
        let mut writer = Writer::new(ledger, 1);
        assert!(writer.place(ledger, &key("first", Merge::Sum, false)).is_some());
        assert!(writer.place(ledger, &key("second", Merge::Sum, false)).is_some());
        assert!(writer.place(ledger, &key("third", Merge::Sum, false)).is_none());
        assert!(writer.place(ledger, &key("first", Merge::Sum, false)).is_some());
        // Its process was killed before it was complete.
        words[0].fetch_and(!READY, Ordering::Relaxed);
        assert_eq!(values(ledger), [("second".to_owned(), 0.0)]);
        assert_eq!(Writer::new(ledger, 2).known.len(), 1);
    }

    #[test]
    fn threads_and_writers_that_meet_lose_nothing() {
        let words = words(20_000);
        let ledger = Ledger(&words);
        let count = key("count", Merge::Sum, false);
        let place = Writer::new(ledger, 1).place(ledger, &count).expect("room");
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    let mut writer = Writer::new(ledger, 1);
                    for n in 0..100 {
                        let own = key(&format!("of{thread}-{n}"), Merge::Sum, false);
                        let own = writer.place(ledger, &own).expect("room");
                        ledger.add(own, 1.0);
                        ledger.add(place, 1.0);
                    }
                });
            }
        });
        assert_eq!(values(ledger).iter().map(|(_, n)| n).sum::<f64>(), 800.0);
        assert_eq!(ledger.entries().count(), 401);
    }
}
