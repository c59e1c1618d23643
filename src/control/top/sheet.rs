//! What there is to show, as lines of text: the same on a screen and on paper.

use std::cmp::Ordering;

use super::rates::{Rates, WorkerRates, percentile};
use crate::control::requests::time;
use crate::stats::flights::{Flying, Landed};
use crate::stats::live::{Buckets, Live, Worker};

/// From this width on each phase of a request has its column.
const WIDE: usize = 110;

/// What workers are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Number.
    Id,
    /// Share of time in requests.
    Busy,
    /// Requests a second.
    Rate,
    /// Requests.
    Requests,
    /// Average response time.
    Average,
    /// Exceptions.
    Raised,
    /// Resident memory.
    Memory,
}

impl Sort {
    /// As they are named, in their order.
    pub const NAMES: [&'static str; 7] = ["id", "busy", "rate", "requests", "average", "raised", "memory"];
    const ALL: [Sort; 7] =
        [Sort::Id, Sort::Busy, Sort::Rate, Sort::Requests, Sort::Average, Sort::Raised, Sort::Memory];

    /// By its name.
    pub fn named(name: &str) -> Sort {
        let at = Sort::NAMES.iter().position(|known| *known == name).unwrap_or(0);
        Sort::ALL[at]
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Sort::NAMES[self as usize]
    }

    /// The next one.
    pub fn next(self) -> Sort {
        Sort::ALL[(self as usize + 1) % Sort::ALL.len()]
    }
}

/// Requests that can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Those that run.
    InFlight,
    /// The slowest.
    Slowest,
    /// The last that failed.
    Failed,
}

impl List {
    /// All of them.
    pub const ALL: [List; 3] = [List::InFlight, List::Slowest, List::Failed];

    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            List::InFlight => "in flight",
            List::Slowest => "slowest of the last hour",
            List::Failed => "last failed",
        }
    }
}

/// See the module's page.
pub struct Sheet<'a> {
    live: &'a Live,
    rates: &'a Rates,
    workers: Vec<&'a Worker>,
    percentiles: [Option<f64>; 5],
}

impl<'a> Sheet<'a> {
    /// Of `live`; times are of what came since `before`.
    pub fn new(before: &Live, live: &'a Live, rates: &'a Rates, sort: Sort) -> Sheet<'a> {
        let of = |now: &Buckets, before: &Buckets, percent| percentile(&live.bounds_us, before, now, percent);
        let app = |percent| of(&live.app_time, &before.app_time, percent);
        let queue = |percent| of(&live.queue_time, &before.queue_time, percent);
        let mut workers: Vec<&Worker> = live.workers.iter().collect();
        workers.sort_by(|a, b| order(sort, a, b, rates).then(a.id.cmp(&b.id)));
        Sheet {
            live,
            rates,
            workers,
            percentiles: [app(50.0), app(90.0), app(99.0), queue(50.0), queue(99.0)],
        }
    }

    /// The whole server.
    pub fn head(&self) -> Vec<String> {
        let (live, rates) = (self.live, self.rates);
        let uptime_us = (live.now_ms / 1000).saturating_sub(live.started_on) * 1_000_000;
        let generation =
            if live.generation > 0 { format!("  generation {}", live.generation) } else { String::new() };
        let threads: usize = live.workers.iter().filter(|it| it.pid != 0).map(|it| it.cores.len()).sum();
        let [p50, p90, p99, q50, q99] = self.percentiles.map(known);
        let [_, _, ok, moved, wrong, failed] = rates.answers.map(number);
        let waiting = live.in_hand.saturating_sub(live.running);
        let clients: Vec<String> =
            live.connections.iter().map(|it| format!("{} {}", it.state, it.count)).collect();
        let line = |waiting: Option<u32>, limit: Option<u32>| match (waiting, limit) {
            (Some(waiting), Some(limit)) => format!("{waiting}/{limit}"),
            _ => "-".to_owned(),
        };
        let sockets: Vec<String> =
            live.sockets.iter().map(|it| format!("{} {}", it.name, line(it.waiting, it.limit))).collect();
        vec![
            format!(
                "uwring {}  pid {}  {}{generation}  up {}",
                live.version,
                live.pid,
                live.phase,
                time(uptime_us.max(1_000_000)),
            ),
            format!(
                "requests  {}/s   2xx {ok}  3xx {moved}  4xx {wrong}  5xx {failed}  raised {}  refused {}",
                number(rates.requests),
                number(rates.exceptions),
                number(rates.refused)
            ),
            format!("latency   p50 {p50}  p90 {p90}  p99 {p99}   queue  p50 {q50}  p99 {q99}"),
            format!(
                "threads   {} of {threads} busy, {waiting} requests wait   in {}/s  out {}/s",
                live.running,
                bytes(rates.rx_bytes),
                bytes(rates.tx_bytes)
            ),
            format!("clients   {}", or_none(&clients.join("  "))),
            format!("backlog   {}", or_none(&sockets.join("  "))),
        ]
    }

    /// The names of the workers' columns.
    pub fn worker_names() -> String {
        format!(
            "{:>3} {:>7} {:<6} {:>5} {:>8} {:>9} {:>8} {:>6} {:>4} {:>8} {:>5}",
            "id",
            "pid",
            "state",
            "busy",
            "rate/s",
            "requests",
            "average",
            "raised",
            "late",
            "memory",
            "starts"
        )
    }

    /// A line for each worker.
    pub fn workers(&self) -> Vec<String> {
        self.workers.iter().map(|worker| self.worker(worker)).collect()
    }

    fn worker(&self, worker: &Worker) -> String {
        let rates = rates_of(self.rates, worker);
        format!(
            "{:>3} {:>7} {:<6} {:>4.0}% {:>8} {:>9} {:>8} {:>6} {:>4} {:>8} {:>5}",
            worker.id,
            worker.pid,
            worker.state,
            rates.busy * 100.0,
            number(rates.requests),
            worker.requests,
            time(worker.average_us),
            worker.exceptions,
            worker.harakiri,
            bytes(worker.rss_bytes as f64),
            worker.starts
        )
    }

    /// How many there are in a list.
    pub fn count(&self, list: List) -> usize {
        match list {
            List::InFlight => self.live.recorder.in_flight.len(),
            List::Slowest => self.live.recorder.slowest.len(),
            List::Failed => self.live.recorder.failed.len(),
        }
    }

    /// The names of its columns, where there is room for so many characters.
    pub fn list_names(list: List, width: usize) -> String {
        let phases = if width >= WIDE {
            format!(" {:>8} {:>8} {:>8} {:>8} {:>8}", "accept", "read", "queue", "app", "write")
        } else {
            format!(" {:>8}", "app")
        };
        match list {
            List::InFlight => format!("{:>3} {:>4} {:>8} {:>8} request", "id", "core", "running", "waited"),
            List::Slowest => format!("{:>3} {:>8} {:>8}{phases} {:>4} request", "id", "ago", "total", "code"),
            List::Failed => {
                format!("{:>3} {:>8} {:>8}{phases} {:<11} request", "id", "ago", "total", "reason")
            }
        }
    }

    /// A line for each of its requests.
    pub fn list(&self, list: List, width: usize) -> Vec<String> {
        let recorder = &self.live.recorder;
        match list {
            List::InFlight => recorder.in_flight.iter().map(flying).collect(),
            List::Slowest => recorder.slowest.iter().map(|it| self.landed(it, list, width)).collect(),
            List::Failed => recorder.failed.iter().map(|it| self.landed(it, list, width)).collect(),
        }
    }

    fn landed(&self, it: &Landed, list: List, width: usize) -> String {
        let ago = time(self.live.now_ms.saturating_sub(it.started_ms) * 1000);
        let all = [it.accept_us, it.read_us, it.queue_us, it.app_us, it.write_us];
        let phases = if width >= WIDE { &all[..] } else { &all[3..4] };
        let phases: String = phases.iter().map(|us| format!(" {:>8}", time(*us))).collect();
        let reason = match (&it.failure, list) {
            (Some(why), List::Failed) if why == "status" => format!("{:<11}", it.status),
            (Some(why), List::Failed) => format!("{why:<11}"),
            _ => format!("{:>4}", it.status),
        };
        format!(
            "{:>3} {ago:>8} {:>8}{phases} {reason} {} {}",
            it.worker,
            time(it.total_us),
            it.method,
            it.uri
        )
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut lines = self.head();
        lines.push(String::new());
        lines.push(Sheet::worker_names());
        lines.extend(self.workers());
        for list in List::ALL {
            lines.push(String::new());
            lines.push(format!("{}: {}", list.name(), self.count(list)));
            if self.count(list) > 0 {
                lines.push(Sheet::list_names(list, WIDE));
                lines.extend(self.list(list, WIDE));
            }
        }
        lines.join("\n") + "\n"
    }
}

fn flying(it: &Flying) -> String {
    let (running, waited) = (time(it.running_us), time(it.waited_us));
    format!("{:>3} {:>4} {running:>8} {waited:>8} {} {}", it.worker, it.core, it.method, it.uri)
}

fn rates_of(rates: &Rates, worker: &Worker) -> WorkerRates {
    rates.workers.get(&worker.id).copied().unwrap_or_default()
}

/// The most first, but numbers.
fn order(sort: Sort, a: &Worker, b: &Worker, rates: &Rates) -> Ordering {
    let (of_a, of_b) = (rates_of(rates, a), rates_of(rates, b));
    match sort {
        Sort::Id => Ordering::Equal,
        Sort::Busy => of_b.busy.total_cmp(&of_a.busy),
        Sort::Rate => of_b.requests.total_cmp(&of_a.requests),
        Sort::Requests => b.requests.cmp(&a.requests),
        Sort::Average => b.average_us.cmp(&a.average_us),
        Sort::Raised => b.exceptions.cmp(&a.exceptions),
        Sort::Memory => b.rss_bytes.cmp(&a.rss_bytes),
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn known(us: Option<f64>) -> String {
    us.map_or("-".to_owned(), |us| time(us as u64))
}

fn number(value: f64) -> String {
    if value >= 100.0 || value == 0.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn bytes(value: f64) -> String {
    let units = ["B", "kB", "MB", "GB"];
    let mut at = 0;
    let mut value = value;
    while value >= 1000.0 && at + 1 < units.len() {
        value /= 1000.0;
        at += 1;
    }
    if at == 0 { format!("{value:.0} B") } else { format!("{value:.1} {}", units[at]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::flights::Flights;
    use crate::stats::live::{Core, Count, Socket};

    fn live() -> Live {
        let worker = |id, requests| Worker {
            id,
            pid: 4_000_000 + id,
            state: "busy".into(),
            requests,
            cores: vec![Core::default(); 2],
            rss_bytes: 123_400_000,
            ..Worker::default()
        };
        let failed = Landed {
            worker: 2,
            method: "GET".into(),
            uri: "/x".into(),
            status: 502,
            failure: Some("status".into()),
            ..Landed::default()
        };
        Live {
            now_ms: 2_000,
            version: "1".into(),
            phase: "running".into(),
            generation: 1,
            workers: vec![worker(1, 7), worker(2, 9_999_999)],
            connections: vec![Count { state: "idle".into(), count: 3 }],
            sockets: vec![Socket {
                name: "/s".into(),
                waiting: Some(1),
                limit: Some(100),
                ..Socket::default()
            }],
            recorder: Flights { failed: vec![failed], ..Flights::default() },
            ..Live::default()
        }
    }

    #[test]
    fn a_sheet_fits_into_eighty_columns() {
        let (live, rates) = (live(), Rates::default());
        let sheet = Sheet::new(&live, &live, &rates, Sort::Id);
        let lines = [Sheet::worker_names()].into_iter().chain(sheet.workers()).chain(sheet.head());
        for line in lines.chain(List::ALL.map(|list| Sheet::list_names(list, 80))) {
            assert!(line.len() <= 80, "{}: {line}", line.len());
        }
        let text = sheet.text();
        for part in [
            "up 2.00 s",
            "backlog   /s 1/100",
            "123.4 MB",
            "last failed: 1",
            " 502         GET /x\n",
            "p50 -",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn workers_are_sorted_the_most_first() {
        let (live, rates) = (live(), Rates::default());
        let first = |sort| Sheet::new(&live, &live, &rates, sort).workers()[0].trim_start().as_bytes()[0];
        assert_eq!([first(Sort::Id), first(Sort::Requests), first(Sort::Busy)], [b'1', b'2', b'1']);
        assert_eq!(Sort::NAMES.map(|name| Sort::named(name).name()), Sort::NAMES);
        assert_eq!(Sort::Memory.next(), Sort::Id);
    }
}
