//! `attach-daemon` and its family: programs that run as long as the server does, or (with a pidfile) beyond.

use std::path::Path;
use std::time::Duration;

use super::{Ended, KILL, Standing};
use crate::base::clock::Millis;
use crate::base::errors;
use crate::options::jobs::Daemon;
use crate::sys::process::{self, Status};
use crate::sys::shell::{self, Manner};

/// One that ends within this died of its start, milliseconds.
const EARLY_MS: u64 = 3_000;
/// The longest pause before another start, milliseconds.
const PAUSE_MS_MAX: u64 = 300_000;
/// One that takes over another's pidfile looks after so long whether that one has ended, milliseconds.
const HEIR_MS: u64 = 1_000;
/// SIGTERM.
const TERM: i32 = 15;
/// How long all of them may take to end with the server.
const MERCY: Duration = Duration::from_secs(3);

/// How long one that is no longer wanted may take to end, milliseconds.
const LEAVE_MS: u64 = 3_000;

/// All of them.
#[derive(Debug, Default)]
pub struct Daemons {
    kept: Vec<Kept>,
    /// Children that were told to end and are not started again.
    leaving: Vec<Leaver>,
}

#[derive(Debug)]
struct Leaver {
    command: String,
    pid: u32,
    /// When it is killed.
    at: Millis,
}

/// Children of the program before, which are this one's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Those that run, with their commands.
    pub running: Vec<(String, u32)>,
    /// Those that were told to end.
    pub leaving: Vec<(String, u32)>,
}

#[derive(Debug)]
struct Kept {
    spec: Daemon,
    stand: Stand,
    failures: u64,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// To be started, or (with a pidfile) looked for.
    Due(Millis),
    /// A child of ours.
    Runs { pid: u32, since: Millis },
}

impl Daemons {
    /// Those of the options; what was `left` are children already. Several may have the same command.
    pub fn new(specs: &[Daemon], left: Left, now: Millis) -> Daemons {
        let Left { mut running, leaving } = left;
        let mut stand = |spec: &Daemon| match running.iter().position(|(command, _)| *command == spec.command)
        {
            Some(place) => Stand::Runs { pid: running.remove(place).1, since: now },
            None => Stand::Due(now),
        };
        let kept = |spec: &Daemon| {
            let mut kept = Kept::new(spec, stand(spec));
            if let Stand::Runs { pid, .. } = kept.stand {
                kept.standing.start(pid);
            }
            kept
        };
        let kept = specs.iter().map(kept).collect();
        let leaver = |(command, pid)| Leaver { command, pid, at: now.after(LEAVE_MS) };
        let mut daemons = Daemons { kept, leaving: leaving.into_iter().map(leaver).collect() };
        for (command, pid) in running {
            daemons.dismiss(&command, pid, TERM, now);
        }
        daemons
    }

    /// From now on these are wanted. What is not among them ends, a smart one too; what is new starts.
    pub fn change(&mut self, specs: &[Daemon], now: Millis) {
        let mut old = std::mem::take(&mut self.kept);
        self.kept = specs
            .iter()
            .map(|spec| {
                let known = old.iter().position(|kept| kept.spec == *spec);
                known.map_or_else(|| Kept::new(spec, Stand::Due(now)), |place| old.remove(place))
            })
            .collect();
        for gone in old {
            let signal = gone.spec.stop_signal.unwrap_or(TERM);
            match (gone.stand, gone.spec.pidfile.as_deref().and_then(runner_of)) {
                (Stand::Runs { pid, .. }, _) => self.dismiss(&gone.spec.command, pid, signal, now),
                (Stand::Due(_), Some(pid)) => {
                    crate::log!("[uwsgi-daemons] \"{}\" (pid: {pid}) is no longer wanted", gone.spec.command);
                    gone.signal(pid, signal);
                }
                (Stand::Due(_), None) => {}
            }
            // Who has its place looks whether it still runs.
            let heir =
                |kept: &&mut Kept| kept.spec.pidfile.is_some() && kept.spec.pidfile == gone.spec.pidfile;
            if let Some(heir) = self.kept.iter_mut().find(heir) {
                heir.stand = Stand::Due(now.after(HEIR_MS));
            }
        }
    }

    fn dismiss(&mut self, command: &str, pid: u32, signal: i32, now: Millis) {
        crate::log!("[uwsgi-daemons] \"{command}\" (pid: {pid}) is no longer wanted");
        if let Err(error) = shell::signal(pid, signal) {
            crate::log!("[uwsgi-daemons] cannot send signal {signal} to process {pid}: {error}");
        }
        self.leaving.push(Leaver { command: command.to_owned(), pid, at: now.after(LEAVE_MS) });
    }

    /// What the next program of this process is to know.
    pub fn hand_over(&self) -> Left {
        let leaving = self.leaving.iter().map(|leaver| (leaver.command.clone(), leaver.pid));
        Left { running: self.running(), leaving: leaving.collect() }
    }

    /// Children that are wanted, with their commands.
    fn running(&self) -> Vec<(String, u32)> {
        let child = |kept: &Kept| match kept.stand {
            Stand::Runs { pid, .. } => Some((kept.spec.command.clone(), pid)),
            Stand::Due(_) => None,
        };
        self.kept.iter().filter_map(child).collect()
    }

    /// How they are.
    pub fn all(&self) -> impl Iterator<Item = (&Daemon, Standing)> {
        self.kept.iter().map(|kept| match kept.stand {
            Stand::Runs { pid, .. } => (&kept.spec, Standing { pid, ..kept.standing }),
            Stand::Due(_) => (&kept.spec, Standing { pid: 0, ..kept.standing }),
        })
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Millis> {
        let due = |kept: &Kept| match kept.stand {
            Stand::Due(at) => Some(at),
            Stand::Runs { .. } => None,
        };
        self.kept.iter().filter_map(due).chain(self.leaving.iter().map(|leaver| leaver.at)).min()
    }

    /// Starts what is due.
    pub fn tick(&mut self, now: Millis) {
        for kept in &mut self.kept {
            if matches!(kept.stand, Stand::Due(at) if at <= now) {
                kept.start(now);
            }
        }
        for Leaver { command, pid, at } in &mut self.leaving {
            if *at <= now {
                crate::log!(
                    "[uwsgi-daemons] \"{command}\" (pid: {pid}) does not end: killed {}",
                    errors::DAEMON_KILLED
                );
                let _ = shell::signal(*pid, KILL);
                *at = now.after(LEAVE_MS);
            }
        }
    }

    /// A process has ended.
    pub fn ended(&mut self, pid: u32, status: Status, now: Millis) -> Ended {
        let is_it = |kept: &&mut Kept| matches!(kept.stand, Stand::Runs { pid: child, .. } if child == pid);
        if let Some(place) = self.leaving.iter().position(|leaver| leaver.pid == pid) {
            self.leaving.remove(place);
            return Ended::Ours;
        }
        let Some(kept) = self.kept.iter_mut().find(is_it) else { return Ended::Foreign };
        kept.ended(pid, status, now);
        if kept.spec.control { Ended::Control } else { Ended::Ours }
    }

    /// The site was loaded anew: so are they, unless they live a life of their own.
    pub fn reload(&mut self, now: Millis) {
        for kept in &mut self.kept {
            let Stand::Runs { pid, .. } = kept.stand else { continue };
            if kept.spec.pidfile.is_some() && kept.spec.reload_signal.is_none() {
                continue;
            }
            kept.failures = 0;
            // Old enough not to be taken for one that died of its start.
            kept.stand = Stand::Runs { pid, since: Millis(now.0.saturating_sub(EARLY_MS)) };
            kept.signal(pid, kept.spec.reload_signal.or(kept.spec.stop_signal).unwrap_or(TERM));
        }
    }

    /// The server ends: they end with it, by force if they must.
    pub fn stop(&mut self) {
        let mut left: Vec<u32> = self.leaving.drain(..).map(|leaver| leaver.pid).collect();
        for kept in &self.kept {
            if let (Stand::Runs { pid, .. }, None) = (kept.stand, &kept.spec.pidfile) {
                kept.signal(pid, kept.spec.stop_signal.unwrap_or(TERM));
                left.push(pid);
            }
        }
        let until = std::time::Instant::now() + MERCY;
        while !left.is_empty() && std::time::Instant::now() < until {
            left.retain(|pid| {
                let runs = process::peek(*pid).is_none();
                if !runs {
                    process::bury(*pid);
                }
                runs
            });
            if !left.is_empty() {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        for pid in left {
            crate::log!("[uwsgi-daemons] process {pid} does not end: killed {}", errors::DAEMON_KILLED);
            let _ = shell::signal(pid, KILL);
        }
        self.kept.clear();
    }
}

impl Kept {
    fn new(spec: &Daemon, stand: Stand) -> Kept {
        Kept { stand, spec: spec.clone(), failures: 0, standing: Standing::default() }
    }

    fn start(&mut self, now: Millis) {
        let Daemon { command, pidfile, daemonize, folder, uid, gid, .. } = &self.spec;
        if pidfile.as_deref().is_some_and(runs_at) {
            return self.look_later(now);
        }
        let manner = Manner {
            with_parent: pidfile.is_none(),
            folder: folder.as_deref(),
            uid: uid.as_deref(),
            gid: gid.as_deref(),
            reads: self.spec.reads,
        };
        match shell::start(command, manner) {
            Ok(pid) => {
                crate::log!("[uwsgi-daemons] spawning \"{command}\" (pid: {pid})");
                self.stand = Stand::Runs { pid, since: now };
                self.standing.start(pid);
                if let (Some(file), true) = (pidfile, daemonize)
                    && let Err(error) = std::fs::write(file, format!("{pid}\n"))
                {
                    crate::log!("[uwsgi-daemons] cannot write {}: {error}", file.display());
                }
            }
            Err(error) => {
                crate::log!("[uwsgi-daemons] {error} {}", errors::NOT_STARTED_JOB);
                self.wait(now);
            }
        }
    }

    fn ended(&mut self, pid: u32, status: Status, now: Millis) {
        let Stand::Runs { since, .. } = self.stand else { return };
        let Daemon { command, pidfile, .. } = &self.spec;
        // It has gone to the background, as it should.
        if pidfile.as_deref().is_some_and(|file| runs_at(file) || status == Status::Exited(0)) {
            return self.look_later(now);
        }
        crate::log!(
            "[uwsgi-daemons] \"{command}\" (pid: {pid}) ended ({}): it is started again {}",
            super::super::lines::how(status),
            errors::DAEMON_ENDED
        );
        if now.since(since) < EARLY_MS {
            self.wait(now);
        } else {
            self.failures = 0;
            self.stand = Stand::Due(now);
        }
    }

    /// Whether it still runs, beyond our reach, is looked at again after `freq`.
    fn look_later(&mut self, now: Millis) {
        self.stand = Stand::Due(now.after(self.spec.freq.saturating_mul(1000).max(1000)));
    }

    /// A pause that grows by a second each time.
    fn wait(&mut self, now: Millis) {
        self.failures += 1;
        let pause_ms = self.failures.saturating_mul(1000).min(PAUSE_MS_MAX);
        crate::log!("[uwsgi-daemons] \"{}\": next try in {} seconds", self.spec.command, pause_ms / 1000);
        self.stand = Stand::Due(now.after(pause_ms));
    }

    fn signal(&self, pid: u32, signal: i32) {
        if let Err(error) = shell::signal(pid, signal) {
            crate::log!("[uwsgi-daemons] cannot send signal {signal} to process {pid}: {error}");
        }
    }
}

/// Whether the process of that pidfile runs.
fn runs_at(file: &Path) -> bool {
    runner_of(file).is_some()
}

/// That process, if it runs.
fn runner_of(file: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.trim().parse().ok().filter(|pid| *pid > 0 && shell::runs(*pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_dies_at_once_is_started_again_with_pauses() {
        let mut daemons = Daemons::new(&[Daemon::plain("exit 3")], Left::default(), Millis(0));
        let mut now = Millis(0);
        for pause_ms in [1000, 2000, 3000] {
            assert_eq!(daemons.deadline(), Some(now));
            daemons.tick(now);
            let pid = daemons.running()[0].1;
            while process::peek(pid).is_none() {
                std::thread::yield_now();
            }
            process::bury(pid);
            assert_eq!(daemons.ended(pid, Status::Exited(3), now), Ended::Ours);
            assert_eq!(daemons.ended(pid, Status::Exited(3), now), Ended::Foreign);
            now = now.after(pause_ms);
        }
        assert_eq!(daemons.deadline(), Some(now));
    }

    #[test]
    fn one_that_lives_on_is_looked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        std::fs::write(&file, format!("{}\n", std::process::id())).expect("written");
        let smart = Daemon::smart(&format!("{},7 false", file.display()), false).expect("a daemon");
        let mut daemons = Daemons::new(&[smart], Left::default(), Millis(0));
        daemons.tick(Millis(0));
        assert!(daemons.running().is_empty(), "it runs already");
        assert_eq!(daemons.deadline(), Some(Millis(7000)));
    }

    #[test]
    fn twins_are_both_handed_on() {
        let specs = ["exec sleep 1000", "exec sleep 1000", "exec sleep 1001"].map(Daemon::plain);
        let mut daemons = Daemons::new(&specs[..2], Left::default(), Millis(0));
        daemons.tick(Millis(0));
        let running = daemons.running();
        assert_eq!(running.len(), 2);
        let mut next = Daemons::new(&specs, daemons.hand_over(), Millis(5));
        assert_eq!(next.running(), running);
        next.tick(Millis(5));
        assert_eq!(next.running()[..2], running[..]);
        assert_eq!(next.running().len(), 3);
        next.stop();
    }

    #[test]
    fn a_change_ends_what_is_gone_and_starts_what_is_new() {
        let [stays, gone, comes] =
            ["exec sleep 1000", "exec sleep 1001", "exec sleep 1002"].map(Daemon::plain);
        let mut daemons = Daemons::new(&[stays.clone(), gone], Left::default(), Millis(0));
        daemons.tick(Millis(0));
        let [first, second] = daemons.running().try_into().expect("two");
        daemons.change(&[comes, stays], Millis(5));
        daemons.tick(Millis(5));
        let running = daemons.running();
        assert_eq!((running.len(), running[0].0.as_str(), &running[1]), (2, "exec sleep 1002", &first));
        // The next program knows by what name it goes.
        assert_eq!(daemons.hand_over().leaving, std::slice::from_ref(&second));
        let next = Daemons::new(&[], Left { running: Vec::new(), ..daemons.hand_over() }, Millis(5));
        assert_eq!(next.leaving[0].command, "exec sleep 1001");
        // Told to end, and not started again.
        while process::peek(second.1).is_none() {
            std::thread::yield_now();
        }
        process::bury(second.1);
        assert_eq!(daemons.ended(second.1, Status::Killed(TERM), Millis(9)), Ended::Ours);
        assert_eq!((daemons.running().len(), daemons.deadline()), (2, None));
        daemons.stop();
    }

    #[test]
    fn all_end_with_the_server() {
        let specs = ["exec sleep 1000", "trap '' TERM; sleep 0.01; exec sleep 0.1"].map(Daemon::plain);
        let mut daemons = Daemons::new(&specs, Left::default(), Millis(0));
        daemons.tick(Millis(0));
        let pids: Vec<u32> = daemons.running().into_iter().map(|(_, pid)| pid).collect();
        daemons.stop();
        assert!(pids.into_iter().all(|pid| !shell::runs(pid)), "ended and buried");
    }
}
