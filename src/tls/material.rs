//! Certificates and keys as their files have them. The master reads them as root and keeps them sealed in memory,
//! where no other process has them but those that serve with them.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::Error;
use crate::options::settings::Tls;
use crate::options::tls::{Clients, Identity, Name};
use crate::sys::exec;

/// No file of certificates is larger, bytes.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// One identity, read. Neither shown nor logged.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pem {
    /// Where it is from.
    pub identity: Identity,
    /// Text of `identity.cert`.
    pub cert: String,
    /// Text of `identity.key`.
    pub key: String,
    /// Text of the authorities' file.
    pub clients: Option<String>,
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pem").field(&self.identity.cert).finish_non_exhaustive()
    }
}

impl Drop for Pem {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

/// All of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Material {
    /// Those of the sockets.
    pub sockets: Vec<Pem>,
    /// Those of names, in the order in which names are compared.
    pub names: Vec<(Name, Pem)>,
}

impl Material {
    /// Reads everything that the options name.
    pub fn read(tls: &Tls) -> Result<Material, Error> {
        let sockets = tls.sockets.iter().map(read).collect::<Result<_, _>>()?;
        let mut names = Vec::new();
        for (name, identity) in &tls.names {
            names.push((name.clone(), read(identity)?));
        }
        for (name, identity) in in_folder(tls)? {
            names.push((Name::Exact(name), read(&identity)?));
        }
        Ok(Material { sockets, names })
    }

    /// Seals it in a file of memory.
    pub fn seal(&self) -> Result<OwnedFd, Error> {
        let seal = || {
            let mut file = exec::memory_file("uwring-tls")?;
            let mut text = serde_json::to_vec(self)?;
            let written = file.write_all(&text);
            text.zeroize();
            written.map(|()| OwnedFd::from(file))
        };
        seal().map_err(Error::Handover)
    }

    /// Reads it out of there.
    pub fn unseal(sealed: &OwnedFd) -> Result<Material, Error> {
        let read = || {
            // The place in the file is shared with all who have it.
            let mut file = File::from(sealed.try_clone()?);
            file.rewind()?;
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            let material = serde_json::from_slice(&text);
            text.zeroize();
            Ok(material?)
        };
        read().map_err(Error::Handover)
    }
}

fn read(identity: &Identity) -> Result<Pem, Error> {
    let Identity { cert, key, clients, .. } = identity;
    let authorities = |clients: &Clients| text_of(&clients.file);
    Ok(Pem {
        identity: identity.clone(),
        cert: text_of(cert)?,
        key: text_of(key)?,
        clients: clients.as_ref().map(authorities).transpose()?,
    })
}

fn text_of(path: &Path) -> Result<String, Error> {
    let shown = path.display().to_string();
    let unreadable = |error: io::Error| Error::Unreadable(shown.clone(), error);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(Error::Wrong(shown, "larger than any file of certificates".to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        error.into_bytes().zeroize();
        let advice = "it is not PEM (text with -----BEGIN …); `openssl x509 -inform der` and `openssl pkey -inform der` \
                      convert it";
        Error::Wrong(shown, advice.to_owned())
    })
}

/// `sni-dir`: NAME.crt with NAME.key, and NAME.ca where there is one.
fn in_folder(tls: &Tls) -> Result<Vec<(String, Identity)>, Error> {
    let Some(folder) = &tls.folder else { return Ok(Vec::new()) };
    let unreadable = |error| Error::Unreadable(folder.display().to_string(), error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let cert: PathBuf = entry.map_err(unreadable)?.path();
        let Some(name) = cert.file_name().and_then(|name| name.to_str()?.strip_suffix(".crt")) else {
            continue;
        };
        let (key, ca) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.ca")));
        let clients = ca.exists().then_some(Clients { file: ca, required: false });
        let name = name.to_owned();
        found.push((name, Identity { cert, key, ciphers: tls.folder_ciphers.clone(), clients }));
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(folder: &Path, name: &str) -> Identity {
        let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
        Identity { cert: file("crt"), key: file("key"), ciphers: None, clients: None }
    }

    #[test]
    fn what_is_read_is_sealed_and_comes_out_again_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["a.crt", "a.key", "b.crt", "b.key", "b.ca", "c.txt"] {
            std::fs::write(folder.path().join(file), format!("text of {file}")).unwrap();
        }
        let tls = Tls {
            sockets: vec![identity(folder.path(), "a")],
            folder: Some(folder.path().to_owned()),
            folder_ciphers: Some("HIGH".to_owned()),
            ..Tls::default()
        };
        let read = Material::read(&tls).unwrap();
        assert!(!format!("{read:?}").contains("text of"), "{read:?}");
        let sealed = read.seal().unwrap();
        let again = Material::unseal(&sealed).and_then(|_| Material::unseal(&sealed)).unwrap();
        assert_eq!((again.sockets[0].key.as_str(), again.names.len()), ("text of a.key", 2));
        let (name, pem) = &again.names[1];
        assert!(name.is("B") && pem.clients.as_deref() == Some("text of b.ca"));
        assert_eq!(pem.identity.ciphers.as_deref(), Some("HIGH"), "those of sni-dir-ciphers");
        assert_eq!(again.sockets[0].identity.ciphers, None);
    }

    #[test]
    fn files_that_are_missing_or_no_text_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls { sockets: vec![identity(folder.path(), "a")], ..Tls::default() };
        let said = |tls: &Tls| Material::read(tls).unwrap_err().to_string();
        assert!(said(&tls).contains("a.crt: No such file"), "{}", said(&tls));
        std::fs::write(folder.path().join("a.crt"), b"\x30\x82\xff").unwrap();
        assert!(said(&tls).contains("a.crt: it is not PEM"), "{}", said(&tls));
    }
}
