//! Rows: jobs beside requests, caches, and servers of servers.

use super::super::cache::{Cache, From, Preload};
use super::super::draft::Draft;
use super::super::jobs::{Cause, Cron, Daemon};
use super::super::row::{Kind::*, Reading, Row, Takes, bare, row};

const COMMAND: Takes = Takes::Value("COMMAND");
const SMART: Takes = Takes::Value("PIDFILE COMMAND");
const KEYED: Takes = Takes::Value("KEYS=VALUES");
const TIMES: Takes = Takes::Value("TIME COMMAND");

const PROGRAM: &str = "run the program with attach-daemon, or as a service of its own";
const NO_SPOOLER: &str = "says nothing without a spooler";

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["attach-daemon"],
        Set(COMMAND, |s, text| daemon(s, Ok(Daemon::plain(text)))),
        "run a program beside the server",
    ),
    row(
        &["attach-control-daemon"],
        Set(COMMAND, |s, text| daemon(s, Ok(Daemon { control: true, ..Daemon::plain(text) }))),
        "run a program beside the server, which ends with it",
    ),
    row(
        &["smart-attach-daemon"],
        Set(SMART, |s, text| daemon(s, Daemon::smart(text, false))),
        "run a program that goes to the background, writes its pidfile and survives the server",
    ),
    row(
        &["smart-attach-daemon2"],
        Set(SMART, |s, text| daemon(s, Daemon::smart(text, true))),
        "run a program that survives the server; its pidfile is written for it",
    ),
    row(
        &["attach-daemon2"],
        Set(KEYED, |s, text| daemon(s, Daemon::keyed(text))),
        "run a program beside the server: cmd=, pidfile=, freq=, control=, stopsignal=, reloadsignal=, chdir=, uid=, gid=",
    ),
    row(
        &["timer", "signal-timer", "rbtimer", "signal-rbtimer"],
        Set(Takes::Value("SIGNAL SECONDS"), |s, text| raise(s, Cause::timer(text))),
        "send this signal to the application (uwsgi.register_signal) each time so many seconds are over",
    ),
    row(
        &["touch-signal", "fs-signal"],
        Set(Takes::Value("FILE SIGNAL"), |s, text| raise(s, Cause::file(text))),
        "send this signal to the application (uwsgi.register_signal) when this file or folder changes",
    ),
    row(
        &["add-cache-item"],
        Set(Takes::Value("[CACHE ]KEY=VALUE"), |s, text| preload(s, Preload::item(text))),
        "store this in the cache (without a name in all) when the server starts",
    ),
    row(
        &["load-file-in-cache"],
        Set(Takes::Value("[CACHE ]FILE"), |s, text| preload(s, Preload::file(text, From::File))),
        "store this file in the cache under its name when the server starts",
    ),
    row(
        &["load-file-in-cache-gzip"],
        Set(Takes::Value("[CACHE ]FILE"), |s, text| preload(s, Preload::file(text, From::Gzip))),
        "store this file, compressed, in the cache under its name when the server starts",
    ),
    bare(&["mule"], Takes::Maybe("SCRIPT"), "run a process for background jobs").refused(PROGRAM),
    bare(&["mules"], Takes::Value("N"), "run so many processes for background jobs").refused(PROGRAM),
    bare(&["spooler"], Takes::Value("FOLDER"), "work off jobs queued in this folder")
        .short('Q')
        .refused("jobs queued by the application would be lost: use celery, rq, huey or another queue"),
    bare(&["spooler-processes"], Takes::Value("N"), "processes of each spooler").accepted(NO_SPOOLER),
    bare(&["spooler-frequency", "spooler-freq"], Takes::Value("SECONDS"), "how often spoolers look for jobs")
        .accepted(NO_SPOOLER),
    row(
        &["cron"],
        Set(TIMES, |s, text| cron(s, Cron::plain(text, false))),
        "run a command at these times: minute hour day month weekday, -1 for any, -N for every N",
    ),
    row(
        &["unique-cron"],
        Set(TIMES, |s, text| cron(s, Cron::plain(text, true))),
        "run a command at these times, unless it still runs",
    ),
    row(
        &["cron2"],
        Set(Takes::Value("KEYS=VALUES COMMAND"), |s, text| cron(s, Cron::keyed(text))),
        "run a command at these times: minute=, hour=, day=, month=, week=, unique=, harakiri=",
    ),
    row(
        &["curl-cron", "cron-curl"],
        Set(Takes::Value("TIMES URL"), |s, text| cron(s, Cron::page(text))),
        "ask for a page at these times, with the program curl",
    ),
    row(
        &["cron-harakiri"],
        Seconds(|s| &mut s.cron_harakiri),
        "kill a command of cron that runs longer than this",
    ),
    row(
        &["daemons-honour-stdin"],
        Flag(|s| &mut s.daemons_read),
        "let programs beside the server read its standard input (see honour-stdin)",
    ),
    row(
        &["cache2"],
        Set(Takes::Value("KEYS=VALUES"), cache),
        "make a cache shared by the workers: name=, items=, blocksize=, blocks=, keysize=, bitmap=, purge_lru=…",
    ),
    row(
        &["cache"],
        Number(|s| &mut s.cache_items),
        "make a cache of so many items, called default, shared by the workers",
    ),
    row(
        &["cache-blocksize"],
        NumberIfSet(|s| &mut s.cache_block, "BYTES"),
        "bytes of the longest value in the cache that `cache` makes",
    ),
    row(
        &["cache-no-expire"],
        Flag(|s| &mut s.cache_no_expire),
        "items of the cache that `cache` makes stay beyond their time",
    ),
    bare(&["sharedarea"], Takes::Value("PAGES"), "make memory shared by the workers")
        .short('A')
        .refused("the application's uwsgi.sharedarea_… are not there: use multiprocessing.shared_memory"),
    bare(&["fastrouter"], Takes::Value("ADDRESS"), "route uwsgi requests to other servers")
        .refused("let nginx, HAProxy or Caddy choose the server"),
    bare(&["subscribe2"], Takes::Value("KEYS=VALUES"), "announce this server to a router")
        .refused("name this server in the configuration of the web server in front"),
    bare(&["cgi-mode"], Takes::Nothing, "begin answers with a Status header")
        .short('c')
        .refused("leave it out: web servers understand the status line of HTTP"),
    bare(&["test"], Takes::Value("MODULE"), "import a module and end")
        .short('J')
        .refused("import it with python -c"),
];

fn daemon(draft: &mut Draft, read: Result<Daemon, String>) -> Reading {
    draft.process.daemons.push(read?);
    Ok(None)
}

fn cache(draft: &mut Draft, text: &str) -> Reading {
    let (cache, remark) = Cache::keyed(text)?;
    draft.caches.push(cache);
    Ok(remark)
}

fn preload(draft: &mut Draft, read: Result<Preload, String>) -> Reading {
    draft.preloads.push(read?);
    Ok(None)
}

fn raise(draft: &mut Draft, read: Result<(u8, Cause), String>) -> Reading {
    draft.process.raises.push(read?);
    Ok(None)
}

fn cron(draft: &mut Draft, read: Result<Cron, String>) -> Reading {
    draft.process.crons.push(read?);
    Ok(None)
}
