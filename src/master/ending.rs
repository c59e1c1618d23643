//! Why a worker ended, from what it and the master said before.

use crate::shared::area::{Area, Command, Tired, WorkerSlot};
use crate::shared::instance::{Ending, Stage};

/// Of the worker that had `slot`. `crashed`: by a signal, or with a code that means trouble, without having been told
/// to end. `None`: the whole server ends.
pub fn of(area: &Area, slot: &WorkerSlot, crashed: bool) -> Option<Ending> {
    if area.instance().stage() == Stage::Stopping {
        return None;
    }
    Some(match (slot.tired(), slot.command()) {
        (Some(Tired::Evil), _) => Ending::Killed,
        (Some(Tired::Stuck), _) => Ending::Harakiri,
        _ if crashed => Ending::Crashed,
        (Some(Tired::Recycle), _) => Ending::Recycled,
        (None, Command::Run) => Ending::Exited,
        (None, _) if slot.generation() != area.serving() => Ending::Reload,
        (None, Command::Yield) => Ending::Cheaper,
        (None, Command::Drain | Command::Quit) => Ending::Recycled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_what_was_said_before() {
        let (tired, run) = (|why| Some(why), Command::Run);
        for (tired, command, crashed, serving, ending) in [
            (None, run, false, 1, Ending::Exited),
            (None, run, true, 1, Ending::Crashed),
            (tired(Tired::Evil), run, true, 1, Ending::Killed),
            (tired(Tired::Stuck), Command::Drain, false, 1, Ending::Harakiri),
            (tired(Tired::Recycle), Command::Drain, false, 1, Ending::Recycled),
            (tired(Tired::Recycle), run, true, 1, Ending::Crashed),
            (None, Command::Drain, false, 1, Ending::Recycled),
            (None, Command::Drain, false, 2, Ending::Reload),
            (None, Command::Yield, false, 1, Ending::Cheaper),
        ] {
            let area = Area::new(1, 1, 0).expect("mapped");
            let slot = area.slot(1);
            slot.occupy(1);
            area.set_serving(serving);
            slot.set_command(command);
            if let Some(why) = tired {
                slot.tire(why);
            }
            assert_eq!(of(&area, slot, crashed), Some(ending), "{tired:?} {command:?} {crashed} {serving}");
            area.instance().set_stage(Stage::Stopping);
            assert_eq!(of(&area, slot, crashed), None);
        }
    }
}
