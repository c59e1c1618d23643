//! When a worker has served long enough: after so many requests, at an age, with so much memory. It only asks: the
//! master starts a successor, and tells this worker to finish when that one serves.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::fd::AsRawFd;

use super::ring_thread::Ring;
use super::stop::Phase;
use crate::base::clock::Millis;
use crate::base::errors;
use crate::engine::Reactor;
use crate::options::settings::Recycling;
use crate::shared::area::Tired;
use crate::sys::memory::{self, Usage};

/// Memory is looked at no more often than this, milliseconds: it is a file to read.
const SAMPLE_MS: u64 = 1_000;
/// The same where the kernel has to walk all pages for it.
const WALK_MS: u64 = 10_000;
const MB: u64 = 1024 * 1024;

/// One worker's bounds.
#[derive(Debug)]
pub struct Bounds {
    rules: Recycling,
    /// This worker's own share of the spread is in it; 0: none.
    requests_max: u64,
    /// The same.
    end: Option<Millis>,
    /// Too young before.
    grown: Millis,
    sample_at: Millis,
    asked: bool,
    killed: bool,
}

impl Bounds {
    /// Of a worker that begins now.
    pub fn new(rules: Recycling, now: Millis) -> Bounds {
        let spread = |base: u64, delta: Option<u32>| base + random(delta.map_or(base / 10, u64::from));
        let end = |seconds: u64| {
            let delta_ms = rules.max_lifetime_delta.map_or(seconds * 100, |delta| u64::from(delta) * 1000);
            now.after(seconds.saturating_mul(1000).max(rules.min_lifetime * 1000)).after(random(delta_ms))
        };
        Bounds {
            rules,
            requests_max: match rules.max_requests {
                0 => 0,
                n => spread(n, rules.max_requests_delta),
            },
            end: (rules.max_lifetime > 0).then(|| end(rules.max_lifetime)),
            grown: now.after(rules.min_lifetime.saturating_mul(1000)),
            sample_at: now,
            asked: false,
            killed: false,
        }
    }

    /// Milliseconds until something is due without a request.
    pub fn look_in(&self, now: Millis) -> Option<u64> {
        let end = self.end.filter(|_| !self.asked).map(|end| end.since(now));
        let evil = self.is_evil() && !self.killed;
        end.into_iter().chain(evil.then(|| self.sample_at.since(now))).min()
    }

    fn is_evil(&self) -> bool {
        self.rules.evil_rss_mb > 0 || self.rules.evil_as_mb > 0
    }

    fn measures(&self) -> bool {
        let Recycling { rss_mb, as_mb, pss_mb, uss_mb, .. } = self.rules;
        rss_mb + as_mb + pss_mb + uss_mb > 0 || self.is_evil()
    }

    fn walks(&self) -> bool {
        self.rules.pss_mb > 0 || self.rules.uss_mb > 0
    }

    /// What is to be asked for so much memory, and why. At the end of a request, or `between`.
    fn judge(&self, usage: &Usage, between: bool) -> Option<(Tired, String)> {
        let Recycling { rss_mb, as_mb, pss_mb, uss_mb, evil_rss_mb, evil_as_mb, .. } = self.rules;
        let over = |limit_mb: u64, bytes: u64| limit_mb > 0 && bytes >= limit_mb.saturating_mul(MB);
        let all = [
            (Tired::Evil, "evil-reload-on-rss", evil_rss_mb, usage.rss),
            (Tired::Evil, "evil-reload-on-as", evil_as_mb, usage.address_space),
            (Tired::Recycle, "reload-on-rss", rss_mb, usage.rss),
            (Tired::Recycle, "reload-on-as", as_mb, usage.address_space),
            (Tired::Recycle, "reload-on-pss", pss_mb, usage.pss),
            (Tired::Recycle, "reload-on-uss", uss_mb, usage.uss),
        ];
        let found = all.into_iter().find(|&(why, _, limit, bytes)| {
            let already = if why == Tired::Evil { self.killed } else { self.asked || between };
            !already && over(limit, bytes)
        })?;
        let (why, name, limit, bytes) = found;
        Some((why, format!("it has {} MB ({name} = {limit})", bytes / MB)))
    }
}

/// From 0 to `max`.
fn random(max: u64) -> u64 {
    // Seeded by the system for each thread, and this thread was made after the fork.
    let random = RandomState::new().build_hasher().finish();
    random % max.saturating_add(1).max(1)
}

impl<R: Reactor> Ring<R> {
    /// A request is over, the `served`th of this worker.
    pub(super) fn consider_recycling(&mut self, served: u64) {
        let (now, bounds) = (self.now.millis(), &self.recycling);
        if bounds.asked || now < bounds.grown {
            return;
        }
        if bounds.requests_max > 0 && served >= bounds.requests_max {
            return self.tire(Tired::Recycle, &format!("{served} requests (max-requests)"), None);
        }
        if bounds.measures() && now >= bounds.sample_at {
            self.weigh(false);
        }
    }

    /// What is due whether requests come or not.
    pub(super) fn expire_recycling(&mut self) {
        let now = self.now.millis();
        let bounds = &self.recycling;
        if !bounds.asked && bounds.end.is_some_and(|end| end <= now) {
            self.tire(Tired::Recycle, "its age (max-worker-lifetime)", None);
        } else if bounds.is_evil() && !bounds.killed && bounds.sample_at <= now {
            self.weigh(true);
        }
    }

    fn weigh(&mut self, between: bool) {
        let walks = self.recycling.walks();
        self.recycling.sample_at = self.now.millis().after(if walks { WALK_MS } else { SAMPLE_MS });
        let Ok(usage) = memory::usage(walks) else { return };
        if let Some((why, reason)) = self.recycling.judge(&usage, between) {
            self.tire(why, &reason, Some(errors::MEMORY));
        }
    }

    /// Takes nothing new from now on.
    pub(super) fn end_early(&mut self, reason: &str) {
        if self.phase == Phase::Open {
            self.say_done(reason, None);
            self.begin_drain(false);
        }
    }

    fn say_done(&self, reason: &str, warning: Option<errors::Id>) {
        let (pid, worker) = (std::process::id(), self.plan.id);
        let number = warning.map(|id| format!(" {id}")).unwrap_or_default();
        crate::log!("...The work of process {pid} is done. Seeya! (worker {worker}: {reason}){number}");
    }

    /// Asks the master for a successor.
    pub(super) fn tire(&mut self, why: Tired, reason: &str, warning: Option<errors::Id>) {
        self.recycling.asked = true;
        self.recycling.killed |= why == Tired::Evil;
        self.say_done(reason, warning);
        self.plan.slot().tire(why);
        // The master looks at its next event all the same.
        let _ = crate::sys::event::signal(self.plan.notify.as_raw_fd());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_spread_and_memory_is_judged() {
        let rules = Recycling { max_requests: 1000, max_lifetime: 60, ..Recycling::default() };
        let now = Millis(5_000);
        let all: Vec<Bounds> = (0..50).map(|_| Bounds::new(rules, now)).collect();
        assert!(all.iter().all(|b| (1000..=1100).contains(&b.requests_max)));
        assert!(all.iter().any(|b| b.requests_max != all[0].requests_max), "all alike");
        let ends = |b: &Bounds| b.end.expect("an end").since(now);
        assert!(all.iter().all(|b| (60_000..=66_000).contains(&ends(b))));
        let exact = Recycling { max_requests_delta: Some(0), ..rules };
        assert_eq!(Bounds::new(exact, now).requests_max, 1000);
        let deltas = Recycling { max_requests_delta: Some(5000), max_lifetime_delta: Some(600), ..rules };
        let all: Vec<Bounds> = (0..50).map(|_| Bounds::new(deltas, now)).collect();
        assert!(all.iter().all(|b| b.requests_max <= 6000 && ends(b) <= 660_000));
        // Without the options nobody gets so far.
        assert!(all.iter().any(|b| b.requests_max > 1100) && all.iter().any(|b| ends(b) > 66_000));
        let exact = Recycling { max_lifetime_delta: Some(0), ..rules };
        assert_eq!(ends(&Bounds::new(exact, now)), 60_000);

        let rules = Recycling { rss_mb: 10, evil_as_mb: 100, ..Recycling::default() };
        let bounds = Bounds::new(rules, now);
        let usage =
            |rss, address_space| Usage { rss: rss * MB, address_space: address_space * MB, pss: 0, uss: 0 };
        assert_eq!(bounds.judge(&usage(9, 99), false), None);
        assert!(matches!(bounds.judge(&usage(10, 99), false), Some((Tired::Recycle, _))));
        assert_eq!(bounds.judge(&usage(10, 99), true), None, "only at the end of a request");
        assert!(matches!(bounds.judge(&usage(10, 100), true), Some((Tired::Evil, _))));
    }
}
