//! The chunked coding: sizes, extensions, line ends, trailers (RFC 9112 §7.1).

use super::Case;
use super::Row::{self, No, Ok};

/// (section, body, outcome).
const CHUNKS: &[(&str, &str, Row)] = &[
    ("7.1", "0\r\n\r\n", Ok("")),
    ("7.1", "3\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7.1", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", Ok("abc")),
    ("7.1", "a\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789")),
    ("7.1", "A\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789")),
    ("7.1", "003\r\nabc\r\n000\r\n\r\n", Ok("abc")),
    ("7.1", "00000000000000000000003\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7.1", "2\r\n\r\n\r\n0\r\n\r\n", Ok("\r\n")),
    ("7.1", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", Ok("0\r\n\r\n")),
    ("7.1", "18\r\nGET /smuggled HTTP/1.1\r\n\r\n0\r\n\r\n", Ok("GET /smuggled HTTP/1.1\r\n")),
    ("7.1", "19\r\nGET /smuggled HTTP/1.1\r\n\r\n0\r\n\r\n", No(400)),
    ("7.1", "17\r\nGET /smuggled HTTP/1.1\r\n\r\n0\r\n\r\n", No(400)),
    ("7.1.1", "3;a\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7.1.1", "3;a=b\r\nabc\r\n0;c\r\n\r\n", Ok("abc")),
    ("7.1.1", "3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7.1.1", "3 ; a = b\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7.1.1", "3\t;a\r\nabc\r\n0\r\n\r\n", Ok("abc")),
    ("7.1.1", "3;a\n\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1.1", "3;\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1.1", "3;a\rb\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1.1", "3;a\0\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1.1", "3;a\x7f\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1.1", "3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1.1", "3 a\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3 \r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\t\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", " 3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "\t3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "\r\n3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", ";a\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "x\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "g\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3g\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "0x3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "0X3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "x3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "-3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "+3\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "-0\r\n\r\n", No(400)),
    ("7.1", "3_0\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3.0\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3,0\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "\"3\"\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\0\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "\u{663}\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "10000000000000003\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "100000000000000000000000000000000\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\rabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\r\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\n\rabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\r\nabc0\r\n\r\n", No(400)),
    ("7.1", "3\r\nabc\n0\r\n\r\n", No(400)),
    ("7.1", "3\r\nabc\r0\r\n\r\n", No(400)),
    ("7.1", "3\r\nabc\r\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\r\nabcd\r\n0\r\n\r\n", No(400)),
    ("7.1", "4\r\nabc\r\n0\r\n\r\n", No(400)),
    ("7.1", "3\r\nabc \r\n0\r\n\r\n", No(400)),
    ("7.1", "0\r\n\n", No(400)),
    ("7.1", "0\n\r\n", No(400)),
    ("7.1", "0\n\n", No(400)),
    ("7.1", "0\r\n\r\r\n", No(400)),
    ("7.1", "0\r\r\n\r\n", No(400)),
    ("7.1.2", "0\r\nA: b\r\n\r\n", Ok("")),
    ("7.1.2", "1\r\na\r\n0\r\nA: b\r\nC:\r\n\r\n", Ok("a")),
    ("7.1.2", "0\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: s\r\n\r\n", Ok("")),
    ("7.1.2", "0\r\nX-A: \u{e9}\r\n\r\n", Ok("")),
    ("7.1.2", "0\r\nGET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n", No(400)),
    ("7.1.2", "0\r\nA\r\n\r\n", No(400)),
    ("7.1.2", "0\r\n: b\r\n\r\n", No(400)),
    ("7.1.2", "0\r\nA : b\r\n\r\n", No(400)),
    ("7.1.2", "0\r\n A: b\r\n\r\n", No(400)),
    ("7.1.2", "0\r\nA: b\r\n c\r\n\r\n", No(400)),
    ("7.1.2", "0\r\nA: b\n\r\n", No(400)),
    ("7.1.2", "0\r\nA: b\rc\r\n\r\n", No(400)),
    ("7.1.2", "0\r\nA: \0\r\n\r\n", No(400)),
    ("7.1.2", "0\r\nA@: b\r\n\r\n", No(400)),
];

const HEAD: &str = "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";

pub fn cases() -> Vec<Case> {
    let case = |&(rfc, body, row): &(&'static str, &str, Row)| {
        Case::new(rfc, format!("{HEAD}{body}"), row.want("POST /c"))
    };
    CHUNKS.iter().map(case).chain(bounds()).collect()
}

/// What no data makes up for is bounded (§7.1.1: a server ought to limit the length of extensions).
fn bounds() -> Vec<Case> {
    let case = |rfc, body: String, row: Row| Case::new(rfc, format!("{HEAD}{body}"), row.want("POST /c"));
    vec![
        case("7.1.1", format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(10_000)), Ok("a")),
        case("7.1.1", format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(20_000)), No(431)),
        case("7.1.1", format!("{}0\r\n\r\n", "1;xxxxxxxxxxxxxxxxxxxxxxx\r\na\r\n".repeat(5000)), No(431)),
        case("7.1", format!("{}1\r\na\r\n0\r\n\r\n", "0".repeat(20_000)), No(431)),
        case("7.1.2", format!("0\r\n{}\r\n", "A: b\r\n".repeat(1000)), Ok("")),
        case("7.1.2", format!("0\r\n{}\r\n", "A: b\r\n".repeat(5000)), No(431)),
        case("7.1.2", format!("0\r\nA: {}\r\n\r\n", "b".repeat(20_000)), No(431)),
        case("9110 15.5.14", format!("186a1\r\n{}\r\n0\r\n\r\n", "x".repeat(100_001)), No(413)),
    ]
}
