//! Lines as JSON objects, one each (RFC 8259): what clients and applications put into them stays inside a string.

use super::format::Record;
use super::relay::{Label, Message, Source};
use crate::base::digits::{decimal, signed};
use crate::base::errors;

/// Appends one request, with its line end.
pub fn request(out: &mut Vec<u8>, r: &Record<'_>, addr: &[u8]) {
    let mut object = Object::begin(out, r.started_wall_us, "request");
    object.number("pid", r.pid.into());
    object.number("worker", r.worker.into());
    object.number("core", r.core.into());
    object.signed("app", r.app);
    object.number("requests", r.total_requests);
    for (name, value) in [
        ("addr", addr),
        ("user", r.user),
        ("method", r.method),
        ("uri", r.uri),
        ("protocol", r.protocol),
        ("host", r.host),
        ("user_agent", r.agent),
        ("referer", r.referer),
    ] {
        object.text(name, value);
    }
    for (name, value) in [("request_id", r.request_id()), ("trace_id", r.trace_id())] {
        if let Some(value) = value.filter(|_| r.traced) {
            object.text(name, value);
        }
    }
    object.number("status", r.status.into());
    object.number("request_bytes", r.content_length);
    object.number("response_headers", r.header_count.into());
    object.number("response_header_bytes", r.header_bytes);
    object.number("response_bytes", r.body_bytes);
    object.number("duration_us", r.took_us);
    for (name, value) in r.logvars {
        object.text(&format!("var.{}", String::from_utf8_lossy(name)), value);
    }
    object.end();
}

/// Appends a message that is no request, without a line end.
pub fn message(out: &mut Vec<u8>, message: Message<'_>, wall_us: u64) {
    let Label { source, pid, worker } = message.label;
    let kind = match source {
        Source::Server => "server",
        Source::Output => "app",
        Source::Request => "request",
    };
    let mut object = Object::begin(out, wall_us, kind);
    object.number("pid", pid.into());
    object.number("worker", worker.into());
    object.text("message", message.text);
    if source == Source::Server
        && let Some(number) = errors::number_in(message.text)
    {
        object.text("id", number.as_bytes());
    }
    object.out.push(b'}');
}

struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl Object<'_> {
    fn begin<'a>(out: &'a mut Vec<u8>, wall_us: u64, kind: &str) -> Object<'a> {
        out.extend_from_slice(b"{\"time\":\"");
        time(out, wall_us);
        out.extend_from_slice(b"\",\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        Object { out }
    }

    fn name(&mut self, name: &str) {
        self.out.push(b',');
        string(self.out, name.as_bytes());
        self.out.push(b':');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        decimal(self.out, value);
    }

    fn signed(&mut self, name: &str, value: i64) {
        self.name(name);
        signed(self.out, value);
    }

    fn text(&mut self, name: &str, value: &[u8]) {
        self.name(name);
        string(self.out, value);
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

/// Appends `value` as a string with its quotes. What is no UTF-8 becomes U+FFFD.
fn string(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'"');
    escape(out, value);
    out.push(b'"');
}

/// Appends `value` as it stands inside a string.
pub fn escape(out: &mut Vec<u8>, value: &[u8]) {
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

/// Appends a time as RFC 3339 has it, in UTC: `2026-11-21T02:37:41.000123Z`.
fn time(out: &mut Vec<u8>, wall_us: u64) {
    let (seconds, us) = (wall_us / 1_000_000, wall_us % 1_000_000);
    let (year, month, day) = date(seconds / 86_400);
    let of_day = seconds % 86_400;
    let mut part = |value: u64, width: u32, then: u8| {
        let mut unit = 10_u64.pow(width - 1);
        while unit > 0 {
            out.push(b'0' + u8::try_from(value / unit % 10).unwrap_or(0));
            unit /= 10;
        }
        out.push(then);
    };
    part(year, 4, b'-');
    part(month, 2, b'-');
    part(day, 2, b'T');
    part(of_day / 3600, 2, b':');
    part(of_day / 60 % 60, 2, b':');
    part(of_day % 60, 2, b'.');
    part(us, 6, b'Z');
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
            (0, "1970-01-01T00:00:00.000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000007Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000007Z"),
            (1_795_252_478, "2026-11-21T09:14:38.000007Z"),
        ] {
            let mut out = Vec::new();
            time(&mut out, seconds * 1_000_000 + 7);
            assert_eq!(String::from_utf8_lossy(&out), said);
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
