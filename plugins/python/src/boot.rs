//! How the server comes into the interpreter: an extension module whose one function never returns.

use pyo3::prelude::*;

use crate::host;

/// `import uwring_python`: for the server's own start only (`src/plugin/find.rs`). Nothing here counts on the interpreter
/// lock to keep threads apart: a free-threaded interpreter goes without it.
#[pymodule(gil_used = false)]
fn uwring_python(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(serve, module)?)
}

/// Gives this process, on its main thread, to the template that finds what it needs in descriptor `seat`. Detached:
/// each call of the plugin's table attaches itself, so that the application's own threads run also while the server
/// waits.
#[pyfunction]
fn serve(py: Python<'_>, seat: i32) {
    py.detach(|| uwring::sys::process::exit_now(uwring::master::template::run(seat, host::plugin())))
}
