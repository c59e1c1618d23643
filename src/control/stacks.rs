//! `uwring ctl dump`: asks for the stacks of one worker after the other.

use crate::sys::output;
use clap::ArgMatches;
use serde_json::{Value, json};

use super::client::{Error, ask_for, ask_for_json};
use super::words::{Answer, Request, Stacks, Status};

/// Of a worker, by its number.
pub type Told = (u32, Stacks);

/// Prints those of worker `only`, or of all; whether all have told them.
pub fn show(matches: &ArgMatches, only: Option<u32>) -> Result<bool, Error> {
    let status: Status = match ask_for_json(matches, Request::Status)? {
        Ok(status) => status,
        Err(refused) => {
            output::print_line(&refused.message);
            return Ok(false);
        }
    };
    let wanted = |id: u32| only.is_none_or(|only| only == id);
    let workers = status.workers.iter().filter(|worker| worker.pid != 0 && wanted(worker.id));
    let all = of(matches, workers.map(|worker| (worker.id, worker.pid)))?;
    if matches.get_flag("json") {
        output::print_line(&json(&all).to_string());
    } else if all.is_empty() {
        output::print_line("there is no such worker");
    } else {
        all.iter().for_each(|told| output::print_line(&self::text(told)));
    }
    Ok(!all.is_empty() && all.iter().all(|(_, stacks)| stacks.ok))
}

/// Asks for those of `workers`: number and process.
pub fn of(matches: &ArgMatches, workers: impl IntoIterator<Item = (u32, u32)>) -> Result<Vec<Told>, Error> {
    let mut all = Vec::new();
    for (id, pid) in workers {
        let text = ask_for(matches, Request::Dump(pid))?;
        // One that ended meanwhile is told as an ordinary answer.
        let stacks = serde_json::from_str::<Stacks>(&text).or_else(|_| {
            serde_json::from_str::<Answer>(&text).map(|answer| Stacks {
                pid,
                ok: false,
                text: answer.message,
            })
        })?;
        all.push((id, stacks));
    }
    Ok(all)
}

/// For people.
pub fn text((id, Stacks { pid, ok, text }): &Told) -> String {
    if *ok { text.clone() } else { format!("*** worker {id} (pid: {pid}): {text}") }
}

/// For programs.
pub fn json(all: &[Told]) -> Value {
    let each = |(id, stacks): &Told| json!({"worker": id, "pid": stacks.pid, "ok": stacks.ok, "stacks": stacks.text});
    all.iter().map(each).collect()
}
