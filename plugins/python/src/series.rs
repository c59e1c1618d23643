//! `prometheus_client` without a folder of files: where that is imported, what holds the number of a series is our
//! [`Value`], which lies in this process's ledger of the shared area. The monitor reads those of all workers, so the
//! application changes nothing, and its own page of metrics goes on telling what this process has counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use pyo3::exceptions::PyAttributeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use uwring::shared::series::{Key, Kind, Ledger, Merge, Place, Writer};
use uwring::sys::memory::SharedMap;
use uwring_abi::CONTROL_LEDGER;

use crate::host::{self, log};

/// The module that chooses what holds numbers.
const MODULE: &str = "prometheus_client.values";

// The ledger ----------------------------------------------------------------------------------------------

/// This process's own.
struct Store {
    map: SharedMap,
    writer: Mutex<Writer>,
}

/// The template's, and the worker's: a worker has the template's too, and writes there no more.
static STORES: [OnceLock<Option<Store>>; 2] = [const { OnceLock::new() }; 2];

/// Which of the two is ours.
fn epoch() -> usize {
    usize::from(host::worker_id() > 0)
}

fn store(epoch: usize) -> Option<&'static Store> {
    STORES[epoch].get_or_init(|| open().inspect_err(|why| log(why)).ok()).as_ref()
}

/// Whether the application's numbers are shown.
pub fn is_offered() -> bool {
    host::control(CONTROL_LEDGER, 0) > 0
}

fn open() -> Result<Store, String> {
    let figure = |arg| host::control(CONTROL_LEDGER, arg);
    let map = match (usize::try_from(figure(0)), i32::try_from(figure(1)), u64::try_from(figure(2))) {
        (Ok(bytes), Ok(fd), Ok(offset)) => SharedMap::part(fd, offset, bytes),
        _ => Err(std::io::ErrorKind::InvalidInput.into()),
    };
    let map = map.map_err(|cause| {
        format!("[uwring] the application's own metrics are not shown: cannot map memory for them: {cause}")
    })?;
    let writer = Writer::new(Ledger(map.words()), std::process::id());
    Ok(Store { map, writer: Mutex::new(writer) })
}

impl Store {
    fn ledger(&self) -> Ledger<'_> {
        Ledger(self.map.words())
    }

    fn place(&self, key: &Key) -> Option<Place> {
        // What a thread left that panicked here is whole: the map of places changes last.
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let place = writer.place(self.ledger(), key);
        if place.is_none() && !writer.told_full() {
            log("[uwring] metrics: no room for more series of the application; new ones are not shown");
        }
        place
    }
}

// The number ----------------------------------------------------------------------------------------------

/// The number of one series, wherever this process has it.
pub struct Number {
    key: Key,
    /// Where it is, in the template and in the worker; `None`: there was no room.
    places: [OnceLock<Option<Place>>; 2],
    /// The number where there was none.
    own: AtomicU64,
}

impl Number {
    /// It is shown from now on, with 0.
    pub fn new(key: Key) -> Number {
        let number = Number { key, places: Default::default(), own: AtomicU64::new(0) };
        number.place();
        number
    }

    /// Adds to it.
    pub fn add(&self, amount: f64) {
        match self.place() {
            Some((ledger, place)) => ledger.add(place, amount),
            None => {
                let add = |bits| Some((f64::from_bits(bits) + amount).to_bits());
                // Never refused.
                let _ = self.own.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
            }
        }
    }

    fn set(&self, value: f64, timestamp: Option<f64>) {
        match self.place() {
            Some((ledger, place)) => ledger.set(place, value, timestamp),
            None => self.own.store(value.to_bits(), Ordering::Relaxed),
        }
    }

    fn get(&self) -> f64 {
        match self.place() {
            Some((ledger, place)) => ledger.get(place),
            None => f64::from_bits(self.own.load(Ordering::Relaxed)),
        }
    }

    fn place(&self) -> Option<(Ledger<'static>, Place)> {
        let epoch = epoch();
        let store = store(epoch)?;
        let place = self.places[epoch].get_or_init(|| store.place(&self.key));
        place.map(|place| (store.ledger(), place))
    }
}

/// What `prometheus_client.values.ValueClass` makes.
#[pyclass(frozen, name = "SharedValue", module = "uwring")]
struct Value {
    number: Number,
    exemplar: Mutex<Option<Py<PyAny>>>,
}

#[pymethods]
impl Value {
    /// The others have it from where processes leave files.
    #[classattr]
    #[allow(non_upper_case_globals)]
    const _multiprocess: bool = false;

    #[new]
    #[pyo3(signature = (typ, metric_name, name, labelnames, labelvalues, help_text="", multiprocess_mode="", **_more))]
    #[allow(clippy::too_many_arguments, reason = "the signature is prometheus_client's")]
    fn new(
        typ: &str,
        metric_name: String,
        name: String,
        labelnames: &Bound<'_, PyAny>,
        labelvalues: &Bound<'_, PyAny>,
        help_text: &str,
        multiprocess_mode: &str,
        _more: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Value> {
        let names = texts(labelnames)?;
        let labels = names.into_iter().zip(texts(labelvalues)?).collect();
        let kind = match typ {
            "counter" => Kind::Counter,
            "histogram" => Kind::Histogram,
            "summary" => Kind::Summary,
            _ => Kind::Gauge,
        };
        let (live, merge) = match kind {
            Kind::Gauge => mode(multiprocess_mode),
            Kind::Counter | Kind::Histogram | Kind::Summary => (false, Merge::Sum),
        };
        let key = Key { kind, merge, live, family: metric_name, name, labels, help: help_text.to_owned() };
        Ok(Value { number: Number::new(key), exemplar: Mutex::default() })
    }

    fn inc(&self, amount: f64) {
        self.number.add(amount);
    }

    #[pyo3(signature = (value, timestamp=None))]
    fn set(&self, value: f64, timestamp: Option<f64>) {
        self.number.set(value, timestamp);
    }

    fn get(&self) -> f64 {
        self.number.get()
    }

    /// For the application's own page: they are not shared.
    fn set_exemplar(&self, exemplar: Py<PyAny>) {
        *self.exemplar.lock().unwrap_or_else(PoisonError::into_inner) = Some(exemplar);
    }

    fn get_exemplar(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        let exemplar = self.exemplar.lock().unwrap_or_else(PoisonError::into_inner);
        exemplar.as_ref().map(|exemplar| exemplar.clone_ref(py))
    }
}

/// `multiprocess_mode` of a gauge.
fn mode(name: &str) -> (bool, Merge) {
    let (live, name) = name.strip_prefix("live").map_or((false, name), |name| (true, name));
    let merge = match name {
        "min" => Merge::Min,
        "max" => Merge::Max,
        "sum" => Merge::Sum,
        "mostrecent" => Merge::MostRecent,
        _ => Merge::All,
    };
    (live, merge)
}

fn texts(of: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    of.try_iter()?.map(|item| item?.str()?.extract()).collect()
}

// Getting there -------------------------------------------------------------------------------------------

/// Finds that module as the others do, and has it loaded by a [`Loader`] (PEP 451).
#[pyclass(frozen)]
struct Finder;

#[pymethods]
impl Finder {
    #[pyo3(signature = (name, path=None, target=None))]
    fn find_spec<'py>(
        slf: &Bound<'py, Self>,
        name: &str,
        path: Option<Bound<'py, PyAny>>,
        target: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if name != MODULE {
            return Ok(None);
        }
        for finder in finders(slf.py())?.iter().filter(|finder| !finder.is(slf)) {
            let Some(find) = finder.getattr_opt("find_spec")? else { continue };
            let spec = find.call1((name, &path, &target))?;
            if spec.is_none() {
                continue;
            }
            let inner = spec.getattr("loader")?;
            if !inner.is_none() {
                spec.setattr("loader", Bound::new(slf.py(), Loader { inner: inner.unbind() })?)?;
            }
            return Ok(Some(spec));
        }
        Ok(None)
    }
}

/// Loads as the loader that is responsible does, and puts [`Value`] in its place.
#[pyclass(frozen)]
struct Loader {
    inner: Py<PyAny>,
}

#[pymethods]
impl Loader {
    fn create_module(&self, py: Python<'_>, spec: Py<PyAny>) -> PyResult<Py<PyAny>> {
        self.inner.call_method1(py, "create_module", (spec,))
    }

    fn exec_module(&self, py: Python<'_>, module: &Bound<'_, PyAny>) -> PyResult<()> {
        // As if we had never been there.
        module.getattr("__spec__")?.setattr("loader", &self.inner)?;
        module.setattr("__loader__", &self.inner)?;
        self.inner.call_method1(py, "exec_module", (module,))?;
        replace(py, module)
    }

    fn __getattr__(&self, py: Python<'_>, name: &str) -> PyResult<Py<PyAny>> {
        if name.starts_with("__") {
            return Err(PyAttributeError::new_err(name.to_owned()));
        }
        self.inner.getattr(py, name)
    }
}

fn finders(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    Ok(py.import("sys")?.getattr("meta_path")?.cast_into::<PyList>()?)
}

/// Unless the application has it write files, which it then merges itself.
fn replace(py: Python<'_>, module: &Bound<'_, PyAny>) -> PyResult<()> {
    let environ = py.import("os")?.getattr("environ")?;
    for name in ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"] {
        if environ.contains(name)? {
            return Ok(());
        }
    }
    module.setattr("ValueClass", py.get_type::<Value>())
}

/// Before any application is imported.
pub fn install(py: Python<'_>) -> PyResult<()> {
    if !is_offered() {
        return Ok(());
    }
    // What an interpreter imports by itself (`sitecustomize`).
    if let Some(module) = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.get_item(MODULE)? {
        return replace(py, &module);
    }
    finders(py)?.insert(0, Bound::new(py, Finder)?)
}
