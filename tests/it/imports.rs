//! Reloads of an application that takes its time to import, under a steady rate of requests: none fails and none waits for
//! the import (P5); files that change while one develops (P28).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Packet, Server, note, uwring_only};

/// What came of requests at a steady rate.
#[derive(Default)]
struct Served {
    requests: usize,
    failed: usize,
    slowest: Duration,
}

/// `clients` of them, each asking every `clients / rate` seconds until told to stop.
fn at_rate(server: &Server, rate: u32, clients: u32, stop: &Arc<AtomicBool>) -> Served {
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (socket, stop) = (server.socket(), Arc::clone(stop));
            std::thread::spawn(move || {
                let (mut served, mut next) = (Served::default(), Instant::now());
                while !stop.load(Ordering::Relaxed) {
                    // The rate is the point; nothing happens that could be waited for.
                    std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
                    let due = next;
                    next += Duration::from_secs(1) * clients / rate;
                    let mut client = socket.connect();
                    client.send(Packet::get("/").bytes());
                    let answer = client.rest_or_reset();
                    served.requests += 1;
                    served.failed += usize::from(!String::from_utf8_lossy(&answer).contains(" 200 "));
                    served.slowest = served.slowest.max(due.elapsed());
                }
                served
            })
        })
        .collect();
    threads.into_iter().fold(Served::default(), |all, thread| {
        let one = thread.join().expect("a client");
        Served {
            requests: all.requests + one.requests,
            failed: all.failed + one.failed,
            slowest: all.slowest.max(one.slowest),
        }
    })
}

fn reloads_of_a_slow_import(import_s: u64, reloads: u32) -> Served {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let code = format!(
        "import time\ntime.sleep({import_s})\n\
         def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'served']\n"
    );
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\ntouch-reload = {dir}/touched\nmaster-fifo = {dir}/fifo")
        .ini("disable-logging = true")
        .processes(2)
        .start();
    let stop = Arc::new(AtomicBool::new(false));
    let served = std::thread::scope(|scope| {
        let load = scope.spawn(|| at_rate(&server, 200, 20, &stop));
        for round in 0..reloads {
            match round % 3 {
                0 => server.signal(Signal::SIGHUP),
                1 => std::fs::write(server.path("touched"), "").expect("touch"),
                _ => std::fs::write(server.path("fifo"), "r").expect("the fifo"),
            }
            let serves = format!("generation {} serves", round + 2);
            server.log().wait_for(&serves);
        }
        stop.store(true, Ordering::Relaxed);
        load.join().expect("the load")
    });
    assert_eq!(server.stop().code(), Some(0));
    served
}

/// `UWRING_IMPORT_SECONDS=20 cargo test --test it slow_import -- --nocapture` is the long form.
#[test]
fn a_slow_import_fails_no_request() {
    if uwring_only("it imports while nobody serves") {
        return;
    }
    let import_s =
        std::env::var("UWRING_IMPORT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let Served { requests, failed, slowest } = reloads_of_a_slow_import(import_s, 3);
    if import_s > 1 {
        note(&format!("{requests} requests, {failed} failed, the slowest took {slowest:?}"));
    }
    assert_eq!(failed, 0, "of {requests}");
    assert!(requests > 100);
}

#[test]
fn a_file_that_is_broken_and_mended_is_loaded_again() {
    if uwring_only("it waits for ever behind a file that is no Python") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("site.py");
    let write = |text: &str| {
        std::fs::write(&file, format!("def application(e, s):\n    s('200 OK', [])\n    return [{text}]\n"))
            .expect("write the application");
    };
    write("b'0'");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\npy-autoreload = 1\nenv = PYTHONDONTWRITEBYTECODE=1")
        .start();
    let ask = || server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    assert_eq!(ask(), "0");
    for round in 1..=3_usize {
        write("this is no Python");
        assert!(server.log().wait_n(round, |line| line.starts_with("SyntaxError")).is_some());
        // What served goes on, and the next change is seen.
        assert_eq!(ask(), (round - 1).to_string());
        write(&format!("b'{round}'"));
        let begun = Instant::now();
        while ask() != round.to_string() {
            assert!(begun.elapsed() < crate::support::PATIENCE, "round {round} is never served");
        }
    }
    assert_eq!(server.stop().code(), Some(0));
}
