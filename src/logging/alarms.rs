//! Alarms: somebody is told that something happened, by a command or a line of the log. Nobody waits for it.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::base::clock::Millis;
use crate::base::errors;
use crate::options::alarms;
use crate::sys::shell;

/// The alarms of one process.
#[derive(Debug, Default)]
pub struct Alarms {
    settings: alarms::Alarms,
    told: HashMap<(String, String), Millis>,
}

impl Alarms {
    /// Of these options.
    pub fn new(settings: &alarms::Alarms) -> Alarms {
        Alarms { settings: settings.clone(), told: HashMap::new() }
    }

    /// What they were made of.
    pub fn settings(&self) -> &alarms::Alarms {
        &self.settings
    }

    /// Raises what a line of the log raises. The result is what is to be said in the log.
    pub fn look(&mut self, line: &[u8], now: Millis) -> Vec<String> {
        let matching = self.settings.lines.iter().filter(|rule| rule.lines.is_match(line));
        let names: Vec<String> =
            matching.take_while(|rule| !rule.except).flat_map(|rule| rule.names.clone()).collect();
        if names.is_empty() {
            return Vec::new();
        }
        let message = String::from_utf8_lossy(line);
        names.iter().flat_map(|name| self.raise(name, &message, now)).collect()
    }

    /// Raises one. The result is what is to be said in the log.
    pub fn raise(&mut self, name: &str, message: &str, now: Millis) -> Vec<String> {
        let quiet_ms = self.settings.freq.saturating_mul(1000);
        self.told.retain(|_, when| now.since(*when) < quiet_ms);
        let key = (name.to_owned(), message.to_owned());
        if self.told.contains_key(&key) {
            return Vec::new();
        }
        self.told.insert(key, now);
        let mut said = Vec::new();
        for (_, way) in self.settings.declared.iter().filter(|(other, _)| other == name) {
            match way.split_once(':').unwrap_or((way, "")) {
                ("cmd", command) => said.extend(tell(command, message)),
                ("log", _) => said.push(format!("ALARM: {name} {message}")),
                // `mute`: nobody is told.
                _ => {}
            }
        }
        said
    }
}

/// Runs a command that reads the message. Its end is nobody's business: this process collects it with the others.
fn tell(command: &str, message: &str) -> Option<String> {
    let mut shell = Command::new(shell::program());
    shell.args(["-c", command]).stdin(Stdio::piped());
    let fed = shell::feed_program(&mut shell, |input| {
        // An empty pipe takes it at once; a command that reads nothing may be gone.
        let _ = input.write_all(message.as_bytes());
    });
    fed.err().map(|error| format!("[uwring] alarm {command}: {error} {}", errors::ALARM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_raise_alarms_in_the_order_of_the_rules() {
        let rule = |text: &str, except| alarms::of_lines(text, except).expect("read");
        let mut alarms = Alarms::new(&alarms::Alarms {
            declared: vec![("a".to_owned(), "log:".to_owned()), ("b".to_owned(), "mute:".to_owned())],
            lines: vec![rule("a first", false), rule("a known", true), rule("a,b fail", false)],
            ..alarms::Alarms::default()
        });
        for (line, ms, said) in [
            ("it fails", 0, &["ALARM: a it fails"][..]),
            ("it fails", 2_999, &[]),
            ("it fails again", 2_999, &["ALARM: a it fails again"]),
            ("it fails", 3_000, &["ALARM: a it fails"]),
            ("a known failure", 3_000, &[]),
            ("the first known failure", 3_000, &["ALARM: a the first known failure"]),
            ("all is well", 3_000, &[]),
        ] {
            assert_eq!(alarms.look(line.as_bytes(), Millis(ms)), said, "{line} {ms}");
        }
    }

    #[test]
    fn the_same_is_told_once_in_the_time_of_alarm_freq() {
        let declared = vec![("a".to_owned(), "log:".to_owned())];
        let mut alarms = Alarms::new(&alarms::Alarms { declared, freq: 10, ..alarms::Alarms::default() });
        let told = [0, 3_000, 9_999, 10_000].map(|ms| alarms.raise("a", "it fails", Millis(ms)).len());
        assert_eq!(told, [1, 0, 0, 1]);
    }
}
