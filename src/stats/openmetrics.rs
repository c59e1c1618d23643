//! The figures as Prometheus scrapes them: its text format 0.0.4, or OpenMetrics 1.0 where the scraper asks for it. Names
//! of our own follow OpenTelemetry's where it has them; behind them come those of the common exporter of uWSGI's statistics,
//! so that boards made for it go on.

use super::exporter;
use super::figures;
pub use super::page::Format;
use super::page::{Page, Samples};
use super::series::{self, Families};
use super::snapshot::{Doing, Snapshot, Socket, Worker};
use crate::shared::instance::{ENDINGS, Stage};
use crate::shared::tally::METHODS;
use crate::sys::socket::queue::Backlog;

/// The whole page: the server's own figures, and what applications count.
pub fn page(told: &Snapshot, counted: &Families, format: Format) -> String {
    let mut to = Page::new(format);
    server(&mut to, told);
    requests(&mut to, told);
    connections(&mut to, told);
    workers(&mut to, told);
    exporter::families(&mut to, told);
    declared(&mut to, told);
    series::families(&mut to, counted);
    to.end()
}

fn server(to: &mut Page, told: &Snapshot) {
    let totals = &told.totals;
    to.info(
        "uwring_build",
        "The program that serves.",
        &[("version", &crate::options::VERSION), ("engine", &totals.engine.name())],
    );
    to.gauge("uwring_start_time_seconds", "When the server started, since the epoch.", |to| {
        to.one(totals.started_on)
    });
    to.gauge("uwring_generation", "Which load of the application serves, from 1.", |to| {
        to.one(totals.generation)
    });
    to.gauge("uwring_phase", "1 for what the server is doing.", |to| {
        for stage in Stage::ALL {
            to.put(&[("phase", &stage.name())], u8::from(stage == totals.stage));
        }
    });
    to.gauge(
        "uwring_last_reload_successful",
        "0 if the last reload failed, and the application before it goes on.",
        |to| {
            to.one(u8::from(!totals.reload_failed));
        },
    );
}

fn requests(to: &mut Page, told: &Snapshot) {
    let totals = &told.totals;
    to.counter(
        "http_server_requests",
        "Requests finished, by method and class of their status (none: not answered).",
        |to| {
            for (method, classes) in METHODS.iter().zip(&totals.answers) {
                for (class, count) in classes.iter().enumerate().filter(|(_, count)| **count > 0) {
                    let class = if class == 0 { "none".to_owned() } else { format!("{class}xx") };
                    to.put(&[("http_request_method", method), ("http_response_status_class", &class)], count);
                }
            }
        },
    );
    to.histogram("http_server_request_duration_seconds", "Time of requests in the application.", &totals.app);
    to.histogram(
        "uwring_request_queue_seconds",
        "Time from the arrival of a request until a thread took it.",
        &totals.queue,
    );
    to.gauge(
        "http_server_active_requests",
        "Requests in hand: with the application, or waiting for it.",
        |to| {
            to.one(totals.in_hand);
        },
    );
    to.gauge("uwring_requests_waiting", "Of these, requests that wait for a thread.", |to| {
        to.one(totals.in_hand.saturating_sub(totals.running));
    });
    to.counter("http_server_request_bytes", "Bytes of requests received.", |to| to.one(totals.rx_bytes));
    to.counter("http_server_response_bytes", "Bytes of responses.", |to| {
        to.one(told.sum(|worker| worker.tx))
    });
    to.counter(
        "uwring_requests_refused",
        "Requests that the application never saw, by the answer they got.",
        |to| {
            for (class, count) in ["4xx", "5xx", "none"].iter().zip(totals.refused) {
                to.put(&[("http_response_status_class", class)], count);
            }
        },
    );
    to.counter("uwring_exceptions", "Requests whose application raised.", |to| {
        to.one(told.sum(|worker| worker.exceptions))
    });
    to.counter("uwring_harakiri", "Requests that took too long.", |to| {
        to.one(told.sum(|worker| worker.harakiri_count))
    });
    to.counter("uwring_read_errors", "Request bodies that did not come.", |to| to.one(totals.read_errors));
    to.counter("uwring_write_errors", "Answers that clients did not take.", |to| to.one(totals.write_errors));
}

fn connections(to: &mut Page, told: &Snapshot) {
    let totals = &told.totals;
    to.counter("uwring_connections_accepted", "Connections accepted.", |to| to.one(totals.accepted));
    to.gauge("uwring_connections", "Connections open, by what they do.", |to| {
        for (state, count) in totals.connections() {
            to.put(&[("state", &state)], count);
        }
    });
    let lines = |to: &mut Samples<'_>, value: fn(&Backlog) -> u32| {
        for socket in told.distinct_sockets() {
            if let Some(line) = &socket.backlog {
                to.put(&[("socket", &socket.name), ("family", &family(socket))], value(line));
            }
        }
    };
    to.gauge("uwring_listen_queue_length", "Connections that wait to be accepted.", |to| {
        lines(to, |line| line.waiting)
    });
    to.gauge("uwring_listen_queue_limit", "Connections that may wait to be accepted.", |to| {
        lines(to, |line| line.max)
    });
    to.counter(
        "uwring_listen_overflows",
        "Connections that found the line of a TCP socket full, of all sockets in this network.",
        |to| to.one(told.listen_overflows),
    );
}

fn family(socket: &Socket) -> &'static str {
    if socket.tcp { "tcp" } else { "unix" }
}

fn workers(to: &mut Page, told: &Snapshot) {
    to.gauge("uwring_workers", "Workers, by what they do.", |to| {
        for (name, doing) in STATES {
            let count = told.workers.iter().filter(|worker| worker.doing == doing).count();
            to.put(&[("state", &name)], count);
        }
    });
    to.counter("uwring_worker_respawns", "Workers that ended while the server goes on, by why.", |to| {
        for (reason, count) in ENDINGS.iter().zip(told.totals.endings) {
            to.put(&[("reason", reason)], count);
        }
    });
    let memory = |to: &mut Samples<'_>, value: fn(&Worker) -> u64| {
        for worker in told.workers.iter().filter(|worker| value(worker) > 0) {
            to.put(&[("worker_id", &worker.id)], value(worker));
        }
    };
    to.gauge("uwring_worker_pss_bytes", "Resident memory, what is shared counted in proportion.", |to| {
        memory(to, |worker| worker.usage.pss);
    });
    to.gauge("uwring_worker_uss_bytes", "Resident memory of its own.", |to| {
        memory(to, |worker| worker.usage.uss)
    });
}

/// What the application counts by uWSGI's functions.
fn declared(to: &mut Page, told: &Snapshot) {
    if told.declared.is_empty() {
        return;
    }
    let figures = figures::all(told, true);
    let own = &figures[figures.len() - told.declared.len()..];
    to.gauge("uwring_metric", "What the application counts (uwsgi.metric_inc and its like).", |to| {
        for figure in own {
            to.put(&[("name", &figure.name)], figure.value);
        }
    });
}

const STATES: [(&str, Doing); 4] =
    [("busy", Doing::Busy), ("idle", Doing::Idle), ("cheap", Doing::Cheap), ("paused", Doing::Paused)];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::totals::Totals;

    #[test]
    fn each_format_has_its_own_way_with_counters() {
        let mut totals = Totals { stage: Stage::Running, ..Totals::default() };
        totals.answers[0][2] = 3;
        totals.app.counts[1] = 2;
        totals.app.sum_us = 300;
        let told = Snapshot {
            totals,
            workers: vec![Worker { id: 1, respawn_count: 1, ..Worker::default() }],
            ..Snapshot::default()
        };
        let text = page(&told, &Families::new(), Format::Text);
        let open = page(&told, &Families::new(), Format::OpenMetrics);
        let sample =
            "http_server_requests_total{http_request_method=\"GET\",http_response_status_class=\"2xx\"} 3\n";
        assert!(text.contains(&format!("# TYPE http_server_requests_total counter\n{sample}")), "{text}");
        assert!(open.contains(&format!("# TYPE http_server_requests counter\n{sample}")), "{open}");
        assert!(open.ends_with("# EOF\n") && !text.contains("# EOF"));
        for line in [
            "http_server_request_duration_seconds_bucket{le=\"0.0001\"} 0\n",
            "http_server_request_duration_seconds_bucket{le=\"1.0\"} 2\n",
            "http_server_request_duration_seconds_bucket{le=\"+Inf\"} 2\n",
            "http_server_request_duration_seconds_sum 0.0003\n",
            "http_server_request_duration_seconds_count 2\n",
            "uwring_phase{phase=\"running\"} 1\n",
            "uwsgi_worker_requests_total{worker_id=\"1\"} 0\n",
        ] {
            assert!(text.contains(line) && open.contains(line), "{line}: {text}");
        }
        for line in text.lines().filter(|line| line.starts_with("# TYPE ")) {
            assert_eq!(text.matches(&format!("{line}\n")).count(), 1, "{line}");
        }
    }

    #[test]
    fn a_label_may_hold_anything() {
        let mut page = Page::new(Format::Text);
        page.gauge("a", "b\nc", |to| to.put(&[("x", &"\"\\\n")], 1));
        assert_eq!(page.end(), "# HELP a b\\nc\n# TYPE a gauge\na{x=\"\\\"\\\\\\n\"} 1\n");
    }
}
