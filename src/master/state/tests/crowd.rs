//! Workers that come and go with the load, and none at all.

use super::*;
use crate::control::words::Change;
use crate::master::scaling::{Load, Sample};

impl Play {
    fn of(scaling: Scaling, workers: u32) -> Play {
        let policy = Policy { workers, scaling, ..POLICY };
        Play { state: State::new(policy), now: Millis(1_000_000), said: Vec::new() }
    }

    /// A server with `active` of `workers` (pids 11, 12, …).
    fn cheaper(scaling: Scaling, workers: u32, active: u32) -> Play {
        let mut play = Play::of(scaling, workers);
        play.on(Event::Start);
        play.on(Event::TemplateForked { generation: 1, pid: 10 });
        let forks: Vec<Action> = (1..=active).map(|worker| fork(1, worker)).collect();
        assert_eq!(play.on(Event::TemplateReady { generation: 1 }), forks);
        for worker in 1..=active {
            play.start_worker(1, worker, 10 + worker);
        }
        play.now = play.now.after(10_000);
        play
    }

    /// A second passes, in which each of `pids` has `in_hand` requests.
    fn second(&mut self, pids: &[u32], in_hand: u32, waiting: u32) -> Vec<Action> {
        self.now = self.now.after(1_000);
        let loads = pids.iter().map(|&pid| Load { pid, in_hand, ..Load::default() });
        // Four threads each (POLICY).
        self.on(Event::Sampled(Sample { loads: loads.collect(), waiting, requests: 0 }))
    }

    fn states(&mut self) -> Vec<&'static str> {
        let asked = self.on(Event::Asked { client: 1, request: Request::Status });
        let [Action::Report { picture, .. }] = asked.as_slice() else { panic!("{asked:?}") };
        picture.workers.iter().map(|worker| worker.state).collect()
    }
}

const CHEAPER: Scaling = Scaling { least: 1, overload: 1, ..Scaling::DEFAULT };

fn more(n: u32) -> Event {
    wish(Wish::Workers(Change::More(n)))
}

fn fewer(n: u32) -> Event {
    wish(Wish::Workers(Change::Fewer(n)))
}

#[test]
fn it_starts_with_cheaper_or_with_cheaper_initial() {
    let mut play = Play::cheaper(CHEAPER, 4, 1);
    assert_eq!(play.states(), ["ready", "cheap", "cheap", "cheap"]);
    Play::cheaper(Scaling { initial: 3, ..CHEAPER }, 4, 3);
    Play::cheaper(Scaling { least: 4, ..CHEAPER }, 4, 4);
}

#[test]
fn workers_come_with_load_and_go_without() {
    let mut play = Play::cheaper(CHEAPER, 3, 1);
    assert_eq!(play.second(&[11], 3, 0), [], "one of its threads is free");
    assert_eq!(play.second(&[11], 4, 0), []);
    assert_eq!(play.second(&[11], 4, 0), [fork(1, 2)]);
    assert_eq!(play.start_worker(1, 2, 12), []);
    assert!(play.said("spawned uWSGI worker 2 (pid: 12, cores: 4)"));
    assert_eq!(play.second(&[11, 12], 4, 0), []);
    assert_eq!(play.second(&[11, 12], 4, 0), [fork(1, 3)]);
    play.start_worker(1, 3, 13);
    for _ in 0..9 {
        assert_eq!(play.second(&[11, 12, 13], 4, 9), [], "there are no more");
    }
    // The overload is forgotten second by second, then the one that has been there for the longest goes.
    let last = (0..9).map(|_| play.second(&[11, 12, 13], 0, 0)).find(|actions| !actions.is_empty());
    assert_eq!(last, Some(vec![tell(1, 1, Command::Yield)]));
    assert!(play.said("uWSGI worker 1 cheaped."));
    assert_eq!(play.states(), ["leaving", "ready", "ready"]);
    assert_eq!(play.on(exited(11, 0)), [bury(11)]);
    assert_eq!(play.states(), ["ready", "ready", "cheap"]);
    assert_eq!(play.second(&[12, 13], 0, 0), [tell(1, 2, Command::Yield)]);
    assert_eq!(play.on(exited(12, 0)), [bury(12)]);
    assert_eq!(play.second(&[13], 0, 0), [], "cheaper is the least");
    // Number 1 comes first when somebody is needed again.
    play.second(&[13], 4, 0);
    assert_eq!(play.second(&[13], 4, 0), [fork(1, 1)]);
    play.start_worker(1, 1, 21);
    assert!(play.said("Respawned uWSGI worker 1 (new pid: 21)"));
}

#[test]
fn only_an_idle_worker_goes() {
    let mut play = Play::cheaper(Scaling { initial: 3, ..CHEAPER }, 3, 3);
    play.now = play.now.after(1_000);
    let load = |pid, in_hand| Load { pid, in_hand, ..Load::default() };
    let loads = vec![load(11, 1), load(12, 0), load(13, 1)];
    assert_eq!(play.on(Event::Sampled(Sample { loads, ..Sample::default() })), [tell(1, 2, Command::Yield)]);
    // It may have taken a request meanwhile, and finishes it.
    assert_eq!(play.after(59_999), []);
    assert_eq!(play.after(1), [Action::Kill { pid: 12 }]);
}

#[test]
fn a_number_whose_worker_still_leaves_is_taken_on_its_other_seat() {
    let mut play = Play::cheaper(Scaling { initial: 2, ..CHEAPER }, 2, 2);
    assert_eq!(play.on(fewer(1)), [tell(1, 1, Command::Yield)]);
    assert_eq!(play.on(more(1)), [fork(1, 3)]);
    play.start_worker(1, 3, 21);
    assert_eq!(play.states(), ["leaving", "ready", "ready"]);
    assert_eq!(play.on(fewer(1)), [tell(1, 2, Command::Yield)]);
    assert_eq!(play.on(exited(11, 0)), [bury(11)]);
    assert_eq!(play.on(more(1)), [fork(1, 4)]);
}

#[test]
fn a_crash_is_replaced_and_a_spared_worker_is_not() {
    let mut play = Play::cheaper(Scaling { initial: 2, ..CHEAPER }, 3, 2);
    assert_eq!(play.on(killed(11, 9)), [crashed(11, 1), fork(1, 1)]);
    play.start_worker(1, 1, 21);
    assert_eq!(play.on(fewer(1)), [tell(1, 2, Command::Yield)]);
    assert_eq!(play.on(killed(12, 9)), [bury(12)], "whatever it died of");
    assert_eq!(play.states(), ["ready", "cheap", "cheap"]);
    assert_eq!(play.on(fewer(1)), [], "cheaper is the least");
    assert!(play.said("1 of 3 workers (1 at least)"));
}

#[test]
fn a_worker_that_wants_to_be_replaced_goes_first() {
    let mut play = Play::cheaper(Scaling { initial: 3, ..CHEAPER }, 3, 3);
    // Its successor is on its way: then it is no longer to be had, and the others are.
    assert_eq!(play.on(Event::Tired { pid: 13, why: Tired::Recycle }), [fork(1, 6)]);
    assert_eq!(play.on(Event::Tired { pid: 12, why: Tired::Recycle }), []);
    assert_eq!(play.on(fewer(1)), [tell(1, 2, Command::Yield)]);
    play.start_worker(1, 6, 23);
    assert_eq!(play.states(), ["ready", "leaving", "leaving", "ready"]);
    assert_eq!(play.on(exited(12, 0)), [bury(12)]);
    assert_eq!(play.on(exited(13, 0)), [bury(13)]);
    assert_eq!(play.states(), ["ready", "ready", "cheap"]);
}

#[test]
fn somebody_may_ask_for_a_number() {
    let mut play = Play::cheaper(Scaling::DEFAULT, 3, 3);
    for (change, wanted, does) in [
        (Change::Fewer(1), "2 of 3 workers", vec![tell(1, 1, Command::Yield)]),
        (Change::Exactly(0), "1 of 3 workers", vec![tell(1, 2, Command::Yield)]),
        (Change::More(7), "3 of 3 workers", vec![fork(1, 4), fork(1, 5)]),
        (Change::Exactly(3), "3 of 3 workers", vec![]),
        // Two of them are not there yet.
        (Change::Exactly(1), "2 of 3 workers", vec![tell(1, 3, Command::Yield)]),
    ] {
        let mut actions = play.on(Event::Asked { client: 7, request: Request::Workers(change) });
        let Some(Action::Answer { answer, .. }) =
            actions.iter().position(|a| matches!(a, Action::Answer { .. })).map(|at| actions.remove(at))
        else {
            panic!("no answer: {actions:?}")
        };
        assert!(answer.message.starts_with(wanted), "{change:?}: {answer:?}");
        assert_eq!(answer.ok, change != Change::Exactly(1), "{answer:?}");
        assert_eq!(actions, does, "{change:?}");
    }
}

#[test]
fn a_reload_brings_as_many_as_there_were() {
    let mut play = Play::cheaper(CHEAPER, 4, 1);
    assert_eq!(play.on(more(2)), [fork(1, 2), fork(1, 3)]);
    play.start_worker(1, 2, 12);
    play.start_worker(1, 3, 13);
    play.on(wish(Wish::Reload));
    play.on(Event::TemplateForked { generation: 2, pid: 20 });
    assert_eq!(play.on(Event::TemplateReady { generation: 2 }), [fork(2, 1), fork(2, 2), fork(2, 3)]);
    assert_eq!(play.second(&[11, 12, 13], 0, 0), [], "nothing is decided during a reload");
    assert_eq!(play.on(fewer(1)), []);
    assert!(play.said("a reload is under way"));
    play.start_worker(2, 1, 21);
    play.start_worker(2, 2, 22);
    assert_eq!(play.start_worker(2, 3, 23)[0], Action::Serve { generation: 2 });
}

#[test]
fn cheap_starts_without_workers_and_the_first_connection_brings_them() {
    for (scaling, workers) in [(Scaling::DEFAULT, 3), (Scaling { least: 2, ..Scaling::DEFAULT }, 2)] {
        let mut play = Play::of(Scaling { cheap: true, ..scaling }, 3);
        assert_eq!(play.on(Event::Start), [Action::StartTemplate { generation: 1 }]);
        play.on(Event::TemplateForked { generation: 1, pid: 10 });
        assert!(play.state.listens());
        assert_eq!(play.on(Event::TemplateReady { generation: 1 }), [Action::Announce]);
        assert!(play.said("cheap mode enabled: waiting for socket connection..."));
        assert_eq!(play.states(), ["cheap"; 3]);
        let forks: Vec<Action> = (1..=workers).map(|worker| fork(1, worker)).collect();
        assert_eq!(play.on(Event::Knocked), forks);
        assert!(!play.state.listens());
        assert_eq!(play.on(Event::Knocked), [], "heard");
        assert_eq!(play.start_worker(1, 1, 11), []);
    }
}

#[test]
fn a_connection_that_comes_while_the_application_loads_is_served_then() {
    let mut play = Play::of(Scaling { cheap: true, ..Scaling::DEFAULT }, 1);
    play.on(Event::Start);
    play.on(Event::TemplateForked { generation: 1, pid: 10 });
    assert_eq!(play.on(Event::Knocked), []);
    assert_eq!(play.on(Event::TemplateReady { generation: 1 }), [fork(1, 1)]);
    assert_eq!(play.start_worker(1, 1, 11), [Action::Announce]);
    // And one that does not load ends the start.
    let mut play = Play::of(Scaling { cheap: true, ..Scaling::DEFAULT }, 1);
    play.on(Event::Start);
    play.on(Event::TemplateForked { generation: 1, pid: 10 });
    assert_eq!(play.on(exited(10, 22)), [Action::Exit(22)]);
}

#[test]
fn an_idle_server_sleeps_wakes_and_loses_nobody() {
    let mut play = Play::cheaper(Scaling { idle: 2, ..Scaling::DEFAULT }, 2, 2);
    assert_eq!([0; 3].map(|_| play.second(&[11, 12], 0, 0).len()), [0; 3]);
    let told = [tell(1, 1, Command::Yield), tell(1, 2, Command::Yield)];
    assert_eq!(play.second(&[11, 12], 0, 0), told);
    assert!(play.said("workers have been inactive for more than 2 seconds"));
    assert!(play.state.listens());
    // Somebody comes while they still leave, twice.
    assert_eq!(play.on(Event::Knocked), [fork(1, 3), fork(1, 4)]);
    assert_eq!(play.on(wish(Wish::Sleep)), []);
    assert_eq!(play.on(Event::Forked { generation: 1, worker: 3, pid: 21 }), [tell(1, 3, Command::Yield)]);
    assert_eq!(
        play.on(Event::Knocked),
        [],
        "both seats of 1 are taken by those that leave; 2 is being forked"
    );
    assert_eq!(play.on(exited(11, 0)), [bury(11), fork(1, 1)]);
    play.start_worker(1, 4, 22);
    play.start_worker(1, 1, 31);
    assert_eq!(play.on(exited(12, 0)), [bury(12)]);
    assert_eq!(play.on(exited(21, 0)), [bury(21)]);
    assert_eq!(play.states(), ["ready", "ready"]);
}

#[test]
fn a_sleeping_server_reloads_and_wakes_as_the_new_one() {
    let mut play = Play::cheaper(Scaling { idle: 2, ..Scaling::DEFAULT }, 1, 1);
    play.on(wish(Wish::Sleep));
    play.on(exited(11, 0));
    assert_eq!(play.on(wish(Wish::Reload)), [Action::StartTemplate { generation: 2 }]);
    play.on(Event::TemplateForked { generation: 2, pid: 20 });
    let mut other: Play = Play {
        state: serde_json::from_str(&serde_json::to_string(&play.state).expect("JSON")).expect("read"),
        now: play.now,
        said: Vec::new(),
    };
    // Without a worker it serves as soon as it has loaded.
    let serves = [Action::Serve { generation: 2 }, Action::Dismiss { generation: 1 }];
    let mut done = play.on(Event::TemplateReady { generation: 2 });
    done.extend(play.after(0));
    assert_eq!(done, serves);
    assert_eq!(play.on(Event::Knocked), [fork(2, 1)]);
    // Somebody comes meanwhile: the old one serves, and the new one brings a worker too.
    assert_eq!(other.on(Event::Knocked), [fork(1, 1)]);
    assert_eq!(other.on(Event::TemplateReady { generation: 2 }), [fork(2, 1)]);
    other.start_worker(1, 1, 12);
    assert_eq!(other.start_worker(2, 1, 21), [Action::Serve { generation: 2 }, tell(1, 1, Command::Drain)]);
}

#[test]
fn die_on_idle_ends_the_server() {
    let mut play = Play::cheaper(Scaling { idle: 1, die_on_idle: true, ..Scaling::DEFAULT }, 1, 1);
    play.second(&[11], 0, 0);
    play.second(&[11], 0, 0);
    assert_eq!(play.second(&[11], 0, 0), [tell(1, 1, Command::Drain)]);
    assert_eq!(play.on(exited(11, 0)), [bury(11), Action::Dismiss { generation: 1 }]);
    assert_eq!(play.on(exited(10, 0)), [Action::Exit(0)]);
}

#[test]
fn a_paused_server_neither_sleeps_nor_wakes() {
    let mut play = Play::cheaper(Scaling { idle: 1, ..Scaling::DEFAULT }, 1, 1);
    play.on(wish(Wish::Pause));
    assert_eq!([0; 5].map(|_| play.second(&[11], 0, 1).len()), [0; 5]);
    play.on(wish(Wish::Pause));
    play.on(wish(Wish::Sleep));
    play.on(wish(Wish::Pause));
    assert!(!play.state.listens());
    assert_eq!(play.on(Event::Knocked), []);
}

/// A generation of `processes = auto` whose application has `mb`, where the cgroup has 512 MB. The forks.
fn loaded(play: &mut Play, generation: u32, mb: u64) -> Vec<Action> {
    let pid = 10 * generation;
    play.on(Event::TemplateForked { generation, pid });
    assert_eq!(play.on(Event::TemplateReady { generation }), [Action::Weigh { generation, pid }]);
    play.on(Event::Weighed { generation, resident: mb << 20, limit: Some(512 << 20) })
}

#[test]
fn no_more_workers_than_memory_allows() {
    const AUTO: Scaling = Scaling { auto: true, ..Scaling::DEFAULT };
    for (mb, workers) in [(100, 4), (103, 3), (200, 2), (400, 1), (900, 1)] {
        let mut play = Play::of(AUTO, 4);
        play.on(Event::Start);
        let forks: Vec<Action> = (1..=workers).map(|worker| fork(1, worker)).collect();
        assert_eq!(loaded(&mut play, 1, mb), forks, "{mb} MB");
        assert_eq!(play.said("in place of 4"), workers < 4);
        for worker in 1..=workers {
            play.start_worker(1, worker, 10 + worker);
        }
        // And nobody can ask for more.
        assert_eq!(play.on(more(4)), []);
    }
    // New code may be heavier, or lighter.
    let mut play = Play::of(AUTO, 4);
    play.on(Event::Start);
    loaded(&mut play, 1, 200);
    play.start_worker(1, 1, 11);
    play.start_worker(1, 2, 12);
    play.on(wish(Wish::Reload));
    assert_eq!(loaded(&mut play, 2, 400), [fork(2, 1)]);
    let mut light = Play::of(AUTO, 4);
    light.on(Event::Start);
    loaded(&mut light, 1, 200);
    light.start_worker(1, 1, 11);
    light.start_worker(1, 2, 12);
    light.on(wish(Wish::Reload));
    assert_eq!(loaded(&mut light, 2, 100), [fork(2, 1), fork(2, 2), fork(2, 3), fork(2, 4)]);
}

#[test]
fn memory_bounds_cheaper_as_well() {
    let auto = Scaling { auto: true, least: 1, initial: 4, overload: 1, ..Scaling::DEFAULT };
    let mut play = Play::of(auto, 4);
    play.on(Event::Start);
    assert_eq!(loaded(&mut play, 1, 200), [fork(1, 1), fork(1, 2)]);
    play.start_worker(1, 1, 11);
    play.start_worker(1, 2, 12);
    for _ in 0..9 {
        assert_eq!(play.second(&[11, 12], 4, 9), []);
    }
    // A template started again finds its workers, and leaves them.
    play.on(killed(10, 9));
    play.on(killed(11, 9));
    assert_eq!(loaded(&mut play, 1, 450), [fork(1, 1)]);
}
