//! The plugin in a fake server: the real library, requests out of memory.
//!
//! Each scenario is a process of its own (this executable, called with the scenario's name), since an interpreter
//! starts once. `UWRING_TEST_PYTHON` chooses the interpreter; `UWRING_TEST_VERBOSE=1` shows the log.
//! `plugin bench` prints what a request costs.

mod calls;
mod embed;
mod fake;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use fake::{Reply, Request};
use uwring::options::settings::{Given, Origin, Settings};
use uwring::plugin::Plugin;
use uwring_abi::{OUTCOME_EXCEPTION, OUTCOME_NO_APP, OUTCOME_OK};

type Scenario = (&'static str, fn());

const SCENARIOS: &[Scenario] = &[
    ("environ", environ),
    ("bodies", bodies),
    ("failures", calls::failures),
    ("heads", calls::heads),
    ("kinds", calls::kinds),
    ("strays", calls::strays),
    ("exits", calls::exits),
    ("lengths", calls::lengths),
    ("buffers", calls::buffers),
    ("last_exceptions", calls::last_exceptions),
    ("module_files", calls::module_files),
    ("input", input),
    ("files", files),
    ("module", module),
    ("process", process),
    ("import_failure", import_failure),
    ("mounts", mounts),
    ("several_apps", several_apps),
    ("one_app_for_all", one_app_for_all),
    ("spared_hook", spared_hook),
    ("factories", factories),
    ("hooks", hooks),
    ("lazy_apps", lazy_apps),
    ("threads", threads),
    ("forked", forked),
    ("caught_exceptions", caught_exceptions),
    ("decorators", decorators),
];

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some((_, scenario)) =
        arguments.first().and_then(|name| SCENARIOS.iter().find(|(known, _)| known == name))
    {
        scenario();
        return ExitCode::SUCCESS;
    }
    if arguments.first().is_some_and(|name| name == "bench") {
        bench();
        return ExitCode::SUCCESS;
    }
    let this = std::env::current_exe().expect("the path of this test");
    build();
    let mut failed = 0;
    for (name, _) in SCENARIOS {
        let status = Command::new(&this).arg(name).status();
        let passed = status.is_ok_and(|status| status.success());
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    let passed = SCENARIOS.len() - failed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Cargo builds a cdylib for nobody but itself, so `cargo test` alone would test an old one.
fn build() {
    let Some(cargo) = std::env::var_os("CARGO") else { return };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME")]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    assert!(command.status().is_ok_and(|status| status.success()), "the plugin does not build");
}

/// Cargo builds the library into the tests' own folder; the one above it may be older.
fn plugin_dir() -> PathBuf {
    let this = std::env::current_exe().expect("the path of this test");
    this.parent().expect("target/profile/deps").to_owned()
}

fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps")
}

// Support -------------------------------------------------------------------------------------------------

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.python.interpreter = std::env::var("UWRING_TEST_PYTHON").ok();
    settings.python.pythonpath = vec![apps().display().to_string()];
    settings
}

fn start(settings: &Settings) -> (Plugin, i32) {
    let plugin = embed::load(settings);
    plugin.start(&fake::api(0), settings).expect("the interpreter is prepared");
    let loaded = plugin.load();
    plugin.worker_start(&fake::api(1)).expect("the worker starts");
    (plugin, loaded)
}

fn start_app(change: impl FnOnce(&mut Settings)) -> Plugin {
    let mut settings = settings();
    settings.python.modules = vec!["wsgi".to_owned()];
    change(&mut settings);
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, 1, "{}", fake::log_lines());
    plugin
}

fn ask(plugin: Plugin, request: Request) -> Reply {
    fake::push(request);
    plugin.serve(0);
    let mut replies = fake::replies();
    assert_eq!(replies.len(), 1);
    let reply = replies.remove(0);
    assert!(reply.outcome.is_some());
    reply
}

/// One after the other in one `serve`: what an interpreter thread learns from the first serves the others.
fn ask_all(plugin: Plugin, requests: Vec<Request>) -> Vec<Reply> {
    let count = requests.len();
    requests.into_iter().for_each(fake::push);
    plugin.serve(0);
    let replies = fake::replies();
    assert_eq!(replies.len(), count);
    replies
}

#[track_caller]
fn assert_has(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in:\n{text}");
}

#[track_caller]
fn assert_lacks(text: &str, part: &str) {
    assert!(!text.contains(part), "{part:?} in:\n{text}");
}

// Scenarios -----------------------------------------------------------------------------------------------

fn environ() {
    let plugin = start_app(|_| {});
    let request = Request::get("/keys")
        .field("Host", "example.org")
        .field("X-Long-Name", "v")
        .field("content-type", "text/x")
        .field("Content-Length", "0")
        .var("LATIN", b"caf\xe9")
        .again("LATIN", b"last \xe9");
    let first = ask(plugin, request.clone()).text();
    for part in [
        "HTTP_HOST='example.org'",
        "HTTP_X_LONG_NAME='v'",
        "CONTENT_TYPE='text/x'",
        "CONTENT_LENGTH='0'",
        "LATIN='last é'",
        "REQUEST_METHOD='GET'",
        "uwsgi.version=b'2.0.31'",
        "wsgi.version=(1, 0)",
        "wsgi.url_scheme='http'",
        "wsgi.multithread=False",
        "wsgi.multiprocess=False",
        "wsgi.run_once=False",
        "wsgi.input_terminated=True",
        "wsgi.file_wrapper=<class",
        "wsgi.errors=<uwsgi._Errors",
        "wsgi.input=<uwsgi._Input",
    ] {
        assert_has(&first, part);
    }
    assert_lacks(&first, "uwsgi.core");
    assert_lacks(&first, "HTTP_CONTENT");
    let same = ask_all(plugin, vec![request.clone(), request.clone(), request]);
    assert_eq!(same[0].text(), same[1].text(), "a copy equals what was learned");
    assert_eq!(same[0].text(), same[2].text());
    assert_has(&ask(plugin, Request::get("/keys").uwsgi().var("X-y", b"as is")).text(), "X-y='as is'");

    // What an application does to its environ is gone with it.
    let evil = Request::get("/evil_environ");
    let replies = ask_all(plugin, vec![evil.clone(), evil, Request::get("/keys"), Request::get("/keys")]);
    for reply in &replies[2..] {
        assert_lacks(&reply.text(), "SECRET");
        assert_has(&reply.text(), "wsgi.version=(1, 0)");
    }
    values_that_change(plugin);
}

fn values_that_change(plugin: Plugin) {
    let scheme = |round| if round % 5 == 0 { "https" } else { "http" };
    let fixed = |round| if round % 3 == 0 { "a" } else { "b" };
    let requests = (0..60_usize).map(|round| {
        let request =
            Request::get("/keys").field("X-Changes", &"v".repeat(round * 10)).field("X-Some", fixed(round));
        Request { scheme: scheme(round), ..request }
    });
    for (round, reply) in ask_all(plugin, requests.collect()).iter().enumerate() {
        assert_has(&reply.text(), &format!("HTTP_X_CHANGES='{}'\n", "v".repeat(round * 10)));
        assert_has(&reply.text(), &format!("HTTP_X_SOME='{}'", fixed(round)));
        assert_has(&reply.text(), &format!("url_scheme='{}'", scheme(round)));
    }

    // The last of equal names wins, learned or not, whichever of them changes.
    let pairs = [("1", "2"), ("3", "2"), ("3", "4"), ("1", "4"), ("4", "1")];
    let requests = pairs.map(|(one, two)| Request::get("/keys").field("X-Twice", one).field("X_Twice", two));
    for (reply, (_, two)) in ask_all(plugin, requests.to_vec()).iter().zip(pairs) {
        assert_has(&reply.text(), &format!("HTTP_X_TWICE='{two}'"));
    }

    // More names and more sequences than are kept.
    let requests = (0..600).map(|round| Request::get("/keys").field(&format!("X-Name-{round}"), "x"));
    for (round, reply) in ask_all(plugin, requests.collect()).iter().enumerate() {
        assert_has(&reply.text(), &format!("HTTP_X_NAME_{round}='x'"));
    }

    // Nothing of one sequence shows up in another.
    let long = Request::get("/keys").field("X-One", "1").field("X-Two", "2");
    let requests = vec![long.clone(), long.clone(), Request::get("/keys").field("X-One", "3"), long];
    let replies = ask_all(plugin, requests);
    assert_lacks(&replies[2].text(), "X_TWO");
    assert_has(&replies[2].text(), "HTTP_X_ONE='3'");
    assert_has(&replies[3].text(), "HTTP_X_ONE='1'");
}

fn bodies() {
    let plugin = start_app(|_| {});
    let reply = ask(plugin, Request::get("/hello"));
    assert_eq!((reply.status.as_str(), reply.text().as_str(), reply.last), ("200 OK", "hello", true));
    assert_eq!(reply.outcome, Some(OUTCOME_OK));

    let reply = ask(plugin, Request::get("/generator"));
    assert_eq!((reply.text().as_str(), reply.last, reply.writes), ("onetwo", false, 1));
    let reply = ask(plugin, Request::get("/several"));
    assert_eq!((reply.text().as_str(), reply.last), ("ab", true));
    assert_eq!(ask(plugin, Request::get("/plain_bytes")).text(), "bytes");
    let reply = ask(plugin, Request::get("/empty"));
    assert_eq!((reply.status.as_str(), reply.text().as_str(), reply.last), ("204 No Content", "", true));
    let reply = ask(plugin, Request::get("/write"));
    assert_eq!(reply.text(), "w1w2w3");
    assert_eq!(reply.writes, 2);

    fake::log_lines();
    assert_eq!(ask(plugin, Request::get("/odd_items")).outcome, Some(OUTCOME_EXCEPTION));
    assert_has(&fake::log_lines(), "TypeError: the application's body must be of bytes, not ");
    assert_eq!(ask(plugin, Request::get("/closes")).text(), "1");

    assert_eq!(ask(plugin, Request::get("/counted")).text(), "123");
    assert_eq!(ask(plugin, Request::get("/closes")).text(), "1");
    let gone = Request { writes_until_gone: Some(1), ..Request::get("/counted") };
    let reply = ask(plugin, gone);
    assert_eq!((reply.text().as_str(), reply.outcome), ("12", Some(OUTCOME_OK)));
    assert_eq!(ask(plugin, Request::get("/closes")).text(), "1", "closed though the client left");
    let gone = Request { writes_until_gone: Some(0), ..Request::get("/write") };
    assert_eq!(ask(plugin, gone).outcome, Some(OUTCOME_OK));

    let reply = ask(plugin, Request::new("HEAD", "/counted"));
    assert_eq!(
        (reply.text().as_str(), reply.writes, reply.last),
        ("1", 0, false),
        "only what the head needs"
    );
    assert_eq!(ask(plugin, Request::get("/closes")).text(), "1");
}

fn input() {
    let plugin = start_app(|_| {});
    let body = b"line one\nline two\nrest";
    let sized = Some(body.len() as u64);
    let file = {
        let path = std::env::temp_dir().join(format!("uwring-input-{}", std::process::id()));
        std::fs::write(&path, body).expect("a temporary file");
        let file = std::fs::File::open(&path).expect("the same file");
        std::fs::remove_file(&path).expect("the same file");
        file
    };
    use std::os::fd::AsRawFd;
    let in_file = Request { file: Some(file.as_raw_fd()), ..Request::new("POST", "/read") };
    let shapes = [
        ("memory", Request::new("POST", "/read").body(body)),
        (
            "arriving",
            Request::new("POST", "/read").body(b"line o").arriving(&[b"ne\nline", b" two\nre", b"st"], sized),
        ),
        ("unsized", Request::new("POST", "/read").arriving(&[b"line one\n", b"line two\nres", b"t"], None)),
        ("file", in_file.arriving(&[], sized)),
    ];
    let cases = [
        ("i.read()", "b'line one\\nline two\\nrest'"),
        ("i.read(None)", "b'line one\\nline two\\nrest'"),
        ("i.read(-1)", "b'line one\\nline two\\nrest'"),
        ("i.read(0)", "b''"),
        (
            "[i.read(4), i.read(7), i.read(100), i.read(), i.read(1)]",
            "[b'line', b' one\\nli', b'ne two\\nrest', b'', b'']",
        ),
        (
            "[i.readline(), i.readline(3), i.readline(), i.readline(), i.readline()]",
            "[b'line one\\n', b'lin', b'e two\\n', b'rest', b'']",
        ),
        ("[i.readline(0), i.readline(-1), i.readline(None)]", "[b'', b'line one\\n', b'line two\\n']"),
        ("i.readlines()", "[b'line one\\n', b'line two\\n', b'rest']"),
        ("[i.readlines(10), i.read(2)]", "[[b'line one\\n', b'line two\\n'], b're']"),
        ("list(i)", "[b'line one\\n', b'line two\\n', b'rest']"),
        ("[i.readline(), i.read(), i.tell(), i.close()]", "[b'line one\\n', b'line two\\nrest', 22, None]"),
        ("[i.read1(3), i.read(2)]", "[b'lin', b'e ']"),
    ];
    for (shape, request) in &shapes {
        for (expression, result) in cases {
            let reply = ask(plugin, request.clone().var("QUERY_STRING", expression.as_bytes()));
            assert_eq!(reply.text(), result, "{expression} of a body in shape {shape}");
        }
    }
    let seek = b"[i.read(6), i.seek(2), i.read(2), i.seek(-4, 2), i.read(), i.seek(0), i.readline()]";
    for shape in [0, 3] {
        let reply = ask(plugin, shapes[shape].1.clone().var("QUERY_STRING", seek));
        assert_eq!(reply.text(), "[b'line o', 2, b'ne', 18, b'rest', 0, b'line one\\n']");
    }
    // Failures, in uWSGI's words; they are not the application's, and need no traceback.
    let short =
        Request::new("POST", "/read").body(b"abc").arriving(&[], Some(10)).var("QUERY_STRING", b"i.read()");
    fake::log_lines();
    assert_eq!(ask(plugin, short.clone()).outcome, Some(OUTCOME_OK));
    let lines = fake::log_lines();
    assert!(!lines.contains("Traceback"), "{lines}");
    assert_has(&lines, "Content-Length: 10 consumed: 3 left: 7 message: Client closed connection");
    assert_eq!(ask(plugin, Request { timeout: true, ..short }).outcome, Some(OUTCOME_OK));
    assert_has(&fake::log_lines(), "Timeout reading 7 bytes. Content-Length: 10 consumed: 3 left: 7");
    let seeks = shapes[1].1.clone().var("QUERY_STRING", b"i.seek(0)");
    assert_eq!(ask(plugin, seeks).outcome, Some(OUTCOME_EXCEPTION));

    // Kept beyond its request it is empty, and nobody else's.
    let keep = Request::new("POST", "/keep_input").body(b"secret");
    let replies = ask_all(plugin, vec![keep, Request::new("POST", "/kept_input").body(b"other")]);
    assert_eq!(replies[1].text(), "(b'', b'', True, False)");
    let reply = ask(plugin, Request::get("/read").var("QUERY_STRING", b"i.read()"));
    assert_eq!(reply.text(), "b''");
    assert_eq!(ask(plugin, Request::new("POST", "/hello").body(b"unread")).text(), "hello");
}

fn files() {
    let plugin = start_app(|_| {});
    let reply = ask(plugin, Request::get("/file"));
    assert_eq!((reply.text().as_str(), reply.file), ("3456789", Some((3, 7))));
    assert_eq!(reply.content_length, 7, "known, so said");
    let reply = ask(plugin, Request::get("/file").uwsgi());
    assert_eq!((reply.text().as_str(), reply.content_length), ("3456789", -1));
    let reply = ask(plugin, Request::get("/file_part"));
    assert_eq!((reply.text().as_str(), reply.file), ("0123", Some((0, 4))));
    let reply = ask(plugin, Request::get("/file_memory"));
    assert_eq!((reply.text().as_str(), reply.file, reply.writes), ("0123456789", None, 2));
    assert_eq!(ask(plugin, Request::get("/closes")).text(), "1");
    assert_eq!(ask(plugin, Request::get("/file_gzip")).text(), "unpacked");
    let reply = ask(plugin, Request::new("HEAD", "/file"));
    assert_eq!((reply.text().as_str(), reply.file, reply.content_length), ("", None, 7));
}

fn module() {
    let plugin = start_app(|settings| {
        for (key, value) in
            [("module", Some("wsgi")), ("master", None), ("env", Some("A=1")), ("env", Some("B=2"))]
        {
            let value = value.map(str::to_owned);
            settings.given.push(Given { key: key.to_owned(), value, origin: Origin("test".to_owned()) });
        }
    });
    fake::log_lines();
    let reply = ask(plugin, Request::get("/module"));
    let text = reply.text();
    for part in [
        "'env': True",
        "'worker_id': 1",
        "'master': 4321",
        "'version': b'2.0.31'",
        "'info': (2, 0, 31, 0, b'')",
        "'opt': {'module': b'wsgi', 'master': True, 'env': b'B=2'}",
        "'logvar': b'me'",
        "'locked': False",
        "'total': 77",
        "'queue': False",
        "'mem': True",
        "does not offer uwsgi.spool",
        "there is no lock 99",
    ] {
        assert_has(&text, part);
    }
    assert_eq!(reply.logvars, [("user".to_owned(), "me".to_owned())]);
    assert_has(&fake::log_lines(), "logged");
    ask(plugin, Request::get("/errors"));
    assert_eq!(fake::log_lines(), "part one\nand two\nthree");
}

fn process() {
    let mut settings = settings();
    let file = apps().join("wsgi.py").display().to_string();
    settings.python.files = vec![file.clone()];
    settings.python.pyargv = Some("a  b".to_owned());
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, 1);
    let lines = fake::log_lines();
    for part in [
        "Python version: 3.",
        &format!("added {}/ to pythonpath.", apps().display()),
        "Python main interpreter initialized at 0x",
        "WSGI app 0 (mountpoint='') ready in 0 seconds on interpreter 0x",
        &format!("pid: {} (default app)", std::process::id()),
    ] {
        assert_has(&lines, part);
    }
    let text = ask(plugin, Request::get("/process")).text();
    for part in [
        "'argv': ['uwsgi', 'a', 'b']".to_owned(),
        format!("'path0': ['{}', '.']", apps().display()),
        "'thread': True".to_owned(),
        "'encoding': 'utf-8'".to_owned(),
        format!("'file': '{file}'"),
        "'name': 'uwsgi_file_".to_owned(),
    ] {
        assert_has(&text, &part);
    }
    plugin.worker_stop();
}

fn import_failure() {
    let mut settings = settings();
    settings.python.modules = vec!["broken".to_owned()];
    settings.process.need_app = false;
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, -1);
    let lines = fake::log_lines();
    for part in [
        "No module named 'nothing_of_this_name'",
        "unable to load app 0 (mountpoint='') (callable not found or import error)",
        "*** no app loaded. going in full dynamic mode ***",
    ] {
        assert_has(&lines, part);
    }
    assert_eq!(ask(plugin, Request::get("/")).outcome, Some(OUTCOME_NO_APP));
    assert_has(&fake::log_lines(), "--- no python application found, check your startup logs for errors ---");
}

fn mounts() {
    let mut settings = settings();
    let file = apps().join("several.py").display().to_string();
    settings.python.callable = Some("one".to_owned());
    settings.python.mounts =
        vec![("/a".to_owned(), "factory:one".to_owned()), ("/a/b".to_owned(), "factory:create()".to_owned())];
    settings.request.manage_script_name = true;
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, 2, "{}", fake::log_lines());
    for (path, script_name, answer) in [
        ("/a/x", "", "one /a /x"),
        ("/a/b/x", "", "two /a/b /x"),
        ("/a/b", "", "two /a/b "),
        ("/a/bc", "", "one /a /bc"),
        ("/ab", "", "one  /ab"),
        ("/", "/a/b", "two /a/b /"),
    ] {
        let reply = ask(plugin, Request::get(path).var("SCRIPT_NAME", script_name.as_bytes()));
        assert_eq!(reply.text(), answer, "{path}");
    }
    assert!(Path::new(&file).exists());
}

fn several_apps() {
    let mut settings = settings();
    settings.python.modules = vec!["several".to_owned()];
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, 2, "{}", fake::log_lines());
    for (script_name, answer) in [("", "one  /x"), ("/two", "two /two /x"), ("/three", "one /three /x")] {
        let reply = ask(plugin, Request::get("/x").var("SCRIPT_NAME", script_name.as_bytes()));
        assert_eq!(reply.text(), answer);
    }
}

/// `ignore-script-name`.
fn one_app_for_all() {
    let mut settings = settings();
    settings.python.modules = vec!["several".to_owned()];
    settings.python.ignore_script_name = true;
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, 2, "{}", fake::log_lines());
    let reply = ask(plugin, Request::get("/x").var("SCRIPT_NAME", b"/two"));
    assert_eq!(reply.text(), "one /two /x");
}

/// `harakiri-no-arh`: no deadline holds any more when the hook is called.
fn spared_hook() {
    let mut settings = settings();
    settings.python.modules = vec!["hooked:fast".to_owned()];
    settings.harakiri.without_hook = true;
    let (plugin, _) = start(&settings);
    fake::log_lines();
    ask(plugin, Request::get("/x"));
    assert_eq!(fake::log_lines(), "disarmed\nafter the request");
}

fn factories() {
    let mut settings = settings();
    settings.python.modules = vec!["factory:create()".to_owned(), "factory:one".to_owned()];
    settings.python.no_default_app = true;
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, 1);
    assert_has(&fake::log_lines(), "mountpoint  already configured. skip.");
    assert_eq!(ask(plugin, Request::get("/x")).text(), "two  /x");
    let elsewhere = Request::get("/x").var("SCRIPT_NAME", b"/elsewhere");
    assert_eq!(ask(plugin, elsewhere).outcome, Some(OUTCOME_NO_APP));
}

fn hooks() {
    let mut settings = settings();
    settings.python.modules = vec!["hooked".to_owned()];
    let (plugin, loaded) = start(&settings);
    assert_eq!(loaded, 1, "{}", fake::log_lines());
    assert_eq!(ask(plugin, Request::get("/x")).text(), "post_fork 1");
    fake::log_lines();
    plugin.worker_stop();
    assert_eq!(fake::log_lines(), "uwsgi.atexit\nthread\natexit");
}

fn lazy_apps() {
    let mut settings = settings();
    settings.python.modules = vec!["hooked".to_owned()];
    let plugin = embed::load(&settings);
    plugin.start(&fake::api(0), &settings).expect("the interpreter is prepared");
    plugin.worker_start(&fake::api(3)).expect("the worker starts");
    assert_eq!(plugin.load(), 1);
    assert_eq!(ask(plugin, Request::get("/x")).text(), "post_fork 3");
}

fn threads() {
    let plugin = start_app(|settings| settings.process.threads = 2);
    assert_has(&ask(plugin, Request::get("/keys")).text(), "uwsgi.core=0");
    let other = std::thread::spawn(move || {
        fake::push(Request::get("/keys"));
        plugin.serve(1);
        fake::replies().remove(0).text()
    });
    let text = other.join().expect("the thread serves");
    assert_has(&text, "uwsgi.core=1");
    assert_has(&text, "wsgi.multithread=True");
    // Many at a time, on two threads.
    for _ in 0..500 {
        fake::push(Request::new("POST", "/read").body(b"abc").var("QUERY_STRING", b"i.read()"));
    }
    let other = std::thread::spawn(move || plugin.serve(1));
    plugin.serve(0);
    other.join().expect("the thread serves");
    let replies = fake::replies();
    assert_eq!(replies.len(), 500);
    assert!(replies.iter().all(|reply| reply.body == b"b'abc'"));
    plugin.worker_stop();
}

fn forked() {
    let plugin = start_app(|_| {});
    plugin.before_fork();
    // SAFETY: one thread, and the plugin was told.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        plugin.after_fork_child();
        plugin.worker_start(&fake::api(2)).expect("the worker starts");
        let text = ask(plugin, Request::get("/module")).text();
        plugin.worker_stop();
        std::process::exit(i32::from(!text.contains("'worker_id': 2")));
    }
    plugin.after_fork_parent();
    let mut status = -1;
    // SAFETY: our own child, and room for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0, "the child served as worker 2");
    assert_eq!(ask(plugin, Request::get("/hello")).text(), "hello", "the parent goes on");
}

fn caught_exceptions() {
    let plugin = start_app(|settings| settings.python.catch_exceptions = true);
    let reply = ask(plugin, Request::get("/raises"));
    assert_eq!((reply.code, reply.outcome), (500, Some(OUTCOME_OK)));
    assert_has(&reply.text(), "LookupError: no luck");
    let reply = ask(plugin, Request::get("/fails_later"));
    assert_eq!((reply.code, reply.outcome), (200, Some(OUTCOME_EXCEPTION)));
}

/// With the decorators that PYTHONPATH has, or else our own.
fn decorators() {
    let mut settings = settings();
    settings.python.modules = vec!["decorated".to_owned()];
    let (plugin, loaded) = start(&settings);
    assert!(loaded >= 0, "{}", fake::log_lines());
    assert_eq!(ask(plugin, Request::get("/")).text(), "(['postfork'], 'locked')");
}

// Cost ----------------------------------------------------------------------------------------------------

/// Prints nanoseconds a request, all of the plugin's work and next to nothing of the host's.
fn bench() {
    const ROUNDS: usize = 100_000;
    let mut settings = settings();
    settings.python.modules = vec!["hooked:fast".to_owned()];
    let (plugin, _) = start(&settings);
    plugin.worker_start(&fake::bench::api()).expect("the worker starts");
    let value = b"a value of ordinary length";
    let (mut http, mut uwsgi) = (Request::get("/hello"), Request::get("/hello").uwsgi());
    for number in 0..10 {
        http = http.field(&format!("X-Field-{number}"), "a value of ordinary length");
        http = http.var(&format!("NAME_{number}"), value);
    }
    for number in 0..22 {
        uwsgi = uwsgi.var(&format!("HTTP_X_FIELD_{number}"), value);
    }
    for (name, request) in [("http", http), ("uwsgi", uwsgi)] {
        for changing in [0, 4, 26] {
            let requests = (0..16).map(|round| {
                let mut request = request.clone();
                for var in request.vars.iter_mut().rev().take(changing) {
                    var.1 = format!("a value of some length {round}").into_bytes();
                }
                request
            });
            let requests: Vec<Request> = requests.collect();
            let best = (0..10).map(|_| {
                fake::bench::prepare(requests.clone(), ROUNDS);
                let begun = std::time::Instant::now();
                plugin.serve(0);
                begun.elapsed().as_nanos() / ROUNDS as u128
            });
            let best = best.min().unwrap_or_default();
            let count = request.vars.len();
            println!("{name}, {count} variables, {changing} of them changing: {best} ns a request");
        }
    }
}
