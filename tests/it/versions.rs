//! Reload, late requests, stacks and deaths under load on other versions of CPython, with and without preloading (P5, P7,
//! P8, P9).

use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Load, Packet, Server, app, parent_of, skipped, uwring_only};

/// The oldest one and a new one of a version manager's.
const VERSIONS: [&str; 2] = ["3.9.", "3.13."];

/// A version manager's interpreters of these versions.
pub fn interpreters(versions: &[&str]) -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let entries = std::fs::read_dir(home.join(".pyenv/versions")).into_iter().flatten().flatten();
    entries
        .filter(|entry| versions.iter().any(|wanted| entry.file_name().to_string_lossy().starts_with(wanted)))
        .map(|entry| entry.path().join("bin/python"))
        .filter(|python| python.exists())
        .collect()
}

fn lives_through_it(python: &str, lazy: bool) {
    let about = format!("{python}, lazy-apps = {lazy}");
    // The module of the uWSGI project's that this application needs not be there: it asks for `uwsgi` only.
    let server = Server::bare()
        .without("virtualenv")
        .ini(&format!("wsgi-file = {}/app.py\nsocket = {{dir}}/app.sock", app("late").display()))
        .ini(&format!("python = {python}\nlazy-apps = {lazy}\nharakiri = 1\ndisable-logging = true"))
        .processes(2)
        .start();
    let load = Load::on(&server, 2);
    let late = Packet::get("/sleep").var("QUERY_STRING", "60");
    assert_eq!(server.socket().uwsgi(&late).status(), 504, "{about}");
    for _ in 0..3 {
        let shown = server.ctl(&["dump"]);
        assert_eq!(shown.status.code(), Some(0), "{about}: {shown:?}");
    }
    assert_eq!(server.ctl(&["reload", "--wait"]).status.code(), Some(0), "{about}");
    let (answers, failed) = load.end();
    assert_eq!(failed, 0, "{about}: {answers:?}");
    // Idle now: nobody has a request in a process that dies.
    let generation = server.status();
    let pid = generation["workers"].as_array().expect("workers").iter().find_map(|worker| {
        (worker["generation"] == 2).then(|| i32::try_from(worker["pid"].as_i64()?).ok()).flatten()
    });
    let worker = pid.expect("a worker of the second generation");
    for (signal, pid) in [(Signal::SIGSEGV, parent_of(worker)), (Signal::SIGSEGV, worker)] {
        kill(Pid::from_raw(pid), signal).expect("our process");
    }
    assert!(server.log().wait_n(1, |line| line.starts_with("Respawned uWSGI worker ")).is_some(), "{about}");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.stop().code(), Some(0), "{about}");
}

#[test]
fn other_versions_reload_and_lose_no_request() {
    if uwring_only("it is built for one version") {
        return;
    }
    let found = interpreters(&VERSIONS);
    if found.is_empty() {
        return skipped("no other CPython is installed here");
    }
    for python in found {
        for lazy in [false, true] {
            lives_through_it(&python.display().to_string(), lazy);
        }
    }
}
