//! `cache_get` and its family: the caches that `cache2` makes, shared by all workers. What fails gives None, as in uWSGI.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use uwring_abi::{
    CACHE_ADD, CACHE_CLEAR, CACHE_DEL, CACHE_DIV, CACHE_EXISTS, CACHE_GET, CACHE_KEYS, CACHE_MUL, CACHE_SET,
    CACHE_UPDATE, CacheCall, Slice,
};

use super::request::bytes_of;
use crate::host;

/// Adds the functions.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(cache_get, module)?)?;
    module.add_function(wrap_pyfunction!(cache_set, module)?)?;
    module.add_function(wrap_pyfunction!(cache_update, module)?)?;
    module.add_function(wrap_pyfunction!(cache_del, module)?)?;
    module.add_function(wrap_pyfunction!(cache_exists, module)?)?;
    module.add_function(wrap_pyfunction!(cache_clear, module)?)?;
    module.add_function(wrap_pyfunction!(cache_inc, module)?)?;
    module.add_function(wrap_pyfunction!(cache_dec, module)?)?;
    module.add_function(wrap_pyfunction!(cache_mul, module)?)?;
    module.add_function(wrap_pyfunction!(cache_div, module)?)?;
    module.add_function(wrap_pyfunction!(cache_num, module)?)?;
    module.add_function(wrap_pyfunction!(cache_keys, module)?)
}

/// Bytes, or a text in UTF-8.
struct Text(Vec<u8>);

impl<'py> FromPyObject<'_, 'py> for Text {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Text> {
        bytes_of(&object).map(Text)
    }
}

/// `True`, or None.
type Done = Option<bool>;

/// What is asked of which cache.
#[derive(Default)]
struct Question<'a> {
    key: &'a [u8],
    value: &'a [u8],
    number: i64,
    /// Below 0 is never, like 0: uWSGI takes it for a time that nobody lives to see.
    expires: i64,
}

fn ask(py: Python<'_>, what: u32, cache: Option<&Text>, question: &Question<'_>) -> (i64, Vec<Vec<u8>>) {
    let Question { key, value, number, expires } = *question;
    let cache = cache.map_or(&[][..], |name| &name.0);
    // Another process may be at it: others run meanwhile. The slices belong to the caller, who waits.
    py.detach(|| {
        host::cache(&CacheCall {
            what,
            cache: Slice::new(cache),
            key: Slice::new(key),
            value: Slice::new(value),
            number,
            expires: u64::try_from(expires).unwrap_or(0),
        })
    })
}

fn done(answer: (i64, Vec<Vec<u8>>)) -> Done {
    (answer.0 == 1).then_some(true)
}

#[pyfunction]
#[pyo3(signature = (key, cache = None, /))]
fn cache_get<'py>(py: Python<'py>, key: Text, cache: Option<Text>) -> Option<Bound<'py, PyBytes>> {
    let (_, found) = ask(py, CACHE_GET, cache.as_ref(), &Question { key: &key.0, ..Question::default() });
    found.first().map(|value| PyBytes::new(py, value))
}

#[pyfunction]
#[pyo3(signature = (key, value, expires = 0, cache = None, /))]
fn cache_set(py: Python<'_>, key: Text, value: Text, expires: i64, cache: Option<Text>) -> Done {
    let question = Question { key: &key.0, value: &value.0, expires, ..Question::default() };
    done(ask(py, CACHE_SET, cache.as_ref(), &question))
}

#[pyfunction]
#[pyo3(signature = (key, value, expires = 0, cache = None, /))]
fn cache_update(py: Python<'_>, key: Text, value: Text, expires: i64, cache: Option<Text>) -> Done {
    let question = Question { key: &key.0, value: &value.0, expires, ..Question::default() };
    done(ask(py, CACHE_UPDATE, cache.as_ref(), &question))
}

#[pyfunction]
#[pyo3(signature = (key, cache = None, /))]
fn cache_del(py: Python<'_>, key: Text, cache: Option<Text>) -> Done {
    done(ask(py, CACHE_DEL, cache.as_ref(), &Question { key: &key.0, ..Question::default() }))
}

#[pyfunction]
#[pyo3(signature = (key, cache = None, /))]
fn cache_exists(py: Python<'_>, key: Text, cache: Option<Text>) -> Done {
    done(ask(py, CACHE_EXISTS, cache.as_ref(), &Question { key: &key.0, ..Question::default() }))
}

#[pyfunction]
#[pyo3(signature = (cache = None, /))]
fn cache_clear(py: Python<'_>, cache: Option<Text>) -> Done {
    done(ask(py, CACHE_CLEAR, cache.as_ref(), &Question::default()))
}

#[pyfunction]
#[pyo3(signature = (key, number = 1, expires = 0, cache = None, /))]
fn cache_inc(py: Python<'_>, key: Text, number: i64, expires: i64, cache: Option<Text>) -> Done {
    count(py, CACHE_ADD, &key, number, expires, cache.as_ref())
}

#[pyfunction]
#[pyo3(signature = (key, number = 1, expires = 0, cache = None, /))]
fn cache_dec(py: Python<'_>, key: Text, number: i64, expires: i64, cache: Option<Text>) -> Done {
    count(py, CACHE_ADD, &key, number.wrapping_neg(), expires, cache.as_ref())
}

#[pyfunction]
#[pyo3(signature = (key, number = 2, expires = 0, cache = None, /))]
fn cache_mul(py: Python<'_>, key: Text, number: i64, expires: i64, cache: Option<Text>) -> Done {
    count(py, CACHE_MUL, &key, number, expires, cache.as_ref())
}

#[pyfunction]
#[pyo3(signature = (key, number = 2, expires = 0, cache = None, /))]
fn cache_div(py: Python<'_>, key: Text, number: i64, expires: i64, cache: Option<Text>) -> Done {
    count(py, CACHE_DIV, &key, number, expires, cache.as_ref())
}

fn count(py: Python<'_>, what: u32, key: &Text, number: i64, expires: i64, cache: Option<&Text>) -> Done {
    done(ask(py, what, cache, &Question { key: &key.0, number, expires, ..Question::default() }))
}

/// The number that was counted, 0 where there is none.
#[pyfunction]
#[pyo3(signature = (key, cache = None, /))]
fn cache_num(py: Python<'_>, key: Text, cache: Option<Text>) -> i64 {
    let (_, found) = ask(py, CACHE_GET, cache.as_ref(), &Question { key: &key.0, ..Question::default() });
    let mut eight = [0; 8];
    if let Some(value) = found.first() {
        let len = value.len().min(8);
        eight[..len].copy_from_slice(&value[..len]);
    }
    i64::from_le_bytes(eight)
}

#[pyfunction]
#[pyo3(signature = (cache = None, /))]
fn cache_keys<'py>(py: Python<'py>, cache: Option<Text>) -> PyResult<Bound<'py, PyList>> {
    let (result, keys) = ask(py, CACHE_KEYS, cache.as_ref(), &Question::default());
    if result < 0 {
        return Err(PyValueError::new_err("there is no such cache (option cache2)"));
    }
    PyList::new(py, keys.iter().map(|key| PyBytes::new(py, key)))
}
