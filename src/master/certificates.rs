//! Certificates and keys on their way from their files to the workers. The master reads them at the start, as root, and
//! keeps them sealed; each new generation reads them again, and takes the master's where it may not.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::base::errors;
use crate::options::settings::Tls;
use crate::options::tls::Identity;
use crate::sys::exec::Handed;
use crate::tls::{Error, Material, Shop};

/// Reads what the options name, proves that it can be served with, and seals it. `None`: nobody speaks TLS.
pub fn read(tls: &Tls) -> Result<Option<Arc<OwnedFd>>, Error> {
    if !tls.is_used() {
        return Ok(None);
    }
    let material = Material::read(tls)?;
    Shop::open(&material, tls.export_cert)?;
    material.seal().map(|sealed| Some(Arc::new(sealed)))
}

/// The same for a reload. Files that cannot be read any more are no reason to stop serving: those of the start (`old`) are
/// used then, where they are the same.
pub fn again(tls: &Tls, old: Option<&Arc<OwnedFd>>) -> Result<Option<Arc<OwnedFd>>, Error> {
    let (error, old) = match (read(tls), old) {
        (Err(error @ Error::Unreadable(..)), Some(old)) => (error, old),
        (result, _) => return result,
    };
    let kept = Material::unseal(old)?;
    let same = kept.sockets.iter().map(|pem| &pem.identity).eq(&tls.sockets);
    let known = |wanted: &Identity| kept.names.iter().any(|(_, pem)| pem.identity == *wanted);
    if !same || !tls.names.iter().all(|(_, identity)| known(identity)) {
        return Err(error);
    }
    crate::log!(
        "[uwring] {error}; going on with what was read at the start: to have a new certificate by a reload, let the \
         server's user or group read it {}",
        errors::OLD_CERTIFICATE
    );
    Ok(Some(Arc::clone(old)))
}

/// In the template: what workers serve with.
pub fn open(sealed: Handed, tls: &Tls) -> io::Result<Arc<Shop>> {
    let sealed = sealed.take()?;
    let shop = Material::unseal(&sealed).and_then(|material| Shop::open(&material, tls.export_cert));
    shop.map(Arc::new).map_err(io::Error::other)
}
