//! `hook-…` and `exec-…`: what is to be done at which moment of the server's life.

use serde::{Deserialize, Serialize};

use super::mounts::{Mount, Unmount};
use super::waits::{PATIENCE_S, Thing};

/// A moment, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Moment {
    /// `asap`: before anything else, as whoever started the server.
    Asap,
    /// `wait-for-…`, `file-write`: before all that is done with the rights of whoever started the server.
    First,
    /// `pre-jail`: before the server becomes somebody else.
    PreJail,
    /// `post-jail`: after that.
    PostJail,
    /// `in-jail`: after that.
    InJail,
    /// `as-root`: the last thing before.
    AsRoot,
    /// `as-user`: when it has become somebody else.
    AsUser,
    /// `master-start`: in the master, before its loop.
    MasterStart,
    /// `pre-app`: before the import of the application.
    PreApp,
    /// `post-app`: after it.
    PostApp,
    /// `post-fork`: in each worker, after its fork.
    PostFork,
    /// `accepting`: in each worker, just before it accepts.
    Accepting,
    /// `accepting1`: in the first one only.
    Accepting1,
    /// `accepting-once`: not in those that take another's place.
    AcceptingOnce,
    /// `accepting1-once`: in the first one only, and not when it is replaced.
    Accepting1Once,
    /// `emperor-start`: in the Emperor, before it rules.
    EmperorStart,
    /// `emperor-stop`: the Emperor has told it to end.
    EmperorStop,
    /// `emperor-reload`: the Emperor has told it to reload.
    EmperorReload,
    /// `emperor-lost`: the Emperor is gone.
    EmperorLost,
    /// `as-user-atexit`: in the master, when all is over.
    AsUserAtExit,
}

impl Moment {
    /// A hook that fails then ends the process.
    pub fn is_vital(self) -> bool {
        use Moment::*;
        !matches!(self, EmperorStart | EmperorStop | EmperorReload | EmperorLost | AsUserAtExit)
    }
}

/// One thing to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// `exec`: a shell command that must succeed.
    Run(String),
    /// `safeexec`: one that need not.
    TryRun(String),
    /// `cd`, `chdir`.
    Go(String),
    /// `mkdir`.
    MakeFolder(String),
    /// `putenv`: a name and its value.
    SetEnv(String, String),
    /// `chmod`: a path and a mode.
    Chmod(String, u32),
    /// `chown`: a path, a user, a group.
    Chown(String, String),
    /// `create`, `write`, `writen`, `append`, `appendn`, `writefifo`: a path and a text.
    Write {
        /// Where.
        path: String,
        /// What.
        text: String,
        /// Behind what is there.
        append: bool,
    },
    /// `sticky`: only who made a file in this folder may remove it.
    Sticky(String),
    /// `unlink`.
    Unlink(String),
    /// `mount`.
    Mount(Mount),
    /// `umount`.
    Unmount(Unmount),
    /// `wait_for_fs` and the like: what, which, and the seconds it may take.
    WaitFor(Thing, String, u64),
    /// `hostname`.
    NameHost(String),
    /// `print`, `log`.
    Say(String),
    /// `exit`.
    Exit(i32),
    /// `unix_signal` with what the signal does in any case.
    AlwaysSo,
}

/// What an option of a moment is: those of one moment are done in this order, as in uWSGI, wherever they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// `hook-…`.
    Hook,
    /// `mount-…`.
    Mount,
    /// `umount-…`.
    Unmount,
    /// `exec-…`.
    Run,
}

/// An action and its moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// When.
    pub moment: Moment,
    /// What.
    pub action: Action,
}

/// Reads `action:argument`. The error says what was expected.
pub fn parse(text: &str) -> Result<Action, String> {
    let (name, argument) = text.split_once(':').unwrap_or((text, ""));
    let argument = argument.trim();
    let own = || argument.to_owned();
    let pair = |what: &str| {
        let (first, second) = argument.split_once(' ').ok_or_else(|| format!("{name}:{what}"))?;
        Ok::<_, String>((first.to_owned(), second.trim().to_owned()))
    };
    let write = |append: bool, end: &str| {
        let (path, text) = pair("FILE TEXT")?;
        Ok(Action::Write { path, text: text + end, append })
    };
    let wait = |thing: Thing| Ok(Action::WaitFor(thing, own(), PATIENCE_S));
    match name.trim() {
        "exec" => Ok(Action::Run(own())),
        "safeexec" => Ok(Action::TryRun(own())),
        "cd" | "chdir" => Ok(Action::Go(own())),
        "mkdir" => Ok(Action::MakeFolder(own())),
        "putenv" => {
            let (name, value) = argument.split_once('=').ok_or("putenv:NAME=VALUE")?;
            Ok(Action::SetEnv(name.to_owned(), value.to_owned()))
        }
        "chmod" => {
            let (path, mode) = pair("FILE MODE")?;
            let mode = u32::from_str_radix(&mode, 8).map_err(|_| "chmod:FILE MODE, in octal")?;
            Ok(Action::Chmod(path, mode))
        }
        "chown" | "chown2" => {
            let (path, owner) = pair("FILE USER GROUP")?;
            Ok(Action::Chown(path, owner.split_whitespace().collect::<Vec<_>>().join(":")))
        }
        "create" | "creat" => Ok(Action::Write { path: own(), text: String::new(), append: false }),
        "write" | "writefifo" => write(false, ""),
        "writen" => write(false, "\n"),
        "append" => write(true, ""),
        "appendn" => write(true, "\n"),
        "sticky" => Ok(Action::Sticky(own())),
        "unlink" => Ok(Action::Unlink(own())),
        "mount" => Mount::parse(argument).map(Action::Mount).map_err(|form| format!("mount:{form}")),
        "umount" => Unmount::parse(argument).map(Action::Unmount).map_err(|form| format!("umount:{form}")),
        "wait_for_fs" => wait(Thing::Path),
        "wait_for_file" => wait(Thing::File),
        "wait_for_dir" => wait(Thing::Folder),
        "wait_for_mountpoint" => wait(Thing::Mount),
        "wait_for_iface" => wait(Thing::Interface),
        "wait_for_socket" => wait(Thing::Socket),
        // (uWSGI takes the name of the whole machine away.)
        "hostname" if argument.is_empty() => Err("hostname:NAME".to_owned()),
        "hostname" => Ok(Action::NameHost(own())),
        "print" | "log" => Ok(Action::Say(own())),
        "exit" => {
            let code = if argument.is_empty() { Ok(0) } else { argument.parse() };
            code.map(Action::Exit).map_err(|_| "exit:CODE".to_owned())
        }
        "unix_signal" => signal(argument).map(|()| Action::AlwaysSo),
        other => Err(format!(
            "an action: exec, safeexec, cd, mkdir, putenv, chmod, chown, sticky, create, write, writen, append, \
             appendn, writefifo, unlink, mount, umount, wait_for_file, hostname, print, unix_signal or exit, and \
             {other} is none of these here{}",
            instead(other)
        )),
    }
}

/// What to write in the place of an action that only uWSGI has.
fn instead(action: &str) -> &'static str {
    match action {
        "call" | "callret" | "callint" | "callintret" => {
            ": functions of C are not called, exec runs a command"
        }
        "rpc" | "retryrpc" => ": nothing registers functions for others to call, exec runs a command",
        "alarm" => ": exec runs the command of the alarm",
        "spinningfifo" => ": writefifo waits for a reader",
        _ => "",
    }
}

/// `unix_signal:15 gracefully_kill_them_all`: a function of uWSGI's for a signal. Each signal does one thing here, which
/// must be that.
fn signal(argument: &str) -> Result<(), String> {
    let (signal, function) = argument.split_once(' ').ok_or("unix_signal:NUMBER FUNCTION")?;
    let does = match signal.trim() {
        "2" | "3" | "15" => "gracefully_kill_them_all",
        "1" => "grace_them_all",
        other => return Err(format!("signal 1, 2, 3 or 15, and {other} is none of these")),
    };
    // A stop and a reload are graceful here, whichever was asked for.
    let meant = match function.trim() {
        "kill_them_all" => "gracefully_kill_them_all",
        "reap_them_all" => "grace_them_all",
        other => other,
    };
    if meant == does { Ok(()) } else { Err(format!("{does}, which is what signal {signal} does here")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_action_is_read() {
        let write = |path: &str, text: &str, append| {
            Ok(Action::Write { path: path.to_owned(), text: text.to_owned(), append })
        };
        for (text, expected) in [
            ("exec:echo a:b", Ok(Action::Run("echo a:b".to_owned()))),
            ("cd:/srv", Ok(Action::Go("/srv".to_owned()))),
            ("putenv:A=b=c", Ok(Action::SetEnv("A".to_owned(), "b=c".to_owned()))),
            ("chmod:/f 640", Ok(Action::Chmod("/f".to_owned(), 0o640))),
            ("chown:/f www data", Ok(Action::Chown("/f".to_owned(), "www:data".to_owned()))),
            ("write:/f some text", write("/f", "some text", false)),
            ("appendn:/f x", write("/f", "x\n", true)),
            ("exit:", Ok(Action::Exit(0))),
            ("print:hello", Ok(Action::Say("hello".to_owned()))),
            ("sticky:/d", Ok(Action::Sticky("/d".to_owned()))),
            ("hostname:shop", Ok(Action::NameHost("shop".to_owned()))),
            ("mount:tmpfs none /d ro", Mount::parse("tmpfs none /d ro").map(Action::Mount)),
            ("umount: /d detach", Unmount::parse("/d detach").map(Action::Unmount)),
            ("unix_signal:15 gracefully_kill_them_all", Ok(Action::AlwaysSo)),
            ("unix_signal:2 kill_them_all", Ok(Action::AlwaysSo)),
            ("unix_signal:1 reap_them_all", Ok(Action::AlwaysSo)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        for text in [
            "unix_signal:15",
            "unix_signal:15 grace_them_all",
            "unix_signal:10 kill_them_all",
            "unix_signal:1 end_me",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["chmod:/f", "chmod:/f rw", "write:/f", "putenv:A", "exit:now", "hostname:", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
        for (text, says) in [
            (
                "call:function",
                "call is none of these here: functions of C are not called, exec runs a command",
            ),
            ("retryrpc:x", "retryrpc is none of these here: nothing registers functions"),
            ("alarm:a b", "exec runs the command of the alarm"),
            ("spinningfifo:/f x", "writefifo waits for a reader"),
            ("dance:", "dance is none of these here"),
            ("mount:tmpfs none", "mount:TYPE SOURCE FOLDER"),
            ("umount:", "umount:FOLDER"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
