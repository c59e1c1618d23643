//! The uwsgi protocol: a 4-byte header, then a block of variables, then the body raw (uwsgi-docs, Protocol).
//!
//! ```text
//! modifier1:8 | size:16 little endian | modifier2:8 | { name_len:16 name value_len:16 value }*
//! ```
//!
//! Variables become offsets into the received bytes. Those that uWSGI acts upon (`UWSGI_FILE`, `UWSGI_SETENV`…) are
//! variables like any other here: a request never loads code or changes the process.

use uwring_abi::{AREA_HEAD, VAR_PLAIN, Var};

use super::{Error, Limits, Step, content_length};
use crate::request::{Body, Request, Span, Version};

/// Length of the header.
const HEADER_BYTES: usize = 4;

/// Parses the packet at the beginning of `data`.
pub fn parse(data: &[u8], limits: &Limits, request: &mut Request) -> Result<Step, Error> {
    let [modifier1, low, high, modifier2, ..] = *data else { return Ok(Step::NeedMore) };
    let size = usize::from(u16::from_le_bytes([low, high]));
    // Said as soon as it is known: the rest of the packet may never come.
    check(modifier1, size, limits)?;
    let end = HEADER_BYTES + size;
    if data.len() < end {
        return Ok(Step::NeedMore);
    }
    request.clear();
    request.modifier1 = modifier1;
    request.modifier2 = modifier2;
    request.version = Version::Uwsgi;
    request.head_bytes = end;
    let mut at = HEADER_BYTES;
    while at < end {
        let (name, behind) = text(data, at, end)?;
        let (value, behind) = text(data, behind, end)?;
        if name.len == 0 {
            return Err(invalid("a variable without a name"));
        }
        if request.vars.len() >= limits.vars {
            return Err(Error::new(431, format!("more than {} variables", limits.vars)));
        }
        request.vars.push(Var {
            name_area: AREA_HEAD,
            value_area: AREA_HEAD,
            kind: VAR_PLAIN,
            name_len: u16::try_from(name.len).map_err(|_| invalid("a name of more than 64 KiB"))?,
            name_off: name.off,
            value_off: value.off,
            value_len: value.len,
        });
        mark(request, data, name, value)?;
        at = behind;
    }
    Ok(Step::Head)
}

fn check(modifier1: u8, size: usize, limits: &Limits) -> Result<(), Error> {
    // 30 is the WSGI of old, with PATH_INFO less SCRIPT_NAME; under Python 3 uWSGI treats it as 0.
    if modifier1 != 0 && modifier1 != 30 {
        return Err(Error {
            status: None,
            reason: format!("-- unavailable modifier requested: {modifier1} --"),
        });
    }
    if size == 0 {
        return Err(Error { status: None, reason: "an empty uwsgi packet".into() });
    }
    if size > limits.head_bytes {
        let max = limits.head_bytes;
        let reason =
            format!("invalid request block size: {size} (max {max}): raise buffer-size (at most 65535)");
        return Err(Error::new(431, reason));
    }
    Ok(())
}

/// A length and so many bytes, at `at`; and where they end.
fn text(data: &[u8], at: usize, end: usize) -> Result<(Span, usize), Error> {
    let Some(&[low, high]) = data[..end].get(at..at + 2) else { return Err(invalid("a length cut off")) };
    let len = u16::from_le_bytes([low, high]);
    let start = at + 2;
    let behind = start + usize::from(len);
    if behind > end {
        return Err(invalid("a text that ends behind the block"));
    }
    // A block is at most 64 KiB, so its offsets fit.
    Ok((Span::head(u32::try_from(start).unwrap_or(u32::MAX), u32::from(len)), behind))
}

fn invalid(what: &str) -> Error {
    Error { status: Some(400), reason: format!("invalid uwsgi request: {what}") }
}

/// Remembers the variables that the server itself needs. Told apart by length first: most are none of them.
fn mark(request: &mut Request, data: &[u8], name: Span, value: Span) -> Result<(), Error> {
    let bytes = |span: Span| &data[span.off as usize..(span.off + span.len) as usize];
    let name = bytes(name);
    match name.len() {
        5 if name == b"HTTPS" => request.https = matches!(bytes(value), [b'1', ..] | [b'o', b'n', ..]),
        9 if name == b"HTTP_HOST" => request.host = value,
        11 if name == b"REMOTE_ADDR" => request.addr = value,
        11 if name == b"REMOTE_USER" => request.user = value,
        11 if name == b"REQUEST_URI" => request.uri = value,
        11 if name == b"SERVER_NAME" && request.host.is_empty() => request.host = value,
        12 if name == b"HTTP_REFERER" => request.referer = value,
        12 if name == b"UWSGI_SCHEME" => request.scheme = value,
        14 if name == b"REQUEST_METHOD" => {
            request.method = value;
            request.is_head = bytes(value) == b"HEAD";
        }
        // Of equal names the last wins, here as in the environ: that is how nginx overrides one.
        14 if name == b"CONTENT_LENGTH" => {
            let len = if value.len == 0 { 0 } else { content_length(bytes(value))? };
            request.body = Body::sized(len);
        }
        15 if name == b"SERVER_PROTOCOL" => request.protocol = value,
        15 if name == b"HTTP_USER_AGENT" => request.agent = value,
        20 if name == b"HTTP_X_FORWARDED_FOR" => request.forwarded_for = value,
        20 if name == b"HTTP_X_FORWARDED_SSL" => request.https = matches!(bytes(value), b"on" | b"1"),
        22 if name == b"HTTP_X_FORWARDED_PROTO" => request.scheme = value,
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
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
