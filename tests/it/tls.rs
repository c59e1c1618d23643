//! HTTPS: what plain sockets do is done over TLS too, by both engines; certificates, names, clients' certificates,
//! reloads; and who comes without TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use nix::sys::signal::Signal;
use rustls::version::{TLS12, TLS13};

use crate::support::{
    Address, Authority, Client, Packet, Server, ServerBuilder, Target, can_become_another, has, program,
    sha256, target, uwring_only,
};
use crate::upgrade::install;

const SOCKET: &str = "https-socket = 127.0.0.1:0,{dir}/localhost.crt,{dir}/localhost.key";

/// An application on a TLS socket, in a folder where the authority has put what is needed.
fn site(app: &str, authority: &Authority) -> ServerBuilder {
    let folder = tempfile::tempdir().expect("a folder");
    authority.furnish(folder.path(), &["localhost"]);
    Server::app(app).without("socket").folder(folder)
}

fn get(client: &Client, to: &Address, path: &str) -> crate::support::Response {
    let mut connection = client.connect(to);
    connection.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    connection.response("GET")
}

#[test]
fn both_versions_are_served_and_the_application_knows() {
    let authority = Authority::new();
    let server = site("environ", &authority).ini(SOCKET).start();
    const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];
    for version in VERSIONS {
        let client = authority.client("localhost").version(version);
        let environ = get(&client, &server.tcp(0), "/a?b=c").expect(200).json();
        for (name, value) in [("HTTPS", "on"), ("wsgi.url_scheme", "https"), ("REQUEST_URI", "/a?b=c")] {
            assert_eq!(environ[name], value, "{name} {version:?}");
        }
    }
}

#[test]
fn bodies_go_both_ways_on_both_engines() {
    let authority = Authority::new();
    let engines: &[&str] =
        if target() == Target::Uwsgi { &[""] } else { &["engine = io_uring", "engine = epoll"] };
    for engine in engines {
        let client = authority.client("localhost");
        let server = site("digest", &authority).ini(SOCKET).ini(engine).start();
        let body: Vec<u8> = (0..1_200_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
        let mut connection = client.connect(&server.tcp(0));
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        connection.send(head);
        connection.send(&body);
        let expected = format!("{} {}", body.len(), sha256(&body));
        assert_eq!(connection.response("POST").expect(200).text(), expected, "{engine}");
        if target() == Target::Uwsgi {
            // It ends without close_notify, and nobody knows whether that was all.
            return;
        }
        let server = site("file", &authority).ini(SOCKET).ini(engine).start();
        let file = get(&client, &server.tcp(0), "/whole").expect(200).body;
        assert!(
            file.len() == 300_000 && file == [&(0..250).collect::<Vec<u8>>()[..]; 1200].concat(),
            "{engine}"
        );
    }
}

#[test]
fn connections_stay_and_end_with_a_word() {
    if uwring_only("https-socket closes after each request, without close_notify") {
        return;
    }
    let authority = Authority::new();
    let server = site("stream", &authority).ini(SOCKET).start();
    let mut client = authority.client("localhost").connect(&server.tcp(0));
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(request.repeat(3));
    for _ in 0..3 {
        assert_eq!(client.response("GET").expect(200).body.len(), 10_000);
    }
    // Byte by byte, with a body that waits to be asked for.
    let slow = "POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\
                Connection: close\r\n\r\n";
    for byte in slow.bytes() {
        client.send([byte]);
    }
    assert_eq!(client.head().status(), 100);
    client.send("ab");
    assert_eq!(client.response("POST").expect(200).body.len(), 10_000);
    assert!(client.is_closed(), "close_notify");
}

#[test]
fn curl_and_python_are_content() {
    if !has(&["curl"]) {
        return;
    }
    let authority = Authority::new();
    let server = site("hello", &authority).ini(SOCKET).start();
    let Address::Tcp(address) = server.tcp(0) else { unreachable!("TCP") };
    let url = format!("https://localhost:{}/", address.port());
    let said = Command::new("curl")
        .args(["-sS", "--max-time", "60", "--cacert"])
        .arg(server.path("ca.pem"))
        .args([&url, &url])
        .output()
        .expect("run curl");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "Hello, world!Hello, world!", "{said:?}");
    let script = "import sys,ssl,urllib.request as r; \
                  print(r.urlopen(sys.argv[1], context=ssl.create_default_context(cafile=sys.argv[2])).read())";
    let said = Command::new("python3")
        .args(["-c", script, &url])
        .arg(server.path("ca.pem"))
        .output()
        .expect("run python3");
    assert_eq!(String::from_utf8_lossy(&said.stdout), "b'Hello, world!'\n", "{said:?}");
}

#[test]
fn client_certificates_are_asked_for_and_told() {
    if uwring_only("the router https needs a free port, and https-socket tells nothing of them") {
        return;
    }
    let authority = Authority::new();
    let server = site("environ", &authority)
        .ini(&SOCKET.replace(".key", ".key,HIGH,!{dir}/ca.pem"))
        .ini(&SOCKET.replace(".key", ".key,HIGH,{dir}/ca.pem"))
        .ini("https-export-cert = true")
        .start();
    let stranger = authority.client("localhost");
    let friend = stranger.clone().showing(authority.issue("friend"));
    let enemy = stranger.clone().showing(Authority::new().issue("enemy"));
    for to in [server.tcp(0), server.tcp(1)] {
        let environ = get(&friend, &to, "/").expect(200).json();
        assert_eq!(environ["HTTPS_DN"], "/CN=friend/O=Tests & S\\xC3\\xB6hne");
        let pem = environ["HTTPS_CC"].as_str().expect("a certificate");
        assert!(
            pem.starts_with("-----BEGIN CERTIFICATE-----\n") && pem.ends_with("-----END CERTIFICATE-----\n"),
            "{pem}"
        );
    }
    assert_eq!(get(&stranger, &server.tcp(1), "/").expect(200).json().get("HTTPS_DN"), None);
    for (client, to) in [(&stranger, server.tcp(0)), (&enemy, server.tcp(0)), (&enemy, server.tcp(1))] {
        let mut connection = client.connect(&to);
        let refused =
            connection.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_err() || !connection.is_closed();
        assert!(refused, "an alert");
    }
    server.log().wait_for("TLS: peer sent no certificates");
}

#[test]
fn clients_are_shown_the_certificate_of_the_name_they_ask_for() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    authority.furnish(folder.path(), &["localhost", "shop.example", "a.blog.example"]);
    std::fs::create_dir(folder.path().join("names")).expect("a folder");
    authority.furnish(&folder.path().join("names"), &["wiki.example"]);
    let server = Server::app("hello")
        .without("socket")
        .folder(folder)
        .ini(SOCKET)
        .ini("sni = shop.example {dir}/shop.example.crt,{dir}/shop.example.key")
        .ini("sni-dir = {dir}/names")
        .ini(r"sni-regexp = ^\w+\.blog\.example$ {dir}/a.blog.example.crt,{dir}/a.blog.example.key")
        .start();
    // Each client takes no other name than that it asks for.
    for name in ["localhost", "shop.example", "a.blog.example", "wiki.example"] {
        get(&authority.client(name), &server.tcp(0), "/").expect(200);
    }
}

/// Ends a loop, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_reload_brings_a_new_certificate_and_loses_nobody() {
    if uwring_only("connections that come during a reload are reset") {
        return;
    }
    let authority = Authority::new();
    let server = site("hello", &authority).ini(SOCKET).start();
    let (client, to) = (authority.client("localhost"), server.tcp(0));
    let shown = || {
        let mut connection = client.connect(&to);
        connection.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.response("GET").expect(200);
        connection.shown()
    };
    let before = shown();
    authority.furnish(server.folder.path(), &["localhost"]);
    let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                get(&client, &to, "/").expect(200);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        let _stop = Stop(&over);
        server.reload_until(|| shown() != before);
    });
    assert!(count.load(Ordering::Relaxed) > 0);
}

#[test]
fn wrong_certificates_end_the_start_with_advice() {
    if uwring_only("other words") {
        return;
    }
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    authority.furnish(folder.path(), &["localhost", "other"]);
    let files = |cert: &str, key: &str| format!("https-socket = 127.0.0.1:0,{{dir}}/{cert},{{dir}}/{key}");
    let secret = authority.issue("localhost");
    std::fs::write(folder.path().join("both.pem"), format!("{}{}", secret.cert, secret.key)).expect("write");
    let path = folder.path().to_owned();
    let expect = |line: &str, said: &str| {
        let copy = tempfile::tempdir().expect("a folder");
        for entry in std::fs::read_dir(&path).expect("a folder") {
            let entry = entry.expect("an entry");
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copy");
        }
        let server = Server::app("hello").folder(copy).ini(line).launch();
        assert_eq!(server.process.expect_end().code(), Some(1), "{line}");
        server.log().wait_for(said);
        server.log().wait_for("[UWR-E095]");
        assert!(!server.log().text().contains("PRIVATE"), "nothing of a key in the log");
    };
    expect(
        &files("localhost.crt", "other.key"),
        "other.key: it is not the key of the (first) certificate in",
    );
    expect(&files("localhost.key", "localhost.key"), "localhost.key: there is no certificate in it");
    expect(&files("localhost.crt", "none.key"), "cannot read");
    let server =
        Server::app("hello").without("socket").folder(folder).ini(&files("both.pem", "both.pem")).start();
    get(&authority.client("localhost"), &server.tcp(0), "/").expect(200);
}

#[test]
fn a_replaced_program_serves_with_the_same_certificate() {
    if uwring_only("its reload loads the application into what is left of the old process") {
        return;
    }
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    authority.furnish(folder.path(), &["localhost"]);
    install(folder.path());
    let program = folder.path().join("uwring");
    let server = Server::app("hello").folder(folder).program(program).ini(SOCKET).start();
    let client = authority.client("localhost");
    get(&client, &server.tcp(0), "/").expect(200);
    // They cannot be read again: what was read at the start goes over.
    for name in ["localhost.crt", "localhost.key"] {
        std::fs::remove_file(server.path(name)).expect("it is there");
    }
    install(server.folder.path());
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the program was replaced");
    server.log().wait_for(" buried after ");
    get(&client, &server.tcp(0), "/").expect(200);
}

#[test]
fn the_uwsgi_protocol_comes_over_tls_too() {
    let authority = Authority::new();
    let server = site("environ", &authority).ini(&SOCKET.replace("https-", "suwsgi-")).start();
    let mut connection = authority.client("localhost").connect(&server.tcp(0));
    connection.send(Packet::get("/a?b=c").bytes());
    let environ = connection.response("GET").expect(200).json();
    assert_eq!(environ["REQUEST_URI"], "/a?b=c");
}

#[test]
fn a_reload_with_a_wrong_pair_leaves_the_old_one() {
    if uwring_only("it ends") {
        return;
    }
    let authority = Authority::new();
    let server = site("hello", &authority).ini(SOCKET).start();
    authority.issue("localhost").write(server.folder.path(), "new");
    std::fs::copy(server.path("new.key"), server.path("localhost.key")).expect("copy");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("it is not the key of the (first) certificate");
    get(&authority.client("localhost"), &server.tcp(0), "/").expect(200);
}

#[test]
fn a_key_that_only_root_reads_serves_after_root_is_given_up() {
    if uwring_only("a reload ends it") || !can_become_another() {
        return;
    }
    let authority = Authority::new();
    let server = site("hello", &authority).ini(SOCKET).ini("uid = nobody\ngid = nogroup\nchmod-socket = 666");
    let server = server.launch();
    let _ = std::fs::set_permissions(server.path("localhost.key"), PermissionsExt::from_mode(0o600));
    server.log().wait_n(1, |line| crate::support::worker_pid(line).is_some()).expect("a worker");
    let client = authority.client("localhost");
    get(&client, &server.tcp(0), "/").expect(200);
    server.signal(Signal::SIGHUP);
    server.log().wait_for("going on with what was read at the start");
    get(&client, &server.tcp(0), "/").expect(200);
}

#[test]
fn who_does_not_speak_tls_is_told_or_closed() {
    if uwring_only("it closes without a word") {
        return;
    }
    let authority = Authority::new();
    let server = site("hello", &authority).ini(SOCKET).ini("header-timeout = 1").start();
    let to = server.tcp(0);
    let mut plain = to.connect();
    plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    plain.response("GET").expect(400);
    server.log().wait_for("plain HTTP on a socket for HTTPS (400)");
    let mut noise = to.connect();
    noise.send(b"\x99\x03\x01\x00\x05hello");
    assert_eq!(noise.rest_or_reset().first(), Some(&0x15), "an alert");
    server.log().wait_for("refused a request from 127.0.0.1 on 127.0.0.1");
    // Who says half a greeting has the time of a head.
    let mut half = to.connect();
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    assert!(half.is_closed());
    get(&authority.client("localhost"), &to, "/").expect(200);
}

#[test]
fn http_is_sent_on_to_https() {
    if uwring_only("http-to-https belongs to its router, which needs a free port") {
        return;
    }
    let server = Server::app("hello").without("socket").ini("http-to-https = 127.0.0.1:0,8443").start();
    let Address::Tcp(address) = server.tcp(0) else { unreachable!("TCP") };
    let mut client = TcpStream::connect(address).expect("connect");
    let request = "GET /a?b=c HTTP/1.1\r\nHost: shop.example:80\r\nConnection: close\r\n\r\n";
    client.write_all(request.as_bytes()).expect("send");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    let expected = "HTTP/1.1 301 Moved Permanently\r\nLocation: https://shop.example:8443/a?b=c\r\n";
    assert!(answer.starts_with(expected), "{answer}");
    let upload = server.tcp(0).request("POST", "/b", &[("Host", "[::1]:80")], &[b'x'; 200_000]);
    assert_eq!(upload.expect(301).header("Location"), Some("https://[::1]:8443/b"));
}

#[test]
fn check_looks_at_certificates() {
    if uwring_only("it has no check") {
        return;
    }
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    authority.furnish(folder.path(), &["localhost", "other"]);
    let key = folder.path().join("localhost.key");
    std::fs::set_permissions(key, PermissionsExt::from_mode(0o644)).expect("chmod");
    let check = |key: &str| {
        let socket = format!("--https-socket=:8443,localhost.crt,{key}");
        let mut command = Command::new(program());
        let output = command.args(["check", &socket, "-w", "app"]).current_dir(folder.path()).output();
        let output = output.expect("run check");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(!said.contains("PRIVATE"), "{said}");
        (output.status.code(), said)
    };
    let (code, said) = check("localhost.key");
    assert!(code == Some(0) && said.contains("every user of this machine can read the key"), "{said}");
    let (code, said) = check("other.key");
    assert!(code == Some(1) && said.contains("it is not the key of the (first) certificate"), "{said}");
}
