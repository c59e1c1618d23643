//! Regular expressions as configurations have them: Perl's, over bytes.
//!
//! uWSGI matches bytes with PCRE. Here each byte of pattern and subject is taken as one character (ISO 8859-1), which
//! comes to the same: `.` is one byte, and what is no UTF-8 can be matched and captured.

use std::borrow::Cow;

use fancy_regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

/// Steps of backtracking one match may take; beyond, it does not match. A pattern without look-around or
/// back-references never backtracks.
const BACKTRACK_MAX: usize = 100_000;

/// A compiled expression. From process to process it travels as its text.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(text: String) -> Result<Pattern, String> {
        Pattern::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

impl Pattern {
    /// Compiles `text`. The error says what is wrong with it.
    pub fn new(text: &str) -> Result<Pattern, String> {
        let wide = latin1(text.as_bytes());
        let regex = RegexBuilder::new(&wide).backtrack_limit(BACKTRACK_MAX).build().map_err(|error| {
            let error = error.to_string();
            // The last line says it; those before it draw the place.
            error.lines().last().unwrap_or("not understood").trim().to_owned()
        })?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// Whether it matches somewhere in `subject`.
    pub fn is_match(&self, subject: &[u8]) -> bool {
        self.regex.is_match(&latin1(subject)).unwrap_or(false)
    }

    /// The match and its groups, where there is one. A group that took no part is empty.
    pub fn groups(&self, subject: &[u8]) -> Option<Vec<Vec<u8>>> {
        let subject = latin1(subject);
        let captures = self.regex.captures(&subject).ok().flatten()?;
        let group =
            |at| captures.get(at).map_or(Vec::new(), |found: fancy_regex::Match<'_>| bytes(found.as_str()));
        Some((0..captures.len()).map(group).collect())
    }
}

/// One character a byte.
fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// Back again.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perls_expressions_match_anywhere() {
        for (pattern, subject, matches) in [
            ("^/static/", "/static/a", true),
            ("^/static/", "/x/static/a", false),
            ("\\.css$", "/a.css", true),
            ("/*", "", true),
            ("^((?!\\{).)*$", "a{b", false),
            ("^/(?!api/)", "/app/", true),
            ("^/(?!api/)", "/api/", false),
            ("(a)\\1", "xaay", true),
        ] {
            let found = Pattern::new(pattern).expect(pattern).is_match(subject.as_bytes());
            assert_eq!(found, matches, "{pattern} on {subject}");
        }
    }

    #[test]
    fn bytes_are_characters() {
        let groups = Pattern::new("^/(.)(é)?(.*)$").expect("good").groups(b"/\xffx\xc3").expect("matches");
        assert_eq!(groups, [b"/\xffx\xc3".to_vec(), b"\xff".to_vec(), Vec::new(), b"x\xc3".to_vec()]);
        assert!(Pattern::new("é").expect("good").is_match("café".as_bytes()));
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line() {
        let error = Pattern::new("(a").expect_err("open");
        assert!(!error.is_empty() && !error.contains('\n'), "{error}");
    }

    #[test]
    fn backtracking_ends() {
        let subject = "a".repeat(5000);
        assert!(!Pattern::new("^(a|aa)+\\1?(?=b)$").expect("good").is_match(subject.as_bytes()));
    }
}
