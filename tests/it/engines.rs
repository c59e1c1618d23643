//! The two engines: which one runs, why, and that everything is served on either where io_uring is denied.

use std::path::PathBuf;

use crate::support::{
    Address, Packet, Server, ServerBuilder, app, engine, has, program, root, skipped, uwring_only,
};

const CALLS: &str = "io_uring_setup io_uring_enter io_uring_register";

/// A server whose system calls are filtered (tests/apps/denied/seccomp.py), and which chooses by itself.
fn filtered(filter: &str) -> ServerBuilder {
    Server::app("hello")
        .http()
        .ini("stats = {dir}/stats.sock\nmetrics = {dir}/metrics.sock")
        .program(app("denied").join("seccomp.py"))
        .env("SECCOMP", filter)
        .env("SECCOMP_PROGRAM", &program().display().to_string())
        .env("UWSGI_ENGINE", "auto")
}

/// It serves, and whoever asks is told that it does so on `name`.
#[track_caller]
fn serves_on(server: &Server, name: &str) {
    for _ in 0..3 {
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "Hello, world!");
        let mut client = server.http();
        for _ in 0..3 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.response("GET").expect(200).text(), "Hello, world!");
        }
    }
    assert_eq!(server.status()["engine"], name);
    let stats = Address::Unix(server.path("stats.sock")).connect().rest();
    let stats: serde_json::Value = serde_json::from_slice(&stats).expect("JSON");
    assert_eq!(stats["engine"], name);
    let metrics = Address::Unix(server.path("metrics.sock")).request("GET", "/metrics", &[], b"");
    let label = format!("engine=\"{name}\"");
    assert!(metrics.expect(200).text().contains(&label), "no {label}");
}

/// What this machine gives, or `None`, said.
fn has_ring(server: &Server) -> bool {
    let ring = server.log().wait_for("[uwring] engine: ").contains("io_uring; ");
    if !ring {
        skipped("this machine gives no io_uring");
    }
    ring
}

#[test]
fn where_io_uring_is_denied_epoll_serves() {
    if uwring_only("it knows epoll only") {
        return;
    }
    for (error, word) in [("EPERM", "seccomp"), ("ENOSYS", "hides it")] {
        let server = filtered(&format!("deny {error} {CALLS}")).start();
        let line = server.log().wait_for("[uwring] engine: epoll; ");
        assert!(line.contains("io_uring_setup") && line.contains(word), "{line}");
        serves_on(&server, "epoll");
        assert!(server.stop().success());
    }
}

/// By the sysctl itself. That takes io_uring from the whole machine for a moment, so it is done only where it is asked for:
/// `SYSCTL=1 cargo test --test it sysctl`, as root.
#[test]
fn where_the_sysctl_denies_io_uring_epoll_serves() {
    const SYSCTL: &str = "/proc/sys/kernel/io_uring_disabled";
    struct Before(String);
    impl Drop for Before {
        fn drop(&mut self) {
            std::fs::write(SYSCTL, &self.0).expect("it was written before");
        }
    }
    if std::env::var_os("SYSCTL").is_none() || uwring_only("it knows epoll only") {
        return;
    }
    let before = Before(std::fs::read_to_string(SYSCTL).unwrap_or_default());
    if before.0.trim() != "0" || std::fs::write(SYSCTL, "2").is_err() {
        std::mem::forget(before);
        return skipped("kernel.io_uring_disabled is not ours to change");
    }
    let server = Server::app("hello")
        .http()
        .ini("stats = {dir}/stats.sock\nmetrics = {dir}/metrics.sock")
        .env("UWSGI_ENGINE", "auto")
        .start();
    let forced = Server::app("hello").env("UWSGI_ENGINE", "io_uring").launch();
    let status = forced.process.expect_end();
    drop(before);
    let line = server.log().wait_for("[uwring] engine: epoll; ");
    assert!(line.contains("io_uring_setup: Operation not permitted"), "{line}");
    assert!(line.contains("the sysctl kernel.io_uring_disabled"), "{line}");
    serves_on(&server, "epoll");
    assert_eq!(status.code(), Some(1));
    forced.log().wait_for("engine = io_uring, but");
}

/// What older kernels refuse: buffers the kernel picks (5.19), waiting with a timeout (5.11), how the ring is made (6.1).
#[test]
fn where_a_part_of_io_uring_is_missing_epoll_serves() {
    if uwring_only("it knows epoll only") {
        return;
    }
    for (missing, call) in [
        ("deny EINVAL io_uring_register:22", "io_uring_register"),
        ("deny EINVAL io_uring_enter", "io_uring_enter"),
        ("deny EINVAL io_uring_setup", "io_uring_setup"),
    ] {
        let server = filtered(missing).start();
        let line = server.log().wait_for("[uwring] engine: ");
        assert!(line.contains(&format!("epoll; io_uring is not available: {call}: ")), "{line}");
        assert!(line.contains("Linux 6.1"), "{line}");
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "Hello, world!");
    }
}

#[test]
fn who_insists_on_io_uring_is_told_why_there_is_none() {
    if uwring_only("it knows epoll only") {
        return;
    }
    let server = filtered(&format!("deny EPERM {CALLS}")).env("UWSGI_ENGINE", "io_uring").launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    let line = server.log().wait_for("engine = io_uring, but");
    for word in ["Operation not permitted", "seccomp", "engine = auto", "docs/engines.md"] {
        assert!(line.contains(word), "{line}");
    }
    assert!(!server.path("app.sock").exists(), "left behind");
}

#[test]
fn the_engine_can_be_chosen() {
    if uwring_only("it knows epoll only") {
        return;
    }
    let on = |name: &str| {
        let ini = format!("engine = {name}\nstats = {{dir}}/stats.sock\nmetrics = {{dir}}/metrics.sock");
        Server::app("hello").http().ini(&ini).env("UWSGI_ENGINE", "auto").start()
    };
    let server = on("epoll");
    server.log().wait_for("[uwring] engine: epoll; `engine = epoll`");
    serves_on(&server, "epoll");
    let server = on("auto");
    if has_ring(&server) {
        serves_on(&server, "io_uring");
        serves_on(&on("io_uring"), "io_uring");
    }
}

#[test]
fn a_nonsensical_engine_is_refused() {
    if uwring_only("it has no such option") {
        return;
    }
    let server = Server::app("hello").ini("engine = kqueue").env("UWSGI_ENGINE", "auto").launch();
    assert_ne!(server.process.expect_end().code(), Some(0));
    server.log().wait_for("io_uring, epoll or auto");
}

/// Taken away while the server runs, by a sysctl say: the application takes it away from its workers here.
#[test]
fn a_worker_that_finds_no_ring_any_more_goes_on_with_epoll() {
    if uwring_only("it knows epoll only") {
        return;
    }
    let server = Server::app("denied").http().env("UWSGI_ENGINE", "auto").processes(2).start();
    if !has_ring(&server) {
        return;
    }
    let line = server.log().wait_for("goes on with epoll");
    assert!(line.contains("io_uring_setup: Operation not permitted"), "{line}");
    for _ in 0..10 {
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "hello");
    }
    assert_eq!(server.status()["engine"], "epoll");
}

/// All tests of this suite run on the engine they are told to run on.
#[test]
fn the_suite_runs_on_the_engine_that_it_is_told() {
    let Some(name) = engine() else { return };
    let server = Server::app("hello").start();
    assert_eq!(server.status()["engine"], name.as_str());
}

#[test]
fn the_seccomp_profile_we_give_is_enough_for_the_ring() {
    if uwring_only("it needs none") || !has(&["python3"]) {
        return;
    }
    // Numbers of system calls by name: a header has them.
    let header = PathBuf::from("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
    if !header.is_file() {
        return skipped("no unistd_64.h");
    }
    let ring = Server::app("hello").env("UWSGI_ENGINE", "auto").start();
    if !has_ring(&ring) {
        return;
    }
    let profile = root().join("docs/seccomp/uwring.json");
    let server = filtered(&format!("profile {}", profile.display())).start();
    serves_on(&server, "io_uring");
    assert!(server.stop().success());
}
