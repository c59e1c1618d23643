//! Requests as the flight recorder tells them: those that run, the slowest, and the last that failed, of all workers.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::base::clock::{self, Micros};
use crate::base::text;
use crate::shared::area::Area;
use crate::shared::core::method_and_uri;
use crate::shared::flight::Flown;

/// Running requests that are told, the oldest first.
const RUNNING_MAX: usize = 100;
/// Slowest and failed requests that are told, each.
const KEPT_MAX: usize = 32;

/// See the module's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flights {
    /// With the application now, the longest first.
    pub in_flight: Vec<Flying>,
    /// The slowest of the last hour, the slowest first.
    pub slowest: Vec<Landed>,
    /// The last that failed, the last first.
    pub failed: Vec<Landed>,
}

/// A request that an interpreter thread works on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flying {
    /// Number of its worker, from 1.
    pub worker: u32,
    /// The worker's process.
    pub pid: u32,
    /// The interpreter thread, from 0.
    pub core: u32,
    /// Its method.
    pub method: String,
    /// Its URI, as far as it is kept; its path, unless queries are shown.
    pub uri: String,
    /// When it began to come, milliseconds since the epoch.
    pub started_ms: u64,
    /// Microseconds until a thread took it.
    pub waited_us: u64,
    /// Microseconds it has been with the application.
    pub running_us: u64,
}

/// A finished request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// Number of its worker, from 1.
    pub worker: u32,
    /// The worker's process.
    pub pid: u32,
    /// The interpreter thread, from 0; none where the application never saw it.
    pub core: Option<u32>,
    /// Its method.
    pub method: String,
    /// Its URI, as far as it is kept.
    pub uri: String,
    /// Status of its answer, 0: none.
    pub status: u16,
    /// Why it counts as failed, if it does.
    pub failure: Option<String>,
    /// When it began to come, milliseconds since the epoch.
    pub started_ms: u64,
    /// What it had waited before that to be accepted, as far as that is known, microseconds.
    #[serde(default)]
    pub accept_us: u64,
    /// From its beginning to the end of its answer.
    pub total_us: u64,
    /// Of these, until all of it was there that was waited for,
    pub read_us: u64,
    /// until a thread took it,
    pub queue_us: u64,
    /// with the application,
    pub app_us: u64,
    /// and until the rest of the answer was out.
    pub write_us: u64,
}

/// Both clocks at one moment, to tell when something was.
#[derive(Clone, Copy)]
struct Clocks {
    now: Micros,
    wall_us: u64,
}

impl Clocks {
    fn wall_ms(self, at: Micros) -> u64 {
        self.wall_us.saturating_sub(self.now.since(at)) / 1000
    }
}

impl Flights {
    /// As they are now.
    pub fn of(area: &Area) -> Flights {
        let clocks = Clocks { now: clock::now(), wall_us: clock::wall() };
        let mut told = Flights::default();
        for number in 1..=area.slot_count() {
            told.in_flight.extend(running(area, number, clocks));
            let worker = area.id_of(number);
            let landed = |flown: Flown| landed(&flown, worker, clocks);
            told.slowest.extend(area.flights(number).slowest(clocks.now).map(landed));
            told.failed.extend(area.flights(number).failed().map(landed));
        }
        told.in_flight.sort_by_key(|request| Reverse(request.running_us));
        told.slowest.sort_by_key(|request| Reverse(request.total_us));
        told.failed.sort_by_key(|request| Reverse(request.started_ms + request.total_us / 1000));
        told.in_flight.truncate(RUNNING_MAX);
        told.slowest.truncate(KEPT_MAX);
        told.failed.truncate(KEPT_MAX);
        told
    }
}

fn running(area: &Area, number: u32, clocks: Clocks) -> Vec<Flying> {
    let (slot, worker) = (area.slot(number), area.id_of(number));
    if slot.process() == 0 {
        return Vec::new();
    }
    let flying = |(core, line): (u32, &crate::shared::core::CoreSlot)| {
        let busy = line.busy()?;
        let text = line.bytes();
        // What was read may belong to the next request already.
        line.busy().filter(|now| now.serial == busy.serial)?;
        let (method, uri) = method_and_uri(&text);
        let path = if area.shape().queries { uri } else { uri.split(|byte| *byte == b'?').next()? };
        Some(Flying {
            worker,
            pid: slot.process(),
            core,
            method: readable(method),
            uri: readable(path),
            started_ms: clocks.wall_ms(busy.arrived),
            waited_us: busy.since.since(busy.arrived),
            running_us: clocks.now.since(busy.since),
        })
    };
    area.cores_of(number).filter_map(flying).collect()
}

fn landed(flown: &Flown, worker: u32, clocks: Clocks) -> Landed {
    Landed {
        worker,
        pid: flown.pid,
        core: flown.core,
        method: readable(flown.method()),
        uri: readable(flown.uri()),
        status: flown.status,
        failure: flown.why.map(|why| why.name().to_owned()),
        started_ms: clocks.wall_ms(flown.arrived),
        accept_us: flown.accept_us,
        total_us: flown.total_us(),
        read_us: flown.read_us,
        queue_us: flown.queue_us,
        app_us: flown.app_us,
        write_us: flown.write_us,
    }
}

/// For terminals and pages alike: a client chooses these bytes.
fn readable(bytes: &[u8]) -> String {
    text::readable(&String::from_utf8_lossy(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::flight::Failure;

    #[test]
    fn requests_of_all_workers_are_told_in_order() {
        let area = Area::new(2, 2, 0).expect("mapped");
        let now = clock::now();
        for (number, ago_us) in [(1, 5_000_000), (6, 9_000_000)] {
            area.slot(number).occupy(1);
            let began = Micros(now.0 - ago_us);
            let core = area.core(number, 1).expect("two cores");
            core.begin([Micros(began.0 - 7), began], 0, 1, &[b"::1 - GET /slow\x1b[2J?token=1"]);
            let mut flown = Flown { arrived: began, app_us: ago_us / 2, ..Flown::default() };
            flown.name(b"PUT", format!("/{number}").as_bytes());
            let flights = area.flights(number);
            flights.keep_slow(&mut flights.ladder(now), &flown);
            flights.keep_failed(&Flown { why: Some(Failure::Gone), ..flown });
        }
        let told = Flights::of(&area);
        let workers: Vec<_> = told.in_flight.iter().map(|request| (request.worker, request.core)).collect();
        assert_eq!(workers, [(2, 1), (1, 1)]);
        let request = &told.in_flight[0];
        assert_eq!((request.method.as_str(), request.uri.as_str()), ("GET", "/slow?[2J"));
        assert_eq!(request.waited_us, 7);
        assert!(request.running_us >= 9_000_000 && request.started_ms > 0);
        let uris = |list: &[Landed]| list.iter().map(|request| request.uri.clone()).collect::<Vec<_>>();
        assert_eq!(
            (uris(&told.slowest), uris(&told.failed)),
            (vec!["/6".into(), "/1".into()], vec!["/1".into(), "/6".into()])
        );
        assert_eq!(told.failed[0].failure.as_deref(), Some("client gone"));
        let text = serde_json::to_string(&told).expect("JSON");
        assert_eq!(serde_json::from_str::<Flights>(&text).expect("read"), told);
    }
}
