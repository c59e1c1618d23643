//! `import uwsgidecorators` without a package of that name: the last finder of all, so that an installed one goes first
//! and no file of ours can overwrite its.

use pyo3::prelude::*;
use pyo3::types::PyList;

/// The module's own text.
const SOURCE: &str = include_str!("uwsgidecorators.py");
/// What the traceback calls it.
const ORIGIN: &str = "<uwring>/uwsgidecorators.py";
/// The module.
const NAME: &str = "uwsgidecorators";

/// Finder and loader in one (PEP 451).
#[pyclass(frozen)]
struct Builtin;

#[pymethods]
impl Builtin {
    #[pyo3(signature = (name, path=None, target=None))]
    fn find_spec<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        path: Option<Bound<'py, PyAny>>,
        target: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        drop((path, target));
        if name != NAME {
            return Ok(None);
        }
        let machinery = slf.py().import("importlib.machinery")?;
        Ok(Some(machinery.getattr("ModuleSpec")?.call1((name, slf))?))
    }

    /// The default module will do.
    fn create_module(&self, spec: Bound<'_, PyAny>) -> Option<Py<PyAny>> {
        drop(spec);
        None
    }

    fn exec_module(&self, module: &Bound<'_, PyModule>) -> PyResult<()> {
        let builtins = module.py().import("builtins")?;
        let code = builtins.getattr("compile")?.call1((SOURCE, ORIGIN, "exec"))?;
        builtins.getattr("exec")?.call1((code, module.dict()))?;
        Ok(())
    }

    /// For tracebacks and `inspect`.
    fn get_source(&self, name: &str) -> Option<&'static str> {
        (name == NAME).then_some(SOURCE)
    }
}

/// Puts the finder behind all others.
pub fn install(py: Python<'_>) -> PyResult<()> {
    let finders = py.import("sys")?.getattr("meta_path")?.cast_into::<PyList>()?;
    finders.append(Bound::new(py, Builtin)?)
}
