//! `uwring top`: a running server, live, on a terminal; with `--once` as text, with `--json` as the live document.
//!
//! ```text
//!  source (control socket, stats server, metrics address) ─► Live ─► rates (two of them) ─► sheet ─► screen | text
//! ```

mod foreign;
mod rates;
mod screen;
mod sheet;
mod source;

use crate::sys::output;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::thread;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::client;
use rates::Rates;
use sheet::{Sheet, Sort};
use source::Source;

/// Runs `uwring top` with `argv` from `top` on. The result is the exit code: 0, or 1 if the server does not answer, or 2
/// if the command line is wrong.
pub fn run(argv: &[OsString]) -> u8 {
    client::run_as(command(), argv, |matches| show(matches).map(|()| true))
}

fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    client::which(Command::new("uwring top").bin_name("uwring top"))
        .about("Show a running server live: rates, latency, workers, requests")
        .arg(
            Arg::new("stats")
                .long("stats")
                .value_name("ADDRESS")
                .conflicts_with_all(["pid", "pidfile", "socket"])
                .help("ask a stats server (uWSGI's, too) or a metrics address: HOST:PORT, PATH, @NAME or http://HOST:PORT"),
        )
        .arg(
            Arg::new("interval")
                .long("interval")
                .value_name("SECONDS")
                .default_value("1")
                .value_parser(interval)
                .help("between two looks, 0.1 to 60"),
        )
        .arg(
            Arg::new("sort")
                .long("sort")
                .value_name("COLUMN")
                .default_value("id")
                .value_parser(clap::builder::PossibleValuesParser::new(Sort::NAMES))
                .help("sort workers by it"),
        )
        .arg(switch("once", "look twice and print that as text; so, too, where standard output is no terminal"))
        .arg(switch("json", "look once and print the live document (docs/top.md)"))
}

fn interval(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=60.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "0.1 to 60 seconds".to_owned())
}

fn show(matches: &ArgMatches) -> Result<(), source::Error> {
    let source = Source::new(matches);
    let first = source.look()?;
    if matches.get_flag("json") {
        let text = serde_json::to_string(&first).map_err(|error| source::Error::Answer(error.to_string()))?;
        output::print_line(&text);
        return Ok(());
    }
    let interval = *matches.get_one::<Duration>("interval").expect("it has a default");
    let sort = Sort::named(matches.get_one::<String>("sort").expect("it has a default"));
    if matches.get_flag("once") || !std::io::stdout().is_terminal() {
        thread::sleep(interval);
        let last = source.look()?;
        output::print(&Sheet::new(&first, &last, &Rates::between(&first, &last), sort).text());
        return Ok(());
    }
    screen::run(&source, first, interval, sort)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
        assert!(["0", "61", "x", "NaN"].into_iter().all(|text| interval(text).is_err()));
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
    }
}
