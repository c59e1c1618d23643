//! Options end to end: which value wins, what an unknown key does, placeholders and magic variables.

use crate::support::{Packet, Server, Target, target, uwring_only};

/// The `opt` dictionary as the application sees it.
fn opt(server: &Server) -> serde_json::Value {
    server.socket().uwsgi(&Packet::get("/")).expect(200).json()["opt"].clone()
}

fn processes(server: &Server) -> serde_json::Value {
    server.socket().uwsgi(&Packet::get("/")).expect(200).json()["numproc"].clone()
}

#[test]
fn the_last_value_wins() {
    let server = Server::app("uwsgi_module").ini("processes = 3\nprocesses = 2").start();
    assert_eq!(processes(&server), 2);
    // After --ini, the command line is later.
    let server = Server::app("uwsgi_module").ini("processes = 2").args(&["--processes", "3"]).start();
    assert_eq!(processes(&server), 3);
    let server = Server::app("uwsgi_module").ini("processes = 2").args(&["-p4"]).start();
    assert_eq!(processes(&server), 4);
}

#[test]
fn aliases_mean_the_same() {
    let server = Server::app("uwsgi_module").ini("workers = 2").start();
    assert_eq!(processes(&server), 2);
}

#[test]
fn environment_gives_options() {
    let server = Server::app("uwsgi_module").env("UWSGI_PROCESSES", "2").start();
    assert_eq!(processes(&server), 2);
}

#[test]
fn placeholders_are_filled() {
    let server = Server::app("uwsgi_module")
        .ini("count = 2\nprocesses = %(count)\nbase = {dir}\nenv = FROM=$(COLOUR)\nset-placeholder = x=y")
        .ini("procname-prefix = %(base)-%(x)-")
        .env("COLOUR", "blue")
        .start();
    assert_eq!(processes(&server), 2);
    let opt = opt(&server);
    assert_eq!(opt["env"], "FROM=blue");
    assert_eq!(opt["procname-prefix"], format!("{}-y-", server.folder.path().display()));
}

#[test]
fn magic_variables_are_filled() {
    let server = Server::app("uwsgi_module")
        .ini("a-folder = %d\na-path = %p\na-name = %s\na-stem = %n\na-percent = %%")
        .start();
    let opt = opt(&server);
    let folder = format!("{}/", server.folder.path().display());
    assert_eq!(opt["a-folder"], folder);
    assert_eq!(opt["a-path"], format!("{folder}uwsgi.ini"));
    assert_eq!(opt["a-name"], "uwsgi.ini");
    assert_eq!(opt["a-stem"], "uwsgi");
    assert_eq!(opt["a-percent"], "%");
}

#[test]
fn comments_blanks_and_other_sections_are_skipped() {
    let server = Server::app("uwsgi_module")
        .ini("; processes = 4\n# processes = 5\n\n   processes   =   2   \n[other]\nprocesses = 6\n[uwsgi]\nvalue = a = b ; c # d")
        .start();
    assert_eq!(processes(&server), 2);
    assert_eq!(opt(&server)["value"], "a = b ; c # d");
}

#[test]
fn a_comment_behind_an_address_does_no_harm() {
    let server = Server::app("hello").ini("http-socket = 127.0.0.1:0 ; for the browser").start();
    server.get("/").expect(200);
}

#[test]
fn booleans_are_understood() {
    for (value, kept) in [
        ("true", false),
        ("1", false),
        ("on", false),
        ("", false),
        ("yes", false),
        ("0", true),
        ("false", true),
        ("off", true),
        ("no", true),
    ] {
        let server = Server::app("hello").ini(&format!("vacuum = {value}")).start();
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        server.stop();
        assert_eq!(server.path("app.sock").exists(), kept, "vacuum = {value:?}");
    }
}

#[test]
fn configuration_file_may_be_the_only_argument() {
    let server = Server::app("uwsgi_module").positional().start();
    assert_eq!(processes(&server), 1);
}

#[test]
fn unknown_key_warns_with_its_place_and_the_nearest_name() {
    if uwring_only("unknown keys are kept silently") {
        return;
    }
    let server = Server::app("hello").ini("procceses = 2").start();
    let line = server.log().wait_for("procceses");
    assert!(line.contains("uwsgi.ini:") && line.contains("processes"), "{line}");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn unknown_key_is_fatal_with_strict() {
    let server = Server::app("hello").ini("strict = true\nprocceses = 2").launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server.log().wait_end();
    server.log().wait_for("procceses");
}

#[test]
fn unknown_option_of_the_command_line_is_fatal() {
    let server = Server::app("hello").args(&["--procceses", "2"]).launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server.log().wait_end();
    server.log().wait_for("procceses");
}

#[test]
fn options_of_real_sites_are_accepted() {
    // What people write; nothing of it may stop the server.
    let server = Server::app("hello")
        .ini("plugins = python3\nmaster = 1\nenable-threads = true\nsingle-interpreter = true\nharakiri = 60")
        .ini("max-requests = 5000\nbuffer-size = 32768\nthunder-lock = true\nlazy-apps = true\nno-orphans = true")
        .ini("auto-procname = true\nprocname-prefix = site-\nlisten = 64\npost-buffering = 8192\nignore-sigpipe = true")
        .ini("ignore-write-errors = true\ndisable-write-exception = true\nlog-x-forwarded-for = true\nsocket-timeout = 30")
        .ini("reload-mercy = 8\nworker-reload-mercy = 10\nno-default-app = false\nmemory-report = true\nreload-on-rss = 512")
        .start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn missing_socket_is_told() {
    let server = Server::app("hello").without("socket").launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server.log().wait_end();
    let expected = "The -s/--socket option is missing";
    let line = server.log().wait_for(expected);
    assert!(target() == Target::Uwring || line.contains("stdin is not a socket"), "{line}");
}

#[test]
fn listen_above_the_kernels_limit_is_lowered() {
    if uwring_only("refuses to start") {
        return;
    }
    let server = Server::app("hello").ini("listen = 1000000").start();
    server.log().wait_for("somaxconn");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
}

#[test]
fn virtual_hosts_share_what_the_configuration_loads() {
    let server = Server::app("hello").ini("vhost = true").start();
    for host in ["a.example", "b.example"] {
        let packet = Packet::get("/").var("HTTP_HOST", host).var("SERVER_NAME", host);
        assert_eq!(server.socket().uwsgi(&packet).expect(200).text(), "Hello, world!", "{host}");
    }
    if uwring_only("serves an application for one host") {
        return;
    }
    let server = Server::bare()
        .ini("socket = {dir}/app.sock\nvhost = true\nmount = a.example|/={apps}/hello/app.py")
        .launch();
    assert_eq!(server.process.expect_end().code(), Some(1));
    server.log().wait_for("mount = a.example|/=");
}
