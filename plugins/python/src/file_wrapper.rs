//! `wsgi.file_wrapper`: a body that is a file. The kernel sends real files; others are read in blocks.

use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::host;

/// Block size where the application gives none, bytes.
const BLOCK_BYTES: usize = 32 * 1024;

/// Modules whose files have a `fileno()` that leads to other bytes than `read()` gives.
const DECODING: [&str; 4] = ["gzip", "bz2", "lzma", "compression"];

/// What the application returns around its file.
#[pyclass(module = "uwsgi", name = "FileWrapper", frozen)]
pub struct FileWrapper {
    /// The file.
    #[pyo3(get)]
    filelike: Py<PyAny>,
    /// Bytes to read at a time.
    #[pyo3(get, name = "blksize")]
    block: usize,
}

/// A part of a real file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The application's descriptor.
    pub fd: i32,
    /// Where the file object stands.
    pub offset: u64,
    /// From there to its end, bytes.
    pub len: u64,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, blksize = 0))]
    fn new(filelike: Py<PyAny>, blksize: usize) -> FileWrapper {
        FileWrapper { filelike, block: if blksize == 0 { BLOCK_BYTES } else { blksize } }
    }

    fn __iter__(this: Py<FileWrapper>) -> Py<FileWrapper> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let block = self.filelike.bind(py).call_method1("read", (self.block,))?;
        if block.is_truthy()? { Ok(block) } else { Err(PyStopIteration::new_err(())) }
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        match self.filelike.bind(py).getattr_opt("close")? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }

    /// uWSGI hands the file itself back: what it can do (`seek`, `tell`, `seekable`, …) the wrapper can.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        self.filelike.bind(py).getattr(name)
    }
}

impl FileWrapper {
    /// The file's rest as the kernel can send it; `None` where it has to be read.
    pub fn extent(&self, py: Python<'_>) -> Option<Extent> {
        let file = self.filelike.bind(py);
        let module: String = file.get_type().module().ok()?.extract().ok()?;
        if DECODING.contains(&module.split('.').next().unwrap_or_default()) {
            return None;
        }
        let fd: i32 = file.call_method0("fileno").ok()?.extract().ok()?;
        let size = host::regular_file_size(fd)?;
        // The object's own position: a buffered reader's descriptor is ahead of it.
        let offset: u64 = file.call_method0("tell").ok()?.extract().ok()?;
        Some(Extent { fd, offset, len: size.saturating_sub(offset) })
    }
}
