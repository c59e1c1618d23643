//! Who the server is and what it is called: roots and groups, masks, titles, pidfiles, and the background.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    PATIENCE, Packet, Server, is_root, parent_of, program, script_at, skipped, uwring_only,
};

const HELLO: &str = "
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'from the jail']
";

/// A program that serves with a folder `jail` that has what Python needs, seen by it alone. `None`: not permitted here.
fn with_jail(folder: &Path) -> Option<PathBuf> {
    let try_it = ["-m", "sh", "-c", "mount --bind /usr /mnt"];
    let permitted = Command::new("unshare").args(try_it).stderr(Stdio::null()).status();
    if !is_root() || !permitted.is_ok_and(|status| status.success()) {
        skipped("unshare -m and mount are not permitted here");
        return None;
    }
    let jail = folder.join("jail");
    let mut mounts = String::new();
    for part in ["usr", "lib", "lib64", "bin", "etc", "proc", "dev"] {
        let outside = Path::new("/").join(part);
        if !outside.is_dir() {
            continue;
        }
        let inside = jail.join(part);
        std::fs::create_dir_all(&inside).expect("a folder");
        mounts += &format!("mount --rbind {} {} && ", outside.display(), inside.display());
    }
    let script = format!(
        "#!/bin/sh\nexec unshare -m sh -c '{mounts} exec {} \"$@\"' sh \"$@\"\n",
        program().display()
    );
    Some(script_at(folder.join("uwring"), &script))
}

#[test]
fn a_folder_becomes_the_root() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(program) = with_jail(folder.path()) else { return };
    std::fs::write(folder.path().join("jail/site.py"), HELLO).expect("write the application");
    let jail = folder.path().join("jail");
    let server = Server::bare()
        .without("virtualenv")
        .folder(folder)
        .program(program)
        .ini("chroot = {dir}/jail\nuid = nobody\ngid = nogroup\nchdir = /\nwsgi-file = /site.py\nsocket = {dir}/app.sock")
        .start();
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "from the jail");
    let root = std::fs::read_link(format!("/proc/{}/root", server.workers()[0])).expect("it runs");
    assert_eq!(root, jail);
    if uwring_only("it starts its own file anew, which is not there") {
        return;
    }
    // The configuration is not within: said, and the old generation serves on.
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(1));
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.stop().code(), Some(0));
}

/// A folder with the application, where everybody may write.
fn open_to_all() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("chmod");
    std::fs::write(folder.path().join("site.py"), HELLO).expect("write the application");
    folder
}

/// A line of proc_pid_status(5).
fn status(pid: i32, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim_start_matches(':').split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn groups_and_masks_are_those_asked_for() {
    if !is_root() {
        return skipped("only root becomes somebody else");
    }
    let folder = open_to_all();
    let server = Server::bare()
        .without("virtualenv")
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nuid = 65534\ngid = 65534\nadd-gid = 3\numask = 027")
        .start();
    let worker = server.workers()[0];
    assert_eq!(status(worker, "Groups"), "3");
    assert_eq!(status(worker, "Umask"), "0027");
    assert_eq!(status(worker, "Uid"), "65534 65534 65534 65534");
    assert_eq!(status(worker, "Gid"), "65534 65534 65534 65534");
    assert_eq!(status(server.process.pid.as_raw(), "Uid"), "65534 65534 65534 65534");
}

#[test]
fn rights_are_given_up_when_the_application_is_loaded() {
    if !is_root() {
        return skipped("only root becomes somebody else");
    }
    const WHO: &str = "import os\nloaded = os.getuid()\n\n\ndef application(environ, start_response):\n    \
        start_response('200 OK', [])\n    return [b'%d %d' % (loaded, os.getuid())]\n";
    for (option, masters) in [("master-as-root", "0 0 0 0"), ("drop-after-apps", "65534 65534 65534 65534")] {
        let folder = open_to_all();
        std::fs::write(folder.path().join("site.py"), WHO).expect("write the application");
        let server = Server::bare()
            .without("virtualenv")
            .folder(folder)
            .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nuid = 65534\ngid = 65534\nstats = {dir}/stats")
            .ini(&format!("{option} = true"))
            .start();
        let who = || server.socket().uwsgi(&Packet::get("/")).expect(200).text();
        assert_eq!(who(), "0 65534", "{option}");
        assert_eq!(status(server.workers()[0], "Gid"), "65534 65534 65534 65534");
        let master = server.process.pid.as_raw();
        if uwring_only("where the master has given up its rights too, a reload has none to load with") {
            assert_eq!(status(master, "Uid"), masters);
            continue;
        }
        assert_eq!(status(master, "Uid"), "0 0 0 0", "{option}");
        // All else that faces the world has no rights; a later generation has them again for its time.
        let stats = std::os::unix::net::UnixStream::connect(server.path("stats")).expect("a monitor");
        let told: serde_json::Value = serde_json::from_reader(stats).expect("JSON");
        assert_eq!(told["uid"], 65534, "{told}");
        assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
        assert_eq!(who(), "0 65534", "{option}");
    }
}

#[test]
fn a_user_of_that_name_has_all_its_groups() {
    let try_it = ["-m", "sh", "-c", "mount --bind /etc/group /etc/group"];
    let permitted = Command::new("unshare").args(try_it).stderr(Stdio::null()).status();
    if !is_root() || !permitted.is_ok_and(|status| status.success()) {
        return skipped("unshare -m and mount are not permitted here");
    }
    for (ini, groups) in [("", "4242 65534"), ("no-initgroups = true", "")] {
        let folder = open_to_all();
        std::fs::write(folder.path().join("group"), "nogroup:x:65534:\nextra:x:4242:nobody\n")
            .expect("write");
        let script = format!(
            "#!/bin/sh\nexec unshare -m sh -c 'mount --bind {}/group /etc/group && exec {} \"$@\"' sh \"$@\"\n",
            folder.path().display(),
            program().display()
        );
        let script = script_at(folder.path().join("uwring"), &script);
        let server = Server::bare()
            .without("virtualenv")
            .folder(folder)
            .program(script)
            .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nuid = nobody\ngid = nogroup")
            .ini(ini)
            .start();
        assert_eq!(status(server.workers()[0], "Groups"), groups, "{ini}");
    }
}

#[test]
fn root_does_its_part_first_and_gives_its_log_away() {
    if !is_root() {
        return skipped("only root becomes somebody else");
    }
    let folder = open_to_all();
    let server = Server::bare()
        .without("virtualenv")
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\nuid = 65534\ngid = 65534")
        .ini("logto = {dir}/log\nlogfile-chown = true")
        .ini("hook-as-root = exec:id -u > {dir}/as-root\nhook-as-user = exec:id -u > {dir}/as-user")
        .launch();
    let log = || std::fs::read_to_string(server.path("log")).unwrap_or_default();
    let begun = std::time::Instant::now();
    while !log().contains("spawned uWSGI worker 1 ") {
        assert!(begun.elapsed() < PATIENCE, "{}{}", log(), server.log().text());
        std::thread::yield_now();
    }
    let said = ["as-root", "as-user"].map(|name| std::fs::read_to_string(server.path(name)).expect(name));
    assert_eq!(said, ["0\n", "65534\n"]);
    let meta = server.path("log").metadata().expect("a log");
    assert_eq!([MetadataExt::uid(&meta), MetadataExt::gid(&meta)], [65534; 2]);
}

#[test]
fn processes_have_titles() {
    let server = Server::app("hello")
        .ini("auto-procname = true\nprocname-prefix-spaced = shop\nprocname-append = !")
        .start();
    let title = |pid: i32| {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
        String::from_utf8_lossy(&bytes).trim_end_matches(['\0', ' ']).to_owned()
    };
    let worker = server.workers()[0];
    assert_eq!(title(server.process.pid.as_raw()), "shop uWSGI master!");
    assert_eq!(title(worker), "shop uWSGI worker 1!");
    if !uwring_only("it has no template") {
        assert_eq!(title(parent_of(worker)), "shop uWSGI template!");
    }
}

#[test]
fn exit_on_reload_ends_the_server() {
    let server = Server::app("hello").ini("exit-on-reload = true").start();
    server.signal(Signal::SIGHUP);
    assert_eq!(server.process.expect_end().code(), Some(0));
}

fn pid_in(path: &Path) -> i32 {
    std::fs::read_to_string(path).expect("a pidfile").trim().parse().expect("a pid")
}

#[test]
fn the_background_is_left_to_who_serves() {
    let files = "daemonize2 = {dir}/log\npidfile = {dir}/first\npidfile2 = {dir}/second\nsafe-pidfile = {dir}/safe\n\
                 safe-pidfile2 = {dir}/safe2";
    let server = Server::app("hello").ini(files).launch();
    assert_eq!(server.process.expect_end().code(), Some(0));
    let begun = std::time::Instant::now();
    let there = |name: &str| server.path(name).exists();
    while !["first", "second", "safe", "safe2"].into_iter().all(there) {
        assert!(begun.elapsed() < PATIENCE, "{}", server.log().text());
        std::thread::yield_now();
    }
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    // The first ones of uWSGI are written before it leaves.
    let pid = pid_in(&server.path("safe"));
    assert_eq!(pid_in(&server.path("safe2")), pid);
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("stop our server");
    while Path::new(&format!("/proc/{pid}")).exists() {
        std::thread::yield_now();
    }
    // What was said until then was shown.
    server.log().wait_for("spawned uWSGI worker 1");
}

#[test]
fn a_start_that_fails_is_seen_in_the_foreground() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("site.py"), "import no_such_module\n").expect("write the application");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\ndaemonize2 = {dir}/log")
        .launch();
    assert_eq!(server.process.expect_end().code(), Some(22));
    server.log().wait_for("No module named 'no_such_module'");
}
