//! What rustls serves with: one configuration for each identity, and which of them a connection gets.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, CipherSuite, InconsistentKeys, RootCertStore, ServerConfig};

use super::Error;
use super::material::{Material, Pem};
use crate::options::tls::{Name, ciphers};

/// Everything a connection may be served with. Made before workers are forked, so that each understands the session
/// tickets of the others.
#[derive(Debug)]
pub struct Shop {
    sockets: Vec<Arc<ServerConfig>>,
    names: Vec<(Name, Arc<ServerConfig>)>,
    /// `https-export-cert`.
    pub export_cert: bool,
}

impl Shop {
    /// Of what was read. The error names the file that is wrong.
    pub fn open(material: &Material, export_cert: bool) -> Result<Shop, Error> {
        let sockets = material.sockets.iter().map(configure).collect::<Result<_, _>>()?;
        let named = |(name, pem): &(Name, Pem)| Ok((name.clone(), configure(pem)?));
        let names = material.names.iter().map(named).collect::<Result<_, Error>>()?;
        Ok(Shop { sockets, names, export_cert })
    }

    /// For a connection to a socket with the identity `number`, from a client that asks for the server by a name.
    pub(super) fn choose(&self, number: usize, asked: Option<&str>) -> Option<&Arc<ServerConfig>> {
        let named = asked.and_then(|asked| self.names.iter().find(|(name, _)| name.is(asked)));
        named.map(|(_, config)| config).or_else(|| self.sockets.get(number))
    }
}

fn configure(pem: &Pem) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(provider(pem.identity.ciphers.as_deref()));
    let key = certified_key(pem, &provider)?;
    let wrong = |error: &dyn std::fmt::Display| {
        Error::Wrong(pem.identity.cert.display().to_string(), error.to_string())
    };
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?
        .with_client_cert_verifier(verifier(pem, provider)?)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ticketer = ring::Ticketer::new().map_err(|error| wrong(&error))?;
    Ok(Arc::new(config))
}

/// ring's algorithms, with the suites of TLS 1.2 that a list leaves.
fn provider(list: Option<&str>) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let chosen = list.map(ciphers::chosen).filter(|chosen| !chosen.is_empty());
    if let Some(chosen) = chosen {
        provider.cipher_suites.retain(|suite| {
            suite.tls13().is_some() || chosen.iter().any(|name| suite_of(name) == Some(suite.suite()))
        });
    }
    provider
}

/// By OpenSSL's name.
fn suite_of(name: &str) -> Option<CipherSuite> {
    Some(match name {
        "ECDHE-ECDSA-AES256-GCM-SHA384" => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES128-GCM-SHA256" => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-AES256-GCM-SHA384" => CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES128-GCM-SHA256" => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305" => CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

/// The chain and its key, which belong together.
fn certified_key(pem: &Pem, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let (cert, key) = (pem.identity.cert.display().to_string(), pem.identity.key.display().to_string());
    let chain = certificates(&cert, &pem.cert)?;
    let secret = PrivateKeyDer::from_pem_slice(pem.key.as_bytes())
        .map_err(|error| Error::Wrong(key.clone(), why_no_key(&error, &pem.key)))?;
    let signer = provider.key_provider.load_private_key(secret).map_err(|_| {
        let why = "the key is of a kind that cannot be used: RSA of 2048 to 8192 bits, ECDSA on P-256 or P-384, or Ed25519";
        Error::Wrong(key.clone(), why.to_owned())
    })?;
    let both = CertifiedKey::new(chain, signer);
    match both.keys_match() {
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let advice = format!(
                "it is not the key of the (first) certificate in {cert}: give the two that belong together"
            );
            Err(Error::Wrong(key, advice))
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::BadEncoding)) => {
            Err(Error::Wrong(cert, "what it calls a certificate is none: the file is damaged".to_owned()))
        }
        // Others are of certificates too old to be compared, which clients may take all the same.
        _ => Ok(both),
    }
}

fn why_no_key(error: &pem::Error, text: &str) -> String {
    if text.contains("ENCRYPTED") {
        return "the key is encrypted, and nobody is there to ask for the word: `openssl pkey -in FILE -out PLAIN` writes it \
                without"
            .to_owned();
    }
    match error {
        pem::Error::NoItemsFound => "there is no key in it (-----BEGIN PRIVATE KEY-----)".to_owned(),
        error => format!("no PEM: {error}"),
    }
}

fn certificates(file: &str, text: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |why: String| Error::Wrong(file.to_owned(), why);
    let all: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("no PEM: {error}")))?;
    if all.is_empty() {
        return Err(wrong("there is no certificate in it (-----BEGIN CERTIFICATE-----)".to_owned()));
    }
    Ok(all)
}

/// Who looks at clients' certificates.
fn verifier(pem: &Pem, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let (Some(text), Some(clients)) = (&pem.clients, &pem.identity.clients) else {
        return Ok(Arc::new(NoClientAuth));
    };
    let file = clients.file.display().to_string();
    let wrong = |error: &dyn std::fmt::Display| Error::Wrong(file.clone(), error.to_string());
    let mut roots = RootCertStore::empty();
    for root in certificates(&file, text)? {
        roots.add(root).map_err(|error| wrong(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if clients.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|error| wrong(&error))
}
