//! The interpreter's life: what it finds at the start, around a fork, in a worker, end. And the few C functions that the limited API
//! of 3.9 lacks, found by name.
//!
//! Between the server's calls nobody here holds the interpreter lock: each call attaches and detaches, so that
//! the application's own threads run also while the server waits.

use std::cell::Cell;
use std::ffi::{c_char, c_long, c_void};
use std::ptr::NonNull;

use pyo3::exceptions::PyAttributeError;
use pyo3::ffi::{
    PyGILState_Ensure, PyGILState_Release, PyGILState_STATE, PyOS_AfterFork_Child, PyOS_AfterFork_Parent,
    PyOS_BeforeFork, PyObject, PyThreadState_Get,
};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyType};

use crate::config::{Config, config};
use crate::host::{log, symbol};
use crate::{autoreload, interrupt, load, module, pauses, series, traceback, whereabouts};

// Start ---------------------------------------------------------------------------------------------------

/// Prepares `sys` as uWSGI does. 0 for success.
pub fn start() -> i32 {
    let prepared = Python::attach(|py| {
        // SAFETY: attached, so this thread has a state.
        let state = unsafe { PyThreadState_Get() };
        let result = prepare(py, config());
        log(&format!("Python main interpreter initialized at {state:p}"));
        result.map_err(|error| traceback::log(py, error))
    });
    if prepared.is_ok() { 0 } else { -1 }
}

/// `sys` as an application under uWSGI finds it.
fn prepare(py: Python<'_>, config: &Config) -> PyResult<()> {
    let sys = py.import("sys")?;
    let version: String = sys.getattr("version")?.extract()?;
    log(&format!("Python version: {}", version.replace('\n', " ")));

    let arguments = config.value("pyargv").unwrap_or_default();
    let argv = std::iter::once("uwsgi").chain(arguments.split([' ', '\t']).filter(|word| !word.is_empty()));
    sys.setattr("argv", PyList::new(py, argv)?)?;

    let path = sys.getattr("path")?.cast_into::<PyList>()?;
    path.insert(0, ".")?;
    for folder in config.values("pythonpath") {
        path.insert(0, folder)?;
        log(&format!("added {}/ to pythonpath.", folder.trim_end_matches('/')));
    }
    if let Some(executable) = config.value("py-executable") {
        sys.setattr("executable", executable)?;
    }
    redirect_output(py, &sys)?;
    // Whoever tells a stuck worker's stacks later must not have to import anything then.
    py.import("traceback")?;
    aliases(py, config, "pymodule-alias")?;
    module::install(py)?;
    series::install(py)?;
    aliases(py, config, "post-pymodule-alias")
}

/// `NAME=MODULE` or `NAME=FILE`: what `import NAME` will give.
fn aliases(py: Python<'_>, config: &Config, setting: &str) -> PyResult<()> {
    let modules = py.import("sys")?.getattr("modules")?;
    for (name, what) in config.values(setting).filter_map(|pair| pair.split_once('=')) {
        let module = if what.contains('/') || what.ends_with(".py") {
            load::run_file_as(py, name, what)?.into_any()
        } else {
            py.import(what)?.into_any()
        };
        modules.set_item(name, module)?;
    }
    Ok(())
}

/// As uWSGI does without a terminal: `print` goes to the log, line by line.
fn redirect_output(py: Python<'_>, sys: &Bound<'_, PyModule>) -> PyResult<()> {
    let stdin = py.import("os")?.call_method1("isatty", (0,))?.is_truthy()?;
    if stdin {
        let lines = PyDict::new(py);
        lines.set_item("line_buffering", true)?;
        for name in ["stdout", "stderr"] {
            match sys.getattr(name)?.call_method("reconfigure", (), Some(&lines)) {
                Err(error) if !error.is_instance_of::<PyAttributeError>(py) => return Err(error),
                _ => {}
            }
        }
        return Ok(());
    }
    let how = PyDict::new(py);
    how.set_item("buffering", 1)?;
    how.set_item("errors", "backslashreplace")?;
    how.set_item("closefd", false)?;
    for name in ["stdout", "stderr"] {
        let stream = py.import("io")?.call_method("open", (2, "w"), Some(&how))?;
        sys.setattr(name, &stream)?;
        sys.setattr(format!("__{name}__"), &stream)?;
    }
    Ok(())
}

// Around a fork -------------------------------------------------------------------------------------------

thread_local! {
    /// What `before_fork` attached with; forking keeps the thread, so parent and child both find it.
    static FORKING: Cell<Option<PyGILState_STATE>> = const { Cell::new(None) };
}

/// Takes the interpreter lock and Python's own locks, so that no other thread holds one while we fork.
pub fn before_fork() {
    // SAFETY: the template's main thread after `start`.
    let state = unsafe { PyGILState_Ensure() };
    FORKING.set(Some(state));
    // SAFETY: attached.
    unsafe { PyOS_BeforeFork() };
}

/// In the parent.
pub fn after_fork_parent() {
    // SAFETY: attached since `before_fork`.
    unsafe { PyOS_AfterFork_Parent() };
    release();
}

/// In the child: new locks, a fresh thread table, `os.register_at_fork` hooks.
pub fn after_fork_child() {
    // SAFETY: attached since `before_fork`, by the only thread that came along.
    unsafe { PyOS_AfterFork_Child() };
    release();
}

fn release() {
    if let Some(state) = FORKING.take() {
        // SAFETY: what `before_fork` got on this thread, given back once.
        unsafe { PyGILState_Release(state) };
    }
}

// In a worker ---------------------------------------------------------------------------------------------

/// A forked worker starts with its own random numbers and the application's `post_fork_hook`.
pub fn worker_start(py: Python<'_>) -> i32 {
    whereabouts::show(py);
    // An application that never imported `random` has no state to share; importing it costs milliseconds.
    let reseeded = match py.import("sys").and_then(|sys| sys.getattr("modules")?.get_item("random")) {
        Ok(random) => random.call_method0("seed").map(drop),
        Err(_) => Ok(()),
    };
    if let Err(error) = reseeded {
        traceback::log(py, error);
    }
    if let Err(error) = interrupt::install(py) {
        traceback::log(py, error);
    }
    if let Err(error) = module::worker_start(py) {
        traceback::log(py, error);
    }
    if let Err(error) = pauses::worker_start(py) {
        traceback::log(py, error);
    }
    autoreload::start();
    module::call_hook(py, "post_fork_hook");
    whereabouts::hide(py);
    0
}

/// Ends as Python ends: threads joined, `atexit` run, streams flushed. Modules are not torn down: nothing is
/// gained by it in a process that exits next, and extension modules are known to crash in it. A thread that does not end
/// gets half of `worker-reload-mercy`: with all of it the worker would be killed before its exit handlers ran.
pub fn worker_stop(py: Python<'_>) {
    if config().flag("skip-atexit") {
        return;
    }
    module::call_hook(py, "atexit");
    let ended = join_threads(py);
    let exited = py.import("atexit").and_then(|atexit| atexit.call_method0("_run_exitfuncs"));
    for error in [ended.err(), exited.err()].into_iter().flatten() {
        traceback::log(py, error);
    }
    for stream in ["stdout", "stderr"] {
        // A closed or replaced stream is the application's affair.
        let _ = py.import("sys").and_then(|sys| sys.getattr(stream)?.call_method0("flush"));
    }
}

/// Waits for the threads that are no daemons, as `Py_Finalize` does, but not for ever. It must be done by the main thread,
/// which a timer interrupts.
fn join_threads(py: Python<'_>) -> PyResult<()> {
    let threading = py.import("threading")?;
    let mercy: f64 = config().value("worker-reload-mercy").and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let timer = threading.call_method1("Timer", (mercy / 2.0, interrupt::end_of_waiting(py)?))?;
    timer.setattr("daemon", true)?;
    timer.call_method0("start")?;
    let joined = threading.call_method0("_shutdown");
    timer.call_method0("cancel")?;
    timer.call_method0("join")?;
    let interrupted = interrupt::is_told(0);
    interrupt::end(py, 0);
    if !interrupted {
        return joined.map(drop);
    }
    // Python 3.13 prints the exception instead of passing it on.
    let main = threading.call_method0("main_thread")?;
    let mut names = Vec::new();
    for thread in threading.call_method0("enumerate")?.try_iter()? {
        let thread = thread?;
        if !thread.is(&main) && !thread.getattr("daemon")?.extract::<bool>()? {
            names.push(thread.getattr("name")?.extract::<String>()?);
        }
    }
    log(&format!(
        "[uwring] these threads do not end, and are no daemons: {}; the worker {} ends without them",
        names.join(", "),
        std::process::id()
    ));
    Ok(())
}

/// Has the thread with this `ident` raise `exception` at its next byte code; `None` takes back one that it has not met
/// yet. `false`: there is no such thread.
pub fn raise_in(ident: u64, exception: Option<&Bound<'_, PyType>>) -> bool {
    let exception = exception.map_or(std::ptr::null_mut(), |class| class.as_ptr());
    // SAFETY: every caller is attached; a class, of which the call takes its own reference, or null.
    unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(ident as c_long, exception) == 1 }
}

// Found by name -------------------------------------------------------------------------------------------

/// `PyObject_Vectorcall`: in the limited API since 3.12, exported since 3.11.
pub type Vectorcall =
    unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, usize, *mut PyObject) -> *mut PyObject;

/// `PyUnicode_AsUTF8AndSize`: in the limited API since 3.10, exported since 3.3.
pub type AsUtf8 = unsafe extern "C" fn(*mut PyObject, *mut isize) -> *const c_char;

/// [`Vectorcall`], where there is one.
pub fn vectorcall() -> Option<Vectorcall> {
    // SAFETY: the signature of PEP 590.
    symbol(c"PyObject_Vectorcall")
        .map(|found| unsafe { std::mem::transmute::<NonNull<c_void>, Vectorcall>(found) })
}

/// [`AsUtf8`]: every supported version has it.
pub fn as_utf8() -> Option<AsUtf8> {
    // SAFETY: the signature in CPython's manual.
    symbol(c"PyUnicode_AsUTF8AndSize")
        .map(|found| unsafe { std::mem::transmute::<NonNull<c_void>, AsUtf8>(found) })
}

/// The main interpreter's address, for the lines that show it.
pub fn address() -> usize {
    // SAFETY: called attached, while applications are loaded.
    unsafe { pyo3::ffi::PyInterpreterState_Get() as usize }
}
