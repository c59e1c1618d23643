//! `import uwsgi`: the module that applications know from uWSGI. Texts are bytes where uWSGI's are.
//!
//! What this server does not offer (yet) raises an AttributeError that says so, so that `hasattr` tells the truth.

mod attributes;
mod cache;
mod decorators;
mod harakiri;
mod locks;
mod metrics;
mod process;
mod request;
pub mod signals;

use pyo3::exceptions::PyAttributeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use uwring_abi::CONTROL_SOCKET;

use crate::{exchange, host, traceback};

pub use attributes::{VERSION, hostname};

/// Puts the module into `sys.modules`, before any application can import it.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let module = PyModule::new(py, "uwsgi")?;
    module.setattr("__doc__", "uwring's stand-in for uWSGI's module")?;
    module.add_function(wrap_pyfunction!(missing, &module)?)?;
    attributes::add(&module)?;
    cache::add(&module)?;
    harakiri::add(&module)?;
    locks::add(&module)?;
    metrics::add(&module)?;
    process::add(&module)?;
    request::add(&module)?;
    signals::add(&module)?;
    py.import("sys")?.getattr("modules")?.set_item("uwsgi", module)?;
    decorators::install(py)
}

/// PEP 562: asked for names that are not in the module.
#[pyfunction(name = "__getattr__")]
fn missing(py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
    if name == "env"
        && let Some(environ) = exchange::environ(py)
    {
        return Ok(environ.into_any());
    }
    // `import` machinery and `inspect` ask for these of any module.
    let text = if name.starts_with("__") {
        format!("module 'uwsgi' has no attribute '{name}'")
    } else {
        format!("module 'uwsgi' has no attribute '{name}': this server does not offer uwsgi.{name} here")
    };
    Err(PyAttributeError::new_err(text))
}

/// What only a worker knows.
pub fn worker_start(py: Python<'_>) -> PyResult<()> {
    let sockets: Vec<i64> =
        (0..).map(|number| host::control(CONTROL_SOCKET, number)).take_while(|fd| *fd >= 0).collect();
    dict(py)?.set_item("sockets", sockets)
}

/// The module's dict.
pub fn dict(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    Ok(py.import("uwsgi")?.dict())
}

/// Calls a hook that the application may have set (`post_fork_hook`, `atexit`).
pub fn call_hook(py: Python<'_>, name: &str) {
    let called = dict(py).and_then(|dict| match dict.get_item(name)? {
        Some(hook) if hook.is_callable() => hook.call0().map(drop),
        _ => Ok(()),
    });
    if let Err(error) = called {
        traceback::log(py, error);
    }
}

/// `uwsgi.after_req_hook`, looked up for every request, so without a detour.
pub fn call_request_hook(py: Python<'_>, dict: &Bound<'_, PyDict>) {
    let called = match dict.get_item(intern!(py, "after_req_hook")) {
        Ok(Some(hook)) if hook.is_callable() => hook.call0().map(drop),
        Ok(_) => return,
        Err(error) => Err(error),
    };
    if let Err(error) = called {
        traceback::log(py, error);
    }
}
