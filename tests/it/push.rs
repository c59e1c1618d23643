//! `stats-push` and `enable-metrics`: figures that go out by themselves, and uWSGI's names for them.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Instant;

use crate::support::{PATIENCE, Packet, Server, Target, root, target, uwring_only};

/// What came at the socket until it holds: the sum of what was said of each counter, the last of each gauge.
fn heard(socket: &UdpSocket, holds: impl Fn(&BTreeMap<String, i64>) -> bool) -> BTreeMap<String, i64> {
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut all = BTreeMap::new();
    let mut buffer = [0; 2048];
    while !holds(&all) {
        let len = socket.recv(&mut buffer).expect("something is sent");
        let text = std::str::from_utf8(&buffer[..len]).expect("text");
        let (name, rest) = text.split_once(':').expect("name:value|kind");
        let (value, kind) = rest.split_once('|').expect("name:value|kind");
        let value: i64 = value.parse().expect("a number");
        match kind {
            "c" => *all.entry(name.to_owned()).or_default() += value,
            _ => drop(all.insert(name.to_owned(), value)),
        }
    }
    all
}

#[test]
fn statsd_hears_uwsgis_names() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let address = socket.local_addr().expect("an address");
    let server = Server::app("hello")
        .uwsgi_needs("plugin = stats_pusher_statsd")
        .ini(&format!("stats-push = statsd:{address},my\nstats-pusher-default-freq = 1"))
        .start();
    for _ in 0..7 {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    let enough = |all: &BTreeMap<String, i64>| all.get("my.worker.0.requests").is_some_and(|sum| *sum >= 7);
    let all = heard(&socket, |all| enough(all) && all.contains_key("my.vsz_size"));
    for name in
        ["my.core.busy_workers", "my.worker.1.core.0.requests", "my.socket.0.listen_queue", "my.rss_size"]
    {
        assert!(all.contains_key(name), "{name}: {all:#?}");
    }
    if uwring_only("it sends the whole count of a counter each time, which StatsD adds up") {
        return;
    }
    assert_eq!((all["my.worker.0.requests"], all["my.worker.1.requests"]), (7, 7));
}

#[test]
fn a_file_gets_document_after_document() {
    let server = Server::app("hello")
        .uwsgi_needs("plugin = stats_pusher_file")
        .ini("stats-push = file:path={dir}/stats,freq=1,separator=@@")
        .start();
    let begun = Instant::now();
    let documents = loop {
        let text = std::fs::read_to_string(server.path("stats")).unwrap_or_default();
        if text.matches("@@").count() >= 2 {
            break text;
        }
        assert!(begun.elapsed() < PATIENCE, "{text}\n{}", server.log().text());
        std::thread::yield_now();
    };
    for document in documents.split("@@").take(2) {
        let read: serde_json::Value = serde_json::from_str(document).expect("JSON");
        assert_eq!(read["pid"], server.process.pid.as_raw());
    }
}

#[test]
fn enabled_metrics_are_among_the_statistics() {
    let ini = "stats = {dir}/stats.sock\nenable-metrics = true\nthreads = 2\nprocesses = 2";
    let server = Server::app("hello").ini(ini).start();
    server.log().wait_for("*** Stats server enabled on ");
    let text = crate::stats::text(&server);
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let metrics = read["metrics"].as_object().expect("metrics");
    let shape: Vec<String> = metrics
        .iter()
        .map(|(name, metric)| format!("{name} {} {}\n", metric["type"], metric["oid"]))
        .collect();
    let golden = root().join("tests/golden/metrics.txt");
    if std::env::var_os("UWRING_BLESS").is_some() && target() == Target::Uwsgi {
        std::fs::write(&golden, shape.concat()).expect("write the golden names");
    }
    assert_eq!(shape.concat(), std::fs::read_to_string(&golden).expect("the golden names"));
    let locks: Vec<String> =
        read["locks"].as_array().expect("locks").iter().map(ToString::to_string).collect();
    assert_eq!(locks.last().map(String::as_str), Some("{\"metrics\":0}"));

    let server = Server::app("hello").ini(ini).ini("stats-no-metrics = true").start();
    server.log().wait_for("*** Stats server enabled on ");
    assert!(!crate::stats::text(&server).contains("\"core.busy_workers\""));
}
