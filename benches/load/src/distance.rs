//! How far two cores are from each other: the time in which a word goes to the other core and back.
//!
//! A virtual machine's processors move between real cores while it runs, and are now two halves of one core, now neighbours
//! with a cache in common, now strangers with none. Whatever client and server hand to each other costs up to twice as much
//! then, so figures are only worth comparing where this was the same.

use crate::args::DistancePlan;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use std::hint::spin_loop;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const TURNS: u32 = 1_000;
/// The least of so many counts: what else runs on a core can only make it longer.
const TRIES: u32 = 20;
/// The other core must stop.
const OVER: u32 = u32::MAX;

/// In a line of memory of its own (two, for processors that fetch pairs).
#[repr(align(128))]
struct Word(AtomicU32);

/// Prints one JSON line.
pub(crate) fn run(plan: &DistancePlan) -> io::Result<()> {
    let [here, there] = plan.cores;
    println!("{{\"mode\":\"distance\",\"ns\":{}}}", between(here, there)?.as_nanos());
    Ok(())
}

/// There and back.
fn between(here: usize, there: usize) -> io::Result<Duration> {
    let word = Word(AtomicU32::new(0));
    std::thread::scope(|scope| {
        // A new thread stays where the one was that made it.
        stay_on(there)?;
        scope.spawn(|| answer(&word.0));
        let least = stay_on(here).map(|()| (0..TRIES).map(|_| ask(&word.0)).min().unwrap_or_default());
        word.0.store(OVER, Ordering::Relaxed);
        Ok(least? / TURNS)
    })
}

fn stay_on(core: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    let placed = only.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only));
    placed.map_err(|errno| io::Error::other(format!("cannot run on core {core}: {errno}")))
}

/// Each 1 becomes a 0.
fn answer(word: &AtomicU32) {
    loop {
        match word.load(Ordering::Acquire) {
            1 => word.store(0, Ordering::Release),
            OVER => return,
            _ => spin_loop(),
        }
    }
}

fn ask(word: &AtomicU32) -> Duration {
    let start = Instant::now();
    for _ in 0..TURNS {
        word.store(1, Ordering::Release);
        while word.load(Ordering::Acquire) == 1 {
            spin_loop();
        }
    }
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_takes_its_time() {
        let ours = nix::sched::sched_getaffinity(Pid::from_raw(0)).expect("known");
        let cores: Vec<usize> =
            (0..CpuSet::count()).filter(|core| ours.is_set(*core).unwrap_or(false)).collect();
        let (Some(first), Some(last)) = (cores.first(), cores.last()) else { panic!("no core") };
        if first != last {
            // Affinity is a thread's own.
            let taken = std::thread::scope(|scope| scope.spawn(|| between(*first, *last)).join());
            let taken = taken.expect("no panic").expect("measured");
            assert!(taken > Duration::ZERO, "{taken:?}");
        }
    }

    #[test]
    fn a_core_that_is_not_there_is_an_error() {
        let nowhere = CpuSet::count() - 1;
        let result = std::thread::scope(|scope| scope.spawn(|| between(0, nowhere)).join());
        result.expect("no panic").expect_err("there are fewer cores");
        let result = std::thread::scope(|scope| scope.spawn(|| between(nowhere, 0)).join());
        result.expect("no panic").expect_err("nobody is left who waits");
    }
}
