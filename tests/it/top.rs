//! `uwring top`: on a real pseudo terminal, as text, and as a document.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Gate, Server, has, root, uwring_only, venv};

fn top(server: &Server, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uwring"));
    command.arg("top").args(words);
    if !words.contains(&"--stats") {
        command.args(["--pid", &server.process.pid.to_string()]);
    }
    command.output().expect("start uwring top")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// The last screen after these steps (tests/it/support/terminal.py).
fn screen(server: &Server, size: [&str; 2], steps: &[&str], environment: &[(&str, &str)]) -> String {
    let pid = server.process.pid.to_string();
    let output = Command::new(venv().join("bin/python"))
        .arg(root().join("tests/it/support/terminal.py"))
        .args(size)
        .args(steps)
        .args(["--", env!("CARGO_BIN_EXE_uwring"), "top", "--interval", "0.2", "--pid", &pid])
        .env_remove("NO_COLOR")
        .envs(environment.iter().copied())
        .output()
        .expect("run a terminal");
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

/// A server with a request in flight and a failed one.
fn busy() -> (Server, Gate, crate::support::Connection) {
    let server = Server::app("recorded").http().processes(2).start();
    assert_eq!(server.get("/500").status(), 500);
    let gate = Gate::new(server.path("gate"));
    let mut client = server.http();
    client.send(format!("GET /wait?{} HTTP/1.1\r\nHost: h\r\n\r\n", gate.query()));
    (server, gate, client)
}

#[test]
fn a_terminal_shows_the_server_and_keys_work() {
    if !has(&["venv"]) || uwring_only("it has no control socket") {
        return;
    }
    let (server, gate, mut client) = busy();
    let shown = screen(
        &server,
        ["80", "24"],
        &[
            r"show:\[in flight: 1\]",
            r"show:[um]s GET /wait\b",
            "colours:yes",
            "press:s",
            r"show:\(by busy|raised late",
            "press:3",
            r"show:\[last failed: 1\]",
            r"show:status|500 .* GET /500",
            "press:\\t",
            r"show:\[in flight: 1\]",
        ],
        &[("LANG", "C.UTF-8")],
    );
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].starts_with("uwring 2.0.31-uwring-") && lines[0].contains("  running  generation 1"),
        "{shown}"
    );
    for (line, begin) in
        lines[1..6].iter().zip(["requests ", "latency ", "threads   1 of 2 busy", "clients ", "backlog "])
    {
        assert!(line.starts_with(begin), "{begin}: {shown}");
    }
    assert!(
        lines.iter().any(|line| line.contains(" busy ")) && lines.iter().any(|line| line.contains(" idle ")),
        "{shown}"
    );
    assert!(lines[23].starts_with("q quit"), "{shown}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{shown}");
    // Without colours; larger, smaller, and far too small.
    let shown = screen(
        &server,
        ["80", "24"],
        &[
            "show:GET /wait",
            "colours:no",
            "size:140x40",
            "show:Space hold",
            "size:30x5",
            "show:^uwring [^\n]*\n[^\n]*\nlatency",
        ],
        &[("NO_COLOR", "1"), ("LC_ALL", "C")],
    );
    assert!(shown.is_ascii() && shown.lines().all(|line| line.len() <= 30), "{shown}");
    gate.open();
    client.response("GET").expect(200);
}

#[test]
fn the_screen_says_when_the_server_is_gone() {
    if !has(&["venv"]) || uwring_only("it has no control socket") {
        return;
    }
    let server = Server::app("hello").start();
    let end = format!("run:kill -TERM {}", server.process.pid);
    let shown = screen(
        &server,
        ["80", "24"],
        &["show:generation 1", &end, "show:no answer: .*no running uwring"],
        &[],
    );
    assert!(shown.contains("generation 1"), "what was last known stays: {shown}");
    assert!(server.process.expect_end().success());
}

#[test]
fn once_is_text_and_json_is_the_document() {
    if uwring_only("it has no control socket") {
        return;
    }
    let (server, gate, mut client) = busy();
    while server.status()["requests"] != 1
        || server.status()["workers"].to_string().matches("\"in_flight\":1").count() != 1
    {}
    // No terminal: as if `--once` had been said.
    for words in [&["--once", "--interval", "0.1"][..], &["--interval", "0.1", "--sort", "requests"]] {
        let output = top(&server, words);
        let shown = text(&output);
        assert_eq!(output.status.code(), Some(0), "{shown}");
        for part in [
            "threads   1 of 2 busy, 0 requests wait",
            "in flight: 1\n",
            " GET /wait\n",
            "last failed: 1\n",
            " 500         GET /500\n",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }
    let document: Value = serde_json::from_slice(&top(&server, &["--json"]).stdout).expect("JSON");
    assert_eq!((&document["requests"], &document["answers"][5]), (&1.into(), &1.into()));
    assert_eq!(document["pid"], server.process.pid.as_raw());
    // What is told is documented, and nothing else.
    let page = std::fs::read_to_string(root().join("docs/top.md")).expect("docs/top.md");
    let mut names = document.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    for part in ["workers", "sockets", "connections"] {
        names.extend(document[part][0].as_object().expect("an object").keys().cloned());
    }
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name} is not in docs/top.md");
    }
    gate.open();
    client.response("GET").expect(200);
    assert!(server.stop().success());
    let gone = top(&server, &["--once"]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(text(&gone).contains("no running uwring has process id"), "{}", text(&gone));
}

#[test]
fn a_stats_server_is_enough() {
    let server = Server::app("wait").processes(2).ini("stats = {dir}/stats.sock").start();
    server.log().wait_for("*** Stats server enabled on ");
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    let stats = server.path("stats.sock").display().to_string();
    let output = top(&server, &["--once", "--interval", "0.1", "--stats", &stats]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in ["threads   1 of 2 busy", "app.sock ", "in flight: 1\n", " GET /\n", " idle "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    gate.open();
    client.response("GET").expect(200);
    let wrong = server.path("uwsgi.ini").display().to_string();
    let output = top(&server, &["--stats", &wrong]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("uwsgi.ini: "), "{}", text(&output));
}
