//! An item of a response's body.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::config::config;

/// A bytes object: the application's, or a copy of what it gave.
pub enum Item<'a, 'py> {
    /// The application's.
    Given(&'a Bound<'py, PyBytes>),
    /// A copy.
    Made(Bound<'py, PyBytes>),
}

impl Item<'_, '_> {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Item::Given(bytes) => bytes.as_bytes(),
            Item::Made(bytes) => bytes.as_bytes(),
        }
    }
}

/// Its bytes. PEP 3333 allows nothing but bytes. uWSGI logs anything else, leaves it out, and the client gets
/// a page with a hole; with `wsgi-accept-buffer` both take whatever shows its bytes.
pub fn bytes_of<'a, 'py>(item: &'a Bound<'py, PyAny>) -> PyResult<Item<'a, 'py>> {
    if let Ok(bytes) = item.cast::<PyBytes>() {
        return Ok(Item::Given(bytes));
    }
    if config().flag("wsgi-accept-buffer")
        && let Ok(view) = item.py().import("builtins")?.call_method1("memoryview", (item,))
    {
        return Ok(Item::Made(view.call_method0("tobytes")?.cast_into()?));
    }
    let kind = item.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    Err(PyTypeError::new_err(format!("the application's body must be of bytes, not {kind}")))
}
