//! The edges of WSGI: applications that exit, files of every kind, bodies that are large, tiny or broken off,
//! replaced and reloaded workers.

use crate::support::{Gate, Packet, Response, Server, Target, target, uwring_only};

fn get(server: &Server, path: &str) -> Response {
    server.socket().uwsgi(&Packet::get(path))
}

#[test]
fn exit_of_the_application_ends_its_request_only() {
    if uwring_only("the worker exits, and the client gets nothing") {
        return;
    }
    let server = Server::app("edges").start();
    let worker = get(&server, "/pid").expect(200).text();
    for (path, exception) in [("/exit", "SystemExit: 3"), ("/interrupt", "KeyboardInterrupt")] {
        assert_eq!(get(&server, path).expect(500).text(), "Internal Server Error");
        server.log().wait_for(exception);
        assert_eq!(get(&server, "/pid").expect(200).text(), worker, "{path}");
    }
}

#[test]
fn bytes_beyond_the_content_length_end_the_iteration() {
    if uwring_only("sends all of it, for ever") {
        return;
    }
    let server = Server::app("edges").http().start();
    let mut client = server.http();
    for _ in 0..2 {
        client.send("GET /endless_of_three HTTP/1.1\r\nHost: test\r\n\r\n");
        assert_eq!(client.response("GET").expect(200).text(), "xxx");
    }
    server.log().wait_for("bytes beyond its Content-Length; they were left out");
}

#[test]
fn files_that_are_none_to_the_kernel_are_read() {
    let server = Server::app("edges").start();
    assert_eq!(get(&server, "/memory").expect(200).text(), "out of memory");
    // uWSGI asks the kernel to send the pipe, which it cannot.
    if target() == Target::Uwring {
        assert_eq!(get(&server, "/pipe").expect(200).text(), "out of a pipe");
    }
}

#[test]
fn sparse_files_of_gibibytes_are_sent_from_where_they_stand() {
    if uwring_only("sendfile always sends the whole file from its start") {
        return;
    }
    let server = Server::app("edges").http().start();
    let response = server.get("/sparse").expect(200);
    assert_eq!(response.body, b"\0\0\0\0\0the end");
    let mut client = server.http();
    client.send("HEAD /sparse_whole HTTP/1.1\r\nHost: test\r\n\r\n");
    let head = client.response("HEAD").expect(200);
    assert_eq!(head.header("Content-Length"), Some("3221225472"));
}

#[test]
fn a_file_that_shrinks_ends_the_connection() {
    if uwring_only("waits for bytes that never come") {
        return;
    }
    let server = Server::app("edges").http().start();
    let mut client = server.http();
    client.send("GET /shrinks HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(client.head().header("Content-Length"), Some("20000000"));
    server.log().wait_for("GET /shrinks");
    assert!(client.rest_or_reset().len() < 20_000_000);
    server.log().wait_for("a file shrank while it was being sent");
    server.get("/pid").expect(200);
}

#[test]
fn two_hundred_thousand_parts_of_one_byte_arrive() {
    let server = Server::app("edges").http().start();
    assert_eq!(get(&server, "/tiny").expect(200).body.len(), 200_000);
    assert_eq!(server.get("/tiny").expect(200).body.len(), 200_000);
}

#[test]
fn heads_of_sixty_kibibytes_go_both_ways() {
    let server = Server::app("edges").ini("buffer-size = 65535").start();
    let long = "r".repeat(60_000);
    let response = server.socket().uwsgi(&Packet::get("/headers").var("HTTP_X_LONG", &long)).expect(200);
    assert_eq!(response.text(), "60000");
    assert_eq!(response.headers.len(), 61);
    assert!(response.headers[1..].iter().all(|(_, value)| value.len() == 1000));
}

/// Most memory a process ever had, KiB.
fn peak(pid: i32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("our own server's memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn bodies_of_any_size_take_constant_memory() {
    let server = Server::app("edges").start();
    let pid = server.workers()[0];
    assert_eq!(get(&server, "/tiny").expect(200).body.len(), 200_000);
    let before = peak(pid);
    let body = vec![b'x'; 64 * 1024 * 1024];
    let response = server.socket().uwsgi(&Packet::get("/upload").post(&body)).expect(200);
    assert_eq!(response.text(), body.len().to_string());
    let mut client = server.socket().connect();
    client.send(Packet::get("/blocks").bytes());
    client.head();
    for _ in 0..256 {
        client.exactly(1024 * 1024);
    }
    assert_eq!(client.rest(), b"");
    let after = peak(pid);
    assert!(after < before + 16 * 1024, "{before} KiB → {after} KiB");
}

#[test]
fn a_body_that_breaks_off_is_an_oserror() {
    let server = Server::app("edges").start();
    let packet = Packet::get("/upload").post(vec![b'x'; 300_000]).bytes();
    let mut client = server.socket().connect();
    client.send(&packet[..packet.len() - 100_000]);
    drop(client);
    server.log().wait_for("reading failed: error during read(");
    server.log().wait_for("message: Client closed connection");
    get(&server, "/pid").expect(200);
}

#[test]
fn an_exception_replaces_the_worker_where_it_is_asked_to() {
    let server = Server::app("edges").ini("reload-on-exception = true").start();
    let first = get(&server, "/pid").expect(200).text();
    let mut client = server.socket().connect();
    client.send(Packet::get("/fail").bytes());
    let answer = client.rest();
    if target() == Target::Uwring {
        assert!(answer.starts_with(b"HTTP/1.1 500 "), "{}", String::from_utf8_lossy(&answer));
    }
    server.log().wait_for("ValueError: as asked");
    server.log().wait_for("espawned uWSGI worker 1");
    assert_ne!(get(&server, "/pid").expect(200).text(), first);
}

#[test]
fn changed_modules_are_loaded_again() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("site.py");
    let write = |version: &str| {
        let app = format!(
            "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{version}']\n"
        );
        // In one step, so that nobody loads half of it.
        std::fs::write(file.with_extension("new"), app).expect("write the application");
        std::fs::rename(file.with_extension("new"), &file).expect("put it in place");
    };
    write("one");
    let ignored = folder.path().join("ignored.py");
    std::fs::write(&ignored, "").expect("written");
    let site =
        "py-auto-reload = 1\nenv = PYTHONDONTWRITEBYTECODE=1\nimport = ignored\nsocket = {dir}/app.sock";
    let here = folder.path().display().to_string();
    // Another one that ignores nothing shows when changes are seen.
    let eager =
        Server::bare().ini(site).ini(&format!("pythonpath = {here}\nwsgi-file = {here}/site.py")).start();
    let server = Server::bare()
        .folder(folder)
        .ini(site)
        .ini("pythonpath = {dir}\nwsgi-file = {dir}/site.py\npy-auto-reload-ignore = ignored")
        .start();
    assert_eq!(get(&server, "/").expect(200).text(), "one");
    server.log().wait_for("Python auto-reloader enabled");
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    // (uWSGI tells the file, and not the module.)
    let seen = |server: &Server, name: &str| {
        server.log().count(|line| line.contains("-reloader] module/file ") && line.contains(name))
    };
    // uWSGI looks for the first time after a second, and in whole seconds. Who has looked a third time had the other
    // look in between.
    while seen(&eager, "ignored") < 3 {
        std::fs::write(&ignored, "").expect("written");
        std::thread::yield_now();
        assert!(std::time::Instant::now() < deadline, "never seen: {}", eager.log().text());
    }
    assert_eq!(seen(&server, ""), 0, "{}", server.log().text());
    while seen(&server, "") == 0 {
        write("two");
        assert!(std::time::Instant::now() < deadline, "never seen: {}", server.log().text());
    }
    while get(&server, "/").text() != "two" {
        assert!(std::time::Instant::now() < deadline, "never reloaded: {}", server.log().text());
    }
    assert_eq!(seen(&server, "ignored"), 0);
}

/// The server may not let go of a connection while the application is to answer there: its number would be a
/// newcomer's.
#[test]
fn an_answer_nobody_waits_for_reaches_nobody_else() {
    if uwring_only("a silent connection holds a thread") {
        return;
    }
    let server =
        Server::app("wait").ini("threads = 2\nhttp-socket = 127.0.0.1:0\nhttp-keepalive = true").start();
    let gate = Gate::new(server.path("gate"));
    let mut gone = server.http();
    gone.send(format!("GET /?{} HTTP/1.1\r\nHost: test\r\n\r\n", gate.query()));
    server.log().wait_for("waiting at");
    gone.reset();
    let get = "GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    // Each is another connection by now, and none is asked for yet.
    let mut newcomers: Vec<_> = (0..50).map(|_| server.http()).collect();
    let pid = server.get("/").expect(200).text();
    gate.open();
    server.log().wait_for(&format!("GET /?{}", gate.query()));
    for client in &mut newcomers {
        client.send(get);
        let heard = String::from_utf8_lossy(&client.rest()).into_owned();
        assert_eq!(heard.matches("HTTP/1.1 200").count(), 1, "{heard}");
        assert!(heard.ends_with(&format!("\r\n\r\n{pid}")), "{heard}");
    }
}
