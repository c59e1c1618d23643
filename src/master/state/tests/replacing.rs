//! Workers that want to be replaced, and their successors.

use super::*;

fn tired(pid: u32, why: Tired) -> Event {
    Event::Tired { pid, why }
}

#[test]
fn a_tired_worker_leaves_when_its_successor_serves() {
    let mut play = Play::serving();
    // Of two workers one at a time.
    assert_eq!(play.on(tired(11, Tired::Recycle)), [fork(1, 3)]);
    assert_eq!(play.on(tired(12, Tired::Recycle)), []);
    assert_eq!(play.on(tired(11, Tired::Recycle)), [], "said again");
    assert_eq!(play.on(Event::Forked { generation: 1, worker: 3, pid: 13 }), []);
    assert!(play.said("Respawned uWSGI worker 1 (new pid: 13)"));
    assert_eq!(play.on(Event::Ready { pid: 13 }), [tell(1, 1, Command::Drain)]);
    assert!(play.said("worker 1 (pid: 11) has a successor that serves"));
    // The next when the first is gone.
    assert_eq!(play.on(exited(11, 0)), [bury(11), fork(1, 4)]);
    assert!(play.said("worker 1 buried"));
    assert_eq!(play.start_worker(1, 4, 14), [tell(1, 2, Command::Drain)]);
    assert_eq!(play.on(exited(12, 0)), [bury(12)]);
    // And back to the first seat.
    assert_eq!(play.on(tired(13, Tired::Recycle)), [fork(1, 1)]);
    assert_eq!(play.state.pids(), [10, 13, 14]);
}

#[test]
fn a_successor_that_dies_is_tried_again_while_the_old_one_serves_on() {
    let mut play = Play::serving();
    assert_eq!(play.on(tired(11, Tired::Recycle)), [fork(1, 3)]);
    play.on(Event::Forked { generation: 1, worker: 3, pid: 13 });
    assert_eq!(play.on(exited(13, 1)), [crashed(13, 1), fork(1, 3)]);
    play.on(Event::Forked { generation: 1, worker: 3, pid: 14 });
    assert_eq!(play.on(exited(14, 1)), [crashed(14, 1)]);
    assert_eq!(play.after(2_000), [fork(1, 3)]);
    assert_eq!(play.start_worker(1, 3, 15), [tell(1, 1, Command::Drain)]);
    // It does not end in its mercy.
    assert_eq!(play.after(60_000), [Action::Kill { pid: 11 }]);
    assert_eq!(play.on(killed(11, 9)), [bury(11)]);
}

#[test]
fn a_tired_worker_that_dies_has_its_successor_already() {
    let mut play = Play::serving();
    play.on(tired(11, Tired::Recycle));
    assert_eq!(play.on(killed(11, 11)), [crashed(11, 1)]);
    assert_eq!(play.start_worker(1, 3, 13), []);
    // And a successor that dies when the old one is leaving is replaced.
    assert_eq!(play.on(tired(13, Tired::Recycle)), [fork(1, 1)]);
    assert_eq!(play.start_worker(1, 1, 14), [tell(1, 3, Command::Drain)]);
    play.now = play.now.after(5_000);
    assert_eq!(play.on(killed(14, 9)), [crashed(14, 1), fork(1, 1)]);
    assert_eq!(play.on(exited(13, 0)), [bury(13)]);
}

#[test]
fn lost_threads_do_not_wait_for_their_turn_and_evil_waits_for_nobody() {
    let mut play = Play::serving();
    assert_eq!(play.on(tired(11, Tired::Recycle)), [fork(1, 3)]);
    assert_eq!(play.on(tired(12, Tired::Stuck)), [fork(1, 4)]);
    assert_eq!(play.on(tired(12, Tired::Evil)), [Action::Kill { pid: 12 }]);
    assert!(play.said("EVIL RELOAD ON WORKER 2 PID: 12"));
    assert_eq!(play.on(tired(12, Tired::Evil)), []);
    assert_eq!(play.on(Event::Frozen { pid: 11 }), [Action::Kill { pid: 11 }]);
    assert!(play.said("HARAKIRI ON WORKER 1 (pid: 11"));
    assert_eq!(play.on(Event::Frozen { pid: 11 }), []);
    assert_eq!(play.on(killed(11, 9)), [crashed(11, 1)]);
}

#[test]
fn nobody_is_replaced_in_a_server_that_stops_or_a_generation_that_leaves() {
    let mut play = Play::reloading();
    play.on(Event::TemplateReady { generation: 2 });
    // In the one that serves meanwhile a worker is, and its successor counts for it.
    assert_eq!(play.on(tired(11, Tired::Recycle)), [fork(1, 3)]);
    assert_eq!(play.start_worker(1, 3, 13), [tell(1, 1, Command::Drain)]);
    assert_eq!(play.start_worker(2, 1, 21), []);
    let serves = play.start_worker(2, 2, 22);
    assert_eq!(serves[0], Action::Serve { generation: 2 });
    assert!(serves.contains(&tell(1, 3, Command::Drain)) && serves.contains(&tell(1, 2, Command::Drain)));
    assert_eq!(play.on(tired(12, Tired::Recycle)), []);
    play.on(wish(Wish::Stop));
    assert_eq!(play.on(tired(21, Tired::Recycle)), []);
}

#[test]
fn a_new_generation_that_never_gets_ready_is_given_up() {
    let mut play = Play::reloading();
    play.state.policy.reload_timeout_ms = 9_000;
    play.state.generations[1].give_up_at = Some(play.now.after(9_000));
    play.on(Event::TemplateReady { generation: 2 });
    play.start_worker(2, 1, 21);
    play.on(Event::Forked { generation: 2, worker: 2, pid: 22 });
    assert_eq!(play.after(8_999), []);
    // One of its workers still starts: it is told to end, and so is the one that got ready.
    assert_eq!(play.after(1), [Action::Locate { pid: 22 }]);
    assert_eq!(play.after(300), [Action::Located { generation: 2 }]);
    let stack =
        "Current thread 0x1 (most recent call first):\n  File \"/a/app.py\", line 3 in start\n".to_owned();
    let quit = [tell(2, 1, Command::Quit), tell(2, 2, Command::Quit)];
    assert_eq!(play.on(Event::Located { generation: 2, stack }), quit);
    let stands = "do not serve after 9 seconds (reload-timeout), it stands at /a/app.py:3; generation 1 goes on serving";
    assert!(play.said.iter().any(|line| line.starts_with("generation 2 stands here:\nCurrent thread")));
    assert!(play.said(stands));
    assert_eq!(play.after(3_000), [Action::Kill { pid: 21 }, Action::Kill { pid: 22 }]);
    play.on(killed(21, 9));
    play.on(killed(22, 9));
    play.on(exited(20, 0));
    // The next one has its own time.
    play.state.policy.reload_timeout_ms = 5_000;
    assert_eq!(play.on(wish(Wish::Reload)), [Action::StartTemplate { generation: 2 }]);
    play.on(Event::TemplateForked { generation: 2, pid: 30 });
    play.after(4_999);
    assert!(!play.said("reload-timeout"));
    assert_eq!(play.after(1), [Action::Locate { pid: 30 }]);
    assert_eq!(play.after(300)[0], Action::Located { generation: 2 });
    let nothing = Event::Located { generation: 2, stack: String::new() };
    assert_eq!(play.on(nothing.clone()), [Action::Kill { pid: 30 }]);
    assert!(play.said("after 5 seconds (reload-timeout); generation 1"));
    assert_eq!(play.on(nothing), []);
    assert!(play.said.is_empty());
}
