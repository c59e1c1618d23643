//! Rows: hooks, which are things to do at moments of the server's life.

use super::super::draft::Draft;
use super::super::hooks::{self, Action, Hook, Moment, Turn};
use super::super::mounts::{Mount, Unmount};
use super::super::row::{Kind::*, Reading, Row, Takes, row};
use super::super::settings::Touch;
use super::super::waits::{PATIENCE_S, Thing};

const HOOK: Takes = Takes::Value("ACTION:ARGUMENT");
const COMMAND: Takes = Takes::Value("COMMAND");
const FILE: Takes = Takes::Value("PATH");
/// What `mount-…` and `umount-…` take.
pub const MOUNT: Takes = Takes::Value("TYPE SOURCE FOLDER [FLAGS]");
/// See [`MOUNT`].
pub const UNMOUNT: Takes = Takes::Value("FOLDER [FLAGS]");

macro_rules! hook {
    ($name:literal, $moment:ident, $help:literal) => {
        row(&[$name], Set(HOOK, |s, text| add(s, Moment::$moment, text)), $help)
    };
}

macro_rules! exec {
    ($name:literal, $moment:ident, $help:literal) => {
        row(&[$name], Set(COMMAND, |s, command| run(s, Moment::$moment, command)), $help)
    };
}

macro_rules! mount {
    ($name:literal, $moment:ident, $help:literal) => {
        row(&[$name], Set(MOUNT, |s, text| mount(s, Moment::$moment, text)), $help)
    };
}

macro_rules! unmount {
    ($name:literal, $moment:ident, $help:literal) => {
        row(&[$name], Set(UNMOUNT, |s, text| unmount(s, Moment::$moment, text)), $help)
    };
}

/// The rows.
pub const ROWS: &[Row] = &[
    hook!("hook-asap", Asap, "do this before anything else"),
    hook!("hook-pre-jail", PreJail, "do this before privileges are given up"),
    hook!("hook-post-jail", PostJail, "do this before privileges are given up, after hook-pre-jail"),
    hook!("hook-in-jail", InJail, "do this before privileges are given up, after hook-post-jail"),
    hook!("hook-as-root", AsRoot, "do this as the last thing before privileges are given up"),
    hook!("hook-as-user", AsUser, "do this when privileges are given up"),
    hook!("hook-as-user-atexit", AsUserAtExit, "do this when the server ends"),
    hook!("hook-master-start", MasterStart, "do this in the master, before it begins"),
    hook!("hook-pre-app", PreApp, "do this before the application is imported"),
    hook!("hook-post-app", PostApp, "do this when the application is imported"),
    hook!("hook-post-fork", PostFork, "do this in each worker after its fork"),
    hook!("hook-accepting", Accepting, "do this in each worker before it accepts"),
    hook!("hook-accepting1", Accepting1, "do this in the first worker before it accepts"),
    hook!(
        "hook-accepting-once",
        AcceptingOnce,
        "do this in each worker before it accepts, not when it is replaced"
    ),
    hook!("hook-accepting1-once", Accepting1Once, "do this in the first worker before it accepts, once"),
    hook!("hook-emperor-start", EmperorStart, "as an Emperor: do this before it rules"),
    hook!("hook-emperor-stop", EmperorStop, "as a vassal: do this when the Emperor says to end"),
    hook!("hook-emperor-reload", EmperorReload, "as a vassal: do this when the Emperor says to reload"),
    hook!("hook-emperor-lost", EmperorLost, "as a vassal: do this when the Emperor is gone"),
    row(
        &["hook-touch"],
        Set(Takes::Value("FILE ACTION:ARGUMENT"), touch),
        "do this when the file is touched",
    ),
    mount!("mount-asap", Asap, "mount this before anything else, after hook-asap"),
    mount!("mount-pre-jail", PreJail, "mount this before privileges are given up, after hook-pre-jail"),
    mount!("mount-post-jail", PostJail, "mount this before privileges are given up, after hook-post-jail"),
    mount!("mount-in-jail", InJail, "mount this before privileges are given up, after hook-in-jail"),
    mount!(
        "mount-as-root",
        AsRoot,
        "mount this as the last thing before privileges are given up, after hook-as-root"
    ),
    unmount!("umount-asap", Asap, "unmount this before anything else, after mount-asap"),
    unmount!("umount-pre-jail", PreJail, "unmount this before privileges are given up, after mount-pre-jail"),
    unmount!(
        "umount-post-jail",
        PostJail,
        "unmount this before privileges are given up, after mount-post-jail"
    ),
    unmount!("umount-in-jail", InJail, "unmount this before privileges are given up, after mount-in-jail"),
    unmount!(
        "umount-as-root",
        AsRoot,
        "unmount this as the last thing before privileges are given up, after mount-as-root"
    ),
    exec!("exec-asap", Asap, "run a command before anything else"),
    exec!("exec-pre-jail", PreJail, "run a command before privileges are given up"),
    exec!("exec-post-jail", PostJail, "run a command before privileges are given up, after exec-pre-jail"),
    exec!("exec-in-jail", InJail, "run a command before privileges are given up, after exec-post-jail"),
    exec!("exec-as-root", AsRoot, "run a command as the last thing before privileges are given up"),
    exec!("exec-as-user", AsUser, "run a command when privileges are given up"),
    exec!("exec-as-user-atexit", AsUserAtExit, "run a command when the server ends"),
    exec!("exec-pre-app", PreApp, "run a command before the application is imported"),
    exec!("exec-post-app", PostApp, "run a command when the application is imported"),
    row(
        &["file-write"],
        Set(Takes::Value("FILE=TEXT"), write),
        "write this line to a file before privileges are given up",
    ),
    row(
        &["wait-for-fs"],
        Set(Takes::Value("PATH"), |s, on| wait(s, Thing::Path, on)),
        "wait until this path is there, before privileges are given up",
    ),
    row(&["wait-for-file"], Set(FILE, |s, on| wait(s, Thing::File, on)), "the same for a file"),
    row(&["wait-for-dir"], Set(FILE, |s, on| wait(s, Thing::Folder, on)), "the same for a folder"),
    row(
        &["wait-for-mountpoint"],
        Set(FILE, |s, on| wait(s, Thing::Mount, on)),
        "the same for a folder on which something is mounted",
    ),
    row(
        &["wait-for-interface", "wait-interface", "wait-for-iface", "wait-iface"],
        Set(Takes::Value("NAME"), |s, on| wait(s, Thing::Interface, on)),
        "the same for a network interface",
    ),
    row(
        &["wait-for-socket"],
        Set(Takes::Value("ADDRESS"), |s, on| wait(s, Thing::Socket, on)),
        "wait until somebody listens there, before the application is imported",
    ),
    row(
        &["wait-for-fs-timeout"],
        Seconds(|s| &mut s.patience.paths),
        "end if a path is not there after so long (default 60)",
    ),
    row(
        &[
            "wait-for-interface-timeout",
            "wait-interface-timeout",
            "wait-for-iface-timeout",
            "wait-iface-timeout",
        ],
        Seconds(|s| &mut s.patience.interfaces),
        "the same for interfaces",
    ),
    row(&["wait-for-socket-timeout"], Seconds(|s| &mut s.patience.sockets), "the same for sockets"),
];

/// `file-write = FILE=TEXT`, before privileges are given up.
fn write(draft: &mut Draft, pair: &str) -> Reading {
    let (path, text) = pair.split_once('=').ok_or("FILE=TEXT")?;
    let action = Action::Write { path: path.to_owned(), text: format!("{text}\n"), append: false };
    draft.hooks.push((Turn::Hook, Hook { moment: Moment::First, action }));
    Ok(None)
}

/// A server that is waited for may need what hooks have done by then.
fn wait(draft: &mut Draft, thing: Thing, on: &str) -> Reading {
    let moment = if thing == Thing::Socket { Moment::PreApp } else { Moment::First };
    let action = Action::WaitFor(thing, on.to_owned(), PATIENCE_S);
    draft.hooks.push((Turn::Hook, Hook { moment, action }));
    Ok(None)
}

fn add(draft: &mut Draft, moment: Moment, text: &str) -> Reading {
    let action = hooks::parse(text)?;
    draft.hooks.push((Turn::Hook, Hook { moment, action }));
    Ok(None)
}

fn run(draft: &mut Draft, moment: Moment, command: &str) -> Reading {
    draft.hooks.push((Turn::Run, Hook { moment, action: Action::Run(command.to_owned()) }));
    Ok(None)
}

fn mount(draft: &mut Draft, moment: Moment, text: &str) -> Reading {
    draft.hooks.push((Turn::Mount, Hook { moment, action: Action::Mount(Mount::parse(text)?) }));
    Ok(None)
}

fn unmount(draft: &mut Draft, moment: Moment, text: &str) -> Reading {
    draft.hooks.push((Turn::Unmount, Hook { moment, action: Action::Unmount(Unmount::parse(text)?) }));
    Ok(None)
}

fn touch(draft: &mut Draft, text: &str) -> Reading {
    let (path, action) = text.split_once(' ').ok_or("FILE ACTION:ARGUMENT")?;
    draft.process.touch.push((path.into(), Touch::Hook(hooks::parse(action.trim())?)));
    Ok(None)
}
