//! Text people wrote, read forgivingly: numbers, truths, file modes, and the name that was probably meant.
//!
//! Nothing here knows an option; who calls decides what a half-read value is worth.

/// An address of TCP without the comment behind it: uWSGI reads a port by its leading digits, so that `:8080 ; nginx` is one.
pub fn address(text: &str) -> &str {
    match text.split_once([' ', '\t']) {
        Some((address, rest)) if rest.trim_start().starts_with([';', '#']) => {
            let port = address.rsplit_once(':').map(|(_, port)| port).unwrap_or_default();
            let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
            if is_port && !address.contains(['/', '=']) { address } else { text }
        }
        _ => text,
    }
}

/// A whole number at the start of a text, and what was left over.
#[derive(Debug, PartialEq, Eq)]
pub struct Leading<'a> {
    /// The number; `u64::MAX` where it is too large.
    pub value: u64,
    /// What follows it, untrimmed.
    pub rest: &'a str,
}

/// The whole number a text starts with, as C's `atoi` would find it; `None` without a digit there.
pub fn leading_number(text: &str) -> Option<Leading<'_>> {
    let text = text.trim_start();
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    // Only digits: the one way to fail is to be too large.
    Some(Leading { value: text[..end].parse().unwrap_or(u64::MAX), rest: &text[end..] })
}

/// A text that can only mean one of the two truths.
pub fn truth(text: &str) -> Option<bool> {
    const YES: [&str; 4] = ["true", "on", "yes", "1"];
    const NO: [&str; 4] = ["false", "off", "no", "0"];
    let is = |words: &[&str]| words.iter().any(|w| w.eq_ignore_ascii_case(text));
    if is(&YES) {
        Some(true)
    } else if is(&NO) {
        Some(false)
    } else {
        None
    }
}

/// Whether a field's value, a list with commas, has `word` in it, in whatever case (RFC 9110 §5.6.1).
pub fn lists(value: &[u8], word: &[u8]) -> bool {
    value.split(|&byte| byte == b',').any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
}

/// A file mode: three or four octal digits.
pub fn octal(text: &str) -> Option<u32> {
    if !(3..=4).contains(&text.len()) || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return None;
    }
    u32::from_str_radix(text, 8).ok()
}

/// The text inside one pair of quotes that encloses it all.
pub fn unquoted(text: &str) -> Option<&str> {
    ['"', '\''].into_iter().find_map(|q| text.strip_prefix(q)?.strip_suffix(q))
}

/// Whether a text starts a comment: blanks, then `#` or `;`.
pub fn starts_comment(text: &str) -> bool {
    text.starts_with([' ', '\t']) && text.trim_start().starts_with(['#', ';'])
}

/// The name most like the one written, if one is like it at all: a letter wrong, missing, extra or swapped
/// in four; `_` and capitals count as what they stand for.
pub fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let plain = written.to_ascii_lowercase().replace('_', "-");
    let allowed = (plain.len() / 4).min(3);
    let mut best: Option<(usize, &str)> = None;
    let mut rows = <[Vec<usize>; 3]>::default();
    for name in names {
        // One for many, or many for one, is a slip of one letter.
        let number =
            |one: &str, many: &str| many.strip_prefix(one).is_some_and(|end| end == "s" || end == "es");
        let plural = plain.len() > 3 && (number(&plain, name) || number(name, &plain));
        if !plural && name.len().abs_diff(plain.len()) > allowed {
            continue;
        }
        let away = if plural { 1 } else { distance(&plain, name, allowed, &mut rows) };
        if away <= allowed && best.is_none_or(|(b, _)| away < b) {
            best = Some((away, name));
        }
    }
    best.map(|(_, name)| name)
}

/// Letters to change, add, drop or swap with their neighbour to turn one text into the other; where it takes more than
/// `allowed`, something more than that.
fn distance(a: &str, b: &str, allowed: usize, rows: &mut [Vec<usize>; 3]) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let [before, above, row] = rows;
    above.clear();
    above.extend(0..=b.len());
    before.clear();
    for i in 1..=a.len() {
        row.clear();
        row.push(i);
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row.push(least);
        }
        // Every way on leads through one of these two rows: it will not become less.
        if row.iter().chain(above.iter()).all(|n| *n > allowed) {
            return allowed + 1;
        }
        std::mem::swap(before, above);
        std::mem::swap(above, row);
    }
    above[b.len()]
}

/// Fit for a terminal, a page or a line of a log: what others chose has no control characters.
pub fn readable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_from_the_front() {
        let read = |text| leading_number(text).map(|l| (l.value, l.rest));
        assert_eq!(read("4"), Some((4, "")));
        assert_eq!(read(" 4 # four"), Some((4, " # four")));
        assert_eq!(read("+10s"), Some((10, "s")));
        assert_eq!(read("99999999999999999999999"), Some((u64::MAX, "")));
        assert_eq!(read("-4"), None);
        assert_eq!(read("four"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn truth_is_told_by_eight_words() {
        for word in ["true", "On", "YES", "1"] {
            assert_eq!(truth(word), Some(true), "{word}");
        }
        for word in ["false", "Off", "NO", "0"] {
            assert_eq!(truth(word), Some(false), "{word}");
        }
        for word in ["", "2", "flase", "00"] {
            assert_eq!(truth(word), None, "{word}");
        }
    }

    #[test]
    fn modes_have_three_or_four_octal_digits() {
        assert_eq!(octal("666"), Some(0o666));
        assert_eq!(octal("0660"), Some(0o660));
        for bad in ["", "66", "668", "rw-", "06660"] {
            assert_eq!(octal(bad), None, "{bad}");
        }
    }

    #[test]
    fn quotes_and_comments_are_seen() {
        assert_eq!(unquoted("\"4\""), Some("4"));
        assert_eq!(unquoted("'4'"), Some("4"));
        assert_eq!(unquoted("\"4'"), None);
        assert_eq!(unquoted("\""), None);
        assert!(starts_comment(" # four"));
        assert!(starts_comment("\t;four"));
        assert!(!starts_comment("#four"));
    }

    #[test]
    fn control_characters_are_shown_as_a_sign() {
        assert_eq!(readable("a\x1b[2J\u{9b}ü\n"), "a?[2J?ü?");
    }

    #[test]
    fn the_nearest_name_is_the_one_meant() {
        let names = ["vacuum", "processes", "master", "chmod-socket", "http", "st", "need-app"];
        let near = |written| nearest(written, names.into_iter());
        assert_eq!(near("vaccum"), Some("vacuum"));
        assert_eq!(near("proesses"), Some("processes"));
        assert_eq!(near("chmod_socket"), Some("chmod-socket"));
        assert_eq!(near("matser"), Some("master"));
        assert_eq!(near("Need-App"), Some("need-app"));
        assert_eq!(near("process"), Some("processes"));
        assert_eq!(near("port"), None, "a short name is not like everything");
        assert_eq!(near("base"), None);
    }
}
