//! `py-auto-reload`: looks at the files of imported modules, and asks for a reload when one has changed. For
//! development; a reload whose code does not load leaves the old one serving, and the next change is seen as well.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};
use uwring::worker::modified::Modified;
use uwring_abi::CONTROL_RELOAD;

use crate::config::config;
use crate::{host, traceback};

/// How long after a change others are waited for: one `save` is several, and a checkout many.
const SETTLE: Duration = Duration::from_millis(100);
/// How often all files are looked at, and all modules asked for theirs, whatever the kernel tells.
const THOROUGH: Duration = Duration::from_secs(30);

/// Starts to look, where it is asked for. One worker is enough: all have the same modules, and each would reload.
pub fn start() {
    let seconds: u64 = config().value("py-auto-reload").and_then(|value| value.parse().ok()).unwrap_or(0);
    if seconds == 0 || host::worker_id() != 1 {
        return;
    }
    // How the files are now: a change that comes before the thread's first turn is one as well.
    let mut watcher = Watcher::new(Duration::from_secs(seconds));
    let look = move || {
        host::block_signals();
        watcher.run();
    };
    match std::thread::Builder::new().name("py-auto-reload".to_owned()).spawn(look) {
        Ok(_) => host::log("Python auto-reloader enabled"),
        Err(error) => host::log(&format!("cannot start the thread of py-auto-reload: {error}")),
    }
}

struct Watcher {
    /// What is not told at once is looked for so often.
    period: Duration,
    modified: Modified,
    /// Names of what was imported, by their files.
    modules: HashMap<PathBuf, String>,
    /// How many there are in `sys.modules`, those without a file too.
    count: usize,
    /// When files were looked at that nobody tells about, and when all were.
    looked: Instant,
    looked_thoroughly: Instant,
}

impl Watcher {
    fn new(period: Duration) -> Watcher {
        let (modified, now) = (Modified::default(), Instant::now());
        let modules = HashMap::new();
        let mut watcher =
            Watcher { period, modified, modules, count: 0, looked: now, looked_thoroughly: now };
        watcher.follow();
        watcher
    }

    fn run(&mut self) {
        loop {
            let left = self.period.saturating_sub(self.looked.elapsed());
            self.modified.wait(left);
            let Some((module, file)) = self.changed() else {
                // A log that lies among the modules is written all the time.
                std::thread::sleep(SETTLE);
                continue;
            };
            self.settle();
            host::log(&format!(
                "[uwsgi-python-reloader] module/file {module} has been modified ({})",
                file.display()
            ));
            host::control(CONTROL_RELOAD, 0);
        }
    }

    /// One that changed since it was seen last. All are seen then: one reload is enough for several changes.
    fn changed(&mut self) -> Option<(String, PathBuf)> {
        let mut files = self.modified.told();
        if self.looked.elapsed() >= self.period {
            self.looked = Instant::now();
            files.extend(self.modified.rest());
            let is_thorough = self.looked_thoroughly.elapsed() >= THOROUGH;
            if is_thorough {
                files.extend(self.modified.all());
                self.looked_thoroughly = self.looked;
            }
            if is_thorough || Python::attach(count) != self.count {
                self.follow();
            }
        }
        let file = files.into_iter().next()?;
        Some((self.modules.get(&file).cloned().unwrap_or_default(), file))
    }

    /// Waits until nothing changes any more, for one period at most.
    fn settle(&mut self) {
        let begun = Instant::now();
        while begun.elapsed() < self.period {
            std::thread::sleep(SETTLE);
            if self.modified.told().is_empty() {
                return;
            }
        }
    }

    /// Looks at what is imported now.
    fn follow(&mut self) {
        let found = Python::attach(|py| {
            let found = files(py).map(|files| (files, count(py)));
            found.map_err(|error| traceback::log(py, error)).ok()
        });
        let Some((files, count)) = found else { return };
        self.count = count;
        self.modules = files.into_iter().map(|(module, file)| (file, module)).collect();
        self.modified.follow(self.modules.keys().map(PathBuf::as_path));
    }
}

/// How many modules there are; the file of one that takes another's place is found by a thorough look.
fn count(py: Python<'_>) -> usize {
    let modules = py.import("sys").and_then(|sys| sys.getattr("modules"));
    modules.and_then(|modules| modules.len()).unwrap_or_default()
}

/// Names and source files of what is imported, without `py-auto-reload-ignore`.
fn files(py: Python<'_>) -> PyResult<Vec<(String, PathBuf)>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.copy()?;
    let ignored: Vec<&str> = config().values("py-auto-reload-ignore").collect();
    let mut files = Vec::new();
    for (name, module) in modules {
        let Ok(name) = name.extract::<String>() else { continue };
        // The dict itself: asking a lazy module for an attribute would import it.
        let Ok(module) = module.cast::<PyModule>() else { continue };
        let file = module.dict().get_item("__file__")?.and_then(|file| file.extract::<String>().ok());
        if let Some(file) = file.filter(|_| !ignored.contains(&name.as_str())) {
            files.push((name, source(&file)));
        }
    }
    Ok(files)
}

/// Of a compiled file its source beside it.
fn source(file: &str) -> PathBuf {
    let path = Path::new(file);
    if path.extension().is_some_and(|extension| extension == "pyc" || extension == "pyo") {
        return path.with_extension("py");
    }
    path.to_owned()
}
