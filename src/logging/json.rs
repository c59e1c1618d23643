//! Lines as JSON objects, one each (RFC 8259): what clients and applications put into them stays inside a string.

use super::format::{Known, Record, is_plain_json};
use super::relay::{Label, Message, Source};
use crate::base::digits::{decimal, fixed, signed};
use crate::base::errors;

/// Appends one request, with its line end. `second`: appends when it began, to the second.
pub fn request(out: &mut Vec<u8>, r: &Record<'_>, addr: &[u8], second: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"time\":\"");
    second(out);
    out.push(b'.');
    fixed::<3>(out, r.started_wall_us);
    out.extend_from_slice(b"Z\",\"type\":\"request\"");
    number(out, b",\"pid\":", r.pid.into());
    number(out, b",\"worker\":", r.worker.into());
    number(out, b",\"core\":", r.core.into());
    out.extend_from_slice(b",\"app\":");
    signed(out, r.app);
    number(out, b",\"requests\":", r.total_requests);
    text(out, b",\"addr\":", addr);
    text(out, b",\"user\":", r.user);
    text(out, b",\"method\":", r.method);
    text(out, b",\"uri\":", r.uri);
    text(out, b",\"protocol\":", r.protocol);
    text(out, b",\"host\":", r.variables.known(Known::Host));
    text(out, b",\"user_agent\":", r.variables.known(Known::Agent));
    text(out, b",\"referer\":", r.variables.known(Known::Referer));
    if r.traced {
        let ids = [(&b",\"request_id\":"[..], r.request_id()), (b",\"trace_id\":", r.trace_id())];
        ids.into_iter().for_each(|(key, id)| id.into_iter().for_each(|id| text(out, key, id)));
    }
    number(out, b",\"status\":", r.status.into());
    number(out, b",\"request_bytes\":", r.content_length);
    number(out, b",\"response_headers\":", r.header_count.into());
    number(out, b",\"response_header_bytes\":", r.header_bytes);
    number(out, b",\"response_bytes\":", r.body_bytes);
    number(out, b",\"duration_us\":", r.took_us);
    for (name, value) in r.logvars {
        out.extend_from_slice(b",\"var.");
        escape(out, name);
        text(out, b"\":", value);
    }
    out.extend_from_slice(b"}\n");
}

/// Appends a message that is no request, without a line end.
pub fn message(out: &mut Vec<u8>, message: Message<'_>, wall_us: u64) {
    let Label { source, pid, worker } = message.label;
    let kind: &[u8] = match source {
        Source::Server => b"server",
        Source::Output => b"app",
        Source::Request => b"request",
    };
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(&second(wall_us / 1_000_000));
    out.push(b'.');
    fixed::<3>(out, wall_us);
    out.extend_from_slice(b"Z\",\"type\":\"");
    out.extend_from_slice(kind);
    number(out, b"\",\"pid\":", pid.into());
    number(out, b",\"worker\":", worker.into());
    text(out, b",\"message\":", message.text);
    if source == Source::Server
        && let Some(number) = errors::number_in(message.text)
    {
        text(out, b",\"id\":", number.as_bytes());
    }
    out.push(b'}');
}

fn number(out: &mut Vec<u8>, key: &[u8], value: u64) {
    out.extend_from_slice(key);
    decimal(out, value);
}

fn text(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(key);
    string(out, value);
}

/// Appends `value` as a string with its quotes. What is no UTF-8 becomes U+FFFD.
fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    escape(out, value);
    out.push(b'"');
}

/// Appends `value` as it stands inside a string.
pub fn escape(out: &mut Vec<u8>, value: &[u8]) {
    if is_plain_json(value) {
        return out.extend_from_slice(value);
    }
    for chunk in value.utf8_chunks() {
        escape_text(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn escape_text(out: &mut Vec<u8>, text: &str) {
    let must = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x7f);
    for piece in text.as_bytes().split_inclusive(must) {
        match piece {
            [before @ .., byte] if must(byte) => {
                out.extend_from_slice(before);
                match byte {
                    b'\n' => out.extend_from_slice(b"\\n"),
                    b'\r' => out.extend_from_slice(b"\\r"),
                    b'\t' => out.extend_from_slice(b"\\t"),
                    b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                    _ => {
                        let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                        out.extend_from_slice(b"\\u00");
                        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
                    }
                }
            }
            whole => out.extend_from_slice(whole),
        }
    }
}

/// A second since the epoch as RFC 3339 has it, in UTC, without what follows it: `2026-11-21T02:37:41`.
pub fn second(seconds: u64) -> Vec<u8> {
    let ((year, month, day), of_day) = (date(seconds / 86_400), seconds % 86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}").into_bytes()
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar: years begin in March here, so that
/// the day that comes every fourth year is the last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (400 * era + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_calendar() {
        for (seconds, said) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_735_689_599, "2024-12-31T23:59:59"),
            (1_795_252_478, "2026-11-21T09:14:38"),
        ] {
            assert_eq!(String::from_utf8_lossy(&second(seconds)), said);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_make_one_line_of_json_that_says_them(text: Vec<u8>) {
            let label = Label { source: Source::Output, pid: 1, worker: 2 };
            let mut out = Vec::new();
            message(&mut out, Message { label, text: &text }, 0);
            assert!(!out.contains(&b'\n'));
            let value: serde_json::Value = serde_json::from_slice(&out).expect("valid");
            assert_eq!(value["message"], String::from_utf8_lossy(&text).into_owned());
            assert_eq!((&value["type"], &value["worker"]), (&"app".into(), &2.into()));
        }
    }
}
