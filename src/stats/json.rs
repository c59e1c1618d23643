//! The statistics as uWSGI's stats server says them: the same names in the same order, the same types, and the same
//! white space. What uwring has not got is 0, as it is there where it is not used.

use std::fmt::Write;

use super::figures;
use super::snapshot::{Core, Doing, Snapshot, Worker};

/// What is told, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Without blanks.
    pub minified: bool,
    /// Without the interpreter threads.
    pub no_cores: bool,
    /// With the figures by the names of uWSGI's metrics.
    pub metrics: bool,
    /// With those of single threads.
    pub metrics_of_cores: bool,
    /// The subsystem of metrics is on: it has a lock there.
    pub metrics_lock: bool,
}

/// Locks of uWSGI's that are named in its statistics, behind those of the application.
const LOCKS: [&str; 7] = ["signal", "filemon", "timer", "rbtimer", "cron", "rpc", "snmp"];

/// The whole document.
pub fn document(snapshot: &Snapshot, style: Style) -> String {
    let mut to = Writer { out: String::with_capacity(4096), depth: 0, first: true, minified: style.minified };
    to.object(|to| root(to, snapshot, style));
    to.out
}

fn root(to: &mut Writer, told: &Snapshot, style: Style) {
    to.text("version", crate::options::VERSION);
    to.number("listen_queue", told.load);
    to.number("listen_queue_errors", told.listen_overflows);
    to.number("signal_queue", 0);
    to.number("load", told.load);
    to.number("pid", told.pid);
    to.number("uid", told.uid);
    to.number("gid", told.gid);
    to.text("cwd", &told.folder);
    to.text("engine", told.totals.engine.name());
    if !told.daemons.is_empty() {
        to.list("daemons", &told.daemons, |to, daemon| {
            to.text("cmd", &daemon.command);
            to.number("pid", daemon.job.pid);
            to.number("respawns", daemon.job.starts.saturating_sub(1));
        });
    }
    let own = (0..).zip(&told.locks).map(|(number, owner): (u32, _)| (format!("user {number}"), *owner));
    let more = style.metrics_lock.then_some("metrics");
    let locks: Vec<_> = own.chain(LOCKS.into_iter().chain(more).map(|name| (name.to_owned(), 0))).collect();
    to.list("locks", &locks, |to, (name, owner)| to.number(name, *owner));
    if style.metrics {
        to.key("metrics");
        to.object(|to| {
            for figure in figures::all(told, style.metrics_of_cores) {
                to.key(&figure.name);
                to.object(|to| {
                    to.number("type", figure.kind as u8);
                    to.text("oid", &figure.oid);
                    to.number("value", figure.value);
                });
            }
        });
    }
    to.list("sockets", &told.sockets, |to, socket| {
        let backlog = socket.backlog.unwrap_or_default();
        to.text("name", &socket.name);
        to.text("proto", socket.protocol);
        to.number("queue", backlog.waiting);
        to.number("max_queue", backlog.max);
        to.number("shared", 0);
        to.number("can_offload", 0);
    });
    to.list("workers", &told.workers, |to, told| worker(to, told, style));
    if !told.crons.is_empty() {
        to.list("crons", &told.crons, |to, (cron, job)| {
            to.number("minute", cron.minute);
            to.number("hour", cron.hour);
            to.number("day", cron.day);
            to.number("month", cron.month);
            to.number("week", cron.weekday);
            to.text("command", &cron.command);
            to.number("unique", u8::from(cron.unique));
            to.text("legion", "");
            to.number("pid", if job.pid == 0 { -1 } else { i64::from(job.pid) });
            to.number("started_at", job.started_on);
        });
    }
}

fn worker(to: &mut Writer, worker: &Worker, style: Style) {
    // One that never was has no number yet.
    to.number("id", if worker.respawn_count == 0 { 0 } else { worker.id });
    to.number("pid", worker.pid);
    to.number("accepting", u8::from(worker.accepting));
    to.number("requests", worker.requests);
    to.number("delta_requests", worker.delta_requests);
    to.number("exceptions", worker.exceptions);
    to.number("harakiri_count", worker.harakiri_count);
    to.number("signals", worker.signals);
    to.number("signal_queue", worker.signal_queue);
    let status = match worker.doing {
        Doing::Cheap => "cheap",
        Doing::Idle => "idle",
        Doing::Busy => "busy",
        Doing::Paused => "pause",
    };
    to.text("status", status);
    to.number("rss", worker.usage.rss);
    to.number("vsz", worker.usage.address_space);
    to.number("running_time", worker.running_time);
    to.number("last_spawn", worker.last_spawn);
    to.number("respawn_count", worker.respawn_count);
    to.number("tx", worker.tx);
    to.number("avg_rt", worker.avg_rt);
    to.list("apps", &worker.apps, |to, app| {
        to.number("id", app.id);
        to.number("modifier1", 0);
        to.text("mountpoint", &app.mountpoint);
        to.number("startup_time", app.startup_time);
        to.number("requests", app.requests);
        to.number("exceptions", app.exceptions);
        to.text("chdir", "");
    });
    if !style.no_cores {
        to.list("cores", &worker.cores, core);
    }
}

fn core(to: &mut Writer, core: &Core) {
    to.number("id", core.id);
    to.number("requests", core.requests);
    to.number("static_requests", core.static_requests);
    to.number("routed_requests", core.routed_requests);
    to.number("offloaded_requests", 0);
    to.number("write_errors", core.write_errors);
    to.number("read_errors", core.read_errors);
    to.number("in_request", u8::from(core.request.is_some()));
    let variables = core.request.as_ref().map(|request| &request.variables);
    to.key("vars");
    to.begin('[');
    for text in variables.into_iter().flatten().map(String::as_str).chain(variables.map(|_| "")) {
        // uWSGI does not indent these.
        to.next();
        to.quoted(text);
    }
    to.end(']');
    to.key("req_info");
    to.object(|to| {
        if let Some(request) = &core.request {
            to.number("request_start", request.since);
        }
    });
}

/// Writes JSON with uWSGI's white space: each thing on a line of its own, which a tab for each level begins.
struct Writer {
    out: String,
    depth: usize,
    /// Nothing stands before the next thing on this level.
    first: bool,
    minified: bool,
}

impl Writer {
    /// A key with a number.
    fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // A String takes all that is written.
        let _ = write!(self.out, "{value}");
    }

    /// A key with a text.
    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    /// A key with a list of objects.
    fn list<T>(&mut self, key: &str, items: &[T], each: impl Fn(&mut Writer, &T)) {
        self.key(key);
        self.begin('[');
        for item in items {
            self.next();
            self.object(|to| each(to, item));
        }
        self.end(']');
    }

    fn object(&mut self, fill: impl FnOnce(&mut Writer)) {
        self.indent();
        self.begin('{');
        fill(self);
        self.end('}');
    }

    fn key(&mut self, key: &str) {
        self.next();
        self.indent();
        self.quoted(key);
        self.out.push(':');
    }

    fn begin(&mut self, bracket: char) {
        self.out.push(bracket);
        self.new_line();
        self.depth += 1;
        self.first = true;
    }

    fn end(&mut self, bracket: char) {
        self.new_line();
        self.depth -= 1;
        self.indent();
        self.out.push(bracket);
        self.first = false;
    }

    /// Parts the next thing from the one before.
    fn next(&mut self) {
        if !std::mem::take(&mut self.first) {
            self.out.push(',');
            self.new_line();
        }
    }

    fn new_line(&mut self) {
        if !self.minified {
            self.out.push('\n');
        }
    }

    fn indent(&mut self) {
        if !self.minified {
            self.out.extend(std::iter::repeat_n('\t', self.depth));
        }
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.out.extend(['\\', c]),
                c if c < ' ' => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::{App, Running, Socket};
    use super::*;

    #[test]
    fn the_document_is_json_with_uwsgis_white_space() {
        let cores = vec![
            Core {
                request: Some(Running { since: 7, variables: vec!["A=\"b\"\n".to_owned()] }),
                ..Core::default()
            },
            Core { id: 1, ..Core::default() },
        ];
        let worker =
            Worker { id: 1, respawn_count: 1, apps: vec![App::default()], cores, ..Worker::default() };
        let sockets = vec![Socket { name: ":1".to_owned(), protocol: "http", ..Socket::default() }];
        let told =
            Snapshot { pid: 42, locks: vec![9], sockets, workers: vec![worker], ..Snapshot::default() };
        let text = document(&told, Style::default());
        let begin = "{\n\t\"version\":\"";
        assert!(text.starts_with(begin), "{text}");
        assert!(text.contains("\n\t\"locks\":[\n\t\t{\n\t\t\t\"user 0\":9\n\t\t},\n\t\t{\n"), "{text}");
        let running = "\n\t\t\t\t\t\"vars\":[\n\"A=\\\"b\\\"\\u000a\",\n\"\"\n\t\t\t\t\t],\n\
            \t\t\t\t\t\"req_info\":\t\t\t\t\t{\n\t\t\t\t\t\t\"request_start\":7\n\t\t\t\t\t}\n";
        assert!(text.contains(running), "{text}");
        assert!(text.contains("\"vars\":[\n\n\t\t\t\t\t],\n"), "{text}");
        assert!(text.ends_with("\n\t]\n}"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let small = document(&told, Style { minified: true, no_cores: true, ..Style::default() });
        assert!(!small.contains(['\n', '\t']) && !small.contains("cores"), "{small}");
        let mut read_small: serde_json::Value = serde_json::from_str(&small).expect("JSON");
        read_small["workers"][0]["cores"] = read["workers"][0]["cores"].clone();
        assert_eq!(read, read_small);
    }
}
