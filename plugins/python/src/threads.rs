//! An interpreter thread: take a request, serve it, sleep (detached) when there is none.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use uwring_abi::{WAIT_OVER, WAIT_SIGNAL};

use crate::config::config;
use crate::environ::Environs;
use crate::errors::Errors;
use crate::file_wrapper::FileWrapper;
use crate::input::Input;
use crate::start_response::Functions;
use crate::{host, interrupt, module, traceback, wsgi};

/// What a thread needs for every request, made once.
pub struct Thread<'py> {
    /// Dicts.
    pub environs: Environs,
    /// `wsgi.input`, unless the application kept the last one.
    pub input: Bound<'py, Input>,
    /// `wsgi.errors`.
    pub errors: Bound<'py, Errors>,
    /// `start_response` and `write`, unless the application kept one of the last pair.
    pub functions: Functions<'py>,
    /// `uwsgi`'s own dict, for hooks.
    pub hooks: Bound<'py, PyDict>,
    /// Number of this thread.
    pub number: u32,
    /// Number of the application that was called last.
    pub app: u32,
}

/// Serves until the worker stops. Attached on entry; the thread keeps its Python state all the time.
pub fn serve(py: Python<'_>, thread: u32) {
    let mut state = match Thread::new(py, thread) {
        Ok(state) => state,
        Err(error) => return traceback::log(py, error),
    };
    loop {
        while let Some(request) = host::take(thread) {
            wsgi::handle(&mut state, py, request);
        }
        match host::wait(py, thread) {
            WAIT_OVER => return,
            WAIT_SIGNAL => module::signals::handle(py),
            _ => {}
        }
        // A signal for a Python handler may have come while nothing of Python's ran.
        if thread == 0
            && let Err(error) = py.check_signals()
        {
            traceback::log(py, error);
        }
    }
}

impl<'py> Thread<'py> {
    fn new(py: Python<'py>, thread: u32) -> PyResult<Thread<'py>> {
        if config().threads > 1 {
            let name = format!("uWSGIWorker{}Core{thread}", host::worker_id());
            py.import("threading")?.call_method0("current_thread")?.setattr("name", name)?;
        }
        interrupt::enter(py, thread)?;
        let errors = Bound::new(py, Errors::default())?;
        let constant = constants(py, thread, &errors)?;
        Ok(Thread {
            environs: Environs::new(py, constant),
            input: Bound::new(py, Input::default())?,
            errors,
            functions: Functions::new(py)?,
            hooks: module::dict(py)?,
            number: thread,
            app: 0,
        })
    }
}

/// The keys that no request changes (PEP 3333, and uWSGI's own).
fn constants<'py>(py: Python<'py>, thread: u32, errors: &Bound<'py, Errors>) -> PyResult<Bound<'py, PyDict>> {
    let config = config();
    let dict = PyDict::new(py);
    dict.set_item("wsgi.version", (1, 0))?;
    dict.set_item("wsgi.url_scheme", "http")?;
    dict.set_item("wsgi.input", py.None())?;
    dict.set_item("wsgi.errors", errors)?;
    dict.set_item("wsgi.multithread", config.threads > 1)?;
    dict.set_item("wsgi.multiprocess", config.processes != 1)?;
    dict.set_item("wsgi.run_once", false)?;
    if !config.flag("no-file-wrapper") {
        dict.set_item("wsgi.file_wrapper", py.get_type::<FileWrapper>())?;
    }
    dict.set_item("wsgi.input_terminated", true)?;
    dict.set_item("uwsgi.version", PyBytes::new(py, module::VERSION.as_bytes()))?;
    dict.set_item("uwsgi.node", PyBytes::new(py, &module::hostname()))?;
    if config.threads > 1 {
        dict.set_item("uwsgi.core", thread)?;
    }
    Ok(dict)
}
