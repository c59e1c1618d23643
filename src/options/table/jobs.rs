//! Rows: jobs beside requests, caches, and servers of servers.

use super::super::row::{Row, Takes, bare};

const PROGRAM: &str = "run the program with attach-daemon, or as a service of its own";
const NO_SPOOLER: &str = "says nothing without a spooler";

/// The rows.
pub const ROWS: &[Row] = &[
    bare(&["attach-daemon"], Takes::Value("COMMAND"), "run a program beside the server"),
    bare(&["smart-attach-daemon"], Takes::Value("PIDFILE COMMAND"), "run a program that survives reloads"),
    bare(&["mule"], Takes::Maybe("SCRIPT"), "run a process for background jobs").refused(PROGRAM),
    bare(&["mules"], Takes::Value("N"), "run so many processes for background jobs").refused(PROGRAM),
    bare(&["spooler"], Takes::Value("FOLDER"), "work off jobs queued in this folder")
        .short('Q')
        .refused("jobs queued by the application would be lost: use celery, rq, huey or another queue"),
    bare(&["spooler-processes"], Takes::Value("N"), "processes of each spooler").accepted(NO_SPOOLER),
    bare(&["spooler-frequency", "spooler-freq"], Takes::Value("SECONDS"), "how often spoolers look for jobs")
        .accepted(NO_SPOOLER),
    bare(&["cron"], Takes::Value("TIME COMMAND"), "run a command at these times"),
    bare(&["cron2"], Takes::Value("TIME COMMAND"), "run a command at these times, with options"),
    bare(&["cache2"], Takes::Value("KEYS=VALUES"), "make a cache shared by the workers")
        .refused("the application's uwsgi.cache_… are not there: use Redis, memcached or a database"),
    bare(&["sharedarea"], Takes::Value("PAGES"), "make memory shared by the workers")
        .short('A')
        .refused("the application's uwsgi.sharedarea_… are not there: use multiprocessing.shared_memory"),
    bare(&["emperor"], Takes::Value("FOLDER"), "run a server for each configuration in this folder")
        .refused("start each as a service of its own; `uwring migrate FILE` writes a systemd unit for it"),
    bare(&["vassals-include"], Takes::Value("FILE"), "include this file in each vassal")
        .accepted("says nothing without an Emperor"),
    bare(&["fastrouter"], Takes::Value("ADDRESS"), "route uwsgi requests to other servers")
        .refused("let nginx, HAProxy or Caddy choose the server"),
    bare(&["subscribe2"], Takes::Value("KEYS=VALUES"), "announce this server to a router")
        .refused("name this server in the configuration of the web server in front"),
    bare(&["cgi-mode"], Takes::Nothing, "begin answers with a Status header").short('c'),
    bare(&["test"], Takes::Value("MODULE"), "import a module and end")
        .short('J')
        .refused("import it with python -c"),
];
