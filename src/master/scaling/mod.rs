//! How many workers the load needs: `(sample, options, time) → advice`, without a system call and without a clock.
//!
//! ```text
//!  sampler ── what the workers do, who waits ──► Scaler ── advice ──► state (who comes, who goes)
//!                                                  │
//!                  each sample:  pressure (requests wait), idle (nobody came)
//!                  each second:  the algorithm (spare, spare2, backlog, busyness), memory
//! ```
//! The algorithms are uWSGI's, with the same options. What they are told is better: a worker is busy while it has no
//! thread free, unfinished requests count with the time they took so far, and who waits is known of unix sockets too.
//! Beside them *pressure* starts a worker as soon as requests wait for longer than [`pressure::WAIT_MS`].

pub mod busyness;
pub mod pressure;
pub mod sampler;
pub mod spare;

use serde::{Deserialize, Serialize};

use crate::base::clock::Millis;
use crate::options::scaling::{Algorithm, Scaling};

/// The algorithms are asked so often, milliseconds: uWSGI's master cycle.
pub const CYCLE_MS: u64 = 1_000;

/// What a worker was doing at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Its process.
    pub pid: u32,
    /// Requests in hand, those that wait for a thread too.
    pub in_hand: u32,
    /// Time its threads have spent in requests so far, in unfinished ones too, microseconds.
    pub busy_us: u64,
    /// When the requests its threads are in began.
    pub since: Vec<Millis>,
    /// Bytes resident; 0 where nobody wants to know.
    pub rss: u64,
}

/// What all of them were doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Every worker there is, of whatever generation.
    pub loads: Vec<Load>,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// Requests finished since the server began.
    pub requests: u64,
}

/// The workers of the generation that serves, as the state machine knows them.
#[derive(Clone, Copy, Debug)]
pub struct Crowd<'a> {
    /// Those that serve.
    pub serving: &'a [&'a Load],
    /// Started, and not serving yet.
    pub coming: u32,
    /// Worker numbers somebody is needed for: those above, and those that pause after they died.
    pub active: u32,
    /// How many there may be.
    pub most: u32,
    /// Interpreter threads of each.
    pub threads: u32,
    /// Connections that wait to be accepted.
    pub waiting: u32,
    /// Requests finished since the server began.
    pub requests: u64,
}

impl Crowd<'_> {
    /// Those that have a thread free, or will.
    pub fn free(&self) -> u32 {
        count(self.serving.iter().filter(|load| load.in_hand < self.threads).count()) + self.coming
    }

    /// Bytes resident of all of them.
    fn rss(&self) -> u64 {
        self.serving.iter().map(|load| load.rss).sum()
    }

    /// Requests that wait, at the sockets and in the workers.
    fn all_waiting(&self) -> u64 {
        let within = |load: &Load| u64::from(load.in_hand.saturating_sub(self.threads));
        u64::from(self.waiting) + self.serving.iter().map(|load| within(load)).sum::<u64>()
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// What is to be done about the number of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing.
    Stay,
    /// Start so many.
    More(u32),
    /// End one that has nothing to do.
    Fewer,
    /// End one, whatever it is doing.
    FewerAtOnce,
    /// Nobody came for long: `idle`.
    Sleep,
    /// The same with `die-on-idle`.
    Die,
}

/// What is remembered from sample to sample.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Scaler {
    /// When the algorithm is asked again.
    cycle: Option<Millis>,
    /// When workers were started last.
    grown: Option<Millis>,
    pressure: pressure::Pressure,
    spare: spare::Spare,
    spare2: spare::Spare2,
    busyness: busyness::Busyness,
    quiet: Option<Quiet>,
    /// More workers were advised against for their memory, and that was said.
    #[serde(default)]
    told_memory: bool,
}

/// Since when nobody came.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Quiet {
    requests: u64,
    since: Millis,
}

impl Scaler {
    /// Whatever was counted until now no longer holds: the workers are others.
    pub fn forget(&mut self) {
        *self = Scaler::default();
    }

    /// What to do, and lines for the log about it.
    pub fn judge(&mut self, rules: &Scaling, crowd: &Crowd<'_>, now: Millis) -> (Advice, Vec<String>) {
        let mut lines = Vec::new();
        if let Some(advice) = self.rest(rules, crowd, now) {
            return (advice, lines);
        }
        if !rules.follows(crowd.most) {
            return (Advice::Stay, lines);
        }
        let presses = self.pressure.judge(crowd, now);
        let wait = crowd.coming > 0 && self.grown.is_some_and(|at| now.since(at) < CYCLE_MS);
        let mut advice = Advice::Stay;
        if self.cycle.is_none_or(|at| at <= now) {
            self.cycle = Some(now.after(CYCLE_MS));
            advice = self.ask(rules, crowd, now, &mut lines);
            if rules.rss_hard > 0 && crowd.rss() >= rules.rss_hard {
                advice = Advice::FewerAtOnce;
            }
        }
        if presses && !wait && rules.algorithm != Algorithm::Manual && advice != Advice::FewerAtOnce {
            advice = Advice::More(rules.step.max(1));
            self.busyness.grown(rules, now);
        }
        let advice = self.bound(rules, crowd, advice, &mut lines);
        if matches!(advice, Advice::More(_)) {
            self.grown = Some(now);
        }
        (advice, lines)
    }

    /// `idle`.
    fn rest(&mut self, rules: &Scaling, crowd: &Crowd<'_>, now: Millis) -> Option<Advice> {
        let busy = crowd.waiting > 0 || crowd.coming > 0 || crowd.serving.iter().any(|load| load.in_hand > 0);
        let quiet = self.quiet.get_or_insert(Quiet { requests: crowd.requests, since: now });
        if busy || quiet.requests != crowd.requests {
            *quiet = Quiet { requests: crowd.requests, since: now };
        }
        let over = rules.idle > 0 && now.since(quiet.since) > rules.idle.saturating_mul(1000);
        over.then_some(if rules.die_on_idle { Advice::Die } else { Advice::Sleep })
    }

    /// The algorithm, once a second.
    fn ask(&mut self, rules: &Scaling, crowd: &Crowd<'_>, now: Millis, lines: &mut Vec<String>) -> Advice {
        match rules.algorithm {
            Algorithm::Spare => self.spare.judge(rules, crowd),
            Algorithm::Spare2 => self.spare2.judge(rules, crowd, now),
            Algorithm::Backlog => match u64::from(crowd.waiting) {
                n if n > rules.overload => Advice::More(rules.step),
                n if n < rules.overload => Advice::Fewer,
                _ => Advice::Stay,
            },
            Algorithm::Busyness => self.busyness.judge(rules, crowd, now, lines),
            Algorithm::Manual => Advice::Stay,
        }
    }

    /// Not more than there may be, not fewer than there shall be, and not the last one that is free.
    fn bound(
        &mut self,
        rules: &Scaling,
        crowd: &Crowd<'_>,
        advice: Advice,
        lines: &mut Vec<String>,
    ) -> Advice {
        let (rss, active) = (crowd.rss(), crowd.active);
        let heavy = rules.rss_soft > 0 && rss >= rules.rss_soft;
        let was_told = self.told_memory;
        self.told_memory &= heavy;
        match advice {
            Advice::More(_) if heavy => {
                if !was_told {
                    lines.push(format!(
                        "no more workers: these have {} MB (cheaper-rss-limit-soft)",
                        rss >> 20
                    ));
                }
                self.told_memory = true;
                Advice::Stay
            }
            Advice::More(n) => match n.min(crowd.most.saturating_sub(active)) {
                0 => Advice::Stay,
                n => Advice::More(n),
            },
            Advice::Fewer if active > rules.least && crowd.free() > 1 => Advice::Fewer,
            Advice::FewerAtOnce if active > rules.least => Advice::FewerAtOnce,
            _ => Advice::Stay,
        }
    }
}

#[cfg(test)]
mod tests;
