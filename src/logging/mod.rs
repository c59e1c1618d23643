//! Server messages and request lines: one event, one line, one `write`.

pub mod format;

use std::io::Write;
use std::sync::OnceLock;

use crate::base::clock;
use crate::sys::time;

/// How server lines begin; set once, before the first fork.
static DATE: OnceLock<Option<String>> = OnceLock::new();

/// Sets `log-date`: `Some("")` for the default form, else a strftime format.
pub fn set_date(form: Option<String>) {
    let _ = DATE.set(form);
}

/// Writes one line to the server log (standard error) in one `write`.
pub fn line(message: &str) {
    let mut text = Vec::with_capacity(message.len() + 32);
    append(&mut text, message);
    // A log that cannot be written has nowhere to be reported.
    let _ = std::io::stderr().write_all(&text);
}

/// Appends a server line, with its date where that is wanted.
pub fn append(out: &mut Vec<u8>, message: &str) {
    if let Some(Some(form)) = DATE.get() {
        let seconds = clock::wall() / 1_000_000;
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
