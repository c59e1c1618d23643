//! The text of an ini file: sections, keys, values. Magic variables were replaced before.
//!
//! uWSGI's grammar is smaller than others': no quotes, no escapes, no continued lines, and a comment needs a line
//! of its own. Sections may come in parts.

use super::Found;

/// The section without a name of its own.
pub const SECTION: &str = "uwsgi";

/// The section used in its place, where there is one: what is meant for uwring only.
pub const NATIVE_SECTION: &str = "uwring";

/// What is taken off at both ends: no other blanks.
const BLANK: [char; 3] = [' ', '\t', '\r'];

/// The lines of one section; `[uwring]` goes before `[uwsgi]`.
pub fn of_section(text: &str, section: &str) -> Vec<Found> {
    let native = if section == SECTION { lines(text, NATIVE_SECTION) } else { Vec::new() };
    if native.is_empty() { lines(text, section) } else { native }
}

/// The lines of one section.
pub fn lines(text: &str, section: &str) -> Vec<Found> {
    let mut current = "";
    let mut found = Vec::new();
    for (index, line) in text.split('\n').enumerate() {
        let line = line.trim_matches(BLANK);
        match line.chars().next() {
            None | Some(';' | '#') => {}
            // The name ends before the last character, whatever that is.
            Some('[') => {
                let inside = &line[1..];
                current = inside.char_indices().next_back().map_or("", |(end, _)| &inside[..end]);
            }
            Some(_) if current != section => {}
            Some(_) => {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                let (key, value) =
                    (key.trim_end_matches(BLANK).to_owned(), value.trim_start_matches(BLANK).to_owned());
                found.push(Found { line: index + 1, key, value });
            }
        }
    }
    found
}

/// `FILE:SECTION` in two: without a section, the ordinary one.
pub fn name_and_section(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((file, section)) if !section.contains('/') => {
            (file, if section.is_empty() { SECTION } else { section })
        }
        _ => (name, SECTION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, section: &str) -> Vec<(usize, String, String)> {
        lines(text, section).into_iter().map(|found| (found.line, found.key, found.value)).collect()
    }

    fn owned(list: &[(usize, &str, &str)]) -> Vec<(usize, String, String)> {
        list.iter().map(|(line, key, value)| (*line, (*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn each_rule_of_the_grammar() {
        for (text, expected) in [
            ("[uwsgi]\na = 1", vec![(2, "a", "1")]),
            ("[uwsgi]\r\na=1\r\n\r\n", vec![(2, "a", "1")]),
            ("[uwsgi]\n  # c\n ; c\n\ta\t=\t1 ", vec![(4, "a", "1")]),
            ("[uwsgi]\na = x ; y", vec![(2, "a", "x ; y")]),
            ("[uwsgi]\n\u{b}\na\u{a0} =\u{c}1\u{c}", vec![(2, "\u{b}", ""), (3, "a\u{a0}", "\u{c}1\u{c}")]),
            ("[uwsgi]\na = \"x y\"", vec![(2, "a", "\"x y\"")]),
            ("[uwsgi]\nenv = A=b=c", vec![(2, "env", "A=b=c")]),
            ("[uwsgi]\nvacuum", vec![(2, "vacuum", "")]),
            ("[uwsgi]\nvacuum =", vec![(2, "vacuum", "")]),
            ("[uwsgi]\nA = 1\na = 2", vec![(2, "A", "1"), (3, "a", "2")]),
            ("a = 1\n[other]\nb = 2", vec![]),
            ("[uwsgi]\na=1\n[x]\nb=2\n[uwsgi]\nc=3", vec![(2, "a", "1"), (6, "c", "3")]),
            ("[uwsgi}\na=1", vec![(2, "a", "1")]),
            ("[uwsgi\na=1", vec![]),
            ("[\na=1", vec![]),
            ("", vec![]),
        ] {
            assert_eq!(read(text, SECTION), owned(&expected), "{text:?}");
        }
    }

    #[test]
    fn another_section_can_be_asked_for() {
        let text = "top = 0\n[uwsgi]\na = 1\n[prod]\na = 2\n";
        assert_eq!(read(text, "prod"), owned(&[(5, "a", "2")]));
        assert_eq!(read(text, ""), owned(&[(1, "top", "0")]));
    }

    #[test]
    fn what_is_meant_for_uwring_goes_first() {
        let value = |text: &str, section: &str| of_section(text, section)[0].value.clone();
        let text = "[uwsgi]\na = 1\n[uwring]\na = 2\n[prod]\na = 3\n";
        assert_eq!(value(text, SECTION), "2");
        assert_eq!(value(text, "prod"), "3");
        assert_eq!(value("[uwsgi]\na = 1\n", SECTION), "1");
    }

    #[test]
    fn the_section_follows_the_last_colon() {
        for (name, expected) in [
            ("a.ini", ("a.ini", "uwsgi")),
            ("a.ini:prod", ("a.ini", "prod")),
            ("a.ini:", ("a.ini", "uwsgi")),
            (":common", ("", "common")),
            ("/a:b/c.ini", ("/a:b/c.ini", "uwsgi")),
            ("-", ("-", "uwsgi")),
        ] {
            assert_eq!(name_and_section(name), expected, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[\\[\\]=;# \r\nuwsgié]*", name in "[:/a.é]*") {
            lines(&text, SECTION);
            name_and_section(&name);
        }
    }
}
