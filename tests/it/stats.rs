//! The stats server: uWSGI's document, byte for byte where the figures are equal, and its own screen, `uwsgitop`.

use std::io::Read;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use regex::Regex;
use serde_json::Value;

use crate::support::{
    Gate, PATIENCE, Packet, Server, ServerBuilder, Target, has, root, skipped, target, uwring_only, venv,
};
use crate::upgrade::install;

const UNIX: &str = "stats = {dir}/stats.sock";

/// Starts it, and waits until it can be looked at.
fn started(builder: ServerBuilder) -> Server {
    let server = builder.start();
    server.log().wait_for("*** Stats server enabled on ");
    server
}

fn read(mut stream: UnixStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("read the statistics");
    text
}

pub fn text(server: &Server) -> String {
    read(UnixStream::connect(server.path("stats.sock")).expect("connect"))
}

/// Looks again and again until it holds.
pub fn until(server: &Server, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let begun = Instant::now();
    loop {
        // A monitor that is just being replaced answers nobody for a moment.
        let told = UnixStream::connect(server.path("stats.sock")).map(read).unwrap_or_default();
        if let Some(told) = serde_json::from_str(&told).ok().filter(&holds) {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "never {what}: {told}\n{}", server.log().text());
        std::thread::yield_now();
    }
}

fn workers(told: &Value) -> &Vec<Value> {
    told["workers"].as_array().expect("workers")
}

fn sum(told: &Value, key: &str) -> u64 {
    workers(told).iter().map(|worker| worker[key].as_u64().expect(key)).sum()
}

/// The document with every number as 0 and every text empty but those that name locks and variables.
fn skeleton(text: &str) -> String {
    let text = Regex::new(r":-?\d+").expect("a pattern").replace_all(text, ":0");
    let text = Regex::new(r#":"[^"]*""#).expect("a pattern").replace_all(&text, r#":"""#);
    Regex::new(r#"(?m)^"([A-Z_]+)=.*",$"#).expect("a pattern").replace_all(&text, r#""$1=","#).into_owned()
}

#[test]
fn the_document_is_uwsgis_but_for_the_figures() {
    let server = started(Server::app("wait").ini(UNIX).ini("locks = 1\nattach-daemon = sleep 1000"));
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    // One line is ours.
    let shape = skeleton(&text(&server)).replacen("\t\"engine\":\"\",\n", "", 1);
    let golden = root().join("tests/golden/stats.txt");
    if std::env::var_os("UWRING_BLESS").is_some() && target() == Target::Uwsgi {
        std::fs::write(&golden, &shape).expect("write the golden document");
    }
    gate.open();
    client.response("GET").expect(200);
    assert_eq!(shape, std::fs::read_to_string(&golden).expect("the golden document"));
}

#[test]
fn the_figures_are_right() {
    let server = started(Server::app("wait").ini(UNIX).processes(2));
    for _ in 0..5 {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    let gate = Gate::new(server.path("gate"));
    let mut client = server.in_flight(&gate);
    let told = until(&server, "five requests and one", |told| sum(told, "requests") == 5);
    assert_eq!(told["pid"], server.process.pid.as_raw());
    assert_eq!(told["cwd"].as_str(), server.folder.path().to_str());
    let pids: Vec<i32> =
        workers(&told).iter().map(|worker| worker["pid"].as_i64().expect("a pid") as i32).collect();
    assert_eq!(pids, server.workers());
    assert_eq!(
        (sum(&told, "respawn_count"), sum(&told, "exceptions"), sum(&told, "delta_requests")),
        (2, 0, 5)
    );
    let of_apps: u64 =
        workers(&told).iter().filter_map(|worker| worker["apps"][0]["requests"].as_u64()).sum();
    // uWSGI's applications count a request when it begins.
    assert_eq!(of_apps, if target() == Target::Uwsgi { 6 } else { 5 });
    let (busy, idle): (Vec<&Value>, Vec<&Value>) = workers(&told).iter().partition(|w| w["status"] == "busy");
    assert_eq!((busy.len(), idle.len(), &idle[0]["status"]), (1, 1, &"idle".into()), "{told}");
    let core = &busy[0]["cores"][0];
    assert_eq!(core["in_request"], 1);
    let vars: Vec<&str> = core["vars"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(
        (vars[0], *vars.last().expect("one")),
        (format!("QUERY_STRING={}", gate.query()).as_str(), "")
    );
    assert!(core["req_info"]["request_start"].as_u64() > Some(1_600_000_000), "{core}");
    gate.open();
    client.response("GET").expect(200);
    let told = until(&server, "all six", |told| sum(told, "requests") == 6);
    assert!(sum(&told, "running_time") > 0 && sum(&told, "avg_rt") > 0, "{told}");
    if target() == Target::Uwring {
        assert!(
            workers(&told)
                .iter()
                .all(|w| w["rss"].as_u64() > Some(1 << 20) && w["vsz"].as_u64() > w["rss"].as_u64())
        );
    }
}

#[test]
fn statistics_come_by_http_too() {
    let server = started(
        Server::app("hello").ini("stats = 127.0.0.1:0\nstats-http = true\nstats-minified = true").http(),
    );
    server.get("/").expect(200);
    // An answer is out before it is counted.
    server.log().wait_for("GET / => ");
    let line = server.log().wait_for("*** Stats server enabled on ");
    let address = line.split_whitespace().nth(5).expect("an address");
    if target() == Target::Uwsgi {
        // It says port 0, and means another one.
        return;
    }
    let address = crate::support::Address::Tcp(address.parse().expect("an address"));
    for path in ["/", "/any?thing"] {
        let response = address.get(path).expect(200);
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert_eq!(response.header("Access-Control-Allow-Origin"), Some("*"));
        assert!(!response.text().contains('\n'));
        assert!(sum(&response.json(), "requests") <= 1);
    }
    // The answer may be there before it is counted.
    let begun = Instant::now();
    while sum(&address.get("/").expect(200).json(), "requests") != 1 {
        assert!(begun.elapsed() < PATIENCE, "never counted");
    }
    address.request("HEAD", "/", &[], b"").expect(200);
    address.request("POST", "/", &[("Content-Length", "3")], b"a=b").expect(405);
}

#[test]
fn an_abstract_name_and_less_to_tell() {
    if uwring_only("its abstract name ends with a NUL byte, which no client sends") {
        return;
    }
    let name = format!("uwring-stats-{}", std::process::id());
    let server = started(
        Server::app("hello").ini(&format!("stats = @{name}\nstats-no-cores = true\nstats-min = true")),
    );
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    server.log().wait_for("GET / => ");
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    let text = read(UnixStream::connect_addr(&address).expect("connect"));
    assert!(!text.contains("cores") && !text.contains('\n'), "{text}");
    assert!(sum(&serde_json::from_str(&text).expect("JSON"), "requests") <= 1);
}

#[test]
fn counts_survive_a_worker_and_a_reload() {
    let server = started(Server::app("errors").ini(UNIX));
    for path in ["/", "/", "/before"] {
        server.socket().uwsgi(&Packet::get(path));
    }
    let before = until(&server, "three requests", |told| sum(told, "requests") == 3);
    let raised = sum(&before, "exceptions");
    kill(Pid::from_raw(server.workers()[0]), Signal::SIGKILL).expect("kill the worker");
    let told = until(&server, "respawned", |told| sum(told, "respawn_count") == 2);
    assert_eq!((sum(&told, "requests"), sum(&told, "exceptions")), (3, raised));
    if uwring_only("a reload begins to count from nothing") {
        return;
    }
    server.signal(Signal::SIGHUP);
    let told = until(&server, "reloaded", |told| {
        sum(told, "respawn_count") == 3 && workers(told)[0]["status"] == "idle"
    });
    assert_eq!(
        (sum(&told, "requests"), sum(&told, "exceptions"), sum(&told, "delta_requests")),
        (3, raised, 0)
    );
}

#[test]
fn applications_are_counted_apart() {
    let apps = crate::support::app("hello");
    let mounts =
        format!("mount = /a={0}/app.py\nmount = /b={0}/app.py\nmanage-script-name = true", apps.display());
    let server = started(Server::bare().ini(&mounts).ini("socket = {dir}/app.sock").ini(UNIX));
    for path in ["/a", "/b", "/b/c"] {
        server.socket().uwsgi(&Packet::get(path)).expect(200);
    }
    let told = until(&server, "three requests", |told| sum(told, "requests") == 3);
    let apps = workers(&told)[0]["apps"].as_array().expect("a list").iter();
    let apps: Vec<_> =
        apps.map(|app| (app["id"].clone(), app["mountpoint"].clone(), app["requests"].clone())).collect();
    let expected = [(0, "/a", 1), (1, "/b", 2)].map(|(id, mount, n)| (id.into(), mount.into(), n.into()));
    assert_eq!(apps, expected);
}

#[test]
fn daemons_and_cron_jobs_are_shown() {
    let ini = "attach-daemon = exec sleep 1000\ncron = 1 2 3 4 5 true";
    let server = started(Server::app("hello").ini(UNIX).ini(ini));
    let told = until(&server, "a daemon", |told| told["daemons"][0]["pid"].as_i64() > Some(0));
    assert_eq!(
        (&told["daemons"][0]["cmd"], &told["daemons"][0]["respawns"]),
        (&"exec sleep 1000".into(), &0.into())
    );
    let cron = &told["crons"][0];
    assert_eq!((&cron["command"], &cron["week"], &cron["pid"]), (&"true".into(), &5.into(), &(-1).into()));
    let pid = told["daemons"][0]["pid"].as_i64().expect("a pid") as i32;
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("kill the daemon");
    let told = until(&server, "another daemon", |told| {
        told["daemons"][0]["pid"].as_i64().is_some_and(|new| new > 0 && new != i64::from(pid))
    });
    // uWSGI says 0 for ever.
    assert_eq!(told["daemons"][0]["respawns"], i32::from(target() == Target::Uwring));
}

/// Children of the master that go by this name.
fn named(server: &Server, name: &str) -> Vec<i32> {
    let master = server.process.pid;
    let children =
        std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("it runs");
    let children = children.split_whitespace().map(|pid| pid.parse().expect("a pid"));
    children.filter(|pid| short_name(*pid) == name).collect()
}

fn short_name(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}

#[test]
fn a_monitor_that_dies_is_replaced_and_none_outlives_its_master() {
    if uwring_only("its master is the stats server") {
        return;
    }
    let server = started(Server::app("hello").ini(UNIX));
    until(&server, "told", |_| true);
    let [monitor] = named(&server, "uwring monitor")[..] else { panic!("one monitor") };
    kill(Pid::from_raw(monitor), Signal::SIGKILL).expect("kill the monitor");
    server.log().wait_for("[uwring] the monitor had ended: another one goes on");
    until(&server, "told again", |_| true);
    let [monitor] = named(&server, "uwring monitor")[..] else { panic!("one monitor") };
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    server.signal(Signal::SIGKILL);
    let begun = Instant::now();
    while short_name(monitor) == "uwring monitor" {
        assert!(begun.elapsed() < PATIENCE, "the monitor outlives its master");
        std::thread::yield_now();
    }
}

#[test]
fn a_replaced_program_brings_its_own_monitor() {
    if uwring_only("its reload loads the application into what is left of the old process") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    install(folder.path());
    let program = folder.path().join("uwring");
    let app = Server::app("hello").ini(UNIX).ini("vacuum = true");
    let server = started(app.folder(folder).program(program));
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    let before = named(&server, "uwring monitor");
    install(server.folder.path());
    server.signal(Signal::SIGHUP);
    server.log().wait_for("the program was replaced: the master is uwring");
    let told =
        until(&server, "reloaded", |told| sum(told, "respawn_count") == 2 && sum(told, "accepting") == 1);
    assert_eq!(sum(&told, "requests"), 1);
    let after = named(&server, "uwring monitor");
    assert!(after.len() == 1 && after != before, "{before:?} {after:?}");
    assert_eq!(server.stop().code(), Some(0));
    assert!(!server.path("stats.sock").exists(), "vacuum");
}

#[test]
fn who_looks_slowly_is_in_nobodys_way() {
    if uwring_only("its master waits for who reads") {
        return;
    }
    let server = started(Server::app("hello").ini("stats = {dir}/stats.sock\nstats-http = true"));
    let silent: Vec<UnixStream> =
        (0..8).map(|_| UnixStream::connect(server.path("stats.sock")).expect("connect")).collect();
    let address = crate::support::Address::Unix(server.path("stats.sock"));
    address.get("/").expect(200);
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    drop(silent);
}

#[test]
fn a_change_that_needs_a_restart_is_told() {
    if uwring_only("its reload begins anew") {
        return;
    }
    let server = started(Server::app("hello").ini(UNIX));
    let ini = server.path("uwsgi.ini");
    let text = std::fs::read_to_string(&ini).expect("the configuration");
    std::fs::write(&ini, text.replace("stats.sock", "other.sock")).expect("changed");
    server.signal(Signal::SIGHUP);
    server.log().wait_for("stats, metrics and the like are made once");
    until(&server, "reloaded", |told| sum(told, "respawn_count") == 2);
    assert!(!server.path("other.sock").exists());
}

/// `uwsgitop`'s screen about this server, with what differs from run to run replaced: times, sizes, process ids.
fn screen(server: &Server, keys: &str, wanted: &str) -> Vec<Vec<String>> {
    let output = Command::new(venv().join("bin/python"))
        .arg(root().join("tests/it/support/screen.py"))
        .args([keys, wanted])
        .args([venv().join("bin/python"), venv().join("bin/uwsgitop"), server.path("stats.sock")])
        .output()
        .expect("run uwsgitop");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let shown = String::from_utf8(output.stdout).expect("text");
    let lines = shown.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

fn top(server: &Server) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let gate = Gate::new(server.path("gate"));
    for _ in 0..3 {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
    }
    let mut client = server.in_flight(&gate);
    let plain = screen(server, "", r"\b3\b.*busy");
    let cores = screen(server, "aa", r":0.*busy");
    gate.open();
    client.response("GET").expect(200);
    (plain, cores)
}

#[test]
fn uwsgitop_shows_the_same_of_both_servers() {
    if !has(&["venv", "uwsgi"]) || uwring_only("compared with itself nothing is learnt") {
        return;
    }
    if !Path::new(&venv().join("bin/uwsgitop")).exists() {
        assert!(std::env::var_os("CI").is_none(), "missing under CI: uwsgitop (scripts/setup installs it)");
        return skipped("uwsgitop not found (scripts/setup installs it)");
    }
    let app = || Server::app("wait").ini(UNIX);
    let ours = top(&started(app()));
    let theirs = top(&started(app().ini("plugin = python3").program("uwsgi".into())));
    for (ours, theirs) in [(&ours.0, &theirs.0), (&ours.1, &theirs.1)] {
        assert_eq!(ours.len(), theirs.len(), "{ours:#?} {theirs:#?}");
        // Head, node, names of the columns.
        assert!(ours[0][0].starts_with("uwsgi-") && theirs[0][0].starts_with("uwsgi-"));
        assert_eq!(ours[0].len(), theirs[0].len());
        assert_eq!(ours[0][6..11], theirs[0][6..11], "req: 3 - RPS");
        let node = |line: &[String]| [&line[..2], &line[5..11]].concat();
        assert_eq!(node(&ours[1]), node(&theirs[1]));
        assert_eq!(ours[2], theirs[2]);
        for (ours, theirs) in ours[3..].iter().zip(&theirs[3..]) {
            assert_eq!(ours.len(), theirs.len(), "{ours:?} {theirs:?}");
            let columns = [
                "WID", "%", "PID", "REQ", "RPS", "EXC", "SIG", "STATUS", "AVG", "RSS", "VSZ", "TX", "ReSpwn",
                "HC",
            ];
            for (n, column) in columns.into_iter().enumerate().take(ours.len()) {
                if !["PID", "RPS", "AVG", "RSS", "VSZ", "TX"].contains(&column) {
                    assert_eq!(ours[n], theirs[n], "{column}: {ours:?} {theirs:?}");
                }
            }
        }
    }
}
