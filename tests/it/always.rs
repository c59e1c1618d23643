//! Options whose wish is always granted: what each asks for, seen on both servers. The other tests that stand for such
//! options are named in `src/options/table/proofs.rs`.

use std::path::Path;
use std::time::Instant;

use crate::support::{Gate, PATIENCE, Packet, Server, uwring_only};

#[test]
fn threads_of_the_application_run_between_requests() {
    let server = Server::app("thread_between").ini("enable-threads = true").start();
    let gate = Gate::new(server.path("gate"));
    let packet = Packet::get("/").var("QUERY_STRING", gate.query());
    assert_eq!(server.socket().uwsgi(&packet).expect(200).text(), "started");
    gate.open();
    server.log().wait_for("the thread ran on");
}

#[test]
fn ended_children_are_collected_after_the_request() {
    let server = Server::app("leaves_child").ini("reaper = true").start();
    let pid = server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    let started = Instant::now();
    while Path::new(&format!("/proc/{pid}")).exists() {
        assert!(started.elapsed() < PATIENCE, "child {pid} stays");
        std::thread::yield_now();
    }
}

#[test]
fn programs_of_the_application_have_no_sockets() {
    let server = Server::app("children").ini("close-on-exec = true\nclose-on-exec2 = true").start();
    let answer = server.socket().uwsgi(&Packet::get("/").var("QUERY_STRING", "sockets")).expect(200);
    let inherited = answer.text();
    // Neither the socket that listens nor the connection, which has its name.
    let known = std::fs::read_to_string("/proc/net/unix").expect("the unix sockets");
    let path = server.path("app.sock").display().to_string();
    let ours: Vec<&str> = known.lines().filter(|line| line.ends_with(&path)).collect();
    assert!(!ours.is_empty(), "{known}");
    for line in ours {
        let inode = line.split_whitespace().nth(6).expect("an inode");
        assert!(!inherited.contains(&format!("socket:[{inode}]")), "{line}: {inherited}");
    }
}

#[test]
fn applications_share_one_interpreter() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("write");
    write("shelf.py", "seen = []\n");
    for name in ["one", "two"] {
        let text = format!(
            "import shelf\nshelf.seen.append('{name}')\ndef application(environ, start_response):\n    \
             start_response('200 OK', [])\n    return [','.join(sorted(shelf.seen)).encode()]\n"
        );
        write(&format!("{name}.py"), &text);
    }
    let server = Server::bare()
        .folder(folder)
        .ini("socket = {dir}/app.sock\npythonpath = {dir}\nmanage-script-name = true\nsingle-interpreter = true")
        .ini("mount = /one={dir}/one.py\nmount = /two={dir}/two.py")
        .start();
    for path in ["/one/", "/two/"] {
        assert_eq!(server.socket().uwsgi(&Packet::get(path)).expect(200).text(), "one,two", "{path}");
    }
}

#[test]
fn a_connection_is_taken_before_it_says_anything() {
    if uwring_only("takes it, too; its timeout ends it without a word") {
        return;
    }
    let server = Server::app("hello").http().ini("no-defer-accept = true\nheader-timeout = 1").start();
    let mut silent = server.http();
    // Only a server that has taken the connection can end it.
    assert!(silent.rest().is_empty());
}

#[test]
fn a_file_nobody_reads_holds_up_no_request() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = std::fs::File::create(folder.path().join("large")).expect("a file");
    file.set_len(64 << 20).expect("its length");
    let server = Server::app("hello")
        .folder(folder)
        .http()
        .ini("static-map = /large={dir}/large\noffload-threads = 2\nprocesses = 1")
        .start();
    let mut lazy = server.http();
    lazy.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    lazy.head().expect(200);
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "Hello, world!");
}

#[test]
fn what_is_always_so_is_told_to_those_who_switch_it_off() {
    if uwring_only("switches it off") {
        return;
    }
    let server =
        Server::app("hello").ini("die-on-term = false\nenable-threads = false\nreaper = false").start();
    let line = server.log().wait_for("SIGTERM always is a graceful shutdown");
    assert!(line.contains("uwsgi.ini:") && line.contains("die-on-term = false"), "{line}");
    server.log().wait_for("threads of the application always run");
    assert_eq!(server.stop().code(), Some(0));
}
