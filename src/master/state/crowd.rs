//! How many workers there are: what the [`Scaler`](crate::master::scaling::Scaler) advises, and what somebody asks for,
//! becomes workers that come and workers that go.
//!
//! A worker number nobody is needed for is *spared*: neither of its seats is taken, but by one that leaves. With none
//! at all the server *sleeps*: the master watches the sockets, and the first connection brings the workers back.

use super::generation::{Generation, Life, Role, Template};
use super::{Action, Command, Phase, State, Wish, lines};
use crate::base::clock::Millis;
use crate::control::words::{Answer, Change};
use crate::master::scaling::{Advice, Crowd, Load, Sample};

impl State {
    /// Workers at the start of a generation after one with `active`.
    pub(super) fn first_workers(&self, active: Option<u32>) -> u32 {
        let (scaling, most) = (&self.policy.scaling, self.most());
        match active {
            _ if self.asleep => 0,
            None => scaling.first(most),
            // As many as were needed until now, and no fewer than at any start.
            Some(active) if scaling.follows(most) => active.max(scaling.first(most)).min(most),
            Some(active) => active.clamp(1, most),
        }
    }

    /// How many workers there may be.
    pub(super) fn most(&self) -> u32 {
        self.policy.workers.min(self.fitting.unwrap_or(u32::MAX))
    }

    /// `processes = auto`: before the first worker is forked, how much memory one may take is looked at.
    pub(super) fn weigh(&mut self, number: u32, actions: &mut Vec<Action>) {
        let Some(generation) = self.generation(number) else { return };
        if let Template::Loading { pid } = generation.template {
            actions.push(Action::Weigh { generation: number, pid });
        }
    }

    /// `resident` bytes are what a worker has at its start: all of them together shall leave a fifth of `limit` free.
    pub(super) fn weighed(
        &mut self,
        number: u32,
        resident: u64,
        limit: Option<u64>,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        let (wanted, most_before) = (self.policy.workers, self.most());
        let fit = limit.and_then(|limit| (limit / 5 * 4).checked_div(resident));
        let fit = fit.map(|n| u32::try_from(n).unwrap_or(u32::MAX).clamp(1, wanted));
        self.fitting = fit.filter(|fit| *fit < wanted);
        if let (Some(fitting), Some(limit)) = (self.fitting, limit) {
            actions.push(Action::Say(lines::too_heavy(fitting, wanted, resident, limit)));
        }
        let old = self.generations.iter().find(|generation| generation.number < number);
        // All of them then: all of them now.
        let fewer = old.map(Generation::active).filter(|active| *active < most_before);
        let active = self.first_workers(fewer);
        // A template that is started again finds workers.
        if let Some(generation) = self.generation(number).filter(|generation| generation.is_empty()) {
            generation.resize(active, now);
        }
    }

    /// Whether there is no worker, and the sockets are to be watched for one who wants it.
    pub fn listens(&self) -> bool {
        self.asleep && !self.paused && self.phase == Phase::Running
    }

    /// What the workers do: perhaps there are too few or too many.
    pub(super) fn sampled(&mut self, sample: &Sample, now: Millis, actions: &mut Vec<Action>) {
        let [serving] = self.generations.as_slice() else { return };
        let serves = serving.role == Role::Serving && self.served && !self.asleep && !self.paused;
        if self.phase != Phase::Running || !serves {
            return;
        }
        let loads: Vec<&Load> = serving.ready_pids().filter_map(|pid| load_of(sample, pid)).collect();
        let crowd = Crowd {
            serving: &loads,
            coming: serving.coming(now),
            active: serving.active(),
            most: self.most(),
            threads: self.policy.cores,
            waiting: sample.waiting,
            requests: sample.requests,
        };
        let rules = self.policy.scaling;
        let (advice, said) = self.scaler.judge(&rules, &crowd, now);
        actions.extend(said.into_iter().map(Action::Say));
        match advice {
            Advice::Stay => {}
            Advice::More(n) => self.hire(n, now),
            Advice::Fewer => {
                let idle = |pid: u32| load_of(sample, pid).is_some_and(|load| load.in_hand == 0);
                self.spare(idle, now, actions);
            }
            Advice::FewerAtOnce => {
                self.spare(|_| true, now, actions);
            }
            Advice::Sleep => {
                actions.push(Action::Say(lines::inactive(rules.idle)));
                self.sleep(now, actions);
            }
            Advice::Die => {
                actions.push(Action::Say(lines::inactive(rules.idle)));
                self.wished(Wish::Stop, now, actions);
            }
        }
    }

    /// Somebody is needed for `n` more worker numbers: [`super::settle`] sees to it.
    fn hire(&mut self, n: u32, now: Millis) {
        for generation in self.generations.iter_mut().filter(|generation| generation.role != Role::Leaving) {
            let spared: Vec<u32> = (1..=generation.count()).filter(|id| generation.is_spared(*id)).collect();
            for id in spared.into_iter().take(n as usize) {
                generation.set_spared(id, false);
            }
            generation.fill(now);
        }
    }

    /// One worker goes, of those whose process `may`: one that wants to be replaced, or the one that has been there for
    /// the longest.
    fn spare(&mut self, may: impl Fn(u32) -> bool, now: Millis, actions: &mut Vec<Action>) -> bool {
        let kill_at = now.after(self.policy.mercy_ms);
        let Some(generation) = self.with_role(Role::Serving) else { return false };
        let lives: Vec<(u32, Life)> = generation.lives().collect();
        let rank = |&(seat, life): &(u32, Life)| match life {
            Life::Ready { pid, since }
                if may(pid) && generation.life(generation.other(seat)) == Life::Absent =>
            {
                Some((!generation.tired_seats().contains(&seat), since, seat))
            }
            _ => None,
        };
        let Some((_, _, seat)) = lives.iter().filter_map(rank).min() else { return false };
        let id = generation.id(seat);
        generation.set_spared(id, true);
        actions.push(Action::Say(lines::cheaped(id)));
        generation.send_away(seat, Command::Yield, kill_at, now, actions);
        true
    }

    /// Nobody is needed until somebody knocks.
    pub(super) fn sleep(&mut self, now: Millis, actions: &mut Vec<Action>) {
        let kill_at = now.after(self.policy.mercy_ms);
        self.asleep = true;
        self.scaler.forget();
        actions.push(Action::Say(lines::CHEAP_MODE.to_owned()));
        for generation in self.generations.iter_mut().filter(|generation| generation.role != Role::Leaving) {
            for id in 1..=generation.count() {
                generation.set_spared(id, true);
                for seat in [id, id + generation.count()] {
                    // Whoever waits to be accepted is no business of theirs: it wakes the server.
                    generation.send_away(seat, Command::Yield, kill_at, now, actions);
                }
            }
        }
    }

    /// A connection waits, and there is no worker.
    pub(super) fn knocked(&mut self, now: Millis) {
        if self.listens() {
            self.wake(self.policy.scaling.least(self.most()), now);
        }
    }

    fn wake(&mut self, workers: u32, now: Millis) {
        self.asleep = false;
        self.scaler.forget();
        self.hire(workers, now);
    }

    /// Somebody wants another number of workers. The answer tells how many there are then.
    pub(super) fn change(&mut self, change: Change, now: Millis, actions: &mut Vec<Action>) -> Answer {
        let most = self.most();
        let least = if self.policy.scaling.follows(most) { self.policy.scaling.least } else { 1 };
        if self.phase != Phase::Running || !self.served {
            return Answer::failed("the server is starting or stopping: its workers are not changed");
        }
        if self.with_role(Role::Coming).is_some() {
            return Answer::failed("a reload is under way: ask again when it is over");
        }
        let Some(active) = self.with_role(Role::Serving).map(|generation| generation.active()) else {
            return Answer::failed("no generation serves");
        };
        let wanted = match change {
            Change::More(n) => active.saturating_add(n),
            Change::Fewer(n) => active.saturating_sub(n),
            Change::Exactly(n) => n,
        }
        .clamp(least, most);
        if self.asleep {
            self.wake(wanted, now);
        } else if wanted > active {
            self.hire(wanted - active, now);
        }
        let mut left = active.max(wanted);
        while left > wanted && self.spare(|_| true, now, actions) {
            left -= 1;
        }
        self.scaler.forget();
        let bounds = format!("{left} of {most} workers ({least} at least)");
        if left > wanted {
            return Answer::failed(format!("{bounds}: the others are coming or being replaced; ask again"));
        }
        Answer::done(bounds)
    }
}

fn load_of(sample: &Sample, pid: u32) -> Option<&Load> {
    sample.loads.iter().find(|load| load.pid == pid)
}

impl Generation {
    /// Processes that serve.
    fn ready_pids(&self) -> impl Iterator<Item = u32> {
        self.lives().filter_map(|(_, life)| match life {
            Life::Ready { pid, .. } => Some(pid),
            _ => None,
        })
    }

    /// Whether no worker was forked yet, or none is left.
    fn is_empty(&self) -> bool {
        self.lives().all(|(_, life)| matches!(life, Life::Absent | Life::Wanted { .. }))
    }

    /// `active` workers are wanted, and nobody is there yet.
    fn resize(&mut self, active: u32, now: Millis) {
        for id in 1..=self.count() {
            self.set_spared(id, id > active);
            for seat in [id, self.other(id)] {
                if let Some(entry) = self.worker(seat).filter(|_| id > active) {
                    entry.life = Life::Absent;
                }
            }
        }
        self.fill(now);
    }

    /// Workers that will serve soon: those that pause after they died are not among them.
    fn coming(&self, now: Millis) -> u32 {
        let soon = |(_, life): &(u32, Life)| match life {
            Life::Wanted { at } => *at <= now,
            Life::Forking { .. } | Life::Starting { .. } => true,
            _ => false,
        };
        self.lives().filter(soon).map(|_| 1).sum()
    }

    /// Whoever is on `seat`, or will be, shall end.
    fn send_away(
        &mut self,
        seat: u32,
        command: Command,
        kill_at: Millis,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        let generation = self.number;
        let Some(entry) = self.worker(seat) else { return };
        match entry.life {
            // One that is being forked hears it as soon as it lives.
            Life::Absent | Life::Forking { .. } | Life::Leaving { .. } => {}
            Life::Wanted { .. } => entry.life = Life::Absent,
            Life::Starting { pid, .. } | Life::Ready { pid, .. } => {
                entry.life = Life::Leaving { pid, since: now, kill_at, killed: false };
                entry.tired = None;
                actions.push(Action::Tell { generation, worker: seat, command });
            }
        }
    }

    /// Every number that somebody is needed for has somebody, or will.
    pub(super) fn fill(&mut self, now: Millis) {
        if self.role == Role::Leaving {
            return;
        }
        for id in (1..=self.count()).filter(|id| !self.is_spared(*id)).collect::<Vec<_>>() {
            let seats = [id, self.other(id)];
            let lives = seats.map(|seat| self.life(seat));
            let taken = |life: &Life| !matches!(life, Life::Absent | Life::Leaving { .. });
            let free = seats.into_iter().find(|seat| self.life(*seat) == Life::Absent);
            if lives.iter().any(taken) {
                continue;
            }
            let has_served =
                seats.into_iter().any(|seat| self.worker(seat).is_some_and(|entry| entry.has_served));
            if let Some(entry) = free.and_then(|seat| self.worker(seat)) {
                entry.life = Life::Wanted { at: now };
                entry.tired = None;
                entry.has_served = has_served;
            }
        }
    }
}
