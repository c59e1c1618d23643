//! `uwring completion bash|zsh|fish`: what the shell offers behind `uwring`, made from the table of options.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::COMMANDS;
use crate::control::client;
use crate::options::catalogue::{self, Described, Verdict};

/// Runs it.
pub fn run(argv: &[OsString]) -> u8 {
    let text = match argv.get(1).and_then(|word| word.to_str()) {
        Some("bash") => bash(),
        Some("zsh") => zsh(),
        Some("fish") => fish(),
        _ => {
            eprintln!("uwring completion bash|zsh|fish: for which shell?");
            return 1;
        }
    };
    super::say(&text);
    0
}

/// Options that do something, by the name we use.
fn offered() -> impl Iterator<Item = Described> {
    catalogue::all().into_iter().filter(|option| option.verdict == Verdict::Done && !option.family.is_empty())
}

/// Whether its value is a file or a folder.
fn is_path(option: &Described) -> bool {
    option.value.is_some_and(|value| ["FILE", "FOLDER", "PATH", "PROGRAM", "SCRIPT"].contains(&value))
}

fn words<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.collect::<Vec<_>>().join(" ")
}

fn bash() -> String {
    let all: Vec<Described> = offered().collect();
    let names: Vec<String> = all.iter().map(|option| format!("--{}", option.names[0])).collect();
    let valued = all.iter().filter(|option| option.value.is_some() && !is_path(option));
    let valued: Vec<String> = valued.map(|option| format!("--{}", option.names[0])).collect();
    let control = client::commands();
    format!(
        "# bash completion for uwring, made by `uwring completion bash`\n\
         _uwring() {{\n    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}\n    COMPREPLY=()\n    \
         if [[ ${{COMP_WORDS[1]}} == ctl && $COMP_CWORD -gt 1 ]]; then\n        \
         COMPREPLY=($(compgen -W \"{}\" -- \"$word\"))\n        return\n    fi\n    \
         case $before in\n    completion) COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$word\")); return ;;\n    \
         {}) return ;;\n    esac\n    \
         if [[ $word == -* ]]; then\n        COMPREPLY=($(compgen -W \"{}\" -- \"$word\"))\n    \
         elif [[ $COMP_CWORD == 1 ]]; then\n        COMPREPLY=($(compgen -W \"{}\" -- \"$word\"))\n    fi\n}}\n\
         complete -o default -F _uwring uwring\n",
        words(control.iter().map(|(name, _)| name.as_str())),
        valued.join(" | "),
        names.join(" "),
        words(COMMANDS.iter().map(|(name, _)| *name)),
    )
}

fn zsh() -> String {
    // Inside '…' and inside […].
    let plain = |text: &str| {
        text.replace('\\', "\\\\")
            .replace('\'', "'\\''")
            .replace('[', "\\[")
            .replace(']', "\\]")
            .replace(':', "\\:")
    };
    let mut out = String::from(
        "#compdef uwring\n# zsh completion for uwring, made by `uwring completion zsh`\n_uwring_first() {\n    \
         local -a commands\n    commands=(\n",
    );
    for (name, what) in COMMANDS {
        let _ = writeln!(out, "        '{name}:{}'", plain(what));
    }
    out.push_str(
        "    )\n    _describe command commands\n    _files\n}\n_uwring_ctl() {\n    local -a commands\n    commands=(\n",
    );
    for (name, what) in client::commands() {
        let _ = writeln!(out, "        '{name}:{}'", plain(&what));
    }
    out.push_str(
        "    )\n    _describe command commands\n}\n\
         if [[ $words[2] == ctl && $CURRENT -gt 2 ]]; then\n    _uwring_ctl\n    return\nfi\n_arguments \\\n",
    );
    for option in offered() {
        let value = match option.value {
            None => String::new(),
            Some(what) => format!(":{what}:{}", if is_path(&option) { "_files" } else { "" }),
        };
        let _ = writeln!(out, "    '*--{}[{}]{value}' \\", option.names[0], plain(option.help));
    }
    out.push_str("    '1: :_uwring_first' '*: :_files'\n");
    out
}

fn fish() -> String {
    let plain = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut out = String::from("# fish completion for uwring, made by `uwring completion fish`\n");
    for (name, what) in COMMANDS {
        let _ = writeln!(out, "complete -c uwring -n __fish_is_first_token -a {name} -d '{}'", plain(what));
    }
    for (name, what) in client::commands() {
        let _ = writeln!(
            out,
            "complete -c uwring -n '__fish_seen_subcommand_from ctl' -f -a {name} -d '{}'",
            plain(&what)
        );
    }
    for option in offered() {
        let value = match option.value {
            None => "",
            Some(_) if is_path(&option) => " -r",
            Some(_) => " -x",
        };
        let short = option.short.map(|letter| format!(" -s {letter}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "complete -c uwring -l {}{short}{value} -d '{}'",
            option.names[0],
            plain(option.help)
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_is_offered_every_option_that_works() {
        for (text, begin) in [(bash(), "--"), (zsh(), "'*--"), (fish(), "-l ")] {
            for option in offered() {
                assert!(text.contains(&format!("{begin}{}", option.names[0])), "{}", option.names[0]);
            }
            for (name, _) in COMMANDS {
                assert!(text.contains(name), "{name}");
            }
            assert!(text.contains("reload"), "the words of ctl");
        }
    }
}
