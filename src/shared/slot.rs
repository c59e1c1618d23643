//! One worker's line in the shared area. Each counter has a single writer, its worker; each command too, the master.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::base::clock::{self, Millis};
use crate::sys::signals::Command;

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

/// Why a worker asks to be replaced.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Tired {
    /// `max-requests`, `max-worker-lifetime`, `reload-on-…`: when it is convenient.
    Recycle = 1,
    /// Threads are lost in requests that do not end (`harakiri`): soon.
    Stuck = 2,
    /// `evil-reload-on-…`: at once, whatever it is doing.
    Evil = 3,
}

impl Tired {
    fn from_word(word: u32) -> Option<Tired> {
        [Tired::Recycle, Tired::Stuck, Tired::Evil].into_iter().find(|why| *why as u32 == word)
    }
}

/// In the word for what somebody wants to see.
const DUMP_LOG: u32 = 1;
const DUMP_STACKS: u32 = 2;
/// In the place of the time when it stopped.
const ACCEPTING: u64 = u64::MAX;

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
    /// Requests that took longer than they may (`harakiri`).
    pub harakiris: AtomicU64,
    /// When it was forked, seconds since the epoch.
    pub last_spawn: AtomicU64,
    /// How often it was forked.
    pub spawns: AtomicU64,
    /// Requests in hand, see [`WorkerSlot::in_hand`].
    pub in_flight: AtomicU32,
    /// When it stopped accepting connections, milliseconds; [`ACCEPTING`] while it does.
    accepting: AtomicU64,
    pid: AtomicU32,
    generation: AtomicU32,
    command: AtomicU32,
    state: AtomicU32,
    tired: AtomicU32,
    dump: AtomicU32,
    /// Connections open.
    connections: AtomicU32,
    poked: AtomicU32,
    answered: AtomicU32,
    /// See [`WorkerSlot::taken_in`]: a period, and a number.
    taken: AtomicU64,
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

    /// Somebody wants to see in the log what it does. It looks once its bell was rung.
    pub fn want_dump(&self) {
        self.dump.fetch_or(DUMP_LOG, Ordering::AcqRel);
    }

    /// *The master.* Wants the stacks of its threads. It looks once its bell was rung.
    pub fn want_stacks(&self) {
        self.dump.fetch_or(DUMP_STACKS, Ordering::AcqRel);
    }

    /// *Its worker.* Whether somebody wants it in the log, and whether the master wants its stacks.
    pub fn take_dump(&self) -> (bool, bool) {
        let wanted = self.dump.swap(0, Ordering::AcqRel);
        (wanted & DUMP_LOG != 0, wanted & DUMP_STACKS != 0)
    }

    /// *The master.* Asks for a sign of life: [`WorkerSlot::is_silent`] until the ring thread gave it. It looks once
    /// its bell was rung.
    pub fn poke(&self) {
        self.poked.store(self.poked.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// *Its ring thread.* Gives the sign.
    pub fn answer_poke(&self) {
        self.answered.store(self.poked.load(Ordering::Acquire), Ordering::Release);
    }

    /// Whether the last poke has not been answered.
    pub fn is_silent(&self) -> bool {
        self.answered.load(Ordering::Acquire) != self.poked.load(Ordering::Relaxed)
    }

    /// *Its worker.* Says how many connections it holds.
    pub fn set_connections(&self, connections: usize) {
        self.connections.store(u32::try_from(connections).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    /// How many connections it holds.
    pub fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }

    /// *Its worker.* Says whether it has room for connections, from now on.
    pub fn set_accepting(&self, accepting: bool, now: Millis) {
        self.accepting.store(if accepting { ACCEPTING } else { now.0 }, Ordering::Relaxed);
    }

    /// Whether it has.
    pub fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Relaxed) == ACCEPTING
    }

    /// Whether it has, or had less than so many milliseconds ago.
    pub fn accepted_within(&self, ms: u64, now: Millis) -> bool {
        now.since(Millis(self.accepting.load(Ordering::Relaxed))) < ms
    }

    /// *Its worker.* It has taken a connection in `period`, a number that grows with time.
    pub fn take_one(&self, period: u32) {
        let taken = u64::from(self.taken_in(period)) + 1;
        self.taken.store(u64::from(period) << 32 | taken, Ordering::Relaxed);
    }

    /// How many it has taken in `period`.
    pub fn taken_in(&self, period: u32) -> u32 {
        let word = self.taken.load(Ordering::Relaxed);
        let same = word >> 32 == u64::from(period);
        if same { u32::try_from(word & 0xffff_ffff).expect("32 bits") } else { 0 }
    }

    /// *Its worker.* Asks to be replaced. The master looks once its bell was rung.
    pub fn tire(&self, why: Tired) {
        self.tired.fetch_max(why as u32, Ordering::AcqRel);
    }

    /// Why it asks to be replaced, if it does.
    pub fn tired(&self) -> Option<Tired> {
        Tired::from_word(self.tired.load(Ordering::Acquire))
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
        self.tired.store(0, Ordering::Relaxed);
        self.in_flight.store(0, Ordering::Relaxed);
        self.accepting.store(0, Ordering::Relaxed);
        self.connections.store(0, Ordering::Relaxed);
        self.poked.store(0, Ordering::Relaxed);
        self.answered.store(0, Ordering::Relaxed);
        self.taken.store(0, Ordering::Relaxed);
    }

    /// Taken by the freshly forked worker.
    pub fn occupy(&self, generation: u32) {
        self.generation.store(generation, Ordering::Relaxed);
        self.last_spawn.store(clock::wall_seconds(), Ordering::Relaxed);
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
