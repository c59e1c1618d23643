//! The command line, split by clap as getopt would: `--opt=v`, `--opt v`, `-p4`, `-Mp4`, unambiguous beginnings
//! of long names, words anywhere. clap is told the names and which take values, and decides nothing else: the
//! options are put back in the order they were given in, since later ones win.

use std::ffi::OsString;

use clap::builder::Str;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches};

use super::super::error::{Error, did_you_mean};
use super::super::row::{Row, Takes};
use super::super::settings::Origin;
use super::super::table::{self, Known};

/// Stands for "no value" among clap's values; a command line cannot contain it.
const NO_VALUE: &str = "\0";
/// The argument that takes all words.
const WORDS: &str = "\0words";

/// A command line, split.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Options in order; `None` where no value was given.
    pub options: Vec<(String, Option<String>)>,
    /// Everything that is not an option, in order.
    pub words: Vec<String>,
}

/// The origin of these options.
pub fn origin() -> Origin {
    Origin("command line".to_owned())
}

/// Splits a command line. It begins with the name of the program. `declared`: names beyond the table, and whether each
/// takes a value.
pub fn split(argv: &[OsString], declared: &[(String, bool)]) -> Result<Line, Error> {
    let matches = command(declared)
        .try_get_matches_from(argv.iter().map(with_equals))
        .map_err(|error| usage(&error, argv))?;
    let mut options = Vec::new();
    for id in matches.ids().filter(|id| id.as_str() != WORDS) {
        let values = matches.get_many::<String>(id.as_str()).into_iter().flatten();
        for (place, value) in matches.indices_of(id.as_str()).into_iter().flatten().zip(values) {
            let value = Some(value.clone()).filter(|v| v != NO_VALUE);
            options.push((place, id.to_string(), value));
        }
    }
    options.sort_by_key(|(place, ..)| *place);
    let options = options.into_iter().map(|(_, name, value)| (name, value)).collect();
    Ok(Line { options, words: words(&matches) })
}

fn words(matches: &ArgMatches) -> Vec<String> {
    matches.get_many::<String>(WORDS).into_iter().flatten().cloned().collect()
}

/// One clap argument for each name: the name that was written is the one reported.
fn command(declared: &[(String, bool)]) -> clap::Command {
    let mut command = clap::Command::new("uwring")
        .disable_help_flag(true)
        .disable_version_flag(true)
        .infer_long_args(true)
        .args_override_self(false);
    for (name, known) in table::names() {
        let (takes, short) = match known {
            Known::Row(row) => (row.takes(), row.short.filter(|_| row.name() == *name)),
            Known::NameOnly(takes, _) => (*takes, None),
        };
        let arg = Arg::new(Str::from(*name)).long(*name).action(ArgAction::Append);
        let arg = match takes {
            // As getopt does, the next argument is the value, whatever it looks like.
            Takes::Value(_) => arg.num_args(1).allow_hyphen_values(true),
            Takes::Maybe(_) | Takes::Nothing => {
                arg.num_args(0..=1).require_equals(true).default_missing_value(NO_VALUE)
            }
        };
        command = command.arg(match short {
            Some(letter) => arg.short(letter),
            None => arg,
        });
    }
    for (name, takes) in declared.iter().filter(|(name, _)| table::find(name).is_none()) {
        let arg = Arg::new(Str::from(name.clone())).long(Str::from(name.clone())).action(ArgAction::Append);
        command = command.arg(match takes {
            true => arg.num_args(1).allow_hyphen_values(true),
            false => arg.num_args(0..=1).require_equals(true).default_missing_value(NO_VALUE),
        });
    }
    command.arg(Arg::new(WORDS).num_args(0..).action(ArgAction::Append))
}

/// `-C660` as `-C=660`: getopt lets an optional value follow its letter, clap wants the sign between.
fn with_equals(arg: &OsString) -> OsString {
    let optional = |row: &&Row| matches!(row.takes(), Takes::Maybe(_));
    for letter in table::rows().filter(optional).filter_map(|row| row.short) {
        let value = arg.to_str().and_then(|text| text.strip_prefix('-')?.strip_prefix(letter));
        if let Some(value) = value.filter(|v| !v.is_empty() && !v.starts_with('=')) {
            return format!("-{letter}={value}").into();
        }
    }
    arg.clone()
}

/// clap's complaint in our words.
fn usage(error: &clap::Error, argv: &[OsString]) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.split([' ', '=']).next().unwrap_or_default().to_owned(),
        _ => "an option".to_owned(),
    };
    let arg = text(ContextKind::InvalidArg);
    Error::Usage(match error.kind() {
        ErrorKind::UnknownArgument => {
            let written =
                |word: &OsString| word.to_str().is_some_and(|word| word.split('=').next() == Some(&arg));
            let at = argv.iter().position(written).unwrap_or(argv.len());
            return Error::Unknown { at, what: unknown(&arg) };
        }
        ErrorKind::InvalidValue | ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            format!("{arg} needs a value")
        }
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8".to_owned(),
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

fn unknown(arg: &str) -> String {
    let Some(name) = arg.strip_prefix("--") else {
        return format!("unknown option {arg} (see --help)");
    };
    let mut longer: Vec<String> =
        table::names().keys().filter(|n| n.starts_with(name)).map(|n| format!("--{n}")).collect();
    if !longer.is_empty() {
        longer.sort();
        return format!("{arg} is ambiguous: {}", longer.join(" "));
    }
    let nearest = table::nearest(name).map(|near| format!("--{near}"));
    format!("unknown option {arg}{}", did_you_mean(&nearest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<String, String> {
        let argv: Vec<OsString> = ["uwring"].iter().chain(args).map(OsString::from).collect();
        let line = split(&argv, &[]).map_err(|error| error.to_string())?;
        let options = line.options.into_iter().map(|(k, v)| v.map_or(k.clone(), |v| format!("{k}={v}")));
        let words = line.words.into_iter().map(|w| format!("<{w}>"));
        Ok(options.chain(words).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_way_to_write_an_option() {
        for (args, expected) in [
            (vec!["--processes", "4"], "processes=4"),
            (vec!["--processes=4"], "processes=4"),
            (vec!["-p", "4"], "processes=4"),
            (vec!["-p4"], "processes=4"),
            (vec!["-Mp4"], "master processes=4"),
            (vec!["-MTL"], "master enable-threads disable-logging"),
            (vec!["--master"], "master"),
            (vec!["--master=false"], "master=false"),
            (vec!["--master", "false"], "master <false>"),
            (vec!["--workers", "2"], "workers=2"),
            (vec!["--venv", "/v", "--home=/h", "--venv=/w"], "venv=/v home=/h venv=/w"),
            (
                vec!["--chmod-socket", "-C", "-C660", "--chmod=664"],
                "chmod-socket chmod-socket chmod-socket=660 chmod=664",
            ),
            (vec!["--env", "A=b=c"], "env=A=b=c"),
            (vec!["--chdir", "--odd"], "chdir=--odd"),
            (vec!["--ini", "-"], "ini=-"),
            (vec!["--process", "3"], "processes=3"),
            (vec!["--proces=3"], "processes=3"),
            (vec!["app.ini", "--master", "app:app"], "master <app.ini> <app:app>"),
            (vec!["--master", "--", "--app"], "master <--app>"),
            (vec!["--fastrouter-to", "x", "--carbon-no-workers"], "fastrouter-to=x carbon-no-workers"),
            (vec!["--set", "a=1", "-Sb=2", "--set=c=3"], "set=a=1 set=b=2 set=c=3"),
            (vec![], ""),
        ] {
            assert_eq!(read(&args).as_deref(), Ok(expected), "{args:?}");
        }
    }

    #[test]
    fn each_way_to_miswrite_one() {
        for (args, said) in [
            (vec!["--proceses", "4"], "unknown option --proceses; did you mean --processes?"),
            (vec!["--chmod_socket=660"], "unknown option --chmod_socket; did you mean --chmod-socket?"),
            (vec!["--proc", "4"], "--proc is ambiguous: --processes --procname"),
            (vec!["--chdir"], "--chdir needs a value"),
            (vec!["-p"], "--processes needs a value"),
            (vec!["-?"], "unknown option -?"),
            (vec!["--no-such-thing"], "unknown option --no-such-thing"),
        ] {
            let error = read(&args).expect_err("miswritten");
            assert!(error.starts_with(&format!("command line: {said}")), "{args:?}: {error}");
        }
    }
}
