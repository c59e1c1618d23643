//! Alarms: somebody is told that something happened, by a command or a line of the log. Nobody waits for it.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

use super::state::Event;
use crate::base::clock::Millis;
use crate::options::settings::Process;
use crate::sys::process::Status;
use crate::sys::shell;

/// What a worker ends with that touched memory which is not its own.
const SEGFAULT: i32 = 11;
/// The alarms, and what raises them.
#[derive(Debug, Default)]
pub struct Alarms {
    /// Name, and `PLUGIN:ARGUMENT`.
    all: Vec<(String, String)>,
    /// `alarm-segfault`.
    segfault: Vec<String>,
    /// `alarm-freq`, milliseconds: the same message is told once in so long.
    quiet_ms: u64,
    told: HashMap<(String, String), Millis>,
}

impl Alarms {
    /// Of these options.
    pub fn new(settings: &Process) -> Alarms {
        Alarms {
            all: settings.alarms.clone(),
            segfault: settings.alarm_segfault.clone(),
            quiet_ms: settings.alarm_freq.saturating_mul(1000),
            told: HashMap::new(),
        }
    }

    /// Looks at what happened.
    pub fn look(&mut self, events: &[Event], now: Millis) {
        for event in events {
            if let Event::Exited { pid, status: Status::Killed(SEGFAULT) } = event {
                let message = format!("uWSGI process {pid} ended with a segmentation fault");
                for name in self.segfault.clone() {
                    self.raise(&name, &message, now);
                }
            }
        }
    }

    fn raise(&mut self, name: &str, message: &str, now: Millis) {
        let quiet_ms = self.quiet_ms;
        self.told.retain(|_, when| now.since(*when) < quiet_ms);
        if self.told.insert((name.to_owned(), message.to_owned()), now).is_some() {
            return;
        }
        for (_, way) in self.all.iter().filter(|(other, _)| other == name) {
            match way.split_once(':').unwrap_or((way, "")) {
                ("cmd", command) => tell(command, message),
                ("log", _) => crate::log!("ALARM: {name} {message}"),
                // `mute`: nobody is told.
                _ => {}
            }
        }
    }
}

/// Runs a command that reads the message. Its end is nobody's business: the master collects it with the others.
fn tell(command: &str, message: &str) {
    let mut shell = Command::new(shell::program());
    shell.args(["-c", command]).stdin(Stdio::piped());
    if let Err(error) = shell::feed_program(&mut shell, |input| {
        // An empty pipe takes it at once; a command that reads nothing may be gone.
        let _ = input.write_all(message.as_bytes());
    }) {
        crate::log!("[uwring] alarm {command}: {error}");
    }
}
