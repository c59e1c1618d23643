//! Packets good and bad; every one also at every split.

use super::*;
use crate::base::limits::VARS_MAX;
use proptest::prelude::*;

const LIMITS: Limits = Limits { head_bytes: 4096, vars: VARS_MAX };

fn packet(vars: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for text in vars.iter().flat_map(|(name, value)| [name, value]) {
        block.extend_from_slice(&(text.len() as u16).to_le_bytes());
        block.extend_from_slice(text.as_bytes());
    }
    framed(0, &block)
}

fn framed(modifier1: u8, block: &[u8]) -> Vec<u8> {
    let [low, high] = (block.len() as u16).to_le_bytes();
    [&[modifier1, low, high, 0], block].concat()
}

/// The outcome of `data`, having checked that every prefix of it asks for more or says the same.
fn outcome(data: &[u8], trusted: bool) -> (Result<Step, Error>, Request) {
    let mut req = Request::default();
    let whole = parse(data, &LIMITS, trusted, &mut req);
    for end in 0..data.len() {
        let mut part = Request::default();
        match parse(&data[..end], &LIMITS, trusted, &mut part) {
            Ok(Step::NeedMore) => {}
            Ok(Step::Head) => assert!(end >= req.head_bytes, "a head from {end} of {} bytes", data.len()),
            Err(early) => assert_eq!(Err(early), whole),
        }
    }
    (whole, req)
}

fn good(vars: &[(&str, &str)], trusted: bool) -> (Request, Vec<u8>) {
    let data = packet(vars);
    let (step, req) = outcome(&data, trusted);
    assert_eq!(step, Ok(Step::Head));
    (req, data)
}

fn refused(data: &[u8]) -> Error {
    outcome(data, false).0.expect_err("this packet is bad")
}

#[test]
fn variables_are_offsets_into_the_packet_in_wire_order() {
    let vars = [
        ("REQUEST_METHOD", "GET"),
        ("QUERY_STRING", ""),
        ("HTTP_HOST", "a.example"),
        ("UWSGI_FILE", "/etc/x"),
    ];
    let (req, data) = good(&vars, false);
    assert_eq!(req.vars.len(), vars.len());
    for (var, (name, value)) in req.vars.iter().zip(vars) {
        assert_eq!(req.bytes(crate::request::name_of(var), &data, b""), name.as_bytes());
        assert_eq!(req.bytes(crate::request::value_of(var), &data, b""), value.as_bytes());
        assert_eq!((var.name_area, var.value_area, var.kind), (AREA_HEAD, AREA_HEAD, VAR_PLAIN));
    }
    assert!(req.derived.is_empty(), "nothing is copied");
    assert_eq!((req.head_bytes, req.packet_bytes(&data, b"")), (data.len(), data.len() - 4));
    assert!(!req.keep_alive);
}

#[test]
fn marks_point_at_what_the_server_needs() {
    let vars = [
        ("REQUEST_METHOD", "HEAD"),
        ("REQUEST_URI", "/a?b"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
        ("REMOTE_ADDR", "192.0.2.1"),
        ("REMOTE_USER", "eve"),
        ("SERVER_NAME", "fallback"),
        ("HTTP_HOST", "host.example"),
        ("HTTP_USER_AGENT", "ua/1"),
        ("HTTP_REFERER", "http://r/"),
        ("HTTP_X_FORWARDED_FOR", "198.51.100.7"),
        ("UWSGI_SCHEME", "https"),
        ("HTTPS", "on"),
        ("CONTENT_LENGTH", "18446744073709551615"),
    ];
    let (req, data) = good(&vars, false);
    let text = |span: Span| str::from_utf8(req.bytes(span, &data, b"")).expect("it is text").to_owned();
    let marks = [req.method, req.uri, req.protocol, req.addr, req.user, req.host, req.agent, req.referer];
    let values = ["HEAD", "/a?b", "HTTP/2.0", "192.0.2.1", "eve", "host.example", "ua/1", "http://r/"];
    assert_eq!(marks.map(text), values);
    assert_eq!((text(req.forwarded_for).as_str(), text(req.scheme).as_str()), ("198.51.100.7", "https"));
    assert_eq!((req.is_head, req.https, req.protocol_echo), (true, true, "HTTP/2.0"));
    assert_eq!(req.body, Body::Sized(u64::MAX));
}

#[test]
fn host_is_server_name_until_a_host_is_seen() {
    for (vars, host) in [
        (&[("SERVER_NAME", "s")][..], "s"),
        (&[("HTTP_HOST", "h"), ("SERVER_NAME", "s")], "h"),
        (&[("SERVER_NAME", "s"), ("HTTP_HOST", "h")], "h"),
    ] {
        let (req, data) = good(vars, false);
        assert_eq!(req.bytes(req.host, &data, b""), host.as_bytes(), "{vars:?}");
    }
}

#[test]
fn forwarded_scheme_counts_only_from_the_trusted() {
    for (vars, trusted, https, scheme) in [
        (&[("HTTP_X_FORWARDED_PROTO", "https")][..], false, false, ""),
        (&[("HTTP_X_FORWARDED_PROTO", "https")], true, false, "https"),
        (&[("UWSGI_SCHEME", "http"), ("HTTP_X_FORWARDED_PROTO", "https")], true, false, "https"),
        (&[("HTTP_X_FORWARDED_PROTO", "https"), ("UWSGI_SCHEME", "http")], true, false, "http"),
        (&[("HTTP_X_FORWARDED_SSL", "on")], false, false, ""),
        (&[("HTTP_X_FORWARDED_SSL", "1")], true, true, ""),
        (&[("HTTPS", "off")], true, false, ""),
        (&[("HTTPS", "ON")], false, true, ""),
    ] {
        let (req, data) = good(vars, trusted);
        assert_eq!((req.https, req.bytes(req.scheme, &data, b"")), (https, scheme.as_bytes()), "{vars:?}");
    }
}

#[test]
fn content_length_is_digits_and_one() {
    for (vars, body) in [
        (&[("CONTENT_LENGTH", "")][..], Body::None),
        (&[("CONTENT_LENGTH", "0")], Body::None),
        (&[("CONTENT_LENGTH", "12")], Body::Sized(12)),
        (&[("CONTENT_LENGTH", "12"), ("CONTENT_LENGTH", "012")], Body::Sized(12)),
        (&[("CONTENT_LENGTH", ""), ("CONTENT_LENGTH", "0")], Body::None),
    ] {
        assert_eq!(good(vars, false).0.body, body, "{vars:?}");
    }
    for vars in [
        &[("CONTENT_LENGTH", "-1")][..],
        &[("CONTENT_LENGTH", "1 ")],
        &[("CONTENT_LENGTH", "+1")],
        &[("CONTENT_LENGTH", "1x")],
        &[("CONTENT_LENGTH", "18446744073709551616")],
        &[("CONTENT_LENGTH", "1"), ("CONTENT_LENGTH", "2")],
        &[("CONTENT_LENGTH", "0"), ("CONTENT_LENGTH", "2")],
        &[("CONTENT_LENGTH", "2"), ("CONTENT_LENGTH", "")],
    ] {
        assert_eq!(refused(&packet(vars)).status, Some(400), "{vars:?}");
    }
}

#[test]
fn broken_blocks_are_refused() {
    for (block, why) in [
        (&b"\x00\x00\x01\x00a"[..], "a name of length zero"),
        (b"\x02\x00a", "a name beyond the end"),
        (b"\x01\x00a", "no value"),
        (b"\x01\x00a\x01", "half a length"),
        (b"\x01\x00a\x02\x00b", "a value beyond the end"),
        (b"\x01\x00a\xff\xffb", "a value far beyond the end"),
        (b"\x01", "half a length first"),
        (b"\x01\x00a\x00\x00\x07", "half a length last"),
    ] {
        let error = refused(&framed(0, block));
        assert_eq!(error.status, Some(400), "{why}");
        assert_eq!(error.reason, format!("invalid uwsgi request (current strsize: {}). skip.", block.len()));
    }
}

#[test]
fn too_large_a_block_is_refused_by_its_header_alone() {
    // 0x1475 is 5237.
    let error = refused(&[0, 0x75, 0x14, 0]);
    assert_eq!(error.status, Some(431));
    assert!(
        error.reason.starts_with("invalid request block size: 5237 (max 4096)...skip"),
        "{}",
        error.reason
    );
    assert!(error.reason.contains("buffer-size"));
    assert_eq!(outcome(&[0, 0x00, 0x10, 0], false).0, Ok(Step::NeedMore));
}

#[test]
fn too_many_variables_are_refused() {
    let one = [("A", "")];
    assert_eq!(outcome(&packet(&one.repeat(VARS_MAX)), false).0, Ok(Step::Head));
    assert_eq!(refused(&packet(&one.repeat(VARS_MAX + 1))).status, Some(431));
}

#[test]
fn other_modifiers_and_empty_packets_end_without_an_answer() {
    let modifier = |n: u8| refused(&framed(n, b"\x01\x00a\x00\x00"));
    assert_eq!(modifier(5), Error::close("-- unavailable modifier requested: 5 --"));
    assert_eq!(modifier(100).status, None);
    assert_eq!(refused(&framed(0, b"")), Error::close("Empty python request. skip."));
    assert!(refused(b"GET / HTTP/1.1\r\n\r\n").reason.contains("HTTP on a uwsgi socket"));
    let (step, req) = outcome(&framed(30, b"\x01\x00a\x00\x00"), false);
    assert_eq!((step, req.modifier1), (Ok(Step::Head), 30));
}

#[test]
fn what_follows_the_block_is_left_alone() {
    let data = [packet(&[("CONTENT_LENGTH", "4")]), b"body".to_vec()].concat();
    let (_, req) = outcome(&data, false);
    assert_eq!(&data[req.head_bytes..], b"body");
}

#[test]
fn only_known_protocols_are_echoed() {
    for (protocol, echo) in [
        ("HTTP/1.1", "HTTP/1.1"),
        ("HTTP/1.0", "HTTP/1.0"),
        ("HTTP/3.0", "HTTP/3.0"),
        ("", "HTTP/1.0"),
        ("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n", "HTTP/1.0"),
    ] {
        assert_eq!(good(&[("SERVER_PROTOCOL", protocol)], false).0.protocol_echo, echo);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..300), trusted: bool) {
        let mut req = Request::default();
        if let Ok(Step::Head) = parse(&data, &LIMITS, trusted, &mut req) {
            prop_assert!(req.head_bytes <= data.len());
        }
    }

    #[test]
    fn arbitrary_blocks_never_panic(block in prop::collection::vec(0u8..6, 1..200)) {
        let data = framed(0, &block);
        let mut req = Request::default();
        if let Ok(Step::Head) = parse(&data, &LIMITS, true, &mut req) {
            let size: usize = req.vars.iter().map(|v| 4 + usize::from(v.name_len) + v.value_len as usize).sum();
            prop_assert_eq!(size, block.len());
        }
    }
}
