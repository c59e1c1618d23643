//! nginx and HAProxy in front over HTTP, and curl: what the one before takes for one request must be one request
//! here, or somebody's request answers somebody else's (request smuggling).

use std::io::Write;
use std::process::{Command, Output, Stdio};

use crate::support::{Address, Haproxy, Log, Nginx, Server, has, upstream, uwring_only};

/// Messages that one reader may end elsewhere than another. `{p}`: the case's path, `{s}`: one that no reader should
/// ever see as a request's.
const TRICKS: &[&str] = &[
    // Content-Length for the one, chunks for the other.
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2c\r\nGET {s} HTTP/1.1\r\nHost: h\r\nA: bbbb\r\n\r\n\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding:\tchunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nA: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 45\r\nTransfer_Encoding: chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.0\r\nHost: h\r\nContent-Length: 45\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    // Several codings.
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: ,chunked,\r\n\r\n0\r\n\r\n",
    // Several lengths.
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 40\r\nContent-Length: 0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 3, 3\r\n\r\nabc",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\nabc",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 0x3\r\n\r\nabc",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 003\r\n\r\nabc",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent-Length : 40\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nContent_Length: 40\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nConnection: Content-Length\r\nContent-Length: 40\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\nA: bbbb\r\n\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    // Chunks.
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;\nxx\r\n2d\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\nab\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    // Lines.
    "GET {p} HTTP/1.1\nHost: h\n\n",
    "GET {p} HTTP/1.1\r\nHost: h\r\nA: b\n\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET {p} HTTP/1.1\r\nHost: h\r\nA: b\r\n\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET {p} HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n",
    "GET {p} HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n",
    "GET {p} HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
    "\r\nGET {p} HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET  {p} HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET {p}\tHTTP/1.1\r\nHost: h\r\n\r\n",
    "GET {p} HTTP/1.1 \r\nHost: h\r\n\r\n",
    "GET {p}\r\n",
    "GET {p} HTTP/1.2\r\nHost: h\r\n\r\n",
    "GET {p} HTTP/2.0\r\nHost: h\r\n\r\n",
    // Targets and hosts.
    "GET http://h{p} HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http://other{p} HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET http://u@h{p} HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET {p}#/../x HTTP/1.1\r\nHost: h\r\n\r\n",
    "GET {p} HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n",
    "GET {p} HTTP/1.1\r\nHost: h, other\r\n\r\n",
    "GET {p} HTTP/1.1\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\n\r\n",
    // Bodies where few expect one, and promises.
    "GET {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "HEAD {p} HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
    "DELETE {p} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "POST {p} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "POST {p} HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: 40\r\n\r\nGET {s} HTTP/1.1\r\nHost: h\r\nA: bbbb\r\n\r\n\r\n",
    "GET {p} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET {s}/x HTTP/1.1\r\nHost: h\r\n\r\n",
];

/// The requests a log names: `METHOD TARGET` of lines with `mark` that `counts`.
fn requests(log: &Log, mark: &str, counts: impl Fn(&[&str]) -> bool) -> Vec<String> {
    let mut found: Vec<String> = log
        .lines()
        .iter()
        .filter_map(|line| {
            let words: Vec<&str> = line.split_once(mark)?.1.trim_matches('\'').split(' ').collect();
            counts(&words).then(|| words[..2].join(" "))
        })
        .collect();
    found.sort();
    found
}

/// Plays every trick on `front`, each followed by another client's request, which must get its own answer.
fn play(front: &Address, server: &Server, log: &Log, forwarded: impl Fn(&[&str]) -> bool) {
    for (n, trick) in TRICKS.iter().enumerate() {
        let trick = trick.replace("{p}", &format!("/c{n:02}")).replace("{s}", &format!("/s{n:02}"));
        let mut client = front.connect();
        let _ = client.try_send(&trick);
        client.finish_sending();
        client.rest_or_reset();
        let answer = front.get(&format!("/victim{n}"));
        assert_eq!(answer.text(), format!("GET /victim{n}"), "after {trick:?}");
    }
    front.get("/done").expect(200);
    log.wait_for("/done");
    server.log().wait_for("/done");
    let (sent, seen) = (requests(log, "proxied ", forwarded), requests(server.log(), "seen ", |_| true));
    assert_eq!(seen, sent, "what the application saw, and what the proxy had passed on");
    assert!(seen.iter().filter(|line| line.contains("/c")).count() > 10, "too few got through: {seen:?}");
}

#[test]
fn nginx_and_uwring_agree_on_where_requests_end() {
    if uwring_only("closes after each request") || !has(&["nginx"]) {
        return;
    }
    let server = Server::app("seen").without("socket").ini("http-socket = {dir}/app.sock").start();
    let to = Address::Unix(server.path("app.sock"));
    let http = format!(
        "log_format proxied 'proxied $request_method $request_uri $upstream_status'; \
         upstream app {{ server {}; keepalive 4; }}",
        upstream(&to)
    );
    let nginx = Nginx::start_with(
        &http,
        "access_log /dev/stderr proxied; ignore_invalid_headers off; underscores_in_headers on; \
         proxy_ignore_client_abort on; location / { proxy_pass http://app; proxy_http_version 1.1; \
         proxy_set_header Connection \"\"; }",
    )
    .allow_errors();
    play(&nginx.address(), &server, nginx.log(), |words| words.get(2) == Some(&"200"));
}

#[test]
fn nginx_that_streams_bodies_and_uwring_agree() {
    if uwring_only("closes after each request") || !has(&["nginx"]) {
        return;
    }
    let server = Server::app("seen").without("socket").http().start();
    let http = format!(
        "log_format proxied 'proxied $request_method $request_uri $upstream_status'; \
         upstream app {{ server {}; keepalive 4; }}",
        upstream(&server.tcp(0))
    );
    let nginx = Nginx::start_with(
        &http,
        "access_log /dev/stderr proxied; proxy_ignore_client_abort on; location / { proxy_pass http://app; \
         proxy_http_version 1.1; proxy_request_buffering off; proxy_set_header Connection \"\"; \
         proxy_set_header Host $http_host; }",
    )
    .allow_errors();
    play(&nginx.address(), &server, nginx.log(), |words| words.get(2) == Some(&"200"));
}

#[test]
fn haproxy_and_uwring_agree_on_where_requests_end() {
    if uwring_only("closes after each request") || !has(&["haproxy"]) {
        return;
    }
    let server = Server::app("seen").without("socket").http().start();
    let haproxy = Haproxy::start(&server.tcp(0));
    let front = haproxy.address();
    play(&front, &server, haproxy.log(), |words| {
        words.get(2) == Some(&"200") && words.get(3) == Some(&"app")
    });
}

#[test]
fn haproxy_keeps_its_connections() {
    if uwring_only("closes after each request") || !has(&["haproxy"]) {
        return;
    }
    let server = Server::app("seen").without("socket").ini("http-socket = {dir}/app.sock").start();
    let haproxy = Haproxy::start(&Address::Unix(server.path("app.sock")));
    let mut client = haproxy.address().connect();
    for n in 0..50 {
        let body = "x".repeat(n * 1000);
        client.send(format!("POST /{n} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        assert_eq!(client.response("POST").expect(200).text(), format!("POST /{n} {body}").trim_end());
        client.send(format!("HEAD /{n} HTTP/1.1\r\nHost: h\r\n\r\n"));
        client.response("HEAD").expect(200);
    }
}

/// Runs curl on a path of the server.
fn curl(server: &Server, path: &str, arguments: &[&str], input: &[u8]) -> Output {
    let Address::Tcp(address) = server.tcp(0) else { panic!("a TCP address") };
    let mut command = Command::new("curl");
    command.args(["-sS", "-v", "--max-time", "30"]).args(arguments).arg(format!("http://{address}{path}"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("run curl");
    // One that needs no input may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(input);
    child.wait_with_output().expect("curl ends")
}

#[test]
fn curl_is_answered_in_its_ways() {
    if uwring_only("knows neither chunks, Expect nor keep-alive") || !has(&["curl"]) {
        return;
    }
    let server = Server::app("seen").without("socket").http().ini("limit-post = 4000000").start();
    let big = vec![b'x'; 3_000_000];
    let large = format!("POST /a {}", "x".repeat(3_000_000));
    // Arguments, input, body of the answer, something curl tells of it.
    let cases: &[(&[&str], &[u8], &str, &str)] = &[
        (&[], b"", "GET /a", "HTTP/1.1 200"),
        (&["--http1.0"], b"", "GET /a", "Connection: close"),
        (&["--http1.0", "-H", "Connection: keep-alive"], b"", "GET /a", "Connection: keep-alive"),
        (&["-I"], b"", "", "Content-Length: 7"),
        (&["-d", "b"], b"", "POST /a b", "HTTP/1.1 200"),
        (&["-d", "b", "-H", "Expect: 100-continue"], b"", "POST /a b", "HTTP/1.1 100 Continue"),
        (&["--data-binary", "@-"], &big, &large, "HTTP/1.1 100 Continue"),
        (&["--data-binary", "@-", "-H", "Transfer-Encoding: chunked"], &big, &large, "HTTP/1.1 200"),
        (&["-T", "-", "-X", "POST"], &big, &large, "HTTP/1.1 200"),
        (&["-d", "b", "-H", "Expect: x"], b"", "Expectation Failed", "HTTP/1.1 417"),
        (&["-X", "OPTIONS", "--request-target", "*"], b"", "OPTIONS *", "HTTP/1.1 200"),
        (&["-X", "CONNECT", "--request-target", "h:80"], b"", "Not Implemented", "HTTP/1.1 501"),
        (&["--http2"], b"", "GET /a", "HTTP/1.1 200"),
        (&["-H", "Host: a b"], b"", "Bad Request", "HTTP/1.1 400"),
    ];
    for (arguments, input, body, told) in cases {
        let output = curl(&server, "/a", arguments, input);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let out = if arguments == &["-I"] { out.split("\r\n\r\n").nth(1).unwrap_or("") } else { &*out };
        assert!(output.status.success(), "{arguments:?}: {err}");
        assert!(out == *body, "{arguments:?}: {out:.200}");
        assert!(err.contains(told), "{arguments:?}: {err}");
    }
}

#[test]
fn curl_hears_the_end_of_what_is_too_much() {
    if uwring_only("closes without an answer") || !has(&["curl"]) {
        return;
    }
    let server = Server::app("unread").without("socket").http().ini("limit-post = 100000").start();
    let big = vec![b'x'; 3_000_000];
    for (arguments, status) in [
        (&["--data-binary", "@-"][..], "413"),
        (&["--data-binary", "@-", "-H", "Expect:"], "413"),
        (&["--data-binary", "@-", "-H", "Transfer-Encoding: chunked"], "413"),
    ] {
        let output = curl(&server, "/", arguments, &big);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && err.contains(&format!("HTTP/1.1 {status}")),
            "{arguments:?}: {err}"
        );
    }
}

#[test]
fn curl_that_begins_with_http_2_is_told() {
    if uwring_only("closes without an answer") || !has(&["curl"]) {
        return;
    }
    let server = Server::app("seen").without("socket").http().start();
    let output = curl(&server, "/", &["--http2-prior-knowledge"], b"");
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    server.log().wait_for("HTTP/2 (its connection preface) on a socket for HTTP/1.1 (505)");
}

#[test]
fn curl_keeps_its_connection() {
    if uwring_only("closes after each request") || !has(&["curl"]) {
        return;
    }
    let server = Server::app("seen").without("socket").http().start();
    let Address::Tcp(address) = server.tcp(0) else { panic!("a TCP address") };
    let second = format!("http://{address}/b");
    let output = curl(&server, "/a", &["-w", " %{num_connects}\n", &second], b"");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "GET /b 1\nGET /a 0\n");
}
