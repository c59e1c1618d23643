//! The figures by the names of uWSGI's metrics subsystem: for its statistics (`enable-metrics`) and for StatsD.

use super::declared;
use super::snapshot::{Doing, Snapshot, Worker};

/// How a figure behaves; the numbers are those of uWSGI's `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter = 0,
    /// Goes up and down.
    Gauge = 1,
    /// Begins anew with each worker.
    Absolute = 2,
    /// Another's second name.
    Alias = 3,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// Its number in uWSGI's tree.
    pub oid: String,
    /// How it behaves.
    pub kind: Kind,
    /// What it is now.
    pub value: i64,
}

/// The one of that name, 0 where there is none.
pub fn named(told: &Snapshot, name: &[u8]) -> i64 {
    all(told, true).iter().find(|figure| figure.name.as_bytes() == name).map_or(0, |figure| figure.value)
}

/// All of them, in uWSGI's order; `cores`: those of single threads too.
pub fn all(told: &Snapshot, cores: bool) -> Vec<Figure> {
    let mut list = List(Vec::new());
    let doing = |doing| told.workers.iter().filter(|worker| worker.doing == doing).count() as u64;
    list.add("core.routed_signals", "5.1", Kind::Counter, 0);
    list.add("core.unrouted_signals", "5.2", Kind::Counter, 0);
    list.add("core.busy_workers", "5.3", Kind::Gauge, doing(Doing::Busy));
    list.add("core.idle_workers", "5.4", Kind::Gauge, doing(Doing::Idle));
    list.add("core.overloaded", "5.5", Kind::Counter, 0);
    let total = total(told);
    list.worker(0, &total);
    for worker in &told.workers {
        list.worker(worker.id, worker);
        if cores {
            list.cores(worker);
        }
    }
    list.add("core.total_tx", "5.100", Kind::Counter, total.tx);
    list.add("core.total_rss", "5.101", Kind::Gauge, total.usage.rss);
    list.add("core.total_vsz", "5.102", Kind::Gauge, total.usage.address_space);
    list.add("core.avg_response_time", "5.103", Kind::Gauge, total.avg_rt);
    list.add("core.total_running_time", "5.104", Kind::Counter, total.running_time);
    for (n, socket) in told.sockets.iter().enumerate() {
        let waiting = socket.backlog.map_or(0, |line| line.waiting.into());
        list.add(&format!("socket.{n}.listen_queue"), &format!("7.{n}.1"), Kind::Gauge, waiting);
    }
    list.add("rss_size", "5.101", Kind::Alias, total.usage.rss);
    list.add("vsz_size", "5.102", Kind::Alias, total.usage.address_space);
    declared::add(&mut list.0, &told.declared);
    list.0
}

/// All workers as if they were one.
fn total(told: &Snapshot) -> Worker {
    let average = told.sum(|worker| worker.avg_rt) / (told.workers.len() as u64).max(1);
    let mut total = Worker {
        requests: told.sum(|worker| worker.requests),
        delta_requests: told.sum(|worker| worker.delta_requests),
        exceptions: told.sum(|worker| worker.exceptions),
        respawn_count: told.sum(|worker| worker.respawn_count),
        running_time: told.sum(|worker| worker.running_time),
        tx: told.sum(|worker| worker.tx),
        avg_rt: average,
        ..Worker::default()
    };
    total.usage.rss = told.sum(|worker| worker.usage.rss);
    total.usage.address_space = told.sum(|worker| worker.usage.address_space);
    total
}

struct List(Vec<Figure>);

impl List {
    fn add(&mut self, name: &str, oid: &str, kind: Kind, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.0.push(Figure { name: name.to_owned(), oid: oid.to_owned(), kind, value });
    }

    fn worker(&mut self, id: u32, worker: &Worker) {
        for (name, oid, kind, value) in [
            ("requests", 1, Kind::Counter, worker.requests),
            ("delta_requests", 2, Kind::Absolute, worker.delta_requests),
            ("failed_requests", 13, Kind::Counter, worker.exceptions),
            ("respawns", 14, Kind::Counter, worker.respawn_count),
            ("avg_response_time", 8, Kind::Gauge, worker.avg_rt),
            ("total_tx", 9, Kind::Counter, worker.tx),
            ("rss_size", 11, Kind::Gauge, worker.usage.rss),
            ("vsz_size", 12, Kind::Gauge, worker.usage.address_space),
            ("running_time", 13, Kind::Counter, worker.running_time),
        ] {
            self.add(&format!("worker.{id}.{name}"), &format!("3.{id}.{oid}"), kind, value);
        }
    }

    /// Exceptions are counted by worker: for the first thread, like what the ring thread meets.
    fn cores(&mut self, worker: &Worker) {
        for core in &worker.cores {
            for (name, oid, value) in [
                ("requests", 1, core.requests),
                ("write_errors", 3, core.write_errors),
                ("routed_requests", 4, core.routed_requests),
                ("static_requests", 5, core.static_requests),
                ("offloaded_requests", 6, 0),
                ("exceptions", 7, if core.id == 0 { worker.exceptions } else { 0 }),
                ("read_errors", 8, core.read_errors),
            ] {
                let (worker, core) = (worker.id, core.id);
                let name = format!("worker.{worker}.core.{core}.{name}");
                self.add(&name, &format!("3.{worker}.2.{core}.{oid}"), Kind::Counter, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::snapshot::Core;

    #[test]
    fn worker_0_is_all_of_them() {
        let worker = |id| Worker {
            id,
            requests: 5,
            avg_rt: 10 * u64::from(id),
            cores: vec![Core::default()],
            ..Worker::default()
        };
        let told = Snapshot { workers: vec![worker(1), worker(2)], ..Snapshot::default() };
        let figures = all(&told, true);
        let value = |name: &str| figures.iter().find(|figure| figure.name == name).map(|figure| figure.value);
        assert_eq!((value("worker.0.requests"), value("worker.2.requests")), (Some(10), Some(5)));
        assert_eq!(
            (value("worker.0.avg_response_time"), value("worker.2.core.0.requests")),
            (Some(15), Some(0))
        );
        assert_eq!(all(&told, false).len(), figures.len() - 14);
    }
}
