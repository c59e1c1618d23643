//! A vassal's process: its command line, its environment, the line to its Emperor.

use std::ffi::OsString;
use std::io;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::monitor::{Found, option_for};
use crate::options::emperor::Emperor;
use crate::sys::exec::{self, Handed};
use crate::sys::shell;

/// The vassal's end of the line, by number.
pub const LINE: &str = "UWSGI_EMPEROR_FD";

/// Everything behind the program's name.
fn arguments(found: &Found, policy: &Emperor) -> Vec<String> {
    let pairs = |list: &[(String, String)]| -> Vec<String> {
        list.iter().flat_map(|(option, value)| [option.clone(), value.clone()]).collect()
    };
    let own = [option_for(&found.name).to_owned(), found.name.clone()];
    [pairs(&policy.before), own.to_vec(), pairs(&policy.behind)].concat()
}

/// Starts it: its process id, and the Emperor's end of the line.
pub fn start(found: &Found, program: &Path, policy: &Emperor) -> io::Result<(u32, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let program = policy.wrapper.as_ref().map_or(program.as_os_str().to_owned(), OsString::from);
    let mut command = match &policy.start_hook {
        None => Command::new(&program),
        Some(hook) => {
            // In the vassal's own process, so that it holds up nobody else.
            // As in uWSGI the configuration's name is its argument.
            let hook = format!("{hook} \"$UWSGI_VASSAL_CONFIG\"");
            let mut shell = Command::new(shell::program());
            shell
                .arg("-c")
                .arg(format!("export UWSGI_VASSAL_PID=$$\n{hook}\nexec \"$0\" \"$@\""))
                .arg(&program);
            shell
        }
    };
    command.args(arguments(found, policy)).stdin(Stdio::null());
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

/// Runs the hook for a vassal that is gone, beside everything else.
pub fn buried(found: &Found, pid: u32, policy: &Emperor) {
    let Some(hook) = &policy.stop_hook else { return };
    let mut command = Command::new(shell::program());
    command
        .arg("-c")
        .arg(format!("{hook} \"$UWSGI_VASSAL_CONFIG\""))
        .stdin(Stdio::null())
        .envs(variables(found));
    command.env("UWSGI_VASSAL_PID", pid.to_string());
    if let Err(error) = shell::start_program(&mut command) {
        crate::log!("[emperor] vassals-stop-hook {hook}: {error}");
    }
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
