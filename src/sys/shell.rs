//! Shell commands that run beside the server.
#![allow(unsafe_code)]

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{Pid, setsid};

use super::{Error, identity};

/// What runs commands where `binsh` says nothing.
const SHELL: &str = "/bin/sh";

static CHOSEN: OnceLock<PathBuf> = OnceLock::new();

/// Runs commands with the first of these shells that is there, from now on.
pub fn choose(shells: &[PathBuf]) {
    if let Some(shell) = shells.iter().find(|shell| shell.exists()) {
        // The first choice of a process counts: a reload is another process.
        let _ = CHOSEN.set(shell.clone());
    }
}

/// What commands are run with.
pub fn program() -> &'static Path {
    CHOSEN.get().map_or(Path::new(SHELL), PathBuf::as_path)
}

/// How a command is run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// Kill it when the server dies.
    pub with_parent: bool,
    /// In this folder.
    pub folder: Option<&'a Path>,
    /// As this user, a name or a number.
    pub uid: Option<&'a str>,
    /// As this group.
    pub gid: Option<&'a str>,
    /// It reads what this process would.
    pub reads: bool,
}

/// Starts `command` in a session of its own, with nothing to read: its process id. Its end is told like every
/// child's.
pub fn start(command: &str, manner: Manner<'_>) -> Result<u32, Error> {
    let mut shell = Command::new(program());
    shell.args(["-c", command]);
    if !manner.reads {
        shell.stdin(Stdio::null());
    }
    if let Some(folder) = manner.folder {
        shell.current_dir(folder);
    }
    if let Some(gid) = manner.gid {
        shell.gid(identity::group(gid)?.as_raw());
    }
    if let Some(uid) = manner.uid {
        shell.uid(identity::user(uid)?.uid.as_raw());
    }
    prepare(&mut shell, manner.with_parent);
    let child = shell.spawn().map_err(|cause| Error::call("run", command, cause))?;
    Ok(child.id())
}

/// Runs `command` to its end. That it succeeds is asked for.
pub fn run(command: &str) -> Result<(), Error> {
    let failed = |cause| Error::call("run", command, cause);
    let mut shell = Command::new(program());
    shell.args(["-c", command]).stdin(Stdio::null());
    prepare(&mut shell, false);
    let status = shell.status().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(failed(io::Error::other(format!("it ended with {status}")))) }
}

/// A session of its own, and signals as a shell expects them: the master's are blocked.
fn prepare(shell: &mut Command, with_parent: bool) {
    let prepare = move || -> io::Result<()> {
        setsid()?;
        SigSet::empty().thread_set_mask()?;
        if with_parent {
            prctl::set_pdeathsig(Signal::SIGKILL)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made, and no memory is allocated.
    unsafe { shell.pre_exec(prepare) };
}

/// Starts a program with signals as they are at the start of one. Its end is told like every child's.
pub fn start_program(command: &mut Command) -> io::Result<u32> {
    Ok(spawn(command)?.id())
}

/// The same with a pipe as its standard input, which is given to `feed` and then ends.
pub fn feed_program(
    command: &mut Command,
    feed: impl FnOnce(&mut std::process::ChildStdin),
) -> io::Result<()> {
    if let Some(input) = &mut spawn(command)?.stdin {
        feed(input);
    }
    Ok(())
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    let prepare = || Ok(SigSet::empty().thread_set_mask()?);
    // SAFETY: between fork and exec only a system call is made, and no memory is allocated.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// Sends a signal to a command and all it has started.
pub fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let signal = Signal::try_from(signal)?;
    Ok(killpg(Pid::from_raw(pid.cast_signed()), signal)?)
}

/// Whether a process of this number runs.
pub fn runs(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.cast_signed());
    !matches!(nix::sys::signal::kill(pid, None), Err(nix::errno::Errno::ESRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process;

    #[test]
    fn a_command_runs_in_a_session_of_its_own_and_can_be_ended() {
        let manner = Manner { with_parent: true, folder: Some(Path::new("/")), ..Manner::default() };
        let pid = start("exec sleep 1000", manner).expect("started");
        assert!(runs(pid));
        signal(pid, 15).expect("sent");
        let ended = loop {
            if let Some(status) = process::peek(pid) {
                break status;
            }
            std::thread::yield_now();
        };
        assert_eq!(ended, process::Status::Killed(15));
        process::bury(pid);
        assert!(!runs(pid));
        run("true").expect("it succeeds");
        assert!(
            run("exit 3").expect_err("it fails").to_string().contains("exit 3: it ended with exit status: 3")
        );
        assert!(start("true", Manner { uid: Some("nobody-at-all"), ..Manner::default() }).is_err());
    }
}
