//! Field lines: names, blanks, values, line ends, and names that could be taken for others (RFC 9112 §5).

use super::Row::{self, No, Ok};
use super::{Case, Want};

/// (section, field lines, outcome) of `GET /?HTTP_X_A HTTP/1.1` with a Host before them.
const FIELDS: &[(&str, &str, Row)] = &[
    ("5", "X-A: b\r\n", Ok("HTTP_X_A=b")),
    ("5", "X-A:b\r\n", Ok("HTTP_X_A=b")),
    ("5", "x-a: b\r\n", Ok("HTTP_X_A=b")),
    ("5", "X-A:\r\n", Ok("HTTP_X_A=")),
    ("5", "X-A: \r\n", Ok("HTTP_X_A=")),
    ("5.1", "X-A: \t b \t \r\n", Ok("HTTP_X_A=b")),
    ("5.1", "X-A: b c\tc\r\n", Ok("HTTP_X_A=b c\tc")),
    ("9110 5.5", "X-A: \u{e9}\r\n", Ok("HTTP_X_A=\u{c3}\u{a9}")),
    ("9110 5.5", "X-A: \"b\\\"c\"\r\n", Ok("HTTP_X_A=\"b\\\"c\"")),
    ("9110 5.5", "X-A: ::b::\r\n", Ok("HTTP_X_A=::b::")),
    ("9110 5.3", "X-A: b\r\nX-A: c\r\n", Ok("HTTP_X_A=b, c")),
    ("9110 5.3", "X-A: b\r\nY: z\r\nx-a: c\r\n", Ok("HTTP_X_A=b, c")),
    ("9110 5.3", "X-A:\r\nX-A: c\r\n", Ok("HTTP_X_A=, c")),
    ("9110 5.6.2", "!#$%&'*+-.^`|~: b\r\nX-A: b\r\n", Ok("HTTP_X_A=b")),
    ("5.1", "X-A : b\r\n", No(400)),
    ("5.1", "X-A\t: b\r\n", No(400)),
    ("5.1", "X-A  : b\r\n", No(400)),
    ("5.1", "X-A\x0b: b\r\n", No(400)),
    ("5.1", " X-A: b\r\n", No(400)),
    ("5.1", "\tX-A: b\r\n", No(400)),
    ("5", "X-A\r\n", No(400)),
    ("5", "X-A b\r\n", No(400)),
    ("5", ": b\r\n", No(400)),
    ("5", " : b\r\n", No(400)),
    ("5", "X A: b\r\n", No(400)),
    ("9110 5.6.2", "X-A@: b\r\n", No(400)),
    ("9110 5.6.2", "X(A): b\r\n", No(400)),
    ("9110 5.6.2", "X/A: b\r\n", No(400)),
    ("9110 5.6.2", "X[A]: b\r\n", No(400)),
    ("9110 5.6.2", "X{A}: b\r\n", No(400)),
    ("9110 5.6.2", "X=A: b\r\n", No(400)),
    ("9110 5.6.2", "X,A: b\r\n", No(400)),
    ("9110 5.6.2", "X;A: b\r\n", No(400)),
    ("9110 5.6.2", "X<A>: b\r\n", No(400)),
    ("9110 5.6.2", "X?A: b\r\n", No(400)),
    ("9110 5.6.2", "X\\A: b\r\n", No(400)),
    ("9110 5.6.2", "\"X-A\": b\r\n", No(400)),
    ("9110 5.6.2", "X\0A: b\r\n", No(400)),
    ("9110 5.6.2", "X\x01A: b\r\n", No(400)),
    ("9110 5.6.2", "X\x7fA: b\r\n", No(400)),
    ("9110 5.6.2", "X\u{e9}A: b\r\n", No(400)),
    ("5.2", "X-A: b\r\n c\r\n", No(400)),
    ("5.2", "X-A: b\r\n\tc\r\n", No(400)),
    ("5.2", "X-A:\r\n b\r\n", No(400)),
    ("5.2", "X-A: b\r\n \r\n", No(400)),
    ("2.2", "X-A: b\rc\r\n", No(400)),
    ("2.2", "X-A: b\r\r\n", No(400)),
    ("2.2", "X-A: \rb\r\n", No(400)),
    ("2.2", "X-A: b\n", No(400)),
    ("2.2", "X-A: b\nY: c\r\n", No(400)),
    ("2.2", "X-A: b\r\n\n", No(400)),
    ("2.2", "\nX-A: b\r\n", No(400)),
    ("2.2", "X-A: b\r\n\r", No(400)),
    ("9110 5.5", "X-A: b\0c\r\n", No(400)),
    ("9110 5.5", "X-A: b\x01c\r\n", No(400)),
    ("9110 5.5", "X-A: b\x08c\r\n", No(400)),
    ("9110 5.5", "X-A: b\x0bc\r\n", No(400)),
    ("9110 5.5", "X-A: b\x0cc\r\n", No(400)),
    ("9110 5.5", "X-A: b\x1bc\r\n", No(400)),
    ("9110 5.5", "X-A: b\x7fc\r\n", No(400)),
    ("9110 5.1", "X_A: b\r\n", Ok("HTTP_X_A?")),
    ("9110 5.1", "X-A: b\r\nX_A: c\r\n", Ok("HTTP_X_A=b")),
    ("9110 5.1", "X_A: c\r\nX-A: b\r\n", Ok("HTTP_X_A=b")),
    ("9110 5.1", "HTTP-X-A: b\r\n", Ok("HTTP_X_A?")),
    ("9110 5.1", "HTTP_X_A: b\r\n", Ok("HTTP_X_A?")),
];

/// (section, key, field lines, what the key has): keys that stand for more than a field.
const KEYS: &[(&str, &str, &str, &str)] = &[
    ("9110 5.1", "HTTP_X_FORWARDED_FOR", "X_Forwarded_For: 1\r\n", "?"),
    ("9110 5.1", "HTTP_X_FORWARDED_FOR", "X_Forwarded-For: 1\r\n", "?"),
    ("9110 5.1", "HTTP_X_FORWARDED_FOR", "X-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\n", "=1, 2"),
    ("9110 5.1", "HTTP_CONTENT_LENGTH", "Content_Length: 5\r\n", "?"),
    ("9110 5.1", "CONTENT_LENGTH", "Content_Length: 5\r\n", "?"),
    ("9110 5.1", "HTTP_TRANSFER_ENCODING", "Transfer_Encoding: chunked\r\n", "?"),
    ("9110 5.1", "REMOTE_USER", "Remote-User: eve\r\n", "?"),
    ("9110 5.1", "REMOTE_USER", "Remote_User: eve\r\n", "?"),
    ("9110 5.1", "REMOTE_ADDR", "Remote-Addr: 192.0.2.1\r\n", "=127.0.0.1"),
    ("9110 5.1", "SCRIPT_NAME", "Script-Name: /x\r\n", "="),
    ("9110 5.1", "HTTPS", "Https: on\r\n", "?"),
    ("9110 5.1", "UWSGI_FILE", "Uwsgi-File: /x\r\n", "?"),
    ("9110 5.1", "PATH_INFO", "Path-Info: /x\r\n", "=/"),
    ("9110 8.3", "CONTENT_TYPE", "Content-Type: a/b\r\n", "=a/b"),
    ("9110 8.3", "HTTP_CONTENT_TYPE", "Content-Type: a/b\r\n", "?"),
    ("6265 5.4", "HTTP_COOKIE", "Cookie: a=1\r\nCookie: b=2\r\n", "=a=1; b=2"),
];

pub fn cases() -> Vec<Case> {
    let field = |&(rfc, fields, row): &(&'static str, &str, Row)| {
        let request = format!("GET /?HTTP_X_A HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        Case::new(rfc, request, row.want("GET /?HTTP_X_A"))
    };
    let key = |&(rfc, key, fields, value): &(&'static str, &str, &str, &str)| {
        let request = format!("GET /?{key} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        Case::new(rfc, request, Want::Served(vec![format!("GET /?{key} {key}{value}")]))
    };
    FIELDS.iter().map(field).chain(KEYS.iter().map(key)).collect()
}
