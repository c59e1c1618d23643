//! The application's metrics (`metric`, `uwsgi.metric_inc`): a number each, which every worker may count on.
//!
//! Their names lie beside them, so that who reads the configuration anew after a reload finds the same ones. Counting is
//! an atomic operation on one word: no lock, and a process may die anywhere.

use std::sync::atomic::{AtomicU64, Ordering};

use super::seen::Text;
use crate::options::metric::{NAME_MAX, Source};
use crate::options::monitor::Monitor;

/// One of them. Its name is written by the master before the first fork.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Meter {
    /// As two's complement.
    value: AtomicU64,
    name: Text<{ NAME_MAX / 8 }>,
}

/// What is done to a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Another number takes its place.
    Set(i64),
    /// Something is added.
    Add(i64),
    /// It is multiplied.
    Multiply(i64),
    /// It is divided; by 0 nothing is done.
    Divide(i64),
    /// It becomes this, where it is less.
    AtLeast(i64),
    /// It becomes this, where it is more.
    AtMost(i64),
}

impl Change {
    /// What `value` becomes; `None`: nothing can be done. What is too large begins anew below, as in uWSGI.
    fn of(self, value: i64) -> Option<i64> {
        Some(match self {
            Change::Set(n) => n,
            Change::Add(n) => value.wrapping_add(n),
            Change::Multiply(n) => value.wrapping_mul(n),
            Change::Divide(0) => return None,
            Change::Divide(n) => value.wrapping_div(n),
            Change::AtLeast(n) => value.max(n),
            Change::AtMost(n) => value.min(n),
        })
    }
}

/// All of them.
#[derive(Clone, Copy, Debug)]
pub struct Meters<'a>(pub(super) &'a [Meter]);

impl Meters<'_> {
    /// *The master, before the first fork.* Gives each its name and what it begins with.
    pub(super) fn format(self, monitor: &Monitor) {
        for (meter, (name, initial)) in self.0.iter().zip(counted(monitor)) {
            meter.name.put(name.as_bytes(), 0);
            meter.value.store(initial.cast_unsigned(), Ordering::Release);
        }
    }

    /// The number of that name; `None`: there is none that is counted.
    pub fn value(self, name: &[u8]) -> Option<i64> {
        Some(self.named(name)?.value.load(Ordering::Relaxed).cast_signed())
    }

    /// Changes it. Whether that was done.
    pub fn change(self, name: &[u8], change: Change) -> bool {
        let next = |value: u64| change.of(value.cast_signed()).map(i64::cast_unsigned);
        let changed = |meter: &Meter| meter.value.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        self.named(name).is_some_and(|meter| changed(meter).is_ok())
    }

    fn named(&self, name: &[u8]) -> Option<&Meter> {
        self.0.iter().find(|meter| meter.name.is(name))
    }
}

/// Names of those that are counted, and what they begin with.
pub fn counted(monitor: &Monitor) -> impl Iterator<Item = (&str, i64)> {
    monitor.declared.iter().filter_map(|metric| match metric.source {
        Source::Counted(initial) => Some((metric.name.as_str(), initial)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::metric::Metric;
    use crate::shared::area::Area;
    use crate::shared::shape::Shape;
    use crate::sys::process::{Status, in_child};

    fn area() -> Area {
        let read = |text| Metric::read(text).expect(text).0;
        let declared =
            vec![read("a"), read("name=s,collector=sum,children=a"), read("name=b,initial_value=-7")];
        let monitor = Monitor { declared, ..Monitor::default() };
        Area::for_server(Shape { workers: 1, cores: 1, ..Shape::default() }, &[], &monitor).expect("mapped")
    }

    #[test]
    fn numbers_are_found_by_name_and_counted() {
        let area = area();
        let meters = area.meters();
        assert_eq!(
            [&b"a"[..], b"b", b"s", b"", b"ab"].map(|name| meters.value(name)),
            [Some(0), Some(-7), None, None, None]
        );
        for (change, done, value) in [
            (Change::Add(10), true, 3),
            (Change::Multiply(-5), true, -15),
            (Change::Divide(0), false, -15),
            (Change::Divide(2), true, -7),
            (Change::AtLeast(-9), true, -7),
            (Change::AtLeast(4), true, 4),
            (Change::AtMost(2), true, 2),
            (Change::Set(i64::MAX), true, i64::MAX),
            (Change::Add(1), true, i64::MIN),
            (Change::Divide(-1), true, i64::MIN),
        ] {
            assert_eq!((meters.change(b"b", change), meters.value(b"b")), (done, Some(value)), "{change:?}");
        }
        assert!(!meters.change(b"none", Change::Add(1)));
        assert_eq!(meters.value(b"a"), Some(0));
    }

    #[test]
    fn processes_count_together() {
        let area = area();
        let count = || (0..1000).all(|_| area.meters().change(b"a", Change::Add(1)));
        assert_eq!(in_child(|| i32::from(!count())), Status::Exited(0));
        assert!(count());
        assert_eq!(area.meters().value(b"a"), Some(2000));
    }
}
