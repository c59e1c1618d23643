//! Where the load of a generation stands that takes its time, or does not come to an end.

use super::generation::{Role, Template};
use super::{Action, State, lines};
use crate::base::clock::Millis;

impl State {
    /// The answer to [`Action::Located`]: the generation is given up, or told to be still loading.
    pub(super) fn located(&mut self, number: u32, stack: &str, now: Millis, actions: &mut Vec<Action>) {
        let timeout_ms = self.policy.reload_timeout_ms;
        let site = site(stack);
        let Some(generation) = self.generation(number) else { return };
        if generation.given_up && generation.role == Role::Coming {
            if !stack.is_empty() {
                actions.push(Action::Say(lines::stands(number, stack)));
            }
            self.abandon(&lines::reload_late(timeout_ms, site.as_deref()), now, actions);
        } else if let (Template::Loading { pid }, Some(loading)) = (generation.template, generation.loading) {
            let ms = now.since(loading.since);
            actions.push(Action::Say(lines::still_loading(number, pid, ms, site.as_deref())));
        }
    }
}

/// The innermost place of the application in `stack`, or of whatever it called where that is all there is:
/// `FILE:LINE`.
fn site(stack: &str) -> Option<String> {
    // The signal goes to the main thread where that can take it, and that is where applications are loaded.
    let thread = stack.split("Current thread").nth(1).unwrap_or(stack);
    let frames = || {
        let own = thread.lines().skip(1).take_while(|line| line.starts_with("  "));
        own.filter_map(frame).filter(|(file, _)| !file.starts_with('<'))
    };
    let (file, line) = frames().find(|(file, _)| !is_pythons(file)).or_else(|| frames().next())?;
    Some(format!("{file}:{line}"))
}

/// `  File "FILE", line LINE in NAME`.
fn frame(text: &str) -> Option<(&str, &str)> {
    let (file, rest) = text.trim_start().strip_prefix("File \"")?.rsplit_once("\", line ")?;
    Some((file, rest.split(' ').next()?))
}

/// Whether `file` is of Python's own library.
fn is_pythons(file: &str) -> bool {
    file.contains("/lib/python3") && !file.contains("/site-packages/") && !file.contains("/dist-packages/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_line_of_the_application_is_named() {
        let stack = "Thread 0x1 (most recent call first):\n  File \"/a/other.py\", line 1 in run\n\n\
            Current thread 0x2 (most recent call first):\n  File \"/usr/lib/python3.11/socket.py\", line 833 in create\n  \
            File \"/v/lib/python3.11/site-packages/db/wait, line.py\", line 7 in connect\n  File \"/a/app.py\", line 3 in <module>\n  \
            File \"<frozen importlib._bootstrap>\", line 241 in _call\n";
        assert_eq!(site(stack).as_deref(), Some("/v/lib/python3.11/site-packages/db/wait, line.py:7"));
    }

    #[test]
    fn where_there_is_only_pythons_own_that_is_named() {
        let stack = "Current thread 0x2 (most recent call first):\n  File \"<frozen os>\", line 1 in x\n  \
            File \"/usr/lib/python3.11/socket.py\", line 833 in create\n";
        assert_eq!(site(stack).as_deref(), Some("/usr/lib/python3.11/socket.py:833"));
        assert_eq!(site(""), None);
    }
}
