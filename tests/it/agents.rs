//! Agents that have threads of their own, imported before the fork: sentry-sdk, OpenTelemetry with its batches, and
//! `prometheus_client` in its directory. What they report of every request arrives, also of workers that end (P10).

use std::process::Command;

use crate::support::{Packet, Running, Server, root, skipped, uwring_only, venv};

const PACKAGES: &str = "import sentry_sdk, prometheus_client, opentelemetry.instrumentation.wsgi, \
                        opentelemetry.exporter.otlp.proto.http";

/// Where the agents send to, and its address.
fn sink() -> Option<(Running, String)> {
    let python = venv().join("bin/python");
    let there = Command::new(&python).args(["-c", PACKAGES]).output().is_ok_and(|done| done.status.success());
    if !there {
        assert!(
            std::env::var_os("CI").is_none(),
            "agents are missing under CI (scripts/setup installs them)"
        );
        skipped("agents are not installed (scripts/setup installs them)");
        return None;
    }
    let mut command = Command::new(python);
    command.arg(root().join("tests/it/support/sink.py"));
    let sink = Running::spawn(command);
    let line = sink.log.wait_n(1, |line| line.starts_with("sink "))?.pop()?;
    Some((sink, line.trim_start_matches("sink ").to_owned()))
}

/// How many distinct requests the sink knows, by spans and by events.
fn known(sink: &Running, what: &str) -> usize {
    let mut all: Vec<String> = sink.log.lines().into_iter().filter(|line| line.starts_with(what)).collect();
    all.sort();
    all.dedup();
    all.len()
}

/// `requests` of them, over so many recycles of all workers: none is unheard of, and nothing hangs.
pub fn all_arrive(lines: &str, requests: usize, recycles: usize) {
    let Some((sink, address)) = sink() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("counts")).expect("a folder");
    let server = Server::app("agents")
        .folder(folder)
        .processes(2)
        .env("SINK", &address)
        .env("PROMETHEUS_MULTIPROC_DIR", "{dir}/counts")
        .env("NO_PROXY", "127.0.0.1")
        .ini(lines)
        .start();
    let ask = |query: &str| server.socket().uwsgi(&Packet::get("/").var("QUERY_STRING", query));
    let mut asked = 0;
    // Before and after each recycle, and when a request was late.
    let mut some = || {
        for _ in 0..requests / (recycles + 3) {
            asked += 1;
            ask(&format!("n{asked}")).expect(200);
        }
        asked
    };
    // The threads of the agents live in the workers.
    let first = some();
    assert!(sink.log.wait_n(first, |line| line.starts_with("span n")).is_some());
    assert!(sink.log.wait_n(first, |line| line.starts_with("event n")).is_some());
    // A worker that ends says what it still has to say, and one whose request is late goes on saying it.
    some();
    for _ in 0..recycles {
        assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
        some();
    }
    assert_eq!(ask("late").status(), 504);
    let last = some();
    let total = ask("total").expect(200).text();
    assert!(total.contains(&format!("requests_total {}.0", last + 1)), "{total}");
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!((known(&sink, "span n"), known(&sink, "event n")), (last, last));
    assert_eq!(known(&sink, "event late"), 1);
    assert_eq!(server.log().count(|line| line.starts_with("DAMN") || line.contains("no mercy")), 0);
}

#[test]
fn what_agents_report_arrives_with_preloading() {
    if uwring_only("it has no deadline of a thread, and ctl") {
        return;
    }
    all_arrive("harakiri = 2", 80, 1);
}

#[test]
fn what_agents_report_arrives_without_preloading() {
    if uwring_only("it has no deadline of a thread, and ctl") {
        return;
    }
    all_arrive("harakiri = 2\nlazy-apps = true\nthreads = 2", 80, 1);
}
