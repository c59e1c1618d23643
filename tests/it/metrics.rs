//! `/metrics`: read with the official parsers, and counted against what clients count themselves.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{
    Address, Gate, PATIENCE, Packet, Server, ServerBuilder, has, skipped, uwring_only, venv,
};

/// Reads a page with one of the parsers: `name{label=value,…} number` for each sample, sorted.
const READ: &str = "
import sys
kind, text = sys.argv[1], sys.stdin.read()
if kind == 'open':
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as families
else:
    from prometheus_client.parser import text_string_to_metric_families as families
for family in families(text):
    assert family.type != 'unknown', family
    for sample in family.samples:
        labels = ','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))
        print(f'{sample.name}{{{labels}}} {float(sample.value)}')
";

const METRICS: &str = "metrics = {dir}/metrics.sock";

pub fn page(server: &Server, accept: &str) -> String {
    let response =
        Address::Unix(server.path("metrics.sock")).request("GET", "/metrics", &[("Accept", accept)], b"");
    response.expect(200).text()
}

/// The samples, by name and labels, as they are written.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    page.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn look(server: &Server) -> BTreeMap<String, f64> {
    samples(&page(server, "text/plain"))
}

fn until(
    server: &Server,
    what: &str,
    holds: impl Fn(&BTreeMap<String, f64>) -> bool,
) -> BTreeMap<String, f64> {
    let begun = Instant::now();
    loop {
        let told = look(server);
        if holds(&told) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "never {what}: {told:#?}\n{}", server.log().text());
        std::thread::yield_now();
    }
}

fn answered(method: &str, class: &str) -> String {
    format!(
        "http_server_requests_total{{http_request_method=\"{method}\",http_response_status_class=\"{class}\"}}"
    )
}

fn started(builder: ServerBuilder) -> Option<Server> {
    if uwring_only("it has no metrics over HTTP") {
        return None;
    }
    Some(builder.ini(METRICS).start())
}

/// Whether the official parsers, and what applications count with, are installed.
fn has_client() -> bool {
    if !has(&["venv"]) {
        return false;
    }
    let known = Command::new(venv().join("bin/python"))
        .args(["-c", "import prometheus_client"])
        .stderr(Stdio::null())
        .status();
    let known = known.expect("run python").success();
    if !known {
        assert!(
            std::env::var_os("CI").is_none(),
            "missing under CI: prometheus-client (scripts/setup installs it)"
        );
        skipped("prometheus-client not found (scripts/setup installs it)");
    }
    known
}

/// What the official parser of this kind makes of a page.
fn read(kind: &str, page: &str) -> String {
    let mut reader = Command::new(venv().join("bin/python"))
        .args(["-c", READ, kind])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run python");
    reader.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("given");
    let output = reader.wait_with_output().expect("read");
    assert!(output.status.success(), "{kind}: {page}");
    String::from_utf8(output.stdout).expect("text")
}

/// As scrapers of either kind ask.
const KINDS: [(&str, &str); 2] = [
    ("text", "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"),
    ("open", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"),
];

#[test]
fn official_parsers_read_both_formats() {
    if !has_client() {
        return;
    }
    let Some(server) = started(Server::app("hello").http().processes(2)) else { return };
    server.get("/").expect(200);
    // The answer may be there before it is counted.
    until(&server, "counted", |told| told.contains_key(&answered("GET", "2xx")));
    for (kind, accept) in KINDS {
        let page = page(&server, accept);
        let read = read(kind, &page);
        assert_eq!(read.lines().count(), samples(&page).len(), "{read}\n{page}");
        assert!(read.contains(
            "http_server_requests_total{http_request_method=GET,http_response_status_class=2xx} 1.0\n"
        ));
        assert!(read.contains("uwsgi_worker_busy{worker_id=2} 0.0\n"), "{read}");
        // What is only a name must not be documented as something else.
        let table =
            std::fs::read_to_string(crate::support::root().join("docs/metrics.md")).expect("docs/metrics.md");
        for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = line.split(' ').next().expect("a name").trim_end_matches("_total");
            assert!(table.contains(&format!("`{name}")), "docs/metrics.md does not know {name}");
        }
    }
}

/// Clients on connections of their own, which count what they get.
fn load(server: &Server, clients: usize, requests: usize) -> usize {
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let address = server.tcp(0);
            std::thread::spawn(move || (0..requests).filter(|_| address.get("/").status() == 200).count())
        })
        .collect();
    threads.into_iter().map(|thread| thread.join().expect("a client")).sum()
}

#[test]
fn counts_are_those_of_the_clients_over_deaths_and_reloads() {
    let Some(server) = started(Server::app("hello").http().processes(2)) else { return };
    let all = |told: &BTreeMap<String, f64>| told.get(&answered("GET", "2xx")).copied().unwrap_or(0.0);
    let mut got = load(&server, 4, 50);
    assert_eq!(all(&until(&server, "all", |told| all(told) >= got as f64)), got as f64);
    kill(Pid::from_raw(server.workers()[0]), Signal::SIGKILL).expect("kill a worker");
    let crashed = "uwring_worker_respawns_total{reason=\"crashed\"}";
    until(&server, "respawned", |told| told[crashed] == 1.0 && told["uwring_workers{state=\"idle\"}"] == 2.0);
    got += load(&server, 4, 50);
    assert_eq!(all(&until(&server, "all", |told| all(told) >= got as f64)), got as f64);
    // A reload while clients go on.
    let reloading = std::thread::scope(|scope| {
        let clients = scope.spawn(|| load(&server, 4, 100));
        server.signal(Signal::SIGHUP);
        clients.join().expect("clients")
    });
    got += reloading;
    assert_eq!(got, 2 * 200 + 400);
    let told =
        until(&server, "reloaded", |told| told["uwring_worker_respawns_total{reason=\"reload\"}"] == 2.0);
    assert_eq!((told["uwring_generation"], told["uwring_last_reload_successful"]), (2.0, 1.0));
    // Each count is a store of its own: one look may fall between two of them.
    let got = got as f64;
    let of_workers = |told: &BTreeMap<String, f64>| {
        ["1", "2"].iter().map(|id| told[&format!("uwsgi_worker_requests_total{{worker_id=\"{id}\"}}")]).sum()
    };
    let counts = |told: &BTreeMap<String, f64>| -> [f64; 5] {
        [
            all(told),
            told["http_server_request_duration_seconds_count"],
            told["uwring_request_queue_seconds_bucket{le=\"+Inf\"}"],
            of_workers(told),
            told["uwring_connections_accepted_total"],
        ]
    };
    let told = until(&server, "all", |told| counts(told).iter().all(|count| *count >= got));
    assert_eq!(counts(&told), [got; 5]);
    // The reload ends with the old workers.
    until(&server, "running", |told| told["uwring_phase{phase=\"running\"}"] == 1.0);
}

#[test]
fn methods_statuses_refusals_and_exceptions_are_told_apart() {
    let Some(server) = started(Server::app("by_path").http().ini("limit-post = 10")) else { return };
    let address = server.tcp(0);
    for (method, path) in
        [("GET", "/200"), ("POST", "/404"), ("DELETE", "/302"), ("BREW", "/503"), ("GET", "/raise")]
    {
        address.request(method, path, &[], b"");
    }
    address.request("POST", "/200", &[], b"more than ten bytes").expect(413);
    let mut client = server.http();
    client.send("nonsense\r\n\r\n");
    client.rest();
    let told = until(&server, "all", |told| {
        told["uwring_requests_refused_total{http_response_status_class=\"4xx\"}"] == 2.0
            && told["uwring_request_queue_seconds_count"] == 5.0
    });
    for (method, class) in
        [("GET", "2xx"), ("POST", "4xx"), ("DELETE", "3xx"), ("_OTHER", "5xx"), ("GET", "5xx")]
    {
        assert_eq!(told.get(&answered(method, class)), Some(&1.0), "{method} {class}: {told:#?}");
    }
    assert_eq!(told["uwring_exceptions_total"], 1.0);
    assert!(
        told["http_server_request_bytes_total"] > 100.0 && told["http_server_response_bytes_total"] > 100.0
    );
}

#[test]
fn what_waits_and_what_runs_is_seen() {
    let Some(server) = started(Server::app("wait").ini("listen = 5")) else { return };
    let gate = Gate::new(server.path("gate"));
    let mut clients = vec![server.in_flight(&gate)];
    clients.push(server.send_to(&gate));
    let told = until(&server, "two in hand", |told| told["http_server_active_requests"] == 2.0);
    assert_eq!((told["uwring_requests_waiting"], told["uwsgi_worker_busy{worker_id=\"1\"}"]), (1.0, 1.0));
    assert_eq!(
        told["uwring_connections{state=\"running\"}"] + told["uwring_connections{state=\"waiting\"}"],
        2.0
    );
    assert!(
        told["uwsgi_worker_rss_bytes{worker_id=\"1\"}"] > 1e6
            && told["uwring_worker_pss_bytes{worker_id=\"1\"}"] > 1e5
    );
    let name = server.path("app.sock").display().to_string();
    let limit = told.get(&format!("uwring_listen_queue_limit{{socket=\"{name}\",family=\"unix\"}}"));
    // A kernel without the diagnosis of unix sockets says nothing.
    assert!(limit.is_none_or(|limit| *limit == 5.0), "{told:#?}");
    gate.open_for_all();
    clients.iter_mut().for_each(|client| drop(client.response("GET").expect(200)));
    until(&server, "nothing in hand", |told| told["http_server_active_requests"] == 0.0);
}

#[test]
fn a_full_line_is_seen_on_tcp_too() {
    let Some(server) = started(Server::app("wait").processes(2).http().ini("listen = 64")) else { return };
    let gates = ["gate0", "gate1"].map(|name| Gate::new(server.path(name)));
    let mut busy: Vec<_> = gates.iter().map(|gate| server.send_to(gate)).collect();
    assert!(server.log().wait_n(2, |line| line.starts_with("waiting at")).is_some());
    let since = Instant::now();
    let mut waiting: Vec<_> = (0..7).map(|_| server.http()).collect();
    waiting.iter_mut().for_each(|client| client.send("GET /late HTTP/1.1\r\nHost: test\r\n\r\n"));
    let Address::Tcp(name) = server.tcp(0) else { panic!("a TCP socket") };
    let line = |what: &str| format!("uwring_listen_queue_{what}{{socket=\"{name}\",family=\"tcp\"}}");
    let long = Duration::from_millis(60);
    let told = until(&server, "seven wait", |told| told[&line("length")] == 7.0 && since.elapsed() > long);
    assert_eq!((told[&line("limit")], told["uwsgi_listen_queue_length"]), (64.0, 7.0));
    gates.iter().for_each(Gate::open_for_all);
    busy.iter_mut().for_each(|client| drop(client.response("GET").expect(200)));
    waiting.iter_mut().for_each(|client| drop(client.response("GET").expect(200)));
    until(&server, "nobody waits", |told| told[&line("length")] == 0.0);
    // The one that found a worker without room until then says how long it had waited.
    let waited = || {
        let told = crate::requests::requests(&server, &[]);
        let slowest = told["slowest"].as_array().cloned().unwrap_or_default();
        slowest.iter().filter_map(|it| it["accept_us"].as_u64()).max()
    };
    let begun = Instant::now();
    while waited().is_none_or(|us| us < 40_000) {
        assert!(begun.elapsed() < PATIENCE, "nobody waited: {:?}", waited());
    }
}

#[test]
fn other_paths_are_not_found_and_the_path_can_be_chosen() {
    let Some(server) = started(Server::app("hello").ini("metrics-path = /private/metrics")) else { return };
    let address = Address::Unix(server.path("metrics.sock"));
    for path in ["/metrics", "/private", "/-/", "/-/status.txt"] {
        address.get(path).expect(404);
    }
    let response = address.get("/private/metrics?x").expect(200);
    assert_eq!(response.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn what_applications_count_is_one_number_over_deaths_and_reloads() {
    if uwring_only("it has no metrics over HTTP") || !has_client() {
        return;
    }
    let Some(server) = started(Server::app("counted").http().processes(2)) else { return };
    let sold = "shop_sales_total{what=\"a \\\"b\\\"\\\\\"}";
    let mut got = 0.0;
    let mut sell = || {
        got += load(&server, 4, 25) as f64;
        let told = look(&server);
        assert_eq!(told[sold], got);
        assert_eq!((told["shop_price_count"], told["shop_price_sum"]), (got, 2.5 * got));
        assert_eq!(
            (told["shop_price_bucket{le=\"1.0\"}"], told["shop_price_bucket{le=\"+Inf\"}"]),
            (0.0, got)
        );
        got
    };
    let mut got = sell();
    assert_eq!(server.get("/?peak=9&collect").status(), 200);
    let told = look(&server);
    // The interpreter's own pauses stand beside them.
    let oldest = "{generation=\"2\"}";
    assert!(told[&format!("uwring_python_gc_collections_total{oldest}")] >= 1.0, "{told:#?}");
    assert!(told[&format!("uwring_python_gc_seconds_total{oldest}")] > 0.0, "{told:#?}");
    assert!(told.contains_key("uwring_python_gil_wait_seconds_total"), "{told:#?}");
    assert_eq!((told["shop_peak"], told["shop_open"]), (9.0, 1.0));
    // The application's own page is about its process.
    let own = server.get("/?own").expect(200).text();
    let own: f64 = samples(&own)[sold];
    assert!(own >= 1.0 && own <= told[sold] + 1.0, "{own}");

    for worker in server.workers() {
        kill(Pid::from_raw(worker), Signal::SIGKILL).expect("kill a worker");
    }
    let crashed = "uwring_worker_respawns_total{reason=\"crashed\"}";
    let told = until(&server, "respawned", |told| {
        told[crashed] == 2.0 && told["uwring_workers{state=\"idle\"}"] == 2.0
    });
    assert_eq!((told["shop_peak"], told["shop_open"]), (9.0, 0.0));
    got += 2.0;
    let mut sell = || {
        got += load(&server, 4, 25) as f64;
        assert_eq!(look(&server)[sold], got);
    };
    sell();
    server.signal(Signal::SIGHUP);
    until(&server, "reloaded", |told| told["uwring_worker_respawns_total{reason=\"reload\"}"] == 2.0);
    sell();
    // What is counted while the application is imported counts once for each load of it.
    let told = look(&server);
    assert_eq!(told["shop_sales_total{what=\"imported\"}"], 14.0);
    assert!(told.keys().filter(|name| name.starts_with("shop_seen{")).count() <= 3, "{told:#?}");
    // What the server counts by a name is not mixed up with what the application counts by it.
    assert!(!told.contains_key("http_server_requests_total"), "{told:#?}");
    for (kind, accept) in KINDS {
        assert!(
            read(kind, &page(&server, accept)).contains("shop_sales_total{what=imported} 14.0\n"),
            "{kind}"
        );
    }
}
