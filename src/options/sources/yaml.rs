//! The text of a YAML file: a mapping for each section. A sequence repeats its key, mappings within are flattened, as
//! uWSGI does with libyaml.
//!
//! Values like `%(base)` are no YAML: there libyaml gives up, and uWSGI built without it reads `key: value` line by
//! line. Both kinds of file are in use, so where the first way fails the second is tried.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::{Found, Unreadable};

/// The options of one section.
pub fn read(text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
    strict(text, section).or_else(|problem| match loose(text, section) {
        Some(found) => Ok(found),
        None => Err(problem),
    })
}

/// Where in the file the events are.
#[derive(Default)]
struct Reader {
    /// How many mappings and sequences are open.
    depth: usize,
    /// Which of them are mappings.
    open: Vec<bool>,
    /// A key waits for its value.
    key: Option<(String, usize)>,
    /// Depth at which the section's mapping lies, while inside.
    inside: Option<usize>,
    /// The section has been read; a second of its name does not count.
    found: Option<Vec<Found>>,
}

fn strict(text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
    let mut reader = Reader::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let (event, span) = next.map_err(|error| Unreadable {
            line: error.marker().line(),
            why: format!("no YAML: {}", error.info()),
        })?;
        reader.take(event, span, section);
    }
    Ok(reader.found)
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: Span, section: &str) {
        match event {
            Event::MappingStart(..) => self.open(true, section),
            Event::SequenceStart(..) => self.open(false, section),
            Event::MappingEnd | Event::SequenceEnd => self.close(),
            Event::Scalar(value, style, ..) => self.scalar(&value, style, span.start.line()),
            _ => {}
        }
    }

    fn open(&mut self, mapping: bool, section: &str) {
        self.depth += 1;
        self.open.push(mapping);
        let named = self.key.as_ref().is_some_and(|(key, _)| key == section);
        if mapping && self.inside.is_none() && self.depth == 2 && named && self.found.is_none() {
            self.inside = Some(self.depth);
            self.found = Some(Vec::new());
        }
        if mapping {
            self.key = None;
        }
    }

    fn close(&mut self) {
        if self.inside == Some(self.depth) {
            self.inside = None;
        }
        self.depth -= 1;
        self.open.pop();
        self.key = None;
    }

    fn scalar(&mut self, value: &str, style: ScalarStyle, line: usize) {
        let in_mapping = self.open.last() == Some(&true);
        match &self.key {
            None if in_mapping => self.key = Some((value.to_owned(), line)),
            None => {}
            Some((key, at)) => {
                // `key:` with nothing behind it says nothing; an empty text in quotes does.
                let said = !value.is_empty() || style != ScalarStyle::Plain;
                if let (Some(found), true, true) = (&mut self.found, self.inside.is_some(), said) {
                    let line = if in_mapping { *at } else { line };
                    found.push(Found { line, key: key.clone(), value: value.to_owned() });
                }
                if in_mapping {
                    self.key = None;
                }
            }
        }
    }
}

/// `key: value`, a line each, below `section:`; `- value` repeats the last key. `None`: it is not that either.
fn loose(text: &str, section: &str) -> Option<Option<Vec<Found>>> {
    let mut found: Option<Vec<Found>> = None;
    let mut inside = false;
    let mut last = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        let indented = line.starts_with([' ', '\t']);
        let line = without_comment(line).trim();
        if line.is_empty() || line == "---" || line == "..." {
            continue;
        }
        if let Some(item) = line.strip_prefix("- ") {
            if inside {
                found.get_or_insert_default().push(entry(number, &last, item));
            }
            continue;
        }
        let (key, value) = line.split_once(": ").or_else(|| Some((line.strip_suffix(':')?, "")))?;
        if !indented {
            inside = key.trim() == section && value.is_empty();
            if inside {
                found.get_or_insert_default();
            }
        } else if inside {
            last = key.trim().to_owned();
            if !value.trim().is_empty() {
                found.get_or_insert_default().push(entry(number, &last, value));
            }
        }
    }
    Some(found)
}

fn entry(line: usize, key: &str, value: &str) -> Found {
    let value = value.trim();
    let quoted = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
    Found { line, key: key.to_owned(), value: value.to_owned() }
}

/// A `#` at the start or behind a blank begins a comment.
fn without_comment(line: &str) -> &str {
    let comment = |(at, _): &(usize, &str)| *at == 0 || line[..*at].ends_with([' ', '\t']);
    line.match_indices('#').find(comment).map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, section: &str) -> Vec<(usize, String, String)> {
        let found = read(text, section).expect("readable").expect("the section");
        found.into_iter().map(|found| (found.line, found.key, found.value)).collect()
    }

    fn expected(list: &[(usize, &str, &str)]) -> Vec<(usize, String, String)> {
        list.iter().map(|(line, key, value)| (*line, (*key).to_owned(), (*value).to_owned())).collect()
    }

    // As uWSGI 2.0.21 with libyaml prints them (`--show-config`).
    #[test]
    fn what_libyaml_reads() {
        let text = "base: /x\nuwsgi:\n  http-socket: :7892\n  chdir: '%(base)/app'\n  b: \"q\"\n  list: [a, b]\n  \
            seq:\n    - one\n    - two   # c\n  n: 4\n  t: true\n  dup: 1\n  dup: 2\n  nul:\n  tilde: ~\n  \
            none: \"\"\n  nest:\n    k: v\n    l: w\n  m: [x, {i: 1}]\nother:\n  z: 1\nuwsgi:\n  late: 1\n";
        let found = pairs(text, "uwsgi");
        let wanted = [
            (3, "http-socket", ":7892"),
            (4, "chdir", "%(base)/app"),
            (5, "b", "q"),
            (6, "list", "a"),
            (6, "list", "b"),
            (8, "seq", "one"),
            (9, "seq", "two"),
            (10, "n", "4"),
            (11, "t", "true"),
            (12, "dup", "1"),
            (13, "dup", "2"),
            (15, "tilde", "~"),
            (16, "none", ""),
            (18, "k", "v"),
            (19, "l", "w"),
            (20, "m", "x"),
            (20, "i", "1"),
        ];
        assert_eq!(found, expected(&wanted));
        assert_eq!(pairs(text, "other"), expected(&[(22, "z", "1")]));
        assert_eq!(read(text, "absent"), Ok(None));
    }

    #[test]
    fn what_is_no_yaml_is_read_line_by_line() {
        let text = "# site\nuwsgi:\n    socket: 127.0.0.1:3031   # nginx\n    base: /srv\n    chdir: %(base)/app\n    \
            env: A=b#c\n    touch:\n      - @(x)\n\tmodule: 'app:app'\n";
        let wanted = [
            (3, "socket", "127.0.0.1:3031"),
            (4, "base", "/srv"),
            (5, "chdir", "%(base)/app"),
            (6, "env", "A=b#c"),
            (8, "touch", "@(x)"),
            (9, "module", "app:app"),
        ];
        assert_eq!(pairs(text, "uwsgi"), expected(&wanted));
    }

    #[test]
    fn what_is_neither_is_told_with_its_line() {
        let problem = read("uwsgi:\n  a: %x\n  nonsense\n", "uwsgi").expect_err("unreadable");
        assert!(problem.why.starts_with("no YAML: "), "{problem:?}");
        assert!(problem.line >= 2, "{problem:?}");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[uwsgi:\\-# \n\t%&*{}\\[\\]\"'|>é]*") {
            let _ = read(&text, "uwsgi");
        }
    }
}
