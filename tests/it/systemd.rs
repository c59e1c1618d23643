//! What a service manager is told: a socket of the test's own stands for systemd's.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Gate, PATIENCE, Packet, Server, ServerBuilder, has, program, script_at, uwring_only};

/// The manager's end.
struct Manager(UnixDatagram);

impl Manager {
    /// Listens in a folder of its own; `builder` shall serve there.
    fn of(builder: ServerBuilder) -> (Manager, ServerBuilder) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bind");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        (Manager(socket), builder.folder(folder).env("NOTIFY_SOCKET", "{dir}/notify"))
    }

    fn next(&self) -> String {
        let mut bytes = [0; 512];
        let len = self.0.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    /// Messages until one contains `text`, that one as well.
    fn until(&self, text: &str) -> Vec<String> {
        let mut all = Vec::new();
        while !all.last().is_some_and(|last: &String| last.contains(text)) {
            all.push(self.next());
        }
        all
    }

    /// What has come so far.
    fn so_far(&self) -> Vec<String> {
        self.0.set_nonblocking(true).expect("set");
        let mut all = Vec::new();
        let mut bytes = [0; 512];
        while let Ok(len) = self.0.recv(&mut bytes) {
            all.push(String::from_utf8_lossy(&bytes[..len]).into_owned());
        }
        self.0.set_nonblocking(false).expect("set");
        all
    }

    /// Returns once nothing came for so long.
    fn until_silent_for(&self, silence: Duration) {
        self.0.set_read_timeout(Some(silence)).expect("a timeout");
        let started = std::time::Instant::now();
        while self.0.recv(&mut [0; 512]).is_ok() {
            assert!(started.elapsed() < PATIENCE, "it never fell silent");
        }
        self.0.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    }
}

fn monotonic_us() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).expect("a clock");
    now.tv_sec().cast_unsigned() * 1_000_000 + now.tv_nsec().cast_unsigned() / 1_000
}

#[test]
fn ready_is_told_when_a_worker_accepts() {
    // uWSGI tells it before its first worker exists.
    if uwring_only("it is ready before its workers are") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let gate = Gate::new(folder.path().join("gate"));
    let code = format!(
        "import sys\nprint('importing', file=sys.stderr, flush=True)\nopen({:?}).read()\n\
         def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hi']\n",
        gate.query()
    );
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    let socket = UnixDatagram::bind(folder.path().join("notify")).expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let manager = Manager(socket);
    let server = Server::bare()
        .folder(folder)
        .env("NOTIFY_SOCKET", "{dir}/notify")
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nlazy-apps = true")
        .launch();
    server.log().wait_for("importing");
    assert_eq!(manager.next(), "STATUS=initializing uWSGI");
    assert_eq!(manager.so_far(), Vec::<String>::new());
    gate.open();
    assert_eq!(manager.until("READY=1"), ["STATUS=uWSGI is ready\nREADY=1"]);
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn reloads_and_the_end_are_told() {
    if uwring_only("it tells neither") {
        return;
    }
    let (manager, builder) = Manager::of(Server::app("hello"));
    let server = builder.ini("processes = 2").launch();
    manager.until("READY=1");
    manager.until("STATUS=2 of 2 workers serve, generation 1");
    let before = monotonic_us();
    server.signal(Signal::SIGHUP);
    let told = manager.until("RELOADING=1").pop().expect("told");
    let at: u64 =
        told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a time").parse().expect("a number");
    assert!((before..=monotonic_us()).contains(&at), "{at}");
    assert!(manager.until("READY=1").iter().any(|told| told.contains("the next one loads")));
    manager.until("STATUS=2 of 2 workers serve, generation 2");
    // One that fails ends, too.
    std::fs::write(server.path("uwsgi.ini"), "[uwsgi]\nprocesses = many\n").expect("write the configuration");
    server.signal(Signal::SIGHUP);
    manager.until("RELOADING=1");
    manager.until("READY=1");
    manager.until("STATUS=2 of 2 workers serve, generation 2");
    assert_eq!(server.stop().code(), Some(0));
    let last = manager.so_far();
    assert_eq!(last[0], "STOPPING=1");
    assert!(last[1].starts_with("STATUS=finishing"), "{last:?}");
}

#[test]
fn sockets_come_from_systemd() {
    if !has(&["python3"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // What systemd does: sd_listen_fds(3).
    let script = format!(
        "#!/usr/bin/env python3\nimport os, socket, sys\n\
         made = socket.socket(socket.AF_UNIX)\nmade.bind('{}/app.sock')\nmade.listen()\n\
         os.dup2(made.fileno(), 3)\nos.set_inheritable(3, True)\n\
         os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))\n\
         os.execvp('{program}', ['{program}'] + sys.argv[1:])\n",
        folder.path().display(),
        program = program().display()
    );
    let script = script_at(folder.path().join("systemd"), &script);
    let server = Server::app("wait").without("socket").folder(folder).program(script).start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    if uwring_only("at a reload it misses the option that names a socket, and does not start") {
        return;
    }
    server.reload_until(|| server.log().count(|line| line.starts_with("spawned uWSGI worker 1 ")) == 2);
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn the_watchdog_is_fed_while_a_worker_gets_on() {
    if uwring_only("it knows no watchdog") {
        return;
    }
    const SILENCE: Duration = Duration::from_secs(4);
    let (manager, builder) = Manager::of(Server::app("wait").processes(2));
    let server = builder.env("WATCHDOG_USEC", "2000000").ini("stuck-worker-timeout = 0\nthreads = 2").start();
    manager.until("READY=1");
    manager.until("WATCHDOG=1");
    let stop = |worker: i32, signal| kill(Pid::from_raw(worker), signal).expect("stop our worker");
    let workers = server.workers();
    stop(workers[0], Signal::SIGSTOP);
    for _ in 0..4 {
        manager.until("WATCHDOG=1");
    }
    stop(workers[1], Signal::SIGSTOP);
    manager.until_silent_for(SILENCE);
    stop(workers[1], Signal::SIGCONT);
    manager.until("WATCHDOG=1");
    stop(workers[0], Signal::SIGCONT);
    // All threads of all workers in requests that do not end.
    let gate = Gate::new(server.path("gate"));
    let clients: Vec<_> = (0..4).map(|_| server.send_to(&gate)).collect();
    assert!(server.log().wait_n(4, |line| line.starts_with("waiting at")).is_some());
    manager.until_silent_for(SILENCE);
    gate.open_for_all();
    manager.until("WATCHDOG=1");
    for mut client in clients {
        client.response("GET").expect(200);
    }
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    if uwring_only("it knows no watchdog") {
        return;
    }
    let (manager, builder) = Manager::of(Server::app("hello"));
    let server = builder.env("WATCHDOG_USEC", "100000").env("WATCHDOG_PID", "1").start();
    manager.until("READY=1");
    manager.until("workers serve");
    manager.until_silent_for(Duration::from_secs(1));
    assert_eq!(server.stop().code(), Some(0));
    assert!(!manager.so_far().iter().any(|told| told.contains("WATCHDOG")));
}

#[test]
fn the_watchdog_of_a_sleeping_server_is_fed() {
    if uwring_only("it knows no watchdog") {
        return;
    }
    let (manager, builder) = Manager::of(Server::app("hello").ini("processes = 2\ncheap = true\nidle = 1"));
    let server = builder.env("WATCHDOG_USEC", "1000000").launch();
    for round in 1..=2 {
        // Twice in its time, and for longer than that.
        for _ in 0..4 {
            manager.until("WATCHDOG=1");
        }
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        let sleeps = |line: &str| line.contains("workers have been inactive for more than 1 seconds");
        assert!(server.log().wait_n(round, sleeps).is_some());
    }
    manager.until("WATCHDOG=1");
    assert_eq!(server.stop().code(), Some(0));
}
