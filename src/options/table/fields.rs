//! Which field each row sets: `fields.txt` tells it for all of them, so that no row quietly takes another's.
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

/// The lines of a draft that say something: the names of all it is in, and the value.
fn lines(draft: &Draft) -> Vec<(String, String)> {
    let mut within: Vec<String> = Vec::new();
    // How many items without a name there were so far, at each depth.
    let mut items: Vec<usize> = Vec::new();
    let mut lines = Vec::new();
    let text = format!("{draft:#?}");
    for line in text.lines() {
        let text = line.trim_start();
        let depth = (line.len() - text.len()) / 4;
        within.truncate(depth);
        items.truncate(depth + 1);
        items.resize(depth + 1, 0);
        if text.starts_with(['}', ')', ']']) {
            continue;
        }
        let (name, value) = match text.split_once(": ") {
            Some((name, value)) if !text.starts_with('"') => (name.to_owned(), value),
            _ => {
                items[depth] += 1;
                ((items[depth] - 1).to_string(), text)
            }
        };
        within.push(name);
        let says = !value.ends_with(['{', '(', '[']) || value.starts_with(char::is_uppercase);
        if says && !value.starts_with("Some(") {
            lines.push((within[1..].join("."), value.trim_end_matches([',', ' ', '{', '(']).to_owned()));
        }
    }
    lines
}

/// What this row changes, by the first value that it takes and that changes anything.
fn told(row: &Row) -> Option<String> {
    let before: HashSet<(String, String)> = lines(&Draft::default()).into_iter().collect();
    let here = std::env::current_dir().expect("a folder").display().to_string();
    VALUES.into_iter().find_map(|value| {
        let mut draft = Draft::default();
        row.set(&mut draft, Some(value)).ok()?;
        let new = lines(&draft).into_iter().filter(|line| !before.contains(line) && line.1 != "None");
        let new = new.map(|(path, value)| {
            let value = value.replace(&here, "{here}");
            format!("    {} = {value}\n", path.strip_prefix("settings.").unwrap_or(&path))
        });
        let new: String = new.collect();
        (!new.is_empty()).then(|| format!("{} = {value}\n{new}", row.name()))
    })
}

#[test]
fn each_row_sets_the_field_it_is_about() {
    // (A folder of variables is read at once, and this one has none.)
    let all: Vec<&Row> = rows()
        .filter(|row| !matches!(row.kind, Kind::Now(..) | Kind::Always(..) | Kind::Nothing(_)))
        .filter(|row| row.name() != "envdir")
        .collect();
    let found: String =
        all.iter().map(|row| told(row).unwrap_or_else(|| panic!("{} changes nothing", row.name()))).collect();
    let record = concat!(env!("CARGO_MANIFEST_DIR"), "/src/options/table/fields.txt");
    if std::env::var_os("UWRING_BLESS").is_some() {
        std::fs::write(record, &found).expect("written");
    }
    let known = std::fs::read_to_string(record).expect("the record");
    for (known, found) in known.lines().zip(found.lines()) {
        assert_eq!(known, found);
    }
    assert_eq!(known, found);
}
