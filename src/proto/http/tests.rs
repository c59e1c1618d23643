//! Heads good and bad; every one also at every split, with a body or another request behind it.

use super::*;
use crate::request::Body;
use proptest::prelude::*;

const LIMITS: Limits = Limits { head_bytes: 4096, vars: FIELDS_MAX };

fn site() -> Site {
    Site::new("node", 8080)
}

fn client() -> Peer {
    Peer::new(Some(([192, 0, 2, 1], 4000).into()))
}

/// The outcome of `data`, having checked that every prefix of it asks for more or is refused alike, and that bytes
/// behind it change nothing.
fn outcome(data: &[u8], limits: &Limits, peer: &Peer) -> (Result<Step, Error>, Request) {
    let (site, mut request, mut part) = (site(), Request::default(), Request::default());
    let whole = parse(data, limits, &site, peer, &mut request);
    let complete = if whole == Ok(Step::Head) { request.head_bytes } else { data.len() };
    for end in 0..complete {
        match parse(&data[..end], limits, &site, peer, &mut part) {
            Ok(Step::NeedMore) => {}
            Ok(Step::Head) => panic!("a head from {end} of {complete} bytes"),
            // Which of several faults is named may depend on how much is there; that it is one may not.
            Err(early) => assert_eq!(Err(early.status), whole.as_ref().map_err(|e| e.status).copied()),
        }
    }
    if whole == Ok(Step::Head) {
        let more = [data, &[0xff; 5000]].concat();
        assert_eq!(parse(&more, limits, &site, peer, &mut part), whole);
        assert_eq!((&part.vars, &part.derived), (&request.vars, &request.derived));
    }
    (whole, request)
}

fn good(head: &str) -> Request {
    let (step, request) = outcome(head.as_bytes(), &LIMITS, &client());
    assert_eq!(step, Ok(Step::Head), "{head:?}");
    request
}

fn refused(head: &str) -> Error {
    outcome(head.as_bytes(), &LIMITS, &client()).0.expect_err(head)
}

/// `key=value` of every variable, as the environ will show them.
fn environ(head: &str) -> Vec<String> {
    shown(&good(head), head.as_bytes(), &site())
}

fn shown(request: &Request, head: &[u8], site: &Site) -> Vec<String> {
    let text = |area, off, len| {
        String::from_utf8_lossy(request.bytes(Span { area, off, len }, head, site.text())).into_owned()
    };
    let key = |var: &Var| {
        let name = text(var.name_area, var.name_off, var.name_len.into());
        match name.to_uppercase().replace('-', "_") {
            name if var.kind == VAR_PLAIN || name == "CONTENT_TYPE" || name == "CONTENT_LENGTH" => name,
            name => format!("HTTP_{name}"),
        }
    };
    let value = |var: &Var| text(var.value_area, var.value_off, var.value_len);
    request.vars.iter().map(|var| format!("{}={}", key(var), value(var))).collect()
}

/// One variable of a request for `target`.
fn of_target(target: &str, key: &str) -> String {
    let head = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    let (request, site) = (good(&head), site());
    let value = request.value(key.as_bytes(), head.as_bytes(), site.text()).expect(key);
    String::from_utf8_lossy(value).into_owned()
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
        "SERVER_NAME=node",
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
fn marks_point_at_what_the_server_needs() {
    let head = "HEAD /a?b HTTP/1.1\r\nhOsT: h:1\r\nUSER-AGENT: ua\r\nreferer: http://r/\r\nX-Forwarded-For: 198.51.100.7\r\n\
                X-Forwarded-Proto: https\r\nX-Forwarded-SSL: on\r\n\r\n";
    let loopback = Peer::new(Some("[::1]:1".parse().expect("an address")));
    for (peer, https, scheme) in
        [(client(), false, ""), (Peer::new(None), true, "https"), (loopback, true, "https")]
    {
        let (step, request) = outcome(head.as_bytes(), &LIMITS, &peer);
        assert_eq!(step, Ok(Step::Head));
        let text =
            |span: Span| str::from_utf8(request.bytes(span, head.as_bytes(), b"")).expect("it is text");
        let marks =
            [request.method, request.uri, request.protocol, request.host, request.agent, request.referer];
        assert_eq!(marks.map(text), ["HEAD", "/a?b", "HTTP/1.1", "h:1", "ua", "http://r/"]);
        assert_eq!((text(request.addr), text(request.forwarded_for)), (peer.text(), "198.51.100.7"));
        assert_eq!((request.is_head, request.https, text(request.scheme)), (true, https, scheme));
        assert!(request.user.is_empty());
    }
}

#[test]
fn paths_are_decoded_as_uwsgi_decodes_them() {
    // Observations of uWSGI 2.0.21.
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
        ("/%2e%2e/a", "/../a"),
        ("/a/...", "/a/..."),
        ("/a/.b/./c.", "/a/.b/c."),
        ("/static/../m1.py", "/m1.py"),
        ("/a%20b", "/a b"),
        ("/%41%6a%6A", "/Ajj"),
        ("/%25", "/%"),
        ("/..", "/"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("/a%2fb/../c", "/a/c"),
        ("/a%2F/../c", "/a/c"),
        ("/x/%2e%2e/../c", "/x/c"),
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
        ("http://h?q", "q"),
    ] {
        assert_eq!(of_target(target, "QUERY_STRING"), query, "{target}");
    }
}

#[test]
fn a_plain_path_is_not_copied() {
    let request = good("GET /static/a.b.js?x=%20 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(request.derived, client().text().as_bytes());
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
    let request = good(head);
    assert_eq!(request.bytes(request.host, head.as_bytes(), b""), b"a");
    for target in [
        "http:///p",
        "http://user@h/",
        "http://a b/",
        "ftp://h/",
        "h:80",
        "a",
        "http:/p",
        "*",
        "http://a<b>/",
        "/a#b",
        "/?a#b",
        "http://h#b",
    ] {
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
        ("GET / HTTP/1.10", 400),
        ("GET / HTTP/1.x", 505),
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
    assert!(refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").reason.contains("HTTP/2"));
}

#[test]
fn a_later_minor_version_is_taken_for_1_1() {
    // RFC 9110 §2.5.
    let head = "GET /a HTTP/1.7\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let request = good(head);
    assert_eq!((request.version, request.keep_alive, request.body), (Version::Http11, true, Body::Chunked));
    assert!(environ(head).contains(&"SERVER_PROTOCOL=HTTP/1.7".to_owned()));
    assert_eq!(refused("GET / HTTP/1.7\r\n\r\n").status, Some(400), "no Host");
    let long = format!("GET / HTTP/1.7\r\nHost: h\r\nA: {}\r\n\r\n", "x".repeat(5000));
    assert_eq!(refused(&long).status, Some(431));
}

#[test]
fn few_empty_lines_before_a_request_are_skipped() {
    for (lines, status) in [(4, None), (5, Some(400)), (1000, Some(400))] {
        let head = format!("{}GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\r\n".repeat(lines));
        let (step, _) = outcome(head.as_bytes(), &LIMITS, &client());
        assert_eq!(step.map_err(|error| error.status), status.map_or(Ok(Step::Head), |s| Err(Some(s))));
    }
    for lines in ["\n", "\r\n\n", "\r\r\n", "\n\r\n"] {
        assert_eq!(refused(&format!("{lines}GET / HTTP/1.1\r\nHost: h\r\n\r\n")).status, Some(400));
    }
}

#[test]
fn a_request_may_begin_with_what_a_method_may() {
    let begins: Vec<u8> = (0..=255).filter(|byte| may_begin(*byte)).collect();
    let tried: Vec<u8> = (0..=255)
        .filter(|&byte| {
            let head = [&[byte], &b"ET / HTTP/1.0\r\n\r\n"[..]].concat();
            parse(&head, &LIMITS, &site(), &client(), &mut Request::default()).is_ok()
        })
        .collect();
    assert_eq!(begins, [&b"\n\r"[..], &tried].concat());
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
        let request = good(&format!("POST / HTTP/{version}\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(request.body, body, "{fields}");
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
        ("1.1", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501),
        ("1.1", "Transfer-Encoding: chunked, chunked\r\n", 501),
        ("1.1", "Transfer-Encoding: chunked, gzip\r\n", 501),
        ("1.1", "Transfer-Encoding: identity\r\n", 501),
        ("1.1", "Transfer-Encoding: xchunked\r\n", 501),
        ("1.1", "Transfer-Encoding: chunked;a=b\r\n", 501),
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
        let request = good(&format!("GET / HTTP/{version}\r\nHost: h\r\n{connection}\r\n"));
        assert_eq!(request.keep_alive, keep_alive, "{version} {connection}");
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
        let request = good(&format!("POST / HTTP/{version}\r\nHost: h\r\n{fields}\r\n"));
        assert_eq!(request.expect_continue, waits, "{version} {fields}");
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
    let request = good(head);
    assert_eq!(request.bytes(request.forwarded_for, head.as_bytes(), b""), b"a, b");
}

#[test]
fn joined_text_stays_smaller_than_the_head() {
    // Names that alternate: joining as they come would copy each value again and again.
    let pair = format!("A: {0}\r\nB: {0}\r\n", "x".repeat(100));
    let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", pair.repeat(18));
    let request = good(&head);
    assert!(request.derived.len() < head.len(), "{} of {}", request.derived.len(), head.len());
    assert_eq!(request.vars.len(), 12);
}

#[test]
fn too_large_a_head_is_refused_by_name() {
    let limits = Limits { head_bytes: 200, ..LIMITS };
    let tight = |head: &str| match outcome(head.as_bytes(), &limits, &client()).0 {
        Err(Error { status: Some(status), reason }) => (status, reason),
        other => panic!("{other:?}"),
    };
    let start = "GET / HTTP/1.1\r\nHost: h\r\nA: ";
    let exact = format!("{start}{}\r\n\r\n", "x".repeat(200 - start.len() - 4));
    assert_eq!(outcome(exact.as_bytes(), &limits, &client()).0, Ok(Step::Head));
    let (status, reason) = tight(&format!("{start}{}\r\n\r\n", "x".repeat(200)));
    assert!(status == 431 && reason.contains("200 bytes: raise buffer-size"), "{reason}");
    let (status, reason) = tight(&format!("GET /{} HTTP/1.1\r\n", "x".repeat(200)));
    assert!(status == 414 && reason.contains("200 bytes: raise buffer-size"), "{reason}");
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(FIELDS_MAX));
    assert_eq!(refused(&many).status, Some(431));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut request = Request::default();
        if let Ok(Step::Head) = parse(&data, &LIMITS, &site(), &client(), &mut request) {
            prop_assert!(request.head_bytes <= data.len());
        }
    }

    #[test]
    fn likely_heads_never_panic(
        target in "[/.%2eEf?#a:]{0,12}",
        fields in prop::collection::vec(("(Host|Cookie|Content-Length|Transfer-Encoding|X_A|a|A)", "[ 0-9a,;\u{e9}]{0,6}"), 0..6),
    ) {
        let lines: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let head = format!("GET /{target} HTTP/1.0\r\n{lines}\r\n");
        let (step, request) = outcome(head.as_bytes(), &LIMITS, &client());
        if step == Ok(Step::Head) {
            let site = site();
            let path = request.value(b"PATH_INFO", head.as_bytes(), site.text()).expect("always there");
            prop_assert!(path.starts_with(b"/") && !path.contains(&0));
            prop_assert_eq!(shown(&request, head.as_bytes(), &site).len(), request.vars.len());
        }
    }
}
