//! Rows: the Emperor, which runs a server for each configuration, and its vassals.

use super::super::draft::Draft;
use super::super::emperor::OnDemand;
use super::super::hooks::{self, Action, Turn};
use super::super::mounts::{Mount, Unmount};
use super::super::row::{Kind::*, Reading, Row, Takes, row};
use super::hooks::{MOUNT, UNMOUNT};

const FILE: Takes = Takes::Value("FILE");
const HOOK: Takes = Takes::Value("ACTION:ARGUMENT");

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["emperor"],
        Set(Takes::Value("FOLDER"), monitor),
        "run a server for each configuration in this folder, or matching this pattern",
    ),
    row(&["emperor-freq"], Seconds(|s| &mut s.emperor.every), "look for changed configurations so often"),
    row(
        &["emperor-extra-extension", "emperor-extra-ext"],
        List(|s| &mut s.emperor.extensions, "SUFFIX"),
        "files of a folder that end so are configurations, too",
    ),
    row(
        &["emperor-nofollow"],
        Flag(|s| &mut s.emperor.nofollow),
        "a link counts as changed when it changes itself, not what it leads to",
    ),
    row(
        &["emperor-tyrant"],
        Flag(|s| &mut s.emperor.tyrant),
        "run each vassal as the owner of its configuration, which must not be root",
    ),
    row(
        &["emperor-tyrant-nofollow"],
        Flag(|s| &mut s.emperor.tyrant_nofollow),
        "the owner of a link counts, not that of what it leads to",
    ),
    row(&["emperor-pidfile"], Path(|s| &mut s.emperor.pidfile, "FILE"), "write the Emperor's pid here"),
    row(
        &["emperor-required-heartbeat"],
        Seconds(|s| &mut s.emperor.heartbeat),
        "replace a vassal that has announced a heartbeat and gives none for so long (default 30)",
    ),
    row(
        &["emperor-throttle"],
        Millis(|s| &mut s.emperor.throttle_ms),
        "pause of a vassal that fails, longer by as much each time (default 1000)",
    ),
    row(
        &["emperor-max-throttle"],
        Millis(|s| &mut s.emperor.max_throttle_ms),
        "the longest such pause (default 180000)",
    ),
    row(
        &["emperor-no-blacklist"],
        Flag(|s| &mut s.emperor.no_blacklist),
        "start failing vassals again without a growing pause",
    ),
    row(
        &["emperor-curse-tolerance"],
        Seconds(|s| &mut s.emperor.curse),
        "kill a vassal that was told to end and has not after so long (default 30)",
    ),
    row(
        &["emperor-wrapper"],
        Text(|s| &mut s.emperor.wrapper, "PROGRAM"),
        "start this program for each vassal, with the same arguments",
    ),
    row(
        &["vassals-include"],
        Set(FILE, |s, file| behind(s, "--include", file)),
        "include this file in each vassal's configuration, behind its own",
    ),
    row(
        &["vassals-include-before"],
        Set(FILE, |s, file| before(s, "--include", file)),
        "include this file in each vassal's configuration, before its own",
    ),
    row(
        &["vassals-inherit"],
        Set(FILE, |s, file| behind(s, "--inherit", file)),
        "let each vassal inherit this file, read behind its own",
    ),
    row(
        &["vassals-inherit-before"],
        Set(FILE, |s, file| before(s, "--inherit", file)),
        "let each vassal inherit this file, named before its own",
    ),
    row(
        &["vassals-set", "vassal-set"],
        Set(Takes::Value("NAME=VALUE"), |s, pair| behind(s, "--set", pair)),
        "set an option or a placeholder in each vassal's configuration",
    ),
    row(
        &["vassals-start-hook"],
        Text(|s| &mut s.emperor.start_hook, "COMMAND"),
        "run this before each start of a vassal, with UWSGI_VASSAL_CONFIG, _PID, _UID and _GID",
    ),
    row(
        &["vassals-stop-hook"],
        Text(|s| &mut s.emperor.stop_hook, "COMMAND"),
        "run this after each end of a vassal, with the same variables",
    ),
    row(
        &["emperor-on-demand-extension", "emperor-on-demand-ext"],
        Set(Takes::Value("SUFFIX"), |s, suffix| on_demand(s, OnDemand::Extension(suffix.to_owned()))),
        "start a vassal with its first connection, at the address in the file of its name and this suffix",
    ),
    row(
        &["emperor-on-demand-directory", "emperor-on-demand-dir"],
        Set(Takes::Value("FOLDER"), |s, folder| on_demand(s, OnDemand::Folder(folder.into()))),
        "the same, at FOLDER/NAME.socket",
    ),
    row(
        &["emperor-on-demand-exec"],
        Set(Takes::Value("COMMAND"), |s, command| on_demand(s, OnDemand::Command(command.to_owned()))),
        "the same, at the address that this command says for its name",
    ),
    row(
        &["hook-as-on-demand-vassal"],
        Set(HOOK, |s, text| hook(&mut s.emperor.on_demand_hooks, text)),
        "do this when a vassal waits for its first connection",
    ),
    row(
        &["hook-as-emperor-before-vassal"],
        Set(HOOK, |s, text| hook(&mut s.emperor.before_vassal, text)),
        "do this before each start of a vassal",
    ),
    row(
        &["hook-as-emperor"],
        Set(HOOK, |s, text| as_emperor(s, Turn::Hook, hooks::parse(text))),
        "do this after each start of a vassal",
    ),
    row(
        &["exec-as-emperor"],
        Set(Takes::Value("COMMAND"), |s, command| {
            as_emperor(s, Turn::Run, Ok(Action::Run(command.to_owned())))
        }),
        "run this after each start of a vassal, with UWSGI_VASSAL_CONFIG, _PID, _UID and _GID",
    ),
    row(
        &["mount-as-emperor"],
        Set(MOUNT, |s, text| as_emperor(s, Turn::Mount, Mount::parse(text).map(Action::Mount))),
        "mount this after each start of a vassal, after hook-as-emperor",
    ),
    row(
        &["umount-as-emperor"],
        Set(UNMOUNT, |s, text| as_emperor(s, Turn::Unmount, Unmount::parse(text).map(Action::Unmount))),
        "unmount this after each start of a vassal, after mount-as-emperor",
    ),
    row(
        &["hook-as-vassal"],
        Set(HOOK, |s, text| as_vassal(s, Turn::Hook, hooks::parse(text))),
        "do this in each vassal's own process before it starts: exec:, mount: or umount:",
    ),
    row(
        &["exec-as-vassal"],
        Set(Takes::Value("COMMAND"), |s, command| {
            as_vassal(s, Turn::Run, Ok(Action::Run(command.to_owned())))
        }),
        "run this in each vassal's own process before it starts",
    ),
    row(
        &["mount-as-vassal"],
        Set(MOUNT, |s, text| as_vassal(s, Turn::Mount, Mount::parse(text).map(Action::Mount))),
        "mount this in each vassal's own process before it starts, after hook-as-vassal",
    ),
    row(
        &["umount-as-vassal"],
        Set(UNMOUNT, |s, text| as_vassal(s, Turn::Unmount, Unmount::parse(text).map(Action::Unmount))),
        "unmount this in each vassal's own process before it starts, after mount-as-vassal",
    ),
    row(
        &["heartbeat"],
        Seconds(|s| &mut s.process.heartbeat),
        "as a vassal: tell the Emperor so often that all is well",
    ),
];

fn monitor(draft: &mut Draft, place: &str) -> Reading {
    const SCHEMES: [&str; 4] = ["pg", "mongodb", "amqp", "zmq"];
    if let Some((scheme, _)) = place.split_once("://")
        && SCHEMES.contains(&scheme)
    {
        return Err("a folder or a pattern: write the configurations kept elsewhere to files".to_owned());
    }
    draft.emperor.monitors.push(place.to_owned());
    Ok(None)
}

fn on_demand(draft: &mut Draft, rule: OnDemand) -> Reading {
    draft.emperor.on_demand = Some(rule);
    Ok(None)
}

fn hook(list: &mut Vec<Action>, text: &str) -> Reading {
    list.push(hooks::parse(text)?);
    Ok(None)
}

fn as_emperor(draft: &mut Draft, turn: Turn, action: Result<Action, String>) -> Reading {
    draft.as_emperor.push((turn, action?));
    Ok(None)
}

/// In the vassal's process there is a shell then, and nothing of ours.
fn as_vassal(draft: &mut Draft, turn: Turn, action: Result<Action, String>) -> Reading {
    let command = match action? {
        Action::Run(command) => command,
        Action::Mount(mount) => mount.command(),
        Action::Unmount(unmount) => unmount.command(),
        _ => return Err("exec:COMMAND, mount: or umount:".to_owned()),
    };
    draft.as_vassal.push((turn, command));
    Ok(None)
}

fn before(draft: &mut Draft, option: &str, value: &str) -> Reading {
    draft.emperor.before.push((option.to_owned(), value.to_owned()));
    Ok(None)
}

fn behind(draft: &mut Draft, option: &str, value: &str) -> Reading {
    draft.emperor.behind.push((option.to_owned(), value.to_owned()));
    Ok(None)
}
