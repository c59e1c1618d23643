//! A file system of `check-mount` that is gone.

use super::*;

fn lost() -> Event {
    Event::Lost { path: "/data".into(), why: "it is gone".to_owned() }
}

#[test]
fn nobody_is_waited_for_when_a_file_system_is_lost() {
    let kills = |pids: &[u32]| {
        let kills = pids.iter().map(|pid| Action::Kill { pid: *pid });
        let end = [Action::Hurry { seconds: 5 }].into_iter().chain(kills).chain([Action::Exit(1)]);
        end.collect::<Vec<_>>()
    };
    let mut play = Play::serving();
    assert_eq!(play.on(lost()), kills(&[10, 11, 12]));
    assert!(play.said("mountpoint /data failed, triggering detonation... (it is gone) [UWR-E065]"));
    assert_eq!(play.on(lost()), [], "once");
    // In the middle of a reload, and of a stop that was to end with another code.
    let mut play = Play::reloading();
    assert_eq!(play.on(lost()), kills(&[10, 11, 12, 20]));
    let mut play = Play::serving();
    play.on(wish(Wish::Stop));
    assert_eq!(play.on(lost()), kills(&[10, 11, 12]));
}
