//! Processes and the server as a whole.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use uwring_abi::{CONTROL_PID, CONTROL_RELOAD, CONTROL_REQUESTS, CONTROL_STOP, CONTROL_TOTAL_REQUESTS};

use crate::config::config;
use crate::host;

/// Adds the functions.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(worker_id, module)?)?;
    module.add_function(wrap_pyfunction!(mule_id, module)?)?;
    module.add_function(wrap_pyfunction!(masterpid, module)?)?;
    module.add_function(wrap_pyfunction!(mypid, module)?)?;
    module.add_function(wrap_pyfunction!(reload, module)?)?;
    module.add_function(wrap_pyfunction!(stop, module)?)?;
    module.add_function(wrap_pyfunction!(total_requests, module)?)?;
    module.add_function(wrap_pyfunction!(workers, module)?)?;
    module.add_function(wrap_pyfunction!(micros, module)?)?;
    module.add_function(wrap_pyfunction!(mem, module)?)?;
    module.add_function(wrap_pyfunction!(setprocname, module)?)?;
    module.add_function(wrap_pyfunction!(i_am_the_spooler, module)?)
}

#[pyfunction]
fn worker_id() -> u32 {
    host::worker_id()
}

/// There are no mules: everybody is none.
#[pyfunction]
fn mule_id() -> u32 {
    0
}

#[pyfunction]
fn i_am_the_spooler() -> Option<bool> {
    None
}

#[pyfunction]
fn masterpid() -> u32 {
    host::master_pid()
}

#[pyfunction]
fn mypid() -> u32 {
    std::process::id()
}

#[pyfunction]
fn reload() -> Option<bool> {
    (host::control(CONTROL_RELOAD, 0) == 1).then_some(true)
}

#[pyfunction]
fn stop() -> Option<bool> {
    (host::control(CONTROL_STOP, 0) == 1).then_some(true)
}

#[pyfunction]
fn total_requests() -> i64 {
    host::control(CONTROL_TOTAL_REQUESTS, 0)
}

/// What is known here of each worker; uWSGI's other keys are left out, not invented.
#[pyfunction]
fn workers(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let mut list = Vec::new();
    for id in 1..=config().processes {
        let pid = host::control(CONTROL_PID, u64::from(id));
        let worker = PyDict::new(py);
        worker.set_item("id", id)?;
        worker.set_item("pid", pid.max(0))?;
        if id == host::worker_id() {
            worker.set_item("requests", host::control(CONTROL_REQUESTS, 0))?;
        }
        worker.set_item("status", PyBytes::new(py, if pid > 0 { b"idle" } else { b"cheap" }))?;
        worker.set_item("apps", PyTuple::empty(py))?;
        list.push(worker);
    }
    PyTuple::new(py, list)
}

#[pyfunction]
fn micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// `(rss, vsz)` in bytes.
#[pyfunction]
fn mem(py: Python<'_>) -> PyResult<(u64, u64)> {
    let page: u64 = py.import("resource")?.call_method0("getpagesize")?.extract()?;
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let mut pages = pages.split_ascii_whitespace().map(|word| word.parse::<u64>().unwrap_or(0) * page);
    let (vsz, rss) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    Ok((rss, vsz))
}

/// The kernel keeps 15 bytes of it.
#[pyfunction]
fn setprocname(name: &str) -> PyResult<()> {
    Ok(std::fs::write("/proc/self/comm", name)?)
}
