//! The uwsgi protocol: a 4-byte header, then a block of variables, then the body raw (uwsgi-docs, Protocol).
//!
//! ```text
//! modifier1:8 | size:16 little endian | modifier2:8 | { name_len:16 name value_len:16 value }*
//! ```
//!
//! Variables become offsets into the received bytes. Those that uWSGI acts upon (`UWSGI_FILE`, `UWSGI_SETENV`…) are
//! variables like any other here: a request never loads code or changes the process.

use super::{Error, Limits, Step, vars};
use crate::base::errors;
use crate::request::{Request, Span, Version};

/// Length of the header.
const HEADER_BYTES: usize = 4;

/// Parses the packet at the beginning of `data`.
pub fn parse(data: &[u8], limits: &Limits, request: &mut Request) -> Result<Step, Error> {
    let [modifier1, low, high, modifier2, ..] = *data else { return Ok(Step::NeedMore) };
    let size = usize::from(u16::from_le_bytes([low, high]));
    // Said as soon as it is known: the rest of the packet may never come.
    check([modifier1, low, high, modifier2], size, limits)?;
    let end = HEADER_BYTES + size;
    if data.len() < end {
        return Ok(Step::NeedMore);
    }
    request.clear();
    request.modifier1 = modifier1;
    request.modifier2 = modifier2;
    request.version = Version::Uwsgi;
    request.head_bytes = end;
    let packet = &data[..end];
    let mut at = HEADER_BYTES;
    while at < end {
        let (name, name_at) = text(packet, &mut at)?;
        let (value, value_at) = text(packet, &mut at)?;
        if name.is_empty() {
            return Err(invalid("a variable without a name"));
        }
        // Lengths come from 16 bits, and a block is at most 64 KiB: all of it fits.
        let span = |text: &[u8], at: usize| Span::head(at as u32, text.len() as u32);
        let spans = (span(name, name_at), span(value, value_at));
        vars::take(request, limits, (name, spans.0), (value, spans.1))?;
    }
    Ok(Step::Head)
}

fn check(header: [u8; HEADER_BYTES], size: usize, limits: &Limits) -> Result<(), Error> {
    let modifier1 = header[0];
    // 30 is the WSGI of old, with PATH_INFO less SCRIPT_NAME; under Python 3 uWSGI treats it as 0.
    if modifier1 != 0 && modifier1 != 30 {
        // The commonest reason: `GET ` or the like where a packet should begin.
        let is_http = header.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ');
        let hint = if is_http { " (HTTP on a socket for uwsgi?)" } else { "" };
        let reason = format!("-- unavailable modifier requested: {modifier1} --{hint}");
        return Err(Error { status: None, reason });
    }
    if size == 0 {
        return Err(Error { status: None, reason: "an empty uwsgi packet".into() });
    }
    if size > limits.head_bytes {
        let max = limits.head_bytes;
        let reason = format!(
            "invalid request block size: {size} (max {max}): raise buffer-size (at most 65535) {}",
            errors::HEAD_TOO_LARGE
        );
        return Err(Error::new(431, reason));
    }
    Ok(())
}

/// A length and so many bytes, at `at`, which moves behind them; and where they begin.
#[inline]
fn text<'a>(packet: &'a [u8], at: &mut usize) -> Result<(&'a [u8], usize), Error> {
    let Some(&[low, high]) = packet[*at..].first_chunk() else { return Err(invalid("a length cut off")) };
    let start = *at + 2;
    let end = start + usize::from(u16::from_le_bytes([low, high]));
    let Some(text) = packet.get(start..end) else {
        return Err(invalid("a text that ends behind the block"));
    };
    *at = end;
    Ok((text, start))
}

#[cold]
fn invalid(what: &str) -> Error {
    Error { status: Some(400), reason: format!("invalid uwsgi request: {what}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Body;
    use proptest::prelude::*;

    fn block(vars: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in vars {
            for text in [name, value] {
                block.extend_from_slice(&u16::try_from(text.len()).expect("short").to_le_bytes());
                block.extend_from_slice(text.as_bytes());
            }
        }
        packet(0, &block)
    }

    fn packet(modifier1: u8, block: &[u8]) -> Vec<u8> {
        let mut packet = vec![modifier1];
        packet.extend_from_slice(&u16::try_from(block.len()).expect("short").to_le_bytes());
        packet.push(0);
        packet.extend_from_slice(block);
        packet
    }

    fn parsed(data: &[u8]) -> Result<(Step, Request), Error> {
        let mut request = Request::default();
        parse(data, &Limits::default(), &mut request).map(|step| (step, request))
    }

    const VARS: &[(&str, &str)] = &[
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_LENGTH", "12"),
        ("REQUEST_URI", "/a?b"),
        ("SERVER_NAME", "s"),
        ("HTTP_HOST", "h"),
        ("HTTPS", "on"),
        ("EMPTY", ""),
    ];

    #[test]
    fn variables_are_offsets_and_the_needed_ones_are_marked() {
        let data = block(VARS);
        let (step, request) = parsed(&data).expect("a good packet");
        assert_eq!(step, Step::Head);
        let text = |off: u32, len: u32| {
            std::str::from_utf8(&data[off as usize..(off + len) as usize]).expect("text")
        };
        let vars: Vec<_> = request
            .vars
            .iter()
            .map(|v| (text(v.name_off, v.name_len.into()), text(v.value_off, v.value_len)))
            .collect();
        assert_eq!(vars, VARS);
        assert_eq!(request.body, Body::Sized(12));
        assert_eq!(request.bytes(request.host, &data, b""), b"h");
        assert_eq!(request.bytes(request.uri, &data, b""), b"/a?b");
        assert!(request.https && !request.is_head && !request.keep_alive);
        assert_eq!(request.head_bytes, data.len());
    }

    #[test]
    fn every_prefix_needs_more() {
        let data = block(VARS);
        for end in 0..data.len() {
            assert_eq!(parsed(&data[..end]).expect("not wrong yet").0, Step::NeedMore, "{end}");
        }
    }

    #[test]
    fn wrong_packets_are_refused() {
        let long = "x".repeat(40_000);
        let too_large = block(&[("A", &long)]);
        let cases: &[(&[u8], Option<u16>, &str)] = &[
            (&packet(5, b"\x01\0A\x01\0B"), None, "unavailable modifier requested: 5"),
            (b"GET / HTTP/1.1\r\n", None, "HTTP on a socket for uwsgi"),
            (&packet(0, b""), None, "empty"),
            (&packet(0, b"\0\0\x01\0B"), Some(400), "without a name"),
            (&packet(0, b"\x05\0A"), Some(400), "behind the block"),
            (&packet(0, b"\x01\0A\x09\0B"), Some(400), "behind the block"),
            (&packet(0, b"\x01\0A"), Some(400), "cut off"),
            (&packet(0, b"\x01\0A\x01"), Some(400), "cut off"),
            (&block(&[("CONTENT_LENGTH", "1x")]), Some(400), "Content-Length"),
            (&block(&[("CONTENT_LENGTH", "-1")]), Some(400), "Content-Length"),
            (&block(&[("CONTENT_LENGTH", "99999999999999999999")]), Some(400), "Content-Length"),
            (&too_large[..4], Some(431), "buffer-size"),
        ];
        for (data, status, reason) in cases {
            let error = parsed(data).expect_err(reason);
            assert_eq!(error.status, *status, "{reason}");
            assert!(error.reason.contains(reason), "{} / {reason}", error.reason);
        }
    }

    #[test]
    fn wrong_packets_are_refused_at_every_split_or_need_more() {
        let data = block(&[("A", "1"), ("CONTENT_LENGTH", "x"), ("B", "2")]);
        for end in 0..data.len() {
            assert_eq!(parsed(&data[..end]).expect("not wrong yet").0, Step::NeedMore, "{end}");
        }
        assert_eq!(parsed(&data).expect_err("no number").status, Some(400));
    }

    #[test]
    fn marks_point_at_what_the_server_needs() {
        let vars = [
            ("REQUEST_METHOD", "HEAD"),
            ("REMOTE_ADDR", "192.0.2.1"),
            ("REMOTE_USER", "eve"),
            ("HTTP_HOST", "h"),
            ("SERVER_NAME", "not any more"),
            ("HTTP_USER_AGENT", "ua"),
            ("HTTP_REFERER", "r"),
            ("HTTP_X_FORWARDED_FOR", "198.51.100.7"),
            ("UWSGI_SCHEME", "http"),
            ("HTTP_X_FORWARDED_PROTO", "https"),
            ("UWSGI_FILE", "/never/loaded.py"),
        ];
        let data = block(&vars);
        let (_, r) = parsed(&data).expect("a good packet");
        let marks = [r.method, r.addr, r.user, r.host, r.agent, r.referer, r.forwarded_for, r.scheme];
        let text = |span: Span| std::str::from_utf8(r.bytes(span, &data, b"")).expect("text");
        assert_eq!(marks.map(text), ["HEAD", "192.0.2.1", "eve", "h", "ua", "r", "198.51.100.7", "https"]);
        assert!(r.is_head && r.derived.is_empty() && r.vars.len() == vars.len());
    }

    #[test]
    fn the_last_length_wins() {
        let data = block(&[("CONTENT_LENGTH", "1"), ("CONTENT_LENGTH", "")]);
        assert_eq!(parsed(&data).expect("a good packet").1.body, Body::None);
        let data = block(&[("CONTENT_LENGTH", "1"), ("CONTENT_LENGTH", "2")]);
        assert_eq!(parsed(&data).expect("a good packet").1.body, Body::Sized(2));
    }

    #[test]
    fn too_many_variables_are_refused() {
        let many: Vec<(&str, &str)> = (0..=Limits::default().vars).map(|_| ("A", "")).collect();
        assert_eq!(parsed(&block(&many)).expect_err("one too many").status, Some(431));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_on(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((Step::Head, request)) = parsed(&data) {
                prop_assert!(request.head_bytes <= data.len());
            }
        }

        #[test]
        fn no_block_makes_it_panic(inner in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parsed(&packet(0, &inner));
        }
    }
}
