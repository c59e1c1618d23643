//! What a server finds around itself and makes for its application: variables, folders, shells, what it waits for.

use std::io::Read;
use std::net::TcpListener;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Packet, Server, Target, target, uwring_only};

fn around(server: &Server) -> Value {
    server.socket().uwsgi(&Packet::get("/")).expect(200).json()
}

#[test]
fn folders_hold_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, file, text) in
        [("late", "COLOUR", "blue\n"), ("late", "GONE", ""), ("early", "SIZE", "large \n")]
    {
        std::fs::create_dir_all(folder.path().join(name)).expect("made");
        std::fs::write(folder.path().join(name).join(file), text).expect("written");
    }
    let server = Server::app("around")
        .folder(folder)
        .env("GONE", "still here")
        .ini("early-envdir = {dir}/early\nenvdir = {dir}/late\nenv = TOLD=$(SIZE)")
        .start();
    let env = around(&server)["env"].clone();
    assert_eq!(
        (&env["COLOUR"], &env["SIZE"], &env["TOLD"]),
        (&"blue".into(), &"large".into(), &"large".into())
    );
    assert!(env.get("GONE").is_none(), "{env}");
}

#[test]
fn a_variable_is_set_for_what_follows() {
    if uwring_only("ienv came with uWSGI 2.1") {
        return;
    }
    let server = Server::app("around").ini("ienv = A=1\nenv = B=$(A)2").start();
    let env = around(&server)["env"].clone();
    assert_eq!((&env["A"], &env["B"]), (&"1".into(), &"12".into()));
}

#[test]
fn texts_are_put_around_each_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("more.ini"), "env = IN=more\n").expect("written");
    std::fs::write(folder.path().join("before"), "[uwsgi]\nenv = BEFORE=1\n").expect("written");
    std::fs::write(folder.path().join("behind"), "env = BEHIND=1\n").expect("written");
    let server = Server::app("around")
        .folder(folder)
        .ini("inject-before = {dir}/before\ninject-after = {dir}/behind\ninclude = {dir}/more.ini")
        .start();
    let env = around(&server)["env"].clone();
    assert!(["IN", "BEFORE", "BEHIND"].iter().all(|name| env.get(*name).is_some()), "{env}");
}

#[test]
fn the_interpreter_is_as_it_is_asked_for() {
    let server = Server::app("around")
        .ini("py-executable = /opt/somewhere/python\npymodule-alias = alias_of_json=json")
        .ini("post-pymodule-alias = late_alias={dir}/own.py")
        .folder({
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("own.py"), "import uwsgi\n").expect("written");
            folder
        })
        .start();
    let told = around(&server);
    assert_eq!(told["executable"], "/opt/somewhere/python");
    assert_eq!(told["alias"], "'json'");
    assert_eq!(told["late_alias"], "'late_alias'");
    assert_eq!(told["site"], true);
}

#[test]
fn python_starts_without_site() {
    let server = Server::app("around").without("virtualenv").ini("no-site = true").start();
    assert_eq!(around(&server)["site"], false);
}

#[test]
fn threads_have_the_stack_that_is_asked_for() {
    let server = Server::app("around").ini("threads = 2\nthread-stacksize = 3072").start();
    let expected = Value::from(3072 * 1024);
    // One of the two threads is the first, whose stack the kernel gives.
    for _ in 0..1000 {
        if around(&server)["stack"] == expected {
            return;
        }
    }
    panic!("no thread has it: {}", around(&server)["stack"]);
}

#[test]
fn a_reload_begins_in_the_folder_that_is_forced() {
    let server = Server::app("around").ini("force-cwd = /usr").start();
    server.reload_until(|| around(&server)["cwd"] == "/usr");
}

#[test]
fn standard_input_may_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("input"), "told\n").expect("written");
    let (program, input) = (crate::support::program(), path("input"));
    let script = format!("#!/bin/sh\nexec {} \"$@\" < {}\n", program.display(), input.display());
    std::fs::write(path("start"), script).expect("written");
    std::fs::set_permissions(path("start"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("set");
    let start = path("start");
    let server = Server::app("hello")
        .folder(folder)
        .program(start)
        .ini("honour-stdin = true\ndaemons-honour-stdin = true")
        .ini("attach-daemon = cat >> {dir}/heard; exec sleep 1000")
        .start();
    while std::fs::read_to_string(server.path("heard")).unwrap_or_default() != "told\n" {
        std::thread::yield_now();
    }
}

#[test]
fn some_workers_keep_off_a_socket() {
    let server = Server::app("around").http().processes(2).ini("map-socket = 0:2\nmap-socket = 1:1").start();
    for _ in 0..8 {
        assert_eq!(around(&server)["worker"], 2);
        assert_eq!(server.get("/").json()["worker"], 1);
    }
}

#[test]
fn commands_run_in_the_shell_that_is_asked_for() {
    let server = Server::app("hello")
        .ini("binsh = /nonexistent/shell\nbinsh = /bin/bash\nexec-as-user = echo $BASH > {dir}/shell")
        .start();
    assert_eq!(std::fs::read_to_string(server.path("shell")).expect("written"), "/bin/bash\n");
}

#[test]
fn a_server_waits_for_what_it_needs() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = socket.local_addr().expect("an address");
    let server = Server::app("hello")
        .ini("file-write = {dir}/written=some text\nwait-for-file = {dir}/written\nwait-for-dir = {dir}")
        .ini("wait-for-fs = {dir}/gate\nwait-for-interface = lo\nwait-for-mountpoint = /proc")
        .ini(&format!("wait-for-socket = {address}"))
        .launch();
    server.log().wait_for("gate");
    std::fs::write(server.path("gate"), "").expect("written");
    server.log().wait_for("spawned uWSGI worker 1");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(std::fs::read_to_string(server.path("written")).expect("written"), "some text\n");
}

#[test]
fn a_server_does_not_wait_for_ever() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|gone| gone.local_addr()).expect("an address");
    let socket = format!("wait-for-socket = {port}\nwait-for-socket-timeout = 1");
    let servers = [
        "wait-for-file = {dir}/none\nwait-for-fs-timeout = 1",
        "wait-for-interface = none0\nwait-for-interface-timeout = 1",
        &socket,
    ]
    .map(|ini| Server::app("hello").ini(ini).launch());
    for server in servers {
        assert_eq!(server.process.expect_end().code(), Some(1));
    }
}

#[test]
fn pages_stand_for_errors() {
    let folder = tempfile::tempdir().expect("a folder");
    if uwring_only("neither a missing file of a rule nor a failure of the application is answered") {
        return;
    }
    std::fs::write(folder.path().join("500.html"), "<p>broken").expect("written");
    std::fs::write(folder.path().join("404.html"), "<p>nothing").expect("written");
    let server = Server::app("errors")
        .folder(folder)
        .ini("error-page-500 = {dir}/500.html\nerror-page-404 = {dir}/404.html")
        .ini("route = ^/file$ static:{dir}/none")
        .start();
    let answer = server.socket().uwsgi(&Packet::get("/file")).expect(404);
    assert_eq!(answer.text(), "<p>nothing");
    assert_eq!(answer.header("Content-Type"), Some("text/html"));
    let page = server.path("500.html");
    let server = Server::app("broken_call").ini(&format!("error-page-500 = {}", page.display())).start();
    assert_eq!(server.socket().uwsgi(&Packet::get("/raise")).expect(500).text(), "<p>broken");
}

#[test]
fn variables_are_added_to_requests_over_http() {
    if uwring_only("its http router passes requests on to a worker's own socket") {
        return;
    }
    let server =
        Server::app("around").http().ini("http-var = SHOP=one\nhttp-server-name-as-http-host = 1").start();
    let vars = server.get("/").json()["vars"].clone();
    assert_eq!((&vars["SHOP"], &vars["SERVER_NAME"]), (&"one".into(), &vars["HTTP_HOST"]));
}

#[test]
fn graphite_is_told() {
    let graphite = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = graphite.local_addr().expect("an address");
    let server = Server::app("hello")
        .uwsgi_needs("plugin = carbon")
        .ini(&format!("carbon = {address}\ncarbon-freq = 1\ncarbon-id = shop\ncarbon-hostname-dots = -"))
        .start();
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").expect("a name").trim().replace('.', "-");
    loop {
        let mut text = String::new();
        graphite.accept().expect("it comes").0.read_to_string(&mut text).expect("text");
        let value = |name: &str| {
            let begins = format!("uwsgi.{host}.shop.{name} ");
            text.lines().find_map(|line| line.strip_prefix(&begins)?.split(' ').next()?.parse::<u64>().ok())
        };
        assert!(value("tx").is_some() && value("worker1.avg_rt").is_some(), "{text}");
        if (value("requests"), value("worker1.requests")) == (Some(1), Some(1)) {
            return;
        }
    }
}

#[test]
fn a_late_cron_job_is_killed() {
    let server = Server::app("hello")
        .ini("cron-harakiri = 1\ncron = -1 -1 -1 -1 -1 echo $$ > {dir}/pid; sleep 1000; echo late > {dir}/late")
        .start();
    if target() == Target::Uwring {
        server.log().wait_for("exceeded its time: killed");
    }
    server.log().wait_for("exited after");
    assert!(!server.path("late").exists());
    server.signal(Signal::SIGTERM);
}
