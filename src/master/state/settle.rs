//! What follows from the facts and the time.

use super::generation::{Generation, Life, Role, Template};
use super::{Action, DISMISS_MS, FORK_MS, LOCATE_MS, Phase, State, lines};
use crate::base::clock::Millis;
use crate::shared::area::Tired;

/// Brings the facts up to `now`. Called after every event; doing it twice does nothing more.
pub(super) fn settle(state: &mut State, now: Millis, actions: &mut Vec<Action>) {
    let (mercy_ms, served) = (state.policy.mercy_ms, state.served);
    if state.phase == Phase::Running && state.stop_at.is_some_and(|at| at <= now) {
        state.stop_at = None;
        state.stop(super::Command::Drain, 0, now, actions);
    }
    promote(state, now, actions);
    give_up_the_late(state, now, actions);
    for generation in &mut state.generations {
        relieve(generation, mercy_ms, now, actions);
        generation.fill(now);
        supply(generation, served, now, actions);
        kill_the_late(generation, now, actions);
        let_template_go(generation, now, actions);
        tell_of_a_slow_load(generation, now, actions);
    }
    state.generations.retain(|generation| !is_over(generation));
    begin_reload(state, now, actions);
    if let Phase::Stopping { code } = state.phase
        && state.generations.is_empty()
    {
        if code == 0 {
            actions.push(Action::Say(lines::GOODBYE.to_owned()));
        }
        actions.push(Action::Exit(code));
        state.phase = Phase::Over;
    }
}

/// Workers that want to be replaced get a successor, a few at a time, and leave when it serves.
fn relieve(generation: &mut Generation, mercy_ms: u64, now: Millis, actions: &mut Vec<Action>) {
    if generation.role != Role::Serving {
        return;
    }
    let mut room = generation.replaced_at_once().saturating_sub(generation.being_replaced());
    for seat in generation.tired_seats() {
        let (number, id, other) = (generation.number, generation.id(seat), generation.other(seat));
        let after = generation.life(other);
        let Some(entry) = generation.worker(seat) else { continue };
        let Life::Ready { pid, .. } = entry.life else { continue };
        let urgent = entry.tired == Some(Tired::Stuck);
        match after {
            // It was killed, and its end is news of its own.
            Life::Ready { .. } if entry.tired == Some(Tired::Evil) => {}
            Life::Ready { .. } => {
                let kill_at = now.after(mercy_ms);
                entry.tired = None;
                entry.life = Life::Leaving { pid, since: now, kill_at, killed: false };
                actions.push(Action::Say(lines::relieved(id, pid)));
                actions.push(Action::Tell {
                    generation: number,
                    worker: seat,
                    command: super::Command::Drain,
                });
            }
            Life::Absent if urgent || room > 0 => {
                room = room.saturating_sub(1);
                if let Some(successor) = generation.worker(other) {
                    successor.life = Life::Wanted { at: now };
                    successor.tired = None;
                    successor.early_deaths = 0;
                    successor.has_served = true;
                }
            }
            _ => {}
        }
    }
}

/// After 3 seconds, 6, 12…: who waits for it shall know what for. First it is asked where it stands.
fn tell_of_a_slow_load(generation: &mut Generation, now: Millis, actions: &mut Vec<Action>) {
    let (number, template) = (generation.number, generation.template);
    if let (Template::Loading { pid }, Some(loading)) = (template, &mut generation.loading)
        && loading.say_at <= now
    {
        loading.asked = !loading.asked;
        if loading.asked {
            loading.say_at = now.after(LOCATE_MS);
            actions.push(Action::Locate { pid });
        } else {
            loading.say_at = now.after(now.since(loading.since));
            actions.push(Action::Located { generation: number });
        }
    }
}

/// Forks workers that are due, and sees to a template that can. A generation that was never ready needs one in any
/// case: whether the application loads is to be known, also where no worker is needed yet.
fn supply(generation: &mut Generation, served: bool, now: Millis, actions: &mut Vec<Action>) {
    let new = !served || generation.role == Role::Coming;
    if generation.role == Role::Leaving || !(new || generation.wants_a_worker(now)) {
        return;
    }
    let number = generation.number;
    match generation.template {
        Template::Absent if generation.template_retry <= now => {
            generation.template = Template::Asked;
            actions.push(Action::StartTemplate { generation: number });
        }
        Template::Ready { .. } => {
            for (worker, entry) in generation.workers() {
                if matches!(entry.life, Life::Wanted { at } if at <= now) {
                    entry.life = Life::Forking { since: now };
                    actions.push(Action::Fork { generation: number, worker });
                }
            }
        }
        _ => {}
    }
}

fn kill_the_late(generation: &mut Generation, now: Millis, actions: &mut Vec<Action>) {
    let leave = generation.leave;
    let count = generation.count();
    let mut stuck = false;
    for (worker, entry) in generation.workers() {
        match &mut entry.life {
            Life::Leaving { pid, kill_at, killed, .. } if *kill_at <= now && !*killed => {
                *killed = true;
                actions.push(Action::Say(lines::no_mercy((worker - 1) % count + 1, *pid)));
                actions.push(Action::Kill { pid: *pid });
            }
            Life::Forking { since } => {
                stuck |= since.after(FORK_MS) <= now || leave.is_some_and(|leave| leave.kill_at <= now);
            }
            _ => {}
        }
    }
    if let (true, Template::Ready { pid }) = (stuck, generation.template) {
        actions.push(Action::Say(lines::template_stuck(pid)));
        actions.push(Action::Kill { pid });
        generation.template = Template::Dismissed { pid, kill_at: now.after(DISMISS_MS) };
    }
}

/// The template of a generation without workers has nothing left to do.
fn let_template_go(generation: &mut Generation, now: Millis, actions: &mut Vec<Action>) {
    match generation.template {
        Template::Ready { pid } if generation.role == Role::Leaving && generation.all_absent() => {
            generation.template = Template::Dismissed { pid, kill_at: now.after(DISMISS_MS) };
            actions.push(Action::Dismiss { generation: generation.number });
        }
        // It was forked after its generation was told to leave.
        Template::Loading { pid } if generation.role == Role::Leaving => {
            generation.template = Template::Dismissed { pid, kill_at: now.after(DISMISS_MS) };
            actions.push(Action::Kill { pid });
        }
        Template::Dismissed { pid, kill_at } if kill_at <= now => {
            generation.template = Template::Dismissed { pid, kill_at: now.after(DISMISS_MS) };
            actions.push(Action::Kill { pid });
        }
        _ => {}
    }
}

/// The new generation takes over when all of it serves.
fn promote(state: &mut State, now: Millis, actions: &mut Vec<Action>) {
    let kill_at = now.after(state.policy.mercy_ms);
    let Some(new) = state.with_role(Role::Coming).filter(|generation| generation.all_ready()) else { return };
    let number = new.number;
    // First: the old workers look whether somebody else answers what waits.
    actions.push(Action::Serve { generation: number });
    if let Some(old) = state.with_role(Role::Serving) {
        actions.push(Action::Say(lines::reloaded(number)));
        old.leave(super::Command::Drain, kill_at, now, actions);
    }
    if let Some(new) = state.generation(number) {
        new.role = Role::Serving;
    }
    state.reload_over(&super::asked::reloaded(number), actions);
}

/// A new generation that still does not serve: the old one goes on, and who waits for the reload is told, as soon as
/// it is known where the new one stands.
fn give_up_the_late(state: &mut State, now: Millis, actions: &mut Vec<Action>) {
    let coming = state.with_role(Role::Coming);
    let Some(late) = coming.filter(|it| it.give_up_at.is_some_and(|at| at <= now)) else { return };
    if std::mem::replace(&mut late.given_up, true) {
        late.give_up_at = None;
        actions.push(Action::Located { generation: late.number });
    } else {
        late.give_up_at = Some(now.after(LOCATE_MS));
        actions.extend(late.who_loads().map(|pid| Action::Locate { pid }));
    }
}

fn begin_reload(state: &mut State, now: Millis, actions: &mut Vec<Action>) {
    let [serving] = state.generations.as_slice() else { return };
    if !state.reload_wanted || serving.role != Role::Serving {
        return;
    }
    let (old, active) = (serving.number, state.first_workers(Some(serving.active())));
    state.reload_wanted = false;
    state.scaler.forget();
    let mut new = Generation::new(old + 1, Role::Coming, state.policy.workers, active, now);
    let timeout_ms = state.policy.reload_timeout_ms;
    new.give_up_at = (timeout_ms > 0).then(|| now.after(timeout_ms));
    actions.push(Action::Say(lines::reloading(old, new.number)));
    supply(&mut new, true, now, actions);
    state.generations.push(new);
}

fn is_over(generation: &Generation) -> bool {
    generation.role == Role::Leaving && generation.template == Template::Absent && generation.all_absent()
}
