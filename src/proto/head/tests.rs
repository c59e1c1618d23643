//! Heads as bytes, bodies held to them.

use super::*;
use crate::request::Request;

const EPOCH: &str = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n";

fn head(fields: &[u8], content_length: Option<u64>) -> Head<'_> {
    Head { status: 200, status_line: b"200 OK", fields, content_length, has_date: false, close: false }
}

fn request(version: Version) -> Request {
    Request { version, keep_alive: version != Version::Uwsgi, ..Request::default() }
}

fn encoded(req: &Request, head: &Head<'_>, length: Length, draining: bool) -> (String, Framing) {
    let mut out = b"before".to_vec();
    let framing = encode(&mut out, req, head, length, &DateCache::new(0), draining);
    let text = String::from_utf8(out).expect("heads are text");
    (text.strip_prefix("before").expect("it appends").to_owned(), framing)
}

#[test]
fn uwsgi_heads_echo_the_protocol_and_add_nothing() {
    let fields = b"Content-Type: text/plain\r\n";
    let mut req = request(Version::Uwsgi);
    for (echo, protocol) in [("HTTP/1.1", "HTTP/1.1"), ("HTTP/2.0", "HTTP/2.0"), ("", "HTTP/1.0")] {
        req.protocol_echo = echo;
        let (text, framing) = encoded(&req, &head(fields, None), Length::Known(5), false);
        assert_eq!(text, format!("{protocol} 200 OK\r\nContent-Type: text/plain\r\n\r\n"));
        assert_eq!(framing, Framing { body: BodyFraming::UntilClose, keep_alive: false });
    }
    let (_, framing) = encoded(&req, &head(b"Content-Length: 7\r\n", Some(7)), Length::Unknown, false);
    assert_eq!(framing.body, BodyFraming::Sized(7));
}

#[test]
fn http_heads_say_when_how_long_and_whether_it_goes_on() {
    use BodyFraming as B;
    let own = "Content-Length: 7\r\n";
    let (new, old) = (Version::Http11, Version::Http10);
    for (version, given, length, fields, body, keep_alive) in [
        (new, None, Length::Known(5), "Content-Length: 5\r\n", B::Sized(5), true),
        (new, None, Length::Known(0), "Content-Length: 0\r\n", B::Sized(0), true),
        (new, None, Length::Unknown, "Transfer-Encoding: chunked\r\n", B::Chunked, true),
        (new, Some(7), Length::Unknown, "", B::Sized(7), true),
        (new, Some(7), Length::Known(7), "", B::Sized(7), true),
        (old, None, Length::Known(5), "Content-Length: 5\r\nConnection: keep-alive\r\n", B::Sized(5), true),
        (old, None, Length::Unknown, "Connection: close\r\n", B::UntilClose, false),
        (old, Some(7), Length::Unknown, "Connection: keep-alive\r\n", B::Sized(7), true),
    ] {
        let app = if given.is_some() { own } else { "" };
        let (text, framing) = encoded(&request(version), &head(app.as_bytes(), given), length, false);
        assert_eq!(text, format!("HTTP/1.1 200 OK\r\n{app}{EPOCH}{fields}\r\n"));
        assert_eq!(framing, Framing { body, keep_alive });
    }
}

#[test]
fn connections_end_when_anybody_wants_them_to() {
    let plain = head(b"", None);
    let mut leaving = request(Version::Http11);
    leaving.keep_alive = false;
    for (req, head, draining) in [
        (&leaving, plain, false),
        (&request(Version::Http11), Head { close: true, ..plain }, false),
        (&request(Version::Http11), plain, true),
        (&request(Version::Http11), Head { status: 101, ..plain }, false),
    ] {
        let (text, framing) = encoded(req, &head, Length::Known(1), draining);
        assert!(text.ends_with("Connection: close\r\n\r\n"), "{text}");
        assert!(!framing.keep_alive);
    }
}

#[test]
fn heads_without_a_body_promise_none() {
    let mut req = request(Version::Http11);
    for status in [100, 101, 204, 304] {
        let (text, framing) = encoded(&req, &Head { status, ..head(b"", None) }, Length::Known(5), false);
        assert_eq!(framing.body, BodyFraming::None, "{status}");
        assert!(!text.contains("Content-Length") && !text.contains("chunked"), "{text}");
    }
    req.is_head = true;
    for (length, field) in [
        (Length::Known(5), "Content-Length: 5\r\n"),
        // Who answers HEAD without a body has not said how long it would be.
        (Length::Known(0), ""),
        (Length::Unknown, ""),
    ] {
        let (text, framing) = encoded(&req, &head(b"", None), length, false);
        assert_eq!(text, format!("HTTP/1.1 200 OK\r\n{EPOCH}{field}\r\n"));
        assert_eq!(framing, Framing { body: BodyFraming::None, keep_alive: true });
    }
    req.version = Version::Uwsgi;
    assert_eq!(encoded(&req, &head(b"", None), Length::Known(5), false).1.body, BodyFraming::None);
}

#[test]
fn the_applications_date_stays() {
    let given = Head { has_date: true, ..head(b"Date: x\r\n", None) };
    let (text, _) = encoded(&request(Version::Http11), &given, Length::Known(0), false);
    assert_eq!(text, "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn a_body_is_held_to_its_head() {
    for (framing, pieces, bytes, ended, cut) in [
        (BodyFraming::Sized(5), &["he", "llo"][..], "hello", Ended::Whole, 0),
        (BodyFraming::Sized(5), &["hello", " world"], "hello", Ended::Whole, 6),
        (BodyFraming::Sized(4), &["he", "llo"], "hell", Ended::Whole, 1),
        (BodyFraming::Sized(5), &["he"], "he", Ended::Short(3), 0),
        (BodyFraming::Sized(0), &[], "", Ended::Whole, 0),
        (BodyFraming::None, &["hello"], "", Ended::Whole, 5),
        (BodyFraming::UntilClose, &["he", "llo"], "hello", Ended::Whole, 0),
        (BodyFraming::Chunked, &["he", "", "llo"], "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", Ended::Whole, 0),
        (BodyFraming::Chunked, &[], "0\r\n\r\n", Ended::Whole, 0),
    ] {
        let (mut body, mut out) = (BodyOut::new(framing), Vec::new());
        for piece in pieces {
            body.piece(&mut out, piece.as_bytes());
        }
        assert_eq!((body.finish(&mut out), body.cut()), (ended, cut), "{framing:?} {pieces:?}");
        assert_eq!(String::from_utf8(out).as_deref(), Ok(bytes));
    }
}

#[test]
fn a_piece_sent_from_elsewhere_is_framed_alike() {
    let (mut body, mut out) = (BodyOut::new(BodyFraming::Chunked), Vec::new());
    let take = body.open(&mut out, 300);
    body.close(&mut out, take);
    assert_eq!((take, out.as_slice()), (300, &b"12c\r\n\r\n"[..]));
    let mut body = BodyOut::new(BodyFraming::Sized(100));
    assert_eq!(
        (body.open(&mut out, 300), body.open(&mut out, 1), body.sent(), body.cut()),
        (100, 0, 100, 201)
    );
}

#[test]
fn refusals_are_complete_answers() {
    let text = String::from_utf8(refusal(500, false, None)).expect("it is text");
    assert_eq!(
        text,
        "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: text/plain\r\n\
         Content-Length: 21\r\n\r\nInternal Server Error"
    );
    let text = String::from_utf8(refusal(431, true, Some(&DateCache::new(0)))).expect("it is text");
    assert_eq!(
        text,
        format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Type: text/plain\r\n\
             {EPOCH}Content-Length: 31\r\n\r\n"
        )
    );
}
