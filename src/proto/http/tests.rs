//! Heads good and bad; every one also at every split, with a body or another request behind it.

use super::*;
use crate::request::{Body, name_of, value_of};
use proptest::prelude::*;

const LIMITS: Limits = Limits { head_bytes: 4096, vars: VARS_MAX };
const PEER: Peer<'_> = Peer { addr: b"192.0.2.1", port: None };

fn site() -> Site {
    Site::new("vm", "8080", false)
}

/// The outcome of `data`, having checked that every prefix of it asks for more or says the same, and that bytes
/// behind it change nothing.
fn outcome(data: &[u8], limits: &Limits, trusted: bool) -> (Result<Step, Error>, Request) {
    let (site, mut req) = (site(), Request::default());
    let whole = parse(data, limits, &site, &PEER, trusted, &mut req);
    let complete = if whole == Ok(Step::Head) { req.head_bytes } else { data.len() };
    let mut part = Request::default();
    for end in 0..complete {
        match parse(&data[..end], limits, &site, &PEER, trusted, &mut part) {
            Ok(Step::NeedMore) => {}
            Ok(Step::Head) => panic!("a head from {end} of {complete} bytes"),
            // Which of several faults is named may depend on how much is there; that it is one may not.
            Err(early) => assert_eq!(Err(early.status), whole.as_ref().map_err(|e| e.status).copied()),
        }
    }
    if whole == Ok(Step::Head) {
        let more = [data, &[0xff; 5000]].concat();
        assert_eq!(parse(&more, limits, &site, &PEER, trusted, &mut part), whole);
        assert_eq!((&part.vars, &part.derived), (&req.vars, &req.derived));
    }
    (whole, req)
}

fn good(head: &str) -> Request {
    let (step, req) = outcome(head.as_bytes(), &LIMITS, false);
    assert_eq!(step, Ok(Step::Head), "{head:?}");
    req
}

fn refused(head: &str) -> Error {
    outcome(head.as_bytes(), &LIMITS, false).0.expect_err(head)
}

/// `key=value` of every variable, as the environ will show them.
fn environ(head: &str) -> Vec<String> {
    shown(&good(head), head.as_bytes(), &site())
}

fn shown(req: &Request, head: &[u8], site: &Site) -> Vec<String> {
    let text = |span: Span| String::from_utf8_lossy(req.bytes(span, head, site.text())).into_owned();
    let key = |var: &Var| match text(name_of(var)).to_uppercase().replace('-', "_") {
        name if var.kind == uwring_abi::VAR_PLAIN || name == "CONTENT_TYPE" || name == "CONTENT_LENGTH" => {
            name
        }
        name => format!("HTTP_{name}"),
    };
    req.vars.iter().map(|var| format!("{}={}", key(var), text(value_of(var)))).collect()
}

/// One variable of a request for `target`.
fn of_target(target: &str, key: &str) -> String {
    let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    let req = good(&head);
    let site = site();
    String::from_utf8_lossy(req.value(key.as_bytes(), head.as_bytes(), site.text()).expect(key)).into_owned()
}

#[test]
fn variables_are_those_of_uwsgis_http_socket() {
    // Keys and values as uWSGI 2.0.21 gave them for this request, but for Cookie, joined as RFC 6265 has it, and
    // the blanks around a value; their order is ours.
    let head = "GET /a%20b/../c?x=1&y HTTP/1.1\r\nHost: ex.org:80\r\nUser-Agent: ua\r\nCookie: a=1\r\nX-A: 1\r\n\
                content-type: q\r\nX-A: 2\r\nCookie: b=2\r\nAccept:   x  \r\n\r\n";
    let expected = [
        "REQUEST_METHOD=GET",
        "REQUEST_URI=/a%20b/../c?x=1&y",
        "PATH_INFO=/c",
        "QUERY_STRING=x=1&y",
        "SERVER_PROTOCOL=HTTP/1.1",
        "SCRIPT_NAME=",
        "SERVER_NAME=vm",
        "SERVER_PORT=8080",
        "REMOTE_ADDR=192.0.2.1",
        "HTTP_HOST=ex.org:80",
        "HTTP_USER_AGENT=ua",
        "HTTP_COOKIE=a=1; b=2",
        "HTTP_X_A=1, 2",
        "CONTENT_TYPE=q",
        "HTTP_ACCEPT=x",
    ];
    assert_eq!(environ(head), expected);
}

#[test]
fn packet_bytes_are_what_uwsgi_logs() {
    // `{20 vars in 189 bytes}` for SERVER_PORT 18123 and REMOTE_ADDR 127.0.0.1.
    let head = b"GET /a/. HTTP/1.1\r\nHost: h\r\n\r\n";
    let (site, mut req) = (Site::new("vm", "18123", false), Request::default());
    let peer = Peer { addr: b"127.0.0.1", port: None };
    assert_eq!(parse(head, &LIMITS, &site, &peer, false, &mut req), Ok(Step::Head));
    assert_eq!((req.vars.len() * 2, req.packet_bytes(head, site.text())), (20, 189));
}

#[test]
fn port_and_https_are_told_where_they_are_known() {
    let head = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let (site, mut req) = (Site::new("vm", "443", true), Request::default());
    let peer = Peer { addr: b"::1", port: Some(b"50000") };
    assert_eq!(parse(head, &LIMITS, &site, &peer, false, &mut req), Ok(Step::Head));
    for (key, value) in
        [("REMOTE_ADDR", "::1"), ("REMOTE_PORT", "50000"), ("HTTPS", "on"), ("HTTP_HOST", "h")]
    {
        assert_eq!(req.value(key.as_bytes(), head, site.text()), Some(value.as_bytes()), "{key}");
    }
}

#[test]
fn marks_point_at_what_the_server_needs() {
    let head = "HEAD /a?b HTTP/1.1\r\nhOsT: h:1\r\nUSER-AGENT: ua\r\nreferer: http://r/\r\nX-Forwarded-For: 198.51.100.7\r\n\
                X-Forwarded-Proto: https\r\nX-Forwarded-SSL: on\r\n\r\n";
    for (trusted, https, scheme) in [(false, false, ""), (true, true, "https")] {
        let (step, req) = outcome(head.as_bytes(), &LIMITS, trusted);
        assert_eq!(step, Ok(Step::Head));
        let text = |span: Span| {
            str::from_utf8(req.bytes(span, head.as_bytes(), b"")).expect("it is text").to_owned()
        };
        let marks = [
            req.method,
            req.uri,
            req.protocol,
            req.addr,
            req.host,
            req.agent,
            req.referer,
            req.forwarded_for,
        ];
        let values = ["HEAD", "/a?b", "HTTP/1.1", "192.0.2.1", "h:1", "ua", "http://r/", "198.51.100.7"];
        assert_eq!(marks.map(text), values);
        assert_eq!((req.is_head, req.https, text(req.scheme).as_str()), (true, https, scheme));
        assert!(req.user.is_empty());
    }
}

#[test]
fn paths_are_decoded_as_uwsgi_decodes_them() {
    // All but the last two lines are observations of uWSGI 2.0.21.
    for (target, path) in [
        ("/", "/"),
        ("/?", "/"),
        ("/a/./b/../../../c", "/c"),
        ("/a/..", "/"),
        ("/a/.", "/a/"),
        ("/a/../", "/"),
        ("/..a/b", "/..a/b"),
        ("//a//b", "//a//b"),
        ("/a//../b", "/a/b"),
        ("/a/..?q", "/"),
        ("/x#frag?z", "/x"),
        ("/%2e%2e/a", "/../a"),
        ("/a/...", "/a/..."),
        ("/a/.b/./c.", "/a/.b/c."),
        ("/static/../m1.py", "/m1.py"),
        ("/a%20b", "/a b"),
        ("/%41%6a%6A", "/Ajj"),
        ("/%25", "/%"),
        ("/..", "/"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/a%2fb/../c", "/c"),
        ("/a+b", "/a+b"),
    ] {
        assert_eq!(of_target(target, "PATH_INFO"), path, "{target}");
        assert_eq!(of_target(target, "REQUEST_URI"), target);
    }
}

#[test]
fn the_query_stays_raw() {
    for (target, query) in [
        ("/", ""),
        ("/?", ""),
        ("/?a=%zz&b", "a=%zz&b"),
        ("/a?b?c", "b?c"),
        ("/a/../b?../c", "../c"),
        ("/x#frag?z", "z"),
        ("http://h?q", "q"),
    ] {
        assert_eq!(of_target(target, "QUERY_STRING"), query, "{target}");
    }
}

#[test]
fn a_plain_path_is_not_copied() {
    let req = good("GET /static/a.b.js?x=%20 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(req.derived, PEER.addr);
}

#[test]
fn an_absolute_target_overrides_host() {
    for (target, host, path) in [
        ("http://a.example/p?q", "a.example", "/p"),
        ("HTTPS://a.example:8443", "a.example:8443", "/"),
        ("http://a.example?q", "a.example", "/"),
        ("http://[::1]:80/%41", "[::1]:80", "/A"),
    ] {
        assert_eq!(of_target(target, "HTTP_HOST"), host, "{target}");
        assert_eq!(of_target(target, "PATH_INFO"), path, "{target}");
    }
    assert!(environ("GET http://a/ HTTP/1.0\r\n\r\n").contains(&"HTTP_HOST=a".to_owned()));
    let head = "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n";
    let req = good(head);
    assert_eq!(req.bytes(req.host, head.as_bytes(), b""), b"a");
    for target in ["http:///p", "http://user@h/", "http://a b/", "ftp://h/", "h:80", "a", "http:/p", "*"] {
        assert_eq!(
            refused(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).status,
            Some(400),
            "{target}"
        );
    }
}

#[test]
fn asterisk_is_for_options_and_connect_for_proxies() {
    let head = "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n";
    assert!(environ(head).contains(&"PATH_INFO=*".to_owned()));
    assert_eq!(refused("CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n").status, Some(501));
}

#[test]
fn bad_paths_are_refused() {
    for target in ["/%", "/%4", "/%zz", "/%%", "/a%00b", "/%0", "/%u0041", "/%+1"] {
        assert_eq!(
            refused(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")).status,
            Some(400),
            "{target}"
        );
    }
}

#[test]
fn request_lines_that_are_none_are_refused() {
    for (line, status) in [
        ("GET / HTTP/2.0", 505),
        ("GET / HTTP/1.2", 505),
        ("GET / HTTP/0.9", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        ("GET\t/ HTTP/1.1", 400),
        (" GET / HTTP/1.1", 400),
        ("GE(T / HTTP/1.1", 400),
        ("GET /\0 HTTP/1.1", 400),
        ("GET /\x7f HTTP/1.1", 400),
        ("\x16\x03\x01\x02", 400),
    ] {
        assert_eq!(refused(&format!("{line}\r\nHost: h\r\n\r\n")).status, Some(status), "{line}");
    }
    assert!(refused("\0\x10\0\0\x0eREQUEST").reason.contains("uwsgi packet"));
    assert!(refused("\x16\x03\x01").reason.contains("TLS"));
}

#[test]
fn field_lines_that_could_be_read_two_ways_are_refused() {
    for (fields, why) in [
        ("Host : h\r\n", "a blank before the colon"),
        ("Host: h\r\n folded\r\n", "a folded line"),
        ("Host: h\r\n\tfolded: x\r\n", "another"),
        (" Host: h\r\n", "a blank before the first name"),
        ("Host: h\r\nA\r\n", "no colon"),
        ("Host: h\r\n: a\r\n", "no name"),
        ("Host: h\r\nA: b\rc\r\n", "a bare CR"),
        ("Host: h\r\nA: b\0c\r\n", "a NUL"),
        ("Host: h\r\nA\0: b\r\n", "a NUL in a name"),
        ("Host: h\nA: b\r\n", "a bare LF"),
        ("Host: h\r\nA: b\n", "a bare LF before the end"),
        ("Host: h\r\nA:\n\r\n", "a bare LF behind an empty value"),
        ("Host: h\r\nA@: b\r\n", "a name that is no token"),
        ("A: b\r\n", "no Host"),
        ("Host: h\r\nHost: h\r\n", "Host twice"),
        ("Host: a b\r\n", "a blank in Host"),
        ("Host: a/b\r\n", "a slash in Host"),
        ("Host: u@h\r\n", "a user in Host"),
    ] {
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{fields}\r\n")).status, Some(400), "{why}");
    }
    for head in [
        "GET / HTTP/1.1\nHost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\n",
        "GET / HTTP/1.1\nHost: h\n\n",
        "\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\n\n",
        "GET / HTTP/1.0\r\n\n",
        "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        assert_eq!(refused(head).status, Some(400), "{head:?}");
    }
}

#[test]
fn what_is_merely_odd_is_taken() {
    for head in [
        "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        "brew / HTTP/1.1\r\nHost:h\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHost: h\r\nA: \u{e9}\t\u{e9}\r\n\r\n",
    ] {
        assert_eq!(good(head).head_bytes, head.len());
    }
}

#[test]
fn bodies_are_framed_in_one_way_or_refused() {
    for (version, fields, body) in [
        ("1.1", "", Body::None),
        ("1.1", "Content-Length: 0\r\n", Body::None),
        ("1.1", "Content-Length: 12\r\n", Body::Sized(12)),
        ("1.1", "Content-Length: 12\r\nContent-Length: 12\r\n", Body::Sized(12)),
        ("1.0", "content-length: 12\r\n", Body::Sized(12)),
        ("1.1", "Transfer-Encoding: chunked\r\n", Body::Chunked),
        ("1.1", "transfer-encoding:  CHUNKED \r\n", Body::Chunked),
    ] {
        let req = good(&format!("POST / HTTP/{version}\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(req.body, body, "{fields}");
    }
    for (version, fields, status) in [
        ("1.1", "Content-Length: 1\r\nContent-Length: 2\r\n", 400),
        ("1.1", "Content-Length: 1, 1\r\n", 400),
        ("1.1", "Content-Length: +1\r\n", 400),
        ("1.1", "Content-Length: -1\r\n", 400),
        ("1.1", "Content-Length:\r\n", 400),
        ("1.1", "Content-Length: 0x10\r\n", 400),
        ("1.1", "Content-Length: 18446744073709551616\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n", 400),
        ("1.1", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        ("1.1", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked, chunked\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked, gzip\r\n", 400),
        ("1.1", "Transfer-Encoding: identity\r\n", 400),
        ("1.1", "Transfer-Encoding: xchunked\r\n", 400),
        ("1.1", "Transfer-Encoding: chunked;a=b\r\n", 400),
        ("1.1", "Transfer-Encoding: \x0bchunked\r\n", 400),
        ("1.1", "Transfer-Encoding:\r\n", 400),
        ("1.1", "Transfer-Encoding: gzip, chunked\r\n", 501),
        ("1.0", "Transfer-Encoding: chunked\r\n", 400),
    ] {
        let head = format!("POST / HTTP/{version}\r\nHost: h\r\n{fields}\r\n");
        assert_eq!(refused(&head).status, Some(status), "{fields:?}");
    }
}

#[test]
fn connections_persist_by_version_and_options() {
    for (version, connection, keep_alive) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, Upgrade\r\n", true),
        ("1.1", "Connection: foo ,CLOSE\r\n", false),
        ("1.1", "Connection: foo\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let req = good(&format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n"));
        assert_eq!(req.keep_alive, keep_alive, "{version} {connection}");
    }
}

#[test]
fn there_is_one_expectation() {
    for (version, fields, waits) in [
        ("1.1", "Expect: 100-continue\r\nContent-Length: 1\r\n", true),
        ("1.1", "expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n", true),
        ("1.1", "Expect: 100-continue\r\n", false),
        ("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n", false),
    ] {
        let req = good(&format!("POST / HTTP/{version}\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(req.expect_continue, waits, "{version} {fields}");
    }
    assert_eq!(refused("POST / HTTP/1.1\r\nHost: h\r\nExpect: miracles\r\n\r\n").status, Some(417));
}

#[test]
fn names_with_underscores_are_dropped() {
    let shown = environ(
        "GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: spoof\r\nContent_Length: 5\r\n_: a\r\nX-A: b\r\n\r\n",
    );
    assert_eq!(shown[9..], ["HTTP_HOST=h", "HTTP_X_A=b"]);
}

#[test]
fn repeated_fields_are_joined_where_the_first_stood() {
    let fields = "X-A: 1\r\nCookie: a=1\r\nx-a: 2\r\nX-B: b\r\ncookie: b=2\r\nX-A: 3\r\nX-A:\r\nX-C: c\r\n";
    let shown = environ(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
    let joined = ["HTTP_HOST=h", "HTTP_X_A=1, 2, 3, ", "HTTP_COOKIE=a=1; b=2", "HTTP_X_B=b", "HTTP_X_C=c"];
    assert_eq!(shown[9..], joined);
    let head = "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: a\r\nX-Forwarded-For: b\r\n\r\n";
    let req = good(head);
    assert_eq!(req.bytes(req.forwarded_for, head.as_bytes(), b""), b"a, b");
}

#[test]
fn joined_text_stays_smaller_than_the_head() {
    // Names that alternate: joining as they come would copy each value again and again.
    let pair = format!("A: {0}\r\nB: {0}\r\n", "x".repeat(100));
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", pair.repeat(18));
    let req = good(&head);
    assert!(req.derived.len() < head.len(), "{} of {}", req.derived.len(), head.len());
    assert_eq!(req.vars.len(), 12);
}

#[test]
fn too_large_a_head_is_refused_by_name() {
    let limits = Limits { head_bytes: 200, vars: 8 };
    let status = |head: &str| match outcome(head.as_bytes(), &limits, false).0 {
        Err(Error { status: Some(status), reason }) => Ok((status, reason)),
        other => Err(other),
    };
    let start = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
    let exact = format!("{start}{}\r\n\r\n", "x".repeat(200 - start.len() - 4));
    assert_eq!(outcome(exact.as_bytes(), &limits, false).0, Ok(Step::Head));
    let (code, reason) = status(&format!("{start}{}\r\n\r\n", "x".repeat(200))).expect("a refusal");
    assert!(code == 431 && reason.starts_with("invalid HTTP request size (max 200)...skip"), "{reason}");
    assert!(reason.contains("buffer-size"));
    let (code, reason) = status(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(200))).expect("a refusal");
    assert!(code == 414 && reason.contains("buffer-size"), "{reason}");
    let (code, _) =
        status(&format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(8))).expect("a refusal");
    assert_eq!(code, 431);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut req = Request::default();
        if let Ok(Step::Head) = parse(&data, &LIMITS, &site(), &PEER, true, &mut req) {
            prop_assert!(req.head_bytes <= data.len());
        }
    }

    #[test]
    fn likely_heads_never_panic(
        target in "[/.%2eEf?#a:]{0,12}",
        fields in prop::collection::vec(("(Host|Cookie|Content-Length|Transfer-Encoding|X_A|a|A)", "[ 0-9a,;\u{e9}]{0,6}"), 0..6),
    ) {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let head = format!("GET /{target} HTTP/1.0\r\n{lines}\r\n");
        let (step, req) = outcome(head.as_bytes(), &LIMITS, true);
        if step == Ok(Step::Head) {
            let site = site();
            let path = req.value(b"PATH_INFO", head.as_bytes(), site.text()).expect("always there");
            prop_assert!(path.starts_with(b"/") && !path.contains(&0));
            prop_assert_eq!(shown(&req, head.as_bytes(), &site).len(), req.vars.len());
        }
    }
}
