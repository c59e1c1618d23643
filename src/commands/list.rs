//! `uwring options [--json]`: the whole table.

use std::ffi::OsString;

use serde::Serialize;

use crate::options::catalogue::{self, Described};

/// An option, as `--json` prints it.
#[derive(Serialize)]
struct Row {
    option: &'static str,
    also: Vec<&'static str>,
    short: Option<char>,
    value: Option<&'static str>,
    family: &'static str,
    verdict: &'static str,
    note: &'static str,
    help: &'static str,
}

/// Runs it.
pub fn run(argv: &[OsString]) -> u8 {
    let (json, rest) = super::take("--json", argv);
    if rest.len() > 1 {
        eprintln!("uwring options takes --json and nothing else");
        return 1;
    }
    let all = catalogue::all();
    if json {
        let rows: Vec<Row> = all.iter().map(row).collect();
        super::say(&serde_json::to_string_pretty(&rows).unwrap_or_default());
    } else {
        super::say(&all.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    0
}

fn row(option: &Described) -> Row {
    Row {
        option: option.names[0],
        also: option.names[1..].to_vec(),
        short: option.short,
        value: option.value,
        family: option.family,
        verdict: option.verdict.word(),
        note: option.verdict.note(),
        help: option.help,
    }
}

fn line(option: &Described) -> String {
    let note = option.verdict.note();
    let said = [option.help, note].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ");
    format!("{:9} {:32} {said}", option.verdict.word(), option.names.join(", ")).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_listed_once_with_a_word() {
        let all = catalogue::all();
        let names: Vec<&str> = all.iter().flat_map(|option| option.names.clone()).collect();
        let unique: std::collections::HashSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), unique.len());
        assert!(names.len() >= 1168, "{}", names.len());
        let router = all.iter().find(|option| option.names == ["rawrouter"]).expect("a name");
        assert!(line(router).starts_with("refused   rawrouter  "), "{}", line(router));
        assert_eq!(row(router).verdict, "refused");
    }
}
