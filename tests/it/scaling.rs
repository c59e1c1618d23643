//! The number of workers: `cheaper` and its algorithms, `cheap`, `idle`, by hand. Nothing is lost when they go.

use std::io::Write;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{
    Gate, Group, Load, Packet, Server, ServerBuilder, Target, has, program, script_at, skipped, target,
    uwring_only,
};

/// With an application that waits at a gate, or answers with its pid.
fn server(ini: &str) -> ServerBuilder {
    let plugin = "plugin = cheaper_busyness,cheaper_backlog2";
    Server::app("wait").uwsgi_needs(plugin).ini("disable-logging = true").ini(ini)
}

fn ask(server: &Server) -> String {
    server.socket().uwsgi(&Packet::get("/")).expect(200).text()
}

fn is_cheaped(line: &str) -> bool {
    line.starts_with("uWSGI worker ") && line.ends_with(" cheaped.")
}

/// A worker was started, whether it is the first of its number or not.
fn is_spawned(line: &str) -> bool {
    line.starts_with("spawned uWSGI worker ") || line.starts_with("Respawned uWSGI worker ")
}

/// Whether none of the workers there have been is left.
fn all_gone(server: &Server) -> bool {
    let spawned = server.log().lines().into_iter().filter(|line| is_spawned(line));
    let pids = spawned.filter_map(|line| line.split("pid: ").nth(1)?.split([',', ')']).next()?.parse().ok());
    pids.map(Pid::from_raw).all(|pid| kill(pid, None).is_err())
}

/// The states of all workers, by their numbers.
fn states(server: &Server) -> Vec<String> {
    let status = server.status();
    let workers = status["workers"].as_array().expect("workers");
    workers.iter().map(|worker| worker["state"].as_str().expect("a state").to_owned()).collect()
}

#[track_caller]
fn until(server: &Server, what: &str, done: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while !done() {
        assert!(std::time::Instant::now() < deadline, "never {what}; the log was:\n{}", server.log().text());
        std::thread::yield_now();
    }
}

/// `wanted` requests at a time, each of which needs a worker of its own; then none. How many failed of those that came
/// all the while.
fn rise_and_fall(ini: &str, wanted: usize) -> usize {
    let server = server(&format!("processes = 4\ncheaper = 1\ncheaper-overload = 1\n{ini}")).start();
    assert_eq!(server.log().count(is_spawned), 1);
    let load = Load::on(&server, 1);
    let gate = Gate::new(server.path("gate"));
    let clients: Vec<_> = (0..wanted).map(|_| server.send_to(&gate)).collect();
    let at_work = |line: &str| line.contains("waiting at");
    assert!(server.log().wait_n(wanted, at_work).is_some(), "{ini}: {}", server.log().text());
    gate.open_for_all();
    for mut client in clients {
        client.response("GET").expect(200);
    }
    let (_, failed) = load.end();
    let gone = server.log().wait_n(wanted - 1, is_cheaped);
    assert!(gone.is_some(), "{ini}: {}", server.log().text());
    ask(&server);
    assert_eq!(server.stop().code(), Some(0));
    failed
}

#[test]
fn spare_follows_the_load() {
    assert_eq!(rise_and_fall("cheaper-algo = spare", 3), 0);
}

#[test]
fn busyness_follows_the_load() {
    let ini = "cheaper-algo = busyness\ncheaper-busyness-multiplier = 2\ncheaper-busyness-verbose = true";
    assert_eq!(rise_and_fall(ini, 3), 0);
}

#[test]
fn backlog_follows_the_load_on_unix_sockets_too() {
    if uwring_only("the queue of a unix socket is always empty; spare2 is not in 2.0") {
        return;
    }
    assert_eq!(rise_and_fall("cheaper-algo = backlog", 3), 0);
    assert_eq!(rise_and_fall("cheaper-algo = spare2\ncheaper-idle = 1", 3), 0);
}

#[test]
fn who_waits_does_not_wait_for_cycles() {
    if uwring_only("the first worker comes after cheaper-overload seconds") {
        return;
    }
    // Two minutes of overload would have to go by.
    let server = server("processes = 3\ncheaper = 1\ncheaper-overload = 120").start();
    let gate = Gate::new(server.path("gate"));
    let mut clients: Vec<_> = (0..3).map(|_| server.send_to(&gate)).collect();
    assert!(server.log().wait_n(3, |line| line.contains("waiting at")).is_some());
    gate.open_for_all();
    clients.iter_mut().for_each(|client| drop(client.response("GET").expect(200)));
}

#[test]
fn it_starts_with_cheaper_initial() {
    let server = server("processes = 4\ncheaper = 1\ncheaper-initial = 2\ncheaper-overload = 120").start();
    assert!(server.log().wait_n(2, is_spawned).is_some());
    ask(&server);
    assert_eq!(server.log().count(is_spawned), 2);
    if target() == Target::Uwring {
        until(&server, "ready", || states(&server) == ["ready", "ready", "cheap", "cheap"]);
    }
}

#[test]
fn the_application_sees_cheap_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let code = "import json, uwsgi\n\
                def application(environ, start_response):\n    \
                start_response('200 OK', [])\n    \
                return [json.dumps([w['status'].decode() for w in uwsgi.workers()]).encode()]\n";
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    let ini = "wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nprocesses = 3\ncheaper = 1";
    let server = Server::bare().folder(folder).ini(ini).start();
    let seen: Value = server.socket().uwsgi(&Packet::get("/")).expect(200).json();
    let cheap = seen.as_array().expect("a list").iter().filter(|status| *status == "cheap").count();
    assert_eq!(cheap, 2, "{seen}");
}

#[test]
fn cheap_starts_with_the_first_connection_and_idle_ends_it() {
    let server = server("processes = 2\ncheap = true\nidle = 1").launch();
    server.log().wait_for("spawned uWSGI master process");
    until(&server, "listening", || server.path("app.sock").exists());
    assert_eq!(server.log().count(is_spawned), 0);
    for round in 1..=3 {
        ask(&server);
        assert!(server.log().wait_n(2 * round, is_spawned).is_some());
        let sleeps = |line: &str| line.contains("workers have been inactive for more than 1 seconds");
        assert!(server.log().wait_n(round, sleeps).is_some(), "{}", server.log().text());
        // A connection that comes before they are gone is served by one that goes, or makes uWSGI load everything anew.
        until(&server, "asleep", || all_gone(&server));
        server.log().wait_for("cheap mode enabled: waiting for socket connection...");
    }
    ask(&server);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_sleeping_server_wakes_for_whoever_comes() {
    if uwring_only("a connection that comes at the wrong moment reloads the server") {
        return;
    }
    let server = server("processes = 2\nidle = 1\nmaster-fifo = {dir}/fifo").http().start();
    let gate = Gate::new(server.path("gate"));
    // Sent to sleep in the middle of a request, which is finished, while others come at any moment.
    for round in 1..=10 {
        let mut client = server.send_to(&gate);
        assert!(server.log().wait_n(round, |line| line.contains("waiting at")).is_some());
        letters(&server, "C");
        let many: Vec<_> = (0..4).map(|_| server.socket().connect()).collect();
        server.log().wait_for("cheap mode enabled");
        for mut other in many {
            other.send(Packet::get("/").bytes());
            other.response("GET").expect(200);
        }
        server.get("/").expect(200);
        gate.open();
        client.response("GET").expect(200);
    }
}

#[test]
fn die_on_idle_ends_the_server() {
    let server = server("idle = 1\ndie-on-idle = true").start();
    ask(&server);
    server.log().wait_for("workers have been inactive for more than 1 seconds");
    assert_eq!(server.process.expect_end().code(), Some(0));
    server.log().wait_for("goodbye to uWSGI.");
}

fn letters(server: &Server, letters: &str) {
    let mut fifo = std::fs::OpenOptions::new().write(true).open(server.path("fifo")).expect("the fifo");
    fifo.write_all(letters.as_bytes()).expect("written");
}

#[test]
fn the_fifo_has_letters_for_it() {
    let server =
        server("processes = 3\ncheaper = 1\ncheaper-algo = manual\nmaster-fifo = {dir}/fifo").start();
    until(&server, "a fifo", || server.path("fifo").exists());
    letters(&server, "+");
    assert!(server.log().wait_n(2, is_spawned).is_some());
    letters(&server, "-");
    assert!(server.log().wait_n(1, is_cheaped).is_some());
    ask(&server);
    until(&server, "a fifo", || server.path("fifo").exists());
    letters(&server, "C");
    server.log().wait_for("cheap mode enabled: waiting for socket connection...");
    ask(&server);
}

#[test]
fn ctl_changes_the_number() {
    if uwring_only("it has no control socket") {
        return;
    }
    let server = server("processes = 3").processes(3).start();
    for (change, said, then) in [
        ("-1", "2 of 3 workers (1 at least)\n", &["cheap", "ready", "ready"][..]),
        ("1", "1 of 3 workers (1 at least)\n", &["cheap", "cheap", "ready"]),
        ("-9", "1 of 3 workers (1 at least)\n", &["cheap", "cheap", "ready"]),
        ("+1", "2 of 3 workers (1 at least)\n", &["cheap", "ready", "ready"]),
        ("3", "3 of 3 workers (1 at least)\n", &["ready", "ready", "ready"]),
    ] {
        let output = server.ctl(&["workers", change]);
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).as_ref()), (Some(0), said));
        until(&server, "so many", || {
            let mut states = states(&server);
            states.sort();
            states == then
        });
        ask(&server);
    }
    let told: Value = serde_json::from_slice(&server.ctl(&["workers", "-1", "--json"]).stdout).expect("JSON");
    assert_eq!((&told["ok"], &told["message"]), (&true.into(), &"2 of 3 workers (1 at least)".into()));
    assert_eq!(server.ctl(&["workers", "many"]).status.code(), Some(2));
    // As other servers have it.
    server.signal(Signal::SIGTTOU);
    server.log().wait_for("1 of 3 workers (1 at least)");
    server.signal(Signal::SIGTTIN);
    assert!(server.log().wait_n(1, |line| line.starts_with("2 of 3 workers")).is_some());
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn workers_come_and_go_under_load_and_nothing_is_lost() {
    if uwring_only("a request that comes to a worker which is going is lost") {
        return;
    }
    let server =
        server("processes = 4\ncheaper = 1\ncheaper-initial = 4\ncheaper-algo = manual").processes(4).start();
    let load = Load::on(&server, 6);
    for _ in 0..15 {
        for change in ["1", "4"] {
            // Those that still come, or go, are waited for.
            until(&server, "changed", || server.ctl(&["workers", change]).status.success());
        }
    }
    let reload = server.ctl(&["reload", "--wait"]);
    assert!(reload.status.success(), "{reload:?}");
    let (answers, failed) = load.end();
    assert_eq!(failed, 0, "of {answers:?}");
    assert!(answers.len() > 20, "{answers:?}");
    assert!(!server.log().text().contains("DAMN"));
}

#[test]
fn a_number_of_workers_survives_a_reload() {
    if uwring_only("it begins anew with cheaper-initial") {
        return;
    }
    let server = server("processes = 4\ncheaper = 1\ncheaper-algo = manual").start();
    assert!(server.ctl(&["workers", "+2"]).status.success());
    assert!(server.ctl(&["reload", "--wait"]).status.success());
    until(&server, "three", || states(&server).iter().filter(|state| *state == "ready").count() == 3);
    let status = server.status();
    assert_eq!(status["generation"], 2);
}

fn auto_workers(server: &Server) -> String {
    server.log().wait_for("processes = auto: ")
}

#[test]
fn auto_is_what_a_container_may_use() {
    if uwring_only("it counts the processors of the machine") {
        return;
    }
    let quota = Group::new(
        "cpu",
        &[
            ("/sys/fs/cgroup/cpu", &[("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000")]),
            ("/sys/fs/cgroup", &[("cpu.max", "50000 100000")]),
        ],
    );
    let Some(quota) = quota else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let limited = quota.program(&folder);
    let server = server("processes = auto").folder(folder).program(limited).start();
    let said = auto_workers(&server);
    assert!(said.contains("auto: 1 workers") && said.contains("0.50 of them by the cgroup"), "{said}");
    ask(&server);
    assert_eq!(server.status()["workers"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn auto_looks_where_it_may_run() {
    if uwring_only("it counts the processors of the machine") || !has(&["taskset"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("#!/bin/sh\nexec taskset -c 0 {} \"$@\"\n", program().display());
    let limited = script_at(folder.path().join("limited"), &script);
    let server = server("processes = auto").folder(folder).program(limited).start();
    let said = auto_workers(&server);
    assert!(said.contains("auto: 1 workers (1 processors to run on"), "{said}");
    ask(&server);
}

#[test]
fn auto_leaves_room_in_memory() {
    if uwring_only("it counts the processors of the machine") {
        return;
    }
    let Some(memory) = Group::of_megabytes("memory", 300) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    // Two of these are more than 240 MB.
    let code = "heap = bytearray(b'x') * (140 << 20)\n\
                def application(environ, start_response):\n    \
                start_response('200 OK', [])\n    return [str(len(heap)).encode()]\n";
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    let limited = memory.program(&folder);
    let ini = "wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nprocesses = auto";
    let server = Server::bare().ini(ini).folder(folder).program(limited).start();
    let said = auto_workers(&server);
    if said.contains("auto: 1 workers") {
        return skipped("one processor");
    }
    let fewer = server.log().wait_for(": 1 workers in place of ");
    assert!(fewer.contains("80 % of the 300 MB of the cgroup"), "{fewer}");
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), (140 << 20).to_string());
    let states = states(&server);
    assert_eq!(states.iter().filter(|state| *state == "ready").count(), 1, "{states:?}");
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn memory_of_all_workers_is_bounded() {
    if uwring_only("it needs memory-report, and both limits") {
        return;
    }
    let server =
        server("processes = 3\ncheaper = 1\ncheaper-overload = 1\ncheaper-rss-limit-soft = 1").start();
    let gate = Gate::new(server.path("gate"));
    let mut clients: Vec<_> = (0..2).map(|_| server.send_to(&gate)).collect();
    server.log().wait_for("(cheaper-rss-limit-soft)");
    gate.open_for_all();
    clients.iter_mut().for_each(|client| drop(client.response("GET").expect(200)));
    // The only worker served both.
    assert_eq!(server.log().count(is_spawned), 1);
}
