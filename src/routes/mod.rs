//! What a configuration does to requests and answers by itself: header options and the internal router. The rules are
//! typed and checked in `options::routes`; here they are followed.

mod cached;
pub mod chain;
pub mod fields;
pub mod gzip;
mod htpasswd;
mod render;
pub mod scene;

use crate::options::headers::Headers;
use crate::proto::head::Head;
use crate::request::Version;
use fields::{Fields, line_of};
use gzip::Wish;

/// An answer's place in a cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Which cache; empty: the first.
    pub cache: Vec<u8>,
    /// Under which key.
    pub key: Vec<u8>,
    /// Seconds; 0: for ever.
    pub expires: u64,
    /// Only an answer with this status.
    pub status: u16,
    /// As `gzip` made it: that rule came before.
    pub packed: bool,
}

/// What was noted about one request on its way.
#[derive(Debug, Default)]
pub struct Notes {
    /// Variables set beside those received, the last of a name counts.
    pub vars: Vec<(Vec<u8>, Vec<u8>)>,
    /// Fields for the answer.
    pub added: Vec<Vec<u8>>,
    /// Names of fields the answer shall not have.
    pub removed: Vec<Vec<u8>>,
    /// Bytes of PATH_INFO that name the application's mountpoint.
    pub mount: usize,
    /// `harakiri` of this request alone, milliseconds.
    pub patience_ms: Option<u64>,
    /// A static file answered it.
    pub by_file: bool,
    /// `gzip`.
    pub gzip: Wish,
    /// `cachestore`.
    pub keep: Option<Keep>,
    /// No request line.
    pub quiet: bool,
    /// Rules have answered in place of the application, or are not to look at this answer.
    pub settled: bool,
    /// What all requests of the socket have in common, kept for rules that run away from the ring thread.
    pub fixed: Vec<u8>,
}

impl Notes {
    /// Nothing, keeping the memory.
    pub fn clear(&mut self) {
        self.vars.clear();
        self.added.clear();
        self.removed.clear();
        self.fixed.clear();
        (self.mount, self.by_file, self.quiet, self.settled) = (0, false, false, false);
        (self.patience_ms, self.gzip, self.keep) = (None, Wish::Plain, None);
    }

    /// A variable that was set here.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        self.vars.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.as_slice())
    }
}

/// `add-header` and its family, ready to use.
#[derive(Debug)]
pub struct Edits {
    headers: Headers,
    added: Vec<Vec<u8>>,
}

impl Edits {
    /// As the options say.
    pub fn new(headers: Headers) -> Edits {
        let added = headers.add.iter().filter_map(|line| line_of(line.as_bytes())).collect();
        Edits { headers, added }
    }

    /// The fields of an answer with `head`, as the options and the request's rules want them.
    pub fn apply(&self, head: &Head<'_>, version: Version, notes: &mut Notes) -> Fields {
        let mut fields = Fields::of(head, version);
        for (name, var) in &self.headers.collect {
            if let Some(value) = fields.get(name.as_bytes()) {
                notes.vars.push((var.clone().into_bytes(), value.to_vec()));
            }
        }
        for (name, var) in &self.headers.pull {
            if let Some(value) = fields.get(name.as_bytes()) {
                notes.vars.push((var.clone().into_bytes(), value.to_vec()));
                fields.remove(name.as_bytes());
            }
        }
        let removed = self.headers.remove.iter().map(String::as_bytes);
        removed.chain(notes.removed.iter().map(Vec::as_slice)).for_each(|name| fields.remove(name));
        self.added.iter().chain(&notes.added).for_each(|line| fields.add(line));
        fields
    }
}
