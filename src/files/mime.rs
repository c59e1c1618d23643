//! Types of files by their suffix: the tables a configuration names, then one of our own.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Where most systems have the table, and uWSGI looks.
const SYSTEM: &str = "/etc/mime.types";

/// A table.
#[derive(Debug, Default)]
pub struct Types(HashMap<String, String>);

impl Types {
    /// From `mime.types` files; without any, from the system's. What cannot be read is left out.
    pub fn read(files: &[PathBuf]) -> Types {
        let system = [PathBuf::from(SYSTEM)];
        let files = if files.is_empty() { &system } else { files };
        let mut types = Types::default();
        for text in files.iter().filter_map(|file| std::fs::read_to_string(file).ok()) {
            types.add(&text);
        }
        types
    }

    /// Lines of a type and its suffixes.
    fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(kind) = words.next() else { continue };
            for suffix in words {
                self.0.insert(suffix.to_ascii_lowercase(), kind.to_owned());
            }
        }
    }

    /// The type of a file of that name; `None` where its suffix says nothing.
    pub fn of(&self, path: &Path) -> Option<&str> {
        let suffix = path.extension()?.to_str()?.to_ascii_lowercase();
        let known = self.0.get(&suffix).map(String::as_str);
        known.or_else(|| mime_guess::from_ext(&suffix).first_raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_have_types() {
        let mut types = Types::default();
        types.add("# a comment\ntext/x-own own OWN2 # more\n\nimage/none\n");
        for (name, kind) in [
            ("a.own", Some("text/x-own")),
            ("a.own2", Some("text/x-own")),
            ("a.CSS", Some("text/css")),
            ("a.woff2", Some("font/woff2")),
            ("a.tar.gz", Some("application/gzip")),
            ("a.no-such-thing", None),
            ("a", None),
            (".css", None),
        ] {
            assert_eq!(types.of(Path::new(name)), kind, "{name}");
        }
    }
}
