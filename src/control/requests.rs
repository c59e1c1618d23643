//! `uwring ctl requests`: the requests that run, the slowest, and the last that failed.

use std::collections::BTreeSet;

use clap::ArgMatches;

use super::client::{Error, ask_for_json};
use super::stacks;
use super::words::{Answer, Request};
use crate::stats::flights::{Flights, Flying, Landed};
use crate::stats::live::Live;
use crate::sys::output;

/// Asks for the live document; the error is what the server says instead.
pub(super) fn look(matches: &ArgMatches) -> Result<Result<Live, Answer>, Error> {
    ask_for_json(matches, Request::Look)
}

/// Prints them; with `with_stacks` those of the workers that have requests, too. Whether all was told.
pub fn show(matches: &ArgMatches, with_stacks: bool) -> Result<bool, Error> {
    let live = match look(matches)? {
        Ok(live) => live,
        Err(refused) => {
            output::print_line(&refused.message);
            return Ok(false);
        }
    };
    let recorder = &live.recorder;
    let busy: BTreeSet<(u32, u32)> = recorder.in_flight.iter().map(|it| (it.worker, it.pid)).collect();
    let busy = if with_stacks { busy } else { BTreeSet::new() };
    let told = stacks::of(matches, busy)?;
    if matches.get_flag("json") {
        let mut json = serde_json::to_value(recorder)?;
        if with_stacks {
            json["stacks"] = stacks::json(&told);
        }
        output::print_line(&json.to_string());
    } else {
        output::print(&text(recorder, live.now_ms));
        told.iter().for_each(|told| output::print_line(&stacks::text(told)));
    }
    Ok(told.iter().all(|(_, stacks)| stacks.ok))
}

/// For people. Each request is one line.
pub fn text(recorder: &Flights, now_ms: u64) -> String {
    let mut text = format!("in flight: {}\n", recorder.in_flight.len());
    if !recorder.in_flight.is_empty() {
        text += &format!("{:>6} {:>4} {:>9} {:>9}  request\n", "worker", "core", "running", "waited");
    }
    for Flying { worker, core, running_us, waited_us, method, uri, .. } in &recorder.in_flight {
        let (running, waited) = (time(*running_us), time(*waited_us));
        text += &format!("{worker:>6} {core:>4} {running:>9} {waited:>9}  {method} {uri}\n");
    }
    text += &format!("slowest of the last hour: {}\n", recorder.slowest.len());
    text += &table(&recorder.slowest, now_ms, "");
    text += &format!("last failed: {}\n", recorder.failed.len());
    text += &table(&recorder.failed, now_ms, "why");
    text
}

fn table(requests: &[Landed], now_ms: u64, why: &str) -> String {
    if requests.is_empty() {
        return String::new();
    }
    let mut text = format!(
        "{:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6} {:>4}  request{}{why}\n",
        "ago",
        "accept",
        "total",
        "read",
        "queue",
        "app",
        "write",
        "status",
        "worker",
        "core",
        if why.is_empty() { "" } else { ": " }
    );
    for it in requests {
        let ago = time(now_ms.saturating_sub(it.started_ms) * 1000);
        let [accept, total, read, queue, app, write] =
            [it.accept_us, it.total_us, it.read_us, it.queue_us, it.app_us, it.write_us].map(time);
        let core = it.core.map_or("-".to_owned(), |core| core.to_string());
        let why = it.failure.as_ref().map_or(String::new(), |why| format!(": {why}"));
        let Landed { status, worker, method, uri, .. } = it;
        text += &format!(
            "{ago:>9} {accept:>9} {total:>9} {read:>9} {queue:>9} {app:>9} {write:>9} {status:>6} {worker:>6} {core:>4}  {method} {uri}{why}\n"
        );
    }
    text
}

/// In three digits or so.
#[expect(clippy::cast_precision_loss, reason = "it is rounded anyway")]
pub fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        1_000_000..120_000_000 => format!("{:.2} s", us as f64 / 1e6),
        120_000_000..7_200_000_000 => format!("{} min", us / 60_000_000),
        _ => format!("{} h", us / 3_600_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_a_line() {
        let flying =
            Flying { method: "GET".into(), uri: "/now".into(), running_us: 1500, ..Flying::default() };
        let landed = Landed {
            method: "PUT".into(),
            uri: "/then".into(),
            status: 502,
            failure: Some("status".into()),
            started_ms: 1_000,
            total_us: 3_000_000,
            app_us: 2_999_000,
            read_us: 1_000,
            ..Landed::default()
        };
        let recorder = Flights { in_flight: vec![flying], slowest: Vec::new(), failed: vec![landed] };
        let text = text(&recorder, 11_000);
        assert_eq!(text.lines().count(), 7, "{text}");
        assert!(text.contains("   1.5 ms      0 us  GET /now\n"), "{text}");
        assert!(
            text.contains("  10.00 s      0 us    3.00 s    1.0 ms      0 us    3.00 s      0 us    502"),
            "{text}"
        );
        assert!(text.ends_with("  PUT /then: status\n"), "{text}");
    }

    #[test]
    fn times_are_short() {
        let times = [0, 999, 1_000, 59_940_000, 600_000_000, 90_000_000_000].map(time);
        assert_eq!(times, ["0 us", "999 us", "1.0 ms", "59.94 s", "10 min", "25 h"]);
    }
}
