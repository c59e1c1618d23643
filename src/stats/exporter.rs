//! The names of the common exporter of uWSGI's statistics (`uwsgi_…`), with its types and labels but `stats_uri`: that
//! is its own.

use super::page::{Page, Samples, Seconds};
use super::snapshot::{App, Core, Doing, Snapshot, Socket, Worker};

/// A name behind the family's prefix, its help, and where the figure is.
type Figure<T> = (&'static str, &'static str, fn(&T) -> u64);

/// Gauges of a worker.
const WORKER: [Figure<Worker>; 10] = [
    ("accepting", "Whether it accepts connections.", |worker| u64::from(worker.accepting)),
    ("delta_requests", "Requests of this process.", |worker| worker.delta_requests),
    ("signal_queue_length", "Signals that wait.", |worker| worker.signal_queue.into()),
    ("rss_bytes", "Resident memory.", |worker| worker.usage.rss),
    ("vsz_bytes", "Addresses in use.", |worker| worker.usage.address_space),
    ("last_spawn_time_seconds", "When it was forked, since the epoch.", |worker| worker.last_spawn),
    ("apps", "Applications.", |worker| worker.apps.len() as u64),
    ("cores", "Threads.", |worker| worker.cores.len() as u64),
    ("idle", "Whether it waits for requests.", |worker| u64::from(worker.doing == Doing::Idle)),
    ("busy", "Whether it works on requests.", |worker| u64::from(worker.doing == Doing::Busy)),
];

/// The same, in microseconds that are shown in seconds.
const WORKER_TIMES: [Figure<Worker>; 2] = [
    ("running_time_seconds", "Time in requests.", |worker| worker.running_time),
    ("average_response_time_seconds", "uWSGI's average of response times.", |worker| worker.avg_rt),
];

/// Counters of a worker.
const WORKER_COUNTERS: [Figure<Worker>; 6] = [
    ("requests", "Requests finished.", |worker| worker.requests),
    ("exceptions", "Requests whose application raised.", |worker| worker.exceptions),
    ("harakiri_count", "Requests that took too long.", |worker| worker.harakiri_count),
    ("signals", "Signals handled.", |worker| worker.signals),
    ("respawn_count", "Times it was forked.", |worker| worker.respawn_count),
    ("transmitted_bytes", "Bytes sent.", |worker| worker.tx),
];

const SOCKET: [Figure<Socket>; 4] = [
    ("queue_length", "Connections that wait to be accepted.", |socket| {
        socket.backlog.map_or(0, |line| line.waiting.into())
    }),
    ("max_queue_length", "Connections that may wait to be accepted.", |socket| {
        socket.backlog.map_or(0, |line| line.max.into())
    }),
    ("shared", "Always 0.", |_| 0),
    ("can_offload", "Always 0.", |_| 0),
];

const APP_COUNTERS: [Figure<App>; 2] = [
    ("requests", "Requests of the application.", |app| app.requests),
    ("exceptions", "Requests in which it raised.", |app| app.exceptions),
];

const CORE_COUNTERS: [Figure<Core>; 6] = [
    ("requests", "Requests of the thread.", |core| core.requests),
    ("static_requests", "Static files.", |core| core.static_requests),
    ("routed_requests", "Requests answered by the internal router.", |core| core.routed_requests),
    ("offloaded_requests", "Always 0.", |_| 0),
    ("write_errors", "Answers that clients did not take.", |core| core.write_errors),
    ("read_errors", "Request bodies that did not come.", |core| core.read_errors),
];

/// All of them.
pub fn families(to: &mut Page, told: &Snapshot) {
    // It leaves out those that never were.
    let workers: Vec<&Worker> = told.workers.iter().filter(|worker| worker.respawn_count > 0).collect();
    to.gauge("uwsgi_up", "Whether the server is up.", |to| to.one(1));
    to.gauge("uwsgi_listen_queue_length", "Longest line in front of a socket.", |to| to.one(told.load));
    to.gauge("uwsgi_listen_queue_errors", "Connections that found a full line.", |to| {
        to.one(told.listen_overflows)
    });
    to.gauge("uwsgi_signal_queue_length", "Signals that wait.", |to| to.one(0));
    to.gauge("uwsgi_workers", "Workers.", |to| to.one(workers.len()));
    for (name, help, figure) in SOCKET {
        to.gauge(&format!("uwsgi_socket_{name}"), help, |to| {
            for socket in told.distinct_sockets() {
                to.put(&[("name", &socket.name), ("proto", &socket.protocol)], figure(socket));
            }
        });
    }
    of_workers(to, &workers);
    of_apps(to, &workers);
    of_cores(to, &workers);
}

fn of_workers(to: &mut Page, workers: &[&Worker]) {
    let put = |to: &mut Samples<'_>, figure: &dyn Fn(&Worker) -> String| {
        workers.iter().for_each(|worker| to.put(&[("worker_id", &worker.id)], figure(worker)));
    };
    for (name, help, figure) in WORKER {
        to.gauge(&format!("uwsgi_worker_{name}"), help, |to| put(to, &|worker| figure(worker).to_string()));
    }
    to.gauge("uwsgi_worker_cheap", "Whether there is none now.", |to| {
        put(to, &|worker| u8::from(worker.doing == Doing::Cheap).to_string());
    });
    for (name, help, figure) in WORKER_TIMES {
        to.gauge(&format!("uwsgi_worker_{name}"), help, |to| {
            put(to, &|worker| Seconds(figure(worker)).to_string())
        });
    }
    for (name, help, figure) in WORKER_COUNTERS {
        to.counter(&format!("uwsgi_worker_{name}"), help, |to| put(to, &|worker| figure(worker).to_string()));
    }
}

fn of_apps(to: &mut Page, workers: &[&Worker]) {
    let put = |to: &mut Samples<'_>, figure: &dyn Fn(&App) -> u64| {
        for worker in workers {
            for app in &worker.apps {
                let labels: [(&str, &dyn std::fmt::Display); 4] = [
                    ("worker_id", &worker.id),
                    ("app_id", &app.id),
                    ("mountpoint", &app.mountpoint),
                    ("chdir", &""),
                ];
                to.put(&labels, figure(app));
            }
        }
    };
    to.gauge("uwsgi_worker_app_startup_time_seconds", "Time it took to load.", |to| {
        put(to, &|app| app.startup_time)
    });
    for (name, help, figure) in APP_COUNTERS {
        to.counter(&format!("uwsgi_worker_app_{name}"), help, |to| put(to, &figure));
    }
}

fn of_cores(to: &mut Page, workers: &[&Worker]) {
    let put = |to: &mut Samples<'_>, figure: &dyn Fn(&Core) -> u64| {
        for worker in workers {
            for core in &worker.cores {
                to.put(&[("worker_id", &worker.id), ("core_id", &core.id)], figure(core));
            }
        }
    };
    to.gauge("uwsgi_worker_core_busy", "Whether the thread works on a request.", |to| {
        put(to, &|core| u64::from(core.request.is_some()));
    });
    for (name, help, figure) in CORE_COUNTERS {
        to.counter(&format!("uwsgi_worker_core_{name}"), help, |to| put(to, &figure));
    }
}
