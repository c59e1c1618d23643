//! SCGI: a netstring of variables, then the body raw (python.ca/scgi/protocol.txt).
//!
//! ```text
//! LENGTH ":" { name NUL value NUL }* ","
//! ```
//!
//! Strict where two readers could differ, and no stricter than uWSGI in what a front end may leave out: variables come
//! in any order, and `SCGI` need not be among them.

use super::{Error, Limits, Step, vars};
use crate::base::errors;
use crate::request::{Echo, Request, Span, Version};

/// Parses the netstring at the beginning of `data`. `cgi`: the answer's status is a field.
pub fn parse(data: &[u8], limits: &Limits, cgi: bool, request: &mut Request) -> Result<Step, Error> {
    let Some((start, size)) = length(data, limits)? else { return Ok(Step::NeedMore) };
    let end = start + size;
    if data.len() <= end {
        return Ok(Step::NeedMore);
    }
    if data[end] != b',' {
        return Err(invalid("a netstring that does not end with a comma"));
    }
    request.clear();
    request.version = Version::Uwsgi;
    request.is_netstring = true;
    request.head_bytes = end + 1;
    let block = &data[..end];
    let mut at = start;
    while at < end {
        let (name, name_at) = text(block, &mut at)?;
        let (value, value_at) = text(block, &mut at)?;
        if name.is_empty() {
            return Err(invalid("a variable without a name"));
        }
        vars::take(request, limits, (name, name_at), (value, value_at))?;
    }
    if cgi {
        request.echo = Echo::Status;
    }
    Ok(Step::Head)
}

/// Where the netstring begins, and how long it is; `None`: not yet to be said.
fn length(data: &[u8], limits: &Limits) -> Result<Option<(usize, usize)>, Error> {
    /// No head has more digits than a 32-bit number.
    const DIGITS_MAX: usize = 9;
    let digits = data.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match data.get(digits) {
        _ if digits > DIGITS_MAX => return Err(too_large("of more than 9 digits", limits)),
        None => return Ok(None),
        Some(b':') if digits > 0 && (data[0] != b'0') => {}
        Some(_) if digits == 0 => {
            let is_http = data[0].is_ascii_alphabetic();
            let hint = if is_http { " (HTTP on a socket for SCGI?)" } else { "" };
            let reason = format!("no SCGI request: it begins with no length{hint}");
            return Err(Error { status: None, reason });
        }
        Some(_) => return Err(invalid("a length that is no number, or none of SCGI")),
    }
    let size = data[..digits].iter().fold(0_usize, |n, digit| n * 10 + usize::from(digit - b'0'));
    if size > limits.head_bytes {
        return Err(too_large(&size.to_string(), limits));
    }
    Ok(Some((digits + 1, size)))
}

/// The bytes up to the next NUL, at `at`, which moves behind it; and where they are.
fn text<'a>(block: &'a [u8], at: &mut usize) -> Result<(&'a [u8], Span), Error> {
    let start = *at;
    let len = block[start..].iter().position(|byte| *byte == 0);
    let len = len.ok_or_else(|| invalid("a text without its end"))?;
    *at = start + len + 1;
    // A head has at most 64 KiB (`buffer-size`).
    let span = Span::head(start as u32, len as u32);
    Ok((&block[start..start + len], span))
}

#[cold]
fn too_large(size: &str, limits: &Limits) -> Error {
    let max = limits.head_bytes;
    let reason =
        format!("invalid SCGI head size: {size} (max {max}): raise buffer-size {}", errors::HEAD_TOO_LARGE);
    Error::new(431, reason)
}

#[cold]
fn invalid(what: &str) -> Error {
    Error::new(400, format!("invalid SCGI request: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Body;
    use proptest::prelude::*;

    fn netstring(vars: &[(&str, &str)]) -> Vec<u8> {
        let block: String = vars.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
        format!("{}:{block},", block.len()).into_bytes()
    }

    fn parsed(data: &[u8], cgi: bool) -> Result<(Step, Request), Error> {
        let mut request = Request::default();
        parse(data, &Limits::default(), cgi, &mut request).map(|step| (step, request))
    }

    const VARS: &[(&str, &str)] = &[
        ("CONTENT_LENGTH", "5"),
        ("SCGI", "1"),
        ("REQUEST_METHOD", "POST"),
        ("REQUEST_URI", "/a"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("EMPTY", ""),
    ];

    #[test]
    fn variables_are_offsets_and_the_body_follows() {
        let data = [netstring(VARS), b"hello".to_vec()].concat();
        let (step, request) = parsed(&data, true).expect("a good request");
        assert_eq!((step, request.body), (Step::Head, Body::Sized(5)));
        assert_eq!(&data[request.head_bytes..], b"hello");
        for (name, value) in VARS {
            assert_eq!(request.value(name.as_bytes(), &data, b""), Some(value.as_bytes()), "{name}");
        }
        assert_eq!(request.echo.text(), b"Status: ");
        assert_eq!(parsed(&data, false).expect("good").1.echo.text(), b"HTTP/1.1 ");
    }

    #[test]
    fn every_prefix_needs_more() {
        let data = netstring(VARS);
        for end in 0..data.len() {
            assert_eq!(parsed(&data[..end], true).expect("not wrong yet").0, Step::NeedMore, "{end}");
        }
    }

    #[test]
    fn wrong_netstrings_are_refused() {
        let many: Vec<(&str, &str)> = (0..=Limits::default().vars).map(|_| ("A", "")).collect();
        let cases: &[(&[u8], Option<u16>, &str)] = &[
            (b"GET / HTTP/1.1\r\n", None, "HTTP on a socket for SCGI"),
            (b":A\0B\0,", None, "no length"),
            (b"\x01\x01\0", None, "no length"),
            (b"0:,", Some(400), "no number"),
            (b"04:A\0B\0,", Some(400), "no number"),
            (b"4 :A\0B\0,", Some(400), "no number"),
            (b"4:A\0B\0;", Some(400), "comma"),
            (b"3:A\0B,", Some(400), "without its end"),
            (b"2:A\0,", Some(400), "without its end"),
            (b"3:\0B\0,", Some(400), "without a name"),
            (b"70000:", Some(431), "buffer-size"),
            (b"9999999999", Some(431), "buffer-size"),
            (&netstring(&[("CONTENT_LENGTH", "x")]), Some(400), "Content-Length"),
            (&netstring(&many), Some(431), "variables"),
        ];
        for (data, status, reason) in cases {
            let error = parsed(data, true).expect_err(reason);
            assert_eq!(error.status, *status, "{reason}");
            assert!(error.reason.contains(reason), "{} / {reason}", error.reason);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_read_on(block in proptest::collection::vec(any::<u8>(), 0..200), lie in 0_usize..3) {
            let data = [format!("{}:", block.len() + lie).as_bytes(), &block, b","].concat();
            for data in [&data, &block] {
                if let Ok((Step::Head, request)) = parsed(data, true) {
                    prop_assert!(request.head_bytes <= data.len());
                }
            }
        }
    }
}
