//! Server messages and request lines: one event, one line, one `write`.

pub mod alarms;
pub mod format;
pub mod json;
pub mod relay;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use relay::ports;

use crate::base::clock;
use crate::sys::time;

/// How server lines begin; set once, before the first fork.
static DATE: OnceLock<Option<String>> = OnceLock::new();

/// Sets `log-date`: `Some("")` for the default form, else a strftime format.
pub fn set_date(form: Option<String>) {
    let _ = DATE.set(form);
}

/// What [`set_date`] set, for the next program of this process.
pub fn date() -> Option<String> {
    DATE.get().cloned().flatten()
}

/// Lines of a start whose log process is not there yet.
static HELD: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Whether they are held back: then this process has one thread, and the lock above is free at every fork.
static HOLDING: AtomicBool = AtomicBool::new(false);

/// Holds lines back until [`release`]: the log process that will write them is started later, without the rights
/// that the start needs. For a process with one thread.
pub fn hold() {
    HOLDING.store(true, Ordering::Relaxed);
}

/// Lines are not held back any more, and those that were are said now.
pub fn release() {
    HOLDING.store(false, Ordering::Relaxed);
    let lines = std::mem::take(&mut *held());
    lines.iter().for_each(|message| line(message));
}

fn held() -> MutexGuard<'static, Vec<String>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes one line to the server log: to the log process where there is one, else to standard error in one `write`.
pub fn line(message: &str) {
    if ports::relayed() {
        let mut text = Vec::with_capacity(message.len() + 32);
        append(&mut text, message);
        text.pop();
        if ports::send(&text) {
            return;
        }
    } else if HOLDING.load(Ordering::Relaxed) {
        return held().push(message.to_owned());
    }
    let mut text = Vec::with_capacity(message.len() + 32);
    append(&mut text, message);
    // A log that cannot be written has nowhere to be reported.
    let _ = std::io::stderr().write_all(&text);
}

/// Appends a server line, with its date where that is wanted.
pub fn append(out: &mut Vec<u8>, message: &str) {
    if let Some(Some(form)) = DATE.get() {
        let seconds = clock::wall_seconds();
        let date = if form.is_empty() { time::ctime(seconds) } else { time::local(seconds, form) };
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b" - ");
    }
    out.extend_from_slice(message.as_bytes());
    out.push(b'\n');
}

/// `log!("…", …)`: one server line.
#[macro_export]
macro_rules! log {
    ($($arg:tt)*) => { $crate::logging::line(&format!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_and_has_no_date_unless_it_is_wanted() {
        let mut out = Vec::new();
        append(&mut out, "goodbye to uWSGI.");
        assert_eq!(out, b"goodbye to uWSGI.\n");
    }
}
