//! The rules of the house (`docs` and the founders' style page), as tests over the source itself.
//!
//! Each rule names the file and line that breaks it. The recorded maxima may only fall: who shortens the longest file or
//! function lowers the number here, nobody raises it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// No Rust file of the server or its plugins is longer; tests have their own bound.
const FILE_LINES_MAX: usize = 520;
const TEST_FILE_LINES_MAX: usize = 740;
/// No function is longer.
const FUNCTION_LINES_MAX: usize = 110;

/// The only files that may say `unsafe`. A folder ends with `/`.
const UNSAFE_FILES: &[&str] = &[
    "src/sys/",
    "src/engine/",
    "src/shared/area.rs",
    "src/plugin/api.rs",
    "src/plugin/host.rs",
    "src/plugin/piece.rs",
    "plugins/abi/src/lib.rs",
    "plugins/python/tests/",
    "plugins/python/src/interpreter.rs",
    "plugins/python/src/environ.rs",
    "plugins/python/src/lend.rs",
    "plugins/python/src/host.rs",
    "plugins/python/src/call.rs",
    "plugins/python/src/start_response.rs",
];

/// Rooms and the line of the house they are on: a room uses lower lines only.
const ROOMS: &[(&str, u32)] = &[
    ("base", 1),
    ("options", 2),
    ("request", 2),
    ("response", 2),
    ("sys", 2),
    ("engine", 3),
    ("proto", 3),
    ("shared", 3),
    ("files", 4),
    ("tls", 4),
    ("logging", 4),
    ("routes", 5),
    ("hooks", 5),
    ("stats", 5),
    ("plugin", 6),
    ("worker", 7),
    ("control", 7),
    ("master", 8),
    ("emperor", 8),
    ("commands", 8),
    ("main", 9),
];

/// One source file: its path from the project's folder, and its text.
struct Source {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files of the project.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in ["src", "plugins", "tests", "benches"] {
        collect(&root().join(folder), &mut paths);
    }
    paths.sort();
    assert!(paths.len() > 10, "the source is not where this test looks");
    let source = |path: PathBuf| Source {
        text: std::fs::read_to_string(&path).expect("a readable source file"),
        path: path.strip_prefix(root()).expect("below the root").display().to_string(),
    };
    paths.into_iter().map(source).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("a readable folder").path()) {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Lines of code with their numbers: without comments, and without what stands in string literals on one line.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    text.lines().enumerate().map(|(n, line)| {
        let mut code = String::new();
        let mut quoted = false;
        let mut chars = line.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if quoted => {
                    chars.next();
                }
                // A quote as a character literal opens nothing.
                '"' if !code.ends_with('\'') => quoted = !quoted,
                '/' if !quoted && chars.peek() == Some(&'/') => break,
                _ if quoted => {}
                _ => code.push(c),
            }
        }
        (n + 1, code)
    })
}

fn has_word(code: &str, word: &str) -> bool {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

#[track_caller]
fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn unsafe_stays_in_its_rooms() {
    let mut problems = Vec::new();
    for source in sources() {
        let allowed =
            |at: &&&str| source.path == **at || (at.ends_with('/') && source.path.starts_with(**at));
        if UNSAFE_FILES.iter().any(|at| allowed(&at)) {
            continue;
        }
        for (n, code) in code_lines(&source.text) {
            if has_word(&code, "unsafe") {
                problems.push(format!("{}:{n}: unsafe outside its rooms", source.path));
            }
        }
    }
    none(problems);
}

#[test]
fn rooms_use_lower_rooms_only() {
    let line_of: BTreeMap<&str, u32> = ROOMS.iter().copied().collect();
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("src/")) {
        let room = source.path["src/".len()..].split(['/', '.']).next().expect("split gives one");
        if room == "lib" {
            continue;
        }
        let Some(own) = line_of.get(room) else {
            problems.push(format!("{}: room {room} has no line in tests/tidy.rs", source.path));
            continue;
        };
        for (n, code) in code_lines(&source.text) {
            for used in code.split("crate::").skip(1) {
                for name in rooms_named(used) {
                    let above = line_of.get(name).is_some_and(|line| name != room && line >= own && *own < 9);
                    if above {
                        problems
                            .push(format!("{}:{n}: {room} uses {name}, which is not below it", source.path));
                    }
                }
            }
        }
    }
    none(problems);
}

/// The first names after `crate::`: one, or those of a group `{a::…, b}`.
fn rooms_named(used: &str) -> Vec<&str> {
    let ident = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    match used.strip_prefix('{') {
        None => vec![&used[..ident(used)]],
        Some(group) => group.split(',').map(str::trim).map(|part| &part[..ident(part)]).collect(),
    }
}

#[test]
fn every_file_says_what_it_is() {
    let sources = sources();
    let without = sources.iter().filter(|source| !source.text.starts_with("//! "));
    none(without.map(|source| format!("{}: does not open with //!", source.path)).collect());
}

#[test]
fn nothing_is_left_lying_about() {
    let mut problems = Vec::new();
    for source in sources() {
        for (n, code) in code_lines(&source.text) {
            // Tests that take minutes are there, and nowhere else.
            let may_wait = source.path == "tests/it/long.rs";
            for left in ["dbg!", "todo!", "unimplemented!", "#[ignore"] {
                if code.contains(left) && !(may_wait && left == "#[ignore") {
                    problems.push(format!("{}:{n}: {left}", source.path));
                }
            }
        }
        for (n, line) in source.text.lines().enumerate() {
            // Written so that this file doesn't find itself.
            for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")] {
                if line.contains(mark) {
                    problems.push(format!("{}:{}: {mark}: do it now, or open an issue", source.path, n + 1));
                }
            }
            if line.ends_with([' ', '\t']) {
                problems.push(format!("{}:{}: blanks at the end of the line", source.path, n + 1));
            }
        }
    }
    none(problems);
}

#[test]
fn tests_do_not_sleep() {
    let mut problems = Vec::new();
    for source in sources().iter().filter(|source| source.path.starts_with("tests/it/")) {
        for (n, code) in code_lines(&source.text) {
            if has_word(&code, "sleep") {
                problems.push(format!("{}:{n}: wait for the event instead", source.path));
            }
        }
    }
    none(problems);
}

#[test]
fn every_test_application_is_used() {
    let apps = root().join("tests/apps");
    let tests: String =
        sources().into_iter().filter(|s| s.path.starts_with("tests/it/")).map(|s| s.text).collect();
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(apps).expect("tests/apps") {
        let name = entry.expect("a readable folder").file_name().to_string_lossy().into_owned();
        let used = ["\"{}\"", "{apps}/{}", "apps/{}/"].map(|shape| shape.replace("{}", &name));
        if !used.iter().any(|used| tests.contains(used)) {
            problems.push(format!("tests/apps/{name}: no test uses it"));
        }
    }
    none(problems);
}

#[test]
fn every_golden_file_is_used() {
    let tests: String =
        sources().into_iter().filter(|s| s.path.starts_with("tests/it/")).map(|s| s.text).collect();
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(root().join("tests/golden")).expect("tests/golden") {
        let file = entry.expect("a readable folder").file_name().to_string_lossy().into_owned();
        let name = file.trim_start_matches("environ_").trim_end_matches(".json");
        let used = [format!("\"{name}\""), format!("golden/{file}")];
        if !used.iter().any(|used| tests.contains(used)) {
            problems.push(format!("tests/golden/{file}: no test reads it"));
        }
    }
    none(problems);
}

#[test]
fn every_module_file_is_declared() {
    // A file nobody declares is never compiled, and nobody notices.
    let sources = sources();
    let declared: BTreeSet<String> = sources
        .iter()
        .flat_map(|source| code_lines(&source.text).map(|(_, code)| code).collect::<Vec<_>>())
        .filter_map(|code| {
            let words: Vec<&str> = code.split_whitespace().collect();
            let at = words.iter().position(|word| *word == "mod")?;
            words.get(at + 1).map(|name| name.trim_end_matches([';', '{']).to_owned())
        })
        .collect();
    let mut problems = Vec::new();
    for source in &sources {
        let path = Path::new(&source.path);
        let stem = path.file_stem().expect("a file").to_string_lossy().into_owned();
        let folder = path.parent().expect("a folder");
        let is_root = matches!(stem.as_str(), "lib" | "main" | "build")
            || folder == Path::new("tests")
            || folder == Path::new("benches");
        let name = if stem == "mod" {
            folder.file_name().expect("a folder").to_string_lossy().into_owned()
        } else {
            stem
        };
        if !is_root && !declared.contains(&name) {
            problems.push(format!("{}: no `mod {name}`", source.path));
        }
    }
    none(problems);
}

#[test]
fn files_stay_readable() {
    let mut problems = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let max = if source.path.contains("tests/") { TEST_FILE_LINES_MAX } else { FILE_LINES_MAX };
        if lines > max {
            problems.push(format!(
                "{}: {lines} lines, more than {max}: which second question does it answer?",
                source.path
            ));
        }
    }
    none(problems);
}

#[test]
fn functions_stay_readable() {
    let mut problems = Vec::new();
    for source in sources() {
        for (name, start, lines) in functions(&source.text) {
            if lines > FUNCTION_LINES_MAX {
                problems.push(format!(
                    "{}:{start}: fn {name}: {lines} lines, more than {FUNCTION_LINES_MAX}",
                    source.path
                ));
            }
        }
    }
    none(problems);
}

/// Name, first line and number of lines of each function: rustfmt ends a function with `}` in the column of its `fn`.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some(at) = code.find("fn ") else { continue };
        let is_item = code[..at].split_whitespace().all(|word| {
            word.starts_with("pub")
                || word.starts_with('"')
                || ["const", "async", "unsafe", "extern"].contains(&word)
        });
        // Without a body it is a declaration.
        if !is_item || code.starts_with("//") || code.ends_with(';') {
            continue;
        }
        let end = format!("{}}}", &line[..line.len() - code.len()]);
        let rest = lines[n..].iter().position(|line| **line == end);
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let Some(rest) = rest {
            found.push((name, n + 1, rest + 1));
        }
    }
    found
}

#[test]
fn functions_are_measured() {
    let text =
        "fn one() {\n}\n\nimpl X {\n    pub(crate) fn two(&self) {\n        if a {\n        }\n    }\n}\n";
    assert_eq!(functions(text), [("one".to_owned(), 1, 2), ("two".to_owned(), 5, 4)]);
}

#[test]
fn code_is_told_from_text() {
    let lines: Vec<String> = code_lines("a \"b // unsafe\" c // d\n'\"' e").map(|(_, code)| code).collect();
    assert_eq!(lines, ["a  c ", "'\"' e"]);
    assert!(has_word("x(unsafe{", "unsafe") && !has_word("unsafe_code", "unsafe"));
}
