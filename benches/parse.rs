//! From received bytes to variables: a front end's uwsgi packet, a browser's HTTP head.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use uwring::proto::{Limits, http, uwsgi};
use uwring::request::Request;

/// What nginx sends for a browser's request.
const VARS: &[(&str, &str)] = &[
    ("QUERY_STRING", "page=2&sort=name"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("REQUEST_URI", "/articles/2026/?page=2&sort=name"),
    ("PATH_INFO", "/articles/2026/"),
    ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "https"),
    ("HTTPS", "on"),
    ("REMOTE_ADDR", "203.0.113.9"),
    ("REMOTE_PORT", "51234"),
    ("SERVER_PORT", "443"),
    ("SERVER_NAME", "www.example.com"),
    ("HTTP_HOST", "www.example.com"),
    ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"),
    ("HTTP_CONNECTION", "keep-alive"),
    ("HTTP_COOKIE", "sessionid=0123456789abcdef0123456789abcdef; csrftoken=abcdefghijklmnopqrstuvwxyz"),
    ("HTTP_UPGRADE_INSECURE_REQUESTS", "1"),
    ("HTTP_SEC_FETCH_DEST", "document"),
    ("HTTP_SEC_FETCH_MODE", "navigate"),
    ("HTTP_SEC_FETCH_SITE", "same-origin"),
    ("HTTP_PRIORITY", "u=0, i"),
];

const HEAD: &[u8] = b"GET /articles/2026/?page=2&sort=name HTTP/1.1\r\nHost: www.example.com\r\n\
User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\n\
Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=abcdefghijklmnopqrstuvwxyz\r\n\
Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nPriority: u=0, i\r\n\r\n";

fn packet() -> Vec<u8> {
    let mut block = Vec::new();
    for text in VARS.iter().flat_map(|(name, value)| [name, value]) {
        block.extend_from_slice(&u16::try_from(text.len()).expect("short").to_le_bytes());
        block.extend_from_slice(text.as_bytes());
    }
    let size = u16::try_from(block.len()).expect("short").to_le_bytes();
    [&[0, size[0], size[1], 0], block.as_slice()].concat()
}

fn parse(criterion: &mut Criterion) {
    let (limits, mut request) = (Limits::default(), Request::default());
    let packet = packet();
    criterion.bench_function("parse uwsgi, 26 variables", |bencher| {
        bencher.iter(|| uwsgi::parse(black_box(&packet), &limits, &mut request).expect("a good packet"));
    });
    let (site, peer) = (http::Site::new("node", 8080), http::Peer::new(None));
    criterion.bench_function("parse HTTP, 10 fields", |bencher| {
        bencher
            .iter(|| http::parse(black_box(HEAD), &limits, &site, &peer, &mut request).expect("a good head"));
    });
}

criterion_group!(benches, parse);
criterion_main!(benches);
