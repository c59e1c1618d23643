//! Where a body ends: Content-Length, Transfer-Encoding, both, neither (RFC 9112 §6).

use super::Case;
use super::Row::{self, Last, No, Ok};

/// (section, fields, the head's end and what follows, outcome) of `POST /b HTTP/1.1`.
const BODIES: &[(&str, &str, Row)] = &[
    ("6.2", "Content-Length: 3\r\n\r\nabc", Ok("abc")),
    ("6.2", "content-length:3\r\n\r\nabc", Ok("abc")),
    ("6.2", "Content-Length: \t3 \t\r\n\r\nabc", Ok("abc")),
    ("6.2", "Content-Length: 003\r\n\r\nabc", Ok("abc")),
    ("6.2", "Content-Length: 00000000000000000000003\r\n\r\nabc", Ok("abc")),
    ("6.2", "Content-Length: 0\r\n\r\n", Ok("")),
    ("6.3", "\r\n", Ok("")),
    ("6.2", "Content-Length: 4\r\n\r\n\r\n\r\n", Ok("\r\n\r\n")),
    ("6.2", "Content-Length: 24\r\n\r\nGET /smuggled HTTP/1.1\r\n", Ok("GET /smuggled HTTP/1.1\r\n")),
    ("6.3", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", Ok("abc")),
    ("6.3", "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", No(400)),
    ("6.3", "Content-Length: 0\r\nContent-Length: 3\r\n\r\nabc", No(400)),
    ("6.3", "Content-Length: 3\r\ncontent-length: 0\r\n\r\nabc", No(400)),
    ("6.3", "Content-Length: 3, 3\r\n\r\nabc", No(400)),
    ("6.3", "Content-Length: 3, 4\r\n\r\nabc", No(400)),
    ("6.3", "Content-Length: 3,\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length:\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: \r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: abc\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: -3\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: -0\r\n\r\n", No(400)),
    ("6.2", "Content-Length: +3\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 3.0\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 3e0\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 0x3\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 3_0\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 3 0\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 3;a\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: \"3\"\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 3\x0b\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 3\0\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: \u{b2}\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 18446744073709551616\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 18446744073709551619\r\n\r\nabc", No(400)),
    ("6.2", "Content-Length: 99999999999999999999999999\r\n\r\nabc", No(400)),
    ("9110 15.5.14", "Content-Length: 18446744073709551615\r\n\r\nabc", No(413)),
    ("9110 15.5.14", "Content-Length: 100001\r\n\r\nabc", No(413)),
    ("5.1", "Content-Length : 3\r\n\r\nabc", No(400)),
    ("5.2", "Content-Length:\r\n 3\r\n\r\nabc", No(400)),
    ("2.2", "Content-Length: 3\n\r\nabc", No(400)),
    ("7.1", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7", "Transfer-Encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7", "transfer-encoding:\tchunked\t\r\n\r\n3\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("6.1", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc", No(501)),
    ("6.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: gzip\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: identity\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: x\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: chunkedx\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: ,chunked\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding: chunked chunked\r\n\r\n0\r\n\r\n", No(501)),
    ("6.1", "Transfer-Encoding:\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: chun\0ked\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: \u{17f}chunked\r\n\r\n0\r\n\r\n", No(501)),
    ("5.1", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("5.1", " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("5.2", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("5.2", "Transfer-Encoding: identity\r\n , chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("2.2", "A: b\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("2.2", "A: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("2.2", "Transfer-Encoding: chunked\n\r\n0\r\n\r\n", No(400)),
    ("9110 5.1", "Transfer_Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", Ok("abc")),
    ("9110 5.1", "Content_Length: 9\r\nContent-Length: 3\r\n\r\nabc", Ok("abc")),
    ("6.1", "Transfer-Encodin: chunked\r\nContent-Length: 3\r\n\r\nabc", Ok("abc")),
    ("6.1", "X-Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", Ok("abc")),
];

/// The same of `HTTP/1.0`, which knows no chunks and closes.
const OLD: &[(&str, &str, Row)] = &[
    ("6.2", "Content-Length: 3\r\n\r\nabc", Last("abc")),
    ("6.1", "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", No(400)),
    ("6.1", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", No(400)),
    ("6.1", "Transfer-Encoding: identity\r\n\r\n", No(501)),
    ("6.3", "\r\n", Last("")),
];

pub fn cases() -> Vec<Case> {
    let case = |version: &'static str| {
        move |&(rfc, rest, row): &(&'static str, &str, Row)| {
            Case::new(rfc, format!("POST /b HTTP/{version}\r\nHost: h\r\n{rest}"), row.want("POST /b"))
        }
    };
    // A body is read whatever the method (RFC 9110 §9.3.1): what is not would be the next request.
    let methods = ["GET", "DELETE", "OPTIONS", "TRACE", "QUERY", "PUT"].map(|method| {
        let request = format!("{method} /m HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        Case::new("9110 9.3.1", request, Ok("abc").want(&format!("{method} /m")))
    });
    BODIES.iter().map(case("1.1")).chain(OLD.iter().map(case("1.0"))).chain(methods).collect()
}
