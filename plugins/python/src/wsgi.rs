//! One request through the application: environ, call, body, `close()`, end (PEP 3333).
//!
//! The head goes out with the first bytes that are not empty, so an application that fails before them is
//! answered 500. `close()` is called always and once. A client that left ends the iteration, without an
//! exception in the application.

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use uwring_abi::{
    CONTROL_DISARM, OUTCOME_APP_SHIFT, OUTCOME_EXCEPTION, OUTCOME_EXCEPTION_LAST, OUTCOME_NO_APP, OUTCOME_OK,
};

use crate::apps::Apps;
use crate::call::{OpenInput, call, is_kept};
use crate::config::config;
use crate::exchange::{self, Phase};
use crate::host::{self, Request};
use crate::input::Input;
use crate::start_response::Functions;
use crate::threads::Thread;
use crate::{body, interrupt, module, traceback};

/// Serves `request` and gives it back.
pub fn handle<'py>(thread: &mut Thread<'py>, py: Python<'py>, request: Request) {
    if let Err(error) = replace_kept(thread, py) {
        traceback::log(py, error);
        return request.finish(OUTCOME_EXCEPTION);
    }
    interrupt::begin(thread.number, request.serial());
    let input = thread.input.clone();
    let open = OpenInput::new(&input, &request);
    let outcome = match serve(thread, py, request) {
        Ok(outcome) => outcome,
        // That is in the log already, and nobody is there to be told.
        Err(error) if input.get().is_broken(py) && error.is_instance_of::<PyOSError>(py) => OUTCOME_OK,
        Err(error) => fail(py, error),
    };
    if interrupt::spares_hook() {
        host::control(CONTROL_DISARM, 0);
        interrupt::end(py, thread.number);
    }
    module::call_request_hook(py, &thread.hooks);
    thread.errors.get().end_line();
    exchange::set_environ(None);
    drop(open);
    interrupt::end(py, thread.number);
    exchange::with(|exchange| exchange.finish(outcome | thread.app << OUTCOME_APP_SHIFT));
}

/// What the application kept of the last request stays dead, and this one has its own.
fn replace_kept<'py>(thread: &mut Thread<'py>, py: Python<'py>) -> PyResult<()> {
    if is_kept(&thread.input) {
        thread.input = Bound::new(py, Input::default())?;
    }
    if thread.functions.are_kept() {
        thread.functions = Functions::new(py)?;
    }
    Ok(())
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
    let (ticket, write) = (thread.functions.ticket, thread.functions.write.clone().unbind());
    exchange::with(|exchange| exchange.begin(request, head_only, ticket, write));
    let (environ, _) = built?;
    let Some(app) = app? else {
        host::log("--- no python application found, check your startup logs for errors ---");
        return Ok(OUTCOME_NO_APP);
    };
    thread.app = app.number;
    exchange::set_environ(Some(environ.clone().unbind()));
    let body = call(app.callable.bind(py), &environ, &thread.functions.start_response)?;
    body::deliver(py, &body)?;
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
