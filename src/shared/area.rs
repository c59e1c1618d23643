//! The one shared map and its layout.
//!
//! The master makes it before the first fork; every process reads it. Each counter has a single writer (its
//! worker), each command too (the master), and no lock guards any of it: a process may die anywhere.
//!
//! ```text
//!  Instance | WorkerSlot 1 … 2N (odd generations) | 2N+1 … 4N (even ones) | CoreSlots of each slot | Tally of each
//!  | AppCounts of each | AppCards of two generations | JobSlots | Flights of each slot | Heads of each
//!  CoreSlot | Boards and Mailboxes | Meters | lock words | one more for each cache | the caches
//! ```
//! A generation has two *seats* for each worker number: N is replaced by N+workers, and that by N again, so that the
//! new one can be ready before the old one leaves. During a reload two generations live, hence twice as many slots.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::cache::{self, Caches};
use super::core::{Busy, CoreSlot};
use super::flight::{Failure, Flights, Flown};
use super::instance::Instance;
use super::locks::Locks;
use super::meters::{self, Meter, Meters};
use super::seen::{APPS_MAX, AppCard, AppCount, Head, JobSlot};
pub use super::shape::Shape;
use super::signals::{Board, Mailbox, Signals};
pub use super::slot::{State, Tired, WorkerSlot, bump};
use super::tally::Tally;
use crate::base::clock::{self, Micros};
use crate::options::cache::Cache;
use crate::options::monitor::Monitor;
use crate::sys::exec::Handed;
use crate::sys::memory::SharedMap;
pub use crate::sys::signals::Command;
use crate::sys::socket::queue;

/// Which layout this is: raised with every change of it, since at a reload the next program may be a newer one.
const LAYOUT: u32 = 11;

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

/// The map.
#[derive(Debug)]
pub struct Area {
    map: SharedMap,
    shape: Shape,
}

/// What may lie in the area: a type of which zeroes are a valid value, and which is written by shared reference only.
///
/// # Safety
/// It consists of atomics alone (and is aligned to no more than 128 bytes).
unsafe trait Cells {}

// SAFETY: atomics alone; so for the following.
unsafe impl Cells for Instance {}
// SAFETY: as above.
unsafe impl Cells for WorkerSlot {}
// SAFETY: as above.
unsafe impl Cells for CoreSlot {}
// SAFETY: as above.
unsafe impl Cells for Tally {}
// SAFETY: as above.
unsafe impl Cells for AppCount {}
// SAFETY: as above.
unsafe impl Cells for AppCard {}
// SAFETY: as above.
unsafe impl Cells for JobSlot {}
// SAFETY: as above.
unsafe impl Cells for Flights {}
// SAFETY: as above.
unsafe impl Cells for Head {}
// SAFETY: as above.
unsafe impl Cells for Meter {}
// SAFETY: as above.
unsafe impl Cells for Board {}
// SAFETY: as above.
unsafe impl Cells for Mailbox {}
// SAFETY: an atomic itself.
unsafe impl Cells for AtomicU32 {}
// SAFETY: the same.
unsafe impl Cells for AtomicU64 {}

impl Area {
    /// For `workers` workers of at most `cores` interpreter threads, and `locks` user locks (numbered from 0).
    pub fn new(workers: u32, cores: u32, locks: u32) -> io::Result<Area> {
        Area::shaped(Shape { workers, cores, locks, ..Shape::default() })
    }

    /// With room for all that `shape` says.
    pub fn shaped(shape: Shape) -> io::Result<Area> {
        let area = Area { map: SharedMap::new(shape.bytes(), shape.room())?, shape };
        area.instance().started_on.store(clock::wall_seconds(), Ordering::Relaxed);
        area.instance().overflows_before.store(queue::overflows(), Ordering::Relaxed);
        Ok(area)
    }

    /// The same, with `caches` in it.
    pub fn with_caches(shape: Shape, caches: &[Cache]) -> io::Result<Area> {
        let count = u32::try_from(caches.len()).map_err(io::Error::other)?;
        let words = caches.iter().map(cache::words).sum();
        let area = Area::shaped(Shape { caches: count, cache_words: words, ..shape })?;
        area.caches().format(caches);
        Ok(area)
    }

    /// The same, with the metrics that `monitor` declares.
    pub fn for_server(shape: Shape, caches: &[Cache], monitor: &Monitor) -> io::Result<Area> {
        let meters = u32::try_from(meters::counted(monitor).count()).map_err(io::Error::other)?;
        let area = Area::with_caches(Shape { meters, ..shape }, caches)?;
        area.meters().format(monitor);
        Ok(area)
    }

    /// What another program needs to map it again.
    pub fn hand_over(&self) -> Left {
        let file = Handed::of(&self.map);
        Left { file, layout: LAYOUT, slot_bytes: size_of::<WorkerSlot>(), shape: self.shape }
    }

    /// Maps the area of the program before.
    pub fn take_over(left: Left) -> io::Result<Area> {
        if !left.fits() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the shared area is laid out otherwise"));
        }
        let Left { file, shape, .. } = left;
        Ok(Area { map: SharedMap::again(file.take()?, shape.bytes())?, shape })
    }

    /// What it has room for.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Number of workers.
    pub fn workers(&self) -> u32 {
        self.shape.workers
    }

    /// Size in bytes.
    pub fn bytes(&self) -> usize {
        self.map.len()
    }

    /// All ledgers, if applications' own numbers are kept.
    pub fn ledgers(&self) -> io::Result<Option<SharedMap>> {
        let len = usize::try_from(u64::from(self.shape.ledgers()) * self.shape.ledger_bytes).unwrap_or(0);
        let map = || SharedMap::part(self.map.as_raw_fd(), self.shape.ledger(0), len);
        if len == 0 { Ok(None) } else { map().map(Some) }
    }

    /// Where ledger `index` begins in the file that this lies in, and its bytes.
    pub fn ledger(&self, index: u32) -> (RawFd, u64, u64) {
        (self.map.as_raw_fd(), self.shape.ledger(index), self.shape.ledger_bytes)
    }

    /// Which ledger the template of `generation` has; slot N has ledger N - 1.
    pub fn ledger_of_template(&self, generation: u32) -> u32 {
        self.shape.slots() + generation % 2
    }

    /// When the server started, seconds since the epoch.
    pub fn started_on(&self) -> u64 {
        self.instance().started_on.load(Ordering::Relaxed)
    }

    /// Connections that found the line in front of a TCP socket full, since the server started: of this server or of
    /// another one in the same network.
    pub fn overflows(&self) -> u64 {
        queue::overflows().saturating_sub(self.instance().overflows_before.load(Ordering::Relaxed))
    }

    /// Interpreter threads a worker can have here.
    pub fn cores(&self) -> u32 {
        self.shape.cores
    }

    /// How many slots there are.
    pub fn slot_count(&self) -> u32 {
        self.shape.slots()
    }

    /// Number of the slot that `seat` (from 1 to twice the number of workers) of `generation` (from 1) uses.
    pub fn slot_number(&self, seat: u32, generation: u32) -> u32 {
        seat + if generation.is_multiple_of(2) { 2 * self.shape.workers } else { 0 }
    }

    /// The number, as people count, of the worker on that seat, or in that slot.
    pub fn id_of(&self, number: u32) -> u32 {
        (number - 1) % self.shape.workers + 1
    }

    /// Whether nobody of `generation` has had the number of the worker on that seat before.
    pub fn is_first(&self, seat: u32, generation: u32) -> bool {
        let id = self.id_of(seat);
        let had = |seat| self.slot(self.slot_number(seat, generation)).generation() == generation;
        ![id, id + self.shape.workers].into_iter().any(had)
    }

    /// Number of the slot that process `pid` has.
    pub fn slot_with(&self, pid: u32) -> Option<u32> {
        (1..=self.slot_count()).find(|number| pid != 0 && self.slot(*number).process() == pid)
    }

    /// The slot of the same worker's other seat.
    pub fn partner(&self, number: u32) -> &WorkerSlot {
        let workers = self.shape.workers;
        let (generation, seat) = ((number - 1) / (2 * workers), (number - 1) % (2 * workers));
        self.slot(generation * 2 * workers + (seat + workers) % (2 * workers) + 1)
    }

    /// Slot `number`, from 1.
    pub fn slot(&self, number: u32) -> &WorkerSlot {
        self.cells(self.shape.slot(self.index(number)))
    }

    /// The counters of slot `number`.
    pub fn tally(&self, number: u32) -> &Tally {
        self.cells(self.shape.tally(self.index(number)))
    }

    /// What is kept of the requests of slot `number`.
    pub fn flights(&self, number: u32) -> &Flights {
        self.cells(self.shape.flights(self.index(number)))
    }

    /// *The master.* Process `pid`, which had slot `number`, is gone: keeps the request that its interpreter thread
    /// `thread` was in, unless that is told as failed already.
    pub fn keep_killed(&self, number: u32, thread: u32, pid: u32, now: Micros) {
        let Some(core) = self.core(number, thread) else { return };
        let (flights, busy) = (self.flights(number), core.busy());
        let new = |busy: &Busy| !self.shape.no_flights && !flights.has_failed(busy.arrived, thread);
        if let Some(busy) = busy.filter(new) {
            let mut flown = busy.flown(now, &core.bytes());
            if !self.shape.queries {
                flown.without_query();
            }
            let (core, why) = (Some(thread), Some(Failure::Killed));
            flights.keep_failed(&Flown { core, why, pid, ..flown });
        }
    }

    /// Interpreter threads of the worker in slot `number`.
    pub fn threads_of(&self, number: u32) -> u32 {
        u32::try_from(self.tally(number).threads.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    /// Interpreter thread `thread` (from 0) of slot `number`, if there is room for it.
    pub fn core(&self, number: u32, thread: u32) -> Option<&CoreSlot> {
        self.has_core(number, thread).then(|| self.cells(self.shape.core(number - 1, thread)))
    }

    /// The head of the request that interpreter thread works on, if heads are kept.
    pub fn head(&self, number: u32, thread: u32) -> Option<&Head> {
        (self.shape.heads && self.has_core(number, thread))
            .then(|| self.cells(self.shape.head(number - 1, thread)))
    }

    /// What slot `number` counts of application `app`, if there is room for it.
    pub fn app(&self, number: u32, app: u32) -> Option<&AppCount> {
        ((app as usize) < APPS_MAX).then(|| self.cells(self.shape.app(self.index(number), app)))
    }

    /// What is known of application `app` of `generation`, if there is room for it.
    pub fn card(&self, generation: u32, app: u32) -> Option<&AppCard> {
        ((app as usize) < APPS_MAX).then(|| self.cells(self.shape.card(generation, app)))
    }

    /// What is known of the applications of `generation`.
    pub fn cards_of(&self, generation: u32) -> impl Iterator<Item = &AppCard> {
        (0..).map_while(move |app| self.card(generation, app))
    }

    /// Daemon or cron job `index`, if there is room for it.
    pub fn job(&self, index: u32) -> Option<&JobSlot> {
        (index < self.shape.jobs).then(|| self.cells(self.shape.job(index)))
    }

    fn has_core(&self, number: u32, thread: u32) -> bool {
        thread < self.shape.cores && (1..=self.slot_count()).contains(&number)
    }

    fn index(&self, number: u32) -> u32 {
        let slots = self.slot_count();
        assert!((1..=slots).contains(&number), "no slot {number} for {} workers", self.shape.workers);
        number - 1
    }

    /// The interpreter threads of slot `number`, with their numbers.
    pub fn cores_of(&self, number: u32) -> impl Iterator<Item = (u32, &CoreSlot)> {
        (0..self.shape.cores).map_while(move |thread| Some((thread, self.core(number, thread)?)))
    }

    /// Every slot.
    pub fn slots(&self) -> impl Iterator<Item = &WorkerSlot> {
        (1..=self.slot_count()).map(|number| self.slot(number))
    }

    /// Worker `id`, as the generation that serves now has it.
    pub fn worker(&self, id: u32) -> &WorkerSlot {
        self.current(id).1
    }

    /// The same, with the number of its slot.
    pub fn current(&self, id: u32) -> (u32, &WorkerSlot) {
        let seats = self.seats(id, self.serving().max(1)).map(|number| (number, self.slot(number)));
        let best = seats.into_iter().find(|(_, slot)| slot.state() == State::Ready);
        best.or(seats.into_iter().find(|(_, slot)| slot.process() != 0)).unwrap_or(seats[0])
    }

    /// All slots that worker `id` may have: its two seats in either generation.
    pub fn numbers_of(&self, id: u32) -> [u32; 4] {
        let ([a, b], [c, d]) = (self.seats(id, 1), self.seats(id, 2));
        [a, b, c, d]
    }

    /// The slots of worker `id`'s two seats in `generation`.
    fn seats(&self, id: u32, generation: u32) -> [u32; 2] {
        [id, id + self.shape.workers].map(|seat| self.slot_number(seat, generation))
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
        let slots: &[WorkerSlot] = self.run(self.shape.slot(0), self.shape.slots() as usize);
        slots.iter().map(WorkerSlot::requests_total).sum()
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
        Locks::new(self.run(self.shape.lock(0), self.shape.locks as usize))
    }

    /// The application's signals, of `generation`.
    pub fn signals(&self, generation: u32) -> Signals<'_> {
        let mail = self.run(self.shape.mail(generation), self.shape.mailboxes());
        Signals { board: self.cells(self.shape.board(generation)), mail }
    }

    /// The application's metrics.
    pub fn meters(&self) -> Meters<'_> {
        Meters(self.run(self.shape.meter(0), self.shape.meters as usize))
    }

    /// The application's caches.
    pub fn caches(&self) -> Caches<'_> {
        let words = usize::try_from(self.shape.cache_words).unwrap_or(usize::MAX / 16);
        let locks = self.run(self.shape.lock(self.shape.locks), self.shape.caches as usize);
        Caches::new(self.run(self.shape.cache(), words), locks)
    }

    /// `count` words that begin at `offset`, one of `shape`'s.
    fn run<T: Cells>(&self, offset: usize, count: usize) -> &[T] {
        assert!(offset.is_multiple_of(align_of::<T>()), "nothing lies at {offset}");
        let first = self.at(offset, count * size_of::<T>()).cast::<T>();
        // SAFETY: the bytes are the map's (`at`), which starts on a page, so they are aligned by the assertion. They were
        // zeroed, which is valid, as is whatever a process wrote there since (`Cells`), and stay while `self` does.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), count) }
    }

    /// What belongs to no worker.
    pub fn instance(&self) -> &Instance {
        self.cells(0)
    }

    /// The cells that begin at `offset`, one of `shape`'s.
    fn cells<T: Cells>(&self, offset: usize) -> &T {
        assert!(offset.is_multiple_of(align_of::<T>()), "nothing lies at {offset}");
        let cells = self.at(offset, size_of::<T>()).cast::<T>();
        // SAFETY: the bytes are the map's (`at`), which starts on a page, so it is aligned by the assertion. They were
        // zeroed, which is valid, as is whatever a process wrote there since (`Cells`), and stay while `self` does.
        unsafe { cells.as_ref() }
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
    #[serde(default)]
    shape: Shape,
}

impl Left {
    /// Whether this program understands it.
    pub fn fits(&self) -> bool {
        self.layout == LAYOUT && self.slot_bytes == size_of::<WorkerSlot>()
    }
}

#[cfg(test)]
mod tests;
