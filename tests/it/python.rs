//! The interpreter the application finds itself in: virtual environment, paths, environment, children, loaders.

use crate::support::{Packet, Server, has, uwring_only, venv};

fn seen(server: &Server) -> serde_json::Value {
    server.socket().uwsgi(&Packet::get("/")).expect(200).json()
}

#[test]
fn virtualenv_is_the_applications() {
    if !has(&["venv"]) {
        return;
    }
    for name in ["virtualenv", "venv", "home", "pyhome"] {
        let server =
            Server::app("interpreter").without("virtualenv").ini(&format!("{name} = {{venv}}")).start();
        let seen = seen(&server);
        let venv = venv().display().to_string();
        assert_eq!(seen["prefix"], venv, "{name}");
        assert!(
            seen["flask"].as_str().is_some_and(|file| file.starts_with(&venv)),
            "{name}: {}",
            seen["flask"]
        );
    }
}

#[test]
fn executable_is_the_environments_python() {
    if uwring_only("sys.executable is the server's binary") || !has(&["venv"]) {
        return;
    }
    let server = Server::app("interpreter").start();
    assert_eq!(seen(&server)["executable"], venv().join("bin/python").display().to_string());
}

#[test]
fn children_of_the_application_run() {
    if uwring_only("sys.executable is the server's binary") || !has(&["venv"]) {
        return;
    }
    for ini in ["", "threads = 2"] {
        let server = Server::app("children").ini(ini).start();
        for (how, expected) in
            [("subprocess", serde_json::json!("True")), ("fork", 49.into()), ("spawn", 49.into())]
        {
            let response = server.socket().uwsgi(&Packet::get("/").var("QUERY_STRING", how)).expect(200);
            assert_eq!(response.json(), expected, "{how} {ini}");
        }
        assert_eq!(server.stop().code(), Some(0));
    }
}

#[test]
fn missing_virtualenv_is_told() {
    let server = Server::app("hello").without("virtualenv").ini("virtualenv = {dir}/nowhere").launch();
    assert!(!server.process.expect_end().success());
    server.log().wait_end();
    server.log().wait_for("nowhere");
}

#[test]
fn arguments_paths_and_environment_are_given() {
    let server = Server::app("interpreter")
        .ini("pyargv = one two\npythonpath = {dir}/first\npp = {dir}/second\nchdir = {dir}")
        .ini("env = COLOUR=green\nenv = EMPTY=\nunenv = GONE")
        .env("GONE", "not yet")
        .start();
    let seen = seen(&server);
    let folder = server.folder.path().display().to_string();
    assert_eq!(seen["argv"], serde_json::json!(["uwsgi", "one", "two"]));
    assert_eq!(seen["colour"], "green");
    assert_eq!(seen["gone"], serde_json::Value::Null);
    assert_eq!(seen["cwd"], folder);
    let path: Vec<&str> =
        seen["path"].as_array().expect("sys.path").iter().filter_map(|p| p.as_str()).collect();
    let of = |name: &str| path.iter().position(|p| *p == format!("{folder}/{name}"));
    assert_eq!((of("second"), of("first")), (Some(0), Some(1)), "{path:?}");
    assert!(path.contains(&"."), "{path:?}");
    assert_eq!(seen["stdin"], "");
}

#[test]
fn file_knows_its_name_and_path() {
    let server = Server::app("interpreter").start();
    let seen = seen(&server);
    let file = crate::support::app("interpreter").join("app.py").display().to_string();
    assert_eq!(seen["file"], file);
    let name = format!("uwsgi_file_{}", file.trim_end_matches(".py").replace(['/', '.'], "_"));
    assert_eq!(seen["name"], name);
}

#[test]
fn callable_is_found_by_every_loader() {
    let loaders = [
        ("wsgi-file = {apps}/factory/app.py\ncallable = site", "site"),
        ("file = {apps}/factory/app.py\ncallable = site", "site"),
        ("pythonpath = {apps}/factory\nmodule = app:site", "site"),
        ("pythonpath = {apps}/factory\nmodule = app\ncallable = site", "site"),
        ("chdir = {apps}/factory\nwsgi = app:site", "site"),
        ("chdir = {apps}/factory\nmodule = app:create_app()", "made"),
        ("chdir = {apps}/factory\nmount = /=app:site", "site"),
    ];
    for (ini, expected) in loaders {
        let server = Server::app("factory").without("wsgi-file").ini(ini).start();
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), expected, "{ini}");
    }
}

#[test]
fn source_in_the_configuration_is_an_application() {
    const SOURCE: &str = "application = lambda e, s: (s('200 OK', []), [__name__.encode()])[1]";
    let named = SOURCE.replace("application =", "site =");
    // The last one counts.
    for ini in [
        &format!("eval = {SOURCE}"),
        &format!("eval = {named}\ncallable = site"),
        &format!("eval = 1\neval = {SOURCE}"),
    ] {
        let server = Server::bare().ini("socket = {dir}/app.sock").ini(ini).start();
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "uwsgi_eval_config", "{ini}");
    }
    for (source, says) in
        [("this is no Python", "SyntaxError"), ("x = 1", "unable to load app 0 (mountpoint='')")]
    {
        let server = Server::bare().ini(&format!("socket = {{dir}}/app.sock\neval = {source}")).launch();
        assert_eq!(server.process.expect_end().code(), Some(22), "{source}");
        server.log().wait_for(says);
    }
}
