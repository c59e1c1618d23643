//! Imports the applications: `module`, `wsgi-file`, `mount`, and the `applications` dict of several.

use std::time::Instant;

use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyModule, PyString};

use crate::apps::{App, Apps, default_of};
use crate::config::{Config, config};
use crate::host::{self, log};
use crate::{module, traceback, whereabouts};
use uwring::base::errors;

/// Loads everything that was asked for. The number of applications; negative where a mount failed, or where
/// something was asked for and nothing came.
pub fn load(py: Python<'_>) -> i32 {
    let config = config();
    whereabouts::show(py);
    import_all(py, config, "shared-import");
    let mut loader = Loader { py, config, apps: Vec::new(), asked: false, mount_failed: false };
    loader.load_all();
    let Loader { apps, asked, mount_failed, .. } = loader;
    import_all(py, config, "import");

    let count = i32::try_from(apps.len()).unwrap_or(i32::MAX);
    if count == 0 && !asked && config.flag("need-app") {
        log(
            "no application is named: `uwring … FILE.py`, `MODULE:CALLABLE`, or the options wsgi-file, module, mount",
        );
    }
    if count == 0 {
        log(if config.flag("need-app") {
            "*** no app loaded. GAME OVER ***\n[UWR-E040]"
        } else {
            "*** no app loaded. going in full dynamic mode ***"
        });
    }
    Apps::publish(py, apps, config);
    freeze(py);
    if host::worker_id() > 0 {
        // `lazy-apps`: the hook is only known now, after `worker_start`. uWSGI forgets it here.
        module::call_hook(py, "post_fork_hook");
    }
    whereabouts::hide(py);
    if mount_failed || (count == 0 && asked) { -1 } else { count }
}

/// What is loaded before the fork stays shared: the collector must neither visit nor touch it.
fn freeze(py: Python<'_>) {
    let frozen = py.import("gc").and_then(|gc| {
        gc.call_method0("collect")?;
        gc.call_method0("freeze")
    });
    if let Err(error) = frozen {
        traceback::log(py, error);
    }
}

/// `import` and `shared-import`: modules, or files where the value has a `/` or ends with `.py`.
fn import_all(py: Python<'_>, config: &Config, setting: &str) {
    for what in config.values(setting) {
        let file = what.contains('/') || what.ends_with(".py");
        let imported = if file { run_file(py, what).map(drop) } else { py.import(what).map(drop) };
        if let Err(error) = imported {
            traceback::log(py, error);
        }
    }
}

struct Loader<'a, 'py> {
    py: Python<'py>,
    config: &'a Config,
    apps: Vec<App>,
    asked: bool,
    mount_failed: bool,
}

/// Why an application is not there, and whether that is in the log already.
enum Failure {
    Raised(PyErr),
    Logged,
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Failure {
        Failure::Raised(error)
    }
}

impl<'py> Loader<'_, 'py> {
    fn load_all(&mut self) {
        for module in self.config.values("module") {
            self.load_one("", |loader| loader.find_in_module(module));
        }
        for file in self.config.values("file") {
            self.load_one("", |loader| loader.find_in_file(file));
        }
        for source in self.config.values("eval") {
            self.load_one("", |loader| loader.find_in_source(source));
        }
        for file in self.config.values("pecan") {
            self.load_one("", |loader| Ok(Found::One(loader.deploy("pecan.deploy", "deploy", file)?)));
        }
        for uri in self.config.values("paste") {
            self.load_one("", |loader| loader.find_by_paste(uri));
        }
        for mount in self.config.values("mount") {
            let Some((mountpoint, what)) = mount.split_once('=') else {
                log(&format!("mount needs a mountpoint and an application: {mount}"));
                self.mount_failed = true;
                continue;
            };
            let file = what.ends_with(".py") || what.ends_with(".wsgi");
            let loaded = self.load_one(mountpoint, |loader| match what {
                _ if file => loader.find_in_file(what),
                _ if what.ends_with(".ini") => loader.find_by_paste(what),
                _ => loader.find_in_module(what),
            });
            self.mount_failed |= !loaded;
        }
    }

    /// Loads, mounts and reports one that was asked for.
    fn load_one(
        &mut self,
        mountpoint: &str,
        find: impl FnOnce(&Self) -> Result<Found<'py>, Failure>,
    ) -> bool {
        self.asked = true;
        if self.is_taken(mountpoint) {
            return true;
        }
        let begun = Instant::now();
        let mounted = match find(self) {
            Ok(Found::One(callable)) => {
                self.mount(mountpoint, callable, begun);
                Ok(())
            }
            Ok(Found::Several(dict, module)) => self.mount_several(mountpoint, &dict, &module, begun),
            Err(failure) => Err(failure),
        };
        let Err(failure) = mounted else { return true };
        if let Failure::Raised(error) = failure {
            traceback::log(self.py, error);
        }
        let index = self.apps.len();
        log(&format!(
            "unable to load app {index} (mountpoint='{mountpoint}') (callable not found or import error)\n{}",
            errors::APP_FAILED
        ));
        false
    }

    fn is_taken(&self, mountpoint: &str) -> bool {
        let taken = self.apps.iter().any(|app| app.mountpoint == mountpoint);
        if taken {
            log(&format!("mountpoint {mountpoint} already configured. skip."));
        }
        taken
    }

    fn mount(&mut self, mountpoint: &str, callable: Bound<'py, PyAny>, begun: Instant) {
        let index = self.apps.len();
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        self.apps.push(App { number, mountpoint: mountpoint.to_owned(), callable: callable.unbind() });
        host::loaded(index, mountpoint, begun.elapsed().as_secs());
        let default = if default_of(&self.apps) == Some(index) && !self.config.flag("no-default-app") {
            " (default app)"
        } else {
            ""
        };
        log(&format!(
            "WSGI app {index} (mountpoint='{mountpoint}') ready in {} seconds on interpreter {:#x} pid: {}{default}",
            begun.elapsed().as_secs(),
            crate::interpreter::address(),
            std::process::id(),
        ));
    }

    /// uWSGI mounts the first of a dict at the place that was asked for, whatever its key says.
    fn mount_several(
        &mut self,
        mountpoint: &str,
        dict: &Bound<'py, PyDict>,
        module: &Bound<'py, PyAny>,
        begun: Instant,
    ) -> Result<(), Failure> {
        for (position, (key, value)) in dict.iter().enumerate() {
            let key =
                text_of(&key).ok_or_else(|| PyTypeError::new_err("the app mountpoint must be a string"))?;
            let at = if position == 0 && mountpoint.is_empty() { "" } else { key.as_str() };
            if self.is_taken(at) {
                continue;
            }
            let callable = match text_of(&value) {
                Some(name) => attribute(module, &name)?,
                None => value,
            };
            if !callable.is_callable() {
                return Err(PyTypeError::new_err(format!("the app at {key} must be a callable")).into());
            }
            self.mount(at, callable, begun);
        }
        Ok(())
    }

    /// `module[:callable]`.
    fn find_in_module(&self, what: &str) -> Result<Found<'py>, Failure> {
        let (name, callable) =
            what.split_once(':').map_or((what, None), |(name, callable)| (name, Some(callable)));
        let module = self.py.import(name)?.into_any();
        self.find_within(module, callable.filter(|name| !name.is_empty()), &format!("module {what}"))
    }

    /// What `module`, which errors call `place`, has under this name, or under one of the usual ones.
    fn find_within(
        &self,
        module: Bound<'py, PyAny>,
        name: Option<&str>,
        place: &str,
    ) -> Result<Found<'py>, Failure> {
        if let Some(several) = self.several(&module)? {
            return Ok(Found::Several(several, module));
        }
        let name = name.unwrap_or_else(|| self.callable(&module));
        let found = attribute(&module, name)?;
        if !found.is_callable() {
            let why = format!("\"{name}\" must be a callable object in {place}");
            return Err(PyTypeError::new_err(why).into());
        }
        Ok(Found::One(found))
    }

    /// `path[:callable]`.
    fn find_in_file(&self, what: &str) -> Result<Found<'py>, Failure> {
        let (path, callable) = match what.rsplit_once(':') {
            Some((path, callable)) if !std::path::Path::new(what).exists() => (path, Some(callable)),
            _ => (what, None),
        };
        if std::fs::File::open(path).is_err() {
            log(&format!("failed to open python file {path}"));
            return Err(Failure::Logged);
        }
        let module = run_file(self.py, path)?.into_any();
        if let Some(several) = self.several(&module)? {
            return Ok(Found::Several(several, module));
        }
        let name = callable.unwrap_or_else(|| self.callable(&module));
        let found = match attribute(&module, name) {
            Err(error) if error.is_instance_of::<PyAttributeError>(self.py) && !name.contains('(') => {
                log(&format!("unable to find \"{name}\" callable in file {path}"));
                return Err(Failure::Logged);
            }
            found => found?,
        };
        if !found.is_callable() {
            log(&format!("\"{name}\" must be a callable object in file {path}"));
            return Err(Failure::Logged);
        }
        Ok(Found::One(found))
    }

    /// The source itself, run as the module that uWSGI calls so.
    fn find_in_source(&self, source: &str) -> Result<Found<'py>, Failure> {
        const NAME: &str = "uwsgi_eval_config";
        let module = run_source(self.py, NAME, NAME, PyString::new(self.py, source).as_any())?;
        self.find_within(module.into_any(), None, "the source of eval")
    }

    /// `config:FILE`, or a file.
    fn find_by_paste(&self, what: &str) -> Result<Found<'py>, Failure> {
        let (scheme, file) = what.split_once(':').unwrap_or(("config", what));
        let (file, name) = file.split_at(file.find('#').unwrap_or(file.len()));
        // Relative names start at the current folder, which paste.deploy wants to be told.
        let path = self.py.import("os.path")?.call_method1("abspath", (file,))?;
        if self.config.flag("paste-logger") {
            self.py.import("logging.config")?.call_method1("fileConfig", (&path,))?;
        }
        Ok(Found::One(self.deploy("paste.deploy", "loadapp", &format!("{scheme}:{path}{name}"))?))
    }

    /// The application that a package makes of its own description.
    fn deploy(&self, package: &str, function: &str, what: &str) -> PyResult<Bound<'py, PyAny>> {
        let app = self.py.import(package)?.call_method1(function, (what,))?;
        if app.is_callable() {
            Ok(app)
        } else {
            Err(PyTypeError::new_err(format!("{package}.{function}(\"{what}\") gave no callable")))
        }
    }

    /// Where nothing names it: `application`, or else the `app` of Flask's and many others' first page.
    fn callable(&self, module: &Bound<'_, PyAny>) -> &str {
        let has = |name: &str| module.hasattr(name).unwrap_or(false);
        let usual = if !has("application") && has("app") { "app" } else { "application" };
        self.config.value("callable").unwrap_or(usual)
    }

    /// `uwsgi.applications`, or the module's.
    fn several(&self, module: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let uwsgi = self.py.import("uwsgi")?.into_any();
        for place in [&uwsgi, module] {
            if let Some(dict) =
                place.getattr_opt("applications")?.and_then(|dict| dict.cast_into::<PyDict>().ok())
            {
                return Ok(Some(dict));
            }
        }
        Ok(None)
    }
}

enum Found<'py> {
    One(Bound<'py, PyAny>),
    /// A dict of mountpoints, and where its names are looked up.
    Several(Bound<'py, PyDict>, Bound<'py, PyAny>),
}

/// `name`, `a.b`, or `factory()`.
fn attribute<'py>(module: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let (name, is_factory) = name.strip_suffix("()").map_or((name, false), |name| (name, true));
    let mut found = module.clone();
    for part in name.split('.') {
        found = found.getattr(part)?;
    }
    if is_factory { found.call0() } else { Ok(found) }
}

/// uWSGI wants these as bytes, everybody writes str.
fn text_of(value: &Bound<'_, PyAny>) -> Option<String> {
    if let Ok(text) = value.cast::<PyString>() {
        return text.extract().ok();
    }
    value.cast::<PyBytes>().ok().map(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned())
}

/// Runs a file as a module named after its path, as uWSGI names it.
fn run_file<'py>(py: Python<'py>, path: &str) -> PyResult<Bound<'py, PyModule>> {
    let stem = path.strip_suffix(".py").unwrap_or(path);
    run_file_as(py, &format!("uwsgi_file_{}", stem.replace(['/', '.'], "_")), path)
}

/// Runs a file as the module of this name.
pub fn run_file_as<'py>(py: Python<'py>, name: &str, path: &str) -> PyResult<Bound<'py, PyModule>> {
    if path.ends_with(".pyc") {
        let machinery = py.import("importlib.machinery")?;
        let loader = machinery.getattr("SourcelessFileLoader")?.call1((name, path))?;
        return Ok(loader.call_method1("load_module", (name,))?.cast_into::<PyModule>()?);
    }
    // Bytes: the source may say its own encoding.
    run_source(py, name, path, PyBytes::new(py, &std::fs::read(path)?).as_any())
}

/// Runs a source as the module of this name, whose `__file__` is `file`.
fn run_source<'py>(
    py: Python<'py>,
    name: &str,
    file: &str,
    source: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyModule>> {
    let module = PyModule::new(py, name)?;
    module.setattr("__file__", file)?;
    let builtins = py.import("builtins")?;
    let code = builtins.call_method1("compile", (source, file, "exec"))?;
    let modules = py.import("sys")?.getattr("modules")?;
    modules.set_item(name, &module)?;
    if let Err(error) = builtins.call_method1("exec", (code, module.dict())) {
        // As an import that failed: half a module must not be found by the next one.
        modules.del_item(name)?;
        return Err(error);
    }
    Ok(module)
}
