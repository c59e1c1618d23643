//! What belongs to no worker: written by the master, but for the wishes of the application.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::slot::bump;
use crate::base::engine::Kind;

/// What the server is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// No worker has served yet.
    #[default]
    Starting,
    /// Serves.
    Running,
    /// Serves, and loads the application anew.
    Reloading,
    /// Finishes what is in hand.
    Stopping,
    /// Serves, and tells clients to go elsewhere.
    Draining,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 5] =
        [Stage::Starting, Stage::Running, Stage::Reloading, Stage::Stopping, Stage::Draining];

    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Starting => "starting",
            Stage::Running => "running",
            Stage::Reloading => "reloading",
            Stage::Stopping => "stopping",
            Stage::Draining => "draining",
        }
    }
}

/// Why a worker ended while the server goes on, as it is shown.
pub const ENDINGS: [&str; 7] = ["crashed", "exited", "recycled", "harakiri", "killed", "reload", "cheaper"];

/// The same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A signal, or an exit code that means trouble.
    Crashed,
    /// By itself, in order.
    Exited,
    /// `max-requests` and its like, or one of the reloads that replace worker after worker.
    Recycled,
    /// Threads were lost in requests that take too long.
    Harakiri,
    /// `evil-reload-on-…`, or nothing in it moved.
    Killed,
    /// Another generation serves.
    Reload,
    /// Fewer workers do.
    Cheaper,
}

/// See the module's page.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Instance {
    pub(super) started_on: AtomicU64,
    pub(super) overflows_before: AtomicU64,
    pub(super) asked: AtomicU32,
    pub(super) serving: AtomicU32,
    pub(super) paused: AtomicU32,
    pub(super) draining: AtomicU32,
    asleep: AtomicU32,
    engine: AtomicU32,
    stage: AtomicU32,
    /// The generation that served when the reload began.
    reload_from: AtomicU32,
    reload_failed: AtomicU32,
    endings: [AtomicU64; ENDINGS.len()],
}

impl Instance {
    /// What the server is doing.
    pub fn stage(&self) -> Stage {
        let number = self.stage.load(Ordering::Acquire) as usize;
        Stage::ALL.get(number).copied().unwrap_or_default()
    }

    /// *The master.* Says what it is doing. A reload that is over and has changed nothing has failed.
    pub fn set_stage(&self, stage: Stage) {
        let (before, serving) = (self.stage(), self.serving.load(Ordering::Relaxed));
        if before == stage {
            return;
        }
        if stage == Stage::Reloading {
            self.reload_from.store(serving, Ordering::Relaxed);
        } else if (before, stage) == (Stage::Reloading, Stage::Running) {
            let failed = self.reload_from.load(Ordering::Relaxed) == serving;
            self.reload_failed.store(u32::from(failed), Ordering::Relaxed);
        }
        self.stage.store(stage as u32, Ordering::Release);
    }

    /// Whether no worker is to run until the first connection comes.
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::Relaxed) != 0
    }

    /// *The master.* Says so.
    pub fn set_asleep(&self, asleep: bool) {
        self.asleep.store(u32::from(asleep), Ordering::Relaxed);
    }

    /// What workers run on.
    pub fn engine(&self) -> Kind {
        let number = self.engine.load(Ordering::Relaxed) as usize;
        Kind::ALL.get(number).copied().unwrap_or_default()
    }

    /// *The master, at the start; a worker that finds it gone.* Says what workers run on from now on.
    pub fn set_engine(&self, kind: Kind) {
        self.engine.store(kind as u32, Ordering::Relaxed);
    }

    /// Whether the last reload failed.
    pub fn reload_failed(&self) -> bool {
        self.reload_failed.load(Ordering::Relaxed) != 0
    }

    /// *The master.* A worker has ended.
    pub fn count_ending(&self, why: Ending) {
        bump(&self.endings[why as usize], 1);
    }

    /// How many ended, in the order of [`ENDINGS`].
    pub fn endings(&self) -> [u64; ENDINGS.len()] {
        self.endings.each_ref().map(|cell| cell.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::area::Area;

    #[test]
    fn a_reload_that_changes_nothing_has_failed() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let instance = area.instance();
        assert_eq!(instance.stage(), Stage::Starting);
        area.set_serving(1);
        for (serving, failed) in [(1, true), (2, false), (2, true)] {
            instance.set_stage(Stage::Running);
            instance.set_stage(Stage::Reloading);
            area.set_serving(serving);
            instance.set_stage(Stage::Reloading);
            instance.set_stage(Stage::Running);
            assert_eq!((instance.reload_failed(), instance.stage()), (failed, Stage::Running));
        }
    }

    #[test]
    fn endings_are_counted_by_why() {
        let area = Area::new(1, 1, 0).expect("mapped");
        for why in [Ending::Crashed, Ending::Cheaper, Ending::Cheaper] {
            area.instance().count_ending(why);
        }
        assert_eq!(area.instance().endings(), [1, 0, 0, 0, 0, 0, 2]);
        assert_eq!(ENDINGS[Ending::Cheaper as usize], "cheaper");
    }
}
