//! Literal heads in, variables or refusals out.

use super::*;
use proptest::prelude::*;

fn site() -> Site {
    Site::new("node", 8080)
}

fn parse_from(data: &[u8], peer: &Peer) -> Result<(Step, Request), Error> {
    let mut request = Request::default();
    parse(data, &Limits::default(), &site(), peer, &mut request).map(|step| (step, request))
}

fn parsed(data: &[u8]) -> Result<(Step, Request), Error> {
    parse_from(data, &Peer::new(Some(([192, 0, 2, 1], 4000).into())))
}

fn vars(data: &[u8], request: &Request) -> Vec<(String, String)> {
    let site = site();
    let text = |area, off, len| {
        let span = Span { area, off, len };
        String::from_utf8(request.bytes(span, data, site.text()).to_vec()).expect("text")
    };
    let value = |v: &Var| text(v.value_area, v.value_off, v.value_len);
    request.vars.iter().map(|v| (text(v.name_area, v.name_off, v.name_len.into()), value(v))).collect()
}

fn value(data: &str, name: &str) -> Option<String> {
    let (_, request) = parsed(data.as_bytes()).expect(data);
    vars(data.as_bytes(), &request).into_iter().find(|(n, _)| n == name).map(|(_, v)| v)
}

const GET: &[u8] =
    b"GET /a%20b?q=1 HTTP/1.1\r\nHost: h:80\r\nX-A: 1\r\nCookie: a=1\r\nx-a: 2\r\nCookie: b=2\r\n\r\nrest";

#[test]
fn a_request_becomes_uwsgis_variables() {
    let (step, request) = parsed(GET).expect("good");
    assert_eq!((step, request.head_bytes), (Step::Head, GET.len() - 4));
    let expected = [
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/a%20b?q=1"),
        ("PATH_INFO", "/a b"),
        ("QUERY_STRING", "q=1"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("SCRIPT_NAME", ""),
        ("SERVER_NAME", "node"),
        ("SERVER_PORT", "8080"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("Host", "h:80"),
        ("X-A", "1, 2"),
        ("Cookie", "a=1; b=2"),
    ];
    let expected: Vec<_> = expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    assert_eq!(vars(GET, &request), expected);
    assert!(request.keep_alive && request.body == Body::None);
    assert_eq!(request.bytes(request.host, GET, &[]), b"h:80");
}

#[test]
fn every_prefix_needs_more() {
    for end in 0..GET.len() - 4 {
        assert_eq!(parsed(&GET[..end]).expect("not wrong yet").0, Step::NeedMore, "{end}");
    }
}

#[test]
fn connections_stay_as_version_and_fields_say() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
    ];
    for (text, keep_alive) in cases {
        assert_eq!(parsed(text.as_bytes()).expect(text).1.keep_alive, keep_alive, "{text}");
    }
}

#[test]
fn bodies_are_framed_and_expectations_heard() {
    let request = |fields: &str| {
        parsed(format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()).expect(fields).1
    };
    assert_eq!(request("Content-Length: 5\r\n").body, Body::Sized(5));
    assert_eq!(request("Content-Length: 5\r\nContent-Length: 5\r\n").body, Body::Sized(5));
    assert_eq!(request("Content-Length: 0\r\n").body, Body::None);
    assert_eq!(request("Transfer-Encoding: Chunked\r\n").body, Body::Chunked);
    assert!(request("Content-Length: 5\r\nExpect: 100-Continue\r\n").expect_continue);
}

#[test]
fn targets_of_every_form() {
    let line = |line: &str| format!("{line}\r\nHost: h\r\n\r\n");
    assert_eq!(value(&line("GET http://other:81/p?q HTTP/1.1"), "PATH_INFO").as_deref(), Some("/p"));
    assert_eq!(value(&line("GET http://other:81/p?q HTTP/1.1"), "Host").as_deref(), Some("other:81"));
    assert_eq!(value(&line("GET http://other HTTP/1.1"), "PATH_INFO").as_deref(), Some("/"));
    assert_eq!(value("GET http://o/ HTTP/1.0\r\n\r\n", "HTTP_HOST").as_deref(), Some("o"));
    assert_eq!(value(&line("OPTIONS * HTTP/1.1"), "PATH_INFO").as_deref(), Some("*"));
    assert_eq!(value(&line("GET /?a?b HTTP/1.1"), "QUERY_STRING").as_deref(), Some("a?b"));
}

#[test]
fn a_field_with_an_underscore_cannot_pass_for_another() {
    let text = "GET / HTTP/1.1\r\nHost: h\r\nX_Forwarded_For: evil\r\nContent_Length: 5\r\n\r\n";
    assert_eq!(value(text, "X_Forwarded_For"), None);
    assert_eq!(parsed(text.as_bytes()).expect("good").1.body, Body::None);
}

#[test]
fn the_scheme_is_believed_from_front_ends_only() {
    let text = b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\n\r\n";
    for (address, believed) in [
        (None, true),
        (Some(([127, 0, 0, 1], 1).into()), true),
        (Some("[::1]:1".parse().expect("an address")), true),
        (Some(([192, 0, 2, 1], 1).into()), false),
    ] {
        let (_, request) = parse_from(text, &Peer::new(address)).expect("good");
        assert_eq!(request.bytes(request.scheme, text, &[]) == b"https", believed, "{address:?}");
    }
}

#[test]
fn ambiguous_and_wrong_heads_are_refused() {
    let long_line = format!("GET /{} HTTP/1.1", "a".repeat(40_000));
    let long_field = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}", "a".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(101));
    let cases: &[(&str, u16)] = &[
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nB\x01d: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: the unexpected\r\n\r\n", 417),
        ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
        ("GET http://u@h/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET /\r\n\r\n", 400),
        (&long_line, 414),
        (&long_field, 431),
        (&many, 431),
    ];
    for (text, status) in cases {
        let shown = &text[..text.len().min(90)];
        match parsed(text.as_bytes()) {
            Err(error) => assert_eq!(error.status, Some(*status), "{shown:?}: {}", error.reason),
            Ok((step, _)) => panic!("{shown:?} became {step:?}"),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parsed(&data);
    }

    #[test]
    fn no_field_makes_it_panic(name in "[ -~]{0,20}", field in "[\\x00-\\xff]{0,40}") {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{name}: {field}\r\n\r\n");
        if let Ok((Step::Head, request)) = parsed(text.as_bytes()) {
            prop_assert!(request.head_bytes <= text.len());
        }
    }
}
