//! The WSGI call (PEP 3333), spoken to by literal uwsgi packets: the head, the body, its end, its errors, its input.

use crate::support::{
    Gate, Nginx, Packet, Response, Server, Target, has, sha256, target, upstream, uwring_only,
};

/// One GET over the uwsgi socket.
fn get(server: &Server, path: &str) -> Response {
    ask(server, path, "")
}

fn ask(server: &Server, path: &str, query: &str) -> Response {
    server.socket().uwsgi(&Packet::get(path).var("QUERY_STRING", query))
}

#[test]
fn head_is_sent_as_the_application_gave_it() {
    let server = Server::app("headers").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/").bytes());
    let expected = b"HTTP/1.1 418 I'm a teapot\r\nContent-Type: text/plain\r\nSet-Cookie: a=1\r\n\
        X-lower-UPPER:   kept  inside \r\nSet-Cookie: b=2; Path=/\r\nContent-Length: 2\r\nX-Latin: caf\xe9\r\n\r\nok";
    assert_eq!(String::from_utf8_lossy(&client.rest()), String::from_utf8_lossy(expected));
}

#[test]
fn start_response_with_exc_info_replaces_the_head() {
    if uwring_only("2.0.21 fails with SystemError when an exception is being handled") {
        return;
    }
    let response = get(&Server::app("restart").start(), "/").expect(503);
    assert_eq!(response.header("X-First"), None);
    assert_eq!(response.header("X-Second"), Some("2"));
    assert_eq!(response.text(), "busy");
}

#[test]
fn start_response_with_exc_info_raises_once_the_head_is_sent() {
    let response = get(&Server::app("restart_late").start(), "/").expect(200);
    assert_eq!(response.text(), "first,raised");
}

#[test]
fn write_reaches_the_client_while_the_application_runs() {
    let server = Server::app("write").start();
    let gate = Gate::new(server.path("gate"));
    let mut client = server.socket().connect();
    client.send(Packet::get("/").var("QUERY_STRING", gate.query()).bytes());
    client.head();
    assert_eq!(client.exactly(4), b"one,");
    gate.open();
    assert_eq!(client.rest(), b"two,three");
}

#[test]
fn parts_of_a_generator_reach_the_client_one_by_one() {
    let server = Server::app("parts").start();
    let gate = Gate::new(server.path("gate"));
    let mut client = server.socket().connect();
    client.send(Packet::get("/").var("QUERY_STRING", gate.query()).bytes());
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.exactly(4), b"one,");
    gate.open();
    assert_eq!(client.rest(), b"two");
}

#[test]
fn bytes_instead_of_a_list_are_one_body() {
    let response = get(&Server::app("plain_bytes").start(), "/").expect(200);
    assert_eq!(response.text(), "not in a list");
}

#[test]
fn close_is_called_once_after_the_last_part() {
    let server = Server::app("close").start();
    assert_eq!(get(&server, "/fine").text(), "abc");
    server.log().wait_for("closed /fine");
    server.stop();
    server.log().wait_end();
    assert_eq!(server.log().count(|line| line == "closed /fine"), 1);
}

#[test]
fn close_is_called_once_after_an_exception() {
    let server = Server::app("close").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/raise").bytes());
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.rest(), b"a");
    server.log().wait_for("RuntimeError: in the middle");
    server.log().wait_for("closed /raise");
    server.stop();
    server.log().wait_end();
    assert_eq!(server.log().count(|line| line == "closed /raise"), 1);
}

#[test]
fn close_is_called_once_when_the_client_goes() {
    let server = Server::app("close").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/endless").bytes());
    client.head();
    drop(client);
    server.log().wait_for("closed /endless");
    // The worker is well and takes the next.
    assert_eq!(get(&server, "/fine").text(), "abc");
    server.stop();
    server.log().wait_end();
    assert_eq!(server.log().count(|line| line == "closed /endless"), 1);
}

#[test]
fn client_that_goes_is_no_exception() {
    if uwring_only("logs OSError: write error as an exception of the application") {
        return;
    }
    let server = Server::app("close").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/endless").bytes());
    client.head();
    drop(client);
    server.log().wait_for("closed /endless");
    server.stop();
    server.log().wait_end();
    assert_eq!(server.log().count(|line| line.contains("Error")), 0, "{}", server.log().text());
}

#[test]
fn head_204_and_304_have_no_body() {
    if uwring_only("sends the body of HEAD, 204 and 304 as the application gave it") {
        return;
    }
    let server = Server::app("no_body").start();
    for (method, path, status) in [
        ("HEAD", "/", ""),
        ("HEAD", "/length", ""),
        ("GET", "/", "204 No Content"),
        ("GET", "/length", "304 Not Modified"),
    ] {
        let packet = Packet::get(path).var("REQUEST_METHOD", method).var("QUERY_STRING", status);
        let mut client = server.socket().connect();
        client.send(packet.bytes());
        let head = client.head();
        assert_eq!(client.rest(), b"", "{method} {path} {status}");
        if path == "/length" {
            assert_eq!(head.header("Content-Length"), Some("4"), "{method} {path} {status}");
        }
    }
}

#[test]
fn header_injection_is_refused() {
    if uwring_only("sends line ends in header values as they are") {
        return;
    }
    let server = Server::app("bad_header").start();
    for path in
        ["/newline", "/lf", "/nul", "/name_newline", "/name_blank", "/name_colon", "/name_empty", "/status"]
    {
        let response = get(&server, path);
        assert_eq!(response.status(), 500, "{path}: {response:?}");
        assert_eq!(response.header("X-Evil"), None, "{path}");
    }
    get(&server, "/none").expect(200);
}

#[test]
fn exception_is_logged_with_its_traceback() {
    let server = Server::app("broken_call").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/raise").bytes());
    client.rest();
    server.log().wait_for("Traceback (most recent call last):");
    server.log().wait_for("app.py\", line ");
    server.log().wait_for("RuntimeError: before start_response");
    assert_eq!(get(&server, "/fine").text(), "fine");
}

#[test]
fn exception_answers_500() {
    if uwring_only("closes the connection without an answer, or sends 200 with an empty body") {
        return;
    }
    let server = Server::app("broken_call").start();
    for path in ["/raise", "/raise_late", "/none", "/text", "/no_start"] {
        let response = get(&server, path);
        assert_eq!(response.status(), 500, "{path}: {response:?}");
        assert!(!response.body.is_empty(), "{path}");
    }
    get(&server, "/fine").expect(200);
}

#[test]
fn start_response_refuses_what_is_no_text() {
    let server = Server::app("broken_call").start();
    let cases = ["/status_bytes", "/headers_tuple", "/value_int", "/value_unicode"];
    for (n, path) in cases.into_iter().enumerate() {
        let mut client = server.socket().connect();
        client.send(Packet::get(path).bytes());
        let answer = String::from_utf8_lossy(&client.rest()).into_owned();
        // uWSGI has the status already when it finds the headers wrong.
        if target() == Target::Uwring {
            assert!(answer.contains(" 500 "), "{path}: {answer}");
        }
        let tracebacks = server.log().wait_n(n + 1, |line| line.starts_with("Traceback"));
        assert!(tracebacks.is_some(), "{path} is not in the log");
    }
}

#[test]
fn wsgi_errors_is_the_log() {
    let server = Server::app("errors").start();
    get(&server, "/").expect(200);
    // What the log cannot encode is escaped, not lost.
    server.log().wait_for("by write: caf");
    server.log().wait_for("by writelines 1");
    server.log().wait_for("by writelines 2");
    server.log().wait_for("by print");
}

#[test]
fn environ_is_new_for_each_request() {
    let server = Server::app("keeps_environ").start();
    for _ in 0..3 {
        assert_eq!(get(&server, "/").text(), "clean");
    }
}

/// What the calls of the query say about a body.
fn read_input(server: &Server, calls: &str, body: &str) -> Vec<String> {
    let response = server.socket().uwsgi(&Packet::get("/").post(body).var("QUERY_STRING", calls)).expect(200);
    response.text().lines().map(str::to_owned).collect()
}

#[test]
fn input_read_takes_what_it_is_told() {
    let server = Server::app("input").start();
    assert_eq!(
        read_input(&server, "read(3);read(2);read(100);read(1);read()", "abcdefg"),
        ["b'abc'", "b'de'", "b'fg'", "b''", "b''"]
    );
    assert_eq!(read_input(&server, "read()", "abc"), ["b'abc'"]);
    assert_eq!(read_input(&server, "read(-1);read(-1)", "abc"), ["b'abc'", "b''"]);
    assert_eq!(
        read_input(&server, "read();read(5);readline();readlines();iterate", ""),
        ["b''", "b''", "b''", "[]", "[]"]
    );
}

#[test]
fn input_readline_gives_lines() {
    let server = Server::app("input").start();
    let body = "one\ntwo\n\nlast";
    assert_eq!(
        read_input(&server, "readline();readline();readline();readline();readline()", body),
        ["b'one\\n'", "b'two\\n'", "b'\\n'", "b'last'", "b''"]
    );
    assert_eq!(read_input(&server, "readlines()", body), ["[b'one\\n', b'two\\n', b'\\n', b'last']"]);
    assert_eq!(read_input(&server, "iterate", body), ["[b'one\\n', b'two\\n', b'\\n', b'last']"]);
    assert_eq!(
        read_input(&server, "read(2);readline();read(1);iterate", body),
        ["b'on'", "b'e\\n'", "b't'", "[b'wo\\n', b'\\n', b'last']"]
    );
}

#[test]
fn input_sizes_mean_what_files_mean() {
    if uwring_only("read(None) raises, read(0) reads all, readline(n) ignores n") {
        return;
    }
    let server = Server::app("input").start();
    assert_eq!(read_input(&server, "read(0);read(None)", "abc"), ["b''", "b'abc'"]);
    assert_eq!(
        read_input(&server, "readline(2);readline(2);readline(-1);readline(None)", "abc\nde\nf"),
        ["b'ab'", "b'c\\n'", "b'de\\n'", "b'f'"]
    );
    assert_eq!(
        read_input(&server, "readlines(2);readlines(None)", "a\nb\nc\n"),
        ["[b'a\\n']", "[b'b\\n', b'c\\n']"]
    );
}

#[test]
fn input_of_megabytes_arrives_whole() {
    if !has(&["sha256sum"]) {
        return;
    }
    let server = Server::app("digest").start();
    let body: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let expected = sha256(&body);
    let response = server.socket().uwsgi(&Packet::get("/").post(&body)).expect(200);
    assert_eq!(response.text(), format!("{} {expected}", body.len()));
}

#[test]
fn input_waits_for_a_body_that_comes_late() {
    let server = Server::app("input").start();
    let packet = Packet::get("/").post("late and in pieces").var("QUERY_STRING", "read(4);read()").bytes();
    let (head, body) = packet.split_at(packet.len() - 18);
    let mut client = server.socket().connect();
    client.send(head);
    for byte in body {
        client.send([*byte]);
    }
    assert_eq!(client.response("GET").expect(200).text(), "b'late'\nb' and in pieces'");
}

#[test]
fn file_wrapper_sends_a_whole_file() {
    let server = Server::app("file").start();
    let expected: Vec<u8> = (0..=249).cycle().take(300_000).collect();
    assert!(get(&server, "/whole").expect(200).body == expected);
    assert!(get(&server, "/object").expect(200).body == expected);
    server.log().wait_for("file closed");
}

#[test]
fn file_wrapper_starts_at_the_position_and_keeps_to_the_length() {
    if uwring_only("sendfile always sends the whole file from its start") {
        return;
    }
    let server = Server::app("file").start();
    let content: Vec<u8> = (0..=249).cycle().take(300_000).collect();
    assert!(get(&server, "/offset").expect(200).body == content[100_000..]);
    for (path, range) in [("/length", 0..50_000), ("/range", 100_000..150_000)] {
        let mut client = server.socket().connect();
        client.send(Packet::get(path).bytes());
        client.head();
        assert!(client.rest() == content[range], "{path}");
    }
}

#[test]
fn file_wrapper_answers_head_without_a_body() {
    if uwring_only("sends the file to HEAD") {
        return;
    }
    let server = Server::app("file").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/length").var("REQUEST_METHOD", "HEAD").bytes());
    assert_eq!(client.head().header("Content-Length"), Some("50000"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn unread_body_does_not_reset_nginx() {
    if uwring_only("closes with unread data: nginx sees a reset") || !has(&["nginx"]) {
        return;
    }
    let server = Server::app("unread").start();
    let to = upstream(&server.socket());
    let nginx = Nginx::start(&format!(
        "location / {{ include uwsgi_params; uwsgi_pass {to}; }}
         location /unbuffered {{ include uwsgi_params; uwsgi_pass {to}; uwsgi_request_buffering off; }}"
    ));
    let body = vec![b'x'; 5_000_000];
    for path in ["/", "/unbuffered", "/", "/unbuffered"] {
        let response = nginx.address().request("POST", path, &[], &body).expect(200);
        assert_eq!(response.text(), "ignored");
    }
}

#[test]
fn unread_body_does_not_reset_the_client() {
    if uwring_only("closes with unread data: the client sees a reset") {
        return;
    }
    let server = Server::app("unread").start();
    let response = server.socket().uwsgi(&Packet::get("/").post(vec![b'x'; 300_000])).expect(200);
    assert_eq!(response.text(), "ignored");
}

#[test]
fn threads_serve_at_the_same_time() {
    meet("threads = 2");
}

#[test]
fn processes_serve_at_the_same_time() {
    meet("processes = 2");
}

/// Two requests that can be answered only while both are running.
fn meet(ini: &str) {
    let server = Server::app("meet").ini(ini).start();
    let gate = Gate::new(server.path("fifo"));
    let mut clients = ["r", "w"].map(|side| {
        let mut client = server.socket().connect();
        let query = format!("fifo={}&side={side}", gate.query());
        client.send(Packet::get("/").var("QUERY_STRING", query).bytes());
        client
    });
    let answers = clients.each_mut().map(|client| client.response("GET").expect(200).text());
    assert!(answers[0].starts_with("r met") && answers[1].starts_with("w met"), "{answers:?}");
}
