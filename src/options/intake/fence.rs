//! `whitelist` and `blacklist`: which options may still be given.

use crate::options::error::Error;
use crate::options::row::Step;
use crate::options::settings::Origin;

/// What is allowed at this place.
#[derive(Debug, Default)]
pub struct Fence {
    /// Only these, where given.
    allowed: Option<Vec<String>>,
    /// Not these.
    forbidden: Vec<String>,
}

impl Fence {
    /// One of the four options that set it.
    pub fn set(&mut self, step: Step, names: &str) {
        let names = || names.split_whitespace().map(str::to_owned).collect();
        match step {
            Step::Allow => self.allowed = Some(names()),
            Step::AllowAll => self.allowed = None,
            Step::Forbid => self.forbidden = names(),
            _ => self.forbidden = Vec::new(),
        }
    }

    /// Whether this option may be given. Those that end a list always may.
    pub fn check(&self, key: &str, origin: &Origin) -> Result<(), Error> {
        let named = |names: &[String]| names.iter().any(|name| name == key);
        let list = match &self.allowed {
            _ if matches!(key, "end-whitelist" | "end-blacklist") => return Ok(()),
            _ if named(&self.forbidden) => "blacklist",
            Some(allowed) if !named(allowed) => "whitelist",
            _ => return Ok(()),
        };
        let what = format!("forbidden option \"{key}\" (by {list})");
        Err(Error::Structure { origin: origin.clone(), what })
    }
}
