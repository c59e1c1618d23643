//! `log-format = json`: every line of the log is one object, whatever clients and applications put into it.

use serde_json::Value;

use crate::support::{Packet, Server, uwring_only};

/// All lines of the log as objects.
#[track_caller]
fn objects(server: &Server) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line:.300}"));
    server.log().lines().iter().map(parse).collect()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object[name].as_str().unwrap_or_default()
}

/// Anything but what ends a line; a few of all sorts, the same each time.
fn nasty(seed: u32) -> Vec<u8> {
    let mut state = u64::from(seed) * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33).to_le_bytes()[0]
    };
    let parts: [&[u8]; 8] =
        [b"\"", b"\\", b"\x00\x1f\x7f", b"\xff\xc3", "é☃".as_bytes(), b"}{", b"\r\t", b"\x01"];
    let mut bytes = Vec::new();
    for _ in 0..20 {
        let n = next();
        match parts.get(usize::from(n % 12)) {
            Some(part) => bytes.extend_from_slice(part),
            None => bytes.push(n),
        }
    }
    bytes.retain(|byte| *byte != b'\n');
    bytes
}

#[test]
fn json_holds_whatever_comes() {
    if uwring_only("has no log of JSON objects") {
        return;
    }
    const REQUESTS: u32 = 60;
    let server = Server::app("log").processes(2).ini("log-format = json").launch();
    server.log().wait_n(2, |line| line.contains("spawned uWSGI worker")).expect("two workers");
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    for n in 0..REQUESTS {
        let body = nasty(n);
        let values: Vec<Vec<u8>> = (1..5).map(|m| nasty(1000 * m + n)).collect();
        let packet = Packet::get("/bytes")
            .var("REQUEST_URI", &values[0])
            .var("HTTP_USER_AGENT", &values[1])
            .var("HTTP_REFERER", &values[2])
            .var("REMOTE_USER", &values[3])
            .post(&body);
        server.socket().uwsgi(&packet).expect(200);
    }
    server.stop();
    server.log().wait_end();
    let objects = objects(&server);
    for n in 0..REQUESTS {
        let values: Vec<String> = (1..5).map(|m| lossy(&nasty(1000 * m + n))).collect();
        let request = |object: &&Value| {
            ["uri", "user_agent", "referer", "user"]
                .iter()
                .zip(&values)
                .all(|(name, v)| text(object, name) == v)
        };
        assert_eq!(objects.iter().filter(request).count(), 1, "request {n}");
        let said = lossy(&nasty(n));
        let printed = |object: &&Value| text(object, "type") == "app" && text(object, "message") == said;
        assert!(objects.iter().filter(printed).count() >= 1, "print {n}");
    }
    assert_eq!(objects.iter().filter(|o| text(o, "type") == "app").count(), REQUESTS as usize);
    let kinds = |name: &str| objects.iter().filter(|object| text(object, "type") == name).count();
    assert_eq!(kinds("request"), REQUESTS as usize);
    assert!(objects.iter().any(|object| text(object, "message") == "goodbye to uWSGI."));
    assert!(text(&objects[0], "message").starts_with("*** Starting uwring"), "{}", objects[0]);
}

#[test]
fn json_keeps_long_prints_and_tracebacks_in_one_piece() {
    if uwring_only("has no log of JSON objects") {
        return;
    }
    let server = Server::app("log").ini("log-json = true\nthreads = 2").launch();
    server.log().wait_n(1, |line| line.contains("spawned uWSGI worker")).expect("a worker");
    for path in ["/long", "/raise", "/exception"] {
        let mut client = server.socket().connect();
        client.send(Packet::get(path).bytes());
        client.rest();
    }
    server.stop();
    server.log().wait_end();
    let objects = objects(&server);
    let long = format!("<{}>", "x".repeat(300_000));
    assert_eq!(objects.iter().filter(|object| object["message"] == long).count(), 1);
    let tracebacks: Vec<&str> =
        objects.iter().map(|o| text(o, "message")).filter(|m| m.contains("Traceback (most")).collect();
    let [raised, logged] = tracebacks[..] else { panic!("{tracebacks:?}") };
    assert!(
        raised.contains("KeyError: 'inner'") && raised.ends_with("ValueError: \"outer\"\n\\"),
        "{raised}"
    );
    assert!(
        logged.starts_with("ERROR:root:it \"failed\"\nTraceback") && logged.ends_with("KeyError: 'logged'")
    );
}

#[test]
fn json_tells_why_a_start_failed() {
    if uwring_only("has no log of JSON objects") {
        return;
    }
    let server = Server::bare().ini("log-format = json\nsocket = /nonexistent/folder/app.sock").launch();
    server.process.expect_end();
    server.log().wait_end();
    let objects = objects(&server);
    assert!(
        objects.iter().any(|object| text(object, "message").contains("/nonexistent/folder")),
        "{objects:?}"
    );
}
