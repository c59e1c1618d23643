//! HTTPS as the options ask for it: which certificate and key, for which sockets and names.

pub mod ciphers;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::settings::Sockets;
use crate::base::pattern::Pattern;

/// What a socket, or a name, proves itself with, and what it asks of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// PEM: the certificate, and those between it and a root.
    pub cert: PathBuf,
    /// PEM: its key.
    pub key: PathBuf,
    /// Cipher suites as OpenSSL's list names them; `None`: all there are.
    pub ciphers: Option<String>,
    /// Whose certificates clients may show.
    pub clients: Option<Clients>,
}

/// Client certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clients {
    /// PEM: the authorities that are believed.
    pub file: PathBuf,
    /// A client without a certificate is turned away (`!FILE`).
    pub required: bool,
}

impl Clients {
    /// `[!]FILE`.
    fn parse(value: &str) -> Option<Clients> {
        let (file, required) = value.strip_prefix('!').map_or((value, false), |file| (file, true));
        (!file.is_empty()).then(|| Clients { file: file.into(), required })
    }
}

/// What a client may call the server to be shown another certificate (SNI, RFC 6066 §3).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Name {
    /// `sni`, and each file of `sni-dir`.
    Exact(String),
    /// `sni-regexp`.
    Like(Pattern),
}

impl Name {
    /// Whether `asked` is meant.
    pub fn is(&self, asked: &str) -> bool {
        match self {
            Name::Exact(name) => name.eq_ignore_ascii_case(asked),
            Name::Like(pattern) => pattern.is_match(asked.as_bytes()),
        }
    }
}

/// HTTPS in all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tls {
    /// Those of the sockets: `Cover::Tls` counts here.
    pub sockets: Vec<Identity>,
    /// `sni`, `sni-regexp`, in order.
    pub names: Vec<(Name, Identity)>,
    /// `sni-dir`: a folder of NAME.crt, NAME.key and NAME.ca.
    pub folder: Option<PathBuf>,
    /// `sni-dir-ciphers`.
    pub folder_ciphers: Option<String>,
    /// `https-export-cert`: the client's certificate as HTTPS_CC.
    pub export_cert: bool,
}

impl Tls {
    /// Whether any socket speaks TLS.
    pub fn is_used(&self) -> bool {
        !self.sockets.is_empty()
    }
}

impl Sockets {
    /// Notes the identity of a socket; its number.
    pub fn add_identity(&mut self, identity: Identity) -> usize {
        self.tls.sockets.push(identity);
        self.tls.sockets.len() - 1
    }
}

/// `CERT,KEY[,CIPHERS[,[!]CA]]`.
pub fn identity(value: &str) -> Result<Identity, String> {
    let mut parts = value.splitn(4, ',').map(str::trim);
    let mut file = |what| {
        parts
            .next()
            .filter(|file| !file.is_empty())
            .ok_or_else(|| format!("{what} is missing"))
            .map(PathBuf::from)
    };
    let (cert, key) = (file("the certificate's file")?, file("the key's file")?);
    let ciphers = parts.next().filter(|list| !list.is_empty()).map(str::to_owned);
    Ok(Identity { cert, key, ciphers, clients: parts.next().and_then(Clients::parse) })
}

/// `ADDRESS,CERT,KEY[,CIPHERS[,[!]CA]]`: address and identity.
pub fn socket(value: &str) -> Result<(&str, Identity), String> {
    let (address, rest) = value.split_once(',').unwrap_or((value, ""));
    let expected = |why| format!("ADDRESS,CERT,KEY[,CIPHERS[,[!]CLIENT_CA]]: {why}");
    if address.trim().is_empty() {
        return Err(expected("the address is missing".to_owned()));
    }
    Ok((address.trim(), identity(rest).map_err(expected)?))
}

/// `addr=…,cert=…,key=…,ciphers=…,clientca=…`.
pub fn socket_by_keys(value: &str) -> Result<(String, Identity), String> {
    let expected = "addr=ADDRESS,cert=FILE,key=FILE[,ciphers=LIST][,clientca=[!]FILE]";
    let [mut address, mut cert, mut key, mut ciphers, mut clients] = [const { None::<&str> }; 5];
    for pair in value.split(',') {
        let (name, value) = pair.split_once('=').ok_or_else(|| format!("{expected}: {pair:?} is no pair"))?;
        match name.trim() {
            "addr" => address = Some(value),
            "cert" | "crt" => cert = Some(value),
            "key" => key = Some(value),
            "ciphers" => ciphers = Some(value),
            "clientca" | "client_ca" => clients = Some(value),
            // uWSGI's experiment before HTTP/2; no client speaks it any more.
            "spdy" => {}
            other => return Err(format!("{expected}: there is no {other:?}")),
        }
    }
    let given = |value: Option<&str>, name| {
        value
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| format!("{expected}: {name} is missing"))
    };
    let identity = Identity {
        cert: given(cert, "cert")?.into(),
        key: given(key, "key")?.into(),
        ciphers: ciphers.filter(|list| !list.is_empty()).map(str::to_owned),
        clients: clients.and_then(Clients::parse),
    };
    Ok((given(address, "addr")?, identity))
}

/// `NAME CERT,KEY[,CIPHERS[,[!]CA]]`.
pub fn name(value: &str) -> Result<(&str, Identity), String> {
    let expected = |why: &str| format!("NAME CERT,KEY[,CIPHERS[,[!]CLIENT_CA]]: {why}");
    let (name, rest) = value.trim().split_once(' ').ok_or_else(|| expected("there is no blank"))?;
    Ok((name, identity(rest.trim()).map_err(|why| expected(&why))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_has_an_address_a_certificate_and_a_key() {
        let (address, all) = socket(":443,a.crt,a.key,HIGH,!ca.pem").unwrap();
        let clients = Some(Clients { file: "ca.pem".into(), required: true });
        let expected =
            Identity { cert: "a.crt".into(), key: "a.key".into(), ciphers: Some("HIGH".into()), clients };
        assert_eq!((address, &all), (":443", &expected));
        let by_keys = "addr=:443,cert=a.crt,key=a.key,spdy=1,ciphers=HIGH,clientca=!ca.pem";
        assert_eq!(socket_by_keys(by_keys), Ok((":443".to_owned(), all)));
        let few = socket("@a,a.crt,a.key,,ca.pem").unwrap().1;
        assert_eq!((few.ciphers, few.clients.map(|clients| clients.required)), (None, Some(false)));
        for wrong in [":443", ":443,a.crt", ":443,a.crt,", ",a,b"] {
            assert!(socket(wrong).is_err(), "{wrong}");
        }
        for wrong in ["addr=:1,cert=a", "cert=a,key=b", "addr=:1,cert=a,key=b,x=y", ":1,a,b"] {
            assert!(socket_by_keys(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_have_an_identity_each() {
        let (name, identity) = super::name("shop.example s.crt,s.key").unwrap();
        assert_eq!((name, identity.cert), ("shop.example", PathBuf::from("s.crt")));
        assert!(super::name("shop.example").is_err() && super::name("shop.example s.crt").is_err());
        assert!(Name::Exact("Shop.example".into()).is("shop.EXAMPLE"));
        let like = Name::Like(Pattern::new(r"^\w+\.example$").unwrap());
        assert!(like.is("a.example") && !like.is("a.b.example"));
    }
}
