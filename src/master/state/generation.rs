//! One load of the application: its template and its workers.

use serde::{Deserialize, Serialize};

use super::{Action, Command, DISMISS_MS, EARLY_MS, FORK_MS, lines, pause};
use crate::base::clock::Millis;
use crate::shared::area::Tired;

/// What a generation is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Role {
    /// Loads and starts while another serves.
    Coming,
    /// Serves; its workers are replaced when they die.
    Serving,
    /// Ends.
    Leaving,
}

/// The generation process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Template {
    /// There is none.
    Absent,
    /// Asked for.
    Asked,
    /// Loads.
    Loading { pid: u32 },
    /// Forks on demand.
    Ready { pid: u32 },
    /// Let go.
    Dismissed { pid: u32, kill_at: Millis },
}

impl Template {
    pub(super) fn pid(self) -> Option<u32> {
        match self {
            Template::Absent | Template::Asked => None,
            Template::Loading { pid } | Template::Ready { pid } | Template::Dismissed { pid, .. } => {
                Some(pid)
            }
        }
    }
}

/// Where a worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Life {
    /// There is none, and none is wanted.
    Absent,
    /// To be forked at `at`.
    Wanted { at: Millis },
    /// The template was asked.
    Forking { since: Millis },
    /// Runs, does not serve yet.
    Starting { pid: u32, since: Millis },
    /// Serves.
    Ready { pid: u32, since: Millis },
    /// Was told to end.
    Leaving { pid: u32, since: Millis, kill_at: Millis, killed: bool },
}

impl Life {
    pub(super) fn pid(self) -> Option<u32> {
        match self {
            Life::Absent | Life::Wanted { .. } | Life::Forking { .. } => None,
            Life::Starting { pid, .. } | Life::Ready { pid, .. } | Life::Leaving { pid, .. } => Some(pid),
        }
    }
}

/// One seat of a worker number: the other one is for its successor.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Worker {
    pub(super) life: Life,
    /// Why it wants to be replaced.
    pub(super) tired: Option<Tired>,
    /// How often in a row it died of its start.
    pub(super) early_deaths: u32,
    /// Whether a worker of this number has been ready: later ones are respawned.
    pub(super) has_served: bool,
}

impl Worker {
    /// How long to wait before the next fork, given how this one ended. One death is an accident: only from the
    /// second on does it cost time.
    pub(super) fn pause_after(&mut self, life: Life, ordinary: bool, delay_ms: u64, now: Millis) -> u64 {
        let early = match life {
            Life::Starting { .. } => true,
            Life::Ready { since, .. } => now.since(since) < EARLY_MS,
            _ => false,
        };
        self.early_deaths = if early && !ordinary { self.early_deaths + 1 } else { 0 };
        if self.early_deaths < 2 { 0 } else { pause(delay_ms, self.early_deaths - 1) }
    }
}

/// A load that is under way.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Loading {
    pub(super) since: Millis,
    pub(super) say_at: Millis,
    /// Whether it was asked by now where it stands.
    #[serde(default)]
    pub(super) asked: bool,
}

/// How a generation was told to end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Leave {
    pub(super) command: Command,
    pub(super) kill_at: Millis,
}

/// A template, and the workers it forked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Generation {
    pub(super) number: u32,
    pub(super) role: Role,
    pub(super) template: Template,
    /// When a template that could not be started may be tried again.
    pub(super) template_retry: Millis,
    pub(super) template_failures: u32,
    /// Since when the template loads, and when that is worth a line.
    #[serde(default)]
    pub(super) loading: Option<Loading>,
    /// When it is given up if it does not serve by then.
    #[serde(default)]
    pub(super) give_up_at: Option<Millis>,
    /// It is given up, as soon as it is known where it stands.
    #[serde(default)]
    pub(super) given_up: bool,
    pub(super) leave: Option<Leave>,
    /// Worker numbers.
    count: u32,
    /// Seats: those of `count` workers, then their other ones.
    workers: Vec<Worker>,
    /// Worker numbers that nobody is needed for now (uWSGI says *cheaped*); empty: everybody is.
    #[serde(default)]
    spared: Vec<bool>,
}

impl Generation {
    /// With `active` of its `workers`.
    pub(super) fn new(number: u32, role: Role, workers: u32, active: u32, now: Millis) -> Generation {
        let worker = |seat: u32| {
            let life = if seat < active { Life::Wanted { at: now } } else { Life::Absent };
            Worker { life, tired: None, early_deaths: 0, has_served: false }
        };
        Generation {
            number,
            role,
            template: Template::Absent,
            template_retry: now,
            template_failures: 0,
            loading: None,
            give_up_at: None,
            given_up: false,
            leave: None,
            count: workers,
            workers: (0..2 * workers).map(worker).collect(),
            spared: (0..workers).map(|index| index >= active).collect(),
        }
    }

    /// Whether nobody is needed on `seat`, nor on the other one of the same number.
    pub(super) fn is_spared(&self, seat: u32) -> bool {
        self.spared.get(self.id(seat) as usize - 1).copied().unwrap_or(false)
    }

    /// Says whether somebody is needed for worker number `id`.
    pub(super) fn set_spared(&mut self, id: u32, spared: bool) {
        self.spared.resize(self.count as usize, false);
        self.spared[id as usize - 1] = spared;
    }

    /// Worker numbers somebody is needed for.
    pub(super) fn active(&self) -> u32 {
        (1..=self.count).map(|id| u32::from(!self.is_spared(id))).sum()
    }

    /// The number, as people count, of the worker on `seat`.
    pub(super) fn id(&self, seat: u32) -> u32 {
        (seat - 1) % self.count + 1
    }

    /// The same worker's other seat.
    pub(super) fn other(&self, seat: u32) -> u32 {
        (seat - 1 + self.count) % (2 * self.count) + 1
    }

    /// Worker numbers.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The seats of those who want to be replaced.
    pub(super) fn tired_seats(&self) -> Vec<u32> {
        (1..).zip(&self.workers).filter(|(_, worker)| worker.tired.is_some()).map(|(seat, _)| seat).collect()
    }

    pub(super) fn life(&self, seat: u32) -> Life {
        self.workers[seat as usize - 1].life
    }

    /// Whether somebody must sit on `seat`: the other one is nobody's, or of one who leaves or wants to.
    pub(super) fn is_needed(&self, seat: u32) -> bool {
        let other = &self.workers[self.other(seat) as usize - 1];
        !self.is_spared(seat)
            && (matches!(other.life, Life::Absent | Life::Leaving { .. }) || other.tired.is_some())
    }

    /// How many may be replaced at the same time.
    pub(super) fn replaced_at_once(&self) -> usize {
        (self.count as usize / 10).max(1)
    }

    /// Workers both of whose seats are taken: one of them comes, or leaves.
    pub(super) fn being_replaced(&self) -> usize {
        let (first, second) = self.workers.split_at(self.count as usize);
        first.iter().zip(second).filter(|(a, b)| a.life != Life::Absent && b.life != Life::Absent).count()
    }

    pub(super) fn worker(&mut self, number: u32) -> Option<&mut Worker> {
        self.workers.get_mut((number as usize).checked_sub(1)?)
    }

    /// Every seat with its number.
    pub(super) fn workers(&mut self) -> impl Iterator<Item = (u32, &mut Worker)> {
        (1..).zip(self.workers.iter_mut())
    }

    /// Every seat's life with its number.
    pub(super) fn lives(&self) -> impl Iterator<Item = (u32, Life)> {
        (1..).zip(self.workers.iter().map(|worker| worker.life))
    }

    /// The seat of the worker with process `pid`.
    pub(super) fn number_of(&self, pid: u32) -> Option<u32> {
        (1..).zip(&self.workers).find(|(_, worker)| worker.life.pid() == Some(pid)).map(|(number, _)| number)
    }

    /// Whether it can take over.
    pub(super) fn all_ready(&self) -> bool {
        let ready = |seat: u32| matches!(self.life(seat), Life::Ready { .. });
        let loaded = matches!(self.template, Template::Ready { .. }) || self.active() > 0;
        loaded && (1..=self.count).all(|seat| self.is_spared(seat) || ready(seat) || ready(self.other(seat)))
    }

    /// The process everybody waits for: the template that loads, or a worker that starts.
    pub(super) fn who_loads(&self) -> Option<u32> {
        let starts = |(_, life)| if let Life::Starting { pid, .. } = life { Some(pid) } else { None };
        match self.template {
            Template::Loading { pid } => Some(pid),
            _ => self.lives().find_map(starts),
        }
    }

    /// Worker numbers that serve, and those that should.
    pub(super) fn ready_and_wanted(&self) -> (usize, usize) {
        let (first, second) = self.workers.split_at(self.count as usize);
        let pairs = || first.iter().zip(second).map(|(a, b)| [a.life, b.life]);
        let ready = |life: &Life| matches!(life, Life::Ready { .. });
        let wanted = |life: &Life| !matches!(life, Life::Absent | Life::Leaving { .. });
        let count = |of: &dyn Fn(&Life) -> bool| pairs().filter(|pair| pair.iter().any(of)).count();
        (count(&ready), count(&wanted))
    }

    pub(super) fn all_absent(&self) -> bool {
        self.workers.iter().all(|worker| worker.life == Life::Absent)
    }

    pub(super) fn wants_a_worker(&self, now: Millis) -> bool {
        self.workers.iter().any(|worker| matches!(worker.life, Life::Wanted { at } if at <= now))
    }

    pub(super) fn waits_for_a_fork(&self) -> bool {
        self.workers.iter().any(|worker| matches!(worker.life, Life::Forking { .. }))
    }

    /// The template is gone: what it was asked for is wanted again, or never will be.
    pub(super) fn recall_forks(&mut self, now: Millis) {
        let leaving = self.role == Role::Leaving;
        for worker in &mut self.workers {
            if matches!(worker.life, Life::Forking { .. }) {
                worker.life = if leaving { Life::Absent } else { Life::Wanted { at: now } };
            }
        }
    }

    /// Everybody shall end: by themselves until `kill_at`, which a second call can only bring nearer.
    pub(super) fn leave(
        &mut self,
        command: Command,
        kill_at: Millis,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        self.role = Role::Leaving;
        let leave = self.leave.get_or_insert(Leave { command, kill_at });
        *leave = Leave { command: leave.command.max(command), kill_at: leave.kill_at.min(kill_at) };
        let Leave { command, kill_at } = *leave;
        let (generation, count) = (self.number, self.count);
        for (worker, entry) in (1..).zip(self.workers.iter_mut()) {
            match entry.life {
                Life::Absent => continue,
                Life::Wanted { .. } => {
                    entry.life = Life::Absent;
                    continue;
                }
                // It hears the command as soon as it lives.
                Life::Forking { .. } => {}
                Life::Starting { pid, .. } | Life::Ready { pid, .. } => {
                    if command == Command::Drain {
                        actions.push(Action::Say(lines::finishing((worker - 1) % count + 1, pid)));
                    }
                    entry.life = Life::Leaving { pid, since: now, kill_at, killed: false };
                }
                Life::Leaving { pid, since, killed, .. } => {
                    entry.life = Life::Leaving { pid, since, kill_at, killed };
                }
            }
            actions.push(Action::Tell { generation, worker, command });
        }
        // What is still importing the application listens to nobody.
        if let Template::Loading { pid } = self.template {
            actions.push(Action::Kill { pid });
            self.template = Template::Dismissed { pid, kill_at: now.after(DISMISS_MS) };
        }
    }

    /// All times at which something is due. What waits for the template's news is not among them.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = Millis> {
        let (template, leave) = (self.template, self.leave);
        let due = match template {
            Template::Dismissed { kill_at, .. } => Some(kill_at),
            Template::Loading { .. } => self.loading.map(|loading| loading.say_at),
            _ => None,
        };
        let give_up = self.give_up_at.filter(|_| self.role == Role::Coming);
        let of_worker = move |worker: &Worker| match (worker.life, template) {
            (Life::Wanted { at }, Template::Ready { .. }) => Some(at),
            (Life::Wanted { at }, Template::Absent) => Some(at.max(self.template_retry)),
            (Life::Forking { since }, Template::Ready { .. }) => {
                let stuck = since.after(FORK_MS);
                Some(leave.map_or(stuck, |leave| leave.kill_at.min(stuck)))
            }
            (Life::Leaving { kill_at, killed: false, .. }, _) => Some(kill_at),
            _ => None,
        };
        due.into_iter().chain(give_up).chain(self.workers.iter().filter_map(of_worker))
    }
}
