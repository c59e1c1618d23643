//! `import uwsgi` inside the server, and the decorators from PyPI on top of it.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Packet, Response, Server, Target, has, target, uwring_only};

fn get(server: &Server) -> Response {
    server.socket().uwsgi(&Packet::get("/")).expect(200)
}

#[test]
fn module_knows_its_process() {
    let server = Server::app("uwsgi_module").processes(2).start();
    let seen = get(&server).json();
    assert_eq!(seen["masterpid"], server.process.pid.as_raw());
    let pids = server.workers();
    let worker = usize::try_from(seen["worker_id"].as_u64().expect("a number")).expect("a worker");
    assert_eq!(seen["pid"], pids[worker - 1]);
    if target() == Target::Uwring {
        assert_eq!(seen["mypid"], seen["pid"]);
    }
    assert_eq!(seen["numproc"], 2);
}

#[test]
fn module_has_uwsgis_types() {
    let server = Server::app("uwsgi_module").ini("lonely = value").args(&["--thunder-lock"]).start();
    let seen = get(&server).json();
    assert_eq!(seen["types"]["version"], "bytes");
    assert_eq!(seen["types"]["opt"], "dict");
    assert_eq!(seen["types"]["numproc"], "int");
    assert_eq!(seen["types"]["hostname"], "bytes");
    assert_eq!(seen["version_info"].as_array().map(Vec::len), Some(5));
    assert_eq!(seen["opt"]["lonely"], "value");
    assert_eq!(seen["opt"]["thunder-lock"], true);
    assert_eq!(seen["opt_types"], serde_json::json!(["bool", "bytes"]));
}

#[test]
fn workers_sockets_and_reloads_are_told() {
    let server = Server::app("uwsgi_module").processes(2).ini("pidfile = {dir}/pid").start();
    for _ in 0..3 {
        get(&server);
    }
    // A request is counted before its line is written, which may be after its answer.
    server.log().wait_n(3, |line| line.contains("] GET / => ")).expect("three lines");
    let seen = get(&server).json();
    let workers = seen["workers"].as_array().expect("a list").clone();
    let keys = "avg_rt delta_requests exceptions id last_spawn pid requests respawn_count rss running_time signals status \
                tx vsz";
    for (worker, pid) in workers.iter().zip(server.workers()) {
        assert_eq!(worker["pid"], pid);
        let mut known: Vec<&str> = worker.as_object().expect("a dict").keys().map(String::as_str).collect();
        known.sort_unstable();
        assert_eq!(known.join(" "), keys);
    }
    let sum = |key: &str| workers.iter().map(|worker| worker[key].as_u64().expect("a number")).sum::<u64>();
    assert_eq!((workers.len(), sum("id"), sum("requests")), (2, 3, 3), "{workers:?}");
    assert!(sum("tx") > 300 && sum("running_time") > 0 && sum("last_spawn") > 0, "{workers:?}");
    assert_eq!(seen["sockets"].as_array().map(Vec::len), Some(1));
    assert_eq!(seen["pidfile"], server.path("pid").display().to_string());
    assert_eq!(seen["is_a_reload"], false);
    server.reload_until(|| get(&server).json()["is_a_reload"] == true);
}

#[test]
fn log_and_logvar_reach_the_log() {
    let server = Server::app("uwsgi_module").ini("log-format = colour=%(colour) status=%(status)").start();
    get(&server);
    server.log().wait_for("said by uwsgi.log");
    server.log().wait_for("colour=green status=200");
}

#[test]
fn request_id_counts_requests() {
    let server = Server::app("uwsgi_module").start();
    let ids = [(); 3].map(|()| get(&server).json()["request_id"].as_u64().expect("a number"));
    assert_eq!([ids[1] - ids[0], ids[2] - ids[1]], [1, 1], "{ids:?}");
}

#[test]
fn applications_are_mounted() {
    // uWSGI looks at it when it loads a module, not a file.
    let server = Server::app("uwsgi_applications")
        .without("wsgi-file")
        .ini("chdir = {apps}/uwsgi_applications\nmodule = app")
        .start();
    for (script_name, answer) in [("", "front"), ("/back", "back")] {
        let packet = Packet::get(&format!("{script_name}/x")).var("SCRIPT_NAME", script_name);
        assert_eq!(server.socket().uwsgi(&packet).expect(200).text(), answer);
    }
}

#[test]
fn postfork_runs_once_in_each_worker() {
    if !has(&["venv"]) {
        return;
    }
    let server = Server::app("postfork").processes(3).start();
    let lines = server.log().wait_n(3, |line| line.starts_with("postfork in "));
    let ran: BTreeSet<String> = lines.expect("three workers").into_iter().collect();
    let expected: BTreeSet<String> =
        (1..).zip(server.workers()).map(|(n, pid)| format!("postfork in {pid} worker {n}")).collect();
    assert_eq!(ran, expected);
    let answer = get(&server).text();
    let words: Vec<&str> = answer.split(' ').collect();
    assert_ne!(words[0], words[1], "imported before the fork");
    assert_eq!(words[2], format!("[{}]", words[1]), "ran once in this worker");
}

#[test]
fn atexit_runs_once_in_each_worker() {
    if !has(&["venv"]) {
        return;
    }
    let server = Server::app("postfork").processes(2).start();
    let workers = server.workers();
    get(&server);
    server.log().wait_n(2, |line| line.starts_with("postfork in ")).expect("both started");
    server.stop();
    server.log().wait_end();
    for pid in workers {
        assert_eq!(server.log().count(|line| line == format!("atexit in {pid}")), 1, "worker {pid}");
    }
}

/// An application with threads that never end, as agents, pools and queues have them.
const WITH_THREADS: &str = "
import atexit, os, sys, threading

pid = os.getpid()
never = threading.Event()

def leaving():
    print('atexit in', os.getpid(), flush=True)

def start():
    for daemon in True, False:
        threading.Thread(target=never.wait, daemon=daemon).start()
    atexit.register(leaving)

os.register_at_fork(after_in_child=start)

def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

#[test]
fn atexit_runs_once_whatever_threads_there_are() {
    if uwring_only("it waits for the thread until it is killed") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("site.py"), WITH_THREADS).expect("write the application");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nworker-reload-mercy = 6")
        .processes(2)
        .start();
    let is_born = |line: &str| crate::support::worker_pid(line).is_some();
    // One by one, all at once, and the end.
    kill(Pid::from_raw(server.workers()[0]), Signal::SIGHUP).expect("end our worker");
    assert!(server.log().wait_n(3, is_born).is_some(), "{}", server.log().text());
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    // Nobody waits for those that are leaving.
    assert_eq!(server.stop().code(), Some(0));
    server.log().wait_end();
    let lines = server.log().lines();
    let born: Vec<i32> = lines.iter().filter_map(|line| crate::support::worker_pid(line)).collect();
    assert_eq!(born.len(), 5, "{lines:?}");
    for pid in born {
        let times = lines.iter().filter(|line| **line == format!("atexit in {pid}")).count();
        assert_eq!(times, 1, "worker {pid}: {lines:?}");
    }
    assert_eq!(lines.iter().filter(|line| line.contains("these threads do not end")).count(), 5);
    // None was killed because it would not end.
    assert!(!lines.iter().any(|line| line.contains("NO MERCY")), "{lines:?}");
}

#[test]
fn lock_excludes_other_workers() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("counter"), "0").expect("write the counter");
    let server = Server::app("lock").folder(folder).processes(4).ini("env = COUNTER={dir}/counter").start();
    let mut clients: Vec<_> = (0..8)
        .map(|_| {
            let mut client = server.socket().connect();
            client.send(Packet::get("/").bytes());
            client
        })
        .collect();
    for client in &mut clients {
        client.response("GET").expect(200);
    }
    let counted = std::fs::read_to_string(server.path("counter")).expect("the counter");
    assert_eq!(counted, (8 * 200).to_string());
}

#[test]
fn lock_of_a_dead_worker_is_free() {
    if uwring_only("a stopped holder is tested as uWSGI does it, by robust mutexes, elsewhere") {
        return;
    }
    let server = Server::app("lock_held").processes(2).start();
    let gate = crate::support::Gate::new(server.path("gate"));
    let mut client = server.socket().connect();
    client.send(Packet::get("/").var("QUERY_STRING", gate.query()).bytes());
    let line = server.log().wait_for("locked by ");
    let pid: i32 = line.trim_start_matches("locked by ").parse().expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("kill our worker");
    assert_eq!(client.rest_or_reset(), b"");
    get(&server);
}

#[test]
fn reload_from_the_application_reloads() {
    let server = Server::app("uwsgi_reload").start();
    let first = get(&server).text();
    server.socket().uwsgi(&Packet::get("/reload")).expect(200);
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while get(&server).text() == first {
        assert!(std::time::Instant::now() < deadline, "never reloaded");
    }
}

#[test]
fn workers_are_whole_after_the_fork() {
    let server = Server::app("after_fork").processes(4).start();
    let mut random = std::collections::BTreeMap::new();
    // Ask until two workers have answered.
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while random.len() < 2 && std::time::Instant::now() < deadline {
        let mut clients = [(); 4].map(|()| {
            let mut client = server.socket().connect();
            client.send(Packet::get("/").bytes());
            client
        });
        for client in &mut clients {
            let seen = client.response("GET").expect(200).json();
            assert_eq!((&seen["ssl"], &seen["thread"]), (&16.into(), &1.into()), "{seen}");
            assert_eq!(seen["ident_is_real"], true, "{seen}");
            random.entry(seen["pid"].to_string()).or_insert(seen["random"].to_string());
        }
    }
    assert_eq!(random.len(), 2.max(random.len()), "only one worker answers");
    let different: BTreeSet<&String> = random.values().collect();
    assert_eq!(different.len(), random.len(), "workers share their random numbers: {random:?}");
}

#[test]
fn fork_hooks_run_and_signals_are_the_applications() {
    if uwring_only("needs py-call-uwsgi-fork-hooks") {
        return;
    }
    let server = Server::app("after_fork").processes(2).start();
    let seen = get(&server).json();
    assert_eq!(seen["hook_ran_here"], true, "{seen}");
    assert_eq!(seen["main_thread"], true, "{seen}");
    assert_eq!(seen["signal_error"], serde_json::Value::Null, "{seen}");
}
