//! The module's plain values.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use uwring_abi::CONTROL_GENERATION;

use crate::config::{Config, config};
use crate::host;

/// The uWSGI we behave like: what applications compare with.
pub const VERSION: &str = "2.0.31";

/// This machine's name.
pub fn hostname() -> Vec<u8> {
    // The kernel's own file: no call into libc for a text that is read once.
    let mut name = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    name.truncate(name.trim_ascii_end().len());
    name
}

/// Adds them.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let config = config();
    let version = PyTuple::new(
        py,
        VERSION
            .split('.')
            .filter_map(|part| part.parse::<u32>().ok())
            .chain(std::iter::once(0))
            .map(|part| part.into_pyobject(py).map(Bound::into_any))
            .chain(std::iter::once(Ok(PyBytes::new(py, b"").into_any())))
            .collect::<Result<Vec<_>, _>>()?,
    )?;
    module.setattr("version", PyBytes::new(py, VERSION.as_bytes()))?;
    module.setattr("version_info", version)?;
    module.setattr("hostname", PyBytes::new(py, &hostname()))?;
    module.setattr("opt", options(py, config)?)?;
    module.setattr("magic_table", PyDict::new(py))?;
    module.setattr("numproc", config.processes)?;
    module.setattr("cores", config.threads)?;
    module.setattr("threads", config.threads)?;
    // The application's own threads always run here.
    module.setattr("has_threads", 1)?;
    module.setattr("buffer_size", config.buffer_size)?;
    module.setattr("started_on", config.started_on)?;
    module.setattr("is_a_reload", host::control(CONTROL_GENERATION, 0) > 1)?;
    module.setattr("sockets", PyList::empty(py))?;
    module.setattr("spoolers", PyTuple::empty(py))?;
    for none in ["loop", "applications", "unbit"] {
        module.setattr(none, py.None())?;
    }
    for name in ["mode", "pidfile"] {
        let value =
            config.options.iter().rev().find(|(key, _)| key == name).and_then(|(_, value)| value.as_ref());
        module.setattr(name, value.map(|value| PyBytes::new(py, value.as_bytes())))?;
    }
    for (name, value) in [("SPOOL_OK", -2), ("SPOOL_RETRY", -1), ("SPOOL_IGNORE", 0)] {
        module.setattr(name, value)?;
    }
    Ok(())
}

/// `uwsgi.opt`: bytes, `True` for an option without a value. Of a repeated one the last, as uWSGI 2.0 has it under
/// Python 3 (its manual says a list; applications rely on what it does).
fn options<'py>(py: Python<'py>, config: &Config) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (name, value) in &config.options {
        let value = match value {
            Some(value) => PyBytes::new(py, value.as_bytes()).into_any(),
            None => true.into_pyobject(py)?.to_owned().into_any(),
        };
        dict.set_item(name, value)?;
    }
    Ok(dict)
}
