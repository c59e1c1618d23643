//! More clients than the server can take at once: they wait, and none is refused, or longer than it must.

use std::process::Command;

use crate::support::{Connection, Gate, Nginx, Packet, Server, Target, has, target};

/// nginx in front of 4 processes × 2 threads, kernel defaults, no `listen`: uWSGI's backlog of 100 overflows.
#[test]
fn thousand_clients_at_once_are_all_served() {
    if !has(&["nginx", "ab", "venv"]) {
        return;
    }
    let requests = std::env::var("UWRING_OVERLOAD_REQUESTS").unwrap_or_else(|_| "10000".to_owned());
    let server = Server::bare()
        .ini("chdir = {root}/examples/django\nmodule = mysite.wsgi:application\nsocket = {dir}/app.sock")
        .ini("processes = 4\nthreads = 2\ndisable-logging = true\nenv = MYSITE_DATA={dir}")
        .start();
    let nginx = Nginx::uwsgi_pass(&server.socket());
    let nginx = if target() == Target::Uwsgi { nginx.allow_errors() } else { nginx };
    let url = format!("http://{}/hello", nginx.v4);
    // ab opens a descriptor for each client.
    let command = format!("ulimit -n $(ulimit -H -n) && exec ab -q -r -s 120 -n {requests} -c 1000 {url}");
    let output = Command::new("sh").args(["-c", &command]).output().expect("run ab");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    let number = |name: &str| -> u64 {
        let line = report.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().last()).map_or(0, |n| n.parse().expect("a number"))
    };
    let failed = number("Failed requests:") + number("Non-2xx responses:");
    if target() == Target::Uwsgi {
        crate::support::note(&format!("uWSGI failed {failed} of {requests}"));
        return;
    }
    assert_eq!(number("Complete requests:").to_string(), requests, "{report}");
    assert_eq!(failed, 0, "{report}");
}

/// So many requests of one worker, begun while a first one waits.
fn crowd(server: &Server, gate: &Gate, packets: &[Packet]) -> (Connection, Vec<Connection>) {
    let first = server.in_flight(gate);
    let ask = |packet: &Packet| {
        let mut client = server.socket().connect();
        client.send(packet.bytes());
        client
    };
    let clients: Vec<Connection> = packets.iter().map(ask).collect();
    if target() == Target::Uwring {
        while server.status()["workers"][0]["in_flight"] != 1 + packets.len() {
            std::thread::yield_now();
        }
    }
    (first, clients)
}

/// What an application of many pieces, or of a file, sends: `LARGE` in tests/apps/lingers.
fn large() -> Vec<u8> {
    (0..160).flat_map(|_| 0..250).collect()
}

/// Answers to a crowd go out several at a time; one that is complete does not wait for what its application still does.
#[test]
fn an_answer_to_one_of_many_does_not_wait_for_its_close() {
    let server = Server::app("lingers").start();
    let (gate, close) = (Gate::new(server.path("gate")), Gate::new(server.path("close")));
    let mut packets = vec![Packet::get("/close").var("QUERY_STRING", close.query())];
    packets.resize_with(13, || Packet::get("/"));
    let (mut first, mut clients) = crowd(&server, &gate, &packets);
    gate.open();
    assert_eq!(first.response("GET").expect(200).text(), "done");
    // Its close() waits for what comes behind.
    clients[0].head();
    assert_eq!(clients[0].exactly(4), b"done");
    close.open();
    for client in &mut clients[1..] {
        assert_eq!(client.response("GET").expect(200).text(), "done");
    }
}

/// Neither does a piece wait for the next one; and whatever was held back, all of it comes in order.
#[test]
fn answers_to_a_crowd_in_pieces_and_from_files_come_in_order() {
    let server = Server::app("lingers").start();
    let (gate, pause) = (Gate::new(server.path("gate")), Gate::new(server.path("pause")));
    let mut packets: Vec<Packet> = ["/file", "/pieces"].iter().map(|path| Packet::get(path)).collect();
    packets.push(Packet::get("/pause").var("QUERY_STRING", pause.query()));
    packets.extend(["/file", "/pieces"].iter().map(|path| Packet::get(path)));
    packets.resize_with(16, || Packet::get("/"));
    let (mut first, mut clients) = crowd(&server, &gate, &packets);
    gate.open();
    assert_eq!(first.response("GET").expect(200).text(), "done");
    clients[2].head();
    assert_eq!(clients[2].exactly(4), b"done");
    pause.open();
    let (file, in_pieces) = (large(), [b"done", large().as_slice(), b"end"].concat());
    let rest = clients[2].rest();
    assert!(rest == in_pieces[4..], "{} bytes behind the pause", rest.len());
    for (index, body) in [(0, &file), (1, &in_pieces), (3, &file), (4, &in_pieces)] {
        let answer = clients[index].response("GET").expect(200).body;
        assert!(answer == *body, "{index}: {} bytes", answer.len());
    }
    for client in &mut clients[5..] {
        assert_eq!(client.response("GET").expect(200).text(), "done");
    }
}
