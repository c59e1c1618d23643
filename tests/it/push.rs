//! `stats-push`, `enable-metrics`, `metric`: figures that go out by themselves, and those that applications add.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, Packet, Server, ServerBuilder, Target, root, target, uwring_only};

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
        .ini("stats-push = file:path={dir}/stats,freq=1,separator=@@\nmetrics-no-cores = true")
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
        let metrics = read["metrics"].as_object().expect("metrics");
        assert!(metrics.contains_key("worker.1.requests"), "{document}");
        assert!(!metrics.contains_key("worker.1.core.0.requests"), "{document}");
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

/// What the application counts by name, and what is worked out of that.
const OWN: &str = "metric = shop.orders\nmetric = name=g,type=gauge,initial_value=7,oid=100.1\n\
                   metric = imported\nmetric = name=al,type=alias,alias=g\n\
                   metric = name=sum,collector=sum,children=g;shop.orders\n\
                   metric = name=tripled,collector=multiplier,children=g,arg1n=3\n\
                   metric = name=more,collector=adder,children=g,arg1n=3\n\
                   metric = name=mean,collector=avg,children=g;shop.orders\n\
                   metric = name=read,collector=file,arg1={dir}/read";

fn metered() -> ServerBuilder {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("read"), "42\n").expect("written");
    Server::app("metered").folder(folder).ini(OWN).ini("stats = {dir}/stats.sock").processes(2)
}

/// Asks for each path, and compares what comes.
#[track_caller]
fn ask(server: &Server, pairs: &[(&str, &str)]) {
    for (path, said) in pairs {
        let response = server.socket().uwsgi(&Packet::get(&format!("/metric_{path}")));
        assert_eq!(response.text(), *said, "{path}");
    }
}

#[test]
fn an_application_counts_by_uwsgis_functions() {
    let server = metered()
        .ini("log-format = %(uri) %(metric.g) %(metric.shop.orders) %(metric.none)")
        .ini("alarm = high log:\nmetric-threshold = key=shop.orders,value=1000,alarm=high,rate=60,msg=so many orders")
        .start();
    ask(
        &server,
        &[
            ("get/g", "7"),
            ("get/imported", "1"),
            ("get/none", "0"),
            ("inc/none", "None"),
            ("inc/g", "True"),
            ("inc/g/10", "True"),
            ("dec/shop.orders/5", "True"),
            ("get/shop.orders", "-5"),
            ("mul/g/2", "True"),
            ("div/g/0", "None"),
            ("div/g/4", "True"),
            ("get/g", "9"),
            ("set_max/g/25", "True"),
            ("set_max/g/3", "True"),
            ("set_min/g/24", "True"),
            ("get/g", "24"),
            ("inc/worker.1.requests", "None"),
            ("set/al/3", "None"),
            ("set/sum/3", "None"),
        ],
    );
    server.log().wait_for("/metric_get/g 24 -5 0");
    let told = crate::stats::until(&server, "worked out", |told| {
        let value = |name: &str| told["metrics"][name]["value"].as_i64();
        ["g", "al", "sum", "tripled", "more", "mean", "read", "imported", "worker.0.requests"].map(value)
            == [24, 24, 19, 72, 27, 9, 42, 1, 19].map(Some)
    });
    let metrics = told["metrics"].as_object().expect("metrics");
    let shape = |name: &str| (metrics[name]["type"].as_i64(), metrics[name]["oid"].as_str());
    assert_eq!(shape("shop.orders"), (Some(0), Some("")));
    assert_eq!(shape("g"), (Some(1), Some("100.1")));
    assert_eq!(shape("al"), (Some(3), Some("100.1")));
    let text = crate::stats::text(&server);
    let names = ["vsz_size", "shop.orders", "g", "imported", "al", "sum", "tripled", "more", "mean", "read"];
    let places = names.map(|name| text.find(&format!("\"{name}\":\t")));
    assert!(places.is_sorted() && places[0].is_some(), "{places:?} {text}");
    ask(&server, &[("get/worker.0.requests", "19"), ("set/shop.orders/1000", "True")]);
    server.log().wait_for("ALARM: ");
    assert_eq!(server.log().count(|line| line.contains("ALARM: ") && line.contains("so many orders")), 1);
}

#[test]
fn what_an_application_counts_outlives_its_workers() {
    if uwring_only("a reload of it makes all metrics anew") {
        return;
    }
    let server = metered().ini("metrics = {dir}/metrics.sock").start();
    ask(&server, &[("inc/shop.orders/3", "True"), ("get/tripled", "21"), ("get/sum", "10")]);
    for pid in server.workers() {
        kill(Pid::from_raw(pid), Signal::SIGKILL).expect("our worker");
    }
    server.log().wait_n(2, |line| line.starts_with("Respawned uWSGI worker ")).expect("two more");
    ask(&server, &[("inc/shop.orders/4", "True")]);
    server.reload_until(|| server.log().count(|line| line.starts_with("spawned uWSGI worker ")) == 4);
    ask(&server, &[("get/shop.orders", "7")]);
    let page = crate::metrics::page(&server, "text/plain");
    assert!(page.contains("\nuwring_metric{name=\"shop.orders\"} 7\n"), "{page}");
}
