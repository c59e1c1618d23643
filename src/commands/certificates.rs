//! What `uwring check` says of certificates and keys. It reads them, and shows nothing of what is in them.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::base::clock;
use crate::options::remark::{Remark, Weight};
use crate::options::settings::{Given, Settings};
use crate::tls::material::Pem;
use crate::tls::{Error, Material, Shop, certificate};

/// A certificate that ends within so many days is told of: who renews them by a job does so a month before.
const SOON_DAYS: u64 = 21;
const DAY_SECONDS: u64 = 86_400;

/// All there is to say.
pub fn remarks(settings: &Settings) -> Vec<Remark> {
    let tls = &settings.sockets.tls;
    if !tls.is_used() {
        return Vec::new();
    }
    let material = match Material::read(tls) {
        Ok(material) => material,
        Err(Error::Unreadable(file, error)) if error.kind() == ErrorKind::PermissionDenied => {
            let text = format!("{file} was not looked at: {error} (the server reads it as who starts it)");
            return vec![about(settings, &file, Weight::Note, text)];
        }
        Err(error) => return vec![fatal(settings, &error)],
    };
    if let Err(error) = Shop::open(&material, tls.export_cert) {
        return vec![fatal(settings, &error)];
    }
    let now = clock::wall_seconds();
    let all = material.sockets.iter().chain(material.names.iter().map(|(_, pem)| pem));
    all.flat_map(|pem| of_pair(settings, pem, now)).collect()
}

fn of_pair(settings: &Settings, pem: &Pem, now: u64) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut note = |file: &Path, text: String| {
        remarks.push(about(settings, &file.display().to_string(), Weight::Note, text));
    };
    let (cert, key) = (&pem.identity.cert, &pem.identity.key);
    if let Some(text) = certificate::expiry(&pem.cert).and_then(|end| ends(end, now)) {
        note(cert, format!("{}: the certificate {text}", cert.display()));
    }
    let mode = std::fs::metadata(key).map_or(0, |key| key.mode());
    if mode & 0o004 != 0 {
        note(key, format!("{}: every user of this machine can read the key: chmod 640", key.display()));
    }
    remarks
}

/// What is to be said of a certificate that ends at this second.
fn ends(end: u64, now: u64) -> Option<String> {
    match end.checked_sub(now) {
        None => Some("has ended: clients will refuse it".to_owned()),
        Some(left) if left < SOON_DAYS * DAY_SECONDS => Some(format!("ends in {} days", left / DAY_SECONDS)),
        Some(_) => None,
    }
}

fn fatal(settings: &Settings, error: &Error) -> Remark {
    let (Error::Unreadable(file, _) | Error::Wrong(file, _)) = error else {
        return Remark::about_all(Weight::Fatal, error.to_string());
    };
    about(settings, file, Weight::Fatal, error.to_string())
}

/// With the place of the option that names the file.
fn about(settings: &Settings, file: &str, weight: Weight, text: String) -> Remark {
    let names = |given: &&Given| given.value.as_ref().is_some_and(|value| value.contains(file));
    match settings.given.iter().find(names) {
        Some(given) => Remark::at(weight, &given.origin, &given.key, text),
        None => Remark::about_all(weight, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ends_soon_is_told() {
        let day = DAY_SECONDS;
        assert_eq!(ends(100 * day, 50 * day), None);
        assert_eq!(ends(60 * day + 5, 50 * day).as_deref(), Some("ends in 10 days"));
        assert!(ends(49 * day, 50 * day).is_some_and(|text| text.contains("has ended")));
    }
}
