//! Which field each row sets: `tests/golden/fields.txt` tells it for all of them, so that no row quietly takes another's.
//!
//! `UWRING_BLESS=1 cargo test --lib -p uwring fields` writes it anew; what has changed there is to be looked at.

use std::collections::HashSet;

use super::super::draft::Draft;
use super::super::row::{Kind, Row};
use super::rows;

/// Values of which each row takes one: numbers, modes, pairs, protocols and socket names differ.
pub const VALUES: [&str; 39] = [
    "7",
    "manual",
    "epoll",
    "sampled",
    "007",
    "A=B",
    "http",
    "user:group",
    "A=7",
    "a.* 7",
    "7 7",
    "nginx",
    "X: y",
    "file:x",
    "nl",
    "name x",
    ". last:",
    "200 last:",
    "empty:x last:",
    "last:",
    "print:x",
    "/f print:x",
    "1 2 3 4 5 true",
    "1 2 3 4 5 http://x/",
    "cmd=true",
    "unix",
    "name log:",
    "0:1",
    "name=x,items=1",
    "key=x,value=1",
    "exec:x",
    "30",
    ".",
    ":1,a,b",
    "addr=:1,cert=a,key=b",
    "name a,b",
    "tmpfs none /x",
    "name 3",
    // A switch that is on by default is turned off to be seen.
    "false",
];

/// The lines of a draft, each with the names of all it is in.
fn lines(draft: &Draft) -> Vec<String> {
    let mut within: Vec<String> = Vec::new();
    let text = format!("{draft:#?}");
    let named = text.lines().map(|line| {
        let bare = line.trim_start();
        within.truncate((line.len() - bare.len()) / 4);
        within
            .push(bare.split(": ").next().unwrap_or(bare).trim_end_matches([' ', '{', '[', '(']).to_owned());
        format!("{} | {bare}", within.join("."))
    });
    named.collect()
}

/// What this row changes, by the first value that it takes and that changes anything.
fn told(row: &Row) -> Option<String> {
    let before: HashSet<String> = lines(&Draft::default()).into_iter().collect();
    VALUES.into_iter().find_map(|value| {
        let mut draft = Draft::default();
        row.set(&mut draft, Some(value)).ok()?;
        let new = lines(&draft).into_iter().filter(|line| !before.contains(line));
        let new = new.filter_map(|line| {
            let (path, text) = line.split_once(" | ")?;
            let (path, text) = (
                path.trim_start_matches("Draft.").trim_start_matches("settings."),
                text.trim_end_matches(','),
            );
            // Brackets alone say nothing, and neither does what is not there.
            let says = text.contains(char::is_alphanumeric)
                && !text.ends_with(['{', '(', '['])
                && !text.ends_with(": None");
            // An item of a list has no name.
            let (path, value) = match text.split_once(": ") {
                Some((_, value)) if !text.starts_with('"') => (path, value),
                _ => (path.rsplit_once('.').map_or("", |(list, _)| list), text),
            };
            says.then(|| format!("    {path} = {value}"))
        });
        let new: Vec<String> = new.collect();
        (!new.is_empty()).then(|| format!("{} = {value}\n{}\n", row.name(), new.join("\n")))
    })
}

#[test]
fn each_row_sets_the_field_it_is_about() {
    let all: Vec<&Row> = rows()
        .filter(|row| !matches!(row.kind, Kind::Now(..) | Kind::Always(..) | Kind::Nothing(_)))
        .collect();
    let found: String =
        all.iter().map(|row| told(row).unwrap_or_else(|| panic!("{} changes nothing", row.name()))).collect();
    let record = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/fields.txt");
    if std::env::var_os("UWRING_BLESS").is_some() {
        std::fs::write(record, &found).expect("written");
    }
    let known = std::fs::read_to_string(record).expect("the record");
    for (known, found) in known.lines().zip(found.lines()) {
        assert_eq!(known, found);
    }
    assert_eq!(known, found);
}
