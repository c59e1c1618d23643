//! How many of everything the shared area has room for, and where each lies.

use serde::{Deserialize, Serialize};

use super::core::CoreSlot;
use super::flight::Flights;
use super::instance::Instance;
use super::meters::Meter;
use super::seen::{APPS_MAX, AppCard, AppCount, Head, JobSlot};
use super::signals::{Board, Mailbox};
use super::slot::WorkerSlot;
use super::tally::Tally;

/// The greatest page of the systems we run on.
const PAGE_BYTES_MAX: u64 = 64 * 1024;

/// See the module's page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Workers.
    pub workers: u32,
    /// Interpreter threads each can have.
    pub cores: u32,
    /// User locks.
    pub locks: u32,
    /// Caches (`cache2`), each with a lock.
    pub caches: u32,
    /// Words that these take together.
    pub cache_words: u64,
    /// The application's metrics.
    #[serde(default)]
    pub meters: u32,
    /// Daemons and cron jobs.
    pub jobs: u32,
    /// The heads of running requests are kept.
    pub heads: bool,
    /// `disable-recorder`: slow and failed requests are not kept.
    #[serde(default)]
    pub no_flights: bool,
    /// `recorder-query`: queries are kept, and shown.
    #[serde(default)]
    pub queries: bool,
    /// Bytes of a ledger of the application's own numbers (series.rs), 0: there are none. They lie behind the map, and
    /// whoever needs one maps it.
    #[serde(default)]
    pub ledger_bytes: u64,
}

impl Shape {
    /// Slots: two seats a worker, in two generations.
    pub fn slots(&self) -> u32 {
        4 * self.workers
    }

    /// The whole.
    pub(super) fn bytes(&self) -> usize {
        self.cache() + usize::try_from(self.cache_words).unwrap_or(usize::MAX / 16) * size_of::<u64>()
    }

    /// Where ledger `index` begins in the file: one for each slot, then one for each of two templates.
    pub(super) fn ledger(&self, index: u32) -> u64 {
        (self.bytes() as u64).next_multiple_of(PAGE_BYTES_MAX) + u64::from(index) * self.ledger_bytes
    }

    /// What the file has beyond the map.
    pub(super) fn room(&self) -> u64 {
        if self.ledger_bytes == 0 { 0 } else { self.ledger(self.ledgers()) - self.bytes() as u64 }
    }

    /// How many there are.
    pub(super) fn ledgers(&self) -> u32 {
        self.slots() + 2
    }

    /// Where slot number `index` begins, from 0; so for the others.
    pub(super) fn slot(&self, index: u32) -> usize {
        size_of::<Instance>() + index as usize * size_of::<WorkerSlot>()
    }

    pub(super) fn core(&self, slot: u32, thread: u32) -> usize {
        self.slot(self.slots()) + self.thread(slot, thread) * size_of::<CoreSlot>()
    }

    pub(super) fn tally(&self, slot: u32) -> usize {
        self.core(self.slots(), 0) + slot as usize * size_of::<Tally>()
    }

    pub(super) fn app(&self, slot: u32, app: u32) -> usize {
        self.tally(self.slots()) + (slot as usize * APPS_MAX + app as usize) * size_of::<AppCount>()
    }

    pub(super) fn card(&self, generation: u32, app: u32) -> usize {
        let index = generation as usize % 2 * APPS_MAX + app as usize;
        self.app(self.slots(), 0) + index * size_of::<AppCard>()
    }

    pub(super) fn job(&self, index: u32) -> usize {
        self.app(self.slots(), 0)
            + 2 * APPS_MAX * size_of::<AppCard>()
            + index as usize * size_of::<JobSlot>()
    }

    pub(super) fn flights(&self, slot: u32) -> usize {
        self.job(self.jobs) + slot as usize * size_of::<Flights>()
    }

    pub(super) fn head(&self, slot: u32, thread: u32) -> usize {
        self.flights(self.slots()) + self.thread(slot, thread) * size_of::<Head>()
    }

    /// Where the signals of `generation` begin; behind the boards the mailboxes, one more than workers for each.
    pub(super) fn board(&self, generation: u32) -> usize {
        self.head(if self.heads { self.slots() } else { 0 }, 0) + generation as usize % 2 * size_of::<Board>()
    }

    pub(super) fn mail(&self, generation: u32) -> usize {
        let each = self.mailboxes() * size_of::<Mailbox>();
        self.board(0) + 2 * size_of::<Board>() + generation as usize % 2 * each
    }

    pub(super) fn mailboxes(&self) -> usize {
        self.workers as usize + 1
    }

    pub(super) fn meter(&self, index: u32) -> usize {
        self.mail(1) + self.mailboxes() * size_of::<Mailbox>() + index as usize * size_of::<Meter>()
    }

    pub(super) fn lock(&self, index: u32) -> usize {
        self.meter(self.meters) + index as usize * size_of::<u32>()
    }

    /// Where the words of the caches begin, behind all locks.
    pub(super) fn cache(&self) -> usize {
        self.lock(self.locks + self.caches).next_multiple_of(64)
    }

    fn thread(&self, slot: u32, thread: u32) -> usize {
        slot as usize * self.cores as usize + thread as usize
    }
}
