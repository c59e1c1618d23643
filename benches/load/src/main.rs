//! `uwring-load`: what `scripts/bench/run` needs and no packaged tool offers.
//!
//! * `uwsgi`: closed-loop load in the uwsgi protocol, one request a connection, as nginx's `uwsgi_pass` does.
//! * `idle`: opens many keep-alive HTTP connections and holds them, so that their memory can be weighed.
//! * `floor`: answers uwsgi requests with fixed bytes and the fewest system calls; what a server cannot go below.
//! * `distance`: how far two cores are from each other, which on a virtual machine changes.
//!
//! Every mode speaks to loopback and unix sockets only, ends by itself, and prints one line of JSON.

#![forbid(unsafe_code)]

mod args;
mod connection;
mod distance;
mod drive;
mod floor;
mod idle;
mod request;
mod response;
mod tally;
mod target;

use args::Mode;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mode = match args::parse(&words) {
        Ok(mode) => mode,
        Err(problem) => {
            eprintln!("uwring-load: {problem}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    raise_descriptor_limit();
    match run(&mode) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            eprintln!("uwring-load: {cause}");
            ExitCode::FAILURE
        }
    }
}

fn run(mode: &Mode) -> std::io::Result<()> {
    match mode {
        Mode::Help => println!("{}", args::USAGE),
        Mode::Uwsgi(plan) => println!("{}", drive::run(plan)?.to_json()),
        Mode::Idle(plan) => idle::run(plan)?,
        Mode::Floor(plan) => floor::run(plan)?,
        Mode::Distance(plan) => distance::run(plan)?,
    }
    Ok(())
}

/// Ten thousand connections need as many descriptors; the soft limit is usually 1,024. A refusal is not fatal:
/// the run then reports the connections that could not be opened.
fn raise_descriptor_limit() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
