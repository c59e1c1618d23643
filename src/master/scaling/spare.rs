//! `spare` and `spare2`: some worker is always free.

use serde::{Deserialize, Serialize};

use super::{Advice, Crowd};
use crate::base::clock::Millis;
use crate::options::scaling::Scaling;

/// `spare`: one is free. Counts cycles, as uWSGI does.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spare {
    /// Cycles with all of them busy, less those with somebody free.
    overload: u64,
    /// Cycles with more than one free.
    idle: u64,
}

impl Spare {
    /// Once a second.
    pub fn judge(&mut self, rules: &Scaling, crowd: &Crowd<'_>) -> Advice {
        let free = crowd.free();
        if free == 0 {
            self.overload += 1;
            self.idle = 0;
        } else {
            self.overload = self.overload.saturating_sub(1);
        }
        if self.overload > rules.overload {
            self.overload = 0;
            return Advice::More(rules.step);
        }
        if self.overload > 0 || free <= 1 {
            return Advice::Stay;
        }
        self.idle += 1;
        if self.idle.is_multiple_of(rules.overload.max(1)) { Advice::Fewer } else { Advice::Stay }
    }
}

/// `spare2`: as many as `cheaper` says are free.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Spare2 {
    /// Since when there are more.
    rich: Option<Millis>,
}

impl Spare2 {
    /// Once a second.
    pub fn judge(&mut self, rules: &Scaling, crowd: &Crowd<'_>, now: Millis) -> Advice {
        let free = crowd.free();
        if free <= rules.least {
            self.rich = None;
            return if free < rules.least {
                Advice::More(rules.step.min(rules.least - free))
            } else {
                Advice::Stay
            };
        }
        if now.since(*self.rich.get_or_insert(now)) < rules.idle_seconds.saturating_mul(1000) {
            return Advice::Stay;
        }
        self.rich = Some(now);
        Advice::Fewer
    }
}
