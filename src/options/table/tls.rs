//! Rows: HTTPS.

use super::super::draft::Draft;
use super::super::row::{Kind::*, Reading, Row, Takes, bare, row};
use super::super::settings::{Cover, SocketProtocol};
use super::super::tls::{self, Identity, Name, ciphers};
use crate::base::pattern::Pattern;

const SOCKET: Takes = Takes::Value("ADDRESS,CERT,KEY[,CIPHERS[,[!]CA]]");
const NAME: Takes = Takes::Value("NAME CERT,KEY[,CIPHERS[,[!]CA]]");
const RESUMED: &str = "sessions are resumed by tickets that all workers understand, without a cache";

const TOO_OLD: &str = "there is TLS 1.2 and 1.3; who needs less wants a proxy in front that still has it";

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["https-socket"],
        Set(SOCKET, |s, v| socket(s, v, SocketProtocol::Http)),
        "listen here for HTTP over TLS; with CA, clients may show a certificate, with !CA they must",
    ),
    row(
        &["https"],
        Set(SOCKET, |s, v| socket(s, v, SocketProtocol::Http)),
        "the same: the workers serve it themselves, without a router between",
    ),
    row(
        &["https2"],
        Set(Takes::Value("addr=…,cert=…,key=…[,ciphers=…][,clientca=…]"), by_keys),
        "the same, as pairs",
    ),
    row(
        &["suwsgi-socket", "ssl-socket"],
        Set(SOCKET, |s, v| socket(s, v, SocketProtocol::Uwsgi)),
        "listen here for the uwsgi protocol over TLS",
    ),
    row(
        &["http-to-https"],
        Set(Takes::Value("ADDRESS[,PORT]"), redirect),
        "listen here for HTTP, and send every client to the same path of https://, on PORT",
    ),
    row(
        &["https-export-cert"],
        Flag(|s| &mut s.sockets.tls.export_cert),
        "tell the application the client's certificate, in PEM, as HTTPS_CC",
    ),
    row(
        &["sni"],
        Set(NAME, |s, v| {
            let (name, identity) = tls::name(v)?;
            Ok(add_name(s, Name::Exact(name.to_owned()), identity))
        }),
        "another certificate for clients that ask for this name",
    ),
    row(
        &["sni-regexp"],
        Set(NAME, |s, v| {
            let (name, identity) = tls::name(v)?;
            let pattern = Pattern::new(name).map_err(|why| format!("a regular expression: {why}"))?;
            Ok(add_name(s, Name::Like(pattern), identity))
        }),
        "the same for names that a regular expression matches",
    ),
    row(
        &["sni-dir"],
        Path(|s| &mut s.sockets.tls.folder, "FOLDER"),
        "a folder of NAME.crt and NAME.key (and NAME.ca, whose clients are asked for certificates)",
    ),
    row(
        &["sni-dir-ciphers"],
        Set(Takes::Value("LIST"), |s, v| {
            s.sockets.tls.folder_ciphers = Some(v.to_owned());
            Ok(ciphers::remark(v))
        }),
        "the cipher suites of sni-dir",
    ),
    bare(&["https-session-context"], Takes::Value("TEXT"), "a name for the sessions of this server").accepted(RESUMED),
    bare(
        &["ssl-sessions-use-cache", "ssl-session-use-cache"],
        Takes::Maybe("CACHE"),
        "keep TLS sessions in a cache",
    )
    .accepted(RESUMED),
    bare(
        &["ssl-sessions-timeout", "ssl-session-timeout"],
        Takes::Value("SECONDS"),
        "how long a TLS session can be resumed",
    )
    .accepted("the keys of tickets are replaced every six hours, and at each reload"),
    bare(&["ssl-verify-depth"], Takes::Maybe("N"), "the longest chain of client certificates")
        .accepted("chains of any usual length are followed to the authority"),
    bare(&["ssl-verbose"], Takes::Nothing, "log failed handshakes").accepted("they are always logged, so many a second"),
    bare(&["ssl-tmp-dir"], Takes::Value("FOLDER"), "where TLS keeps temporary files")
        .accepted("there are none"),
    bare(&["ssl-enable3", "ssl-enable-sslv3"], Takes::Nothing, "allow SSLv3")
        .refused(TOO_OLD),
    bare(&["ssl-enable-tlsv1"], Takes::Nothing, "allow TLS 1.0")
        .refused(TOO_OLD),
    bare(&["ssl-option"], Takes::Maybe("NUMBER"), "a switch of OpenSSL")
        .refused("it is OpenSSL's and this is rustls; what such switches forbid (old versions, compression, renegotiation) is not there"),
];

fn socket(draft: &mut Draft, value: &str, protocol: SocketProtocol) -> Reading {
    let (address, identity) = tls::socket(value)?;
    Ok(add(draft, address, identity, protocol))
}

fn by_keys(draft: &mut Draft, value: &str) -> Reading {
    let (address, identity) = tls::socket_by_keys(value)?;
    Ok(add(draft, &address, identity, SocketProtocol::Http))
}

fn add(draft: &mut Draft, address: &str, identity: Identity, protocol: SocketProtocol) -> Option<String> {
    let remark = identity.ciphers.as_deref().and_then(ciphers::remark);
    let number = draft.sockets.add_identity(identity);
    draft.add_covered(address, protocol, Cover::Tls(number));
    remark
}

fn add_name(draft: &mut Draft, name: Name, identity: Identity) -> Option<String> {
    let remark = identity.ciphers.as_deref().and_then(ciphers::remark);
    draft.sockets.tls.names.push((name, identity));
    remark
}

/// `ADDRESS[,PORT]`.
fn redirect(draft: &mut Draft, value: &str) -> Reading {
    let (address, port) = value.split_once(',').unwrap_or((value, "0"));
    let port =
        port.trim().parse().map_err(|_| "ADDRESS, or ADDRESS,PORT with the port of https".to_owned())?;
    if address.trim().is_empty() {
        return Err("an address: HOST:PORT, a path, @ABSTRACT or fd://N".to_owned());
    }
    draft.add_covered(address.trim(), SocketProtocol::Http, Cover::ToHttps(port));
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_know_their_cover() {
        let mut draft = Draft::default();
        socket(&mut draft, ":1,a,b", SocketProtocol::Http).unwrap();
        by_keys(&mut draft, "addr=:2,cert=c,key=d").unwrap();
        redirect(&mut draft, ":3").unwrap();
        redirect(&mut draft, ":4,8443").unwrap();
        let covers: Vec<_> = draft.sockets.specs.iter().map(|s| (s.cover, s.faces_clients)).collect();
        let expected = [Cover::Tls(0), Cover::Tls(1), Cover::ToHttps(0), Cover::ToHttps(8443)];
        assert_eq!(covers, expected.map(|cover| (cover, true)));
        assert_eq!(draft.sockets.tls.sockets[1].cert.to_str(), Some("c"));
        assert!(redirect(&mut draft, ":5,x").is_err() && redirect(&mut draft, "").is_err());
    }

    #[test]
    fn a_list_of_ciphers_that_cannot_be_followed_is_told() {
        let mut draft = Draft::default();
        let said = socket(&mut draft, ":1,a,b,RC4", SocketProtocol::Http).unwrap().expect("a remark");
        assert!(said.contains("rustls"), "{said}");
        assert_eq!(socket(&mut draft, ":1,a,b,HIGH", SocketProtocol::Http), Ok(None));
    }
}
