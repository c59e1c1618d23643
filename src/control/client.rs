//! `uwring ctl`: asks a running master and shows what it says.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};
use serde::de::DeserializeOwned;

use super::ABSTRACT_PREFIX;
use super::words::{Answer, Change, Request, Status};
use crate::base::errors;
use crate::sys::credentials;
use crate::sys::output;

/// What the kernel lists of unix sockets: the last column is the name.
const UNIX_SOCKETS: &str = "/proc/net/unix";

/// Why a server was not asked, or what it answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("pidfile {0}: {1} {id}", id = errors::CTL_PIDFILE)]
    Pidfile(PathBuf, io::Error),
    #[error(
        "no running uwring was found on this machine (inside a container, ask inside it) {id}",
        id = errors::CTL_NONE
    )]
    Nobody,
    #[error("no running uwring has process id {0} {id}", id = errors::CTL_UNKNOWN_PID)]
    NoSuchServer(u32),
    #[error("several servers run here: choose one with --pid ({}) {id}", list(.0), id = errors::CTL_SEVERAL)]
    Several(Vec<u32>),
    #[error("control socket {0}: {1} {id}", id = errors::CTL_SOCKET)]
    Connect(String, io::Error),
    #[error("the connection to the server broke: {0} {id}", id = errors::CTL_BROKE)]
    Broken(#[from] io::Error),
    #[error("the server ended without an answer {id}", id = errors::CTL_BROKE)]
    Silent,
    #[error("the answer is not understood (is the server of another version?): {0} {id}", id = errors::CTL_VERSION)]
    Answer(#[from] serde_json::Error),
}

fn list(pids: &[u32]) -> String {
    pids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

/// Runs `uwring ctl` with `argv` from `ctl` on. The result is the exit code: 0, or 1 if it was not done, or 2 if
/// the command line is wrong.
pub fn run(argv: &[OsString]) -> u8 {
    run_as(command(), argv, ask)
}

/// Runs `command` with its command line: what `uwring ctl` and `uwring top` have in common.
pub(super) fn run_as<E: Display>(
    command: Command,
    argv: &[OsString],
    show: impl FnOnce(&ArgMatches) -> Result<bool, E>,
) -> u8 {
    let name = command.get_name().to_owned();
    let matches = match command.try_get_matches_from(argv) {
        Ok(matches) => matches,
        Err(error) => {
            // Help is no error, and clap knows where each goes.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    match show(&matches) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            eprintln!("{name}: {error}");
            1
        }
    }
}

/// What it can be told to do, with a line about each.
pub fn commands() -> Vec<(String, String)> {
    let about = |command: &Command| command.get_about().map(|about| about.to_string()).unwrap_or_default();
    command().get_subcommands().map(|command| (command.get_name().to_owned(), about(command))).collect()
}

/// With the options that say which server.
pub(super) fn which(command: Command) -> Command {
    command
        .arg(
            Arg::new("pid")
                .long("pid")
                .value_parser(clap::value_parser!(u32))
                .value_name("PID")
                .global(true)
                .help("process id of the master (needed where several run)"),
        )
        .arg(
            Arg::new("pidfile")
                .long("pidfile")
                .value_name("FILE")
                .global(true)
                .help("file with that process id"),
        )
        .arg(
            Arg::new("socket")
                .long("socket")
                .value_name("ADDRESS")
                .global(true)
                .conflicts_with_all(["pid", "pidfile"])
                .help("the server's control-socket, if it has one configured"),
        )
}

fn command() -> Command {
    let switch = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).action(ArgAction::SetTrue).help(help)
    };
    which(Command::new("uwring ctl").bin_name("uwring ctl"))
        .about("Ask a running server, or tell it what to do")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(switch("json", "print the answer as JSON").global(true))
        .subcommand(Command::new("status").about("Show the workers and what they have done"))
        .subcommand(
            Command::new("reload")
                .about("Load configuration and application anew; the old ones serve until the new ones do")
                .arg(switch("wait", "until the new ones serve; exit code 1 if they could not")),
        )
        .subcommand(
            Command::new("workers")
                .about("Have more or fewer workers, between cheaper and processes; with cheaper the load goes on deciding")
                .arg(
                    Arg::new("change")
                        .required(true)
                        .allow_hyphen_values(true)
                        .value_name("+N|-N|N")
                        .value_parser(|text: &str| Change::parse(text).ok_or("+N, -N or N"))
                        .help("so many more, so many fewer, or just so many"),
                ),
        )
        .subcommand(
            Command::new("dump").about("Show the Python stacks of all threads of all workers").arg(
                Arg::new("worker")
                    .long("worker")
                    .value_parser(clap::value_parser!(u32))
                    .value_name("N")
                    .help("of this worker only"),
            ),
        )
        .subcommand(
            Command::new("requests")
                .about("Show the requests that run, the slowest, and the last that failed, with the time of each phase")
                .arg(switch("stacks", "with the Python stacks of the workers that have requests")),
        )
        .subcommand(
            Command::new("drain")
                .about("Go on serving, but without keep-alive and not ready for more: before a stop")
                .arg(switch("undo", "serve as before")),
        )
        .subcommand(
            Command::new("stop")
                .about("Finish the requests in hand, then end")
                .arg(switch("now", "do not finish them"))
                .arg(switch("wait", "until the server has ended")),
        )
}

fn ask(matches: &ArgMatches) -> Result<bool, Error> {
    if let Some(("dump", flags)) = matches.subcommand() {
        return super::stacks::show(matches, flags.get_one("worker").copied());
    }
    if let Some(("requests", flags)) = matches.subcommand() {
        return super::requests::show(matches, flags.get_flag("stacks"));
    }
    let request = match matches.subcommand() {
        Some(("drain", flags)) => Request::Drain { undo: flags.get_flag("undo") },
        Some(("reload", flags)) => Request::Reload { wait: flags.get_flag("wait") },
        Some(("stop", flags)) => Request::Stop { now: flags.get_flag("now"), wait: flags.get_flag("wait") },
        Some(("workers", words)) => match words.get_one::<Change>("change") {
            Some(change) => Request::Workers(*change),
            None => Request::Status,
        },
        _ => Request::Status,
    };
    let (text, mut reader) = exchange(matches, request)?;
    let ok = show(request, &text, matches.get_flag("json"))?;
    if ok && matches!(request, Request::Stop { wait: true, .. }) {
        // The server keeps the connection as long as it lives.
        io::copy(&mut reader, &mut io::sink())?;
    }
    Ok(ok)
}

/// Prints the answer; whether it says that all is well.
fn show(request: Request, text: &str, json: bool) -> Result<bool, Error> {
    let status = request == Request::Status;
    // Any request can be refused with an `Answer`.
    let refused = serde_json::from_str::<Answer>(text).ok();
    let ok = refused.as_ref().map_or(status, |answer| answer.ok);
    if json {
        output::print(text);
    } else if let Some(answer) = refused {
        output::print_line(&answer.message);
    } else {
        output::print(&table(&serde_json::from_str(text)?));
    }
    Ok(ok)
}

fn table(status: &Status) -> String {
    let mut text = format!(
        "uwring {}, pid {}: {}, generation {}, up {}, {} requests, on {}\n",
        status.version,
        status.pid,
        status.phase,
        status.generation,
        duration(status.uptime_seconds),
        status.requests,
        if status.engine.is_empty() { "io_uring" } else { &status.engine }
    );
    text += &format!(
        "{:>6} {:>8} {:>10} {:<9} {:>12} {:>10} {:>9} {:>9}\n",
        "worker", "pid", "generation", "state", "requests", "exceptions", "refused", "in flight"
    );
    for worker in &status.workers {
        text += &format!(
            "{:>6} {:>8} {:>10} {:<9} {:>12} {:>10} {:>9} {:>9}\n",
            worker.id,
            worker.pid,
            worker.generation,
            worker.state,
            worker.requests,
            worker.exceptions,
            worker.refused_4xx + worker.refused_5xx + worker.refused_unanswered,
            worker.in_flight
        );
    }
    text
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Asks for something that is answered by one line: that line.
pub(super) fn ask_for(matches: &ArgMatches, request: Request) -> Result<String, Error> {
    exchange(matches, request).map(|(text, _)| text)
}

/// The same, of what is told in JSON; the inner error is the answer of a server that refuses.
pub(super) fn ask_for_json<T: DeserializeOwned>(
    matches: &ArgMatches,
    request: Request,
) -> Result<Result<T, Answer>, Error> {
    let text = ask_for(matches, request)?;
    match serde_json::from_str::<Answer>(&text) {
        Ok(refused) => Ok(Err(refused)),
        Err(_) => Ok(Ok(serde_json::from_str(&text)?)),
    }
}

/// The line that answers, and the connection, on which more may come.
fn exchange(matches: &ArgMatches, request: Request) -> Result<(String, BufReader<UnixStream>), Error> {
    let mut server = connect(matches)?;
    // Where it does not listen to us it may have said why, and closed.
    let sent = server.write_all(format!("{}\n", request.text()).as_bytes());
    let mut reader = BufReader::new(server);
    let mut text = String::new();
    reader.read_line(&mut text)?;
    if text.is_empty() {
        sent?;
        return Err(Error::Silent);
    }
    Ok((text, reader))
}

fn connect(matches: &ArgMatches) -> Result<UnixStream, Error> {
    if let Some(address) = matches.get_one::<String>("socket") {
        return connect_to(address);
    }
    let wanted = match (matches.get_one::<u32>("pid"), matches.get_one::<String>("pidfile")) {
        (Some(pid), _) => Some(*pid),
        (None, Some(file)) => Some(read_pidfile(Path::new(file))?),
        (None, None) => None,
    };
    let names = std::fs::read_to_string(UNIX_SOCKETS)
        .map_err(|cause| Error::Connect(UNIX_SOCKETS.to_owned(), cause))?;
    let mut found = servers(&names);
    found.retain(|(pid, _)| wanted.is_none_or(|wanted| wanted == *pid));
    let mut live = Vec::new();
    for (pid, name) in found {
        // A server of another pid namespace can have the same number; the kernel tells them apart.
        if let Ok(stream) = connect_to(&name)
            && credentials::of_peer(&stream).is_ok_and(|peer| peer.pid == pid)
        {
            live.push((pid, stream));
        }
    }
    match (live.pop(), wanted) {
        (Some((_, stream)), _) if live.is_empty() => Ok(stream),
        (Some((last, _)), _) => Err(Error::Several(live.iter().map(|(pid, _)| *pid).chain([last]).collect())),
        (None, Some(pid)) => Err(Error::NoSuchServer(pid)),
        (None, None) => Err(Error::Nobody),
    }
}

fn read_pidfile(path: &Path) -> Result<u32, Error> {
    let failed = |cause| Error::Pidfile(path.to_owned(), cause);
    let text = std::fs::read_to_string(path).map_err(failed)?;
    text.trim().parse().map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))
}

/// The control sockets among `names` (the kernel's list), with their masters' pids.
fn servers(names: &str) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = names
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .filter_map(|name| {
            let pid = name.strip_prefix(ABSTRACT_PREFIX)?.split('/').next()?.parse().ok()?;
            Some((pid, name.to_owned()))
        })
        .collect();
    // Connections to it are listed under the same name.
    found.sort();
    found.dedup();
    found
}

fn connect_to(address: &str) -> Result<UnixStream, Error> {
    open(address).map_err(|cause| Error::Connect(address.to_owned(), cause))
}

/// Connects to a unix socket: a path, or an abstract name behind `@`.
pub(super) fn open(address: &str) -> io::Result<UnixStream> {
    match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name).and_then(|at| UnixStream::connect_addr(&at)),
        None => UnixStream::connect(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_by_name() {
        let listed = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 2171 @uwring/41/64f\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 2172 @uwring/41/64f\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 2173 @uwring/x/64f\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 2174 /run/app.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 2175\n";
        assert_eq!(servers(listed), [(41, "@uwring/41/64f".to_owned())]);
    }

    #[test]
    fn durations_read_well() {
        assert_eq!([5, 65, 3720, 90_000].map(duration), ["5 s", "1 min 5 s", "1 h 2 min", "1 d 1 h"]);
    }

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }
}
