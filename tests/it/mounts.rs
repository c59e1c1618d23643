//! File systems that a configuration mounts, unmounts, and cannot be without. In a mount namespace of its own: nothing of it
//! is seen outside.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    PATIENCE, Packet, Running, Server, Target, app, is_root, parent_of, program, script_at, skipped, target,
    uwring_only, venv,
};

/// A program that serves in a mount namespace of its own. `None`: not permitted here.
fn apart(folder: &Path) -> Option<PathBuf> {
    let try_it = ["-m", "-u", "sh", "-c", "mount -t tmpfs none /mnt"];
    let permitted = Command::new("unshare").args(try_it).stderr(Stdio::null()).status();
    if !is_root() || !permitted.is_ok_and(|status| status.success()) {
        skipped("unshare -m and mount are not permitted here");
        return None;
    }
    let text = format!("#!/bin/sh\nexec unshare -m -u {} \"$@\"\n", program().display());
    Some(script_at(folder.join("server"), &text))
}

/// What is mounted at `path` for process `pid`: the options of the mount, and those of the file system.
fn mounted(pid: i32, path: &Path) -> Option<(String, String)> {
    let table = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).expect("it runs");
    let path = path.display().to_string();
    let line = table.lines().rfind(|line| line.split(' ').nth(4) == Some(&path))?;
    let own = line.split(' ').nth(5).unwrap_or_default();
    Some((own.to_owned(), line.split(' ').next_back().unwrap_or_default().to_owned()))
}

#[test]
fn what_is_mounted_at_a_moment_is_there_from_then_on() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    // For whom the server becomes.
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("chmod");
    let Some(program) = apart(folder.path()) else { return };
    let mut builder = Server::app("hello").folder(folder).program(program).ini("uid = 65534\ngid = 65534");
    // (uWSGI does what is to be done behind a jail only where it has one.)
    let moments = ["asap", "pre-jail", "in-jail", "as-root"];
    for moment in moments {
        builder = builder
            .ini(&format!("hook-asap = mkdir:{{dir}}/{moment}"))
            // Wherever it stands, the command of a moment comes behind its mount.
            .ini(&format!(
                "exec-{moment} = grep -c ' {{dir}}/{moment} ' /proc/self/mountinfo > {{dir}}/seen-{moment}"
            ))
            .ini(&format!("mount-{moment} = tmpfs none {{dir}}/{moment} nosuid,noexec size=1m"));
    }
    let server = builder
        .ini("hook-asap = mkdir:{dir}/bound")
        .ini("mount-as-root = none {dir}/as-root {dir}/bound bind")
        .ini("umount-as-root = {dir}/in-jail")
        .ini("hook-as-user = exec:test -d {dir}/as-root")
        .start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    let worker = server.workers()[0];
    for moment in moments {
        let seen = std::fs::read_to_string(server.path(&format!("seen-{moment}"))).expect("written");
        assert_eq!(seen, "1\n", "{moment}");
        let found = mounted(worker, &server.path(moment));
        if moment == "in-jail" {
            assert_eq!(found, None);
            continue;
        }
        let (own, system) = found.unwrap_or_else(|| panic!("{moment} is not mounted"));
        assert_eq!(own, "rw,nosuid,noexec,relatime", "{moment}");
        assert!(system.contains("size=1024k"), "{moment}: {system}");
    }
    assert!(mounted(worker, &server.path("bound")).is_some());
    assert!(mounted(std::process::id().cast_signed(), &server.path("asap")).is_none(), "it is seen outside");
    if uwring_only("what is done as root fails once root is given up") {
        return;
    }
    // A reload mounts nothing again.
    let table =
        || std::fs::read_to_string(format!("/proc/{}/mountinfo", server.process.pid)).expect("it runs");
    let before = table();
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    assert_eq!(table(), before);
}

#[test]
fn hooks_mount_and_unmount_and_name_the_host() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(program) = apart(folder.path()) else { return };
    let before = nix::unistd::gethostname().expect("a name");
    let server = Server::app("hello")
        .folder(folder)
        .program(program)
        .ini("hook-asap = mkdir:{dir}/outer\nhook-asap = mount:tmpfs none {dir}/outer")
        .ini("hook-asap = mkdir:{dir}/outer/inner\nhook-asap = mount:tmpfs none {dir}/outer/inner ro")
        .ini("hook-asap = mkdir:{dir}/all\nhook-asap = mount:tmpfs none {dir}/all")
        .ini("hook-asap = mkdir:{dir}/all/inner\nhook-asap = mount:tmpfs none {dir}/all/inner")
        .ini("hook-asap = umount:{dir}/all rec")
        .ini("hook-asap = mkdir:{dir}/lazy\nhook-asap = mount:tmpfs none {dir}/lazy\nhook-asap = umount:{dir}/lazy detach")
        .ini("hook-asap = mkdir:{dir}/sticky\nhook-asap = chmod:{dir}/sticky 777\nhook-asap = sticky:{dir}/sticky")
        .ini("hook-asap = hostname:moments\nhook-asap = exec:hostname > {dir}/name")
        .start();
    let worker = server.workers()[0];
    let (own, _) = mounted(worker, &server.path("outer/inner")).expect("mounted");
    assert!(own.starts_with("ro"), "{own}");
    for gone in ["all", "all/inner", "lazy"] {
        assert_eq!(mounted(worker, &server.path(gone)), None, "{gone}");
    }
    let mode = server.path("sticky").metadata().expect("made");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode.permissions()) & 0o7777, 0o1777);
    assert_eq!(std::fs::read_to_string(server.path("name")).expect("written"), "moments\n");
    assert_eq!(nix::unistd::gethostname().expect("a name"), before, "this machine's own name");
}

#[test]
fn a_mount_that_fails_ends_the_start() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(program) = apart(folder.path()) else { return };
    for (ini, says) in [
        ("mount-asap = tmpfs none {dir}/nowhere", "mount none on {dir}/nowhere: No such file or directory"),
        ("umount-as-root = {dir}", "unmount {dir}: Invalid argument"),
        ("hook-asap = umount:{dir} rec", "unmount {dir}: Invalid argument"),
        ("mount-asap = tmpfs none {dir} bogus", "bogus is none of these"),
    ] {
        let server = Server::app("hello").program(program.clone()).ini(ini).launch();
        assert_eq!(server.process.expect_end().code(), Some(1), "{ini}");
        if target() == Target::Uwring {
            server.log().wait_for(&says.replace("{dir}", &server.folder.path().display().to_string()));
        }
    }
}

#[test]
fn who_may_not_mount_is_told_what_that_needs() {
    if uwring_only("it says what the kernel said") {
        return;
    }
    let command = "setpriv --bounding-set -sys_admin --inh-caps -sys_admin true";
    let permitted = Command::new("sh").args(["-c", command]).stderr(Stdio::null()).status();
    if is_root() && !permitted.is_ok_and(|status| status.success()) {
        return skipped("setpriv cannot take capabilities away here");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let exec = if is_root() { "setpriv --bounding-set -sys_admin --inh-caps -sys_admin" } else { "" };
    let script = format!("#!/bin/sh\nexec {exec} {} \"$@\"\n", program().display());
    let program = script_at(folder.path().join("server"), &script);
    let server =
        Server::app("hello").folder(folder).program(program).ini("mount-asap = tmpfs none {dir}").launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    let line = server.log().wait_for("Operation not permitted");
    assert!(line.contains("mounting needs root or CAP_SYS_ADMIN") && line.ends_with("[UWR-E016]"), "{line}");
}

#[test]
fn an_emperor_and_its_vassals_mount() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let Some(server) = apart(folder.path()) else { return };
    let path = |name: &str| folder.path().join(name);
    for name in ["vassals", "of-vassal", "of-emperor", "gone"] {
        std::fs::create_dir(path(name)).expect("make a folder");
    }
    let plugin = if target() == Target::Uwsgi { "plugin = python3\n" } else { "" };
    let vassal = format!(
        "[uwsgi]\n{plugin}master = true\nneed-app = true\nvirtualenv = {}\nsocket = {}\nwsgi-file = {}/app.py\n",
        venv().display(),
        path("app.sock").display(),
        app("hello").display(),
    );
    std::fs::write(path("vassals/shop.ini"), vassal).expect("write");
    let mount = |name: &str| format!("tmpfs none {} nosuid size=1m", path(name).display());
    let mut command = Command::new(server);
    command
        .args(["--emperor", &path("vassals").display().to_string()])
        .args([
            "--exec-as-vassal",
            &format!("grep -c of-vassal /proc/self/mountinfo > {}", path("seen").display()),
        ])
        .args(["--mount-as-vassal", &mount("of-vassal"), "--mount-as-emperor", &mount("of-emperor")])
        .args([
            "--mount-as-vassal",
            &mount("gone"),
            "--umount-as-vassal",
            &path("gone").display().to_string(),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let emperor = Running::spawn(command);
    let spawned = emperor.log.wait_for("spawned uWSGI worker 1");
    assert_eq!(std::fs::read_to_string(path("seen")).expect("written"), "1\n");
    let worker = crate::support::worker_pid(&spawned).expect("a pid");
    for pid in [worker, emperor.pid.as_raw()] {
        let begun = std::time::Instant::now();
        while mounted(pid, &path("of-emperor")).is_none() {
            assert!(begun.elapsed() < PATIENCE, "{}", emperor.log.text());
            std::thread::yield_now();
        }
        let (own, _) = mounted(pid, &path("of-vassal")).expect("one namespace");
        assert!(own.contains("nosuid"), "{own}");
        assert_eq!(mounted(pid, &path("gone")), None);
    }
}

#[test]
fn a_server_ends_with_a_file_system_that_is_gone() {
    for option in ["check-mount", "check-mountpoint", "mount-check", "mountpoint-check"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("data")).expect("make a folder");
        let server = Server::app("hello")
            .folder(folder)
            .ini(&format!("{option} = {{dir}}/data\n{option} = {{dir}}"))
            .start();
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        std::fs::remove_dir(server.path("data")).expect("remove it");
        assert_eq!(server.process.expect_end().code(), Some(1), "{option}");
        let line = server.log().wait_for("triggering detonation...");
        assert!(line.contains(&format!("mountpoint {} failed", server.path("data").display())), "{line}");
    }
}

/// The process that asks file systems for this master, but `not` that one.
fn asker_of(master: i32, not: i32) -> i32 {
    let asks = |pid: &i32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        *pid != not && name.is_ok_and(|name| name.trim() == "uwring mounts")
    };
    let begun = std::time::Instant::now();
    loop {
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"));
        let children = children.expect("the master runs");
        if let Some(pid) = children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(asks) {
            return pid;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody asks: {children}");
        std::thread::yield_now();
    }
}

#[test]
fn a_file_system_that_does_not_answer_is_lost_too() {
    if uwring_only("it asks in the master itself") {
        return;
    }
    let server = Server::app("hello").ini("check-mount = {dir}").start();
    let worker = server.workers()[0];
    let master = server.process.pid.as_raw();
    let asker = asker_of(master, 0);
    // It has no sockets that it would keep from the next server, should it hang.
    let open = std::fs::read_dir(format!("/proc/{asker}/fd")).expect("it runs");
    let links = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    assert_eq!(links.filter(|link| link.to_string_lossy().starts_with("socket:")).count(), 0);
    // Killed, another one asks. That is held up, as by a server of NFS that is gone.
    kill(Pid::from_raw(asker), Signal::SIGKILL).expect("it runs");
    let next = asker_of(master, asker);
    assert_eq!(parent_of(next), master);
    kill(Pid::from_raw(next), Signal::SIGSTOP).expect("it runs");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.process.expect_end().code(), Some(1));
    let line = server.log().wait_for("triggering detonation...");
    assert!(line.ends_with("(it has not answered for 10 seconds) [UWR-E065]"), "{line}");
    // Neither is left, but for what nobody has buried yet.
    let runs = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
    };
    let begun = std::time::Instant::now();
    while runs(worker) || runs(next) {
        assert!(begun.elapsed() < PATIENCE, "{worker} or {next} is left");
        std::thread::yield_now();
    }
}
