//! What clients of the control socket ask: answered at once, or when a reload is over.

use super::super::herald::{self, Summary};
use super::generation::{Generation, Life, Role};
use super::words::{Picture, WorkerPicture};
use super::{Action, Phase, State, Wish, lines};
use crate::base::clock::Millis;
use crate::control::server::ClientId;
use crate::control::words::{Answer, Request};
use crate::shared::instance::Stage;

impl State {
    pub(super) fn asked(
        &mut self,
        client: ClientId,
        request: Request,
        now: Millis,
        actions: &mut Vec<Action>,
    ) {
        let answer = match request {
            Request::Status => {
                actions.push(Action::Report { client, picture: self.picture() });
                return;
            }
            Request::Look => {
                actions.push(Action::Look { client });
                return;
            }
            Request::Reload { wait } => match self.cannot_reload() {
                Some(why) => Answer::failed(why),
                None => {
                    self.wished(Wish::Reload, now, actions);
                    if wait {
                        self.waiting.push(client);
                        return;
                    }
                    Answer::done("the reload has begun; the log tells how it ends")
                }
            },
            Request::Dump(pid) => {
                actions.push(Action::Dump { client, pid });
                return;
            }
            Request::Drain { undo } => self.drain_asked(!undo, actions),
            Request::Workers(change) => self.change(change, now, actions),
            Request::Stop { now: at_once, .. } => {
                self.wished(if at_once { Wish::StopNow } else { Wish::Stop }, now, actions);
                Answer::done("the server is stopping")
            }
        };
        let keep = matches!(request, Request::Stop { wait: true, .. });
        actions.push(Action::Answer { client, answer, keep });
    }

    fn drain_asked(&mut self, drain: bool, actions: &mut Vec<Action>) -> Answer {
        if self.phase != Phase::Running || self.stop_at.is_some() {
            return Answer::failed("the server is stopping");
        }
        self.drain(drain, actions);
        Answer::done(if drain {
            "draining: still serving, without keep-alive (`drain --undo` ends that, `stop` the server)"
        } else {
            "serving as before"
        })
    }

    /// Clients and front ends are told to look for another server, or not any more.
    pub(super) fn drain(&mut self, drain: bool, actions: &mut Vec<Action>) {
        if self.draining != drain {
            self.draining = drain;
            actions.push(Action::Say(lines::draining(drain).to_owned()));
            actions.push(Action::Drain(drain));
        }
    }

    fn cannot_reload(&self) -> Option<&'static str> {
        match self.phase {
            Phase::Running if self.policy.exit_on_reload => {
                Some("exit-on-reload is set: a reload would end the server; use stop")
            }
            Phase::Running if !self.served => Some("the server is still starting"),
            Phase::Running if self.stop_at.is_some() => Some("the server is stopping"),
            Phase::Running => None,
            Phase::Stopping { .. } | Phase::Over => Some("the server is stopping"),
        }
    }

    /// A reload is over: whoever waits for it is told.
    pub(super) fn reload_over(&mut self, answer: &Answer, actions: &mut Vec<Action>) {
        for client in self.waiting.drain(..) {
            actions.push(Action::Answer { client, answer: answer.clone(), keep: false });
        }
    }

    /// What the server is doing.
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Stopping { .. } | Phase::Over => Stage::Stopping,
            Phase::Running if !self.served => Stage::Starting,
            Phase::Running if self.stop_at.is_some() => Stage::Stopping,
            Phase::Running if self.draining => Stage::Draining,
            Phase::Running if self.reload_wanted || self.generations.len() > 1 => Stage::Reloading,
            Phase::Running => Stage::Running,
        }
    }

    /// How it goes, for the service manager.
    pub fn summary(&self) -> Summary {
        let coming = self.reload_wanted || self.generations.iter().any(|g| g.role == Role::Coming);
        let phase = match self.phase {
            Phase::Stopping { .. } | Phase::Over => herald::Phase::Stopping,
            Phase::Running if self.stop_at.is_some() => herald::Phase::Stopping,
            Phase::Running if !self.served => herald::Phase::Starting,
            Phase::Running if coming => herald::Phase::Reloading,
            Phase::Running => herald::Phase::Running,
        };
        let templates = self.generations.iter().filter_map(|g| g.template.pid()).collect();
        let mut summary = Summary { phase, paused: self.paused, templates, ..Summary::default() };
        if let Some(serving) = self.generations.iter().find(|g| g.role == Role::Serving) {
            summary.generation = serving.number;
            (summary.ready, summary.wanted) = serving.ready_and_wanted();
        }
        summary
    }

    fn picture(&self) -> Picture {
        let phase = self.stage().name();
        // When the server stops, the last one that served is leaving too.
        let rank = |generation: &&Generation| match generation.role {
            Role::Serving => 2,
            Role::Leaving => 1,
            Role::Coming => 0,
        };
        let serving = self.generations.iter().max_by_key(rank);
        let workers = self.generations.iter().flat_map(pictures_of).collect();
        Picture { phase, generation: serving.map_or(0, |generation| generation.number), workers }
    }
}

fn pictures_of(generation: &Generation) -> Vec<WorkerPicture> {
    let state_of = |life: Life| match life {
        Life::Absent => None,
        Life::Wanted { .. } | Life::Forking { .. } => Some("wanted"),
        Life::Starting { .. } => Some("starting"),
        Life::Ready { .. } => Some("ready"),
        Life::Leaving { .. } => Some("leaving"),
    };
    let picture = |(seat, life): (u32, Life)| {
        let (id, pid) = (generation.id(seat), life.pid().unwrap_or(0));
        state_of(life).map(|state| WorkerPicture { id, seat, generation: generation.number, pid, state })
    };
    let mut all: Vec<WorkerPicture> = generation.lives().filter_map(picture).collect();
    let number = generation.number;
    let spared = (1..=generation.count()).filter(|id| generation.is_spared(*id));
    let cheap = |id| WorkerPicture { id, seat: id, generation: number, pid: 0, state: "cheap" };
    all.extend(
        spared
            .filter(|id| generation.role == Role::Serving && !all.iter().any(|worker| worker.id == *id))
            .map(cheap)
            .collect::<Vec<_>>(),
    );
    all
}

/// The answer when the new generation serves.
pub(super) fn reloaded(generation: u32) -> Answer {
    Answer::done(lines::now_serves(generation))
}
