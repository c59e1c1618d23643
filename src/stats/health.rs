//! Whether the server can be sent requests, from what all processes share: no Python is asked, so an application that
//! hangs is seen and does not keep the answer.

use crate::base::clock::Millis;
use crate::shared::area::{Area, State};
use crate::shared::instance::Stage;

/// What each of the three questions begins with.
const PREFIX: &str = "/-/";

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    stage: Stage,
    paused: bool,
    /// No worker runs, and the first connection brings them (`cheap`, `idle`).
    asleep: bool,
    /// Workers that serve.
    serving: u32,
    /// Those of them that get on.
    well: u32,
}

impl Health {
    /// Now. A worker whose threads have all been in their requests for `patience_ms`, or beyond their `harakiri`, does not
    /// get on; 0: only the latter.
    pub fn of(area: &Area, patience_ms: u64, now: Millis) -> Health {
        let instance = area.instance();
        let slots = (1..=area.workers()).map(|id| area.current(id));
        let serving: Vec<u32> =
            slots.filter(|(_, slot)| slot.state() == State::Ready).map(|(number, _)| number).collect();
        let well = serving.iter().filter(|number| !is_stuck(area, **number, patience_ms, now)).count();
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Health {
            stage: instance.stage(),
            paused: area.is_paused(),
            asleep: instance.is_asleep(),
            serving: count(serving.len()),
            well: count(well),
        }
    }

    /// Whether there is any hope without a restart; the error says why not.
    pub fn live(self) -> Result<(), String> {
        if self.serving > 0 && self.well == 0 && self.stage != Stage::Stopping {
            return Err(format!("all {} workers are stuck", self.serving));
        }
        Ok(())
    }

    /// Whether requests should be sent here; the error says why not.
    pub fn ready(self) -> Result<(), String> {
        self.startup()?;
        self.live()?;
        match self.stage {
            Stage::Stopping | Stage::Draining => Err(self.stage.name().to_owned()),
            _ if self.paused => Err("paused".to_owned()),
            _ if self.serving == 0 && !self.asleep => Err("no worker serves".to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether it has ever served; the error says that not.
    pub fn startup(self) -> Result<(), String> {
        if self.stage == Stage::Starting { Err("starting".to_owned()) } else { Ok(()) }
    }

    /// The answer to a request for `path`, if it is one of the three.
    pub fn answer(self, path: &str) -> Option<Result<(), String>> {
        match path.strip_prefix(PREFIX)? {
            "live" => Some(self.live()),
            "ready" => Some(self.ready()),
            "startup" => Some(self.startup()),
            _ => None,
        }
    }

    /// The line for HAProxy's agent check: state, and the share of the workers that get on as weight.
    pub fn agent(self) -> String {
        match (self.ready(), self.stage) {
            (Ok(()), _) => {
                let share = (100 * self.well).checked_div(self.serving).unwrap_or(100);
                format!("ready up {}%\n", share.max(1))
            }
            (Err(_), Stage::Stopping | Stage::Draining) => "drain\n".to_owned(),
            (Err(_), _) if self.paused => "drain\n".to_owned(),
            (Err(why), _) => format!("down #{why}\n"),
        }
    }
}

/// Whether a path may be one of the three.
pub fn is_asked(path: &[u8]) -> bool {
    path.starts_with(PREFIX.as_bytes())
}

fn is_stuck(area: &Area, number: u32, patience_ms: u64, now: Millis) -> bool {
    let threads = area.threads_of(number);
    let late = |thread: u32| {
        let Some(busy) = area.core(number, thread).and_then(|core| core.busy()) else { return false };
        let over = patience_ms > 0 && now.since(busy.since.millis()) >= patience_ms;
        over || busy.deadline.is_some_and(|deadline| deadline < now)
    };
    threads > 0 && (0..threads).all(late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Micros;

    const NOW: Millis = Millis(100_000);

    /// Two workers of one thread each; `since`: their requests, milliseconds ago.
    fn area(since: [Option<u64>; 2]) -> Area {
        let area = Area::new(2, 4, 0).expect("mapped");
        area.set_serving(1);
        for (number, ago) in (1..).zip(since) {
            let slot = area.slot(number);
            slot.occupy(1);
            slot.set_state(State::Ready);
            area.tally(number).threads.store(1, std::sync::atomic::Ordering::Relaxed);
            if let Some(ago) = ago {
                area.core(number, 0).expect("a core").begin([Micros((NOW.0 - ago) * 1000); 2], 0, 1, &[]);
            }
        }
        area.instance().set_stage(Stage::Running);
        area
    }

    fn health(area: &Area) -> Health {
        Health::of(area, 5_000, NOW)
    }

    #[test]
    fn a_server_is_ready_while_one_worker_gets_on() {
        for (since, live, agent) in [
            ([None, None], true, "ready up 100%\n"),
            ([Some(1_000), Some(4_999)], true, "ready up 100%\n"),
            ([Some(5_000), None], true, "ready up 50%\n"),
            ([Some(9_000), Some(5_000)], false, "down #all 2 workers are stuck\n"),
        ] {
            let health = health(&area(since));
            assert_eq!(
                (health.live().is_ok(), health.ready().is_ok(), health.agent().as_str()),
                (live, live, agent)
            );
            assert_eq!(health.answer("/-/live"), Some(health.live()));
            assert_eq!((health.answer("/-/"), health.answer("/live")), (None, None));
        }
        let patient = Health::of(&area([Some(90_000), Some(90_000)]), 0, NOW);
        assert!(patient.ready().is_ok());
    }

    #[test]
    fn a_server_that_comes_or_goes_is_not_ready() {
        let area = area([None, None]);
        for (stage, ready, startup, agent) in [
            (Stage::Reloading, true, true, "ready up 100%\n"),
            (Stage::Stopping, false, true, "drain\n"),
            (Stage::Draining, false, true, "drain\n"),
            (Stage::Starting, false, false, "down #starting\n"),
        ] {
            area.instance().set_stage(stage);
            let health = health(&area);
            assert_eq!((health.ready().is_ok(), health.startup().is_ok()), (ready, startup), "{stage:?}");
            assert_eq!((health.live().is_ok(), health.agent().as_str()), (true, agent), "{stage:?}");
        }
        area.instance().set_stage(Stage::Running);
        area.set_paused(true);
        assert_eq!(
            (health(&area).ready(), health(&area).agent().as_str()),
            (Err("paused".to_owned()), "drain\n")
        );
        area.set_paused(false);
        (1..=2).for_each(|number| area.slot(number).vacate());
        assert_eq!(health(&area).ready(), Err("no worker serves".to_owned()));
        area.instance().set_asleep(true);
        assert_eq!(health(&area).ready(), Ok(()));
    }
}
