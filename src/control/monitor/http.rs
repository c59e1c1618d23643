//! As much HTTP as somebody who looks needs: one GET a connection. Pure: bytes in, bytes out.

/// The longest head of a request, bytes.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, without the query.
    pub path: &'a str,
    /// Field `Accept`, or nothing.
    pub accept: &'a str,
}

/// Reads a head. `None`: it is not whole yet. The error is the status it is refused with.
pub fn parse(bytes: &[u8]) -> Result<Option<Asked<'_>>, &'static str> {
    const BAD: &str = "400 Bad Request";
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() > HEAD_BYTES_MAX {
            Err("431 Request Header Fields Too Large")
        } else {
            Ok(None)
        };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| BAD)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD);
    };
    if !version.starts_with("HTTP/1.") {
        return Err("505 HTTP Version Not Supported");
    }
    // Proxies send the whole (RFC 9112 §3.2.2).
    let target =
        target.strip_prefix("http://").map_or(target, |rest| rest.find('/').map_or("/", |at| &rest[at..]));
    let accept = lines.filter_map(|line| line.split_once(':'));
    let accept =
        accept.filter(|(name, _)| name.eq_ignore_ascii_case("accept")).map(|(_, value)| value.trim());
    let path = target.split('?').next().unwrap_or_default();
    Ok(Some(Asked { method, path, accept: accept.last().unwrap_or_default() }))
}

/// A whole answer, which ends the connection. `fields`: more of them, each with its line end.
pub fn response(status: &str, kind: &str, fields: &str, body: &[u8], head_only: bool) -> Vec<u8> {
    let mut bytes = format!(
        "HTTP/1.0 {status}\r\nConnection: close\r\n{fields}Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if !head_only {
        bytes.extend_from_slice(body);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_it_is_whole() {
        let text = b"GET http://h/metrics?x=1 HTTP/1.1\r\nHost: h\r\nACCEPT: text/plain \r\n\r\nrest";
        let asked = Asked { method: "GET", path: "/metrics", accept: "text/plain" };
        assert_eq!(parse(text), Ok(Some(asked)));
        let head = text.len() - 4;
        assert!((0..head).all(|len| parse(&text[..len]) == Ok(None)));
    }

    #[test]
    fn nonsense_is_refused() {
        for (text, status) in [
            ("GET /\r\n\r\n", "400"),
            ("GET / x HTTP/1.1\r\n\r\n", "400"),
            ("GET / HTTP/2\r\n\r\n", "505"),
            ("\r\n\r\n", "400"),
        ] {
            assert!(parse(text.as_bytes()).expect_err(text).starts_with(status), "{text:?}");
        }
        assert!(parse(&[b'x'; HEAD_BYTES_MAX + 1]).expect_err("too long").starts_with("431"));
    }

    #[test]
    fn the_answer_to_head_has_no_body() {
        let whole =
            String::from_utf8(response("200 OK", "text/plain", "A: b\r\n", b"hi", false)).expect("text");
        assert_eq!(
            whole,
            "HTTP/1.0 200 OK\r\nConnection: close\r\nA: b\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi"
        );
        assert!(whole.starts_with(&*String::from_utf8_lossy(&response(
            "200 OK",
            "text/plain",
            "A: b\r\n",
            b"hi",
            true
        ))));
    }
}
