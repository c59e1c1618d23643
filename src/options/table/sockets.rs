//! Rows: what the server listens on.

use super::super::draft::Draft;
use super::super::row::{Kind::*, Reading, Row, Takes, always, bare, row};
use super::super::settings::SocketProtocol;
use crate::base::text;

const ADDRESS: Takes = Takes::Value("ADDRESS");

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["socket"],
        Set(ADDRESS, plain),
        "listen here, for what `protocol` says (uwsgi): HOST:PORT, a path, @ABSTRACT or fd://N",
    )
    .short('s'),
    row(
        &["uwsgi-socket"],
        Set(ADDRESS, |s, v| own(s, v, SocketProtocol::Uwsgi)),
        "listen here for the uwsgi protocol (nginx: uwsgi_pass)",
    ),
    row(
        &["http-socket", "http11-socket"],
        Set(ADDRESS, |s, v| own(s, v, SocketProtocol::Http)),
        "listen here for HTTP",
    ),
    row(
        &["http", "httprouter"],
        Set(ADDRESS, |s, v| own(s, v, SocketProtocol::Http)),
        "listen here for HTTP; the workers serve it themselves, without a router between",
    ),
    row(
        &["protocol", "socket-protocol"],
        Set(Takes::Value("PROTOCOL"), protocol),
        "what `socket` speaks: uwsgi, http, fastcgi, scgi, or auto (uwsgi or http, told by the first byte)",
    ),
    row(
        &["listen"],
        CountIfSet(|s| &mut s.sockets.listen),
        "connections that may wait to be accepted (default: what the kernel allows)",
    )
    .short('l'),
    row(
        &["chmod-socket", "chmod"],
        Set(Takes::Maybe("MODE"), chmod),
        "mode of unix sockets, in octal; 666 without a value",
    )
    .short('C'),
    row(&["chown-socket"], Text(|s| &mut s.sockets.chown, "USER[:GROUP]"), "owner of unix sockets"),
    row(
        &["reuse-port"],
        Flag(|s| &mut s.sockets.reuse_port),
        "let several servers listen on the same port (SO_REUSEPORT)",
    ),
    row(
        &["so-keepalive"],
        Flag(|s| &mut s.sockets.keepalive),
        "have the kernel test idle connections (SO_KEEPALIVE)",
    ),
    row(
        &["freebind"],
        Flag(|s| &mut s.sockets.freebind),
        "listen on addresses this machine does not have yet (IP_FREEBIND)",
    ),
    bare(&["tcp-nodelay"], Takes::Nothing, "send small packets at once")
        .accepted("TCP_NODELAY is always set"),
    always(&["no-defer-accept"], Takes::Nothing, "accept a connection before it sent anything", ""),
    row(
        &["abstract-socket"],
        Flag(|s| &mut s.abstract_names),
        "unix sockets live in the abstract namespace, as those written @NAME do",
    )
    .short('a'),
    row(
        &["fastcgi-socket"],
        Set(ADDRESS, |s, v| own(s, v, SocketProtocol::FastCgi)),
        "listen here for FastCGI (nginx: fastcgi_pass, with PATH_INFO among the parameters)",
    ),
    row(
        &["fastcgi-nph-socket"],
        Set(ADDRESS, |s, v| own(s, v, SocketProtocol::FastCgiNph)),
        "listen here for FastCGI, and begin answers with a status line",
    ),
    row(
        &["scgi-socket"],
        Set(ADDRESS, |s, v| own(s, v, SocketProtocol::Scgi)),
        "listen here for SCGI (nginx: scgi_pass, with PATH_INFO among the parameters)",
    ),
    row(
        &["scgi-nph-socket"],
        Set(ADDRESS, |s, v| own(s, v, SocketProtocol::ScgiNph)),
        "listen here for SCGI, and begin answers with a status line",
    ),
    row(
        &["fastcgi-modifier1", "scgi-modifier1"],
        Set(Takes::Value("N"), |s, value| match value.trim().parse() {
            Ok(number @ (0 | 30)) => {
                s.http_modifier = number;
                Ok(None)
            }
            _ => Err("0: requests are for Python".to_owned()),
        }),
        "who answers requests that come over FastCGI and SCGI: 0, Python",
    ),
    bare(&["fastcgi-modifier2", "scgi-modifier2"], Takes::Value("N"), "a word for who answers")
        .accepted("Python listens to no such word"),
    row(
        &["shared-socket", "undeferred-shared-socket"],
        List(|s| &mut s.shared, "ADDRESS"),
        "an address for sockets that name it =N, from 0 (all sockets are opened before privileges are dropped)",
    ),
    row(
        &["socket-sndbuf"],
        CountIfSet(|s| &mut s.sockets.send_buffer),
        "size of the kernel's send buffer of each TCP connection, bytes (SO_SNDBUF)",
    ),
    row(
        &["socket-rcvbuf"],
        CountIfSet(|s| &mut s.sockets.receive_buffer),
        "size of the kernel's receive buffer of each TCP connection, bytes (SO_RCVBUF)",
    ),
    row(
        &["tcp-fastopen", "tcp-fast-open"],
        CountIfSet(|s| &mut s.sockets.fast_open),
        "let so many clients send a request in their first packet (TCP_FASTOPEN)",
    ),
    row(
        &["map-socket"],
        Set(Takes::Value("SOCKET:WORKERS"), map),
        "let only these workers accept on the socket of this number, counted from 0",
    ),
];

fn plain(draft: &mut Draft, address: &str) -> Reading {
    draft.add_plain_socket(some_address(address)?);
    Ok(None)
}

fn own(draft: &mut Draft, address: &str, protocol: SocketProtocol) -> Reading {
    draft.add_socket(some_address(address)?, protocol);
    Ok(None)
}

fn some_address(address: &str) -> Result<&str, String> {
    if address.is_empty() {
        return Err("an address: HOST:PORT, a path, @ABSTRACT or fd://N".to_owned());
    }
    Ok(address)
}

const PROTOCOLS: &str = "uwsgi, http, fastcgi, scgi or auto";

fn protocol(draft: &mut Draft, value: &str) -> Reading {
    draft.protocol = match value {
        "uwsgi" => SocketProtocol::Uwsgi,
        "http" | "http11" => SocketProtocol::Http,
        "auto" => SocketProtocol::Auto,
        "fastcgi" => SocketProtocol::FastCgi,
        "fastcgi-nph" => SocketProtocol::FastCgiNph,
        "scgi" => SocketProtocol::Scgi,
        "scgi-nph" => SocketProtocol::ScgiNph,
        _ => return Err(PROTOCOLS.to_owned()),
    };
    Ok(None)
}

/// `0:1,2`.
fn map(draft: &mut Draft, value: &str) -> Reading {
    let expected = || "SOCKET:WORKER,WORKER, as 0:1,2".to_owned();
    let (socket, workers) = value.split_once(':').ok_or_else(expected)?;
    let socket = socket.trim().parse().map_err(|_| expected())?;
    let workers = workers.split(',').map(|worker| worker.trim().parse().map_err(|_| expected()));
    draft.sockets.map.push((socket, workers.collect::<Result<_, _>>()?));
    Ok(None)
}

/// Without a value, with `1` or with nothing after the `=`: everyone may connect.
fn chmod(draft: &mut Draft, value: &str) -> Reading {
    draft.sockets.chmod = Some(match value {
        "" | "1" => 0o666,
        _ => text::octal(value).ok_or("three octal digits like 664, or nothing for 666")?,
    });
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chmod_socket_without_a_mode_is_666() {
        for (value, mode) in [("", 0o666), ("1", 0o666), ("660", 0o660), ("0664", 0o664)] {
            let mut draft = Draft::default();
            chmod(&mut draft, value).unwrap();
            assert_eq!(draft.sockets.chmod, Some(mode), "{value}");
        }
        assert!(chmod(&mut Draft::default(), "rw").is_err());
    }

    #[test]
    fn protocols_have_names() {
        let mut draft = Draft::default();
        protocol(&mut draft, "auto").unwrap();
        assert_eq!(draft.protocol, SocketProtocol::Auto);
        assert_eq!(protocol(&mut draft, "raw"), Err(PROTOCOLS.to_owned()));
        for (word, means) in [("scgi", SocketProtocol::Scgi), ("fastcgi-nph", SocketProtocol::FastCgiNph)] {
            protocol(&mut draft, word).unwrap();
            assert_eq!(draft.protocol, means);
        }
    }

    #[test]
    fn sockets_are_mapped_to_workers() {
        let mut draft = Draft::default();
        map(&mut draft, "0:1, 2").unwrap();
        map(&mut draft, "0:4").unwrap();
        let of_first: Vec<u32> = (1..=5).filter(|worker| draft.sockets.is_for(0, *worker)).collect();
        assert_eq!(of_first, [1, 2, 4]);
        assert!((1..=5).all(|worker| draft.sockets.is_for(1, worker)));
        for wrong in ["0", "x:1", "0:", "0:x"] {
            assert!(map(&mut draft, wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn http_sockets_face_clients() {
        let mut draft = Draft::default();
        own(&mut draft, ":80", SocketProtocol::Http).unwrap();
        own(&mut draft, ":81", SocketProtocol::Uwsgi).unwrap();
        let faces: Vec<_> = draft.sockets.specs.iter().map(|s| s.faces_clients).collect();
        assert_eq!(faces, [true, false]);
        assert!(plain(&mut draft, "").is_err());
    }
}
