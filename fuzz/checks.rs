//! What must hold of the parsers whatever bytes come. Used by the fuzz targets beside this file, and on stable by
//! `tests/it/fuzz.rs` with mutations of its own.

use uwring::proto::chunked::{self, Decoder};
use uwring::proto::http::{self, Peer, Pieces, Site};
use uwring::proto::proxy::{self, Preface};
use uwring::proto::{Limits, Step, fastcgi, scgi, uwsgi};
use uwring::request::{Body, Request, Span, Version};

/// A preface ends within the bytes, needs each of its own, and what follows changes nothing.
pub fn proxy_preface(data: &[u8]) {
    if let Ok(Preface::Whole(len, told)) = proxy::parse(data) {
        assert!(len <= data.len() && len > 8);
        assert_eq!(proxy::parse(&data[..len]), Ok(Preface::Whole(len, told)));
        for shorter in [0, 1, len / 2, len - 1] {
            assert_eq!(proxy::parse(&data[..shorter]), Ok(Preface::NeedMore));
        }
    }
}

/// A packet is taken whole or not at all, and its variables are its bytes.
pub fn uwsgi_packet(data: &[u8]) {
    let (limits, mut request, mut part) = (Limits::default(), Request::default(), Request::default());
    match uwsgi::parse(data, &limits, &mut request) {
        Ok(Step::NeedMore) => assert!(data.len() < 4 + 65_536),
        Err(error) => assert!(!error.reason.is_empty()),
        Ok(Step::Head) => {
            let end = request.head_bytes;
            assert!(end <= data.len() && end <= 4 + limits.head_bytes && request.vars.len() <= limits.vars);
            let mut block = Vec::new();
            for var in &request.vars {
                for (off, len) in [(var.name_off, u32::from(var.name_len)), (var.value_off, var.value_len)] {
                    block.extend(u16::try_from(len).expect("16 bits").to_le_bytes());
                    block.extend(&data[off as usize..(off + len) as usize]);
                }
            }
            assert_eq!(block, data[4..end], "the variables are not the packet's");
            for shorter in [4, end / 2, end - 1].into_iter().filter(|at| *at < end) {
                assert_eq!(uwsgi::parse(&data[..shorter], &limits, &mut part), Ok(Step::NeedMore));
            }
            assert_eq!(uwsgi::parse(&data[..end], &limits, &mut part), Ok(Step::Head));
            assert_eq!((part.vars, part.body, part.uri), (request.vars, request.body, request.uri));
        }
    }
}

/// FastCGI's records: variables are the same however they come, and the body ends at the same byte.
pub fn fastcgi_request(data: &[u8]) {
    let (limits, mut request, mut part) = (Limits::default(), Request::default(), Request::default());
    if fastcgi::parse(data, &limits, true, &mut request) != Ok(Step::Head) {
        return;
    }
    let end = request.head_bytes;
    assert!(end <= data.len() && request.vars.len() <= limits.vars && request.record_id != 0);
    assert!(!request.vars.is_empty() && request.derived.len() <= limits.head_bytes);
    let vars = values(&request, data);
    for shorter in [0, 1, 8, end / 2, end - 1] {
        let step = fastcgi::parse(&data[..shorter], &limits, true, &mut part);
        // Without its end a body is still to come, be it an empty one.
        assert!(step == Ok(Step::NeedMore) || step == Ok(Step::Head) && request.body == Body::None);
    }
    assert_eq!(fastcgi::parse(&data[..end], &limits, true, &mut part), Ok(Step::Head));
    assert_eq!(values(&part, data), vars);
    let Body::Records(announced) = request.body else { return };
    let stdin = |size: usize| {
        let (mut stdin, mut out, mut used) =
            (fastcgi::Stdin::new(request.record_id, announced), Vec::new(), 0);
        for piece in data[end..].chunks(size.max(1)) {
            let progress = stdin.decode(piece, &mut out).ok()?;
            used += progress.consumed;
            if progress.done {
                assert!(announced.is_none_or(|len| len == out.len() as u64));
                return Some((out, Some(used)));
            }
        }
        Some((out, None))
    };
    let whole = stdin(data.len());
    assert!([1, 3, 9].into_iter().all(|size| stdin(size) == whole), "a body that depends on how it comes");
}

fn values(request: &Request, data: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = |area, off, len| request.bytes(Span { area, off, len }, data, b"").to_vec();
    let both = |var: &uwring_abi::Var| {
        (
            text(var.name_area, var.name_off, var.name_len.into()),
            text(var.value_area, var.value_off, var.value_len),
        )
    };
    request.vars.iter().map(both).collect()
}

/// A netstring is taken whole or not at all, and its variables are its bytes.
pub fn scgi_request(data: &[u8]) {
    let (limits, mut request, mut part) = (Limits::default(), Request::default(), Request::default());
    if scgi::parse(data, &limits, true, &mut request) != Ok(Step::Head) {
        return;
    }
    let end = request.head_bytes;
    assert!(end <= data.len() && request.vars.len() <= limits.vars);
    let mut block = Vec::new();
    for (name, value) in values(&request, data) {
        block.extend([name, vec![0], value, vec![0]].concat());
    }
    assert_eq!([format!("{}:", block.len()).as_bytes(), &block, b","].concat(), data[..end]);
    for shorter in [0, 1, end / 2, end - 1] {
        assert_eq!(scgi::parse(&data[..shorter], &limits, true, &mut part), Ok(Step::NeedMore));
    }
}

fn site() -> Site {
    Site::new("node", 80)
}

fn parse(data: &[u8], site: &Site, request: &mut Request) -> Option<Step> {
    // Trusted, so that nothing a front end may say is passed over.
    http::parse(data, &Limits::default(), site, &Peer::new(None), request).ok()
}

/// A head is lines that every reader sees alike, framed in one way, and the same however its bytes come.
pub fn http_head(data: &[u8]) {
    let (site, mut request, mut part) = (site(), Request::default(), Request::default());
    if parse(data, &site, &mut request) != Some(Step::Head) {
        return;
    }
    let head = &data[..request.head_bytes];
    assert!(head.ends_with(b"\r\n\r\n") && head.len() <= Limits::default().head_bytes);
    for (at, byte) in head.iter().enumerate() {
        assert_ne!(*byte, 0, "a NUL");
        assert_eq!(*byte == b'\n', at > 0 && head[at - 1] == b'\r', "a bare CR or LF at {at}");
    }
    framing(head, &request);
    for var in &request.vars {
        let name = Span { area: var.name_area, off: var.name_off, len: var.name_len.into() };
        let value = Span { area: var.value_area, off: var.value_off, len: var.value_len };
        let (name, value) = (request.bytes(name, head, site.text()), request.bytes(value, head, site.text()));
        assert!(!name.is_empty() && !value.iter().any(|byte| b"\r\n\0".contains(byte)));
        assert!(name == b"HTTP_HOST" || var.kind == 0 || !name.contains(&b'_'), "a name with an underscore");
    }
    let path = request.value(b"PATH_INFO", head, site.text()).expect("every request has a path");
    assert!(path.starts_with(b"/") || path == b"*", "a path that is none");
    arrives_alike(data, &site, &request, &mut part);
}

/// The body's framing again, by the simplest reading of the fields.
fn framing(head: &[u8], request: &Request) {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let values = |name: &str| -> Vec<String> {
        let of = |line: &str| {
            Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_matches([' ', '\t']).to_owned())
        };
        text.split("\r\n").filter_map(of).collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    match request.body {
        Body::Chunked => assert!(lengths.is_empty() && codings == ["chunked"]),
        Body::Sized(n) => {
            assert!(codings.is_empty() && lengths.iter().all(|length| length.parse() == Ok(n)) && n > 0);
        }
        Body::Records(_) => panic!("a body of FastCGI"),
        Body::None => assert!(codings.is_empty() && lengths.iter().all(|length| length.parse() == Ok(0_u64))),
    }
    let hosts = values("host").len();
    assert!(hosts == 1 || (hosts == 0 && request.version == Version::Http10), "{hosts} hosts");
}

fn arrives_alike(data: &[u8], site: &Site, request: &Request, part: &mut Request) {
    let (end, mut pieces) = (request.head_bytes, Pieces::default());
    for at in 1..=end {
        let looked = pieces.worth_a_look(&data[..at], Limits::default().head_bytes);
        let step = if looked || at % 7 == 0 { parse(&data[..at], site, part) } else { Some(Step::NeedMore) };
        assert_eq!(step, Some(if at == end { Step::Head } else { Step::NeedMore }), "at {at} of {end}");
    }
    assert_eq!((&part.vars, &part.derived, part.body), (&request.vars, &request.derived, request.body));
}

/// A body ends at the same byte and has the same data however its bytes come, and what is in it can be coded again.
pub fn chunked_body(data: &[u8]) {
    let whole = decode(data.chunks(data.len().max(1)));
    assert_eq!(decode(data.chunks(1)), whole, "byte by byte");
    for size in [2, 3, 7] {
        assert_eq!(decode(data.chunks(size)), whole, "by {size} bytes");
    }
    let Some((body, used)) = whole else { return };
    assert!(body.len() <= data.len());
    if let Some(used) = used {
        assert!(data[..used].ends_with(b"\r\n"));
        let mut again = Vec::new();
        body.chunks(5).for_each(|piece| chunked::encode(&mut again, piece));
        chunked::end(&mut again);
        assert_eq!(decode(again.chunks(3)), Some((body, Some(again.len()))), "coded again");
    }
}

/// The data, and where the body ended; `None` where it was refused.
fn decode<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<u8>, Option<usize>)> {
    let (mut decoder, mut out, mut used) = (Decoder::default(), Vec::new(), 0);
    for piece in pieces {
        let progress = decoder.decode(piece, &mut out).ok()?;
        used += progress.consumed;
        if progress.done {
            return Some((out, Some(used)));
        }
        assert_eq!(progress.consumed, piece.len());
    }
    Some((out, None))
}

/// Requests one behind the other: each takes some bytes, and what follows is where it ends.
pub fn http_connection(mut data: &[u8]) {
    let (site, mut request) = (site(), Request::default());
    while parse(data, &site, &mut request) == Some(Step::Head) {
        assert!(request.head_bytes > 0);
        data = &data[request.head_bytes..];
        let body = match request.body {
            Body::None => Some(0),
            Body::Sized(n) => usize::try_from(n).ok().filter(|n| *n <= data.len()),
            Body::Chunked => decode([data].into_iter()).and_then(|(_, used)| used),
            Body::Records(_) => panic!("a body of FastCGI"),
        };
        match body {
            Some(len) if request.keep_alive => data = &data[len..],
            _ => return,
        }
    }
}
