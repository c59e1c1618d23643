//! The acceptance tests that take minutes, in full: what CI runs in short, with the durations and counts that were asked
//! for. `cargo test --test it long:: -- --ignored --test-threads 1 --nocapture`; each tells its figures.

use std::time::Duration;

use crate::recycle::{Deaths, Recycling, memory_runs_out, workers_are_killed, workers_are_replaced};
use crate::support::{Packet, Served, note};
use crate::{agents, even, imports, stacks, versions};

/// For people.
fn tell(what: &str, served: &Served) {
    note(&format!("{what}: {}", served.summary()));
}

#[test]
#[ignore = "two minutes: P5"]
fn a_slow_import_of_20_seconds() {
    tell("3 reloads", &imports::reloads_of_a_slow_import(20, 3, Duration::from_secs(120)));
}

#[test]
#[ignore = "two minutes: P8"]
fn stacks_a_thousand_times_on_each_python() {
    let mut pythons = vec!["python = python3".to_owned()];
    let others = versions::interpreters(&["3.9.", "3.10.", "3.11.", "3.12.", "3.13.", "3.14.", "3.15."]);
    pythons.extend(others.iter().map(|python| format!("python = {}", python.display())));
    std::thread::scope(|scope| {
        for python in &pythons {
            scope.spawn(|| stacks::stacks_are_told(python, 1000, Duration::from_millis(100)));
        }
    });
    note(&format!("1000 times each: {pythons:?}"));
}

/// One every two seconds for five minutes.
const DEATHS: usize = 150;
const BETWEEN: Duration = Duration::from_secs(2);

#[test]
#[ignore = "ten minutes: P9"]
fn workers_are_killed_for_five_minutes() {
    for lazy in [false, true] {
        let lines = format!("lazy-apps = {lazy}");
        let served = workers_are_killed(&Deaths { lines, times: DEATHS, pause: BETWEEN });
        tell(&format!("{DEATHS} deaths, lazy-apps = {lazy}"), &served);
    }
}

#[test]
#[ignore = "five minutes: P9"]
fn memory_runs_out_for_five_minutes() {
    if let Some(served) = memory_runs_out(DEATHS, BETWEEN) {
        tell(&format!("{DEATHS} deaths for lack of memory"), &served);
    }
}

#[test]
#[ignore = "some minutes: P10"]
fn agents_report_10_000_requests_over_20_recycles() {
    agents::all_arrive("harakiri = 2", 10_000, 20);
    agents::all_arrive("harakiri = 2\nlazy-apps = true\nthreads = 2", 10_000, 20);
}

/// 16 workers of which each can serve 20 requests a second, at 80 % of that.
fn sixteen(lines: &str, times: usize) -> Recycling {
    let packet = Packet::get("/rest/50");
    Recycling { workers: 16, lines: lines.to_owned(), times, rate: 256, packet }
}

#[test]
#[ignore = "three minutes: P20"]
fn sixteen_workers_are_replaced_after_1000_requests() {
    tell("32 replaced", &workers_are_replaced(&sixteen("max-requests = 1000", 32)));
}

#[test]
#[ignore = "three minutes: P20"]
fn sixteen_workers_are_replaced_after_a_minute() {
    tell("32 replaced", &workers_are_replaced(&sixteen("max-worker-lifetime = 60", 32)));
}

#[test]
#[ignore = "four minutes: P22"]
fn work_is_even_for_a_minute_on_both_engines() {
    for engine in ["io_uring", "epoll"] {
        // With time to spare, and with none.
        for pause_ms in [200, 0] {
            let pause = Duration::from_millis(pause_ms);
            let shared = even::kept_and_short(engine, pause, Duration::from_secs(60));
            note(&format!("{engine}, {pause:?} between: {:.2} of {shared:?}", shared.ratio()));
            assert!(shared.ratio() <= 1.3, "{engine}: {shared:?}");
            let most = shared.connections.values().max().expect("some");
            assert!(*most <= 12, "{most} of 64 connections in one of 8 workers");
        }
    }
}

#[test]
#[ignore = "some minutes: P28"]
fn a_file_of_5000_is_broken_and_mended_50_times() {
    let mended = imports::files_are_broken_and_mended(50, 5_000);
    // A release costs a third of it: `cargo test --release`, after `cargo build --release --workspace`.
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    note(&format!("{build}: mended within {:.1?}, idle {:.2} ‰", mended.slowest, mended.idle_permille));
    assert!(mended.idle_permille < 5.0, "{} ‰ of a processor", mended.idle_permille);
}
