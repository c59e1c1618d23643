//! The request of the calling thread.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::exchange::{self, Exchange, Phase};
use crate::file_wrapper::Extent;
use crate::input::Input;
use crate::{body, host};

/// Adds the functions.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(log, module)?)?;
    module.add_function(wrap_pyfunction!(request_id, module)?)?;
    module.add_function(wrap_pyfunction!(set_logvar, module)?)?;
    module.add_function(wrap_pyfunction!(get_logvar, module)?)?;
    module.add_function(wrap_pyfunction!(cl, module)?)?;
    module.add_function(wrap_pyfunction!(logsize, module)?)?;
    module.add_function(wrap_pyfunction!(sendfile, module)?)?;
    module.add_function(wrap_pyfunction!(chunked_read, module)?)?;
    module.add_function(wrap_pyfunction!(chunked_read_nb, module)?)
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

/// Sends `length` bytes (0: all) of a file from `position`: a path, a descriptor or a file object. What was sent before
/// stays before it. `None` where there is no such file, or nobody to send it to.
#[pyfunction]
#[pyo3(signature = (file, chunk = 0, position = 0, length = 0))]
fn sendfile(
    py: Python<'_>,
    file: &Bound<'_, PyAny>,
    chunk: u64,
    position: u64,
    length: u64,
) -> PyResult<Option<bool>> {
    // The kernel chooses how much to read at a time.
    let _ = chunk;
    let opened;
    let fd: i32 = if file.is_instance_of::<PyString>() || file.is_instance_of::<PyBytes>() {
        let path = PathBuf::from(OsString::from_vec(bytes_of(file)?));
        let Ok(file) = File::open(path) else { return Ok(None) };
        opened = file;
        opened.as_raw_fd()
    } else if let Ok(fd) = file.extract() {
        fd
    } else {
        file.call_method0("fileno")?.extract()?
    };
    let Some(size) = host::regular_file_size(fd) else { return Ok(None) };
    let rest = size.saturating_sub(position);
    let len = if length == 0 { rest } else { rest.min(length) };
    body::require_head()?;
    let sent = current(|exchange| {
        exchange.send_file(py, Extent { fd, offset: position, len }, false);
        exchange.phase == Phase::Sent
    })?;
    Ok(sent.then_some(true))
}

/// More of the body: whatever is there, `b''` at its end. Bodies that come in chunks are in `wsgi.input` here; what
/// applications wrote for uWSGI, where they are not, reads the same. Waits as long as `socket-timeout` says.
#[pyfunction]
#[pyo3(signature = (timeout = 0))]
fn chunked_read(py: Python<'_>, timeout: i64) -> PyResult<Bound<'_, PyAny>> {
    let _ = timeout;
    let environ =
        exchange::environ(py).ok_or_else(|| PyRuntimeError::new_err("this thread serves no request"))?;
    let input = environ.bind(py).as_any().get_item("wsgi.input")?;
    // Where the application has put another stream there, it has no `read1`.
    let read = if input.is_instance_of::<Input>() { "read1" } else { "read" };
    input.call_method1(read, (64 * 1024,))
}

/// The same: a body of unknown length is here before the application is called.
#[pyfunction]
fn chunked_read_nb(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    chunked_read(py, 0)
}

fn current<R>(work: impl FnOnce(&mut Exchange) -> R) -> PyResult<R> {
    let done = exchange::with(|exchange| exchange.request().is_some().then(|| work(exchange)));
    done.flatten().ok_or_else(|| PyRuntimeError::new_err("this thread serves no request"))
}

/// str (as UTF-8) or bytes.
pub fn bytes_of(text: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match text.cast::<PyString>() {
        Ok(text) => Ok(text.to_cow()?.into_owned().into_bytes()),
        Err(_) => text.extract(),
    }
}
