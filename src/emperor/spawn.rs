//! A vassal's process: its command line, its environment, the line to its Emperor.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::monitor::{Found, option_for};
use crate::base::errors;
use crate::base::vassalage::LINE;
use crate::hooks;
use crate::options::emperor::Emperor;
use crate::options::hooks::Action;
use crate::sys::exec::{self, Handed};
use crate::sys::shell;

/// Everything behind the program's name.
fn arguments(found: &Found, policy: &Emperor) -> Vec<String> {
    let pairs = |list: &[(String, String)]| -> Vec<String> {
        list.iter().flat_map(|(option, value)| [option.clone(), value.clone()]).collect()
    };
    let own = [option_for(&found.name).to_owned(), found.name.clone()];
    [pairs(&policy.before), own.to_vec(), pairs(&policy.behind)].concat()
}

/// Starts it: its process id, and the Emperor's end of the line. `input`: its socket, if it has one already.
pub fn start(
    found: &Found,
    program: &Path,
    policy: &Emperor,
    input: Option<Stdio>,
) -> io::Result<(u32, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let program = policy.wrapper.as_ref().map_or(program.as_os_str().to_owned(), OsString::from);
    let mut command = match script(policy) {
        None => Command::new(&program),
        Some(script) => {
            let mut shell = Command::new(shell::program());
            shell.arg("-c").arg(script).arg(&program);
            shell
        }
    };
    command.args(arguments(found, policy)).stdin(input.unwrap_or_else(Stdio::null));
    // What the Emperor was told by its environment is not the vassals' business.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("UWSGI_")) {
        command.env_remove(name);
    }
    let left = Handed::of(&theirs);
    command.env(LINE, exec::number(left).to_string()).envs(variables(found));
    if let Some(folder) = &found.folder {
        command.env("UWSGI_VASSALS_DIR", folder).current_dir(folder);
    }
    if policy.tyrant {
        command.uid(found.stamp.owner.0).gid(found.stamp.owner.1);
    }
    exec::keep_open(&[left], true)?;
    let started = shell::start_program(&mut command);
    exec::keep_open(&[left], false)?;
    Ok((started?, ours))
}

/// What the vassal's own process does before it is the vassal, so that it holds up nobody else.
fn script(policy: &Emperor) -> Option<String> {
    // As in uWSGI the configuration's name is the argument of a start hook.
    let start = policy.start_hook.iter().map(|hook| format!("{hook} \"$UWSGI_VASSAL_CONFIG\" </dev/null\n"));
    let others = policy.as_vassal.iter().map(|command| format!("( {command}\n) </dev/null || exit 1\n"));
    let hooks: String = start.chain(others).collect();
    (!hooks.is_empty()).then(|| format!("export UWSGI_VASSAL_PID=$$\n{hooks}exec \"$0\" \"$@\""))
}

/// Does what hooks in the Emperor say, for a vassal and perhaps its process. Commands run beside everything else.
pub fn hooks(list: &[Action], found: &Found, pid: Option<u32>) {
    for action in list {
        let (Action::Run(hook) | Action::TryRun(hook)) = action else {
            if let Err(error) = hooks::perform(action) {
                crate::log!("[emperor] hook for vassal {}: {error:?} {}", found.name, errors::EMPEROR_HOOK);
            }
            continue;
        };
        if let Err(error) = beside(hook, found, pid) {
            crate::log!("[emperor] hook {hook}: {error} {}", errors::EMPEROR_HOOK);
        }
    }
}

/// Runs the hook for a vassal that is gone, beside everything else.
pub fn buried(found: &Found, pid: u32, policy: &Emperor) {
    let Some(hook) = &policy.stop_hook else { return };
    if let Err(error) = beside(&format!("{hook} \"$UWSGI_VASSAL_CONFIG\""), found, Some(pid)) {
        crate::log!("[emperor] vassals-stop-hook {hook}: {error} {}", errors::EMPEROR_HOOK);
    }
}

/// Starts a command that is told of a vassal, and perhaps of its process.
fn beside(script: &str, found: &Found, pid: Option<u32>) -> io::Result<u32> {
    let mut command = Command::new(shell::program());
    command.arg("-c").arg(script).stdin(Stdio::null()).envs(variables(found));
    command.envs(pid.map(|pid| ("UWSGI_VASSAL_PID", pid.to_string())));
    shell::start_program(&mut command)
}

/// What hooks are told.
fn variables(found: &Found) -> [(&'static str, String); 3] {
    let (uid, gid) = found.stamp.owner;
    [
        ("UWSGI_VASSAL_CONFIG", found.name.clone()),
        ("UWSGI_VASSAL_UID", uid.to_string()),
        ("UWSGI_VASSAL_GID", gid.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emperor::vassal::Stamp;

    #[test]
    fn a_vassal_is_told_what_belongs_to_it() {
        let pair = |option: &str, value: &str| (option.to_owned(), value.to_owned());
        let policy = Emperor {
            before: vec![pair("--include", "first.ini")],
            behind: vec![pair("--inherit", "last.ini"), pair("--set", "a=b")],
            ..Emperor::default()
        };
        let found = Found { name: "shop.yml".to_owned(), folder: None, stamp: Stamp::default() };
        let expected = "--include first.ini --yaml shop.yml --inherit last.ini --set a=b";
        assert_eq!(arguments(&found, &policy).join(" "), expected);
    }
}
