//! Commands that look at a configuration and serve nothing: `uwring check`, `uwring options`, `uwring migrate`,
//! `uwring explain`, and what `uwring` says by itself. A file of such a name is meant by `./check`.

mod certificates;
mod check;
mod completion;
mod explain;
mod list;
mod man;
mod migrate;

use std::ffi::OsString;

/// The commands, in one line each. `ctl` and `top` are done elsewhere (`control`): they read no options.
const COMMANDS: &[(&str, &str)] = &[
    ("check", "show every option of a configuration, where it comes from, and what becomes of it"),
    ("migrate", "print a configuration in uwring.toml, with nginx and systemd beside it"),
    ("options", "list all options"),
    ("explain", "say what a message of the log means, and what to do"),
    ("ctl", "ask or command a running server"),
    ("top", "show a running server live"),
    ("completion", "print completions for bash, zsh or fish"),
    ("man", "print the manual page"),
];

/// Commands of `control`, which read no options.
#[cfg(test)]
const ELSEWHERE: [&str; 2] = ["ctl", "top"];

/// What `uwring` without anything prints.
pub const HELLO: &str = "\
uwring serves Python applications.

  uwring --http :8080 app.py            the `application` or `app` of a file
  uwring --http :8080 shop.wsgi:app     the callable of a module
  uwring uwsgi.ini                      what uWSGI runs today: ini, yaml, json, xml; or uwring.toml
  uwring check uwsgi.ini                every option, where it comes from, and what becomes of it
  uwring migrate uwsgi.ini              the same in uwring.toml, with nginx and systemd beside it
  uwring options                        all options
  uwring explain UWR-E020               what a message of the log means, and what to do
  uwring ctl                            ask or command a running server
  uwring top                            show a running server live

uwring --help explains the options.";

/// Runs the command `argv` begins with, if it is one. The code to end with: 0, where all is well.
pub fn run(argv: &[OsString], env: &[(String, String)]) -> Option<u8> {
    let name = argv.get(1)?.to_str()?;
    // The words that follow are read as if there were no command.
    let rest: Vec<OsString> = argv.iter().take(1).chain(&argv[2..]).cloned().collect();
    Some(match name {
        "check" => check::run(&rest, env),
        "options" => list::run(&rest),
        "explain" => explain::run(&rest),
        "completion" => completion::run(&rest),
        "man" => man::run(),
        "migrate" => migrate::run(&rest, env),
        _ => return None,
    })
}

/// Prints a text. Who stops reading has read enough.
fn say(text: &str) {
    crate::sys::output::print_line(text.trim_end());
}

/// Takes a switch out of a command line, and says whether it was there.
fn take(switch: &str, argv: &[OsString]) -> (bool, Vec<OsString>) {
    let rest: Vec<OsString> = argv.iter().filter(|word| *word != switch).cloned().collect();
    (rest.len() < argv.len(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_is_known_and_in_the_list() {
        for (name, _) in COMMANDS.iter().filter(|(name, _)| !ELSEWHERE.contains(name)) {
            assert!(include_str!("mod.rs").contains(&format!("\"{name}\" => ")), "{name}");
        }
        let arms = include_str!("mod.rs")
            .lines()
            .filter(|line| line.trim_start().starts_with('"') && line.contains(" => "));
        assert_eq!(arms.count(), COMMANDS.len() - ELSEWHERE.len());
    }
}
