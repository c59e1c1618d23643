//! Requests that take too long: who is told, who is ended, and that nobody else notices.

use std::time::{Duration, Instant};

use crate::support::{Connection, Packet, Response, Server, ServerBuilder, uwring_only};

fn late(options: &str) -> ServerBuilder {
    Server::app("late").ini(options)
}

fn ask(server: &Server, what: &str) -> Connection {
    let (path, query) = what.split_once('?').unwrap_or((what, ""));
    let mut client = server.socket().connect();
    let packet = Packet::get(path).var("QUERY_STRING", query).var("REQUEST_URI", what);
    client.send(packet.bytes());
    client
}

fn serves(server: &Server) -> String {
    ask(server, "/").response("GET").expect(200).text()
}

fn status(answer: &Response) -> u16 {
    answer.status_line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status")
}

#[test]
fn a_late_request_is_told_504_and_its_worker_goes_on() {
    if uwring_only("harakiri kills the worker") {
        return;
    }
    for threads in [1, 3] {
        // Asleep, at work, and in a thread that is not the main one: where it lands is the scheduler's choice.
        for what in ["/sleep?60", "/loop?60"] {
            let server =
                late(&format!("harakiri = 1\nthreads = {threads}\nharakiri-graceful-timeout = 60")).start();
            if threads > 1 && what.starts_with("/sleep") {
                continue;
            }
            let pid = serves(&server);
            let began = Instant::now();
            let mut client = ask(&server, what);
            client.response("GET").expect(504);
            // The server counts in whole milliseconds.
            assert!(began.elapsed() >= Duration::from_millis(990), "too early");
            let log = server.log();
            log.wait_for("*** HARAKIRI ON WORKER 1 (pid: ");
            log.wait_for(&format!("- GET {what} since "));
            log.wait_for(", answered 504");
            log.wait_for(&format!(
                ", in {}",
                what.trim_start_matches('/').split('?').next().expect("a name")
            ));
            log.wait_for("HARAKIRI triggered by worker 1 core ");
            // It is ended by an exception that the log shows too, and the worker lives.
            log.wait_for("uwsgi.Harakiri");
            let answer = serves(&server);
            assert_eq!(answer.split(' ').next(), pid.split(' ').next());
            assert_eq!(log.count(|line| line.contains("HARAKIRI triggered")), 1);
        }
    }
}

#[test]
fn an_exception_that_is_swallowed_is_raised_again() {
    if uwring_only("harakiri kills the worker") {
        return;
    }
    let server = late("harakiri = 1\nharakiri-graceful-timeout = 60").start();
    ask(&server, "/swallow?60").response("GET").expect(504);
    assert!(server.log().wait_n(2, |line| line == "swallowed Harakiri").is_some());
    server.log().wait_for("uwsgi.Harakiri");
    serves(&server);
}

#[test]
fn the_other_threads_do_not_notice() {
    if uwring_only("harakiri kills the worker") {
        return;
    }
    let server = late("harakiri = 5\nthreads = 8\nharakiri-graceful-timeout = 1").start();
    let mut slow = ask(&server, "/deaf?60");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let others: Vec<_> = (0..7)
        .map(|_| {
            let (socket, stop) = (server.socket(), stop.clone());
            std::thread::spawn(move || {
                let mut served = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    socket.uwsgi(&Packet::get("/sleep").var("QUERY_STRING", "1")).expect(200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    slow.response("GET").expect(504);
    // Its thread is lost: the next worker comes, and only then this one goes.
    server.log().wait_for("did not come back in 1 s");
    server.log().wait_for("Respawned uWSGI worker 1 ");
    server.log().wait_for("has a successor that serves");
    server.log().wait_for("worker 1 buried after ");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for other in others {
        assert!(other.join().expect("no request failed") > 2);
    }
}

#[test]
fn a_held_interpreter_lock_costs_its_worker_alone() {
    if uwring_only("clients get no answer") {
        return;
    }
    let server = late(
        "harakiri = 1\nharakiri-graceful-timeout = 1\nthreads = 2\nharakiri-verbose = true\nprocesses = 2",
    )
    .start();
    let mut slow = ask(&server, "/hold?60");
    slow.response("GET").expect(504);
    let log = server.log();
    log.wait_for("no Python stack: something holds the interpreter lock");
    log.wait_for("in the kernel: syscall ");
    log.wait_for("and nobody gets the interpreter lock");
    assert!(log.wait_n(1, |line| line.starts_with("Respawned uWSGI worker ")).is_some());
    assert!(log.wait_n(1, |line| line.contains(" buried after ")).is_some());
    for _ in 0..8 {
        serves(&server);
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn what_waits_for_a_lost_worker_is_told_503() {
    if uwring_only("clients get no answer") {
        return;
    }
    let server = late("harakiri = 1\nharakiri-graceful-timeout = 1").start();
    let mut slow = ask(&server, "/hold?60");
    server.log().wait_for("spawned uWSGI worker 1");
    let mut waiting: Vec<_> = (0..3).map(|_| ask(&server, "/")).collect();
    slow.response("GET").expect(504);
    for client in &mut waiting {
        // Those it had taken in; the kernel's queue is the successor's.
        let answer = client.response("GET");
        assert!([200, 503].contains(&status(&answer)), "{answer:?}");
    }
    assert!(server.log().wait_n(1, |line| line.starts_with("Respawned uWSGI worker ")).is_some());
    while status(&ask(&server, "/").response("GET")) != 200 {}
}

#[test]
fn a_stopped_worker_is_killed_and_stops_nobody() {
    if uwring_only("it takes the master's time") {
        return;
    }
    // Long enough to find and stop it before, also on a busy machine.
    let server = late("harakiri = 3\nharakiri-graceful-timeout = 1").processes(2).start();
    let mut client = ask(&server, "/sleep?60");
    // When its thread has it: before that it has no deadline, and the worker is only one that stands still.
    let busy = loop {
        let told = crate::requests::requests(&server, &[]);
        if let Some(busy) = told["in_flight"][0]["pid"].as_i64() {
            break busy;
        }
    };
    let pid = nix::unistd::Pid::from_raw(i32::try_from(busy).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).expect("stop our worker");
    let answers: Vec<_> = (0..20).map(|_| serves(&server)).collect();
    assert!(answers.iter().all(|answer| !answer.starts_with(&busy.to_string())), "{answers:?}");
    server.log().wait_for(&format!("(pid: {busy}, try: 2, graceful: no)"));
    server.log().wait_for(&format!("(pid: {busy}) died, killed by signal 9"));
    server.log().wait_for("died in this request: [core 0] ");
    assert_eq!(client.rest_or_reset(), b"");
}

#[test]
fn an_answer_that_has_begun_is_broken_off() {
    if uwring_only("harakiri kills the worker") {
        return;
    }
    let server = late("harakiri = 1").start();
    let mut client = ask(&server, "/body?60");
    client.head();
    assert_eq!(client.rest_or_reset(), b"begun");
    server.log().wait_for("connection closed: the answer had begun");
    serves(&server);
}

#[test]
fn waiting_and_uploading_do_not_count() {
    if uwring_only("an upload counts") {
        return;
    }
    // One thread: the second waits for the first, which is not late itself.
    let server = late("harakiri = 3").http().start();
    let mut clients: Vec<_> = (0..3).map(|_| ask(&server, "/sleep?2")).collect();
    let mut upload = server.http();
    upload.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 4\r\n\r\nab");
    for client in &mut clients {
        client.response("GET").expect(200);
    }
    // More than harakiri has passed since its first byte.
    upload.send("cd");
    upload.response("POST").expect(200);
    assert_eq!(server.log().count(|line| line.contains("HARAKIRI")), 0);
}

#[test]
fn an_application_sets_a_deadline_of_its_own() {
    let server = late("harakiri-graceful-timeout = 60")
        .uwsgi_needs("harakiri = 60")
        .without("harakiri-graceful-timeout");
    let server = server.start();
    serves(&server);
    ask(&server, "/spared?2").response("GET").expect(200);
    let mut client = ask(&server, "/mine?60");
    if crate::support::target() == crate::support::Target::Uwsgi {
        assert_eq!(client.rest_or_reset(), b"");
    } else {
        client.response("GET").expect(504);
    }
    server.log().wait_for("HARAKIRI ON WORKER 1");
    serves(&server);
}

#[test]
fn the_log_and_the_count_say_504() {
    if uwring_only("no answer, no line") {
        return;
    }
    let told = "harakiri-graceful-signal = 14";
    let server = late("harakiri = 1\nharakiri-graceful-timeout = 60").ini(told).start();
    ask(&server, "/sleep?60").response("GET").expect(504);
    server.log().wait_for("told by SIGALRM");
    server.log().wait_for(" GET /sleep?60 => generated 0 bytes in ");
    assert!(
        server
            .log()
            .wait_n(1, |line| line.contains("(HTTP/1.1 504)") || line.contains("/1.0 504)"))
            .is_some()
    );
}

#[test]
fn a_rule_gives_requests_more_or_less_time() {
    if uwring_only("harakiri kills the worker") {
        return;
    }
    let server = late("harakiri = 1\nroute = ^/sleep harakiri:60\nroute = ^/loop harakiri:1").start();
    ask(&server, "/sleep?2").response("GET").expect(200);
    let server = late("route = ^/loop harakiri:1").start();
    ask(&server, "/loop?60").response("GET").expect(504);
    serves(&server);
}

#[test]
fn late_requests_that_hold_up_nobody_may_go_on() {
    if uwring_only("harakiri kills the worker; the option is of 2.0.22") {
        return;
    }
    let server = late("harakiri = 1\nharakiri-queue-threshold = 2\nthreads = 2").start();
    let mut long = ask(&server, "/sleep?60");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        serves(&server);
    }
    assert_eq!(server.log().count(|line| line.contains("HARAKIRI")), 0);
    // The other thread, and two for whom none is left.
    let mut others: Vec<_> = (0..3).map(|_| ask(&server, "/sleep?60")).collect();
    long.response("GET").expect(504);
    drop(others.pop());
    server.signal(nix::sys::signal::Signal::SIGINT);
}
