//! Rows: jobs beside requests, caches, and servers of servers. None of them works yet.

use super::super::row::{Row, Takes, bare};

/// The rows.
pub const ROWS: &[Row] = &[
    bare(&["attach-daemon"], Takes::Value("COMMAND"), "run a program beside the server"),
    bare(&["smart-attach-daemon"], Takes::Value("PIDFILE COMMAND"), "run a program that survives reloads"),
    bare(&["mule"], Takes::Maybe("SCRIPT"), "run a process for background jobs"),
    bare(&["mules"], Takes::Value("N"), "run so many processes for background jobs"),
    bare(&["spooler"], Takes::Value("FOLDER"), "work off jobs queued in this folder").short('Q'),
    bare(&["spooler-processes"], Takes::Value("N"), "processes of each spooler"),
    bare(&["spooler-frequency", "spooler-freq"], Takes::Value("SECONDS"), "how often spoolers look for jobs"),
    bare(&["cron"], Takes::Value("TIME COMMAND"), "run a command at these times"),
    bare(&["cron2"], Takes::Value("TIME COMMAND"), "run a command at these times, with options"),
    bare(&["cache2"], Takes::Value("KEYS=VALUES"), "make a cache shared by the workers"),
    bare(&["sharedarea"], Takes::Value("PAGES"), "make memory shared by the workers").short('A'),
    bare(&["emperor"], Takes::Value("FOLDER"), "run a server for each configuration in this folder"),
    bare(&["vassals-include"], Takes::Value("FILE"), "include this file in each vassal"),
    bare(&["fastrouter"], Takes::Value("ADDRESS"), "route uwsgi requests to other servers"),
    bare(&["subscribe2"], Takes::Value("KEYS=VALUES"), "announce this server to a router"),
    bare(&["cgi-mode"], Takes::Nothing, "begin answers with a Status header").short('c'),
    bare(&["test"], Takes::Value("MODULE"), "import a module and end").short('J'),
];
