//! Server messages and request lines: one event, one line, one `write`.

use std::io::Write;
use std::sync::OnceLock;

/// How server lines begin; set once, before the first fork.
static DATE: OnceLock<Option<String>> = OnceLock::new();

/// Sets `log-date`: `Some("")` for the default form, else a strftime format.
pub fn set_date(format: Option<String>) {
    let _ = DATE.set(format);
}

/// Writes one line to the server log (standard error) in one `write`.
pub fn line(message: &str) {
    let mut text = String::with_capacity(message.len() + 32);
    text.push_str(message);
    text.push('\n');
    // A log that cannot be written has nowhere to be reported.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// `log!("…", …)`: one server line.
#[macro_export]
macro_rules! log {
    ($($arg:tt)*) => { $crate::logging::line(&format!($($arg)*)) };
}
