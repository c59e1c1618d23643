//! The one shared map and its layout.
//!
//! The master makes it before the first fork; every process reads it. Each counter has a single writer (its
//! worker), each command too (the master), and no lock guards any of it: a process may die anywhere.
//!
//! ```text
//!  Instance | WorkerSlot 1 … 2N (odd generations) | 2N+1 … 4N (even ones) | CoreSlots of each slot | lock words
//! ```
//! A generation has two *seats* for each worker number: N is replaced by N+workers, and that by N again, so that the
//! new one can be ready before the old one leaves. During a reload two generations live, hence twice as many slots.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::core::CoreSlot;
use super::locks::Locks;
pub use super::slot::{State, Tired, WorkerSlot, bump};
use crate::base::clock;
use crate::sys::exec::Handed;
use crate::sys::memory::SharedMap;
pub use crate::sys::signals::Command;

/// Which layout this is: raised with every change of it, since at a reload the next program may be a newer one.
const LAYOUT: u32 = 4;

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

/// What belongs to no worker.
#[repr(C, align(128))]
#[derive(Debug)]
struct Instance {
    started_on: AtomicU64,
    asked: AtomicU32,
    serving: AtomicU32,
    paused: AtomicU32,
    draining: AtomicU32,
}

/// The map.
#[derive(Debug)]
pub struct Area {
    map: SharedMap,
    workers: u32,
    cores: u32,
    locks: u32,
}

impl Area {
    /// For `workers` workers of at most `cores` interpreter threads, and `locks` user locks (numbered from 0).
    pub fn new(workers: u32, cores: u32, locks: u32) -> io::Result<Area> {
        let map = SharedMap::new(bytes(workers, cores, locks))?;
        let area = Area { map, workers, cores, locks };
        area.instance().started_on.store(clock::wall() / 1_000_000, Ordering::Relaxed);
        Ok(area)
    }

    /// What another program needs to map it again.
    pub fn hand_over(&self) -> Left {
        let Area { workers, cores, locks, .. } = *self;
        Left {
            file: Handed::of(&self.map),
            layout: LAYOUT,
            slot_bytes: size_of::<WorkerSlot>(),
            workers,
            cores,
            locks,
        }
    }

    /// Maps the area of the program before.
    pub fn take_over(left: Left) -> io::Result<Area> {
        let Left { file, workers, cores, locks, .. } = left;
        if !left.fits() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the shared area is laid out otherwise"));
        }
        let map = SharedMap::again(file.take()?, bytes(workers, cores, locks))?;
        Ok(Area { map, workers, cores, locks })
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

    /// Interpreter threads a worker can have here.
    pub fn cores(&self) -> u32 {
        self.cores
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> u32 {
        4 * self.workers
    }

    /// Number of the slot that `seat` (from 1 to twice the number of workers) of `generation` (from 1) uses.
    pub fn slot_number(&self, seat: u32, generation: u32) -> u32 {
        seat + if generation.is_multiple_of(2) { 2 * self.workers } else { 0 }
    }

    /// The number, as people count, of the worker on `seat`.
    pub fn id_of(&self, seat: u32) -> u32 {
        (seat - 1) % self.workers + 1
    }

    /// The slot of the same worker's other seat.
    pub fn partner(&self, number: u32) -> &WorkerSlot {
        let (generation, seat) = ((number - 1) / (2 * self.workers), (number - 1) % (2 * self.workers));
        self.slot(generation * 2 * self.workers + (seat + self.workers) % (2 * self.workers) + 1)
    }

    /// Slot `number`, from 1.
    pub fn slot(&self, number: u32) -> &WorkerSlot {
        assert!((1..=self.slot_count()).contains(&number), "no slot {number} for {} workers", self.workers);
        let offset = size_of::<Instance>() + (number as usize - 1) * size_of::<WorkerSlot>();
        let slot = self.at(offset, size_of::<WorkerSlot>()).cast::<WorkerSlot>();
        // SAFETY: the bytes are the map's (`at`), which starts on a page, and both sizes are multiples of 128, so
        // it is aligned. They were zeroed, which is a valid slot (atomics only), and stay while `self` does.
        unsafe { slot.as_ref() }
    }

    /// Interpreter thread `thread` (from 0) of slot `number`, if there is room for it.
    pub fn core(&self, number: u32, thread: u32) -> Option<&CoreSlot> {
        if thread >= self.cores || !(1..=self.slot_count()).contains(&number) {
            return None;
        }
        let index = (number as usize - 1) * self.cores as usize + thread as usize;
        let offset = core_offset(self.workers) + index * size_of::<CoreSlot>();
        let core = self.at(offset, size_of::<CoreSlot>()).cast::<CoreSlot>();
        // SAFETY: as for `slot`: inside the map, aligned (all sizes are multiples of 128), zeroed atomics.
        Some(unsafe { core.as_ref() })
    }

    /// The interpreter threads of slot `number`, with their numbers.
    pub fn cores_of(&self, number: u32) -> impl Iterator<Item = (u32, &CoreSlot)> {
        (0..self.cores).map_while(move |thread| Some((thread, self.core(number, thread)?)))
    }

    /// Every slot.
    pub fn slots(&self) -> impl Iterator<Item = &WorkerSlot> {
        (1..=self.slot_count()).map(|number| self.slot(number))
    }

    /// Worker `id`, as the generation that serves now has it.
    pub fn worker(&self, id: u32) -> &WorkerSlot {
        let seats =
            [id, id + self.workers].map(|seat| self.slot(self.slot_number(seat, self.serving().max(1))));
        let best = seats.into_iter().find(|slot| slot.state() == State::Ready);
        best.or(seats.into_iter().find(|slot| slot.process() != 0)).unwrap_or(seats[0])
    }

    /// Requests finished by the worker in slot `number`, and by those before it with the same number.
    pub fn requests_of(&self, number: u32) -> u64 {
        self.slot(number).requests_total() + self.partner(number).requests_total()
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

    /// Whether clients and front ends are to look for another server, while this one still serves.
    pub fn is_draining(&self) -> bool {
        self.instance().draining.load(Ordering::Relaxed) != 0
    }

    /// Says whether they are.
    pub fn set_draining(&self, draining: bool) {
        self.instance().draining.store(u32::from(draining), Ordering::Relaxed);
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
        let first = self
            .at(lock_offset(self.workers, self.cores), words * size_of::<AtomicU32>())
            .cast::<AtomicU32>();
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
    #[serde(default)]
    cores: u32,
    locks: u32,
}

impl Left {
    /// Whether this program understands it.
    pub fn fits(&self) -> bool {
        self.layout == LAYOUT && self.slot_bytes == size_of::<WorkerSlot>()
    }
}

/// Size of the map.
fn bytes(workers: u32, cores: u32, locks: u32) -> usize {
    lock_offset(workers, cores) + locks as usize * size_of::<AtomicU32>()
}

/// Where the threads' lines begin.
fn core_offset(workers: u32) -> usize {
    size_of::<Instance>() + 4 * workers as usize * size_of::<WorkerSlot>()
}

/// Where the lock words begin.
fn lock_offset(workers: u32, cores: u32) -> usize {
    core_offset(workers) + 4 * workers as usize * cores as usize * size_of::<CoreSlot>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn slots_are_apart_and_on_their_own_lines() {
        let area = Area::new(3, 2, 2).expect("mapped");
        for number in 1..=12 {
            area.slot(number).requests.store(u64::from(number), Ordering::Relaxed);
            for (_, core) in area.cores_of(number) {
                core.set_thread(number);
            }
        }
        let counts: Vec<_> = area.slots().map(WorkerSlot::requests_total).collect();
        assert_eq!(counts, (1..=12).collect::<Vec<_>>());
        assert_eq!(area.total_requests(), 78);
        let cores: Vec<_> =
            (1..=12).flat_map(|number| area.cores_of(number)).map(|(_, c)| c.thread()).collect();
        assert_eq!(cores.len(), 24);
        assert_eq!((cores[2], cores[23]), (2, 12));
        assert!(area.core(13, 0).is_none() && area.core(1, 2).is_none());
        assert!(area.slots().all(|slot| std::ptr::from_ref(slot).addr().is_multiple_of(128)));
        assert_eq!(area.slot(1).command(), Command::Run);
        assert_eq!(area.slot(1).state(), State::None);
        assert!(area.started_on() > 1_600_000_000);
    }

    #[test]
    fn refusals_are_counted_by_class() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let slot = area.slot(1);
        for status in [Some(400), Some(499), Some(500), Some(503), Some(505), None] {
            slot.count_refusal(status);
        }
        let counters = [&slot.refused_4xx, &slot.refused_5xx, &slot.refused_unanswered];
        assert_eq!(counters.map(|counter| counter.load(Ordering::Relaxed)), [2, 3, 1]);
    }

    #[test]
    fn generations_and_seats_take_turns() {
        let area = Area::new(2, 1, 0).expect("mapped");
        assert_eq!([1, 2, 3].map(|generation| area.slot_number(2, generation)), [2, 6, 2]);
        assert_eq!([1, 2, 3, 4].map(|seat| area.id_of(seat)), [1, 2, 1, 2]);
        area.slot(6).requests.store(7, Ordering::Relaxed);
        assert_eq!(area.worker(2).requests_total(), 0);
        area.set_serving(2);
        assert_eq!(area.worker(2).requests_total(), 7);
        // Its other seat takes over.
        area.slot(8).requests.store(3, Ordering::Relaxed);
        area.slot(8).set_state(State::Ready);
        assert_eq!(area.worker(2).requests_total(), 3);
        assert_eq!((area.requests_of(6), area.requests_of(8)), (10, 10));
        assert_eq!(area.partner(3).requests_total(), area.slot(1).requests_total());
    }

    #[test]
    fn a_worker_is_as_tired_as_it_ever_was() {
        let area = Area::new(1, 1, 0).expect("mapped");
        assert_eq!(area.slot(1).tired(), None);
        for (why, then) in
            [(Tired::Recycle, Tired::Recycle), (Tired::Evil, Tired::Evil), (Tired::Stuck, Tired::Evil)]
        {
            area.slot(1).tire(why);
            assert_eq!(area.slot(1).tired(), Some(then));
        }
        area.slot(1).vacate();
        assert_eq!(area.slot(1).tired(), None);
    }

    #[test]
    #[should_panic(expected = "no slot 9")]
    fn a_slot_beyond_the_map_is_refused() {
        Area::new(2, 1, 0).expect("mapped").slot(9);
    }

    #[test]
    fn a_child_writes_what_the_parent_reads() {
        let area = Area::new(1, 1, 0).expect("mapped");
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
        let area = Area::new(1, 1, 0).expect("mapped");
        area.ask(Ask::Reload);
        area.ask(Ask::Stop);
        assert_eq!(area.take_asked(), Some(Ask::Stop));
        assert_eq!(area.take_asked(), None);
    }
}
