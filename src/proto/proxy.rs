//! The preface of the PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): who the client of a connection
//! is, told by the proxy in front before the first byte of HTTP.
//!
//! Only reading; whether a peer may, or must, send one is the worker's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest line of version 1, bytes, line end and all (§2.1).
const LINE_MAX: usize = 107;
/// The longest preface of version 2 that is read, bytes: addresses and a few fields behind them. Far more than any
/// proxy sends; the protocol allows 64 KiB.
const BYTES_MAX: usize = 4096;

const LINE: &[u8] = b"PROXY ";
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const HEADER: usize = 16;
/// `PP2_TYPE_SSL`, and the bit that says the client came over TLS (§2.2.5).
const TYPE_SSL: u8 = 0x20;
const CLIENT_SSL: u8 = 0x01;

/// What the bytes so far begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preface {
    /// It may become one: call again with the same bytes and more behind them.
    NeedMore,
    /// None: these are the first bytes of a request.
    Absent,
    /// One of this length.
    Whole(usize, Told),
}

/// What a preface tells. The default is nothing: the connection is the proxy's own (a health check), or it does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The client's address, and the one it connected to.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// The client came over TLS.
    pub tls: bool,
}

/// Reads the preface at the beginning of `data`. The error says what is wrong with it.
pub fn parse(data: &[u8]) -> Result<Preface, &'static str> {
    if begins(data, LINE) {
        line(data)
    } else if begins(data, SIGNATURE) {
        block(data)
    } else {
        Ok(Preface::Absent)
    }
}

/// Whether `data` begins with `mark`, as far as it is there.
fn begins(data: &[u8], mark: &[u8]) -> bool {
    let len = data.len().min(mark.len());
    data[..len] == mark[..len]
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`.
fn line(data: &[u8]) -> Result<Preface, &'static str> {
    let head = &data[..data.len().min(LINE_MAX)];
    let Some(end) = head.windows(2).position(|two| two == b"\r\n") else {
        return match data.len() < LINE_MAX {
            true => Ok(Preface::NeedMore),
            false => Err("a PROXY line of more than 107 bytes"),
        };
    };
    let text = std::str::from_utf8(&head[LINE.len()..end]).map_err(|_| "a PROXY line that is no ASCII")?;
    let words: Vec<&str> = text.split(' ').collect();
    let ends = match words[..] {
        ["UNKNOWN", ..] => None,
        ["TCP4", from, to, from_port, to_port] => Some((end_v4(from, from_port)?, end_v4(to, to_port)?)),
        ["TCP6", from, to, from_port, to_port] => Some((end_v6(from, from_port)?, end_v6(to, to_port)?)),
        _ => return Err("a PROXY line other than TCP4, TCP6 or UNKNOWN with two addresses and two ports"),
    };
    Ok(Preface::Whole(end + 2, Told { ends, tls: false }))
}

const NO_ADDRESS: &str = "a PROXY line with an address or a port that is none";

fn end_v4(address: &str, port: &str) -> Result<SocketAddr, &'static str> {
    let address: Ipv4Addr = address.parse().map_err(|_| NO_ADDRESS)?;
    Ok(SocketAddr::new(IpAddr::V4(address), number(port)?))
}

fn end_v6(address: &str, port: &str) -> Result<SocketAddr, &'static str> {
    let address: Ipv6Addr = address.parse().map_err(|_| NO_ADDRESS)?;
    Ok(SocketAddr::new(IpAddr::V6(address), number(port)?))
}

/// Digits alone, no zeros in front.
fn number(port: &str) -> Result<u16, &'static str> {
    let plain = port == "0" || port.bytes().all(|byte| byte.is_ascii_digit()) && !port.starts_with('0');
    port.parse().ok().filter(|_| plain).ok_or(NO_ADDRESS)
}

/// Version 2: signature, version and command, family and transport, length, addresses, fields.
fn block(data: &[u8]) -> Result<Preface, &'static str> {
    let Some((head, rest)) = data.split_at_checked(HEADER) else { return Ok(Preface::NeedMore) };
    let (command, family) = (head[12], head[13]);
    let len = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if command >> 4 != 2 {
        return Err("a PROXY preface of a version other than 1 and 2");
    }
    if HEADER + len > BYTES_MAX {
        return Err("a PROXY preface of more than 4096 bytes");
    }
    let Some(body) = rest.get(..len) else { return Ok(Preface::NeedMore) };
    let told = match command & 0xf {
        // LOCAL: the proxy speaks for itself.
        0 => Told::default(),
        1 => told(family, body)?,
        _ => return Err("a PROXY preface with an unknown command"),
    };
    Ok(Preface::Whole(HEADER + len, told))
}

fn told(family: u8, body: &[u8]) -> Result<Told, &'static str> {
    const SHORT: &str = "a PROXY preface too short for its addresses";
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let (ends, len) = match family {
        0x11 | 0x12 => {
            let four = |at: usize| -> IpAddr { <[u8; 4]>::try_from(&body[at..at + 4]).expect("four").into() };
            body.get(..12).ok_or(SHORT)?;
            (Some((SocketAddr::new(four(0), port(8)), SocketAddr::new(four(4), port(10)))), 12)
        }
        0x21 | 0x22 => {
            let six =
                |at: usize| -> IpAddr { <[u8; 16]>::try_from(&body[at..at + 16]).expect("sixteen").into() };
            body.get(..36).ok_or(SHORT)?;
            (Some((SocketAddr::new(six(0), port(32)), SocketAddr::new(six(16), port(34)))), 36)
        }
        0x31 | 0x32 => (None, body.get(..216).ok_or(SHORT)?.len()),
        // Unspecified, and whatever may come: skipped as a whole.
        _ => return Ok(Told::default()),
    };
    Ok(Told { ends, tls: came_over_tls(&body[len..])? })
}

/// Whether the fields behind the addresses say so: type, length, value.
fn came_over_tls(mut fields: &[u8]) -> Result<bool, &'static str> {
    const CUT: &str = "a PROXY preface whose fields are cut off";
    let mut tls = false;
    while let [kind, high, low, rest @ ..] = fields {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..len).ok_or(CUT)?;
        tls |= *kind == TYPE_SSL && value.first().is_some_and(|bits| bits & CLIENT_SSL != 0);
        fields = &rest[len..];
    }
    if fields.is_empty() { Ok(tls) } else { Err(CUT) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 with this command, family and body.
    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let len = u16::try_from(body.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &len, body].concat()
    }

    fn ends(from: &str, to: &str) -> Option<(SocketAddr, SocketAddr)> {
        Some((from.parse().expect("an address"), to.parse().expect("an address")))
    }

    fn wholes() -> Vec<(Vec<u8>, Told)> {
        let v4 = ends("192.0.2.1:56324", "198.51.100.1:443");
        let v6 = ends("[2001:db8::1]:1", "[::1]:65535");
        let body4 =
            [&[192, 0, 2, 1, 198, 51, 100, 1][..], &56324u16.to_be_bytes(), &443u16.to_be_bytes()].concat();
        let six = |text: &str| text.parse::<Ipv6Addr>().expect("an address").octets();
        let body6 = [&six("2001:db8::1")[..], &six("::1"), &[0, 1, 0xff, 0xff]].concat();
        let told = |ends| Told { ends, tls: false };
        vec![
            (b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n".to_vec(), told(v4)),
            (b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n".to_vec(), told(v6)),
            (b"PROXY UNKNOWN\r\n".to_vec(), Told::default()),
            (b"PROXY UNKNOWN ::1 whatever it says 1 2\r\n".to_vec(), Told::default()),
            (v2(0x21, 0x11, &body4), told(v4)),
            (v2(0x21, 0x21, &body6), told(v6)),
            (v2(0x20, 0x11, &body4), Told::default()),
            (v2(0x20, 0, &[]), Told::default()),
            (v2(0x21, 0, b"anything"), Told::default()),
            (v2(0x21, 0x31, &[0; 216]), Told::default()),
            (
                v2(0x21, 0x11, &[&body4[..], &[0x04, 0, 2, 0, 0], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat()),
                Told { ends: v4, tls: true },
            ),
            (v2(0x21, 0x11, &[&body4[..], &[0x20, 0, 5, 0, 0, 0, 0, 0]].concat()), told(v4)),
        ]
    }

    #[test]
    fn a_preface_is_read_whole_and_at_every_split() {
        for (bytes, told) in wholes() {
            let followed = [&bytes[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(parse(&followed), Ok(Preface::Whole(bytes.len(), told)), "{bytes:?}");
            for end in 0..bytes.len() {
                assert_eq!(parse(&bytes[..end]), Ok(Preface::NeedMore), "{end} of {bytes:?}");
            }
        }
    }

    #[test]
    fn a_request_is_none() {
        for bytes in [
            "GET / HTTP/1.1\r\n",
            "POST /",
            "PROXYX",
            "PROXY\r",
            "\r\nGET",
            "\r\n\r\nGET",
            "\0",
            "PRI * HTTP/2.0",
        ] {
            assert_eq!(parse(bytes.as_bytes()), Ok(Preface::Absent), "{bytes:?}");
        }
        assert_eq!(parse(b"P"), Ok(Preface::NeedMore));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let long = format!("PROXY UNKNOWN {}", "x".repeat(120));
        for line in [
            "PROXY \r\n",
            "PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4 x 198.51.100.1 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 65536 2\r\n",
            "PROXY \u{e9}\r\n",
            &long,
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line:?}");
        }
        for block in [
            v2(0x11, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x21, &[0; 35]),
            v2(0x21, 0x31, &[0; 215]),
            v2(0x21, 0x11, &[0; 13]),
            v2(0x21, 0x11, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 9, 1]),
            v2(0x21, 0x11, &[0; 5000]),
        ] {
            assert!(parse(&block).is_err(), "{block:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(0u8.., 0..300), pick in 0usize..20) {
            let mut data = wholes().get(pick).map(|(bytes, _)| bytes.clone()).unwrap_or_default();
            for (at, byte) in bytes.iter().enumerate().filter(|(at, _)| at % 3 == 0) {
                if let Some(place) = data.get_mut(at) {
                    *place ^= byte & 1 << (at % 8);
                }
            }
            data.extend(&bytes);
            if let Ok(Preface::Whole(len, _)) = parse(&data) {
                proptest::prop_assert!(len <= data.len());
            }
        }
    }
}
