//! Acting, on offices without children.

use super::*;
use crate::shared::area::State;

#[test]
fn a_command_is_written_and_rung() {
    let mut office =
        Office::new(Area::new(2, 1, 1).expect("mapped"), None, None, Image::default()).expect("made");
    office.perform(Action::Tell { generation: 2, worker: 1, command: Command::Drain });
    assert_eq!(office.area().slot(5).command(), Command::Drain);
    assert!(event::take(office.shared.bell(5)));
    assert!(!event::take(office.shared.bell(1)));
}

#[test]
fn a_buried_worker_leaves_nothing_behind() {
    let mut office =
        Office::new(Area::new(1, 1, 1).expect("mapped"), None, None, Image::default()).expect("made");
    let slot = office.area().slot(1);
    slot.occupy(1);
    slot.set_state(State::Ready);
    slot.requests.store(3, Ordering::Relaxed);
    office.area().locks().lock(0);
    office.perform(Action::Bury { pid: std::process::id(), crashed: None });
    let slot = office.area().slot(1);
    assert_eq!((slot.state(), slot.process(), slot.requests_total()), (State::None, 0, 3));
    assert_eq!(office.area().locks().is_locked(0), Some(false));
}

#[test]
fn a_worker_asked_of_a_template_that_is_gone_is_no_news() {
    let mut office =
        Office::new(Area::new(1, 1, 0).expect("mapped"), None, None, Image::default()).expect("made");
    assert!(matches!(office.perform(Action::Fork { generation: 1, worker: 1 }), Outcome::Done));
    let (master, template) = channel::pair().expect("a channel");
    office.channels.insert(1, master);
    template.report(Report::Ready).expect("sent");
    drop(template);
    let outcome = office.perform(Action::Fork { generation: 1, worker: 1 });
    assert!(matches!(outcome, Outcome::Event(Event::NotForked { .. })), "{outcome:?}");
    assert_eq!(office.reports(), [(1, Report::Ready)]);
    assert_eq!(office.channels().count(), 0);
}
