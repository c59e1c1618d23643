//! The plugin in this executable: libpython is opened for everybody, an interpreter started, then the plugin opened. (In
//! the server it is the interpreter that loads the plugin.)

use std::ffi::{CStr, CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::process::Command;

use uwring::options::settings::Settings;
use uwring::plugin::{Plugin, find};
use uwring_abi::{ABI_VERSION, ENTRY_SYMBOL, Entry};

/// Where the shared library may be: `INSTSONAME` in `LIBDIR`, as Debian has it, or beside the prefix.
const QUESTION: &str = "\
import os, sys, sysconfig
v = sysconfig.get_config_var
names = [v('INSTSONAME') or '', 'libpython%d.%d.so.1.0' % sys.version_info[:2]]
folders = [v('LIBDIR') or '', os.path.join(v('LIBDIR') or '', v('MULTIARCH') or ''), sys.base_prefix + '/lib']
found = [f + '/' + n for n in names for f in folders if '.so' in n and os.path.exists(f + '/' + n)]
print(sys.executable, found[0] if found else '', sep='\\n')
";

/// The interpreter of `settings`, started in this process, and the plugin in it.
pub fn load(settings: &Settings) -> Plugin {
    let program = find::interpreter(settings).expect("a Python");
    let output = Command::new(&program).args(["-I", "-S", "-c", QUESTION]).output().expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (program, library) = text.trim_end_matches('\n').split_once('\n').expect("two lines");
    assert!(!library.is_empty(), "{program} has no shared library, which these tests need");
    let libpython = open(Path::new(library), libc::RTLD_NOW | libc::RTLD_GLOBAL);
    start(libpython, program);
    let plugin = open(&super::plugin_dir().join("libuwring_python.so"), libc::RTLD_NOW);
    // SAFETY: by the boundary's definition this symbol has this type.
    let entry: Entry = unsafe { std::mem::transmute(find(plugin, ENTRY_SYMBOL)) };
    // SAFETY: takes nothing.
    let table = unsafe { entry() };
    // SAFETY: null, or a table that lives as long as the library, which is never closed.
    let table = unsafe { table.as_ref() }.expect("a table");
    assert_eq!(table.abi, ABI_VERSION);
    Plugin::of(table)
}

fn start(libpython: *mut c_void, program: &str) {
    let program = CString::new(program).expect("no NUL").into_raw();
    type Decode = unsafe extern "C" fn(*const libc::c_char, *mut usize) -> *const libc::wchar_t;
    // SAFETY: the documented signature (stable ABI since 3.7).
    let decode: Decode = unsafe { std::mem::transmute(find(libpython, c"Py_DecodeLocale")) };
    // SAFETY: the documented signature, there until 3.15.
    let set_program_name: unsafe extern "C" fn(*const libc::wchar_t) =
        unsafe { std::mem::transmute(find(libpython, c"Py_SetProgramName")) };
    // SAFETY: the documented signature.
    let initialize: unsafe extern "C" fn(c_int) =
        unsafe { std::mem::transmute(find(libpython, c"Py_InitializeEx")) };
    // SAFETY: the documented signature, but for the type of the state, which nobody looks at.
    let save_thread: unsafe extern "C" fn() -> *mut c_void =
        unsafe { std::mem::transmute(find(libpython, c"PyEval_SaveThread")) };
    // SAFETY: a text that ends with NUL; the length may be null.
    let wide = unsafe { decode(program, std::ptr::null_mut()) };
    // SAFETY: no interpreter was started, and the name is never freed.
    unsafe { set_program_name(wide) };
    // SAFETY: this is the main thread.
    unsafe { initialize(0) };
    // SAFETY: attached since. Afterwards nobody is: each call of the plugin's table attaches itself.
    unsafe { save_thread() };
}

fn open(file: &Path, flags: c_int) -> *mut c_void {
    let name = CString::new(file.to_str().expect("UTF-8")).expect("no NUL");
    // SAFETY: `name` ends with NUL; the library's own initialisers run.
    let handle = unsafe { libc::dlopen(name.as_ptr(), flags) };
    assert!(!handle.is_null(), "{} cannot be opened", PathBuf::from(file).display());
    handle
}

fn find(library: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: an open library, and a name that ends with NUL.
    let found = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!found.is_null(), "no {name:?}");
    found
}
