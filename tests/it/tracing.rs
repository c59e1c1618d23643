//! `tracing`: ids of requests and of traces, from front ends or new, in the environ, the log and the queue's time.

use serde_json::Value;

use crate::support::{Address, Packet, Server, uwring_only};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn fields(addition: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: abc-1\r\nTraceparent: {PARENT}\r\nTracestate: a=1\r\n{addition}\r\n"
    )
}

/// The environ of one HTTP request.
#[track_caller]
fn environ(server: &Server, head: &str) -> Value {
    let mut client = server.http();
    client.send(head);
    client.response("GET").expect(200).json()
}

fn is_hex(value: &Value, len: usize) -> bool {
    value.as_str().is_some_and(|text| text.len() == len && text.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[test]
fn ids_of_a_front_end_reach_the_application_and_the_log() {
    if uwring_only("it knows no ids") {
        return;
    }
    let log = "log-format = %(request_id) of %(trace_id)";
    let echo = "response-route-run = addheader:X-Request-Id: ${HTTP_X_REQUEST_ID}";
    let server = Server::app("environ").http().ini("tracing = true").ini(log).ini(echo).start();
    // From this machine, so a front end's.
    let mut client = server.http();
    client.send(fields(""));
    let answer = client.response("GET").expect(200);
    assert_eq!(answer.header("X-Request-Id"), Some("abc-1"));
    let told = answer.json();
    let value = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
    assert_eq!(value("HTTP_X_REQUEST_ID"), "abc-1");
    assert_eq!((value("HTTP_TRACEPARENT"), value("HTTP_TRACESTATE")), (PARENT.to_owned(), "a=1".to_owned()));
    server.log().wait_for(&format!("abc-1 of {TRACE}"));
    // A packet of the uwsgi protocol is a front end's own.
    let packet = Packet::get("/").var("HTTP_X_REQUEST_ID", "def-2").var("HTTP_TRACEPARENT", PARENT);
    let told = server.socket().uwsgi(&packet).expect(200).json();
    assert_eq!(told["HTTP_X_REQUEST_ID"], "def-2");
    server.log().wait_for(&format!("def-2 of {TRACE}"));
    // What a line of a log could not hold is replaced.
    let told =
        environ(&server, "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: a\"b\r\nTraceparent: 00-1\r\n\r\n");
    assert!(is_hex(&told["HTTP_X_REQUEST_ID"], 32) && told.get("HTTP_TRACEPARENT").is_none(), "{told}");
}

#[test]
fn ids_of_anybody_else_are_replaced() {
    if uwring_only("it knows no ids") {
        return;
    }
    let more = "tracing = true\ntrace-context = unsampled\ntrusted-proxies = 192.0.2.0/24\nlog-format = json";
    let server = Server::app("environ").http().ini(more).launch();
    server.log().wait_for("spawned uWSGI worker");
    let told = environ(&server, &fields(""));
    let id = told["HTTP_X_REQUEST_ID"].clone();
    assert!(is_hex(&id, 32), "{told}");
    let parent = told["HTTP_TRACEPARENT"].as_str().expect("a new one");
    let id = id.as_str().expect("text");
    assert!(parent.starts_with(&format!("00-{id}-")) && parent.ends_with("-00"), "{parent}");
    assert_eq!(told.get("HTTP_TRACESTATE"), None);
    // Another request, another id.
    assert_ne!(environ(&server, &fields(""))["HTTP_X_REQUEST_ID"], id);
    let line = server.log().wait_for(&format!("\"request_id\":\"{id}\""));
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&line["request_id"], &line["trace_id"]), (&id.into(), &id.into()));
}

#[test]
fn the_time_on_the_way_counts_as_time_in_the_queue() {
    if uwring_only("it has no metrics") {
        return;
    }
    let server = Server::app("environ").http().ini("tracing = true\nmetrics = {dir}/m.sock").start();
    let seconds = |server: &Server| {
        let page = Address::Unix(server.path("m.sock")).get("/metrics").expect(200).text();
        let line =
            page.lines().find(|line| line.starts_with("uwring_request_queue_seconds_sum")).map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("{page}"));
        line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).expect("a number")
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let start = now.as_millis() - 100_000;
    environ(&server, &fields(&format!("X-Request-Start: t={start}\r\n")));
    let begun = std::time::Instant::now();
    while seconds(&server) < 100.0 {
        assert!(begun.elapsed() < crate::support::PATIENCE, "{}", seconds(&server));
        std::thread::yield_now();
    }
}

#[test]
fn without_the_option_nothing_is_touched() {
    let server = Server::app("environ").http().start();
    let told = environ(&server, &fields(""));
    assert_eq!((&told["HTTP_X_REQUEST_ID"], &told["HTTP_TRACEPARENT"]), (&"abc-1".into(), &PARENT.into()));
    let told = server.get("/").expect(200).json();
    assert_eq!((told.get("HTTP_X_REQUEST_ID"), told.get("HTTP_TRACEPARENT")), (None, None));
}
