//! `lock`, `unlock`, `is_locked`: the server's user locks, shared by all workers.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use uwring_abi::{CONTROL_IS_LOCKED, CONTROL_LOCK, CONTROL_UNLOCK};

use crate::host;

/// Adds the functions.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(lock, module)?)?;
    module.add_function(wrap_pyfunction!(unlock, module)?)?;
    module.add_function(wrap_pyfunction!(is_locked, module)?)
}

#[pyfunction]
#[pyo3(signature = (number = 0))]
fn lock(py: Python<'_>, number: u64) -> PyResult<()> {
    if py.detach(|| host::control(CONTROL_LOCK, number)) == 1 { Ok(()) } else { Err(unknown(number)) }
}

#[pyfunction]
#[pyo3(signature = (number = 0))]
fn unlock(number: u64) -> PyResult<()> {
    if host::control(CONTROL_UNLOCK, number) == 1 { Ok(()) } else { Err(unknown(number)) }
}

#[pyfunction]
#[pyo3(signature = (number = 0))]
fn is_locked(number: u64) -> PyResult<bool> {
    match host::control(CONTROL_IS_LOCKED, number) {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(unknown(number)),
    }
}

fn unknown(number: u64) -> PyErr {
    PyValueError::new_err(format!("there is no lock {number} (option locks)"))
}
