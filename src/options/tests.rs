//! From what is written to what is understood.

mod meanings;

use std::path::Path;

use super::settings::SocketProtocol;
use super::*;

/// A folder with these files; `{}` in a value stands for the folder.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder for the test"));
        for (name, text) in files {
            std::fs::write(folder.path().join(name), folder.named(text)).unwrap();
        }
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn named(&self, text: &str) -> String {
        text.replace("{}", self.path().to_str().expect("temporary names are plain"))
    }

    fn load_with(&self, args: &[&str], env: &[(&str, &str)]) -> Result<Loaded, Error> {
        let argv: Vec<OsString> = ["uwring"].iter().chain(args).map(|arg| self.named(arg).into()).collect();
        let env: Vec<_> = env.iter().map(|(n, v)| (n.to_string(), self.named(v))).collect();
        load(&argv, &env)
    }

    fn load(&self, args: &[&str]) -> Loaded {
        self.load_with(args, &[]).expect("the options are right")
    }
}

/// What one file's section gives.
fn of_file(lines: &str) -> Result<Loaded, Error> {
    Folder::with(&[("app.ini", &format!("[uwsgi]\n{lines}\n"))]).load_with(&["--ini", "{}/app.ini"], &[])
}

fn settings(loaded: Loaded) -> Settings {
    match loaded.command {
        Command::Serve(settings) => *settings,
        other => panic!("not to be served: {other:?}"),
    }
}

/// The options of the list that follow, as written: what `show-config` says.
fn given(loaded: Loaded) -> Vec<String> {
    let all = settings(loaded).given;
    all.iter().map(|g| format!("{}={}", g.key, g.value.as_deref().unwrap_or("(none)"))).collect()
}

/// The error without the folder and its number, which each has.
fn error(lines: &str) -> String {
    let said = of_file(lines).expect_err("this is wrong").to_string();
    let (said, _) = said.rsplit_once(" [UWR-E").expect("a number at its end");
    let said = said.to_owned();
    said.rsplit_once("/app.ini").map_or(said.clone(), |(_, rest)| format!("app.ini{rest}"))
}

fn warnings(lines: &str) -> Vec<String> {
    let said = of_file(lines).expect("this is right").warnings;
    let short =
        |w: &String| w.rsplit_once("/app.ini").map_or(w.clone(), |(_, rest)| format!("app.ini{rest}"));
    said.iter().map(short).collect()
}

#[test]
fn an_ordinary_file_is_understood() {
    let loaded = of_file(
        "master = true\nmodule = shop.wsgi:application\nprocesses = 4\nthreads=2\nsocket = /tmp/shop.sock\n\
         chmod-socket = 660\nvacuum = true\ndie-on-term = true\nforkbomb-delay = 30\nmax-requests = 5000\n\
         buffer-size = 65535\nenv = A=1\nchdir = /srv\nuid = www-data\npidfile = /run/shop.pid\n\
         disable-logging = True\nlog-5xx = 1\nhttp = :8080\nhttp-keepalive = 75\nplugins = python3\n\
         single-interpreter = true\nenable-threads = true\nlazy-apps = 0\nvirtualenv = /venv",
    )
    .unwrap();
    assert_eq!(loaded.warnings, [""; 0]);
    let s = settings(loaded);
    assert_eq!(s.python.modules, ["shop.wsgi:application"]);
    assert_eq!((s.process.processes, s.process.threads, s.process.forkbomb_delay), (4, 2, 30));
    assert_eq!((s.process.vacuum, s.process.lazy_apps, s.logging.disable_requests), (true, false, true));
    assert_eq!(s.process.pidfiles, [Path::new("/run/shop.pid")]);
    assert_eq!(
        (s.sockets.chmod, s.request.buffer_size, s.request.keepalive_ms),
        (Some(0o660), 65_535, 75_000)
    );
    assert_eq!(s.python.home.as_deref(), Some("/venv"));
    let sockets: Vec<_> =
        s.sockets.specs.iter().map(|s| (s.address.as_str(), s.protocol, s.faces_clients)).collect();
    let expected = [("/tmp/shop.sock", SocketProtocol::Uwsgi, false), (":8080", SocketProtocol::Http, true)];
    assert_eq!(sockets, expected);
}

#[test]
fn later_ones_win_and_words_come_last() {
    let folder = Folder::with(&[("app.ini", "[uwsgi]\nprocesses = 2")]);
    for (args, env, processes) in [
        (vec!["{}/app.ini", "--processes", "7"], vec![], 2),
        (vec!["--ini", "{}/app.ini", "--processes", "7"], vec![], 7),
        (vec!["--processes", "7", "--ini", "{}/app.ini"], vec![], 2),
        (vec!["--ini", "{}/app.ini"], vec![("UWSGI_PROCESSES", "9")], 2),
        (vec![], vec![("UWSGI_PROCESSES", "9"), ("UWSGI_INI", "{}/app.ini")], 2),
        (vec![], vec![("UWSGI_INI", "{}/app.ini"), ("UWSGI_WORKERS", "9")], 9),
        (vec!["-p3"], vec![("UWSGI_PROCESSES", "9")], 3),
        (vec!["-p3", "--set", "processes=5"], vec![], 5),
    ] {
        let s = settings(folder.load_with(&args, &env).unwrap());
        assert_eq!(s.process.processes, processes, "{args:?} {env:?}");
    }
}

#[test]
fn words_of_the_command_line() {
    let folder = Folder::with(&[("app.ini", "[uwsgi]\nthreads = 2\n[prod]\nthreads = 8")]);
    let python = |word: &str| {
        let p = settings(folder.load(&[word])).python;
        (p.modules.join(" "), p.files.join(" "), p.callable.unwrap_or_default())
    };
    let three = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
    assert_eq!(python("shop.wsgi:app"), three("shop.wsgi:app", "", ""));
    assert_eq!(python("shop/wsgi.py"), three("", "shop/wsgi.py", ""));
    assert_eq!(python("wsgi.py:app"), three("", "wsgi.py", "app"));
    assert_eq!(python("shop.wsgi"), three("", "shop.wsgi", ""));
    assert_eq!(settings(folder.load(&["{}/app.ini"])).process.threads, 2);
    assert_eq!(settings(folder.load(&["{}/app.ini:prod"])).process.threads, 8);
    assert!(
        folder.load_with(&["what"], &[]).unwrap_err().to_string().starts_with("command line: what is what?")
    );
    let yaml = folder.load_with(&["app.yml"], &[]).unwrap_err().to_string();
    assert!(yaml.starts_with("command line: cannot read app.yml: no such file"), "{yaml}");
}

#[test]
fn sections_of_the_same_file() {
    let folder = Folder::with(&[(
        "app.ini",
        "[uwsgi]\nini = :common\nthreads = 2\n[common]\nthreads = 4\nprocesses = 3\nini = :deep\n[deep]\nforkbomb-delay = 9",
    )]);
    let s = settings(folder.load(&["--ini", "{}/app.ini"]));
    assert_eq!((s.process.threads, s.process.processes, s.process.forkbomb_delay), (2, 3, 9));
    let missing = folder.load(&["--ini", "{}/app.ini:nope"]);
    let expected =
        folder.named("*** WARNING: Can't find section \"nope\" in INI configuration file {}/app.ini ***");
    assert_eq!(missing.warnings, [expected]);
    assert_eq!(missing.notes, [folder.named("[uWSGI] getting INI configuration from {}/app.ini:nope")]);
}

#[test]
fn include_is_here_and_inherit_is_last() {
    let folder = Folder::with(&[
        ("app.ini", "[uwsgi]\ninherit = {}/last.ini\nbase = {}\ninclude = %(base)/$(NAME).ini\nthreads = 2"),
        ("here.ini", "[uwsgi]\nthreads = 4\nprocesses = 4"),
        ("last.ini", "[uwsgi]\nprocesses = 9\nforkbomb-delay = %(threads)\nchdir = $(NAME)"),
    ]);
    let s = settings(folder.load_with(&["--ini", "{}/app.ini"], &[("NAME", "here")]).unwrap());
    assert_eq!((s.process.threads, s.process.processes, s.process.forkbomb_delay), (2, 9, 4));
    // uWSGI leaves $( ) as written in inherited files.
    assert_eq!(s.process.chdir.as_deref(), Some(Path::new("here")));
}

#[test]
fn capitals_stay_with_the_first_file() {
    let folder = Folder::with(&[
        ("app.ini", "[uwsgi]\ninclude = {}/other.ini"),
        ("other.ini", "[uwsgi]\nprocname = %S %s %n\nmodule = %n"),
    ]);
    let s = settings(folder.load(&["--ini", "{}/app.ini"]));
    assert_eq!(s.process.procname.as_deref(), Some("app.ini other.ini other"));
}

#[test]
fn placeholders_come_from_anywhere() {
    let lines = "name = shop\nchdir = /srv/%(name)\nprocesses = %(%k * 0 + cores)\nset = cores=6\n\
                 set-placeholder = log=/var/log/%(name)\nlogto = %(log).log\nlog-format = %(method) %(uri)\n\
                 pidfile = /run/%%(name).pid\ncallable = $(NOPE)";
    let loaded = of_file(lines).unwrap();
    assert_eq!(loaded.warnings, [""; 0]);
    let s = settings(loaded);
    assert_eq!(s.process.chdir.as_deref(), Some(Path::new("/srv/shop")));
    assert_eq!(s.process.processes, 6);
    assert_eq!(s.logging.logto.as_deref(), Some("/var/log/shop.log"));
    assert_eq!(s.logging.format.as_deref(), Some("%(method) %(uri)"));
    assert_eq!(s.process.pidfiles, [Path::new("/run/shop.pid")], "a placeholder cannot be escaped");
    assert_eq!(s.python.callable.as_deref(), Some("$(NOPE)"));
}

#[test]
fn environment_and_files_in_values() {
    let folder = Folder::with(&[
        ("app.ini", "[uwsgi]\nenv = SECRET=@({}/secret)\nprocesses = $(N)\nlisten = $(BACKLOG)"),
        ("secret", "hush\n"),
    ]);
    let env = [("N", "5"), ("BACKLOG", "512")];
    let s = settings(folder.load_with(&["--ini", "{}/app.ini"], &env).unwrap());
    assert_eq!(s.process.env, [("SECRET".to_owned(), Some("hush".to_owned()))]);
    assert_eq!((s.process.processes, s.sockets.listen), (5, Some(512)));
}

#[test]
fn blocks_keep_drop_and_repeat() {
    for (lines, expected) in [
        ("for = a b\nx = %(_)\ny = %(_)\nendfor", "for=a b x=a x=b y=a y=b endfor="),
        ("for-times = 2\nx = %(_)\nend =", "for-times=2 x=1 x=2 end="),
        ("if-env = E\nx = %(_)\nendif", "if-env=E x=yes endif="),
        ("if-env = E=yes\nx = %(_)\nendif", "if-env=E=yes x=yes endif="),
        ("if-env = E=no\nx = %(_)\nendif", "if-env=E=no endif="),
        ("if-env = NOPE\nx = 1\nendif\ny = 2", "if-env=NOPE endif= y=2"),
        ("if-not-env = NOPE\nx = %(_)\nendfor", "if-not-env=NOPE x=%(_) endfor="),
        ("x = 1\nif-opt = x\ny = %(_)\nendif", "x=1 if-opt=x y=1 endif="),
        ("x = 1\nif-not-opt = x=2\ny = %(_)\nendif", "x=1 if-not-opt=x=2 y=1 endif="),
        ("if-opt = x\ny = 1\nendif\nx = 1", "if-opt=x endif= x=1"),
        ("if-exists = /\nx = %(_)\nendif", "if-exists=/ x=/ endif="),
        ("if-not-dir = /no/such\nx = %(_)\nendif", "if-not-dir=/no/such x=/no/such endif="),
        ("if-not-dir = /\nx = 1\nendif", "if-not-dir=/ endif="),
        ("if-reload=\nx = 1\nendif", "if-reload= endif="),
        ("if-exists = $(ROOT)\nx = %(_)\nendif", "if-exists=$(ROOT) x=/ endif="),
        ("if-plugin = python3\nx = 1\nendif", "if-plugin=python3 x=1 endif="),
        (
            "for = a b\ninclude = {}/%(_).ini\nendfor",
            "for=a b include={}/a.ini a=1 include={}/b.ini b=1 endfor=",
        ),
    ] {
        let folder = Folder::with(&[
            ("app.ini", &format!("[uwsgi]\n{lines}\n")),
            ("a.ini", "[uwsgi]\na = 1\n"),
            ("b.ini", "[uwsgi]\nb = 1\n"),
        ]);
        let env = [("E", "yes"), ("ROOT", "/")];
        let loaded = folder.load_with(&["--ini", "{}/app.ini"], &env).unwrap();
        assert_eq!(given(loaded)[1..].join(" "), folder.named(expected), "{lines}");
    }
}

#[test]
fn a_block_goes_on_past_its_file() {
    let folder = Folder::with(&[("app.ini", "[uwsgi]\nif-env = NOPE\nthreads = 8")]);
    let loaded = folder.load(&["--ini", "{}/app.ini", "--threads", "4"]);
    assert!(loaded.warnings[0].ends_with("app.ini:2: the block of if-env is never closed by an end"));
    assert_eq!(settings(loaded).process.threads, 1);
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (lines, said) in [
        ("processes = 0", "app.ini:2: processes = 0: expected a number of workers, 1 or more, or auto"),
        ("threads = -3", "app.ini:2: threads = -3: expected a number that is not negative"),
        ("umask = rwx", "app.ini:2: umask = rwx: expected three or four octal digits, like 022"),
        ("protocol = spdy", "app.ini:2: protocol = spdy: expected uwsgi, http, fastcgi, scgi or auto"),
        ("set = x", "app.ini:2: set = x: expected NAME=VALUE"),
        (
            "set-ph = threads=2",
            "app.ini:2: set-ph = threads=2: expected a name that is no option, and threads is one",
        ),
        ("\nfor-times = 10001", "app.ini:3: for-times = 10001: expected a number up to 10000"),
        (
            "pivot-root = /srv /old",
            "app.ini:2: pivot-root is not supported: use RootDirectory= in a systemd unit, or a container",
        ),
        ("include = /no/such.ini", "app.ini:2: cannot read /no/such.ini: no such file"),
        (
            "include = no.ini",
            "app.ini:2: cannot read no.ini: no such file (relative paths start at the current folder)",
        ),
        ("include = /no/app.yml", "app.ini:2: cannot read /no/app.yml: no such file"),
        ("x = @(/no/such)", "app.ini:2: cannot read /no/such: no such file"),
        ("x = @(exec://exit 3)", "app.ini:2: cannot read exec://exit 3: it ended with exit status: 3"),
        ("include = /", "app.ini:2: cannot read /: it is a folder"),
        (
            "rawrouter = :443",
            "app.ini:2: rawrouter is not supported: let nginx, HAProxy or Caddy choose the server",
        ),
    ] {
        assert_eq!(error(lines), said, "{lines}");
    }
    let nested = of_file("if-exists = /\nfor = x y\nend").unwrap_err().to_string();
    assert!(nested.contains("app.ini:3: for inside if-exists ("), "{nested}");
    // Where the outer one drops what is inside, uWSGI goes on.
    let dropped = warnings("if-env = NOPE\nfor = x y\nend");
    assert!(dropped[0].contains("the next end closes if-env"), "{dropped:?}");
    let endless = of_file("include = %p").unwrap_err().to_string();
    assert!(endless.contains("files include each other without end [UWR-E00"), "{endless}");
}

#[test]
fn what_is_doubtful_is_warned_of_with_its_place() {
    for (lines, said) in [
        (
            "processes = 4 # four",
            "app.ini:2: processes = 4 # four: read as 4: a comment needs a line of its own",
        ),
        (
            "vacuum = false ; no",
            "app.ini:2: vacuum = false ; no: read as true: a comment needs a line of its own",
        ),
        (
            "threads = \"4\"",
            "app.ini:2: threads = \"4\": read as 4, without the quotes: values are not quoted",
        ),
        ("log-slow = true", "app.ini:2: log-slow = true: read as 0: a number is expected"),
        (
            "threads = $(NOPE)",
            "app.ini:2: threads = $(NOPE): read as 0: a number is expected (NOPE is not set in the environment)",
        ),
        ("buffer-size = 400000", "app.ini:2: buffer-size = 400000: read as 65535: it is 1024 to 65535 bytes"),
        (
            "vaccum = 1",
            "app.ini:2: no option is called vaccum, and nothing asks for %(vaccum); did you mean vacuum?",
        ),
        (
            "chmod_socket = 660",
            "app.ini:2: no option is called chmod_socket, and nothing asks for %(chmod_socket); did you mean chmod-socket?",
        ),
        ("project = shop", "app.ini:2: no option is called project, and nothing asks for %(project)"),
        ("a = %(a)b\nchdir = %(a)", "app.ini:2: a: %(a) is defined by itself; left as written"),
    ] {
        assert_eq!(warnings(lines).first().map(String::as_str), Some(said), "{lines}");
    }
    for lines in
        ["project = shop\nchdir = /srv/%(project)", "x = 1\nif-opt = x\nend", "set-ph = x=1", "master = 1"]
    {
        assert_eq!(warnings(lines), [""; 0], "{lines}");
    }
}

#[test]
fn the_environment_is_not_blamed_for_names_of_others() {
    let folder = Folder::with(&[("app.ini", "[uwsgi]\nthreads = $(UWSGI_THREDS)")]);
    let env = [("UWSGI_SERVICE_HOST", "10.0.0.1"), ("UWSGI_THREDS", "3"), ("UWSGI_PROCESES", "3")];
    let loaded = folder.load_with(&["--ini", "{}/app.ini"], &env).unwrap();
    let said = "environment: no option is called proceses, and nothing asks for %(proceses); did you mean processes?";
    assert_eq!(loaded.warnings, [said]);
}

#[test]
fn strict_refuses_unknown_names_before_and_after_it() {
    for lines in ["strict = true\nfoo = 1", "foo = 1\nstrict", "strict = 1\nset = foo=1"] {
        let said = of_file(lines).unwrap_err().to_string();
        assert!(said.starts_with("[strict-mode] unknown config directive: foo ("), "{said}");
    }
    for (lines, said) in [
        ("strict = true\nif-env = NOPE\nthreads = 2", "the block of if-env is never closed by an end"),
        ("strict = true\nset-ph = x=1\n<<<<<<< HEAD", "<<<<<<< was left by a merge"),
        ("strict = true\nprocesses: 4", "processes: 4: no option is called so; did you mean processes = 4?"),
    ] {
        let error = of_file(lines).unwrap_err().to_string();
        assert!(error.contains(&format!("[strict-mode] {said}")), "{error}");
        let loose = warnings(&lines.replace("true", "false"));
        assert!(loose.iter().any(|w| w.contains(said)), "{loose:?}");
    }
    // Files that say strict and have such values run under uWSGI, and here: who wants them found says so.
    for (lines, said) in [
        ("threads = 4 ; four", "threads = 4 ; four: read as 4: a comment needs a line of its own"),
        ("chdir = \"/srv\"", "chdir = \"/srv\": the quotes are part of the value; write /srv"),
        ("socket = /tmp/s # here", "`# here` is part of the value"),
        ("harakiri = soon", "harakiri = soon: read as 0: a number is expected"),
        ("threads = 2\nthreads = 3", "threads = 3: replaces 2 of "),
    ] {
        let loose = of_file(&format!("{lines}\nstrict = true")).unwrap().warnings;
        assert!(loose.iter().any(|w| w.contains(said)), "{loose:?}");
        let error = of_file(&format!("strict = all\n{lines}")).unwrap_err().to_string();
        assert!(
            error.contains("app.ini:") && error.contains("[strict-mode]") && error.contains(said),
            "{error}"
        );
    }
    assert!(of_file("strict = all\nset-ph = a=4\nthreads = %(a)\nmodule = app").is_ok());
    for lines in
        ["strict = false\nfoo = 1", "strict = true\nset-placeholder = foo=1", "strict=1\ncarbon-timeout = x"]
    {
        assert!(of_file(lines).is_ok(), "{lines}");
    }
}

#[test]
fn what_is_refused_is_left_out_where_lenient_asks() {
    // A placeholder of a file for uWSGI that is called as an option is here.
    let loaded = of_file("engine = django\nchdir = /srv/%(engine)").unwrap();
    assert!(
        loaded.warnings[0].contains("engine is an option here, and this can only be meant as a placeholder")
    );
    assert!(of_file("engine = django").unwrap_err().to_string().contains("expected io_uring, epoll or auto"));
    let said = of_file("rawrouter = :443").unwrap_err().to_string();
    assert!(said.contains("rawrouter is not supported: let nginx"), "{said}");
    let loaded = of_file("rawrouter = :443\nlenient = true\nthreads = 2").unwrap();
    assert!(loaded.warnings[0].contains("rawrouter is not supported, and left out as lenient asks"));
    assert_eq!(loaded.remarks[0].weight, remark::Weight::Differs);
    assert_eq!(settings(loaded).process.threads, 2);
    assert!(of_file("lenient = false\nrawrouter = :443").is_err());
    // What is switched off changes nothing.
    assert_eq!(warnings("abstract-socket = false\nhttp-websockets = off"), [""; 0]);
}

#[test]
fn what_is_examined_is_told_all_at_once() {
    let folder =
        Folder::with(&[("app.ini", "[uwsgi]\nprocesses = x\nrawrouter = :1\nhttp = :0\nmodule = a")]);
    let argv = ["uwring".to_owned(), folder.named("{}/app.ini")].map(OsString::from);
    let remarks = examine(&argv, &[]).unwrap().remarks;
    let fatal: Vec<&str> =
        remarks.iter().filter(|r| r.weight == remark::Weight::Fatal).map(|r| r.key.as_str()).collect();
    assert_eq!(fatal, ["processes", "rawrouter"], "{remarks:?}");
}

#[test]
fn greenlets_are_threads() {
    for (lines, threads) in [
        ("gevent = 20", 20),
        ("gevent = 1000", 64),
        ("gevent = 20\nthreads = 4", 4),
        ("threads = 4\ngevent = 20", 4),
    ] {
        assert_eq!(settings(of_file(lines).unwrap()).process.threads, threads, "{lines}");
    }
}

#[test]
fn commands_and_information_end_the_reading() {
    let folder = Folder::with(&[("app.ini", "[uwsgi]\nthreads = 2\nname = shop\nchdir = /%(name)")]);
    let printed = |args: &[&str]| match folder.load(args).command {
        Command::Print(text) => text,
        other => panic!("nothing printed: {other:?}"),
    };
    assert_eq!(printed(&["--version"]), "2.0.31-uwring-0.1.0\n");
    assert_eq!(printed(&["--version", "/no/such.ini"]), "2.0.31-uwring-0.1.0\n");
    assert!(printed(&["-h"]).contains("-p, --processes N"));
    assert_eq!(printed(&["--ini", "{}/app.ini", "--get", "chdir", "--get=threads"]), "/shop\n2\n");
    let config = printed(&["--ini", "{}/app.ini", "-M", "--show-config", "--no-server"]);
    let expected = "\n;uWSGI instance configuration\n[uwsgi]\nini = {}/app.ini\nthreads = 2\nname = shop\n\
                    chdir = /shop\nmaster = true\nshow-config = true\nno-server = true\n;end of configuration\n\
                    \nno-server mode requested. Goodbye.\n";
    assert_eq!(config, folder.named(expected));
    for (arg, wanted) in
        [("--reload", SignalWhat::Reload), ("--stop", SignalWhat::Stop), ("--resume", SignalWhat::Pause)]
    {
        match folder.load(&[arg, "/run/x.pid"]).command {
            Command::Signal { pidfile, what } => {
                assert_eq!((pidfile.as_path(), what), (Path::new("/run/x.pid"), wanted));
            }
            other => panic!("{arg}: {other:?}"),
        }
    }
}

#[test]
fn another_configuration_is_named_for_the_case_of_failure() {
    let failed = of_file("fallback-config = /etc/other.ini\nstrict = true\nunknown-name = 1").unwrap_err();
    assert_eq!(failed.fallback(), Some("/etc/other.ini"));
    assert!(failed.to_string().starts_with("[strict-mode] unknown config directive"), "{failed}");
    let served = settings(of_file("fallback-config = /etc/other.ini").unwrap());
    assert_eq!(served.fallback.as_deref(), Some("/etc/other.ini"));
}

#[test]
fn show_config_in_a_file_is_logged_and_serves() {
    let loaded = of_file("show-config = true\nthreads = 2").unwrap();
    assert!(loaded.notes.contains(&"threads = 2".to_owned()), "{:?}", loaded.notes);
    assert_eq!(settings(loaded).process.threads, 2);
}

#[test]
fn mistakes_of_the_command_line_are_errors() {
    let folder = Folder::with(&[]);
    let said = folder.load_with(&["--proceses", "4"], &[]).unwrap_err().to_string();
    assert_eq!(said, "command line: unknown option --proceses; did you mean --processes? [UWR-E006]");
    let said = folder.load_with(&["--processes", "many"], &[]).unwrap_err().to_string();
    let expected =
        "command line: processes = many: expected a number of workers, 1 or more, or auto [UWR-E001]";
    assert_eq!(said, expected);
}
