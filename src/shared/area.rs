//! The one shared map and its layout.
//!
//! The master makes it before the first fork; every process reads it. Each counter has a single writer (its
//! worker), each command too (the master), and no lock guards any of it: a process may die anywhere.
//!
//! ```text
//!  Instance | WorkerSlot 1 … N | WorkerSlot N+1 … 2N | lock words
//! ```
//! There are two slots for each worker number, since during a reload the old worker and the new one both live:
//! generation 1 uses the first half, generation 2 the second, and so on in turn.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::locks::Locks;
use crate::base::clock;
use crate::sys::exec::Handed;
use crate::sys::memory::SharedMap;
pub use crate::sys::signals::Command;

/// Which layout this is: raised with every change of it, since at a reload the next program may be a newer one.
const LAYOUT: u32 = 1;

/// What a worker is doing.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// There is none.
    #[default]
    None = 0,
    /// Forked, not serving yet.
    Starting = 1,
    /// Serving.
    Ready = 2,
    /// Finishing what is in hand.
    Draining = 3,
}

impl State {
    fn from_word(word: u32) -> State {
        match word {
            1 => State::Starting,
            2 => State::Ready,
            3 => State::Draining,
            _ => State::None,
        }
    }
}

/// What an application can ask of the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `uwsgi.reload()`.
    Reload,
    /// `uwsgi.stop()`.
    Stop,
}

impl Ask {
    fn bit(self) -> u32 {
        match self {
            Ask::Reload => 1,
            Ask::Stop => 2,
        }
    }
}

/// One worker's line. The size keeps neighbours out of each other's cache lines, and of the pair that the
/// processor fetches together.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct WorkerSlot {
    /// Requests finished, by all workers that had this slot.
    pub requests: AtomicU64,
    /// Requests whose application raised.
    pub exceptions: AtomicU64,
    /// Bytes sent.
    pub tx_bytes: AtomicU64,
    /// Time spent in requests, microseconds.
    pub running_time_us: AtomicU64,
    /// Answers the client did not take.
    pub write_errors: AtomicU64,
    /// Requests refused with a status of 400 to 499 before the application could see them.
    pub refused_4xx: AtomicU64,
    /// The same, 500 to 599.
    pub refused_5xx: AtomicU64,
    /// The same, closed without an answer.
    pub refused_unanswered: AtomicU64,
    /// 1: the worker ends by itself, having served its `max-requests`.
    pub recycled: AtomicU64,
    /// When it was forked, seconds since the epoch.
    pub last_spawn: AtomicU64,
    /// How often it was forked.
    pub spawns: AtomicU64,
    /// Requests in hand, see [`WorkerSlot::in_hand`].
    pub in_flight: AtomicU32,
    /// 1 while it accepts connections.
    pub accepting: AtomicU32,
    pid: AtomicU32,
    generation: AtomicU32,
    command: AtomicU32,
    state: AtomicU32,
}

impl WorkerSlot {
    /// What the master wants of it.
    pub fn command(&self) -> Command {
        Command::from_word(self.command.load(Ordering::Acquire))
    }

    /// The master's word to it. The worker looks once its `control` eventfd is signalled.
    pub fn set_command(&self, command: Command) {
        self.command.store(command as u32, Ordering::Release);
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        State::from_word(self.state.load(Ordering::Acquire))
    }

    /// Says what it is doing.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// Whether it takes nothing new.
    pub fn is_draining(&self) -> bool {
        self.state() == State::Draining
    }

    /// *Its worker.* Counts a request that the application never saw; `None`: closed without an answer.
    pub fn count_refusal(&self, status: Option<u16>) {
        let counter = match status {
            None => &self.refused_unanswered,
            Some(..500) => &self.refused_4xx,
            Some(_) => &self.refused_5xx,
        };
        bump(counter, 1);
    }

    /// *Its worker.* Says how many requests it has in hand, waiting ones too.
    pub fn set_in_hand(&self, requests: usize) {
        self.in_flight.store(u32::try_from(requests).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// Requests it has in hand.
    pub fn in_hand(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests finished.
    pub fn requests_total(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Its process id, 0 where there is none.
    pub fn process(&self) -> u32 {
        self.pid.load(Ordering::Acquire)
    }

    /// Which load of the application it serves.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Made ready by the master for the worker it asks the template for. Counters stay: they are the number's.
    pub fn vacate(&self) {
        self.pid.store(0, Ordering::Release);
        self.set_state(State::None);
        self.set_command(Command::Run);
        self.recycled.store(0, Ordering::Relaxed);
        self.in_flight.store(0, Ordering::Relaxed);
        self.accepting.store(0, Ordering::Relaxed);
    }

    /// Taken by the freshly forked worker.
    pub fn occupy(&self, generation: u32) {
        self.generation.store(generation, Ordering::Relaxed);
        self.last_spawn.store(clock::wall() / 1_000_000, Ordering::Relaxed);
        bump(&self.spawns, 1);
        self.set_state(State::Starting);
        self.pid.store(std::process::id(), Ordering::Release);
    }
}

/// Adds to a counter whose single writer is the caller: a load and a store are enough. Returns the sum.
pub fn bump(counter: &AtomicU64, n: u64) -> u64 {
    let sum = counter.load(Ordering::Relaxed).wrapping_add(n);
    counter.store(sum, Ordering::Relaxed);
    sum
}

/// What belongs to no worker.
#[repr(C, align(128))]
#[derive(Debug)]
struct Instance {
    started_on: AtomicU64,
    asked: AtomicU32,
    serving: AtomicU32,
    paused: AtomicU32,
}

/// The map.
#[derive(Debug)]
pub struct Area {
    map: SharedMap,
    workers: u32,
    locks: u32,
}

impl Area {
    /// For `workers` workers and `locks` user locks (numbered from 0).
    pub fn new(workers: u32, locks: u32) -> io::Result<Area> {
        let area = Area { map: SharedMap::new(bytes(workers, locks))?, workers, locks };
        area.instance().started_on.store(clock::wall() / 1_000_000, Ordering::Relaxed);
        Ok(area)
    }

    /// What another program needs to map it again.
    pub fn hand_over(&self) -> Left {
        let Area { workers, locks, .. } = *self;
        Left {
            file: Handed::of(&self.map),
            layout: LAYOUT,
            slot_bytes: size_of::<WorkerSlot>(),
            workers,
            locks,
        }
    }

    /// Maps the area of the program before.
    pub fn take_over(left: Left) -> io::Result<Area> {
        let Left { file, workers, locks, .. } = left;
        if !left.fits() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the shared area is laid out otherwise"));
        }
        Ok(Area { map: SharedMap::again(file.take()?, bytes(workers, locks))?, workers, locks })
    }

    /// Number of workers.
    pub fn workers(&self) -> u32 {
        self.workers
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    /// When the server started, seconds since the epoch.
    pub fn started_on(&self) -> u64 {
        self.instance().started_on.load(Ordering::Relaxed)
    }

    /// Number of the slot that worker `id` (from 1) of `generation` (from 1) uses.
    pub fn slot_number(&self, id: u32, generation: u32) -> u32 {
        id + if generation.is_multiple_of(2) { self.workers } else { 0 }
    }

    /// Slot `number`, from 1 to twice the number of workers.
    pub fn slot(&self, number: u32) -> &WorkerSlot {
        assert!((1..=2 * self.workers).contains(&number), "no slot {number} for {} workers", self.workers);
        let offset = size_of::<Instance>() + (number as usize - 1) * size_of::<WorkerSlot>();
        let slot = self.at(offset, size_of::<WorkerSlot>()).cast::<WorkerSlot>();
        // SAFETY: the bytes are the map's (`at`), which starts on a page, and both sizes are multiples of 128, so
        // it is aligned. They were zeroed, which is a valid slot (atomics only), and stay while `self` does.
        unsafe { slot.as_ref() }
    }

    /// Every slot.
    pub fn slots(&self) -> impl Iterator<Item = &WorkerSlot> {
        (1..=2 * self.workers).map(|number| self.slot(number))
    }

    /// Worker `id`, as the generation that serves now has it. A number above [`Area::workers`] is a slot's.
    pub fn worker(&self, id: u32) -> &WorkerSlot {
        let generation = self.instance().serving.load(Ordering::Relaxed);
        self.slot(if id <= self.workers { self.slot_number(id, generation.max(1)) } else { id })
    }

    /// Which generation serves.
    pub fn serving(&self) -> u32 {
        self.instance().serving.load(Ordering::Relaxed)
    }

    /// Says which generation serves from now on.
    pub fn set_serving(&self, generation: u32) {
        self.instance().serving.store(generation, Ordering::Relaxed);
    }

    /// Whether nothing is to be accepted for a while.
    pub fn is_paused(&self) -> bool {
        self.instance().paused.load(Ordering::Relaxed) != 0
    }

    /// Says whether anything is to be accepted. The workers look when their bells ring.
    pub fn set_paused(&self, paused: bool) {
        self.instance().paused.store(u32::from(paused), Ordering::Relaxed);
    }

    /// Requests that all workers have finished.
    pub fn total_requests(&self) -> u64 {
        self.slots().map(WorkerSlot::requests_total).sum()
    }

    /// Leaves a wish for the master, which is woken by its eventfd.
    pub fn ask(&self, what: Ask) {
        self.instance().asked.fetch_or(what.bit(), Ordering::AcqRel);
    }

    /// Takes the wishes left since the last time. A stop outranks a reload.
    pub fn take_asked(&self) -> Option<Ask> {
        let asked = self.instance().asked.swap(0, Ordering::AcqRel);
        [Ask::Stop, Ask::Reload].into_iter().find(|what| asked & what.bit() != 0)
    }

    /// The user locks.
    pub fn locks(&self) -> Locks<'_> {
        let words = self.locks as usize;
        let first = self.at(lock_offset(self.workers), words * size_of::<AtomicU32>()).cast::<AtomicU32>();
        // SAFETY: the bytes are the map's (`at`), a multiple of 128 from a page's start; zero is a valid word;
        // the borrow of `self` keeps the map.
        Locks::new(unsafe { std::slice::from_raw_parts(first.as_ptr(), words) })
    }

    fn instance(&self) -> &Instance {
        let instance = self.at(0, size_of::<Instance>()).cast::<Instance>();
        // SAFETY: the bytes are the map's (`at`), start on a page, were zeroed (valid: atomics only), and stay
        // while `self` does.
        unsafe { instance.as_ref() }
    }

    /// `len` bytes of the map, `offset` bytes into it.
    fn at(&self, offset: usize, len: usize) -> NonNull<u8> {
        assert!(offset + len <= self.map.len(), "{len} bytes at {offset} are beyond the map");
        // SAFETY: within the map, by the assertion.
        unsafe { self.map.start().add(offset) }
    }
}

/// An area as one program leaves it to the next.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Left {
    /// What it lies in.
    pub file: Handed,
    layout: u32,
    slot_bytes: usize,
    workers: u32,
    locks: u32,
}

impl Left {
    /// Whether this program understands it.
    pub fn fits(&self) -> bool {
        self.layout == LAYOUT && self.slot_bytes == size_of::<WorkerSlot>()
    }
}

/// Size of the map.
fn bytes(workers: u32, locks: u32) -> usize {
    lock_offset(workers) + locks as usize * size_of::<AtomicU32>()
}

/// Where the lock words begin.
fn lock_offset(workers: u32) -> usize {
    size_of::<Instance>() + 2 * workers as usize * size_of::<WorkerSlot>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn slots_are_apart_and_on_their_own_lines() {
        let area = Area::new(3, 2).expect("mapped");
        for number in 1..=6 {
            area.slot(number).requests.store(u64::from(number), Ordering::Relaxed);
        }
        assert_eq!(area.slots().map(WorkerSlot::requests_total).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(area.total_requests(), 21);
        assert!(area.slots().all(|slot| std::ptr::from_ref(slot).addr().is_multiple_of(128)));
        assert_eq!(area.slot(1).command(), Command::Run);
        assert_eq!(area.slot(1).state(), State::None);
        assert!(area.started_on() > 1_600_000_000);
    }

    #[test]
    fn refusals_are_counted_by_class() {
        let area = Area::new(1, 0).expect("mapped");
        let slot = area.slot(1);
        for status in [Some(400), Some(499), Some(500), Some(503), Some(505), None] {
            slot.count_refusal(status);
        }
        let counters = [&slot.refused_4xx, &slot.refused_5xx, &slot.refused_unanswered];
        assert_eq!(counters.map(|counter| counter.load(Ordering::Relaxed)), [2, 3, 1]);
    }

    #[test]
    fn generations_take_turns() {
        let area = Area::new(2, 0).expect("mapped");
        assert_eq!([1, 2, 3].map(|generation| area.slot_number(2, generation)), [2, 4, 2]);
        area.slot(4).requests.store(7, Ordering::Relaxed);
        assert_eq!(area.worker(2).requests_total(), 0);
        area.set_serving(2);
        assert_eq!(area.worker(2).requests_total(), 7);
        assert_eq!(area.worker(4).requests_total(), 7);
    }

    #[test]
    #[should_panic(expected = "no slot 5")]
    fn a_slot_beyond_the_map_is_refused() {
        Area::new(2, 0).expect("mapped").slot(5);
    }

    #[test]
    fn a_child_writes_what_the_parent_reads() {
        let area = Area::new(1, 0).expect("mapped");
        let status = in_child(|| {
            area.slot(1).occupy(1);
            bump(&area.slot(1).requests, 5);
            area.slot(1).set_state(State::Ready);
            area.ask(Ask::Reload);
            0
        });
        assert_eq!(status, Status::Exited(0));
        let slot = area.slot(1);
        assert_eq!((slot.state(), slot.requests_total(), slot.generation()), (State::Ready, 5, 1));
        assert_ne!(slot.process(), 0);
        assert_eq!(area.take_asked(), Some(Ask::Reload));
        assert_eq!(area.take_asked(), None);
        slot.vacate();
        assert_eq!((slot.state(), slot.process(), slot.requests_total()), (State::None, 0, 5));
    }

    #[test]
    fn a_stop_outranks_a_reload() {
        let area = Area::new(1, 0).expect("mapped");
        area.ask(Ask::Reload);
        area.ask(Ask::Stop);
        assert_eq!(area.take_asked(), Some(Ask::Stop));
        assert_eq!(area.take_asked(), None);
    }
}
