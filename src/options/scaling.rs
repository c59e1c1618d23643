//! How many workers there are: `cheaper` and its family, `cheap`, `idle`, `processes = auto`.

use serde::{Deserialize, Serialize};

/// How the number of workers follows the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scaling {
    /// `cheaper`: the least number of workers; 0: there always are all.
    pub least: u32,
    /// `cheaper-initial`: workers at the start; 0: the least number.
    pub initial: u32,
    /// `cheaper-step`: workers started at a time.
    pub step: u32,
    /// `cheaper-overload`: seconds, or for `backlog` connections.
    pub overload: u64,
    /// `cheaper-algo`.
    pub algorithm: Algorithm,
    /// `cheaper-idle`: seconds before `spare2` ends a worker that is one too many.
    pub idle_seconds: u64,
    /// `cheaper-rss-limit-soft`: bytes of all workers above which none is started; 0 none.
    pub rss_soft: u64,
    /// `cheaper-rss-limit-hard`: bytes above which one is ended; 0 none.
    pub rss_hard: u64,
    /// The knobs of `busyness`.
    pub busyness: Busyness,
    /// `cheap`: no worker before the first connection.
    pub cheap: bool,
    /// `idle`: seconds without a request after which no worker is kept; 0: all are.
    pub idle: u64,
    /// `die-on-idle`: the server ends then.
    pub die_on_idle: bool,
    /// `processes = auto`: as many as processor time and memory allow.
    pub auto: bool,
}

/// `cheaper-algo`: what decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// One worker shall be free.
    #[default]
    Spare,
    /// `cheaper` workers shall be free.
    Spare2,
    /// Few connections shall wait.
    Backlog,
    /// Workers shall be busy for so much of their time.
    Busyness,
    /// Whoever says a number.
    Manual,
}

/// Every name of an algorithm.
pub const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("spare", Algorithm::Spare),
    ("spare2", Algorithm::Spare2),
    ("backlog", Algorithm::Backlog),
    // uWSGI's example of a plugin: the same rule.
    ("backlog2", Algorithm::Backlog),
    ("busyness", Algorithm::Busyness),
    ("manual", Algorithm::Manual),
];

/// `cheaper-busyness-…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busyness {
    /// Per cent above which workers are started.
    pub max: u64,
    /// Per cent below which one may be ended.
    pub min: u64,
    /// Intervals of quiet before one is ended.
    pub multiplier: u64,
    /// Added to that where one was ended too early.
    pub penalty: u64,
    /// Write each decision to the log.
    pub verbose: bool,
    /// Waiting connections at which emergency workers are started.
    pub backlog_alert: u64,
    /// The multiplier while there are such workers.
    pub backlog_multiplier: u64,
    /// So many at a time.
    pub backlog_step: u32,
    /// Seconds some connection has been waiting at which one is started.
    pub backlog_nonzero: u64,
}

impl Default for Scaling {
    fn default() -> Scaling {
        Scaling::DEFAULT
    }
}

impl Busyness {
    /// Where nothing is said.
    pub const DEFAULT: Busyness = Busyness {
        max: 50,
        min: 25,
        multiplier: 10,
        penalty: 2,
        verbose: false,
        backlog_alert: 33,
        backlog_multiplier: 3,
        backlog_step: 1,
        backlog_nonzero: 60,
    };
}

impl Scaling {
    /// Where nothing is said: there always are all workers.
    pub const DEFAULT: Scaling = Scaling {
        least: 0,
        initial: 0,
        step: 1,
        overload: 3,
        algorithm: Algorithm::Spare,
        idle_seconds: 10,
        rss_soft: 0,
        rss_hard: 0,
        busyness: Busyness::DEFAULT,
        cheap: false,
        idle: 0,
        die_on_idle: false,
        auto: false,
    };

    /// Whether the number of workers follows the load, where there are at most `most`.
    pub fn follows(&self, most: u32) -> bool {
        (1..most).contains(&self.least)
    }

    /// The least number of workers, where there are at most `most`.
    pub fn least(&self, most: u32) -> u32 {
        if self.follows(most) { self.least } else { most }
    }

    /// Workers at the start, where there are at most `most`.
    pub fn first(&self, most: u32) -> u32 {
        if self.follows(most) { self.initial.clamp(self.least, most) } else { most }
    }

    /// Whether anything has to be watched for it.
    pub fn watches(&self, most: u32) -> bool {
        self.follows(most) || self.idle > 0
    }

    /// Whether there may be a time without a worker.
    pub fn sleeps(&self) -> bool {
        self.cheap || self.idle > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_workers_make_sense_together() {
        let of = |least, initial| Scaling { least, initial, ..Scaling::default() };
        for (scaling, most, follows, least, first) in [
            (of(0, 0), 4, false, 4, 4),
            (of(2, 0), 4, true, 2, 2),
            (of(2, 3), 4, true, 2, 3),
            (of(2, 9), 4, true, 2, 4),
            (of(2, 1), 4, true, 2, 2),
            // Nothing to spare: all of them.
            (of(4, 0), 4, false, 4, 4),
            (of(9, 1), 4, false, 4, 4),
        ] {
            let got = (scaling.follows(most), scaling.least(most), scaling.first(most));
            assert_eq!(got, (follows, least, first), "{scaling:?} of {most}");
        }
    }
}
