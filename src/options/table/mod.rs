//! The table of all options, by family; and the names uWSGI knows beyond it.
//!
//! An option is written here and nowhere else: the command line, the files, `--help`, the reference page and
//! the warnings are all made from these rows.

mod beyond;
mod config;
mod emperor;
#[cfg(test)]
mod fields;
mod files;
mod hooks;
mod http;
mod jobs;
mod logging;
mod monitor;
mod process;
#[cfg(test)]
mod proofs;
mod python;
mod reload;
mod routes;
mod scaling;
mod sockets;
mod tls;

use std::collections::HashMap;
use std::sync::OnceLock;

pub use http::NO_WEBSOCKETS;

use super::row::{Row, Takes, Verdict};
use crate::base::text;

/// Options that belong together.
pub struct Family {
    /// Heading in the help.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [Row],
}

/// All of them, in the order of the help.
pub static FAMILIES: &[Family] = &[
    Family { title: "Application (Python)", rows: python::ROWS },
    Family { title: "Sockets", rows: sockets::ROWS },
    Family { title: "HTTPS", rows: tls::ROWS },
    Family { title: "HTTP and requests", rows: http::ROWS },
    Family { title: "Static files", rows: files::ROWS },
    Family { title: "Internal router", rows: routes::ROWS },
    Family { title: "Processes", rows: process::ROWS },
    Family { title: "Reloads and limits of workers", rows: reload::ROWS },
    Family { title: "Number of workers", rows: scaling::ROWS },
    Family { title: "Logs", rows: logging::ROWS },
    Family { title: "Statistics, metrics, health", rows: monitor::ROWS },
    Family { title: "Hooks", rows: hooks::ROWS },
    Family { title: "Jobs beside requests, other servers", rows: jobs::ROWS },
    Family { title: "Emperor and vassals", rows: emperor::ROWS },
    Family { title: "Configuration", rows: config::ROWS },
];

/// Every option name of uWSGI 2.0, one a line; `=` marks those with a value, `?` those with an optional one.
const KNOWN: &str = include_str!("known.txt");

/// What a name stands for.
#[derive(Clone, Copy)]
pub enum Known {
    /// A row of the table.
    Row(&'static Row),
    /// An option of uWSGI without a row.
    NameOnly(Takes, Verdict),
}

impl Known {
    /// Whether it takes a value on the command line.
    pub fn takes(&self) -> Takes {
        match self {
            Known::Row(row) => row.takes(),
            Known::NameOnly(takes, _) => *takes,
        }
    }

    /// How far we are with it.
    pub fn verdict(&self) -> Verdict {
        match self {
            Known::Row(row) => row.verdict,
            Known::NameOnly(_, verdict) => *verdict,
        }
    }
}

/// All rows.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    FAMILIES.iter().flat_map(|family| family.rows)
}

/// All names with what they stand for.
pub fn names() -> &'static HashMap<&'static str, Known> {
    static NAMES: OnceLock<HashMap<&'static str, Known>> = OnceLock::new();
    NAMES.get_or_init(|| {
        let bare = KNOWN.lines().map(|line| {
            let (name, takes) = match line.as_bytes().last() {
                Some(b'=') => (&line[..line.len() - 1], Takes::Value("VALUE")),
                Some(b'?') => (&line[..line.len() - 1], Takes::Maybe("VALUE")),
                _ => (line, Takes::Nothing),
            };
            (name, Known::NameOnly(takes, beyond::verdict(name)))
        });
        // Rows come last: they replace the bare names.
        bare.chain(rows().flat_map(|row| row.names.iter().map(move |n| (*n, Known::Row(row))))).collect()
    })
}

/// What this name stands for, if anything.
pub fn find(name: &str) -> Option<Known> {
    names().get(name).copied()
}

/// Whether uWSGI has an option of this name.
pub fn is_uwsgis(name: &str) -> bool {
    KNOWN.lines().any(|line| line.trim_end_matches(['=', '?']) == name)
}

/// The name most like one that stands for nothing. Options that work are preferred to those that don't yet.
pub fn nearest(written: &str) -> Option<&'static str> {
    let of_rows = rows().flat_map(|row| row.names.iter().copied());
    text::nearest(written, of_rows).or_else(|| text::nearest(written, names().keys().copied()))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::draft::Draft;
    use super::super::row::{Kind, Verdict};
    use super::*;

    #[test]
    fn names_and_letters_are_unique() {
        let mut names = HashSet::new();
        let mut letters = HashSet::new();
        for row in rows() {
            for name in row.names {
                assert!(names.insert(*name), "{name} is declared twice");
            }
            assert!(row.short.is_none_or(|l| letters.insert(l)), "{}: letter declared twice", row.name());
        }
    }

    #[test]
    fn every_row_has_names_and_one_line_of_help() {
        for row in rows() {
            assert!(!row.names.is_empty());
            for name in row.names {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                assert!(name.chars().all(plain), "{name}");
            }
            assert!(row.help.len() > 10, "{}: help says nothing", row.name());
            assert!(row.help.len() < 130, "{}: help is no line", row.name());
            assert!(!row.help.ends_with('.') && !row.help.contains('\n'), "{}: one line", row.name());
        }
    }

    #[test]
    fn a_row_without_a_field_is_not_called_done() {
        for row in rows().filter(|r| matches!(r.kind, Kind::Nothing(_))) {
            assert_ne!(row.verdict, Verdict::Done, "{}", row.name());
        }
    }

    #[test]
    fn every_row_can_be_set() {
        for row in rows() {
            let before = format!("{:?}", Draft::default());
            // Whether it is taken, and changes anything.
            let tried = |value: &'static str| {
                let mut draft = Draft::default();
                row.set(&mut draft, Some(value)).ok().map(|_| before != format!("{draft:?}"))
            };
            let tried: Vec<bool> = fields::VALUES.into_iter().filter_map(tried).collect();
            assert!(!tried.is_empty(), "{} takes none of {:?}", row.name(), fields::VALUES);
            let touches = !matches!(row.kind, Kind::Now(..) | Kind::Always(..) | Kind::Nothing(_));
            let changed = tried.contains(&true);
            assert_eq!(changed, touches, "{}", row.name());
        }
    }

    #[test]
    fn every_name_has_a_verdict() {
        let open: Vec<&str> = names()
            .iter()
            .filter(|(_, known)| known.verdict() == Verdict::Planned)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn a_flag_without_a_value_sets_every_row() {
        for row in rows().filter(|r| !matches!(r.takes(), Takes::Value(_))) {
            assert!(row.set(&mut Draft::default(), None).is_ok(), "{}", row.name());
        }
    }

    #[test]
    fn letters_are_those_of_uwsgi() {
        let by_letter: HashMap<char, &str> =
            rows().filter_map(|r| r.short.map(|letter| (letter, r.name()))).collect();
        for (letter, name) in [
            ('s', "socket"),
            ('p', "processes"),
            ('t', "harakiri"),
            ('x', "xml"),
            ('y', "yaml"),
            ('j', "json"),
            ('S', "set"),
            ('d', "daemonize"),
            ('l', "listen"),
            ('b', "buffer-size"),
            ('m', "memory-report"),
            ('C', "chmod-socket"),
            ('T', "enable-threads"),
            ('i', "single-interpreter"),
            ('M', "master"),
            ('h', "help"),
            ('R', "max-requests"),
            ('z', "socket-timeout"),
            ('L', "disable-logging"),
            ('w', "module"),
            ('H', "home"),
            ('O', "optimize"),
        ] {
            assert_eq!(by_letter.get(&letter), Some(&name), "-{letter}");
        }
    }

    #[test]
    fn the_known_names_are_all_there() {
        assert!(KNOWN.lines().count() > 1100);
        assert!(matches!(find("fastrouter-to"), Some(Known::NameOnly(Takes::Value(_), _))));
        assert!(matches!(find("carbon-resolve-names"), Some(Known::NameOnly(Takes::Nothing, _))));
        assert!(matches!(find("processes"), Some(Known::Row(_))));
        assert!(find("no-such-option").is_none());
    }

    #[test]
    fn typos_find_the_real_name() {
        for (typo, real) in [
            ("vaccum", "vacuum"),
            ("proesses", "processes"),
            ("chmod_socket", "chmod-socket"),
            ("enable_threads", "enable-threads"),
            ("wsgi_file", "wsgi-file"),
            ("harikiri", "harakiri"),
        ] {
            assert_eq!(nearest(typo), Some(real), "{typo}");
        }
        assert_eq!(nearest("project"), None);
    }
}
