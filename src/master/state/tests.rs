//! The table of decisions, played through with fake time.

mod crowd;
mod lost;
mod replacing;

use super::*;
use crate::control::words::Request;
use crate::options::scaling::Scaling;
use crate::options::settings::Touch;

const POLICY: Policy = Policy {
    workers: 2,
    cores: 4,
    mercy_ms: 60_000,
    drain_delay_ms: 0,
    reload_timeout_ms: 0,
    forkbomb_delay_ms: 2_000,
    exit_on_reload: false,
    master_pid: 1,
    scaling: Scaling::DEFAULT,
};

/// A state, its clock, and the pids given so far.
struct Play {
    state: State,
    now: Millis,
    said: Vec<String>,
}

impl Play {
    fn new() -> Play {
        Play { state: State::new(POLICY), now: Millis(1_000_000), said: Vec::new() }
    }

    /// What the event led to, without the lines, which are kept apart.
    fn on(&mut self, event: Event) -> Vec<Action> {
        let actions = self.state.handle(event, self.now);
        // Settled means settled: nothing more follows from the same facts at the same time.
        assert_eq!(self.state.handle(Event::Tick, self.now), [], "after {actions:?}");
        if let Some(deadline) = self.state.deadline() {
            assert!(deadline > self.now, "a deadline in the past would spin the loop");
        }
        let (lines, rest) =
            actions.into_iter().partition::<Vec<_>, _>(|action| matches!(action, Action::Say(_)));
        self.said.extend(lines.into_iter().filter_map(|action| match action {
            Action::Say(line) => Some(line),
            _ => None,
        }));
        rest
    }

    fn after(&mut self, ms: u64) -> Vec<Action> {
        self.now = self.now.after(ms);
        self.on(Event::Tick)
    }

    fn said(&mut self, part: &str) -> bool {
        let found = self.said.iter().any(|line| line.contains(part));
        self.said.clear();
        found
    }

    /// A server whose two workers (pids 11 and 12, of template 10) serve.
    fn serving() -> Play {
        let mut play = Play::new();
        assert_eq!(play.on(Event::Start), [Action::StartTemplate { generation: 1 }]);
        assert_eq!(play.on(Event::TemplateForked { generation: 1, pid: 10 }), []);
        assert_eq!(play.on(Event::TemplateReady { generation: 1 }), [fork(1, 1), fork(1, 2)]);
        assert_eq!(play.start_worker(1, 1, 11), [Action::Announce]);
        assert_eq!(play.start_worker(1, 2, 12), []);
        assert!(play.said("spawned uWSGI worker 2 (pid: 12, cores: 4)"));
        play.now = play.now.after(10_000);
        play
    }

    fn start_worker(&mut self, generation: u32, worker: u32, pid: u32) -> Vec<Action> {
        assert_eq!(self.on(Event::Forked { generation, worker, pid }), []);
        self.on(Event::Ready { pid })
    }

    /// A reload whose template (pid 20) has loaded.
    fn reloading() -> Play {
        let mut play = Play::serving();
        assert_eq!(play.on(wish(Wish::Reload)), [Action::StartTemplate { generation: 2 }]);
        assert_eq!(play.on(Event::TemplateForked { generation: 2, pid: 20 }), []);
        play
    }
}

fn fork(generation: u32, worker: u32) -> Action {
    Action::Fork { generation, worker }
}

fn bury(pid: u32) -> Action {
    Action::Bury { pid, crashed: None }
}

fn crashed(pid: u32, id: u32) -> Action {
    Action::Bury { pid, crashed: Some(id) }
}

fn tell(generation: u32, worker: u32, command: Command) -> Action {
    Action::Tell { generation, worker, command }
}

fn wish(wish: Wish) -> Event {
    Event::Wished(wish)
}

fn exited(pid: u32, code: i32) -> Event {
    Event::Exited { pid, status: Status::Exited(code) }
}

fn killed(pid: u32, signal: i32) -> Event {
    Event::Exited { pid, status: Status::Killed(signal) }
}

#[test]
fn a_server_starts_template_first() {
    let mut play = Play::serving();
    assert_eq!(play.state.deadline(), None);
    assert_eq!(play.on(Event::Ready { pid: 11 }), []);
    assert_eq!(play.on(exited(999, 0)), [], "an orphan of the application's");
}

#[test]
fn an_application_that_does_not_load_ends_the_start() {
    for (code, exit, said) in [(22, 22, false), (1, 1, true)] {
        let mut play = Play::new();
        play.on(Event::Start);
        play.on(Event::TemplateForked { generation: 1, pid: 10 });
        assert_eq!(play.on(exited(10, code)), [Action::Exit(exit)]);
        assert_eq!(play.said("could not be started (exit code 1)"), said);
    }
}

#[test]
fn a_worker_that_cannot_load_the_application_ends_the_start_too() {
    let mut play = Play::new();
    play.on(Event::Start);
    play.on(Event::TemplateForked { generation: 1, pid: 10 });
    play.on(Event::TemplateReady { generation: 1 });
    play.on(Event::Forked { generation: 1, worker: 1, pid: 11 });
    let last = play.on(exited(11, 22));
    assert_eq!(last, [tell(1, 2, Command::Quit), crashed(11, 1)]);
    // Worker 2 was being forked; it hears the command as soon as it lives.
    assert_eq!(play.on(Event::Forked { generation: 1, worker: 2, pid: 12 }), [tell(1, 2, Command::Quit)]);
    assert_eq!(play.on(exited(12, 22)), [bury(12), Action::Dismiss { generation: 1 }]);
    assert_eq!(play.on(exited(10, 0)), [Action::Exit(22)]);
    assert!(!play.said(lines::GOODBYE));
}

#[test]
fn a_template_that_cannot_be_forked_ends_the_start() {
    let mut play = Play::new();
    play.on(Event::Start);
    let event = Event::TemplateNotForked { generation: 1, why: "no memory".to_owned() };
    assert_eq!(play.on(event), [Action::Exit(1)]);
    assert!(play.said("could not be started (no memory)"));
}

#[test]
fn a_dead_worker_is_replaced_at_once() {
    let mut play = Play::serving();
    assert_eq!(play.on(killed(11, 11)), [crashed(11, 1), fork(1, 1)]);
    assert!(play.said("DAMN ! worker 1 (pid: 11) died, killed by signal 11 :( trying respawn ..."));
    play.on(Event::Forked { generation: 1, worker: 1, pid: 13 });
    assert!(play.said("Respawned uWSGI worker 1 (new pid: 13)"));
    play.on(Event::Ready { pid: 13 });
    assert!(!play.said("spawned"));
}

#[test]
fn a_recycled_worker_is_replaced_without_a_fuss() {
    let mut play = Play::serving();
    for pid in 20..25 {
        assert_eq!(play.on(exited(if pid == 20 { 11 } else { pid - 1 }, 0)).last(), Some(&fork(1, 1)));
        play.start_worker(1, 1, pid);
    }
    assert!(!play.said("DAMN"));
}

#[test]
fn workers_that_die_of_their_start_are_tried_less_and_less_often() {
    let mut play = Play::serving();
    let mut pid = 11;
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let actions = play.on(exited(pid, 1));
        assert_eq!(actions[0], crashed(pid, 1));
        if actions.len() == 1 {
            let deadline = play.state.deadline().expect("a pause ends");
            pauses.push(deadline.since(play.now));
            assert_eq!(play.after(deadline.since(play.now) - 1), []);
            assert_eq!(play.after(1), [fork(1, 1)]);
        }
        pid += 100;
        assert_eq!(play.on(Event::Forked { generation: 1, worker: 1, pid }), []);
    }
    // The first had served for long, and the second death is an accident.
    assert_eq!(pauses, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    assert!(play.said("next try in 30 seconds"));
    // One that holds out is forgiven.
    play.on(Event::Ready { pid });
    play.after(1_000);
    assert_eq!(play.on(exited(pid, 1)), [crashed(pid, 1), fork(1, 1)]);
    // The pauses begin with forkbomb-delay; 0: there are none.
    for delay_ms in [7_000, 0] {
        let mut play = Play::serving();
        play.state.policy.forkbomb_delay_ms = delay_ms;
        for pid in [11, 111] {
            assert_eq!(play.on(exited(pid, 1)), [crashed(pid, 1), fork(1, 1)]);
            play.on(Event::Forked { generation: 1, worker: 1, pid: pid + 100 });
        }
        if delay_ms == 0 {
            assert_eq!(play.on(exited(211, 1)), [crashed(211, 1), fork(1, 1)]);
            continue;
        }
        assert_eq!(play.on(exited(211, 1)), [crashed(211, 1)]);
        assert_eq!(play.after(delay_ms - 1), []);
        assert_eq!(play.after(1), [fork(1, 1)]);
    }
}

#[test]
fn a_failing_fork_is_tried_again_later() {
    let mut play = Play::serving();
    play.on(killed(11, 9));
    let event = Event::NotForked { generation: 1, worker: 1, why: "EAGAIN".to_owned() };
    assert_eq!(play.on(event), []);
    assert_eq!(play.after(2_000), [fork(1, 1)]);
}

#[test]
fn workers_outlive_their_template() {
    let mut play = Play::serving();
    assert_eq!(play.on(killed(10, 9)), []);
    assert_eq!(play.state.deadline(), None);
    assert!(play.said("workers go on"));
    // Needed again: loaded again, as the same generation.
    assert_eq!(play.on(killed(12, 9)), [crashed(12, 2), Action::StartTemplate { generation: 1 }]);
    assert_eq!(play.on(Event::TemplateForked { generation: 1, pid: 110 }), []);
    assert_eq!(play.on(Event::TemplateReady { generation: 1 }), [fork(1, 2)]);
    play.start_worker(1, 2, 112);
    // This time it dies with a fork owed, and does not load the second time.
    assert_eq!(play.on(killed(11, 9)), [crashed(11, 1), fork(1, 1)]);
    assert_eq!(play.on(killed(110, 9)), []);
    assert_eq!(play.after(2_000), [Action::StartTemplate { generation: 1 }]);
    assert_eq!(play.on(Event::TemplateForked { generation: 1, pid: 210 }), []);
    assert_eq!(play.on(exited(210, 22)), []);
    assert!(play.said("next try in 4 seconds"));
    assert_eq!(play.after(3_999), []);
    assert_eq!(play.after(1), [Action::StartTemplate { generation: 1 }]);
}

#[test]
fn a_template_that_does_not_fork_is_replaced() {
    let mut play = Play::serving();
    play.on(killed(11, 9));
    assert_eq!(play.after(29_999), []);
    assert_eq!(play.after(1), [Action::Kill { pid: 10 }]);
    assert_eq!(play.on(killed(10, 9)), []);
    assert_eq!(play.after(2_000), [Action::StartTemplate { generation: 1 }]);
}

#[test]
fn a_reload_starts_the_new_before_it_ends_the_old() {
    let mut play = Play::reloading();
    assert_eq!(play.on(Event::TemplateReady { generation: 2 }), [fork(2, 1), fork(2, 2)]);
    assert_eq!(play.start_worker(2, 1, 21), []);
    let last = play.start_worker(2, 2, 22);
    let drains = [tell(1, 1, Command::Drain), tell(1, 2, Command::Drain)];
    assert_eq!(last, [&[Action::Serve { generation: 2 }], &drains[..]].concat());
    assert!(play.said("Gracefully killing worker 1 (pid: 11)..."));
    assert_eq!(play.on(exited(11, 0)), [bury(11)]);
    assert_eq!(play.after(59_999), []);
    assert_eq!(play.after(1), [Action::Kill { pid: 12 }]);
    assert!(play.said("worker 2 (pid: 12) is taking too much time to die...NO MERCY !!!"));
    assert_eq!(play.on(killed(12, 9)), [bury(12), Action::Dismiss { generation: 1 }]);
    assert_eq!(play.on(exited(10, 0)), []);
    assert_eq!(play.state.deadline(), None);
    // The new one is a server like any other, and so is the next.
    assert_eq!(play.on(killed(21, 6)), [crashed(21, 1), fork(2, 1)]);
    play.start_worker(2, 1, 31);
    assert_eq!(play.on(wish(Wish::Reload)), [Action::StartTemplate { generation: 3 }]);
}

#[test]
fn a_new_generation_that_does_not_load_changes_nothing() {
    let mut play = Play::reloading();
    assert_eq!(play.on(exited(20, 22)), []);
    assert!(play.said("reload failed: generation 2: no app loaded; generation 1 goes on serving"));
    assert_eq!(play.on(killed(11, 9)), [crashed(11, 1), fork(1, 1)]);
    assert_eq!(play.on(wish(Wish::Reload)), [Action::StartTemplate { generation: 2 }]);
}

#[test]
fn a_new_generation_whose_worker_dies_is_given_up() {
    let mut play = Play::reloading();
    play.on(Event::TemplateReady { generation: 2 });
    play.start_worker(2, 1, 21);
    play.on(Event::Forked { generation: 2, worker: 2, pid: 22 });
    assert_eq!(play.on(exited(22, 22)), [tell(2, 1, Command::Quit), crashed(22, 2)]);
    assert!(play.said("worker 2 ended at its start (no app loaded)"));
    assert_eq!(play.after(3_000), [Action::Kill { pid: 21 }]);
    assert_eq!(play.on(killed(21, 9)), [bury(21), Action::Dismiss { generation: 2 }]);
    assert_eq!(play.after(3_000), [Action::Kill { pid: 20 }]);
    assert_eq!(play.on(killed(20, 9)), []);
    assert_eq!(play.state.deadline(), None);
}

#[test]
fn a_new_worker_may_be_recycled_before_the_others_are_ready() {
    let mut play = Play::reloading();
    play.on(Event::TemplateReady { generation: 2 });
    play.start_worker(2, 1, 21);
    assert_eq!(play.on(exited(21, 0)), [bury(21), fork(2, 1)]);
}

#[test]
fn a_reload_during_a_reload_begins_anew() {
    let mut play = Play::reloading();
    assert_eq!(play.on(wish(Wish::Reload)), [Action::Kill { pid: 20 }]);
    assert_eq!(play.on(killed(20, 9)), [Action::StartTemplate { generation: 2 }]);
}

#[test]
fn a_reload_while_the_last_one_ends_comes_after_it() {
    let mut play = Play::reloading();
    play.on(Event::TemplateReady { generation: 2 });
    play.start_worker(2, 1, 21);
    play.start_worker(2, 2, 22);
    assert_eq!(play.on(wish(Wish::Reload)), []);
    play.on(exited(11, 0));
    play.on(exited(12, 0));
    assert_eq!(play.on(exited(10, 0)), [Action::StartTemplate { generation: 3 }]);
}

#[test]
fn a_reload_before_the_first_worker_serves_is_ignored() {
    let mut play = Play::new();
    play.on(Event::Start);
    assert_eq!(play.on(wish(Wish::Reload)), []);
    assert!(play.said(lines::STILL_STARTING));
}

#[test]
fn a_touched_file_reloads() {
    let mut play = Play::serving();
    assert_eq!(
        play.on(Event::Touched { path: "/app/reload".into(), what: Touch::Reload }),
        [Action::StartTemplate { generation: 2 }]
    );
    assert!(play.said("*** /app/reload has been touched... grace them all !!! ***"));
}

#[test]
fn a_stop_waits_for_the_workers() {
    let mut play = Play::serving();
    assert_eq!(play.on(wish(Wish::Stop)), [tell(1, 1, Command::Drain), tell(1, 2, Command::Drain)]);
    assert_eq!(play.on(wish(Wish::Reload)), [], "too late");
    assert_eq!(play.on(exited(11, 0)), [bury(11)]);
    assert_eq!(play.on(exited(12, 0)), [bury(12), Action::Dismiss { generation: 1 }]);
    assert_eq!(play.on(exited(10, 0)), [Action::Exit(0)]);
    assert!(play.said(lines::GOODBYE));
}

#[test]
fn a_stop_has_an_end() {
    let mut play = Play::serving();
    play.on(wish(Wish::Stop));
    assert_eq!(play.after(60_000), [Action::Kill { pid: 11 }, Action::Kill { pid: 12 }]);
    assert_eq!(play.state.deadline(), None, "each is killed once");
}

#[test]
fn a_second_stop_hurries() {
    for second in [Wish::Stop, Wish::StopNow] {
        let mut play = Play::serving();
        play.on(wish(Wish::Stop));
        assert_eq!(play.on(wish(second)), [tell(1, 1, Command::Quit), tell(1, 2, Command::Quit)]);
        assert_eq!(play.after(2_999), []);
        assert_eq!(play.after(1), [Action::Kill { pid: 11 }, Action::Kill { pid: 12 }]);
    }
}

#[test]
fn an_interrupt_stops_at_once() {
    let mut play = Play::serving();
    assert_eq!(play.on(wish(Wish::StopNow)), [tell(1, 1, Command::Quit), tell(1, 2, Command::Quit)]);
    assert!(play.said(lines::KILLING));
    // Asking again does not give them more time.
    play.after(2_000);
    play.on(wish(Wish::StopNow));
    assert_eq!(play.after(1_000), [Action::Kill { pid: 11 }, Action::Kill { pid: 12 }]);
}

#[test]
fn a_stop_while_the_application_loads_does_not_wait_for_it() {
    let mut play = Play::new();
    play.on(Event::Start);
    play.on(Event::TemplateForked { generation: 1, pid: 10 });
    assert_eq!(play.on(wish(Wish::Stop)), [Action::Kill { pid: 10 }]);
    assert_eq!(play.on(killed(10, 9)), [Action::Exit(0)]);
}

#[test]
fn a_stop_ends_a_reload_with_everything_else() {
    let mut play = Play::reloading();
    play.on(Event::TemplateReady { generation: 2 });
    play.start_worker(2, 1, 21);
    let tells = play.on(wish(Wish::Stop));
    let drain = |generation, worker| tell(generation, worker, Command::Drain);
    assert_eq!(tells, [drain(1, 1), drain(1, 2), drain(2, 1), drain(2, 2)]);
    // The template still owes a worker, which is born into the stop.
    assert_eq!(play.on(Event::Forked { generation: 2, worker: 2, pid: 22 }), [drain(2, 2)]);
    for pid in [11, 12, 21, 22] {
        play.on(exited(pid, 0));
    }
    play.on(exited(20, 0));
    assert_eq!(play.on(exited(10, 0)), [Action::Exit(0)]);
}

#[test]
fn a_stop_while_a_worker_waits_for_its_respawn_needs_no_fork() {
    let mut play = Play::serving();
    play.on(killed(11, 9));
    play.on(Event::NotForked { generation: 1, worker: 1, why: String::new() });
    assert_eq!(play.on(wish(Wish::Stop)), [tell(1, 2, Command::Drain)]);
    assert_eq!(play.on(exited(12, 0)), [bury(12), Action::Dismiss { generation: 1 }]);
}

#[test]
fn exit_on_reload_stops_instead() {
    let mut play = Play::serving();
    play.state.policy.exit_on_reload = true;
    assert_eq!(play.on(wish(Wish::Reload)), [tell(1, 1, Command::Drain), tell(1, 2, Command::Drain)]);
}

#[test]
fn totals_are_only_looked_at() {
    let mut play = Play::serving();
    assert_eq!(play.on(wish(Wish::Totals)), [Action::Totals]);
}

fn asks(client: u32, request: Request) -> Event {
    Event::Asked { client, request }
}

/// Who was answered, and whether it was good news.
fn answers(actions: &[Action]) -> Vec<(u32, bool)> {
    let answer = |action: &Action| match action {
        Action::Answer { client, answer, .. } => Some((*client, answer.ok)),
        _ => None,
    };
    actions.iter().filter_map(answer).collect()
}

#[test]
fn who_waits_for_a_reload_is_told_when_it_serves() {
    let mut play = Play::serving();
    let begun = play.on(asks(1, Request::Reload { wait: true }));
    assert_eq!(begun, [Action::StartTemplate { generation: 2 }]);
    assert_eq!(answers(&play.on(asks(2, Request::Reload { wait: false }))), [(2, true)]);
    // The second request replaced the first template; who waits, waits for the one that comes now.
    play.on(Event::TemplateForked { generation: 2, pid: 20 });
    assert_eq!(play.on(killed(20, 9)), [Action::StartTemplate { generation: 2 }]);
    play.on(Event::TemplateForked { generation: 2, pid: 30 });
    play.on(Event::TemplateReady { generation: 2 });
    play.start_worker(2, 1, 31);
    assert_eq!(answers(&play.start_worker(2, 2, 32)), [(1, true)]);
}

#[test]
fn who_waits_for_a_reload_is_told_when_it_fails() {
    let mut play = Play::serving();
    play.on(asks(1, Request::Reload { wait: true }));
    play.on(Event::TemplateForked { generation: 2, pid: 20 });
    assert_eq!(answers(&play.on(exited(20, 22))), [(1, false)]);
    assert_eq!(answers(&play.on(asks(2, Request::Reload { wait: true }))), []);
    assert_eq!(answers(&play.on(wish(Wish::Stop))), [(2, false)]);
    assert_eq!(answers(&play.on(asks(3, Request::Reload { wait: true }))), [(3, false)]);
}

#[test]
fn status_shows_every_generation() {
    let mut play = Play::reloading();
    play.on(Event::TemplateReady { generation: 2 });
    play.on(Event::Forked { generation: 2, worker: 1, pid: 21 });
    let told = play.on(asks(7, Request::Status));
    let [Action::Report { client: 7, picture }] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!((picture.phase, picture.generation), ("reloading", 1));
    let seen: Vec<_> = picture.workers.iter().map(|w| (w.generation, w.id, w.pid, w.state)).collect();
    assert_eq!(seen, [(1, 1, 11, "ready"), (1, 2, 12, "ready"), (2, 1, 21, "starting"), (2, 2, 0, "wanted")]);
}

#[test]
fn a_load_that_takes_long_is_told_now_and_then() {
    let mut play = Play::new();
    play.on(Event::Start);
    play.on(Event::TemplateForked { generation: 1, pid: 10 });
    play.after(2_999);
    assert_eq!(play.after(1), [Action::Locate { pid: 10 }]);
    assert_eq!(play.after(300), [Action::Located { generation: 1 }]);
    let stack =
        "Current thread 0x1 (most recent call first):\n  File \"/a/app.py\", line 3 in <module>\n".to_owned();
    assert_eq!(play.on(Event::Located { generation: 1, stack }), []);
    assert!(play.said("generation 1 still loads the application, for 3 seconds, at /a/app.py:3 (pid: 10)"));
    assert_eq!(play.after(3_299), []);
    assert_eq!(play.after(1), [Action::Locate { pid: 10 }]);
    play.after(300);
    // It did not answer.
    play.on(Event::Located { generation: 1, stack: String::new() });
    assert!(play.said("for 6 seconds (pid: 10)"));
    play.on(Event::TemplateReady { generation: 1 });
    play.after(100_000);
    assert!(!play.said("still loads"));
}
