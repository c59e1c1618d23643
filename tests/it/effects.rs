//! Options that no other module is about: each with what it changes.

use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{
    Address, Authority, Gate, PATIENCE, Packet, Response, Server, ServerBuilder, Target, has, skipped,
    target, uwring_only,
};

fn ask(server: &Server, path: &str) -> Response {
    server.socket().uwsgi(&Packet::get(path))
}

/// A folder with this application, as `app.py`.
fn of_mine(code: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("app.py"), code).expect("written");
    folder
}

const HELLO: &str =
    "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'hello']\n";

const SOCKET_OPTIONS: &str = "reuse-port = true\nso-keepalive = true\nfreebind = true\nsocket-sndbuf = 20000\n\
    socket-rcvbuf = 30000\ntcp-fast-open = 5\ntcp-nodelay = true";

/// Every kind of socket, each at a free port.
fn every_kind(options: &str) -> ServerBuilder {
    let mut builder = Server::app("listeners").ini(options);
    // The addresses last: of a free port uWSGI makes the socket at once.
    for kind in ["http-socket", "uwsgi-socket", "fastcgi-socket", "scgi-socket"] {
        builder = builder.ini(&format!("{kind} = 127.0.0.1:0"));
    }
    let authority = Authority::new();
    let folder = tempfile::tempdir().expect("a temporary folder");
    authority.furnish(folder.path(), &["localhost"]);
    builder.folder(folder).ini("https-socket = 127.0.0.1:0,{dir}/localhost.crt,{dir}/localhost.key")
}

#[test]
fn sockets_are_made_as_asked_for() {
    let seen = |ini: &str| {
        let server = every_kind(ini).start();
        let all = ask(&server, "/").expect(200).json();
        let all = all.as_array().expect("a list").clone();
        assert_eq!(all.len(), 5, "{all:?}");
        all
    };
    let (plain, asked) = (seen(""), seen(SOCKET_OPTIONS));
    for (plain, asked) in plain.iter().zip(&asked) {
        for (name, value) in [
            ("reuseport", 1),
            ("keepalive", 1),
            ("freebind", 1),
            ("sndbuf", 40_000),
            ("rcvbuf", 60_000),
            ("fastopen", 5),
        ] {
            // The kernel doubles the buffers.
            assert_eq!(asked[name], value, "{name} of {asked}");
            assert_ne!(plain[name], value, "{name} of {plain}");
        }
        assert_eq!((&plain["reuseaddr"], &asked["reuseaddr"]), (&1.into(), &1.into()));
        // uWSGI sets it on each connection, and only if asked to.
        if target() == Target::Uwring {
            assert_eq!((&plain["nodelay"], &asked["nodelay"]), (&1.into(), &1.into()));
        }
    }
}

/// Sends a request with the first packet of a second connection: the first one fetched the cookie for it. Tells the
/// answer's first line, and whether the server took what came in that packet.
const FAST_CLIENT: &str = "import socket, sys\n\
host, _, port = sys.argv[1].rpartition(':')\n\
for _ in range(2):\n    \
    s = socket.socket()\n    \
    s.sendto(b'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n', socket.MSG_FASTOPEN, (host, int(port)))\n    \
    answer = b''.join(iter(lambda: s.recv(65536), b''))\n    \
    taken = bool(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[5] & 32)\n\
print(answer.split(b'\\r\\n')[0].decode(), taken)\n";

#[test]
fn a_request_may_come_with_the_first_packet() {
    // In a network of its own, whose kernel takes part. It is that of one thread and of what this starts.
    let tried = std::thread::spawn(|| {
        if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).is_err() {
            return skipped("only root may make a network of its own");
        }
        if !has(&["ip"]) {
            return;
        }
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().expect("it runs");
        assert!(up.success());
        std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3").expect("of this network only");
        for (options, taken) in [("", "False"), ("tcp-fastopen = 5", "True")] {
            let server = Server::app("hello").ini(options).ini("http-socket = 127.0.0.1:0").start();
            let Address::Tcp(address) = server.tcp(0) else { unreachable!("a TCP address") };
            let python = crate::support::venv().join("bin/python");
            let said = Command::new(python).args(["-c", FAST_CLIENT, &address.to_string()]).output();
            let said = String::from_utf8(said.expect("it runs").stdout).expect("text");
            assert_eq!(said, format!("HTTP/1.1 200 OK {taken}\n"), "{options:?}");
        }
    });
    if let Err(panic) = tried.join() {
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn python_is_set_up_as_asked_for() {
    let server = Server::app("environ").ini("wsgi-disable-file-wrapper = true").start();
    assert_eq!(ask(&server, "/").expect(200).json().get("wsgi.file_wrapper"), None);
    let server = Server::app("broken_call").ini("catch-exceptions = true").start();
    let told = ask(&server, "/raise").text();
    assert!(told.contains("RuntimeError: before start_response"), "{told}");
    // What is imported first is there for the application, and comes before it.
    let folder = of_mine(&HELLO.replace("b'hello'", "first.SAID"));
    let path = folder.path().join("app.py");
    let code = format!(
        "import sys\nfirst = sys.modules['first']\n{}",
        std::fs::read_to_string(&path).expect("read")
    );
    std::fs::write(&path, code).expect("written");
    std::fs::write(folder.path().join("first.py"), "SAID = b'first'\n").expect("written");
    let server = Server::bare()
        .folder(folder)
        .ini("socket = {dir}/app.sock\npythonpath = {dir}\nshared-import = first\nwsgi-file = {dir}/app.py")
        .start();
    assert_eq!(ask(&server, "/").expect(200).text(), "first");
    let flag = "str(__import__('sys').flags.optimize).encode()";
    let server = Server::bare()
        .folder(of_mine(&HELLO.replace("b'hello'", flag)))
        .ini("socket = {dir}/app.sock\nwsgi-file = {dir}/app.py\noptimize = 2")
        .start();
    assert_eq!(ask(&server, "/").expect(200).text(), "2");
}

#[test]
fn relative_paths_lie_where_the_start_is_or_in_chdir() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("sub")).expect("a folder");
    let server = Server::app("hello")
        .folder(folder)
        .ini("force-cwd = {dir}\nchdir = {dir}/sub\nlogto2 = log\nsocket = s.sock\nmaster-fifo = fifo")
        .ini("pidfile = 1.pid\npidfile2 = 2.pid\nsafe-pidfile = 3.pid\nsafe-pidfile2 = 4.pid")
        .launch();
    let begun = std::time::Instant::now();
    let expected = ["log", "1.pid", "sub/s.sock", "sub/fifo", "sub/2.pid", "sub/3.pid", "sub/4.pid"]
        .map(|name| server.path(name));
    while let Some(missing) = expected.iter().find(|path| !path.exists()) {
        assert!(begun.elapsed() < PATIENCE, "no {}: {}", missing.display(), server.log().text());
        std::thread::yield_now();
    }
}

#[test]
fn slow_requests_are_logged_and_times_are_written_as_asked_for() {
    let folder = of_mine(&HELLO.replace("    start_", "    __import__('time').sleep(0.01)\n    start_"));
    let server = Server::bare()
        .folder(folder)
        .ini("socket = {dir}/app.sock\nwsgi-file = {dir}/app.py\ndisable-logging = true\nlog-slow = 5")
        .start();
    ask(&server, "/").expect(200);
    server.log().wait_for("GET /");
    let lines = "log-format = at %(ftime) here\nlogformat-strftime = true\nlog-date = %%Y-years";
    // Each line of the log begins with the date: the line that the support waits for as well.
    let server = Server::app("hello").ini(lines).launch();
    server.log().wait_for("spawned uWSGI worker 1");
    ask(&server, "/").expect(200);
    let line = server.log().wait_for("-years here");
    assert!(line.contains("at 2"), "{line}");
}

#[test]
fn exit_handlers_are_run_unless_asked_not_to() {
    for (ini, runs) in [("", true), ("skip-atexit = true", false)] {
        let code =
            format!("import atexit, os\n{HELLO}\natexit.register(lambda: open('{{at}}', 'w').close())\n");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = folder.path().join("ran");
        std::fs::write(folder.path().join("app.py"), code.replace("{at}", &at.display().to_string()))
            .expect("written");
        let lines = "socket = {dir}/app.sock\nwsgi-file = {dir}/app.py";
        let server = Server::bare().folder(folder).ini(lines).ini(ini).start();
        ask(&server, "/").expect(200);
        server.stop();
        assert_eq!(at.exists(), runs, "{ini}");
    }
}

#[test]
fn the_master_has_a_name_of_its_own() {
    let server = Server::app("hello").ini("procname = shop\nprocname-master = the shop's master").start();
    let title = |pid: i32| {
        let bytes = std::fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
        String::from_utf8_lossy(&bytes).trim_end_matches(['\0', ' ']).to_owned()
    };
    assert_eq!(title(server.process.pid.as_raw()), "the shop's master");
    assert_eq!(title(server.workers()[0]), "shop");
}

#[test]
fn an_exception_of_one_kind_replaces_the_worker() {
    if uwring_only("compares other memory than that of the exception") {
        return;
    }
    for (option, replaces) in [
        ("reload-on-exception-type = ValueError", true),
        ("reload-on-exception-value = as asked", true),
        ("reload-on-exception-repr = ValueError: as asked", true),
        ("reload-on-exception-type = KeyError", false),
    ] {
        let server = Server::app("edges").ini(option).start();
        let first = ask(&server, "/pid").expect(200).text();
        ask(&server, "/fail").expect(500);
        if replaces {
            server.log().wait_for("espawned uWSGI worker 1");
        }
        assert_eq!(ask(&server, "/pid").expect(200).text() == first, !replaces, "{option}");
    }
}

#[test]
fn a_signal_may_be_given_the_function_it_has() {
    // As images of containers for uWSGI have it, which leave die-on-term out.
    let server = Server::app("wait")
        .without("die-on-term")
        .ini("hook-master-start = unix_signal:15 gracefully_kill_them_all")
        .start();
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    server.signal(Signal::SIGTERM);
    gate.open();
    if target() == Target::Uwring {
        assert!(client.rest().starts_with(b"HTTP/1.1 200 "));
    }
    assert_eq!(server.process.expect_end().code(), Some(0));
}
