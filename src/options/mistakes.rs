//! Values and names that were hardly meant as they are written. uWSGI takes them without a word; here each gives a
//! remark that says what was read and what was probably meant.

use super::remark::{Remark, Weight};
use super::row::{Kind, Row};
use super::settings::Given;
use super::table::{self, Known};
use crate::base::text;

/// Options whose texts are free: what looks like a comment or a quote there is their own business.
const FREE_TEXT: [&str; 9] = [
    "log-format",
    "logformat",
    "procname",
    "procname-master",
    "procname-prefix",
    "procname-prefix-spaced",
    "procname-append",
    "pyargv",
    "get",
];

/// Options with a reading of their own that keep one value.
const SINGLE: [&str; 18] = [
    "processes",
    "engine",
    "module",
    "wsgi-file",
    "python",
    "protocol",
    "chmod-socket",
    "buffer-size",
    "http-keepalive",
    "cheaper-algo",
    "reload-on-rss",
    "reload-on-as",
    "reload-on-pss",
    "reload-on-uss",
    "evil-reload-on-rss",
    "evil-reload-on-as",
    "prio",
    "thread-stack-size",
];

/// What is odd about one option.
pub fn of_one(given: &Given) -> Option<Remark> {
    let Given { key, value, origin } = given;
    if let Some(marker) = ["<<<<<<<", ">>>>>>>"].into_iter().find(|marker| key.starts_with(marker)) {
        let said = format!("{marker} was left by a merge: decide which lines are right, and remove it");
        return Some(Remark::at(Weight::Mistake, origin, key, said));
    }
    if key.is_empty() {
        let value = value.as_deref().unwrap_or_default();
        let said = match value.starts_with("======") {
            true => "======= was left by a merge: decide which lines are right, and remove it".to_owned(),
            false => format!("= {value}: there is no name before the ="),
        };
        return Some(Remark::at(Weight::Mistake, origin, key, said));
    }
    if [key.as_str(), value.as_deref().unwrap_or_default()].into_iter().any(|text| text.contains('\u{fffd}'))
    {
        let said = format!(
            "{key} = {}: bytes that are no UTF-8 were replaced here; save the file as UTF-8",
            value.as_deref().unwrap_or_default()
        );
        return Some(Remark::at(Weight::Differs, origin, key, said));
    }
    if let (Some(Known::Row(row)), Some(form)) = (table::find(key), value)
        && row.name() == "log-date"
        && form.contains(['-', ':', '/'])
        && !form.contains('%')
    {
        let said = format!("{key} = {form}: magic variables have taken its %; write %%Y-%%m-%%d and so on");
        return Some(Remark::at(Weight::Mistake, origin, key, said));
    }
    match table::find(key) {
        Some(Known::Row(row)) => odd_value(row, key, value.as_deref()?).map(|said| {
            Remark::at(
                Weight::Note,
                origin,
                key,
                format!("{key} = {}: {said}", value.as_deref().unwrap_or_default()),
            )
        }),
        Some(Known::NameOnly(..)) => None,
        None => meant_as(key, value.as_deref()).map(|meant| {
            Remark::at(
                Weight::Mistake,
                origin,
                key,
                format!("{key}: no option is called so; did you mean {meant}?"),
            )
        }),
    }
}

/// Whether no option and no placeholder can have this name, so that [`of_one`] has something to say.
pub fn is_no_name(key: &str) -> bool {
    key.is_empty()
        || key.starts_with("<<<<<<<")
        || key.starts_with(">>>>>>>")
        || meant_as(key, None).is_some()
}

/// What was meant by a name that no option can have: `processes 4`, `processes: 4`, `--processes`.
fn meant_as(key: &str, value: Option<&str>) -> Option<String> {
    let bare = key.trim_start_matches('-');
    let end = bare.find([' ', '\t', ':']).unwrap_or(bare.len());
    if bare.len() == key.len() && end == key.len() {
        return None;
    }
    let (name, rest) = bare.split_at(end);
    table::find(name)?;
    let rest = rest.trim_start_matches([' ', '\t', ':']);
    let value = if rest.is_empty() { value.unwrap_or_default() } else { rest };
    Some(if value.is_empty() { name.to_owned() } else { format!("{name} = {value}") })
}

/// What is odd about the value of an option that takes a text. (Numbers and switches are judged as they are read.)
fn odd_value(row: &Row, key: &str, value: &str) -> Option<String> {
    let is_text = match row.kind {
        Kind::Text(..) | Kind::Path(..) | Kind::List(..) | Kind::Paths(..) => true,
        Kind::Set(..) => matches!(
            row.name(),
            "socket"
                | "uwsgi-socket"
                | "http-socket"
                | "http"
                | "module"
                | "wsgi-file"
                | "env"
                | "mount"
                | "static-map"
        ),
        _ => false,
    };
    if !is_text || FREE_TEXT.contains(&key) {
        return None;
    }
    // `NAME="VALUE"` of env is quoted as a shell has it.
    let inner = if key == "env" { value.split_once('=').map_or(value, |(_, value)| value) } else { value };
    if let Some(bare) = text::unquoted(inner).filter(|bare| !bare.is_empty()) {
        return Some(format!("the quotes are part of the value; write {bare}"));
    }
    if let Some(at) = value.find([' ', '\t']).and_then(|_| comment_in(value)) {
        let comment = value[at..].trim_start();
        return Some(format!("`{comment}` is part of the value; a comment needs a line of its own"));
    }
    if matches!(row.kind, Kind::Path(..) | Kind::Paths(..)) && value.trim() != value {
        return Some("the blanks around it are part of the path".to_owned());
    }
    let variable = value.strip_prefix("${").and_then(|rest| rest.split_once('}')).map(|(name, _)| name);
    let variable = variable.or_else(|| {
        let name = value.strip_prefix('$')?;
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
        Some(&name[..end]).filter(|name| !name.is_empty())
    });
    variable.map(|name| format!("variables of the environment are written $({name})"))
}

/// Where a comment begins that was put behind a value.
fn comment_in(value: &str) -> Option<usize> {
    let starts = value.char_indices().filter(|(_, c)| matches!(c, ' ' | '\t'));
    starts.map(|(at, _)| at).find(|at| text::starts_comment(&value[*at..]))
}

/// Options that keep one value and are given several, differing ones in one file: the last counts.
pub fn of_several(list: &[Given]) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut seen: std::collections::HashMap<(&str, &str), &Given> = std::collections::HashMap::new();
    for given in list {
        let Some(Known::Row(row)) = table::find(&given.key) else { continue };
        let single = matches!(
            row.kind,
            Kind::Count(_)
                | Kind::CountIfSet(_)
                | Kind::Number(_)
                | Kind::Seconds(_)
                | Kind::SecondsAsMs(_)
                | Kind::Millis(_)
                | Kind::Text(..)
                | Kind::Path(..)
                | Kind::Mode(_)
                | Kind::Flag(_)
        ) || SINGLE.contains(&row.name());
        let Some((file, _)) = given.origin.0.rsplit_once(':').filter(|_| single) else { continue };
        if let Some(before) = seen.insert((row.name(), file), given)
            && before.value != given.value
            && !(matches!(row.kind, Kind::Flag(_)) && is_on(before) == is_on(given))
        {
            let (was, is) = (before.value.as_deref().unwrap_or(""), given.value.as_deref().unwrap_or(""));
            let said = format!("{} = {is}: replaces {was} of {}", given.key, before.origin);
            remarks.push(Remark::at(Weight::Note, &given.origin, &given.key, said));
        }
    }
    remarks
}

fn is_on(given: &Given) -> bool {
    given.value.as_deref().is_none_or(|value| text::truth(value) != Some(false))
}

#[cfg(test)]
mod tests {
    use super::super::settings::Origin;
    use super::*;

    fn given(key: &str, value: &str, line: usize) -> Given {
        let origin = Origin(format!("app.ini:{line}"));
        Given { key: key.to_owned(), value: Some(value.to_owned()), origin }
    }

    #[test]
    fn each_mistake_is_told_with_what_was_meant() {
        for (key, value, said) in [
            ("<<<<<<< HEAD", "", "<<<<<<< was left by a merge"),
            (">>>>>>> other", "", ">>>>>>> was left by a merge"),
            ("", "======", "======= was left by a merge"),
            ("", "4", "= 4: there is no name before the ="),
            ("processes 4", "", "did you mean processes = 4?"),
            ("processes: 4", "", "did you mean processes = 4?"),
            ("--processes", "4", "did you mean processes = 4?"),
            ("-master", "", "did you mean master?"),
            ("socket", "/tmp/a.sock ; here", "`; here` is part of the value"),
            ("socket", "/tmp/a.sock\t# here", "`# here` is part of the value"),
            ("chdir", "\"/srv\"", "the quotes are part of the value; write /srv"),
            ("env", "A='b c'", "the quotes are part of the value; write b c"),
            ("chdir", "/srv ", "the blanks around it are part of the path"),
            ("chdir", "${HOME}/x", "written $(HOME)"),
            ("module", "$MODULE", "written $(MODULE)"),
            ("logdate", "-- ::", "magic variables have taken its %"),
            ("chdir", "/srv/caf\u{fffd}", "no UTF-8 were replaced"),
        ] {
            let remark = of_one(&given(key, value, 3)).unwrap_or_else(|| panic!("{key} = {value}"));
            assert!(remark.to_string().starts_with("app.ini:3: "), "{remark}");
            assert!(remark.text.contains(said), "{key} = {value}: {remark}");
        }
        for (key, value) in [
            ("socket", "/tmp/a.sock"),
            ("chdir", "/srv/a b"),
            ("chdir", "/srv/a#b"),
            ("log-format", "%(method) ; # x"),
            ("env", "A=b"),
            ("my own", "x"),
            ("log-date", "%Y-%m-%d"),
            ("log-date", "true"),
            ("base", "\"x\""),
            ("pyargv", "a # b"),
        ] {
            assert_eq!(of_one(&given(key, value, 1)), None, "{key} = {value}");
        }
    }

    #[test]
    fn what_is_replaced_in_one_file_is_told() {
        let list = [
            given("threads", "2", 1),
            given("threads", "2", 2),
            given("threads", "4", 3),
            given("pythonpath", "/a", 4),
            given("pythonpath", "/b", 5),
            given("venv", "/a", 6),
            given("home", "/b", 7),
            given("processes", "4", 8),
            given("workers", "8", 9),
            given("module", "a", 10),
            given("wsgi", "b", 11),
            given("vacuum", "true", 12),
            given("vacuum", "1", 13),
            given("vacuum", "off", 14),
            given("env", "A=1", 15),
            given("env", "B=1", 16),
        ];
        let said: Vec<String> = of_several(&list).iter().map(Remark::to_string).collect();
        let expected = [
            "app.ini:3: threads = 4: replaces 2 of app.ini:2",
            "app.ini:7: home = /b: replaces /a of app.ini:6",
            "app.ini:9: workers = 8: replaces 4 of app.ini:8",
            "app.ini:11: wsgi = b: replaces a of app.ini:10",
            "app.ini:14: vacuum = off: replaces 1 of app.ini:13",
        ];
        assert_eq!(said, expected);
    }
}
