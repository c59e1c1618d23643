//! The request target: its four forms (RFC 9112 §3.2), and the path as `PATH_INFO` shows it.

use uwring_abi::AREA_DERIVED;

use super::super::Error;
use crate::request::Span;

/// What a request target says.
#[derive(Debug)]
pub(super) struct Target {
    /// `PATH_INFO`.
    pub path: Span,
    /// `QUERY_STRING`, raw.
    pub query: Span,
    /// Of an absolute target: takes the place of Host (RFC 9112 §3.2.2).
    pub authority: Option<Span>,
}

/// Takes `uri` apart, which begins at `base` in the head. `root` is a `/` for targets that have no path.
pub(super) fn resolve(
    method: &[u8],
    uri: &[u8],
    base: u32,
    root: Span,
    derived: &mut Vec<u8>,
) -> Result<Target, Error> {
    let (skip, authority) = match uri {
        _ if method == b"CONNECT" => return Err(Error::refuse(501, "CONNECT is a proxy's business")),
        [b'/', ..] => (0, None),
        b"*" if method == b"OPTIONS" => {
            let path = Span::head(base, 1);
            return Ok(Target { path, query: Span::head(base + 1, 0), authority: None });
        }
        _ => {
            let (start, end) = absolute(uri)?;
            (end, Some(Span::head(base + start as u32, (end - start) as u32)))
        }
    };
    let (path, query) = split(&uri[skip..], base + skip as u32, root, derived)?;
    Ok(Target { path, query, authority })
}

/// Where the authority of an absolute target begins and ends.
fn absolute(uri: &[u8]) -> Result<(usize, usize), Error> {
    let scheme = |text: &[u8]| uri.get(..text.len()).is_some_and(|start| start.eq_ignore_ascii_case(text));
    let start = match () {
        () if scheme(b"http://") => 7,
        () if scheme(b"https://") => 8,
        () => return Err(Error::refuse(400, "invalid HTTP request: target is neither a path nor a URL")),
    };
    let len = uri[start..].iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
    let end = len.map_or(uri.len(), |len| start + len);
    // An empty authority is invalid, and a user name in one is a lure (RFC 9110 §4.2.1, §4.2.4).
    if !super::fields::is_host(&uri[start..end]) || start == end {
        return Err(Error::refuse(400, "invalid HTTP request: invalid authority in the target"));
    }
    Ok((start, end))
}

/// What ends the plain part of a path, or needs a closer look.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < b"?#%.".len() {
        table[b"?#%."[at] as usize] = true;
        at += 1;
    }
    table
};

/// Path and query of `uri`. The path ends at `?` or, as in uWSGI, at a `#` that has no business here; it is copied
/// to `derived` only where it must be changed.
fn split(uri: &[u8], base: u32, root: Span, derived: &mut Vec<u8>) -> Result<(Span, Span), Error> {
    let (mut end, mut plain) = (uri.len(), true);
    let mut from = 0;
    while let Some(at) = uri[from..].iter().position(|b| SPECIAL[usize::from(*b)]) {
        let at = from + at;
        match uri[at] {
            b'?' | b'#' => {
                end = at;
                break;
            }
            b'%' => plain = false,
            // `/.`: perhaps a dot segment.
            _ => plain &= at == 0 || uri[at - 1] != b'/',
        }
        from = at + 1;
    }
    let query = match uri[end..].iter().position(|b| *b == b'?') {
        Some(at) => Span::head(base + (end + at) as u32 + 1, (uri.len() - end - at - 1) as u32),
        None => Span::head(base + uri.len() as u32, 0),
    };
    let path = match (end, plain) {
        (0, _) => root,
        (_, true) => Span::head(base, end as u32),
        (_, false) => rewritten(&uri[..end], derived)?,
    };
    Ok((path, query))
}

/// Decodes `path` into `derived`: dot segments first, then `%`, so that `%2e%2e` is a name and no way up.
fn rewritten(path: &[u8], derived: &mut Vec<u8>) -> Result<Span, Error> {
    let start = derived.len();
    collapse(path, derived);
    decode(derived, start)?;
    Ok(Span { area: AREA_DERIVED, off: start as u32, len: (derived.len() - start) as u32 })
}

/// Appends `path` without its `.` and `..` segments (RFC 3986 §5.2.4); `..` at the root stays there.
fn collapse(path: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut segments = path[1..].split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"." => {}
            b".." => {
                let parent = out[start..].iter().rposition(|b| *b == b'/').unwrap_or(0);
                out.truncate(start + parent);
            }
            name => {
                out.push(b'/');
                out.extend_from_slice(name);
                continue;
            }
        }
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
}

/// Undoes `%XX` in place from `start`. Malformed ones and NUL are refused: uWSGI makes garbage of the first, and
/// the second ends a file name early in every C library.
fn decode(text: &mut Vec<u8>, start: usize) -> Result<(), Error> {
    let (mut read, mut write) = (start, start);
    while read < text.len() {
        let mut byte = text[read];
        read += 1;
        if byte == b'%' {
            byte = match (text.get(read).and_then(hex), text.get(read + 1).and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Error::refuse(400, "invalid HTTP request: malformed % in the path")),
            };
            read += 2;
        }
        if byte == 0 {
            return Err(Error::refuse(400, "invalid HTTP request: NUL in the path"));
        }
        text[write] = byte;
        write += 1;
    }
    text.truncate(write);
    Ok(())
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).map(|value| value as u8)
}
