//! The internal router: conditions, actions and chains, on requests and on answers.

use crate::support::{Packet, Response, Server, Target, target, uwring_only};

/// Serves `tests/apps/routed` by rules.
fn server(ini: &str) -> Server {
    let plugins = "plugins = router_redirect,router_rewrite,router_basicauth,router_static";
    Server::app("routed").http().uwsgi_needs(plugins).ini(ini).start()
}

fn request(server: &Server, path: &str, headers: &[(&str, &str)]) -> Response {
    server.tcp(0).request("GET", path, headers, b"")
}

/// Whether the application saw this.
fn saw(answer: &Response, line: &str) -> bool {
    answer.text().lines().any(|seen| seen == line)
}

#[test]
fn rules_look_at_what_their_option_says() {
    let server = server(
        "route = ^/path$ addheader:X-Rule: path\n\
         route-uri = ^/uri\\?a=b$ addheader:X-Rule: uri\n\
         route-qs = ^only= addheader:X-Rule: qs\n\
         route-host = ^rule\\.test$ addheader:X-Rule: host\n\
         route-remote-addr = ^127\\.0\\.0\\.9$ addheader:X-Rule: addr\n\
         route-user-agent = Bot/ addheader:X-Rule: agent\n\
         route-referer = example addheader:X-Rule: referer\n\
         route-remote-user = ^eve$ addheader:X-Rule: user\n\
         route-if = startswith:${PATH_INFO};/if addheader:X-Rule: if\n\
         route-if-not = empty:${HTTP_X_NOT} addheader:X-Rule: if-not\n\
         route-run = addheader:X-Run: always",
    );
    let rule = |answer: &Response| answer.header("X-Rule").unwrap_or("").to_owned();
    for (path, header, found) in [
        ("/path", None, "path"),
        ("/path/", None, ""),
        ("/uri?a=b", None, "uri"),
        ("/?only=1", None, "qs"),
        ("/", Some(("Host", "rule.test")), "host"),
        ("/", Some(("User-Agent", "Bot/1")), "agent"),
        ("/", Some(("Referer", "http://example/")), "referer"),
        ("/iffy", None, "if"),
        ("/", Some(("X-Not", "1")), "if-not"),
    ] {
        let answer = request(&server, path, header.as_slice()).expect(200);
        assert_eq!(
            (rule(&answer).as_str(), answer.header("X-Run")),
            (found, Some("always")),
            "{path} {header:?}"
        );
    }
    for (name, value, found) in [("REMOTE_ADDR", "127.0.0.9", "addr"), ("REMOTE_USER", "eve", "user")] {
        let answer = server.socket().uwsgi(&Packet::get("/").var(name, value));
        assert_eq!(rule(&answer), found);
    }
}

#[test]
fn conditions_compare() {
    let server = server(
        "route-if = equal:${PATH_INFO};/e addheader:X-R: equal\n\
         route-if = endswith:${PATH_INFO};.css addheader:X-R: ends\n\
         route-if = contains:${PATH_INFO};mid addheader:X-R: contains\n\
         route-if = regexp:${PATH_INFO};^/r[0-9]$ addheader:X-R: regexp\n\
         route-if = ishigher:${HTTP_N};10 addheader:X-R: higher\n\
         route-if = islowerequal:${HTTP_M};10 addheader:X-R: lower\n\
         route-if = ipv4in:${HTTP_A};10.0.0.0/8 addheader:X-R: in\n\
         route-if = isfile:{dir}${PATH_INFO} addheader:X-R: file",
    );
    for (path, header, found) in [
        ("/e", None, Some("equal")),
        ("/a.css", None, Some("ends")),
        ("/amidst", None, Some("contains")),
        ("/r5", None, Some("regexp")),
        ("/", Some(("N", "11")), Some("higher")),
        ("/", Some(("A", "10.2.3.4")), Some("in")),
        ("/uwsgi.ini", None, Some("file")),
    ] {
        let all = [header.unwrap_or(("N", "1")), ("M", "11")];
        assert_eq!(request(&server, path, &all).header("X-R"), found, "{path} {header:?}");
    }
    assert_eq!(request(&server, "/", &[("N", "1"), ("M", "10")]).header("X-R"), Some("lower"));
}

#[test]
fn requests_are_changed_on_their_way() {
    let server = server(
        "route = ^/rw/(.*)$ rewrite:/new/$1?a=b\n\
         route = ^/new addvar:X_VAR=rewritten\n\
         route = ^/var addvar:X_VAR=${REQUEST_METHOD}-x\n\
         route = ^/user setuser:bob\n\
         route = ^/method setmethod:PUT\n\
         route = ^/uri seturi:/q?z=1\n\
         route = ^/addr setremoteaddr:192.0.2.4\n\
         route = ^/path setpathinfo:/other\n\
         route = ^/scheme setscheme:https\n\
         route = ^/root setdocroot:/srv\n\
         route = ^/script setscriptname:/mount",
    );
    for (path, lines) in [
        (
            "/rw/x?c=d",
            ["PATH_INFO=/new/x", "QUERY_STRING=a=b&c=d", "REQUEST_URI=/rw/x?c=d", "X_VAR=rewritten"]
                .as_slice(),
        ),
        ("/var", &["X_VAR=GET-x"]),
        ("/user", &["REMOTE_USER=bob"]),
        ("/method", &["REQUEST_METHOD=PUT"]),
        ("/uri", &["REQUEST_URI=/q?z=1", "PATH_INFO=/uri"]),
        ("/addr", &["REMOTE_ADDR=192.0.2.4"]),
        ("/path", &["PATH_INFO=/other", "REQUEST_URI=/path"]),
        ("/scheme", &["wsgi.url_scheme=https"]),
        ("/root", &["DOCUMENT_ROOT=/srv"]),
        ("/script", &["SCRIPT_NAME=/mount"]),
    ] {
        for answer in [server.get(path), server.socket().uwsgi(&packet(path))] {
            for line in lines {
                assert!(saw(&answer, line), "{path}: {line} not in\n{}", answer.text());
            }
        }
    }
    server.log().wait_for("192.0.2.4 () ");
    server.log().wait_for("127.0.0.1 (bob) ");
}

fn packet(target: &str) -> Packet {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Packet::get(path).var("REQUEST_URI", target).var("QUERY_STRING", query)
}

#[test]
fn clients_are_sent_elsewhere() {
    let server = server(
        "route = ^/old/(.*)$ redirect:/new/$1\n\
         route-if = equal:${HTTP_X_FORWARDED_PROTO};http redirect-permanent:https://${HTTP_HOST}${REQUEST_URI}",
    );
    let answer = server.get("/old/a").expect(302);
    assert_eq!((answer.header("Location"), answer.text().as_str()), (Some("/new/a"), "Moved"));
    let answer = request(&server, "/x?y=z", &[("X-Forwarded-Proto", "http")]).expect(301);
    assert_eq!(answer.header("Location"), Some("https://test/x?y=z"));
    request(&server, "/x", &[("X-Forwarded-Proto", "https")]).expect(200);
}

#[test]
fn a_redirect_makes_no_second_header() {
    if uwring_only("line ends in a value become line ends of the head") {
        return;
    }
    let server = server("route = ^/old/([^?]*) redirect:/new/$1");
    let answer = server.get("/old/a%0d%0aX-Evil:%20y").expect(302);
    assert_eq!((answer.header("X-Evil"), answer.header("Location")), (None, Some("/new/a  X-Evil: y")));
}

#[test]
fn requests_are_broken_off() {
    let server = server(
        "route = ^/index.html break:404 Not Found\n\
         route = ^/blank break: 404 Not Found\n\
         route = ^/nothing break:\n\
         route = ^/gone return:410\n\
         route = ^/status break-with-status:403",
    );
    let answer = server.get("/index.html").expect(404);
    assert_eq!((answer.text().as_str(), answer.header("Connection")), ("", Some("close")));
    assert_eq!(server.get("/gone").expect(410).text(), "Gone");
    assert_eq!(server.get("/status").expect(403).text(), "Forbidden");
    let mut client = server.http();
    client.send("GET /nothing HTTP/1.1\r\nHost: test\r\n\r\n");
    assert!(client.is_closed());
    server.get("/other").expect(200);
    if target() == Target::Uwring {
        // uWSGI sends the blank too, which makes its status line a wrong one.
        server.get("/blank").expect(404);
    }
}

#[test]
fn rules_end_and_jump() {
    let server = server(
        "route = ^/last last:\n\
         route = ^/goto goto:further\n\
         route-run = addheader:X-First: 1\n\
         route-label = further\n\
         route-run = addheader:X-Second: 1",
    );
    let has = |path: &str| {
        let answer = server.get(path).expect(200);
        (answer.header("X-First").is_some(), answer.header("X-Second").is_some())
    };
    assert_eq!(has("/"), (true, true));
    assert_eq!(has("/goto"), (false, true));
    assert_eq!(has("/last"), (false, false));
}

#[test]
fn users_are_asked_for_their_password() {
    let server = server("route = ^/auth basicauth:My Realm,joe:secret");
    let answer = server.get("/auth").expect(401);
    assert_eq!(answer.header("WWW-Authenticate"), Some("Basic realm=\"My Realm\""));
    // joe:secret, joe:wrong
    let answer = request(&server, "/auth", &[("Authorization", "Basic am9lOnNlY3JldA==")]).expect(200);
    assert!(saw(&answer, "REMOTE_USER=joe"), "{}", answer.text());
    request(&server, "/auth", &[("Authorization", "Basic am9lOndyb25n")]).expect(401);
    server.get("/").expect(200);
    server.log().wait_for("127.0.0.1 (joe) ");
}

#[test]
fn requests_are_logged_as_rules_want() {
    let server = server(
        "route = ^/healthz/(live|ready)/?$ donotlog:\n\
         route = ^/said log:rule saw ${REQUEST_URI}\n\
         route = ^/named logvar:kind=special\n\
         final-route = ^/said log:final ${uwsgi[status]} in ${uwsgi[wid]}\n\
         log-format = line %(uri) %(kind)",
    );
    for path in ["/healthz/live", "/said?x", "/named", "/end"] {
        server.get(path).expect(200);
    }
    server.log().wait_for("line /end -");
    server.log().wait_for("line /named special");
    server.log().wait_for("rule saw /said?x");
    server.log().wait_for("final 200 in 1");
    assert_eq!(server.log().count(|line| line.starts_with("line /healthz")), 0);
}

#[test]
fn answers_are_changed_and_replaced() {
    let ini = "collect-header = X-Sendfile X_SENDFILE\n\
               error-route-status = 404 addheader:X-Error: 404\n\
               error-route-uri = ^/static/ addheader:Cache-Control: no-cache\n\
               response-route-status = 404 addheader:X-Response: 404\n\
               response-route-run = delheader:X-App\n\
               response-route-if = equal:${PATH_INFO};/broken break:503 Service Unavailable\n\
               response-route-if-not = empty:${X_SENDFILE} static:${X_SENDFILE}";
    let server = server(ini);
    let answer = server.get("/?status=404+Not+Found").expect(404);
    assert_eq!((answer.header("X-Error"), answer.header("X-Response")), (Some("404"), Some("404")));
    let answer = server.get("/static/x").expect(200);
    assert_eq!((answer.header("X-Error"), answer.header("Cache-Control")), (None, Some("no-cache")));
    assert_eq!(server.get("/broken").expect(503).text(), "");
    let ini = std::fs::read(server.path("uwsgi.ini")).expect("read");
    let path = format!("/?X-Sendfile={}", server.path("uwsgi.ini").display());
    for answer in [server.get(&path), server.socket().uwsgi(&packet(&path))] {
        assert!(answer.expect(200).body == ini);
    }
    let large = vec![b'x'; 1_000_000];
    std::fs::write(server.path("large"), &large).expect("written");
    let path = format!("/?X-Sendfile={}", server.path("large").display());
    assert!(server.get(&path).expect(200).body == large);
    if target() == Target::Uwring {
        assert_eq!(server.get("/").header("X-App"), None);
    }
}

#[test]
fn rules_of_answers_look_at_what_their_option_says() {
    const KINDS: [(&str, &str); 8] = [
        ("host", "^rule\\.test$"),
        ("uri", "^/uri"),
        ("qs", "only="),
        ("remote-addr", "^127\\.0\\.0\\.9$"),
        ("remote-user", "^eve$"),
        ("user-agent", "Bot/"),
        ("referer", "example"),
        ("if", "startswith:${PATH_INFO};/if"),
    ];
    let mut ini = String::new();
    for (kind, looked_for) in KINDS {
        ini.push_str(&format!(
            "response-route-{kind} = {looked_for} addheader:X-Response: {kind}\n\
             error-route-{kind} = {looked_for} addheader:X-Error: {kind}\n\
             final-route-{kind} = {looked_for} log:final {kind}\n"
        ));
    }
    for phase in ["response", "error"] {
        ini.push_str(&format!(
            "{phase}-route-if-not = empty:${{HTTP_X_GO}} goto:there\n\
             {phase}-route-run = addheader:X-{phase}-passed: 1\n\
             {phase}-route-label = there\n\
             {phase}-route-run = addheader:X-{phase}-there: 1\n"
        ));
    }
    ini.push_str(
        "final-route-status = 404 log:final not found\n\
         final-route-status = 200 log:final found\n\
         final-route-if-not = empty:${HTTP_X_GO} goto:there\n\
         final-route-run = log:passed [${HTTP_X_GO}]\n\
         final-route-label = there\n\
         final-route-run = log:there [${HTTP_X_GO}]",
    );
    let server = server(&ini);
    for (kind, name, value) in [
        ("host", "HTTP_HOST", "rule.test"),
        ("uri", "REQUEST_URI", "/uri"),
        ("qs", "QUERY_STRING", "status=404+No&only=1"),
        ("remote-addr", "REMOTE_ADDR", "127.0.0.9"),
        ("remote-user", "REMOTE_USER", "eve"),
        ("user-agent", "HTTP_USER_AGENT", "Bot/1"),
        ("referer", "HTTP_REFERER", "http://example/"),
        ("if", "PATH_INFO", "/iffy"),
    ] {
        let query = if name == "QUERY_STRING" { value } else { "status=404+No" };
        let answer =
            server.socket().uwsgi(&Packet::get("/").var("QUERY_STRING", query).var(name, value)).expect(404);
        assert_eq!(
            (answer.header("X-Response"), answer.header("X-Error")),
            (Some(kind), Some(kind)),
            "{name}"
        );
        server.log().wait_for(&format!("final {kind}"));
        assert!(answer.header("X-response-passed").is_some() && answer.header("X-error-there").is_some());
    }
    let answer = request(&server, "/?status=404+No", &[("X-Go", "1")]);
    for phase in ["response", "error"] {
        assert_eq!(answer.header(&format!("X-{phase}-passed")), None, "{phase}");
        assert_eq!(answer.header(&format!("X-{phase}-there")), Some("1"), "{phase}");
    }
    let log = server.log();
    log.wait_for("there [1]");
    // uWSGI shows the rules at its start.
    let said = |text: &str| log.count(|line| line.starts_with(text));
    assert!(said("final not found") > 0 && said("passed []") > 0, "{}", log.text());
    assert_eq!((said("final found"), said("passed [1]")), (0, 0), "{}", log.text());
}

#[test]
fn files_are_sent_by_rules_and_rules_see_static_files() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.css"), "body {}").expect("written");
    let server = Server::app("routed")
        .http()
        .folder(folder)
        .uwsgi_needs("plugins = router_static,router_basicauth")
        .ini(
            "static-map = /s={dir}\n\
             route-uri = ^/s/ addheader:Vary: Origin\n\
             route = ^/s/secret basicauth:R,a:b\n\
             route = ^/css/(.*)$ static:{dir}/$1\n\
             route = ^/plain file:filename={dir}/a.css,status=202 Accepted,content_type=text/x-own",
        )
        .start();
    let answer = server.get("/s/a.css").expect(200);
    assert_eq!((answer.text().as_str(), answer.header("Vary")), ("body {}", Some("Origin")));
    assert_eq!(server.get("/css/a.css").expect(200).header("Content-Type"), Some("text/css"));
    let answer = server.get("/plain").expect(202);
    assert_eq!((answer.text().as_str(), answer.header("Content-Type")), ("body {}", Some("text/x-own")));
    server.get("/s/secret").expect(401);
    if uwring_only("closes without an answer") {
        return;
    }
    server.get("/css/none").expect(404);
}

#[test]
fn rules_nobody_can_follow_stop_the_start() {
    if uwring_only("most of these start") {
        return;
    }
    for (rule, why) in [
        ("route = ^/(x last:", "a regular expression"),
        ("route-run = http:127.0.0.1:80", "would forward the request"),
        ("route-run = frobnicate:x", "frobnicate is not"),
        ("route-run = basicauth:R,/etc/htpasswd", "front end"),
        ("final-route-run = addheader:A: b", "too late"),
    ] {
        let server = Server::app("routed").ini(rule).launch();
        assert_eq!(server.process.expect_end().code(), Some(1));
        let said = server.log().wait_for(why);
        assert!(said.contains("uwsgi.ini:"), "{said}");
    }
}

/// The text that `tests/apps/squeezed` answers with.
const WORDS: &[u8] = b"the same words again and again, ";

fn unpacked(body: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(body).read_to_end(&mut plain).expect("gzip");
    plain
}

#[test]
fn gzip_compresses_whatever_way_the_answer_comes() {
    let server = Server::app("squeezed")
        .http()
        .uwsgi_needs("plugins = transformation_gzip,transformation_chunked")
        .ini("route-run = gzip:")
        .start();
    for (path, times) in [("/whole", 64), ("/pieces", 64), ("/large", 64_000), ("/file", 64)] {
        if path == "/file" && target() == Target::Uwsgi {
            continue; // It sends the file as it is, and says that it were compressed.
        }
        let answer = request(&server, path, &[("Accept-Encoding", "br, gzip")]).expect(200);
        assert_eq!(answer.header("Content-Encoding"), Some("gzip"), "{path}");
        assert!(unpacked(&answer.body) == WORDS.repeat(times), "{path}: {} bytes", answer.body.len());
    }
    let answer =
        server.socket().uwsgi(&Packet::get("/whole").var("HTTP_ACCEPT_ENCODING", "gzip")).expect(200);
    assert_eq!(unpacked(&answer.body), WORDS.repeat(64));
}

#[test]
fn gzip_is_for_clients_that_take_it_and_is_done_once() {
    if uwring_only(
        "compresses for everybody, what is compressed already too, and keeps a wrong Content-Length",
    ) {
        return;
    }
    let server = Server::app("squeezed").http().ini("route-run = gzip:").start();
    let gzip = ("Accept-Encoding", "gzip");
    let answer = request(&server, "/length", &[gzip]).expect(200);
    let seen = |name: &str| answer.header(name);
    assert_eq!((seen("Vary"), seen("ETag")), (Some("Accept-Encoding"), Some("W/\"strong\"")));
    assert_eq!((seen("Content-Length"), seen("Transfer-Encoding")), (None, Some("chunked")));
    for (path, accept) in [("/length", ""), ("/length", "gzip;q=0"), ("/encoded", "gzip")] {
        let answer = request(&server, path, &[("Accept-Encoding", accept)]).expect(200);
        assert_eq!(answer.body, WORDS.repeat(64), "{path} {accept}");
        assert_eq!(answer.header("Vary").is_some(), path == "/length", "{path} {accept}");
    }
    let mut kept = server.tcp(0).connect();
    kept.send("HEAD /length HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    let head = kept.head().expect(200);
    assert_eq!((head.header("Content-Encoding"), head.header("Content-Length")), (Some("gzip"), None));
    kept.send("GET /none HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(kept.head().expect(204).header("Content-Encoding"), None);
    kept.send("GET /short HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    let cut = String::from_utf8_lossy(&kept.rest()).into_owned();
    assert!(
        cut.contains("Content-Encoding: gzip") && !cut.ends_with("0\r\n\r\n"),
        "half an answer that looks whole"
    );
}
