//! Which interpreter serves, and that it is the interpreter itself: found by name, through a script, of every version.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Packet, Server, ServerBuilder, program, skipped, uwring_only};

/// An application that needs no package, and tells its interpreter, with this one.
fn with(python: &Path) -> ServerBuilder {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "import sys\ndef application(environ, start_response):\n    start_response('200 OK', [])\n    \
                return [sys.executable.encode()]\n";
    std::fs::write(folder.path().join("app.py"), text).expect("write an application");
    let python = format!("python = {}", python.display());
    Server::bare()
        .without("virtualenv")
        .folder(folder)
        .ini("wsgi-file = {dir}/app.py\nsocket = {dir}/app.sock")
        .ini(&python)
}

fn executable(server: &Server) -> PathBuf {
    PathBuf::from(server.socket().uwsgi(&Packet::get("/")).expect(200).text())
}

/// Where `python3` of the PATH really is.
fn python3() -> PathBuf {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    PathBuf::from(String::from_utf8_lossy(&output.expect("python3 runs").stdout).trim())
}

fn script(server: &Path, text: &str) -> PathBuf {
    let path = server.join("python3");
    std::fs::write(&path, text).expect("write a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
    path
}

#[test]
fn workers_are_the_interpreter_and_go_by_the_servers_name() {
    if uwring_only("it has the interpreter's library in its own program") {
        return;
    }
    let python = python3();
    let server = with(&python).processes(2).start();
    assert_eq!(executable(&server), python);
    let of = |pid: i32, what: &str| std::fs::read(format!("/proc/{pid}/{what}")).expect("it runs");
    let line = |pid: i32| String::from_utf8_lossy(&of(pid, "cmdline")).trim_end_matches('\0').to_owned();
    let master = server.process.pid.as_raw();
    for worker in server.workers() {
        let exe = std::fs::read_link(format!("/proc/{worker}/exe")).expect("it runs");
        assert_eq!(exe, std::fs::canonicalize(&python).expect("it is there"));
        assert_eq!(line(worker), line(master));
        let name = program().file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(String::from_utf8_lossy(&of(worker, "comm")), format!("{name}\n"));
    }
}

#[test]
fn a_script_that_becomes_python_will_do() {
    if uwring_only("it has the interpreter's library in its own program") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let python = python3();
    // As the shims of version managers are.
    let shim = script(folder.path(), &format!("#!/bin/sh\nexec {} \"$@\"\n", python.display()));
    assert_eq!(executable(&with(&shim).start()), python);
}

#[test]
fn what_is_no_interpreter_is_told() {
    if uwring_only("it has the interpreter's library in its own program") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let waits = script(folder.path(), &format!("#!/bin/sh\n{} \"$@\"\n", python3().display()));
    for (python, why) in [
        (waits, "started by a script that waits for it: name the interpreter itself"),
        (folder.path().join("nowhere"), "no python found"),
        (folder.path().to_owned(), "cannot run"),
    ] {
        let server = with(&python).launch();
        assert_eq!(server.process.expect_end().code(), Some(1), "{}", python.display());
        server.log().wait_for(why);
    }
}

/// Stands for one without the global lock, of a version that there is no library for.
#[test]
fn a_free_threaded_one_is_told_which_library_it_lacks() {
    if uwring_only("it has the interpreter's library in its own program") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "import sys\nsys.abiflags += 't'\n";
    std::fs::write(folder.path().join("sitecustomize.py"), text).expect("write a module");
    let server = with(&python3()).env("PYTHONPATH", &folder.path().display().to_string()).launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    let line = server.log().wait_for("a free-threaded build, and libuwring_python-cp3");
    assert!(line.ends_with("t.so is not there: use the ordinary one [UWR-E027]"), "{line}");
}

/// Stands for an interpreter that is linked statically, and so has no symbols for a library.
#[test]
fn one_that_can_load_no_library_is_told() {
    if uwring_only("it has the interpreter's library in its own program") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "import _frozen_importlib_external as e\ndef no(self, spec):\n    \
                raise ImportError('undefined symbol: PyObject_GC_UnTrack')\ne.ExtensionFileLoader.create_module = no\n";
    std::fs::write(folder.path().join("sitecustomize.py"), text).expect("write a module");
    let server = with(&python3()).env("PYTHONPATH", &folder.path().display().to_string()).launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server.log().wait_for(
        "cannot load the plugin: undefined symbol: PyObject_GC_UnTrack; is this Python fully static",
    );
}

#[test]
fn texts_are_utf_8_without_a_locale() {
    if uwring_only("texts are ASCII then") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "import sys\ndef application(e, s):\n    print('h\\u00e9', file=sys.stdout)\n    s('200 OK', [])\n    \
                return [sys.getfilesystemencoding().encode()]\n";
    std::fs::write(folder.path().join("app.py"), text).expect("write an application");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/app.py\nsocket = {dir}/app.sock")
        .env("LC_ALL", "C")
        .env("LANG", "C")
        .start();
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "utf-8");
    server.log().wait_for("hé");
}

/// One build serves them all: this distribution's, those of a version manager and of the PATH, and those that PYTHONS names.
#[test]
fn every_cpython_serves() {
    if uwring_only("it is built for one version") {
        return;
    }
    let found = cpythons();
    if found.len() == 1 {
        skipped("no other CPython is installed here");
    }
    std::thread::scope(|scope| {
        for python in &found {
            std::thread::Builder::new()
                .name(format!("interpreters: {}", python.display()))
                .spawn_scoped(scope, || one_serves(python))
                .expect("a thread");
        }
    });
}

/// Every interpreter of this machine once, those without the global lock too; the one all other tests use is the first.
fn cpythons() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let versions = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
    let managed = versions.map(|entry| entry.path().join("bin/python"));
    let named = std::env::var_os("PYTHONS").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A version manager's own folder of the PATH has scripts that choose one of its versions.
    let folders = std::env::split_paths(&path).filter(|folder| !folder.ends_with("shims"));
    let of_path = folders
        .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| is_pythons(&name.to_string_lossy())));
    let mut found = Vec::new();
    for python in [python3(), "/usr/bin/python3".into()]
        .into_iter()
        .chain(managed)
        .chain(of_path)
        .chain(std::env::split_paths(&named))
    {
        // Names of the same program, in one folder or as links.
        let Ok(program) = std::fs::canonicalize(&python) else { continue };
        if program.is_file() && !found.iter().any(|(same, _)| *same == program) {
            found.push((program, python));
        }
    }
    found.into_iter().map(|(_, python)| python).collect()
}

/// `python3.13`, `python3.14t`.
fn is_pythons(name: &str) -> bool {
    let minor = name.strip_prefix("python3.").map(|rest| rest.strip_suffix('t').unwrap_or(rest));
    minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The core of this suite with that interpreter: both protocols, threads, streams, exceptions, deadlines, stacks, reload, end.
fn one_serves(python: &Path) {
    let question = "import sys; v = '%d.%d' % sys.version_info[:2]; print(sys.version_info[:2] >= (3, 9), \
                    '%s%s' % (v, 't' * ('t' in getattr(sys, 'abiflags', ''))), sys.executable, v)";
    let output = Command::new(python).args(["-c", question]).output().expect("it runs");
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    let refused = |why: &str| {
        let server = with(python).launch();
        assert_eq!(server.process.expect_end().code(), Some(1), "{}", python.display());
        server.log().wait_for(why);
    };
    let Some((version, itself)) = answer.strip_prefix("True ").and_then(|rest| rest.split_once(' ')) else {
        return refused("3.9 or later is needed");
    };
    // Those are served by a library of their own, where that was built (`scripts/package plugin`).
    if version.ends_with('t') {
        let name = format!("libuwring_python-cp{}.so", version.replace('.', ""));
        if !program().with_file_name(&name).exists() {
            return refused(&format!("a free-threaded build, and {name} is not there"));
        }
    }
    let line = format!("python = {}", python.display());
    let server = Server::app("core")
        .without("virtualenv")
        .http()
        .ini(&line)
        .ini("threads = 2\nharakiri = 2\nharakiri-graceful-timeout = 60")
        .start();
    let get = |path: &str| server.get(path);
    assert_eq!(get("/").expect(200).text(), itself.trim());
    assert_eq!(server.socket().uwsgi(&Packet::get("/stream")).expect(200).text(), "01234");
    assert_eq!(get("/stream").expect(200).text(), "01234");
    std::thread::scope(|scope| {
        let other = scope.spawn(|| get("/both").expect(200).text());
        assert_eq!((get("/both").expect(200).text(), other.join().expect("answered")), both());
    });
    if version.ends_with('t') {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| get("/parallel").status());
            assert_eq!((get("/parallel").status(), other.join().expect("answered")), (200, 200));
        });
    }
    get("/raise").expect(500);
    server.log().wait_for("RuntimeError: on purpose");
    // The stack of the late request is told, and it ends, and no other.
    get("/late").expect(504);
    server.log().wait_for("in application");
    let stacks = server.ctl(&["dump"]);
    assert!(String::from_utf8_lossy(&stacks.stdout).contains("worker 1"), "{stacks:?}");
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0));
    assert_eq!(get("/").expect(200).text(), itself.trim());
    assert_eq!(server.stop().code(), Some(0));
}

fn both() -> (String, String) {
    ("both".to_owned(), "both".to_owned())
}
