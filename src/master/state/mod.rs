//! What the server does next: `(State, Event) → Actions`, without a system call and without a clock.
//!
//! ```text
//!  a generation                                     a worker of it
//!
//!   Coming ── all workers ready ──► Serving           Absent ◄────────────── ended ──────────┐
//!     │                                │                 │ wanted                            │
//!     │ anything fails                 │ the next one    ▼      template    slot            │
//!     │                                │ serves       Wanted ──► Forking ──► Starting ──► Ready
//!     ▼                                ▼                 ▲                      │           │ told to end
//!   Leaving ◄──────────────────────────┘                 └── died (back-off) ───┴───────────┤
//!     │ workers gone, template gone                                                         ▼
//!     ▼                                                   Absent ◄──── ended, or killed ─ Leaving
//!   (forgotten; the last one of a stopping server: Exit)
//! ```
//! An event changes facts only ([`State::handle`]); what follows from the facts and the time is decided in one
//! place ([`settle`]), whatever the event was. So nothing depends on the order in which news arrive.

mod asked;
mod crowd;
mod ending;
mod faults;
mod generation;
mod located;
mod settle;
#[cfg(test)]
mod tests;
mod words;

use serde::{Deserialize, Serialize};

pub use words::{Action, Command, Event, Picture, Policy, Wish, WorkerPicture};

use super::lines;
use super::scaling::Scaler;
use crate::base::clock::Millis;
use crate::control::server::ClientId;
use crate::control::words::Answer;
use crate::options::settings::Touch;
use crate::shared::area::Tired;
use crate::sys::process::Status;
use generation::{Generation, Leave, Life, Role, Template};

/// A worker that ends within this after it was forked, or before it served, died of its start, milliseconds.
const EARLY_MS: u64 = 1_000;
/// The longest pause between two tries, milliseconds.
const PAUSE_MS_MAX: u64 = 30_000;
/// A worker told to quit may take so long, milliseconds.
const QUIT_MS: u64 = 3_000;
/// A dismissed template may take so long, milliseconds.
const DISMISS_MS: u64 = 3_000;
/// A template that has not forked for so long is stuck, milliseconds: it has nothing else to do.
const FORK_MS: u64 = 30_000;
/// A process that is asked where it stands has so long to write it, milliseconds.
const LOCATE_MS: u64 = 300;
/// A load that lasts so long is worth a line, milliseconds: before somebody at a terminal thinks that it hangs.
const SLOW_LOAD_MS: u64 = 3_000;
/// `need-app`: the application did not load.
const EXIT_NO_APP: i32 = 22;

/// Whether the server goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Running,
    /// Ends with this code once everybody is gone.
    Stopping {
        code: i32,
    },
    /// [`Action::Exit`] was given.
    Over,
}

/// Everything the master knows.
#[derive(Debug, Serialize, Deserialize)]
pub struct State {
    policy: Policy,
    phase: Phase,
    /// At most two: one that serves (or did, when stopping), and one that comes or leaves.
    generations: Vec<Generation>,
    /// Whether a worker has ever been ready: before that, a failure is the end.
    served: bool,
    /// Clients of the control socket that wait for the end of a reload.
    waiting: Vec<ClientId>,
    /// Nothing is accepted until it is told again.
    paused: bool,
    /// Clients are told to look for another server.
    draining: bool,
    /// Told to stop: serves until then.
    stop_at: Option<Millis>,
    /// Begin a reload as soon as there is room for a generation.
    reload_wanted: bool,
    /// What is known of the load.
    #[serde(default)]
    scaler: Scaler,
    /// No worker is needed until a connection comes.
    #[serde(default)]
    asleep: bool,
    /// More workers than that would not fit into memory (`processes = auto`).
    #[serde(default)]
    fitting: Option<u32>,
}

impl State {
    /// Nothing started yet.
    pub fn new(policy: Policy) -> State {
        State {
            policy,
            phase: Phase::Running,
            generations: Vec::new(),
            served: false,
            waiting: Vec::new(),
            paused: false,
            draining: false,
            stop_at: None,
            reload_wanted: false,
            scaler: Scaler::default(),
            asleep: policy.scaling.cheap,
            fitting: None,
        }
    }

    /// Takes in what happened and says what to do.
    pub fn handle(&mut self, event: Event, now: Millis) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Start => {
                let (workers, active) = (self.policy.workers, self.first_workers(None));
                self.generations.push(Generation::new(1, Role::Serving, workers, active, now));
            }
            Event::TemplateForked { generation, pid } => self.template_forked(generation, pid, now),
            Event::TemplateNotForked { generation, why } => {
                self.template_failed(generation, &why, 1, now, &mut actions);
            }
            Event::TemplateReady { generation } if self.policy.scaling.auto => {
                self.weigh(generation, &mut actions);
            }
            Event::TemplateReady { generation } => self.template_ready(generation, &mut actions),
            Event::Weighed { generation, resident, limit } => {
                self.weighed(generation, resident, limit, now, &mut actions);
                self.template_ready(generation, &mut actions);
            }
            Event::Located { generation, stack } => self.located(generation, &stack, now, &mut actions),
            Event::Forked { generation, worker, pid } => {
                self.forked(generation, worker, pid, now, &mut actions)
            }
            Event::NotForked { generation, worker, why } => {
                self.not_forked(generation, worker, &why, now, &mut actions);
            }
            Event::Ready { pid } => self.ready(pid, now, &mut actions),
            Event::Tired { pid, why } => self.tired(pid, why, &mut actions),
            Event::Frozen { pid } => self.frozen(pid, &mut actions),
            Event::Silent { pid } => self.silent(pid, &mut actions),
            Event::Exited { pid, status } => self.exited(pid, status, now, &mut actions),
            Event::Wished(wish) => self.wished(wish, now, &mut actions),
            Event::Touched { path, what } => {
                actions.push(Action::Say(lines::touched(&path, &what)));
                match what {
                    Touch::Reload => self.wished(Wish::Reload, now, &mut actions),
                    Touch::Workers => self.wished(Wish::Renew, now, &mut actions),
                    Touch::Run(command) => actions.push(Action::Run(command)),
                    Touch::Hook(action) => actions.push(Action::Hook(action)),
                }
            }
            Event::Lost { path, why } => self.detonate(&path, &why, &mut actions),
            Event::PidfilesWanted => actions.push(Action::Pidfiles),
            Event::Sampled(sample) => self.sampled(&sample, now, &mut actions),
            Event::Knocked => self.knocked(now),
            Event::Asked { client, request } => self.asked(client, request, now, &mut actions),
            Event::Tick => {}
        }
        settle::settle(self, now, &mut actions);
        actions
    }

    /// Every process it knows.
    pub fn pids(&self) -> Vec<u32> {
        let of = |generation: &Generation| {
            let workers: Vec<u32> = generation.lives().filter_map(|(_, life)| life.pid()).collect();
            generation.template.pid().into_iter().chain(workers)
        };
        self.generations.iter().flat_map(of).collect()
    }

    /// The options as the program that takes over reads them. What was made once stays.
    pub fn adopt(&mut self, policy: Policy) {
        self.policy = Policy { workers: self.policy.workers, cores: self.policy.cores, ..policy };
    }

    /// When to come back with [`Event::Tick`] if nothing happens before.
    pub fn deadline(&self) -> Option<Millis> {
        self.generations.iter().flat_map(Generation::deadlines).chain(self.stop_at).min()
    }

    fn generation(&mut self, number: u32) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|generation| generation.number == number)
    }

    fn with_role(&mut self, role: Role) -> Option<&mut Generation> {
        self.generations.iter_mut().find(|generation| generation.role == role)
    }

    fn template_forked(&mut self, number: u32, pid: u32, now: Millis) {
        if let Some(generation) = self.generation(number) {
            generation.template = Template::Loading { pid };
            let say_at = now.after(SLOW_LOAD_MS);
            generation.loading = Some(generation::Loading { since: now, say_at, asked: false });
        }
    }

    fn template_ready(&mut self, number: u32, actions: &mut Vec<Action>) {
        let (served, asleep, master_pid) = (self.served, self.asleep, self.policy.master_pid);
        let Some(generation) = self.generation(number) else { return };
        if let Template::Loading { pid } = generation.template {
            generation.template = Template::Ready { pid };
            if !served && generation.role == Role::Serving {
                actions.push(Action::Say(lines::spawned_master(master_pid)));
                if asleep {
                    actions.push(Action::Say(lines::CHEAP_MODE.to_owned()));
                    actions.push(Action::Announce);
                    self.served = true;
                }
            }
        }
    }

    /// A template ended before it was let go, or was never there.
    fn template_failed(&mut self, number: u32, why: &str, code: i32, now: Millis, actions: &mut Vec<Action>) {
        let (served, first_ms) = (self.served, self.policy.forkbomb_delay_ms.max(EARLY_MS));
        let Some(generation) = self.generation(number) else { return };
        generation.template = Template::Absent;
        generation.recall_forks(now);
        match generation.role {
            Role::Leaving => {}
            Role::Coming => self.abandon(why, now, actions),
            Role::Serving if !served => {
                // "GAME OVER" is said by whoever tried to load the application.
                if code != EXIT_NO_APP {
                    actions.push(Action::Say(lines::cannot_start(why)));
                }
                self.stop(Command::Quit, code, now, actions);
            }
            Role::Serving => {
                generation.template_failures += 1;
                let pause_ms = pause(first_ms, generation.template_failures);
                generation.template_retry = now.after(pause_ms);
                actions.push(Action::Say(lines::template_retry(why, pause_ms)));
            }
        }
    }

    fn forked(&mut self, number: u32, worker: u32, pid: u32, now: Millis, actions: &mut Vec<Action>) {
        let kill_at = now.after(self.policy.mercy_ms);
        let Some(generation) = self.generation(number) else { return };
        let spared = generation.is_spared(worker);
        let leave = generation.leave.or(spared.then_some(Leave { command: Command::Yield, kill_at }));
        generation.template_failures = 0;
        let Some(entry) = generation.worker(worker) else { return };
        if let Some(leave) = leave {
            entry.life = Life::Leaving { pid, since: now, kill_at: leave.kill_at, killed: false };
            actions.push(Action::Tell { generation: number, worker, command: leave.command });
            return;
        }
        entry.life = Life::Starting { pid, since: now };
        entry.tired = None;
        if entry.has_served {
            actions.push(Action::Say(lines::respawned(generation.id(worker), pid)));
        }
    }

    fn not_forked(&mut self, number: u32, worker: u32, why: &str, now: Millis, actions: &mut Vec<Action>) {
        let delay_ms = self.policy.forkbomb_delay_ms.max(EARLY_MS);
        let Some(generation) = self.generation(number) else { return };
        let (role, id, spared) = (generation.role, generation.id(worker), generation.is_spared(worker));
        let Some(entry) = generation.worker(worker) else { return };
        actions.push(Action::Say(lines::cannot_fork(id, &why)));
        match role {
            Role::Leaving => entry.life = Life::Absent,
            Role::Coming => {
                entry.life = Life::Absent;
                self.abandon("a worker could not be forked", now, actions);
            }
            Role::Serving if spared => entry.life = Life::Absent,
            Role::Serving => {
                entry.early_deaths += 1;
                entry.life = Life::Wanted { at: now.after(pause(delay_ms, entry.early_deaths)) };
            }
        }
    }

    fn ready(&mut self, pid: u32, now: Millis, actions: &mut Vec<Action>) {
        let cores = self.policy.cores;
        let Some((generation, number)) = self.worker_with(pid) else { return };
        let (serving, id) = (generation.role == Role::Serving, generation.id(number));
        let Some(entry) = generation.worker(number) else { return };
        if !matches!(entry.life, Life::Starting { .. }) {
            return;
        }
        entry.life = Life::Ready { pid, since: now };
        if !entry.has_served {
            entry.has_served = true;
            actions.push(Action::Say(lines::spawned_worker(id, pid, cores)));
        }
        if serving && !self.served {
            self.served = true;
            actions.push(Action::Announce);
        }
    }

    fn exited(&mut self, pid: u32, status: Status, now: Millis, actions: &mut Vec<Action>) {
        if let Some((generation, worker)) = self.worker_with(pid) {
            let number = generation.number;
            let told = matches!(generation.life(worker), Life::Leaving { .. });
            let crashed = (!told && !is_ordinary(status)).then_some(generation.id(worker));
            let bury = Action::Bury { pid, crashed };
            self.worker_exited(number, worker, pid, status, now, actions);
            // In which request it died is said behind the news that it did.
            actions.push(bury);
        } else if let Some(number) = self.template_with(pid) {
            self.template_exited(number, pid, status, now, actions);
        }
    }

    /// All workers are to be replaced, one after the other: [`settle`] sees to it.
    fn renew(&mut self) {
        let Some(generation) = self.with_role(Role::Serving) else { return };
        for (_, entry) in generation.workers() {
            if matches!(entry.life, Life::Ready { .. }) {
                entry.tired = entry.tired.max(Some(Tired::Recycle));
            }
        }
    }

    fn template_exited(
        &mut self,
        number: u32,
        pid: u32,
        status: Status,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        let first_ms = self.policy.forkbomb_delay_ms.max(EARLY_MS);
        let Some(generation) = self.generation(number) else { return };
        let code = if let Status::Exited(code) = status { code.max(1) } else { 1 };
        match (generation.template, generation.role) {
            // Its workers go on, and nobody misses it until one of them has to be replaced. Where it died of
            // that, the next one waits a little.
            (Template::Ready { .. }, Role::Serving) => {
                actions.push(Action::Say(lines::template_died(pid, status)));
                generation.template = Template::Absent;
                if generation.waits_for_a_fork() {
                    generation.template_failures += 1;
                    generation.template_retry = now.after(pause(first_ms, generation.template_failures));
                }
                generation.recall_forks(now);
            }
            _ => self.template_failed(number, &lines::how(status), code, now, actions),
        }
    }

    fn worker_exited(
        &mut self,
        number: u32,
        worker: u32,
        pid: u32,
        status: Status,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        let (served, delay_ms) = (self.served, self.policy.forkbomb_delay_ms);
        let Some(generation) = self.generation(number) else { return };
        let (role, id, needed) = (generation.role, generation.id(worker), generation.is_needed(worker));
        let Some(entry) = generation.worker(worker) else { return };
        let life = entry.life;
        entry.life = Life::Absent;
        entry.tired = None;
        if let Life::Leaving { since, .. } = life {
            actions.push(Action::Say(lines::buried(id, now.since(since))));
            return;
        }
        match role {
            Role::Leaving => {}
            // It has served its max-requests already.
            Role::Coming if is_ordinary(status) && matches!(life, Life::Ready { .. }) => {
                entry.life = Life::Wanted { at: now };
            }
            Role::Coming => {
                let why = format!("worker {id} ended at its start ({})", lines::how(status));
                self.abandon(&why, now, actions);
            }
            // It loads the application itself (lazy-apps), and could not.
            Role::Serving if !served && status == Status::Exited(EXIT_NO_APP) => {
                self.stop(Command::Quit, EXIT_NO_APP, now, actions);
            }
            Role::Serving => {
                let pause_ms = entry.pause_after(life, is_ordinary(status), delay_ms, now);
                if !is_ordinary(status) {
                    actions.push(Action::Say(lines::died(id, pid, status)));
                    actions.extend(lines::who_kills(id, status).map(Action::Say));
                }
                // Its successor may be there already.
                if needed {
                    entry.life = Life::Wanted { at: now.after(pause_ms) };
                    if pause_ms > 0 {
                        actions.push(Action::Say(lines::forkbomb(id, entry.early_deaths, pause_ms)));
                    }
                }
            }
        }
    }

    fn wished(&mut self, wish: Wish, now: Millis, actions: &mut Vec<Action>) {
        match (wish, self.phase) {
            (Wish::Totals, _) => actions.push(Action::Totals),
            (Wish::Reload | Wish::Renew, Phase::Running) if self.stop_at.is_some() => {}
            (Wish::Reload, Phase::Running) => self.reload(now, actions),
            (Wish::Renew, Phase::Running) => self.renew(),
            (Wish::Workers(change), Phase::Running) => {
                let answer = self.change(change, now, actions);
                actions.push(Action::Say(answer.message));
            }
            (Wish::Sleep, Phase::Running) if self.served && !self.asleep => self.sleep(now, actions),
            (Wish::Sleep | Wish::Workers(_), _) => {}
            (Wish::Pause, Phase::Running) => {
                self.paused = !self.paused;
                actions.push(Action::Say(lines::paused(self.paused)));
                actions.push(Action::Pause(self.paused));
            }
            (Wish::Reload | Wish::Renew | Wish::Pause, Phase::Stopping { .. }) | (_, Phase::Over) => {}
            (Wish::Stop, Phase::Running) => self.stop_soon(now, actions),
            (Wish::StopNow, Phase::Running) => {
                actions.push(Action::Say(lines::KILLING.to_owned()));
                self.stop(Command::Quit, 0, now, actions);
            }
            // Asked twice: whoever asks has no time.
            (Wish::Stop | Wish::StopNow, Phase::Stopping { code }) => {
                actions.push(Action::Say(lines::KILLING.to_owned()));
                self.stop(Command::Quit, code, now, actions);
            }
        }
    }

    fn reload(&mut self, now: Millis, actions: &mut Vec<Action>) {
        if self.policy.exit_on_reload {
            actions.push(Action::Say(lines::EXIT_ON_RELOAD.to_owned()));
            self.stop(Command::Drain, 0, now, actions);
        } else if !self.served {
            actions.push(Action::Say(lines::STILL_STARTING.to_owned()));
        } else {
            self.reload_wanted = true;
            if self.with_role(Role::Coming).is_some() {
                self.abandon(lines::RELOAD_AGAIN, now, actions);
            } else if self.with_role(Role::Leaving).is_some() {
                actions.push(Action::Say(lines::RELOAD_LATER.to_owned()));
            }
        }
    }

    /// The new generation has failed: the old one goes on as if nothing had been asked.
    fn abandon(&mut self, why: &str, now: Millis, actions: &mut Vec<Action>) {
        let old = self.with_role(Role::Serving).map_or(0, |generation| generation.number);
        let Some(generation) = self.with_role(Role::Coming) else { return };
        actions.push(Action::Say(lines::reload_failed(generation.number, old, why)));
        generation.leave(Command::Quit, now.after(QUIT_MS), now, actions);
        // Given up for a newer one: who waits, waits for that.
        if !self.reload_wanted {
            self.reload_over(&Answer::failed(lines::still_serves(old, why)), actions);
        }
    }

    fn stop(&mut self, command: Command, code: i32, now: Millis, actions: &mut Vec<Action>) {
        self.phase = Phase::Stopping { code };
        self.reload_wanted = false;
        self.reload_over(&Answer::failed("the server is stopping"), actions);
        let patience_ms = if command == Command::Quit { QUIT_MS } else { self.policy.mercy_ms };
        for generation in &mut self.generations {
            generation.leave(command, now.after(patience_ms), now, actions);
        }
    }

    fn worker_with(&mut self, pid: u32) -> Option<(&mut Generation, u32)> {
        self.generations.iter_mut().find_map(|generation| {
            let number = generation.number_of(pid)?;
            Some((generation, number))
        })
    }

    fn template_with(&self, pid: u32) -> Option<u32> {
        let found = self.generations.iter().find(|generation| generation.template.pid() == Some(pid));
        found.map(|generation| generation.number)
    }
}

/// Whether a worker's end is one of those it chooses itself: told to, recycled, reloaded
/// (REFERENCE of exit codes: uWSGI's `UWSGI_*_CODE`).
fn is_ordinary(status: Status) -> bool {
    matches!(status, Status::Exited(0 | 5 | 17 | 29 | 30))
}

/// The pause before try number `failures` + 1: `first_ms`, doubled each time, bounded.
fn pause(first_ms: u64, failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(16);
    first_ms.saturating_mul(1 << doublings).min(PAUSE_MS_MAX)
}
