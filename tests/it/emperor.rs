//! The Emperor: vassals come, reload, rest, leave and die; with uWSGI's Emperor where it does the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::support::{
    Address, PATIENCE, Packet, Running, Target, app, can_become_another, program, target, uwring_only, venv,
};

/// A folder of vassals and their Emperor.
struct Empire {
    emperor: Option<Running>,
    folder: tempfile::TempDir,
    /// Counts what was written, for its times.
    written: std::sync::atomic::AtomicU64,
}

impl Empire {
    fn new() -> Empire {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("vassals")).expect("make a folder");
        Empire { emperor: None, folder, written: Default::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a vassal's configuration: the application `hello`, on the socket `NAME.sock`.
    fn vassal(&self, name: &str, more: &str) {
        self.write(name, &format!("wsgi-file = {}/app.py\n{more}", app("hello").display()));
    }

    fn write(&self, name: &str, lines: &str) {
        let plugin = if target() == Target::Uwsgi { "plugin = python3\n" } else { "" };
        let text = format!(
            "[uwsgi]\n{plugin}master = true\nneed-app = true\nvirtualenv = {}\nsocket = {}.sock\ndie-on-term = true\n{lines}\n",
            venv().display(),
            self.path(name).display(),
        );
        // In one step: an Emperor that looks meanwhile would see half of it.
        let file = self.path("new");
        std::fs::write(&file, text).expect("write");
        // uWSGI counts whole seconds.
        let n = self.written.fetch_add(2, std::sync::atomic::Ordering::Relaxed);
        let when = std::time::SystemTime::now() + std::time::Duration::from_secs(n);
        std::fs::File::options()
            .write(true)
            .open(&file)
            .and_then(|f| f.set_modified(when))
            .expect("set its time");
        std::fs::rename(&file, self.path("vassals").join(name)).expect("rename");
    }

    fn rule(&mut self, args: &[&str]) -> &Running {
        let place = self.path("vassals").display().to_string();
        self.rule_over(&place, args)
    }

    fn rule_over(&mut self, place: &str, args: &[&str]) -> &Running {
        let mut command = Command::new(program());
        command.args(["--emperor", place, "--emperor-freq", "1"]).args(args);
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        self.emperor.insert(Running::spawn(command))
    }

    fn emperor(&self) -> &Running {
        self.emperor.as_ref().expect("it rules")
    }

    /// Waits for a line of the log.
    #[track_caller]
    fn hears(&self, line: &str) -> String {
        self.emperor().log.wait_for(line)
    }

    /// The answer of a vassal.
    #[track_caller]
    fn ask(&self, name: &str) -> String {
        Address::Unix(self.path(&format!("{name}.sock"))).uwsgi(&Packet::get("/")).expect(200).text()
    }

    /// How often a line was said.
    fn count(&self, text: &str) -> usize {
        self.emperor().log.count(|line| line.contains(text))
    }

    #[track_caller]
    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < PATIENCE, "{what}; the log was:\n{}", self.emperor().log.text());
            std::thread::yield_now();
        }
    }
}

impl Drop for Empire {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(emperor) = &self.emperor
        {
            println!("---- the Emperor's log\n{}\n----", emperor.log.text());
        }
    }
}

#[test]
fn vassals_come_reload_and_leave() {
    let mut empire = Empire::new();
    empire.vassal("a.ini", "");
    let pidfile = empire.path("emperor.pid");
    empire.rule(&["--emperor-pidfile", &pidfile.display().to_string()]);
    empire.hears("*** starting uWSGI Emperor ***");
    empire.hears("vassal a.ini is ready to accept requests");
    assert_eq!(pid_in(&pidfile), empire.emperor().pid.as_raw());
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
    empire.hears("vassal a.ini is now loyal");
    empire.vassal("b.ini", "");
    empire.hears("vassal b.ini is ready to accept requests");
    assert_eq!(empire.ask("b.ini"), "Hello, world!");
    // Another configuration in its place: a reload takes it up.
    empire.vassal("a.ini", "route-run = addheader:X-New: yes\nadd-header = X-New: yes");
    empire.hears("reload the uwsgi instance a.ini");
    empire.until("the reload shows", || {
        let answer = Address::Unix(empire.path("a.ini.sock")).uwsgi(&Packet::get("/"));
        answer.header("X-New") == Some("yes")
    });
    std::fs::remove_file(empire.path("vassals/b.ini")).expect("remove");
    empire.hears("stop the uwsgi instance b.ini");
    empire.hears("removed uwsgi instance b.ini");
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
    empire.emperor().signal(Signal::SIGTERM);
    assert_eq!(empire.emperor().expect_end().code(), Some(0));
    empire.hears("*** RAGNAROK EVOKED ***");
}

#[test]
fn every_kind_of_configuration_is_a_vassal() {
    let mut empire = Empire::new();
    let module = format!("{}/app.py", app("hello").display());
    let plugin = if target() == Target::Uwsgi { "plugin: python3" } else { "mark: x" };
    let home = venv().display().to_string();
    let yaml = format!(
        "uwsgi:\n  {plugin}\n  master: true\n  virtualenv: {home}\n  wsgi-file: {module}\n  socket: {}\n",
        empire.path("y.sock").display()
    );
    std::fs::write(empire.path("vassals/y.yml"), yaml).expect("write");
    std::fs::write(empire.path("vassals/notes.txt"), "nothing").expect("write");
    empire.rule(&[]);
    empire.hears("vassal y.yml is ready to accept requests");
    let answer = Address::Unix(empire.path("y.sock")).uwsgi(&Packet::get("/"));
    assert_eq!(answer.expect(200).text(), "Hello, world!");
    assert_eq!(empire.count("notes.txt"), 0);
}

#[test]
fn a_pattern_names_vassals() {
    let mut empire = Empire::new();
    empire.vassal("a.ini", "");
    empire.vassal("b.ini", "");
    let place = format!("{}/a*.ini", empire.path("vassals").display());
    empire.rule_over(&place, &[]);
    empire.hears("a.ini is ready to accept requests");
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
    assert_eq!(empire.count("b.ini has been spawned"), 0);
}

#[test]
fn vassals_get_what_all_of_them_get() {
    let mut empire = Empire::new();
    std::fs::write(empire.path("all.ini"), "[uwsgi]\nadd-header = X-Who: %(who) of %(kind)\n")
        .expect("write");
    let file = |name: &str| {
        let path = empire.path(&format!("{name}.ini"));
        std::fs::write(&path, format!("[uwsgi]\nadd-header = X-From: {name}\n")).expect("write");
        path.display().to_string()
    };
    let [first, heir, late_heir] = ["first", "heir", "late-heir"].map(file);
    empire.vassal("a.ini", "who = %n\nadd-header = X-From: own");
    let all = empire.path("all.ini").display().to_string();
    let given =
        ["--vassals-include", &all, "--vassals-set", "kind=empire", "--vassals-include-before", &first];
    let inherited = ["--vassals-inherit", &late_heir, "--vassals-inherit-before", &heir];
    empire.rule(&[&given[..], &inherited].concat());
    empire.hears("vassal a.ini is ready to accept requests");
    let answer = Address::Unix(empire.path("a.ini.sock")).uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(answer.header("X-Who"), Some("a of empire"));
    let from: Vec<&str> =
        answer.headers.iter().filter(|(name, _)| name == "X-From").map(|(_, value)| value.as_str()).collect();
    assert_eq!(from, ["first", "own", "heir", "late-heir"]);
}

#[test]
fn a_failing_vassal_rests_and_delays_nobody() {
    if uwring_only("ends it three times before it lets it rest, and then to the end of the pause") {
        return;
    }
    let mut empire = Empire::new();
    empire.write("bad.ini", "module = no_such_module");
    empire.rule(&["--emperor-throttle", "600000", "--emperor-max-throttle", "600000"]);
    empire.hears("unloyal bad behaving vassal found: bad.ini throttling it");
    // While it rests, others come.
    empire.vassal("good.ini", "");
    empire.hears("vassal good.ini is ready to accept requests");
    assert_eq!(empire.ask("good.ini"), "Hello, world!");
    assert_eq!(empire.count("vassal bad.ini has been spawned"), 1, "{}", empire.emperor().log.text());
    // And who mends it need not wait.
    empire.vassal("bad.ini", "");
    empire.hears("vassal bad.ini is ready to accept requests");
    assert_eq!(empire.ask("bad.ini"), "Hello, world!");
}

#[test]
fn a_dead_vassal_is_started_again() {
    let mut empire = Empire::new();
    empire.vassal("a.ini", &format!("pidfile = {}", empire.path("a.pid").display()));
    empire.rule(&[]);
    empire.hears("vassal a.ini is ready to accept requests");
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
    empire.hears("vassal a.ini is now loyal");
    let pid = pid_in(&empire.path("a.pid"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL).expect("our own vassal");
    empire.until("it serves again", || empire.count("vassal a.ini is ready to accept requests") > 1);
    empire.until("it answers", || pid_in(&empire.path("a.pid")) != pid);
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
}

fn pid_in(path: &Path) -> i32 {
    std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn vassals_do_not_outlive_their_emperor() {
    let mut empire = Empire::new();
    for name in ["a", "b"] {
        let file = empire.path(name).display().to_string();
        let lines = format!("pidfile = {file}.pid\nhook-emperor-lost = exec:echo lost > {file}.lost");
        empire.vassal(&format!("{name}.ini"), &lines);
    }
    empire.rule(&[]);
    for name in ["a", "b"] {
        empire.hears(&format!("vassal {name}.ini is ready to accept requests"));
    }
    let pids = ["a.pid", "b.pid"].map(|name| pid_in(&empire.path(name)));
    empire.emperor().signal(Signal::SIGKILL);
    empire.emperor().expect_end();
    for pid in pids {
        empire.until("the vassals are gone", || !Path::new(&format!("/proc/{pid}")).exists());
    }
    if target() == Target::Uwring {
        empire.hears("lost connection with my emperor !!!");
        for name in ["a.lost", "b.lost"] {
            assert_eq!(std::fs::read_to_string(empire.path(name)).expect("written"), "lost\n");
        }
    }
}

#[test]
fn hooks_frame_the_life_of_a_vassal() {
    let mut empire = Empire::new();
    let told = empire.path("told");
    let hook = |word: &str| {
        use std::os::unix::fs::PermissionsExt;
        let file = empire.path(word);
        std::fs::write(&file, format!("#!/bin/sh\necho {word} $1 >> {}\n", told.display())).expect("write");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        file.display().to_string()
    };
    let (start, stop) = (hook("start"), hook("stop"));
    empire.vassal("a.ini", "");
    empire.rule(&["--vassals-start-hook", &start, "--vassals-stop-hook", &stop]);
    empire.hears("vassal a.ini is ready to accept requests");
    let text = || std::fs::read_to_string(&told).unwrap_or_default();
    assert_eq!(text(), "start a.ini\n");
    std::fs::remove_file(empire.path("vassals/a.ini")).expect("remove");
    empire.until("the hook ran", || text() == "start a.ini\nstop a.ini\n");
}

#[test]
fn a_tyrant_lets_owners_run_their_own() {
    if !can_become_another() {
        return;
    }
    let mut empire = Empire::new();
    let open = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    };
    open(empire.folder.path());
    empire.write("mine.ini", "module = unimportant");
    let who = format!("exec-asap = id -u > {}", empire.path("who").display());
    empire.vassal("theirs.ini", &who);
    let theirs = empire.path("vassals/theirs.ini");
    std::os::unix::fs::chown(&theirs, Some(65534), Some(65534)).expect("chown");
    empire.rule(&["--emperor-tyrant"]);
    empire.hears("[emperor-tyrant] invalid permissions for vassal mine.ini");
    empire.until("the hook ran", || {
        std::fs::read_to_string(empire.path("who")).is_ok_and(|who| who.ends_with('\n'))
    });
    assert_eq!(std::fs::read_to_string(empire.path("who")).expect("written"), "65534\n");
    assert_eq!(empire.count("vassal mine.ini has been spawned"), 0);
}

#[test]
fn a_heart_that_stops_is_noticed() {
    if uwring_only("did not replace a vassal that was stopped (2.0.21)") {
        return;
    }
    let mut empire = Empire::new();
    empire.vassal("a.ini", &format!("heartbeat = 1\npidfile = {}", empire.path("a.pid").display()));
    empire.rule(&["--emperor-required-heartbeat", "4"]);
    empire.hears("vassal a.ini is ready to accept requests");
    let pid = pid_in(&empire.path("a.pid"));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGSTOP).expect("our own vassal");
    empire.until("it is killed", || {
        !Path::new(&format!("/proc/{pid}/exe")).exists() || empire.count("has been spawned") > 1
    });
    empire.until("there is another", || empire.count("vassal a.ini is ready to accept requests") > 1);
}

/// The Emperor of one server, whose vassal is of the other; uWSGI resets the connections of those who come while it reloads.
fn mixed(ruler: &str, vassal: &Path, plugin: &str) {
    let may_reset = vassal == Path::new("uwsgi");
    let mut empire = Empire::new();
    empire.vassal("a.ini", plugin);
    let mut command = Command::new(ruler);
    command.args(["--emperor", "vassals", "--emperor-freq", "1", "--emperor-wrapper"]).arg(vassal);
    command.current_dir(empire.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
    empire.emperor = Some(Running::spawn(command));
    empire.hears("vassal a.ini is ready to accept requests");
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
    empire.hears("vassal a.ini is now loyal");
    empire.vassal("a.ini", &format!("{plugin}\nadd-header = X-New: yes"));
    empire.until("the reload shows", || {
        let vassal_socket = Address::Unix(empire.path("a.ini.sock"));
        if !may_reset {
            return vassal_socket.uwsgi(&Packet::get("/")).header("X-New") == Some("yes");
        }
        let mut client = vassal_socket.connect();
        let _ = client.try_send(Packet::get("/").bytes());
        String::from_utf8_lossy(&client.rest_or_reset()).contains("X-New: yes")
    });
    std::fs::remove_file(empire.path("vassals/a.ini")).expect("remove");
    empire.hears("removed uwsgi instance a.ini");
}

#[test]
fn emperor_and_vassals_may_be_of_either_server() {
    if uwring_only("is one of the two here") || !crate::support::has(&["uwsgi"]) {
        return;
    }
    mixed("uwsgi", &program(), "");
    mixed(&program().display().to_string(), Path::new("uwsgi"), "plugin = python3");
}

#[test]
fn an_emperor_serves_nothing_itself() {
    if uwring_only("does both") {
        return;
    }
    let mut empire = Empire::new();
    empire.rule(&["--http", ":0"]);
    assert_eq!(empire.emperor().expect_end().code(), Some(1));
    empire.hears("an Emperor serves nothing itself, but :0 is a socket");
    empire.rule(&[
        "--cron",
        "0 0 1 1 1 true",
        "--pidfile",
        &empire.path("pid").display().to_string(),
        "--vacuum",
    ]);
    empire.hears("option cron has no effect in an Emperor");
    empire.hears("*** starting uWSGI Emperor ***");
    assert_eq!(pid_in(&empire.path("pid")), empire.emperor().pid.as_raw());
    empire.emperor().signal(Signal::SIGTERM);
    assert_eq!(empire.emperor().expect_end().code(), Some(0));
    assert!(!empire.path("pid").exists());
}

#[test]
fn a_vassal_is_started_by_its_first_connection() {
    let mut empire = Empire::new();
    empire.vassal("a.ini", "idle = 1\ndie-on-idle = true");
    // The socket is the Emperor's.
    let file = empire.path("vassals/a.ini");
    let text = std::fs::read_to_string(&file).expect("written");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("socket = ")).collect();
    let socket = empire.path("a.ini.sock").display().to_string();
    std::fs::write(empire.path("vassals/a.ini.socket"), format!("{socket}\n")).expect("written");
    std::fs::write(&file, lines.join("\n") + "\n").expect("written");
    empire.vassal("b.ini", "");
    let waits = empire.path("waits");
    let hook = format!("exec:touch {}", waits.display());
    // 2.0.21 has not got the hook.
    let hooked = target() == Target::Uwring;
    let hook: &[&str] = if hooked { &["--hook-as-on-demand-vassal", &hook] } else { &[] };
    empire.rule(&[&["--emperor-on-demand-extension", ".socket"], hook].concat());
    empire.hears("a.ini -> \"on demand\" instance detected");
    empire.until("its hook is run", || waits.exists() || !hooked);
    empire.hears("vassal b.ini is ready to accept requests");
    assert_eq!(empire.count("vassal a.ini"), 0);
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
    // Nobody needs it, and it goes; whoever comes then is served all the same.
    empire.hears("a.ini -> back to \"on demand\" mode");
    assert_eq!(empire.ask("a.ini"), "Hello, world!");
    empire.until("it has come twice", || empire.count("vassal a.ini has been spawned") == 2);
}

#[test]
fn commands_come_with_each_vassal() {
    let mut empire = Empire::new();
    empire.vassal(
        "a.ini",
        "hook-emperor-stop = exec:echo stop >> {}/done\nhook-emperor-reload = exec:touch {}/reload"
            .replace("{}", &empire.path("").display().to_string())
            .as_str(),
    );
    let [done, beside] = ["done", "beside"].map(|name| empire.path(name).display().to_string());
    empire.rule(&[
        "--hook-emperor-start",
        &format!("exec:echo start >> {done}"),
        "--exec-as-emperor",
        &format!("echo beside >> {beside}"),
        "--exec-as-vassal",
        &format!("echo before >> {done}"),
        // 2.0.21 has not got this one.
        if target() == Target::Uwring { "--hook-as-emperor-before-vassal" } else { "--hook-as-emperor" },
        &format!("exec:touch {}", empire.path("early").display()),
        "--hook-as-vassal",
        &format!("exec:touch {}", empire.path("own").display()),
        "--hook-as-emperor",
        &format!("exec:touch {}", empire.path("after").display()),
    ]);
    empire.hears("vassal a.ini is ready to accept requests");
    for hook in ["beside", "early", "own", "after"] {
        empire.until(hook, || empire.path(hook).exists());
    }
    // The Emperor's SIGHUP is a reload for all.
    empire.emperor().signal(Signal::SIGHUP);
    empire.until("the hook of the reload", || empire.path("reload").exists());
    empire.until("it is there again", || empire.count("spawned uWSGI worker 1 (") > 1);
    std::fs::remove_file(empire.path("vassals/a.ini")).expect("written");
    empire.hears("removed uwsgi instance a.ini");
    let done = std::fs::read_to_string(empire.path("done")).expect("written");
    assert_eq!(done, "start\nbefore\nstop\n");
}
