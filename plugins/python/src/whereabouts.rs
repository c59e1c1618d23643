//! While a process loads the application, or runs what it wants to be run after a fork, it tells where it stands: at USR2, Python's own `faulthandler` writes the stacks of all
//! threads, from within the signal handler, so that it does so whatever holds the interpreter lock.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::host;
use uwring_abi::CONTROL_PLACE;

/// Number of SIGUSR2.
const SIGNAL: i32 = libc::SIGUSR2;

/// From now on.
pub fn show(py: Python<'_>) {
    let place = host::control(CONTROL_PLACE, 0);
    if place < 0 {
        return;
    }
    let register = || -> PyResult<()> {
        let options = PyDict::new(py);
        options.set_item("file", place)?;
        options.set_item("all_threads", true)?;
        py.import("faulthandler")?.call_method("register", (SIGNAL,), Some(&options))?;
        Ok(())
    };
    // A Python built without it loads all the same; only, nobody learns where.
    let _ = register();
}

/// What was at the signal before is there again.
pub fn hide(py: Python<'_>) {
    let _ = py.import("faulthandler").and_then(|module| module.call_method1("unregister", (SIGNAL,)));
}
