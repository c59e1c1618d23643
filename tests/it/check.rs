//! `uwring check`, `options` and `migrate`, and the first run.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use crate::support::{Address, PATIENCE, Running, app, has, note, program, uwring_only};

fn uwring(folder: &Path, args: &[&str]) -> Output {
    Command::new(program()).args(args).current_dir(folder).output().expect("it runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_configuration_is_explained_option_by_option() {
    if uwring_only("it has no check") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ini =
        "[uwsgi]\nhttp = :8080\nmodule = app\nprocesses = 4 ; four\nvaccum = true\nthunder-lock = true\n";
    std::fs::write(folder.path().join("app.ini"), ini).expect("written");
    let good = uwring(folder.path(), &["check", "app.ini"]);
    assert!(good.status.success(), "{}", stdout(&good));
    let said = stdout(&good);
    for part in [
        "app.ini:4",
        "a comment needs a line of its own",
        "did you mean vacuum?",
        "accepted: a worker accepts only",
        "The site would run as under uWSGI.",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let bad = uwring(folder.path(), &["check", "--json", "app.ini", "--rawrouter", ":443", "--threads=x"]);
    assert_eq!(bad.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&bad.stdout).expect("JSON");
    let row = |name: &str| {
        let rows = report["options"].as_array().expect("a list");
        rows.iter().find(|row| row["option"] == name).unwrap_or_else(|| panic!("{name} in {report}")).clone()
    };
    assert_eq!(row("rawrouter")["verdict"], "refused");
    assert_eq!(row("rawrouter")["origin"], "command line");
    assert!(row("threads")["note"].as_str().expect("text").contains("a number is expected"), "{report}");
    assert_eq!(row("http")["value"], ":8080");
    assert_eq!(report["summary"]["starts"], false);
    assert_eq!(report["summary"]["refused"], 1);
    // What cannot be read is told in the same form.
    let none = uwring(folder.path(), &["check", "--json", "none.ini"]);
    let report: serde_json::Value = serde_json::from_slice(&none.stdout).expect("JSON");
    assert!(report["remarks"][0]["text"].as_str().expect("text").contains("no such file"), "{report}");
    assert_eq!(none.status.code(), Some(1));
}

/// A file of forty options as sites have them, placeholders of their own among them.
const FORTY: &str = "[uwsgi]\nbase = /srv/site\napp = site\nhttp = :8080\nsocket = %(base)/%(app).sock\n\
    chmod-socket = 660\nmodule = site.wsgi:application\nchdir = %(base)/src\nvirtualenv = %(base)/env\n\
    pythonpath = %(base)/lib\nenv = DJANGO_SETTINGS_MODULE=site.settings\nenv = LANG=C.UTF-8\nmaster = true\n\
    processes = 4\nthreads = 2\nenable-threads = true\nsingle-interpreter = true\nneed-app = true\n\
    die-on-term = true\nvacuum = true\nharakiri = 30\nharakiri-verbose = true\nmax-requests = 5000\n\
    max-worker-lifetime = 3600\nreload-on-rss = 512\nworker-reload-mercy = 60\nbuffer-size = 32768\n\
    post-buffering = 8192\nlimit-post = 10485760\nsocket-timeout = 30\nlisten = 128\nthunder-lock = true\n\
    static-map = /static=%(base)/static\nstatic-expires = /* 3600\nadd-header = X-Frame-Options: DENY\n\
    disable-logging = true\nlog-4xx = true\nlog-5xx = true\nlogto = %(base)/%(app).log\nlog-date = true\n\
    procname-prefix = %(app)-\n";

/// Seconds of processor that a child has used which has ended and was not waited for: what it costs, however busy the
/// machine is.
fn cpu_seconds(child: &Child) -> f64 {
    let stat = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("a child of ours");
    // Behind the name, which may have blanks: the state, and as the 12th and 13th the ticks in user and kernel mode.
    let fields = |stat: String| -> Vec<String> {
        let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
        rest.split(' ').map(str::to_owned).collect()
    };
    let started = Instant::now();
    while fields(stat())[0] != "Z" {
        assert!(started.elapsed() < PATIENCE, "it never ended");
        std::thread::yield_now();
    }
    let ticks =
        nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten().expect("ticks a second");
    let fields = fields(stat());
    let used: i64 = fields[11..13].iter().map(|ticks| ticks.parse::<i64>().expect("a number")).sum();
    used as f64 / ticks as f64
}

#[test]
fn a_check_is_quick() {
    if uwring_only("it has no check") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("app.ini"), FORTY).expect("written");
    let mut command = Command::new(program());
    command.args(["check", "app.ini"]).current_dir(folder.path()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    let mut told = String::new();
    child.stdout.take().expect("a pipe").read_to_string(&mut told).expect("text");
    let used = cpu_seconds(&child);
    child.wait().expect("ours");
    assert!(told.lines().count() > 40, "{told}");
    note(&format!("uwring check of 40 options used {used} s of processor"));
    // 50 ms are promised of a release build, which uses 6. A debug build needs ten times as long, on a machine with
    // much else to do three times that.
    assert!(used < 0.5, "{used} s of processor");
}

#[test]
fn all_options_are_listed() {
    if uwring_only("it has no such list") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let list = uwring(folder.path(), &["options", "--json"]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&list.stdout).expect("JSON");
    let verdicts = ["done", "accepted", "planned", "refused"];
    assert!(rows.iter().all(|row| verdicts.contains(&row["verdict"].as_str().expect("text"))));
    assert!(rows.len() > 900, "{}", rows.len());
    assert!(stdout(&uwring(folder.path(), &["options"])).contains("done      processes, workers"));
}

#[test]
fn what_migrate_prints_serves_the_same_site() {
    if uwring_only("it has no migrate") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    let ini = format!(
        "[uwsgi]\nhere = %d\nhttp-socket = 127.0.0.1:0\nwsgi-file = {}/app.py\nworkers = 2\nenv = A=\"q\"\n",
        app("hello").display()
    );
    std::fs::write(path.join("app.ini"), ini).expect("written");
    let before: Vec<_> = std::fs::read_dir(path).expect("readable").map(|e| e.unwrap().file_name()).collect();
    let printed = uwring(path, &["migrate", "app.ini"]);
    assert!(printed.status.success());
    let after: Vec<_> = std::fs::read_dir(path).expect("readable").map(|e| e.unwrap().file_name()).collect();
    assert_eq!(before, after, "nothing is touched");
    std::fs::write(path.join("uwring.toml"), &printed.stdout).expect("written");
    let mut command = Command::new(program());
    command.arg("uwring.toml").current_dir(path);
    let server = Running::spawn(command);
    assert!(server.log.wait_n(2, |line| line.starts_with("spawned uWSGI worker ")).is_some());
    first_address(&server).get("/").expect(200);
}

/// The lines of a comment between two of these.
fn commented(text: &str, begin: &str, end: &str) -> String {
    let lines = text.lines().skip_while(|line| !line.contains(begin)).skip(1);
    let lines = lines.take_while(|line| !line.contains(end)).filter_map(|line| line.strip_prefix('#'));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

#[test]
fn nginx_and_systemd_take_what_migrate_prints() {
    if uwring_only("it has no migrate") || !has(&["nginx", "systemd-analyze"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path();
    for socket in [
        "socket = /run/site.sock",
        "http-socket = :8080",
        "fastcgi-socket = 127.0.0.1:9000",
        "http-socket = /s",
    ] {
        let ini = format!("[uwsgi]\n{socket}\nmodule = site:app\nuid = daemon\ngid = daemon\nchdir = /tmp\n");
        std::fs::write(path.join("app.ini"), ini).expect("written");
        let printed = stdout(&uwring(path, &["migrate", "app.ini"]));
        // A test of nginx binds, too.
        let listen = format!("listen unix:{}/front.sock", path.display());
        let server = commented(&printed, "# nginx, ", "# systemd, ").replace("listen 80", &listen);
        assert!(server.contains("_pass ") && server.contains(&listen), "{printed}");
        let conf = format!(
            "pid {0}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{ access_log off;\n{server}}}\n",
            path.display()
        );
        std::fs::write(path.join("nginx.conf"), conf).expect("written");
        for params in ["uwsgi_params", "fastcgi_params"] {
            std::fs::write(path.join(params), "").expect("written");
        }
        let nginx = crate::support::find("nginx").expect("asked for above");
        let said =
            Command::new(nginx).arg("-t").arg("-c").arg(path.join("nginx.conf")).output().expect("it runs");
        assert!(said.status.success(), "{server}{}", String::from_utf8_lossy(&said.stderr));
        let unit = commented(&printed, "# systemd, ", "no such line");
        let unit = unit.replace("/usr/local/bin/uwring", &program().display().to_string());
        assert!(unit.contains("User=daemon") && unit.contains("WorkingDirectory=/tmp"), "{unit}");
        std::fs::write(path.join("site.service"), &unit).expect("written");
        let said = Command::new("systemd-analyze").arg("verify").arg(path.join("site.service")).output();
        let said = String::from_utf8_lossy(&said.expect("it runs").stderr).into_owned();
        // (Of other units of the machine it may complain.)
        assert!(!said.contains("site.service"), "{unit}{said}");
    }
}

#[test]
fn the_first_run_is_one_line() {
    if uwring_only("it takes no module by itself") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let code = "def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'mine']\n";
    std::fs::write(folder.path().join("site_of_mine.py"), code).expect("written");
    for word in ["site_of_mine:app", "site_of_mine.py:app"] {
        let mut command = Command::new(program());
        command.args(["--http", "127.0.0.1:0", word]).current_dir(folder.path());
        let server = Running::spawn(command);
        assert!(server.log.wait_n(1, |line| line.starts_with("spawned uWSGI worker ")).is_some(), "{word}");
        assert_eq!(first_address(&server).get("/").expect(200).text(), "mine", "{word}");
    }
    let alone = Command::new(program()).env_clear().output().expect("it runs");
    assert!(stdout(&alone).contains("uwring --http :8080 app.py"), "{alone:?}");
}

fn first_address(server: &Running) -> Address {
    let line = server.log.wait_for(" bound to TCP address ");
    let word = line.split(' ').find(|word| word.starts_with("127.0.0.1:")).expect("an address");
    Address::Tcp(word.parse().expect("an address"))
}
