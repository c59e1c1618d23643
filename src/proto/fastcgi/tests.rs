//! Records good and bad, whole and at every split, and what an answer looks like in them.

use super::*;
use proptest::prelude::*;

fn record(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let ([id1, id0], [len1, len0]) =
        (id.to_be_bytes(), u16::try_from(content.len()).expect("16 bits").to_be_bytes());
    [&[1, kind, id1, id0, len1, len0, padding, 0], content, &vec![b'p'; padding.into()]].concat()
}

fn begin(role: u8) -> Vec<u8> {
    record(BEGIN_REQUEST, 1, &[0, role, 0, 0, 0, 0, 0, 0], 0)
}

fn pairs(vars: &[(&str, &str)]) -> Vec<u8> {
    let len = |text: &str| match u8::try_from(text.len()) {
        Ok(n) if n < 128 => vec![n],
        _ => (u32::try_from(text.len()).expect("short") | 0x8000_0000).to_be_bytes().to_vec(),
    };
    let pair = |(name, value): &(&str, &str)| {
        [len(name), len(value), name.as_bytes().to_vec(), value.as_bytes().to_vec()].concat()
    };
    vars.iter().flat_map(pair).collect()
}

/// A request with its variables in records of so many bytes.
fn request(vars: &[(&str, &str)], size: usize, padding: u8) -> Vec<u8> {
    let mut data = begin(1);
    let all = pairs(vars);
    all.chunks(size.max(1)).for_each(|piece| data.extend(record(PARAMS, 1, piece, padding)));
    data.extend(record(PARAMS, 1, b"", padding));
    data
}

fn parsed(data: &[u8]) -> Result<(Step, Request), Error> {
    let mut request = Request::default();
    parse(data, &Limits::default(), true, &mut request).map(|step| (step, request))
}

const VARS: &[(&str, &str)] = &[
    ("REQUEST_METHOD", "POST"),
    ("CONTENT_LENGTH", "5"),
    ("REQUEST_URI", "/a"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("HTTP_HOST", "h"),
    ("EMPTY", ""),
];

#[test]
fn variables_are_the_same_in_one_record_and_in_many() {
    let long = "x".repeat(300);
    let vars = [VARS, &[("LONG", &long)]].concat();
    for (size, padding) in [(10_000, 0), (10_000, 5), (100, 3), (2, 1)] {
        let data = request(&vars, size, padding);
        let (step, parsed) = parsed(&data).expect("a good request");
        assert_eq!((step, parsed.head_bytes, parsed.record_id), (Step::Head, data.len(), 1));
        assert_eq!(parsed.body, Body::Records(Some(5)));
        for (name, value) in &vars {
            assert_eq!(parsed.value(name.as_bytes(), &data, b""), Some(value.as_bytes()), "{name}");
        }
        let text = |span| parsed.bytes(span, &data, b"");
        assert_eq!(
            (text(parsed.uri), text(parsed.host), text(parsed.method)),
            (&b"/a"[..], &b"h"[..], &b"POST"[..])
        );
        assert_eq!(parsed.derived.is_empty(), size == 10_000, "one record is not copied");
        assert_eq!(parsed.echo.text(), b"Status: ");
    }
}

#[test]
fn every_prefix_needs_more() {
    for data in [request(VARS, 10_000, 3), request(VARS, 40, 2)] {
        for end in 0..data.len() {
            assert_eq!(parsed(&data[..end]).expect("not wrong yet").0, Step::NeedMore, "{end}");
        }
    }
}

#[test]
fn no_body_is_known_where_its_end_has_come() {
    let get = request(&VARS[2..], 10_000, 0);
    let none = [get.clone(), record(STDIN, 1, b"", 4)].concat();
    let (_, parsed_none) = parsed(&none).expect("good");
    assert_eq!((parsed_none.body, parsed_none.head_bytes), (Body::None, none.len()));
    for rest in [vec![], record(STDIN, 1, b"", 4)[..11].to_vec(), record(STDIN, 1, b"ab", 0)] {
        let (_, some) = parsed(&[get.clone(), rest].concat()).expect("good");
        assert_eq!((some.body, some.head_bytes), (Body::Records(None), get.len()));
    }
}

#[test]
fn wrong_requests_are_refused() {
    let big = "x".repeat(40_000);
    let head = |records: &[Vec<u8>]| [vec![begin(1)], records.to_vec()].concat().concat();
    let params = |content: &[u8]| head(&[record(PARAMS, 1, content, 0), record(PARAMS, 1, b"", 0)]);
    let many: Vec<Vec<u8>> = (0..=PARAMS_RECORDS_MAX).map(|_| record(PARAMS, 1, b"\x01\0A", 0)).collect();
    let stdin = |rest: &[u8]| [request(&VARS[2..], 10_000, 0), rest.to_vec()].concat();
    let cases: &[(Vec<u8>, Option<u16>, &str)] = &[
        (b"GET / HTTP/1.1\r\n".to_vec(), None, "HTTP on a socket for FastCGI"),
        (vec![2], None, "version 2"),
        (begin(2), None, "RESPONDER"),
        (record(PARAMS, 1, b"", 0), Some(400), "does not begin"),
        (record(BEGIN_REQUEST, 1, b"", 0), Some(400), "does not begin"),
        (record(BEGIN_REQUEST, 0, &[0; 8], 0), Some(400), "does not begin"),
        (head(&[record(ABORT_REQUEST, 1, b"", 0)]), None, "aborted"),
        (head(&[record(BEGIN_REQUEST, 2, &[0; 8], 0)]), Some(400), "multiplexing"),
        (head(&[record(STDIN, 1, b"", 0)]), Some(400), "type 5 where"),
        (head(&[record(PARAMS, 1, b"", 0)]), Some(400), "no variables"),
        (params(b"\x01"), Some(400), "cut off"),
        (params(b"\x01\x80\0\0"), Some(400), "cut off"),
        (params(b"\x01\x05A"), Some(400), "behind"),
        (params(b"\xff\xff\xff\xff\xff\xff\xff\xffA"), Some(400), "behind"),
        (params(b"\0\x01A"), Some(400), "without a name"),
        (params(&pairs(&[("CONTENT_LENGTH", "-1")])), Some(400), "Content-Length"),
        (request(&[("A", &big)], 65_000, 0)[..30].to_vec(), Some(431), "buffer-size"),
        (head(&many), Some(431), "records of variables"),
        (stdin(&record(STDOUT, 1, b"", 0)), Some(400), "type 6 where"),
        (stdin(b"GET /abc"), None, "version 71"),
    ];
    for (data, status, reason) in cases {
        let error = parsed(data).expect_err(reason);
        assert_eq!(error.status, *status, "{reason}");
        assert!(error.reason.contains(reason), "{} / {reason}", error.reason);
    }
}

/// A body at once, in two at every split and byte by byte: they must agree.
fn body(data: &[u8], announced: Option<u64>) -> Result<(Vec<u8>, Option<usize>), Error> {
    let feed = |pieces: Vec<&[u8]>| {
        let (mut stdin, mut out, mut used, mut done) = (Stdin::new(1, announced), Vec::new(), 0, false);
        for piece in pieces {
            let progress = stdin.decode(piece, &mut out)?;
            assert!(progress.consumed == piece.len() || progress.done);
            (used, done) = (used + progress.consumed, progress.done);
            if done {
                break;
            }
        }
        Ok((out, done.then_some(used)))
    };
    let whole = feed(vec![data]);
    for split in 1..data.len() {
        let (a, b) = data.split_at(split);
        assert_eq!(feed(vec![a, b]), whole, "split at {split}");
    }
    assert_eq!(feed(data.chunks(1).collect()), whole, "byte by byte");
    whole
}

#[test]
fn a_body_comes_out_whole_and_ends_where_it_ends() {
    let stdin = |content: &[u8], padding| record(STDIN, 1, content, padding);
    let whole = [stdin(b"hel", 5), stdin(b"lo", 0), stdin(b"", 3)].concat();
    for announced in [None, Some(5)] {
        let behind = [whole.as_slice(), b"\x01\x01"].concat();
        assert_eq!(body(&behind, announced), Ok((b"hello".to_vec(), Some(whole.len()))));
        assert_eq!(body(&whole[..whole.len() - 1], announced), Ok((b"hello".to_vec(), None)));
    }
    assert_eq!(body(&stdin(b"", 0), None), Ok((vec![], Some(8))));
    for (data, announced, reason) in [
        (whole.clone(), Some(4), "more than the 4"),
        (whole.clone(), Some(6), "less than the 6"),
        (record(ABORT_REQUEST, 1, b"", 0), None, "aborted"),
        (record(STDIN, 2, b"", 0), None, "another request"),
        (record(PARAMS, 1, b"", 0), None, "type 4"),
        (b"GET / HTTP".to_vec(), None, "version"),
    ] {
        let error = body(&data, announced).expect_err(reason);
        assert!(error.reason.contains(reason), "{} / {reason}", error.reason);
    }
}

/// The content of an answer's records.
fn unwrapped(mut data: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    while let Some(header) = Header::of(data).expect("records").filter(|header| header.kind == STDOUT) {
        assert!(header.id == 9 && header.content <= CONTENT_MAX);
        content.extend_from_slice(&data[HEADER_BYTES..][..header.content]);
        data = &data[header.whole()..];
    }
    content
}

#[test]
fn an_answer_of_any_length_fits_into_records() {
    for len in [0, 1, CONTENT_MAX, CONTENT_MAX + 1, 3 * CONTENT_MAX + 7] {
        let data: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
        let mut encoded = Vec::new();
        encode(&mut encoded, 9, &data);
        let mut wrapped = [b"before", data.as_slice()].concat();
        let added = wrap(&mut wrapped, 6, 9);
        assert_eq!((&wrapped[..6], &wrapped[6..]), (&b"before"[..], encoded.as_slice()), "{len}");
        assert_eq!((unwrapped(&encoded) == data, encoded.len()), (true, len + added), "{len}");
    }
    let mut out = Vec::new();
    end(&mut out, 0x102);
    assert_eq!(out, b"\x01\x06\x01\x02\0\0\0\0\x01\x03\x01\x02\0\x08\0\0\0\0\0\0\0\0\0\0");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_on(noise in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..400) {
        let mut data = request(VARS, 30, 1);
        let at = at.min(data.len());
        data.splice(at..at, noise.iter().copied());
        let params = [begin(1), record(PARAMS, 1, &noise, 0), record(PARAMS, 1, b"", 0)].concat();
        for data in [&data, &noise, &params] {
            if let Ok((Step::Head, request)) = parsed(data) {
                prop_assert!(request.head_bytes <= data.len());
            }
        }
        let _ = body(&noise, Some(7));
    }
}
