//! Lines that people grep: the request line byte for byte, the start-up lines, what the application prints.

use regex::Regex;

use crate::support::{Packet, Server, uwring_only};

const CTIME: &str = r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\]";

#[track_caller]
fn wait_for_match(server: &Server, pattern: &str) -> String {
    let regex = Regex::new(&format!("^{pattern}$")).expect("a regular expression");
    match server.log().wait_n(1, |line| regex.is_match(line)) {
        Some(mut lines) => lines.remove(0),
        None => panic!("no line matches {pattern}:\n{}", server.log().text()),
    }
}

#[test]
fn request_line_is_uwsgis() {
    let server = Server::app("headers").start();
    let packet = Packet::get("/path").var("REQUEST_URI", "/path?a=b%20c").var("REMOTE_USER", "ann");
    // 12 variables: 24 texts.
    let size = packet.bytes().len() - 4;
    server.socket().uwsgi(&packet);
    let pid = server.workers()[0];
    wait_for_match(
        &server,
        &format!(
            r"\[pid: {pid}\|app: 0\|req: 1/1\] 127\.0\.0\.1 \(ann\) \{{24 vars in {size} bytes\}} {CTIME} GET /path\?a=b%20c => generated 2 bytes in \d+ msecs \(HTTP/1\.1 418\) 6 headers in 163 bytes \(\d+ switches on core 0\)"
        ),
    );
    server.socket().uwsgi(&Packet::get("/second"));
    wait_for_match(
        &server,
        &format!(
            r"\[pid: {pid}\|app: 0\|req: 2/2\] 127\.0\.0\.1 \(\) \{{22 vars in \d+ bytes\}} {CTIME} GET /second => generated 2 bytes in \d+ msecs \(HTTP/1\.1 418\) 6 headers in 163 bytes \(\d+ switches on core 0\)"
        ),
    );
}

#[test]
fn request_line_counts_in_each_worker_and_in_all() {
    let server = Server::app("wait").processes(2).start();
    for n in 1..=6 {
        server.socket().uwsgi(&Packet::get("/"));
        wait_for_match(&server, &format!(r"\[pid: \d+\|app: 0\|req: \d+/{n}\] .*"));
    }
}

#[test]
fn request_line_tells_the_status_of_an_exception() {
    let server = Server::app("broken_call").start();
    let mut client = server.socket().connect();
    client.send(Packet::get("/raise").bytes());
    client.rest();
    wait_for_match(
        &server,
        r"\[pid: .* GET /raise => generated \d+ bytes in \d+ msecs \(HTTP/1\.1 500\) \d headers in \d+ bytes \(\d switches on core 0\)",
    );
}

#[test]
fn request_line_of_a_file_says_sendfile() {
    let server = Server::app("file").start();
    server.socket().uwsgi(&Packet::get("/whole"));
    wait_for_match(
        &server,
        r"\[pid: .* GET /whole => generated 300000 bytes in \d+ msecs via sendfile\(\) \(HTTP/1\.1 200\) 1 headers in \d+ bytes \(\d switches on core 0\)",
    );
}

#[test]
fn disable_logging_silences_request_lines() {
    let server = Server::app("print").ini("disable-logging = true").start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    server.stop();
    server.log().wait_end();
    assert_eq!(server.log().count(|line| line.starts_with("[pid: ")), 0);
    assert_eq!(server.log().count(|line| line == "printed to stderr"), 1);
}

#[test]
fn log_format_is_followed() {
    let format = r#"%(addr) - %(user) [%(ltime)] "%(method) %(uri) %(proto)" %(status) %(size) "%(referer)" "%(uagent)" %(wid)/%(core) %(var.SERVER_NAME)"#;
    let server = Server::app("hello").ini(&format!("log-format = {format}")).start();
    let packet = Packet::get("/x").var("HTTP_USER_AGENT", "test/1.0").var("REMOTE_USER", "ann");
    server.socket().uwsgi(&packet).expect(200);
    wait_for_match(
        &server,
        r#"127\.0\.0\.1 - ann \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /x HTTP/1\.1" 200 \d+ "-" "test/1\.0" 1/0 test"#,
    );
}

#[test]
fn every_variable_of_a_log_format_is_known() {
    let names = "uri method user addr host proto uagent referer status rsize hsize size cl micros msecs secs tmsecs \
                 tmicros time epoch ltime ftime ctime pid wid core vars pktsize modifier1 modifier2 headers werr rerr \
                 ioerr var.HTTP_X var.NO some metric.x";
    let format: Vec<String> = names.split_whitespace().map(|name| format!("{name}=%({name})")).collect();
    let server = Server::app("log").ini(&format!("log-format = all {}", format.join(" "))).start();
    let packet = Packet::get("/a").var("HTTP_X", "x").var("HTTP_REFERER", "r").var("HTTP_USER_AGENT", "u");
    let size = packet.bytes().len() - 4;
    server.socket().uwsgi(&packet).expect(200);
    wait_for_match(
        &server,
        &format!(
            r"all uri=/a method=GET user=- addr=127\.0\.0\.1 host=test proto=HTTP/1\.1 uagent=u referer=r status=200 rsize=2 hsize=38 size=40 cl=0 micros=\d+ msecs=\d+ secs=\d+\.\d{{6}} tmsecs=\d{{13}} tmicros=\d{{16}} time=\d{{10}} epoch=\d{{10}} ltime=\d\d/[A-Z][a-z]{{2}}/\d{{4}}:\d\d:\d\d:\d\d [+-]\d{{4}} ftime=\d\d/[A-Z][a-z]{{2}}/\d{{4}}:\d\d:\d\d:\d\d [+-]\d{{4}} ctime=[A-Z][a-z]{{2}} [A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \d{{4}} pid={} wid=1 core=0 vars=28 pktsize={size} modifier1=0 modifier2=0 headers=1 werr=0 rerr=0 ioerr=0 var\.HTTP_X=x var\.NO=- some=- metric\.x=0",
            server.workers()[0]
        ),
    );
}

#[test]
fn request_line_says_more_where_it_is_wanted() {
    let server = Server::app("hello")
        .ini("log-x-forwarded-for = true\nmemory-report = true\nlog-micros = true")
        .start();
    server.socket().uwsgi(&Packet::get("/more").var("HTTP_X_FORWARDED_FOR", "9.9.9.9, 8.8.8.8")).expect(200);
    wait_for_match(
        &server,
        r"\{address space usage: [1-9]\d* bytes/\d+MB\} \{rss usage: [1-9]\d* bytes/\d+MB\} \[pid: \d+\|app: 0\|req: 1/1\] 9\.9\.9\.9, 8\.8\.8\.8 \(\) \{.* GET /more => generated 13 bytes in \d+ micros \(HTTP/1\.1 200\) .*",
    );
}

#[test]
fn lines_begin_with_the_date_that_is_wanted() {
    let server = Server::app("hello").args(&["--log-date=<%F>"]).launch();
    wait_for_match(&server, r"<\d{4}-\d\d-\d\d> - spawned uWSGI worker 1 .*");
    let server = Server::app("hello").ini("log-prefix = true").launch();
    wait_for_match(
        &server,
        r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} - spawned uWSGI worker 1 .*",
    );
}

#[test]
fn a_body_that_does_not_come_is_a_read_error() {
    let server =
        Server::app("input").ini("log-format = %(var.QUERY_STRING) rerr=%(rerr) werr=%(werr)").start();
    let mut client = server.socket().connect();
    let packet = Packet::get("/").var("CONTENT_LENGTH", "200000").var("QUERY_STRING", "read()");
    client.send(packet.bytes());
    client.send("half of it");
    client.finish_sending();
    client.rest();
    // uWSGI counts what the kernel calls an error, and a client that sends nothing for too long.
    let count = if uwring_only("a client that ends early counts") { "0" } else { "1" };
    wait_for_match(&server, &format!(r"read\(\) rerr={count} werr=\d"));
    let packet = Packet::get("/").var("QUERY_STRING", "read(4)").post("it is all there");
    server.socket().uwsgi(&packet).expect(200);
    wait_for_match(&server, r"read\(4\) rerr=0 werr=0");
}

#[test]
fn requests_worth_a_line_get_one_all_the_same() {
    let server = Server::app("file")
        .ini("disable-logging = true\nlog-sendfile = true\nlog-big = 250000\nlog-format = kept %(uri)")
        .start();
    server.socket().uwsgi(&Packet::get("/whole")).expect(200);
    wait_for_match(&server, "kept /whole");
    let server = Server::app("log")
        .ini("disable-logging = true\nlog-4xx = true\nlog-5xx = true\nlog-zero = true")
        .start();
    server.socket().uwsgi(&Packet::get("/quiet")).expect(200);
    let mut client = server.socket().connect();
    client.send(Packet::get("/raise").bytes());
    client.rest();
    wait_for_match(&server, r"\[pid: .* GET /raise => .* \(HTTP/1\.1 500\) .*");
    server.stop();
    server.log().wait_end();
    assert_eq!(server.log().count(|line| line.contains("/quiet")), 0);
}

#[test]
fn start_is_told_in_uwsgis_words() {
    let server = Server::app("hello").http().processes(2).start();
    let workers = server.workers();
    let master = server.process.pid;
    for pattern in [
        r"\*\*\* Starting (uWSGI|uwring) \S+ \(64bit\) on \[.*\] \*\*\*".to_owned(),
        r"uwsgi socket \d bound to UNIX address \S+/app\.sock fd \d+".to_owned(),
        r"uwsgi socket \d bound to TCP address 127\.0\.0\.1:\d+ \(port auto-assigned\) fd \d+".to_owned(),
        r"Python version: 3\..*".to_owned(),
        r"WSGI app 0 \(mountpoint=''\) ready in \d+ seconds on interpreter 0x[0-9a-f]+ pid: \d+ \(default app\)".to_owned(),
        format!(r"spawned uWSGI master process \(pid: {master}\)"),
        format!(r"spawned uWSGI worker 1 \(pid: {}, cores: 1\)", workers[0]),
        format!(r"spawned uWSGI worker 2 \(pid: {}, cores: 1\)", workers[1]),
    ] {
        wait_for_match(&server, &pattern);
    }
    server.stop();
    wait_for_match(&server, r"SIGINT/SIGTERM received\.\.\.killing workers\.\.\.");
    wait_for_match(&server, r"goodbye to uWSGI\.");
}

#[test]
fn prints_of_the_application_are_in_the_log() {
    let server = Server::app("print").start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    for line in ["printed at import", "printed to stdout", "printed to stderr"] {
        server.log().wait_for(line);
    }
}

#[test]
fn peers_cannot_forge_a_line() {
    if uwring_only("writes what the client sent as it is") {
        return;
    }
    let server = Server::app("hello").start();
    server
        .socket()
        .uwsgi(&Packet::get("/").var("REQUEST_URI", "/a\n[pid: 1] forged").var("REMOTE_USER", "x\ny"));
    server.socket().uwsgi(&Packet::get("/last"));
    wait_for_match(&server, r"\[pid: .* GET /last .*");
    assert_eq!(server.log().count(|line| line.starts_with("[pid: 1] forged") || line.starts_with("y)")), 0);
}

#[test]
fn logto_writes_a_file() {
    let server = Server::app("hello").ini("logto = {dir}/server.log\nlog-master = false").launch();
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    let log = || std::fs::read_to_string(server.path("server.log")).unwrap_or_default();
    while !log().contains("spawned uWSGI worker 1 ") {
        assert!(std::time::Instant::now() < deadline && server.process.ended().is_none(), "{}", log());
        std::thread::yield_now();
    }
    server.socket().uwsgi(&Packet::get("/logged")).expect(200);
    while !log().contains("GET /logged => generated 13 bytes") {
        assert!(std::time::Instant::now() < deadline, "{}", log());
        std::thread::yield_now();
    }
}
