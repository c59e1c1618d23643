//! The fuzz targets' checks on stable: the same functions on mutations of good and bad messages. Always the same ones
//! of a seed, so that a failure comes again; no coverage leads them, as `cargo fuzz` has it (scripts/fuzz).
//!
//! `UWRING_FUZZ_RUNS` and `UWRING_FUZZ_SEED` make it longer, and another.

#[path = "../../fuzz/checks.rs"]
mod checks;

use crate::support::note;

/// Messages to begin with.
const HEADS: &[&[u8]] = &[
    b"GET /a/../b%41?q=1 HTTP/1.1\r\nHost: h:80\r\nUser-Agent: ua\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nContent-Length: 12\r\n\r\nabcdefghijkl",
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nT: x\r\n\r\n",
    b"\r\nGET http://[::1]:8080/x HTTP/1.2\r\nhost: h\r\nX_A: b\r\nX-A:\t\xc3\xa9 \r\nConnection: close, x\r\n\r\n",
    b"OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nX-Forwarded-Proto: https\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
];
const BODIES: &[&[u8]] = &[
    b"5\r\nhello\r\n0\r\n\r\nGET /",
    b"A;a=\"b;c\"\r\n0123456789\r\n00003 ; x\r\nabc\r\n000\r\nTrailer: x\r\nOther: y\r\n\r\n",
    b"ffffffffffffffff\r\nabc",
    b"2\r\n\r\n\r\n0;end\r\n\r\n",
];
const PACKETS: &[&[u8]] = &[
    b"\0\x2d\0\0\x0e\0REQUEST_METHOD\x04\0POST\x0e\0CONTENT_LENGTH\x01\x003",
    b"\0\x17\0\0\x09\0HTTP_HOST\x01\0h\x05\0HTTPS\x02\0on",
    b"\x1e\x06\0\x07\x01\0A\x01\0B",
    b"\0\x15\0\0\x0c\0UWSGI_SCHEME\x05\0https",
];
const PREFACES: &[&[u8]] = &[
    b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n\r\n",
    b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14\xc0\0\x02\x01\xc6\x33\x64\x01\xdc\x04\x01\xbb\x20\0\x05\x01\0\0\0\0GET /",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0GET /",
];
const RECORDS: &[&[u8]] = &[
    b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0\x01\x04\0\x01\0\x14\x04\0\x0e\x04REQUEST_METHODPOST\0\0\0\0\x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\x03\x01\0abc\0\x01\x05\0\x01\0\0\0\0",
    b"\x01\x01\0\x01\0\x08\0\0\0\x01\x01\0\0\0\0\0\x01\x04\0\x01\0\x05\0\0\x0e\x01CON\x01\x04\0\x01\0\x0c\0\0TENT_LENGTH2\x01\x04\0\x01\0\0\0\0\x01\x05\0\x01\0\x02\0\0ab\x01\x05\0\x01\0\0\0\0",
    b"\x01\x01\0\x07\0\x08\0\0\0\x01\0\0\0\0\0\0\x01\x04\0\x07\0\x08\0\0\x01\x80\0\0\x02Abc\x01\x04\0\x07\0\0\x02\0\0\0\x01\x05\0\x07\0\0\x01\0\0",
];
const NETSTRINGS: &[&[u8]] = &[
    b"48:CONTENT_LENGTH\x003\0SCGI\x001\0REQUEST_METHOD\0POST\0\0\0,abc",
    b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,",
    b"4:A\0B\0,4:A\0B\0,",
];
/// What a mutation puts in.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b"/",
    b"%2e",
    b"..",
    b"#",
    b"?",
    b"_",
    b"-",
    b"0",
    b"9",
    b"f",
    b"\xff",
    b"\x7f",
    b"\r\n\r\n",
    b"Host: x\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"chunked",
    b"close",
    b"HTTP/1.1",
    b"HTTP/1.0",
    b"HTTP/1.7",
    b"http://",
    b"[::1]",
    b"\x01\0A\0\0",
    b"\xff\xff",
    b"0\r\n\r\n",
];

/// Marsaglia's xorshift: the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % end.max(1)
    }
}

fn mutated(numbers: &mut Numbers, seeds: &[&[u8]]) -> Vec<u8> {
    let mut data = seeds[numbers.below(seeds.len())].to_vec();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(data.len() + 1);
        let end = at + numbers.below(data.len() + 1 - at).min(20);
        match numbers.below(7) {
            0 => data.splice(at..at, WORDS[numbers.below(WORDS.len())].iter().copied()).for_each(drop),
            1 => data.splice(at..end, WORDS[numbers.below(WORDS.len())].iter().copied()).for_each(drop),
            2 => data.drain(at..end).for_each(drop),
            3 => data.extend_from_within(at..end),
            4 => data.truncate(at),
            5 => data.extend_from_slice(seeds[numbers.below(seeds.len())]),
            _ => {
                if let Some(byte) = data.get_mut(at) {
                    *byte ^= 1 << numbers.below(8);
                }
            }
        }
    }
    // A packet that says how long it is gets further.
    if numbers.below(2) == 0 && matches!(data.first(), Some(0 | 30)) && data.len() >= 4 {
        let size = u16::try_from(data.len() - 4).unwrap_or(u16::MAX).to_le_bytes();
        data[1..3].copy_from_slice(&size);
    }
    data
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn fuzz(seeds: &[&[u8]], check: fn(&[u8])) {
    let (runs, seed) = (number("UWRING_FUZZ_RUNS", 10_000), number("UWRING_FUZZ_SEED", 1));
    seeds.iter().for_each(|seed| check(seed));
    let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for run in 0..runs {
        let data = mutated(&mut numbers, seeds);
        if let Err(panic) = std::panic::catch_unwind(|| check(&data)) {
            note(&format!("seed {seed}, run {run}: b\"{}\"", data.escape_ascii()));
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn prefaces_hold() {
    fuzz(PREFACES, checks::proxy_preface);
}

#[test]
fn mutated_packets_break_nothing() {
    fuzz(PACKETS, checks::uwsgi_packet);
}

#[test]
fn mutated_records_break_nothing() {
    fuzz(RECORDS, checks::fastcgi_request);
}

#[test]
fn mutated_netstrings_break_nothing() {
    fuzz(NETSTRINGS, checks::scgi_request);
}

#[test]
fn mutated_heads_break_nothing() {
    fuzz(HEADS, checks::http_head);
}

#[test]
fn mutated_bodies_break_nothing() {
    fuzz(BODIES, checks::chunked_body);
}

#[test]
fn mutated_connections_break_nothing() {
    fuzz(HEADS, checks::http_connection);
}
