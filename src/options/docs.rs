//! What is made from the table for people: `--help`, the reference page, the options as they were understood.

use super::row::{Row, Takes, Verdict};
use super::settings::Given;
use super::table;

/// Column where the help of an option begins.
const HELP_COLUMN: usize = 34;

const HEAD: &str = "\
usage: uwring [OPTIONS] [FILE.ini | FILE.ini:SECTION | FILE.py | MODULE:CALLABLE]

Serves Python applications, configured as uWSGI is. Options are given here, in ini files, or in the environment
as UWSGI_NAME=VALUE; later ones win, and a file named without --ini comes last. --version begins with the uWSGI
version this server stands for, for scripts that ask.
";

const TAIL: &str = "
Options marked * have nothing to do here and are accepted. All other options of uWSGI are known; they have no
effect yet, and a warning says so where one is used. docs/options.md lists them.
";

/// What `--help` prints: what works and what is accepted.
pub fn help() -> String {
    let mut text = HEAD.to_owned();
    for family in table::FAMILIES {
        let shown: Vec<&Row> = family.rows.iter().filter(|row| is_shown(row)).collect();
        if !shown.is_empty() {
            text.push_str(&format!("\n{}\n", family.title));
        }
        for row in shown {
            text.push_str(&help_of(row));
        }
    }
    text.push_str(TAIL);
    text
}

/// What `dump-options` prints: every name, one a line.
pub fn names() -> String {
    let mut names: Vec<&str> = table::names().keys().copied().collect();
    names.sort_unstable();
    names.join("\n")
}

fn is_shown(row: &Row) -> bool {
    matches!(row.verdict, Verdict::Done | Verdict::Accepted(_))
}

fn help_of(row: &Row) -> String {
    let short = row.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
    let mark = if matches!(row.verdict, Verdict::Accepted(_)) { "*" } else { " " };
    let names = format!("{mark} {short}--{}{}", row.name(), value_of(row));
    let also = match &row.names[1..] {
        [] => String::new(),
        others => format!(" (also {})", others.join(", ")),
    };
    let gap = if names.len() + 2 > HELP_COLUMN {
        format!("\n{:HELP_COLUMN$}", "")
    } else {
        " ".repeat(HELP_COLUMN - names.len())
    };
    let always = if row.is_always_so() { "; always so" } else { "" };
    format!("{names}{gap}{}{always}{also}\n", row.help)
}

fn value_of(row: &Row) -> String {
    match row.takes() {
        Takes::Nothing => String::new(),
        Takes::Maybe(what) => format!("[={what}]"),
        Takes::Value(what) => format!(" {what}"),
    }
}

/// The reference page, docs/options.md.
#[cfg(test)]
pub fn page() -> String {
    let mut text = "# Options\n\n\
        Made from the table in `src/options/table`; do not edit. `UWRING_BLESS=1 cargo test --lib options` writes \
        it anew.\n\n\
        **works**: does what it says. **accepted**: nothing needs doing, and why. **planned**: no effect yet, a \
        warning says so. **refused**: the server does not start, and what to do instead.\n"
        .to_owned();
    for family in table::FAMILIES {
        text.push_str(&format!(
            "\n## {}\n\n| option | value | what it does | |\n| --- | --- | --- | --- |\n",
            family.title
        ));
        for row in family.rows {
            text.push_str(&line_of(row));
        }
    }
    text.push_str("\n## Also known\n\nThe other options of uWSGI, by what becomes of them.\n");
    let mut rest: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for (name, known) in table::names() {
        if let table::Known::NameOnly(_, verdict) = known {
            rest.entry(said_of(*verdict)).or_default().push(format!("`{name}`"));
        }
    }
    for (verdict, mut names) in rest {
        names.sort();
        text.push_str(&format!("\n**{verdict}**\n\n{}\n", names.join(" ")));
    }
    text
}

#[cfg(test)]
fn line_of(row: &Row) -> String {
    let names: Vec<String> = row.names.iter().map(|name| format!("`{name}`")).collect();
    let short = row.short.map(|letter| format!(" `-{letter}`")).unwrap_or_default();
    let value = match row.takes() {
        Takes::Nothing => "true, false".to_owned(),
        Takes::Maybe(what) => format!("{what}, or none"),
        Takes::Value(what) => what.to_owned(),
    };
    let always = if row.is_always_so() { ", always so" } else { "" };
    let verdict = said_of(row.verdict) + always;
    let cell = |text: &str| text.replace('|', "\\|");
    format!("| {}{short} | {} | {} | {} |\n", names.join(", "), cell(&value), cell(row.help), cell(&verdict))
}

#[cfg(test)]
fn said_of(verdict: Verdict) -> String {
    match verdict {
        Verdict::Done => "works".to_owned(),
        Verdict::Accepted(why) => format!("accepted: {why}"),
        Verdict::Planned => "planned".to_owned(),
        Verdict::Refused(instead) => format!("refused: {instead}"),
    }
}

/// The options as they were understood, as uWSGI's `show-config` writes them.
pub fn config(given: &[Given]) -> Vec<String> {
    let mut lines = vec![String::new(), ";uWSGI instance configuration".to_owned(), "[uwsgi]".to_owned()];
    lines.extend(given.iter().map(|g| format!("{} = {}", g.key, g.value.as_deref().unwrap_or("true"))));
    lines.push(";end of configuration".to_owned());
    lines.push(String::new());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_option_that_works() {
        let help = help();
        for row in table::rows().filter(|row| is_shown(row)) {
            assert!(help.contains(&format!("--{}", row.name())), "{}", row.name());
        }
        let widest = help.lines().map(|line| line.chars().count()).max();
        assert!(widest < Some(180), "{widest:?}");
    }

    #[test]
    fn the_reference_page_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/options.md");
        let page = page();
        if std::env::var_os("UWRING_BLESS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page, "docs/options.md is stale: run UWRING_BLESS=1 cargo test --lib options");
    }
}
