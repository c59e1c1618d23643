//! Where a request belongs, as fields say it: the W3C's `traceparent` (Trace Context §3.2), `X-Request-Id`, and
//! `X-Request-Start`, the moment a front end received it.

/// The variable that holds the request's id.
pub const REQUEST_ID: &[u8] = b"HTTP_X_REQUEST_ID";
/// The variable that holds its trace context.
pub const PARENT: &[u8] = b"HTTP_TRACEPARENT";

/// Longest request id that is taken over: longer ones, and such as could break a line of a log, are somebody's joke.
const REQUEST_ID_MAX: usize = 128;
/// A request that began earlier than this was not waiting for us: a clock is wrong. Microseconds.
const AHEAD_MAX_US: u64 = 10 * 60 * 1_000_000;

/// The trace id in a `traceparent`: 32 lower-case hexadecimal digits. `None`: the field is not valid, and is to be
/// treated as if it were missing (Trace Context §3.2.2.5).
pub fn trace_id(parent: &[u8]) -> Option<&[u8]> {
    let parts: Vec<&[u8]> = parent.split(|byte| *byte == b'-').collect();
    let [version, trace, span, flags, later @ ..] = parts.as_slice() else { return None };
    let hex =
        |text: &[u8], len| text.len() == len && text.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let is_some = |text: &[u8]| text.iter().any(|byte| *byte != b'0');
    // Version 0 has four parts; later ones may have more.
    let known = hex(version, 2) && *version != b"ff" && (later.is_empty() || *version != b"00");
    (known && hex(trace, 32) && is_some(trace) && hex(span, 16) && is_some(span) && hex(flags, 2))
        .then_some(*trace)
}

/// A `traceparent` with these ids.
pub fn parent(trace: u128, span: u64, sampled: bool) -> String {
    // Zeros are invalid.
    format!("00-{:032x}-{:016x}-{:02x}", trace.max(1), span.max(1), u8::from(sampled))
}

/// Whether a request id can be taken over as it is.
pub fn is_request_id(id: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~+/=:@".contains(byte);
    (1..=REQUEST_ID_MAX).contains(&id.len()) && id.iter().all(plain)
}

/// How long a request was on its way to us, microseconds, given `X-Request-Start` and the time. The field has seconds,
/// milliseconds or microseconds since the epoch, with a fraction or without, and perhaps `t=` in front (nginx:
/// `t=${msec}`, Heroku: milliseconds). 0: it says nothing that can be true.
pub fn ahead_us(start: &[u8], wall_us: u64) -> u64 {
    let text = std::str::from_utf8(start).unwrap_or_default().trim();
    let text = text.strip_prefix("t=").unwrap_or(text);
    let Ok(number) = text.parse::<f64>() else { return 0 };
    // What is a time of this century in one unit is none in the others.
    let unit = match number {
        1e9..1e11 => 1e6,
        1e12..1e14 => 1e3,
        1e15..1e17 => 1.0,
        _ => return 0,
    };
    // Below 1e17, so the value fits.
    let start_us = (number * unit) as u64;
    match wall_us.saturating_sub(start_us) {
        ahead @ ..=AHEAD_MAX_US => ahead,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_id_is_found_in_what_is_valid_only() {
        assert_eq!(trace_id(GOOD.as_bytes()), Some(b"0af7651916cd43dd8448eb211c80319c".as_slice()));
        assert!(trace_id(format!("01{}-what-comes-later", &GOOD[2..]).as_bytes()).is_some());
        for bad in [
            "",
            "00",
            &GOOD[..54],
            &GOOD.to_uppercase(),
            &format!("{GOOD}-more"),
            &format!("ff{}", &GOOD[2..]),
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b71692033311-01",
        ] {
            assert_eq!(trace_id(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_is_made_is_valid() {
        assert_eq!(parent(10, 11, true), "00-0000000000000000000000000000000a-000000000000000b-01");
        assert!(trace_id(parent(0, 0, false).as_bytes()).is_some());
    }

    #[test]
    fn request_ids_are_short_and_plain() {
        assert!(is_request_id(b"f058ebd6-02f7-4d3f-942e-904344e8cde5") && is_request_id(&[b'a'; 128]));
        for bad in [b"".as_slice(), b"a b", b"a\"b", b"a,b", &[b'a'; 129], b"\xe4"] {
            assert!(!is_request_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_time_ahead_is_told_in_any_unit() {
        let now = 1_795_000_000_000_000;
        for start in ["t=1794999999.900", "1794999999900", "1794999999900000", " t=1794999999900 "] {
            let ahead = ahead_us(start.as_bytes(), now);
            assert!(ahead.abs_diff(100_000) <= 1, "{start}: {ahead}");
        }
        for wrong in ["", "t=", "soon", "-5", "nan", "1", "1795000001", "1700000000", "1e300"] {
            assert_eq!(ahead_us(wrong.as_bytes(), now), 0, "{wrong}");
        }
    }
}
