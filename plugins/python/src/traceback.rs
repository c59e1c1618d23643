//! An exception that nobody caught, on its way to the log.

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::host;

/// Logs `error` with its traceback, or hands it to the application's own `sys.excepthook` as `python` would.
pub fn log(py: Python<'_>, error: PyErr) {
    // The interpreter's hook exits the process for SystemExit; an application's may do so too.
    if !error.is_instance_of::<PySystemExit>(py) && own_hook(py, &error) {
        return;
    }
    host::log(&text(py, &error));
}

/// The traceback as one text, without a trailing newline.
pub fn text(py: Python<'_>, error: &PyErr) -> String {
    let formatted = || -> PyResult<String> {
        let arguments = (error.get_type(py), error.value(py), error.traceback(py));
        let lines = py.import("traceback")?.call_method1("format_exception", arguments)?;
        let mut text = String::new();
        for line in lines.cast_into::<PyList>()? {
            text.push_str(&line.extract::<String>()?);
        }
        text.truncate(text.trim_end().len());
        Ok(text)
    };
    // Formatting fails where little else works either: out of memory, recursion, a broken __str__.
    formatted().unwrap_or_else(|_| error.to_string())
}

/// `true` where `sys.excepthook` is not Python's, and could be called.
fn own_hook(py: Python<'_>, error: &PyErr) -> bool {
    let call = || -> PyResult<bool> {
        let sys = py.import("sys")?;
        let hook = sys.getattr("excepthook")?;
        if hook.is(&sys.getattr("__excepthook__")?) {
            return Ok(false);
        }
        hook.call1((error.get_type(py), error.value(py), error.traceback(py)))?;
        Ok(true)
    };
    call().unwrap_or(false)
}
