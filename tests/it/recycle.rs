//! Workers that are replaced: because they served long enough, or because they died. What fails of it is counted: no
//! request but those inside of a process that is killed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Load, Packet, Server, parent_of, uwring_only};

fn is_respawn(line: &str) -> bool {
    line.starts_with("Respawned uWSGI worker ")
}

#[test]
fn max_requests_replaces_workers_and_loses_none() {
    if uwring_only("a worker is gone before the next one comes") {
        return;
    }
    let server = Server::app("wait")
        .processes(2)
        .ini("max-requests = 50\nmin-worker-lifetime = 0\nlog-5xx = true\ndisable-logging = true")
        .start();
    let load = Load::on(&server, 4);
    let respawned = server.log().wait_n(8, is_respawn).is_some();
    let (answers, failed) = load.end();
    assert!(respawned, "{answers:?}");
    assert_eq!(failed, 0, "of {answers:?}");
    assert!(answers.len() >= 8, "{answers:?}");
    // Each had its successor before it was told to go.
    let lines = server.log().lines();
    let told = lines.iter().filter(|line| line.contains("has a successor that serves")).count();
    let gone = lines.iter().filter(|line| line.contains(" buried after ")).count();
    assert!(told >= 6 && gone <= told, "{told} told, {gone} gone");
    assert!(!lines.iter().any(|line| line.contains("DAMN")), "{lines:?}");
}

#[test]
fn max_requests_counts_from_each_workers_birth() {
    // uWSGI replaces none younger than 10 seconds unless told to.
    let server = Server::app("wait").ini("max-requests = 3\nmin-worker-lifetime = 0\nprocesses = 1").start();
    let mut pids = Vec::new();
    for _ in 0..3 {
        pids.push(server.socket().uwsgi(&Packet::get("/")).expect(200).text());
    }
    assert!(server.log().wait_n(1, |line| line.starts_with("...The work of process ")).is_some());
    assert!(server.log().wait_n(1, is_respawn).is_some());
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    // The old one may answer until the new one serves.
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while server.socket().uwsgi(&Packet::get("/")).expect(200).text() == pids[0] {
        assert!(std::time::Instant::now() < deadline, "the old worker never left");
    }
}

#[test]
fn workers_have_a_lifetime() {
    let server = Server::app("wait").ini("max-worker-lifetime = 1\nmin-worker-lifetime = 1").launch();
    assert!(server.log().wait_n(2, is_respawn).is_some());
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn a_worker_that_has_grown_is_replaced() {
    for option in ["reload-on-rss", "reload-on-as"] {
        let server = Server::app("grow").ini(&format!("{option} = 1\nmin-worker-lifetime = 0")).start();
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        assert!(server.log().wait_n(1, is_respawn).is_some(), "{option}");
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    if uwring_only("2.0 has no pss and uss") {
        return;
    }
    for option in ["reload-on-pss", "reload-on-uss"] {
        let server = Server::app("grow").ini(&format!("{option} = 1\nmin-worker-lifetime = 0")).start();
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        server.log().wait_for(&format!("{option} = 1)"));
        assert!(server.log().wait_n(1, is_respawn).is_some(), "{option}");
    }
    let server = Server::app("grow").ini("evil-reload-on-rss = 1").start();
    server.log().wait_for("*** EVIL RELOAD ON WORKER 1 ");
    assert!(server.log().wait_n(1, is_respawn).is_some());
}

#[test]
fn killed_workers_fail_no_more_than_what_they_had_in_hand() {
    for lazy in [false, true] {
        workers_are_killed(&format!("disable-logging = true\nlazy-apps = {lazy}"));
    }
}

fn workers_are_killed(lines: &str) {
    let server = Server::app("wait").processes(4).ini(lines).start();
    let clients = 4;
    let load = Load::on(&server, clients);
    let signals = [Signal::SIGKILL, Signal::SIGSEGV, Signal::SIGKILL, Signal::SIGSEGV];
    let first = server.workers();
    for (n, (worker, signal)) in first.iter().zip(signals).enumerate() {
        kill(Pid::from_raw(*worker), signal).expect("kill our worker");
        assert!(server.log().wait_n(n + 1, is_respawn).is_some());
    }
    let successor = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    assert!(!first.iter().any(|pid| pid.to_string() == successor), "{successor} is dead");
    let (answers, failed) = load.end();
    // A worker has one thread: one request in hand, and what it had accepted ahead of that.
    assert!(failed <= signals.len() * clients, "{failed} of {answers:?}");
    assert!(!answers.is_empty());
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_crash_is_told_with_its_request() {
    if uwring_only("uWSGI does not know what it was doing") {
        return;
    }
    let server = Server::app("wait").processes(2).start();
    let gate = crate::support::Gate::new(server.path("gate"));
    let mut client = server.socket().connect();
    let packet = Packet::get("/a/b").var("QUERY_STRING", gate.query()).var("REQUEST_URI", "/a/b?c");
    client.send(packet.bytes());
    server.log().wait_for("waiting at");
    let status = server.status();
    let busy = status["workers"].as_array().expect("workers").iter().find(|w| w["in_flight"] == 1);
    let pid = busy.expect("one is busy")["pid"].as_i64().expect("a pid");
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), Signal::SIGSEGV).expect("kill our worker");
    server.log().wait_for(&format!("(pid: {pid}) died, killed by signal 11"));
    server.log().wait_for("died in this request: [core 0] ");
    server.log().wait_for("- GET /a/b?c (since ");
    assert_eq!(client.rest_or_reset(), b"");
}

#[test]
fn a_dead_template_costs_nothing() {
    if uwring_only("it has no template") {
        return;
    }
    for lazy in [false, true] {
        a_template_is_killed(&format!("disable-logging = true\nlazy-apps = {lazy}"));
    }
}

fn a_template_is_killed(lines: &str) {
    let server = Server::app("wait").processes(2).ini(lines).start();
    let load = Load::on(&server, 4);
    let worker = server.workers()[0];
    let template = parent_of(worker);
    kill(Pid::from_raw(template), Signal::SIGKILL).expect("kill our template");
    server.log().wait_for("template process (pid: ");
    let (answers, failed) = load.end();
    assert_eq!(failed, 0, "of {answers:?}");
    // And it is there again when somebody is to be replaced.
    kill(Pid::from_raw(worker), Signal::SIGKILL).expect("kill our worker");
    assert!(server.log().wait_n(1, is_respawn).is_some());
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}
