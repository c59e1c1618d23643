//! The layout, and what processes see of each other in it.

use super::*;
use crate::sys::process::{Status, in_child};

#[test]
fn slots_are_apart_and_on_their_own_lines() {
    let area = Area::new(3, 2, 2).expect("mapped");
    for number in 1..=12 {
        area.slot(number).requests.store(u64::from(number), Ordering::Relaxed);
        for (_, core) in area.cores_of(number) {
            core.set_thread(number);
        }
    }
    let counts: Vec<_> = area.slots().map(WorkerSlot::requests_total).collect();
    assert_eq!(counts, (1..=12).collect::<Vec<_>>());
    assert_eq!(area.total_requests(), 78);
    let cores: Vec<_> = (1..=12).flat_map(|number| area.cores_of(number)).map(|(_, c)| c.thread()).collect();
    assert_eq!(cores.len(), 24);
    assert_eq!((cores[2], cores[23]), (2, 12));
    assert!(area.core(13, 0).is_none() && area.core(1, 2).is_none());
    assert!(area.slots().all(|slot| std::ptr::from_ref(slot).addr().is_multiple_of(128)));
    assert_eq!(area.slot(1).command(), Command::Run);
    assert_eq!(area.slot(1).state(), State::None);
    assert!(area.started_on() > 1_600_000_000);
}

#[test]
fn refusals_are_counted_by_class() {
    let area = Area::new(1, 1, 0).expect("mapped");
    let slot = area.slot(1);
    for status in [Some(400), Some(499), Some(500), Some(503), Some(505), None] {
        slot.count_refusal(status);
    }
    let counters = [&slot.refused_4xx, &slot.refused_5xx, &slot.refused_unanswered];
    assert_eq!(counters.map(|counter| counter.load(Ordering::Relaxed)), [2, 3, 1]);
}

#[test]
fn generations_and_seats_take_turns() {
    let area = Area::new(2, 1, 0).expect("mapped");
    assert_eq!([1, 2, 3].map(|generation| area.slot_number(2, generation)), [2, 6, 2]);
    assert_eq!([1, 2, 3, 4].map(|seat| area.id_of(seat)), [1, 2, 1, 2]);
    area.slot(6).requests.store(7, Ordering::Relaxed);
    assert_eq!(area.worker(2).requests_total(), 0);
    area.set_serving(2);
    assert_eq!(area.worker(2).requests_total(), 7);
    // Its other seat takes over.
    area.slot(8).requests.store(3, Ordering::Relaxed);
    area.slot(8).set_state(State::Ready);
    assert_eq!(area.worker(2).requests_total(), 3);
    assert_eq!((area.requests_of(6), area.requests_of(8)), (10, 10));
    assert_eq!(area.partner(3).requests_total(), area.slot(1).requests_total());
}

#[test]
fn a_worker_is_as_tired_as_it_ever_was() {
    let area = Area::new(1, 1, 0).expect("mapped");
    assert_eq!(area.slot(1).tired(), None);
    for (why, then) in
        [(Tired::Recycle, Tired::Recycle), (Tired::Evil, Tired::Evil), (Tired::Stuck, Tired::Evil)]
    {
        area.slot(1).tire(why);
        assert_eq!(area.slot(1).tired(), Some(then));
    }
    area.slot(1).vacate();
    assert_eq!(area.slot(1).tired(), None);
}

#[test]
#[should_panic(expected = "no slot 9")]
fn a_slot_beyond_the_map_is_refused() {
    Area::new(2, 1, 0).expect("mapped").slot(9);
}

#[test]
fn a_child_writes_what_the_parent_reads() {
    let area = Area::new(1, 1, 0).expect("mapped");
    let status = in_child(|| {
        area.slot(1).occupy(1);
        bump(&area.slot(1).requests, 5);
        area.slot(1).set_state(State::Ready);
        area.ask(Ask::Reload);
        0
    });
    assert_eq!(status, Status::Exited(0));
    let slot = area.slot(1);
    assert_eq!((slot.state(), slot.requests_total(), slot.generation()), (State::Ready, 5, 1));
    assert_ne!(slot.process(), 0);
    assert_eq!(area.take_asked(), Some(Ask::Reload));
    assert_eq!(area.take_asked(), None);
    slot.vacate();
    assert_eq!((slot.state(), slot.process(), slot.requests_total()), (State::None, 0, 5));
}

#[test]
fn a_stop_outranks_a_reload() {
    let area = Area::new(1, 1, 0).expect("mapped");
    area.ask(Ask::Reload);
    area.ask(Ask::Stop);
    assert_eq!(area.take_asked(), Some(Ask::Stop));
    assert_eq!(area.take_asked(), None);
}
