//! How long the interpreter keeps requests waiting: collections of garbage, and threads that were woken for a request and
//! wait for the interpreter lock. Measured where metrics are shown, in a worker; told beside the application's own numbers.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use uwring::base::clock::{self, Micros};
use uwring::shared::series::{Key, Kind, Merge};

use crate::series::Number;

/// Generations of CPython's collector.
const GENERATIONS: usize = 3;

/// The lock, in this worker.
static LOCK: OnceLock<Number> = OnceLock::new();

fn seconds(name: &str, help: &str, generation: Option<usize>) -> Number {
    let labels = generation.map(|number| ("generation".to_owned(), number.to_string()));
    Number::new(Key {
        kind: Kind::Counter,
        merge: Merge::Sum,
        live: false,
        family: name.to_owned(),
        name: format!("{name}_total"),
        labels: labels.into_iter().collect(),
        help: help.to_owned(),
    })
}

/// Called by the collector before and after (`gc.callbacks`).
#[pyclass(frozen)]
struct Collections {
    begun_us: AtomicU64,
    seconds: [Number; GENERATIONS],
    count: [Number; GENERATIONS],
}

#[pymethods]
impl Collections {
    fn __call__(&self, phase: &str, info: &Bound<'_, PyDict>) -> PyResult<()> {
        if phase == "start" {
            self.begun_us.store(clock::now().0, Ordering::Relaxed);
            return Ok(());
        }
        let generation: Option<usize> = info.get_item("generation")?.and_then(|number| number.extract().ok());
        let generation = generation.unwrap_or(0).min(GENERATIONS - 1);
        let took = clock::now().since(Micros(self.begun_us.load(Ordering::Relaxed)));
        self.seconds[generation].add(took as f64 / 1e6);
        self.count[generation].add(1.0);
        Ok(())
    }
}

/// In a worker, before it serves.
pub fn worker_start(py: Python<'_>) -> PyResult<()> {
    if !crate::series::is_offered() {
        return Ok(());
    }
    let collections = Collections {
        begun_us: AtomicU64::new(0),
        seconds: std::array::from_fn(|generation| {
            let help = "Time in which the interpreter collected garbage and nothing else ran.";
            seconds("uwring_python_gc_seconds", help, Some(generation))
        }),
        count: std::array::from_fn(|generation| {
            seconds("uwring_python_gc_collections", "Collections of garbage.", Some(generation))
        }),
    };
    py.import("gc")?.getattr("callbacks")?.cast_into::<PyList>()?.append(Bound::new(py, collections)?)?;
    let help = "Time that threads woken for a request waited for the interpreter lock.";
    // A worker starts once.
    let _ = LOCK.set(seconds("uwring_python_gil_wait_seconds", help, None));
    Ok(())
}

/// Waits detached, and counts the time from the end of that until the thread had the lock again.
pub fn detached<T: Send>(py: Python<'_>, wait: impl Send + FnOnce() -> T) -> T {
    let Some(lock) = LOCK.get() else { return py.detach(wait) };
    let (result, woken) = py.detach(|| (wait(), clock::now()));
    let us = clock::now().since(woken);
    if us > 0 {
        lock.add(us as f64 / 1e6);
    }
    result
}
