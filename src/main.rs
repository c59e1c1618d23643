//! argv → settings → personality → exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use uwring::master::{self, Start, pidfile};
use uwring::options::{self, Command, Loaded};

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    if argv.get(1).is_some_and(|word| word == "ctl") {
        return ExitCode::from(uwring::control::client::run(&argv[1..]));
    }
    // What is no UTF-8 cannot be an option, and stays in the environment all the same.
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let env: Vec<(String, String)> = std::env::vars_os().filter_map(text).collect();
    match options::load(&argv, &env) {
        Ok(Loaded { command, warnings, notes }) => run(command, warnings, notes, argv, env),
        Err(error) => fail(&error),
    }
}

fn run(
    command: Command,
    warnings: Vec<String>,
    notes: Vec<String>,
    argv: Vec<OsString>,
    env: Vec<(String, String)>,
) -> ExitCode {
    match command {
        Command::Serve(settings) => {
            let reread = Box::new(move || match options::load(&argv, &env) {
                Ok(Loaded { command: Command::Serve(settings), .. }) => Ok(*settings),
                Ok(_) => Err("it does not say what to serve any more".to_owned()),
                Err(error) => Err(error.to_string()),
            });
            code(master::serve(Start { settings: *settings, notes, warnings, reread }))
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

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}

fn code(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
