//! `busyness`: the workers spend so much of their time in requests.
//!
//! The time is that of threads, and of unfinished requests too: each counts in the interval in which it was spent. A
//! request that has lasted for several intervals (a download, a long poll) says nothing about load: its thread is left
//! out of the account. Where every thread is held like that, nobody is free and one more is wanted.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Advice, Crowd, Load};
use crate::base::clock::Millis;
use crate::options::scaling::Scaling;

/// A request that has lasted so many intervals only holds its thread.
const HELD_INTERVALS: u64 = 3;
/// After so many intervals between the bounds, the wait for rest begins anew.
const BETWEEN_MAX: u32 = 3;

/// What is remembered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Busyness {
    /// When the interval began.
    begin: Option<Millis>,
    /// Of each worker, when it was first seen in the interval, and its busy time then.
    first: HashMap<u32, (Millis, u64)>,
    /// When one may go.
    rest_until: Millis,
    /// When the last one went.
    cheaped: Option<Millis>,
    /// Intervals of rest; 0: as the options say.
    multiplier: u64,
    /// Intervals between the bounds.
    between: u32,
    /// Emergency workers that came since the last one went.
    emergency: u32,
    /// Since when somebody waits.
    waiting_since: Option<Millis>,
}

impl Busyness {
    /// Once a second.
    pub fn judge(
        &mut self,
        rules: &Scaling,
        crowd: &Crowd<'_>,
        now: Millis,
        lines: &mut Vec<String>,
    ) -> Advice {
        let begin = *self.begin.get_or_insert(now);
        if self.multiplier == 0 {
            self.multiplier = rules.busyness.multiplier.max(1);
            self.rest_until = now.after(self.rest_ms(rules));
        }
        let average = (now.since(begin) >= interval_ms(rules)).then(|| self.average(rules, crowd, now));
        if average.is_some() {
            self.first.clear();
            self.begin = Some(now);
        }
        for load in crowd.serving {
            self.first.entry(load.pid).or_insert((now, load.busy_us));
        }
        if let Some(advice) = self.emergency(rules, crowd, now, lines) {
            return advice;
        }
        match average {
            None => Advice::Stay,
            Some(average) => self.weigh(rules, crowd, average, now, lines),
        }
    }

    /// Workers came for another reason: they shall not go at once.
    pub fn grown(&mut self, rules: &Scaling, now: Millis) {
        self.rest_until = self.rest_until.max(now.after(self.rest_ms(rules)));
    }

    /// Per cent of the time of threads that is spent in requests.
    fn average(&self, rules: &Scaling, crowd: &Crowd<'_>, now: Millis) -> u64 {
        let shares: Vec<u64> =
            crowd.serving.iter().filter_map(|load| self.share(rules, crowd, load, now)).collect();
        match u64::try_from(shares.len()) {
            Ok(n @ 1..) => shares.iter().sum::<u64>() / n,
            _ => 100,
        }
    }

    /// That of one worker; `None` where it has no thread that could be busy or not.
    fn share(&self, rules: &Scaling, crowd: &Crowd<'_>, load: &Load, now: Millis) -> Option<u64> {
        let (since, before) = *self.first.get(&load.pid)?;
        let span_us = now.since(since).max(1) * 1000;
        let old = |began: &&Millis| began.after(HELD_INTERVALS * interval_ms(rules)) <= now;
        let held = u64::try_from(load.since.iter().filter(old).count()).unwrap_or(u64::MAX);
        let threads = u64::from(crowd.threads).checked_sub(held).filter(|left| *left > 0)?;
        let busy_us = load.busy_us.saturating_sub(before).saturating_sub(held * span_us);
        Some((busy_us * 100 / (span_us * threads)).min(100))
    }

    /// Requests wait: not to be left to averages.
    fn emergency(
        &mut self,
        rules: &Scaling,
        crowd: &Crowd<'_>,
        now: Millis,
        lines: &mut Vec<String>,
    ) -> Option<Advice> {
        let (limits, waiting) = (&rules.busyness, u64::from(crowd.waiting));
        if waiting == 0 {
            self.waiting_since = None;
            return None;
        }
        let since = *self.waiting_since.get_or_insert(now);
        let wanted = if waiting > limits.backlog_alert {
            limits.backlog_step
        } else if now.since(since) > limits.backlog_nonzero.saturating_mul(1000) {
            self.waiting_since = Some(now);
            1
        } else {
            return None;
        };
        let wanted = wanted.min(crowd.most.saturating_sub(crowd.active));
        if wanted == 0 {
            return None;
        }
        lines.push(format!(
            "[busyness] {waiting} requests in listen queue, spawning {wanted} emergency worker(s)"
        ));
        self.emergency += wanted;
        self.rest_until = now.after(self.rest_ms(rules));
        Some(Advice::More(wanted))
    }

    fn weigh(
        &mut self,
        rules: &Scaling,
        crowd: &Crowd<'_>,
        average: u64,
        now: Millis,
        lines: &mut Vec<String>,
    ) -> Advice {
        let (limits, active) = (&rules.busyness, crowd.active);
        let (advice, what) = if average > limits.max {
            self.between = 0;
            if self.cheaped.is_some_and(|at| now.since(at) < self.rest_ms(rules)) {
                self.multiplier += limits.penalty;
            }
            self.cheaped = None;
            self.rest_until = now.after(self.rest_ms(rules));
            match rules.step.min(crowd.most.saturating_sub(active)) {
                0 => (Advice::Stay, format!("but there are {active} worker(s), as many as there may be")),
                n => (Advice::More(n), format!("will spawn {n} new worker(s)")),
            }
        } else if average < limits.min {
            self.between = 0;
            if active > rules.least && crowd.free() > 1 && self.rest_until <= now {
                self.cheaped = Some(now);
                self.emergency = self.emergency.saturating_sub(1);
                self.rest_until = now.after(self.rest_ms(rules));
                (Advice::Fewer, format!("cheap one of {active} running workers"))
            } else {
                (Advice::Stay, format!("{active} worker(s) stay"))
            }
        } else {
            self.between += 1;
            self.rest_until = if self.between > BETWEEN_MAX {
                self.between = 0;
                now.after(self.rest_ms(rules))
            } else {
                self.rest_until.after(interval_ms(rules))
            };
            (Advice::Stay, format!("{active} worker(s) are right"))
        };
        if limits.verbose {
            let seconds = rules.overload.max(1);
            lines.push(format!("[busyness] {seconds}s average busyness is at {average}%, {what}"));
        }
        advice
    }

    /// Rest before one goes, milliseconds.
    fn rest_ms(&self, rules: &Scaling) -> u64 {
        let multiplier = if self.emergency > 0 { rules.busyness.backlog_multiplier } else { self.multiplier };
        multiplier.saturating_mul(interval_ms(rules))
    }
}

fn interval_ms(rules: &Scaling) -> u64 {
    rules.overload.max(1).saturating_mul(1000)
}
