//! Clients on connections that stay, which an interpreter thread may wait for all by itself: each gets its own answers, whatever
//! the others do, and nobody waits for one whose request takes its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::lone::{ROW, Row, body, by_packet, in_turn, kept, said};
use crate::support::{Connection, Gate, Packet, Server, uwring_only};

const WHY: &str = "http-socket keeps no connection, and http11-socket waits for its one client";

/// Some who ask all the time, on a connection each, and look at the answers.
fn rows_of(server: &Server, clients: usize) -> Vec<Row> {
    let row = |_| {
        let mut client = server.tcp(0).connect();
        Row::new(move |n| ask(&mut client, &format!("/other/{n}"), n))
    };
    (0..clients).map(row).collect()
}

/// Each of them was answered all the time.
#[track_caller]
fn end_all(rows: Vec<Row>) {
    rows.into_iter().for_each(|row| assert!(row.end() > ROW));
}

/// Number `n` of a row: each third has a body.
#[track_caller]
fn ask(client: &mut Connection, path: &str, n: usize) {
    let body = if n.is_multiple_of(3) { body(n) } else { Vec::new() };
    ask_with(client, path, &body);
}

#[track_caller]
fn ask_with(client: &mut Connection, path: &str, body: &[u8]) {
    let method = if body.is_empty() { "GET" } else { "POST" };
    assert_eq!(kept(client, path, body).expect(200).text(), said(method, path, body));
}

#[test]
fn each_of_several_gets_his_own_answers_and_their_lines() {
    if uwring_only(WHY) {
        return;
    }
    // Few, as many as are too many where requests take their time, and too many.
    for clients in [2, 7, 12, 40] {
        let server = in_turn().start();
        std::thread::scope(|scope| {
            for client in 0..clients {
                let mut connection = server.tcp(0).connect();
                scope.spawn(move || {
                    (0..ROW).for_each(|n| ask(&mut connection, &format!("/{client}/{n}"), n));
                });
            }
        });
        assert_eq!(server.stop().code(), Some(0));
        server.log().wait_end();
        for client in 0..clients {
            for n in 0..ROW {
                let path = format!(" /{client}/{n} ");
                let lines = server.log().count(|line| line.contains(&path));
                assert_eq!(lines, 1, "{path}\n{}", server.log().text());
            }
        }
    }
}

#[test]
fn an_end_at_once_leaves_no_line_out() {
    if uwring_only(WHY) {
        return;
    }
    for _ in 0..3 {
        let server = in_turn().start();
        let mut clients: Vec<Connection> = (0..4).map(|_| server.tcp(0).connect()).collect();
        for n in 0..ROW {
            clients.iter_mut().for_each(|client| ask(client, "/last", n));
        }
        server.signal(nix::sys::signal::Signal::SIGINT);
        server.process.expect_end();
        server.log().wait_end();
        assert_eq!(server.log().count(|line| line.contains(" /last ")), 4 * ROW, "{}", server.log().text());
    }
}

/// Anything after a row, alone or in company.
fn anything(company: usize) {
    let server = in_turn().ini("buffer-size = 8192\nlimit-post = 300000").start();
    let others = rows_of(&server, company);
    let mut client = server.tcp(0).connect();
    let row = |client: &mut Connection, name: &str| {
        (0..ROW).for_each(|n| ask_with(client, &format!("/{name}/{n}"), &body(n)));
    };
    row(&mut client, "first");
    // A head that comes in pieces: whoever waits has seen the first before the second is sent.
    client.send("GET /pieces HT");
    by_packet(&server.socket(), 1);
    client.send("TP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.response("GET").expect(200).text(), said("GET", "/pieces", b""));
    row(&mut client, "second");
    // A body likewise, and one that is larger than what is received at a time.
    client.send("POST /late HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc");
    by_packet(&server.socket(), 2);
    client.send("def");
    assert_eq!(client.response("POST").expect(200).text(), said("POST", "/late", b"abcdef"));
    row(&mut client, "third");
    ask_with(&mut client, "/large", &vec![b'x'; 300_000]);
    row(&mut client, "fourth");
    // Several at once, and a long head.
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "y".repeat(3_000));
    client.send([one("/a"), one("/b"), one("/c")].concat());
    for path in ["/a", "/b", "/c"] {
        assert_eq!(client.response("GET").expect(200).text(), said("GET", path, b""));
    }
    row(&mut client, "fifth");
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.response("GET").status(), 400);
    assert!(client.is_closed());
    let mut client = server.tcp(0).connect();
    row(&mut client, "sixth");
    client.send([head("/longer", 300_001).as_bytes(), &vec![b'x'; 300_001]].concat());
    assert_eq!(client.response("POST").status(), 413);
    end_all(others);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_connection_that_stays_may_bring_anything_after_a_row() {
    if uwring_only(WHY) {
        return;
    }
    for company in [0, 3] {
        anything(company);
    }
}

#[test]
fn requests_in_two_parts_are_served_beside_each_other() {
    if uwring_only(WHY) {
        return;
    }
    let server = in_turn().ini("disable-logging = true").start();
    let in_parts = || {
        let mut client = server.tcp(0).connect();
        Row::new(move |n| {
            let path = format!("/parts/{n}");
            client.send(format!("GET {path} HTTP/1.1\r\nHost: te"));
            // The second one may come after the first was told of, and before it is received.
            client.send("st\r\n\r\n");
            assert_eq!(client.response("GET").expect(200).text(), said("GET", &path, b""));
        })
    };
    let clients: Vec<Row> = (0..4).map(|_| in_parts()).collect();
    (0..20).for_each(|_| clients.iter().for_each(Row::go_on));
    end_all(clients);
    assert_eq!(server.stop().code(), Some(0));
}

/// The head of a request with a body of so many bytes.
fn head(path: &str, bytes: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {bytes}\r\n\r\n")
}

#[test]
fn bodies_of_any_size_come_whole_beside_each_other() {
    if uwring_only(WHY) {
        return;
    }
    /// Around what is received with the head, and what always goes into memory.
    const SIZES: [usize; 8] = [1, 700, 4_000, 4_096, 9_000, 300, 65_536, 65_537];
    let server = in_turn().ini("disable-logging = true").start();
    let with_bodies = |client: usize| {
        let mut connection = server.tcp(0).connect();
        Row::new(move |n| {
            // Now and then one that needs room for itself, or more than there is.
            let size = if n % 40 == 39 { (1 << 20) + n % 80 / 40 } else { SIZES[(n + client) % SIZES.len()] };
            ask_with(
                &mut connection,
                &format!("/{client}/{n}"),
                &vec![u8::try_from(n % 90).expect("small"); size],
            );
        })
    };
    let clients: Vec<Row> = (0..5).map(with_bodies).collect();
    (0..2).for_each(|_| clients.iter().for_each(Row::go_on));
    end_all(clients);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_body_that_comes_in_parts_holds_up_nobody_and_is_not_lost() {
    if uwring_only(WHY) {
        return;
    }
    let server = in_turn().ini("disable-logging = true").start();
    let others = rows_of(&server, 2);
    let mut client = server.tcp(0).connect();
    let mut slow = server.tcp(0).connect();
    let body = vec![b'x'; 30_000];
    for n in 0..12 {
        (0..ROW).for_each(|n| ask(&mut client, "/row", n));
        client.send([head("/parts", body.len()).as_bytes(), &body[..10_000]].concat());
        others.iter().for_each(Row::go_on);
        if n % 3 == 2 {
            // While the application is busy for so long, all are taken back.
            assert_eq!(
                kept(&mut slow, "/sleep/0.05", b"").expect(200).text(),
                said("GET", "/sleep/0.05", b"")
            );
        }
        client.send(&body[10_000..20_000]);
        others.iter().for_each(Row::go_on);
        client.send(&body[20_000..]);
        assert_eq!(client.response("POST").expect(200).text(), said("POST", "/parts", &body));
        // Two at once, and the end of a line behind: what follows a body is another's.
        let one = [head("/two", 5_000).as_bytes(), &body[..5_000]].concat();
        client.send([&one[..], &one[..], &b"\r\n"[..]].concat());
        for _ in 0..2 {
            assert_eq!(client.response("POST").expect(200).text(), said("POST", "/two", &body[..5_000]));
        }
        client.send("POST /told HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
        assert_eq!(client.response("POST").status(), 100);
        client.send("abc");
        assert_eq!(client.response("POST").expect(200).text(), said("POST", "/told", b"abc"));
    }
    // The end, while a body is on its way.
    (0..ROW).for_each(|n| ask(&mut client, "/row", n));
    client.send([head("/end", body.len()).as_bytes(), &body[..10_000]].concat());
    others.iter().for_each(Row::go_on);
    end_all(others);
    drop(client);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn who_goes_away_is_forgotten_while_others_go_on() {
    if uwring_only(WHY) {
        return;
    }
    let server = in_turn().ini("disable-logging = true\nmax-connections = 8").start();
    let others = rows_of(&server, 3);
    // Many more than there may be at a time: each leaves a place to the next.
    for n in 0..100 {
        let mut client = server.tcp(0).connect();
        (0..8).for_each(|n| ask(&mut client, "/guest", n));
        match n % 3 {
            0 => {
                client.finish_sending();
                assert!(client.is_closed());
            }
            1 => client.send("POST /gone HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nhalf"),
            _ => {}
        }
    }
    end_all(others);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn who_asks_no_more_is_told_when_his_time_is_over_while_others_go_on() {
    if uwring_only(WHY) {
        return;
    }
    let server = in_turn().ini("disable-logging = true\nhttp-keepalive = 2").start();
    let others = rows_of(&server, 2);
    let mut client = server.tcp(0).connect();
    (0..ROW).for_each(|n| ask(&mut client, "/", n));
    assert!(client.is_closed());
    end_all(others);
}

#[test]
fn those_beside_a_slow_request_are_served_by_another_worker() {
    if uwring_only(WHY) {
        return;
    }
    let server = Server::app("wait").http().ini("disable-logging = true").processes(2).start();
    let gate = Gate::new(server.path("gate"));
    let asks = || {
        let mut client = server.tcp(0).connect();
        Row::new(move |_| drop(kept(&mut client, "/", b"").expect(200)))
    };
    let others: Vec<Row> = (0..6).map(|_| asks()).collect();
    let mut slow = server.tcp(0).connect();
    (0..ROW).for_each(|_| drop(kept(&mut slow, "/", b"").expect(200)));
    slow.send(format!("GET /?{} HTTP/1.1\r\nHost: test\r\n\r\n", gate.query()));
    server.log().wait_for("waiting at");
    // Some of them are in the circle of the worker that waits.
    others.iter().for_each(Row::go_on);
    gate.open();
    slow.response("GET").expect(200);
    (0..ROW).for_each(|_| drop(kept(&mut slow, "/", b"").expect(200)));
    end_all(others);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_late_one_is_told_and_the_others_go_on() {
    if uwring_only(WHY) {
        return;
    }
    let server = in_turn().ini("harakiri = 1\nharakiri-graceful-timeout = 60").start();
    let before = server.workers();
    let others = rows_of(&server, 3);
    let mut client = server.tcp(0).connect();
    (0..ROW).for_each(|n| ask(&mut client, "/", n));
    assert_eq!(kept(&mut client, "/sleep/60", b"").status(), 504);
    assert!(client.is_closed());
    others.iter().for_each(Row::go_on);
    end_all(others);
    assert_eq!(server.workers(), before);
}

#[test]
fn new_clients_are_served_beside_those_who_ask_all_the_time() {
    if uwring_only(WHY) {
        return;
    }
    let server = in_turn().ini("disable-logging = true").start();
    let others = rows_of(&server, 3);
    for n in 0..ROW {
        let path = format!("/new/{n}");
        assert_eq!(server.tcp(0).get(&path).expect(200).text(), said("GET", &path, b""));
        assert_eq!(server.socket().uwsgi(&Packet::get(&path)).expect(200).text(), said("GET", &path, b""));
    }
    end_all(others);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_circle_goes_on_over_reloads() {
    if uwring_only("it resets clients while it reloads") {
        return;
    }
    let server = in_turn().processes(2).start();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (to, over) = (server.tcp(0), Arc::clone(&over));
            std::thread::spawn(move || {
                let mut connection = to.connect();
                let mut asked = 0;
                while !over.load(Ordering::Relaxed) {
                    let path = format!("/{client}/{asked}");
                    let sent = connection.try_send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
                    // A connection that stays may end before it has brought another request: then that is sent anew.
                    if sent.is_err() || connection.is_closed() {
                        connection = to.connect();
                        continue;
                    }
                    let answer = connection.response("GET").expect(200);
                    assert_eq!(answer.text(), said("GET", &path, b""));
                    asked += 1;
                    if answer.header("connection") == Some("close") {
                        connection = to.connect();
                    }
                }
                asked
            })
        })
        .collect();
    for generation in 2..=4 {
        server.reload_until(|| server.workers().len() >= generation * 2);
    }
    over.store(true, Ordering::Relaxed);
    let asked: Vec<usize> = clients.into_iter().map(|client| client.join().expect("right answers")).collect();
    assert_eq!(server.stop().code(), Some(0));
    server.log().wait_end();
    for (client, asked) in asked.into_iter().enumerate() {
        let lines = server.log().count(|line| line.contains(&format!("GET /{client}/")));
        assert_eq!(lines, asked, "each was served once\n{}", server.log().text());
    }
}
