//! A worker alone on the open Internet: clients that are slow, many, rude or gone, and what they cannot take from the
//! others. What is refused has a status, a line in the log and no way to the application.

use std::time::{Duration, Instant};

use crate::support::{
    Address, Connection, Gate, PATIENCE, Packet, Server, descriptors_for, held, note, program, uwring_only,
};

/// Of the large answers of `tests/apps/limits`.
const SIZE: usize = 50_000_000;
const GET: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// Serves `tests/apps/limits` over HTTP, with these options.
fn serve(ini: &str) -> Server {
    Server::app("limits").without("socket").http().ini(ini).start()
}

/// A request on a connection that stays.
#[track_caller]
fn get(client: &mut Connection, path: &str) -> crate::support::Response {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    client.response("GET")
}

/// Tries until it holds.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "not yet: {what}");
    }
}

/// Serves others until the worker has no more descriptors than that.
#[track_caller]
fn back_to(server: &Server, before: usize) {
    until("connections are closed", || {
        server.get("/").expect(200);
        held(server.workers()[0]).descriptors <= before
    });
}

/// Calls of the application so far.
fn calls(server: &Server) -> usize {
    server.log().count(|line| line.starts_with("called "))
}

/// Requests that are refused before their end has come: name, bytes, status, what the log says.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    ("no request", "\x16\x03\x01\x02\x01\x01", "400", ""),
    ("no Host", "GET / HTTP/1.1\r\n\r\n", "400", "Host"),
    ("a long head", "GET / HTTP/1.1\r\nHost: test\r\nX: {long}", "431", "buffer-size"),
    ("an unknown coding", "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip\r\n\r\n", "501", ""),
    ("HTTP/3", "GET / HTTP/3.0\r\nHost: test\r\n\r\n", "505", ""),
    (
        "a large body",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1001\r\n\r\n",
        "413",
        "limit-post 1000",
    ),
    (
        "large chunks",
        "POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n{long}",
        "413",
        "limit-post 1000",
    ),
    ("half a head", "GET / HTTP/1.1\r\nHo", "408", "header-timeout"),
    (
        "half a body",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc",
        "408",
        "socket-timeout",
    ),
];

#[test]
fn every_refusal_has_a_status_and_a_line_and_no_call() {
    if uwring_only("closes without an answer, or believes what it gets") {
        return;
    }
    let server = serve("limit-post = 1000\nheader-timeout = 1\nsocket-timeout = 1\nbuffer-size = 1024");
    let long = "x".repeat(2000);
    for (name, request, status, reason) in REFUSED {
        let before = server.log().count(|line| line.contains("refused a request"));
        let mut client = server.http();
        client.send(request.replace("{long}", &long));
        let answer = client.response("GET");
        assert_eq!(answer.status().to_string(), *status, "{name}: {answer:?}");
        assert_eq!(answer.header("Connection"), Some("close"), "{name}");
        assert!(client.rest().is_empty(), "{name}");
        let lines = server.log().wait_n(before + 1, |line| line.contains("refused a request"));
        let lines = lines.unwrap_or_else(|| panic!("{name}: no line"));
        assert_eq!(lines.len(), before + 1, "{name}: one line");
        let line = &lines[before];
        assert!(line.contains("from 127.0.0.1 on 127.0.0.1:"), "{name}: {line}");
        assert!(line.ends_with(&format!("({status})")) && line.contains(reason), "{name}: {line}");
    }
    assert_eq!(calls(&server), 0);
    server.get("/").expect(200);
    until("the call is in the log", || calls(&server) == 1);
    let fives = REFUSED.iter().filter(|(_, _, status, _)| status.starts_with('5')).count();
    assert_eq!(counted(&server), [REFUSED.len() - fives, fives, 0]);
}

/// Refusals as `uwring ctl` tells them: 4xx, 5xx, and without an answer.
fn counted(server: &Server) -> [usize; 3] {
    let pid = server.process.pid.to_string();
    let words = ["ctl", "--pid", &pid, "--json", "status"];
    let output = std::process::Command::new(program()).args(words).output().expect("run uwring ctl");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    ["refused_4xx", "refused_5xx", "refused_unanswered"].map(|counter| {
        let count = status["workers"][0][counter].as_u64().unwrap_or_else(|| panic!("{counter}: {status}"));
        usize::try_from(count).expect("a few")
    })
}

#[test]
fn a_refused_packet_is_closed_and_logged() {
    if uwring_only("says nothing") {
        return;
    }
    let server = Server::app("limits").ini("header-timeout = 1").start();
    let packet = Packet::get("/").bytes();
    for bytes in [&[0, 4, 0, 0, 200, 0, b'a', b'b'][..], &packet[..packet.len() - 1]] {
        let before = server.log().count(|line| line.contains("refused a request"));
        let mut client = server.socket().connect();
        client.send(bytes);
        client.rest_or_reset();
        let lines = server.log().wait_n(before + 1, |line| line.contains("refused a request"));
        let line = lines.expect("a line").pop().expect("just come");
        assert!(line.contains("from a unix socket on "), "{line}");
    }
    assert_eq!(calls(&server), 0);
    assert_eq!(counted(&server).iter().sum::<usize>(), 2);
}

#[test]
fn a_flood_of_refusals_is_a_few_lines_and_a_number() {
    if uwring_only("has no such lines") {
        return;
    }
    let server = serve("");
    let flood = 300;
    for _ in 0..flood {
        let mut client = server.http();
        client.send("GET / HTTP/9.9\r\n\r\n");
        client.response("GET").expect(505);
    }
    // Every refusal is in a line of its own or in a number: also the last ones, with nobody coming after them.
    let told = |lines: &[String]| -> usize {
        let numbers =
            lines.iter().filter_map(|line| line.strip_prefix("[uwring] ")?.split_once(" more refusals"));
        numbers.map(|(number, _)| number.parse::<usize>().expect("a number")).sum::<usize>()
            + lines.iter().filter(|line| line.contains("refused a request")).count()
    };
    let about = |line: &str| line.contains("refus");
    let started = Instant::now();
    while told(&server.log().lines()) < flood {
        assert!(started.elapsed() < PATIENCE, "{}", server.log().text());
        let seen = server.log().count(about);
        server.log().wait_n(seen + 1, about);
    }
    assert_eq!(told(&server.log().lines()), flood);
    assert!(server.log().count(about) < flood / 2, "{}", server.log().text());
}

#[test]
fn an_upload_that_crawls_is_given_up() {
    if uwring_only("reads for as long as some byte comes") {
        return;
    }
    let server = serve("socket-timeout = 1\nbody-min-rate = 1000000");
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        let mut client = server.http();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\n{framing}\r\n\r\n"));
        // Some byte comes all the time, so that no single wait is long.
        let byte = if framing.starts_with('C') { "x" } else { "1\r\nx\r\n" };
        while !client.has_bytes_within(Duration::from_millis(20)) {
            client.send(byte);
        }
        client.response("POST").expect(408);
    }
    server.log().wait_for("body-min-rate");
    assert_eq!(calls(&server), 0);
}

#[test]
fn an_upload_that_is_refused_early_is_not_read_to_its_end() {
    if uwring_only("does not read chunks") {
        return;
    }
    let server = serve("limit-post = 100000");
    let mut client = server.http();
    client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    // No end is ever sent: the answer comes as soon as it is too much.
    let sent = (1..).find(|_| {
        client.send(&chunk);
        client.has_bytes_within(Duration::from_millis(20))
    });
    client.response("POST").expect(413);
    assert!(sent.is_some_and(|n| n >= 100_000 / 0x4000));
    // Within the limit, in memory and in a file.
    for len in [50_000, 100_000] {
        let mut client = server.http();
        let body = "x".repeat(len);
        client.send(format!("POST /length HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n{body}\r\n0\r\n\r\n"));
        assert_eq!(client.response("POST").expect(200).text(), len.to_string());
    }
}

#[test]
fn a_connection_ends_after_its_requests() {
    if uwring_only("keeps no connection") {
        return;
    }
    for (ini, requests) in [("keepalive-requests = 3", 3), ("http-keepalive = 0", 1)] {
        let server = serve(ini);
        let mut client = server.http();
        for n in 1..=requests {
            let answer = get(&mut client, "/").expect(200);
            let close = answer.header("Connection") == Some("close");
            assert_eq!(close, n == requests, "{ini}: request {n}: {answer:?}");
        }
        assert!(client.rest().is_empty(), "{ini}");
    }
}

#[test]
fn the_last_answer_arrives_although_more_was_asked() {
    if uwring_only("keeps no connection") {
        return;
    }
    let server = serve("keepalive-requests = 2");
    let mut client = server.http();
    // More than is received at once: some is still unread when the connection ends.
    client.send(GET.repeat(20_000));
    get_two(&mut client);
    assert!(client.rest().is_empty(), "an orderly end, not a reset");
    // The log's lines may come later than the answers.
    assert!(server.log().wait_n(2, |line| line.starts_with("called ")).is_some());
    until("both are in the log", || calls(&server) == 2);
}

#[track_caller]
fn get_two(client: &mut Connection) {
    for last in [false, true] {
        let answer = client.response("GET").expect(200);
        assert_eq!(answer.header("Connection") == Some("close"), last, "{answer:?}");
    }
}

#[test]
fn a_full_worker_closes_who_was_idle_longest() {
    if uwring_only("a worker holds one connection") {
        return;
    }
    let server = serve("max-connections = 32");
    let mut clients: Vec<_> = (0..32).map(|_| server.http()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        get(client, "/").expect(200);
        if n == 1 {
            // Milliseconds count: nothing comes.
            client.has_bytes_within(Duration::from_millis(10));
        }
    }
    server.get("/").expect(200);
    assert!(clients[0].is_closed(), "the first two have been idle for the longest time");
    get(&mut clients[31], "/").expect(200);
    server.log().wait_for("all 32 connections of worker 1 are in use");
}

#[test]
fn heads_that_do_not_end_give_way_when_all_connections_are_taken() {
    if uwring_only("a worker holds one connection") {
        return;
    }
    let server = serve("max-connections = 32\nheader-timeout = 600");
    let mut clients: Vec<_> = (0..32).map(|_| server.http()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost");
    }
    server.get("/").expect(200);
    server.log().wait_for("all 32 connections of worker 1 are in use");
}

#[test]
fn a_full_queue_is_answered_at_once() {
    if uwring_only("requests wait in the backlog") {
        return;
    }
    for (ini, says) in [
        ("request-queue-size = 2", "request-queue-size"),
        ("request-queue-timeout = 1", "request-queue-timeout"),
    ] {
        let server = Server::app("wait").http().ini(ini).start();
        let gate = Gate::new(server.path("gate"));
        let mut first = server.http();
        first.send(format!("GET /?{} HTTP/1.1\r\nHost: test\r\n\r\n", gate.query()));
        server.log().wait_for("waiting at");
        // They are on one connection each, and answered in any order.
        let mut others: Vec<_> = (0..5).map(|_| server.http()).collect();
        others.iter_mut().for_each(|client| client.send(GET));
        let refusals = if says.ends_with("size") { 3 } else { 5 };
        server
            .log()
            .wait_n(refusals, |line| line.contains(says) && line.ends_with("(503)"))
            .expect("refusals");
        gate.open();
        first.response("GET").expect(200);
        let answers: Vec<_> = others.iter_mut().map(|client| client.response("GET")).collect();
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 503).collect();
        assert_eq!(refused.len(), refusals, "{ini}");
        assert!(refused.iter().all(|answer| answer.header("Retry-After") == Some("1")), "{refused:?}");
        assert_eq!(answers.iter().filter(|answer| answer.status() == 200).count(), 5 - refusals, "{ini}");
        get(&mut server.http(), "/").expect(200);
    }
}

#[test]
fn several_workers_refuse_when_all_their_queues_are_full() {
    if uwring_only("requests wait in the backlog") {
        return;
    }
    let server = Server::app("wait").http().processes(2).ini("request-queue-size = 1").start();
    let gate = Gate::new(server.path("gate"));
    let waiting = format!("GET /?{} HTTP/1.1\r\nHost: test\r\n\r\n", gate.query());
    // One after the other: a worker that idles may take several connections before it hears what they want.
    let mut clients = Vec::new();
    for n in 1..=8 {
        let mut client = server.http();
        client.send(&waiting);
        clients.push(client);
        if n <= 2 {
            server.log().wait_n(n, |line| line.starts_with("waiting at")).expect("both workers are busy");
        }
    }
    // Two run, two wait; nobody else is left in the dark.
    server.log().wait_n(4, |line| line.ends_with("(503)")).expect("the others are refused");
    let answered = |server: &Server| server.log().count(|line| line.starts_with("waiting at"));
    assert_eq!(answered(&server), 2);
    gate.open_for_all();
    let statuses: Vec<_> = clients.iter_mut().map(|client| client.response("GET").status()).collect();
    assert_eq!(statuses.iter().filter(|&&status| status == 503).count(), 4, "{statuses:?}");
}

#[test]
fn no_descriptor_left_costs_an_idle_client_its_connection() {
    if uwring_only("keeps no connection") {
        return;
    }
    let server = serve("");
    let gate = Gate::new(server.path("gate"));
    let mut idle = server.http();
    get(&mut idle, &format!("/lower?{}", gate.query())).expect(200);
    // Accepts that are under way already know of the old limit.
    let mut clients: Vec<_> = (0..40).map(|_| server.http()).collect();
    for client in &mut clients {
        get(client, "/").expect(200);
    }
    assert!(idle.is_closed());
    gate.open();
    server.get("/").expect(200);
}

#[test]
fn no_descriptor_left_is_said_once_and_nobody_is_lost() {
    if uwring_only("accept errors are repeated in the log") {
        return;
    }
    let server = serve("");
    let gate = Gate::new(server.path("gate"));
    get(&mut server.http(), &format!("/lower-far?{}", gate.query())).expect(200);
    let mut clients: Vec<_> = (0..40).map(|_| server.http()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    server.log().wait_for("Too many open files");
    // A few pauses later.
    let last = clients.last_mut().expect("40");
    assert!(!last.has_bytes_within(Duration::from_millis(500)));
    assert_eq!(server.log().count(|line| line.contains("Too many open files")), 1, "{}", server.log().text());
    gate.open();
    for client in &mut clients {
        client.response("GET").expect(200);
    }
}

#[test]
fn a_body_that_finds_no_descriptor_is_refused_and_a_file_is_sent_all_the_same() {
    if uwring_only("closes without an answer") {
        return;
    }
    let server = serve("");
    let gate = Gate::new(server.path("gate"));
    let mut client = server.http();
    get(&mut client, &format!("/lower-far?{}", gate.query())).expect(200);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1200000\r\n\r\n{}",
        "x".repeat(100_000)
    ));
    client.response("POST").expect(503);
    server.log().wait_for("no room for the body");
    gate.open();
    server.log().wait_for("descriptors again");
    let gate = Gate::new(server.path("gate2"));
    let mut client = server.http();
    let answer = get(&mut client, &format!("/lower-file?{}", gate.query())).expect(200);
    assert_eq!(answer.body.len(), 300_000);
    gate.open();
}

#[test]
fn slow_uploads_do_not_take_the_buffers_of_others() {
    // uWSGI's one thread is taken by the first of them.
    if uwring_only("a slow upload holds its thread") {
        return;
    }
    // More than there are pooled buffers in a worker.
    let Some(many) = descriptors_for(1_100) else { return };
    let server = serve("");
    let slow: Vec<_> = (0..many)
        .map(|_| {
            let mut client = server.http();
            client.send("POST /length HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\nx");
            client
        })
        .collect();
    server.get("/").expect(200);
    for mut client in slow.into_iter().step_by(100) {
        client.send("y".repeat(999));
        assert_eq!(client.response("POST").expect(200).text(), "1000");
    }
}

#[test]
fn a_client_that_has_said_all_still_reads_its_answers() {
    let server = serve("");
    for path in ["/", "/pieces", "/large", "/large-file"] {
        let mut client = server.http();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        client.finish_sending();
        let answer = client.response("GET").expect(200);
        assert!(answer.body.len() > 3, "{path}");
    }
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let mut client = server.http();
    client.send(GET.repeat(50));
    client.finish_sending();
    for _ in 0..50 {
        client.response("GET").expect(200);
    }
    assert!(client.rest().is_empty());
}

#[test]
fn requests_behind_an_answer_nobody_reads_are_kept_in_order() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let server = serve("threads = 2");
    let mut client = server.http();
    client.send("GET /large HTTP/1.1\r\nHost: test\r\n\r\n");
    // They come while the large answer is on its way, in pieces of all kinds.
    let behind = "GET /length HTTP/1.1\r\nHost: test\r\n\r\n".repeat(200);
    for piece in behind.as_bytes().chunks(37) {
        client.send(piece);
    }
    server.get("/").expect(200);
    assert_eq!(client.response("GET").expect(200).body.len(), SIZE);
    for _ in 0..200 {
        assert_eq!(client.response("GET").expect(200).text(), "0");
    }
}

#[test]
fn a_client_that_does_not_read_is_given_up_and_the_thread_is_free() {
    let server = serve("socket-timeout = 1");
    server.get("/").expect(200);
    for path in ["/large", "/large-file"] {
        let before = held(server.workers()[0]).descriptors;
        let mut rude = server.http();
        rude.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
        rude.exactly(1);
        // The one thread waits for the other client to read, and is free again.
        server.get("/").expect(200);
        back_to(&server, before);
        assert!(rude.rest_or_reset().len() < SIZE, "{path}");
    }
}

#[test]
fn answers_nobody_reads_do_not_fill_the_memory() {
    if uwring_only("one client that does not read holds a thread") {
        return;
    }
    let Some(many) = descriptors_for(900) else { return };
    let server = Server::app("limits")
        .without("socket")
        .ini("http-socket = {dir}/http.sock\ndisable-logging = true\nsocket-timeout = 0")
        .start();
    let address = Address::Unix(server.path("http.sock"));
    address.get("/page").expect(200);
    let before = held(server.workers()[0]).descriptors;
    // Each leaves the worker with what the socket does not take, more than half a megabyte: 450 MB in all, if nothing is
    // done.
    let rude: Vec<_> = (0..many)
        .map(|_| {
            let mut client = address.connect();
            client.send("GET /page HTTP/1.1\r\nHost: test\r\n\r\n");
            client
        })
        .collect();
    // What stays is 64 MiB.
    let most = 64 * 1024 * 1024 / 500_000 + 2;
    if many > most {
        server.log().wait_for("of answers that clients do not read: closed ");
    }
    until("most are closed", || {
        assert_eq!(address.get("/page").expect(200).body.len(), 1_000_000);
        held(server.workers()[0]).descriptors <= before + most
    });
    drop(rude);
}

#[test]
fn a_client_that_reads_slowly_gets_everything() {
    // uWSGI's clock starts again with each piece as well.
    let server = serve("socket-timeout = 2\nthreads = 3");
    let mut clients: Vec<_> = ["/large", "/large-file"]
        .map(|path| {
            let mut client = server.http();
            client.set_receive_buffer(64 * 1024);
            client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
            client.head();
            (client, 0usize)
        })
        .into();
    let begun = Instant::now();
    // Longer than the timeout, and always a little.
    while begun.elapsed() < Duration::from_secs(5) {
        for (client, read) in &mut clients {
            *read += client.some().len();
        }
        server.http().has_bytes_within(Duration::from_millis(2));
    }
    for (mut client, read) in clients {
        assert!(read < SIZE, "too fast to tell");
        assert_eq!(read + client.rest().len(), SIZE);
    }
}

#[test]
fn resets_at_every_point_leave_nothing_behind() {
    let server = serve("disable-logging = true\nheader-timeout = 1\nsocket-timeout = 1");
    let pid = server.workers()[0];
    let requests = [
        "GET /large HTTP/1.1\r\nHost: test\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 200000\r\n\r\n",
        GET,
    ];
    server.get("/").expect(200);
    let before = held(pid).descriptors;
    for n in 0..2_000 {
        let request = requests[n % 3];
        let mut client = server.http();
        // The server may be faster than we are.
        let _ = client.try_send(&request[..n % (request.len() + 1)]);
        client.reset();
    }
    back_to(&server, before);
    assert_eq!(server.workers().len(), 1, "the worker was replaced");
}

/// 10,000 idle clients and 2,000 that drip their heads: fewer where descriptors are few.
#[test]
fn idle_and_dripping_clients_cost_little_and_hold_up_nobody() {
    if uwring_only("one idle client holds a thread") {
        return;
    }
    let Some(many) = descriptors_for(12_000) else { return };
    let (idle, dripping) = (many - many / 6, many / 6);
    let server = serve("disable-logging = true\nheader-timeout = 120");
    let pid = server.workers()[0];
    server.get("/").expect(200);
    // Every buffer of the pool has been in use once: they are of the worker, not of its connections.
    let mut first = server.http();
    (0..2_000).for_each(|_| drop(get(&mut first, "/").expect(200)));
    let before = held(pid).kilobytes;
    let clients: Vec<_> = (0..idle)
        .map(|_| {
            let mut client = server.http();
            get(&mut client, "/").expect(200);
            client
        })
        .collect();
    let with_idle = held(pid).kilobytes;
    let bytes = |kilobytes: usize, n: usize| kilobytes * 1024 / n;
    let each = bytes(with_idle.saturating_sub(before), idle);
    let head = "GET / HTTP/1.1\r\nHost: test\r\nX-Slow: loris\r\n";
    let mut drips: Vec<_> = (0..dripping).map(|_| server.http()).collect();
    for n in 0..head.len() {
        for drip in &mut drips {
            drip.send(&head[n..=n]);
        }
        server.get("/").expect(200);
    }
    let with_drips = held(pid).kilobytes;
    let dripped = bytes(with_drips.saturating_sub(with_idle), dripping);
    note(&format!(
        "{each} bytes for each of {idle} idle clients, {dripped} for each of {dripping} dripping ones"
    ));
    assert!(each <= 1024, "{each} bytes an idle connection: {before} kB → {with_idle} kB");
    // Buffers of the pool that are touched for the first time now, because many clients drip in one turn of a loaded
    // worker, are counted with the connections.
    let most = 8192;
    assert!(dripped <= most, "{dripped} bytes a dripping connection");
    for drip in &mut drips {
        drip.send("\r\n");
        drip.response("GET").expect(200);
    }
    drop(clients);
}

/// Bodies of up to a mebibyte are kept in memory, 16 of that size in a worker; what is larger, or one too many, in files.
#[test]
fn bodies_beyond_the_memory_for_them_are_kept_in_files() {
    if uwring_only("it reads bodies from their connections") {
        return;
    }
    let server = Server::app("digest").http().start();
    let links = |pid: i32| std::fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").flatten();
    let files = || {
        let targets = links(server.workers()[0]).filter_map(|link| std::fs::read_link(link.path()).ok());
        let targets = targets.map(|target| target.to_string_lossy().into_owned());
        targets.filter(|target| target.ends_with(" (deleted)") && !target.contains("memfd:")).count()
    };
    assert_eq!(files(), 0);
    let begin = |len: usize| {
        let mut client = server.http();
        client.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {len}\r\n\r\n"));
        client.send(vec![b'x'; len / 2]);
        (client, len)
    };
    let lengths = std::iter::repeat_n(1 << 20, 17).chain([(1 << 20) + 1]);
    let mut clients: Vec<_> = lengths.map(begin).collect();
    until("two of them are in files", || files() == 2);
    server.get("/").expect(200);
    assert_eq!(files(), 2, "all others are not");
    for (client, len) in &mut clients {
        client.send(vec![b'x'; *len - *len / 2]);
        let answer = client.response("POST").expect(200).text();
        assert!(answer.starts_with(&format!("{len} ")), "{answer}");
    }
    until("the files are gone", || files() == 0);
    let (again, _) = begin(1 << 20);
    server.get("/").expect(200);
    assert_eq!(files(), 0, "there is memory again");
    drop(again);
}

#[test]
fn a_client_that_was_refused_and_stays_is_closed_and_holds_up_no_end() {
    if uwring_only("it closes at once, and the answer may be lost") {
        return;
    }
    let server = serve("");
    // A worker that is still beginning has fewer.
    server.get("/").expect(200);
    let before = held(server.workers()[0]).descriptors;
    let mut rude = server.http();
    rude.send("nonsense\r\n\r\n");
    assert_eq!(rude.response("GET").status(), 400);
    // It does not close: after two seconds the server does, long before its patience with a client that does not read ends.
    back_to(&server, before);
    let mut rude = server.http();
    rude.send("nonsense\r\n\r\n");
    assert_eq!(rude.response("GET").status(), 400);
    let begun = Instant::now();
    assert_eq!(server.stop().code(), Some(0));
    assert!(begun.elapsed() < PATIENCE / 2, "it waited for the mercy's end");
}
