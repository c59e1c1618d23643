//! Finds the interpreter and the plugin, loads both, and makes the plugin's table safe to call.
//!
//! The executable links no libpython: it asks the interpreter that was chosen where its own shared library is,
//! and opens that one. Order matters: libpython first and for everybody (`RTLD_GLOBAL`; extension modules do
//! not name it), then the plugin, whose Python symbols are found in it.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::ptr::NonNull;

use uwring_abi::{ABI_VERSION, ENTRY_SYMBOL, Entry, HostApi, PluginApi, Slice};

use super::python::StartConfig;
use crate::options::settings::Settings;

/// File name of the plugin.
const PLUGIN_FILE: &str = "libuwring_python.so";
/// A folder to look into first.
const PLUGIN_DIR_VARIABLE: &str = "UWRING_PLUGIN_DIR";
/// The oldest CPython whose stable ABI the plugin is built for.
const VERSION_MIN: (u32, u32) = (3, 9);

/// What the interpreter says of itself, a line each. `-S` keeps the question fast: no site-packages are read.
const QUESTION: &str = "\
import sys, sysconfig
v = sysconfig.get_config_var
for answer in (sys.executable, '%d.%d' % sys.version_info[:2], v('LIBDIR'), v('MULTIARCH'), v('INSTSONAME'),
               v('LDLIBRARY'), sys.base_prefix, v('Py_GIL_DISABLED')):
    print('' if answer is None else answer)
";

/// Why there is no Python. Everything here is for whoever runs the server to put right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `home` is no folder; uWSGI's words.
    #[error("!!! Python Home is not a directory: {0} !!!")]
    Home(PathBuf),
    /// `home` has no interpreter.
    #[error("no python found in {0}/bin: is it a virtualenv?")]
    HomeWithoutPython(PathBuf),
    /// Nothing of that name.
    #[error(
        "no python found: {0} is not on PATH (apt-get install python3, or say which with the option python)"
    )]
    NoPython(String),
    /// It did not answer.
    #[error("{program} does not say where its library is: {reason}")]
    Question {
        /// Which interpreter.
        program: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Too old.
    #[error("{program} is Python {version}: 3.9 or later is needed")]
    TooOld {
        /// Which interpreter.
        program: PathBuf,
        /// Its version.
        version: String,
    },
    /// A build without the interpreter lock has another ABI.
    #[error("{0} is a free-threaded build, which this plugin cannot be loaded into: use the ordinary one")]
    FreeThreaded(PathBuf),
    /// A build without `--enable-shared`, or a distribution that packs it apart.
    #[error(
        "{program} has no shared library (looked for {looked}): apt-get install libpython{version}, \
         or a Python built with --enable-shared"
    )]
    NoLibrary {
        /// Which interpreter.
        program: PathBuf,
        /// Its version.
        version: String,
        /// File names tried.
        looked: String,
    },
    /// The dynamic linker refused.
    #[error("{file}: {reason}")]
    Open {
        /// Which file.
        file: PathBuf,
        /// In the linker's words.
        reason: String,
    },
    /// The plugin is nowhere.
    #[error("{PLUGIN_FILE} not found (looked in {0}; {PLUGIN_DIR_VARIABLE} names another folder)")]
    NoPlugin(String),
    /// Plugin and executable come from different builds.
    #[error(
        "{file} is for plugin boundary {found}, this server has {ABI_VERSION}: install both from one release"
    )]
    Version {
        /// Which file.
        file: PathBuf,
        /// What it says.
        found: u32,
    },
    /// Not a plugin at all.
    #[error("{0} is no plugin of this server")]
    NoEntry(PathBuf),
}

/// The interpreter that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Its executable (of the virtualenv, where there is one): `sys.executable`.
    pub program: PathBuf,
    /// `3.11`.
    pub version: String,
    /// Its shared library.
    pub library: PathBuf,
}

/// Loads the interpreter that the settings choose, and the plugin.
pub fn load(settings: &Settings) -> Result<(Plugin, Interpreter), Error> {
    let interpreter = ask(&choose(settings)?)?;
    let file = find_plugin()?;
    open(&interpreter.library, libc::RTLD_NOW | libc::RTLD_GLOBAL)?;
    let handle = open(&file, libc::RTLD_NOW)?;
    Ok((Plugin::of(handle, file)?, interpreter))
}

// The interpreter -----------------------------------------------------------------------------------------

/// `home`'s, else the option's, else `python3`.
fn choose(settings: &Settings) -> Result<PathBuf, Error> {
    let python = &settings.python;
    if let Some(home) = &python.home {
        let home = Path::new(home);
        if !home.is_dir() {
            return Err(Error::Home(home.to_owned()));
        }
        // Absolute: `chdir` comes between now and the interpreter's start.
        let home = std::path::absolute(home).unwrap_or_else(|_| home.to_owned());
        return ["bin/python", "bin/python3"]
            .iter()
            .map(|name| home.join(name))
            .find(|program| program.exists())
            .ok_or(Error::HomeWithoutPython(home));
    }
    let name = python.interpreter.as_deref().unwrap_or("python3");
    if name.contains('/') {
        let program = PathBuf::from(name);
        return if program.exists() { Ok(program) } else { Err(Error::NoPython(name.to_owned())) };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| Error::NoPython(name.to_owned()))
}

/// Asks an interpreter who it is. What PATH gives may be a script that starts another one (pyenv's shims): the
/// answer names the real one.
fn ask(program: &Path) -> Result<Interpreter, Error> {
    let refused = |reason: String| Error::Question { program: program.to_owned(), reason };
    let output = Command::new(program).args(["-I", "-S", "-c", QUESTION]).output();
    let output = output.map_err(|error| refused(error.to_string()))?;
    if !output.status.success() {
        return Err(refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(str::to_owned);
    let mut line = || lines.next().unwrap_or_default();
    let answer = Answer {
        program: PathBuf::from(line()),
        version: line(),
        libdir: line(),
        multiarch: line(),
        soname: line(),
        library: line(),
        base_prefix: line(),
        free_threaded: line() == "1",
    };
    answer.resolve()
}

/// The lines of [`QUESTION`].
#[derive(Clone, Debug, Default)]
struct Answer {
    program: PathBuf,
    version: String,
    libdir: String,
    multiarch: String,
    soname: String,
    library: String,
    base_prefix: String,
    free_threaded: bool,
}

impl Answer {
    fn resolve(self) -> Result<Interpreter, Error> {
        let Answer { program, version, .. } = &self;
        let parsed = version
            .split_once('.')
            .and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        if parsed.is_none_or(|parsed: (u32, u32)| parsed < VERSION_MIN) {
            return Err(Error::TooOld { program: program.clone(), version: version.clone() });
        }
        if self.free_threaded {
            return Err(Error::FreeThreaded(program.clone()));
        }
        let library = self.candidates().into_iter().find(|file| file.exists());
        let library = library.ok_or_else(|| Error::NoLibrary {
            program: program.clone(),
            version: version.clone(),
            looked: self
                .candidates()
                .iter()
                .map(|file| file.display().to_string())
                .collect::<Vec<_>>()
                .join(", "),
        })?;
        Ok(Interpreter { program: self.program, version: self.version, library })
    }

    /// Where the library may be. The build's own folder first; installations that were moved (portable builds)
    /// have it beside their prefix.
    fn candidates(&self) -> Vec<PathBuf> {
        let fallback = format!("libpython{}.so.1.0", self.version);
        let names = [&self.soname, &self.library, &fallback];
        let folders = [
            PathBuf::from(&self.libdir),
            Path::new(&self.libdir).join(&self.multiarch),
            Path::new(&self.base_prefix).join("lib"),
        ];
        let mut candidates = Vec::new();
        for name in names.into_iter().filter(|name| name.contains(".so")) {
            for folder in folders.iter().filter(|folder| folder.is_absolute()) {
                let file = folder.join(name);
                if !candidates.contains(&file) {
                    candidates.push(file);
                }
            }
        }
        candidates
    }
}

// The plugin ----------------------------------------------------------------------------------------------

fn find_plugin() -> Result<PathBuf, Error> {
    let mut folders: Vec<PathBuf> =
        std::env::var_os(PLUGIN_DIR_VARIABLE).map(PathBuf::from).into_iter().collect();
    if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        folders.push(beside.to_owned());
        folders.push(beside.join("../lib/uwring"));
    }
    folders.iter().map(|folder| folder.join(PLUGIN_FILE)).find(|file| file.is_file()).ok_or_else(|| {
        Error::NoPlugin(
            folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", "),
        )
    })
}

/// Opens a library for the life of the process.
fn open(file: &Path, flags: i32) -> Result<NonNull<c_void>, Error> {
    let refused = |reason: String| Error::Open { file: file.to_owned(), reason };
    let name = CString::new(file.as_os_str().as_bytes()).map_err(|error| refused(error.to_string()))?;
    // SAFETY: `name` ends with NUL. The library's own initialisers run: it is the interpreter, or ours.
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    NonNull::new(handle).ok_or_else(|| refused(linker_error()))
}

fn linker_error() -> String {
    // SAFETY: no other thread uses the dynamic linker while the server starts.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "unknown error".to_owned();
    }
    // SAFETY: not null, so a text that lasts until the linker is called again.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A loaded request plugin. It stays loaded for the life of the process.
///
/// Its functions have an order, which the callers keep: `start`, `load`, then in each worker `worker_start`,
/// `serve`, `worker_stop`; all but `serve` of other threads on the main thread.
#[derive(Clone, Copy)]
pub struct Plugin {
    api: &'static PluginApi,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("abi", &self.api.abi).finish()
    }
}

impl Plugin {
    fn of(library: NonNull<c_void>, file: PathBuf) -> Result<Plugin, Error> {
        // SAFETY: an open library, and a name that ends with NUL.
        let entry = unsafe { libc::dlsym(library.as_ptr(), ENTRY_SYMBOL.as_ptr()) };
        if entry.is_null() {
            return Err(Error::NoEntry(file));
        }
        // SAFETY: by the boundary's definition this symbol has this type.
        let entry: Entry = unsafe { std::mem::transmute(entry) };
        // SAFETY: takes nothing, and gives a table that lives as long as the library, which is never closed.
        let table = unsafe { entry() };
        // SAFETY: as said; null is checked by `as_ref`. `abi` comes first in every version of the table.
        let api = unsafe { table.as_ref() }.ok_or_else(|| Error::NoEntry(file.clone()))?;
        if api.abi != ABI_VERSION {
            return Err(Error::Version { file, found: api.abi });
        }
        Ok(Plugin { api })
    }

    /// Starts the interpreter; the plugin has logged what went wrong when it does not.
    pub fn start(
        &self,
        host: &HostApi,
        settings: &Settings,
        interpreter: &Interpreter,
    ) -> Result<(), Refused> {
        let config = StartConfig::new(settings, interpreter);
        let lent = config.lend();
        // SAFETY: both are lent for the call, as the boundary says.
        let code = unsafe { (self.api.start)(host, lent.as_abi()) };
        if code == 0 { Ok(()) } else { Err(Refused) }
    }

    /// Imports the applications: how many, or negative where one that was asked for failed.
    pub fn load(&self) -> i32 {
        // SAFETY: no arguments; the caller keeps the order of calls.
        unsafe { (self.api.load)() }
    }

    /// Before a fork of the template, on its main thread.
    pub fn before_fork(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.before_fork)() }
    }

    /// After it, in the parent.
    pub fn after_fork_parent(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.after_fork_parent)() }
    }

    /// After it, in the child.
    pub fn after_fork_child(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.after_fork_child)() }
    }

    /// In a worker, before it serves. The plugin keeps a copy of `host`.
    pub fn worker_start(&self, host: &HostApi) -> Result<(), Refused> {
        // SAFETY: lent for the call; what `ctx` points to lives as long as the worker (see `HostApi`).
        let code = unsafe { (self.api.worker_start)(host) };
        if code == 0 { Ok(()) } else { Err(Refused) }
    }

    /// Serves requests as interpreter thread `thread` until the host's `wait` says that it is over.
    pub fn serve(&self, thread: u32) {
        // SAFETY: as `load`; each thread number is served by one thread.
        unsafe { (self.api.serve)(thread) }
    }

    /// The Python stacks of all threads (`None`) or of one interpreter thread. Waits for the interpreter lock: not for
    /// a thread that serves anybody.
    pub fn stacks(&self, thread: Option<u32>) -> String {
        let mut text = String::new();
        let into = std::ptr::from_mut(&mut text).cast();
        // SAFETY: `keep` is called within this call only, with `text` that is borrowed nowhere else meanwhile.
        unsafe { (self.api.stacks)(thread.unwrap_or(uwring_abi::ALL_THREADS), keep, into) };
        text
    }

    /// Raises an exception in an interpreter thread that works on request `serial` still; `false` where it does not.
    /// Waits as `stacks` does.
    pub fn interrupt(&self, thread: u32, serial: u64) -> bool {
        // SAFETY: numbers only.
        unsafe { (self.api.interrupt)(thread, serial) != 0 }
    }

    /// After the last `serve`, on the main thread.
    pub fn worker_stop(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.worker_stop)() }
    }
}

/// Takes the text of [`Plugin::stacks`].
unsafe extern "C" fn keep(into: *mut c_void, text: Slice) {
    // SAFETY: `stacks` passes its own `String`.
    let into = unsafe { &mut *into.cast::<String>() };
    // SAFETY: lent for the call.
    into.push_str(&String::from_utf8_lossy(unsafe { text.as_bytes() }));
}

/// The plugin could not do it, and has logged why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Python plugin refused")]
pub struct Refused;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_no_folder_is_reported_in_uwsgis_words() {
        let mut settings = Settings::default();
        settings.python.home = Some("/nonexistent/venv".to_owned());
        let error = choose(&settings).expect_err("there is no such folder");
        assert_eq!(error.to_string(), "!!! Python Home is not a directory: /nonexistent/venv !!!");
    }

    #[test]
    fn an_unknown_interpreter_is_named() {
        let mut settings = Settings::default();
        settings.python.interpreter = Some("no-such-python".to_owned());
        assert!(matches!(choose(&settings), Err(Error::NoPython(name)) if name == "no-such-python"));
    }

    #[test]
    fn old_and_free_threaded_interpreters_are_refused() {
        let old = Answer { version: "3.8".to_owned(), ..Answer::default() };
        assert!(matches!(old.resolve(), Err(Error::TooOld { .. })));
        let free = Answer { version: "3.13".to_owned(), free_threaded: true, ..Answer::default() };
        assert!(matches!(free.resolve(), Err(Error::FreeThreaded(_))));
    }

    #[test]
    fn a_missing_library_names_the_package() {
        let answer = Answer {
            version: "3.11".to_owned(),
            libdir: "/nonexistent".to_owned(),
            soname: "libpython3.11.so.1.0".to_owned(),
            ..Answer::default()
        };
        let error = answer.resolve().expect_err("there is no such library").to_string();
        assert!(error.contains("apt-get install libpython3.11"), "{error}");
        assert!(error.contains("/nonexistent/libpython3.11.so.1.0"), "{error}");
    }

    #[test]
    fn a_static_archive_is_not_taken_for_a_library() {
        let answer = Answer {
            version: "3.12".to_owned(),
            libdir: "/opt/lib".to_owned(),
            library: "libpython3.12.a".to_owned(),
            ..Answer::default()
        };
        assert!(answer.candidates().iter().all(|file| file.to_string_lossy().contains(".so")));
    }
}
