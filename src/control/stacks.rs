//! `uwring ctl dump`: asks for the stacks of one worker after the other.

use clap::ArgMatches;

use super::client::{Error, ask_for};
use super::words::{Answer, Request, Stacks, Status};

/// Prints those of worker `only`, or of all; whether all have told them.
pub fn show(matches: &ArgMatches, only: Option<u32>) -> Result<bool, Error> {
    let text = ask_for(matches, Request::Status)?;
    if let Ok(refused) = serde_json::from_str::<Answer>(&text) {
        println!("{}", refused.message);
        return Ok(false);
    }
    let status: Status = serde_json::from_str(&text)?;
    let wanted = |id: u32| only.is_none_or(|only| only == id);
    let workers = status.workers.iter().filter(|worker| worker.pid != 0 && wanted(worker.id));
    let mut all = Vec::new();
    for worker in workers {
        let text = ask_for(matches, Request::Dump(worker.pid))?;
        // One that ended meanwhile is told as an ordinary answer.
        let stacks = serde_json::from_str::<Stacks>(&text).or_else(|_| {
            serde_json::from_str::<Answer>(&text).map(|answer| Stacks {
                pid: worker.pid,
                ok: false,
                text: answer.message,
            })
        })?;
        all.push((worker.id, stacks));
    }
    if matches.get_flag("json") {
        let json = |(id, stacks): &(u32, Stacks)| serde_json::json!({"worker": id, "pid": stacks.pid, "ok": stacks.ok, "stacks": stacks.text});
        println!("{}", serde_json::Value::from(all.iter().map(json).collect::<Vec<_>>()));
    } else if all.is_empty() {
        println!("there is no such worker");
    } else {
        for (id, stacks) in &all {
            let Stacks { pid, ok, text } = stacks;
            println!("{}", if *ok { text.clone() } else { format!("*** worker {id} (pid: {pid}): {text}") });
        }
    }
    Ok(!all.is_empty() && all.iter().all(|(_, stacks)| stacks.ok))
}
