//! Signals of the application: `uwsgi.register_signal`, timers, cron times, files, and the options that raise them.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, Packet, Response, Server, Target, target};

fn get(server: &Server, path: &str) -> Response {
    server.socket().uwsgi(&Packet::get(path)).expect(200)
}

fn start(lines: &str) -> Server {
    let folder = tempfile::tempdir().expect("a folder");
    let watched = folder.path().join("watched");
    std::fs::write(&watched, "").expect("written");
    Server::app("raised")
        .folder(folder)
        .processes(2)
        .env("WATCHED", &watched.display().to_string())
        .ini(lines)
        .start()
}

/// Lines that say that worker `worker` handled signal `number`.
fn line(number: u32, worker: u32) -> String {
    format!("signal {number} in worker {worker}")
}

fn is(number: u32) -> impl Fn(&str) -> bool {
    let beginning = format!("signal {number} in worker ");
    move |line: &str| line.starts_with(&beginning)
}

#[test]
fn a_signal_is_handled_by_whom_it_is_for() {
    let server = start("");
    for _ in 0..20 {
        get(&server, "/send/1");
    }
    server.log().wait_n(20, is(1)).expect("each is handled");
    get(&server, "/send/2");
    server.log().wait_for(&line(2, 1));
    server.log().wait_for(&line(2, 2));
    // Often enough that it is no chance who takes them.
    for _ in 0..10 {
        get(&server, "/send/3");
    }
    server.log().wait_n(10, |said| said == line(3, 2)).expect("worker 2 handles them");
    get(&server, "/send/4");
    server.log().wait_for("ValueError: broken on purpose by 4");
    server.log().wait_for("error managing signal 4 on worker ");
    get(&server, "/send/99");
    server.log().wait_for("error managing signal 99 on worker ");
    assert_eq!(get(&server, "/registered").text(), "[True, None]");
    let log = server.log();
    let told = |key: &str| -> u64 {
        let workers: Vec<serde_json::Value> =
            serde_json::from_str(&get(&server, "/workers").text()).expect("JSON");
        workers.iter().map(|worker| worker[key].as_u64().expect("a number")).sum()
    };
    // It is counted when its handler has returned.
    let started = std::time::Instant::now();
    while told("signals") < 34 {
        assert!(started.elapsed() < PATIENCE, "{}", get(&server, "/workers").text());
    }
    assert_eq!([is(1), is(2), is(3)].map(|number| log.count(number)), [20, 2, 10], "once each");
}

#[test]
fn time_and_files_raise_signals() {
    let server = start("signal-timer = 9 1\ntouch-signal = {dir}/touched 10");
    for number in [5, 6, 7, 9] {
        server.log().wait_n(1, is(number)).unwrap_or_else(|| panic!("signal {number}"));
    }
    for (file, number) in [("watched", 8), ("touched", 10)] {
        std::fs::write(server.path(file), "anew").expect("written");
        server.log().wait_n(1, is(number)).unwrap_or_else(|| panic!("signal {number}"));
    }
    server.log().wait_n(2, is(5)).expect("again and again");
    assert_eq!(server.log().count(is(6)), 1, "one iteration");
}

#[test]
fn a_handler_runs_between_requests_or_where_it_is_waited_for() {
    let server = start("");
    get(&server, "/inside");
    let all = |line: &str| line.starts_with("the request goes on") || is(21)(line) || is(22)(line);
    let lines = server.log().wait_n(2, all).expect("both");
    assert!(lines[0].starts_with("the request goes on"), "{lines:?}");
    assert_eq!(lines[0].rsplit(' ').next(), lines[1].rsplit(' ').next(), "the same worker");
    assert_eq!(get(&server, "/wait").text(), "received 20");
}

#[test]
fn workers_that_come_later_handle_signals_too() {
    let server = start("");
    let first = server.workers();
    kill(Pid::from_raw(first[1]), Signal::SIGKILL).expect("killed");
    server.log().wait_for(&format!("(pid: {}) died", first[1]));
    get(&server, "/send/3");
    server.log().wait_for(&line(3, 2));
    // The next generation registers them anew, and has timers of its own.
    let ticks = server.log().count(is(5));
    let known = server.workers().len();
    server.reload_until(|| server.workers().len() >= known + 2);
    get(&server, "/send/1");
    server.log().wait_n(1, is(1)).expect("handled");
    server.log().wait_n(ticks + 1, is(5)).expect("time goes on");
    if target() == Target::Uwring {
        // Nothing is handled twice where two generations live.
        assert_eq!(server.log().count(is(1)), 1);
    }
}
