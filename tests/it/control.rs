//! Controlling a server from the shell: `master-fifo`, `touch-…`, SIGTSTP; and what the kernel allows it.

use std::io::Write;

use nix::sys::signal::Signal;

use crate::support::{Address, Gate, Packet, Server, Target, has, is_root, skipped, target, uwring_only};

fn answer(server: &Server) -> String {
    server.socket().uwsgi(&Packet::get("/")).expect(200).text()
}

/// Writes letters into a fifo that the server made.
fn command(server: &Server, letters: &str) {
    let mut fifo = std::fs::OpenOptions::new().write(true).open(server.path("fifo")).expect("the fifo");
    fifo.write_all(letters.as_bytes()).expect("written");
}

/// An application in the server's folder, which answers with this.
fn write(server: &std::path::Path, text: &str) {
    let code = format!("def application(e, s):\n    s('200 OK', [])\n    return [b'{text}']\n");
    std::fs::write(server.join("site.py"), code).expect("write the application");
}

fn changeable(ini: &str) -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "one");
    let server =
        Server::bare().folder(folder).ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock").ini(ini);
    server.processes(2).start()
}

#[test]
fn the_fifo_reloads_and_stops() {
    let server = changeable("master-fifo = {dir}/fifo");
    assert_eq!(answer(&server), "one");
    write(server.folder.path(), "two");
    command(&server, "r\n");
    while answer(&server) != "two" {}
    command(&server, "s");
    server.log().wait_for(" requests");
    command(&server, "q");
    assert_eq!(server.process.expect_end().code(), Some(0));
}

#[test]
fn the_program_itself_reloads_and_stops_by_pidfile() {
    let server = changeable("pidfile = {dir}/pid");
    assert_eq!(answer(&server), "one");
    write(server.folder.path(), "two");
    let run = |what: &str| {
        let status = std::process::Command::new(crate::support::program())
            .arg(what)
            .arg(server.path("pid"))
            .status()
            .expect("start the program");
        assert!(status.success(), "{what}: {status}");
    };
    run("--reload");
    while answer(&server) != "two" {}
    // uWSGI hears it once it serves with all workers.
    assert!(server.log().wait_n(4, |line| line.starts_with("spawned uWSGI worker ")).is_some());
    run("--stop");
    assert_eq!(server.process.expect_end().code(), Some(0));
}

#[test]
fn the_fifo_is_the_owners_and_goes_with_the_server() {
    if uwring_only("the fifo stays behind") {
        return;
    }
    let server = changeable("master-fifo = {dir}/fifo\nmaster-fifo = {dir}/other");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&server.path("fifo").metadata().expect("made").permissions());
    assert_eq!(mode & 0o777, 0o600);
    command(&server, "x");
    server.log().wait_for("nobody knows command 'x'");
    command(&server, "E");
    server.log().wait_for("command 'E' is not offered");
    command(&server, "1");
    let other = || std::fs::OpenOptions::new().write(true).open(server.path("other"));
    let mut fifo = loop {
        if let Ok(fifo) = other() {
            break fifo;
        }
    };
    fifo.write_all(b"Q").expect("written");
    assert_eq!(server.process.expect_end().code(), Some(0));
    assert!(!server.path("other").exists());
}

#[test]
fn the_fifo_replaces_pauses_and_counts_workers() {
    if uwring_only("W and R lose requests, + and - need cheaper, P and p need a moment between") {
        return;
    }
    let server = changeable("master-fifo = {dir}/fifo");
    let buried = |n: usize| assert!(server.log().wait_n(n, |line| line.contains(" buried after ")).is_some());
    for (n, letter) in (1..).zip(["w", "W", "c"]) {
        command(&server, letter);
        buried(2 * n);
    }
    command(&server, "R");
    server.log().wait_for("generation 2 serves");
    buried(8);
    for (letter, count) in [("-", 1), ("+", 2)] {
        command(&server, letter);
        let ready = || {
            server.status()["workers"]
                .as_array()
                .map(|all| all.iter().filter(|one| one["state"] == "ready").count())
        };
        while ready() != Some(count) {}
    }
    command(&server, "p");
    server.log().wait_for("*** PAUSE");
    command(&server, "p");
    answer(&server);
    command(&server, "3");
    server.log().wait_for("no master-fifo has this number");
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn the_fifo_writes_pidfiles_again() {
    let server = changeable("master-fifo = {dir}/fifo\npidfile = {dir}/pid");
    std::fs::remove_file(server.path("pid")).expect("written at the start");
    command(&server, "P");
    let pid = loop {
        match std::fs::read_to_string(server.path("pid")) {
            Ok(pid) if pid.ends_with('\n') => break pid,
            _ => std::thread::yield_now(),
        }
    };
    assert_eq!(pid, format!("{}\n", server.process.pid));
}

#[test]
fn touched_files_lead_to_what_was_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let watched = folder.path().join("watched");
    std::fs::write(&watched, "").expect("written");
    let server = changeable(&format!(
        "touch-exec = {{dir}}/run echo ran > {{dir}}/ran\ntouch-reload = {{dir}}/reload\nfs-reload = {}",
        watched.display()
    ));
    std::fs::write(server.path("run"), "").expect("touch");
    while !std::fs::read_to_string(server.path("ran")).is_ok_and(|text| text == "ran\n") {
        std::thread::yield_now();
    }
    write(server.folder.path(), "two");
    std::fs::write(server.path("reload"), "").expect("touch");
    while answer(&server) != "two" {}
    if target() == Target::Uwsgi {
        // It resets connections while it reloads.
        return;
    }
    write(server.folder.path(), "three");
    std::fs::write(&watched, "changed").expect("written");
    while answer(&server) != "three" {}
}

#[test]
fn workers_are_replaced_one_by_one() {
    for ini in
        ["master-fifo = {dir}/fifo", "touch-chain-reload = {dir}/touch", "touch-workers-reload = {dir}/touch"]
    {
        let server = changeable(&format!("lazy-apps = true\n{ini}"));
        let before = server.workers();
        assert_eq!(answer(&server), "one");
        write(server.folder.path(), "two");
        if ini.starts_with("master") {
            command(&server, "c");
        } else {
            std::fs::write(server.path("touch"), "").expect("touch");
        }
        // Both are others now, and the application is imported anew.
        while server.workers().len() < 4 {
            assert!(["one", "two"].contains(&answer(&server).as_str()));
        }
        let after = server.workers();
        assert!(before.iter().all(|pid| after.iter().filter(|other| *other == pid).count() == 1));
        while (0..20).any(|_| answer(&server) != "two") {}
    }
}

#[test]
fn a_chain_with_broken_code_leaves_the_old_workers() {
    if uwring_only("it ends with code 22") {
        return;
    }
    let server = changeable("lazy-apps = true\nmaster-fifo = {dir}/fifo\nenv = PYTHONDONTWRITEBYTECODE=1");
    let site = server.path("site.py");
    std::fs::write(&site, "this is no Python").expect("break it");
    command(&server, "c");
    assert!(server.log().wait_n(1, |line| line.starts_with("SyntaxError")).is_some());
    assert!((0..20).all(|_| answer(&server) == "one"));
    // It goes on once it can.
    write(server.folder.path(), "two");
    assert!(server.log().wait_n(2, |line| line.contains(" buried after ")).is_some());
    assert!((0..20).all(|_| answer(&server) == "two"));
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn sigtstp_pauses_and_resumes() {
    if uwring_only("the workers hang in the middle of whatever they do") {
        return;
    }
    let server = Server::app("wait").processes(2).start();
    let gate = Gate::new(server.path("gate"));
    let mut busy = server.in_flight(&gate);
    server.signal(Signal::SIGTSTP);
    server.log().wait_for("*** PAUSE");
    // What was accepted is finished.
    gate.open();
    busy.response("GET").expect(200);
    // The workers hear of it soon after; then nobody takes a connection: as long as it takes another server to answer
    // many, nothing comes.
    let other = Server::app("hello").start();
    let mut waits = loop {
        let mut client = server.socket().connect();
        client.send(Packet::get("/").bytes());
        for _ in 0..50 {
            other.socket().uwsgi(&Packet::get("/")).expect(200);
        }
        if client.is_silent() {
            break client;
        }
    };
    server.signal(Signal::SIGTSTP);
    waits.response("GET").expect(200);
}

#[test]
fn limits_reach_the_workers() {
    let server =
        Server::app("hello").ini("limit-nproc = 5000\nmax-fd = 2000\nlimit-as = 8192\nprio = 3").start();
    let worker = server.workers()[0];
    let limits = std::fs::read_to_string(format!("/proc/{worker}/limits")).expect("it runs");
    let of = |name: &str| {
        let line = limits.lines().find(|line| line.starts_with(name)).expect("a limit");
        line[name.len()..].split_whitespace().next().unwrap_or_default().to_owned()
    };
    assert_eq!(of("Max processes"), "5000");
    assert_eq!(of("Max open files"), "2000");
    assert_eq!(of("Max address space"), (8192_u64 << 20).to_string());
    let stat = std::fs::read_to_string(format!("/proc/{worker}/stat")).expect("it runs");
    let nice = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(16)).expect("a field");
    assert_eq!(nice, "3");
}

#[test]
fn workers_run_on_their_processors() {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skipped("there is one processor only");
    }
    let server = Server::app("hello").ini("cpu-affinity = 1").processes(2).start();
    let allowed: Vec<String> = server
        .workers()
        .into_iter()
        .map(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed_list:")).expect("a line");
            line.split_whitespace().nth(1).unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(allowed, ["0", "1"]);
}

#[test]
fn capabilities_stay_when_root_goes() {
    if !is_root() {
        return skipped("only root has capabilities to keep");
    }
    if target() == Target::Uwsgi && !std::path::Path::new("/usr/include/sys/capability.h").exists() {
        return skipped("uWSGI differs: Debian builds it without libcap");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder.path(), open).expect("open the folder");
    let app = std::fs::read(crate::support::app("hello").join("app.py")).expect("the application");
    std::fs::write(folder.path().join("site.py"), app).expect("write");
    let server = Server::bare()
        .without("virtualenv")
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nuid = nobody\ngid = nogroup\ncap = net_bind_service,kill")
        .start();
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.workers()[0])).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("CapEff:")).expect("a line");
    let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap_or_default(), 16).expect("a number");
    assert_eq!(mask, 1 << 10 | 1 << 5, "{line}");
    let Address::Unix(_) = server.socket() else { unreachable!("a unix socket") };
}

#[test]
fn workers_are_dealt_the_processors_that_may_be_used() {
    if uwring_only("it counts all of the machine, and takes the first ones") || !has(&["taskset"]) {
        return;
    }
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skipped("there is one processor only");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!("#!/bin/sh\nexec taskset -c 1 {} \"$@\"\n", crate::support::program().display());
    let script = crate::support::script_at(folder.path().join("uwring"), &text);
    let server =
        Server::app("hello").folder(folder).program(script).ini("cpu-affinity = 1").processes(2).start();
    for worker in [1, 2] {
        server.log().wait_for(&format!("mapping worker {worker} to CPUs: 1"));
    }
}
