//! Rows: when workers are replaced, and how many there are meanwhile.

use super::super::draft::Draft;
use super::super::row::{Kind::*, Reading, Row, Takes, bare, row};
use super::super::settings::Touch;

/// The rows.
pub const ROWS: &[Row] = &[
    bare(&["harakiri"], Takes::Value("SECONDS"), "end requests that take longer than this, 0 never")
        .short('t'),
    row(
        &["max-requests"],
        Number(|s| &mut s.process.max_requests),
        "replace a worker after so many requests, 0 never",
    )
    .short('R'),
    row(
        &["worker-reload-mercy"],
        Seconds(|s| &mut s.process.worker_reload_mercy),
        "time a worker has to finish its requests when told to end (default 60)",
    ),
    row(
        &["forkbomb-delay"],
        Seconds(|s| &mut s.process.forkbomb_delay),
        "pause between respawns of workers that die at once (default 2)",
    ),
    row(
        &["touch-reload"],
        Set(Takes::Value("FILE"), |s, path| touch(s, path, Touch::Reload)),
        "reload when this file or folder is touched",
    ),
    row(
        &["fs-reload", "fs-brutal-reload"],
        Set(Takes::Value("PATH"), |s, path| touch(s, path, Touch::Reload)),
        "reload when this file changes",
    ),
    row(
        &["touch-chain-reload", "touch-workers-reload"],
        Set(Takes::Value("FILE"), |s, path| touch(s, path, Touch::Workers)),
        "replace worker after worker when this is touched (with lazy-apps they import the application anew)",
    ),
    row(
        &["touch-exec"],
        Set(Takes::Value("FILE COMMAND"), touch_exec),
        "run a command when this file is touched",
    ),
    row(
        &["master-fifo"],
        Paths(|s| &mut s.process.fifos, "FILE"),
        "take commands from this pipe: r reload, c workers one by one, q stop, Q stop now, p pause, s totals, P pidfiles",
    ),
    row(
        &["exit-on-reload"],
        Flag(|s| &mut s.process.exit_on_reload),
        "end the server where a reload was asked for",
    ),
    bare(&["harakiri-verbose"], Takes::Nothing, "tell what the worker was doing when harakiri ended it"),
    bare(&["reload-mercy"], Takes::Value("SECONDS"), "time everything else has to end")
        .accepted("workers are waited for by worker-reload-mercy"),
    bare(&["max-requests-delta"], Takes::Value("N"), "spread max-requests over the workers by so many"),
    bare(&["max-worker-lifetime"], Takes::Value("SECONDS"), "replace a worker of this age"),
    bare(&["min-worker-lifetime"], Takes::Value("SECONDS"), "do not replace a worker younger than this"),
    bare(&["reload-on-rss"], Takes::Value("MB"), "replace a worker that holds more memory"),
    bare(&["reload-on-as"], Takes::Value("MB"), "replace a worker with more address space"),
    bare(&["evil-reload-on-rss"], Takes::Value("MB"), "kill a worker that holds more memory"),
    bare(&["cheap"], Takes::Nothing, "start workers at the first request"),
    bare(&["cheaper"], Takes::Value("N"), "keep this many workers, start more under load"),
    bare(&["cheaper-initial"], Takes::Value("N"), "workers at the start"),
    bare(&["cheaper-step"], Takes::Value("N"), "workers started at a time"),
    bare(&["cheaper-algo"], Takes::Value("NAME"), "how the number of workers is chosen"),
    bare(&["cheaper-overload"], Takes::Value("SECONDS"), "how often the number of workers is chosen"),
    bare(&["idle"], Takes::Value("SECONDS"), "end the workers when there are no requests for so long"),
    bare(&["die-on-idle"], Takes::Nothing, "end the server when it is idle"),
];

fn touch(draft: &mut Draft, path: &str, what: Touch) -> Reading {
    draft.process.touch.push((path.into(), what));
    Ok(None)
}

fn touch_exec(draft: &mut Draft, value: &str) -> Reading {
    match value.split_once(' ') {
        Some((path, command)) => touch(draft, path, Touch::Run(command.trim().to_owned())),
        None => Err("a file and a command, with a blank between".to_owned()),
    }
}
