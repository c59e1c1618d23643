//! Threads seen from outside: the stacks of all of them, and an end for a request that takes too long (`harakiri`).
//!
//! A request's number is set and taken back by its own thread. Whoever wants to end it puts [`ENDING`] in the number's
//! place while it does, and the thread does not get past the end of the request meanwhile. So the exception reaches that
//! request, or nobody; also in a free-threaded interpreter, where the two run at the same time.
//!
//! The main thread is interrupted by a signal, whose Python handler raises: that ends also a `sleep` or a `recv`. Other
//! threads get an asynchronous exception, which they meet at their next byte code.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};

use crate::config::config;
use crate::{host, interpreter};

pyo3::create_exception!(
    uwsgi,
    Harakiri,
    PyBaseException,
    "The request has taken longer than harakiri allows; the client has been told."
);

/// In place of a request's number: it is just being told to end.
const ENDING: u64 = u64::MAX;

/// One interpreter thread.
#[derive(Debug, Default)]
struct Worker {
    /// As Python knows it.
    ident: AtomicU64,
    /// The request it works on, 0 none, or [`ENDING`].
    request: AtomicU64,
    /// That was told to end.
    told: AtomicBool,
}

fn worker(thread: u32) -> Option<&'static Worker> {
    static WORKERS: OnceLock<Vec<Worker>> = OnceLock::new();
    let all = WORKERS.get_or_init(|| (0..config().threads).map(|_| Worker::default()).collect());
    all.get(thread as usize)
}

/// The signal that interrupts the main thread: one that nobody else uses.
fn signal() -> i32 {
    libc::SIGRTMAX() - 2
}

// On an interpreter thread --------------------------------------------------------------------------------

/// In a worker, on its main thread.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let handler = wrap_pyfunction!(interrupted, py)?;
    py.import("_signal")?.call_method1("signal", (signal(), handler))?;
    Ok(())
}

/// The calling thread is interpreter thread `thread` from now on.
pub fn enter(py: Python<'_>, thread: u32) -> PyResult<()> {
    let ident: u64 = py.import("_thread")?.call_method0("get_ident")?.extract()?;
    if let Some(worker) = worker(thread) {
        worker.ident.store(ident, Ordering::Relaxed);
    }
    Ok(())
}

/// It works on request `serial`.
pub fn begin(thread: u32, serial: u64) {
    if let Some(worker) = worker(thread) {
        worker.request.store(serial, Ordering::Release);
    }
}

/// It is done with it. What was raised and has not arrived yet never will.
pub fn end(py: Python<'_>, thread: u32) {
    let Some(worker) = worker(thread) else { return };
    // Detached: whoever has ENDING there may itself have to wait until every thread is (free-threaded only; with an
    // interpreter lock he has that).
    let over = |serial| (serial != ENDING).then_some(0);
    while worker.request.fetch_update(Ordering::AcqRel, Ordering::Acquire, over).is_err() {
        py.detach(std::thread::yield_now);
    }
    if worker.told.load(Ordering::Relaxed) {
        worker.told.store(false, Ordering::Relaxed);
        set_exception(worker, None);
    }
}

/// Whether `thread` was told to end what it does.
pub fn is_told(thread: u32) -> bool {
    worker(thread).is_some_and(|worker| worker.told.load(Ordering::Relaxed))
}

/// `harakiri-no-arh`: the hook after the request does not count.
pub fn spares_hook() -> bool {
    static SPARES: OnceLock<bool> = OnceLock::new();
    *SPARES.get_or_init(|| config().flag("harakiri-no-arh"))
}

/// The handler of [`signal`]. The signal may come late: then there is nothing to end.
#[pyfunction]
fn interrupted(_signal: i32, _frame: Option<Py<PyAny>>) -> PyResult<()> {
    match worker(0) {
        Some(worker) if worker.told.load(Ordering::Relaxed) => Err(Harakiri::new_err(())),
        _ => Ok(()),
    }
}

/// What interrupts the main thread, as [`interrupt`] does, while it waits for others at the end of the worker.
pub fn end_of_waiting(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    Ok(wrap_pyfunction!(end_waiting, py)?.into_any())
}

#[pyfunction]
fn end_waiting() {
    if let Some(worker) = worker(0) {
        worker.told.store(true, Ordering::Relaxed);
        host::signal_main_thread(signal());
    }
}

// From outside --------------------------------------------------------------------------------------------

/// Ends request `serial` of `thread`, if that is what it works on.
pub fn interrupt(py: Python<'_>, thread: u32, serial: u64) -> bool {
    let Some(worker) = worker(thread) else { return false };
    // Made at its first use, which may wait for other threads: not below.
    let exception = py.get_type::<Harakiri>();
    let is_it = |worker: &Worker| {
        worker.request.compare_exchange(serial, ENDING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    if serial == 0 || !is_it(worker) {
        return false;
    }
    worker.told.store(true, Ordering::Relaxed);
    let told = if thread == 0 {
        host::signal_main_thread(signal())
    } else {
        set_exception(worker, Some(&exception))
    };
    worker.request.store(serial, Ordering::Release);
    told
}

/// `None` takes back what was set and not raised yet.
fn set_exception(worker: &Worker, exception: Option<&Bound<'_, PyType>>) -> bool {
    interpreter::raise_in(worker.ident.load(Ordering::Relaxed), exception)
}

/// The stack of one interpreter thread as `traceback` writes it, or those of all threads as uWSGI's tracebacker does.
pub fn stacks(py: Python<'_>, thread: Option<u32>) -> PyResult<String> {
    let frames = py.import("sys")?.call_method0("_current_frames")?.cast_into::<PyDict>()?;
    let traceback = py.import("traceback")?;
    let mut text = String::new();
    if let Some(thread) = thread {
        let ident = worker(thread).map_or(0, |worker| worker.ident.load(Ordering::Relaxed));
        let Some(frame) = frames.get_item(ident)? else { return Ok(text) };
        let entries = PyList::new(py, entries(&traceback, frame)?)?;
        for line in traceback.call_method1("format_list", (entries,))?.cast_into::<PyList>()? {
            text.push_str(&line.extract::<String>()?);
        }
        text.truncate(text.trim_end().len());
        return Ok(text);
    }
    let own: u64 = py.import("_thread")?.call_method0("get_ident")?.extract()?;
    let names = names(py).unwrap_or_else(|_| PyDict::new(py));
    for (ident, frame) in frames {
        if ident.extract::<u64>()? == own {
            continue;
        }
        let name = names.get_item(&ident)?.unwrap_or(ident);
        for entry in entries(&traceback, frame)? {
            let part = |name: &str| entry.getattr(name);
            let (file, function) = (part("filename")?, part("name")?);
            let line: u32 = part("lineno")?.extract().unwrap_or(0);
            let source: String = part("line")?.extract().unwrap_or_default();
            text.push_str(&format!(
                "thread_id = {name} filename = {file} lineno = {line} function = {function} line = {source}\n"
            ));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    Ok(text)
}

/// What a thread is at, the outermost first, without the line that gave the main thread to the server (`src/boot.rs`).
fn entries<'py>(
    traceback: &Bound<'py, PyModule>,
    frame: Bound<'py, PyAny>,
) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let stack = traceback.call_method1("extract_stack", (frame,))?;
    let mut entries = stack.try_iter()?.collect::<PyResult<Vec<_>>>()?;
    let is_boot = |entry: &Bound<'py, PyAny>| entry.getattr("filename")?.eq("<string>");
    if entries.first().map(is_boot).transpose()? == Some(true) {
        entries.remove(0);
    }
    Ok(entries)
}

/// Names of the threads that have one.
fn names(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let names = PyDict::new(py);
    // What `threading.enumerate` looks at, without its lock: the thread that holds it may be the one to be looked at.
    let known = py.import("threading")?.getattr("_active")?.call_method0("copy")?.cast_into::<PyDict>()?;
    for (ident, thread) in known {
        names.set_item(ident, thread.getattr("_name").or_else(|_| thread.getattr("name"))?)?;
    }
    Ok(names)
}
