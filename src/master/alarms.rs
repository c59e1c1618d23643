//! What the master raises alarms for: workers that end badly, full lines in front of sockets.

use std::os::fd::AsRawFd;

use super::state::Event;
use crate::base::clock::Millis;
use crate::logging::alarms::Alarms;
use crate::options::alarms::Alarms as Settings;
use crate::sys::process::Status;
use crate::sys::socket::Listener;
use crate::sys::socket::queue::Queues;

/// What a worker ends with that touched memory which is not its own.
const SEGFAULT: i32 = 11;
/// How often the lines are looked at, milliseconds.
const LOOK_MS: u64 = 1_000;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Watch {
    alarms: Alarms,
    /// Where a full line raises something.
    queues: Option<Queues>,
    due: Millis,
}

impl Watch {
    /// Of these options.
    pub fn new(settings: &Settings) -> Watch {
        let queues = (!settings.backlog.is_empty()).then(Queues::new);
        Watch { alarms: Alarms::new(settings), queues, due: Millis(0) }
    }

    /// When the lines are to be looked at.
    pub fn due(&self) -> Option<Millis> {
        self.queues.as_ref().map(|_| self.due)
    }

    /// Looks at what happened.
    pub fn look(&mut self, events: &[Event], now: Millis) {
        for event in events {
            if let Event::Exited { pid, status: Status::Killed(SEGFAULT) } = event {
                let names = self.alarms.settings().segfault.clone();
                self.raise(&names, &format!("uWSGI process {pid} ended with a segmentation fault"), now);
            }
        }
    }

    /// Looks at the lines in front of the sockets, if it is time.
    pub fn look_at_lines(&mut self, listeners: &[Listener], now: Millis) {
        let Some(queues) = self.queues.as_ref().filter(|_| self.due <= now) else { return };
        self.due = now.after(LOOK_MS);
        let full = |listener: &Listener| {
            let line = queues.line(listener).ok().filter(|line| line.max > 0 && line.waiting >= line.max)?;
            let (name, fd) = (&listener.name, listener.fd.as_raw_fd());
            Some(format!(
                "listen queue of socket \"{name}\" (fd: {fd}) full !!! ({}/{})",
                line.waiting, line.max
            ))
        };
        let messages: Vec<String> = listeners.iter().filter_map(full).collect();
        let names = self.alarms.settings().backlog.clone();
        messages.iter().for_each(|message| self.raise(&names, message, now));
    }

    fn raise(&mut self, names: &[String], message: &str, now: Millis) {
        for line in names.iter().flat_map(|name| self.alarms.raise(name, message, now)).collect::<Vec<_>>() {
            crate::log!("{line}");
        }
    }
}
