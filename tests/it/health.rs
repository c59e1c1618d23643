//! `/-/live`, `/-/ready`, `/-/startup` and HAProxy's agent check: answered whatever the application does.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::{Address, Gate, PATIENCE, Packet, Server, ServerBuilder, uwring_only};

const PATHS: [&str; 3] = ["/-/live", "/-/ready", "/-/startup"];

fn looked_at(builder: ServerBuilder) -> Option<ServerBuilder> {
    if uwring_only("it has no health checks") {
        return None;
    }
    Some(builder.ini("metrics = {dir}/metrics.sock\nagent-check = {dir}/agent.sock"))
}

fn statuses(server: &Server) -> [u16; 3] {
    PATHS.map(|path| Address::Unix(server.path("metrics.sock")).get(path).status())
}

fn agent(server: &Server) -> String {
    let mut text = String::new();
    UnixStream::connect(server.path("agent.sock")).expect("connect").read_to_string(&mut text).expect("read");
    text
}

/// Looks again and again until it is so.
#[track_caller]
fn until<T: PartialEq + std::fmt::Debug>(look: impl Fn() -> T, wanted: &T) {
    let begun = Instant::now();
    loop {
        let seen = look();
        if seen == *wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:?}, never {wanted:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_server_that_starts_is_not_ready_and_one_that_stops_no_longer() {
    let Some(builder) = looked_at(Server::bare().ini("wsgi-file = {dir}/app.py\nsocket = {dir}/app.sock"))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (loading, serving) = (Gate::new(folder.path().join("loading")), folder.path().join("serving"));
    let gate = Gate::new(serving.clone());
    let code = format!(
        "open({:?}).read()\ndef application(environ, start_response):\n    \
         print('waiting at', open({:?}).read(), flush=True)\n    start_response('200 OK', [])\n    return []\n",
        loading.query(),
        serving.display()
    );
    std::fs::write(folder.path().join("app.py"), code).expect("write the application");
    let server = builder.folder(folder).launch();
    server.log().wait_for("[uwring] HAProxy's agent check on ");
    until(|| (statuses(&server), agent(&server)), &([200, 503, 503], "down #starting\n".to_owned()));
    loading.open();
    until(|| (statuses(&server), agent(&server)), &([200, 200, 200], "ready up 100%\n".to_owned()));
    let mut client = server.socket().connect();
    client.send(Packet::get("/").bytes());
    until(|| server.status()["workers"][0]["in_flight"].as_i64(), &Some(1));
    server.signal(Signal::SIGTERM);
    until(|| (statuses(&server), agent(&server)), &([200, 503, 200], "drain\n".to_owned()));
    gate.open();
    client.response("GET").expect(200);
    assert_eq!(server.process.expect_end().code(), Some(0));
}

#[test]
fn a_server_whose_workers_are_stuck_is_not_live() {
    let Some(builder) = looked_at(Server::app("wait").ini("health-timeout = 1")) else { return };
    let server = builder.start();
    until(|| statuses(&server), &[200; 3]);
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    until(
        || (statuses(&server), agent(&server)),
        &([503, 503, 200], "down #all 1 workers are stuck\n".to_owned()),
    );
    let said = Address::Unix(server.path("metrics.sock")).get("/-/live").text();
    assert_eq!(said, "all 1 workers are stuck\n");
    gate.open();
    client.response("GET").expect(200);
    until(|| statuses(&server), &[200; 3]);
}

#[test]
fn a_paused_server_is_drained() {
    let Some(builder) = looked_at(Server::app("hello")) else { return };
    let server = builder.start();
    server.signal(Signal::SIGTSTP);
    until(|| (statuses(&server), agent(&server)), &([200, 503, 200], "drain\n".to_owned()));
    server.signal(Signal::SIGTSTP);
    until(|| (statuses(&server), agent(&server)), &([200; 3], "ready up 100%\n".to_owned()));
}

#[test]
fn request_sockets_answer_where_it_is_wanted_only() {
    let Some(builder) = looked_at(Server::app("environ").http()) else { return };
    let server = builder.start();
    // The application's own path.
    assert!(server.get("/-/ready").expect(200).text().contains("PATH_INFO"));

    let Some(builder) = looked_at(Server::app("wait").http().ini("health-checks = true")) else { return };
    let server = builder.start();
    until(|| statuses(&server), &[200; 3]);
    let gate = Gate::new(server.path("gate"));
    // The interpreter is taken: the ring thread answers.
    let mut client = server.in_flight(&gate);
    for path in PATHS {
        assert_eq!(server.get(path).expect(200).text(), "ok\n");
        server.socket().uwsgi(&Packet::get(path)).expect(200);
    }
    server.signal(Signal::SIGTSTP);
    until(|| statuses(&server), &[200, 503, 200]);
    server.signal(Signal::SIGTSTP);
    until(|| server.get("/-/ready").status(), &200);
    gate.open();
    client.response("GET").expect(200);
    assert!(!server.log().text().contains("/-/ready"), "health checks are not logged");
}
