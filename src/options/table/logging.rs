//! Rows: logs, alarms.

use super::super::alarms;
use super::super::descriptors::OnFd;
use super::super::draft::Draft;
use super::super::row::{Kind::*, Reading, Row, Takes, always, bare, row};
use crate::base::pattern::Pattern;
use crate::base::text;
use crate::options::logger;

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["disable-logging"],
        Flag(|s| &mut s.logging.disable_requests),
        "log no requests, but those the options below ask for",
    )
    .short('L'),
    row(&["log-4xx"], Flag(|s| &mut s.logging.log_4xx), "log requests answered with 4xx"),
    row(&["log-5xx"], Flag(|s| &mut s.logging.log_5xx), "log requests answered with 5xx"),
    row(&["log-slow"], Millis(|s| &mut s.logging.log_slow_ms), "log requests that took longer"),
    row(&["log-zero"], Flag(|s| &mut s.logging.log_zero), "log requests answered without a body"),
    row(&["log-big"], Number(|s| &mut s.logging.log_big), "log requests answered with more bytes"),
    row(
        &["log-x-forwarded-for"],
        Flag(|s| &mut s.logging.x_forwarded_for),
        "log X-Forwarded-For in place of the peer's address",
    ),
    row(&["log-micros"], Flag(|s| &mut s.logging.micros), "log times in microseconds"),
    row(
        &["log-date", "logdate", "log-prefix"],
        Set(Takes::Maybe("STRFTIME"), date),
        "put the time before each line, in this format",
    ),
    row(
        &["log-format", "logformat"],
        Set(Takes::Value("FORMAT"), format),
        "how a request is logged: text with %(method), %(uri), %(status)…; or json, for the whole log",
    ),
    row(
        &["memory-report"],
        Flag(|s| &mut s.logging.memory_report),
        "log the memory of the worker with each request",
    )
    .short('m'),
    row(&["logto"], Text(|s| &mut s.logging.logto, "FILE"), "log to this file"),
    row(
        &["logto2"],
        Text(|s| &mut s.logging.logto2, "FILE"),
        "log to this file, opened after privileges are dropped",
    ),
    row(
        &["log-master"],
        Flag(|s| &mut s.logging.master),
        "let a process of its own write the logs, so that a slow reader keeps nobody waiting",
    ),
    row(
        &["log-json"],
        Flag(|s| &mut s.logging.json),
        "write every line of the log as one JSON object (the same as log-format = json)",
    ),
    always(&["threaded-logger"], Takes::Nothing, "let each destination of the log have a thread", ""),
    bare(&["log-master-bufsize"], Takes::Value("BYTES"), "longest message the master logs")
        .accepted("lines of any length are logged whole"),
    bare(
        &["log-master-stream", "log-master-req-stream"],
        Takes::Nothing,
        "send logs to the master as a stream",
    )
    .accepted("lines of any length are logged whole"),
    row(&["log-sendfile"], Set(Takes::Value("BOOL"), sendfile), "log requests answered by sendfile"),
    row(&["log-ioerror"], Set(Takes::Value("BOOL"), ioerror), "log requests whose answer could not be sent"),
    row(
        &["logformat-strftime", "log-format-strftime"],
        Flag(|s| &mut s.logging.format_strftime),
        "put the format of log-date in place of %(ftime)",
    ),
    row(
        &["logger", "worker-logger"],
        Set(Takes::Value("LOGGER"), |s, v| push(&mut s.logging.loggers, logger::logger(v))),
        "write the log there: [NAME ]file:PATH, stdio, fd:N, socket:ADDRESS, syslog, rsyslog:HOST",
    ),
    row(
        &["req-logger", "logger-req", "worker-logger-req"],
        Set(Takes::Value("LOGGER"), |s, v| push(&mut s.logging.req_loggers, logger::logger(v))),
        "write the log of requests there",
    ),
    row(
        &["log-encoder", "worker-log-encoder"],
        Set(Takes::Value("ENCODER"), |s, v| push(&mut s.logging.encoders, logger::encoder(v))),
        "dress lines of the log: prefix, suffix, nl, format or json, with its text; or gzip",
    ),
    row(
        &["log-req-encoder", "worker-log-req-encoder"],
        Set(Takes::Value("ENCODER"), |s, v| push(&mut s.logging.req_encoders, logger::encoder(v))),
        "dress lines of the log of requests",
    ),
    row(
        &["log-route"],
        Set(Takes::Value("LOGGER REGEX"), |s, v| push(&mut s.logging.routes, logger::route(v))),
        "send matching lines to this logger",
    ),
    row(
        &["log-req-route"],
        Set(Takes::Value("LOGGER REGEX"), |s, v| push(&mut s.logging.req_routes, logger::route(v))),
        "send matching requests to this logger",
    ),
    row(
        &["log-filter"],
        Set(Takes::Value("REGEX"), |s, v| push(&mut s.logging.filters, Pattern::new(v))),
        "log only matching lines",
    ),
    row(
        &["log-drain"],
        Set(Takes::Value("REGEX"), |s, v| push(&mut s.logging.drains, Pattern::new(v))),
        "do not log matching lines",
    ),
    row(
        &["log-syslog"],
        Set(Takes::Maybe("NAME"), |s, v| {
            push(&mut s.logging.loggers, logger::logger(&format!("syslog:{v}")))
        }),
        "log to the system's log",
    ),
    row(
        &["log-socket"],
        Set(Takes::Value("ADDRESS"), |s, v| {
            push(&mut s.logging.loggers, logger::logger(&format!("socket:{v}")))
        }),
        "log to a socket, a datagram each line",
    ),
    row(
        &["log-maxsize"],
        Number(|s| &mut s.logging.bytes_max),
        "rename the log file when it has more bytes, and go on in a new one",
    ),
    row(
        &["log-backupname"],
        Path(|s| &mut s.logging.backup, "FILE"),
        "name of the renamed log file (else its name and the time)",
    ),
    row(&["log-truncate"], Flag(|s| &mut s.logging.truncate), "empty the log file at the start"),
    row(&["log-reopen"], Flag(|s| &mut s.logging.reopen), "open the log file anew on a reload"),
    row(&["logfile-chmod"], Mode(|s| &mut s.logging.chmod), "mode of the log file"),
    row(&["logfile-chown"], Flag(|s| &mut s.logging.chown), "give the log file to the user of the server"),
    row(
        &["touch-logreopen"],
        Paths(|s| &mut s.logging.touch_reopen, "FILE"),
        "open the log file anew when this is touched",
    ),
    row(
        &["touch-logrotate"],
        Paths(|s| &mut s.logging.touch_rotate, "FILE"),
        "rename the log file when this is touched",
    ),
    row(
        &["alarm"],
        Set(Takes::Value("NAME ALARM"), |s, v| push(&mut s.logging.alarms.declared, alarms::alarm(v))),
        "declare an alarm: cmd:COMMAND (which reads the message), log:, or mute:",
    ),
    row(
        &["alarm-segfault", "segfault-alarm"],
        List(|s| &mut s.logging.alarms.segfault, "ALARM"),
        "raise this alarm when a worker ends with a segmentation fault",
    ),
    row(
        &[
            "alarm-backlog",
            "backlog-alarm",
            "alarm-listen-queue",
            "listen-queue-alarm",
            "alarm-lq",
            "lq-alarm",
        ],
        List(|s| &mut s.logging.alarms.backlog, "ALARM"),
        "raise this alarm when no more connections may wait at a socket",
    ),
    row(
        &["log-alarm", "alarm-log"],
        Set(Takes::Value("ALARMS REGEX"), |s, v| {
            push(&mut s.logging.alarms.lines, alarms::of_lines(v, false))
        }),
        "raise these alarms for lines of the log that match",
    ),
    row(
        &["not-log-alarm", "not-alarm-log"],
        Set(Takes::Value("ALARMS REGEX"), |s, v| {
            push(&mut s.logging.alarms.lines, alarms::of_lines(v, true))
        }),
        "what follows of log-alarm is not for lines that match",
    ),
    row(
        &["alarm-fd"],
        Set(Takes::Value("ALARM FD[:BYTES] [MESSAGE]"), |s, v| push(&mut s.process.on_fds, OnFd::alarm(v))),
        "raise this alarm when something can be read from this descriptor, which the server was started with",
    ),
    row(
        &["alarm-freq"],
        Seconds(|s| &mut s.logging.alarms.freq),
        "raise an alarm with the same message only once in so long (default 3)",
    ),
];

/// A word for true asks for the default form, a word for false for none; anything else is a format.
fn date(draft: &mut Draft, value: &str) -> Reading {
    draft.logging.date = match text::truth(value) {
        Some(true) => Some(String::new()),
        Some(false) => None,
        None => Some(value.to_owned()),
    };
    Ok(None)
}

/// `json` is a form of the whole log, anything else that of a request line.
fn format(draft: &mut Draft, value: &str) -> Reading {
    draft.logging.json |= value == "json";
    draft.logging.format = (value != "json").then(|| value.to_owned());
    Ok(None)
}

fn sendfile(draft: &mut Draft, value: &str) -> Reading {
    draft.logging.log_sendfile = text::truth(value).unwrap_or(true);
    Ok(None)
}

fn ioerror(draft: &mut Draft, value: &str) -> Reading {
    draft.logging.log_ioerror = text::truth(value).unwrap_or(true);
    Ok(None)
}

fn push<T>(list: &mut Vec<T>, read: Result<T, String>) -> Reading {
    list.push(read?);
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_date_is_a_switch_or_a_format() {
        for (value, read) in
            [("", Some("")), ("true", Some("")), ("no", None), ("%Y-%m-%d", Some("%Y-%m-%d"))]
        {
            let mut draft = Draft::default();
            date(&mut draft, value).unwrap();
            assert_eq!(draft.logging.date.as_deref(), read, "{value}");
        }
    }
}
