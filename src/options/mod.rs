//! What the user asked for: one table of options, many sources, one typed result.
//!
//! ```text
//!  environment ─┐
//!  command line ┼─► intake: ordered list of (key, value, origin) ─► rows ─► draft ─► settings
//!  ini files  ──┘          blocks, includes, placeholders
//! ```
//! Reading options may read the files they name, and does nothing else; binding, opening logs and importing come
//! later. [`load`] is the way in; [`settings::Settings`] is all that the rest of the server sees.

pub mod alarms;
pub mod cache;
pub mod catalogue;
pub mod descriptors;
mod docs;
mod draft;
pub mod emperor;
mod error;
mod expand;
pub mod files;
pub mod headers;
pub mod hooks;
mod intake;
pub mod jobs;
pub mod locks;
pub mod logger;
pub mod metric;
mod mistakes;
pub mod monitor;
pub mod mounts;
mod pairs;
pub mod recycling;
pub mod remark;
mod requests;
pub mod routes;
mod row;
pub mod scaling;
mod sense;
pub mod settings;
mod sources;
mod table;
pub mod tls;
pub mod waits;

use std::ffi::OsString;
use std::path::PathBuf;

pub use error::Error;
use intake::Intake;
use remark::Remark;
use settings::Settings;

/// What `--version` prints. Scripts compare it with uWSGI versions, so the one we stand for comes first.
pub const VERSION: &str = concat!("2.0.31-uwring-", env!("CARGO_PKG_VERSION"));

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Serve.
    Serve(Box<Settings>),
    /// Print this and end with code 0.
    Print(String),
    /// End with this code.
    Exit(u8),
    /// Send a signal to a running server, and end.
    Signal {
        /// File with the pid of its master.
        pidfile: PathBuf,
        /// What it is asked to do.
        what: SignalWhat,
    },
}

/// What a running server can be asked from the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalWhat {
    /// `--reload`: SIGHUP.
    Reload,
    /// `--stop`: SIGINT.
    Stop,
    /// `--pause`, `--suspend`, `--resume`: SIGTSTP, which goes back and forth.
    Pause,
}

/// What was asked for, and what is to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// What to do.
    pub command: Command,
    /// Warnings: options without effect, names nobody knows, values read otherwise than written.
    pub warnings: Vec<String>,
    /// The same, with what each means.
    pub remarks: Vec<Remark>,
    /// Ordinary lines for the log, as uWSGI prints them.
    pub notes: Vec<String>,
    /// What `print` and `iprint` say where nothing is served, for standard output. Else it is among the notes.
    pub said: Vec<String>,
}

/// The files that match a pattern, as `for-glob` has them.
pub fn files_matching(pattern: &str) -> Vec<String> {
    expand::glob::paths(pattern)
}

/// Reads all options: the environment first, then the command line with the files it names. Later ones win.
///
/// `argv` begins with the name of the program.
pub fn load(argv: &[OsString], env: &[(String, String)]) -> Result<Loaded, Error> {
    read(argv, env, false)
}

/// The same for looking at it: what is wrong with single options, and what does not fit this machine, is among the
/// remarks, so that all of it is told at once.
pub fn examine(argv: &[OsString], env: &[(String, String)]) -> Result<Loaded, Error> {
    read(argv, env, true)
}

fn read(argv: &[OsString], env: &[(String, String)], checking: bool) -> Result<Loaded, Error> {
    let mut intake = Intake::new(argv, env, checking);
    let result = take_in(&mut intake, argv, env);
    let fallback = intake.fallback().map(str::to_owned);
    let result = result.and_then(|()| intake.finish());
    match (result, fallback) {
        (Err(cause), Some(file)) => Err(Error::Fallback { cause: Box::new(cause), file }),
        (Ok(mut loaded), Some(file)) => {
            if let Command::Serve(settings) = &mut loaded.command {
                settings.fallback = Some(file);
            }
            Ok(loaded)
        }
        (result, None) => result,
    }
}

fn take_in(intake: &mut Intake<'_>, argv: &[OsString], env: &[(String, String)]) -> Result<(), Error> {
    for (key, value, origin) in sources::env::options(env) {
        intake.add(key, Some(value), &origin)?;
    }
    let line = split(argv, env)?;
    for (key, value) in line.options {
        intake.add(key, value, &sources::argv::origin())?;
    }
    for word in line.words {
        intake.add_word(&word)?;
    }
    Ok(())
}

/// The command line, which may use names that files named before on it have declared.
fn split(argv: &[OsString], env: &[(String, String)]) -> Result<sources::argv::Line, Error> {
    let mut declared = Vec::new();
    loop {
        let (at, error) = match sources::argv::split(argv, &declared) {
            Ok(line) => return Ok(line),
            Err(Error::Unknown { at, what }) => (at, Error::Unknown { at, what }),
            Err(error) => return Err(error),
        };
        // What comes before is read on trial, for the names alone.
        let mut trial = Intake::new(argv, env, true);
        let before = sources::argv::split(&argv[..at], &declared)?;
        for (key, value) in before.options {
            trial.add(key, value, &sources::argv::origin())?;
        }
        let found = trial.declared_names();
        if found.len() <= declared.len() {
            return Err(error);
        }
        declared = found;
    }
}

#[cfg(test)]
mod tests;
