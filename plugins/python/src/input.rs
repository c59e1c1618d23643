//! `wsgi.input`: the request's body as a file. It works during its request only; later it is empty and closed,
//! so that an application that keeps it never reads somebody else's bytes.
//!
//! The body is in memory, in a file of the host's, or still arriving; [`Body`] makes one stream of the three.

use std::sync::Mutex;

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};
use uwring_abi::ERR_TIMEOUT;

use crate::host::{self, RequestBody};

/// Bytes asked of the client at a time: about what a socket holds. A promise of more is believed as it comes.
const FETCH_BYTES: usize = 64 * 1024;
/// Bytes read from the host's file at a time.
const FILE_BYTES: usize = 1024 * 1024;

/// The stream. Made once for each interpreter thread and used again while the application keeps none.
#[pyclass(module = "uwsgi", name = "_Input", frozen)]
#[derive(Default)]
pub struct Input {
    body: Mutex<Body>,
}

#[derive(Default)]
struct Body {
    /// `None` outside the request.
    source: Option<RequestBody>,
    /// How many bytes came out of memory, the file or the client.
    fetched: u64,
    /// Fetched, not read yet (from `ahead_start`).
    ahead: Vec<u8>,
    ahead_start: usize,
    /// The client has sent everything.
    ended: bool,
    /// The client has gone, or falls silent, before it had.
    broken: bool,
}

impl Input {
    /// Begins a request.
    pub fn open(&self, py: Python<'_>, source: RequestBody) {
        *lock(&self.body, py) = Body { source: Some(source), ..Body::default() };
    }

    /// Whether the body broke off: what the application raises then says no more than that.
    pub fn is_broken(&self, py: Python<'_>) -> bool {
        lock(&self.body, py).broken
    }

    /// Ends it. Waits for a thread of the application's that reads just now.
    pub fn shut(&self, py: Python<'_>) {
        let mut body = lock(&self.body, py);
        *body = Body::default();
    }
}

#[pymethods]
impl Input {
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(u64::MAX);
        let mut body = lock(&self.body, py);
        body.whole_from_memory(py, limit).map_or_else(|| body.take(py, limit), Ok)
    }

    /// As a raw file's: what one call can give, at most `size`.
    #[pyo3(signature = (size = None, /))]
    fn read1<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = size.and_then(|size| u64::try_from(size).ok()).unwrap_or(FETCH_BYTES as u64);
        lock(&self.body, py).take_some(py, limit)
    }

    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let limit = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        lock(&self.body, py).line(py, limit)
    }

    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<i64>) -> PyResult<Bound<'py, PyList>> {
        let hint = hint.and_then(|hint| usize::try_from(hint).ok()).filter(|hint| *hint > 0);
        let lines = PyList::empty(py);
        let mut total = 0;
        loop {
            let line = lock(&self.body, py).line(py, usize::MAX)?;
            let len = line.as_bytes().len();
            if len == 0 {
                return Ok(lines);
            }
            lines.append(line)?;
            total += len;
            if hint.is_some_and(|hint| total >= hint) {
                return Ok(lines);
            }
        }
    }

    fn __iter__(this: Py<Input>) -> Py<Input> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = lock(&self.body, py).line(py, usize::MAX)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }

    #[pyo3(signature = (offset, whence = 0, /))]
    fn seek(&self, py: Python<'_>, offset: i64, whence: i32) -> PyResult<u64> {
        lock(&self.body, py).seek(offset, whence)
    }

    fn tell(&self, py: Python<'_>) -> u64 {
        lock(&self.body, py).position()
    }

    fn seekable(&self, py: Python<'_>) -> bool {
        lock(&self.body, py).is_buffered()
    }

    fn readable(&self) -> bool {
        true
    }

    fn close(&self) {}

    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        lock(&self.body, py).source.is_none()
    }
}

impl Body {
    fn position(&self) -> u64 {
        self.fetched - (self.ahead.len() - self.ahead_start) as u64
    }

    /// All of it is there already, in memory or in a file.
    fn is_buffered(&self) -> bool {
        self.source.as_ref().is_some_and(|source| {
            source.file().is_some() || source.len().is_some_and(|len| len == source.memory().len() as u64)
        })
    }

    /// The usual case, without a copy on the way: nothing read yet, all in memory, all wanted.
    fn whole_from_memory<'py>(&mut self, py: Python<'py>, limit: u64) -> Option<Bound<'py, PyBytes>> {
        let source = self.source.as_ref()?;
        let memory = source.memory();
        let len = memory.len() as u64;
        if self.fetched != 0 || source.file().is_some() || source.len() != Some(len) || limit < len {
            return None;
        }
        self.fetched = len;
        Some(PyBytes::new(py, memory))
    }

    /// Up to `limit` bytes; less only at the end.
    fn take<'py>(&mut self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = self.take_ahead(limit);
        loop {
            let wanted = limit - out.len() as u64;
            if wanted == 0 || !self.fetch(py, wanted, limit)? {
                return Ok(PyBytes::new(py, &out));
            }
            // `fetch` brings no more than is wanted. The first piece is kept as it is, not copied.
            if out.is_empty() {
                std::mem::swap(&mut out, &mut self.ahead);
            } else {
                out.append(&mut self.ahead);
            }
        }
    }

    /// What one fetch gives, at most `limit` bytes: a body that arrives in pieces is read as it arrives.
    fn take_some<'py>(&mut self, py: Python<'py>, limit: u64) -> PyResult<Bound<'py, PyBytes>> {
        let mut out = self.take_ahead(limit);
        if out.is_empty() && limit > 0 && self.fetch(py, limit, limit)? {
            std::mem::swap(&mut out, &mut self.ahead);
        }
        Ok(PyBytes::new(py, &out))
    }

    /// What was fetched before and not read.
    fn take_ahead(&mut self, limit: u64) -> Vec<u8> {
        let ahead = &self.ahead[self.ahead_start..];
        let part = ahead.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
        let out = ahead[..part].to_vec();
        self.ahead_start += part;
        out
    }

    /// A line with its newline, or `limit` bytes of it.
    fn line<'py>(&mut self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let mut searched = 0;
        loop {
            let ahead = &self.ahead[self.ahead_start..];
            let newline = ahead[searched..].iter().position(|&byte| byte == b'\n');
            let end = newline.map_or(ahead.len(), |at| searched + at + 1).min(limit);
            if newline.is_some() || end == limit || !self.fetch_more(py)? {
                let line = PyBytes::new(py, &self.ahead[self.ahead_start..self.ahead_start + end]);
                self.ahead_start += end;
                return Ok(line);
            }
            searched = end;
        }
    }

    /// Appends to `ahead`, keeping what is in it. `false` at the end.
    fn fetch_more(&mut self, py: Python<'_>) -> PyResult<bool> {
        let mut kept = self.ahead.split_off(self.ahead_start);
        let more = self.fetch(py, FETCH_BYTES as u64, FETCH_BYTES as u64);
        kept.append(&mut self.ahead);
        self.ahead = kept;
        self.ahead_start = 0;
        more
    }

    /// Puts the next bytes into `ahead`, which has been read. `false` at the end. `asked` is for messages.
    fn fetch(&mut self, py: Python<'_>, wanted: u64, asked: u64) -> PyResult<bool> {
        self.ahead.clear();
        self.ahead_start = 0;
        let Some(source) = self.source.as_ref() else { return Ok(false) };
        if let Some(fd) = source.file() {
            let left = source.len().unwrap_or(u64::MAX).saturating_sub(self.fetched);
            self.ahead.resize(room(wanted.min(left), FILE_BYTES), 0);
            let count = source.read_file(py, fd, &mut self.ahead, self.fetched);
            return self.counted(count, asked);
        }
        if let Some(rest) = usize::try_from(self.fetched).ok().and_then(|at| source.memory().get(at..))
            && !rest.is_empty()
        {
            let part = rest.len().min(usize::try_from(wanted).unwrap_or(usize::MAX));
            self.ahead.extend_from_slice(&rest[..part]);
            self.fetched += part as u64;
            return Ok(true);
        }
        let left = source.len().map_or(u64::MAX, |len| len.saturating_sub(self.fetched));
        if self.ended || left == 0 {
            return Ok(false);
        }
        self.ahead.resize(room(wanted.min(left), FETCH_BYTES), 0);
        let count = source.receive(py, &mut self.ahead);
        self.counted(count, asked)
    }

    /// After a read into `ahead`: how much of it counts.
    fn counted(&mut self, count: isize, asked: u64) -> PyResult<bool> {
        let Ok(len) = usize::try_from(count) else {
            self.ahead.clear();
            return Err(self.failure(count, asked));
        };
        self.ahead.truncate(len);
        self.fetched += len as u64;
        let total = self.source.as_ref().and_then(RequestBody::len);
        if len == 0 {
            // Asked again, it fails again: half a body must not look like a whole one.
            if total.is_some_and(|total| total > self.fetched) {
                return Err(self.failure(-1, asked));
            }
            self.ended = true;
        }
        Ok(len > 0)
    }

    /// uWSGI's exception and line for a body that does not come.
    fn failure(&mut self, code: isize, asked: u64) -> PyErr {
        self.broken = true;
        let asked = asked.min(i64::MAX as u64);
        let length = self.source.as_ref().and_then(RequestBody::len).unwrap_or(0);
        let left = length.saturating_sub(self.fetched);
        let (what, verb, message) = if code == isize::try_from(ERR_TIMEOUT).unwrap_or(-3) {
            ("timeout during", "Timeout", "")
        } else {
            ("error during", "Error", " message: Client closed connection")
        };
        let asked = if asked == i64::MAX as u64 { left } else { asked };
        host::log(&format!(
            "[uwsgi-body-read] {verb} reading {asked} bytes. Content-Length: {length} consumed: {} left: {left}{message}",
            self.fetched
        ));
        PyOSError::new_err(format!("{what} read({asked}) on wsgi.input"))
    }

    fn seek(&mut self, offset: i64, whence: i32) -> PyResult<u64> {
        let Some(len) = self.source.as_ref().filter(|_| self.is_buffered()).and_then(RequestBody::len) else {
            return Err(PyOSError::new_err("seeking wsgi.input needs post-buffering"));
        };
        let base = match whence {
            0 => 0,
            1 => i64::try_from(self.position()).unwrap_or(i64::MAX),
            2 => i64::try_from(len).unwrap_or(i64::MAX),
            _ => {
                return Err(PyValueError::new_err(format!("invalid whence ({whence}, should be 0, 1 or 2)")));
            }
        };
        let target = base.saturating_add(offset);
        let target = u64::try_from(target).map_err(|_| PyValueError::new_err("negative seek position"))?;
        self.ahead.clear();
        self.ahead_start = 0;
        self.ended = false;
        self.fetched = target.min(len);
        Ok(self.fetched)
    }
}

/// How much to make room for when `wanted` bytes are.
fn room(wanted: u64, most: usize) -> usize {
    usize::try_from(wanted).map_or(most, |wanted| wanted.min(most))
}

/// Detached while another thread has it: that one may need the interpreter to go on.
fn lock<'a>(body: &'a Mutex<Body>, py: Python<'_>) -> std::sync::MutexGuard<'a, Body> {
    body.lock_py_attached(py).unwrap_or_else(std::sync::PoisonError::into_inner)
}
