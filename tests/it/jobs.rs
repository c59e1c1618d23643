//! What a configuration has done beside the site: hooks, daemons, cron jobs.

use std::collections::BTreeMap;
use std::io::BufRead;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Packet, Server, Target, has, target, uwring_only};

/// Waits until the file holds what `wanted` says, and returns it.
fn wait_for(path: &std::path::Path, wanted: impl Fn(&str) -> bool) -> String {
    let started = std::time::Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if wanted(&text) {
            return text;
        }
        assert!(started.elapsed() < crate::support::PATIENCE, "{}: {text:?}", path.display());
        std::thread::yield_now();
    }
}

fn pid_in(path: &std::path::Path) -> i32 {
    wait_for(path, |text| text.ends_with('\n')).trim().parse().expect("a pid")
}

#[test]
fn hooks_come_in_their_order() {
    let moments = [
        "asap",
        "pre-jail",
        "post-jail",
        "in-jail",
        "as-root",
        "as-user",
        "pre-app",
        "post-app",
        "master-start",
        "post-fork",
        "accepting",
        "accepting1",
    ];
    let mut builder = Server::app("hello").uwsgi_needs("lazy-apps = false");
    // Given the other way round: their moments count.
    for moment in moments.iter().rev() {
        builder = builder.ini(&format!("hook-{moment} = exec:echo {moment} >> {{dir}}/done"));
    }
    let server = builder.ini("hook-as-user-atexit = exec:echo atexit >> {dir}/done").start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    let path = server.path("done");
    let mut before: Vec<String> =
        wait_for(&path, |text| text.lines().count() >= moments.len()).lines().map(str::to_owned).collect();
    // The master and the application's process go their ways at the same time.
    let mut expected: Vec<&str> = moments.into_iter().filter(|moment| *moment != "master-start").collect();
    before.retain(|line| line != "master-start");
    if target() == Target::Uwsgi {
        // Only where there are jails; and what stays root becomes so again and again.
        expected.retain(|moment| *moment != "post-jail");
        let mut seen = std::collections::BTreeSet::new();
        before.retain(|line| seen.insert(line.clone()));
    }
    assert_eq!(before, expected);
    server.stop();
    let after = std::fs::read_to_string(&path).expect("written");
    assert_eq!(after.lines().last(), Some("atexit"), "{after}");
}

#[test]
fn hooks_come_before_accepting_as_often_as_they_say() {
    let mut builder = Server::app("hello").processes(2);
    for moment in ["accepting1-once", "accepting1", "accepting-once", "accepting"] {
        // The shell's parent is the worker.
        builder = builder.ini(&format!("hook-{moment} = exec:echo {moment} $PPID >> {{dir}}/done"));
    }
    let server = builder.start();
    let path = server.path("done");
    let mut seen = 0;
    // What the next so many lines say, by worker.
    let mut next = |lines: usize| {
        let text = wait_for(&path, |text| text.lines().count() >= seen + lines);
        let mut told: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        for line in text.lines().skip(seen) {
            let (moment, pid) = line.split_once(' ').expect("two words");
            told.entry(pid.parse().expect("a pid")).or_default().push(moment.to_owned());
        }
        seen += lines;
        told
    };
    let [all, first] = [
        &["accepting", "accepting-once"][..],
        &["accepting", "accepting-once", "accepting1", "accepting1-once"],
    ];
    let start = next(6);
    let workers = server.workers();
    assert_eq!([&start[&workers[0]][..], &start[&workers[1]][..]], [first, all]);
    // Who takes another's place does some of them again.
    kill(Pid::from_raw(workers[0]), Signal::SIGKILL).expect("it runs");
    assert_eq!(next(2).into_values().collect::<Vec<_>>(), [["accepting", "accepting1"]]);
    // A reload begins anew.
    server.reload_until(|| std::fs::read_to_string(&path).is_ok_and(|text| text.lines().count() >= 14));
    let mut anew: Vec<Vec<String>> = next(6).into_values().collect();
    anew.sort();
    assert_eq!(anew, [all, first]);
}

#[test]
fn hooks_write_and_set_and_say() {
    let server = Server::app("environ")
        .ini("hook-asap = mkdir:{dir}/made")
        .ini("hook-asap = writen:{dir}/made/file one")
        .ini("hook-asap = append:{dir}/made/file two")
        .ini("hook-asap = chmod:{dir}/made/file 600")
        .ini("hook-as-user = print:said by a hook")
        .start();
    server.log().wait_for("said by a hook");
    let made = server.path("made/file");
    assert_eq!(std::fs::read_to_string(&made).expect("written"), "one\ntwo");
    let mode = std::os::unix::fs::PermissionsExt::mode(&made.metadata().expect("made").permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_hook_that_fails_ends_the_start() {
    for ini in ["hook-asap = exec:exit 3", "exec-pre-app = exit 3", "hook-as-user = cd:/nonexistent"] {
        let server = Server::app("hello").ini(ini).launch();
        assert_ne!(server.process.expect_end().code(), Some(0), "{ini}");
    }
    if uwring_only("an unknown action is found when its moment comes") {
        return;
    }
    let server = Server::app("hello").ini("hook-post-fork = call:some_function").launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server.log().wait_for("call is none of these here");
}

#[test]
fn a_daemon_is_started_kept_and_ended() {
    let server = Server::app("hello").ini("attach-daemon = echo $$ > {dir}/pid; exec sleep 1000").start();
    let path = server.path("pid");
    let first = pid_in(&path);
    std::fs::remove_file(&path).expect("written");
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("it runs");
    // It died early, so this takes a second, and a new one is there.
    let second = pid_in(&path);
    assert_ne!(first, second);
    server.stop();
    assert!(kill(Pid::from_raw(second), None).is_err(), "it ends with the server");
}

#[test]
fn a_reload_restarts_daemons() {
    let server = Server::app("hello").ini("attach-daemon = echo $$ > {dir}/pid; exec sleep 1000").start();
    let path = server.path("pid");
    let first = pid_in(&path);
    std::fs::remove_file(&path).expect("written");
    server.signal(Signal::SIGHUP);
    assert_ne!(pid_in(&path), first);
}

#[test]
fn a_smart_daemon_lives_on() {
    let server = Server::app("hello")
        .ini("smart-attach-daemon2 = {dir}/pid echo $$ > {dir}/started; exec sleep 1000")
        .start();
    let pid = pid_in(&server.path("started"));
    assert_eq!(pid_in(&server.path("pid")), pid);
    server.stop();
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it still runs");
}

#[test]
fn a_control_daemon_takes_the_server_along() {
    let server = Server::app("hello").ini("attach-control-daemon = read line < {dir}/gate").launch();
    let gate = crate::support::Gate::new(server.path("gate"));
    server.log().wait_for("spawned uWSGI worker 1");
    gate.open();
    let status = server.process.expect_end();
    assert!(target() == Target::Uwsgi || status.code() == Some(0), "{status}");
}

#[test]
fn cron_runs_a_command_in_its_minute() {
    // Any minute is this one; the first look is at once.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let page = format!("http://{}/tick", listener.local_addr().expect("bound"));
    let (asks, ours) = (has(&["curl"]), target() == Target::Uwring);
    let server = Server::app("hello")
        .ini(&if asks && ours { format!("curl-cron = -1 -1 -1 -1 -1 {page}") } else { String::new() })
        .ini("cron = -1 -1 -1 -1 -1 echo any > {dir}/any")
        .ini("cron2 = minute=-1 echo keyed > {dir}/keyed")
        .ini("cron = -1 -1 31 2 -1 echo never > {dir}/never")
        .start();
    assert_eq!(wait_for(&server.path("any"), |text| text.ends_with('\n')), "any\n");
    assert_eq!(wait_for(&server.path("keyed"), |text| text.ends_with('\n')), "keyed\n");
    server.log().wait_for("[uwsgi-cron] running \"echo any > ");
    assert!(!server.path("never").exists());
    if asks && ours {
        // (uWSGI has a plugin for that.)
        server
            .log()
            .wait_for(&format!("running \"curl --fail --silent --show-error --output /dev/null '{page}'"));
        let mut head = String::new();
        let (stream, _) = listener.accept().expect("curl");
        std::io::BufReader::new(stream).read_line(&mut head).expect("a request");
        assert!(head.starts_with("GET /tick HTTP/"), "{head}");
    }
}

#[test]
fn a_touched_hook_holds_up_nobody() {
    if uwring_only("it waits for the command") {
        return;
    }
    let server = Server::app("hello")
        .ini("hook-touch = {dir}/touch exec:read line < {dir}/gate; echo $line > {dir}/told; exit 7")
        .start();
    let gate = crate::support::Gate::new(server.path("gate"));
    std::fs::write(server.path("touch"), "").expect("touch");
    server.log().wait_for("running \"read line");
    // It waits at the gate; the master does not.
    assert_eq!(server.status()["phase"], "running");
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    gate.open();
    server.log().wait_for("exit 7: it ended (exit code 7)");
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_reload_takes_up_changed_daemons_and_cron_jobs() {
    if uwring_only("it starts anew") {
        return;
    }
    let daemon = |name: &str| format!("echo $$ > {{dir}}/{name}; exec sleep 1000");
    // A smart one is not started again by a reload: it is its own.
    let smart = |name: &str| format!("smart-attach-daemon2 = {{dir}}/{name},1 exec sleep 1001");
    let job = |name: &str| format!("cron = -1 -1 -1 -1 -1 echo $$ > {{dir}}/{name}");
    let server = Server::app("hello")
        .ini(&format!("attach-daemon = {}", daemon("gone")))
        .ini(&smart("smart-stays"))
        .ini(&smart("smart-gone"))
        .ini("stats = {dir}/stats.sock")
        .start();
    let pids = ["gone", "smart-stays", "smart-gone"].map(|name| pid_in(&server.path(name)));
    let ini = server.path("uwsgi.ini");
    let folder = server.folder.path().display().to_string();
    let text: String = std::fs::read_to_string(&ini)
        .expect("the configuration")
        .lines()
        .filter(|line| !line.contains("gone"))
        .map(|line| format!("{line}\n"))
        .collect();
    let new = format!("attach-daemon = {}\n{}\n", daemon("comes"), job("job")).replace("{dir}", &folder);
    std::fs::write(&ini, text + &new).expect("write the configuration");
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    let comes = pid_in(&server.path("comes"));
    pid_in(&server.path("job"));
    let runs = |pid: i32| kill(Pid::from_raw(pid), None).is_ok();
    let begun = std::time::Instant::now();
    while runs(pids[0]) || runs(pids[2]) {
        assert!(begun.elapsed() < crate::support::PATIENCE, "what is gone runs on");
        std::thread::yield_now();
    }
    assert!(runs(pids[1]) && runs(comes), "{}", server.log().text());
    // The statistics tell of those that came, and no longer of those that have gone.
    let stats = || serde_json::from_str::<serde_json::Value>(&crate::stats::text(&server)).expect("JSON");
    let told = |stats: &serde_json::Value, list: &str, key: &str| -> Vec<String> {
        let text = |one: &serde_json::Value| one[key].as_str().map(str::to_owned).unwrap_or_default();
        stats[list].as_array().map(|all| all.iter().map(text).collect()).unwrap_or_default()
    };
    let mut seen = stats();
    while seen["daemons"][1]["pid"] != comes || told(&seen, "crons", "command").len() != 1 {
        assert!(begun.elapsed() < crate::support::PATIENCE, "{seen}");
        seen = stats();
    }
    let daemons = told(&seen, "daemons", "cmd");
    assert_eq!(daemons.len(), 2, "{seen}");
    assert!(daemons[0].contains("sleep 1001") && daemons[1].contains("/comes"), "{seen}");
    assert_eq!(pid_in(&server.path("smart-stays")), pids[1]);
    assert_eq!(server.stop().code(), Some(0));
    assert!(!runs(comes));
    kill(Pid::from_raw(pids[1]), Signal::SIGKILL).expect("it lives on");
}
