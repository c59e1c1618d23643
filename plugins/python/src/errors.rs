//! `wsgi.errors`: what the application writes goes to the server log, line by line.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::host;

/// An unfinished line longer than this is logged as it is, bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The text stream. One for each interpreter thread, so that lines of two requests do not mix.
#[pyclass(module = "uwsgi", name = "_Errors", frozen)]
#[derive(Default)]
pub struct Errors {
    /// The line that has no newline yet.
    line: Mutex<String>,
}

#[pymethods]
impl Errors {
    fn write(&self, text: &str) -> usize {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.push_str(text);
        if let Some(end) = line.rfind('\n') {
            let rest = line.split_off(end + 1);
            host::log(line.trim_end_matches('\n'));
            *line = rest;
        }
        if line.len() > LINE_BYTES_MAX {
            host::log(&std::mem::take(&mut *line));
        }
        text.chars().count()
    }

    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(&line?.extract::<String>()?);
        }
        Ok(())
    }

    fn flush(&self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.is_empty() {
            host::log(&std::mem::take(&mut *line));
        }
    }

    /// Closing the log is not the application's business.
    fn close(&self) {
        self.flush();
    }

    fn isatty(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        true
    }

    #[getter]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }

    #[getter]
    fn errors(&self) -> &'static str {
        "backslashreplace"
    }

    #[getter]
    fn closed(&self) -> bool {
        false
    }
}
