//! Doing what `hook-…` and `exec-…` say, in the process and at the moment they name.

mod waiting;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use crate::options::hooks::{Action, Hook, Moment};
use crate::options::mounts::{Mount, Unmount};
use crate::sys::{Error, files, host, identity, mounts, process, shell};

/// Why a process ends instead of going on.
#[derive(Debug)]
pub enum Stop {
    /// A hook failed.
    Failed(Error),
    /// `exit`.
    Exit(i32),
}

/// Does all hooks of `moment`, in the order in which they were given.
pub fn run(hooks: &[Hook], moment: Moment) -> Result<(), Stop> {
    for hook in hooks.iter().filter(|hook| hook.moment == moment) {
        match perform(&hook.action) {
            Ok(()) => {}
            Err(Stop::Failed(error)) if !moment.is_vital() => {
                crate::log!("[uwring] hook: {error}");
            }
            Err(stop) => return Err(stop),
        }
    }
    Ok(())
}

/// Does one thing.
pub fn perform(action: &Action) -> Result<(), Stop> {
    let failed = |attempt: &'static str, on: &str| {
        let on = on.to_owned();
        move |cause: io::Error| Stop::Failed(Error::call(attempt, on, cause))
    };
    match action {
        Action::Run(command) => {
            crate::log!("running \"{command}\"");
            shell::run(command).map_err(Stop::Failed)
        }
        Action::TryRun(command) => {
            crate::log!("running \"{command}\"");
            if let Err(error) = shell::run(command) {
                crate::log!("[uwring] hook: {error}");
            }
            Ok(())
        }
        Action::Go(path) => std::env::set_current_dir(path).map_err(failed("chdir to", path)),
        Action::MakeFolder(path) => std::fs::create_dir(path).map_err(failed("make folder", path)),
        Action::SetEnv(name, value) => {
            process::set_env(name, Some(value)).map_err(failed("set variable", name))
        }
        Action::Chmod(path, mode) => files::chmod(Path::new(path), *mode).map_err(failed("chmod", path)),
        Action::Chown(path, owner) => {
            let (user, group) = identity::owner(owner).map_err(Stop::Failed)?;
            files::chown(Path::new(path), user, group).map_err(failed("chown", path))
        }
        Action::Write { path, text, append } => write(path, text, *append).map_err(failed("write", path)),
        Action::Sticky(path) => files::make_sticky(Path::new(path)).map_err(failed("chmod", path)),
        Action::Unlink(path) => std::fs::remove_file(path).map_err(failed("unlink", path)),
        Action::Mount(mount) => {
            let Mount { kind, source, target, flags, data } = mount;
            crate::log!("mounting {source} on {target}");
            let on = format!("{source} on {target}");
            mounts::mount(kind, source, Path::new(target), flags, data).map_err(failed("mount", &on))
        }
        Action::Unmount(Unmount { target, flags }) => {
            crate::log!("un-mounting {target}");
            mounts::unmount(Path::new(target), flags).map_err(failed("unmount", target))
        }
        Action::NameHost(name) => host::set_name(name).map_err(failed("set the name of this host to", name)),
        Action::WaitFor(thing, on, seconds) => {
            if waiting::wait(*thing, on, *seconds) {
                return Ok(());
            }
            let why = format!("it is not there after {seconds} seconds");
            Err(failed("wait for", on)(io::Error::new(io::ErrorKind::TimedOut, why)))
        }
        Action::Say(text) => {
            crate::logging::line(text);
            Ok(())
        }
        Action::Exit(code) => Err(Stop::Exit(*code)),
        Action::AlwaysSo => Ok(()),
    }
}

fn write(path: &str, text: &str, append: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true);
    if append {
        options.append(true)
    } else {
        options.truncate(true)
    };
    options.open(path)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(moment: Moment, text: &str) -> Hook {
        Hook { moment, action: crate::options::hooks::parse(text).expect("an action") }
    }

    #[test]
    fn hooks_of_a_moment_are_done_in_order_until_one_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let log = path("log");
        let hooks = [
            hook(Moment::Asap, &format!("writen:{log} one")),
            hook(Moment::AsUser, &format!("appendn:{log} never")),
            hook(Moment::Asap, &format!("exec:echo two >> {log}")),
            hook(Moment::Asap, "safeexec:exit 1"),
            hook(Moment::Asap, &format!("chmod:{log} 600")),
            hook(Moment::Asap, "exec:exit 7"),
            hook(Moment::Asap, &format!("appendn:{log} late")),
        ];
        let Err(Stop::Failed(error)) = run(&hooks, Moment::Asap) else { panic!("it must fail") };
        assert!(error.to_string().contains("exit 7: it ended with exit status: 7"), "{error}");
        assert_eq!(std::fs::read_to_string(&log).expect("written"), "one\ntwo\n");
        let end =
            [hook(Moment::AsUserAtExit, "exec:exit 1"), hook(Moment::AsUserAtExit, &format!("unlink:{log}"))];
        assert!(run(&end, Moment::AsUserAtExit).is_ok());
        assert!(!Path::new(&log).exists());
        assert!(matches!(run(&[hook(Moment::PostFork, "exit:3")], Moment::PostFork), Err(Stop::Exit(3))));
    }

    #[test]
    fn each_word_that_the_options_take_is_known_to_whoever_mounts() {
        use crate::options::mounts::{HOW, HOW_OFF};
        let folder = tempfile::tempdir().expect("a folder");
        // Nothing is there to mount on, so that is what is wrong, and not the word.
        let nowhere = folder.path().join("none");
        let known = |result: io::Result<()>| {
            result.expect_err("nothing is there").kind() != io::ErrorKind::InvalidInput
        };
        let flags = |word: &str| [word.to_owned()];
        for word in HOW {
            assert!(known(mounts::mount("none", "none", &nowhere, &flags(word), "")), "{word}");
        }
        for word in HOW_OFF {
            assert!(known(mounts::unmount(&nowhere, &flags(word))), "{word}");
        }
        assert!(!known(mounts::mount("none", "none", &nowhere, &flags("bogus"), "")));
        assert!(!known(mounts::unmount(&nowhere, &flags("ro"))));
    }
}
