//! Workers that want to be replaced, or do not move at all.

use super::generation::Life;
use super::{Action, State, lines};
use crate::shared::area::Tired;

impl State {
    /// A worker asks to be replaced: `settle` sees to it.
    pub(super) fn tired(&mut self, pid: u32, why: Tired, actions: &mut Vec<Action>) {
        let Some((generation, number)) = self.worker_with(pid) else { return };
        let id = generation.id(number);
        let Some(entry) = generation.worker(number) else { return };
        if !matches!(entry.life, Life::Ready { .. }) || entry.tired >= Some(why) {
            return;
        }
        entry.tired = Some(why);
        if why == Tired::Evil {
            actions.push(Action::Say(lines::evil(id, pid)));
            actions.push(Action::Kill { pid });
        }
    }

    /// Nothing in that process moves: stopped, or worse.
    pub(super) fn frozen(&mut self, pid: u32, actions: &mut Vec<Action>) {
        self.put_down(pid, lines::frozen, actions);
    }

    /// Neither stopped processes nor those stuck in the kernel hear anything but this.
    pub(super) fn silent(&mut self, pid: u32, actions: &mut Vec<Action>) {
        if self.worker_with(pid).is_some() {
            self.put_down(pid, lines::silent, actions);
        } else if self.template_with(pid).is_some() {
            actions.push(Action::Say(lines::template_silent(pid)));
            actions.push(Action::Kill { pid });
        }
    }

    /// Kills a worker, once. A successor comes even if the kernel cannot end it.
    fn put_down(&mut self, pid: u32, line: fn(u32, u32) -> String, actions: &mut Vec<Action>) {
        let Some((generation, number)) = self.worker_with(pid) else { return };
        let id = generation.id(number);
        let Some(entry) = generation.worker(number) else { return };
        if matches!(entry.life, Life::Ready { .. }) && entry.tired != Some(Tired::Evil) {
            entry.tired = Some(Tired::Evil);
            actions.push(Action::Say(line(id, pid)));
            actions.push(Action::Kill { pid });
        }
    }
}
