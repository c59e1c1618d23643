//! What a request costs before and after the application: its head in, the response's head out.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use uwring::proto::head::{self, DateCache, Head, Length};
use uwring::proto::http::{self, Peer, Site};
use uwring::proto::{Limits, chunked, uwsgi};
use uwring::request::Request;

/// What nginx sends with its stock `uwsgi_params` for a browser's request: 26 variables.
const VARS: [(&str, &str); 26] = [
    ("QUERY_STRING", "page=2&sort=name"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("REQUEST_URI", "/articles/2026/list?page=2&sort=name"),
    ("PATH_INFO", "/articles/2026/list"),
    ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("REMOTE_ADDR", "203.0.113.9"),
    ("REMOTE_PORT", "50312"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "www.example.org"),
    ("HTTP_HOST", "www.example.org"),
    ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"),
    ("HTTP_REFERER", "https://www.example.org/articles/"),
    ("HTTP_COOKIE", "sessionid=0123456789abcdef0123456789abcdef; csrftoken=fedcba9876543210"),
    ("HTTP_UPGRADE_INSECURE_REQUESTS", "1"),
    ("HTTP_SEC_FETCH_DEST", "document"),
    ("HTTP_SEC_FETCH_MODE", "navigate"),
    ("HTTP_SEC_FETCH_SITE", "same-origin"),
    ("HTTP_PRIORITY", "u=0, i"),
];

fn packet() -> Vec<u8> {
    let mut packet = vec![0; 4];
    for text in VARS.iter().flat_map(|(name, value)| [name, value]) {
        packet.extend_from_slice(&(text.len() as u16).to_le_bytes());
        packet.extend_from_slice(text.as_bytes());
    }
    let size = (packet.len() - 4) as u16;
    packet[1..3].copy_from_slice(&size.to_le_bytes());
    packet
}

const HEAD: &[u8] = b"GET /articles/2026/list?page=2&sort=name HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://www.example.org/articles/\r\n\
    Connection: keep-alive\r\n\
    Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=fedcba9876543210\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\r\n";

fn requests(c: &mut Criterion) {
    let (limits, mut req) = (Limits::default(), Request::default());
    let data = packet();
    c.bench_function("uwsgi, 26 variables", |b| {
        b.iter(|| uwsgi::parse(black_box(&data), &limits, false, &mut req).is_ok());
    });
    let (site, peer) = (Site::new("vm", "8080", false), Peer { addr: b"203.0.113.9", port: None });
    c.bench_function("http, 10 fields", |b| {
        b.iter(|| http::parse(black_box(HEAD), &limits, &site, &peer, false, &mut req).is_ok());
    });
    let short = b"GET / HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: wrk\r\n\r\n";
    c.bench_function("http, 2 fields", |b| {
        b.iter(|| http::parse(black_box(short), &limits, &site, &peer, false, &mut req).is_ok());
    });
}

fn responses(c: &mut Criterion) {
    let (date, mut out) = (DateCache::new(1_000_000_000), Vec::new());
    let fields = b"Content-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nVary: Cookie\r\n";
    let head = Head {
        status: 200,
        status_line: b"200 OK",
        fields,
        content_length: None,
        has_date: false,
        close: false,
    };
    let mut req = Request::default();
    for (name, version) in
        [("head, uwsgi", uwring::request::Version::Uwsgi), ("head, http", uwring::request::Version::Http11)]
    {
        (req.version, req.keep_alive) = (version, true);
        c.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                head::encode(&mut out, black_box(&req), &head, Length::Known(12_345), &date, false)
            });
        });
    }
}

fn bodies(c: &mut Criterion) {
    let (mut coded, mut out) = (Vec::new(), Vec::new());
    for _ in 0..16 {
        chunked::encode(&mut coded, &[b'x'; 4096]);
    }
    coded.extend_from_slice(chunked::LAST);
    c.bench_function("chunked, 16 x 4 KiB", |b| {
        b.iter(|| {
            out.clear();
            chunked::Decoder::new().decode(black_box(&coded), &mut out, usize::MAX).is_ok()
        });
    });
}

criterion_group!(benches, requests, responses, bodies);
criterion_main!(benches);
