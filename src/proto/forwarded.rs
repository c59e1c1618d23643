//! What proxies say about the client in fields: `X-Forwarded-For`, `X-Forwarded-Proto`, and `Forwarded` (RFC 7239).
//!
//! Each proxy appends who it has it from. Read from the end, the first that is no trusted proxy is the client; whatever
//! stands before it, the client may have made up.

use std::net::{IpAddr, SocketAddr};

use crate::base::networks::Networks;

/// The client, given the values of the fields that a trusted peer has sent. `None`: they name nobody.
pub fn client(forwarded_for: Option<&[u8]>, forwarded: Option<&[u8]>, trusted: &Networks) -> Option<IpAddr> {
    // Older, and what proxies send: it counts where both are there.
    let mut hops: Vec<Option<IpAddr>> = match (forwarded_for, forwarded) {
        (Some(list), _) => list.split(|byte| *byte == b',').map(address).collect(),
        (None, Some(list)) => {
            elements(list).map(|element| parameter(element, b"for").and_then(address)).collect()
        }
        (None, None) => return None,
    };
    let mut client = None;
    while let Some(hop) = hops.pop() {
        // `unknown`, or nothing that could be read: the last that is known.
        let Some(hop) = hop else { break };
        client = Some(hop);
        if !trusted.contain(client) {
            break;
        }
    }
    client
}

/// The scheme the client used, of the same fields: the first, which the outermost proxy has seen.
pub fn scheme(proto: Option<&[u8]>, forwarded: Option<&[u8]>) -> Option<&'static [u8]> {
    let said = match (proto, forwarded) {
        (Some(proto), _) => proto.split(|byte| *byte == b',').next(),
        (None, Some(list)) => elements(list).next().and_then(|element| parameter(element, b"proto")),
        (None, None) => None,
    }?;
    match said.trim_ascii() {
        said if said.eq_ignore_ascii_case(b"https") => Some(b"https"),
        said if said.eq_ignore_ascii_case(b"http") => Some(b"http"),
        _ => None,
    }
}

/// The elements of a `Forwarded` field. No proxy writes commas between quotes there.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|byte| *byte == b',')
}

/// The value of a parameter of one element, without its quotes.
fn parameter<'a>(element: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    element.split(|byte| *byte == b';').find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (key, value) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let inner = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        key.eq_ignore_ascii_case(name).then_some(inner.unwrap_or(value))
    })
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip())).ok()?;
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Networks {
        let mut networks = Networks::default();
        networks.add("10.0.0.0/8,fd00::/8").expect("a list");
        networks
    }

    #[test]
    fn the_last_that_is_no_proxy_is_the_client() {
        for (list, client_is) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1, 10.0.0.1", Some("192.0.2.1")),
            ("192.0.2.9, 192.0.2.1,10.0.0.1 , 10.0.0.2", Some("192.0.2.1")),
            ("10.0.0.3, 10.0.0.2", Some("10.0.0.3")),
            ("192.0.2.1, unknown, 10.0.0.2", Some("10.0.0.2")),
            ("192.0.2.1, evil", None),
            ("", None),
            ("192.0.2.1:8080", Some("192.0.2.1")),
            ("[2001:db8::1]:80, fd00::1", Some("2001:db8::1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1,", None),
        ] {
            let found = client(Some(list.as_bytes()), Some(b"for=203.0.113.1"), &trusted());
            assert_eq!(found.map(|found| found.to_string()).as_deref(), client_is, "{list:?}");
        }
    }

    #[test]
    fn forwarded_says_the_same() {
        for (list, client_is, scheme_is) in [
            ("for=192.0.2.1;proto=https", Some("192.0.2.1"), Some("https")),
            (
                "For=\"[2001:db8::1]:80\" ; Proto=HTTPS, for=10.0.0.1;proto=http",
                Some("2001:db8::1"),
                Some("https"),
            ),
            ("for=_hidden, for=10.0.0.1", Some("10.0.0.1"), None),
            ("by=10.0.0.1", None, None),
            ("for=192.0.2.1;proto=gopher", Some("192.0.2.1"), None),
        ] {
            let found = client(None, Some(list.as_bytes()), &trusted());
            assert_eq!(found.map(|found| found.to_string()).as_deref(), client_is, "{list:?}");
            let said = scheme(None, Some(list.as_bytes()));
            assert_eq!(said, scheme_is.map(str::as_bytes), "{list:?}");
        }
        assert_eq!(scheme(Some(b"https, http"), Some(b"proto=http")), Some(b"https".as_slice()));
        assert_eq!(client(None, None, &trusted()), None);
    }
}
