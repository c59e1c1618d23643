//! Rows: when workers are replaced.

use super::super::descriptors::OnFd;
use super::super::draft::Draft;
use super::super::row::{Kind::*, Reading, Row, Takes, number, row};
use super::super::settings::Touch;

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["harakiri"],
        Seconds(|s| &mut s.harakiri.seconds),
        "end a request the application works on for longer: 504, its stack in the log, 0 never",
    )
    .short('t'),
    row(
        &["harakiri-graceful-timeout"],
        Seconds(|s| &mut s.harakiri.grace_seconds),
        "time an interrupted request has to end before its worker is replaced (default 3)",
    ),
    row(
        &["harakiri-graceful-signal"],
        CountIfSet(|s| &mut s.harakiri.signal),
        "send this signal (a number) to a worker whose request took too long",
    ),
    row(
        &["harakiri-queue-threshold"],
        Count(|s| &mut s.harakiri.queue_threshold),
        "end requests that take too long only while so many others wait (default 0: always)",
    ),
    row(
        &["drain-delay"],
        Seconds(|s| &mut s.process.drain_delay),
        "when told to stop, serve on for so long, without keep-alive and not ready for more (default 0)",
    ),
    row(
        &["reload-timeout"],
        Seconds(|s| &mut s.process.reload_timeout),
        "give a reload up whose new workers do not serve after so long (default 600), 0 never",
    ),
    row(
        &["harakiri-verbose"],
        Flag(|s| &mut s.harakiri.verbose),
        "tell also where in the kernel a request was that took too long",
    ),
    row(
        &["harakiri-no-arh", "no-harakiri-arh", "no-harakiri-after-req-hook"],
        Flag(|s| &mut s.harakiri.without_hook),
        "do not count the time of the after-request hook",
    ),
    row(
        &["stuck-worker-timeout"],
        Seconds(|s| &mut s.harakiri.stuck_seconds),
        "replace a worker, or the process that forks them, that does not react for so long (default 10), 0 never",
    ),
    row(
        &["max-requests"],
        Number(|s| &mut s.recycling.max_requests),
        "replace a worker after so many requests, 0 never",
    )
    .short('R'),
    row(
        &["max-requests-delta"],
        CountIfSet(|s| &mut s.recycling.max_requests_delta),
        "spread max-requests at random by up to so many (default a tenth of it)",
    ),
    row(
        &["max-worker-lifetime"],
        Seconds(|s| &mut s.recycling.max_lifetime),
        "replace a worker of this age, 0 never",
    ),
    row(
        &["max-worker-lifetime-delta"],
        CountIfSet(|s| &mut s.recycling.max_lifetime_delta),
        "spread max-worker-lifetime at random by up to so many seconds (default a tenth of it)",
    ),
    row(
        &["min-worker-lifetime"],
        Seconds(|s| &mut s.recycling.min_lifetime),
        "do not replace a worker younger than this (default 10)",
    ),
    row(
        &["reload-on-rss"],
        Set(Takes::Value("MB"), |s, v| megabytes(v, &mut s.recycling.rss_mb)),
        "replace a worker with more resident memory",
    ),
    row(
        &["reload-on-as"],
        Set(Takes::Value("MB"), |s, v| megabytes(v, &mut s.recycling.as_mb)),
        "replace a worker with more address space",
    ),
    row(
        &["reload-on-pss"],
        Set(Takes::Value("MB"), |s, v| megabytes(v, &mut s.recycling.pss_mb)),
        "replace a worker with more memory, shared memory counted in proportion",
    ),
    row(
        &["reload-on-uss"],
        Set(Takes::Value("MB"), |s, v| megabytes(v, &mut s.recycling.uss_mb)),
        "replace a worker with more memory of its own",
    ),
    row(
        &["evil-reload-on-rss"],
        Set(Takes::Value("MB"), |s, v| megabytes(v, &mut s.recycling.evil_rss_mb)),
        "kill a worker with more resident memory, whatever it is doing",
    ),
    row(
        &["evil-reload-on-as"],
        Set(Takes::Value("MB"), |s, v| megabytes(v, &mut s.recycling.evil_as_mb)),
        "kill a worker with more address space, whatever it is doing",
    ),
    row(
        &["reload-on-fd", "brutal-reload-on-fd"],
        Set(Takes::Value("FD[:BYTES] [MESSAGE]"), |s, text| watch(s, OnFd::reload(text))),
        "reload when something can be read from this descriptor, which the server was started with",
    ),
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
        "take commands from this pipe: r reload, c one by one, q stop, Q now, p pause, + - C workers, s totals",
    ),
    row(
        &["exit-on-reload"],
        Flag(|s| &mut s.process.exit_on_reload),
        "end the server where a reload was asked for",
    ),
    row(
        &["reload-mercy"],
        Seconds(|s| &mut s.emperor.mercy),
        "time vassals have to end with their Emperor (workers have worker-reload-mercy)",
    ),
];

fn watch(draft: &mut Draft, read: Result<OnFd, String>) -> Reading {
    draft.process.on_fds.push(read?);
    Ok(None)
}

fn megabytes(given: &str, field: &mut u64) -> Reading {
    let mut remark = None;
    *field = number(Some(given), &mut remark)?;
    Ok(remark)
}

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
