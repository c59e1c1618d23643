//! A child process of a test: its own process group, its output in a [`Log`], its end waited for by a thread.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{Log, PATIENCE, engine};

/// A running child.
pub struct Running {
    /// What it writes to stderr.
    pub log: Log,
    /// Its id, and its process group's.
    pub pid: Pid,
    end: Arc<(Mutex<Option<ExitStatus>>, Condvar)>,
}

impl Running {
    /// Starts `command` with stderr collected. Panics with the program's name if it can't be run.
    pub fn spawn(mut command: Command) -> Running {
        command.stderr(Stdio::piped()).process_group(0);
        let said = command.get_envs().any(|(name, _)| name == "UWSGI_ENGINE");
        if let Some(engine) = engine().filter(|_| !said) {
            command.env("UWSGI_ENGINE", engine);
        }
        let begun = std::time::Instant::now();
        let mut child = loop {
            match command.spawn() {
                Ok(child) => break child,
                // A child that another test has just forked holds what we have written open, until it execs.
                Err(e)
                    if e.kind() == std::io::ErrorKind::ExecutableFileBusy && begun.elapsed() < PATIENCE =>
                {
                    std::thread::yield_now();
                }
                Err(e) => panic!("start {:?}: {e}", command.get_program()),
            }
        };
        let log = Log::follow(child.stderr.take().expect("stderr is piped"));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let end = Arc::new((Mutex::new(None), Condvar::new()));
        let theirs = end.clone();
        std::thread::spawn(move || {
            let status = child.wait().expect("wait for our own child");
            *theirs.0.lock().unwrap() = Some(status);
            theirs.1.notify_all();
        });
        Running { log, pid, end }
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<ExitStatus> {
        *self.end.0.lock().unwrap()
    }

    /// Sends a signal to the process alone, unless it has ended.
    pub fn signal(&self, signal: Signal) {
        if self.ended().is_none() {
            match kill(self.pid, signal) {
                // It ended just now.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(e) => panic!("{signal} to {}: {e}", self.pid),
            }
        }
    }

    /// Waits for its end.
    pub fn wait(&self) -> Option<ExitStatus> {
        let end = self.end.0.lock().unwrap();
        *self.end.1.wait_timeout_while(end, PATIENCE, |end| end.is_none()).unwrap().0
    }

    /// Waits for its end; a process that doesn't end fails the test.
    #[track_caller]
    pub fn expect_end(&self) -> ExitStatus {
        match self.wait() {
            Some(status) => status,
            None => panic!("pid {} did not end; its log was:\n{}", self.pid, self.log.text()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A failed test has nothing to learn from a slow end (uWSGI ignores SIGTERM while it starts).
        if self.ended().is_none() && !std::thread::panicking() {
            self.signal(Signal::SIGTERM);
            self.wait();
        }
        // Whatever is left of the group is ours, and nothing should be left: no such group is the usual answer.
        let _ = killpg(self.pid, Signal::SIGKILL);
    }
}
