//! `reload-on-fd`, `alarm-fd`: descriptors that the server was started with.

use std::fs::File;
use std::io::Write;

use crate::support::{PATIENCE, Packet, Server, program, script_at, uwring_only};

/// A server whose descriptor 7 reads a pipe, and the pipe's other end.
fn with_pipe(ini: &str) -> (Server, File) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("make a fifo");
    let script = format!("#!/bin/sh\nexec {} \"$@\" 7<{}\n", program().display(), fifo.display());
    let program = script_at(folder.path().join("server"), &script);
    let server = Server::app("hello").folder(folder).program(program).ini(ini).launch();
    // Each waits for the other to open it.
    let pipe = File::options().write(true).open(&fifo).expect("open the fifo");
    server.log().wait_for("spawned uWSGI worker 1");
    (server, pipe)
}

fn reloads(server: &Server) -> usize {
    server.log().count(|line| line.starts_with("*** fd 7 ready"))
}

#[test]
fn a_word_reloads() {
    for option in ["reload-on-fd", "brutal-reload-on-fd"] {
        let (server, mut pipe) = with_pipe(&format!("{option} = 7:4 new code"));
        server.log().wait_for("reload monitor for fd 7 (read size: ");
        pipe.write_all(b"new!").expect("written");
        server.log().wait_for("*** fd 7 ready: new code ***");
        let again = |line: &str| line.starts_with("spawned uWSGI worker 1");
        assert!(server.log().wait_n(2, again).is_some(), "{}", server.log().text());
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        if uwring_only("its reload closes the descriptor") {
            continue;
        }
        // As often as something comes, and once for all that came.
        pipe.write_all(&[b'x'; 1000]).expect("written");
        assert!(server.log().wait_n(3, again).is_some(), "{}", server.log().text());
        assert_eq!(reloads(&server), 2);
        assert_eq!(server.stop().code(), Some(0));
    }
}

#[test]
fn a_pipe_that_ends_is_said_once_and_left_alone() {
    if uwring_only("it says so as fast as it can") {
        return;
    }
    let (server, pipe) = with_pipe("reload-on-fd = 7\nalarm = told log:\nalarm-fd = told 98 never");
    server.log().wait_for("i will stop monitoring fd 98: ");
    drop(pipe);
    server.log().wait_for("i will stop monitoring fd 7: its other end was closed [UWR-W057]");
    let master = server.process.pid;
    let ticks = || {
        let stat = std::fs::read_to_string(format!("/proc/{master}/stat")).expect("it runs");
        let numbers = stat.rsplit(')').next().unwrap_or_default().to_owned();
        numbers.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum::<u64>()
    };
    let before = ticks();
    for _ in 0..200 {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    assert!(ticks() - before < 20, "the master spins");
    assert_eq!((reloads(&server), server.workers().len()), (0, 1));
    assert_eq!(server.log().count(|line| line.contains("i will stop monitoring fd 7")), 1);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_word_raises_an_alarm() {
    let (server, mut pipe) = with_pipe(
        "alarm = told cmd:cat > {dir}/new; mv {dir}/new {dir}/told\nalarm-fd = told 7:4 the disk is full",
    );
    pipe.write_all(b"full").expect("written");
    let begun = std::time::Instant::now();
    let told = || std::fs::read_to_string(server.path("told")).unwrap_or_default();
    while told().trim_end() != "the disk is full" {
        assert!(begun.elapsed() < PATIENCE, "{:?} {}", told(), server.log().text());
        std::thread::yield_now();
    }
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.workers().len(), 1, "it does not reload");
}
