//! What the master raises alarms for: workers that end badly, full lines in front of sockets.

use std::os::fd::AsRawFd;

use super::lines;
use super::state::Event;
use crate::base::clock::Millis;
use crate::logging::alarms::Alarms;
use crate::options::alarms::Alarms as Settings;
use crate::options::metric::Threshold;
use crate::shared::meters::Change;
use crate::stats::figures;
use crate::stats::snapshot::View;
use crate::sys::process::Status;
use crate::sys::socket::Listener;
use crate::sys::socket::queue::Queues;

/// What a worker ends with that touched memory which is not its own.
const SEGFAULT: i32 = 11;
/// How often the lines are looked at, milliseconds.
const LOOK_MS: u64 = 1_000;
/// While a line is full, how often that is said, milliseconds. uWSGI does with each look.
const SAY_MS: u64 = 10_000;

/// See the module's page.
#[derive(Debug, Default)]
pub struct Watch {
    alarms: Alarms,
    queues: Queues,
    /// When the lines are looked at next, at the earliest.
    due: Millis,
    /// When a full line is said again, at the earliest.
    say_at: Millis,
    /// `metric-threshold`, each with when it may raise its alarm again.
    thresholds: Vec<(Threshold, Millis)>,
    /// When metrics are looked at next.
    metrics_due: Millis,
}

impl Watch {
    /// Of these options.
    pub fn new(settings: &Settings, thresholds: &[Threshold]) -> Watch {
        let thresholds = thresholds.iter().map(|threshold| (threshold.clone(), Millis(0))).collect();
        Watch { alarms: Alarms::new(settings), thresholds, ..Watch::default() }
    }

    /// When something must be looked at: lines only where a full one raises something. Else it is done beside other things.
    pub fn due(&self) -> Option<Millis> {
        let lines = (!self.alarms.settings().backlog.is_empty()).then_some(self.due);
        let metrics = (!self.thresholds.is_empty()).then_some(self.metrics_due);
        lines.into_iter().chain(metrics).min()
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
        if now < self.due {
            return;
        }
        self.due = now.after(LOOK_MS);
        let full = |listener: &Listener| {
            let line =
                self.queues.line(listener).ok().filter(|line| line.max > 0 && line.waiting >= line.max)?;
            let (name, fd) = (&listener.name, listener.fd.as_raw_fd());
            Some(format!(
                "listen queue of socket \"{name}\" (fd: {fd}) full !!! ({}/{})",
                line.waiting, line.max
            ))
        };
        let messages: Vec<String> = listeners.iter().filter_map(full).collect();
        if !messages.is_empty() && self.say_at <= now {
            self.say_at = now.after(SAY_MS);
            messages.iter().for_each(|message| crate::logging::line(&lines::line_full(message)));
        }
        let names = self.alarms.settings().backlog.clone();
        messages.iter().for_each(|message| self.raise(&names, message, now));
    }

    /// Looks at the metrics that have a threshold, if it is time.
    pub fn look_at_metrics(&mut self, view: &View, now: Millis) {
        if self.thresholds.is_empty() || now < self.metrics_due {
            return;
        }
        self.metrics_due = now.after(LOOK_MS);
        let figures = figures::all(&view.look(false), true);
        let mut raised = Vec::new();
        for (threshold, again_at) in &mut self.thresholds {
            let Some(figure) = figures.iter().find(|figure| figure.name == threshold.key) else { continue };
            if figure.value < threshold.value {
                continue;
            }
            if let Some(value) = threshold.reset {
                view.area.meters().change(figure.name.as_bytes(), Change::Set(value));
            }
            if let Some(alarm) = threshold.alarm.clone().filter(|_| *again_at <= now) {
                *again_at = now.after(threshold.rate.saturating_mul(1_000));
                raised.push((alarm, threshold.said()));
            }
        }
        for (alarm, said) in raised {
            self.raise(&[alarm], &said, now);
        }
    }

    /// Raises these.
    pub fn raise(&mut self, names: &[String], message: &str, now: Millis) {
        for line in names.iter().flat_map(|name| self.alarms.raise(name, message, now)).collect::<Vec<_>>() {
            crate::log!("{line}");
        }
    }
}
