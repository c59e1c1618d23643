//! Request lines: method, blanks, version, line ends, and what comes before them (RFC 9112 §2.2, §3).

use super::Row::{self, No, Ok};
use super::{Case, Want};

/// (section, request line with its end, outcome). A Host and the head's end follow.
const LINES: &[(&str, &str, Row)] = &[
    ("3", "GET / HTTP/1.1\r\n", Ok("GET /")),
    ("9110 9.1", "get / HTTP/1.1\r\n", Ok("get /")),
    ("9110 9.1", "PURGE /a HTTP/1.1\r\n", Ok("PURGE /a")),
    ("9110 9.1", "M-SEARCH /a HTTP/1.1\r\n", Ok("M-SEARCH /a")),
    ("9110 5.6.2", "!#$%&'*+-.^_`|~09 / HTTP/1.1\r\n", Ok("!#$%&'*+-.^_`|~09 /")),
    ("9110 9.3.7", "OPTIONS /a HTTP/1.1\r\n", Ok("OPTIONS /a")),
    ("9110 9.3.6", "CONNECT h:80 HTTP/1.1\r\n", No(501)),
    ("9110 9.3.6", "CONNECT / HTTP/1.1\r\n", No(501)),
    ("9110 9.3.6", "CONNECT http://h/ HTTP/1.1\r\n", No(501)),
    ("9110 9.3.8", "TRACE /a HTTP/1.1\r\n", Ok("TRACE /a")),
    ("9110 9.3.4", "PUT /a HTTP/1.1\r\n", Ok("PUT /a")),
    ("9110 9.3.5", "DELETE /a HTTP/1.1\r\n", Ok("DELETE /a")),
    ("5789 2", "PATCH /a HTTP/1.1\r\n", Ok("PATCH /a")),
    ("9110 5.6.2", "GE(T / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GE\"T\" / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GET: / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GET, / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GET@ / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GE[T] / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GE\\T / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GET\0 / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GET\x7f / HTTP/1.1\r\n", No(400)),
    ("9110 5.6.2", "GET\u{df} / HTTP/1.1\r\n", No(400)),
    ("3", "/ HTTP/1.1\r\n", No(400)),
    ("3", " / HTTP/1.1\r\n", No(400)),
    ("3", "GET HTTP/1.1\r\n", No(400)),
    ("3", "GET  HTTP/1.1\r\n", No(400)),
    ("3", "GET\r\n", No(400)),
    ("3", "HTTP/1.1 200 OK\r\n", No(400)),
    ("3", "hello\r\n", No(400)),
    ("3", "GET / HTTP/1.1 x\r\n", No(400)),
    ("3", "GET / x HTTP/1.1\r\n", No(400)),
    ("3", "GET /a b HTTP/1.1\r\n", No(400)),
    ("3", "GET  / HTTP/1.1\r\n", No(400)),
    ("3", "GET /  HTTP/1.1\r\n", No(400)),
    ("3", " GET / HTTP/1.1\r\n", No(400)),
    ("3", "\tGET / HTTP/1.1\r\n", No(400)),
    ("3", "GET\t/ HTTP/1.1\r\n", No(400)),
    ("3", "GET /\tHTTP/1.1\r\n", No(400)),
    ("3", "GET\x0b/ HTTP/1.1\r\n", No(400)),
    ("3", "GET\x0c/ HTTP/1.1\r\n", No(400)),
    ("3", "GET / HTTP/1.1 \r\n", No(400)),
    ("3", "GET / HTTP/1.1\t\r\n", No(400)),
    ("9110 2.5", "GET / HTTP/1.2\r\n", Ok("GET /")),
    ("9110 2.5", "GET / HTTP/1.9\r\n", Ok("GET /")),
    ("2.3", "GET / HTTP/1.10\r\n", No(400)),
    ("2.3", "GET / HTTP/1.20\r\n", No(400)),
    ("2.3", "GET / HTTP/01.1\r\n", No(505)),
    ("2.3", "GET / HTTP/11.1\r\n", No(505)),
    ("2.3", "GET / HTTP/1\r\n", No(505)),
    ("2.3", "GET / HTTP/1.\r\n", No(505)),
    ("2.3", "GET / HTTP/1,1\r\n", No(505)),
    ("2.3", "GET / HTTP/-1.1\r\n", No(505)),
    ("2.3", "GET / HTTP/+1.1\r\n", No(505)),
    ("2.3", "GET / HTTP/1.1.1\r\n", No(400)),
    ("2.3", "GET / HTTP/x.y\r\n", No(505)),
    ("9110 15.6.6", "GET / HTTP/0.9\r\n", No(505)),
    ("9110 15.6.6", "GET / HTTP/2.0\r\n", No(505)),
    ("9110 15.6.6", "GET / HTTP/3.0\r\n", No(505)),
    ("9110 15.6.6", "GET / HTTP/2\r\n", No(505)),
    ("9110 15.6.6", "GET / HTTP/9999999999.1\r\n", No(505)),
    ("2.3", "GET / http/1.1\r\n", No(400)),
    ("2.3", "GET / Http/1.1\r\n", No(400)),
    ("2.3", "GET / HTTPS/1.1\r\n", No(400)),
    ("2.3", "GET / HTP/1.1\r\n", No(400)),
    ("2.3", "GET / ICE/1.0\r\n", No(400)),
    ("2.3", "GET / RTSP/1.0\r\n", No(400)),
    ("2.2", "GET / HTTP/1.1\n", No(400)),
    ("2.2", "GET / HTTP/1.1\r", No(400)),
    ("2.2", "GET / HTTP/1.1\r\r\n", No(400)),
    ("2.2", "GET / HTTP/1.1\n\r", No(400)),
    ("2.2", "GET /\rHTTP/1.1\r\n", No(400)),
    ("2.2", "GET /\r\n", No(400)),
    ("2.2", "GET /\n", No(400)),
    ("2.2", "\r\nGET / HTTP/1.1\r\n", Ok("GET /")),
    ("2.2", "\r\n\r\nGET / HTTP/1.1\r\n", Ok("GET /")),
    ("2.2", "\r\n\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n", No(400)),
    ("2.2", "\nGET / HTTP/1.1\r\n", No(400)),
    ("2.2", "\r\n\nGET / HTTP/1.1\r\n", No(400)),
    ("2.2", "\rGET / HTTP/1.1\r\n", No(400)),
    ("2.2", "\r\n GET / HTTP/1.1\r\n", No(400)),
    ("2.2", "\0GET / HTTP/1.1\r\n", No(400)),
    ("2.2", "\u{feff}GET / HTTP/1.1\r\n", No(400)),
    ("9113 3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n", No(505)),
];

pub fn cases() -> Vec<Case> {
    let case = |&(rfc, line, row): &(&'static str, &str, Row)| {
        let want = match row {
            Ok(text) => Want::Served(vec![text.to_owned()]),
            other => other.want(""),
        };
        Case::new(rfc, format!("{line}Host: h\r\n\r\n"), want)
    };
    LINES.iter().map(case).chain(sizes()).collect()
}

/// Lines and heads at their limits (§3, RFC 9110 §15.5.15, RFC 6585 §5).
fn sizes() -> Vec<Case> {
    let path = |len: usize| format!("/{}", "a".repeat(len - 1));
    let line = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(count));
    let value = |len: usize| format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n", "b".repeat(len));
    let name = |len: usize| format!("GET / HTTP/1.1\r\nHost: h\r\n{}: b\r\n\r\n", "A".repeat(len));
    let served = |path: &str| Want::Served(vec![format!("GET {path}")]);
    vec![
        Case::new("3", line(&path(8000)), served(&path(8000))),
        Case::new("3", line(&path(32_000)), served(&path(32_000))),
        Case::new("9110 15.5.15", line(&path(40_000)), Want::Refused(414)),
        Case::new("9110 15.5.15", line(&path(200_000)), Want::Refused(414)),
        Case::new("9110 15.5.15", line(&format!("/?{}", path(40_000))), Want::Refused(414)),
        Case::new("9110 15.5.15", "A".repeat(40_000), Want::Refused(414)),
        Case::new("6585 5", fields(99), served("/")),
        Case::new("6585 5", fields(100), Want::Refused(431)),
        Case::new("6585 5", fields(5000), Want::Refused(431)),
        Case::new("6585 5", value(30_000), served("/")),
        Case::new("6585 5", value(40_000), Want::Refused(431)),
        Case::new("6585 5", value(1_000_000), Want::Refused(431)),
        Case::new("6585 5", name(40_000), Want::Refused(431)),
    ]
}
