//! Request targets in their four forms, and the Host they go with (RFC 9112 §3.2, RFC 9110 §7.2).

use super::Row::{self, No, Ok};
use super::{Case, Want};

/// (section, method and target, its PATH_INFO or else its refusal), with `Host: h`.
const TARGETS: &[(&str, &str, Row)] = &[
    ("3.2.1", "GET /", Ok("/")),
    ("3.2.1", "GET /a/b;c=d?e=f&g", Ok("/a/b;c=d")),
    ("3.2.1", "GET //", Ok("//")),
    ("3.2.1", "GET //h/a", Ok("//h/a")),
    ("3986 2.1", "GET /%41%6a", Ok("/Aj")),
    ("3986 2.1", "GET /a%2Fb", Ok("/a/b")),
    ("3986 2.1", "GET /a+b", Ok("/a+b")),
    ("3986 2.1", "GET /a%25b", Ok("/a%b")),
    ("3986 2.1", "GET /%zz", No(400)),
    ("3986 2.1", "GET /%4", No(400)),
    ("3986 2.1", "GET /%", No(400)),
    ("3986 2.1", "GET /%u0041", No(400)),
    ("3986 2.1", "GET /a%00b", No(400)),
    ("3986 2.1", "GET /?%zz", Ok("/")),
    ("3986 5.2.4", "GET /a/../b", Ok("/b")),
    ("3986 5.2.4", "GET /a/./b", Ok("/a/b")),
    ("3986 5.2.4", "GET /../../a", Ok("/a")),
    ("3986 5.2.4", "GET /a?../b", Ok("/a")),
    ("3.2.1", "GET /a#b", No(400)),
    ("3.2.1", "GET /a?b#c", No(400)),
    ("3.2.1", "GET #", No(400)),
    ("3.2.1", "GET /\u{1}", No(400)),
    ("3.2.1", "GET /\u{7f}", No(400)),
    ("3.2.1", "GET /a\0b", No(400)),
    ("3.2.1", "GET a", No(400)),
    ("3.2.1", "GET ?a", No(400)),
    ("3.2.1", "GET ../a", No(400)),
    ("3.2.1", "GET \\a", No(400)),
    ("3.2.2", "GET http://x/a", Ok("/a")),
    ("3.2.2", "GET HTTP://x/a", Ok("/a")),
    ("3.2.2", "GET https://x:81/%41", Ok("/A")),
    ("3.2.2", "GET http://[::1]/", Ok("/")),
    ("3.2.2", "GET http://x?a", Ok("/")),
    ("3.2.2", "OPTIONS http://x", Ok("/")),
    ("9110 4.2.1", "GET http:///a", No(400)),
    ("9110 4.2.1", "GET http://:80/a", No(400)),
    ("9110 4.2.4", "GET http://u@x/a", No(400)),
    ("9110 4.2.4", "GET http://u:p@x/a", No(400)),
    ("3.2.2", "GET http://x:y/a", No(400)),
    ("3.2.2", "GET http://x:80:81/a", No(400)),
    ("3.2.2", "GET http://[::1/a", No(400)),
    ("3.2.2", "GET http://x#f", No(400)),
    ("3.2.2", "GET http:/a", No(400)),
    ("3.2.2", "GET http:a", No(400)),
    ("3.2.2", "GET ftp://x/a", No(400)),
    ("3.2.2", "GET file:///etc/passwd", No(400)),
    ("3.2.2", "GET javascript:a", No(400)),
    ("3.2.2", "GET ://x/a", No(400)),
    ("3.2.3", "GET x:80", No(400)),
    ("3.2.3", "OPTIONS x:80", No(400)),
    ("3.2.4", "OPTIONS *", Ok("*")),
    ("3.2.4", "GET *", No(400)),
    ("3.2.4", "POST *", No(400)),
    ("3.2.4", "OPTIONS **", No(400)),
    ("3.2.4", "OPTIONS *?a", No(400)),
];

/// (section, request target, its host where `Host: h` says another).
const AUTHORITIES: &[(&str, &str, &str)] = &[
    ("3.2.2", "http://x/?HTTP_HOST", "x"),
    ("3.2.2", "http://x:81/?HTTP_HOST", "x:81"),
    ("3.2.2", "http://[::1]:81/?HTTP_HOST", "[::1]:81"),
    ("3.2.2", "http://x?HTTP_HOST", "x"),
];

/// (section, field lines, outcome) of `GET /?HTTP_HOST HTTP/1.1`.
const HOSTS: &[(&str, &str, Row)] = &[
    ("3.2", "Host: x\r\n", Ok("HTTP_HOST=x")),
    ("3.2", "host: x\r\n", Ok("HTTP_HOST=x")),
    ("3.2", "HOST:x\r\n", Ok("HTTP_HOST=x")),
    ("3.2", "Host: \t x \t \r\n", Ok("HTTP_HOST=x")),
    ("3.2", "A: b\r\nHost: x\r\n", Ok("HTTP_HOST=x")),
    ("9110 7.2", "Host:\r\n", Ok("HTTP_HOST=")),
    ("9110 7.2", "Host: x:81\r\n", Ok("HTTP_HOST=x:81")),
    ("9110 7.2", "Host: x:\r\n", Ok("HTTP_HOST=x:")),
    ("9110 7.2", "Host: 192.0.2.1:81\r\n", Ok("HTTP_HOST=192.0.2.1:81")),
    ("9110 7.2", "Host: [2001:db8::1]:81\r\n", Ok("HTTP_HOST=[2001:db8::1]:81")),
    ("9110 7.2", "Host: x_y.example.\r\n", Ok("HTTP_HOST=x_y.example.")),
    ("9110 7.2", "Host: a%41\r\n", Ok("HTTP_HOST=a%41")),
    ("3.2", "", No(400)),
    ("3.2", "A: b\r\n", No(400)),
    ("3.2", "Host_: x\r\n", No(400)),
    ("3.2", "X-Host: x\r\n", No(400)),
    ("3.2", "Host: x\r\nHost: x\r\n", No(400)),
    ("3.2", "Host: x\r\nHost: y\r\n", No(400)),
    ("3.2", "Host: x\r\nhost: y\r\n", No(400)),
    ("3.2", "Host: x\r\nHost:\r\n", No(400)),
    ("3.2", "Host: x, y\r\n", No(400)),
    ("3.2", "Host: x y\r\n", No(400)),
    ("3.2", "Host: x/y\r\n", No(400)),
    ("3.2", "Host: x?y\r\n", No(400)),
    ("3.2", "Host: x#y\r\n", No(400)),
    ("3.2", "Host: u@x\r\n", No(400)),
    ("3.2", "Host: http://x\r\n", No(400)),
    ("3.2", "Host: x:y\r\n", No(400)),
    ("3.2", "Host: x:81:82\r\n", No(400)),
    ("3.2", "Host: x:-1\r\n", No(400)),
    ("3.2", "Host: x:999999\r\n", No(400)),
    ("3.2", "Host: :81\r\n", No(400)),
    ("3.2", "Host: [::1\r\n", No(400)),
    ("3.2", "Host: ::1\r\n", No(400)),
    ("3.2", "Host: [::1]x\r\n", No(400)),
    ("3.2", "Host: [x]\r\n", No(400)),
    ("3.2", "Host: x\\y\r\n", No(400)),
    ("3.2", "Host: \"x\"\r\n", No(400)),
    ("3.2", "Host: <x>\r\n", No(400)),
    ("3.2", "Host: x%\r\n", No(400)),
    ("3.2", "Host: \u{e9}\r\n", No(400)),
    ("3.2", "Host : x\r\n", No(400)),
    ("3.2", " Host: x\r\n", No(400)),
    ("3.2", "Host: x\r\n y\r\n", No(400)),
];

pub fn cases() -> Vec<Case> {
    let target = |&(rfc, line, row): &(&'static str, &str, Row)| {
        let request = format!("{line} HTTP/1.1\r\nHost: h\r\nX-Show: PATH_INFO\r\n\r\n");
        let want = match row {
            Ok(path) => Want::Served(vec![format!("{line} PATH_INFO={path}")]),
            other => other.want(""),
        };
        Case::new(rfc, request, want)
    };
    let authority = |&(rfc, target, host): &(&'static str, &str, &str)| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        Case::new(rfc, request, Want::Served(vec![format!("GET {target} HTTP_HOST={host}")]))
    };
    let host = |&(rfc, fields, row): &(&'static str, &str, Row)| {
        let request = format!("GET /?HTTP_HOST HTTP/1.1\r\n{fields}\r\n");
        Case::new(rfc, request, row.want("GET /?HTTP_HOST"))
    };
    let authorities = AUTHORITIES.iter().map(authority);
    TARGETS.iter().map(target).chain(authorities).chain(HOSTS.iter().map(host)).collect()
}
