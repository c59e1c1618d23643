//! Loggers, routes, encoders, rotation: what the log process does beyond appending to a file.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{PATIENCE, Packet, Server, ServerBuilder, Target, has, skipped, target, uwring_only};

/// uWSGI has its loggers in plugins.
fn with_loggers() -> ServerBuilder {
    Server::app("log").uwsgi_needs("plugin = logfile,logsocket,rsyslog")
}

/// Waits until `file` satisfies `done`, and gives it.
#[track_caller]
fn wait_file(server: &Server, name: &str, done: impl Fn(&str) -> bool) -> String {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let text = std::fs::read(server.path(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        if done(&text) {
            return text;
        }
        let ended = server.process.ended();
        assert!(std::time::Instant::now() < deadline, "{name} ({ended:?}):\n{text}\n{}", server.log().text());
        std::thread::yield_now();
    }
}

#[track_caller]
fn start(builder: ServerBuilder, log: &str) -> Server {
    let server = builder.launch();
    wait_file(&server, log, |text| text.contains("spawned uWSGI worker 1 "));
    if target() == Target::Uwsgi {
        // The socket is there before the worker.
        server.socket().uwsgi(&Packet::get("/"));
    }
    server
}

fn say(server: &Server, text: &str) {
    server.socket().uwsgi(&Packet::get(&format!("/say/{text}"))).expect(200);
}

#[test]
fn loggers_and_routes_share_the_lines() {
    let server = start(
        with_loggers().ini(
            "logger = file:{dir}/all.log\nlogger = app file:{dir}/app.log\n\
             req-logger = file:{dir}/req.log\nreq-logger = posts file:{dir}/posts.log\n\
             log-route = app ^said\nlog-req-route = posts POST\nlog-drain = secret",
        ),
        "all.log",
    );
    for text in ["said-one", "secret", "other"] {
        say(&server, text);
    }
    server.socket().uwsgi(&Packet::get("/say/posted").post("x")).expect(200);
    let all = wait_file(&server, "all.log", |text| text.contains("posted\n"));
    assert!(all.contains("other\n") && !all.contains("said-one") && !all.contains("secret"), "{all}");
    assert!(!all.contains("GET "), "{all}");
    assert_eq!(wait_file(&server, "app.log", |text| !text.is_empty()), "said-one\n");
    let requests = wait_file(&server, "req.log", |text| text.contains("/say/other"));
    assert!(requests.contains("GET /say/said-one"), "{requests}");
    if uwring_only("sends nothing to a req-logger with a name") {
        return;
    }
    assert!(!requests.contains("POST"), "{requests}");
    wait_file(&server, "posts.log", |text| text.contains("POST /say/posted"));
}

#[test]
fn encoders_dress_the_lines() {
    let server = start(
        with_loggers().ini(
            "logger = file:{dir}/all.log\nlogger = app file:{dir}/app.log\nlog-route = app ^said\n\
             log-encoder = prefix >\nlog-encoder = format:app <${msg}>\nlog-encoder = nl:app\n\
             req-logger = file:{dir}/req.log\nlog-format = %(method) %(uri)\n\
             log-req-encoder = json {\"m\":\"${msg}\",\"t\":${unix}}\nlog-req-encoder = nl",
        ),
        "all.log",
    );
    say(&server, "said-\"x\"");
    say(&server, "other");
    wait_file(&server, "all.log", |text| text.contains("\n>other\n"));
    assert_eq!(wait_file(&server, "app.log", |text| text.ends_with(">\n")), "<>said-\"x\">\n");
    let requests = wait_file(&server, "req.log", |text| text.contains("other"));
    let line = requests.lines().find(|line| line.contains("said")).expect("logged");
    assert!(line.starts_with("{\"m\":\"GET /say/said-\\\"x\\\"\",\"t\":1"), "{line}");
}

#[test]
fn a_filter_keeps_only_what_it_names() {
    let server = start(
        with_loggers().ini("logger = file:{dir}/all.log\nlog-filter = ^spawned\nlog-filter = keep"),
        "all.log",
    );
    say(&server, "drop");
    say(&server, "keep");
    let all = wait_file(&server, "all.log", |text| text.contains("keep"));
    assert!(!all.contains("drop") && !all.contains("machine:"), "{all}");
}

#[test]
fn lines_go_to_standard_error_and_to_descriptors() {
    if uwring_only("Debian builds it without the loggers stdio and fd") {
        return;
    }
    let builder =
        with_loggers().ini("logger = file:{dir}/all.log\nlogger = stdio\nlog-format = asked %(uri)");
    let server = start(builder.ini("req-logger = fd:2"), "all.log");
    say(&server, "said");
    server.log().wait_for("said");
    server.log().wait_for("asked /say/said");
    let all = wait_file(&server, "all.log", |text| text.contains("\nsaid\n"));
    assert!(!all.contains("asked"), "{all}");
}

#[test]
fn lines_go_out_as_datagrams() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = std::os::unix::net::UnixDatagram::bind(folder.path().join("log.sock")).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").expect("bound");
    udp.set_read_timeout(Some(PATIENCE)).expect("set");
    let port = udp.local_addr().expect("bound").port();
    let server = with_loggers()
        .folder(folder)
        .ini("logger = socket:{dir}/log.sock")
        .ini(&format!("logger = rsyslog:127.0.0.1:{port},shop"))
        .launch();
    let find = |next: &dyn Fn(&mut [u8]) -> std::io::Result<usize>, what: &str| {
        let mut buffer = [0; 4096];
        loop {
            let len = next(&mut buffer).unwrap_or_else(|e| panic!("{what}: {e}\n{}", server.log().text()));
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            if text.contains(what) {
                return text;
            }
        }
    };
    let said = find(&|buffer| socket.recv(buffer), "spawned uWSGI worker 1 ");
    assert!(said.starts_with("spawned"), "{said}");
    let said = find(&|buffer| udp.recv(buffer), "spawned uWSGI worker 1 ");
    let form = regex::Regex::new(r"^<29>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d shop: spawned").expect("good");
    assert!(form.is_match(&said), "{said}");
}

#[test]
fn lines_are_compressed_and_zcat_reads_them() {
    if !has(&["zcat"]) {
        return;
    }
    let server = start(
        with_loggers().ini(
            "logger = file:{dir}/all.log\nlogger = app file:{dir}/app.log.gz\nlog-route = app ^said\n\
             log-encoder = prefix:app >\nlog-encoder = gzip:app",
        ),
        "all.log",
    );
    let unpacked = || {
        let done = Command::new("zcat").arg(server.path("app.log.gz")).output().expect("run zcat");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    for (n, text) in (1..).zip(["said-one", "said-two", "said-three"]) {
        say(&server, text);
        let begun = std::time::Instant::now();
        while unpacked().lines().count() < n {
            assert!(begun.elapsed() < PATIENCE, "{}\n{}", unpacked(), server.log().text());
        }
    }
    assert_eq!(unpacked(), ">said-one\n>said-two\n>said-three\n");
    let packed = std::fs::read(server.path("app.log.gz")).expect("there");
    assert_eq!(packed.get(..2), Some(&[0x1f, 0x8b][..]), "not gzip");
}

/// Runs the server where `/dev/log` is `socket` (in a namespace of mounts of its own), or `None` where that is not permitted.
fn with_dev_log(folder: &Path, socket: &Path) -> Option<PathBuf> {
    let permitted = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        .stderr(std::process::Stdio::null())
        .status();
    if !permitted.is_ok_and(|status| status.success()) {
        skipped("unshare -m and mount are not permitted here");
        return None;
    }
    let (dev, socket) = (folder.join("dev"), socket.display());
    std::fs::create_dir(&dev).expect("made");
    let dev = dev.display();
    let script = format!(
        "#!/bin/sh\nexec unshare -m sh -ec '\n\
         for name in null zero full random urandom tty log; do : > {dev}/$name; done\n\
         for name in null zero full random urandom tty; do mount --bind /dev/$name {dev}/$name; done\n\
         ln -s /proc/self/fd {dev}/fd; mkdir {dev}/shm; mount --bind {socket} {dev}/log\n\
         mount --rbind {dev} /dev\n\
         exec {} \"$@\"' sh \"$@\"\n",
        crate::support::program().display()
    );
    let path = folder.join("server");
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o755)
        .open(&path)
        .expect("made");
    file.write_all(script.as_bytes()).expect("written");
    Some(path)
}

#[test]
fn this_machines_log_gets_what_syslog_says() {
    if !has(&["unshare", "mount"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("log.sock");
    let socket = std::os::unix::net::UnixDatagram::bind(&place).expect("bound");
    let Some(program) = with_dev_log(folder.path(), &place) else { return };
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let server = Server::app("log")
        .folder(folder)
        .program(program)
        .uwsgi_needs("plugin = syslog")
        .ini("logger = syslog:shop,local6")
        .launch();
    let mut buffer = [0; 8192];
    let mut wait = |what: &str| loop {
        let len = socket.recv(&mut buffer).unwrap_or_else(|e| panic!("{what}: {e}\n{}", server.log().text()));
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        if text.contains(what) {
            return text;
        }
    };
    wait("spawned uWSGI worker 1 ");
    say(&server, "said");
    // local6 is 22, and informational 6.
    let form = regex::Regex::new(r"^<182>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d shop: said\s*$").expect("good");
    let said = wait(": said");
    assert!(form.is_match(&said), "{said:?}");
    let request = wait("GET /say/said");
    assert!(request.starts_with("<182>"), "{request}");
}

#[test]
fn a_log_that_is_full_is_renamed_and_no_line_is_lost() {
    if uwring_only("a print that the log has no room for raises BlockingIOError") {
        return;
    }
    let server = start(
        Server::app("log").ini("logto = {dir}/server.log\nlog-maxsize = 20000\nlog-master = true"),
        "server.log",
    );
    for _ in 0..5 {
        server.socket().uwsgi(&Packet::get("/many/100")).expect(200);
    }
    let logs = || {
        let mut files: Vec<PathBuf> = std::fs::read_dir(server.folder.path())
            .expect("listed")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("server.log")))
            .collect();
        files.sort();
        files
    };
    wait_file(&server, "server.log", |text| text.contains("triggering rotation") || logs().len() > 1);
    server.stop();
    let all: String = logs().iter().map(|path| std::fs::read_to_string(path).expect("read")).collect();
    for n in 0..100 {
        assert_eq!(all.matches(&format!("line {n} y")).count(), 5, "line {n}");
    }
    assert!(all.contains("logsize: ") && all.contains("goodbye to uWSGI."), "{all:.2000}");
}

#[test]
fn a_log_is_opened_anew_and_renamed_when_files_are_touched() {
    let server = start(
        Server::app("log").ini(
            "logto = {dir}/server.log\ntouch-logreopen = {dir}/reopen\ntouch-logrotate = {dir}/rotate\n\
             log-backupname = {dir}/backup.log\nlogfile-chmod = 604\nmaster-fifo = {dir}/fifo",
        ),
        "server.log",
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &server.path("server.log").metadata().expect("there").permissions(),
    );
    assert_eq!(mode & 0o777, 0o604);
    std::fs::rename(server.path("server.log"), server.path("moved.log")).expect("renamed");
    std::fs::write(server.path("reopen"), "").expect("touched");
    wait_file(&server, "server.log", |_| server.path("server.log").exists());
    say(&server, "anew");
    wait_file(&server, "server.log", |text| text.contains("anew\n"));
    std::fs::write(server.path("rotate"), "").expect("touched");
    wait_file(&server, "backup.log", |text| text.contains("anew\n"));
    say(&server, "behind");
    wait_file(&server, "server.log", |text| text.contains("behind\n"));
    std::fs::rename(server.path("server.log"), server.path("moved.log")).expect("renamed");
    std::fs::write(server.path("fifo"), "l").expect("told");
    wait_file(&server, "server.log", |_| server.path("server.log").exists());
    say(&server, "told");
    wait_file(&server, "server.log", |text| text.contains("told\n"));
    std::fs::write(server.path("fifo"), "L").expect("told");
    wait_file(&server, "backup.log", |text| text.contains("told\n"));
}

#[test]
fn a_reload_opens_the_log_anew_where_it_is_told_to() {
    let server = start(Server::app("log").ini("logto = {dir}/server.log\nlog-reopen = true"), "server.log");
    std::fs::rename(server.path("server.log"), server.path("moved.log")).expect("renamed");
    server.reload_until(|| {
        std::fs::read_to_string(server.path("server.log"))
            .is_ok_and(|text| text.contains("spawned uWSGI worker 1"))
    });
    say(&server, "anew");
    wait_file(&server, "server.log", |text| text.contains("anew\n"));
}

#[test]
fn a_truncated_log_begins_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("server.log"), "yesterday\n").expect("written");
    let server = start(
        Server::app("log").folder(folder).ini("logto = {dir}/server.log\nlog-truncate = true"),
        "server.log",
    );
    assert!(!wait_file(&server, "server.log", |_| true).contains("yesterday"));
}

#[test]
fn a_log_process_that_dies_is_replaced_and_loses_no_print() {
    if uwring_only("the master itself writes the log") {
        return;
    }
    let server = Server::app("log").ini("log-master = true").start();
    let master = server.process.pid;
    let logger = || {
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).ok()?;
        let name = |pid: &&str| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let found = children.split_whitespace().find(|pid| name(pid).trim() == "uwring logger")?;
        found.parse().ok()
    };
    let first: i32 = logger().expect("a log process");
    say(&server, "before");
    server.log().wait_for("before");
    kill(Pid::from_raw(first), Signal::SIGKILL).expect("killed");
    // Until there is another one, the pipe holds it.
    say(&server, "meanwhile");
    server.log().wait_for("meanwhile");
    server.log().wait_for("another one goes on");
    assert_ne!(logger(), Some(first));
    server.reload_until(|| server.log().count(|line| line.contains("spawned uWSGI worker 1")) == 2);
    say(&server, "reloaded");
    server.log().wait_for("reloaded");
    assert!(server.stop().success());
    server.log().wait_for("goodbye to uWSGI.");
}

#[test]
fn a_log_that_nobody_reads_keeps_no_request_waiting() {
    if uwring_only("loses the lines it has no room for without a word") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let fifo = folder.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
    // Open at both ends, and read by nobody.
    let end = std::fs::File::options().read(true).write(true).open(&fifo).expect("opened");
    let server = Server::app("log")
        .folder(folder)
        .ini("logger = file:{dir}/fifo\nlogger = file:{dir}/all.log")
        .launch();
    wait_file(&server, "all.log", |text| text.contains("spawned uWSGI worker 1 "));
    for _ in 0..20 {
        server.socket().uwsgi(&Packet::get("/many/1000")).expect(200);
    }
    wait_file(&server, "all.log", |text| text.matches("GET /many/1000").count() == 20);
    drop(end);
}
