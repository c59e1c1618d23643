//! FastCGI and SCGI: a real nginx in front of all four kinds of sockets, and literal records from a front end that is
//! broken or hostile.

use std::collections::BTreeMap;

use crate::support::{Address, Nginx, Server, ServerBuilder, Target, has, target, upstream, uwring_only};

/// The sockets of a server, by the option that makes them.
const SOCKETS: [&str; 4] = ["fastcgi-socket", "fastcgi-nph-socket", "scgi-socket", "scgi-nph-socket"];

fn site() -> ServerBuilder {
    let mut builder = Server::app("fronted").uwsgi_needs("buffer-size = 32768");
    for option in SOCKETS {
        builder = builder.ini(&format!("{option} = {{dir}}/{option}"));
    }
    builder
}

fn socket(server: &Server, option: &str) -> Address {
    Address::Unix(server.path(option))
}

/// nginx with a location for each socket.
fn nginx(server: &Server, extra: &str) -> Nginx {
    let mut config = String::new();
    for option in SOCKETS {
        let protocol = option.split('-').next().expect("a word");
        let params: String = [
            ("REQUEST_METHOD", "$request_method"),
            ("QUERY_STRING", "$query_string"),
            ("CONTENT_TYPE", "$content_type"),
            ("CONTENT_LENGTH", "$content_length"),
            ("REQUEST_URI", "$request_uri"),
            ("PATH_INFO", "$path"),
            ("SERVER_PROTOCOL", "$server_protocol"),
            ("REMOTE_ADDR", "$remote_addr"),
            ("SERVER_PORT", "$server_port"),
            ("SERVER_NAME", "$server_name"),
        ]
        .iter()
        // nginx itself says CONTENT_LENGTH to SCGI, and no second one is allowed.
        .filter(|(name, _)| protocol == "fastcgi" || *name != "CONTENT_LENGTH")
        .map(|(name, value)| format!("{protocol}_param {name} {value};\n"))
        .collect();
        let to = upstream(&socket(server, option));
        config.push_str(&format!(
            "location ~ ^/{option}(?<path>/.*) {{ {extra} {params} {protocol}_pass {to}; }}\n"
        ));
    }
    Nginx::start(&config)
}

fn big() -> Vec<u8> {
    (0..=250_u8).collect::<Vec<u8>>().repeat(12_000)
}

/// The status that nginx tells of such a socket's answer: of FastCGI it knows no status line (nph), only the field.
fn seen(option: &str, status: u16) -> u16 {
    if option == "fastcgi-nph-socket" { 200 } else { status }
}

#[test]
fn nginx_in_front_gets_every_answer_whole() {
    if !has(&["nginx"]) {
        return;
    }
    let server = site().start();
    let nginx = nginx(&server, "");
    let pieces = 1 + 70_000 + 5 + 65_535 + 65_536 + 65_528 + 200_000;
    for option in SOCKETS {
        let get = |path: &str| nginx.address().get(&format!("/{option}{path}"));
        let text = get("/a%20b?q=1").expect(200).text();
        assert!(
            text.starts_with("REQUEST_METHOD=GET\nPATH_INFO=/a b\nQUERY_STRING=q=1\n"),
            "{option}: {text}"
        );
        assert_eq!(get("/big").expect(200).body, big(), "{option}");
        assert_eq!(get("/file").expect(200).body, big(), "{option}");
        let streamed = get("/pieces").expect(200).body;
        assert!(streamed.len() == pieces && streamed.iter().all(|byte| *byte == b'p'), "{option}");
        let none = get("/none");
        assert_eq!((none.header("X-A"), none.status()), (Some("b"), seen(option, 204)), "{option}");
        assert_eq!(get("/fields").expect(200).header("X-2").map(str::len), Some(1000), "{option}");
        let head = nginx.address().request("HEAD", &format!("/{option}/big"), &[], b"").expect(200);
        assert_eq!(head.header("Content-Length"), Some("3012000"), "{option}");
    }
    // The request line counts the answer, not the records it was in.
    let line = server.log().wait_for("GET /fastcgi-socket/big");
    assert!(line.contains("generated 3012000 bytes"), "{line}");
}

#[test]
fn nginx_in_front_sends_bodies_of_any_size() {
    if !has(&["nginx"]) {
        return;
    }
    let server = site().start();
    let nginx = nginx(&server, "");
    let body = big();
    for option in SOCKETS {
        for size in [0, 5, 65_535, 65_536, body.len()] {
            let path = format!("/{option}/echo");
            let answer =
                nginx.address().request("POST", &path, &[("X-Name", "v")], &body[..size]).expect(200);
            let text = answer.text();
            assert!(
                text.contains("REQUEST_METHOD=POST") && text.contains("HTTP_X_NAME=v"),
                "{option}: {text}"
            );
            let sum = md5(&body[..size]);
            assert!(text.ends_with(&format!("\n{size} {sum}")), "{option}: {text}, not {sum}");
        }
        if target() == Target::Uwring {
            // (Under uWSGI what is left unread resets the connection.)
            let path = format!("/{option}/unread");
            let answer = nginx.address().request("POST", &path, &[], &body).expect(seen(option, 403));
            assert_eq!(answer.text(), "not read", "{option}");
        }
    }
}

/// By Python, which every machine that runs these tests has.
fn md5(bytes: &[u8]) -> String {
    use std::io::Write;
    let mut python = std::process::Command::new("python3")
        .args(["-c", "import sys, hashlib; print(hashlib.md5(sys.stdin.buffer.read()).hexdigest())"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("python3");
    python.stdin.take().expect("a pipe").write_all(bytes).expect("written");
    let output = python.wait_with_output().expect("python3");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn the_servers_own_files_and_refusals_come_in_records_too() {
    if uwring_only("closes without an answer where uwring says why") || !has(&["nginx"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("big.bin"), big()).expect("a file");
    let server = site()
        .ini(&format!("static-map = /files={}\nlimit-post = 1000", folder.path().display()))
        .ini("route = ^/moved redirect:/elsewhere\nroute = ^/lost break:404 Not Found")
        .ini("harakiri = 1")
        .start();
    let nginx = nginx(&server, "").allow_errors();
    for option in SOCKETS {
        let get = |path: &str| nginx.address().get(&format!("/{option}{path}"));
        assert_eq!(get("/files/big.bin").expect(200).body, big(), "{option}");
        assert_eq!(get("/lost").status(), seen(option, 404), "{option}");
        assert_eq!(get("/moved").header("Location"), Some("/elsewhere"), "{option}");
        let much = nginx.address().request("POST", &format!("/{option}/echo"), &[], &[b'x'; 2000]);
        assert_eq!(much.status(), seen(option, 413), "{option}");
        // An application that ends too early is no whole answer.
        let short = raw(&nginx.address(), &format!("/{option}/short"));
        assert!(!short.ends_with("0\r\n\r\n") && short.contains("Content-Length: 10"), "{option}: {short}");
    }
}

/// One FastCGI record.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    let len = u16::try_from(content.len()).expect("16 bits").to_be_bytes();
    [&[1, kind, 0, 1, len[0], len[1], 0, 0], content].concat()
}

/// Names and values as FastCGI has them, or SCGI.
fn params(protocol: &str, vars: &BTreeMap<&str, &str>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in vars {
        if protocol == "scgi" {
            block.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        } else {
            block.extend([name.len(), value.len()].map(|len| u8::try_from(len).expect("short")));
            block.extend([name.as_bytes(), value.as_bytes()].concat());
        }
    }
    block
}

fn vars() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("REQUEST_METHOD", "POST"),
        ("PATH_INFO", "/called"),
        ("REQUEST_URI", "/called"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("CONTENT_LENGTH", "5"),
    ])
}

/// A whole POST of `hello`, with those variables.
fn post(protocol: &str, vars: &BTreeMap<&str, &str>) -> Vec<u8> {
    let block = params(protocol, vars);
    if protocol == "scgi" {
        return [format!("{}:", block.len()).as_bytes(), &block, b",hello"].concat();
    }
    let begin = record(1, &[0, 1, 0, 0, 0, 0, 0, 0]);
    [begin, record(4, &block), record(4, b""), record(5, b"hello"), record(5, b"")].concat()
}

/// What is in an answer's records; and whether they ended as they should.
fn unwrapped(mut bytes: &[u8]) -> (String, bool) {
    let mut content = Vec::new();
    while let [1, kind, 0, 1, len1, len0, padding, _, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*len1, *len0]));
        if *kind == 3 {
            return (String::from_utf8_lossy(&content).into_owned(), rest == [0; 8]);
        }
        content.extend(&rest[..len]);
        bytes = &rest[len + usize::from(*padding)..];
    }
    (String::from_utf8_lossy(&content).into_owned(), false)
}

#[test]
fn an_answer_begins_with_its_status_and_ends_with_the_connection() {
    let server = site().start();
    for (option, line) in SOCKETS.iter().zip(["Status: 200 OK", "HTTP/1.1 200 OK"].iter().cycle()) {
        let protocol = option.split('-').next().expect("a word");
        let mut client = socket(&server, option).connect();
        let bytes = post(protocol, &vars());
        // In pieces, so that every part of the head has once been missing.
        for piece in bytes.chunks(7) {
            client.send(piece);
        }
        let answer = client.rest();
        let text = if protocol == "scgi" {
            String::from_utf8_lossy(&answer).into_owned()
        } else {
            let (text, ended) = unwrapped(&answer);
            assert!(ended, "{option}: no FCGI_END_REQUEST");
            text
        };
        assert!(text.starts_with(&format!("{line}\r\n")), "{option}: {text}");
        assert!(
            text.contains("CONTENT_LENGTH=5") && text.contains("\n5 5d41402abc4b2a76b9719d911017c592"),
            "{text}"
        );
    }
    // uWSGI counts the variables as in a packet of its own.
    let lines = server.log().wait_n(4, |line| line.contains("POST /called")).expect("four request lines");
    assert!(lines.iter().all(|line| line.contains("{10 vars in 110 bytes}")), "{lines:?}");
}

#[test]
fn fronts_that_go_away_in_the_middle_of_an_answer_hurt_nobody() {
    let server = site().start();
    let mut vars = vars();
    vars.insert("PATH_INFO", "/big");
    vars.insert("REQUEST_URI", "/big");
    let worker = server.workers();
    for option in SOCKETS {
        let mut client = socket(&server, option).connect();
        client.send(post(option.split('-').next().expect("a word"), &vars));
        // The answer has begun, and is longer than what the socket's buffers hold.
        client.exactly(20_000);
        drop(client);
    }
    let lines = server.log().wait_n(SOCKETS.len(), |line| line.contains("POST /big"));
    assert!(lines.is_some(), "{}", server.log().text());
    // The same worker answers all the same.
    let mut client = socket(&server, "scgi-socket").connect();
    client.send(post("scgi", &vars));
    assert!(client.rest().ends_with(&big()));
    assert_eq!(server.workers(), worker);
}

#[test]
fn hostile_fronts_are_refused_and_the_worker_lives() {
    if uwring_only("waits for more, or closes without an answer") {
        return;
    }
    let server = site().ini("buffer-size = 4096").start();
    let (fastcgi, scgi) = (post("fastcgi", &vars()), post("scgi", &vars()));
    let with = |protocol: &str, name: &'static str, value: &'static str| {
        let mut vars = vars();
        vars.insert(name, value);
        post(protocol, &vars)
    };
    let big = [&[1, 4, 0, 1, 0x20, 0, 0, 0][..], &[0; 8192]].concat();
    let begin = &fastcgi[..16];
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("fastcgi", b"GET / HTTP/1.1\r\n\r\n".to_vec(), ""),
        ("fastcgi", fastcgi[..fastcgi.len() - 1].to_vec(), ""),
        ("fastcgi", fastcgi[..30].to_vec(), ""),
        ("fastcgi", [begin, &big].concat(), "431"),
        ("fastcgi", [begin, &record(9, b"")].concat(), "400"),
        ("fastcgi", [&fastcgi[..fastcgi.len() - 21], &record(2, b"")].concat(), ""),
        ("fastcgi", with("fastcgi", "CONTENT_LENGTH", "4"), "400"),
        ("fastcgi", with("fastcgi", "CONTENT_LENGTH", "6"), "400"),
        ("fastcgi", with("fastcgi", "CONTENT_LENGTH", "x"), "400"),
        ("scgi", b"GET / HTTP/1.1\r\n\r\n".to_vec(), ""),
        ("scgi", scgi[..scgi.len() - 1].to_vec(), ""),
        ("scgi", scgi[..30].to_vec(), ""),
        ("scgi", b"5000:".to_vec(), "431"),
        ("scgi", b"007:".to_vec(), "400"),
        ("scgi", b"4:A\0B\0;".to_vec(), "400"),
        ("scgi", with("scgi", "CONTENT_LENGTH", "-1"), "400"),
    ];
    for (protocol, bytes, status) in cases {
        let mut client = socket(&server, &format!("{protocol}-socket")).connect();
        // The server may have refused before the last byte is out.
        let _ = client.try_send(bytes);
        client.finish_sending();
        let answer = client.rest_or_reset();
        let text = match *protocol {
            "scgi" => String::from_utf8_lossy(&answer).into_owned(),
            _ => unwrapped(&answer).0,
        };
        let said = text.strip_prefix("Status: ").and_then(|rest| rest.get(..3)).unwrap_or("");
        assert_eq!(said, *status, "{protocol}: {} {text}", bytes.escape_ascii());
    }
    assert_eq!(server.log().count(|line| line.contains("/called")), 0, "the application was called");
    let mut client = socket(&server, "scgi-socket").connect();
    client.send(&scgi);
    assert!(client.rest().starts_with(b"Status: 200 OK\r\n"));
    assert_eq!(server.log().count(|line| line.contains("Respawned")), 0, "a worker died");
}

#[test]
fn a_plain_socket_speaks_what_the_protocol_option_says() {
    for (protocol, begins) in [("fastcgi", "Status: 200 OK"), ("scgi", "Status: 200 OK")] {
        let server = Server::app("fronted").ini(&format!("protocol = {protocol}")).start();
        let mut client = server.socket().connect();
        client.send(post(protocol, &vars()));
        let answer = String::from_utf8_lossy(&client.rest()).into_owned();
        assert!(answer.contains(begins), "{protocol}: {answer}");
    }
}

/// All bytes of the answer to a GET.
fn raw(to: &Address, path: &str) -> String {
    let mut client = to.connect();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
    String::from_utf8_lossy(&client.rest_or_reset()).into_owned()
}
