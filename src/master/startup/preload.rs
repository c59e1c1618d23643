//! `add-cache-item`, `load-file-in-cache` and its sister: what lies in the caches before anybody asks.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::base::clock;
use crate::options::cache::{From, Preload};
use crate::shared::area::Area;
use crate::shared::cache::Put;
use crate::sys::Error as SysError;

/// Stores all of it. A file that cannot be read is an error, as under uWSGI; what does not fit is said.
pub fn store(area: &Area, preloads: &[Preload]) -> Result<(), SysError> {
    for Preload { cache: wanted, key, from } in preloads {
        let value = value_of(key, from).map_err(|cause| SysError::call("read", key.clone(), cause))?;
        let mut found = false;
        for cache in area.caches().all() {
            let name = cache.name();
            let name = String::from_utf8_lossy(&name);
            if wanted.as_ref().is_some_and(|wanted| *wanted != name) {
                continue;
            }
            found = true;
            match cache.put(key.as_bytes(), &value, 0, false, clock::wall_seconds()) {
                Put::Done => crate::log!("[cache] stored \"{key}\" in \"{name}\""),
                _ => crate::log!(
                    "[cache] unable to store \"{key}\" in \"{name}\": it is there, or does not fit"
                ),
            }
        }
        if !found {
            let name = wanted.as_deref().unwrap_or("any");
            crate::log!("[cache] unable to store \"{key}\": there is no cache {name:?} (cache2 makes one)");
        }
    }
    Ok(())
}

fn value_of(key: &str, from: &From) -> io::Result<Vec<u8>> {
    match from {
        From::Text(value) => Ok(value.clone().into_bytes()),
        From::File => std::fs::read(key),
        From::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&std::fs::read(key)?)?;
            encoder.finish()
        }
    }
}
