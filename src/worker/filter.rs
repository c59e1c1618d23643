//! What the router has asked for on the body of an application's answer: it is compressed on its way out, or kept in a
//! cache for the next who asks.

use super::job::Job;
use super::office;
use crate::base::clock;
use crate::proto::head::Head;
use crate::routes::Keep;
use crate::routes::fields::Fields;
use crate::routes::gzip::{self, Squeeze};
use crate::shared::area::Area;

/// The way of one body. There is none for bodies that go out as they come.
#[derive(Debug)]
pub struct Filter {
    squeeze: Option<Box<Squeeze>>,
    kept: Option<Kept>,
}

/// A body on its way into a cache.
#[derive(Debug)]
pub struct Kept {
    place: Keep,
    bytes: Vec<u8>,
    /// The cache takes no more.
    bytes_max: usize,
}

impl Filter {
    /// For the answer to `job` with `head`, whose fields are edited to fit. `None`: it goes out as it comes.
    pub fn new(job: &mut Job, head: &Head<'_>, fields: &mut Fields, area: &Area) -> Option<Filter> {
        let encoded = fields.get(b"content-encoding").is_some();
        let squeezed = gzip::apply(job.notes.gzip, head.status, fields);
        let squeeze = squeezed.then(|| Box::new(Squeeze::new(head.content_length)));
        let wanted = |place: &Keep| place.status == head.status && (squeezed || !place.packed) && !encoded;
        let kept = job.notes.keep.take().filter(wanted).and_then(|place| {
            let cache = area.caches().named(&place.cache)?;
            Some(Kept { place, bytes: Vec::new(), bytes_max: cache.value_max() })
        });
        (squeeze.is_some() || kept.is_some()).then_some(Filter { squeeze, kept })
    }

    /// Whether the body gets another length.
    pub fn is_changing(&self) -> bool {
        self.squeeze.is_some()
    }

    /// Takes a piece and gives what is to be sent in its place, if not itself. `flush`: more may follow, but not soon.
    pub fn push(&mut self, piece: &[u8], flush: bool) -> Option<Vec<u8>> {
        let Filter { squeeze, kept } = self;
        let bytes = squeeze.as_mut().map(|squeeze| squeeze.push(piece, flush));
        let packed = kept.as_ref().is_some_and(|kept| kept.place.packed);
        keep(kept, bytes.as_deref().filter(|_| packed).unwrap_or(piece));
        bytes
    }

    /// The end of the body: what is to be sent, and what is to be kept if all went well. `None`: the application has
    /// left something out.
    pub fn end(self) -> Option<(Vec<u8>, Option<Kept>)> {
        let Filter { squeeze, mut kept } = self;
        let Some(squeeze) = squeeze else { return Some((Vec::new(), kept)) };
        let bytes = squeeze.end()?;
        if kept.as_ref().is_some_and(|kept| kept.place.packed) {
            keep(&mut kept, &bytes);
        }
        Some((bytes, kept))
    }
}

fn keep(kept: &mut Option<Kept>, bytes: &[u8]) {
    if let Some(some) = kept {
        if some.bytes.len() + bytes.len() > some.bytes_max {
            *kept = None;
        } else {
            some.bytes.extend_from_slice(bytes);
        }
    }
}

impl Kept {
    /// Puts it into its cache.
    pub fn store(self, area: &Area) {
        let Keep { cache, key, expires, .. } = &self.place;
        if let Some(cache) = area.caches().named(cache) {
            let now = clock::wall_seconds();
            office::stored(cache, cache.put(key, &self.bytes, *expires, true, now));
        }
    }
}
