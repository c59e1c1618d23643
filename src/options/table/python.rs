//! Rows: the Python application.

use super::super::draft::Draft;
use super::super::row::{Field, Kind::*, Reading, Row, Takes, always, bare, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["module", "wsgi"],
        Set(Takes::Value("MODULE[:CALLABLE]"), module),
        "import the application from this module",
    )
    .short('w'),
    row(&["wsgi-file", "file"], Set(Takes::Value("FILE"), file), "import the application from this file"),
    row(
        &["callable"],
        Text(|s| &mut s.python.callable, "NAME"),
        "name of the application in its module (default application)",
    ),
    row(
        &["mount", "worker-mount"],
        Set(Takes::Value("PATH=APP"), mount),
        "serve this application (a module or a file) under this path",
    ),
    row(
        &["home", "virtualenv", "venv", "pyhome"],
        Text(|s| &mut s.python.home, "FOLDER"),
        "virtualenv of the application",
    )
    .short('H'),
    row(
        &["python", "py-programname", "py-program-name"],
        Set(Takes::Value("PROGRAM"), interpreter),
        "Python to serve with where there is no virtualenv: a path, or a name like python3.12",
    ),
    row(
        &["pythonpath", "python-path", "pp", "early-pythonpath", "early-python-path"],
        List(|s| &mut s.python.pythonpath, "FOLDER"),
        "put this folder (or glob) at the front of sys.path",
    ),
    row(&["pyargv"], Text(|s| &mut s.python.pyargv, "ARGS"), "arguments for sys.argv, separated by blanks"),
    row(
        &["import", "pyimport", "py-import", "python-import"],
        List(|s| &mut s.python.imports, "MODULE"),
        "import this too, where the application is imported",
    ),
    row(
        &[
            "shared-import",
            "shared-pyimport",
            "shared-py-import",
            "shared-python-import",
            "early-pyimport",
            "early-python-import",
        ],
        List(|s| &mut s.python.shared_imports, "MODULE"),
        "import this first, in all processes",
    ),
    row(
        &["pymodule-alias"],
        Set(Takes::Value("NAME=MODULE"), |s, pair| alias(s, pair, |s| &mut s.python.aliases)),
        "let `import NAME` give this module or file, before anything is imported",
    ),
    row(
        &["post-pymodule-alias"],
        Set(Takes::Value("NAME=MODULE"), |s, pair| alias(s, pair, |s| &mut s.python.late_aliases)),
        "the same, for modules that import uwsgi themselves",
    ),
    row(
        &["py-executable", "py-sys-executable"],
        Text(|s| &mut s.python.executable, "FILE"),
        "what sys.executable says (default: the interpreter itself)",
    ),
    row(&["no-site"], Flag(|s| &mut s.python.no_site), "start Python without its module site (-S)"),
    row(
        &["wsgi-disable-file-wrapper"],
        Flag(|s| &mut s.python.no_file_wrapper),
        "offer the application no wsgi.file_wrapper",
    ),
    row(&["optimize"], Count(|s| &mut s.python.optimize), "level of Python's -O").short('O'),
    row(
        &["no-default-app"],
        Flag(|s| &mut s.python.no_default_app),
        "answer 500 where no mounted application matches, instead of the first one",
    ),
    row(
        &["ignore-script-name"],
        Flag(|s| &mut s.python.ignore_script_name),
        "do not choose the application by SCRIPT_NAME",
    ),
    row(
        &["catch-exceptions"],
        Flag(|s| &mut s.python.catch_exceptions),
        "send the traceback of a failed request to the client; never in production",
    ),
    always(
        &["single-interpreter"],
        Takes::Nothing,
        "load all applications in one interpreter",
        "there always is one interpreter",
    )
    .short('i'),
    bare(&["plugins", "plugin", "need-plugins", "need-plugin"], Takes::Value("NAMES"), "load these plugins")
        .accepted("what is supported is built in; Python itself is chosen by home or python"),
    bare(&["plugins-dir", "plugin-dir"], Takes::Value("FOLDER"), "where to look for plugins")
        .accepted("what is supported is built in"),
    always(
        &["py-call-osafterfork", "py-call-uwsgi-fork-hooks"],
        Takes::Nothing,
        "run Python's fork hooks",
        "Python's fork hooks always run",
    ),
    bare(&["no-threads-wait"], Takes::Nothing, "do not wait for threads when a worker ends")
        .accepted("requests in hand are finished on every thread; worker-reload-mercy bounds the time"),
    always(
        &["wsgi-env-behaviour", "wsgi-env-behavior"],
        Takes::Value("WAY"),
        "how environ is made: each request has its own, with any of them",
        "",
    ),
    row(
        &["wsgi-accept-buffer", "wsgi-accept-buffers"],
        Flag(|s| &mut s.python.accept_buffer),
        "let parts of a body be bytearray, memoryview and other buffers",
    ),
    row(
        &["py-auto-reload", "py-autoreload", "python-autoreload", "python-auto-reload"],
        Count(|s| &mut s.python.auto_reload_s),
        "look for changed modules every so many seconds, and reload; for development",
    ),
    row(
        &["py-auto-reload-ignore", "python-auto-reload-ignore"],
        List(|s| &mut s.python.auto_reload_ignore, "MODULE"),
        "module that py-auto-reload does not look at",
    ),
    row(
        &["py-tracebacker"],
        Text(|s| &mut s.python.tracebacker, "PREFIX"),
        "tell the stacks of all threads to whoever connects to the unix socket of this name and the worker's number",
    ),
    row(
        &["reload-on-exception"],
        Flag(|s| &mut s.python.reload_on_exception),
        "replace a worker after an exception of the application, once its requests are finished",
    ),
    row(
        &["reload-on-exception-type"],
        List(|s| &mut s.python.reload_on_type, "CLASS"),
        "replace a worker after an exception of this class, like MemoryError or pkg.errors.Fatal",
    ),
    row(
        &["reload-on-exception-value"],
        List(|s| &mut s.python.reload_on_value, "TEXT"),
        "replace a worker after an exception with this text",
    ),
    row(
        &["reload-on-exception-repr"],
        List(|s| &mut s.python.reload_on_repr, "CLASS: TEXT"),
        "replace a worker after an exception of this class with this text",
    ),
    row(&["gevent"], CountIfSet(|s| &mut s.greenlets), "serve so many requests at a time in each worker")
        .accepted("by threads, at most 64, and not by greenlets; threads says otherwise"),
    bare(&["gevent-monkey-patch", "gevent-early-monkey-patch"], Takes::Nothing, "patch modules for gevent")
        .accepted("requests are served by threads, which need no patched modules"),
    bare(&["asyncio"], Takes::Value("N"), "serve requests in so many asyncio tasks")
        .refused("use threads = N"),
    row(
        &["paste"],
        List(|s| &mut s.python.paste, "config:FILE"),
        "load the application that this file describes, with paste.deploy",
    ),
    row(
        &["paste-logger"],
        Flag(|s| &mut s.python.paste_logger),
        "let logging.config set up the logs from the file of paste",
    ),
    row(
        &["pecan"],
        List(|s| &mut s.python.pecan, "FILE"),
        "load the application that this file describes, with pecan.deploy",
    ),
    row(
        &["eval"],
        Set(Takes::Value("SOURCE"), source),
        "run this Python source, and take the application from it",
    ),
    bare(&["pypy-wsgi"], Takes::Value("MODULE"), "load the application into PyPy")
        .refused("use module, with CPython"),
    bare(&["psgi"], Takes::Value("FILE"), "load a Perl application").refused("only Python is served here"),
];

/// One module counts, the last; an empty value takes it back.
fn module(draft: &mut Draft, value: &str) -> Reading {
    draft.python.modules = Some(value.to_owned()).filter(|v| !v.is_empty()).into_iter().collect();
    Ok(None)
}

/// One file counts, the last; an empty value takes it back.
fn file(draft: &mut Draft, value: &str) -> Reading {
    draft.python.files = Some(value.to_owned()).filter(|v| !v.is_empty()).into_iter().collect();
    Ok(None)
}

/// One source counts, the last; an empty value takes it back.
fn source(draft: &mut Draft, value: &str) -> Reading {
    draft.python.sources = Some(value.to_owned()).filter(|v| !v.is_empty()).into_iter().collect();
    Ok(None)
}

fn mount(draft: &mut Draft, value: &str) -> Reading {
    let (at, app) = value.split_once('=').ok_or("PATH=APPLICATION, like /shop=shop.wsgi:app")?;
    // `HOST|/PATH`, with vhost.
    if at.contains('|') {
        return Err(format!("a path for all hosts: let the web server choose a server for {at}"));
    }
    draft.python.mounts.push((at.to_owned(), app.to_owned()));
    Ok(None)
}

fn alias(draft: &mut Draft, pair: &str, field: Field<Vec<String>>) -> Reading {
    if !pair.contains('=') {
        return Err("NAME=MODULE or NAME=FILE.py".to_owned());
    }
    field(draft).push(pair.to_owned());
    Ok(None)
}

/// In uWSGI `python` runs a script in place of serving; nobody's configuration should load a script as Python.
fn interpreter(draft: &mut Draft, value: &str) -> Reading {
    if value.ends_with(".py") {
        return Err("a Python interpreter; run scripts with Python itself".to_owned());
    }
    draft.python.interpreter = Some(value.to_owned());
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_module_counts() {
        let mut draft = Draft::default();
        module(&mut draft, "a:app").unwrap();
        module(&mut draft, "b").unwrap();
        assert_eq!(draft.python.modules, ["b"]);
        module(&mut draft, "").unwrap();
        assert!(draft.python.modules.is_empty());
    }

    #[test]
    fn mounts_are_pairs_and_pile_up() {
        let mut draft = Draft::default();
        mount(&mut draft, "/a=a.py").unwrap();
        mount(&mut draft, "/b=b:c=d").unwrap();
        assert!(mount(&mut draft, "/c").is_err());
        assert!(mount(&mut draft, "a.example|/=a.py").is_err());
        let expected = [("/a", "a.py"), ("/b", "b:c=d")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(draft.python.mounts, expected);
    }

    #[test]
    fn a_script_is_no_interpreter() {
        let mut draft = Draft::default();
        assert!(interpreter(&mut draft, "job.py").is_err());
        interpreter(&mut draft, "python3.12").unwrap();
        assert_eq!(draft.python.interpreter.as_deref(), Some("python3.12"));
    }
}
