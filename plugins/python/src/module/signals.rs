//! `register_signal`, `signal`, timers and their like. The handlers are this process's own; who is to handle which signal
//! is known to the whole server.

use std::cell::Cell;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyString};
use uwring_abi as abi;

use crate::{host, traceback};

/// Number → function.
static HANDLERS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

thread_local! {
    /// `signal_received()`.
    static RECEIVED: Cell<u8> = const { Cell::new(0) };
}

/// Adds the functions.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(register_signal, module)?)?;
    module.add_function(wrap_pyfunction!(signal, module)?)?;
    module.add_function(wrap_pyfunction!(signal_registered, module)?)?;
    module.add_function(wrap_pyfunction!(signal_wait, module)?)?;
    module.add_function(wrap_pyfunction!(signal_received, module)?)?;
    module.add_function(wrap_pyfunction!(add_timer, module)?)?;
    module.add_function(wrap_pyfunction!(add_rb_timer, module)?)?;
    module.add_function(wrap_pyfunction!(add_cron, module)?)?;
    module.add_function(wrap_pyfunction!(add_file_monitor, module)?)
}

/// Handles one signal, if one waits for this worker. What the handler raises is logged.
pub fn handle(py: Python<'_>) {
    let Ok(number) = u8::try_from(host::signal(abi::SIGNAL_TAKE, -1, b"", [0; 5])) else { return };
    if !run(py, number) {
        host::log(&format!("error managing signal {number} on worker {}", host::worker_id()));
    }
    host::signal(abi::SIGNAL_HANDLED, i32::from(number), b"", [0; 5]);
}

/// Calls the handler; whether there is one, and it returned.
fn run(py: Python<'_>, number: u8) -> bool {
    let handler = HANDLERS.get(py).and_then(|handlers| handlers.bind(py).get_item(number).ok().flatten());
    match handler.map(|handler| handler.call1((number,))) {
        Some(Ok(_)) => true,
        Some(Err(error)) => {
            traceback::log(py, error);
            false
        }
        None => false,
    }
}

#[pyfunction]
#[pyo3(signature = (number, target, function))]
fn register_signal(
    py: Python<'_>,
    number: u8,
    target: Bound<'_, PyAny>,
    function: Bound<'_, PyAny>,
) -> PyResult<bool> {
    let target = text(&target)?;
    let words = String::from_utf8_lossy(&target);
    let missing = ["mule", "farm", "spooler"].into_iter().find(|name| words.starts_with(name));
    if let Some(name) = missing {
        return Err(PyValueError::new_err(format!(
            "unable to register signal {number}: target {words:?} needs a {name}, which this server does not have; \
             \"worker\", \"workers\", \"active-workers\" and \"worker1\" are there"
        )));
    }
    if host::signal(abi::SIGNAL_REGISTER, number.into(), &target, [0; 5]) != 1 {
        return Err(PyValueError::new_err(format!(
            "unable to register signal {number}: there is no target {words:?}"
        )));
    }
    let handlers = HANDLERS.get_or_init(py, || PyDict::new(py).unbind());
    handlers.bind(py).set_item(number, function)?;
    let target = if words.is_empty() { "default, any worker".into() } else { words };
    host::log(&format!(
        "[uwsgi-signal] signum {number} registered (wid: {} modifier1: 0 target: {target})",
        host::worker_id()
    ));
    Ok(true)
}

#[pyfunction]
fn signal(number: u8) {
    host::signal(abi::SIGNAL_SEND, number.into(), b"", [0; 5]);
}

#[pyfunction]
fn signal_registered(number: u8) -> Option<bool> {
    (host::signal(abi::SIGNAL_REGISTERED, number.into(), b"", [0; 5]) == 1).then_some(true)
}

/// Waits for a signal to this worker, and handles it here.
#[pyfunction]
#[pyo3(signature = (number = None))]
fn signal_wait(py: Python<'_>, number: Option<u8>) -> PyResult<Bound<'_, PyBytes>> {
    let wanted = number.map_or(-1, i32::from);
    let found = py.detach(|| host::signal(abi::SIGNAL_WAIT, wanted, b"", [0; 5]));
    let found =
        u8::try_from(found).map_err(|_| PyValueError::new_err("only workers can wait for signals"))?;
    RECEIVED.set(found);
    if !run(py, found) {
        host::log(&format!("error managing signal {found} on worker {}", host::worker_id()));
    }
    Ok(PyBytes::new(py, b""))
}

#[pyfunction]
fn signal_received() -> u8 {
    RECEIVED.get()
}

#[pyfunction]
fn add_timer(number: u8, seconds: u32) -> PyResult<bool> {
    every(number, seconds, 0)
}

#[pyfunction]
#[pyo3(signature = (number, seconds, iterations = 0))]
fn add_rb_timer(number: u8, seconds: u32, iterations: u32) -> PyResult<bool> {
    every(number, seconds, iterations)
}

fn every(number: u8, seconds: u32, times: u32) -> PyResult<bool> {
    if seconds == 0 {
        return Err(PyValueError::new_err("unable to add timer: 0 seconds are no time"));
    }
    raise("timer", abi::SIGNAL_EVERY, number, b"", [i64::from(seconds) * 1000, times.into(), 0, 0, 0])
}

#[pyfunction]
fn add_cron(number: u8, minute: i64, hour: i64, day: i64, month: i64, weekday: i64) -> PyResult<bool> {
    raise("cron", abi::SIGNAL_CRON, number, b"", [minute, hour, day, month, weekday])
}

#[pyfunction]
fn add_file_monitor(py: Python<'_>, number: u8, path: Bound<'_, PyAny>) -> PyResult<bool> {
    // The master has a folder of its own.
    let path = py.import("os")?.getattr("path")?.call_method1("abspath", (path,))?;
    let path = py.import("os")?.call_method1("fsencode", (path,))?;
    raise("file monitor", abi::SIGNAL_FILE, number, path.cast::<PyBytes>()?.as_bytes(), [0; 5])
}

fn raise(kind: &str, what: u32, number: u8, text: &[u8], numbers: [i64; 5]) -> PyResult<bool> {
    let why = match host::signal(what, number.into(), text, numbers) {
        1 => return Ok(true),
        abi::SIGNAL_TOO_LONG => "its path is too long",
        _ => "there is no room for more",
    };
    Err(PyValueError::new_err(format!("unable to add {kind} for signal {number}: {why}")))
}

/// `str` or `bytes`, as uWSGI takes both.
fn text(value: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().to_vec());
    }
    Ok(value.cast::<PyString>()?.extract::<String>()?.into_bytes())
}
