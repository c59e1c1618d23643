//! Deadlines of the application's own.

use pyo3::prelude::*;
use uwring_abi::CONTROL_USER_HARAKIRI;

use crate::{host, interrupt};

/// Adds the functions and the exception.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("Harakiri", module.py().get_type::<interrupt::Harakiri>())?;
    module.add_function(wrap_pyfunction!(set_user_harakiri, module)?)
}

/// The request has taken too long in so many seconds; 0 takes it back.
#[pyfunction]
fn set_user_harakiri(seconds: u64) {
    host::control(CONTROL_USER_HARAKIRI, seconds);
}
