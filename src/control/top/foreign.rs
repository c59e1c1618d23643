//! The document of a stats server (uWSGI's, or ours for its clients) as a live document: what it does not tell stays empty.

use serde_json::Value;

use crate::base::clock;
use crate::base::text::readable;
use crate::stats::flights::{Flights, Flying};
use crate::stats::live::{Core, Live, Socket, Worker};

/// Reads it; `None`: it is something else.
pub fn read(value: &Value) -> Option<Live> {
    let workers: Vec<Worker> = value.get("workers")?.as_array()?.iter().map(worker).collect();
    let sum = |figure: fn(&Worker) -> u64| workers.iter().map(figure).sum();
    let running = workers.iter().flat_map(|worker| &worker.cores).filter(|core| core.busy).count();
    let sockets = value["sockets"].as_array().into_iter().flatten().map(socket).collect();
    let in_flight = value["workers"].as_array()?.iter().flat_map(flying).collect();
    Some(Live {
        version: text(value, "version"),
        now_ms: clock::wall() / 1000,
        pid: small(value, "pid"),
        phase: "running".to_owned(),
        requests: sum(|worker| worker.requests),
        exceptions: sum(|worker| worker.exceptions),
        harakiri: sum(|worker| worker.harakiri),
        tx_bytes: sum(|worker| worker.tx_bytes),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        in_hand: u32::try_from(running).unwrap_or(u32::MAX),
        // It began with its oldest worker, as far as is told.
        started_on: workers.iter().map(|worker| worker.started_on).filter(|on| *on > 0).min().unwrap_or(0),
        sockets,
        workers,
        recorder: Flights { in_flight, ..Flights::default() },
        ..Live::default()
    })
}

fn worker(value: &Value) -> Worker {
    let cores = value["cores"].as_array().into_iter().flatten();
    let core = |core: &Value| Core {
        id: small(core, "id"),
        requests: number(core, "requests"),
        busy: number(core, "in_request") > 0,
    };
    let status = text(value, "status");
    Worker {
        id: small(value, "id"),
        pid: small(value, "pid"),
        // A signal's number may stand behind it.
        state: if status.starts_with("sig") { "busy".to_owned() } else { status },
        requests: number(value, "requests"),
        exceptions: number(value, "exceptions"),
        harakiri: number(value, "harakiri_count"),
        rss_bytes: number(value, "rss"),
        busy_us: number(value, "running_time"),
        average_us: number(value, "avg_rt"),
        tx_bytes: number(value, "tx"),
        started_on: number(value, "last_spawn"),
        starts: number(value, "respawn_count"),
        cores: cores.map(core).collect(),
    }
}

fn socket(value: &Value) -> Socket {
    // 0: it is not told.
    let limit = Some(small(value, "max_queue")).filter(|limit| *limit > 0);
    Socket {
        name: text(value, "name"),
        protocol: text(value, "proto"),
        waiting: limit.map(|_| small(value, "queue")),
        limit,
    }
}

/// The requests that a worker's threads work on.
fn flying(worker: &Value) -> Vec<Flying> {
    let cores = worker["cores"].as_array().into_iter().flatten();
    let busy = cores.filter(|core| number(core, "in_request") > 0);
    let flying = |core: &Value| {
        let vars = core["vars"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let var = |name: &str| {
            let value = |var: &str| Some(var.strip_prefix(name)?.strip_prefix('=')?.to_owned());
            vars.clone().find_map(value).unwrap_or_default()
        };
        let since = number(&core["req_info"], "request_start");
        let running_ms = (clock::wall() / 1000).saturating_sub(since * 1000);
        Flying {
            worker: small(worker, "id"),
            pid: small(worker, "pid"),
            core: small(core, "id"),
            method: var("REQUEST_METHOD"),
            uri: readable(var("REQUEST_URI").split('?').next().unwrap_or_default()),
            started_ms: since * 1000,
            waited_us: 0,
            running_us: if since == 0 { 0 } else { running_ms * 1000 },
        }
    };
    busy.map(flying).collect()
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

fn small(value: &Value, name: &str) -> u32 {
    u32::try_from(number(value, name)).unwrap_or(0)
}

fn text(value: &Value, name: &str) -> String {
    readable(value[name].as_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_stats_document_is_read() {
        let document = json!({
            "version": "2.0.21", "pid": 7,
            "sockets": [{"name": "/a", "proto": "uwsgi", "queue": 3, "max_queue": 100}, {"name": "/b", "max_queue": 0}],
            "workers": [{
                "id": 1, "pid": 8, "status": "busy", "requests": 5, "rss": 10, "running_time": 77, "avg_rt": 4,
                "last_spawn": 9,
                "cores": [{"id": 0, "requests": 5, "in_request": 1, "req_info": {"request_start": 1},
                           "vars": ["REQUEST_METHOD=GET", "REQUEST_URI=/x\u{1b}?q=1", "A"]}]
            }]
        });
        let live = read(&document).expect("read");
        assert_eq!((live.pid, live.requests, live.running, live.started_on), (7, 5, 1, 9));
        assert_eq!((live.sockets[0].waiting, live.sockets[1].waiting), (Some(3), None));
        let request = &live.recorder.in_flight[0];
        assert_eq!((request.method.as_str(), request.uri.as_str()), ("GET", "/x?"));
        assert!(read(&json!({"a": 1})).is_none());
    }
}
