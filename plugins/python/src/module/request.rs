//! The request of the calling thread.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::exchange::{self, Exchange};
use crate::host;

/// Adds the functions.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(log, module)?)?;
    module.add_function(wrap_pyfunction!(request_id, module)?)?;
    module.add_function(wrap_pyfunction!(set_logvar, module)?)?;
    module.add_function(wrap_pyfunction!(get_logvar, module)?)?;
    module.add_function(wrap_pyfunction!(cl, module)?)?;
    module.add_function(wrap_pyfunction!(logsize, module)?)
}

#[pyfunction]
fn log(line: &Bound<'_, PyAny>) -> PyResult<bool> {
    host::log(String::from_utf8_lossy(&bytes_of(line)?).trim_end_matches('\n'));
    Ok(true)
}

/// Requests this thread has begun.
#[pyfunction]
fn request_id() -> u64 {
    exchange::with(|exchange| exchange.count).unwrap_or(0)
}

#[pyfunction]
fn set_logvar(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let (name, value) = (bytes_of(name)?, bytes_of(value)?);
    current(|exchange| exchange.set_logvar(name, value))
}

#[pyfunction]
fn get_logvar<'py>(py: Python<'py>, name: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let name = bytes_of(name)?;
    let value = current(|exchange| exchange.logvar(&name).map(<[u8]>::to_vec))?;
    Ok(value.map(|value| PyBytes::new(py, &value)))
}

/// Length of the request's body.
#[pyfunction]
fn cl() -> PyResult<u64> {
    current(|exchange| exchange.request().map_or(0, |request| request.body_len()))
}

/// Bytes of the response's body so far.
#[pyfunction]
fn logsize() -> PyResult<u64> {
    current(|exchange| exchange.body_bytes)
}

fn current<R>(work: impl FnOnce(&mut Exchange) -> R) -> PyResult<R> {
    let done = exchange::with(|exchange| exchange.request().is_some().then(|| work(exchange)));
    done.flatten().ok_or_else(|| PyRuntimeError::new_err("this thread serves no request"))
}

/// str (as UTF-8) or bytes.
fn bytes_of(text: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match text.cast::<PyString>() {
        Ok(text) => Ok(text.to_cow()?.into_owned().into_bytes()),
        Err(_) => text.extract(),
    }
}
