//! Who the client is when proxies stand between: the PROXY protocol, and the fields they set.

use std::process::Command;

use serde_json::Value;

use crate::support::{Address, Connection, Haproxy, Nginx, Packet, Server, has, uwring_only};

const LINE: &str = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
const GET: &str = "GET /who HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn serve(ini: &str) -> Server {
    Server::app("environ").http().ini(ini).ini("log-format = %(addr) said %(method) %(uri)").start()
}

/// The environ of the request in these bytes, sent in one piece or byte by byte.
#[track_caller]
fn environ(server: &Server, bytes: impl AsRef<[u8]>) -> Value {
    let mut client = server.http();
    client.send(bytes);
    client.response("GET").expect(200).json()
}

fn v2(command: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("short").to_be_bytes();
    [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, 0x11], &len, body].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb];

#[test]
fn a_proxys_preface_names_the_client() {
    let server = serve("enable-proxy-protocol = true");
    let told = environ(&server, format!("{LINE}{GET}"));
    assert_eq!(told["REMOTE_ADDR"], "192.0.2.1");
    assert_eq!(told["REMOTE_PORT"], "56324");
    assert_eq!((&told["SERVER_ADDR"], &told["SERVER_PORT"]), (&"198.51.100.1".into(), &"443".into()));
    server.log().wait_for("192.0.2.1 said GET /who");
    // As in uWSGI, one that knows nothing, or none at all, is as good.
    for before in ["PROXY UNKNOWN\r\n", ""] {
        let told = environ(&server, format!("{before}{GET}"));
        assert_eq!(
            (&told["REMOTE_ADDR"], told.get("REMOTE_PORT")),
            (&"127.0.0.1".into(), None),
            "{before:?}"
        );
    }
}

#[test]
fn a_preface_is_read_in_any_pieces() {
    if uwring_only("reads version 1 only, and wants the line in one piece") {
        return;
    }
    let server = serve("http-enable-proxy-protocol = true");
    let prefaces = [
        LINE.as_bytes().to_vec(),
        v2(0x21, &V4),
        v2(0x21, &[&V4[..], &[0x20, 0, 5, 1, 0, 0, 0, 0]].concat()),
    ];
    for (n, preface) in prefaces.iter().enumerate() {
        let mut client = server.http();
        let whole = [&preface[..], GET.replace("close", "keep-alive").as_bytes()].concat();
        for byte in whole {
            client.send([byte]);
        }
        let told = client.response("GET").expect(200).json();
        assert_eq!((&told["REMOTE_ADDR"], &told["REMOTE_PORT"]), (&"192.0.2.1".into(), &"56324".into()));
        assert_eq!(told["wsgi.url_scheme"], if n == 2 { "https" } else { "http" }, "{preface:?}");
        // What was told is of the connection, and so of all its requests.
        client.send(GET);
        assert_eq!(client.response("GET").expect(200).json()["REMOTE_ADDR"], "192.0.2.1");
    }
    // A health check of the proxy's own.
    assert_eq!(environ(&server, [&v2(0x20, &[])[..], GET.as_bytes()].concat())["REMOTE_ADDR"], "127.0.0.1");
}

/// The answer is a refusal, and the log says why.
#[track_caller]
fn refused(server: &Server, mut client: Connection, bytes: &[u8], why: &str) {
    client.send(bytes);
    client.response("GET").expect(400);
    server.log().wait_for(why);
}

#[test]
fn a_preface_nobody_may_send_is_refused() {
    if uwring_only("believes whoever connects, and takes what it cannot read for an address") {
        return;
    }
    let line = format!("{LINE}{GET}");
    let server = serve("enable-proxy-protocol = true\ntrusted-proxies = 10.0.0.0/8");
    refused(&server, server.http(), line.as_bytes(), "a PROXY preface from a peer that is not trusted");
    assert_eq!(environ(&server, GET)["REMOTE_ADDR"], "127.0.0.1");
    let server = serve("enable-proxy-protocol = true");
    refused(
        &server,
        server.http(),
        b"PROXY TCP4 x 198.51.100.1 1 2\r\n\r\n",
        "an address or a port that is none",
    );
    let server = serve("proxy-protocol = 127.0.0.0/8");
    refused(&server, server.http(), GET.as_bytes(), "no PROXY preface from a peer that has to send one");
    assert_eq!(environ(&server, line)["REMOTE_ADDR"], "192.0.2.1");
    // Without any option it is no request.
    let server = serve("");
    let mut client = server.http();
    client.send(format!("{LINE}{GET}"));
    client.response("GET").expect(400);
}

#[test]
fn unix_sockets_can_have_a_preface() {
    if uwring_only("trusts everybody") {
        return;
    }
    let server = Server::app("environ").ini("http-socket = {dir}/http.sock\nproxy-protocol = unix").start();
    let socket = Address::Unix(server.path("http.sock"));
    let mut client = socket.connect();
    client.send(format!("{LINE}{GET}"));
    assert_eq!(client.response("GET").expect(200).json()["REMOTE_ADDR"], "192.0.2.1");
    refused(&server, socket.connect(), GET.as_bytes(), "no PROXY preface");
}

#[test]
fn haproxy_tells_who_the_client_is() {
    if uwring_only("reads version 1 only") || !has(&["haproxy"]) {
        return;
    }
    for how in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"] {
        let server = serve("proxy-protocol = 127.0.0.0/8");
        let haproxy = Haproxy::start_with(&server.tcp(0), how);
        let mut client = haproxy.address().connect();
        for _ in 0..3 {
            client.send("GET /who HTTP/1.1\r\nHost: h\r\n\r\n");
            let told = client.response("GET").expect(200).json();
            assert_eq!(
                (&told["REMOTE_ADDR"], told["REMOTE_PORT"].as_str()),
                (&"127.0.0.1".into(), Some(&*client.port())),
                "{how}"
            );
        }
    }
}

#[test]
fn curl_sends_the_line_itself() {
    if !has(&["curl"]) {
        return;
    }
    let server = serve("enable-proxy-protocol = true");
    let Address::Tcp(address) = server.tcp(0) else { panic!("a TCP address") };
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "60", "--haproxy-protocol"]).arg(format!("http://{address}/who"));
    let output = command.output().expect("run curl");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    assert_eq!(told["REMOTE_ADDR"], "127.0.0.1");
    assert!(told["REMOTE_PORT"].is_string(), "{told}");
}

#[test]
fn fields_of_trusted_proxies_name_the_client() {
    if uwring_only("has no such option") {
        return;
    }
    let server = serve("trusted-proxies = 127.0.0.0/8, 10.0.0.0/8");
    let with = |fields: &str| environ(&server, GET.replace("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n")));
    let told = with("X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.1.1.1\r\nX-Forwarded-Proto: https");
    assert_eq!((&told["REMOTE_ADDR"], &told["wsgi.url_scheme"]), (&"192.0.2.1".into(), &"https".into()));
    server.log().wait_for("192.0.2.1 said GET /who");
    let told = with("Forwarded: for=192.0.2.2;proto=https");
    assert_eq!((&told["REMOTE_ADDR"], &told["wsgi.url_scheme"]), (&"192.0.2.2".into(), &"https".into()));
    assert_eq!(with("A: b")["REMOTE_ADDR"], "127.0.0.1");
}

#[test]
fn fields_of_strangers_are_removed() {
    if uwring_only("has no such option") {
        return;
    }
    let server = serve("trusted-proxies = 10.0.0.0/8");
    let fields = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.1";
    let told = environ(&server, GET.replace("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n")));
    assert_eq!((&told["REMOTE_ADDR"], &told["wsgi.url_scheme"]), (&"127.0.0.1".into(), &"http".into()));
    for name in ["HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED"] {
        assert_eq!(told.get(name), None, "{name}");
    }
}

#[test]
fn without_the_option_fields_are_what_they_were() {
    let server = serve("");
    let fields = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https";
    let told = environ(&server, GET.replace("\r\n\r\n", &format!("\r\n{fields}\r\n\r\n")));
    assert_eq!(
        (&told["REMOTE_ADDR"], &told["HTTP_X_FORWARDED_FOR"]),
        (&"127.0.0.1".into(), &"192.0.2.1".into())
    );
    assert_eq!(told["wsgi.url_scheme"], "https");
}

#[test]
fn a_proxy_before_nginx_is_believed_over_the_uwsgi_protocol() {
    if uwring_only("has no such option") || !has(&["nginx"]) {
        return;
    }
    let server = Server::app("environ").ini("trusted-proxies = 127.0.0.0/8").start();
    let nginx = Nginx::uwsgi_pass(&server.socket());
    let headers = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")];
    let told = nginx.address().request("GET", "/", &headers, b"").expect(200).json();
    assert_eq!((&told["REMOTE_ADDR"], &told["wsgi.url_scheme"]), (&"192.0.2.1".into(), &"https".into()));
    // The port was nginx's client's, which is the proxy.
    assert_eq!(told.get("REMOTE_PORT"), None);
    let stranger =
        Packet::get("/").var("REMOTE_ADDR", "203.0.113.5").var("HTTP_X_FORWARDED_FOR", "192.0.2.1");
    let told = server.socket().uwsgi(&stranger).expect(200).json();
    assert_eq!((&told["REMOTE_ADDR"], told.get("HTTP_X_FORWARDED_FOR")), (&"203.0.113.5".into(), None));
}
