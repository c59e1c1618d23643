//! What the `uwsgi` module asks of the server beyond the request at hand.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uwring_abi as abi;

use super::Plan;
use crate::base::clock;
use crate::plugin::host::CacheCall;
use crate::shared::area::{Area, Ask};
use crate::shared::cache::{Cache, Math, Put};
use crate::shared::meters::Change;
use crate::stats::figures;
use crate::stats::snapshot::View;
use crate::stats::vars::Variables;

/// One of `CONTROL_*`, from a worker.
pub fn of_worker(plan: &Plan, what: u32, arg: u64) -> i64 {
    if what == abi::CONTROL_SOCKET {
        let listener = usize::try_from(arg).ok().and_then(|number| plan.listeners.get(number));
        return listener.map_or(-1, |listener| i64::from(listener.fd.as_raw_fd()));
    }
    if what == abi::CONTROL_GENERATION {
        return i64::from(plan.slot().generation());
    }
    if what == abi::CONTROL_PLACE {
        return i64::from(plan.place.as_raw_fd());
    }
    if what == abi::CONTROL_LEDGER {
        return ledger(&plan.area, plan.slot - 1, arg);
    }
    control(&plan.area, plan.notify.as_raw_fd(), plan.master_pid, plan.slot, what, arg)
}

/// One of `CONTROL_*`, from worker `worker` (0: the template).
pub fn control(area: &Area, notify: RawFd, master_pid: u32, worker: u32, what: u32, arg: u64) -> i64 {
    match what {
        abi::CONTROL_RELOAD => ask(area, notify, Ask::Reload),
        abi::CONTROL_STOP => ask(area, notify, Ask::Stop),
        abi::CONTROL_LOCK => i64::from(area.locks().lock(arg)),
        abi::CONTROL_UNLOCK => i64::from(area.locks().unlock(arg)),
        abi::CONTROL_IS_LOCKED => area.locks().is_locked(arg).map_or(-1, i64::from),
        abi::CONTROL_REQUESTS => {
            if worker == 0 {
                0
            } else {
                count(area.requests_of(worker))
            }
        }
        abi::CONTROL_TOTAL_REQUESTS => count(area.total_requests()),
        abi::CONTROL_PID => match u32::try_from(arg) {
            Ok(0) => i64::from(master_pid),
            Ok(id) if id <= area.workers() => i64::from(area.worker(id).process()),
            _ => 0,
        },
        abi::CONTROL_WORKER => figure(area, arg),
        _ => -1,
    }
}

/// `CONTROL_LEDGER`, of the process that has the ledger of that number.
pub fn ledger(area: &Area, index: u32, arg: u64) -> i64 {
    let (fd, offset, bytes) = area.ledger(index);
    match arg {
        0 => count(bytes),
        1 => i64::from(fd),
        2 => count(offset),
        _ => -1,
    }
}

/// One of `WORKER_*`, which is in the upper half of `arg`.
fn figure(area: &Area, arg: u64) -> i64 {
    let (what, id) = ((arg >> 32) as u32, arg as u32);
    if !(1..=area.workers()).contains(&id) {
        return -1;
    }
    let slot = area.worker(id);
    let counter = match what {
        abi::WORKER_REQUESTS => &slot.requests,
        abi::WORKER_EXCEPTIONS => &slot.exceptions,
        abi::WORKER_TX_BYTES => &slot.tx_bytes,
        abi::WORKER_RUNNING_TIME_US => &slot.running_time_us,
        abi::WORKER_LAST_SPAWN => &slot.last_spawn,
        abi::WORKER_SPAWNS => &slot.spawns,
        abi::WORKER_WRITE_ERRORS => &slot.write_errors,
        abi::WORKER_SIGNALS => return count(area.signals(area.serving().max(1)).handled(id)),
        abi::WORKER_IN_FLIGHT => return i64::from(slot.in_flight.load(Ordering::Relaxed)),
        _ => return -1,
    };
    count(counter.load(Ordering::Relaxed))
}

/// Application `app` of `generation` was loaded.
pub fn loaded(area: &Area, generation: u32, app: u32, mountpoint: &[u8], seconds: u64) {
    if let Some(card) = area.card(generation, app) {
        card.put(mountpoint, seconds);
    }
}

/// One of `CACHE_*`.
pub fn cache(area: &Area, call: &CacheCall<'_>) -> (i64, Vec<Vec<u8>>) {
    let Some(cache) = area.caches().named(call.cache) else { return (-1, Vec::new()) };
    let now = clock::wall_seconds();
    let (key, expires) = (call.key, call.expires);
    let done = match call.what {
        abi::CACHE_GET => {
            let found = cache.get(key, now).map(|found| found.value);
            return (i64::from(found.is_some()), found.into_iter().collect());
        }
        abi::CACHE_KEYS => return (1, cache.keys(now)),
        abi::CACHE_SET => stored(cache, cache.put(key, call.value, expires, false, now)),
        abi::CACHE_UPDATE => stored(cache, cache.put(key, call.value, expires, true, now)),
        abi::CACHE_DEL => cache.remove(key, now),
        abi::CACHE_EXISTS => cache.has(key, now),
        abi::CACHE_CLEAR => {
            cache.clear(now);
            true
        }
        abi::CACHE_ADD => stored(cache, cache.count(key, Math::Add(call.number), expires, now)),
        abi::CACHE_MUL => stored(cache, cache.count(key, Math::Multiply(call.number), expires, now)),
        abi::CACHE_DIV => stored(cache, cache.count(key, Math::Divide(call.number), expires, now)),
        _ => false,
    };
    (i64::from(done), Vec::new())
}

/// One of `METRIC_*`, of those that are counted.
pub fn metric(area: &Area, what: u32, name: &[u8], number: i64) -> i64 {
    let change = match what {
        abi::METRIC_GET => return area.meters().value(name).unwrap_or(0),
        abi::METRIC_SET => Change::Set(number),
        abi::METRIC_ADD => Change::Add(number),
        abi::METRIC_MUL => Change::Multiply(number),
        abi::METRIC_DIV => Change::Divide(number),
        abi::METRIC_MAX => Change::AtLeast(number),
        abi::METRIC_MIN => Change::AtMost(number),
        _ => return 0,
    };
    i64::from(area.meters().change(name, change))
}

/// What the metric of that name is now, whether it is counted, worked out, or the server's own.
pub fn metric_value(plan: &Plan, name: &[u8]) -> i64 {
    let (area, settings) = (&plan.area, &plan.settings);
    area.meters().value(name).unwrap_or_else(|| {
        let view = View {
            area: Arc::clone(area),
            listeners: plan.listeners.clone(),
            master_pid: plan.master_pid,
            uid: 0,
            gid: 0,
            folder: String::new(),
            threads: settings.process.threads,
            locks: 0,
            variables: Variables::default(),
            declared: settings.monitor.declared.clone(),
        };
        figures::named(&view.look(false), name)
    })
}

/// Whether something was stored in a cache; says so where it is full.
pub fn stored(cache: Cache<'_>, put: Put) -> bool {
    if put == Put::Full(true) {
        crate::log!("*** DANGER cache \"{}\" is FULL !!! ***", String::from_utf8_lossy(&cache.name()));
    }
    put == Put::Done
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn ask(area: &Area, notify: RawFd, what: Ask) -> i64 {
    area.ask(what);
    i64::from(crate::sys::event::signal(notify).is_ok())
}
