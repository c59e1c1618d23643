//! The advice, played through with fake time.

use super::*;

/// Workers of one thread each, under fake time.
struct Play {
    rules: Scaling,
    scaler: Scaler,
    now: Millis,
    /// Of each worker, requests in hand.
    in_hand: Vec<u32>,
    busy_us: Vec<u64>,
    since: Vec<Option<Millis>>,
    coming: u32,
    waiting: u32,
    requests: u64,
    rss: u64,
    lines: Vec<String>,
}

const MOST: u32 = 8;

impl Play {
    fn new(rules: Scaling, workers: usize) -> Play {
        Play {
            rules,
            scaler: Scaler::default(),
            now: Millis(1_000_000),
            in_hand: vec![0; workers],
            busy_us: vec![0; workers],
            since: vec![None; workers],
            coming: 0,
            waiting: 0,
            requests: 0,
            rss: 0,
            lines: Vec::new(),
        }
    }

    /// So many workers are in a request, the others are free.
    fn busy(&mut self, n: usize) {
        for (index, in_hand) in self.in_hand.iter_mut().enumerate() {
            *in_hand = u32::from(index < n);
        }
    }

    /// `ms` pass, in which the busy ones work; then somebody looks.
    fn after(&mut self, ms: u64) -> Advice {
        self.now = self.now.after(ms);
        let loads: Vec<Load> = (0..self.in_hand.len())
            .map(|index| {
                self.busy_us[index] += if self.in_hand[index] > 0 { ms * 1000 } else { 0 };
                Load {
                    pid: 100 + count(index),
                    in_hand: self.in_hand[index],
                    busy_us: self.busy_us[index],
                    since: self.since[index].into_iter().collect(),
                    rss: self.rss,
                }
            })
            .collect();
        let serving: Vec<&Load> = loads.iter().collect();
        let active = count(serving.len()) + self.coming;
        let (coming, waiting, requests) = (self.coming, self.waiting, self.requests);
        let crowd = Crowd { serving: &serving, coming, active, most: MOST, threads: 1, waiting, requests };
        let (advice, lines) = self.scaler.judge(&self.rules, &crowd, self.now);
        self.lines.extend(lines);
        advice
    }

    /// What is advised in the next `seconds`, second by second.
    fn seconds(&mut self, seconds: usize) -> Vec<Advice> {
        (0..seconds).map(|_| self.after(1_000)).collect()
    }

    /// The worker is in one request for ever, from now on.
    fn hold(&mut self, index: usize) {
        self.in_hand[index] = 1;
        self.since[index] = Some(self.now);
    }
}

fn spare(least: u32) -> Scaling {
    Scaling { least, overload: 2, ..Scaling::DEFAULT }
}

fn busyness(least: u32) -> Scaling {
    Scaling { least, overload: 1, algorithm: Algorithm::Busyness, ..Scaling::DEFAULT }
}

#[test]
fn spare_adds_one_when_all_have_been_busy_for_more_than_overload() {
    let mut play = Play::new(Scaling { step: 3, ..spare(2) }, 2);
    play.busy(2);
    assert_eq!(play.seconds(3), [Advice::Stay, Advice::Stay, Advice::More(3)]);
    // Counted anew.
    assert_eq!(play.seconds(3), [Advice::Stay, Advice::Stay, Advice::More(3)]);
    // A moment of rest takes one back.
    assert_eq!(play.seconds(2), [Advice::Stay, Advice::Stay]);
    play.busy(1);
    assert_eq!(play.seconds(1), [Advice::Stay]);
    play.busy(2);
    assert_eq!(play.seconds(2), [Advice::Stay, Advice::More(3)]);
}

#[test]
fn spare_ends_one_every_overload_seconds_while_more_than_one_is_free() {
    let mut play = Play::new(spare(2), 5);
    assert_eq!(play.seconds(4), [Advice::Stay, Advice::Fewer, Advice::Stay, Advice::Fewer]);
    play.busy(4);
    assert_eq!(play.seconds(4), vec![Advice::Stay; 4], "exactly one is free");
    let mut play = Play::new(spare(2), 2);
    assert_eq!(play.seconds(8), vec![Advice::Stay; 8], "no fewer than cheaper");
}

#[test]
fn no_more_than_processes_and_none_without_cheaper() {
    let mut play = Play::new(Scaling { step: 5, ..spare(1) }, 6);
    play.busy(6);
    assert_eq!(play.seconds(3).last(), Some(&Advice::More(2)));
    let mut play = Play::new(spare(1), MOST as usize);
    play.busy(8);
    play.waiting = 50;
    assert_eq!(play.seconds(9), vec![Advice::Stay; 9]);
    let mut play = Play::new(spare(0), 4);
    assert_eq!(play.seconds(9), vec![Advice::Stay; 9]);
}

#[test]
fn who_waits_for_a_slow_request_is_helped_within_half_a_second() {
    for algorithm in [Algorithm::Spare, Algorithm::Busyness, Algorithm::Spare2] {
        let mut play = Play::new(Scaling { algorithm, overload: 30, ..spare(2) }, 2);
        play.after(1_000);
        play.busy(2);
        play.waiting = 1;
        let advice: Vec<_> = (0..3).map(|_| play.after(100)).collect();
        assert_eq!(advice, [Advice::Stay, Advice::Stay, Advice::More(1)], "{algorithm:?}");
        // One comes: it is waited for.
        play.coming = 1;
        assert_eq!((0..4).map(|_| play.after(100)).collect::<Vec<_>>(), vec![Advice::Stay; 4]);
    }
    let mut play = Play::new(Scaling { algorithm: Algorithm::Manual, ..spare(2) }, 2);
    play.busy(2);
    play.waiting = 9;
    assert_eq!(play.seconds(9), vec![Advice::Stay; 9], "whoever says manual decides");
}

#[test]
fn a_queue_that_moves_is_no_pressure() {
    let mut play = Play::new(Scaling { overload: 30, ..spare(2) }, 2);
    play.busy(2);
    play.waiting = 4;
    // 4 wait, 100 are finished in 100 ms: each waits 4 ms.
    for _ in 0..20 {
        play.requests += 100;
        assert_eq!(play.after(100), Advice::Stay);
    }
    // The same queue with 10 finished in 100 ms: 40 ms.
    let advice: Vec<_> = (0..6)
        .map(|_| {
            play.requests += 10;
            play.after(100)
        })
        .collect();
    assert!(advice.contains(&Advice::More(1)), "{advice:?}");
    // Somebody free will take them.
    let mut play = Play::new(Scaling { overload: 30, ..spare(2) }, 2);
    play.busy(1);
    play.waiting = 9;
    assert_eq!((0..20).map(|_| play.after(100)).collect::<Vec<_>>(), vec![Advice::Stay; 20]);
}

#[test]
fn spare2_keeps_as_many_free_as_cheaper_says() {
    let rules =
        Scaling { algorithm: Algorithm::Spare2, least: 3, step: 2, idle_seconds: 4, ..Scaling::DEFAULT };
    let mut play = Play::new(rules, 5);
    play.busy(4);
    assert_eq!(play.seconds(1), [Advice::More(2)]);
    play.busy(3);
    assert_eq!(play.seconds(1), [Advice::More(1)]);
    play.busy(2);
    assert_eq!(play.seconds(8), vec![Advice::Stay; 8]);
    play.busy(1);
    let advice = play.seconds(9);
    assert_eq!(advice.iter().filter(|advice| **advice == Advice::Fewer).count(), 2, "{advice:?}");
    assert_eq!(advice[4], Advice::Fewer);
}

#[test]
fn backlog_follows_the_listen_queue() {
    let rules = Scaling { algorithm: Algorithm::Backlog, overload: 3, ..spare(1) };
    let mut play = Play::new(rules, 4);
    assert_eq!(play.seconds(2), [Advice::Fewer, Advice::Fewer]);
    play.waiting = 4;
    assert_eq!(play.seconds(1), [Advice::More(1)]);
    play.waiting = 3;
    assert_eq!(play.seconds(1), [Advice::Stay]);
    play.waiting = 0;
    play.busy(3);
    assert_eq!(play.seconds(1), [Advice::Stay], "the last free one stays");
}

#[test]
fn busyness_is_the_time_in_requests() {
    let mut play = Play::new(busyness(1), 2);
    play.after(1_000);
    play.busy(2);
    assert_eq!(play.seconds(1), [Advice::More(1)]);
    // A third of the time is between the bounds.
    let mut play = Play::new(busyness(1), 3);
    play.after(1_000);
    play.busy(1);
    assert_eq!(play.seconds(30), vec![Advice::Stay; 30]);
    // Rest: the multiplier times the interval, then one at a time.
    let mut play = Play::new(busyness(1), 3);
    let advice = play.seconds(25);
    let fewer: Vec<usize> =
        advice.iter().enumerate().filter(|(_, a)| **a == Advice::Fewer).map(|(n, _)| n).collect();
    assert_eq!(fewer, [10, 20]);
}

#[test]
fn busyness_keeps_to_the_bounds_it_is_given() {
    // One of three works: 33 %.
    for (max, min, advised) in [(50, 25, Advice::Stay), (30, 25, Advice::More(1)), (50, 40, Advice::Fewer)] {
        let mut rules = busyness(1);
        (rules.busyness.max, rules.busyness.min) = (max, min);
        let mut play = Play::new(rules, 3);
        play.after(1_000);
        play.busy(1);
        let advice = play.seconds(12);
        assert_eq!(advice.contains(&Advice::More(1)), advised == Advice::More(1), "{max} {min}: {advice:?}");
        assert_eq!(advice.contains(&Advice::Fewer), advised == Advice::Fewer, "{max} {min}: {advice:?}");
    }
}

#[test]
fn a_request_that_never_ends_is_not_load_for_ever() {
    let mut play = Play::new(busyness(1), 4);
    play.after(1_000);
    play.hold(0);
    play.hold(1);
    let advice = play.seconds(40);
    assert!(!advice.contains(&Advice::More(1)), "{advice:?}");
    assert!(advice.contains(&Advice::Fewer), "uWSGI says 50 % for ever: {advice:?}");
    // Where all are held, nobody is free: one comes, and stays.
    let mut play = Play::new(busyness(1), 2);
    play.after(1_000);
    play.hold(0);
    play.hold(1);
    assert!(play.seconds(10).contains(&Advice::More(1)));
    let mut play = Play::new(busyness(1), 3);
    play.after(1_000);
    play.hold(0);
    play.hold(1);
    assert!(!play.seconds(40).contains(&Advice::Fewer), "the last free one stays");
}

#[test]
fn busyness_says_what_it_does_and_learns() {
    let mut rules = busyness(1);
    rules.busyness.verbose = true;
    rules.busyness.multiplier = 2;
    rules.busyness.penalty = 3;
    let mut play = Play::new(rules, 4);
    assert_eq!(play.seconds(3).last(), Some(&Advice::Fewer));
    assert!(
        play.lines
            .iter()
            .any(|line| line == "[busyness] 1s average busyness is at 0%, cheap one of 4 running workers")
    );
    // It was wrong: the next one has to wait for longer (2 + 3 intervals).
    play.busy(4);
    assert_eq!(play.seconds(1), [Advice::More(1)]);
    play.busy(0);
    assert_eq!(play.seconds(5), [&[Advice::Stay; 4][..], &[Advice::Fewer]].concat());
}

#[test]
fn a_long_listen_queue_is_an_emergency() {
    let mut rules = busyness(1);
    rules.overload = 60;
    rules.busyness.backlog_alert = 5;
    rules.busyness.backlog_step = 3;
    rules.busyness.backlog_nonzero = 4;
    let mut play = Play::new(rules, 2);
    play.busy(1);
    play.waiting = 5;
    assert_eq!(play.seconds(4), vec![Advice::Stay; 4]);
    assert_eq!(play.seconds(2), [Advice::Stay, Advice::More(1)], "somebody has been waiting for long");
    play.waiting = 6;
    assert_eq!(play.seconds(1), [Advice::More(3)]);
    assert!(play.lines.iter().any(|line| line.contains("6 requests in listen queue, spawning 3 emergency")));
    // Who came in an emergency need not stay as long as the others.
    for (emergency, intervals) in [(false, 7), (true, 4)] {
        let mut rules = busyness(1);
        rules.busyness.multiplier = 7;
        rules.busyness.backlog_multiplier = 4;
        rules.busyness.backlog_alert = 5;
        let mut play = Play::new(rules, 4);
        play.waiting = if emergency { 6 } else { 0 };
        play.after(1_000);
        play.waiting = 0;
        let advice = play.seconds(10);
        assert_eq!(advice.iter().position(|one| *one == Advice::Fewer), Some(intervals - 1), "{advice:?}");
    }
}

#[test]
fn memory_bounds_the_number() {
    let mut play = Play::new(Scaling { rss_soft: 4 << 20, ..spare(1) }, 4);
    play.rss = 1 << 20;
    play.busy(4);
    assert_eq!(play.seconds(9), vec![Advice::Stay; 9]);
    assert_eq!(play.lines, ["no more workers: these have 4 MB (cheaper-rss-limit-soft)"]);
    play.rss = 1;
    assert!(play.seconds(3).contains(&Advice::More(1)));
    let mut play = Play::new(Scaling { rss_soft: 1 << 20, rss_hard: 4 << 20, ..spare(3) }, 4);
    play.rss = 1 << 20;
    play.busy(4);
    assert_eq!(play.seconds(1), [Advice::FewerAtOnce]);
    let mut play = Play::new(Scaling { rss_hard: 4 << 20, ..spare(4) }, 4);
    play.rss = 1 << 20;
    assert_eq!(play.seconds(1), [Advice::Stay], "cheaper is the least");
}

#[test]
fn idle_counts_from_the_last_request() {
    for (die_on_idle, end) in [(false, Advice::Sleep), (true, Advice::Die)] {
        let mut play = Play::new(Scaling { idle: 3, die_on_idle, ..Scaling::DEFAULT }, 2);
        assert_eq!(play.seconds(3), vec![Advice::Stay; 3]);
        play.requests += 1;
        assert_eq!(play.seconds(3), vec![Advice::Stay; 3]);
        play.busy(1);
        assert_eq!(play.seconds(5), vec![Advice::Stay; 5], "a long request is no rest");
        play.busy(0);
        assert_eq!(play.seconds(4), [&[Advice::Stay; 3][..], &[end]].concat());
    }
}

#[test]
fn what_is_remembered_survives_an_upgrade() {
    let mut play = Play::new(spare(2), 2);
    play.busy(2);
    play.seconds(2);
    let text = serde_json::to_string(&play.scaler).expect("JSON");
    play.scaler = serde_json::from_str(&text).expect("read again");
    assert_eq!(play.seconds(1), [Advice::More(1)]);
}
