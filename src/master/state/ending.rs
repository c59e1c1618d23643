//! The way to the end: at once, after what is in hand, or after `drain-delay`.

use std::path::Path;

use super::{Action, Command, Phase, State, lines};
use crate::base::clock::Millis;

/// As uWSGI's.
const EXIT_LOST: i32 = 1;
/// What is to be done at the end (hooks, files to remove) takes no longer where it may hang.
const HURRY_SECONDS: u32 = 5;

impl State {
    /// Told to stop. With `drain-delay` it serves on for that long, and tells clients to look for another server: load
    /// balancers that take a while to notice lose nothing. Asked again, it does not wait.
    pub(super) fn stop_soon(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let delay_ms = self.policy.drain_delay_ms;
        if delay_ms > 0 && self.stop_at.is_none() && self.served && self.phase == Phase::Running {
            self.stop_at = Some(now.after(delay_ms));
            self.reload_wanted = false;
            self.drain(true, actions);
            actions.push(Action::Say(lines::stop_later(delay_ms)));
            return;
        }
        actions.push(Action::Say(lines::KILLING.to_owned()));
        self.stop_at = None;
        self.stop(Command::Drain, 0, now, actions);
    }

    /// A file system that must be there is not. Whoever works on it may hang, so nobody is waited for.
    pub(super) fn detonate(&mut self, path: &Path, why: &str, actions: &mut Vec<Action>) {
        if self.phase == Phase::Over {
            return;
        }
        self.phase = Phase::Over;
        actions.push(Action::Say(lines::detonation(path, why)));
        actions.push(Action::Hurry { seconds: HURRY_SECONDS });
        actions.extend(self.pids().into_iter().map(|pid| Action::Kill { pid }));
        actions.push(Action::Exit(EXIT_LOST));
    }
}
