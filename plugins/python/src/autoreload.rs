//! `py-auto-reload`: looks at the files of imported modules, and asks for a reload when one has changed. For
//! development; a reload whose code does not load leaves the old one serving, and the next change is seen as well.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};
use uwring_abi::CONTROL_RELOAD;

use crate::config::config;
use crate::{host, traceback};

/// When a file was changed, as seen last.
type Known = HashMap<PathBuf, SystemTime>;

/// Starts to look, where it is asked for. One worker is enough: all have the same modules, and each would reload.
pub fn start() {
    let seconds: u64 = config().value("py-auto-reload").and_then(|value| value.parse().ok()).unwrap_or(0);
    if seconds == 0 || host::worker_id() != 1 {
        return;
    }
    // How the files are now: a change that comes before the thread's first turn is one as well.
    let mut known = Known::new();
    changed(&mut known, all_files());
    let look = move || {
        host::block_signals();
        watch(known, Duration::from_secs(seconds));
    };
    match std::thread::Builder::new().name("py-auto-reload".to_owned()).spawn(look) {
        Ok(_) => host::log("Python auto-reloader enabled"),
        Err(error) => host::log(&format!("cannot start the thread of py-auto-reload: {error}")),
    }
}

fn watch(mut known: Known, period: Duration) {
    loop {
        std::thread::sleep(period);
        if let Some((module, file)) = changed(&mut known, all_files()) {
            host::log(&format!(
                "[uwsgi-python-reloader] module/file {module} has been modified ({})",
                file.display()
            ));
            host::control(CONTROL_RELOAD, 0);
        }
    }
}

fn all_files() -> Vec<(String, PathBuf)> {
    Python::attach(|py| {
        files(py).unwrap_or_else(|error| {
            traceback::log(py, error);
            Vec::new()
        })
    })
}

/// The first that changed since it was seen last. All are seen then: one reload is enough for several changes.
fn changed(known: &mut Known, files: Vec<(String, PathBuf)>) -> Option<(String, PathBuf)> {
    let mut first = None;
    for (module, file) in files {
        // Gone for the moment, as editors do it while they save.
        let Ok(time) = file.metadata().and_then(|metadata| metadata.modified()) else { continue };
        match known.insert(file.clone(), time) {
            Some(before) if before != time => drop(first.get_or_insert((module, file))),
            _ => {}
        }
    }
    first
}

/// Names and source files of what is imported, without `py-auto-reload-ignore`.
fn files(py: Python<'_>) -> PyResult<Vec<(String, PathBuf)>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.copy()?;
    let ignored: Vec<&str> = config().values("py-auto-reload-ignore").collect();
    let mut files = Vec::new();
    for (name, module) in modules {
        let Ok(name) = name.extract::<String>() else { continue };
        // The dict itself: asking a lazy module for an attribute would import it.
        let Ok(module) = module.cast::<PyModule>() else { continue };
        let file = module.dict().get_item("__file__")?.and_then(|file| file.extract::<String>().ok());
        if let Some(file) = file.filter(|_| !ignored.contains(&name.as_str())) {
            files.push((name, source(&file)));
        }
    }
    Ok(files)
}

/// Of a compiled file its source beside it.
fn source(file: &str) -> PathBuf {
    let path = Path::new(file);
    if path.extension().is_some_and(|extension| extension == "pyc" || extension == "pyo") {
        return path.with_extension("py");
    }
    path.to_owned()
}
