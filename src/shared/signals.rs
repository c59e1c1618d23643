//! Signals of the application (`uwsgi.register_signal`): who is to handle which, what raises them, and those that wait.
//!
//! There is a board for each of two generations, with the targets and the causes, and a mailbox for each worker, with one
//! more for whoever comes first. A sender counts a signal up in a mailbox and rings; who handles it counts it down
//! before. So each is handled once, and one in a mailbox outlives its worker. What a dying process was about to handle
//! is lost with it, as under uWSGI.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

use super::area::{Area, State};
use super::words;
use crate::options::jobs::Cause;
use crate::sys::futex;

/// How many there are.
const SIGNALS: usize = 256;
/// Timers, cron times and files of one generation; uWSGI has room for 64 of each.
const ROWS: usize = 192;
/// Words of a path.
const PATH_WORDS: usize = 64;
/// The longest path that can be watched, bytes.
pub const PATH_BYTES_MAX: usize = PATH_WORDS * 8;
/// Of one signal, so many may wait in a mailbox.
const WAITING_MAX: u32 = 1024;

/// Who is to handle a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The first worker that has a thread for it.
    Any,
    /// All workers.
    All,
    /// All that serve.
    Active,
    /// This one.
    Worker(u32),
}

impl Target {
    /// As `uwsgi.register_signal` has it. `None`: nobody here has that name.
    pub fn parse(text: &[u8], workers: u32) -> Option<Target> {
        match text {
            b"" | b"worker" | b"worker0" => Some(Target::Any),
            b"workers" => Some(Target::All),
            b"active-workers" => Some(Target::Active),
            _ => {
                let number = std::str::from_utf8(text.strip_prefix(b"worker")?).ok()?.parse().ok()?;
                (1..=workers).contains(&number).then_some(Target::Worker(number))
            }
        }
    }

    fn word(self) -> u32 {
        match self {
            Target::Any => 1,
            Target::All => 2,
            Target::Active => 3,
            Target::Worker(number) => 3 + number,
        }
    }

    fn of_word(word: u32) -> Option<Target> {
        match word {
            0 => None,
            1 => Some(Target::Any),
            2 => Some(Target::All),
            3 => Some(Target::Active),
            more => Some(Target::Worker(more - 3)),
        }
    }
}

const FREE: u32 = 0;
const WRITTEN: u32 = 1;
const EVERY: u32 = 2;
const CRON: u32 = 3;
const FILE: u32 = 4;

/// A cause and its signal. Written once by whoever registers it; `due` is the master's.
#[repr(C)]
#[derive(Debug)]
pub struct Row {
    kind: AtomicU32,
    signal: AtomicU32,
    numbers: [AtomicI64; 5],
    /// Times it was raised.
    raised: AtomicU64,
    due: AtomicU64,
    path_len: AtomicU32,
    path: [AtomicU64; PATH_WORDS],
}

impl Row {
    /// The signal and what raises it.
    pub fn get(&self) -> Option<(u8, Cause)> {
        let kind = self.kind.load(Ordering::Acquire);
        let number = |n: usize| self.numbers[n].load(Ordering::Relaxed);
        let cause = match kind {
            EVERY => Cause::Every { ms: number(0).cast_unsigned(), times: number(1).cast_unsigned() },
            CRON => Cause::Cron([0, 1, 2, 3, 4].map(|n| i32::try_from(number(n)).unwrap_or(-1))),
            FILE => {
                let len = self.path_len.load(Ordering::Relaxed) as usize;
                Cause::File(OsStr::from_bytes(&words::read(&self.path, len)).into())
            }
            _ => return None,
        };
        Some((u8::try_from(self.signal.load(Ordering::Relaxed)).unwrap_or(0), cause))
    }

    /// *The master.* What it has noted there; 0: nothing yet.
    pub fn due(&self) -> u64 {
        self.due.load(Ordering::Relaxed)
    }

    /// *The master.* Notes when the signal is due, or was raised.
    pub fn set_due(&self, due: u64) {
        self.due.store(due, Ordering::Relaxed);
    }

    /// *The master.* It was raised once more: how often by now.
    pub fn count(&self) -> u64 {
        super::area::bump(&self.raised, 1)
    }

    /// *The master.* It is over.
    pub fn free(&self) {
        self.kind.store(FREE, Ordering::Release);
    }

    fn write(&self, signal: u8, cause: &Cause) {
        let (kind, numbers): (u32, [i64; 5]) = match cause {
            Cause::Every { ms, times } => (EVERY, [ms.cast_signed(), times.cast_signed(), 0, 0, 0]),
            Cause::Cron(parts) => (CRON, parts.map(i64::from)),
            Cause::File(path) => {
                let bytes = path.as_os_str().as_bytes();
                words::write(&self.path, bytes);
                self.path_len.store(u32::try_from(bytes.len()).unwrap_or(0), Ordering::Relaxed);
                (FILE, [0; 5])
            }
        };
        for (cell, number) in self.numbers.iter().zip(numbers) {
            cell.store(number, Ordering::Relaxed);
        }
        self.raised.store(0, Ordering::Relaxed);
        self.due.store(0, Ordering::Relaxed);
        self.signal.store(signal.into(), Ordering::Relaxed);
        self.kind.store(kind, Ordering::Release);
    }
}

/// What a generation has registered.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Board {
    generation: AtomicU32,
    /// Changes with every signal that is sent: those that wait for one sleep on it.
    sent: AtomicU32,
    /// Rows beyond have never been used.
    rows_used: AtomicU32,
    targets: [AtomicU32; SIGNALS],
    rows: [Row; ROWS],
}

/// Signals that wait for a worker.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Mailbox {
    waiting: [AtomicU32; SIGNALS],
    handled: AtomicU64,
}

impl Mailbox {
    fn put(&self, signal: u8) -> bool {
        let more = |n: u32| (n < WAITING_MAX).then_some(n + 1);
        self.cell(signal).fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
    }

    fn take(&self, signal: u8) -> bool {
        let less = |n: u32| n.checked_sub(1);
        self.cell(signal).fetch_update(Ordering::AcqRel, Ordering::Relaxed, less).is_ok()
    }

    fn cell(&self, signal: u8) -> &AtomicU32 {
        &self.waiting[usize::from(signal)]
    }
}

/// Why a cause was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room.
    Full,
    /// A path of more than [`PATH_BYTES_MAX`] bytes.
    TooLong,
}

/// Those of one generation.
#[derive(Clone, Copy, Debug)]
pub struct Signals<'a> {
    pub(super) board: &'a Board,
    /// Whoever comes first, then worker 1 and so on.
    pub(super) mail: &'a [Mailbox],
}

impl<'a> Signals<'a> {
    /// *The template.* What the generation before the last has left is forgotten; its own, where it is only started
    /// again, stays.
    pub fn begin(&self, generation: u32) {
        if self.board.generation.load(Ordering::Acquire) == generation {
            return;
        }
        self.board.rows.iter().for_each(Row::free);
        self.board.rows_used.store(0, Ordering::Relaxed);
        let mail = self.mail.iter();
        mail.clone().for_each(|mailbox| mailbox.handled.store(0, Ordering::Relaxed));
        let waiting = mail.flat_map(|mailbox| &mailbox.waiting);
        waiting.chain(&self.board.targets).for_each(|cell| cell.store(0, Ordering::Relaxed));
        self.board.generation.store(generation, Ordering::Release);
    }

    /// From now on `target` is to handle it.
    pub fn register(&self, signal: u8, target: Target) {
        self.board.targets[usize::from(signal)].store(target.word(), Ordering::Release);
    }

    /// Who is to.
    pub fn target(&self, signal: u8) -> Option<Target> {
        Target::of_word(self.board.targets[usize::from(signal)].load(Ordering::Acquire))
    }

    /// Registers what raises it, unless the same is there: with `lazy-apps` each worker says it anew.
    pub fn add(&self, signal: u8, cause: &Cause) -> Result<(), Refused> {
        if matches!(cause, Cause::File(path) if path.as_os_str().len() > PATH_BYTES_MAX) {
            return Err(Refused::TooLong);
        }
        if self.rows().any(|row| row.get().is_some_and(|(other, known)| other == signal && known == *cause)) {
            return Ok(());
        }
        for (index, row) in self.board.rows.iter().enumerate() {
            if row.kind.compare_exchange(FREE, WRITTEN, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                row.write(signal, cause);
                let used = u32::try_from(index).unwrap_or(0) + 1;
                self.board.rows_used.fetch_max(used, Ordering::AcqRel);
                return Ok(());
            }
        }
        Err(Refused::Full)
    }

    /// All rows that may be in use.
    pub fn rows(&self) -> impl Iterator<Item = &'a Row> + use<'a> {
        self.board.rows.iter().take(self.board.rows_used.load(Ordering::Acquire) as usize)
    }

    /// The files under watch.
    pub fn files(&self) -> Vec<(PathBuf, u8)> {
        let file = |row: &Row| match row.get()? {
            (signal, Cause::File(path)) => Some((Path::to_owned(&path), signal)),
            _ => None,
        };
        self.rows().filter_map(file).collect()
    }

    /// *Worker `id`.* Takes the next one it is to handle, those behind `last` first.
    pub fn claim(&self, id: u32, last: u8) -> Option<u8> {
        let order = || (1..=256_u32).map(|n| (u32::from(last) + n) as u8);
        self.mailboxes(id).find_map(|mailbox| order().find(|signal| mailbox.take(*signal)))
    }

    /// *Worker `id`.* Takes this one, if it waits.
    pub fn claim_one(&self, id: u32, signal: u8) -> bool {
        self.mailboxes(id).any(|mailbox| mailbox.take(signal))
    }

    /// *Worker `id`.* Whether one waits for it.
    pub fn waits(&self, id: u32) -> bool {
        let mut cells = self.mailboxes(id).flat_map(|mailbox| &mailbox.waiting);
        cells.any(|cell| cell.load(Ordering::Acquire) != 0)
    }

    /// How many wait for worker `id` alone; 0: for whoever comes first.
    pub fn queued(&self, id: u32) -> u32 {
        self.mail[id as usize].waiting.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }

    /// *Worker `id`.* It has handled one.
    pub fn count_handled(&self, id: u32) {
        self.mail[id as usize].handled.fetch_add(1, Ordering::Relaxed);
    }

    /// How many it has handled.
    pub fn handled(&self, id: u32) -> u64 {
        self.mail[id as usize].handled.load(Ordering::Relaxed)
    }

    /// The word that changes when one is sent, for [`Signals::sleep`].
    pub fn sent(&self) -> u32 {
        self.board.sent.load(Ordering::Acquire)
    }

    /// Sleeps until one is sent after `seen`.
    pub fn sleep(&self, seen: u32) {
        futex::wait_shared(&self.board.sent, seen);
    }

    fn mailboxes(&self, id: u32) -> impl Iterator<Item = &'a Mailbox> + Clone + use<'a> {
        [&self.mail[id as usize], &self.mail[0]].into_iter()
    }
}

impl Area {
    /// Sends a signal to whom `generation` has registered for it, or to anybody. Result: the slots whose bells are to be
    /// rung, and whether it went to all it was for.
    pub fn send_signal(&self, generation: u32, signal: u8) -> (Vec<u32>, bool) {
        let signals = self.signals(generation);
        let target = signals.target(signal).unwrap_or(Target::Any);
        let ids: Vec<u32> = match target {
            Target::Any => vec![0],
            Target::Worker(id) => vec![id],
            Target::All => (1..=self.workers()).collect(),
            Target::Active => self.serving_slots(generation).map(|number| self.id_of(number)).collect(),
        };
        let full = ids.into_iter().filter(|id| !signals.mail[*id as usize].put(signal)).count();
        signals.board.sent.fetch_add(1, Ordering::AcqRel);
        futex::wake_shared(&signals.board.sent, u32::from(u16::MAX));
        let serving = self.serving();
        if serving > generation {
            // Its workers finish what is in hand: it is for those that came instead.
            return (self.forward_signals(generation, serving), full == 0);
        }
        // Who begins to serve looks into its mailbox afterwards: one of the two sees the other.
        fence(Ordering::SeqCst);
        let is_for = |number: &u32| !matches!(target, Target::Worker(id) if self.id_of(*number) != id);
        (self.serving_slots(generation).filter(is_for).collect(), full == 0)
    }

    /// What waits for workers of the generation `from` is for those of `to` now, as far as they have handlers. Result: the
    /// slots whose bells are to be rung.
    pub fn forward_signals(&self, from: u32, to: u32) -> Vec<u32> {
        let (old, new) = (self.signals(from), self.signals(to));
        if from % 2 == to % 2 {
            return Vec::new();
        }
        for (old, mailbox) in old.mail.iter().zip(new.mail) {
            for signal in (0..=255).filter(|signal| new.target(*signal).is_some()) {
                let waiting = old.cell(signal).swap(0, Ordering::AcqRel);
                // Beyond the bound they are lost.
                let _ = (0..waiting).take_while(|_| mailbox.put(signal)).count();
            }
        }
        fence(Ordering::SeqCst);
        self.serving_slots(to).collect()
    }

    /// Slots of the workers of `generation` that serve.
    pub fn serving_slots(&self, generation: u32) -> impl Iterator<Item = u32> + '_ {
        (1..=self.slot_count()).filter(move |number| {
            let slot = self.slot(*number);
            slot.generation() == generation && slot.process() != 0 && slot.state() == State::Ready
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_uwsgi_has_them() {
        for (text, target) in [
            ("", Some(Target::Any)),
            ("worker", Some(Target::Any)),
            ("worker0", Some(Target::Any)),
            ("workers", Some(Target::All)),
            ("active-workers", Some(Target::Active)),
            ("worker2", Some(Target::Worker(2))),
            ("worker3", None),
            ("workerx", None),
            ("mules", None),
        ] {
            assert_eq!(Target::parse(text.as_bytes(), 2), target, "{text}");
            assert_eq!(target.and_then(|target| Target::of_word(target.word())), target);
        }
    }

    #[test]
    fn each_is_taken_once_by_whom_it_is_for() {
        let area = Area::new(2, 1, 0).expect("mapped");
        let signals = area.signals(1);
        signals.begin(1);
        signals.register(5, Target::Any);
        signals.register(6, Target::All);
        signals.register(7, Target::Worker(2));
        signals.register(8, Target::Active);
        area.slot(1).occupy(1);
        area.slot(1).set_state(State::Ready);
        for signal in [5, 6, 7, 8, 9] {
            let ring = if signal == 7 { vec![] } else { vec![1] };
            assert_eq!(area.send_signal(1, signal), (ring, true), "{signal}");
        }
        let all = |id| {
            std::iter::successors(signals.claim(id, 0), |last| signals.claim(id, *last)).collect::<Vec<u8>>()
        };
        assert!(signals.waits(1) && signals.waits(2));
        assert_eq!((all(1), all(2)), (vec![6, 8, 9, 5], vec![6, 7]));
        assert!(!signals.waits(1) && !signals.waits(2) && !signals.claim_one(1, 5));
        let sent = (0..=WAITING_MAX).filter(|_| area.send_signal(1, 5).1).count();
        assert_eq!(sent, WAITING_MAX as usize, "a bound on what waits");
        signals.begin(1);
        assert!(signals.waits(1), "the same generation, started again");
        signals.begin(3);
        assert_eq!((signals.waits(1), signals.target(5)), (false, None));
    }

    #[test]
    fn what_waits_at_a_reload_is_handled_by_those_that_come() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let (old, new) = (area.signals(1), area.signals(2));
        old.begin(1);
        new.begin(2);
        new.register(5, Target::Any);
        for signal in [5, 6] {
            area.send_signal(1, signal);
        }
        area.set_serving(2);
        assert_eq!(area.forward_signals(1, 2), [] as [u32; 0]);
        assert_eq!((new.claim(1, 0), new.claim(1, 0)), (Some(5), None), "nobody knows the other one");
        area.send_signal(1, 5);
        assert_eq!(new.claim(1, 0), Some(5), "of an old worker that still works");
    }

    #[test]
    fn a_cause_is_kept_once() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let signals = area.signals(1);
        signals.begin(1);
        let path: PathBuf = "/tmp/file".into();
        let causes = [
            Cause::Every { ms: 1_000, times: 0 },
            Cause::Cron([-1, -5, 3, -1, 7]),
            Cause::File(path.clone()),
        ];
        for _ in 0..2 {
            causes.iter().for_each(|cause| signals.add(4, cause).expect("room"));
        }
        let seen: Vec<(u8, Cause)> = signals.rows().filter_map(Row::get).collect();
        assert_eq!(seen, causes.clone().map(|cause| (4, cause)));
        assert_eq!(signals.files(), [(path, 4)]);
        assert_eq!(
            signals.add(4, &Cause::File("x".repeat(PATH_BYTES_MAX + 1).into())),
            Err(Refused::TooLong)
        );
        let added =
            (1..).take_while(|ms| signals.add(4, &Cause::Every { ms: *ms, times: 0 }).is_ok()).count();
        assert_eq!(added, ROWS - causes.len() + 1 - 1, "1000 is there already");
        signals.rows().next().expect("a row").free();
        assert_eq!(signals.add(9, &causes[0]), Ok(()));
    }
}
