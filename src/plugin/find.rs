//! Which interpreter serves, and how it becomes the template: the chosen `python` itself is started, and loads the
//! plugin as an extension module. So every CPython serves as it is, with its virtualenv found by its own rules, whether
//! it has a shared library or not; and it is as fast as the distribution built it (Debian's `libpython3.11.so` takes an
//! eighth more instructions than its `python3`).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::base::errors;
use crate::options::settings::Settings;
use crate::sys::exec::{self, Handed};

/// The plugin itself, in a build with the feature `embedded` (`build.rs`).
#[cfg(feature = "embedded")]
const INSIDE: Option<&[u8]> = Some(include_bytes!(env!("UWRING_PLUGIN")));
#[cfg(not(feature = "embedded"))]
const INSIDE: Option<&[u8]> = None;
/// File name of the plugin.
const PLUGIN_FILE: &str = "libuwring_python.so";
/// Those for free-threaded interpreters, which cannot load the one that serves all others; one for each version.
const FREE_THREADED: [&str; 2] = ["cp314t", "cp315t"];
/// A folder to look into first.
const PLUGIN_DIR_VARIABLE: &str = "UWRING_PLUGIN_DIR";

/// What the interpreter runs. It must be understood by every Python there is, to tell it that it is too old; the
/// arguments behind it are the plugin's file, the number of the seat's descriptor, the process id, and `NAME=FILE` for
/// each of [`FREE_THREADED`] that there is.
const BOOT: &str = "\
import sys
def no(why):
    sys.stderr.write('%s: %s\\n' % (sys.executable, why))
    sys.exit(1)
if sys.version_info < (3, 9):
    no('Python %d.%d: 3.9 or later is needed [UWR-E025]' % sys.version_info[:2])
if sys.implementation.name != 'cpython':
    no('%s: CPython is needed [UWR-E026]' % sys.implementation.name)
def file():
    if 't' not in sys.abiflags:
        return sys.argv[1]
    name = 'cp%d%dt' % sys.version_info[:2]
    for word in sys.argv[4:]:
        if word.startswith(name + '='):
            return word[len(name) + 1:]
    no('a free-threaded build, and libuwring_python-%s.so is not there: use the ordinary one [UWR-E027]' % name)
import os
if os.getpid() != int(sys.argv[3]):
    no('started by a script that waits for it: name the interpreter itself with the option python [UWR-E028]')
import _frozen_importlib as b, _frozen_importlib_external as e
f = file()
s = b.ModuleSpec('uwring_python', e.ExtensionFileLoader('uwring_python', f), origin=f)
try:
    m = b.module_from_spec(s)
except (ImportError, AttributeError) as error:
    no('cannot load the plugin: %s; is this Python fully static, or made for another C library (musl)? [UWR-E031]' % error)
s.loader.exec_module(m)
if sys.path and sys.path[0] == '':
    del sys.path[0]
globals().update(serve=m.serve, seat=int(sys.argv[2]))
sys.orig_argv = []
del no, file, os, b, e, f, s, m, sys
serve(seat)
";

/// Why there is no Python. Everything here is for whoever runs the server to put right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `home` is no folder; uWSGI's words.
    #[error("!!! Python Home is not a directory: {0} !!!\n{id}", id = errors::HOME)]
    Home(PathBuf),
    /// `home` has no interpreter.
    #[error("no python found in {0}/bin: is it a virtualenv? {id}", id = errors::HOME_EMPTY)]
    HomeWithoutPython(PathBuf),
    /// Nothing of that name.
    #[error(
        "no python found: {0} is not on PATH (apt-get install python3, or say which with the option python) {id}",
        id = errors::NO_PYTHON
    )]
    NoPython(String),
    /// The plugin is nowhere.
    #[error(
        "{PLUGIN_FILE} not found (looked in {0}; {PLUGIN_DIR_VARIABLE} names another folder): it is the other half of \
         uwring and comes with every package; copy it from there, or install again {id}",
        id = errors::NO_PLUGIN
    )]
    NoPlugin(String),
    /// The one inside could not be laid out.
    #[error("cannot unpack {PLUGIN_FILE} into memory: {0} {id}", id = errors::UNPACK)]
    Unpacked(io::Error),
}

/// The plugin's library, open: what is loaded then is what was there when the server started, whatever an upgrade puts
/// in its place.
#[derive(Debug)]
pub struct Library {
    usual: Opened,
    /// Of [`FREE_THREADED`], what there is.
    others: Vec<(&'static str, Opened)>,
}

/// One file.
#[derive(Debug)]
struct Opened {
    file: File,
    path: PathBuf,
}

impl Library {
    /// Finds and opens it: in the folder that the variable names, beside the executable (a build, an archive), in
    /// `../lib/uwring` from there (a virtual environment, /usr, /usr/local), else the one inside the executable.
    pub fn open() -> Result<Library, Error> {
        let mut folders: Vec<PathBuf> =
            std::env::var_os(PLUGIN_DIR_VARIABLE).map(PathBuf::from).into_iter().collect();
        if let Some(beside) = home_of_executable() {
            folders.push(beside.join("../lib/uwring"));
            folders.insert(folders.len() - 1, beside);
        }
        let usual = match (Opened::first(&folders, PLUGIN_FILE), INSIDE) {
            (Some(library), _) => library,
            (None, Some(inside)) => Opened::unpack(inside).map_err(Error::Unpacked)?,
            (None, None) => {
                let looked: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
                return Err(Error::NoPlugin(looked.join(", ")));
            }
        };
        let other = |name| Some((name, Opened::first(&folders, &format!("libuwring_python-{name}.so"))?));
        Ok(Library { usual, others: FREE_THREADED.into_iter().filter_map(other).collect() })
    }

    /// The descriptors.
    pub fn handed(&self) -> Vec<Handed> {
        std::iter::once(&self.usual)
            .chain(self.others.iter().map(|(_, other)| other))
            .map(|opened| Handed::of(&opened.file))
            .collect()
    }

    /// `NAME=FILE` for each of the others.
    fn others(&self) -> impl Iterator<Item = OsString> {
        self.others.iter().map(|(name, opened)| {
            let mut word = OsString::from(format!("{name}="));
            word.push(opened.name());
            word
        })
    }
}

impl Opened {
    /// The one in the first folder that has it.
    fn first(folders: &[PathBuf], name: &str) -> Option<Opened> {
        folders.iter().find_map(|folder| {
            let path = folder.join(name);
            File::open(&path).ok().map(|file| Opened { file, path })
        })
    }

    /// In a file of memory.
    fn unpack(inside: &[u8]) -> io::Result<Opened> {
        let mut file = exec::memory_file(PLUGIN_FILE)?;
        file.write_all(inside)?;
        Ok(Opened { file, path: PathBuf::from(PLUGIN_FILE) })
    }

    /// What the dynamic linker is asked for.
    fn name(&self) -> OsString {
        let open = format!("/proc/self/fd/{}", exec::number(Handed::of(&self.file)));
        // A root folder of one's own may have no /proc.
        if Path::new(&open).exists() { open.into() } else { self.path.clone().into() }
    }
}

/// The folder of this executable, links followed.
fn home_of_executable() -> Option<PathBuf> {
    std::env::current_exe().ok()?.parent().map(Path::to_owned)
}

/// The interpreter of the virtual environment that `folder` is the `bin` of, if it is one.
fn of_environment(folder: &Path) -> Option<PathBuf> {
    folder.join("../pyvenv.cfg").is_file().then(|| folder.join("python3")).filter(|program| program.exists())
}

/// `home`'s interpreter, else the option's, else that of the virtual environment this server is installed in, else
/// `python3`.
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
    let own = home_of_executable().as_deref().and_then(of_environment);
    if let (None, Some(own)) = (&python.interpreter, own) {
        return Ok(own);
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
    argv.push(library.usual.name());
    argv.extend(numbers.map(OsString::from));
    argv.extend(library.others());
    // The kernel shows the memory that held the arguments: a longer name than these would be cut.
    let room: usize = argv.iter().map(|word| word.len() + 1).sum();
    argv.extend((title_bytes > room).then(|| OsString::from(" ".repeat(title_bytes - room))));
    let env: Vec<(OsString, OsString)> = std::env::vars_os().collect();
    if let Err(error) = exec::keep_open(&library.handed(), true) {
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
        assert_eq!(
            error.to_string(),
            "!!! Python Home is not a directory: /nonexistent/venv !!!\n[UWR-E021]"
        );
    }

    #[test]
    fn an_unknown_interpreter_is_named() {
        let mut settings = Settings::default();
        settings.python.interpreter = Some("no-such-python".to_owned());
        assert!(matches!(interpreter(&settings), Err(Error::NoPython(name)) if name == "no-such-python"));
    }

    #[test]
    fn a_virtual_environment_is_known_by_its_file() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).expect("made");
        std::fs::write(bin.join("python3"), "").expect("written");
        assert_eq!(of_environment(&bin), None);
        std::fs::write(folder.path().join("pyvenv.cfg"), "home = /usr/bin\n").expect("written");
        assert_eq!(of_environment(&bin), Some(bin.join("python3")));
    }

    #[test]
    fn what_is_inside_is_unpacked_whole() {
        let mut library = Opened::unpack(b"not really").expect("there is memory");
        let mut text = String::new();
        io::Seek::rewind(&mut library.file).expect("a file");
        io::Read::read_to_string(&mut library.file, &mut text).expect("readable");
        assert_eq!(text, "not really");
        assert!(library.name().to_string_lossy().starts_with("/proc/self/fd/"));
    }
}
