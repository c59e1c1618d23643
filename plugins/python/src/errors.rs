//! `wsgi.errors`: what the application writes goes to the server log, line by line.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::host;

/// An unfinished line longer than this is logged as it is, bytes.
const LINE_BYTES_MAX: usize = 64 * 1024;

/// The text stream. One for each interpreter thread, so that lines of two requests do not mix.
#[pyclass(module = "uwsgi", name = "_Errors", frozen)]
#[derive(Default)]
pub struct Errors {
    /// The line that has no newline yet.
    line: Mutex<String>,
    /// There is such a line: looked at after each request, where the lock would cost more.
    begun: AtomicBool,
}

impl Errors {
    /// A request is over: what it left unfinished is not the next one's.
    pub fn end_line(&self) {
        if self.begun.load(Ordering::Relaxed) {
            self.log(self.lock());
        }
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, mut line: MutexGuard<'_, String>) {
        self.begun.store(false, Ordering::Relaxed);
        if !line.is_empty() {
            host::log(&std::mem::take(&mut *line));
        }
    }
}

#[pymethods]
impl Errors {
    fn write(&self, text: &Bound<'_, PyString>) -> PyResult<usize> {
        let mut line = self.lock();
        match text.to_cow() {
            Ok(text) => line.push_str(&text),
            // Lone surrogates (PEP 383: undecodable file names): escaped as `sys.stderr` does it.
            Err(_) => {
                let bytes = text.call_method1("encode", ("utf-8", "backslashreplace"))?;
                line.push_str(&String::from_utf8_lossy(bytes.cast::<PyBytes>()?.as_bytes()));
            }
        }
        if let Some(end) = line.rfind('\n') {
            let rest = line.split_off(end + 1);
            host::log(line.trim_end_matches('\n'));
            *line = rest;
        }
        self.begun.store(!line.is_empty(), Ordering::Relaxed);
        if line.len() > LINE_BYTES_MAX {
            self.log(line);
        }
        text.len()
    }

    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(line?.cast::<PyString>()?)?;
        }
        Ok(())
    }

    fn flush(&self) {
        self.log(self.lock());
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
