//! Processes that are stopped, killed or stuck, and things that cannot be had, under load. Each test says how many requests
//! may fail: none but those inside a process that is killed.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Load, Packet, Server, has, parent_of, skipped, uwring_only};

fn is_respawn(line: &str) -> bool {
    line.starts_with("Respawned uWSGI worker ")
}

fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).expect("signal our process");
}

/// A server whose every worker answers with its pid, and which waits two seconds for a sign of life.
fn watched(processes: usize) -> Server {
    watched_with(processes, "")
}

fn watched_with(processes: usize, lines: &str) -> Server {
    let builder =
        Server::app("wait").processes(processes).ini("stuck-worker-timeout = 2\ndisable-logging = true");
    builder.ini(lines).start()
}

#[test]
fn a_stopped_worker_is_replaced() {
    if uwring_only("it waits for ever, unless harakiri is set") {
        return;
    }
    for lazy in [false, true] {
        workers_are_stopped(lazy);
    }
}

fn workers_are_stopped(lazy: bool) {
    let server = watched_with(2, &format!("lazy-apps = {lazy}"));
    let clients = 4;
    let load = Load::on(&server, clients);
    let workers = server.workers();
    let stopped = workers[0];
    send(stopped, Signal::SIGSTOP);
    server.log().wait_for(&format!("worker 1 (pid: {stopped}) gives no sign of life"));
    assert!(server.log().wait_n(1, is_respawn).is_some());
    let (answers, failed) = load.end();
    // What it had accepted died with it: each client waits for one answer at a time.
    assert!(failed <= clients, "{failed} of {answers:?}");
    // The same without anybody who waits for it.
    let stopped = workers[1];
    send(stopped, Signal::SIGSTOP);
    server.log().wait_for(&format!("worker 2 (pid: {stopped}) gives no sign of life"));
    assert!(server.log().wait_n(2, is_respawn).is_some());
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.stop().code(), Some(0));
}

/// Holds one thread in the kernel, as a driver or a file system that does not answer would: its process goes on.
const HOLD: &str = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
SEIZE, INTERRUPT = 0x4206, 0x4207
thread = int(sys.argv[1])
if libc.ptrace(SEIZE, thread, None, None) or libc.ptrace(INTERRUPT, thread, None, None):
    sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(thread, 0x40000000)
print('held', flush=True)
sys.stdin.read()
";

/// The folder of a worker's ring thread in /proc. A thread names itself.
fn ring_thread(worker: i32) -> std::path::PathBuf {
    let is_ring = |task: &std::path::PathBuf| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "uwring-ring\n")
    };
    loop {
        let mut tasks = std::fs::read_dir(format!("/proc/{worker}/task")).expect("its threads");
        if let Some(ring) = tasks.find_map(|task| task.ok().map(|task| task.path()).filter(is_ring)) {
            return ring;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_worker_whose_ring_thread_is_stuck_is_replaced() {
    if uwring_only("it has no such thread") || !has(&["python3"]) {
        return;
    }
    let server = watched(2);
    let worker = server.workers()[0];
    let ring = ring_thread(worker);
    let mut holder = Command::new("python3")
        .args(["-c", HOLD])
        .arg(ring.file_name().expect("a number"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start python3");
    let mut said = String::new();
    let output = BufReader::new(holder.stdout.take().expect("piped")).read_line(&mut said);
    if output.expect("read") == 0 {
        holder.wait().expect("it ended");
        return skipped("ptrace is not permitted here");
    }
    let clients = 4;
    let load = Load::on(&server, clients);
    server.log().wait_for(&format!("worker 1 (pid: {worker}) gives no sign of life"));
    assert!(server.log().wait_n(1, is_respawn).is_some());
    let (answers, failed) = load.end();
    assert!(failed <= clients, "{failed} of {answers:?}");
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
}

#[test]
fn a_busy_worker_is_not_taken_for_a_stuck_one() {
    if uwring_only("nobody looks") {
        return;
    }
    let server = watched(2);
    let gate = crate::support::Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    // A worker that is stopped and goes on in time is left alone.
    let worker = server.workers()[1];
    send(worker, Signal::SIGSTOP);
    send(worker, Signal::SIGCONT);
    let load = Load::on(&server, 2);
    let started = std::time::Instant::now();
    while started.elapsed() < std::time::Duration::from_secs(5) {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    let (answers, failed) = load.end();
    assert_eq!(failed, 0, "of {answers:?}");
    gate.open();
    client.response("GET").expect(200);
    assert_eq!(server.log().count(|line| is_respawn(line) || line.contains("sign of life")), 0);
}

#[test]
fn a_template_that_is_killed_or_stopped_is_started_again() {
    if uwring_only("it has no template") {
        return;
    }
    let server = watched(2);
    let load = Load::on(&server, 4);
    // Nobody notices that it is gone before it is needed.
    send(parent_of(server.workers()[0]), Signal::SIGSEGV);
    assert!(server.log().wait_n(1, |line| line.starts_with("template process (pid: ")).is_some());
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    let worker = server.status()["workers"]
        .as_array()
        .expect("workers")
        .iter()
        .find(|worker| worker["generation"] == 2)
        .and_then(|worker| worker["pid"].as_i64())
        .and_then(|pid| i32::try_from(pid).ok())
        .expect("a worker");
    a_stopped_template_fails_nobody(server, load, worker);
}

#[test]
fn a_stopped_template_without_an_application_is_started_again() {
    if uwring_only("it has no template") {
        return;
    }
    let server = watched_with(2, "lazy-apps = true");
    let load = Load::on(&server, 2);
    let worker = server.workers()[0];
    a_stopped_template_fails_nobody(server, load, worker);
}

/// The template of `worker` is stopped, and that worker killed.
fn a_stopped_template_fails_nobody(server: Server, load: Load, worker: i32) {
    send(parent_of(worker), Signal::SIGSTOP);
    server.log().wait_for(" was stopped (stuck-worker-timeout)");
    let (answers, failed) = load.end();
    assert_eq!(failed, 0, "of {answers:?}");
    // One that is stopped when a worker dies.
    send(worker, Signal::SIGKILL);
    assert!(server.log().wait_n(1, is_respawn).is_some());
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_worker_that_dies_of_its_start_is_tried_again_with_pauses() {
    if uwring_only("it forks again at once, for ever") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let code = "
import os, signal
from uwsgidecorators import postfork

@postfork
def forked():
    if os.path.exists('broken'):
        os.kill(os.getpid(), signal.SIGSEGV)

def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\ndisable-logging = true")
        .processes(2)
        .start();
    let workers = server.workers();
    std::fs::write(server.path("broken"), "").expect("break it");
    send(workers[0], Signal::SIGKILL);
    let died = |line: &str| line.contains("worker 1 (pid: ") && line.contains("died, killed by signal 11");
    assert!(server.log().wait_n(2, died).is_some());
    server.log().wait_for("*** worker 1 died 2 times in a row right after its start: next try in ");
    // The other one serves.
    for _ in 0..20 {
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), workers[1].to_string());
    }
    std::fs::remove_file(server.path("broken")).expect("mend it");
    while server.status()["workers"][0]["state"] != "ready" {
        std::thread::yield_now();
    }
    assert!(server.log().count(died) < 20);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_pidfile_that_cannot_be_written_is_told() {
    let server = Server::app("hello").ini("pidfile = {dir}/no/such/pid").launch();
    server.log().wait_for("/no/such/pid");
    assert_ne!(server.process.expect_end().code(), Some(0));
}

#[test]
fn as_process_1_it_buries_orphans_reloads_and_hears_term() {
    if uwring_only("its workers' orphans are its own affair") || !has(&["unshare"]) {
        return;
    }
    let permitted =
        Command::new("unshare").args(["-pf", "--mount-proc", "true"]).stderr(Stdio::null()).status();
    if !permitted.is_ok_and(|status| status.success()) {
        return skipped("unshare -p is not permitted here");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A grandchild whose parent ends at once is the master's.
    let code = "
import os, subprocess

def application(environ, start_response):
    orphan = subprocess.run(['sh', '-c', 'head -c1000000 /dev/zero >/dev/null & echo $!'], stdout=subprocess.PIPE).stdout
    start_response('200 OK', [])
    return [orphan.strip()]
";
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    let text =
        format!("#!/bin/sh\nexec unshare -pf --mount-proc {} \"$@\"\n", crate::support::program().display());
    let script = crate::support::script_at(folder.path().join("uwring"), &text);
    let server = Server::bare()
        .folder(folder)
        .program(script)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock")
        .launch();
    server.log().wait_for("spawned uWSGI master process (pid: 1)");
    server.log().wait_for("spawned uWSGI worker 1");
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.process.pid));
    let master: i32 = children.expect("its children").trim().parse().expect("one");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    let zombies = || {
        let all =
            std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("children");
        let state = |pid: &str| std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        all.split_whitespace().filter(|pid| state(pid).contains("(head)")).count()
    };
    while zombies() > 0 {
        std::thread::yield_now();
    }
    send(master, Signal::SIGHUP);
    let spawned = |line: &str| line.starts_with("spawned uWSGI worker 1");
    assert!(server.log().wait_n(2, spawned).is_some());
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    send(master, Signal::SIGTERM);
    assert_eq!(server.process.expect_end().code(), Some(0));
    server.log().wait_for("goodbye to uWSGI.");
}

#[test]
fn who_waits_is_not_forgotten_where_a_stopped_worker_was_woken() {
    if uwring_only("connections wake all of its workers") {
        return;
    }
    let server = Server::app("wait").processes(2).ini("stuck-worker-timeout = 60").start();
    let stopped = server.workers()[0];
    send(stopped, Signal::SIGSTOP);
    // A thread that is on its way to the stop may accept yet.
    for task in std::fs::read_dir(format!("/proc/{stopped}/task")).expect("its threads") {
        let stat = task.expect("a thread").path().join("stat");
        while !std::fs::read_to_string(&stat).expect("a thread").contains(") T ") {
            std::thread::yield_now();
        }
    }
    // Each alone: nobody else's connection makes the other worker look.
    for _ in 0..6 {
        let answer = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
        assert_ne!(answer, stopped.to_string());
    }
    send(stopped, Signal::SIGCONT);
    assert_eq!(server.log().count(|line| line.contains("sign of life")), 0);
    assert_eq!(server.stop().code(), Some(0));
}
