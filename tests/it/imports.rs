//! Reloads of an application that takes its time to import, under a steady rate of requests: none fails and none waits for
//! the import (P5); files that change while one develops (P28).

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::{Load, Packet, Served, Server, Target, target, uwring_only};

/// Reloads of an application whose import takes so long, spread over `lasting` at least.
pub fn reloads_of_a_slow_import(import_s: u64, reloads: u32, lasting: Duration) -> Served {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let code = format!(
        "import time\ntime.sleep({import_s})\n\
         def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'served']\n"
    );
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\ntouch-reload = {dir}/touched\nmaster-fifo = {dir}/fifo")
        .ini("disable-logging = true")
        .processes(2)
        .start();
    let begun = Instant::now();
    let load = Load::at_rate(&server, 20, 200, &Packet::get("/"));
    for round in 0..reloads {
        match round % 3 {
            0 => server.signal(Signal::SIGHUP),
            1 => std::fs::write(server.path("touched"), "").expect("touch"),
            _ => std::fs::write(server.path("fifo"), "r").expect("the fifo"),
        }
        server.log().wait_for(&format!("generation {} serves", round + 2));
        // The pace is the point; nothing happens that could be waited for.
        std::thread::park_timeout((lasting * (round + 1) / reloads).saturating_sub(begun.elapsed()));
    }
    let served = load.finish();
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(served.failed, 0, "of {}", served.requests());
    served
}

#[test]
fn a_slow_import_fails_no_request() {
    if uwring_only("it imports while nobody serves") {
        return;
    }
    let served = reloads_of_a_slow_import(1, 3, Duration::ZERO);
    assert!(served.requests() > 100);
}

/// Who starts a server and sees nothing is told what it waits for.
#[test]
fn a_slow_import_says_where_it_is() {
    if uwring_only("it says nothing meanwhile") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let code = "import os\nopen(os.path.dirname(__file__) + '/fifo').read()\n\
                def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'served']\n";
    std::fs::write(folder.path().join("site.py"), code).expect("write the application");
    nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
    let server =
        Server::bare().folder(folder).ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock").launch();
    // On a busy machine it does not get to say where it is each time.
    let told =
        |line: &str| line.contains("still loads the application, for ") && line.contains("site.py:2 (pid");
    let lines = server.log().wait_n(1, told).expect("told where");
    assert!(lines[0].ends_with("[UWR-W013]"), "{lines:?}");
    std::fs::write(server.path("fifo"), "").expect("the import goes on");
    server.log().wait_for("spawned uWSGI worker 1");
    assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), "served");
}

#[test]
fn a_file_that_is_broken_and_mended_is_loaded_again() {
    if uwring_only("it waits for ever behind a file that is no Python") {
        return;
    }
    files_are_broken_and_mended(3, 0);
}

/// How fast the server was.
pub struct Mended {
    /// From a mended file to its first answer, the slowest.
    pub slowest: Duration,
    /// Of one processor, while nothing happened, in thousandths.
    pub idle_permille: f64,
}

/// A file that is broken and mended so often, of an application that has so many modules beside.
pub fn files_are_broken_and_mended(times: usize, modules: usize) -> Mended {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let package = folder.path().join("parts");
    std::fs::create_dir(&package).expect("a package");
    let (folder_path, file) = (folder.path().to_owned(), folder.path().join("site.py"));
    for n in 0..modules {
        std::fs::write(package.join(format!("m{n}.py")), "x = 1\n").expect("a module");
    }
    let write = |text: &str| {
        let imports = format!(
            "import importlib\nfor n in range({modules}):\n    importlib.import_module(f'parts.m{{n}}')\n"
        );
        let code = format!("{imports}def application(e, s):\n    s('200 OK', [])\n    return [{text}]\n");
        // As some editors save it, and as others do.
        if text.starts_with('b') {
            std::fs::write(&file, code).expect("write the application");
        } else {
            let new = folder_path.join(".site.py.new");
            std::fs::write(&new, code).and_then(|()| std::fs::rename(&new, &file)).expect("put into place");
        }
    };
    write("b'0'");
    let server = Server::bare()
        .folder(folder)
        .ini("wsgi-file = {dir}/site.py\nsocket = {dir}/app.sock\npy-autoreload = 1\nenv = PYTHONDONTWRITEBYTECODE=1")
        .ini("pythonpath = {dir}")
        .start();
    let ask = || server.socket().uwsgi(&Packet::get("/")).expect(200).text();
    assert_eq!(ask(), "0");
    // Long enough for two looks at everything, whatever the kernel tells.
    let idle_permille = if modules > 0 { idle_permille(&server, Duration::from_secs(62)) } else { 0.0 };
    let mut slowest = Duration::ZERO;
    for round in 1..=times {
        write("this is no Python");
        assert!(server.log().wait_n(round, |line| line.starts_with("SyntaxError")).is_some());
        // What served goes on, and the next change is seen.
        assert_eq!(ask(), (round - 1).to_string());
        write(&format!("b'{round}'"));
        let begun = Instant::now();
        while ask() != round.to_string() {
            assert!(begun.elapsed() < crate::support::PATIENCE, "round {round} is never served");
        }
        slowest = slowest.max(begun.elapsed());
    }
    assert_eq!(server.stop().code(), Some(0));
    Mended { slowest, idle_permille }
}

/// What all processes of a server take of one processor, in thousandths, while nobody asks.
fn idle_permille(server: &Server, lasting: Duration) -> f64 {
    let ticks = || {
        let mut pids = vec![server.process.pid.as_raw()];
        let mut ticks = 0;
        while let Some(pid) = pids.pop() {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("our process");
            let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
            ticks += (11..=12).map(|n| fields[n].parse::<u32>().expect("ticks")).sum::<u32>();
            let children =
                std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("children");
            pids.extend(children.split_whitespace().map(|pid| pid.parse::<i32>().expect("a pid")));
        }
        ticks
    };
    let (before, begun) = (ticks(), Instant::now());
    // Time that passes is the point.
    std::thread::park_timeout(lasting);
    // 100 ticks are a second of the processor: proc_pid_stat(5), on every Linux there is.
    f64::from(ticks() - before) * 10.0 / begun.elapsed().as_secs_f64()
}

#[test]
fn applications_are_made_of_their_descriptions() {
    let described = |ini: &str| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let text = "[uwsgi]\nsocket = app.sock\n[app:main]\nsays = pasted\n[loggers]\nkeys = root\n[handlers]\nkeys = out\n[formatters]\nkeys = f\n\
            [logger_root]\nlevel = INFO\nhandlers = out\n[handler_out]\nclass = StreamHandler\nargs = (sys.stderr,)\n\
            formatter = f\n[formatter_f]\nformat = logged so: %(message)s\n";
        std::fs::write(folder.path().join("site.ini"), text).expect("written");
        std::fs::write(folder.path().join("config.py"), "deployed").expect("written");
        Server::bare()
            .folder(folder)
            .ini("pythonpath = {apps}/described\nsocket = {dir}/app.sock\nchdir = {dir}")
            .ini(ini)
    };
    let mut cases = vec![
        ("paste = config:{dir}/site.ini\npaste-logger = true", "pasted"),
        ("mount = /=config:{dir}/site.ini", "pasted"),
        ("pecan = config.py", "deployed"),
        ("ini-paste-logged = {dir}/site.ini", "pasted"),
    ];
    if target() == Target::Uwring {
        cases.push(("paste = config:site.ini", "pasted"));
        cases.push(("paste = site.ini", "pasted"));
    }
    for (ini, said) in cases {
        let server = described(ini);
        // Its own section says where.
        let server = if ini.starts_with("ini-") { server.without("socket") } else { server }.start();
        assert_eq!(server.socket().uwsgi(&Packet::get("/")).expect(200).text(), said, "{ini}");
    }
    let server = described("paste = config:none.ini").launch();
    assert_eq!(server.process.expect_end().code(), Some(22));
}
