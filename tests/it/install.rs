//! The server where packages put it: which plugin, which interpreter, which decorators it finds there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Packet, Server, program, root, uwring_only};

const PLUGIN: &str = "libuwring_python.so";

/// A folder on the file system of the build, so that its files can be linked into it.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a temporary folder")
}

/// A virtual environment without packages, with the server in it as its wheel lays it down.
fn environment(at: &Path) -> PathBuf {
    let venv = at.join("venv");
    let made = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&venv).status();
    assert!(made.expect("python3 runs").success());
    let library = venv.join("lib/uwring");
    std::fs::create_dir_all(&library).expect("made");
    let built = program();
    std::fs::hard_link(&built, venv.join("bin/uwring")).expect("linked");
    std::fs::hard_link(built.with_file_name(PLUGIN), library.join(PLUGIN)).expect("linked");
    venv
}

#[test]
fn in_a_virtual_environment_it_serves_with_that() {
    if uwring_only("its interpreter is a plugin of the distribution") {
        return;
    }
    let folder = folder();
    let venv = environment(folder.path());
    let code = "import sys, uwsgidecorators\ndef application(environ, start_response):\n    \
                start_response('200 OK', [])\n    return [(sys.prefix + ' ' + uwsgidecorators.__spec__.origin).encode()]\n";
    std::fs::write(folder.path().join("app.py"), code).expect("write an application");
    // A package of that name goes before the built-in module, and is not overwritten by it.
    std::fs::write(folder.path().join("uwsgidecorators.py"), "").expect("written");
    let expected = format!("{} {}", venv.display(), folder.path().join("uwsgidecorators.py").display());
    let server = Server::bare()
        .folder(folder)
        .program(venv.join("bin/uwring"))
        .ini("wsgi-file = app.py\npythonpath = {dir}\nsocket = {dir}/app.sock")
        .without("virtualenv")
        .start();
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), expected);
}

/// What `uwring` by itself says it does.
#[test]
fn an_application_is_also_found_by_its_short_name() {
    if uwring_only("it is `application` or nothing") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let code =
        "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'the app']\n";
    std::fs::write(folder.path().join("app.py"), code).expect("write an application");
    let server = Server::bare().folder(folder).ini("socket = {dir}/app.sock").args(&["{dir}/app.py"]).start();
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "the app");
}

#[test]
fn without_its_other_half_it_says_where_that_belongs() {
    if uwring_only("it has no other half") {
        return;
    }
    let folder = folder();
    let alone = folder.path().join("bin/uwring");
    std::fs::create_dir(folder.path().join("bin")).expect("made");
    std::fs::hard_link(program(), &alone).expect("linked");
    let output = Command::new(&alone).args(["--socket", ":0", "--module", "app"]).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr);
    let bin = alone.parent().expect("a folder").display();
    let expected = format!("{PLUGIN} not found (looked in {bin}, {bin}/../lib/uwring; ");
    assert!(error.contains(&expected) && error.trim_end().ends_with("[UWR-E023]"), "{error}");
    assert_eq!(output.status.code(), Some(1));
    // The line is explained as it stands.
    for words in [error.trim_end(), "UWR-E023", "e023", "not found (looked in"] {
        let output = Command::new(&alone).args(["explain", words]).output().expect("it runs");
        let explained = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            explained.contains("docs/install.md"),
            words != "not found (looked in",
            "{words}: {explained}"
        );
        assert_eq!(output.status.success(), words != "not found (looked in", "{words}");
    }
}

#[test]
fn decorators_are_built_in() {
    if uwring_only("they are a package of their own") {
        return;
    }
    let server = Server::app("decorated_builtin").without("virtualenv").processes(2).start();
    server.log().wait_n(2, |line| line.starts_with("postfork of all in ")).expect("both workers");
    server.log().wait_for("postfork of 2 in 2");
    let seen = server.socket().uwsgi(&Packet::get("/")).expect(200).json();
    assert_eq!(seen["module"], "<uwring>");
    assert_eq!(seen["locked"], serde_json::json!([true, false]));
    assert_eq!(seen["thread"], "done elsewhere");
    assert_eq!(seen["spool"], "uwsgidecorators.spool needs uwsgi.spool, which this server does not offer");
    server.log().wait_n(2, |line| line.starts_with("ticked in ")).expect("a timer of all workers");
    assert_eq!(seen["mules"], "no mules");
}

#[test]
fn a_command_says_how_it_is_used() {
    if uwring_only("its other commands are other programs") {
        return;
    }
    for (argv, usage) in [
        (vec!["ctl", "--help"], "Usage: uwring ctl [OPTIONS]"),
        (vec!["ctl", "reload", "--help"], "Usage: uwring ctl reload [OPTIONS]"),
        (vec!["top", "--help"], "Usage: uwring top [OPTIONS]"),
    ] {
        let output = Command::new(program()).args(&argv).output().expect("it starts");
        assert!(String::from_utf8_lossy(&output.stdout).contains(usage), "{argv:?}: {output:?}");
    }
}

/// And without colours, since this is no terminal.
#[test]
fn without_arguments_it_says_what_it_can_do() {
    if uwring_only("it waits for requests that nobody can send") {
        return;
    }
    let output = Command::new(program()).env_clear().output().expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.starts_with("uwring serves Python applications.\n") && text.lines().count() <= 24, "{text}");
    for word in ["uwring --http :8080 app.py", "uwring check ", "uwring explain ", "uwring --help"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    assert!(!text.contains('\x1b') && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn a_reader_may_have_had_enough() {
    if uwring_only("its help is shorter") {
        return;
    }
    for argv in [vec!["--help"], vec!["options"], vec!["explain"], vec!["man"]] {
        let mut command = Command::new(program());
        let mut child =
            command.args(&argv).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success() && output.stderr.is_empty(), "{argv:?}: {output:?}");
    }
}

/// `packaging/wheel/uwsgi-stubs` names what the module has, all of it and nothing else.
#[test]
fn the_types_are_those_of_the_module() {
    if uwring_only("it ships no types") {
        return;
    }
    let stubs = root().join("packaging/wheel/uwsgi-stubs/__init__.pyi").display().to_string();
    let server = Server::app("decorated_builtin").without("virtualenv").env("STUBS", &stubs).start();
    let seen = server.socket().uwsgi(&Packet::get("/types")).expect(200).json();
    assert_eq!(seen, serde_json::json!({"only in the types": [], "only in the module": []}));
}
