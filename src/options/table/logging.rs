//! Rows: logs, statistics, metrics, alarms.

use super::super::draft::Draft;
use super::super::row::{Kind::*, Reading, Row, Takes, bare, row};
use crate::base::text;

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
        Text(|s| &mut s.logging.format, "FORMAT"),
        "how a request is logged: text with %(method), %(uri), %(status)…",
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
    bare(&["log-master"], Takes::Nothing, "let the master write the logs")
        .accepted("lines are written whole, one write each; nobody needs to collect them"),
    bare(&["threaded-logger"], Takes::Nothing, "write logs in a thread")
        .accepted("the thread of the application does not write request lines"),
    bare(&["log-sendfile", "log-ioerror"], Takes::Value("BOOL"), "log requests answered by sendfile")
        .accepted("they are logged as all others"),
    bare(&["logformat-strftime", "log-format-strftime"], Takes::Nothing, "read log-format by strftime first"),
    bare(&["logger"], Takes::Value("LOGGER"), "write the log there: file:, socket:, syslog, stdio"),
    bare(&["req-logger", "logger-req"], Takes::Value("LOGGER"), "write the log of requests there"),
    bare(&["log-encoder"], Takes::Value("ENCODER"), "dress lines of the log: json, format, prefix…"),
    bare(&["log-req-encoder"], Takes::Value("ENCODER"), "dress lines of the log of requests"),
    bare(&["log-route"], Takes::Value("LOGGER REGEX"), "send matching lines to this logger"),
    bare(&["log-req-route"], Takes::Value("LOGGER REGEX"), "send matching requests to this logger"),
    bare(&["log-filter"], Takes::Value("REGEX"), "log only matching lines"),
    bare(&["log-drain"], Takes::Value("REGEX"), "do not log matching lines"),
    bare(&["log-syslog"], Takes::Maybe("NAME"), "log to the system's log"),
    bare(&["log-maxsize"], Takes::Value("BYTES"), "rename the log file when it is larger"),
    bare(&["log-backupname"], Takes::Value("FILE"), "name of the renamed log file"),
    bare(&["log-truncate"], Takes::Nothing, "empty the log file at the start"),
    bare(&["log-reopen"], Takes::Nothing, "open the log file anew on a reload"),
    bare(&["logfile-chmod"], Takes::Value("MODE"), "mode of the log file"),
    bare(&["logfile-chown"], Takes::Nothing, "give the log file to the user of the server"),
    bare(&["touch-logreopen"], Takes::Value("FILE"), "open the log file anew when this is touched"),
    bare(&["touch-logrotate"], Takes::Value("FILE"), "rename the log file when this is touched"),
    bare(&["stats", "stats-server"], Takes::Value("ADDRESS"), "serve statistics as JSON here"),
    bare(&["stats-http"], Takes::Nothing, "serve statistics with an HTTP head"),
    bare(&["stats-minified", "stats-min"], Takes::Nothing, "serve statistics without blanks"),
    bare(&["stats-push"], Takes::Value("PUSHER"), "send statistics there"),
    bare(&["enable-metrics"], Takes::Nothing, "keep metrics"),
    bare(&["carbon"], Takes::Value("ADDRESS"), "send statistics to a carbon server"),
    bare(&["alarm"], Takes::Value("NAME ALARM"), "declare an alarm"),
    bare(&["log-alarm", "alarm-log"], Takes::Value("ALARM REGEX"), "raise an alarm for matching lines"),
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
