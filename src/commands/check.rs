//! `uwring check [--json] [FILE…] [OPTION…]`: every option as it is understood, where it comes from, what becomes of
//! it, and what is to be said about it. The code is 0 only if the site would run as under uWSGI.
//!
//! `--json` is the form of the output here; a configuration in JSON is named by itself, or with `-j`.

use std::ffi::OsString;
use std::fmt::Write as _;

use serde::Serialize;

use crate::options::catalogue::{self, Verdict};
use crate::options::remark::{Remark, Weight};
use crate::options::settings::Given;
use crate::options::{self, Command};

/// What was found, as `--json` prints it.
#[derive(Debug, Serialize)]
pub struct Report {
    options: Vec<Row>,
    /// What concerns no single option.
    remarks: Vec<Said>,
    summary: Summary,
}

/// One option.
#[derive(Debug, Serialize)]
struct Row {
    option: String,
    value: String,
    origin: String,
    /// done, accepted, planned, refused, placeholder or unknown.
    verdict: &'static str,
    note: String,
    #[serde(skip)]
    weight: Option<Weight>,
}

/// A remark without an option of the list.
#[derive(Debug, Serialize)]
struct Said {
    origin: Option<String>,
    text: String,
    #[serde(skip)]
    weight: Weight,
}

/// How many there are of each.
#[derive(Debug, Default, Serialize)]
struct Summary {
    options: usize,
    done: usize,
    accepted: usize,
    planned: usize,
    refused: usize,
    placeholders: usize,
    unknown: usize,
    remarks: usize,
    /// Whether the server would start.
    starts: bool,
    /// Whether the site would run as under uWSGI.
    same: bool,
}

/// Runs it.
pub fn run(argv: &[OsString], env: &[(String, String)]) -> u8 {
    let (json, argv) = super::take("--json", argv);
    let report = match options::examine(&argv, env) {
        Ok(loaded) => match loaded.command {
            Command::Serve(settings) => {
                let of_certificates = super::certificates::remarks(&settings);
                report(&settings.given, loaded.remarks.into_iter().chain(of_certificates).collect())
            }
            Command::Print(text) => {
                super::say(&text);
                return 0;
            }
            Command::Exit(code) => {
                eprintln!("uwring check looks at what is to be served; exit ends this with code {code}");
                return 1;
            }
            Command::Signal { .. } => {
                eprintln!(
                    "uwring check looks at what is to be served; this is a command to a running server"
                );
                return 1;
            }
        },
        Err(error) => report(&[], vec![error.into_remark()]),
    };
    let text = if json { serde_json::to_string_pretty(&report).unwrap_or_default() } else { text(&report) };
    super::say(&text);
    u8::from(!report.summary.same)
}

fn report(given: &[Given], remarks: Vec<Remark>) -> Report {
    let mut summary = Summary { remarks: remarks.len(), starts: true, same: true, ..Summary::default() };
    for remark in &remarks {
        summary.starts &= remark.weight != Weight::Fatal;
        summary.same &= remark.weight < Weight::Differs;
    }
    let mut told = vec![false; remarks.len()];
    let mut rows = Vec::with_capacity(given.len());
    for option in given {
        let verdict = catalogue::verdict(&option.key);
        let own = remarks
            .iter()
            .enumerate()
            .filter(|(_, remark)| remark.origin.as_ref() == Some(&option.origin) && remark.key == option.key);
        let mut notes: Vec<&str> =
            verdict.map(Verdict::note).into_iter().filter(|note| !note.is_empty()).collect();
        let mut weight = None;
        let mut unknown = verdict.is_none();
        for (index, remark) in own {
            if !told[index] {
                notes.push(&remark.text);
                weight = weight.max(Some(remark.weight));
            }
            told[index] = true;
        }
        // What is refused says so itself.
        if notes.len() > 1 && notes[1..].iter().any(|note| note.contains(notes[0])) {
            notes.remove(0);
        }
        unknown &= weight.is_some();
        let word = match verdict {
            Some(verdict) => verdict.word(),
            None if unknown => "unknown",
            None => "placeholder",
        };
        count(&mut summary, word);
        rows.push(Row {
            option: option.key.clone(),
            value: option.value.clone().unwrap_or_else(|| "true".to_owned()),
            origin: option.origin.to_string(),
            verdict: word,
            note: notes.join("; "),
            weight,
        });
    }
    let rest = remarks.into_iter().zip(told).filter(|(_, told)| !told).map(|(remark, _)| remark);
    let remarks = rest
        .map(|remark| Said {
            origin: remark.origin.map(|origin| origin.to_string()),
            text: remark.text,
            weight: remark.weight,
        })
        .collect();
    Report { options: rows, remarks, summary }
}

fn count(summary: &mut Summary, word: &str) {
    summary.options += 1;
    match word {
        "done" => summary.done += 1,
        "accepted" => summary.accepted += 1,
        "planned" => summary.planned += 1,
        "refused" => summary.refused += 1,
        "placeholder" => summary.placeholders += 1,
        _ => summary.unknown += 1,
    }
}

/// For people: a line for each option, remarks below it.
fn text(report: &Report) -> String {
    let width = |of: fn(&Row) -> &str, most: usize| {
        report.options.iter().map(|row| of(row).chars().count()).max().unwrap_or(0).min(most)
    };
    let (key, value) = (width(|row| &row.option, 30), width(|row| &row.value, 44));
    let place = width(|row| &row.origin, 50);
    let mut out = String::new();
    for row in &report.options {
        let line = format!(
            "{:place$}  {:key$} = {:value$}  {}",
            row.origin,
            row.option,
            one_line(&row.value),
            row.verdict
        );
        out.push_str(line.trim_end());
        if row.weight.is_none() && !row.note.is_empty() {
            let _ = write!(out, ": {}", row.note);
        }
        out.push('\n');
        if let Some(weight) = row.weight {
            let _ = writeln!(out, "    {} {}", mark(weight), row.note);
        }
    }
    if !report.remarks.is_empty() && !report.options.is_empty() {
        out.push('\n');
    }
    for said in &report.remarks {
        let origin = said.origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
        let _ = writeln!(out, "{} {origin}{}", mark(said.weight), said.text);
    }
    let Summary { options, done, accepted, planned, refused, placeholders, unknown, remarks, starts, same } =
        report.summary;
    let _ = writeln!(
        out,
        "\n{options} options: {done} done, {accepted} accepted, {planned} planned, {refused} refused; \
         {placeholders} placeholders, {unknown} unknown; {remarks} remarks"
    );
    out.push_str(match (starts, same) {
        (false, _) => "The server would not start.\n",
        (true, false) => "The site would not run as under uWSGI: see the remarks marked with x.\n",
        (true, true) => "The site would run as under uWSGI.\n",
    });
    out
}

/// What differs or ends the start is marked otherwise than what is good to know.
fn mark(weight: Weight) -> char {
    if weight >= Weight::Differs { 'x' } else { '!' }
}

/// A value with several lines is shown by its first.
fn one_line(value: &str) -> String {
    match value.split_once('\n') {
        Some((first, _)) => format!("{first}…"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examined(args: &[&str]) -> Report {
        let argv: Vec<OsString> = ["uwring"].iter().chain(args).map(OsString::from).collect();
        let loaded = options::examine(&argv, &[]).expect("readable");
        let Command::Serve(settings) = loaded.command else { panic!("not to be served") };
        report(&settings.given, loaded.remarks)
    }

    #[test]
    fn each_option_has_its_verdict_and_place() {
        let report = examined(&[
            "--http=:0",
            "-w",
            "app",
            "--thunder-lock",
            "--http-websockets",
            "--set",
            "x=1",
            "--chdir=/%(x)",
        ]);
        let verdicts: Vec<_> = report.options.iter().map(|row| (row.option.as_str(), row.verdict)).collect();
        let expected = [
            ("http", "done"),
            ("module", "done"),
            ("thunder-lock", "accepted"),
            ("http-websockets", "accepted"),
            ("set", "done"),
            ("x", "placeholder"),
            ("chdir", "done"),
        ];
        assert_eq!(verdicts, expected);
        assert_eq!(report.options[6].value, "/1");
        assert!(report.options[6].note.contains("there is no folder /1"), "{report:?}");
        assert!(!report.summary.same && !report.summary.starts);
        let text = text(&report);
        assert!(text.contains("command line  http"), "{text}");
        assert!(text.contains("x chdir") || text.contains("x there is no folder /1"), "{text}");
        assert!(text.ends_with("The server would not start.\n"), "{text}");
    }

    #[test]
    fn a_good_site_is_called_so() {
        let report = examined(&["--http=:0", "-w", "app", "--set=nobody=1"]);
        assert!(report.summary.same, "{report:?}");
        assert_eq!(report.summary.unknown, 1);
        assert!(text(&report).ends_with("The site would run as under uWSGI.\n"));
    }
}
