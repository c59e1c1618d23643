//! The table of options, for those who list it and judge by it.

pub use super::row::Verdict;
use super::row::{Kind, Takes};
use super::table::{self, Known};

/// An option, as `uwring options` shows it.
#[derive(Debug)]
pub struct Described {
    /// What it belongs to; empty for those without a row.
    pub family: &'static str,
    /// Its names, the one we use first.
    pub names: Vec<&'static str>,
    /// Its letter on the command line.
    pub short: Option<char>,
    /// What its value is called; `None` for a switch.
    pub value: Option<&'static str>,
    /// How far we are with it.
    pub verdict: Verdict,
    /// One line of help; empty for those without a row.
    pub help: &'static str,
}

impl Verdict {
    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Done => "done",
            Verdict::Accepted(_) => "accepted",
            Verdict::Planned => "planned",
            Verdict::Refused(_) => "refused",
        }
    }

    /// Why, or what to do instead.
    pub fn note(self) -> &'static str {
        match self {
            Verdict::Done | Verdict::Planned => "",
            Verdict::Accepted(note) | Verdict::Refused(note) => note,
        }
    }
}

/// All options: the rows in the order of the help, then the other names by the alphabet.
pub fn all() -> Vec<Described> {
    let value = |takes: Takes| match takes {
        Takes::Nothing => None,
        Takes::Maybe(what) | Takes::Value(what) => Some(what),
    };
    let rows =
        table::FAMILIES.iter().flat_map(|family| family.rows.iter().map(move |row| (family.title, row)));
    let mut all: Vec<Described> = rows
        .map(|(family, row)| Described {
            family,
            names: row.names.to_vec(),
            short: row.short,
            value: value(row.takes()),
            verdict: row.verdict,
            help: row.help,
        })
        .collect();
    let mut rest: Vec<Described> = table::names()
        .iter()
        .filter_map(|(name, known)| match known {
            Known::Row(_) => None,
            Known::NameOnly(takes, verdict) => Some(Described {
                family: "",
                names: vec![*name],
                short: None,
                value: value(*takes),
                verdict: *verdict,
                help: "",
            }),
        })
        .collect();
    rest.sort_by_key(|option| option.names[0]);
    all.append(&mut rest);
    all
}

/// The verdict for a name; `None` where nothing is called so.
pub fn verdict(name: &str) -> Option<Verdict> {
    table::find(name).map(|known| known.verdict())
}

/// How an option is written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Switch,
    /// A number; the last counts.
    Number,
    /// A text; the last counts.
    One,
    /// Texts, all of which count.
    Many,
    /// It need not be written: what it asks for is so in any case.
    Always,
    /// It has done its work when the options are read: files, blocks, placeholders.
    Reading,
}

/// The name we use for an option, and how its value is written.
pub fn shape(name: &str) -> Option<(&'static str, Shape)> {
    let Known::Row(row) = table::find(name)? else { return None };
    let shape = match row.kind {
        Kind::Flag(_) => Shape::Switch,
        Kind::Count(_)
        | Kind::CountIfSet(_)
        | Kind::NumberIfSet(..)
        | Kind::Number(_)
        | Kind::Seconds(_)
        | Kind::SecondsAsMs(_)
        | Kind::Millis(_) => Shape::Number,
        Kind::Text(..) | Kind::Path(..) | Kind::Mode(_) => Shape::One,
        Kind::Now(..) => Shape::Reading,
        Kind::Always(..) => Shape::Always,
        Kind::List(..) | Kind::Paths(..) | Kind::Set(..) | Kind::Nothing(_) => Shape::Many,
    };
    Some((row.name(), shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted over real configurations: the options, and how many files use them.
    const USAGE: &str = include_str!("../../tests/usage.tsv");

    /// The uses of options with such a verdict, of 1000; and the others with their uses.
    fn share(counts: impl Fn(Verdict) -> bool) -> (usize, Vec<(&'static str, usize)>) {
        let (mut all, mut those) = (0, 0);
        let mut others = Vec::new();
        for line in USAGE.lines().filter(|line| !line.starts_with('#')) {
            let (name, uses) = line.split_once('\t').expect("a name and a number");
            let uses: usize = uses.parse().expect("a number");
            let verdict = verdict(name).unwrap_or_else(|| panic!("{name} has no verdict"));
            all += uses;
            match counts(verdict) {
                true => those += uses,
                false => others.push((name, uses)),
            }
        }
        (those * 1000 / all, others)
    }

    #[test]
    fn most_uses_of_options_are_served() {
        let (done, _) = share(|verdict| verdict == Verdict::Done);
        let (served, others) = share(|verdict| matches!(verdict, Verdict::Done | Verdict::Accepted(_)));
        println!("uses of options in real configurations: done {done}, done or accepted {served} of 1000");
        println!("not yet: {others:?}");
        // These may only rise.
        assert!(done >= 955, "{done}");
        assert!(served >= 990, "{served}; {others:?}");
    }
}
