//! `uwring ctl`: asking a running server, and telling it what to do.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use crate::support::{Gate, Packet, Server, is_root, program, skipped, uwring_only};

fn run(command: &mut Command) -> Output {
    command.output().expect("start uwring ctl")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// A server whose application lies in its own folder, to be changed.
fn changeable() -> Option<Server> {
    if uwring_only("it has no control socket") {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_application(folder.path().join("site.py"), "one");
    let ini = "wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock";
    Some(Server::bare().folder(folder).ini(ini).processes(2).start())
}

fn write_application(path: PathBuf, answer: &str) {
    let code = format!(
        "def application(environ, start_response):\n    \
         start_response('200 OK', [])\n    return [b'{answer}']\n"
    );
    std::fs::write(path, code).expect("write the application");
}

fn answer(server: &Server) -> String {
    server.socket().uwsgi(&Packet::get("/")).expect(200).text()
}

#[test]
fn status_tells_the_workers_and_their_counts() {
    if uwring_only("it has no control socket") {
        return;
    }
    let server = Server::app("wait").processes(2).start();
    for _ in 0..5 {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    // The client may have an answer a moment before it is counted.
    let told =
        std::iter::repeat_with(|| server.status()).find(|told| told["requests"] == 5).expect("endless");
    assert_eq!(told["pid"], server.process.pid.as_raw());
    assert_eq!((&told["phase"], &told["generation"]), (&"running".into(), &1.into()));
    let workers = told["workers"].as_array().expect("a list");
    let pids: Vec<i64> = workers.iter().filter_map(|worker| worker["pid"].as_i64()).collect();
    assert_eq!(pids, server.workers().into_iter().map(i64::from).collect::<Vec<_>>());
    assert!(workers.iter().all(|worker| worker["state"] == "ready"), "{told}");
    let in_flight: i64 = workers.iter().filter_map(|worker| worker["in_flight"].as_i64()).sum();
    assert_eq!(in_flight, 1, "{told}");
    gate.open();
    client.response("GET").expect(200);
    let shown = text(&server.ctl(&["status"]));
    assert!(shown.contains(&format!("pid {}: running, generation 1", server.process.pid)), "{shown}");
    assert_eq!(shown.lines().count(), 4, "{shown}");
}

#[test]
fn reload_waits_until_the_new_code_serves() {
    let Some(server) = changeable() else { return };
    assert_eq!(answer(&server), "one");
    for (generation, code) in [(2, "two"), (3, "three")] {
        write_application(server.path("site.py"), code);
        let output = server.ctl(&["reload", "--wait"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        assert_eq!(text(&output), format!("generation {generation} serves now\n"));
        assert_eq!(server.status()["generation"], generation);
        // An old worker may still empty what was waiting when it was asked.
        let gone = 2 * (generation - 1);
        assert!(server.log().wait_n(gone, |line| line.contains(" buried after ")).is_some());
        assert_eq!(answer(&server), code);
    }
}

#[test]
fn reload_tells_that_the_new_code_failed() {
    let Some(server) = changeable() else { return };
    std::fs::write(server.path("site.py"), "def application(:\n").expect("write the application");
    let output = server.ctl(&["reload", "--wait", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["ok"], false);
    let message = told["message"].as_str().expect("a text");
    assert!(
        message.starts_with("the reload failed") && message.contains("generation 1 still serves"),
        "{told}"
    );
    assert_eq!(answer(&server), "one");
    // A broken option is found in the same way.
    write_application(server.path("site.py"), "two");
    std::fs::write(server.path("uwsgi.ini"), "[uwsgi]\nprocesses = many\n").expect("write the configuration");
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(1));
    server.log().wait_for("uwsgi.ini:2");
    assert_eq!(answer(&server), "one");
}

#[test]
fn reload_tells_where_the_new_workers_hang() {
    if uwring_only("it waits for ever, and nobody serves") {
        return;
    }
    // One waits in the kernel; the other gives the interpreter lock to nobody.
    let waits = "open(__file__[:-7] + 'gate')";
    let holds = "import re; re.match('(a+)+$', 'a' * 64 + 'b')";
    for (lazy, hangs) in [("true", waits), ("false", holds)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        write_application(folder.path().join("site.py"), "one");
        let ini = format!(
            "wsgi-file = {{dir}}/site.py\nsocket = {{dir}}/app.sock\nlazy-apps = {lazy}\nreload-timeout = 1"
        );
        let server = Server::bare().folder(folder).ini(&ini).start();
        let _gate = Gate::new(server.path("gate"));
        let code = format!("def connect():\n    {hangs}\nconnect()\n");
        std::fs::write(server.path("site.py"), code).expect("written");
        let output = server.ctl(&["reload", "--wait"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = text(&output);
        assert!(told.contains("do not serve after 1 seconds (reload-timeout), it stands at "), "{told}");
        assert!(told.contains("site.py:2"), "{told}");
        assert_eq!(answer(&server), "one");
        // All of the stack is in the log.
        let log = server.log();
        log.wait_for("generation 2 stands here:");
        log.wait_for("site.py\", line 2 in connect");
        log.wait_for("site.py\", line 3 in <module>");
    }
}

#[test]
fn stop_finishes_what_is_in_hand_and_waits_for_it() {
    if uwring_only("it has no control socket") {
        return;
    }
    let server = Server::app("wait").start();
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    let begun = server.ctl(&["stop"]);
    assert_eq!((begun.status.code(), text(&begun).as_str()), (Some(0), "the server is stopping\n"));
    assert_eq!(server.status()["phase"], "stopping");
    assert_eq!(server.ctl(&["reload"]).status.code(), Some(1));
    gate.open();
    client.response("GET").expect(200);
    assert_eq!(server.process.expect_end().code(), Some(0));
    let server = Server::app("hello").start();
    assert_eq!(server.ctl(&["stop", "--wait"]).status.code(), Some(0));
    // Nothing is left to wait for: the master's connection has ended with it.
    assert_eq!(server.process.expect_end().code(), Some(0));
    let gone = server.ctl(&["status"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone).contains("no running uwring has process id"), "{}", text(&gone));
}

#[test]
fn the_server_is_found_by_pidfile_or_address() {
    if uwring_only("it has no control socket") {
        return;
    }
    let server = Server::app("hello").ini("pidfile = {dir}/pid\ncontrol-socket = {dir}/control.sock").start();
    let socket = server.path("control.sock").display().to_string();
    let found = run(Command::new(program()).args(["ctl", "--socket", &socket, "status"]));
    assert_eq!(found.status.code(), Some(0), "{}", text(&found));
    // With an address of its own it has no other.
    let pidfile = server.path("pid").display().to_string();
    let missed = run(Command::new(program()).args(["ctl", "--pidfile", &pidfile, "status"]));
    assert_eq!(missed.status.code(), Some(1), "{}", text(&missed));
    assert_eq!(server.stop().code(), Some(0));
    assert!(!server.path("control.sock").exists());

    let server = Server::app("hello").ini("pidfile = {dir}/pid").start();
    let pidfile = server.path("pid").display().to_string();
    let found = run(Command::new(program()).args(["ctl", "status", "--pidfile", &pidfile]));
    assert_eq!(found.status.code(), Some(0), "{}", text(&found));
}

#[test]
fn only_its_own_user_and_root_control_a_server() {
    if uwring_only("it has no control socket") {
        return;
    }
    if !is_root() {
        return skipped("only root can ask as somebody else");
    }
    let server = Server::app("hello").start();
    // The build folder may be closed to others.
    let copy = server.path("uwring");
    crate::support::copy_program(&program(), &copy);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(server.folder.path(), open).expect("open the folder");
    let pid = server.process.pid.to_string();
    let output = run(Command::new(copy).args(["ctl", "--pid", &pid, "stop"]).uid(12_345).gid(12_345));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("only root and the user this server runs as"), "{}", text(&output));
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}
