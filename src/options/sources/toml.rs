//! The text of a TOML file, uwring's own spelling:
//!
//! ```toml
//! [uwring]                      # or without a table
//! http = ":8080"
//! module = "shop.wsgi:application"
//! processes = 4
//! env = { DJANGO_SETTINGS_MODULE = "shop.settings" }
//! ```
//! Names may be written with underscores. Arrays repeat an option, tables give it `KEY=VALUE` each.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::super::table;
use super::{Found, Unreadable, ini};

/// The options of one table: `uwring`, `uwsgi` or, without these, those of the top.
pub fn read(text: &str, section: &str) -> Result<Option<Vec<Found>>, Unreadable> {
    let top = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Unreadable { line, why: format!("no TOML: {}", error.message()) }
    })?;
    let native = [ini::NATIVE_SECTION, ini::SECTION];
    let names = if section == ini::SECTION { &native[..] } else { &[section] };
    let table = names.iter().find_map(|name| top.get_ref().get(*name)?.get_ref().as_table());
    let Some(table) = table.or((section == ini::SECTION).then_some(top.get_ref())) else { return Ok(None) };
    // In the order they are written in.
    let mut pairs: Vec<_> = table.iter().collect();
    pairs.sort_by_key(|(key, _)| key.span().start);
    let mut found = Vec::new();
    for (key, value) in pairs {
        add(&mut found, text, &name(key.get_ref()), value);
    }
    Ok(Some(found))
}

/// An option's name with dashes, where that is its name.
fn name(written: &str) -> String {
    let dashed = written.replace('_', "-");
    if table::find(&dashed).is_some() { dashed } else { written.to_owned() }
}

fn add(found: &mut Vec<Found>, text: &str, key: &str, value: &Spanned<DeValue>) {
    let line = line_of(text, value.span().start);
    let put = |value: String| found.push(Found { line, key: key.to_owned(), value });
    match value.get_ref() {
        DeValue::Array(values) => values.iter().for_each(|value| add(found, text, key, value)),
        DeValue::Table(pairs) => {
            let mut pairs: Vec<_> = pairs.iter().collect();
            pairs.sort_by_key(|(name, _)| name.span().start);
            let plain = |(name, value): (&Spanned<_>, &Spanned<DeValue>)| {
                Some(format!("{}={}", name.get_ref(), plain(value.get_ref())?))
            };
            pairs.into_iter().filter_map(plain).for_each(put);
        }
        value => plain(value).into_iter().for_each(put),
    }
}

fn plain(value: &DeValue) -> Option<String> {
    Some(match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.as_str().to_owned(),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(date) => date.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => return None,
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str, section: &str) -> String {
        let found = read(text, section).expect("readable").expect("the section");
        found.iter().map(|f| format!("{}:{}={}", f.line, f.key, f.value)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn options_in_the_order_they_are_written_in() {
        let text = "# mine\n[uwring]\nwsgi_file = \"a.py\"\nhttp = [\":80\", \":81\"]\nmaster = true\n\
                    processes = 4\nmy_own = 1\nenv = { B = \"1\", A = 2 }\n[other]\nx = 1\n";
        assert_eq!(
            pairs(text, "uwsgi"),
            "3:wsgi-file=a.py 4:http=:80 4:http=:81 5:master=true 6:processes=4 7:my_own=1 8:env=B=1 8:env=A=2"
        );
        assert_eq!(pairs(text, "other"), "10:x=1");
        assert_eq!(pairs("http = \":80\"", "uwsgi"), "1:http=:80");
        assert_eq!(read("http = 1", "other"), Ok(None));
        assert_eq!(read("a = 1\nb = ", "uwsgi").expect_err("unreadable").line, 2);
    }
}
