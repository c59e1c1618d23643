//! Processes and the server as a whole.

use std::time::{SystemTime, UNIX_EPOCH};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use uwring_abi::{
    CONTROL_PID, CONTROL_RELOAD, CONTROL_STOP, CONTROL_TOTAL_REQUESTS, WORKER_EXCEPTIONS, WORKER_IN_FLIGHT,
    WORKER_LAST_SPAWN, WORKER_REQUESTS, WORKER_RUNNING_TIME_US, WORKER_SIGNALS, WORKER_SPAWNS,
    WORKER_TX_BYTES,
};

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

/// A dict for each worker, with uWSGI's keys; `rss` and `vsz` are what the kernel says now.
#[pyfunction]
fn workers(py: Python<'_>) -> PyResult<Bound<'_, PyTuple>> {
    let mut list = Vec::new();
    for id in 1..=config().processes {
        let pid = host::control(CONTROL_PID, u64::from(id));
        let worker = PyDict::new(py);
        let figure = |what| host::worker_figure(id, what);
        let (requests, running) = (figure(WORKER_REQUESTS), figure(WORKER_RUNNING_TIME_US));
        let (rss, vsz) = memory_of(pid).unwrap_or_default();
        let status: &[u8] = match (pid, figure(WORKER_IN_FLIGHT)) {
            (..=0, _) => b"cheap",
            (_, 0) => b"idle",
            _ => b"busy",
        };
        for (key, value) in [
            ("id", u64::from(id)),
            ("pid", u64::try_from(pid).unwrap_or(0)),
            ("requests", requests),
            ("delta_requests", requests),
            ("signals", figure(WORKER_SIGNALS)),
            ("exceptions", figure(WORKER_EXCEPTIONS)),
            ("rss", rss),
            ("vsz", vsz),
            ("running_time", running),
            ("last_spawn", figure(WORKER_LAST_SPAWN)),
            ("respawn_count", figure(WORKER_SPAWNS)),
            ("tx", figure(WORKER_TX_BYTES)),
            ("avg_rt", running.checked_div(requests).unwrap_or(0)),
        ] {
            worker.set_item(key, value)?;
        }
        worker.set_item("status", PyBytes::new(py, status))?;
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
fn mem() -> PyResult<(u64, u64)> {
    Ok(memory_of(std::process::id().into())?)
}

/// `(rss, vsz)` of a process in bytes.
fn memory_of(pid: i64) -> std::io::Result<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kibibytes = |name: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name));
        rest.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0)
    };
    Ok((kibibytes("VmRSS:") * 1024, kibibytes("VmSize:") * 1024))
}

/// The kernel keeps 15 bytes of it.
#[pyfunction]
fn setprocname(name: &str) -> PyResult<()> {
    Ok(std::fs::write("/proc/self/comm", name)?)
}
