//! A reload after the program itself was replaced: the master becomes the new one.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::{Packet, Server, ServerBuilder, copy_program, program, uwring_only};

/// Puts a copy of the program (and the plugin beside it) into `folder`, in one step as an installation does.
pub fn install(folder: &Path) {
    let build = program().parent().expect("a build folder").to_owned();
    for name in ["libuwring_python.so", "uwring"] {
        copy_program(&build.join(name), &folder.join("new"));
        std::fs::rename(folder.join("new"), folder.join(name)).expect("put into place");
    }
}

/// An application that answers with its master's pid.
fn served(builder: ServerBuilder) -> Option<Server> {
    if uwring_only("its reload loads the application into what is left of the old process") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    install(folder.path());
    let program = folder.path().join("uwring");
    Some(builder.folder(folder).program(program).start())
}

#[test]
fn a_replaced_program_takes_over_sockets_and_pid() {
    let app = Server::app("hello").ini("processes = 2\npidfile = {dir}/pid\nvacuum = true");
    let Some(server) = served(app) else { return };
    for round in 1..=2 {
        install(server.folder.path());
        server.signal(Signal::SIGHUP);
        let became = |line: &str| line.starts_with("the program was replaced: the master is uwring");
        assert!(server.log().wait_n(round, became).is_some(), "{}", server.log().text());
        let gone = 2 * round;
        assert!(server.log().wait_n(gone, |line| line.contains(" buried after ")).is_some());
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    // Not replaced: an ordinary reload.
    server.signal(Signal::SIGHUP);
    assert!(server.log().wait_n(6, |line| line.contains(" buried after ")).is_some());
    assert_eq!(server.log().lines().iter().filter(|line| line.contains("was replaced")).count(), 2);
    let exe = std::fs::read_link(format!("/proc/{}/exe", server.process.pid)).expect("it runs");
    assert_eq!(exe, server.path("uwring"), "what runs is what lies there");
    assert_eq!(server.stop().code(), Some(0));
    assert!(!server.path("pid").exists() && !server.path("app.sock").exists(), "vacuum still knows them");
}

#[test]
fn a_replaced_program_goes_on_with_the_log_process() {
    let app = Server::app("log").ini("logto = {dir}/server.log\nlog-master = true\nlog-format = json");
    if uwring_only("its reload loads the application into what is left of the old process") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    install(folder.path());
    let program = folder.path().join("uwring");
    let server = app.folder(folder).program(program).launch();
    let log = |text: &str, times: usize| {
        let deadline = std::time::Instant::now() + crate::support::PATIENCE;
        loop {
            let log = std::fs::read_to_string(server.path("server.log")).unwrap_or_default();
            if log.matches(text).count() == times {
                return log;
            }
            assert!(std::time::Instant::now() < deadline, "{text}:\n{log}\n{}", server.log().text());
            std::thread::yield_now();
        }
    };
    let say = |text: &str| {
        server.socket().uwsgi(&Packet::get(&format!("/say/{text}"))).expect(200);
        log(&format!("\"message\":\"{text}\""), 1);
    };
    log("spawned uWSGI worker 1", 1);
    install(server.folder.path());
    server.signal(Signal::SIGHUP);
    log(" buried after ", 1);
    log("the program was replaced: the master is uwring", 1);
    say("same-process");
    // The new program can replace the log process, too.
    let master = server.process.pid;
    let children =
        std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("children");
    let is_logger = |pid: &&str| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "uwring logger")
    };
    let logger = children.split_whitespace().find(is_logger).expect("a log process").parse().expect("a pid");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(logger), Signal::SIGKILL).expect("killed");
    log("another one goes on", 1);
    say("another-process");
    assert_eq!(server.stop().code(), Some(0));
    for line in log("goodbye to uWSGI.", 1).lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    }
}

#[test]
fn a_replaced_program_loses_no_request() {
    let Some(server) = served(Server::app("hello").processes(2)) else { return };
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut served = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        server.socket().uwsgi(&Packet::get("/")).expect(200);
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for round in 1..=3 {
            install(server.folder.path());
            server.signal(Signal::SIGHUP);
            assert!(server.log().wait_n(2 * round, |line| line.contains(" buried after ")).is_some());
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for client in clients {
            assert!(client.join().expect("no request failed") > 0);
        }
    });
    assert_eq!(server.log().lines().iter().filter(|line| line.contains("was replaced")).count(), 3);
}

#[test]
fn a_waiting_ctl_is_answered_by_the_new_program() {
    let Some(server) = served(Server::app("hello")) else { return };
    install(server.folder.path());
    let pid = server.process.pid.to_string();
    let ctl = |words: &[&str]| {
        let mut command = std::process::Command::new(server.path("uwring"));
        command.args(["ctl", "--pid", &pid]).args(words).output().expect("start uwring ctl")
    };
    let told = ctl(&["reload", "--wait"]);
    assert_eq!(String::from_utf8_lossy(&told.stdout), "generation 2 serves now\n", "{told:?}");
    server.log().wait_for("the program was replaced: the master is uwring");
    let status = ctl(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!((&status["generation"], &status["pid"]), (&2.into(), &server.process.pid.as_raw().into()));
}

#[test]
fn a_new_program_that_cannot_take_over_is_left_alone() {
    let Some(server) = served(Server::app("hello")) else { return };
    let broken = server.path("broken");
    std::fs::write(&broken, "#!/bin/sh\necho too new\nexit 3\n").expect("write");
    std::fs::set_permissions(&broken, PermissionsExt::from_mode(0o755)).expect("chmod");
    std::fs::rename(&broken, server.path("uwring")).expect("put into place");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the new one cannot take over (it ended with exit status: 3)");
    // The reload itself goes on.
    server.log().wait_for(" buried after ");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    // And a good one is taken later.
    install(server.folder.path());
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the program was replaced: the master is uwring");
    assert!(server.log().wait_n(2, |line| line.contains(" buried after ")).is_some());
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_configuration_broken_meanwhile_leaves_the_old_generation() {
    let Some(server) = served(Server::app("hello")) else { return };
    install(server.folder.path());
    let good = std::fs::read_to_string(server.path("uwsgi.ini")).expect("the configuration");
    std::fs::write(server.path("uwsgi.ini"), "[uwsgi]\nprocesses = many\n").expect("write");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("cannot take over");
    server.log().wait_for("generation 1");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    std::fs::write(server.path("uwsgi.ini"), good).expect("write");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the program was replaced: the master is uwring");
    server.log().wait_for(" buried after ");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn the_number_of_workers_goes_over() {
    let ini = "processes = 3\ncheaper = 1\ncheaper-algo = manual\nmaster-fifo = {dir}/fifo";
    let Some(server) = served(Server::app("hello").ini(ini)) else { return };
    let states = || {
        let status = server.status();
        let workers = status["workers"].as_array().cloned().expect("workers");
        let state = |worker: &serde_json::Value| worker["state"].as_str().map(str::to_owned);
        let mut states: Vec<String> = workers.iter().filter_map(state).collect();
        states.sort();
        states
    };
    let replaced = |times: usize| {
        install(server.folder.path());
        assert!(server.ctl(&["reload", "--wait"]).status.success());
        let became = |line: &str| line.starts_with("the program was replaced: the master is uwring");
        assert!(server.log().wait_n(times, became).is_some(), "{}", server.log().text());
    };
    assert!(server.ctl(&["workers", "2"]).status.success());
    replaced(1);
    assert!(server.log().wait_n(2, |line| line.contains(" buried after ")).is_some());
    assert_eq!(states(), ["cheap", "ready", "ready"]);
    // Asleep, it wakes as the new one.
    std::fs::write(server.path("fifo"), "C").expect("written");
    assert!(server.log().wait_n(4, |line| line.contains(" buried after ")).is_some());
    replaced(2);
    assert_eq!(states(), ["cheap"; 3]);
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_cron_job_that_runs_goes_over() {
    let job = "cron2 = unique=1,harakiri=2 echo $$ >> {dir}/runs; exec sleep 30";
    let Some(server) = served(Server::app("hello").ini(job)) else { return };
    server.log().wait_for("[uwsgi-cron] running");
    install(server.folder.path());
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the program was replaced: the master is uwring");
    // The new one has had its first look at the time when it starts the first template: it runs no second of them, and
    // ends the first, as it is to.
    server.log().wait_for("exceeded its time");
    let ended = server.log().wait_for("exited after");
    let runs = std::fs::read_to_string(server.path("runs")).expect("it ran");
    let first = runs.lines().next().expect("a pid");
    assert!(ended.contains(&format!("running with pid {first} ")), "{ended}");
    let killed = |line: &str| line.contains("exceeded its time") || line.contains("[uwsgi-cron] running");
    let told: Vec<String> = server.log().lines().into_iter().filter(|line| killed(line)).take(2).collect();
    assert!(told[1].contains("exceeded its time"), "it ran twice at once: {told:?}");
}

#[test]
fn who_waits_for_stacks_is_answered_by_the_new_program() {
    let Some(server) = served(Server::app("hello").processes(2).ini("stuck-worker-timeout = 0")) else {
        return;
    };
    install(server.folder.path());
    let stopped = nix::unistd::Pid::from_raw(server.workers()[0]);
    nix::sys::signal::kill(stopped, Signal::SIGSTOP).expect("stop our worker");
    let mut ctl = std::process::Command::new(server.path("uwring"));
    ctl.args(["ctl", "--pid", &server.process.pid.to_string(), "dump", "--json"]);
    let waits = ctl.stdout(std::process::Stdio::piped()).spawn().expect("start uwring ctl");
    // Others are answered meanwhile: the master has heard the one that waits, most likely.
    for _ in 0..3 {
        server.status();
    }
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the program was replaced: the master is uwring");
    nix::sys::signal::kill(stopped, Signal::SIGCONT).expect("let it go on");
    let told = waits.wait_with_output().expect("an answer");
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let told: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let pids: Vec<i64> =
        told.as_array().expect("a list").iter().filter_map(|one| one["pid"].as_i64()).collect();
    assert_eq!(pids.len(), 2, "{text}");
    assert!(pids.contains(&stopped.as_raw().into()), "{text}");
}
