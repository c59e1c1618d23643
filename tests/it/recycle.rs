//! Workers that are replaced: because they served long enough, or because they died. What fails of it is counted: no
//! request but those inside of a process that is killed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Group, Load, PATIENCE, Packet, Served, Server, Target, parent_of, target, uwring_only};

fn is_respawn(line: &str) -> bool {
    line.starts_with("Respawned uWSGI worker ")
}

/// Workers that are to be replaced in time.
pub struct Recycling {
    pub workers: usize,
    /// What makes them tired.
    pub lines: String,
    /// How many replacements to see.
    pub times: usize,
    /// Of each of these clients' requests, how many a second; 0: in a closed loop.
    pub rate: u32,
    pub packet: Packet,
}

/// No request fails, each worker has its successor before it is told to go, and never is more than one of them, or one in
/// ten, not there.
pub fn workers_are_replaced(recycling: &Recycling) -> Served {
    let Recycling { workers, lines, times, rate, packet } = recycling;
    let server = Server::app("takes")
        .processes(*workers)
        .ini(&format!("{lines}\nlog-5xx = true\ndisable-logging = true"))
        .start();
    assert_eq!(ready(&server), *workers);
    let load = match rate {
        0 => Load::on(&server, 4),
        rate => Load::at_rate(&server, 64, *rate, packet),
    };
    let is_told = |line: &str| line.contains("has a successor that serves");
    let mut down = 0;
    while server.log().count(is_told) < *times {
        assert!(server.process.ended().is_none(), "{}", server.log().text());
        down = down.max(workers - ready(&server));
    }
    let served = load.finish();
    assert!(down <= (workers / 10).max(1), "{down} of {workers} were down at once");
    assert_eq!(served.failed, 0, "of {:?}", served.answers);
    assert!(served.answers.len() >= *times, "{:?}", served.answers);
    let lines = server.log().lines();
    let told = lines.iter().filter(|line| is_told(line)).count();
    let gone = lines.iter().filter(|line| line.contains(" buried after ")).count();
    assert!(gone <= told, "{told} told, {gone} gone");
    assert!(!lines.iter().any(|line| line.contains("DAMN")), "{lines:?}");
    served
}

/// Numbers of workers for which somebody serves.
fn ready(server: &Server) -> usize {
    let status = server.status();
    let workers = status["workers"].as_array().expect("workers");
    let serving = workers.iter().filter(|worker| worker["state"] == "ready");
    serving.map(|worker| worker["id"].as_u64()).collect::<BTreeSet<_>>().len()
}

#[test]
fn max_requests_replaces_workers_and_loses_none() {
    if uwring_only("a worker is gone before the next one comes") {
        return;
    }
    let lines = "max-requests = 50\nmin-worker-lifetime = 0".to_owned();
    workers_are_replaced(&Recycling { workers: 2, lines, times: 8, rate: 0, packet: Packet::get("/") });
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
fn a_worker_is_not_replaced_before_its_time() {
    // uWSGI counts whole seconds, so two are more than one.
    let least = Duration::from_secs(if target() == Target::Uwsgi { 1 } else { 2 });
    let begun = Instant::now();
    let server = Server::app("wait").ini("max-requests = 1\nmin-worker-lifetime = 2").start();
    let first = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    // Each request is one too many, but it has to stay for its time.
    while server.socket().uwsgi(&Packet::get("/")).expect(200).text() == first {
        assert!(begun.elapsed() < PATIENCE, "the old worker never left");
    }
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
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
    for option in ["evil-reload-on-rss", "evil-reload-on-as"] {
        let server = Server::app("grow").ini(&format!("{option} = 1")).start();
        server.log().wait_for("*** EVIL RELOAD ON WORKER 1 ");
        assert!(server.log().wait_n(1, is_respawn).is_some(), "{option}");
    }
}

/// Workers that are killed, one after another.
pub struct Deaths {
    pub lines: String,
    pub times: usize,
    /// From one to the next; the next comes when the last has a successor.
    pub pause: Duration,
}

#[test]
fn killed_workers_fail_no_more_than_what_they_had_in_hand() {
    for lazy in [false, true] {
        let lines = format!("lazy-apps = {lazy}");
        workers_are_killed(&Deaths { lines, times: 4, pause: Duration::ZERO });
    }
}

/// Four workers of one thread, as many clients, every worker in its turn.
pub fn workers_are_killed(deaths: &Deaths) -> Served {
    const WORKERS: usize = 4;
    const CLIENTS: usize = 4;
    let builder = Server::app("wait").processes(WORKERS).ini("disable-logging = true").ini(&deaths.lines);
    let server = builder.start();
    let load = Load::on(&server, CLIENTS);
    let (mut killed, mut inside) = (Vec::new(), 0);
    for n in 0..deaths.times {
        let begun = Instant::now();
        let victim = server.status()["workers"][n % WORKERS]["pid"].as_i64().expect("a worker");
        let pid = Pid::from_raw(i32::try_from(victim).expect("a pid"));
        let signal = if n % 2 == 0 { Signal::SIGKILL } else { Signal::SIGSEGV };
        if signal == Signal::SIGKILL {
            // It stands still while its connections are counted, and dies with no more than these.
            kill(pid, Signal::SIGSTOP).expect("stop our worker");
            inside += connections(&server, pid.as_raw());
        } else {
            // While one thread is dying of it the others go on for a moment: all that were asked may be inside.
            inside += CLIENTS;
        }
        kill(pid, signal).expect("kill our worker");
        killed.push(victim.to_string());
        assert!(server.log().wait_n(n + 1, is_respawn).is_some());
        // The pace is the point; nothing happens that could be waited for.
        std::thread::park_timeout(deaths.pause.saturating_sub(begun.elapsed()));
    }
    let successor = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    assert!(!killed.contains(&successor), "{successor} is dead");
    let served = load.finish();
    // Requests inside of a worker that is killed, and no other.
    assert!(served.failed <= inside, "{} with {inside} inside, of {:?}", served.failed, served.answers);
    assert!(!served.answers.is_empty());
    assert!(served.slowest() < PATIENCE, "somebody waited for ever");
    assert_eq!(server.stop().code(), Some(0));
    served
}

/// Connections of our socket that the process has accepted, once it stands still.
fn connections(server: &Server, pid: i32) -> usize {
    let states = || -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it stands still");
        let state = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(task.ok()?.path().join("stat")).ok()?;
            stat.rsplit(") ").next().map(|rest| rest[..1].to_owned())
        };
        tasks.filter_map(state).collect()
    };
    let begun = Instant::now();
    while states().iter().any(|state| state != "T") {
        assert!(begun.elapsed() < PATIENCE, "it does not stand still: {:?}", states());
    }
    // proc_net(5): state 3 is connected, and a connection that was accepted has the path of its socket.
    let path = server.path("app.sock").display().to_string();
    let sockets = std::fs::read_to_string("/proc/net/unix").expect("unix sockets");
    let inode = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words.len() == 8 && words[5] == "03" && words[7] == path).then(|| format!("socket:[{}]", words[6]))
    };
    let connected: BTreeSet<String> = sockets.lines().filter_map(inode).collect();
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors");
    let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    links.filter(|link| link.to_str().is_some_and(|link| connected.contains(link))).count()
}

#[test]
fn a_worker_killed_for_want_of_memory_fails_its_request_alone() {
    if uwring_only("it tells no reason") {
        return;
    }
    memory_runs_out(1, Duration::ZERO);
}

/// Somebody takes more memory than all of them may have together: the kernel kills that worker, and its request is all
/// that fails, with what it had accepted ahead. `None` where there are no such limits.
pub fn memory_runs_out(times: usize, pause: Duration) -> Option<Served> {
    let group = Group::of_megabytes("oom", 400)?;
    let folder = tempfile::tempdir().expect("a folder");
    let program = group.program(&folder);
    let builder = Server::app("takes").folder(folder).program(program).processes(4);
    let server = builder.ini("disable-logging = true").start();
    let clients = 4;
    let load = Load::on(&server, clients);
    for n in 0..times {
        let begun = Instant::now();
        let mut glutton = server.socket().connect();
        glutton.send(Packet::get("/memory/600").bytes());
        assert_eq!(glutton.rest_or_reset(), b"", "there was memory");
        assert!(server.log().wait_n(n + 1, is_respawn).is_some());
        // The pace is the point; nothing happens that could be waited for.
        std::thread::park_timeout(pause.saturating_sub(begun.elapsed()));
    }
    let said = server.log().wait_n(times, |line| line.contains("the kernel did for want of memory"));
    assert!(said.is_some(), "{}", server.log().text());
    let served = load.finish();
    assert!(served.failed <= times * clients, "{} of {:?}", served.failed, served.answers);
    assert!(served.slowest() < PATIENCE, "somebody waited for ever");
    assert_eq!(server.stop().code(), Some(0));
    Some(served)
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
