//! What every end-to-end test stands on: servers under test, nginx, clients that speak literal bytes, skips.

mod cgroup;
mod client;
mod haproxy;
mod held;
mod load;
mod log;
mod nginx;
mod packet;
mod process;
mod server;
mod tls;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

pub use cgroup::{Group, script_at};
pub use client::{Address, Connection, Response};
pub use haproxy::Haproxy;
pub use held::{Held, descriptors_for, held};
pub use load::{Load, Served, parent_of};
pub use log::Log;
pub use nginx::{Nginx, upstream};
pub use packet::Packet;
pub use process::Running;
pub use server::{Server, ServerBuilder, program, worker_pid};
pub use tls::{Authority, Client};

/// How long anything may take before the test fails. Nothing is measured with it.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The server under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Ours.
    Uwring,
    /// The original, installed on this machine.
    Uwsgi,
}

/// From `TARGET`.
pub fn target() -> Target {
    match std::env::var("TARGET").as_deref() {
        Err(_) | Ok("" | "uwring") => Target::Uwring,
        Ok("uwsgi") => Target::Uwsgi,
        Ok(other) => panic!("TARGET={other}: uwring or uwsgi"),
    }
}

/// What every server under test is to run on, from `ENGINE`; `None`: what it chooses by itself.
pub fn engine() -> Option<String> {
    std::env::var("ENGINE").ok().filter(|engine| !engine.is_empty() && target() == Target::Uwring)
}

/// The project's folder.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of a test application.
pub fn app(name: &str) -> PathBuf {
    let folder = root().join("tests/apps").join(name);
    assert!(folder.join("app.py").is_file(), "no test application {name}");
    folder
}

/// The virtual environment made by `scripts/setup`.
pub fn venv() -> PathBuf {
    root().join(".venv")
}

/// Says that the running test is skipped, past libtest's capture, so that the name is seen in a green run too.
pub fn skipped(reason: &str) {
    note(&format!("skipped: {reason}"));
}

/// Says something about the running test, past libtest's capture.
pub fn note(text: &str) {
    let thread = std::thread::current();
    // Nothing to do if stderr is closed.
    let _ = writeln!(std::io::stderr(), "{}: {text}", thread.name().unwrap_or("a test"));
}

/// True, and says so, when the real uWSGI is under test: what follows holds for uwring only.
#[must_use]
pub fn uwring_only(reason: &str) -> bool {
    let skip = target() == Target::Uwsgi;
    if skip {
        skipped(&format!("uWSGI differs: {reason}"));
    }
    skip
}

/// False, and says so, when a tool is missing here; under `CI` that is a failure.
#[must_use]
pub fn has(tools: &[&str]) -> bool {
    let missing: Vec<&str> = tools.iter().copied().filter(|tool| find(tool).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(std::env::var_os("CI").is_none(), "missing under CI: {missing} (scripts/setup installs it)");
    skipped(&format!("{missing} not found (scripts/setup installs it)"));
    false
}

/// Where a tool is. `venv` stands for the virtual environment.
pub fn find(tool: &str) -> Option<PathBuf> {
    if tool == "venv" {
        return Some(venv()).filter(|venv| venv.join("bin/python").exists());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file())
}

/// Is this process root?
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether servers can be started that become another user. False, and says so, where this process is not root, or that
/// user could not read what it needs: a clone below /root.
pub fn can_become_another() -> bool {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        skipped("not run by root");
        return false;
    }
    let is_open =
        |folder: &Path| std::fs::metadata(folder).is_ok_and(|at| at.permissions().mode() & 0o5 == 0o5);
    let closed = root().ancestors().find(|folder| !is_open(folder));
    if let Some(folder) = closed {
        skipped(&format!("others cannot read {}", folder.display()));
    }
    closed.is_none()
}

/// A fifo: an application that reads from it waits until the test opens the gate.
pub struct Gate {
    path: PathBuf,
    /// Of a gate that is open for all.
    held: OnceLock<File>,
}

impl Gate {
    /// Makes the fifo at `path`.
    pub fn new(path: PathBuf) -> Gate {
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("make a fifo");
        Gate { path, held: OnceLock::new() }
    }

    /// Where it is, as a query string.
    pub fn query(&self) -> String {
        self.path.display().to_string()
    }

    /// Lets all on that wait now, and those that come from now on.
    pub fn open_for_all(&self) {
        // Whoever waits for a writer has one, and a byte to read; also one who has found the fifo and opens it a moment
        // later, for it is held. Whoever comes then finds a file.
        let mut fifo = File::options().read(true).write(true).open(&self.path).expect("open the fifo");
        fifo.write_all(&[b'!'; 1024]).expect("room for a byte for each");
        let file = self.path.with_extension("open");
        std::fs::write(&file, "")
            .and_then(|()| std::fs::rename(&file, &self.path))
            .expect("a file in its place");
        self.held.set(fifo).expect("it is opened once");
    }

    /// Waits until somebody reads, and lets that one on.
    #[track_caller]
    pub fn open(&self) {
        let begun = std::time::Instant::now();
        // Without a reader an open that does not wait fails: one that waits would do so for ever where the server died.
        let open = || {
            File::options().write(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(&self.path)
        };
        while let Err(error) = open() {
            assert!(begun.elapsed() < PATIENCE, "nobody waits at the gate {}: {error}", self.path.display());
            std::thread::yield_now();
        }
    }
}

/// Copies what is going to be run. Not by ourselves: a child that another test forks meanwhile would hold the copy open for
/// writing, and it could not be run.
pub fn copy_program(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg(from).arg(to).status().expect("run cp");
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

/// SHA-256 as `sha256sum` says it.
pub fn sha256(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("write it");
    let output = std::process::Command::new("sha256sum").arg(file.path()).output().expect("run sha256sum");
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or("").to_owned()
}
