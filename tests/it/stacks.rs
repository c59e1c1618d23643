//! Python stacks on demand: by a signal, by `py-tracebacker`; again and again, and under load.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Load, Packet, Server, uwring_only};

fn stacks_of(path: &std::path::Path) -> String {
    let mut text = String::new();
    let mut socket = UnixStream::connect(path).expect("the tracebacker's socket");
    socket.set_read_timeout(Some(crate::support::PATIENCE)).expect("a timeout");
    socket.read_to_string(&mut text).expect("stacks");
    text
}

/// The line of a stack that shows this code: the application may still be on its way there.
fn stack_line(path: &std::path::Path, code: &str) -> String {
    let began = Instant::now();
    loop {
        let text = stacks_of(path);
        assert!(text.starts_with("*** uWSGI Python tracebacker output ***"), "{text}");
        if let Some(line) = text.lines().find(|line| line.contains(code)) {
            return line.to_owned();
        }
        assert!(began.elapsed() < crate::support::PATIENCE, "{text}");
    }
}

#[test]
fn a_tracebacker_tells_the_stacks_of_all_threads() {
    let server = Server::app("wait").ini("threads = 2\npy-tracebacker = {dir}/tb").start();
    let gate = crate::support::Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    let line = stack_line(&server.path("tb1"), "open(environ[");
    for part in
        ["thread_id = ", "filename = ", "app.py", "lineno = 9", "function = application", "line = with open"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    gate.open();
    client.response("GET").expect(200);
}

#[test]
fn stacks_are_told_again_and_again_under_load() {
    if uwring_only("2.0 crashes on some versions of Python") {
        return;
    }
    stacks_are_told("virtualenv = {venv}", 100, Duration::ZERO);
}

/// So many times, a worker at a time, under load; the line that waits is told each time. `python` chooses which.
pub fn stacks_are_told(python: &str, times: usize, pause: Duration) {
    let server = Server::app("wait")
        .without("virtualenv")
        .processes(2)
        .ini(python)
        .ini("threads = 8\npy-tracebacker = {dir}/tb\ndisable-logging = true")
        .start();
    let gate = crate::support::Gate::new(server.path("gate"));
    let mut waiting: Vec<_> = (0..6).map(|_| server.send_to(&gate)).collect();
    server.log().wait_n(waiting.len(), |line| line.contains("waiting at")).expect("all at work");
    let load = Load::at_rate(&server, 4, 100, &Packet::get("/"));
    let workers = server.workers();
    // Who has some of them.
    let path = |n: usize| server.path(&format!("tb{}", 1 + n % 2));
    let waits = |text: &str| text.lines().filter(|line| line.contains("open(environ[")).count();
    while waits(&stacks_of(&path(0))) + waits(&stacks_of(&path(1))) < waiting.len() {}
    let had = [waits(&stacks_of(&path(0))), waits(&stacks_of(&path(1)))];
    for n in 0..times {
        let begun = Instant::now();
        let text = stacks_of(&path(n));
        assert!(text.starts_with("*** uWSGI Python tracebacker output ***"), "{text}");
        assert_eq!(waits(&text), had[n % 2], "round {n}: {text}");
        kill(Pid::from_raw(workers[n % 2]), Signal::SIGUSR2).expect("signal our worker");
        // The pace is the point; nothing happens that could be waited for.
        std::thread::park_timeout(pause.saturating_sub(begun.elapsed()));
    }
    let served = load.finish();
    assert_eq!(served.failed, 0, "{python}: of {}", served.requests());
    gate.open_for_all();
    waiting.iter_mut().for_each(|client| drop(client.response("GET").expect(200)));
    assert!(server.log().lines().iter().all(|line| !line.contains("DAMN")));
    assert_eq!(server.workers(), workers);
}

#[test]
fn usr2_tells_what_a_worker_is_doing() {
    if uwring_only("the stack is that of the server's own code") {
        return;
    }
    let server = Server::app("late").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/sleep").var("QUERY_STRING", "2").var("REQUEST_URI", "/sleep?2").bytes());
    let (log, worker) = (server.log(), Pid::from_raw(server.workers()[0]));
    // What it works on is told at once, the stacks a moment later: the first signals may come before the request.
    let told = |text: &str| log.count(|line| line.contains(text)) > 0;
    let (request, place) =
        ("[core 0] managing request 127.0.0.1 - GET /sleep?2 since ", "line = time.sleep(seconds)");
    let mut asked = 0;
    while !(told(request) && told(place)) {
        kill(worker, Signal::SIGUSR2).expect("signal our worker");
        asked += 1;
        assert!(log.wait_n(asked, |line| line.contains("Python tracebacker output ***")).is_some());
    }
    client.response("GET").expect(200);
}
