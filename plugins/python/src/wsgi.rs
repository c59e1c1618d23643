//! One request through the application: environ, call, body, `close()`, end (PEP 3333).
//!
//! The head goes out with the first bytes that are not empty, so an application that fails before them is
//! answered 500. `close()` is called always and once. A client that left ends the iteration, without an
//! exception in the application.

use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PyTuple};
use uwring_abi::{OUTCOME_EXCEPTION, OUTCOME_EXCEPTION_LAST, OUTCOME_NO_APP, OUTCOME_OK};

use crate::apps::Apps;
use crate::call::{OpenInput, call, is_kept};
use crate::config::config;
use crate::exchange::{self, Phase, Sending};
use crate::file_wrapper::FileWrapper;
use crate::host::{self, Request};
use crate::input::Input;
use crate::threads::Thread;
use crate::{module, traceback};

/// A list of several items up to this is sent as one, bytes.
const JOINED_BYTES_MAX: usize = 64 * 1024;

/// Serves `request` and gives it back.
pub fn handle<'py>(thread: &mut Thread<'py>, py: Python<'py>, request: Request) {
    if is_kept(&thread.input) {
        // The application kept the last one: it stays shut, and this request has its own.
        match Bound::new(py, Input::default()) {
            Ok(input) => thread.input = input,
            Err(error) => {
                traceback::log(py, error);
                return request.finish(OUTCOME_EXCEPTION);
            }
        }
    }
    let input = thread.input.clone();
    let open = OpenInput::new(&input, &request);
    let outcome = match serve(thread, py, request) {
        Ok(outcome) => outcome,
        Err(error) => fail(py, error),
    };
    module::call_request_hook(py, &thread.hooks);
    thread.errors.get().end_line();
    exchange::set_environ(None);
    drop(open);
    exchange::with(|exchange| exchange.finish(outcome));
}

fn serve(thread: &mut Thread<'_>, py: Python<'_>, request: Request) -> PyResult<u32> {
    let built = thread.environs.build(&request, thread.input.as_any());
    let head_only = match &built {
        Ok((_, roles)) => {
            roles.method.is_some_and(|at| request.areas().value(&request.vars()[at]) == b"HEAD")
        }
        Err(_) => false,
    };
    let apps = Apps::published(py);
    let app = match (&built, apps) {
        (Ok((environ, roles)), Some(apps)) => apps.select(&request, roles, environ),
        _ => Ok(None),
    };
    exchange::with(|exchange| exchange.begin(request, head_only));
    let (environ, _) = built?;
    let start_response = exchange::start_response(py)?;
    let Some(app) = app? else {
        host::log("--- no python application found, check your startup logs for errors ---");
        return Ok(OUTCOME_NO_APP);
    };
    exchange::set_environ(Some(environ.clone().unbind()));
    let body = call(app.callable.bind(py), &environ, &start_response)?;
    deliver(py, &body)?;
    Ok(OUTCOME_OK)
}

/// Logs what the application raised; with `catch-exceptions` the client sees it too.
fn fail(py: Python<'_>, error: PyErr) -> u32 {
    let is_last = is_last(py, &error);
    let outcome =
        if config().flag("catch-exceptions") && show(py, &error) { OUTCOME_OK } else { OUTCOME_EXCEPTION };
    traceback::log(py, error);
    if is_last {
        host::log("this exception replaces the worker (reload-on-exception)");
        return OUTCOME_EXCEPTION_LAST;
    }
    outcome
}

/// Whether one of the `reload-on-exception` options means this exception: any, by its class, by its text, by both.
/// (uWSGI compares the text for all three.)
fn is_last(py: Python<'_>, error: &PyErr) -> bool {
    let config = config();
    let listed = |option: &'static str, texts: &[&str]| config.values(option).any(|one| texts.contains(&one));
    if config.flag("reload-on-exception") {
        return true;
    }
    if ["type", "value", "repr"].iter().all(|by| config.value(&format!("reload-on-exception-{by}")).is_none())
    {
        return false;
    }
    let kind = error.get_type(py);
    let class = kind.qualname().map_or_else(|_| String::new(), |name| name.to_string());
    let module = kind.module().map_or_else(|_| String::new(), |name| name.to_string());
    let value = error.value(py).str().map_or_else(|_| String::new(), |text| text.to_string());
    listed("reload-on-exception-type", &[&class, &format!("{module}.{class}")])
        || listed("reload-on-exception-value", &[&value])
        || listed("reload-on-exception-repr", &[&format!("{class}: {value}")])
}

/// A page with the traceback, where nothing was sent yet.
fn show(py: Python<'_>, error: &PyErr) -> bool {
    let text = traceback::text(py, error);
    exchange::with(|exchange| {
        if !matches!(exchange.phase, Phase::Waiting | Phase::Ready) {
            return false;
        }
        exchange.head.clear();
        exchange.head.status = 500;
        exchange.head.line.extend_from_slice(b"500 Internal Server Error");
        exchange.head.push(b"Content-Type", b"text/plain; charset=utf-8");
        exchange.phase = Phase::Ready;
        exchange.send(py, text.as_bytes(), true);
        true
    })
    .unwrap_or(false)
}

// The body ------------------------------------------------------------------------------------------------

/// Sends what the application returned, and closes it.
fn deliver(py: Python<'_>, body: &Bound<'_, PyAny>) -> PyResult<()> {
    if let Some(bytes) = single(body) {
        return send_whole(py, bytes.as_bytes());
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
        return send_whole(py, bytes.as_bytes());
    }
    if let Ok(wrapper) = body.cast::<FileWrapper>()
        && let Some(extent) = wrapper.get().extent(py)
    {
        require_head()?;
        exchange::with(|exchange| exchange.send_file(py, extent, true));
        return Ok(());
    }
    if let Some(joined) = joined(body) {
        return send_whole(py, &joined);
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

/// All of the body at once. After `write()` calls it is only the rest.
fn send_whole(py: Python<'_>, bytes: &[u8]) -> PyResult<()> {
    require_head()?;
    exchange::with(|exchange| exchange.send(py, bytes, true));
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

/// A part of a body. PEP 3333 allows bytes only, `wsgi-accept-buffer` whatever has a buffer. uWSGI logs others and leaves
/// them out, and the client gets a page with a hole.
pub fn bytes_of<'py>(item: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    if let Ok(bytes) = item.cast::<PyBytes>() {
        return Ok(bytes.clone());
    }
    let py = item.py();
    if config().flag("accept-buffer")
        && let Ok(buffer) = PyMemoryView::from(item)
    {
        let bytes = py.get_type::<PyBytes>().call1((buffer,))?;
        return Ok(bytes.cast_into::<PyBytes>()?);
    }
    let kind = item.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    Err(PyTypeError::new_err(format!("the application's body must be of bytes, not {kind}")))
}
