//! The body that an application returns (PEP 3333): sent, and closed.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::exchange::{self, Phase, Sending};
use crate::file_wrapper::FileWrapper;
use crate::item::bytes_of;
use crate::traceback;

/// A list of several items up to this is sent as one, bytes.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// Sends what the application returned, and closes it.
pub fn deliver(py: Python<'_>, body: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(bytes) = single(body) {
        return send_whole(py, bytes.as_bytes(), Some(&bytes));
    }
    let sent = deliver_any(py, body);
    let closed = match body.getattr_opt("close") {
        Ok(Some(close)) => close.call0().map(drop),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match (sent, closed) {
        // Two failures: the first is the cause, the second must not hide it.
        (Err(first), Err(second)) => {
            traceback::log(py, second);
            Err(first)
        }
        (Ok(()), Err(error)) => {
            // The answer is complete: a failed close() is for the log only.
            traceback::log(py, error);
            Ok(())
        }
        (sent, _) => sent,
    }
}

/// The usual body: a list or tuple of one bytes object. Neither has a `close()`.
fn single<'py>(body: &Bound<'py, PyAny>) -> Option<Bound<'py, PyBytes>> {
    let item = if let Ok(list) = body.cast_exact::<PyList>() {
        (list.len() == 1).then(|| list.get_item(0).ok()).flatten()?
    } else if let Ok(tuple) = body.cast_exact::<PyTuple>() {
        (tuple.len() == 1).then(|| tuple.get_item(0).ok()).flatten()?
    } else {
        return None;
    };
    item.cast_into::<PyBytes>().ok()
}

fn deliver_any(py: Python<'_>, body: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Ok(bytes) = body.cast::<PyBytes>() {
        return send_whole(py, bytes.as_bytes(), Some(bytes));
    }
    if let Ok(wrapper) = body.cast::<FileWrapper>()
        && let Some(extent) = wrapper.get().extent(py)
    {
        require_head()?;
        exchange::with(|exchange| exchange.send_file(py, extent, true));
        return Ok(());
    }
    if let Some(joined) = joined(body) {
        return send_whole(py, &joined, None);
    }
    iterate(py, body)
}

/// Several bytes objects that are there already, as one.
fn joined(body: &Bound<'_, PyAny>) -> Option<Vec<u8>> {
    let mut joined = Vec::new();
    let mut add = |item: Bound<'_, PyAny>| -> Option<()> {
        let bytes = item.cast::<PyBytes>().ok()?;
        joined.extend_from_slice(bytes.as_bytes());
        (joined.len() <= JOINED_BYTES_MAX).then_some(())
    };
    if let Ok(list) = body.cast_exact::<PyList>() {
        list.iter().try_for_each(&mut add)?;
    } else {
        body.cast_exact::<PyTuple>().ok()?.iter().try_for_each(&mut add)?;
    }
    Some(joined)
}

fn iterate(py: Python<'_>, body: &Bound<'_, PyAny>) -> PyResult<()> {
    for item in body.try_iter()? {
        let item = item?;
        if item.is_none() {
            continue;
        }
        let bytes = bytes_of(&item)?;
        if bytes.as_bytes().is_empty() {
            continue;
        }
        require_head()?;
        if exchange::with(|exchange| exchange.send(py, bytes.as_bytes(), false)) != Some(Sending::Open) {
            return Ok(());
        }
    }
    end_empty(py)
}

/// All of the body at once, and what it belongs to. After `write()` calls it is only the rest.
fn send_whole(py: Python<'_>, bytes: &[u8], owner: Option<&Bound<'_, PyBytes>>) -> PyResult<()> {
    require_head()?;
    exchange::with(|exchange| exchange.send_of(py, bytes, owner, true));
    Ok(())
}

/// The iteration is over: where nothing came of it the head still has to go out.
fn end_empty(py: Python<'_>) -> PyResult<()> {
    require_head()?;
    exchange::with(|exchange| {
        if exchange.phase == Phase::Ready {
            // The answer to HEAD has no bytes by rights: its length is the application's to say.
            let last = !exchange.head_only();
            exchange.send(py, &[], last);
        }
    });
    Ok(())
}

/// PEP 3333: `start_response` comes before the first bytes.
pub fn require_head() -> PyResult<()> {
    match exchange::with(|exchange| exchange.phase) {
        Some(Phase::Waiting) => Err(PyRuntimeError::new_err(
            "the application did not call start_response() before its first output",
        )),
        _ => Ok(()),
    }
}
