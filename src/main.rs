//! argv → settings → personality → exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use uwring::master::handover::{self, Found, Handover};
use uwring::master::{self, Start, pidfile};
use uwring::options::{self, Command, Loaded};

/// The configuration asks for something else.
const NOTHING_TO_SERVE: &str = "it does not say what to serve any more";

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    if argv.get(1).is_some_and(|word| word == "ctl") {
        return ExitCode::from(uwring::control::client::run(&argv[1..]));
    }
    // What is no UTF-8 cannot be an option, and stays in the environment all the same.
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let env: Vec<(String, String)> = environment().into_iter().filter_map(text).collect();
    let handover = match handover::find() {
        Found::Nothing => None,
        Found::Handover(handover) => Some(handover),
        Found::Judged(Err(why)) => return fail(&why),
        Found::Judged(Ok(())) => {
            return match options::load(&argv, &env) {
                Ok(Loaded { command: Command::Serve(_), .. }) => ExitCode::SUCCESS,
                Ok(_) => fail(&NOTHING_TO_SERVE),
                Err(error) => fail(&error),
            };
        }
    };
    match options::load(&argv, &env) {
        Ok(loaded) => run(loaded, argv, env, handover),
        Err(error) => fail(&error),
    }
}

fn run(
    loaded: Loaded,
    argv: Vec<OsString>,
    env: Vec<(String, String)>,
    handover: Option<Box<Handover>>,
) -> ExitCode {
    let Loaded { command, warnings, notes, .. } = loaded;
    match command {
        Command::Serve(settings) => {
            let program = argv.clone();
            let reread = Box::new(move || match options::load(&argv, &env) {
                Ok(Loaded { command: Command::Serve(settings), .. }) => Ok(*settings),
                Ok(_) => Err(NOTHING_TO_SERVE.to_owned()),
                Err(error) => Err(error.to_string()),
            });
            let env = environment();
            let start = Start { settings: *settings, notes, warnings, reread, argv: program, env, handover };
            code(master::serve(start))
        }
        Command::Print(text) => {
            warnings.iter().for_each(|line| eprintln!("{line}"));
            println!("{}", text.trim_end_matches('\n'));
            ExitCode::SUCCESS
        }
        Command::Signal { pidfile, what } => match pidfile::signal(&pidfile, what) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&error),
        },
    }
}

/// As it came, but for what the program before has put there.
fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| name != handover::VARIABLE).collect()
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
