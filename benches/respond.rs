//! From an application's answer to bytes, and to a line in the log.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use uwring::logging::format::{Known, Line, Record, Variables};
use uwring::options::settings::Logging;
use uwring::proto::head::{BodyOut, Head, Length, encode};
use uwring::request::{Request, Version};

#[derive(Debug)]
struct NoVariables;

impl Variables for NoVariables {
    fn value(&self, _: &[u8]) -> Option<&[u8]> {
        None
    }

    fn metric(&self, _: &[u8]) -> i64 {
        0
    }

    fn known(&self, _: Known) -> &[u8] {
        b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
    }
}

fn head(criterion: &mut Criterion) {
    let request = Request { version: Version::Http11, keep_alive: true, ..Request::default() };
    let head = Head {
        status: 200,
        status_line: b"200 OK",
        fields: b"Content-Type: text/html; charset=utf-8\r\nX-Frame-Options: DENY\r\nVary: Cookie\r\n",
        field_count: 3,
        content_length: None,
        has_date: false,
        close: false,
    };
    let (body, mut out) = ([b'x'; 512], Vec::new());
    criterion.bench_function("respond, 3 fields and 512 bytes over HTTP", |bencher| {
        bencher.iter(|| {
            out.clear();
            let length = Length::Known(body.len() as u64);
            let date = b"Sat, 21 Nov 2026 06:00:00 GMT";
            let framing = encode(&mut out, &request, black_box(&head), length, date, false);
            let mut sent = BodyOut::new(framing);
            sent.push(&mut out, &body);
            sent.end(&mut out)
        });
    });
}

fn line(criterion: &mut Criterion) {
    let record = Record {
        pid: 4711,
        worker: 1,
        core: 0,
        app: 0,
        app_requests: 12_345,
        total_requests: 54_321,
        addr: b"203.0.113.9",
        user: b"",
        method: b"GET",
        uri: b"/articles/2026/?page=2&sort=name",
        protocol: b"HTTP/1.1",
        vars: 52,
        packet_bytes: 900,
        started_wall_us: 1_795_000_000_000_000,
        took_us: 1_234,
        status: 200,
        header_count: 3,
        header_bytes: 150,
        body_bytes: 512,
        content_length: 0,
        broken: false,
        cut_off: false,
        via_sendfile: false,
        modifier1: 0,
        modifier2: 0,
        traced: false,
        logvars: &[],
        variables: &NoVariables,
    };
    let json = Logging { json: true, ..Logging::default() };
    for (name, logging) in [("log line, default form", Logging::default()), ("log line, JSON", json)] {
        let (line, mut out) = (Line::compile(&logging), Vec::new());
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                line.append(&mut out, black_box(&record));
            });
        });
    }
}

criterion_group!(benches, head, line);
criterion_main!(benches);
