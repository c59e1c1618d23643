//! HTTP/1.1 by literal bytes: framing, keep-alive, pipelining, chunks, limits, and what must be refused.

use std::os::unix::fs::MetadataExt;

use crate::support::{Address, Connection, Nginx, Packet, Server, Target, has, target, uwring_only};

fn serve(app: &str) -> Server {
    Server::app(app).without("socket").http().start()
}

#[test]
fn get_is_answered_and_closed_when_asked() {
    let server = serve("hello");
    let mut client = server.http();
    client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.response("GET").expect(200).text(), "Hello, world!");
    assert!(client.is_closed());
}

#[test]
fn http_1_0_is_answered_and_closed() {
    let server = serve("stream");
    let mut client = server.http();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let head = client.head();
    assert_eq!(head.status(), 200);
    assert_eq!(head.header("Transfer-Encoding"), None, "HTTP/1.0 knows no chunks");
    assert_eq!(client.rest().len(), 10_000);
}

#[test]
fn request_byte_by_byte_is_answered() {
    let server = Server::app("digest").http().start();
    let mut client = server.http();
    for byte in b"POST /a?b=c HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc" {
        client.send([*byte]);
    }
    assert!(client.response("POST").expect(200).text().starts_with("3 ba7816bf"));
    let mut client = server.socket().connect();
    for byte in Packet::get("/").post("abc").bytes() {
        client.send([byte]);
    }
    assert!(client.response("POST").expect(200).text().starts_with("3 ba7816bf"));
}

#[test]
fn connection_serves_a_thousand_requests() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = serve("hello");
    let mut client = server.http();
    for _ in 0..1000 {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.response("GET").expect(200).text(), "Hello, world!");
    }
}

#[test]
fn http_option_keeps_connections() {
    if uwring_only("`http` needs http-keepalive, and a router process") {
        return;
    }
    let server = Server::app("hello").without("socket").ini("http = 127.0.0.1:0").start();
    let mut client = server.http();
    for _ in 0..3 {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.response("GET").expect(200);
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = serve("environ");
    let mut client = server.http();
    let requests: String = (0..20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    client.send(requests);
    for n in 0..20 {
        assert_eq!(client.response("GET").expect(200).json()["PATH_INFO"], format!("/{n}"));
    }
}

#[test]
fn pipelined_posts_keep_their_bodies() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = serve("input");
    let mut client = server.http();
    let post = |calls: &str, body: &str| {
        format!("POST /?{calls} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    client.send(post("read()", "first") + &post("read(2)", "second") + &post("read()", "third"));
    for expected in ["b'first'", "b'se'", "b'third'"] {
        assert_eq!(client.response("POST").expect(200).text(), expected);
    }
}

#[test]
fn head_on_a_kept_connection_has_no_body() {
    if uwring_only("sends the body of HEAD as the application gave it") {
        return;
    }
    let server = serve("hello");
    let mut client = server.http();
    client.send("HEAD / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response("HEAD").expect(200).header("Content-Length"), Some("13"));
    assert_eq!(client.response("GET").expect(200).text(), "Hello, world!");
}

#[test]
fn empty_answers_keep_the_connection() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = serve("no_body");
    let mut client = server.http();
    for status in ["204+No+Content", "304+Not+Modified"] {
        client.send(format!("GET /?{status} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let response = client.response("GET");
        assert!(matches!(response.status(), 204 | 304), "{response:?}");
        assert_eq!(response.header("Transfer-Encoding"), None);
    }
}

#[test]
fn body_without_length_comes_in_chunks() {
    if uwring_only("sends it bare and closes") {
        return;
    }
    let server = serve("stream");
    let mut client = server.http();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        let response = client.response("GET").expect(200);
        assert_eq!(response.header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(response.body.len(), 10_000);
    }
}

#[test]
fn body_other_than_announced_does_not_confuse_the_next() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = serve("length");
    let mut client = server.http();
    client.send("GET /?3,10 HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response("GET").expect(200).text(), "xxx");
    // Either it closes now, or the next answer is whole.
    client.send("GET /?2,2 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let next = client.rest();
    assert!(next.is_empty() || next.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&next));
    // Too short a body can only end with the connection.
    let mut client = server.http();
    client.send("GET /?10,3 HTTP/1.1\r\nHost: test\r\n\r\n");
    client.head();
    assert_eq!(client.rest(), b"xxx");
}

#[test]
fn chunked_request_is_read_whole() {
    if uwring_only("gives an empty body") {
        return;
    }
    let server = serve("digest");
    let mut client = server.http();
    for size in [0, 1, 4095, 4096, 65_536, 1_000_000] {
        let body: Vec<u8> = (0..=250).cycle().take(size).collect();
        client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (n, part) in body.chunks(10_000).enumerate() {
            let extension = if n % 2 == 0 { ";name=\"a;b\"" } else { "" };
            client.send([format!("{:X}{extension}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
        }
        client.send("0\r\nX-Trailer: 1\r\n\r\n");
        let answer = client.response("POST").expect(200).text();
        assert_eq!(answer, format!("{size} {}", crate::support::sha256(&body)));
    }
}

#[test]
fn chunked_request_byte_by_byte_is_read_whole() {
    if uwring_only("gives an empty body") {
        return;
    }
    let server = serve("input");
    let mut client = server.http();
    for byte in b"POST /?read() HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0A;x\r\n0123456789\r\n0\r\n\r\n"
    {
        client.send([*byte]);
    }
    assert_eq!(client.response("POST").expect(200).text(), "b'abc0123456789'");
}

#[test]
fn input_of_chunks_is_terminated() {
    if uwring_only("does not read chunks") {
        return;
    }
    let server = serve("environ");
    let mut client = server.http();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n");
    assert_eq!(client.response("POST").expect(200).json()["wsgi.input_terminated"], true);
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    if uwring_only("does not answer Expect") {
        return;
    }
    let server = serve("input");
    let mut client = server.http();
    client.send("POST /?read() HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_eq!(client.head().status_line, "HTTP/1.1 100 Continue");
    client.send("body");
    assert_eq!(client.response("POST").expect(200).text(), "b'body'");
}

#[test]
fn unread_body_does_not_confuse_the_next_request() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = serve("unread");
    let mut client = server.http();
    client.send(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nGET /GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    );
    for method in ["POST", "GET"] {
        assert_eq!(client.response(method).expect(200).text(), "ignored");
    }
}

#[test]
fn large_unread_body_is_answered_without_a_reset() {
    if uwring_only("closes with unread data") {
        return;
    }
    let server = serve("unread");
    let response = server.tcp(0).request("POST", "/", &[], &vec![b'x'; 5_000_000]).expect(200);
    assert_eq!(response.text(), "ignored");
}

#[test]
fn head_beyond_the_limit_is_answered_431() {
    if uwring_only("closes without an answer") {
        return;
    }
    let server = Server::app("hello").http().ini("buffer-size = 4096").start();
    let long = "x".repeat(5000);
    let response = server.tcp(0).request("GET", "/", &[("X-Long", &long)], b"");
    assert_eq!(response.status(), 431);
    let response = server.socket().uwsgi(&Packet::get("/").var("HTTP_X_LONG", &long));
    assert_eq!(response.status(), 431);
    let lines = server.log().wait_n(2, |line| line.contains("buffer-size"));
    assert!(lines.is_some_and(|lines| lines.iter().all(|line| line.contains("4096"))));
    server.tcp(0).get("/").expect(200);
}

#[test]
fn head_of_16_kilobytes_is_served_by_default() {
    if uwring_only("buffer-size is 4096 by default") {
        return;
    }
    let server = Server::app("environ").http().start();
    let long = "x".repeat(16_384);
    let seen = server.tcp(0).request("GET", "/", &[("Cookie", &long)], b"").expect(200).json();
    assert_eq!(seen["HTTP_COOKIE"], long);
    let seen = server.socket().uwsgi(&Packet::get("/").var("HTTP_COOKIE", &long)).expect(200).json();
    assert_eq!(seen["HTTP_COOKIE"], long);
}

/// RFC 9112: messages that two readers could understand in two ways, and such that nobody understands.
const MALFORMED: &[(&str, &str)] = &[
    ("no_target", "GET\r\n\r\n"),
    ("not_http", "hello\r\n\r\n"),
    ("version", "GET / HTTP/1.1x\r\nHost: test\r\n\r\n"),
    ("blank_in_target", "GET /a b HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("blank_before_colon", "GET / HTTP/1.1\r\nHost: test\r\nX-A : 1\r\n\r\n"),
    ("no_colon", "GET / HTTP/1.1\r\nHost: test\r\nX-A\r\n\r\n"),
    ("empty_name", "GET / HTTP/1.1\r\nHost: test\r\n: 1\r\n\r\n"),
    ("nul", "GET / HTTP/1.1\r\nHost: test\r\nX-A: \0\r\n\r\n"),
    ("folded", "GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\r\n 2\r\n\r\n"),
    (
        "length_and_chunks",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    ("two_lengths", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ("list_of_lengths", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1, 2\r\n\r\nab"),
    ("negative_length", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: -1\r\n\r\n"),
    ("signed_length", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: +1\r\n\r\na"),
    ("hex_length", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0x1\r\n\r\na"),
    ("endless_length", "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 99999999999999999999\r\n\r\n"),
    ("unknown_coding", "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip\r\n\r\n"),
    (
        "chunked_twice",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "chunked_not_last",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    ),
    ("chunked_in_1_0", "POST / HTTP/1.0\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("two_hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
];

#[test]
fn malformed_requests_are_refused_and_closed() {
    if uwring_only("believes them, or closes without an answer") {
        return;
    }
    let server = serve("unread");
    for (name, request) in MALFORMED {
        let mut client = server.http();
        // What follows must not be taken for a request of its own.
        client.send(format!("{request}GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"));
        let answer = String::from_utf8_lossy(&client.rest()).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or("nothing");
        assert!(matches!(status, "400" | "501" | "505"), "{name}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
    }
    server.get("/").expect(200);
    assert_eq!(server.log().count(|line| line.contains("/smuggled")), 0);
}

#[test]
fn malformed_chunks_are_refused_and_closed() {
    if uwring_only("does not read chunks") {
        return;
    }
    let server = serve("digest");
    for body in [
        "x\r\n",
        "-1\r\n",
        "+1\r\na\r\n0\r\n\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "\r\n\r\n",
        "fffffffffffffffff\r\n",
        " 1\r\na\r\n0\r\n\r\n",
    ] {
        let mut client = server.http();
        client.send(format!(
            "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
        ));
        let answer = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(!answer.contains(" 200 "), "{body:?}: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{body:?}: {answer}");
    }
    server.get("/").expect(200);
    assert_eq!(server.log().count(|line| line.contains("/smuggled")), 0);
}

#[test]
fn malformed_packets_are_refused_and_the_worker_lives() {
    let server = Server::app("hello").start();
    let good = Packet::get("/").bytes();
    // A name longer than the block, an empty name, an unknown modifier, half a packet.
    let overrun = [&[0, 4, 0, 0][..], &[200, 0, b'a', b'b']].concat();
    let nameless = [&[0, 5, 0, 0][..], &[0, 0, 1, 0, b'x']].concat();
    for bytes in [overrun, nameless, Packet::get("/").modifier1(173).bytes(), good[..good.len() / 2].to_vec()]
    {
        let mut client = server.socket().connect();
        client.send(&bytes);
        client.finish_sending();
        let answer = client.rest_or_reset();
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "Hello, world!");
}

#[test]
fn protocol_auto_serves_uwsgi_and_http_on_one_socket() {
    if uwring_only("a socket speaks one protocol") {
        return;
    }
    let server = Server::app("hello").ini("protocol = auto").start();
    for _ in 0..3 {
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "Hello, world!");
        assert_eq!(server.socket().get("/").expect(200).text(), "Hello, world!");
    }
}

#[test]
fn nginx_proxy_pass_to_a_unix_socket_is_served() {
    if !has(&["nginx"]) {
        return;
    }
    let server = Server::app("environ").without("socket").ini("http-socket = {dir}/app.sock").start();
    let path = server.path("app.sock").display().to_string();
    let nginx = Nginx::start(&format!(
        "location / {{ proxy_pass http://unix:{path}:; proxy_set_header X-Forwarded-Proto $scheme; }}"
    ));
    let seen = nginx.address().get("/a?b=c").expect(200).json();
    assert_eq!((&seen["PATH_INFO"], &seen["QUERY_STRING"]), (&"/a".into(), &"b=c".into()));
    assert_eq!(seen["wsgi.url_scheme"], "http");
}

#[test]
fn nginx_keeps_connections_to_a_unix_socket() {
    if uwring_only("http-socket closes after each request") || !has(&["nginx"]) {
        return;
    }
    let server = Server::app("hello").ini("protocol = auto").start();
    let path = server.path("app.sock").display().to_string();
    let nginx = Nginx::start_with(
        &format!("upstream app {{ server unix:{path}; keepalive 4; }}"),
        "location / { proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection \"\"; }",
    );
    let mut client: Connection = nginx.address().connect();
    let mut ask = || {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.response("GET").expect(200);
        sockets_of(nginx.worker())
    };
    let first = ask();
    for _ in 0..20 {
        assert_eq!(ask(), first, "nginx opened another connection");
    }
}

/// The sockets a process holds, by inode.
fn sockets_of(pid: i32) -> Vec<u64> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("our own child's descriptors");
    let mut sockets: Vec<u64> = folder
        .filter_map(|entry| std::fs::metadata(entry.ok()?.path()).ok())
        .filter(|data| {
            nix::sys::stat::SFlag::from_bits_truncate(data.mode()) == nix::sys::stat::SFlag::S_IFSOCK
        })
        .map(|data| data.ino())
        .collect();
    sockets.sort_unstable();
    sockets
}

#[test]
fn listeners_of_every_kind_are_served() {
    let server = Server::app("hello")
        .without("socket")
        .ini("http-socket = 127.0.0.1:0\nhttp-socket = {dir}/http.sock\nsocket = {dir}/uwsgi.sock\nuwsgi-socket = 127.0.0.1:0")
        .start();
    server.tcp(0).get("/").expect(200);
    Address::Unix(server.path("http.sock")).get("/").expect(200);
    Address::Unix(server.path("uwsgi.sock")).uwsgi(&Packet::get("/")).expect(200);
    server.tcp(1).uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn abstract_socket_is_served() {
    // An abstract name is the machine's: the process id makes it ours.
    let name = format!("uwring-test-{}", std::process::id());
    let _server = Server::app("hello").without("socket").ini(&format!("socket = @{name}")).start();
    // uWSGI counts the NUL that ends the C string to the name.
    let name = if target() == Target::Uwsgi { format!("{name}\0") } else { name };
    assert_eq!(Address::Abstract(name).uwsgi(&Packet::get("/")).expect(200).text(), "Hello, world!");
}

#[test]
fn shared_sockets_are_named_by_their_number() {
    let name = format!("uwring-test-s{}", std::process::id());
    let server = Server::app("hello")
        .without("socket")
        .ini(&format!(
            "shared-socket = @{name}\nshared-socket = 127.0.0.1:0\nhttp-socket = =1\nsocket = =0\nabstract-socket = true"
        ))
        .start();
    assert_eq!(server.tcp(0).get("/").expect(200).text(), "Hello, world!");
    if target() == Target::Uwring {
        assert_eq!(Address::Abstract(name).uwsgi(&Packet::get("/")).expect(200).text(), "Hello, world!");
    }
    let server = Server::app("hello").without("socket").ini("socket = =3").launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server.log().wait_for("shared socket 3");
}

#[test]
fn clients_that_stop_halfway_are_told_and_closed() {
    if uwring_only("closes without an answer") {
        return;
    }
    let server = Server::app("hello")
        .without("socket")
        .ini("http-socket = 127.0.0.1:0\nheader-timeout = 1\nsocket-timeout = 1")
        .start();
    let halves: [&[u8]; 3] = [
        b"GET / HTTP/1.1\r\nHost: test\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc",
        b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ];
    for half in halves {
        let mut client = server.tcp(0).connect();
        client.send(half);
        client.response("GET").expect(408);
        assert!(client.rest().is_empty());
    }
    server.tcp(0).get("/").expect(200);
}

#[test]
fn idle_connections_are_closed_when_their_time_is_over() {
    if uwring_only("keeps no connection") {
        return;
    }
    let server =
        Server::app("hello").without("socket").ini("http-socket = 127.0.0.1:0\nhttp-keepalive = 2").start();
    let mut client = server.tcp(0).connect();
    for _ in 0..2 {
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.response("GET").expect(200);
    }
    // The server's doing: this side sends nothing and only waits for the end.
    assert!(client.rest().is_empty());
}
