//! What certificates say: whose they are, and until when.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use crate::base::base64;

/// When the first certificate in a PEM text ends, seconds since 1970.
pub fn expiry(pem: &str) -> Option<u64> {
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    let certificate = Certificate::from_der(&der).ok()?;
    Some(certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs())
}

/// What requests of a client with this certificate say of it, as uWSGI's router names it.
pub fn variables(der: &CertificateDer<'_>, export: bool) -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    if let Ok(certificate) = Certificate::from_der(der) {
        all.push(("HTTPS_DN", subject(&certificate).into_bytes()));
    }
    all.push(("HTTPS_CLIENT_CERTIFICATE", der.to_vec()));
    if export {
        all.push(("HTTPS_CC", pem(der).into_bytes()));
    }
    all
}

/// `/C=DE/O=Company/CN=name`: as OpenSSL writes a name on one line.
fn subject(certificate: &Certificate) -> String {
    let mut line = String::new();
    for part in certificate.tbs_certificate.subject.0.iter().flat_map(|name| name.0.iter()) {
        let oid = part.oid.to_string();
        let key = KEYS.iter().find(|(number, _)| *number == oid).map_or(oid.as_str(), |(_, key)| key);
        let _ = write!(line, "/{key}=");
        for &byte in part.value.value() {
            match byte {
                b' '..=b'~' => line.push(char::from(byte)),
                _ => {
                    let _ = write!(line, "\\x{byte:02X}");
                }
            }
        }
    }
    line
}

/// Short names of attributes (RFC 4519 §2, PKCS #9), as OpenSSL has them.
const KEYS: &[(&str, &str)] = &[
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "serialNumber"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "street"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "title"),
    ("2.5.4.17", "postalCode"),
    ("2.5.4.42", "GN"),
    ("2.5.4.43", "initials"),
    ("2.5.4.44", "generationQualifier"),
    ("2.5.4.46", "dnQualifier"),
    ("2.5.4.65", "pseudonym"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "emailAddress"),
];

fn pem(der: &[u8]) -> String {
    /// RFC 7468 §2.
    const LINE: usize = 64;
    let text = base64::encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in text.as_bytes().chunks(LINE) {
        pem.extend(line.iter().map(|&byte| char::from(byte)));
        pem.push('\n');
    }
    pem + "-----END CERTIFICATE-----\n"
}
