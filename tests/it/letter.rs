//! WSGI to the letter (PEP 3333): what applications may do with an answer, and what they may not. One application,
//! `tests/apps/letter`, whose paths are the cases; over HTTP and over the uwsgi protocol.

use std::io::Write;

use crate::support::{Connection, Packet, Response, Server, Target, target, uwring_only};

/// What a client sees of a case.
#[derive(Clone, Copy)]
enum Seen {
    /// 200 and `abc`.
    Fine,
    /// 200 and this body.
    Body(&'static str),
    /// This status.
    Status(u16),
}
use Seen::{Body, Fine, Status};

fn server() -> Server {
    Server::app("letter").http().start()
}

/// One answer over a kept HTTP connection.
#[track_caller]
fn kept(client: &mut Connection, case: &str) -> Response {
    client.send(format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", case.replace(' ', "%20")));
    client.response("GET")
}

#[track_caller]
fn check(protocol: &str, case: &str, response: &Response, seen: Seen) {
    let (status, body) = match seen {
        Fine => (200, Some("abc")),
        Body(body) => (200, Some(body)),
        Status(status) => (status, None),
    };
    assert_eq!(response.status(), status, "{protocol} {case}: {response:?}");
    if let Some(body) = body {
        assert_eq!(response.text(), body, "{protocol} {case}");
    }
}

/// Runs cases over both protocols; those over HTTP on one connection, which must stay in step.
#[track_caller]
fn run(server: &Server, cases: &[(&str, Seen)]) {
    let mut client = server.http();
    for &(case, seen) in cases {
        if target() == Target::Uwring {
            check("http", case, &kept(&mut client, case), seen);
        }
        check("uwsgi", case, &server.socket().uwsgi(&Packet::get(&format!("/{case}"))), seen);
    }
}

#[test]
fn bodies_of_every_kind() {
    run(
        &server(),
        &[
            ("list", Fine),
            ("tuple", Fine),
            ("bytes", Fine),
            ("generator", Fine),
            ("iterator", Fine),
            ("map", Fine),
            ("set", Fine),
            ("dict", Fine),
            ("sequence", Fine),
            ("file", Body("ab\nc")),
            ("closing", Fine),
            ("instance", Fine),
            ("written", Fine),
            ("empty_list", Body("")),
            ("empty_generator", Body("")),
            ("empty_pieces", Body("")),
            ("started_in_the_generator", Fine),
            ("started_after_an_empty_piece", Fine),
            ("exc_info_of_nothing", Fine),
            ("headers_of_other_classes", Fine),
            ("header_value_is_empty", Fine),
            ("status_nobody_knows", Status(299)),
        ],
    );
}

#[test]
fn mistakes_are_answered_500() {
    if uwring_only("sends them as they are, or closes the connection without an answer") {
        return;
    }
    let server = server();
    let cases = [
        "none",
        "number",
        "text",
        "list_of_text",
        "list_of_numbers",
        "bytearray",
        "memoryview",
        "array",
        "writes_text",
        "two_lengths",
        "length_is_text",
        "length_is_negative",
        "length_is_huge",
        "status_run_together",
        "status_of_two_digits",
        "status_of_four_digits",
        "status_below_100",
        "status_is_a_number",
        "status_is_bytes",
        "status_is_empty",
        "status_outside_latin1",
        "headers_in_a_tuple",
        "headers_in_a_generator",
        "header_is_a_list",
        "header_of_three",
        "header_name_is_bytes",
        "header_value_is_bytes",
        "header_value_is_none",
        "header_outside_latin1",
        "header_is_half_a_character",
        "never_started",
        "never_started_and_empty",
        "started_too_late",
        "started_twice",
        "started_with_too_few",
        "started_by_names",
        "replaced_by_exc_info",
        "recursion",
    ];
    run(&server, &cases.map(|case| (case, Status(500))));
    // Each of them is in the log, and nothing else is wrong with the server.
    let said = |line: &str| line.split(": ").next().is_some_and(|word| word.ends_with("Error"));
    assert!(server.log().wait_n(2 * cases.len(), said).is_some());
    run(&server, &[("list", Fine), ("started_again_after_a_mistake", Fine)]);
}

#[test]
fn buffers_are_bodies_where_that_is_wanted() {
    let server = Server::app("letter").http().ini("wsgi-accept-buffer = true").start();
    run(&server, &[("bytearray", Fine), ("memoryview", Fine), ("array", Fine), ("list", Fine)]);
    if target() == Target::Uwring {
        run(&server, &[("text", Status(500)), ("list_of_numbers", Status(500))]);
    }
}

#[test]
fn more_than_the_announced_length_is_left_out() {
    if uwring_only("sends what comes") {
        return;
    }
    let server = server();
    let cases = ["more_than_announced", "more_in_one_piece", "more_by_generator"];
    run(&server, &cases.map(|case| (case, Fine)));
    let said = |line: &str| line.contains("bytes beyond its Content-Length");
    assert!(server.log().wait_n(2 * cases.len(), said).is_some());
    run(&server, &[("same_length_twice", Fine), ("length_of_zero", Body(""))]);
}

#[test]
fn less_than_the_announced_length_ends_the_connection() {
    if uwring_only("closes every connection") {
        return;
    }
    let server = server();
    let cases =
        [("less_than_announced", "abc"), ("less_by_generator", "abc"), ("nothing_of_what_was_announced", "")];
    for (case, body) in cases {
        let mut client = server.http();
        client.send(format!("GET /{case} HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(client.head().header("Content-Length"), Some("10"), "{case}");
        assert_eq!(String::from_utf8_lossy(&client.rest()), body, "{case}");
    }
    let said = |line: &str| line.contains("before the announced Content-Length");
    assert!(server.log().wait_n(cases.len(), said).is_some());
}

#[test]
fn answers_without_a_body_stay_in_step() {
    if uwring_only("sends bodies where there can be none") {
        return;
    }
    let server = server();
    let mut client = server.http();
    for (case, status) in [("no_content_with_a_body", 204), ("not_modified_with_a_body", 304)] {
        client.send(format!("GET /{case} HTTP/1.1\r\nHost: test\r\n\r\n"));
        let head = client.head();
        assert_eq!(head.status(), status);
        assert!(head.header("Transfer-Encoding").is_none(), "{case}: {head:?}");
        check("http", "list", &kept(&mut client, "list"), Fine);
    }
    // An interim answer as the only one: the client has to see that no other comes.
    client.send("GET /interim_status HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().status(), 103);
    assert_eq!(client.rest(), b"");
}

#[test]
fn connection_fields_are_the_servers() {
    if uwring_only("sends the application's connection fields") {
        return;
    }
    let server = server();
    let mut client = server.http();
    let response = kept(&mut client, "chunks_of_its_own").expect(200);
    assert_eq!((response.text().as_str(), response.header("Transfer-Encoding")), ("abc", None));
    let response = kept(&mut client, "wants_an_upgrade").expect(200);
    for name in ["Upgrade", "Keep-Alive", "Connection"] {
        assert_eq!(response.header(name), None);
    }
    let response = kept(&mut client, "own_date_and_server").expect(200);
    let dates: Vec<_> = response.headers.iter().filter(|(name, _)| name == "Date").collect();
    assert_eq!(dates.len(), 1, "{response:?}");
    assert_eq!(dates[0].1, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_eq!(response.header("Server"), Some("mine"));
    let response = kept(&mut client, "closes_the_connection").expect(200);
    assert_eq!(response.header("Connection"), Some("close"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_status_without_a_reason_gets_its_own() {
    if uwring_only("sends the status as it is") {
        return;
    }
    let server = server();
    let mut client = server.http();
    assert_eq!(kept(&mut client, "status_without_reason").status_line, "HTTP/1.1 200 OK");
    assert_eq!(kept(&mut client, "status_with_blank_reason").status_line, "HTTP/1.1 404 Not Found");
}

#[test]
fn large_heads_arrive() {
    if uwring_only("answers are held to buffer-size too") {
        return;
    }
    let server = Server::app("letter").http().ini("buffer-size = 65535").start();
    let mut client = server.http();
    client.send(format!("GET /list HTTP/1.1\r\nHost: test\r\nX-Large: {}\r\n\r\n", "v".repeat(65_000)));
    check("http", "list", &client.response("GET"), Fine);
    let response = server.socket().uwsgi(&Packet::get("/list").var("HTTP_X_LARGE", "v".repeat(64_000)));
    check("uwsgi", "list", &response, Fine);
    for packet in [Packet::get("/header_of_64_kib"), Packet::get("/thousand_headers")] {
        let response = server.socket().uwsgi(&packet).expect(200);
        let large = response.header("X-Large").is_some_and(|value| value.len() == 65536);
        assert!(large || response.header("X-999").is_some(), "{}", response.headers.len());
        assert_eq!(response.text(), "abc");
    }
}

#[test]
fn exceptions_of_every_kind_end_their_request_only() {
    if uwring_only("SystemExit ends the worker, and answers are missing") {
        return;
    }
    let server = server();
    let worker = server.workers();
    for error in ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "MemoryError", "Exception"] {
        for when in ["at once", "started", "first piece"] {
            let case = format!("{error} {when}");
            run(&server, &[(case.as_str(), Status(500)), ("list", Fine)]);
        }
        // The answer has begun: it is broken off, so that nobody takes it for all.
        let mut client = server.http();
        client.send(format!("GET /{error}%20second%20piece HTTP/1.1\r\nHost: test\r\n\r\n"));
        assert_eq!(client.head().header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(client.rest(), b"3\r\nabc\r\n", "{error}");
        // It is complete: close() is the application's affair.
        let case = format!("{error} close");
        run(&server, &[(case.as_str(), Fine)]);
    }
    assert_eq!(server.workers(), worker, "the worker is the same");
}

#[test]
fn functions_of_an_ended_request_are_dead() {
    if uwring_only("writes into whatever is being answered") {
        return;
    }
    let server = Server::app("letter").http().ini("threads = 2").start();
    let dead = "RuntimeError RuntimeError";
    for _ in 0..3 {
        run(&server, &[("keeps_its_functions", Body("kept"))]);
        let expected = format!("mine,{dead} {dead}");
        let response = server.socket().uwsgi(&Packet::get("/uses_kept_functions")).expect(200);
        assert_eq!(response.text(), expected);
        run(&server, &[("uses_them_in_a_thread", Body("RuntimeError RuntimeError"))]);
    }
}

#[test]
fn files_of_every_kind() {
    let server = server();
    let path = server.path("file");
    let query = path.display().to_string();
    let ask =
        |case: &str| server.socket().uwsgi(&Packet::get(&format!("/{case}")).var("QUERY_STRING", &query));
    let content = "0123456789".repeat(20_000);
    let write = || std::fs::write(&path, &content).expect("write");
    write();
    assert!(ask("deleted_file").expect(200).text() == content);
    write();
    assert!(ask("growing_file").expect(200).text().starts_with(&content));
    assert!(ask("file_in_memory").expect(200).text() == "abc".repeat(50_000));
    if uwring_only(
        "sends nothing of a pipe, a file from its start whatever its position, and drops bytes written before it",
    ) {
        return;
    }
    assert_eq!(ask("file_that_is_a_pipe").expect(200).text(), "through a pipe");
    write();
    assert!(ask("growing_file").expect(200).text() == content, "no more than announced");
    write();
    assert!(ask("file_behind_bytes").expect(200).text() == format!("first,{content}"));
    // 5 GiB that take no room.
    let mut file = std::fs::File::create(&path).expect("create");
    file.set_len((5 << 30) - 10).expect("a file system with sparse files");
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).expect("seek");
    file.write_all(b"0123456789").expect("write");
    assert_eq!(ask("sparse_end").expect(200).text(), "0123456789");
}

#[test]
fn a_file_that_shrinks_breaks_the_answer_off() {
    if uwring_only("the client is left waiting") {
        return;
    }
    let server = server();
    let path = server.path("file");
    let packet = |case: &str| Packet::get(case).var("QUERY_STRING", path.display().to_string()).bytes();
    // Before the server looks.
    std::fs::write(&path, vec![b'x'; 3_000_000]).expect("write");
    let mut client = server.socket().connect();
    client.send(packet("/shrunk_file"));
    assert_eq!(client.head().header("Content-Length"), Some("3000000"));
    assert_eq!(client.rest().len(), 10);
    server.log().wait_for("before the announced Content-Length");
    // While it sends: more than the socket holds.
    let file = std::fs::File::create(&path).expect("create");
    file.set_len(100_000_000).expect("a file system with sparse files");
    let mut client = server.socket().connect();
    client.send(packet("/growing_file"));
    assert_eq!(client.head().header("Content-Length"), Some("100000000"));
    file.set_len(10).expect("truncate");
    assert!(client.count_rest() < 100_000_000);
    server.log().wait_for("a file shrank while it was being sent");
    run(&server, &[("list", Fine)]);
}

#[test]
fn size_does_not_matter() {
    let server = server();
    let mut client = server.socket().connect();
    client.send(Packet::get("/many_small_pieces").bytes());
    client.head();
    assert_eq!(client.rest(), vec![b'x'; 100_000]);
    if target() == Target::Uwring {
        let response = kept(&mut server.http(), "many_small_pieces");
        assert_eq!(response.header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(response.body, vec![b'x'; 100_000]);
    }
    let peak = || -> u64 {
        let text = server.socket().uwsgi(&Packet::get("/memory")).expect(200).text();
        text.parse().expect("a number")
    };
    let before = peak();
    let mut client = server.socket().connect();
    client.send(Packet::get("/large_in_pieces").bytes());
    client.head();
    assert_eq!(client.count_rest(), 256 << 20);
    let mut client = server.socket().connect();
    client.send(Packet::get("/large_upload").var("CONTENT_LENGTH", "268435456").bytes());
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..256 {
        client.send(&piece);
    }
    assert_eq!(client.response("GET").expect(200).text(), "268435456");
    let grown = peak() - before;
    assert!(grown < 32 * 1024, "{grown} KiB more for 256 MiB each way");
}

#[test]
fn a_client_that_goes_is_counted_and_not_raised() {
    if uwring_only("raises OSError and counts an exception of the application") {
        return;
    }
    let server = server();
    // While it sends: the application reads what is not there.
    let mut client = server.socket().connect();
    let mut packet = Packet::get("/large_upload").var("CONTENT_LENGTH", "1000000").bytes();
    packet.extend([b'x'; 1000]);
    client.send(packet);
    drop(client);
    server.log().wait_for("Client closed connection");
    // While it receives: more than the socket holds.
    let mut client = server.socket().connect();
    client.send(Packet::get("/large_in_pieces").bytes());
    client.head();
    drop(client);
    server.log().wait_for("GET /large_in_pieces");
    run(&server, &[("list", Fine)]);
    let status = server.status();
    let worker = &status["workers"][0];
    assert_eq!(worker["exceptions"], 0, "{status}");
    // The answer to the first may be one, too.
    assert!(worker["write_errors"].as_u64().is_some_and(|count| (1..=2).contains(&count)), "{status}");
    assert_eq!(server.log().count(|line| line.contains("Traceback")), 0);
}

/// An application checked by the standard library's own validator (wsgiref.validate), which fails the request where
/// server or application break a rule.
#[test]
fn the_validator_of_the_standard_library_is_content() {
    let server = Server::app("validated").http().start();
    let http = server.tcp(0);
    for (path, expected) in [("/", "GET"), ("/pieces", "onetwo"), ("/empty", ""), ("/file", "of a file")] {
        assert_eq!(http.get(path).expect(200).text(), expected, "{path}");
        assert_eq!(server.socket().uwsgi(&Packet::get(path)).expect(200).text(), expected, "{path}");
    }
    assert_eq!(http.request("POST", "/echo", &[], b"one\ntwo\n").expect(200).text(), "one\ntwo\n");
    assert_eq!(server.socket().uwsgi(&Packet::get("/echo").post("one")).expect(200).text(), "one");
    if target() == Target::Uwring {
        let mut client = server.http();
        client.send("HEAD / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        assert_eq!(client.response("HEAD").expect(200).text(), "");
        for path in ["/flask/", "/flask/api/echo?a=1", "/flask/count/1000", "/flask/download"] {
            http.get(path).expect(200);
        }
        // (Flask reads JSON by read() without a size, which the validator forbids and every server allows.)
        assert_eq!(
            http.request("POST", "/flask/size", &[], &[b'x'; 300_000]).expect(200).json()["bytes"],
            300_000
        );
        http.get("/django/admin/login/").expect(200);
        http.get("/django/nothing").expect(404);
    }
    assert_eq!(server.log().count(|line| line.contains("Traceback") || line.contains("AssertionError")), 0);
}
