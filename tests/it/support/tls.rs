//! A certificate authority for one test, and a client that trusts it.

use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::client::{Address, Connection};

/// An authority, and the text of its certificate.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate, its chain and its key, in PEM.
pub struct Issued {
    pub cert: String,
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Authority {
        let mut params = CertificateParams::new([]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "tests");
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `name`, which a server and a client can show.
    pub fn issue(&self, name: &str) -> Issued {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        // Python 3.13 insists on it (RFC 5280 §4.2.1.1).
        params.use_authority_key_identifier_extension = true;
        params.distinguished_name.push(DnType::OrganizationName, "Tests & Söhne");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        Issued { cert, key: key.serialize_pem() }
    }

    /// Writes `ca.pem`, and `NAME.crt` and `NAME.key` for each of `names`.
    pub fn furnish(&self, folder: &Path, names: &[&str]) {
        std::fs::write(folder.join("ca.pem"), &self.pem).expect("write ca.pem");
        for name in names {
            self.issue(name).write(folder, name);
        }
    }

    /// A client of a server called `name`.
    pub fn client(&self, name: &'static str) -> Client {
        Client { authority: self.pem.clone(), name, versions: rustls::DEFAULT_VERSIONS, own: None }
    }
}

impl Issued {
    /// Writes `NAME.crt` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.crt")), &self.cert).expect("write a certificate");
        std::fs::write(folder.join(format!("{name}.key")), &self.key).expect("write a key");
    }
}

/// How to connect.
#[derive(Clone)]
pub struct Client {
    authority: String,
    name: &'static str,
    versions: &'static [&'static SupportedProtocolVersion],
    own: Option<Arc<Issued>>,
}

impl Client {
    /// Speaks only this version.
    pub fn version(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Client {
        self.versions = versions;
        self
    }

    /// Shows this certificate.
    pub fn showing(mut self, own: Issued) -> Client {
        self.own = Some(Arc::new(own));
        self
    }

    /// Connects. The handshake takes place with the first bytes.
    #[track_caller]
    pub fn connect(&self, to: &Address) -> Connection {
        let Address::Tcp(address) = to else { panic!("TLS over TCP only") };
        let stream = TcpStream::connect(address).expect("connect");
        let tls =
            ClientConnection::new(Arc::new(self.config()), ServerName::try_from(self.name).expect("a name"));
        Connection::tls(StreamOwned::new(tls.expect("a client"), stream))
    }

    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.as_bytes()).expect("PEM")).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(self.versions)
            .expect("versions")
            .with_root_certificates(roots);
        match &self.own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = vec![CertificateDer::from_pem_slice(own.cert.as_bytes()).expect("PEM")];
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("PEM");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        }
    }
}
