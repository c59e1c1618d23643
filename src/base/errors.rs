//! Errors and warnings that whoever runs the server is to put right, by a number that stays when words change. The number
//! stands at the end of the message; where the message is uWSGI's to the letter, on a line of its own after it.
//! `uwring explain` and docs/errors.md are made from this table.

use std::fmt::{self, Display};

/// What a message ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(&'static str);

impl Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.0)
    }
}

/// One of them.
#[derive(Debug)]
pub struct Known {
    /// As in the message, without the brackets.
    pub id: &'static str,
    /// What the message says, the part that does not change; in parentheses what stands there instead.
    pub says: &'static str,
    /// Why it is said.
    pub cause: &'static str,
    /// What to do.
    pub fix: &'static str,
}

impl Known {
    /// For a terminal.
    pub fn explained(&self) -> String {
        format!("{}  {}\n\n  {}\n  {}\n", self.id, self.says, self.cause, self.fix)
    }
}

/// The number a message carries, without its brackets: at its end, or at the end of one of its lines.
pub fn number_in(message: &[u8]) -> Option<&str> {
    const FORM: &[u8] = b"[UWR-E000]";
    let start =
        message.windows(FORM.len()).rposition(|some| some.starts_with(b"[UWR-") && some.ends_with(b"]"))?;
    let rest = &message[start + FORM.len()..];
    let number = &message[start + 1..start + FORM.len() - 1];
    (rest.is_empty() || rest.starts_with(b"\n")).then(|| std::str::from_utf8(number).ok()).flatten()
}

/// Those that `words` mean: numbers with or without `UWR-`, a whole line of the log, or part of one.
pub fn meant(words: &str) -> Vec<&'static Known> {
    let words = words.to_lowercase();
    let named = |known: &&Known| {
        let id = known.id.to_lowercase();
        words == id[4..] || words.contains(&id)
    };
    let by_id: Vec<&Known> = all().filter(named).collect();
    if !by_id.is_empty() {
        return by_id;
    }
    let said = |known: &&Known| {
        let says = known.says.to_lowercase();
        says.contains(&words) || (!says.contains('(') && words.contains(&says))
    };
    all().filter(said).collect()
}

macro_rules! table {
    ($($name:ident $id:literal $says:literal $cause:literal $fix:literal)*) => {
        // As code: what is in brackets is no link.
        $(#[doc = concat!("`", $says, "`")] pub const $name: Id = Id($id);)*
        /// Those of this file, in the order of their numbers.
        pub(super) const LIST: &[Known] = &[$(Known { id: $id, says: $says, cause: $cause, fix: $fix }),*];
    };
}

mod faults;
mod warnings;

pub use faults::*;
pub use warnings::*;

/// All of them, in the order of their numbers.
pub fn all() -> impl Iterator<Item = &'static Known> {
    faults::LIST.iter().chain(warnings::LIST)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use super::*;

    /// docs/errors.md.
    fn page() -> String {
        let mut page = "# Errors\n\n\
            Made from `src/base/errors.rs`; do not edit. `UWRING_BLESS=1 cargo test --lib errors` writes it anew.\n\n\
            Messages that somebody has to act on end with a number that stays the same when their words change: E where \
            something was not done, W where the server goes on. Where a message that ends the start is uWSGI's to the letter, \
            the number stands on the line after it. With `log-json` it is the field `id`, too. `uwring explain UWR-E012` \
            prints what stands here; it also takes a line of the log, or words of one.\n"
            .to_owned();
        for known in all() {
            let _ =
                write!(page, "\n## {}\n\n`{}`\n\n{}\n\n{}\n", known.id, known.says, known.cause, known.fix);
        }
        page
    }

    #[test]
    fn the_page_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/errors.md");
        if std::env::var_os("UWRING_BLESS").is_some() {
            std::fs::write(path, page()).expect("written");
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page(), "docs/errors.md is stale: run UWRING_BLESS=1 cargo test --lib errors");
    }

    #[test]
    fn numbers_rise_and_everything_is_said() {
        let ids: Vec<&str> = all().map(|known| known.id).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]), "unique, and in order");
        for (list, prefix) in [(faults::LIST, "UWR-E"), (warnings::LIST, "UWR-W")] {
            assert!(list.iter().all(|known| known.id.starts_with(prefix)), "{prefix} in a file of its own");
        }
        for known in all() {
            let digits = &known.id["UWR-E".len()..];
            assert!(digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", known.id);
            assert!(known.cause.ends_with('.') && known.fix.ends_with('.'), "{}", known.id);
            assert!(!known.says.is_empty(), "{}", known.id);
        }
    }

    #[test]
    fn they_are_found_by_number_and_by_words() {
        let ids = |words: &str| meant(words).iter().map(|known| known.id).collect::<Vec<_>>();
        for words in ["UWR-E020", "uwr-e020", "e020", "x: no python found: y [UWR-E020]", "No Python found"] {
            assert_eq!(ids(words), ["UWR-E020"], "{words}");
        }
        assert_eq!(ids("!!! Python Home is not a directory: /x !!!"), ["UWR-E021"]);
        assert!(ids("nobody says this").is_empty());
    }

    #[test]
    fn a_message_carries_its_number_at_its_end() {
        assert_eq!(number_in(b"*** x *** [UWR-W001]"), Some("UWR-W001"));
        assert_eq!(number_in(b"*** x *** [UWR-W001]\nPython stack:\n"), Some("UWR-W001"));
        assert_eq!(number_in(b"[UWR-W001] is what another message carried"), None);
        assert_eq!(number_in(b"[UWR-W001"), None);
        assert_eq!(number_in(b""), None);
    }

    /// Each is said somewhere, and none is said that is not here.
    #[test]
    fn each_is_used_and_none_is_unknown() {
        let mut text = String::new();
        for folder in ["src", "plugins/python/src"] {
            collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut text);
        }
        let own = concat!(include_str!("errors/faults.rs"), include_str!("errors/warnings.rs"));
        let names = own.lines().filter_map(|line| line.trim_start().split_once(" \"UWR-"));
        let names: Vec<(&str, String)> =
            names.map(|(name, rest)| (name, format!("UWR-{}", &rest[..4]))).collect();
        assert_eq!(names.len(), all().count());
        for (name, id) in &names {
            assert!(said(&text, name) || text.contains(id), "{id} {name} is never said");
        }
        for (at, _) in text.match_indices("[UWR-") {
            let id = &text[at + 1..at + 9];
            let number = id[5..].bytes().all(|b| b.is_ascii_digit());
            assert!(!number || names.iter().any(|(_, known)| known == id), "{id} is not in the table");
        }
    }

    /// `errors::NAME`, and not the beginning of a longer name.
    fn said(text: &str, name: &str) -> bool {
        let longer = |next: char| next.is_ascii_uppercase() || next == '_';
        text.match_indices(&format!("errors::{name}"))
            .any(|(at, found)| !text[at + found.len()..].starts_with(longer))
    }

    fn collect(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).expect("a folder of the source").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, text);
            } else if path.extension().is_some_and(|e| e == "rs")
                && !path.display().to_string().contains("base/errors")
            {
                text.push_str(&std::fs::read_to_string(&path).expect("readable"));
            }
        }
    }
}
