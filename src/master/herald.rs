//! What the service manager is told (sd_notify(3)): when the server accepts, reloads and stops, how it goes, and, where
//! a watchdog is configured, that it gets on. Without `NOTIFY_SOCKET` nothing is done here.

use crate::base::clock::{self, Millis};
use crate::sys::notify;

/// How it goes, in short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Where the server is.
    pub phase: Phase,
    /// Which generation serves.
    pub generation: u32,
    /// Workers of it that serve.
    pub ready: usize,
    /// Workers of it that there should be.
    pub wanted: usize,
    /// Nothing is accepted (`SIGTSTP`).
    pub paused: bool,
    /// The processes that fork workers.
    pub templates: Vec<u32>,
}

/// Where the server is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No worker has served yet.
    #[default]
    Starting,
    /// It serves.
    Running,
    /// It serves, and the next generation comes.
    Reloading,
    /// It ends.
    Stopping,
}

/// Who tells it.
#[derive(Debug)]
pub struct Herald {
    listens: bool,
    told: Summary,
    /// `WATCHDOG_USEC`, in milliseconds.
    watchdog_ms: Option<u64>,
    feed_at: Millis,
    /// When a worker was last seen to get on.
    got_on: Millis,
}

impl Herald {
    /// By this process's environment.
    pub fn new(now: Millis) -> Herald {
        let listens = notify::is_wanted();
        Herald {
            listens,
            told: Summary::default(),
            watchdog_ms: notify::watchdog_us().map(|us| (us / 1_000).max(2)).filter(|_| listens),
            feed_at: now,
            got_on: now,
        }
    }

    /// The first worker serves.
    pub fn announce(&mut self) {
        notify::tell("STATUS=uWSGI is ready\nREADY=1");
    }

    /// Tells what is new.
    pub fn tell(&mut self, summary: &Summary) {
        if !self.listens || *summary == self.told {
            return;
        }
        for state in news(&self.told, summary, clock::now().0) {
            notify::tell(&state);
        }
        self.told = summary.clone();
    }

    /// What a request may take before its thread counts as stuck, milliseconds.
    pub fn patience_ms(&self) -> u64 {
        self.watchdog_ms.unwrap_or(u64::MAX)
    }

    /// So many of the workers that serve get on.
    pub fn saw(&mut self, workers: usize, getting_on: usize, now: Millis) {
        // Where none is wanted, or none is there yet, that is no standstill of theirs.
        let wanted = self.told.wanted > 0 && self.told.phase == Phase::Running;
        if getting_on > 0 || (workers == 0 && !wanted) {
            self.got_on = now;
        }
    }

    /// Milliseconds until [`Herald::feed`] has something to do.
    pub fn due_in(&self, now: Millis) -> Option<u64> {
        self.watchdog_ms.map(|_| self.feed_at.since(now))
    }

    /// Feeds the watchdog, twice in its time, as long as the workers get on.
    pub fn feed(&mut self, now: Millis) {
        let Some(watchdog_ms) = self.watchdog_ms else { return };
        if self.feed_at > now {
            return;
        }
        self.feed_at = now.after(watchdog_ms / 2);
        if now.since(self.got_on) < watchdog_ms {
            notify::tell("WATCHDOG=1");
        }
    }
}

/// The messages about the way from `old` to `new`.
fn news(old: &Summary, new: &Summary, now_us: u64) -> Vec<String> {
    let mut all = Vec::new();
    match (old.phase, new.phase) {
        (Phase::Running, Phase::Reloading) => {
            // CLOCK_MONOTONIC, as `Type=notify-reload` wants it.
            all.push(format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
        }
        (Phase::Reloading, Phase::Running) => all.push("READY=1".to_owned()),
        (old, Phase::Stopping) if old != Phase::Stopping => all.push("STOPPING=1".to_owned()),
        _ => {}
    }
    all.push(format!("STATUS={}", status(new)));
    all
}

fn status(now: &Summary) -> String {
    let Summary { phase, generation, ready, wanted, paused, .. } = now;
    let workers = format!("{ready} of {wanted} workers serve, generation {generation}");
    match phase {
        Phase::Starting => "initializing uWSGI".to_owned(),
        Phase::Running if *paused => format!("paused: nothing is accepted; {workers}"),
        Phase::Running => workers,
        Phase::Reloading => format!("{workers}, the next one loads"),
        Phase::Stopping => "finishing the requests in hand".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(phase: Phase, generation: u32) -> Summary {
        Summary { phase, generation, ready: 1, wanted: 2, ..Summary::default() }
    }

    #[test]
    fn a_reload_begins_and_ends() {
        let (one, coming, two) = (at(Phase::Running, 1), at(Phase::Reloading, 1), at(Phase::Running, 2));
        assert_eq!(
            news(&one, &coming, 5),
            [
                "RELOADING=1\nMONOTONIC_USEC=5",
                "STATUS=1 of 2 workers serve, generation 1, the next one loads"
            ]
        );
        assert_eq!(news(&coming, &two, 5), ["READY=1", "STATUS=1 of 2 workers serve, generation 2"]);
        assert_eq!(news(&coming, &one, 5), ["READY=1", "STATUS=1 of 2 workers serve, generation 1"]);
    }

    #[test]
    fn the_end_is_told_once() {
        let stopping = at(Phase::Stopping, 1);
        assert_eq!(news(&at(Phase::Reloading, 1), &stopping, 5)[0], "STOPPING=1");
        let later = Summary { ready: 0, ..stopping.clone() };
        assert_eq!(news(&stopping, &later, 5), ["STATUS=finishing the requests in hand"]);
    }

    #[test]
    fn the_dog_is_fed_only_while_somebody_gets_on() {
        let mut herald = Herald {
            listens: false,
            told: at(Phase::Running, 1),
            watchdog_ms: Some(10_000),
            feed_at: Millis(0),
            got_on: Millis(0),
        };
        let fed = |herald: &Herald, now: u64| Millis(now).since(herald.got_on) < 10_000;
        herald.saw(2, 1, Millis(1_000));
        assert!(fed(&herald, 10_999) && !fed(&herald, 11_000));
        herald.saw(2, 0, Millis(20_000));
        herald.saw(0, 0, Millis(20_000));
        assert!(!fed(&herald, 20_000), "all dead, or all stuck");
        herald.told.wanted = 0;
        herald.saw(0, 0, Millis(20_000));
        assert!(fed(&herald, 20_000), "nobody is wanted");
        herald.feed(Millis(20_000));
        assert_eq!(herald.due_in(Millis(21_000)), Some(4_000));
    }
}
