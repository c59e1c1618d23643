//! The life of a vassal with a clock that is turned by hand.

use super::*;

/// A vassal, its Emperor's rules, and the time.
struct Play {
    vassal: Vassal,
    policy: Emperor,
    now: Millis,
}

fn stamp(version: i64, uid: u32) -> Stamp {
    Stamp { version: (version, 0, 0, 0), owner: (uid, uid) }
}

impl Play {
    fn new() -> Play {
        Play { vassal: Vassal::new("a.ini", stamp(1, 7)), policy: Emperor::default(), now: Millis(1_000) }
    }

    /// What is done about an event, without the lines for the log.
    fn done(&mut self, event: Event) -> Vec<Action> {
        let actions = self.vassal.handle(event, self.now, &self.policy);
        actions.into_iter().filter(|action| !matches!(action, Action::Say(_))).collect()
    }

    fn pass(&mut self, ms: u64) -> Vec<Action> {
        self.now = self.now.after(ms);
        self.done(Event::Tick)
    }

    fn started() -> Play {
        let mut play = Play::new();
        assert_eq!(play.done(Event::Tick), [Action::Start]);
        play
    }
}

const DIED: Event = Event::Ended(Status::Exited(1));

#[test]
fn what_is_found_is_started_once() {
    let mut play = Play::started();
    assert_eq!(play.done(Event::Tick), []);
    assert_eq!(play.done(Event::Found(stamp(1, 7))), []);
}

#[test]
fn what_is_touched_reloads_and_what_is_removed_ends() {
    let mut play = Play::started();
    assert_eq!(play.done(Event::Found(stamp(2, 7))), [Action::Tell(word::RELOAD)]);
    assert_eq!(play.done(Event::Gone), [Action::Tell(word::STOP)]);
    assert_eq!(play.pass(29_999), []);
    assert_eq!(play.pass(1), [Action::Kill]);
    assert_eq!(play.done(Event::Ended(Status::Killed(9))), [Action::Buried]);
    assert!(play.vassal.is_over());
    // emperor-curse-tolerance
    let mut play = Play::started();
    play.policy.curse = 5;
    play.done(Event::Gone);
    assert_eq!(play.pass(4_999), []);
    assert_eq!(play.pass(1), [Action::Kill]);
}

#[test]
fn what_comes_back_while_it_ends_is_started_again() {
    let mut play = Play::started();
    play.done(Event::Gone);
    assert_eq!(play.done(Event::Found(stamp(3, 7))), []);
    assert_eq!(play.done(DIED), [Action::Buried, Action::Start]);
    // And when it goes again meanwhile, it is gone.
    play.done(Event::Gone);
    play.done(Event::Found(stamp(4, 7)));
    play.done(Event::Gone);
    assert_eq!(play.done(DIED), [Action::Buried]);
    assert!(play.vassal.is_over());
}

#[test]
fn who_fails_rests_longer_each_time() {
    let mut play = Play::started();
    for pause in [1_000, 2_000, 3_000] {
        assert_eq!(play.done(DIED), [Action::Buried]);
        assert_eq!(play.pass(pause - 1), [], "{pause}");
        assert_eq!(play.pass(1), [Action::Start], "{pause}");
    }
    play.policy.max_throttle_ms = 3_500;
    play.done(DIED);
    assert_eq!(play.pass(3_500), [Action::Start]);
    play.policy.no_blacklist = true;
    play.done(DIED);
    assert_eq!(play.pass(1_000), [Action::Start]);
    assert_eq!(play.done(Event::NotStarted), []);
    assert_eq!(play.pass(1_000), [Action::Start]);
}

#[test]
fn a_touch_ends_the_rest() {
    let mut play = Play::started();
    for _ in 0..5 {
        play.done(DIED);
        play.pass(5_000);
    }
    play.done(DIED);
    assert_eq!(play.done(Event::Found(stamp(2, 7))), [Action::Start]);
    // And the failures are forgotten.
    play.done(DIED);
    assert_eq!(play.pass(1_000), [Action::Start]);
}

#[test]
fn the_loyal_are_started_at_once() {
    let mut play = Play::started();
    play.done(Event::Said(word::READY));
    play.done(Event::Said(word::LOYAL));
    play.pass(1_000);
    assert_eq!(play.done(DIED), [Action::Buried, Action::Start]);
    play.done(Event::Said(word::LOYAL));
    // Unless they hardly live.
    assert_eq!(play.done(DIED), [Action::Buried]);
    assert_eq!(play.pass(1_000), [Action::Start]);
}

#[test]
fn a_long_life_forgives_failures() {
    let mut play = Play::started();
    for _ in 0..5 {
        play.done(DIED);
        play.pass(5_000);
    }
    play.pass(60_000);
    play.done(DIED);
    assert_eq!(play.pass(1_000), [Action::Start]);
}

#[test]
fn the_exiled_come_back_when_touched() {
    let mut play = Play::started();
    assert_eq!(play.done(Event::Ended(Status::Exited(26))), [Action::Buried]);
    assert_eq!(play.pass(1_000_000), []);
    assert_eq!(play.done(Event::Found(stamp(2, 7))), [Action::Start]);
}

#[test]
fn a_heartbeat_once_given_is_required() {
    let mut play = Play::started();
    assert_eq!(play.pass(100_000), []);
    play.done(Event::Said(word::HEARTBEAT));
    assert_eq!(play.pass(20_000), []);
    play.done(Event::Said(word::HEARTBEAT));
    assert_eq!(play.pass(29_999), []);
    assert_eq!(play.pass(1), [Action::Kill]);
    assert_eq!(play.pass(100_000), []);
}

#[test]
fn on_demand_the_first_connection_starts_it() {
    let mut play = Play::new();
    play.vassal = Vassal::on_demand("a.ini", stamp(1, 7));
    assert!(play.vassal.waits() && play.vassal.deadline().is_none());
    assert_eq!(play.pass(100_000), []);
    assert_eq!(play.done(Event::Reload), []);
    assert_eq!(play.done(Event::Found(stamp(2, 7))), []);
    assert_eq!(play.done(Event::Knocked), [Action::Start]);
    assert_eq!(play.done(Event::Knocked), []);
    // It was idle.
    assert_eq!(play.done(Event::Ended(Status::Exited(0))), [Action::Buried]);
    assert!(play.vassal.waits());
    // One of uWSGI says so, and is told to end.
    play.done(Event::Knocked);
    assert_eq!(play.done(Event::Said(word::IDLE)), [Action::Tell(word::STOP)]);
    assert_eq!(play.done(DIED), [Action::Buried]);
    assert!(play.vassal.waits());
    // One that fails is not started by each connection.
    assert_eq!(play.done(Event::Knocked), [Action::Start]);
    assert_eq!(play.done(DIED), [Action::Buried]);
    assert_eq!(play.done(Event::Knocked), []);
    assert_eq!(play.pass(1_000), [Action::Start]);
    play.done(Event::Ended(Status::Exited(0)));
    play.done(Event::Gone);
    assert!(play.vassal.is_over());
}

#[test]
fn another_owner_is_another_vassal() {
    let mut play = Play::started();
    assert_eq!(play.done(Event::Found(stamp(1, 8))), [Action::Tell(word::RELOAD)]);
    play.policy.tyrant = true;
    assert_eq!(play.done(Event::Found(stamp(1, 9))), [Action::Tell(word::STOP)]);
    assert_eq!(play.done(DIED), [Action::Buried, Action::Start]);
    assert_eq!(play.vassal.stamp.owner, (9, 9));
}

#[test]
fn at_the_end_all_go() {
    let mut play = Play::started();
    assert_eq!(play.done(Event::Ragnarok), [Action::Tell(word::STOP)]);
    assert_eq!(play.done(Event::Reload), []);
    assert_eq!(play.done(DIED), [Action::Buried]);
    assert!(play.vassal.is_over());
    let mut resting = Play::started();
    resting.done(DIED);
    assert_eq!(resting.done(Event::Ragnarok), []);
    assert!(resting.vassal.is_over());
}
