//! Blocks of options: `if-…` keeps or drops what is inside, `for…` repeats each option for each item.
//!
//! Here it is decided what a block stands for; [`super::super::intake`] passes the options through it.

use std::path::Path;

use super::super::row::{Items, Test};
use super::super::settings::Origin;
use super::{glob, magic};
use crate::base::text;

/// An open block. Each option inside is given once for each item; where that is a text, it replaces `%(_)`.
#[derive(Debug)]
pub struct Block {
    /// The option that opened it.
    pub key: String,
    /// Where.
    pub origin: Origin,
    /// None: the options are dropped.
    pub items: Vec<Option<String>>,
}

/// What tests look at.
pub struct Facts<'a> {
    /// Value of a variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Value of an option given before.
    pub option: &'a dyn Fn(&str) -> Option<String>,
}

/// What is built in and was a plugin in uWSGI; `python3`, `python311` and so on are `python`.
const BUILT_IN: [&str; 3] = ["python", "http", "corerouter"];

/// The datum a test found true, or nothing.
pub fn test(test: Test, value: &str, facts: &Facts) -> Option<String> {
    let (name, wanted) = match value.split_once('=') {
        Some((name, wanted)) => (name, Some(wanted)),
        None => (value, None),
    };
    let is_wanted = |found: &String| wanted.is_none_or(|w| w == found);
    let path = Path::new(value);
    let holds = |truth: bool| truth.then(|| value.to_owned());
    match test {
        Test::Env => (facts.env)(name).filter(is_wanted),
        Test::Opt => (facts.option)(name).filter(is_wanted),
        // Set by a server for the one that takes its place.
        Test::Reload => (facts.env)("UWSGI_RELOADS").map(|_| String::new()),
        Test::Hostname => holds(magic::hostname() == value),
        Test::HostnameMatch => {
            holds(regex::Regex::new(value).is_ok_and(|pattern| pattern.is_match(&magic::hostname())))
        }
        Test::Exists => holds(path.exists()),
        Test::File => holds(path.is_file()),
        Test::Dir => holds(path.is_dir()),
        Test::Plugin => holds(BUILT_IN.contains(&value.trim_end_matches(|c: char| c.is_ascii_digit()))),
    }
}

/// What a loop goes over. The error says what was expected.
pub fn items(kind: Items, value: &str) -> Result<Vec<String>, String> {
    Ok(match kind {
        Items::Words => value.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect(),
        Items::Glob => match glob::paths(value) {
            // As a shell has it, a pattern nothing matches is itself.
            none if none.is_empty() => vec![value.to_owned()],
            paths => paths,
        },
        Items::Times => {
            /// More options than that are a mistake.
            const MOST: u32 = 10_000;
            // As C's atoi has it: none, where there is no number.
            let times = text::leading_number(value).map_or(0, |number| number.value);
            let times = u32::try_from(times).ok().filter(|times| *times <= MOST);
            let times = times.ok_or_else(|| format!("a number up to {MOST}"))?;
            (1..=times).map(|n| n.to_string()).collect()
        }
        Items::Lines => {
            let text =
                std::fs::read_to_string(value).map_err(|e| format!("a file that can be read ({e})"))?;
            text.lines().map(str::to_owned).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_in_both_ways() {
        let known = |name: &str| (name == "A").then(|| "1".to_owned());
        let facts = Facts { env: &known, option: &known };
        for (kind, value, found) in [
            (Test::Env, "A", Some("1")),
            (Test::Env, "A=1", Some("1")),
            (Test::Env, "A=2", None),
            (Test::Env, "B", None),
            (Test::Opt, "A", Some("1")),
            (Test::Opt, "A=2", None),
            (Test::Reload, "", None),
            (Test::Exists, "/", Some("/")),
            (Test::Exists, "/no/such/file", None),
            (Test::Dir, "/", Some("/")),
            (Test::File, "/", None),
            (Test::Hostname, "no such machine", None),
            (Test::Plugin, "python3", Some("python3")),
            (Test::Plugin, "php", None),
        ] {
            assert_eq!(test(kind, value, &facts).as_deref(), found, "{kind:?} {value}");
        }
        assert!(test(Test::Hostname, &magic::hostname(), &facts).is_some());
    }

    #[test]
    fn each_kind_of_items() {
        assert_eq!(items(Items::Words, "a  b c").unwrap(), ["a", "b", "c"]);
        assert_eq!(items(Items::Glob, "/no/such/*").unwrap(), ["/no/such/*"]);
        assert_eq!(items(Items::Times, "3").unwrap(), ["1", "2", "3"]);
        assert_eq!(items(Items::Times, "2 x").unwrap(), ["1", "2"]);
        assert_eq!(items(Items::Times, "x").unwrap(), [""; 0]);
        assert!(items(Items::Times, "10001").is_err());
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("lines");
        std::fs::write(&file, "one\ntwo\n").unwrap();
        assert_eq!(items(Items::Lines, file.to_str().unwrap()).unwrap(), ["one", "two"]);
        assert!(items(Items::Lines, "/no/such/file").is_err());
    }
}
