//! From a request target's path to PATH_INFO: percent-decoding and literal dot segments, as uWSGI does it, so that an
//! application sees the same path directly as behind nginx.

use super::Error;

/// Whether `path` is its own PATH_INFO.
pub fn is_plain(path: &[u8]) -> bool {
    // Almost every path has neither character: one look for both.
    let mut before = 0;
    path.iter().all(|&byte| {
        let plain = byte != b'%' && !(byte == b'.' && before == b'/');
        before = byte;
        plain
    })
}

/// Appends PATH_INFO for `path`. Dot segments are resolved before decoding, so that an encoded dot is only a
/// character; none leads above the root.
pub fn decode(path: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let mut segments = path.split(|&byte| byte == b'/').peekable();
    // An absolute path begins with a slash, so the first segment is the nothing before it.
    segments.next();
    while let Some(segment) = segments.next() {
        match segment {
            b"." => {}
            b".." => {
                let parent = out[start..].iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                out.truncate(start + parent);
            }
            _ => {
                out.push(b'/');
                unescape(segment, out)?;
                continue;
            }
        }
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
    if out.len() == start {
        out.push(b'/');
    }
    Ok(())
}

/// Appends `text` with `%XX` decoded.
fn unescape(text: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let mut rest = text.iter();
    while let Some(&byte) = rest.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (rest.next().and_then(digit), rest.next().and_then(digit)) else {
            return Err(Error::new(400, "a percent sign without two hexadecimal digits in the path".into()));
        };
        match high << 4 | low {
            0 => return Err(Error::new(400, "an encoded NUL in the path".into())),
            byte => out.push(byte),
        }
    }
    Ok(())
}

fn digit(byte: &u8) -> Option<u8> {
    char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_as_uwsgi_decodes_them() {
        let cases = [
            ("/", "/"),
            ("/a%20b+c", "/a b+c"),
            ("/a%2Fb", "/a/b"),
            ("/100%25/a%2525b", "/100%/a%25b"),
            ("/caf%C3%A9", "/caf\u{e9}"),
            ("/static/../b/./c.d/..e", "/b/c.d/..e"),
            ("/a/%2e%2e/b", "/a/../b"),
            ("/../../x", "/x"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("//a///b/", "//a///b/"),
        ];
        for (path, expected) in cases {
            let mut out = Vec::new();
            decode(path.as_bytes(), &mut out).expect(path);
            assert_eq!(String::from_utf8_lossy(&out), expected, "{path}");
        }
    }

    #[test]
    fn broken_escapes_and_nul_are_refused() {
        for path in ["/%", "/%4", "/%zz", "/a%00b", "/%+1"] {
            assert_eq!(decode(path.as_bytes(), &mut Vec::new()).expect_err(path).status, Some(400), "{path}");
        }
    }

    #[test]
    fn a_plain_path_is_left_alone() {
        assert!(is_plain(b"/a/b.c") && is_plain(b"//x"));
        assert!(!is_plain(b"/a%20") && !is_plain(b"/.x") && !is_plain(b"/a/../b"));
    }
}
