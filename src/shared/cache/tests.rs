//! What caches keep, what makes room, and what a death leaves.

use super::*;
use crate::shared::area::Area;
use crate::shared::shape::Shape;
use crate::sys::process::{Fork, bury, exit_now, fork_among_threads, peek};

const NOW: u64 = 1000;

/// An area with a cache for each of these.
fn area(caches: &[&str]) -> Area {
    let specs: Vec<_> = caches.iter().map(|text| options::Cache::keyed(text).expect("a cache").0).collect();
    Area::with_caches(Shape { workers: 1, cores: 1, locks: 1, ..Shape::default() }, &specs).expect("mapped")
}

fn set(cache: Cache<'_>, key: &str, value: &str) -> Put {
    cache.put(key.as_bytes(), value.as_bytes(), 0, false, NOW)
}

fn text(cache: Cache<'_>, key: &str, now: u64) -> Option<String> {
    cache.get(key.as_bytes(), now).map(|found| String::from_utf8(found.value).expect("text"))
}

fn keys(cache: Cache<'_>) -> String {
    let keys: Vec<_> = cache.keys(NOW).into_iter().map(|key| String::from_utf8(key).expect("text")).collect();
    keys.join(" ")
}

#[test]
fn each_cache_is_found_by_its_name_and_keeps_its_own() {
    let area = area(&["name=one,items=4", "name=two,items=4"]);
    let caches = area.caches();
    let [one, two] = ["one", "two"].map(|name| caches.named(name.as_bytes()).expect("made"));
    assert!(caches.named(b"three").is_none());
    assert_eq!(caches.named(b"").expect("the first").name(), b"one");
    assert_eq!((set(one, "k", "1"), set(two, "k", "2")), (Put::Done, Put::Done));
    assert_eq!((text(one, "k", NOW).as_deref(), text(two, "k", NOW).as_deref()), (Some("1"), Some("2")));
    assert!(one.remove(b"k", NOW) && !one.remove(b"k", NOW) && two.has(b"k", NOW));
    two.clear(NOW);
    assert!(!two.has(b"k", NOW));
    assert!(Area::new(1, 1, 1).expect("mapped").caches().named(b"").is_none());
}

#[test]
fn an_item_is_replaced_only_when_that_is_wanted() {
    let area = area(&["name=a,items=2,blocksize=4,keysize=3"]);
    let cache = area.caches().named(b"a").expect("made");
    assert_eq!([set(cache, "k", "1"), set(cache, "k", "2")], [Put::Done, Put::Exists]);
    assert_eq!(cache.put(b"k", b"long", 0, true, NOW), Put::Done);
    assert_eq!(text(cache, "k", NOW).as_deref(), Some("long"));
    for (key, value) in [("", "v"), ("long", "v"), ("k2", ""), ("k2", "5long")] {
        assert_eq!(set(cache, key, value), Put::Unfit, "{key} {value}");
    }
    assert_eq!(
        [set(cache, "b", "1"), set(cache, "c", "1"), set(cache, "c", "1")],
        [Put::Done, Put::Full(true), Put::Full(false)]
    );
}

#[test]
fn items_expire_to_the_second_and_then_make_room() {
    let area = area(&["name=a,items=1", "name=b,items=1,no_expire=1"]);
    let [a, b] = ["a", "b"].map(|name| area.caches().named(name.as_bytes()).expect("made"));
    for cache in [a, b] {
        assert_eq!(cache.put(b"k", b"v", 2, false, NOW), Put::Done);
        assert_eq!(cache.get(b"k", NOW + 1).map(|found| found.expires), Some(NOW + 2));
    }
    assert_eq!((text(a, "k", NOW + 2), text(b, "k", NOW + 2).as_deref()), (None, Some("v")));
    assert_eq!(a.put(b"other", b"w", 0, false, NOW + 2), Put::Done);
    assert_eq!(a.keys(NOW + 2), [b"other"]);
}

#[test]
fn a_full_cache_makes_room_as_it_was_told() {
    let area = area(&["name=lru,items=2,purge_lru=1", "name=clear,items=2,clear_on_full=1"]);
    let [lru, clear] = ["lru", "clear"].map(|name| area.caches().named(name.as_bytes()).expect("made"));
    for cache in [lru, clear] {
        assert_eq!([set(cache, "a", "1"), set(cache, "b", "2")], [Put::Done, Put::Done]);
        text(cache, "a", NOW);
        assert_eq!(set(cache, "c", "3"), Put::Done);
    }
    assert_eq!((keys(lru).as_str(), keys(clear).as_str()), ("a c", "c"));
}

#[test]
fn with_a_bitmap_a_value_takes_blocks_one_behind_the_other() {
    let area = area(&["name=a,items=4,blocks=6,blocksize=10,bitmap=1"]);
    let cache = area.caches().named(b"a").expect("made");
    let long = |n: usize| "0123456789abcdef".repeat(4)[..n].to_owned();
    assert_eq!([set(cache, "a", &long(25)), set(cache, "b", &long(20))], [Put::Done, Put::Done]);
    assert_eq!([set(cache, "c", &long(11)), set(cache, "d", "x")], [Put::Full(true), Put::Done]);
    assert_eq!(cache.put(b"a", long(21).as_bytes(), 0, true, NOW), Put::Done);
    assert_eq!(cache.put(b"b", long(21).as_bytes(), 0, true, NOW), Put::Full(false));
    assert_eq!(text(cache, "b", NOW).as_deref(), Some(&*long(20)), "it keeps what it had");
    assert!(cache.remove(b"a", NOW));
    assert_eq!(set(cache, "e", &long(30)), Put::Done);
    assert_eq!(text(cache, "e", NOW).as_deref(), Some(&*long(30)));
}

#[test]
fn numbers_are_counted_from_where_they_begin() {
    let area = area(&["name=a,items=4,math_initial=5"]);
    let cache = area.caches().named(b"a").expect("made");
    for (math, after) in [
        (Math::Add(2), 7),
        (Math::Multiply(-3), -21),
        (Math::Divide(2), -10),
        (Math::Divide(0), 0),
        (Math::Add(i64::MAX), i64::MAX),
        (Math::Add(1), i64::MIN),
    ] {
        assert_eq!(
            (cache.count(b"n", math, 0, NOW), cache.amount(b"n", NOW)),
            (Put::Done, Some(after)),
            "{math:?}"
        );
    }
    // Counting does not put the end off.
    assert_eq!([1, 2].map(|_| cache.count(b"m", Math::Add(1), 9, NOW)), [Put::Done; 2]);
    assert_eq!(cache.count(b"m", Math::Add(1), 9, NOW + 5), Put::Done);
    assert_eq!([cache.amount(b"m", NOW + 8), cache.amount(b"m", NOW + 9)], [Some(8), None]);
}

/// The same as a map would do, whatever comes.
#[test]
fn it_is_a_map() {
    let area = area(&["name=a,items=64,blocks=256,blocksize=8,bitmap=1"]);
    let cache = area.caches().named(b"a").expect("made");
    let mut model = std::collections::BTreeMap::new();
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20_000 {
        let key = format!("key{}", random.u8(..60));
        let value = "v".repeat(random.usize(1..30));
        match random.u8(..4) {
            0 => assert_eq!(cache.remove(key.as_bytes(), NOW), model.remove(&key).is_some(), "{round}"),
            1 => {
                if cache.put(key.as_bytes(), value.as_bytes(), 0, true, NOW) == Put::Done {
                    model.insert(key, value);
                }
            }
            2 => {
                let put = set(cache, &key, &value);
                assert_eq!(put == Put::Exists, model.contains_key(&key), "{round} {put:?}");
                if put == Put::Done {
                    model.insert(key, value);
                }
            }
            _ => assert_eq!(text(cache, &key, NOW), model.get(&key).cloned(), "{round}"),
        }
    }
    let mut keys = cache.keys(NOW);
    keys.sort();
    assert!(keys.iter().eq(model.keys().map(String::as_bytes)));
}

#[test]
fn processes_count_together() {
    const ROUNDS: i64 = 2000;
    let area = area(&["name=a,items=4"]);
    let cache = area.caches().named(b"a").expect("made");
    let children: Vec<u32> = (0..3)
        .map(|_| match fork_among_threads().expect("forked") {
            Fork::Parent(pid) => pid,
            Fork::Child => {
                (0..ROUNDS).for_each(|_| assert_eq!(cache.count(b"n", Math::Add(1), 0, NOW), Put::Done));
                exit_now(0)
            }
        })
        .collect();
    for pid in children {
        while peek(pid).is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        bury(pid);
    }
    assert_eq!(cache.amount(b"n", NOW), Some(3 * ROUNDS));
}

#[test]
fn a_process_that_dies_in_it_keeps_it_from_nobody() {
    let area = area(&["name=a,items=4"]);
    let cache = area.caches().named(b"a").expect("made");
    for (changing, left) in [(false, Some("v")), (true, None)] {
        cache.put(b"k", b"v", 0, true, NOW);
        let Fork::Parent(pid) = fork_among_threads().expect("forked") else {
            let held = cache.hold(NOW);
            if changing {
                held.change(|_| exit_now(0));
            }
            exit_now(0)
        };
        while peek(pid).is_none() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(cache.get_soon(b"k", NOW).is_none(), "held, and nobody is known to be dead");
        bury(pid);
        assert_eq!(text(cache, "k", NOW).as_deref(), left, "changing: {changing}");
    }
}
