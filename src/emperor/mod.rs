//! The Emperor: a server for each configuration of a folder. It starts and ends them and listens to them; it serves
//! nothing itself, and one that fails holds up no other.
//!
//! ```text
//!  configurations (monitor) ──┐
//!  signals, ends of processes ┼─► vassal: (stage, event) → actions ──► processes (spawn), lines to them, log
//!  what vassals say, time ────┘
//! ```

mod gate;
mod monitor;
mod spawn;
mod vassal;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use self::gate::Gate;
use self::monitor::{Found, Monitor};
use self::vassal::{Action, Event, Vassal};
use crate::base::clock::{self, Millis};
use crate::base::errors;
use crate::base::vassalage;
use crate::options::emperor::Emperor as Policy;
use crate::sys::process::{self, Status};
use crate::sys::signals::{Signal, SignalReader};
use crate::sys::watch::Watch;
use crate::sys::{event, signals};

/// After the first of several changes, time for the others, milliseconds.
const SETTLE_MS: u64 = 100;

/// The Emperor.
struct Emperor {
    policy: Policy,
    program: PathBuf,
    monitors: Vec<Monitor>,
    vassals: BTreeMap<String, Held>,
    signals: SignalReader,
    watch: Option<Watch>,
    /// The next look at the configurations.
    look_at: Millis,
    /// Monitors that could not be read, as was said.
    unreadable: Vec<usize>,
    /// Configurations that are refused, as was said.
    refused: Vec<String>,
    ending: bool,
}

/// A vassal and its process.
struct Held {
    vassal: Vassal,
    found: Found,
    process: Option<Process>,
    /// Where it is started by the first connection.
    gate: Option<Gate>,
}

struct Process {
    pid: u32,
    line: UnixStream,
    /// The line is at its end.
    hung_up: bool,
}

/// Rules until told to end. The result is the exit code. `program` is what vassals are started with.
pub fn rule(policy: &Policy, program: PathBuf) -> i32 {
    match Emperor::new(policy.clone(), program) {
        Ok(mut emperor) => emperor.run(),
        Err(error) => {
            crate::log!("[emperor] cannot begin: {error} {}", errors::EMPEROR);
            1
        }
    }
}

impl Emperor {
    fn new(policy: Policy, program: PathBuf) -> io::Result<Emperor> {
        crate::log!("*** starting uWSGI Emperor ***");
        let monitors: Vec<Monitor> = policy.monitors.iter().map(|place| Monitor::new(place)).collect();
        let watch = Watch::new().ok();
        for folder in monitors.iter().filter_map(Monitor::watched) {
            // A folder that is not there yet is looked for in any case.
            let _ = watch.as_ref().map(|watch| watch.add(&folder));
        }
        Ok(Emperor {
            policy,
            program,
            monitors,
            vassals: BTreeMap::new(),
            signals: SignalReader::new()?,
            watch,
            look_at: clock::now().millis(),
            unreadable: Vec::new(),
            refused: Vec::new(),
            ending: false,
        })
    }

    fn run(&mut self) -> i32 {
        loop {
            let now = clock::now().millis();
            while let Some(signal) = self.signals.next() {
                self.heard(signal);
            }
            while let Some((pid, status)) = process::reap() {
                self.ended(pid, status);
            }
            self.listen();
            self.open_gates();
            if self.watch.as_ref().is_some_and(Watch::clear) {
                self.look_at = self.look_at.min(now.after(SETTLE_MS));
            }
            if !self.ending && self.look_at <= now {
                self.look();
                self.look_at = clock::now().millis().after(self.policy.every.max(1) * 1000);
            }
            self.all(Event::Tick);
            self.vassals.retain(|_, held| !held.vassal.is_over());
            if self.ending && self.vassals.is_empty() {
                crate::log!("The Emperor is buried.");
                return 0;
            }
            self.wait();
        }
    }

    /// Until anything happens.
    fn wait(&self) {
        let now = clock::now().millis();
        let look = (!self.ending).then_some(self.look_at);
        let next = self.vassals.values().filter_map(|held| held.vassal.deadline()).chain(look).min();
        let lines = self.vassals.values().filter_map(|held| held.process.as_ref());
        let lines = lines.filter(|process| !process.hung_up).map(|process| process.line.as_fd());
        let watch = self.watch.as_ref().map(Watch::as_fd);
        let waiting = self.vassals.values().filter(|held| held.vassal.waits());
        let gates = waiting.filter_map(|held| held.gate.as_ref()).map(Gate::as_fd);
        let fds: Vec<BorrowedFd<'_>> =
            std::iter::once(self.signals.as_fd()).chain(watch).chain(lines).chain(gates).collect();
        if let Err(error) = event::readable(&fds, next.map(|next| next.since(now))) {
            crate::log!("[emperor] poll: {error} {}", errors::MASTER);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    fn heard(&mut self, signal: Signal) {
        match signal {
            Signal::SIGHUP => {
                crate::log!("*** RELOADING ALL VASSALS ***");
                self.all(Event::Reload);
            }
            Signal::SIGTERM | Signal::SIGINT | Signal::SIGQUIT if !self.ending => {
                crate::log!("*** RAGNAROK EVOKED ***");
                self.ending = true;
                self.all(Event::Ragnarok);
            }
            Signal::SIGWINCH => self.look_at = Millis(0),
            Signal::SIGUSR1 => {
                for (name, held) in &self.vassals {
                    let pid =
                        held.process.as_ref().map_or("not running".to_owned(), |p| format!("pid: {}", p.pid));
                    crate::log!("[emperor] vassal {name} ({pid})");
                }
            }
            _ => {}
        }
    }

    /// The same for everybody.
    fn all(&mut self, event: Event) {
        let names: Vec<String> = self.vassals.keys().cloned().collect();
        names.iter().for_each(|name| self.one(name, event));
    }

    /// Something happened to one vassal.
    fn one(&mut self, name: &str, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let Some(held) = self.vassals.get_mut(name) else { return };
            let actions = held.vassal.handle(event, clock::now().millis(), &self.policy);
            for action in actions {
                events.extend(held.perform(action, &self.program, &self.policy));
            }
        }
    }

    fn ended(&mut self, pid: u32, status: Status) {
        let is = |held: &Held| held.process.as_ref().is_some_and(|process| process.pid == pid);
        // Nobody's: the end of a hook.
        let Some(name) = self.vassals.iter().find(|(_, held)| is(held)).map(|(name, _)| name.clone()) else {
            return;
        };
        self.one(&name, Event::Ended(status));
    }

    /// Starts those for whom somebody has come.
    fn open_gates(&mut self) {
        let knocked = |held: &Held| held.vassal.waits() && held.gate.as_ref().is_some_and(Gate::knocks);
        let names: Vec<String> =
            self.vassals.iter().filter(|(_, held)| knocked(held)).map(|(name, _)| name.clone()).collect();
        names.iter().for_each(|name| self.one(name, Event::Knocked));
    }

    /// What vassals say.
    fn listen(&mut self) {
        let mut said = Vec::new();
        for (name, held) in &mut self.vassals {
            let Some(process) = &mut held.process else { continue };
            let mut words = [0; 64];
            loop {
                match process.line.read(&mut words) {
                    Ok(0) => process.hung_up = true,
                    Ok(len) => {
                        said.extend(words[..len].iter().map(|word| (name.clone(), *word)));
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => process.hung_up |= error.kind() != io::ErrorKind::WouldBlock,
                }
                break;
            }
        }
        said.into_iter().for_each(|(name, word)| self.one(&name, Event::Said(word)));
    }

    /// Compares what is there with what was there.
    fn look(&mut self) {
        let mut there = Vec::new();
        for (number, monitor) in self.monitors.iter().enumerate() {
            match monitor.look(&self.policy) {
                Ok(found) => {
                    self.unreadable.retain(|other| *other != number);
                    there.extend(found);
                }
                Err(error) => {
                    if !self.unreadable.contains(&number) {
                        crate::log!(
                            "[emperor] cannot read {}: {error}; its vassals stay {}",
                            self.policy.monitors[number],
                            errors::UNREADABLE
                        );
                        self.unreadable.push(number);
                    }
                }
            }
        }
        if self.unreadable.is_empty() {
            let gone = |name: &&String| !there.iter().any(|found| found.name == **name);
            let gone: Vec<String> = self.vassals.keys().filter(gone).cloned().collect();
            gone.iter().for_each(|name| self.one(name, Event::Gone));
        }
        there.into_iter().for_each(|found| self.see(found));
    }

    fn see(&mut self, found: Found) {
        if self.policy.tyrant && found.stamp.owner.0 == 0 {
            if !self.refused.contains(&found.name) {
                crate::log!(
                    "[emperor-tyrant] invalid permissions for vassal {}: it belongs to root {}",
                    found.name,
                    errors::VASSAL_REFUSED
                );
                self.refused.push(found.name.clone());
            }
            return self.one(&found.name, Event::Gone);
        }
        let name = found.name.clone();
        if self.vassals.contains_key(&name) {
            self.refused.retain(|other| *other != name);
        }
        match self.vassals.get_mut(&name) {
            Some(held) => {
                let stamp = found.stamp;
                held.found = found;
                self.one(&name, Event::Found(stamp));
            }
            None => self.add(name, found),
        }
    }
}

impl Emperor {
    /// A configuration just found.
    fn add(&mut self, name: String, found: Found) {
        let gate = match Gate::open(&found, &self.policy) {
            Ok(gate) => gate,
            Err(error) => {
                // It is looked at again with the others.
                if !self.refused.contains(&name) {
                    crate::log!(
                        "[emperor] vassal {name} cannot wait for connections: {error} {}",
                        errors::VASSAL_DEAF
                    );
                    self.refused.push(name);
                }
                return;
            }
        };
        let vassal = match &gate {
            None => Vassal::new(&name, found.stamp),
            Some(gate) => {
                let at = gate.name();
                crate::log!(
                    "[emperor] {name} -> \"on demand\" instance detected, waiting for connections on socket \"{at}\" ..."
                );
                spawn::hooks(&self.policy.on_demand_hooks, &found, None);
                Vassal::on_demand(&name, found.stamp)
            }
        };
        self.vassals.insert(name, Held { vassal, found, process: None, gate });
    }
}

impl Held {
    /// Does it. What comes of it at once is another event.
    fn perform(&mut self, action: Action, program: &std::path::Path, policy: &Policy) -> Option<Event> {
        match action {
            Action::Start => match self.start(program, policy) {
                Ok((pid, line)) => {
                    crate::log!("[emperor] vassal {} has been spawned (pid: {pid})", self.found.name);
                    spawn::hooks(&policy.as_emperor, &self.found, Some(pid));
                    self.process = Some(Process { pid, line, hung_up: false });
                }
                Err(error) => {
                    crate::log!(
                        "[emperor] cannot start vassal {}: {error} {}",
                        self.found.name,
                        errors::VASSAL
                    );
                    return Some(Event::NotStarted);
                }
            },
            Action::Tell(word) => {
                let told = self.process.as_mut().map(|process| process.line.write(&[word]));
                if let Some(Err(error)) = told {
                    // It has closed its end, or listens to nothing: signals it does hear.
                    crate::log!(
                        "[emperor] vassal {} does not listen: {error} {}",
                        self.found.name,
                        errors::VASSAL_DEAF
                    );
                    let signal = if word == vassalage::RELOAD { Signal::SIGHUP } else { Signal::SIGTERM };
                    self.signal(signal);
                }
            }
            Action::Kill => self.signal(Signal::SIGKILL),
            Action::Buried => {
                if let Some(process) = self.process.take() {
                    spawn::buried(&self.found, process.pid, policy);
                }
            }
            Action::Say(line) => crate::log!("{line}"),
        }
        None
    }

    fn start(&self, program: &std::path::Path, policy: &Policy) -> io::Result<(u32, UnixStream)> {
        spawn::hooks(&policy.before_vassal, &self.found, None);
        let input = self.gate.as_ref().map(Gate::hand_over).transpose()?;
        spawn::start(&self.found, program, policy, input)
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.process {
            // It is our child and not waited for: the number is still its own.
            let _ = signals::send_to_number(process.pid, signal);
        }
    }
}
