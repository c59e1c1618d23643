//! What surrounds the options: variables that they set for themselves, texts around each of their files.

use super::*;
use crate::options::sources::envdir;

impl Intake<'_> {
    /// `ienv = NAME=VALUE`.
    pub(super) fn set_env(&mut self, key: &str, pair: &str, origin: &Origin) -> Result<(), Error> {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                self.early_env.push((name.to_owned(), Some(value.to_owned())));
                Ok(())
            }
            _ => Err(self.bad_value(key, pair, origin, "NAME=VALUE".to_owned())),
        }
    }

    /// `early-envdir = FOLDER`.
    pub(super) fn set_envs(&mut self, key: &str, folder: &str, origin: &Origin) -> Result<(), Error> {
        let all = envdir::read(Path::new(folder))
            .map_err(|why| self.bad_value(key, folder, origin, format!("a folder of variables: {why}")))?;
        self.early_env.extend(all);
        Ok(())
    }

    /// A variable that was set or taken away by these.
    pub(super) fn early_variable(&self, name: &str) -> Option<&Option<String>> {
        self.early_env.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// `inject-before = RESOURCE`, `inject-after`.
    pub(super) fn inject(&mut self, behind: bool, resource: &str, origin: &Origin) -> Result<(), Error> {
        let text = resource::read(resource).map_err(|cause| Error::File {
            origin: origin.clone(),
            file: resource.to_owned(),
            cause,
            hint: String::new(),
        })?;
        let place = if behind { &mut self.injected.1 } else { &mut self.injected.0 };
        place.push_str(&text);
        Ok(())
    }
}
