//! The flight recorder: `uwring ctl requests`, and connections by what they do.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;

use crate::support::{Address, Gate, PATIENCE, Packet, Server, uwring_only};

/// What `ctl requests` says, with these words.
pub fn requests(server: &Server, words: &[&str]) -> Value {
    let output = server.ctl(&[&["requests", "--json"], words].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// The same, once it `holds`.
fn until(server: &Server, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        let told = requests(server, &[]);
        if holds(&told) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "never {what}: {told:#}\n{}", server.log().text());
    }
}

fn list<'a>(told: &'a Value, name: &str) -> &'a [Value] {
    told[name].as_array().expect("a list")
}

fn uris(told: &Value, name: &str) -> Vec<String> {
    list(told, name).iter().map(|request| request["uri"].as_str().expect("a text").to_owned()).collect()
}

fn number(request: &Value, name: &str) -> u64 {
    request[name].as_u64().unwrap_or_else(|| panic!("{name}: {request}"))
}

#[test]
fn failed_requests_are_told_with_the_reason() {
    if uwring_only("it has no flight recorder") {
        return;
    }
    let server = Server::app("recorded").http().processes(2).ini("harakiri = 1").start();
    let http = server.tcp(0);
    let ask = |path: &str| http.get(path).status();
    assert_eq!(ask("/500?token=s3cret"), 500);
    assert_eq!(ask("/raise"), 500);
    assert_eq!(ask("/sleep"), 504);
    let mut client = http.connect();
    client.send("GET /die HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(client.rest_or_reset().is_empty());
    let mut client = http.connect();
    client.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    client.exactly(100_000);
    client.reset();
    assert_eq!(ask("/"), 200);
    let told = until(&server, "five failures", |told| list(told, "failed").len() == 5);
    let reasons: BTreeMap<&str, (&str, u64)> = list(&told, "failed")
        .iter()
        .map(|request| {
            let reason = request["failure"].as_str().expect("a text");
            (request["uri"].as_str().expect("a text"), (reason, number(request, "status")))
        })
        .collect();
    let expected = [
        ("/500", ("status", 500)),
        ("/die", ("worker died", 0)),
        ("/large", ("client gone", 200)),
        ("/raise", ("exception", 500)),
        ("/sleep", ("harakiri", 504)),
    ];
    assert_eq!(reasons, expected.into(), "{told:#}");
    let died = list(&told, "failed").iter().find(|request| request["uri"] == "/die").expect("told");
    assert!(server.workers().contains(&i32::try_from(number(died, "pid")).expect("a pid")), "{died}");
    assert_eq!((&died["core"], &died["method"]), (&0.into(), &"GET".into()));
    assert!(!told.to_string().contains("s3cret"), "{told:#}");
    // What the dead worker has kept is its successor's.
    assert!(uris(&told, "slowest").contains(&"/sleep".to_owned()), "{told:#}");
    let text = String::from_utf8(server.ctl(&["requests"]).stdout).expect("text");
    assert!(text.contains("  GET /die: worker died\n") && text.starts_with("in flight: 0\n"), "{text}");
}

#[test]
fn each_phase_of_a_request_is_told() {
    if uwring_only("it has no flight recorder") {
        return;
    }
    let server = Server::app("recorded").http().ini("recorder-query = true").start();
    let gate = Gate::new(server.path("gate"));
    let mut waits = server.socket().connect();
    let uri = format!("/wait?{}", gate.query());
    let packet = Packet::get("/wait").var("QUERY_STRING", gate.query()).var("REQUEST_URI", &uri);
    waits.send(packet.bytes());
    let told = until(&server, "running", |told| list(told, "in_flight").len() == 1);
    let running = &told["in_flight"][0];
    assert_eq!((&running["uri"], &running["worker"]), (&Value::from(uri.as_str()), &1.into()));
    // It comes slowly, then it waits for the only thread.
    let mut slow = server.http();
    slow.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\n\r\n1");
    let told = requests(&server, &["--stacks"]);
    let stacks = told["stacks"][0]["stacks"].as_str().expect("stacks");
    assert!(stacks.contains("open(environ["), "{stacks}");
    slow.send("2");
    while server.status()["workers"][0]["in_flight"] != 2 {}
    gate.open();
    waits.response("GET").expect(200);
    slow.response("POST").expect(200);
    let told = until(&server, "kept", |told| list(told, "slowest").len() == 2);
    let of = |uri: &str| list(&told, "slowest").iter().find(|request| request["uri"] == uri).expect("kept");
    let (waits, slow) = (of(&uri), of("/slow"));
    for request in [waits, slow] {
        let phases = ["read_us", "queue_us", "app_us", "write_us"].map(|phase| number(request, phase));
        assert_eq!(phases.iter().sum::<u64>(), number(request, "total_us"));
        assert_eq!((number(request, "status"), number(request, "core")), (200, 0));
    }
    // While the one waited for the gate, the other came, was read, and waited.
    assert!(number(waits, "app_us") > number(slow, "queue_us") && number(slow, "queue_us") > 0, "{told:#}");
    assert!(number(slow, "read_us") > 0, "{told:#}");
    assert_eq!(list(&told, "failed").len(), 0);
}

#[test]
fn nothing_is_kept_where_it_is_not_wanted() {
    if uwring_only("it has no flight recorder") {
        return;
    }
    let server = Server::app("recorded").http().ini("disable-recorder = true").start();
    assert_eq!(server.get("/500").status(), 500);
    while server.status()["requests"] != 1 {}
    let told = requests(&server, &[]);
    assert_eq!((list(&told, "slowest").len(), list(&told, "failed").len()), (0, 0), "{told:#}");
}

#[test]
fn connections_are_counted_by_what_they_do() {
    if uwring_only("it has no metrics over HTTP") {
        return;
    }
    let server = Server::app("recorded")
        .http()
        .ini("threads = 2\nhttp-keepalive = true\nmetrics = {dir}/metrics.sock")
        .start();
    let counts = || {
        let page = Address::Unix(server.path("metrics.sock")).get("/metrics").expect(200).text();
        let count = |line: &str| {
            let (state, count) = line.strip_prefix("uwring_connections{state=\"")?.split_once("\"} ")?;
            Some((state.to_owned(), count.parse::<u64>().expect("a number")))
        };
        page.lines().filter_map(count).collect::<BTreeMap<String, u64>>()
    };
    let expect = |expected: [u64; 6]| {
        let names = ["closing", "idle", "reading", "running", "waiting", "writing"];
        let expected = names.into_iter().map(str::to_owned).zip(expected).collect();
        let begun = Instant::now();
        while counts() != expected {
            assert!(begun.elapsed() < PATIENCE, "{:?}, not {expected:?}", counts());
        }
    };
    expect([0, 0, 0, 0, 0, 0]);
    let mut kept = server.http();
    kept.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    kept.response("GET").expect(200);
    expect([0, 1, 0, 0, 0, 0]);
    let mut half = server.http();
    half.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhal");
    expect([0, 1, 1, 0, 0, 0]);
    let mut unread = server.http();
    unread.set_receive_buffer(4096);
    unread.send("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    expect([0, 1, 1, 0, 0, 1]);
    let gate = Gate::new(server.path("gate"));
    let mut running = server.http();
    running.send(format!("GET /wait?{} HTTP/1.1\r\nHost: h\r\n\r\n", gate.query()));
    expect([0, 1, 1, 1, 0, 1]);
    let mut waiting = server.http();
    waiting.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    expect([0, 1, 1, 1, 1, 1]);
    let mut closing = server.http();
    closing.send("NONSENSE\r\n\r\n");
    expect([1, 1, 1, 1, 1, 1]);
    gate.open();
    running.response("GET").expect(200);
    waiting.response("GET").expect(200);
    half.send("filled");
    half.response("POST").expect(200);
    unread.reset();
    drop((kept, closing));
    expect([0, 3, 0, 0, 0, 0]);
}
