//! Things that cannot be had while the server runs: processes, the interpreter, room on the disk, memory. What serves goes
//! on serving, the log says what is wrong, and all is well once it can be had again. No request fails but those inside a
//! process that is killed.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Load, Server, can_become_another, has, parent_of, program, skipped, uwring_only};

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).expect("write a script");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("our own file");
    path
}

#[test]
fn a_worker_that_cannot_be_forked_is_forked_later() {
    if uwring_only("its master forks, and ends where it cannot") || !has(&["prlimit"]) {
        return;
    }
    if !can_become_another() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).expect("open the folder");
    // A user nobody else is: the limit counts all of a user's processes. Root has none.
    let server = Server::app("wait")
        .folder(folder)
        .ini("uid = 54321\ngid = 54321\ndisable-logging = true")
        .processes(2)
        .start();
    let workers = server.workers();
    let template = parent_of(workers[1]);
    // The soft limit: the hard one may not be raised everywhere.
    let limit = |text: &str| {
        let soft = format!("--nproc={text}:");
        let mut command = Command::new("prlimit");
        // As that user: without CAP_SYS_RESOURCE not even root may for others.
        command.args(["--pid", &template.to_string(), &soft]).uid(54321).gid(54321);
        let done = command.status();
        assert!(done.expect("run prlimit").success());
    };
    let limits = std::fs::read_to_string(format!("/proc/{template}/limits")).expect("its limits");
    let most = limits.lines().find(|line| line.starts_with("Max processes")).expect("a line");
    let most = most.split_whitespace().nth(3).expect("the hard limit").to_owned();
    limit("1");
    kill(Pid::from_raw(workers[0]), Signal::SIGKILL).expect("our worker");
    server.log().wait_for("*** cannot fork worker 1: ");
    let load = Load::on(&server, 4);
    server.log().wait_n(2, |line| line.starts_with("*** cannot fork worker 1: ")).expect("tried again");
    let (answers, failed) = load.end();
    assert_eq!((failed, answers.len()), (0, 1), "{answers:?}");
    limit(&most);
    assert!(server.log().wait_n(1, |line| line.starts_with("Respawned uWSGI worker 1 ")).is_some());
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn without_an_interpreter_the_old_generation_serves() {
    if uwring_only("it has the interpreter in its own program") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let python = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let python = String::from_utf8_lossy(&python.expect("python3 runs").stdout).trim().to_owned();
    let shim = script(folder.path(), "python3", &format!("exec {python} \"$@\""));
    let server = Server::app("wait")
        .without("virtualenv")
        .folder(folder)
        .ini(&format!("python = {}\ndisable-logging = true", shim.display()))
        .processes(2)
        .start();
    let load = Load::on(&server, 2);
    let mode = |bits: u32| {
        std::fs::set_permissions(&shim, PermissionsExt::from_mode(bits)).expect("our own file");
    };
    mode(0o644);
    assert_ne!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    mode(0o755);
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    let (answers, failed) = load.end();
    assert_eq!(failed, 0, "{answers:?}");
    assert_eq!(server.stop().code(), Some(0));
}

/// A program that serves with a folder `small` of 256 KiB, which it alone sees. `None`: not permitted here.
fn with_small_disk(folder: &Path) -> Option<PathBuf> {
    let permitted = Command::new("unshare")
        .args(["-m", "sh", "-c", "mount -t tmpfs -o size=64k tmpfs /mnt"])
        .stderr(Stdio::null())
        .status();
    if !permitted.is_ok_and(|status| status.success()) {
        skipped("unshare -m and mount are not permitted here");
        return None;
    }
    let small = folder.join("small");
    std::fs::create_dir(&small).expect("a folder");
    let mount = format!(
        "exec unshare -m sh -c 'mount -t tmpfs -o size=256k tmpfs {} && exec {} \"$@\"' sh \"$@\"",
        small.display(),
        program().display()
    );
    Some(script(folder, "uwring", &mount))
}

#[test]
fn a_full_disk_costs_lines_and_uploads_only() {
    if uwring_only("it ends at the first line that it cannot write") || !has(&["unshare"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(program) = with_small_disk(folder.path()) else { return };
    let server = Server::app("wait")
        .folder(folder)
        .program(program)
        .ini("http-socket = {dir}/http.sock\nlogto2 = {dir}/small/log\npidfile = {dir}/small/pid")
        .ini("master-fifo = {dir}/fifo\npost-buffering = 4096")
        .env("TMPDIR", "{dir}/small")
        .processes(2)
        .launch();
    let small = PathBuf::from(format!("/proc/{}/root{}", server.process.pid, server.path("small").display()));
    let log_has = |text: &str| {
        let begun = std::time::Instant::now();
        while !std::fs::read_to_string(small.join("log")).unwrap_or_default().contains(text) {
            assert!(begun.elapsed() < crate::support::PATIENCE, "{text:?} is not in the log");
            std::thread::yield_now();
        }
    };
    log_has("spawned uWSGI worker 2");
    let http = crate::support::Address::Unix(server.path("http.sock"));
    let body = [b'x'; 100_000];
    let upload = || http.request("POST", "/", &[("Content-Length", "100000")], &body);
    upload().expect(200);
    let workers = server.workers();
    let mut fill = std::fs::File::create(small.join("fill")).expect("a file");
    let load = Load::on(&server, 4);
    let (mut refused, begun) = (0, std::time::Instant::now());
    while refused < 3 {
        // Full to the last byte, once the worker has let go of the body before.
        while std::io::Write::write(&mut fill, &[0; 4096]).is_ok_and(|n| n > 0) {}
        match upload().status() {
            200 => assert!(begun.elapsed() < crate::support::PATIENCE, "where does it find room?"),
            status => {
                assert_eq!(status, 503);
                refused += 1;
            }
        }
    }
    std::fs::write(server.path("fifo"), "P").expect("the fifo");
    let (answers, failed) = load.end();
    assert_eq!(failed, 0, "of {answers:?}");
    assert_eq!(server.workers(), workers, "both are those of the start");
    drop(fill);
    std::fs::remove_file(small.join("fill")).expect("room again");
    // On a busy machine lines of the load may have taken what a body let go of.
    std::fs::File::create(small.join("log")).expect("an empty log");
    upload().expect(200);
    http.get("/marked").expect(200);
    log_has("GET /marked");
    assert_eq!(server.stop().code(), Some(0));
}
