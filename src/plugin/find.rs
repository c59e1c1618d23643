//! Which interpreter serves, and how it becomes the template: the chosen `python` itself is started, and loads the
//! plugin as an extension module. So every CPython serves as it is, with its virtualenv found by its own rules, whether
//! it has a shared library or not; and it is as fast as the distribution built it (Debian's `libpython3.11.so` takes an
//! eighth more instructions than its `python3`).

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::options::settings::Settings;
use crate::sys::exec::{self, Handed};

/// File name of the plugin.
const PLUGIN_FILE: &str = "libuwring_python.so";
/// A folder to look into first.
const PLUGIN_DIR_VARIABLE: &str = "UWRING_PLUGIN_DIR";

/// What the interpreter runs. It must be understood by every Python there is, to tell it that it is too old; the
/// arguments behind it are the plugin's file, the number of the seat's descriptor and the process id.
const BOOT: &str = "\
import sys
def no(why):
    sys.stderr.write('%s: %s\\n' % (sys.executable, why))
    sys.exit(1)
if sys.version_info < (3, 9):
    no('Python %d.%d: 3.9 or later is needed' % sys.version_info[:2])
if sys.implementation.name != 'cpython':
    no('%s: CPython is needed' % sys.implementation.name)
if 't' in sys.abiflags:
    no('a free-threaded build, which the plugin cannot be loaded into: use the ordinary one')
import os
if os.getpid() != int(sys.argv[3]):
    no('started by a script that waits for it: name the interpreter itself with the option python')
import _frozen_importlib as b, _frozen_importlib_external as e
s = b.ModuleSpec('uwring_python', e.ExtensionFileLoader('uwring_python', sys.argv[1]), origin=sys.argv[1])
m = b.module_from_spec(s)
s.loader.exec_module(m)
if sys.path and sys.path[0] == '':
    del sys.path[0]
globals().update(serve=m.serve, seat=int(sys.argv[2]))
sys.orig_argv = []
del no, os, b, e, s, m, sys
serve(seat)
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
    /// The plugin is nowhere.
    #[error("{PLUGIN_FILE} not found (looked in {0}; {PLUGIN_DIR_VARIABLE} names another folder)")]
    NoPlugin(String),
}

/// The plugin's library, open: what is loaded then is what was there when the server started, whatever an upgrade puts
/// in its place.
#[derive(Debug)]
pub struct Library {
    file: File,
    path: PathBuf,
}

impl Library {
    /// Finds and opens it.
    pub fn open() -> Result<Library, Error> {
        let mut folders: Vec<PathBuf> =
            std::env::var_os(PLUGIN_DIR_VARIABLE).map(PathBuf::from).into_iter().collect();
        if let Some(beside) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
            folders.push(beside.to_owned());
            folders.push(beside.join("../lib/uwring"));
        }
        let open = |folder: &PathBuf| {
            let path = folder.join(PLUGIN_FILE);
            File::open(&path).ok().map(|file| Library { file, path })
        };
        folders.iter().find_map(open).ok_or_else(|| {
            let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
            Error::NoPlugin(looked.join(", "))
        })
    }

    /// Its descriptor.
    pub fn handed(&self) -> Handed {
        Handed::of(&self.file)
    }

    /// What the dynamic linker is asked for.
    fn name(&self) -> OsString {
        let open = format!("/proc/self/fd/{}", exec::number(self.handed()));
        // A root folder of one's own may have no /proc.
        if Path::new(&open).exists() { open.into() } else { self.path.clone().into() }
    }
}

/// `home`'s interpreter, else the option's, else `python3`.
pub fn interpreter(settings: &Settings) -> Result<PathBuf, Error> {
    let python = &settings.python;
    if let Some(home) = &python.home {
        let home = Path::new(home);
        if !home.is_dir() {
            return Err(Error::Home(home.to_owned()));
        }
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

/// This process becomes `python`, which loads the plugin and finds its `seat`. `title_bytes`: room that the name of the
/// process may need later. Returns only if that failed.
pub fn become_python(
    python: &Path,
    settings: &Settings,
    library: &Library,
    seat: Handed,
    title_bytes: usize,
) -> io::Error {
    let mut argv: Vec<OsString> = vec![python.into()];
    match settings.python.optimize {
        0 => {}
        1 => argv.push("-O".into()),
        _ => argv.push("-OO".into()),
    }
    argv.extend(settings.python.no_site.then(|| OsString::from("-S")));
    let numbers = [exec::number(seat).to_string(), std::process::id().to_string()];
    argv.extend(["-c", BOOT].map(OsString::from));
    argv.push(library.name());
    argv.extend(numbers.map(OsString::from));
    // The kernel shows the memory that held the arguments: a longer name than these would be cut.
    let room: usize = argv.iter().map(|word| word.len() + 1).sum();
    argv.extend((title_bytes > room).then(|| OsString::from(" ".repeat(title_bytes - room))));
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    if let Err(error) = exec::keep_open(&[library.handed()], true) {
        return error;
    }
    exec::replace(python, &argv, &env)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_that_is_no_folder_is_reported_in_uwsgis_words() {
        let mut settings = Settings::default();
        settings.python.home = Some("/nonexistent/venv".to_owned());
        let error = interpreter(&settings).expect_err("there is no such folder");
        assert_eq!(error.to_string(), "!!! Python Home is not a directory: /nonexistent/venv !!!");
    }

    #[test]
    fn an_unknown_interpreter_is_named() {
        let mut settings = Settings::default();
        settings.python.interpreter = Some("no-such-python".to_owned());
        assert!(matches!(interpreter(&settings), Err(Error::NoPython(name)) if name == "no-such-python"));
    }
}
