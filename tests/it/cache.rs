//! Caches shared by the workers: `cache2`, `uwsgi.cache_…`, and the router's rules for them.

use serde_json::{Value, json};

use crate::support::{PATIENCE, Response, Server, Target, target, uwring_only};

/// Serves `tests/apps/cached`.
fn server(ini: &str) -> Server {
    start(ini, 1)
}

fn start(ini: &str, processes: usize) -> Server {
    let plugins = "plugins = router_cache,transformation_gzip";
    Server::app("cached").http().processes(processes).uwsgi_needs(plugins).ini(ini).start()
}

/// What these calls give.
fn calls(server: &Server, calls: &Value) -> Value {
    asked(server, calls).json()
}

fn asked(server: &Server, calls: &Value) -> Response {
    server.tcp(0).request("POST", "/", &[], calls.to_string().as_bytes()).expect(200)
}

fn worker(answer: &Response) -> String {
    answer.header("X-Worker").expect("one that answered").to_owned()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
    }
}

#[test]
fn the_functions_give_what_uwsgis_give() {
    let server = server(
        "cache2 = name=one,items=10,blocksize=16,keysize=8\n\
         cache2 = name=math,items=10,math_initial=5\n\
         cache2 = name=bits,items=8,blocks=8,blocksize=8,bitmap=1",
    );
    for (call, result) in [
        (json!(["cache_get", "imported"]), json!("yes")),
        (json!(["cache_get", "k"]), json!(null)),
        (json!(["cache_set", "k", "1"]), json!(true)),
        (json!(["cache_set", "k", "2"]), json!(null)),
        (json!(["cache_get", "k"]), json!("1")),
        (json!(["cache_update", "k", "text"]), json!(true)),
        (json!(["cache_get", "k", "one"]), json!("text")),
        (json!(["cache_get", "k", "math"]), json!(null)),
        (json!(["cache_exists", "k"]), json!(true)),
        (json!(["cache_exists", "no"]), json!(null)),
        (json!(["cache_set", "too long a key", "1"]), json!(null)),
        (json!(["cache_set", "a", "seventeen bytes.."]), json!(null)),
        (json!(["cache_set", "a", "seventeen bytes..", 0, "bits"]), json!(true)),
        (json!(["cache_get", "a", "bits"]), json!("seventeen bytes..")),
        (json!(["cache_set", "a", ""]), json!(null)),
        (json!(["cache_del", "k"]), json!(true)),
        (json!(["cache_del", "k"]), json!(null)),
        (json!(["cache_keys"]), json!(["imported"])),
        (json!(["cache_get", "k", "none"]), json!(null)),
        (json!(["cache_set", "k", "1", 0, "none"]), json!(null)),
        (json!(["cache_clear", "none"]), json!(null)),
        (json!(["cache_keys", "none"]), json!("ValueError")),
        (json!(["cache_clear"]), json!(true)),
        (json!(["cache_keys"]), json!([])),
        (json!(["cache_inc", "n"]), json!(true)),
        (json!(["cache_inc", "n", 6]), json!(true)),
        (json!(["cache_dec", "n", 1]), json!(true)),
        (json!(["cache_mul", "n"]), json!(true)),
        (json!(["cache_div", "n", 3]), json!(true)),
        (json!(["cache_num", "n"]), json!(4)),
        (json!(["cache_num", "none"]), json!(0)),
        (json!(["cache_mul", "m", 3, 0, "math"]), json!(true)),
        (json!(["cache_num", "m", "math"]), json!(15)),
        (json!(["cache_set", 1, 2]), json!("TypeError")),
        (json!(["cache_set", "k"]), json!("TypeError")),
        (json!(["cache_set", "k", "v", "none"]), json!("TypeError")),
    ] {
        assert_eq!(calls(&server, &json!([call]))[0], result, "{call}");
    }
    if target() == Target::Uwring {
        assert_eq!(
            calls(&server, &json!([["cache_set", "k", "v", 1], ["cache_get", "k"]])),
            json!([true, "v"])
        );
        until("it expires", || calls(&server, &json!([["cache_get", "k"]])) == json!([null]));
    }
}

#[test]
fn all_workers_share_it_and_a_reload_leaves_it() {
    let server = start("cache = 10\ncache-blocksize = 8", 2);
    let mut workers = std::collections::BTreeSet::new();
    until("both workers have counted", || {
        let answer = asked(&server, &json!([["cache_inc", "n"]]));
        workers.insert(worker(&answer));
        workers.len() == 2
    });
    let counted = calls(&server, &json!([["cache_num", "n", "default"]]));
    assert!(counted[0].as_u64() >= Some(2), "{counted}");
    if target() == Target::Uwring {
        // uWSGI's new image begins with an empty one.
        server.reload_until(|| !workers.contains(&worker(&asked(&server, &json!([])))));
        assert_eq!(
            calls(&server, &json!([["cache_num", "n"], ["cache_set", "x", "nine byte"]])),
            json!([counted[0], null])
        );
    }
}

#[test]
fn rules_answer_from_a_cache_what_they_have_stored() {
    let server = server(
        "cache2 = name=counts,items=10\n\
         cache2 = name=pages,items=10\n\
         route-if = incache:key=${REQUEST_URI},name=pages addheader:X-Cached: yes\n\
         route = ^/page cache:key=${REQUEST_URI},name=pages,content_type=text/x\n\
         route = ^/page cachestore:key=${REQUEST_URI},name=pages,expires=1000",
    );
    let get = |path: &str, headers: &[(&str, &str)]| server.tcp(0).request("GET", path, headers, b"");
    let first = get("/page/1", &[]).expect(200);
    assert_eq!((first.text().as_str(), first.header("X-Cached")), ("page 1", None));
    let second = get("/page/1", &[]).expect(200);
    assert_eq!((second.text().as_str(), second.header("Content-Type")), ("page 1", Some("text/x")));
    assert!(second.header("Expires").is_some() && second.header("Content-Length") == Some("6"));
    assert_eq!(second.header("X-Cached"), Some("yes"));
    // Only good answers are kept, and each under its own key.
    for (path, status, text) in [
        ("/page/2", "404 Not Found", "page 2"),
        ("/page/2", "200 OK", "page 3"),
        ("/page/2", "200 OK", "page 3"),
    ] {
        assert_eq!(get(path, &[("X-Status", status)]).text(), text);
    }
}

#[test]
fn rules_set_and_count() {
    let server = server(
        "cache2 = name=counts,items=10\n\
         cache2 = name=more,items=10\n\
         route = ^/page/(\\d) cacheset:key=k$1,value=of $1,name=more\n\
         route = ^/page cacheinc:key=n,name=more\n\
         route = ^/page cacheinc:key=m,value=10,name=more,expires=1000\n\
         route = ^/page cachedec:key=m,value=3,name=more\n\
         route = ^/page cachemul:key=m,name=more\n\
         route = ^/page cachediv:key=n2,value=2,name=more",
    );
    for path in ["/page/1", "/page/2", "/page/3"] {
        server.tcp(0).request("GET", path, &[], b"").expect(200);
    }
    let found = json!([
        ["cache_get", "k1", "more"],
        ["cache_get", "k2", "more"],
        ["cache_num", "n", "more"],
        ["cache_num", "m", "more"],
        ["cache_num", "n2", "more"]
    ]);
    assert_eq!(calls(&server, &found), json!(["of 1", "of 2", 3, 98, 0]));
    if !uwring_only("500 for a key that is there already") {
        calls(&server, &json!([["cache_update", "k1", "old", 0, "more"]]));
        server.tcp(0).request("GET", "/page/1", &[], b"").expect(200);
        assert_eq!(calls(&server, &json!([["cache_get", "k1", "more"]])), json!(["of 1"]));
    }
}

#[test]
fn what_was_compressed_is_kept_compressed() {
    if uwring_only("stores what it compresses, for everybody, and sends no Vary") {
        return;
    }
    let server = server(
        "cache2 = name=counts,items=10\n\
         cache2 = name=pages,items=10\n\
         route-if = contains:${HTTP_ACCEPT_ENCODING};gzip cache:key=gz${REQUEST_URI},name=pages,content_encoding=gzip\n\
         route-run = gzip:\n\
         route = ^/page cachestore:key=gz${REQUEST_URI},name=pages",
    );
    let get =
        |accept: &str| server.tcp(0).request("GET", "/page", &[("Accept-Encoding", accept)], b"").expect(200);
    assert_eq!(get("identity").text(), "page 1");
    let first = get("gzip");
    assert_eq!((first.header("Content-Encoding"), get("gzip").body == first.body), (Some("gzip"), true));
    assert_eq!(get("identity").text(), "page 3");
}

#[test]
fn a_rule_or_a_cache_nobody_can_follow_is_told() {
    if uwring_only("most of these start") {
        return;
    }
    for (line, part) in [
        ("cache2 = name=a,items=3,store=/tmp/x", "leave store out"),
        ("cache2 = items=3", "name=NAME"),
        ("route-run = cache:name=a", "key=KEY,name=CACHE"),
        ("route-run = cachestore:key=a,foo=1", "foo is not known"),
        ("response-route-run = cache:key=a", "belongs into route"),
        ("cache-store = /tmp/x", "is memory"),
    ] {
        let server = Server::app("hello").ini(line).launch();
        assert_eq!(server.process.expect_end().code(), Some(1), "{line}");
        server.log().wait_for(part);
    }
}

#[test]
fn caches_are_filled_before_anybody_asks() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("page");
    std::fs::write(&file, "a page").expect("written");
    let path = file.display().to_string();
    let ini = format!(
        "cache2 = name=one,items=20\ncache2 = name=two,items=20\nadd-cache-item = two key=v=w\n\
         add-cache-item = all=both\nload-file-in-cache = two {path}"
    );
    let server = server(&ini);
    let seen = calls(
        &server,
        &json!([
            ["cache_get", "key", "one"],
            ["cache_get", "key", "two"],
            ["cache_get", "all", "one"],
            ["cache_get", "all", "two"],
            ["cache_get", path, "one"],
            ["cache_get", path, "two"],
        ]),
    );
    assert_eq!(seen, json!([null, "v=w", "both", "both", null, "a page"]));
}
