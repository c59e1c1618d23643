//! Golden environs: what an application sees behind nginx, and by direct HTTP, key by key as under uWSGI.
//!
//! Recorded from uWSGI (`UWRING_BLESS=1 TARGET=uwsgi`) in `tests/golden/`, with ports, folders, host name and version
//! replaced. Where uwring differs, the difference stands in [`DIFFERENCES`] and in `docs/differences.md`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::support::{Address, Nginx, Packet, Server, Target, app, has, root, target};

/// (golden file, case, key): what uwring does otherwise. `*` stands for all.
const DIFFERENCES: &[(&str, &str, &str)] = &[("*", "*", "wsgi.input_terminated")];

/// One configuration of nginx and one request to it.
struct Case {
    name: &'static str,
    /// The inside of `location / { … }` after `include uwsgi_params; uwsgi_pass`.
    params: &'static str,
    /// Directives of the server block.
    server: &'static str,
    request: &'static [u8],
    over: Over,
}

#[derive(PartialEq)]
enum Over {
    V4,
    V6,
}

const fn case(name: &'static str, request: &'static [u8]) -> Case {
    Case { name, params: "", server: "", request, over: Over::V4 }
}

impl Case {
    const fn params(self, params: &'static str) -> Case {
        Case { params, ..self }
    }

    const fn server(self, server: &'static str) -> Case {
        Case { server, ..self }
    }

    const fn over_ipv6(self) -> Case {
        Case { over: Over::V6, ..self }
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

/// nginx's variables carry what the client sent: targets, headers, bodies, methods.
const REQUESTS: &[Case] = &[
    case("plain", GET),
    case("query", b"GET /search?q=a&b=2&q=c HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("empty_query", b"GET /search? HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("query_encoded", b"GET /s?q=%C3%A9+%26%3D%25&x=%zz?y HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("encoded_slash", b"GET /a%2Fb/c HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("encoded_percent", b"GET /100%25/a%2525b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("encoded_blank", b"GET /a%20b+c HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("utf8_encoded", b"GET /caf%C3%A9/%E6%97%A5 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("utf8_raw", b"GET /caf\xc3\xa9?n=\xc3\xa9 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("latin1_encoded", b"GET /caf%E9 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("double_slash", b"GET //a///b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("double_slash_kept", b"GET //a///b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .server("merge_slashes off;"),
    case("dot_segments", b"GET /a/../b/./c HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("absolute_target", b"GET http://other/a?b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("http_1_0", b"GET /old HTTP/1.0\r\n\r\n"),
    case("host_with_port", b"GET / HTTP/1.1\r\nHost: test:8080\r\nConnection: close\r\n\r\n"),
    case("options", b"OPTIONS /o HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("unusual_method", b"PROPFIND /p HTTP/1.1\r\nHost: test\r\nDepth: 1\r\nConnection: close\r\n\r\n"),
    case(
        "duplicate_headers",
        b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\r\nX-A: 2\r\nAccept: text/html\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    ),
    case("cookies", b"GET / HTTP/1.1\r\nHost: test\r\nCookie: a=1; b=\"2, 3\"\r\nCookie: c=3\r\nConnection: close\r\n\r\n"),
    case("authorization", b"GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Basic YTpi\r\nConnection: close\r\n\r\n"),
    case("empty_header", b"GET / HTTP/1.1\r\nHost: test\r\nX-Empty:\r\nX-Blank:   \r\nConnection: close\r\n\r\n"),
    case("padded_header", b"GET / HTTP/1.1\r\nHost: test\r\nX-Pad:  \t a  b \t \r\nConnection: close\r\n\r\n"),
    case("header_bytes", b"GET / HTTP/1.1\r\nHost: test\r\nX-Name: Andr\xc3\xa9 \xe9 \x80\r\nConnection: close\r\n\r\n"),
    case("header_case", b"GET / HTTP/1.1\r\nhost: test\r\nx-UPPER-lower: 1\r\nX-1-2: 3\r\nConnection: close\r\n\r\n"),
    case("underscore_dropped", b"GET / HTTP/1.1\r\nHost: test\r\nX_A: 1\r\nX-B: 2\r\nConnection: close\r\n\r\n"),
    case("underscore_kept", b"GET / HTTP/1.1\r\nHost: test\r\nX_A: 1\r\nX-A: 2\r\nConnection: close\r\n\r\n")
        .server("underscores_in_headers on;"),
    case("proxy_header", b"GET / HTTP/1.1\r\nHost: test\r\nProxy: evil\r\nConnection: close\r\n\r\n"),
    case(
        "browser",
        b"GET /app/?next=%2Fx HTTP/1.1\r\nHost: test\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
          Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n\
          Accept-Encoding: gzip, deflate, br, zstd\r\nReferer: http://test/\r\nCookie: sessionid=abc; csrftoken=def\r\n\
          Upgrade-Insecure-Requests: 1\r\nIf-Modified-Since: Sat, 21 Nov 2026 02:37:41 GMT\r\nIf-None-Match: \"x\"\r\n\
          Range: bytes=0-1\r\nOrigin: http://test\r\nDNT: 1\r\nConnection: close\r\n\r\n",
    ),
    case(
        "forwarded",
        b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: 192.0.2.1, 198.51.100.2\r\nX-Forwarded-Host: www\r\n\
          Forwarded: for=192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\nConnection: close\r\n\r\n",
    ),
    case("forwarded_proto", b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"),
    case("forwarded_ssl", b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Ssl: on\r\nConnection: close\r\n\r\n"),
    case(
        "post_form",
        b"POST /f HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\
          Connection: close\r\n\r\na=1&b=2",
    ),
    case(
        "post_charset",
        b"POST /f HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain; charset=\"utf-8\"\r\nContent-Length: 2\r\n\
          Connection: close\r\n\r\n\xc3\xa9",
    ),
    case("post_empty", b"POST /f HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
    case("post_untyped", b"POST /f HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
    case(
        "post_chunked",
        b"POST /f HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
          3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    ),
    case("put", b"PUT /f HTTP/1.1\r\nHost: test\r\nContent-Type: a/b\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx"),
    case("over_ipv6", GET).over_ipv6(),
];

/// What administrators write into the location.
const PARAMETERS: &[Case] = &[
    case("custom", GET).params("uwsgi_param APP_MODE production; uwsgi_param X.Dot \"a b\"; uwsgi_param lower 1;"),
    case("custom_empty", GET).params("uwsgi_param EMPTY \"\"; uwsgi_param MISSING $http_missing if_not_empty;"),
    case("override", GET).params("uwsgi_param SERVER_NAME other; uwsgi_param SERVER_PORT 443;"),
    case("header_by_param", GET).params("uwsgi_param HTTP_X_REAL $remote_addr; uwsgi_param HTTP_HOST www.test;"),
    case("https_on", GET).params("uwsgi_param HTTPS on;"),
    case("https_1", GET).params("uwsgi_param HTTPS 1;"),
    case("https_off", GET).params("uwsgi_param HTTPS off;"),
    case("scheme", GET).params("uwsgi_param UWSGI_SCHEME https;"),
    case("scheme_from_header", b"GET / HTTP/1.1\r\nHost: test\r\nX-Proto: https\r\nConnection: close\r\n\r\n")
        .params("uwsgi_param UWSGI_SCHEME $http_x_proto;"),
    case("scheme_over_https", GET).params("uwsgi_param HTTPS on; uwsgi_param UWSGI_SCHEME http;"),
    case("remote_user", b"GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Basic YW5uOngx\r\nConnection: close\r\n\r\n")
        .params("uwsgi_param REMOTE_USER $remote_user;"),
    case("no_headers", b"GET / HTTP/1.1\r\nHost: test\r\nCookie: a=1\r\nConnection: close\r\n\r\n")
        .params("uwsgi_pass_request_headers off;"),
    case(
        "no_body",
        b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    )
    .params("uwsgi_pass_request_body off; uwsgi_param CONTENT_LENGTH \"\";"),
    case("unbuffered", b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx")
        .params("uwsgi_request_buffering off;"),
    case("script_name", b"GET /sub/a HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .params("uwsgi_param SCRIPT_NAME /sub; uwsgi_param PATH_INFO /a;"),
    case("client_certificate", GET).params(
        "uwsgi_param SSL_CLIENT_VERIFY SUCCESS; uwsgi_param SSL_CLIENT_S_DN \"CN=Ann,O=Test\"; uwsgi_param HTTPS on;",
    ),
    case("rewritten", b"GET /old/x?y=1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .server("rewrite ^/old/(.*)$ /new/$1?z=2;"),
    case("server_name", b"GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
        .params("uwsgi_param SERVER_NAME $host; uwsgi_param HTTP_X_REQUEST_ID fixed;"),
];

/// Mounted below prefixes.
const MOUNTS: &[Case] = &[
    case("root", GET),
    case("mounted", b"GET /shop/cart?x=1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("mounted_exactly", b"GET /shop HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("mounted_slash", b"GET /shop/ HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("longest_prefix", b"GET /shop/admin/x HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("no_boundary", b"GET /shopping HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
    case("encoded", b"GET /shop/%E2%82%AC%2Fx HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"),
];

/// By direct HTTP; nothing between the client's bytes and the server.
const DIRECT: &[(&str, &[u8])] = &[
    ("plain", b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("query", b"GET /search?q=a&b=2 HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("empty_query", b"GET /search? HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("encoded_slash", b"GET /a%2Fb HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("encoded_percent", b"GET /100%25/a%2525b HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("encoded_blank", b"GET /a%20b+c HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("utf8_encoded", b"GET /caf%C3%A9/%e6%97%a5?n=%C3%A9 HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("latin1_encoded", b"GET /caf%E9 HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("double_slash", b"GET //a///b/ HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("dot_segments", b"GET /static/../b/./c.d/..e HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("encoded_dots", b"GET /a/%2e%2e/b HTTP/1.1\r\nHost: test\r\n\r\n"),
    ("http_1_0", b"GET /old HTTP/1.0\r\n\r\n"),
    ("host_with_port", b"GET / HTTP/1.1\r\nHost: test:8080\r\n\r\n"),
    ("unusual_method", b"PROPFIND /p HTTP/1.1\r\nHost: test\r\nDepth: 1\r\n\r\n"),
    ("duplicate_headers", b"GET / HTTP/1.1\r\nHost: test\r\nX-A: 1\r\nAccept: a/b\r\nX-A: 2\r\nX-A: 3\r\nAccept: c/d\r\n\r\n"),
    ("cookies", b"GET / HTTP/1.1\r\nHost: test\r\nCookie: a=1; b=2\r\n\r\n"),
    ("authorization", b"GET / HTTP/1.1\r\nHost: test\r\nAuthorization: Basic YTpi\r\n\r\n"),
    ("empty_header", b"GET / HTTP/1.1\r\nHost: test\r\nX-Empty:\r\n\r\n"),
    ("header_bytes", b"GET / HTTP/1.1\r\nHost: test\r\nX-Name: Andr\xc3\xa9 \xe9\r\n\r\n"),
    ("header_case", b"GET / HTTP/1.1\r\nhost: test\r\nx-UPPER-lower: 1\r\n\r\n"),
    ("forwarded_proto", b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Proto: https\r\n\r\n"),
    ("forwarded_ssl", b"GET / HTTP/1.1\r\nHost: test\r\nX-Forwarded-Ssl: on\r\n\r\n"),
    ("post_form", b"POST /f HTTP/1.1\r\nHost: test\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\na=1&b=2"),
    ("post_empty", b"POST /f HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"),
];

#[test]
fn environ_of_requests_through_nginx_equals_uwsgis() {
    through_nginx("requests", REQUESTS, "", &[]);
}

#[test]
fn environ_of_nginx_parameters_equals_uwsgis() {
    through_nginx("parameters", PARAMETERS, "", &[]);
}

#[test]
fn environ_of_mounts_equals_uwsgis() {
    let mounts = "manage-script-name = true\nmount = /={environ}\nmount = /shop={environ}\nmount = /shop/admin={environ}";
    through_nginx("mounts", MOUNTS, mounts, &["wsgi-file"]);
}

#[test]
fn environ_of_one_mount_equals_uwsgis() {
    let mounts = "manage-script-name = true\nmount = /shop={environ}";
    through_nginx("one_mount", MOUNTS, mounts, &["wsgi-file"]);
}

#[test]
fn environ_over_tcp_equals_uwsgis() {
    through_nginx("tcp", &REQUESTS[..2], "socket = 127.0.0.1:0", &["socket"]);
}

#[test]
fn environ_with_threads_equals_uwsgis() {
    through_nginx("threads", &REQUESTS[..1], "threads = 1\nprocesses = 1\nthreads = 2", &[]);
}

#[test]
fn environ_with_processes_equals_uwsgis() {
    through_nginx("processes", &REQUESTS[..1], "processes = 2", &[]);
}

#[test]
fn environ_of_long_headers_through_nginx_is_complete() {
    if !has(&["nginx", "venv"]) {
        return;
    }
    // Three headers of 7,000 bytes: more than uWSGI's 4,096 bytes of buffer-size, less than nginx's 4 × 8 KiB.
    let server = Server::app("environ").uwsgi_needs("buffer-size = 65535").start();
    let nginx = Nginx::uwsgi_pass(&server.socket());
    let long = ["a", "b", "c"].map(|letter| letter.repeat(7000));
    let headers = [("X-Long-1", &*long[0]), ("X-Long-2", &*long[1]), ("Cookie", &*long[2])];
    let seen = nginx.address().request("GET", "/", &headers, b"").expect(200).json();
    assert_eq!(seen["HTTP_X_LONG_1"], long[0]);
    assert_eq!(seen["HTTP_X_LONG_2"], long[1]);
    assert_eq!(seen["HTTP_COOKIE"], long[2]);
}

#[test]
fn environ_has_the_last_of_equal_variables() {
    let server = Server::app("environ").start();
    let packet = Packet::get("/").var("X", "first").again("X", "last").again("PATH_INFO", "/last");
    let seen = server.socket().uwsgi(&packet).expect(200).json();
    assert_eq!((&seen["X"], &seen["PATH_INFO"]), (&"last".into(), &"/last".into()));
}

#[test]
fn environ_of_direct_http_equals_uwsgis() {
    directly("direct", "127.0.0.1:0", "");
}

#[test]
fn environ_of_direct_http_over_ipv6_equals_uwsgis() {
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        directly("direct_ipv6", "[::1]:0", "");
    }
}

#[test]
fn environ_of_direct_http_below_a_mount_equals_uwsgis() {
    if !has(&["venv"]) {
        return;
    }
    let file = app("environ").join("app.py");
    let server = Server::app("environ")
        .without("wsgi-file")
        .ini(&format!(
            "manage-script-name = true\nmount = /shop={}\nhttp-socket = 127.0.0.1:0",
            file.display()
        ))
        .start();
    let http = server.tcp(0);
    let Address::Tcp(tcp) = http else { unreachable!("a TCP address") };
    let seen = ["/shop/cart", "/shop", "/other"].map(|path| {
        let environ = http.get(path).expect(200).json();
        (path.to_owned(), normal(environ, &[(tcp.port().to_string(), "<port>")]))
    });
    compare("direct_mount", BTreeMap::from(seen));
}

fn through_nginx(golden: &str, cases: &[Case], ini: &str, without: &[&str]) {
    if !has(&["nginx", "venv"]) {
        return;
    }
    let file = app("environ").join("app.py").display().to_string();
    let mut builder = Server::app("environ");
    for key in without {
        builder = builder.without(key);
    }
    let server = builder.ini(&ini.replace("{environ}", &file)).start();
    let to = if without.contains(&"socket") { server.tcp(0) } else { server.socket() };
    let seen = cases.iter().filter_map(|case| Some((case.name.to_owned(), ask(case, &to)?)));
    compare(golden, seen.collect());
}

/// `None`: an IPv6 case on a machine without.
fn ask(case: &Case, to: &Address) -> Option<Map<String, Value>> {
    let pass = crate::support::upstream(to);
    let location =
        format!("location / {{ include uwsgi_params; uwsgi_pass {pass}; {} }}\n{}", case.params, case.server);
    let nginx = Nginx::start(&location);
    let address = if case.over == Over::V6 { nginx.v6? } else { nginx.v4 };
    let mut client = Address::Tcp(address).connect();
    client.send(case.request);
    let environ = client.response("GET").expect(200).json();
    let ports = [(nginx.v4.port().to_string(), "<port>")];
    let port6 = nginx.v6.map(|v6| (v6.port().to_string(), "<port>"));
    let folder = nginx.folder.path().display().to_string();
    let mut replace: Vec<(String, &str)> = ports.into_iter().chain(port6).collect();
    replace.push((folder, "<nginx>"));
    Some(normal(environ, &replace))
}

fn directly(golden: &str, address: &str, ini: &str) {
    if !has(&["venv"]) {
        return;
    }
    let server =
        Server::app("environ").without("socket").ini(&format!("http-socket = {address}\n{ini}")).start();
    let Address::Tcp(tcp) = server.tcp(0) else { unreachable!("a TCP address") };
    let seen = DIRECT.iter().map(|(name, request)| {
        let mut client = server.http();
        client.send(request);
        client.finish_sending();
        let environ = client.response("GET").expect(200).json();
        ((*name).to_owned(), normal(environ, &[(tcp.port().to_string(), "<port>")]))
    });
    compare(golden, seen.collect());
}

/// Without what differs from run to run and from machine to machine.
fn normal(environ: Value, replace: &[(String, &str)]) -> Map<String, Value> {
    let Value::Object(mut environ) = environ else { panic!("an environ: {environ}") };
    let node = nix::unistd::gethostname().expect("a host name").to_string_lossy().into_owned();
    for (key, value) in &mut environ {
        let Value::String(text) = value else { continue };
        for (from, to) in replace {
            if text == from || (from.contains('/') && text.starts_with(from.as_str())) {
                *text = text.replacen(from.as_str(), to, 1);
            }
        }
        match key.as_str() {
            "REMOTE_PORT" => "<client port>".clone_into(text),
            "uwsgi.version" => "<version>".clone_into(text),
            "uwsgi.node" => *text = text.replace(&node, "<node>"),
            "SERVER_NAME" if *text == node => "<node>".clone_into(text),
            _ => {}
        }
    }
    // Which thread answered is chance; that the key is there is not.
    if let Some(core) = environ.get_mut("uwsgi.core") {
        assert!(core.is_u64(), "uwsgi.core: {core}");
        *core = "<core>".into();
    }
    environ
}

/// With the golden file, key by key; or writes that file.
fn compare(golden: &str, seen: BTreeMap<String, Map<String, Value>>) {
    let path = root().join(format!("tests/golden/environ_{golden}.json"));
    if std::env::var_os("UWRING_BLESS").is_some() {
        assert_eq!(target(), Target::Uwsgi, "golden environs come from uWSGI");
        let mut text = serde_json::to_string_pretty(&seen).expect("JSON");
        text.push('\n');
        std::fs::write(&path, text).expect("write the golden file");
        return;
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let expected: BTreeMap<String, Map<String, Value>> = serde_json::from_str(&text).expect("JSON");
    let mut problems = Vec::new();
    for (case, expected) in &expected {
        // A machine without IPv6 has fewer cases.
        let Some(seen) = seen.get(case) else { continue };
        let keys: std::collections::BTreeSet<&String> = expected.keys().chain(seen.keys()).collect();
        for key in keys {
            if expected.get(key) != seen.get(key) && !is_allowed(golden, case, key) {
                problems.push(format!(
                    "{case}: {key}: uWSGI {:?}, here {:?}",
                    expected.get(key),
                    seen.get(key)
                ));
            }
        }
    }
    for case in seen.keys().filter(|case| !expected.contains_key(*case)) {
        problems.push(format!("{case}: not in the golden file; record it (see the top of main.rs)"));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn is_allowed(golden: &str, case: &str, key: &str) -> bool {
    let fits = |pattern: &str, text: &str| pattern == "*" || pattern == text;
    target() == Target::Uwring
        && DIFFERENCES.iter().any(|(g, c, k)| fits(g, golden) && fits(c, case) && fits(k, key))
}

#[test]
fn every_difference_of_the_environ_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/differences.md")).expect("docs/differences.md");
    for (_, _, key) in DIFFERENCES {
        assert!(page.contains(&format!("`{key}`")), "docs/differences.md does not mention {key}");
    }
}
