//! Processes and signals: stop, reload, death, privileges, files left behind.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    Gate, Packet, Server, Target, can_become_another, has, is_root, skipped, target, uwring_only,
};

#[test]
fn sigterm_finishes_requests_in_flight_and_exits_0() {
    if uwring_only("die-on-term kills what is in flight") {
        return;
    }
    let server = Server::app("wait").start();
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    server.signal(Signal::SIGTERM);
    server.log().wait_for("SIGINT/SIGTERM received");
    gate.open();
    client.response("GET").expect(200);
    assert_eq!(server.process.expect_end().code(), Some(0));
}

#[test]
fn sigterm_serves_what_waits_in_the_backlog() {
    if uwring_only("die-on-term kills what is in flight and waiting") {
        return;
    }
    // Two workers, both busy: neither accepts, so what comes now stays in the kernel's queue.
    let server = Server::app("wait").processes(2).start();
    let gates = ["gate0", "gate1"].map(|name| Gate::new(server.path(name)));
    let mut first: Vec<_> = gates.iter().map(|gate| server.send_to(gate)).collect();
    assert!(server.log().wait_n(2, |line| line.starts_with("waiting at")).is_some());
    let mut waiting: Vec<_> = (0..200)
        .map(|_| {
            let mut client = server.socket().connect();
            client.send(Packet::get("/").bytes());
            client
        })
        .collect();
    server.signal(Signal::SIGTERM);
    server.log().wait_for("SIGINT/SIGTERM received");
    gates.iter().for_each(Gate::open);
    for client in &mut first {
        client.response("GET").expect(200);
    }
    for client in &mut waiting {
        client.response("GET").expect(200);
    }
    assert_eq!(server.process.expect_end().code(), Some(0));
}

#[test]
fn sigterm_lets_a_slow_reader_have_its_body() {
    if uwring_only("die-on-term kills what is in flight") {
        return;
    }
    let server = Server::app("length").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/").var("QUERY_STRING", "5000000,5000000").bytes());
    client.head();
    client.exactly(1000);
    server.signal(Signal::SIGTERM);
    server.log().wait_for("SIGINT/SIGTERM received");
    assert_eq!(client.rest().len(), 5_000_000 - 1000);
    assert_eq!(server.process.expect_end().code(), Some(0));
}

#[test]
fn sigterm_ends_kept_connections() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = Server::app("wait").http().start();
    let mut idle = server.http();
    idle.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    idle.response("GET").expect(200);
    let gate = Gate::new(server.path("gate"));
    let mut active = server.http();
    active.send(format!("GET /?{} HTTP/1.1\r\nHost: test\r\n\r\n", gate.query()));
    server.log().wait_for("waiting at");
    server.signal(Signal::SIGTERM);
    assert!(idle.is_closed());
    gate.open();
    assert_eq!(active.response("GET").expect(200).header("Connection"), Some("close"));
    assert_eq!(server.process.expect_end().code(), Some(0));
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_in_flight() {
    if uwring_only("die-on-term waits for nobody the first time") {
        return;
    }
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let server = Server::app("wait").start();
        let gate = Gate::new(server.path("gate"));
        let mut client = server.in_flight(&gate);
        server.signal(Signal::SIGTERM);
        server.log().wait_for("SIGINT/SIGTERM received");
        server.signal(second);
        // Nobody opens the gate.
        assert_eq!(server.process.expect_end().code(), Some(0), "{second}");
        assert!(client.rest_or_reset().is_empty());
    }
}

#[test]
fn every_stop_signal_exits_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT] {
        // With die-on-term SIGQUIT reloads uWSGI.
        if signal == Signal::SIGQUIT && target() == Target::Uwsgi {
            continue;
        }
        let server = Server::app("hello").processes(2).start();
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        server.signal(signal);
        assert_eq!(server.process.expect_end().code(), Some(0), "{signal}");
        server.log().wait_end();
        server.log().wait_for("goodbye to uWSGI.");
        for worker in server.workers() {
            assert!(!Path::new(&format!("/proc/{worker}")).exists(), "{signal}: worker {worker} is left");
        }
    }
}

#[test]
fn sighup_takes_up_changed_code_without_a_failed_request() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("site.py");
    let write = |version: u32| {
        let app = format!(
            "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'version {version}']\n"
        );
        std::fs::write(&file, app).expect("write the application");
    };
    write(1);
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nprocesses = 2\nenv = PYTHONDONTWRITEBYTECODE=1")
        .start();
    let ask = || server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    assert_eq!(ask(), "version 1");
    for version in 2..5 {
        write(version);
        // Every answer until the change shows is the old one, and none fails.
        server.reload_until(|| {
            let answer = ask();
            assert!(
                answer == format!("version {}", version - 1) || answer == format!("version {version}"),
                "{answer}"
            );
            answer == format!("version {version}")
        });
        // The last of the old workers may still be answering; only then comes the next change.
        let gone = 2 * (version as usize - 1);
        assert!(server.log().wait_n(gone, |line| line.contains(" buried after ")).is_some());
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn reloads_under_load_lose_no_request_on_kept_connections() {
    if uwring_only("a reload closes kept connections") || !has(&["wrk"]) {
        return;
    }
    let server = Server::app("hello").processes(2).without("socket").ini("http-socket = 127.0.0.1:0").start();
    let crate::support::Address::Tcp(address) = server.tcp(0) else { panic!("a TCP address was asked for") };
    let wrk = std::process::Command::new(crate::support::find("wrk").expect("found above"))
        .args(["-t1", "-c16", "-d4", "--timeout", "90s", &format!("http://{address}/")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("start wrk");
    for reload in 1..=3 {
        server.signal(Signal::SIGHUP);
        // Each is complete before the next is asked for: both old workers are gone.
        let gone = 2 * reload;
        assert!(server.log().wait_n(gone, |line| line.contains(" buried after ")).is_some());
    }
    let report = wrk.wait_with_output().expect("wrk's report");
    let report = String::from_utf8_lossy(&report.stdout);
    assert!(report.contains(" requests in "), "{report}");
    // wrk mentions neither unless there is one.
    assert!(!report.contains("Socket errors") && !report.contains("Non-2xx"), "{report}");
}

#[test]
fn sighup_with_broken_code_keeps_serving() {
    if uwring_only("a reload that fails ends the server") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let good = std::fs::read(crate::support::app("hello").join("app.py")).expect("the application");
    std::fs::write(folder.path().join("site.py"), &good).expect("write the application");
    let server =
        Server::bare().folder(folder).ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock").start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    std::fs::write(server.path("site.py"), "def application(:\n").expect("write the application");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("SyntaxError");
    for _ in 0..20 {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    let better = String::from_utf8(good).expect("text").replace("Hello, world!", "Hello, again!");
    std::fs::write(server.path("site.py"), better).expect("write the application");
    server.reload_until(|| server.socket().uwsgi(&Packet::get("/")).expect(200).text() == "Hello, again!");
}

#[test]
fn killed_worker_is_respawned() {
    let server = Server::app("wait").processes(2).start();
    let killed = server.workers()[0];
    kill(Pid::from_raw(killed), Signal::SIGKILL).expect("kill our worker");
    let dead = format!("(pid: {killed}) died, killed by signal 9 :( trying respawn ...");
    server.log().wait_for(&dead);
    server.log().wait_for("Respawned uWSGI worker ");
    // Both are there: neither answer comes from the dead one, and both places get work.
    let gate = Gate::new(server.path("gate"));
    let mut held = server.in_flight(&gate);
    let free = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    gate.open();
    let held = held.response("GET").expect(200).text();
    assert_ne!(free, held);
    assert!(free != killed.to_string() && held != killed.to_string());
}

#[test]
fn worker_killed_in_a_request_fails_that_request_alone() {
    let server = Server::app("wait").processes(2).start();
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    let other = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    let busy = server.workers().into_iter().find(|pid| pid.to_string() != other).expect("the other worker");
    kill(Pid::from_raw(busy), Signal::SIGKILL).expect("kill our worker");
    assert_eq!(client.rest_or_reset(), b"");
    server.log().wait_for("Respawned uWSGI worker ");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn broken_application_exits_22() {
    for processes in ["", "processes = 4"] {
        let server = Server::app("broken_import").ini(processes).launch();
        assert_eq!(server.process.expect_end().code(), Some(22));
        server.log().wait_end();
        server.log().wait_for("RuntimeError: cannot be imported");
        server.log().wait_for("*** no app loaded. GAME OVER ***");
    }
}

#[test]
fn missing_callable_exits_22() {
    let server = Server::app("hello").ini("callable = nothing").launch();
    assert_eq!(server.process.expect_end().code(), Some(22));
    server.log().wait_end();
    server.log().wait_for("unable to find ");
}

#[test]
fn address_in_use_exits_1() {
    let server = Server::app("hello").http().start();
    let crate::support::Address::Tcp(address) = server.tcp(0) else { unreachable!("a TCP address") };
    let second = Server::app("hello").without("socket").ini(&format!("http-socket = {address}")).launch();
    assert_eq!(second.process.expect_end().code(), Some(1));
    second.log().wait_end();
    second.log().wait_for(&address.to_string());
    server.get("/").expect(200);
}

#[test]
fn pidfile_holds_the_master_and_vacuum_removes_it() {
    let server = Server::app("hello").ini("pidfile = {dir}/server.pid\nvacuum = true\nchdir = {dir}").start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    let pid = std::fs::read_to_string(server.path("server.pid")).expect("the pidfile");
    assert_eq!(pid.trim(), server.process.pid.to_string());
    assert!(std::fs::metadata(server.path("app.sock")).expect("the socket").file_type().is_socket());
    assert_eq!(server.stop().code(), Some(0));
    assert!(!server.path("server.pid").exists());
    assert!(!server.path("app.sock").exists());
}

#[test]
fn pidfile_keeps_the_pid_over_a_reload() {
    let server = Server::app("wait").ini("pidfile = {dir}/server.pid").start();
    let worker = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    server.reload_until(|| server.socket().uwsgi(&Packet::get("/")).expect(200).text() != worker);
    let pid = std::fs::read_to_string(server.path("server.pid")).expect("the pidfile");
    assert_eq!(pid.trim(), server.process.pid.to_string());
    assert_eq!(server.process.ended(), None);
}

#[test]
fn without_vacuum_the_socket_stays_and_is_taken_over() {
    let server = Server::app("hello").start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    server.stop();
    assert!(server.path("app.sock").exists());
    let line = format!("socket = {}", server.path("app.sock").display());
    let _second = Server::app("hello").without("socket").ini(&line).start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn chmod_socket_sets_the_mode() {
    for (value, mode) in
        [("chmod-socket = 600", 0o600), ("chmod-socket = 660", 0o660), ("chmod-socket", 0o666)]
    {
        // An ini key without a value is one with an empty value: only the command line can leave it out.
        let builder = Server::app("hello");
        let server = if value.contains('=') {
            builder.ini(value).start()
        } else {
            builder.args(&["--chmod-socket"]).start()
        };
        let permissions = std::fs::metadata(server.path("app.sock")).expect("the socket").permissions();
        assert_eq!(permissions.mode() & 0o777, mode, "{value}");
    }
}

#[test]
fn uid_and_gid_are_given_up() {
    if !can_become_another() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).expect("open the folder");
    let server = Server::app("wait").folder(folder).ini("uid = 65534\ngid = 65534\nprocesses = 2").start();
    let worker = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    for pid in [worker, server.process.pid.to_string()] {
        let status = std::fs::metadata(format!("/proc/{pid}")).expect("a process");
        assert_eq!((status.uid(), status.gid()), (65534, 65534), "pid {pid}");
    }
    let socket = std::fs::metadata(server.path("app.sock")).expect("the socket");
    assert_eq!((socket.uid(), socket.gid()), (65534, 65534));
}

#[test]
fn chown_socket_gives_the_socket_away() {
    if !is_root() {
        skipped("not run by root");
        return;
    }
    let server = Server::app("hello").ini("chown-socket = 65534:65534").start();
    let socket = std::fs::metadata(server.path("app.sock")).expect("the socket");
    assert_eq!((socket.uid(), socket.gid()), (65534, 65534));
}

#[test]
fn all_processes_and_threads_serve() {
    for (processes, threads) in [(4, 1), (1, 4), (2, 3)] {
        let server = Server::app("wait").processes(processes).ini(&format!("threads = {threads}")).start();
        // As many as there are threads in all processes, each held by its gate until all have arrived.
        let n = processes * threads;
        let gates: Vec<Gate> = (0..n).map(|i| Gate::new(server.path(&format!("gate{i}")))).collect();
        let mut clients: Vec<_> = gates.iter().map(|gate| server.send_to(gate)).collect();
        assert!(
            server.log().wait_n(n, |line| line.starts_with("waiting at")).is_some(),
            "{processes} × {threads}: not all at once"
        );
        gates.iter().for_each(Gate::open);
        let pids: std::collections::BTreeSet<String> =
            clients.iter_mut().map(|client| client.response("GET").expect(200).text()).collect();
        assert_eq!(pids.len(), processes, "{processes} × {threads}");
    }
}

#[test]
fn lazy_apps_imports_in_each_worker() {
    for (ini, imports) in [("", 1), ("lazy-apps = true", 3)] {
        let server = Server::app("print").processes(3).ini(ini).start();
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        assert!(server.log().wait_n(imports, |line| line == "printed at import").is_some());
        server.stop();
        server.log().wait_end();
        assert_eq!(server.log().count(|line| line == "printed at import"), imports, "{ini}");
    }
}

#[test]
fn daemonize_leaves_a_server_behind() {
    let server = Server::app("hello")
        .ini("daemonize = {dir}/server.log\npidfile = {dir}/server.pid\nno-orphans = true")
        .launch();
    assert_eq!(server.process.expect_end().code(), Some(0));
    // The socket may not be bound yet when the first process ends: the log says when.
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    let log = || std::fs::read_to_string(server.path("server.log")).unwrap_or_default();
    while !log().contains("spawned uWSGI worker 1 ") {
        assert!(std::time::Instant::now() < deadline, "{}", log());
        std::thread::yield_now();
    }
    let response = server.socket().uwsgi(&Packet::get("/"));
    let pid: i32 = std::fs::read_to_string(server.path("server.pid"))
        .expect("the pidfile")
        .trim()
        .parse()
        .expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("stop our server");
    response.expect(200);
    while !log().contains("goodbye to uWSGI.") {
        assert!(std::time::Instant::now() < deadline, "{}", log());
        std::thread::yield_now();
    }
}

#[test]
fn alarms_tell_of_lines_of_the_log() {
    if uwring_only("not compared: with log-alarm uWSGI's log ends after its first line here") {
        return;
    }
    let server = Server::app("errors")
        .ini("alarm = told cmd:cat > {dir}/told\nalarm = other cmd:cat > {dir}/other")
        .ini("log-alarm = told by print\nnot-log-alarm = told by writelines\nlog-alarm = other by writelines")
        .start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    let told = server.path("told");
    let started = std::time::Instant::now();
    while !std::fs::read_to_string(&told).is_ok_and(|text| text.contains("by print")) {
        assert!(started.elapsed() < crate::support::PATIENCE, "nobody was told: {}", server.log().text());
        std::thread::yield_now();
    }
    // Its lines came before, and would have been told by now.
    assert!(!server.path("other").exists());
}

/// Whether all threads of a process are stopped: proc_pid_stat(5).
fn is_stopped(pid: nix::unistd::Pid) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    tasks.filter_map(Result::ok).all(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

#[test]
fn an_alarm_tells_of_a_full_line() {
    let server = Server::app("hello")
        .http()
        .ini("listen = 2\nalarm = told cmd:cat > {dir}/told\nalarm-backlog = told")
        .start();
    let worker = nix::unistd::Pid::from_raw(server.workers()[0]);
    nix::sys::signal::kill(worker, Signal::SIGSTOP).expect("our own worker");
    let crate::support::Address::Tcp(address) = server.tcp(0) else { panic!("it listens on TCP") };
    // A thread that has not stopped yet would take some of them.
    while !is_stopped(worker) {
        std::thread::yield_now();
    }
    let clients: Vec<_> = (0..3).map(|_| std::net::TcpStream::connect(address)).collect();
    let told = server.path("told");
    let started = std::time::Instant::now();
    while !std::fs::read_to_string(&told).is_ok_and(|text| text.contains("full")) {
        assert!(started.elapsed() < crate::support::PATIENCE, "nobody was told: {}", server.log().text());
        std::thread::yield_now();
    }
    server.log().wait_for("*** uWSGI listen queue of socket \"");
    nix::sys::signal::kill(worker, Signal::SIGCONT).expect("our own worker");
    drop(clients);
}

#[test]
fn an_alarm_tells_of_a_segmentation_fault() {
    let server = Server::app("hello")
        .ini("alarm = told cmd:cat > {dir}/told\nalarm = said log:\nalarm-segfault = told\nalarm-segfault = said")
        .start();
    let worker = server.workers()[0];
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(worker), Signal::SIGSEGV).expect("our own worker");
    let told = server.path("told");
    let started = std::time::Instant::now();
    while !std::fs::read_to_string(&told).is_ok_and(|text| !text.is_empty()) {
        assert!(started.elapsed() < crate::support::PATIENCE, "nobody was told: {}", server.log().text());
        std::thread::yield_now();
    }
    if target() == Target::Uwring {
        let line = server.log().wait_for("ALARM: said uWSGI process");
        assert!(line.contains(&worker.to_string()), "{line}");
    }
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}
