//! Static files: which paths are files, and the answers clients and caches rely on, by both protocols.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Address, Packet, Response, Server, ServerBuilder, Target, target, uwring_only};

/// A folder of files, before the server that serves them.
fn site() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("www/a.txt", b"hello\n");
    write("www/style.css", b"body {}");
    write("www/style.css.gz", b"gzipped");
    write("www/style.css.br", b"brotli");
    write("www/style.css.zst", b"zstandard");
    write("www/page.php", b"source");
    write("www/noext", b"x");
    write("www/empty.txt", b"");
    write("www/sub/index.html", b"<index>");
    write("www/large.bin", &large());
    write("wwwide/secret.txt", b"secret");
    write("other/o.txt", b"other");
    symlink(folder.path().join("wwwide/secret.txt"), folder.path().join("www/out.txt")).expect("linked");
    symlink("../other/o.txt", folder.path().join("www/other.txt")).expect("linked");
    symlink(folder.path().join("www/a.txt"), folder.path().join("www/in.txt")).expect("linked");
    folder
}

fn large() -> Vec<u8> {
    (0..300_000u32).flat_map(u32::to_le_bytes).collect()
}

fn server(ini: &str) -> (Server, Address) {
    let folder = site();
    let server = Server::app("hello").http().folder(folder).ini(ini).start();
    let address = server.tcp(0);
    (server, address)
}

const HELLO: &str = "Hello, world!";

#[test]
fn mapped_paths_are_files_and_others_the_applications() {
    let (server, http) = server("static-map = /s={dir}/www\nstatic-index = index.html");
    for (path, text) in [
        ("/s/a.txt", "hello\n"),
        ("/s//a.txt", "hello\n"),
        ("/s/noext", "x"),
        ("/s/sub/", "<index>"),
        ("/s/sub", "<index>"),
        ("/s/sub/index.html", "<index>"),
        ("/s/in.txt", "hello\n"),
        ("/s/none.txt", HELLO),
        ("/s/", HELLO),
        ("/s", HELLO),
        ("/a.txt", HELLO),
        ("/s/a.txt/", HELLO),
        ("/s/../uwsgi.ini", HELLO),
        ("/s/%2e%2e/uwsgi.ini", HELLO),
    ] {
        assert_eq!(http.get(path).expect(200).text(), text, "{path}");
        let packet = Packet::get(&path.replace("%2e", "."));
        assert_eq!(server.socket().uwsgi(&packet).expect(200).text(), text, "{path} by uwsgi");
    }
    let head = http.request("HEAD", "/s/a.txt", &[], b"").expect(200);
    assert_eq!((head.header("Content-Length"), head.text()), (Some("6"), String::new()));
    assert_eq!(http.request("POST", "/s/a.txt", &[], b"x").expect(200).text(), HELLO, "only GET and HEAD");
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_prefix_ends_with_a_segment() {
    if uwring_only("a prefix matches in the middle of a word: /s serves /statics too") {
        return;
    }
    let (_server, http) = server("static-map = /s={dir}/www");
    assert_eq!(http.get("/sa.txt").text(), HELLO);
    assert_eq!(http.get("/s/a.txt").text(), "hello\n");
}

#[test]
fn a_map_may_name_one_file() {
    let (_server, http) = server("static-map = /favicon.ico={dir}/www/noext\nstatic-map = /none={dir}/none");
    assert_eq!(http.get("/favicon.ico").text(), "x");
    assert_eq!(http.get("/none").text(), HELLO);
}

#[test]
fn the_other_ways_to_a_file() {
    let (_server, http) = server("static-map2 = /sub={dir}/www\ncheck-static = {dir}/other");
    assert_eq!(http.get("/sub/index.html").text(), "<index>");
    assert_eq!(http.get("/index.html").text(), HELLO);
    assert_eq!(http.get("/o.txt").text(), "other");
}

#[test]
fn the_front_end_names_the_folder() {
    let (server, _) = server("check-static-docroot = true");
    let docroot = server.path("www").display().to_string();
    let packet = Packet::get("/a.txt").var("DOCUMENT_ROOT", &docroot);
    assert_eq!(server.socket().uwsgi(&packet).text(), "hello\n");
    assert_eq!(server.socket().uwsgi(&Packet::get("/a.txt")).text(), HELLO);
}

#[test]
fn suffixes_are_left_to_the_application() {
    let (_server, http) = server("static-map = /s={dir}/www\nstatic-skip-ext = .php");
    assert_eq!(http.get("/s/page.php").text(), HELLO);
    assert_eq!(http.get("/s/a.txt").text(), "hello\n");
}

#[test]
fn links_lead_out_of_the_folder_only_into_safe_ones() {
    let (server, http) = server("static-map = /s={dir}/www\nstatic-safe = {dir}/other");
    assert_eq!(http.get("/s/other.txt").text(), "other");
    if target() == Target::Uwsgi {
        // It compares names: /www is taken for the beginning of /wwwide.
        return;
    }
    assert_eq!(http.get("/s/out.txt").text(), HELLO);
    let line = server.log().wait_for("[uwsgi-fileserve] security error: ");
    assert!(line.contains("wwwide/secret.txt is not under "), "{line}");
}

#[test]
fn an_outside_link_is_refused() {
    let folder = site();
    symlink(folder.path().join("other/o.txt"), folder.path().join("www/o.txt")).expect("linked");
    let server = Server::app("hello").http().folder(folder).ini("static-map = /s={dir}/www").start();
    assert_eq!(server.get("/s/o.txt").text(), HELLO);
    server.log().wait_for("[uwsgi-fileserve] security error: ");
}

#[test]
fn static_paths_are_those_below_the_mountpoint() {
    let folder = site();
    let ini = "mount = /app={apps}/hello/app.py\nmanage-script-name = true\nstatic-map = /s={dir}/www";
    let server = Server::bare().http().folder(folder).ini(ini).start();
    assert_eq!(server.get("/app/s/a.txt").text(), "hello\n");
    assert_eq!(server.get("/s/a.txt").text(), "hello\n");
}

#[test]
fn heads_say_type_length_and_change() {
    let (server, http) = server("static-map = /s={dir}/www");
    for answer in [http.get("/s/style.css"), server.socket().uwsgi(&Packet::get("/s/style.css"))] {
        assert_eq!(answer.header("Content-Type"), Some("text/css"));
        assert_eq!(answer.header("Content-Length"), Some("7"));
        assert!(answer.header("Last-Modified").is_some_and(|date| date.ends_with(" GMT")));
        if target() == Target::Uwring {
            assert!(answer.header("ETag").is_some_and(|tag| tag.starts_with('"')));
            assert_eq!(answer.header("Accept-Ranges"), Some("bytes"));
        }
    }
    assert_eq!(http.get("/s/noext").header("Content-Type"), None);
    assert_eq!(http.get("/s/empty.txt").header("Content-Length"), Some("0"));
}

#[test]
fn a_large_file_arrives_whole() {
    let (server, http) = server("static-map = /s={dir}/www");
    for answer in [http.get("/s/large.bin"), server.socket().uwsgi(&Packet::get("/s/large.bin"))] {
        assert_eq!(answer.header("Content-Length"), Some("1200000"));
        assert!(answer.body == large(), "{} bytes", answer.body.len());
    }
    let line = server.log().wait_for("GET /s/large.bin => generated 1200000 bytes in ");
    assert!(line.contains("|app: -1|req: -1/") && line.contains("via sendfile()"), "{line}");
}

#[test]
fn files_and_answers_follow_each_other_on_one_connection() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let (server, _) = server("static-map = /s={dir}/www");
    let mut client = server.http();
    let mut all = String::new();
    for path in ["/s/a.txt", "/", "/s/large.bin", "/s/none", "/s/a.txt"] {
        all.push_str(&format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"));
    }
    client.send(all.repeat(20));
    for _ in 0..20 {
        assert_eq!(client.response("GET").expect(200).text(), "hello\n");
        assert_eq!(client.response("GET").expect(200).text(), HELLO);
        assert_eq!(client.response("GET").expect(200).body.len(), 1_200_000);
        assert_eq!(client.response("GET").expect(200).text(), HELLO);
        assert_eq!(client.response("GET").expect(200).text(), "hello\n");
    }
}

#[test]
fn an_unread_body_does_not_harm() {
    if uwring_only("http-socket closes after each request") {
        return;
    }
    let (server, _) = server("static-map = /s={dir}/www");
    let mut client = server.http();
    client.send("GET /s/a.txt HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nabcdeGET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(client.response("GET").expect(200).text(), "hello\n");
    assert_eq!(client.response("GET").expect(200).text(), HELLO);
}

fn with(http: &Address, path: &str, headers: &[(&str, &str)]) -> Response {
    http.request("GET", path, headers, b"")
}

#[test]
fn what_did_not_change_is_not_sent() {
    let (_server, http) = server("static-map = /s={dir}/www");
    let first = http.get("/s/a.txt");
    let changed = first.header("Last-Modified").expect("a date").to_owned();
    with(&http, "/s/a.txt", &[("If-Modified-Since", &changed)]).expect(304);
    with(&http, "/s/a.txt", &[("If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT")]).expect(200);
    if uwring_only("no entity tags") {
        return;
    }
    let tag = first.header("ETag").expect("a tag");
    let answer = with(&http, "/s/a.txt", &[("If-None-Match", tag)]).expect(304);
    assert_eq!((answer.header("ETag"), answer.header("Content-Length")), (Some(tag), None));
    with(&http, "/s/a.txt", &[("If-None-Match", "\"other\""), ("If-Modified-Since", &changed)]).expect(200);
    with(&http, "/s/a.txt", &[("If-Match", "\"other\"")]).expect(412);
}

#[test]
fn parts_are_sent() {
    let (server, http) = server("static-map = /s={dir}/www\nhonour-range = true");
    let part = with(&http, "/s/a.txt", &[("Range", "bytes=1-2")]).expect(206);
    assert_eq!((part.text().as_str(), part.header("Content-Range")), ("el", Some("bytes 1-2/6")));
    assert_eq!(with(&http, "/s/a.txt", &[("Range", "bytes=-3")]).expect(206).text(), "lo\n");
    let part = with(&http, "/s/large.bin", &[("Range", "bytes=100000-")]).expect(206);
    assert!(part.body == large()[100_000..], "{} bytes", part.body.len());
    let none = with(&http, "/s/a.txt", &[("Range", "bytes=6-")]).expect(416);
    assert_eq!(none.header("Content-Range"), Some("bytes */6"));
    if target() == Target::Uwsgi {
        // It sends the first of several parts, and whatever If-Range says, and logs 200.
        return;
    }
    assert_eq!(with(&http, "/s/a.txt", &[("Range", "bytes=0-0,2-2")]).expect(200).text(), "hello\n");
    let stale = [("Range", "bytes=1-2"), ("If-Range", "\"other\"")];
    assert_eq!(with(&http, "/s/a.txt", &stale).expect(200).text(), "hello\n");
    server.log().wait_for("(HTTP/1.1 206)");
}

#[test]
fn encoded_forms_are_sent_to_those_who_take_them() {
    let (_server, http) = server("static-map = /s={dir}/www\nstatic-gzip-all = true");
    for (accept, encoding, text) in [
        ("gzip", Some("gzip"), "gzipped"),
        ("gzip, deflate, br", Some("br"), "brotli"),
        ("identity", None, "body {}"),
    ] {
        let answer = with(&http, "/s/style.css", &[("Accept-Encoding", accept)]).expect(200);
        assert_eq!((answer.header("Content-Encoding"), answer.text().as_str()), (encoding, text));
        assert_eq!(answer.header("Content-Type"), Some("text/css"), "{accept}");
        if target() == Target::Uwring {
            assert_eq!(answer.header("Vary"), Some("Accept-Encoding"), "{accept}");
        }
    }
    assert_eq!(with(&http, "/s/a.txt", &[("Accept-Encoding", "gzip")]).text(), "hello\n");
    if uwring_only("weights are not read, and zstd is unknown") {
        return;
    }
    let refused = with(&http, "/s/style.css", &[("Accept-Encoding", "gzip;q=0")]);
    assert_eq!(refused.text(), "body {}");
    let zstd = with(&http, "/s/style.css", &[("Accept-Encoding", "zstd, gzip;q=0.5")]);
    assert_eq!((zstd.header("Content-Encoding"), zstd.text().as_str()), (Some("zstd"), "zstandard"));
    let (plain, gzip) =
        (http.get("/s/style.css"), with(&http, "/s/style.css", &[("Accept-Encoding", "gzip")]));
    assert_ne!(plain.header("ETag"), gzip.header("ETag"), "one tag for each form");
}

#[test]
fn encoded_forms_are_looked_for_where_the_options_say() {
    for option in ["static-gzip = .*css$", "static-gzip-ext = .css", "static-gzip-dir = {dir}/www"] {
        let (_server, http) = server(&format!("static-map = /s={{dir}}/www\n{option}"));
        let answer = with(&http, "/s/style.css", &[("Accept-Encoding", "gzip")]);
        assert_eq!(answer.text(), "gzipped", "{option}");
    }
}

#[test]
fn clients_are_told_how_long_to_keep_files() {
    for (option, matches) in [
        ("static-expires = .*\\.css$ 100", true),
        ("static-expires = /* 31557600", true),
        ("static-expires = \\.txt$ 100", false),
        ("static-expires-uri = ^/s/ 100", true),
        ("static-expires-path-info = ^/s/.*s$ 100", true),
        ("static-expires-type = text/css=100", true),
        ("static-expires-type = text/html=100", false),
    ] {
        let (_server, http) = server(&format!("static-map = /s={{dir}}/www\n{option}"));
        let expires = http.get("/s/style.css").header("Expires").map(str::to_owned);
        assert_eq!(expires.is_some(), matches, "{option}: {expires:?}");
    }
    for option in [
        "static-expires-mtime = .* 0",
        "static-expires-uri-mtime = .* 0",
        "static-expires-path-info-mtime = .* 0",
        "static-expires-type-mtime = text/css=0",
    ] {
        let (_server, http) = server(&format!("static-map = /s={{dir}}/www\n{option}"));
        let answer = http.get("/s/style.css");
        assert_eq!(answer.header("Expires"), answer.header("Last-Modified"), "{option}");
    }
}

#[test]
fn types_come_from_the_file_that_is_named() {
    let folder = site();
    std::fs::write(folder.path().join("types"), "text/x-own txt\n").expect("written");
    let ini = "static-map = /s={dir}/www\nmime-file = {dir}/types";
    let server = Server::app("hello").http().folder(folder).ini(ini).start();
    assert_eq!(server.get("/s/a.txt").header("Content-Type"), Some("text/x-own"));
}

#[test]
fn front_ends_are_told_which_file_to_send() {
    for (mode, header) in [
        ("x-accel-redirect", "X-Accel-Redirect"),
        ("nginx", "X-Accel-Redirect"),
        ("x-sendfile", "X-Sendfile"),
    ] {
        let (server, http) = server(&format!("static-map = /s={{dir}}/www\nfile-serve-mode = {mode}"));
        let answer = http.get("/s/a.txt").expect(200);
        assert_eq!(answer.header(header).map(Path::new), Some(&*server.path("www/a.txt")), "{mode}");
        assert_eq!(answer.text(), "");
    }
}

#[test]
fn headers_are_added_and_removed_everywhere() {
    let ini = "static-map = /s={dir}/www\nadd-header = X-Added: yes\nadd-header = X-Added: twice\n\
               del-header = Last-Modified\nrem-header = set-cookie";
    let folder = site();
    let server = Server::app("headers").http().folder(folder).ini(ini).start();
    let file = server.get("/s/a.txt").expect(200);
    let app = server.get("/").expect(418);
    for answer in [&file, &app] {
        let added: Vec<&str> =
            answer.headers.iter().filter(|(name, _)| name == "X-Added").map(|(_, value)| &**value).collect();
        assert_eq!(added, ["yes", "twice"]);
    }
    assert_eq!((app.header("Set-Cookie"), app.header("X-lower-UPPER")), (None, Some("kept  inside")));
    if target() == Target::Uwring {
        // uWSGI takes out only what the application set.
        assert_eq!(file.header("Last-Modified"), None);
    }
}

#[test]
fn an_added_header_may_end_the_connection() {
    let server = Server::app("hello").http().ini("add-header = Connection: close").start();
    let mut client = server.http();
    client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    let answer = client.response("GET");
    let named = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("connection")).count();
    assert_eq!((answer.header("Connection"), named), (Some("close"), 1));
    assert!(client.is_closed());
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).header("Connection"), Some("close"));
}

#[test]
fn headers_become_variables() {
    let ini = "collect-header = X-lower-UPPER COLLECTED\npull-header = X-Latin PULLED\n\
               log-format = %(uri) %(var.COLLECTED)|%(var.PULLED)";
    let server = Server::app("headers").http().ini(ini).start();
    let answer = server.get("/collect");
    assert_eq!((answer.header("X-lower-UPPER"), answer.header("X-Latin")), (Some("kept  inside"), None));
    let line = server.log().wait_for("/collect ");
    assert!(line.contains("kept  inside") && line.contains("|caf"), "{line}");
}

#[test]
fn what_cannot_be_is_said_at_the_start() {
    if uwring_only("starts all the same") {
        return;
    }
    for (line, why) in [
        ("static-expires = ( 100", "a regular expression"),
        ("static-expires = .*", "REGEX SECONDS"),
        ("static-map = /s", "PREFIX=FOLDER"),
        ("file-serve-mode = iis", "x-accel-redirect"),
        ("add-header = nothing", "NAME: VALUE"),
        ("add-header = Content-Length: 3", "does not frame"),
    ] {
        let server = start_in_vain(Server::app("hello").ini(line));
        let said = server.log().wait_for(line.split(' ').next().unwrap_or_default());
        assert!(said.contains("uwsgi.ini:") && said.contains(why), "{said}");
    }
}

fn start_in_vain(builder: ServerBuilder) -> Server {
    let server = builder.launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server
}
