//! What a configuration does to requests and answers by itself: header options and the internal router.

pub mod fields;

use crate::options::headers::Headers;
use crate::proto::head::Head;
use crate::request::Version;
use fields::{Fields, line_of};

/// What was noted about one request on its way.
#[derive(Debug, Default)]
pub struct Notes {
    /// Variables set beside those received, the last of a name counts.
    pub vars: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Notes {
    /// Nothing, keeping the memory.
    pub fn clear(&mut self) {
        self.vars.clear();
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

    /// The fields of an answer with `head`.
    pub fn apply(&self, head: &Head<'_>, version: Version, notes: &mut Notes) -> Fields {
        let mut fields = Fields::of(head);
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
        for name in &self.headers.remove {
            fields.remove(name.as_bytes());
        }
        for line in &self.added {
            fields.add(line, version == Version::Uwsgi);
        }
        fields
    }
}
