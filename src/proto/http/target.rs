//! The request target: its forms (RFC 9112 §3.2), and the parts of it that become variables.

use uwring_abi::AREA_DERIVED;

use super::super::{Error, path};
use super::fields::is_host;
use crate::request::Span;

/// The parts of a request target.
#[derive(Debug)]
pub(super) struct Target {
    /// PATH_INFO.
    pub path: Span,
    /// QUERY_STRING, as received.
    pub query: Span,
    /// Of the absolute form: it outranks `Host`.
    pub authority: Option<Span>,
}

impl Target {
    /// Takes `whole` apart, which lies at `base` in the head; a path that needs decoding goes to `derived`. `root`
    /// is the path of a target without one.
    pub(super) fn of(
        method: &[u8],
        whole: &[u8],
        base: u32,
        root: Span,
        derived: &mut Vec<u8>,
    ) -> Result<Target, Error> {
        let (local, authority) = match whole {
            _ if method == b"CONNECT" => return Err(Error::new(501, "CONNECT: this is no proxy".into())),
            [b'/', ..] => (0, None),
            b"*" if method == b"OPTIONS" => {
                return Ok(Target { path: Span::head(base, 1), query: Span::default(), authority: None });
            }
            _ => {
                let (start, end) = absolute(whole)?;
                (end, Some(Span::head(base + start as u32, (end - start) as u32)))
            }
        };
        let (path, query) = split(&whole[local..], base + local as u32, root, derived)?;
        Ok(Target { path, query, authority })
    }
}

/// Where the authority of an absolute target begins and ends.
fn absolute(whole: &[u8]) -> Result<(usize, usize), Error> {
    let begins = |scheme: &[u8]| whole.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
    let start = match () {
        () if begins(b"http://") => 7,
        () if begins(b"https://") => 8,
        () => return Err(Error::new(400, "a request target that is neither a path nor a URI".into())),
    };
    let len = whole[start..].iter().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let end = len.map_or(whole.len(), |len| start + len);
    // It becomes the Host, so it is held to the same; user information in it is a lure (RFC 9110 §4.2.4).
    if start == end || !is_host(&whole[start..end]) {
        return Err(Error::new(400, "a URI without a host, or with more than a host and a port".into()));
    }
    Ok((start, end))
}

/// Bytes that end the plain part of a path, or ask for a closer look.
const SPECIAL: [bool; 256] = {
    let (mut table, mut at) = ([false; 256], 0);
    while at < b"?#%.".len() {
        table[b"?#%."[at] as usize] = true;
        at += 1;
    }
    table
};

/// Path and query, in one walk over the path.
fn split(local: &[u8], base: u32, root: Span, derived: &mut Vec<u8>) -> Result<(Span, Span), Error> {
    let (mut end, mut plain, mut from) = (local.len(), true, 0);
    while let Some(step) = local[from..].iter().position(|byte| SPECIAL[usize::from(*byte)]) {
        let at = from + step;
        match local[at] {
            b'?' => {
                end = at;
                break;
            }
            b'#' => return Err(fragment()),
            b'%' => plain = false,
            // `/.` may begin a dot segment.
            _ => plain &= at == 0 || local[at - 1] != b'/',
        }
        from = at + 1;
    }
    let query = match local.get(end + 1..) {
        Some(query) if query.contains(&b'#') => return Err(fragment()),
        Some(query) => Span::head(base + end as u32 + 1, query.len() as u32),
        None => Span::default(),
    };
    let path = match (end, plain) {
        (0, _) => root,
        (_, true) => Span::head(base, end as u32),
        (_, false) => {
            let start = derived.len();
            path::decode(&local[..end], derived)?;
            Span { area: AREA_DERIVED, off: start as u32, len: (derived.len() - start) as u32 }
        }
    };
    Ok((path, query))
}

fn fragment() -> Error {
    Error::new(400, "a fragment in the request target".into())
}
