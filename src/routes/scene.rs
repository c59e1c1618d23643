//! What rules see of a request and may change.

use super::Notes;
use super::fields::Fields;
use crate::files::Files;
use crate::request::{Received, Values};
use crate::shared::cache::Caches;

/// One request while a chain is followed.
pub struct Scene<'a> {
    /// As received.
    pub received: Received<'a>,
    /// What was set on the way.
    pub notes: &'a mut Notes,
    /// `logvar`.
    pub logvars: &'a mut Vec<(Vec<u8>, Vec<u8>)>,
    /// Caches (`cache2`).
    pub caches: Caches<'a>,
    /// Static files.
    pub files: &'a Files,
    /// Of the answer; 0 before there is one.
    pub status: u16,
    /// Of the answer, while they can still be changed.
    pub fields: Option<&'a mut Fields>,
    /// Number of the worker.
    pub worker: u32,
    /// Microseconds since the epoch.
    pub wall_us: u64,
}

impl Values for Scene<'_> {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        if let Some(value) = self.notes.value(name) {
            return Some(value);
        }
        let value = self.received.value(name)?;
        // As the application sees it, below its mountpoint.
        Some(if name == b"PATH_INFO" { value.get(self.notes.mount..).unwrap_or(value) } else { value })
    }
}

impl Scene<'_> {
    /// The variable of that name, as set on the way or as received.
    pub fn value(&self, name: &[u8]) -> Option<&[u8]> {
        Values::value(self, name)
    }

    /// Seconds since the epoch.
    pub fn now(&self) -> u64 {
        self.wall_us / 1_000_000
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &[u8], value: Vec<u8>) {
        self.notes.vars.push((name.to_vec(), value));
    }

    /// Adds a field, made by `line_of`, to the answer.
    pub fn add_field(&mut self, line: Vec<u8>) {
        match &mut self.fields {
            Some(fields) => fields.add(&line),
            None => self.notes.added.push(line),
        }
    }

    /// Takes a field out of the answer.
    pub fn remove_field(&mut self, name: Vec<u8>) {
        match &mut self.fields {
            Some(fields) => fields.remove(&name),
            None => self.notes.removed.push(name),
        }
    }

    /// Sets a variable of the log.
    pub fn set_logvar(&mut self, name: &[u8], value: Vec<u8>) {
        match self.logvars.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.logvars.push((name.to_vec(), value)),
        }
    }

    /// A text in the form of a UUID, another one each time.
    pub fn unique(&self) -> String {
        use std::hash::{BuildHasher, RandomState};
        // Each state has keys of its own, from the kernel's random numbers.
        let half = || RandomState::new().hash_one((self.wall_us, self.worker, std::process::id()));
        let bits = u128::from(half()) << 64 | u128::from(half());
        // Version 4, variant 1 (RFC 9562 §5.4).
        let bits = bits & !(0xf << 76) & !(0x3 << 62) | 4 << 76 | 2 << 62;
        let hex = format!("{bits:032x}");
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}
