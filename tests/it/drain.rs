//! Leaving the service: `uwring ctl drain`, `drain-delay`. And looking into workers: `uwring ctl dump`.

use nix::sys::signal::Signal;

use crate::support::{Gate, Server, uwring_only};

fn keep_alive_get(client: &mut crate::support::Connection) -> Option<String> {
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    client.response("GET").expect(200).header("Connection").map(str::to_owned)
}

#[test]
fn a_draining_server_serves_without_keep_alive() {
    if uwring_only("it has no control socket") {
        return;
    }
    let server = Server::app("hello").http().processes(2).start();
    let mut kept = server.http();
    assert_eq!(keep_alive_get(&mut kept), None);
    assert_eq!(server.ctl(&["drain"]).status.code(), Some(0));
    server.log().wait_for("*** DRAINING");
    assert_eq!(server.status()["phase"], "draining");
    assert_eq!(keep_alive_get(&mut kept).as_deref(), Some("close"));
    assert!(kept.is_closed());
    assert_eq!(keep_alive_get(&mut server.http()).as_deref(), Some("close"), "a new client is served, too");
    assert_eq!(server.ctl(&["drain", "--undo"]).status.code(), Some(0));
    assert_eq!(server.status()["phase"], "running");
    let mut kept = server.http();
    assert_eq!(keep_alive_get(&mut kept), None);
    assert_eq!(keep_alive_get(&mut kept), None);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn drain_delay_serves_on_before_the_end() {
    if uwring_only("it ends at once") {
        return;
    }
    let server = Server::app("hello").http().processes(2).ini("drain-delay = 2").start();
    let mut kept = server.http();
    assert_eq!(keep_alive_get(&mut kept), None);
    server.signal(Signal::SIGTERM);
    server.log().wait_for("stopping in 2 s (drain-delay)");
    assert_eq!(server.status()["phase"], "stopping");
    assert_eq!(server.ctl(&["reload"]).status.code(), Some(1));
    // Whoever has not noticed yet is served, and told.
    assert_eq!(keep_alive_get(&mut kept).as_deref(), Some("close"));
    assert_eq!(keep_alive_get(&mut server.http()).as_deref(), Some("close"));
    assert_eq!(server.process.expect_end().code(), Some(0));
    // Asked twice, it does not wait.
    let server = Server::app("hello").http().ini("drain-delay = 100000").start();
    server.signal(Signal::SIGTERM);
    server.log().wait_for("stopping in 100000 s (drain-delay)");
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn dump_shows_the_stacks_of_all_workers() {
    if uwring_only("it has no control socket") {
        return;
    }
    let server = Server::app("wait").processes(2).ini("threads = 2").start();
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    let shown = server.ctl(&["dump"]);
    assert_eq!(shown.status.code(), Some(0), "{shown:?}");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert_eq!(text.matches(" status ***").count(), 2, "{text}");
    assert!(text.contains("managing request ") && text.contains("function = application"), "{text}");
    let one = server.ctl(&["dump", "--worker", "2", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&one.stdout).expect("JSON");
    let told = told.as_array().expect("a list");
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["worker"], &told[0]["ok"]), (&2.into(), &true.into()));
    assert_eq!(told[0]["pid"], server.workers()[1]);
    assert_eq!(server.ctl(&["dump", "--worker", "3"]).status.code(), Some(1));
    // One that cannot answer holds up nobody else.
    let stopped = nix::unistd::Pid::from_raw(server.workers()[0]);
    nix::sys::signal::kill(stopped, Signal::SIGSTOP).expect("stop our worker");
    let shown = server.ctl(&["dump"]);
    assert_eq!(shown.status.code(), Some(1));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("no answer: ") && text.contains("worker 2 (pid: "), "{text}");
    nix::sys::signal::kill(stopped, Signal::SIGCONT).expect("let it go on");
    gate.open();
    client.response("GET").expect(200);
    // What came too late for that client is nobody's.
    assert_eq!(server.ctl(&["dump"]).status.code(), Some(0));
}
