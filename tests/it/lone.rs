//! Requests that come one after the other, which a worker may serve by a shorter way: each gets its own answer, is counted
//! and logged, and nobody else waits for the one who asks all the time. (Those of several, on connections that stay: `circle`.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use crate::support::{
    Address, Connection, Gate, Load, Packet, Response, Server, ServerBuilder, Target, target, uwring_only,
};

/// Enough for the shorter way to be taken.
pub const ROW: usize = 60;

pub fn in_turn() -> ServerBuilder {
    Server::app("in_turn").http()
}

/// What the application says of a request, as the client knows it.
pub fn said(method: &str, path: &str, body: &[u8]) -> String {
    let sum: usize = body.iter().map(|byte| usize::from(*byte)).sum();
    format!("{method} {path} 127.0.0.1 {} {sum}", body.len())
}

/// Number `n` of a row; it differs from the others in length, too.
pub fn body(n: usize) -> Vec<u8> {
    (0..n * 37 % 3_000).map(|at| u8::try_from((at + n) % 251).expect("small")).collect()
}

#[track_caller]
pub fn by_packet(to: &Address, n: usize) {
    let (path, body) = (format!("/packet/{n}"), body(n));
    let packet = if n.is_multiple_of(3) { Packet::get(&path).post(&body) } else { Packet::get(&path) };
    let expected = if n.is_multiple_of(3) { said("POST", &path, &body) } else { said("GET", &path, b"") };
    assert_eq!(to.uwsgi(&packet).expect(200).text(), expected);
}

#[track_caller]
fn by_http(to: &Address, n: usize) {
    let (path, body) = (format!("/http/{n}"), body(n));
    let (method, body) = if n.is_multiple_of(3) { ("POST", &body[..]) } else { ("GET", &[][..]) };
    let answer = to.request(method, &path, &[], body).expect(200);
    assert_eq!(answer.text(), said(method, &path, body));
}

/// The same on a connection that stays.
#[track_caller]
pub fn kept(client: &mut Connection, path: &str, body: &[u8]) -> Response {
    let method = if body.is_empty() { "GET" } else { "POST" };
    let head = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
    client.send([head.as_bytes(), body].concat());
    client.response(method)
}

/// Somebody who asks all the time until told to end; then, how often.
pub struct Row {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
    client: JoinHandle<()>,
}

impl Row {
    pub fn new(mut ask: impl FnMut(usize) + Send + 'static) -> Row {
        let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (until, count) = (Arc::clone(&over), Arc::clone(&asked));
        let client = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                ask(count.fetch_add(1, Ordering::Relaxed));
            }
        });
        let row = Row { over, asked, client };
        row.go_on();
        row
    }

    /// Until some more were answered.
    pub fn go_on(&self) {
        let until = self.asked.load(Ordering::Relaxed) + ROW;
        while self.asked.load(Ordering::Relaxed) < until {
            assert!(!self.client.is_finished(), "the client has given up");
            std::thread::yield_now();
        }
    }

    pub fn end(self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.client.join().expect("each answer was right");
        self.asked.load(Ordering::Relaxed)
    }
}

#[test]
fn each_of_a_row_gets_its_own_answer_and_its_line() {
    let server = in_turn().start();
    let (packets, http) = (server.socket(), server.tcp(0));
    for n in 0..ROW {
        by_packet(&packets, n);
    }
    for n in 0..ROW {
        by_http(&http, n);
    }
    // By turns, too.
    for n in ROW..2 * ROW {
        by_packet(&packets, n);
        by_http(&http, n);
    }
    // The last one's line is there, although the end comes at once.
    assert_eq!(server.stop().code(), Some(0));
    server.log().wait_end();
    for n in 0..2 * ROW {
        for path in [format!(" /packet/{n} "), format!(" /http/{n} ")] {
            assert_eq!(server.log().count(|line| line.contains(&path)), 1, "{path}\n{}", server.log().text());
        }
    }
}

#[test]
fn an_end_at_once_leaves_no_line_out() {
    for _ in 0..3 {
        let server = in_turn().start();
        let packets = server.socket();
        for n in 0..ROW {
            by_packet(&packets, n);
        }
        server.signal(nix::sys::signal::Signal::SIGINT);
        server.process.expect_end();
        server.log().wait_end();
        assert_eq!(server.log().count(|line| line.contains(" /packet/")), ROW, "{}", server.log().text());
    }
}

#[test]
fn who_says_nothing_or_goes_holds_up_nobody_in_a_row() {
    let server = in_turn().start();
    let (packets, http) = (server.socket(), server.tcp(0));
    for (to, ask) in [(&packets, by_packet as fn(&Address, usize)), (&http, by_http)] {
        for n in 0..ROW {
            ask(to, n);
        }
        // They come at the same door, and bring nothing.
        let silent: Vec<Connection> = (0..3).map(|_| to.connect()).collect();
        // uWSGI reads from one until it has waited for long enough.
        if target() == Target::Uwring {
            (0..ROW).for_each(|n| ask(to, n));
        }
        drop(silent);
        for n in 0..ROW {
            drop(to.connect());
            ask(to, n);
        }
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn who_comes_with_others_and_speaks_later_is_served_in_a_row() {
    let server = in_turn().ini("disable-logging = true").start();
    let http = server.tcp(0);
    // More than the requests for which such guests are no more waited for after a while.
    for round in 0..300 {
        let clients: Vec<_> = (0..8).map(|_| http.connect()).collect();
        for (n, mut client) in clients.into_iter().enumerate() {
            let path = format!("/late/{round}/{n}");
            client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
            assert_eq!(client.response("GET").expect(200).text(), said("GET", &path, b""));
            assert!(client.is_closed());
        }
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn who_sends_more_than_was_asked_for_gets_the_answer() {
    let server = Server::app("wait").without("socket").http().ini("socket = 127.0.0.1:0").start();
    let gate = Gate::new(server.path("gate"));
    let http = |query: &str| {
        let head = "HTTP/1.0\r\nHost: test\r\nContent-Length: 4";
        format!("POST /?{query} {head}\r\n\r\nbody").into_bytes()
    };
    let packet = |query: &str| Packet::get("/").var("QUERY_STRING", query).post(b"body").bytes();
    let mut begun = 0;
    for (number, request) in [&http as &dyn Fn(&str) -> Vec<u8>, &packet].into_iter().enumerate() {
        for row in [0, ROW, ROW] {
            for _ in 0..row {
                let mut client = server.tcp(number).connect();
                client.send(request(""));
                assert!(!client.rest().is_empty());
            }
            let mut client = server.tcp(number).connect();
            client.send(request(&gate.query()));
            begun += 1;
            server.log().wait_n(begun, |line| line.contains("waiting at"));
            // It is there before the answer is.
            client.send("\r\n");
            gate.open();
            let is_ours = target() == Target::Uwring;
            let answer = if is_ours { client.rest() } else { client.rest_or_reset() };
            // Over HTTP, where old clients do that, what comes behind a body is read: no reset destroys the answer.
            if is_ours && number == 0 {
                client.try_send("\r\n").expect("not reset");
            }
            let answer = String::from_utf8(answer).expect("text");
            assert!(answer.starts_with("HTTP/1.") && answer.contains(" 200 OK\r\n"), "{answer}");
        }
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_late_one_after_a_row_is_told_and_the_next_are_served() {
    if uwring_only("harakiri kills the worker") {
        return;
    }
    let server = in_turn().ini("harakiri = 1\nharakiri-graceful-timeout = 60").start();
    let (packets, mut client) = (server.socket(), server.tcp(0).connect());
    let before = server.workers();
    for n in 0..ROW {
        by_packet(&packets, n);
    }
    packets.uwsgi(&Packet::get("/sleep/60")).expect(504);
    for n in 0..ROW {
        by_packet(&packets, n);
        kept(&mut client, "/", b"").expect(200);
    }
    for _ in 0..ROW {
        kept(&mut client, "/", b"").expect(200);
    }
    assert_eq!(kept(&mut client, "/sleep/60", b"").status(), 504);
    assert!(client.is_closed());
    by_packet(&packets, 1);
    assert_eq!(server.workers(), before);
}

#[test]
fn others_are_served_while_one_asks_in_a_row() {
    let server = in_turn().start();
    let (packets, http) = (server.socket(), server.tcp(0));
    let one = packets.clone();
    let row = Row::new(move |n| by_packet(&one, n));
    for n in 0..ROW {
        by_http(&http, n);
        by_packet(&packets, n);
    }
    row.go_on();
    assert!(row.end() > ROW);
    let one = http.clone();
    let row = Row::new(move |n| by_http(&one, n));
    for n in 0..ROW {
        by_packet(&packets, n);
        by_http(&http, n);
    }
    row.go_on();
    assert!(row.end() > ROW);
    if target() == Target::Uwring {
        let mut client = http.connect();
        let row = Row::new(move |n| {
            let path = format!("/kept/{n}");
            assert_eq!(kept(&mut client, &path, b"").expect(200).text(), said("GET", &path, b""));
        });
        let mut other = http.connect();
        for n in 0..ROW {
            by_packet(&packets, n);
            by_http(&http, n);
            kept(&mut other, "/", b"").expect(200);
        }
        row.go_on();
        assert!(row.end() > ROW);
    }
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_row_goes_on_over_reloads() {
    if uwring_only("it resets clients while it reloads") {
        return;
    }
    for processes in [1, 2] {
        let server = Server::app("wait").ini("disable-logging = true").processes(processes).start();
        let load = Load::on(&server, 1);
        for generation in 2..=4 {
            server.reload_until(|| server.workers().len() >= generation * processes);
        }
        let (answers, failed) = load.end();
        assert_eq!(failed, 0, "{answers:?}\n{}", server.log().text());
        assert!(answers.len() > 1, "{answers:?}");
    }
}
