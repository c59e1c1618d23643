//! `metric_get` and its family: the numbers that `metric` declares, shared by all workers. A name that was not declared is
//! 0, and changing it gives None, as in uWSGI.

use pyo3::prelude::*;
use uwring_abi::{METRIC_ADD, METRIC_DIV, METRIC_GET, METRIC_MAX, METRIC_MIN, METRIC_MUL, METRIC_SET};

use crate::host;

/// Adds the functions.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(metric_get, module)?)?;
    module.add_function(wrap_pyfunction!(metric_set, module)?)?;
    module.add_function(wrap_pyfunction!(metric_inc, module)?)?;
    module.add_function(wrap_pyfunction!(metric_dec, module)?)?;
    module.add_function(wrap_pyfunction!(metric_mul, module)?)?;
    module.add_function(wrap_pyfunction!(metric_div, module)?)?;
    module.add_function(wrap_pyfunction!(metric_set_max, module)?)?;
    module.add_function(wrap_pyfunction!(metric_set_min, module)?)
}

/// `True`, or None.
type Done = Option<bool>;

fn change(what: u32, name: &str, number: i64) -> Done {
    (host::metric(what, name, number) == 1).then_some(true)
}

/// One that is worked out of others may read files: others run meanwhile.
#[pyfunction]
#[pyo3(signature = (name, /))]
fn metric_get(py: Python<'_>, name: &str) -> i64 {
    py.detach(|| host::metric(METRIC_GET, name, 0))
}

#[pyfunction]
#[pyo3(signature = (name, number = 1, /))]
fn metric_set(name: &str, number: i64) -> Done {
    change(METRIC_SET, name, number)
}

#[pyfunction]
#[pyo3(signature = (name, number = 1, /))]
fn metric_inc(name: &str, number: i64) -> Done {
    change(METRIC_ADD, name, number)
}

#[pyfunction]
#[pyo3(signature = (name, number = 1, /))]
fn metric_dec(name: &str, number: i64) -> Done {
    change(METRIC_ADD, name, number.wrapping_neg())
}

#[pyfunction]
#[pyo3(signature = (name, number = 1, /))]
fn metric_mul(name: &str, number: i64) -> Done {
    change(METRIC_MUL, name, number)
}

#[pyfunction]
#[pyo3(signature = (name, number = 1, /))]
fn metric_div(name: &str, number: i64) -> Done {
    change(METRIC_DIV, name, number)
}

/// It is at least `number` from now on.
#[pyfunction]
#[pyo3(signature = (name, number = 1, /))]
fn metric_set_max(name: &str, number: i64) -> Done {
    change(METRIC_MAX, name, number)
}

/// It is at most `number` from now on.
#[pyfunction]
#[pyo3(signature = (name, number = 1, /))]
fn metric_set_min(name: &str, number: i64) -> Done {
    change(METRIC_MIN, name, number)
}
