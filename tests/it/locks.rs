//! `flock` and its family: one server at a time.

use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, Packet, Server, uwring_only};

/// Who has the file locked.
fn holder(path: &Path) -> Option<i32> {
    let file = std::fs::File::options().read(true).write(true).open(path).expect("a file");
    let mut lock = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).expect("asked");
    (i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid)
}

/// A folder with a file to lock, which uWSGI wants to be there.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lock = folder.path().join("lock");
    std::fs::write(&lock, "").expect("write");
    (folder, lock)
}

#[test]
fn a_second_server_ends_and_leaves_the_first_alone() {
    for option in ["flock", "flock2"] {
        let (folder, lock) = folder();
        let first =
            Server::app("hello").folder(folder).ini(&format!("{option} = {}", lock.display())).start();
        assert_eq!(holder(&lock), Some(first.process.pid.as_raw()), "{option}");
        for option in ["flock", "flock2"] {
            let second = Server::app("hello").ini(&format!("{option} = {}", lock.display())).launch();
            assert_eq!(second.process.expect_end().code(), Some(1), "{option}");
            second.log().wait_for(&format!("uWSGI ERROR: {} is locked by another instance", lock.display()));
        }
        // A look at the configuration takes nothing, and is not kept from looking.
        if !uwring_only("it locks before it knows what is asked") {
            let ini = first.path("uwsgi.ini").display().to_string();
            for words in [&["check", &ini][..], &["--ini", &ini, "--show-config", "--no-server"]] {
                let looked = std::process::Command::new(crate::support::program()).args(words).output();
                assert_eq!(looked.expect("run it").status.code(), Some(0), "{words:?}");
            }
        }
        assert_eq!(holder(&lock), Some(first.process.pid.as_raw()), "{option}");
        first.socket().uwsgi(&Packet::get("/")).expect(200);
        first.stop();
        assert_eq!(holder(&lock), None);
    }
}

#[test]
fn who_waits_comes_when_the_other_is_gone() {
    for option in ["flock-wait", "flock-wait2"] {
        let (folder, lock) = folder();
        let first = Server::app("hello").folder(folder).ini(&format!("flock = {}", lock.display())).start();
        let ini = format!("{option} = {}", lock.display());
        let second = Server::app("hello").ini(&ini).launch();
        if !uwring_only("it waits without a word") {
            second.log().wait_for("is locked by another process: waiting for it");
            // It can be told to end while it waits.
            let third = Server::app("hello").ini(&ini).launch();
            third.log().wait_for("waiting for it");
            third.signal(Signal::SIGTERM);
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&third.process.expect_end()), Some(15));
        }
        assert!(second.process.ended().is_none());
        // Its death is enough: no child of its has the lock.
        kill(first.process.pid, Signal::SIGKILL).expect("it runs");
        second.log().wait_for("spawned uWSGI worker 1");
        assert_eq!(holder(&lock), Some(second.process.pid.as_raw()), "{option}");
        second.socket().uwsgi(&Packet::get("/")).expect(200);
    }
}

#[test]
fn a_lock_outlasts_reloads_and_upgrades() {
    if uwring_only("its reload loses the lock") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    crate::upgrade::install(folder.path());
    let program = folder.path().join("uwring");
    // The configuration itself is locked, too: a new program reads it, and so loses that lock for a moment.
    let server = Server::app("hello")
        .folder(folder)
        .program(program)
        .ini("flock = {dir}/lock\nflock2 = {dir}/uwsgi.ini\nflock-wait = {dir}/other")
        .start();
    let master = server.process.pid.as_raw();
    let held = || ["lock", "uwsgi.ini", "other"].map(|name| holder(&server.path(name)));
    assert_eq!(held(), [Some(master); 3], "they are made where they are not there");
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    assert_eq!(held(), [Some(master); 3], "after a reload");
    for _ in 0..2 {
        crate::upgrade::install(server.folder.path());
        assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
        assert_eq!(held(), [Some(master); 3], "after an upgrade");
    }
    assert_eq!(server.log().count(|line| line.starts_with("the program was replaced")), 2);
    kill(Pid::from_raw(server.workers()[0]), Signal::SIGKILL).ok();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(held(), [None; 3]);
}

#[test]
fn who_goes_into_the_background_takes_the_lock_along() {
    for option in ["flock", "flock2"] {
        if option == "flock" && uwring_only("a lock that is taken before is lost there") {
            continue;
        }
        let (folder, lock) = folder();
        let ini =
            format!("{option} = {}\ndaemonize = {{dir}}/log\nsafe-pidfile = {{dir}}/pid", lock.display());
        let server = Server::app("hello").folder(folder).ini(&ini).launch();
        assert_eq!(server.process.expect_end().code(), Some(0));
        let begun = std::time::Instant::now();
        let log = || std::fs::read_to_string(server.path("log")).unwrap_or_default();
        let pid = || std::fs::read_to_string(server.path("pid")).ok()?.trim().parse::<i32>().ok();
        let pid = loop {
            if let (true, Some(pid)) = (log().contains("spawned uWSGI worker 1 "), pid()) {
                break pid;
            }
            assert!(begun.elapsed() < PATIENCE, "{}", log());
            std::thread::yield_now();
        };
        assert_eq!(holder(&lock), Some(pid), "{option}");
        // Another one is told at once, on the terminal, where it asks early.
        let second = Server::app("hello")
            .ini(&format!("flock = {}\ndaemonize = {{dir}}/log", lock.display()))
            .launch();
        assert_eq!(second.process.expect_end().code(), Some(1));
        second.log().wait_for("is locked by another instance");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("stop our server");
        while holder(&lock).is_some() {
            assert!(begun.elapsed() < PATIENCE, "{}", log());
            std::thread::yield_now();
        }
    }
}
