//! The text of a YAML file: a mapping for each section. A sequence repeats its key, mappings within are flattened, as
//! uWSGI does with libyaml. Aliases (`*name`) stand for what their anchor names, which uWSGI cannot read; merge keys
//! (`<<`) give what the mapping around them does not say itself.
//!
//! Values like `%(base)` are no YAML: there libyaml gives up, and uWSGI built without it reads `key: value` line by
//! line. Both kinds of file are in use, so where the first way fails the second is tried.

use std::collections::HashMap;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Found, Unreadable};

/// The options of one section.
pub fn read(text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
    strict(text, section).or_else(|problem| match loose(text, section) {
        Some(found) => Ok(found),
        None => Err(problem),
    })
}

/// More than this, aliases and all, is no configuration: aliases of aliases can stand for any number.
const PIECES_MAX: usize = 100_000;

/// One step through the document, aliases replaced.
#[derive(Clone, Debug)]
enum Piece {
    /// A mapping (true) or a sequence begins.
    Open(bool),
    /// It ends.
    Close,
    /// A key or a value.
    Scalar(String, ScalarStyle),
}

/// Where in the file the pieces are.
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
    /// Depth at which the value of a merge key lies, while inside.
    merging: Option<usize>,
    /// Mappings merged so far.
    merges: usize,
    /// The section has been read; a second of its name does not count. With each: which merge key it came by, if any.
    found: Option<Vec<(Found, Option<usize>)>>,
}

fn strict(text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
    let mut reader = Reader::default();
    for (piece, line) in pieces(text)? {
        match piece {
            Piece::Open(mapping) => reader.open(mapping, section),
            Piece::Close => reader.close(),
            Piece::Scalar(value, style) => reader.scalar(&value, style, line),
        }
    }
    Ok(reader.found.map(merged))
}

/// The document step by step, with the line of each.
fn pieces(text: &str) -> Result<Vec<(Piece, usize)>, Unreadable> {
    let mut pieces: Vec<(Piece, usize)> = Vec::new();
    let mut named: HashMap<usize, Range<usize>> = HashMap::new();
    // Where what is open began, and its anchor.
    let mut open = Vec::new();
    let mut parser = Parser::new_from_str(text);
    while let Some(next) = parser.next_event() {
        let failed = |line, why| Unreadable { line, why: format!("no YAML: {why}") };
        let (event, span) = next.map_err(|error| failed(error.marker().line(), error.info().to_owned()))?;
        let line = span.start.line();
        let start = pieces.len();
        match event {
            Event::MappingStart(anchor, _) | Event::SequenceStart(anchor, _) => {
                open.push((start, anchor));
                pieces.push((Piece::Open(matches!(event, Event::MappingStart(..))), line));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                pieces.push((Piece::Close, line));
                let (start, anchor) = open.pop().expect("the parser closes what it opened");
                named.insert(anchor, start..pieces.len());
            }
            Event::Scalar(value, style, anchor, _) => {
                pieces.push((Piece::Scalar(value.into_owned(), style), line));
                named.insert(anchor, start..pieces.len());
            }
            Event::Alias(anchor) => {
                let Some(range) = named.get(&anchor).cloned() else {
                    return Err(failed(line, "an alias within what it stands for".to_owned()));
                };
                let copy: Vec<_> = pieces[range].iter().map(|(piece, _)| (piece.clone(), line)).collect();
                pieces.extend(copy);
            }
            _ => {}
        }
        if pieces.len() > PIECES_MAX {
            return Err(failed(line, "aliases stand for too much".to_owned()));
        }
    }
    Ok(pieces)
}

/// What a merge key brings counts where nothing before it, and not the mapping itself, says otherwise.
fn merged(found: Vec<(Found, Option<usize>)>) -> Vec<Found> {
    let says_otherwise = |key: &str, mine: usize| {
        found.iter().any(|(other, by)| other.key == key && by.is_none_or(|by| by < mine))
    };
    let counts = |(one, by): &&(Found, Option<usize>)| by.is_none_or(|by| !says_otherwise(&one.key, by));
    found
        .iter()
        .filter(counts)
        .map(|(one, _)| Found { line: one.line, key: one.key.clone(), value: one.value.clone() })
        .collect()
}

impl Reader {
    fn open(&mut self, mapping: bool, section: &str) {
        self.depth += 1;
        if mapping && self.merging.is_some() {
            // Each mapping of a list is one by itself; the first counts most.
            self.merges += 1;
        }
        if self.inside.is_some()
            && self.key.as_ref().is_some_and(|(key, _)| key == "<<")
            && self.merging.is_none()
        {
            self.merges += 1;
            self.merging = Some(self.depth);
        }
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
        if self.merging == Some(self.depth) {
            self.merging = None;
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
                    let by = self.merging.map(|_| self.merges);
                    found.push((Found { line, key: key.clone(), value: value.to_owned() }, by));
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
    fn aliases_stand_for_what_they_name() {
        let text = "base: &base\n  processes: 4\n  threads: 2\n  env: A=1\nmore: &more\n  threads: 9\n  vacuum: true\nuwsgi:\n  \
            threads: 3\n  <<: [*base, *more]\n  home: &home /srv\n  chdir: *home\n  env: &env [B=1, C=2]\n  again: *env\n  last: 1\n";
        let wanted = [
            (9, "threads", "3"),
            (10, "processes", "4"),
            (10, "vacuum", "true"),
            (11, "home", "/srv"),
            (12, "chdir", "/srv"),
            (13, "env", "B=1"),
            (13, "env", "C=2"),
            (14, "again", "B=1"),
            (14, "again", "C=2"),
            (15, "last", "1"),
        ];
        assert_eq!(pairs(text, "uwsgi"), expected(&wanted));
    }

    #[test]
    fn aliases_have_a_bound() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..9 {
            let ten = vec![format!("*a{}", n - 1); 10].join(", ");
            text.push_str(&format!("a{n}: &a{n} [{ten}]\n"));
        }
        let problem = strict(&text, "uwsgi").expect_err("too much");
        assert_eq!(problem.why, "no YAML: aliases stand for too much");
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
