//! The flight recorder: for each worker slot its slowest requests and the last that failed, with the time of each phase.
//!
//! The worker's ring thread is the only writer; the master writes when that worker is gone, in which requests it died.
//! A record has a sequence number, odd while it is being written: who reads one in that moment reads it again, and
//! leaves it out where its writer died over it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use super::seen::Text;
use super::slot::bump;
use crate::base::clock::Micros;
use crate::base::words::find;

/// Slowest requests that are kept of a worker's slot.
pub const SLOWEST: usize = 16;
/// Failed requests that are kept of it.
pub const FAILED: usize = 16;
/// So long a request can be among the slowest, microseconds: what was slow yesterday shall not hide what is slow now.
pub const WINDOW_US: u64 = 3_600_000_000;
/// Bytes of method and URI that are kept.
pub const TEXT_BYTES: usize = TEXT_WORDS * 8;
const TEXT_WORDS: usize = 24;
/// A reader tries so often.
const READS_MAX: usize = 16;
/// In place of an interpreter thread's number.
const NO_CORE: u32 = u32::MAX;

/// Why a request counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It was answered with 500 to 599.
    Status = 1,
    /// The application raised.
    Exception = 2,
    /// It took too long (`harakiri`).
    Harakiri = 3,
    /// The client did not take the answer.
    Gone = 4,
    /// Its worker died in it.
    Killed = 5,
    /// It was answered with 500 to 599 before an interpreter thread took it.
    Refused = 6,
}

impl Failure {
    const ALL: [Failure; 6] = [
        Failure::Status,
        Failure::Exception,
        Failure::Harakiri,
        Failure::Gone,
        Failure::Killed,
        Failure::Refused,
    ];

    /// As it is told.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Status => "status",
            Failure::Exception => "exception",
            Failure::Harakiri => "harakiri",
            Failure::Gone => "client gone",
            Failure::Killed => "worker died",
            Failure::Refused => "refused",
        }
    }

    fn from_word(word: u32) -> Option<Failure> {
        Failure::ALL.into_iter().find(|why| *why as u32 == word)
    }
}

/// A finished request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flown {
    /// It began to come.
    pub arrived: Micros,
    /// What it had waited before that to be accepted, as far as that is known.
    pub accept_us: u64,
    /// Until all of it was there that was waited for, microseconds.
    pub read_us: u64,
    /// Until an interpreter thread took it.
    pub queue_us: u64,
    /// With the application, or whoever else answered it.
    pub app_us: u64,
    /// Then, until the rest of the answer was out.
    pub write_us: u64,
    /// Status of the answer, 0: none.
    pub status: u16,
    /// The worker's process.
    pub pid: u32,
    /// The interpreter thread, if it was with one.
    pub core: Option<u32>,
    /// Why it failed, if it did.
    pub why: Option<Failure>,
    /// `METHOD URI`, at most [`TEXT_BYTES`] of it.
    pub text: Vec<u8>,
    /// Length of the method in it.
    pub method_len: u32,
}

impl Flown {
    /// From its arrival to the end of its answer, microseconds.
    pub fn total_us(&self) -> u64 {
        self.read_us + self.queue_us + self.app_us + self.write_us
    }

    /// When its answer was out.
    pub fn ended(&self) -> Micros {
        Micros(self.arrived.0 + self.total_us())
    }

    /// Says which request it was. `uri` is cut off where there is no room for it.
    pub fn name(&mut self, method: &[u8], uri: &[u8]) {
        let method = &method[..method.len().min(TEXT_BYTES / 4)];
        let room = TEXT_BYTES - method.len() - 1;
        self.text.clear();
        self.text.extend_from_slice(method);
        self.text.push(b' ');
        self.text.extend_from_slice(&uri[..uri.len().min(room)]);
        self.method_len = u32::try_from(method.len()).unwrap_or(0);
    }

    /// Leaves the query out: there may be secrets in it.
    pub fn without_query(&mut self) {
        if let Some(at) = find(&self.text, b'?') {
            self.text.truncate(at);
        }
    }

    /// Its method.
    pub fn method(&self) -> &[u8] {
        self.text.get(..self.method_len as usize).unwrap_or_default()
    }

    /// Its URI, as far as it is kept.
    pub fn uri(&self) -> &[u8] {
        self.text.get(self.method_len as usize + 1..).unwrap_or_default()
    }
}

/// One request in shared memory.
#[repr(C)]
#[derive(Debug)]
struct Record {
    sequence: AtomicU64,
    arrived: AtomicU64,
    accept_us: AtomicU64,
    phases_us: [AtomicU64; 4],
    status: AtomicU32,
    pid: AtomicU32,
    core: AtomicU32,
    why: AtomicU32,
    text: Text<TEXT_WORDS>,
}

impl Record {
    /// *Its writer.*
    fn put(&self, flown: &Flown) {
        // Odd already where a writer died here.
        let sequence = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(sequence, Ordering::Relaxed);
        fence(Ordering::Release);
        self.arrived.store(flown.arrived.0, Ordering::Relaxed);
        self.accept_us.store(flown.accept_us, Ordering::Relaxed);
        let phases = [flown.read_us, flown.queue_us, flown.app_us, flown.write_us];
        for (cell, us) in self.phases_us.iter().zip(phases) {
            cell.store(us, Ordering::Relaxed);
        }
        self.status.store(flown.status.into(), Ordering::Relaxed);
        self.pid.store(flown.pid, Ordering::Relaxed);
        self.core.store(flown.core.unwrap_or(NO_CORE), Ordering::Relaxed);
        self.why.store(flown.why.map_or(0, |why| why as u32), Ordering::Relaxed);
        self.text.put(&flown.text, flown.method_len);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Release);
    }

    /// What is there, if it can be read.
    fn get(&self) -> Option<Flown> {
        for _ in 0..READS_MAX {
            let sequence = self.sequence.load(Ordering::Acquire);
            if sequence == 0 {
                return None;
            }
            let flown = self.look();
            fence(Ordering::Acquire);
            if sequence.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == sequence {
                return Some(flown);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// As it is in this moment.
    fn look(&self) -> Flown {
        let [read_us, queue_us, app_us, write_us] =
            self.phases_us.each_ref().map(|cell| cell.load(Ordering::Relaxed));
        let core = self.core.load(Ordering::Relaxed);
        let (text, method_len) = self.text.get();
        Flown {
            arrived: Micros(self.arrived.load(Ordering::Relaxed)),
            accept_us: self.accept_us.load(Ordering::Relaxed),
            read_us,
            queue_us,
            app_us,
            write_us,
            status: u16::try_from(self.status.load(Ordering::Relaxed)).unwrap_or(0),
            pid: self.pid.load(Ordering::Relaxed),
            core: (core != NO_CORE).then_some(core),
            why: Failure::from_word(self.why.load(Ordering::Relaxed)),
            text,
            method_len,
        }
    }

    /// *Its writer.* How long that request took and when it ended; zeroes where there is none.
    fn weight(&self) -> (u64, u64) {
        let total = self.phases_us.iter().map(|cell| cell.load(Ordering::Relaxed)).sum();
        (total, self.arrived.load(Ordering::Relaxed).saturating_add(total))
    }
}

/// What is kept of one worker's slot.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Flights {
    slowest: [Record; SLOWEST],
    failed: [Record; FAILED],
    failures: AtomicU64,
}

impl Flights {
    /// *Its writer.* What it is to know of the slowest.
    pub fn ladder(&self, now: Micros) -> Ladder {
        let mut ladder = Ladder { until: Micros(u64::MAX), ..Ladder::default() };
        for (place, record) in self.slowest.iter().enumerate() {
            let (total, ended) = record.weight();
            ladder.set(place, total, Micros(ended));
        }
        ladder.expire(now);
        ladder
    }

    /// *Its writer.* Puts a request in the place of the fastest of the slowest, or of one from long ago.
    pub fn keep_slow(&self, ladder: &mut Ladder, flown: &Flown) {
        let place = ladder.lowest();
        self.slowest[place].put(flown);
        ladder.set(place, flown.total_us(), flown.ended());
    }

    /// *Its writer.* Keeps a request that failed, in the place of the oldest.
    pub fn keep_failed(&self, flown: &Flown) {
        let number = bump(&self.failures, 1) - 1;
        let place = usize::try_from(number % FAILED as u64).expect("a small number");
        self.failed[place].put(flown);
    }

    /// *Its writer.* Whether that request is told as failed already.
    pub fn has_failed(&self, arrived: Micros, core: u32) -> bool {
        let same = |record: &Record| {
            let place = (record.arrived.load(Ordering::Relaxed), record.core.load(Ordering::Relaxed));
            place == (arrived.0, core)
        };
        self.failed.iter().any(same)
    }

    /// The slowest, of those that did not end long ago.
    pub fn slowest(&self, now: Micros) -> impl Iterator<Item = Flown> {
        let recent = move |flown: &Flown| now.since(flown.ended()) < WINDOW_US;
        self.slowest.iter().filter_map(Record::get).filter(recent)
    }

    /// The last that failed.
    pub fn failed(&self) -> impl Iterator<Item = Flown> {
        self.failed.iter().filter_map(Record::get)
    }

    /// How many have failed so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// How slow the slowest are: their writer's own copy, so that it need not read what it wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// How long each took, microseconds, and in the last bits its place: so the least of these numbers tells both. No time
    /// where there is none, or none any more.
    rungs: [u64; SLOWEST],
    /// When each ended.
    ended: [Micros; SLOWEST],
    /// The least of the rungs.
    least: u64,
    until: Micros,
}

impl Ladder {
    /// For who keeps none: no request ever is slow.
    pub fn unreachable() -> Ladder {
        Ladder { least: u64::MAX, until: Micros(u64::MAX), ..Ladder::default() }
    }

    /// Whether a request that took so long, microseconds, is among the slowest.
    pub fn is_slow(&self, took_us: u64) -> bool {
        took_us > self.least / SLOWEST as u64
    }

    /// When one of them may be from long ago: then it is time to [`Ladder::expire`].
    pub fn until(&self) -> Micros {
        self.until
    }

    /// Those from long ago are slow no longer.
    pub fn expire(&mut self, now: Micros) {
        self.until = Micros(u64::MAX);
        for place in 0..SLOWEST {
            let (total, ended) = (self.rungs[place] / SLOWEST as u64, self.ended[place]);
            let recent = ended.0.saturating_add(WINDOW_US) > now.0;
            self.set(place, if recent { total } else { 0 }, ended);
        }
    }

    fn lowest(&self) -> usize {
        self.least as usize % SLOWEST
    }

    /// What lies in a place.
    fn set(&mut self, place: usize, total_us: u64, ended: Micros) {
        self.rungs[place] = total_us.saturating_mul(SLOWEST as u64) | place as u64;
        self.ended[place] = ended;
        self.least = self.rungs.iter().fold(u64::MAX, |least, rung| least.min(*rung));
        if total_us > 0 {
            self.until = self.until.min(Micros(ended.0.saturating_add(WINDOW_US)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::shared::area::Area;

    fn flown(number: u64) -> Flown {
        let mut flown = Flown { arrived: Micros(1_000_000 + number), app_us: number, ..Flown::default() };
        flown.name(b"GET", format!("/{number}").as_bytes());
        flown
    }

    #[test]
    fn the_slowest_stay_and_the_rest_goes() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let (flights, now) = (area.flights(1), Micros(2_000_000));
        let mut ladder = flights.ladder(now);
        assert_eq!((ladder.is_slow(0), ladder.is_slow(1), ladder.until), (false, true, Micros(u64::MAX)));
        for number in [5, 900, 7].into_iter().chain(100..130) {
            if ladder.is_slow(number) {
                flights.keep_slow(&mut ladder, &flown(number));
            }
        }
        let mut kept: Vec<u64> = flights.slowest(now).map(|flown| flown.app_us).collect();
        kept.sort_unstable();
        assert_eq!(kept, (115..130).chain([900]).collect::<Vec<_>>());
        assert!(!ladder.is_slow(115) && ladder.is_slow(116));
        // Who comes next finds what they have left, and knows better than this one, to whom any of those that had to go may
        // be the first.
        let next = flights.ladder(now);
        assert_eq!((&next.rungs, &next.ended, next.least), (&ladder.rungs, &ladder.ended, ladder.least));
        assert_eq!(next.until, Micros(1_000_000 + 2 * 115 + WINDOW_US));
        ladder.expire(now);
        assert_eq!(ladder, next);
        // What ended long ago makes room for the fastest.
        let later = Micros(now.0 + WINDOW_US);
        ladder.expire(later);
        assert_eq!((ladder.is_slow(0), ladder.is_slow(1), ladder.until), (false, true, Micros(u64::MAX)));
        assert_eq!(flights.slowest(later).count(), 0);
        flights.keep_slow(&mut ladder, &Flown { arrived: later, ..flown(3) });
        assert_eq!(flights.slowest(later).map(|flown| flown.text).collect::<Vec<_>>(), [b"GET /3"]);
    }

    #[test]
    fn the_last_that_failed_stay() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let flights = area.flights(2);
        (0..20).for_each(|number| flights.keep_failed(&flown(number)));
        let mut kept: Vec<u64> = flights.failed().map(|flown| flown.app_us).collect();
        kept.sort_unstable();
        assert_eq!((kept, flights.failures()), ((4..20).collect(), 20));
        assert!(flights.has_failed(Micros(1_000_019), NO_CORE));
        assert!(!flights.has_failed(Micros(1_000_019), 0) && !flights.has_failed(Micros(1_000_003), NO_CORE));
    }

    #[test]
    fn what_is_written_is_read() {
        let area = Area::new(1, 1, 0).expect("mapped");
        for why in Failure::ALL {
            let mut told = Flown {
                arrived: Micros(7),
                read_us: 1,
                queue_us: 2,
                app_us: 3,
                write_us: 4,
                status: 503,
                pid: 42,
                core: Some(9),
                why: Some(why),
                ..Flown::default()
            };
            told.name(b"POST", &[b"/a?secret=".as_slice(), &[b'x'; 300]].concat());
            assert_eq!((told.text.len(), told.total_us(), told.ended()), (TEXT_BYTES, 10, Micros(17)));
            area.flights(1).keep_failed(&told);
            assert!(area.flights(1).failed().any(|read| read == told));
            told.without_query();
            assert_eq!((told.method(), told.uri()), (&b"POST"[..], &b"/a"[..]));
        }
    }

    #[test]
    fn nobody_reads_half_a_record() {
        let area = Arc::new(Area::new(1, 1, 0).expect("mapped"));
        let writer = Arc::clone(&area);
        let write = std::thread::spawn(move || {
            for number in 1..60_000u64 {
                let mut flown =
                    Flown { read_us: number, app_us: number, write_us: number, ..Flown::default() };
                flown.name(b"GET", format!("{number}").repeat(8).as_bytes());
                writer.flights(1).keep_failed(&flown);
            }
        });
        while !write.is_finished() {
            for read in area.flights(1).failed() {
                assert_eq!((read.read_us, read.read_us), (read.app_us, read.write_us));
                assert_eq!(read.uri(), read.app_us.to_string().repeat(8).as_bytes());
            }
        }
        write.join().expect("written");
        // Its writer died over this one; the next writer makes it whole again.
        let record = &area.flights(1).failed[0];
        record.sequence.store(7, Ordering::Relaxed);
        assert_eq!(record.get(), None);
        record.put(&flown(3));
        assert_eq!(record.get(), Some(flown(3)));
    }
}
