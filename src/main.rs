//! argv → settings → personality → exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use uwring::emperor;
use uwring::master::handover::{self, Found, Handover};
use uwring::master::{self, Start, pidfile};
use uwring::options::hooks::Moment;
use uwring::options::settings::Settings;
use uwring::options::{self, Command, Loaded};

/// The configuration asks for something else.
const NOTHING_TO_SERVE: &str = "it does not say what to serve any more [UWR-E008]";

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    if argv.get(1).is_some_and(|word| word == "ctl") {
        return ExitCode::from(uwring::control::client::run(&argv[1..]));
    }
    if argv.get(1).is_some_and(|word| word == "top") {
        return ExitCode::from(uwring::control::top::run(&argv[1..]));
    }
    // What is no UTF-8 cannot be an option, and stays in the environment all the same.
    let text =
        |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    let env: Vec<(String, String)> = environment().into_iter().filter_map(text).collect();
    if let Some(code) = uwring::commands::run(&argv, &env) {
        return ExitCode::from(code);
    }
    if argv.len() == 1 && !env.iter().any(|(name, _)| name.starts_with("UWSGI_")) {
        uwring::sys::output::print_line(uwring::commands::HELLO);
        return ExitCode::FAILURE;
    }
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
        Err(error) => match error.fallback() {
            Some(file) => {
                eprintln!("{error}");
                fall_back(&argv, file)
            }
            None => fail(&error),
        },
    }
}

/// Code 1 where `fallback-config` was given: another start, with that file alone.
fn fall_back(argv: &[OsString], file: &str) -> ExitCode {
    eprintln!("!!! {} (pid: {}) exited with status 1 !!!", argv[0].to_string_lossy(), std::process::id());
    eprintln!("!!! Fallback config to {file} !!!");
    let error = uwring::sys::exec::program(&argv[0])
        .map(|program| uwring::sys::exec::replace(&program, &[argv[0].clone(), file.into()], &environment()));
    fail(&format!("start with the fallback configuration {file}: {}", error.unwrap_or_else(|e| e)))
}

fn run(
    loaded: Loaded,
    argv: Vec<OsString>,
    env: Vec<(String, String)>,
    handover: Option<Box<Handover>>,
) -> ExitCode {
    let Loaded { command, warnings, notes, said, .. } = loaded;
    said.iter().for_each(|line| uwring::sys::output::print_line(line));
    match command {
        Command::Serve(settings) if !settings.emperor.monitors.is_empty() => {
            rule(&settings, &notes, &warnings, &argv)
        }
        Command::Serve(settings) => {
            let program = argv.clone();
            // Who took over from another has run well: it ends, and starts nothing else.
            let (fallback, again) = (settings.fallback.clone().filter(|_| handover.is_none()), argv.clone());
            let reread = Box::new(move || match options::load(&argv, &env) {
                Ok(Loaded { command: Command::Serve(settings), .. }) => Ok(*settings),
                Ok(_) => Err(NOTHING_TO_SERVE.to_owned()),
                Err(error) => Err(error.to_string()),
            });
            let env = environment();
            let start = Start { settings: *settings, notes, warnings, reread, argv: program, env, handover };
            match master::serve(start) {
                1 if fallback.is_some() => fall_back(&again, &fallback.unwrap_or_default()),
                other => code(other),
            }
        }
        Command::Print(text) => {
            warnings.iter().for_each(|line| eprintln!("{line}"));
            uwring::sys::output::print_line(text.trim_end_matches('\n'));
            ExitCode::SUCCESS
        }
        Command::Exit(code) => ExitCode::from(code),
        Command::Signal { pidfile, what } => match pidfile::signal(&pidfile, what) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(&master::startup::Error::from(error)),
        },
    }
}

/// As an Emperor, which has vassals and serves nothing itself.
fn rule(settings: &Settings, notes: &[String], warnings: &[String], argv: &[OsString]) -> ExitCode {
    let (vacuum, _locks) = match master::startup::prepare_emperor(settings, notes, warnings) {
        Ok(made) => made,
        Err(error) => return fail(&error),
    };
    let program = match settings
        .emperor
        .wrapper
        .as_ref()
        .map_or_else(|| uwring::sys::exec::program(&argv[0]), |w| Ok(w.into()))
    {
        Ok(program) => program,
        Err(error) => return fail(&error),
    };
    if let Err(error) = master::startup::hook(&settings.process.hooks, Moment::EmperorStart) {
        return fail(&error);
    }
    let end = emperor::rule(&settings.emperor, program);
    if settings.process.vacuum {
        vacuum.clean();
    }
    code(end)
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
