//! Requests one behind the other: persistence, pipelining, Expect, HEAD (RFC 9112 §9, RFC 9110 §10.1.1).

use super::Row::{self, Last, No, Ok};
use super::{Case, Want};

/// (section, version, fields, outcome) of `GET /p`.
const PERSISTENCE: &[(&str, &str, &str, Row)] = &[
    ("9.3", "1.1", "", Ok("")),
    ("9.3", "1.1", "Connection: keep-alive\r\n", Ok("")),
    ("9.3", "1.1", "Connection: close\r\n", Last("")),
    ("9.3", "1.1", "connection: CLOSE\r\n", Last("")),
    ("9.3", "1.1", "Connection: keep-alive, close\r\n", Last("")),
    ("9.3", "1.1", "Connection: close, keep-alive\r\n", Last("")),
    ("9.3", "1.1", "Connection: x ,\t close ,\r\n", Last("")),
    ("9.3", "1.1", "Connection: x\r\nConnection: close\r\n", Last("")),
    ("9.3", "1.1", "Connection: closed\r\n", Ok("")),
    ("9.3", "1.1", "Connection: x-close\r\n", Ok("")),
    ("9.3", "1.1", "Connection:\r\n", Ok("")),
    ("9110 7.6.1", "1.1", "Connection: Host, Content-Length\r\n", Ok("")),
    ("9.3", "1.0", "", Last("")),
    ("9.3", "1.0", "Connection: close\r\n", Last("")),
    ("9.3", "1.0", "Connection: keep-alive\r\n", Ok("")),
    ("9.3", "1.0", "Connection: Keep-Alive\r\n", Ok("")),
    ("9.3", "1.0", "Connection: keep-alive, close\r\n", Last("")),
    ("9.3", "1.2", "", Ok("")),
    ("9.3", "1.2", "Connection: close\r\n", Last("")),
    ("9110 7.8", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", Ok("")),
    (
        "9110 7.8",
        "1.1",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
        Ok(""),
    ),
    ("9110 10.1.1", "1.1", "Expect: 100-continue\r\n", Ok("")),
    ("9110 10.1.1", "1.1", "Expect: 100-Continue\r\n", Ok("")),
    ("9110 10.1.1", "1.0", "Expect: 100-continue\r\n", Last("")),
    ("9110 10.1.1", "1.1", "Expect: 200-ok\r\n", No(417)),
    ("9110 10.1.1", "1.1", "Expect:\r\n", No(417)),
    ("9110 10.1.1", "1.1", "Expect: 100-continue, x\r\n", No(417)),
    ("9110 10.1.1", "1.1", "Expect: 100-continue\r\nExpect: x\r\n", No(417)),
    ("9110 10.1.1", "1.1", "Expect: 100-continue;a=b\r\n", No(417)),
    ("9110 7.6.2", "1.1", "Max-Forwards: 0\r\n", Ok("")),
    ("9110 10.1.4", "1.1", "TE: trailers, chunked;q=0\r\n", Ok("")),
    ("9110 6.6.2", "1.1", "Trailer: Content-Length\r\n", Ok("")),
    ("9110 14.2", "1.1", "Range: bytes=0-0,5-\r\n", Ok("")),
];

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}")
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Several messages in one go.
fn pipelines() -> Vec<Case> {
    let case = |rfc, parts: &[String], answers: &[&str]| {
        Case::new(rfc, parts.concat(), Want::Served(texts(answers)))
    };
    let sized = post("Content-Length: 3\r\n", "abc");
    let chunked = post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n");
    let old = "GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned();
    let head = "HEAD /1 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned();
    let line = "\r\n".to_owned();
    vec![
        case("9.3.2", &[get("/1"), get("/2"), get("/3")], &["GET /1", "GET /2", "GET /3"]),
        case("9.3.2", &[sized.clone(), get("/2")], &["POST /a abc", "GET /2"]),
        case("9.3.2", &[chunked.clone(), get("/2")], &["POST /a abc", "GET /2"]),
        case("9.3.2", &[chunked.clone(), chunked.clone(), sized.clone()], &["POST /a abc"; 3]),
        case("9.3.2", &[get("/1").repeat(50)], &["GET /1"; 50]),
        case("2.2", &[get("/1"), line.clone(), get("/2")], &["GET /1", "GET /2"]),
        case("2.2", &[sized, line, get("/2")], &["POST /a abc", "GET /2"]),
        case("9.3", &[old.clone(), get("/2")], &["GET /old", "GET /2"]),
        case("9.3", &[old.repeat(3)], &["GET /old"; 3]),
        case("9110 9.3.2", &[head, get("/2")], &["", "GET /2"]),
    ]
}

/// What is expected, refused or ended in the middle.
fn ends() -> Vec<Case> {
    let waits = "Expect: 100-continue\r\n";
    let served = || Want::Served(texts(&["POST /a abc"]));
    let sized = |len: u32, body| post(&format!("{waits}Content-Length: {len}\r\n"), body);
    let coded = |coding, body| post(&format!("{waits}Transfer-Encoding: {coding}\r\n"), body);
    vec![
        Case::new("9110 10.1.1", sized(3, "abc"), served()),
        Case::new("9110 10.1.1", sized(100_001, ""), Want::Refused(413)),
        Case::new("9110 10.1.1", coded("chunked", "3\r\nabc\r\n0\r\n\r\n"), served()),
        Case::new("9110 10.1.1", coded("gzip", ""), Want::Refused(501)),
        Case::new("9110 9.3.2", "HEAD /1 HTTP/1.1\r\n\r\n", Want::Refused(400)),
        Case::new("9110 9.3.2", "HEAD /1 HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", Want::Refused(417)),
        Case::new("9.6", format!("GET /1 HTTP/1.0\r\n\r\n{}", get("/2")), Want::Last(texts(&["GET /1"]))),
        Case::new("9.3", "GET /1 HTTP/1.0\r\n\r\n", Want::Last(texts(&["GET /1"]))),
    ]
}

pub fn cases() -> Vec<Case> {
    let persistence = |&(rfc, version, fields, row): &(&'static str, &str, &str, Row)| {
        Case::new(rfc, format!("GET /p HTTP/{version}\r\nHost: h\r\n{fields}\r\n"), row.want("GET /p"))
    };
    PERSISTENCE.iter().map(persistence).chain(pipelines()).chain(ends()).collect()
}
