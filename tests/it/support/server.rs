//! The server under test: configuration, start, ready lines, workers, stop.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Address, Connection, Gate, Log, PATIENCE, Packet, Running, Target, app, target, venv};

/// What a server is started with. Made by [`Server::app`] or [`Server::bare`].
#[derive(Default)]
pub struct ServerBuilder {
    lines: Vec<String>,
    args: Vec<String>,
    env: Vec<(String, String)>,
    workers: usize,
    folder: Option<tempfile::TempDir>,
    positional: bool,
    program: Option<PathBuf>,
}

/// A running server in its own folder; stopped when dropped, and its log shown if the test failed.
pub struct Server {
    /// The process.
    pub process: Running,
    /// Its folder: `{dir}` in the configuration.
    pub folder: tempfile::TempDir,
}

impl Server {
    /// Serves `tests/apps/<name>/app.py` on the uwsgi socket `{dir}/app.sock`.
    pub fn app(name: &str) -> ServerBuilder {
        Server::bare()
            .ini(&format!("wsgi-file = {}/app.py", app(name).display()))
            .ini("socket = {dir}/app.sock")
    }

    /// Only what all tests share: a master, the virtual environment, failure when there is no application.
    pub fn bare() -> ServerBuilder {
        let mut builder = ServerBuilder::default();
        if target() == Target::Uwsgi {
            // A worker that is told to end while it starts does not hear it, and is killed after the mercy.
            builder = builder.ini("plugin = python3\nworker-reload-mercy = 5");
        }
        builder.ini("master = true\nneed-app = true\ndie-on-term = true").ini("virtualenv = {venv}")
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.process.log
    }

    /// A path in the server's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The uwsgi socket of [`Server::app`].
    pub fn socket(&self) -> Address {
        Address::Unix(self.path("app.sock"))
    }

    /// The `n`th TCP address the server says it listens on.
    #[track_caller]
    pub fn tcp(&self, n: usize) -> Address {
        const BOUND: &str = " bound to TCP address ";
        let Some(lines) = self.log().wait_n(n + 1, |line| line.contains(BOUND)) else {
            panic!("no TCP address number {n}; the log was:\n{}", self.log().text());
        };
        let address =
            lines[n].split(BOUND).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or("");
        Address::Tcp(address.parse().unwrap_or_else(|e| panic!("address in {:?}: {e}", lines[n])))
    }

    /// A connection to the first TCP socket.
    #[track_caller]
    pub fn http(&self) -> Connection {
        self.tcp(0).connect()
    }

    /// One GET over the first TCP socket, on a connection of its own.
    #[track_caller]
    pub fn get(&self, path: &str) -> super::Response {
        let mut client = self.http();
        client.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        client.response("GET")
    }

    /// Ids of the workers spawned first, by their numbers, from the log. (They may get ready in any order.)
    pub fn workers(&self) -> Vec<i32> {
        let mut ready: Vec<(usize, i32)> = Vec::new();
        for line in self.log().lines() {
            let Some(pid) = worker_pid(&line) else { continue };
            let number = line.split(' ').nth(3).and_then(|word| word.parse().ok()).unwrap_or(ready.len() + 1);
            ready.push((number, pid));
        }
        ready.sort_by_key(|&(number, _)| number);
        ready.into_iter().map(|(_, pid)| pid).collect()
    }

    /// A connection on which a request was sent that waits at the gate: the application is `wait`.
    #[track_caller]
    pub fn send_to(&self, gate: &Gate) -> Connection {
        let mut client = self.socket().connect();
        client.send(Packet::get("/").var("QUERY_STRING", gate.query()).bytes());
        client
    }

    /// The same, and the application is at work on it. For the first such request of a server.
    #[track_caller]
    pub fn in_flight(&self, gate: &Gate) -> Connection {
        let client = self.send_to(gate);
        self.log().wait_for("waiting at");
        client
    }

    /// `uwring ctl` with these words, about this server.
    pub fn ctl(&self, words: &[&str]) -> Output {
        let pid = self.process.pid.to_string();
        let mut command = Command::new(program());
        command.arg("ctl").args(["--pid", &pid]).args(words).output().expect("start uwring ctl")
    }

    /// What `uwring ctl status` says.
    #[track_caller]
    pub fn status(&self) -> serde_json::Value {
        let output = self.ctl(&["status", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// Sends a signal to the master.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGHUP, and `done` is called until it holds.
    #[track_caller]
    pub fn reload_until(&self, done: impl Fn() -> bool) {
        self.signal(Signal::SIGHUP);
        let started = Instant::now();
        let mut signalled = started;
        while !done() {
            assert!(started.elapsed() < PATIENCE, "never reloaded; the log was:\n{}", self.log().text());
            // uWSGI does not hear a SIGHUP that comes while it still starts from the last.
            if target() == Target::Uwsgi && signalled.elapsed() > Duration::from_secs(3) {
                signalled = Instant::now();
                self.signal(Signal::SIGHUP);
            }
        }
    }

    /// SIGTERM, and the exit status.
    #[track_caller]
    pub fn stop(&self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.process.expect_end()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The last lines, of the failed request itself, may be yet to come.
            self.signal(Signal::SIGTERM);
            self.log().wait_end_for(Duration::from_secs(3));
            // To stdout by print!, so that libtest shows it with the failed test.
            println!("---- server log\n{}\n----", self.log().text());
        }
    }
}

impl ServerBuilder {
    /// Adds lines to the `[uwsgi]` section. `{dir}`, `{venv}` and `{apps}` stand for folders.
    pub fn ini(mut self, lines: &str) -> ServerBuilder {
        self.lines.extend(lines.lines().map(|line| line.trim().to_owned()));
        self
    }

    /// Adds lines for the real uWSGI only: what uwring has by default.
    pub fn uwsgi_needs(self, lines: &str) -> ServerBuilder {
        if target() == Target::Uwsgi { self.ini(lines) } else { self }
    }

    /// Leaves out the lines that set `key`.
    pub fn without(mut self, key: &str) -> ServerBuilder {
        self.lines.retain(|line| line.split('=').next().unwrap_or("").trim() != key);
        self
    }

    /// Also listens for HTTP on a free TCP port of 127.0.0.1.
    pub fn http(self) -> ServerBuilder {
        self.ini("http-socket = 127.0.0.1:0")
    }

    /// Appends command line arguments after `--ini`. The same words are replaced as in [`ServerBuilder::ini`].
    pub fn args(mut self, args: &[&str]) -> ServerBuilder {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// Sets a variable of the server's environment.
    pub fn env(mut self, name: &str, value: &str) -> ServerBuilder {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `processes`, each of which is waited for.
    pub fn processes(mut self, n: usize) -> ServerBuilder {
        self.workers = n;
        self.ini(&format!("processes = {n}"))
    }

    /// Gives the configuration file as a plain argument instead of `--ini`.
    pub fn positional(mut self) -> ServerBuilder {
        self.positional = true;
        self
    }

    /// Runs this program instead of the one under test: a copy of it that the test changes.
    pub fn program(mut self, path: PathBuf) -> ServerBuilder {
        self.program = Some(path);
        self
    }

    /// Runs in this folder instead of a new one: for what must lie there before the start.
    pub fn folder(mut self, folder: tempfile::TempDir) -> ServerBuilder {
        self.folder = Some(folder);
        self
    }

    /// Starts and waits until all workers are there.
    #[track_caller]
    pub fn start(self) -> Server {
        let workers = self.workers.max(1);
        let server = self.launch();
        if server.log().wait_n(workers, |line| worker_pid(line).is_some()).is_none() {
            panic!("the server did not start; its log was:\n{}", server.log().text());
        }
        if target() == Target::Uwsgi {
            server.workers().into_iter().chain([server.process.pid.as_raw()]).for_each(wait_until_it_waits);
        }
        server
    }

    /// Starts and waits for nothing.
    pub fn launch(mut self) -> Server {
        let folder = self.folder.take().unwrap_or_else(|| tempfile::tempdir().expect("a temporary folder"));
        let ini = self.write_ini(folder.path());
        let mut command = Command::new(self.program.take().unwrap_or_else(program));
        if !self.positional {
            command.arg("--ini");
        }
        command.arg(ini).args(self.args.iter().map(|arg| fill(arg, folder.path())));
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        // The interpreter must be found by the configuration alone.
        for name in ["VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, fill(value, folder.path()))));
        Server { process: Running::spawn(command), folder }
    }

    fn write_ini(&self, folder: &Path) -> PathBuf {
        let path = folder.join("uwsgi.ini");
        let mut file = std::fs::File::create(&path).expect("create uwsgi.ini");
        writeln!(file, "[uwsgi]\n{}", fill(&self.lines.join("\n"), folder)).expect("write uwsgi.ini");
        path
    }
}

/// The executable under test.
pub fn program() -> PathBuf {
    match target() {
        Target::Uwring => PathBuf::from(env!("CARGO_BIN_EXE_uwring")),
        Target::Uwsgi => PathBuf::from("uwsgi"),
    }
}

fn fill(text: &str, folder: &Path) -> String {
    text.replace("{dir}", &folder.display().to_string())
        .replace("{venv}", &venv().display().to_string())
        .replace("{apps}", &super::root().join("tests/apps").display().to_string())
        .replace("{root}", &super::root().display().to_string())
}

/// The pid in `spawned uWSGI worker 1 (pid: 42, cores: 1)`.
pub fn worker_pid(line: &str) -> Option<i32> {
    let rest = line
        .strip_prefix("spawned uWSGI worker ")
        .or_else(|| line.strip_prefix("Respawned uWSGI worker "))?;
    let digits = rest.split("pid: ").nth(1)?;
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// uWSGI says that it has spawned a worker, not that the worker is ready, and ignores signals until it is: a process
/// that is ready waits in epoll_wait or for the lock around it.
fn wait_until_it_waits(pid: i32) {
    const WAITS: [&str; 3] = ["232 ", "281 ", "202 "];
    let waits = || match std::fs::read_to_string(format!("/proc/{pid}/syscall")) {
        Ok(syscall) => WAITS.iter().any(|number| syscall.starts_with(number)),
        // Hidden from us: then it is as good as we can tell.
        Err(_) => true,
    };
    while !waits() {
        std::thread::yield_now();
    }
}
