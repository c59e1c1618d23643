//! Waiting: signals, reports of the templates, ends of processes, wishes of the application, touched files and
//! time become [`Event`]s.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Instant;

use super::actions::Office;
use super::alarms::Watch;
use super::channel::Report;
use super::descriptors::Descriptors;
use super::fifo::{self, Fifos, Letter};
use super::herald::Summary;
use super::jobs::Ended;
use super::lines;
use super::logs::Logs;
use super::lord::Lord;
use super::monitor::Monitor;
use super::mountpoints::Mountpoints;
use super::pulse::Pulse;
use super::raises::Raises;
use super::scaling::sampler::Sampler;
use super::state::{Event, Wish};
use super::touch::Touched;
use crate::base::clock::{self, Millis};
use crate::base::errors;
use crate::control::words::Change;
use crate::options::settings::Settings;
use crate::shared::area::{Ask, State as Doing, WorkerSlot};
use crate::sys::signals::{Signal, SignalReader};
use crate::sys::socket::Listener;
use crate::sys::{event, net, notify, process};

/// What the master listens to beside the channels, which are the [`Office`]'s.
#[derive(Debug)]
pub struct Ears {
    signals: SignalReader,
    touched: Touched,
    fifos: Fifos,
    /// A request that is late by so much, milliseconds, and still there: nothing of its worker moves.
    frozen_ms: Option<u64>,
    pulse: Pulse,
    /// Each worker's.
    threads: u32,
    /// Where the number of workers follows the load.
    sampler: Option<Sampler>,
    /// The Emperor, where this server is a vassal.
    lord: Option<Lord>,
    alarms: Watch,
    raises: Raises,
    descriptors: Descriptors,
    mountpoints: Mountpoints,
}

/// What the state machine waits for.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Something is due then.
    pub deadline: Option<Millis>,
    /// There is no worker: whoever connects is news.
    pub knocks: bool,
}

/// Late requests are looked for so often, milliseconds.
const LATE_MS: u64 = 1_000;

impl Ears {
    /// `touched` are the files of `touch-reload` and its family, `fifos` those of `master-fifo`.
    pub fn new(
        touched: Touched,
        fifos: Fifos,
        settings: &Settings,
        sampler: Option<Sampler>,
    ) -> io::Result<Ears> {
        let harakiri = &settings.harakiri;
        // Its own watch has long asked for a successor by then.
        let late_ms = harakiri.grace_seconds.saturating_mul(2_000).saturating_add(2_000);
        let frozen_ms = (harakiri.seconds > 0 && harakiri.queue_threshold == 0).then_some(late_ms);
        Ok(Ears {
            signals: SignalReader::new()?,
            touched,
            fifos,
            frozen_ms,
            pulse: Pulse::new(harakiri.stuck_seconds, notify::watchdog_us().is_some()),
            threads: settings.process.threads,
            sampler,
            lord: None,
            alarms: Watch::default(),
            raises: Raises::default(),
            descriptors: Descriptors::default(),
            mountpoints: Mountpoints::default(),
        })
    }

    /// Tells somebody of what happens.
    pub fn with_alarms(self, alarms: Watch) -> Ears {
        Ears { alarms, ..self }
    }

    /// Listens to descriptors that the server was started with, and to whether file systems answer.
    pub fn with_others(self, descriptors: Descriptors, mountpoints: Mountpoints) -> Ears {
        Ears { descriptors, mountpoints, ..self }
    }

    /// Listens to an Emperor as well.
    pub fn with_lord(self, lord: Option<Lord>) -> Ears {
        Ears { lord, ..self }
    }

    /// The pipes.
    pub fn fifos(&self) -> &Fifos {
        &self.fifos
    }

    /// Waits until something happens or is due, and says what it was. Never empty.
    pub fn wait(&mut self, office: &mut Office, listeners: &[Listener], needs: Needs) -> Vec<Event> {
        let now = clock::now().millis();
        office.jobs_mut().tick(now);
        let jobs = office.jobs().deadline(now);
        // While there is no worker there is nothing to look at.
        let sample = self.sampler.as_ref().filter(|_| !needs.knocks).map(Sampler::due);
        let deadlines = [
            needs.deadline,
            self.touched.deadline(),
            self.raises.deadline(office.area(), now),
            jobs,
            sample,
            self.lord.as_ref().and_then(Lord::deadline),
            self.alarms.due(),
            self.mountpoints.due(),
        ];
        let deadline = deadlines.into_iter().flatten().min();
        let patience_ms = deadline.map(|deadline| deadline.since(clock::now().millis()));
        let logs_due = office.logs().and_then(Logs::due).map(millis_until);
        let monitor_due = office.monitor().and_then(Monitor::due).map(millis_until);
        let late_due = self.frozen_ms.map(|_| LATE_MS);
        let hearts_due = self.pulse.look_in(now).into_iter().chain(office.herald_mut().due_in(now)).min();
        let dumps_due = office.dumps().due().map(|due| due.since(now));
        let patience_ms =
            [patience_ms, logs_due, monitor_due, late_due, hearts_due, dumps_due].into_iter().flatten().min();
        let mut fds: Vec<BorrowedFd<'_>> = vec![self.signals.as_fd(), office.notify().as_fd()];
        fds.extend(office.control().into_iter().flat_map(|control| control.fds()));
        fds.extend(office.logs().map(|logs| logs.fd()));
        fds.push(office.dumps().fd());
        fds.extend(self.touched.fd());
        fds.extend(self.raises.fd());
        fds.extend(self.fifos.fd());
        fds.extend(self.descriptors.fds());
        fds.extend(self.mountpoints.fd());
        fds.extend(self.lord.as_ref().and_then(Lord::fd));
        fds.extend(office.channels().map(AsFd::as_fd));
        fds.extend(listeners.iter().filter(|_| needs.knocks).map(AsFd::as_fd));
        if let Err(error) = event::readable(&fds, patience_ms) {
            // Nothing can be done about it, and going on without a pause would only burn the processor.
            crate::log!("[uwring] master: poll: {error} {}", errors::MASTER);
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        office.pass_stacks_on();
        let mut events = self.gather(office);
        if needs.knocks && clients_wait(listeners) {
            events.push(Event::Knocked);
        }
        let sample = self.sampler.as_mut().and_then(|sampler| sampler.look(office.area(), listeners));
        events.extend(sample.map(Event::Sampled));
        self.alarms.look_at_lines(listeners, clock::now().millis());
        if let Some(view) = office.view() {
            self.alarms.look_at_metrics(view, clock::now().millis());
        }
        events.push(Event::Tick);
        events
    }

    /// Looks whether the other processes move, and tells the service manager, when it is time to.
    pub fn listen_for_hearts(
        &mut self,
        office: &mut Office,
        listeners: &[Listener],
        summary: &Summary,
    ) -> Vec<Event> {
        let now = clock::now().millis();
        let patience_ms = office.herald_mut().patience_ms();
        let templates: &[u32] = if summary.paused { &[] } else { &summary.templates };
        let waiting = || clients_wait(listeners);
        let found = self.pulse.look(office.area(), templates, waiting, self.threads, patience_ms, now);
        let mut events = Vec::new();
        if let Some(found) = found {
            for number in found.poked {
                // A bell that cannot be rung has rung already.
                let _ = office.ring(number);
            }
            office.herald_mut().saw(found.workers, found.getting_on, now);
            // Ctrl-Z in a terminal stops everybody.
            if !summary.paused {
                events.extend(found.silent.into_iter().map(|pid| Event::Silent { pid }));
            }
        }
        office.herald_mut().feed(now);
        events
    }

    /// Everything is looked at each time, whatever woke us: few things, and no order among them to get wrong.
    /// One matters: a process's end is taken from the kernel before the templates' reports are read. So what the
    /// template said before it died is known when its death is.
    fn gather(&mut self, office: &mut Office) -> Vec<Event> {
        let wishes: Vec<Event> = std::iter::from_fn(|| self.signals.next()).filter_map(wish_of).collect();
        let now = clock::now().millis();
        let ended: Vec<Event> = std::iter::from_fn(process::reap)
            .filter_map(|(pid, status)| match office.jobs_mut().ended(pid, status, now) {
                Ended::Foreign => Some(Event::Exited { pid, status }),
                Ended::Ours => None,
                Ended::Control => {
                    crate::log!("a control daemon has ended: so does the server {}", errors::CONTROL_DAEMON);
                    Some(Event::Wished(Wish::Stop))
                }
            })
            .collect();
        let mut events: Vec<Event> =
            office.reports().into_iter().map(|(generation, report)| event_of(generation, report)).collect();
        events.extend(ready_workers(office));
        events.extend(tired_workers(office));
        events.extend(self.frozen_ms.into_iter().flat_map(|ms| frozen_workers(office, ms)));
        events.extend(ended);
        tell_logs(office, &mut events);
        if let Some(monitor) = office.monitor_mut() {
            monitor.restart();
            events.retain(|event| !matches!(event, Event::Exited { pid, .. } if monitor.ended(*pid)));
        }
        events.retain(|event| !matches!(event, Event::Exited { pid, .. } if self.mountpoints.ended(*pid)));
        office.show_jobs();
        events.extend(wishes);
        events.extend(office.area().take_asked().map(|ask| Event::Wished(wish_of_application(ask))));
        let asked = office.control_mut().map(|control| control.requests()).unwrap_or_default();
        events.extend(asked.into_iter().map(|(client, request)| Event::Asked { client, request }));
        self.raises.look(office, clock::now().millis());
        let touched = self.touched.changed(clock::now().millis());
        events.extend(touched.into_iter().map(|(path, what)| Event::Touched { path, what }));
        events.extend(self.letters(office));
        events.extend(self.lord_says(office));
        events.extend(self.read_descriptors());
        let lost = self.mountpoints.look(clock::now().millis());
        events.extend(lost.map(|(path, why)| Event::Lost { path, why }));
        self.alarms.look(&events, clock::now().millis());
        events
    }

    /// What descriptors that can be read lead to.
    fn read_descriptors(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for on in self.descriptors.look() {
            let Some(alarm) = on.alarm else {
                crate::logging::line(&lines::fd_ready(on.fd, &on.message));
                events.push(Event::Wished(Wish::Reload));
                continue;
            };
            let message = if on.message.is_empty() { format!("fd {} ready", on.fd) } else { on.message };
            self.alarms.raise(&[alarm], &message, clock::now().millis());
        }
        events
    }

    /// What the Emperor wants, told meanwhile how this server fares.
    fn lord_says(&mut self, office: &Office) -> Vec<Event> {
        let Some(lord) = &mut self.lord else { return Vec::new() };
        let serves = office.area().slots().any(|slot| slot.state() == Doing::Ready);
        lord.attend(serves, office.area().total_requests(), clock::now().millis())
    }

    /// What came by `master-fifo`.
    fn letters(&mut self, office: &Office) -> Vec<Event> {
        let mut events = Vec::new();
        for byte in self.fifos.read() {
            match fifo::letter(byte) {
                Letter::Wish(wish) => events.push(Event::Wished(wish)),
                Letter::Log(order) => match office.logs() {
                    Some(logs) => logs.order(order),
                    None => crate::log!("[uwring] master-fifo: only with log-master is the log opened anew"),
                },
                Letter::Pidfiles => events.push(Event::PidfilesWanted),
                Letter::Slot(slot) => {
                    if let Err(error) = self.fifos.choose(slot) {
                        crate::log!("[uwring] master-fifo: {error} {}", errors::FIFO);
                    }
                }
                Letter::Blank => {}
                Letter::Foreign => {
                    crate::log!(
                        "[uwring] master-fifo: command {:?} is not offered {}",
                        char::from(byte),
                        errors::FIFO
                    );
                }
                Letter::Unknown => {
                    crate::log!(
                        "[uwring] master-fifo: nobody knows command {:?} {}",
                        char::from(byte),
                        errors::FIFO
                    );
                }
            }
        }
        events
    }
}

/// The log process takes the pipes of new processes, and forgets those that ended. That it ended itself is no
/// event for anybody else.
fn tell_logs(office: &mut Office, events: &mut Vec<Event>) {
    let Some(logs) = office.logs_mut() else { return };
    logs.take_pipes();
    logs.restart();
    events.retain(|event| match event {
        Event::Exited { pid, .. } => !logs.ended(*pid),
        _ => true,
    });
}

fn millis_until(due: Instant) -> u64 {
    let left = due.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX) + 1
}

fn wish_of(signal: Signal) -> Option<Event> {
    let wish = match signal {
        Signal::SIGHUP => Wish::Reload,
        Signal::SIGTERM | Signal::SIGQUIT => Wish::Stop,
        Signal::SIGINT => Wish::StopNow,
        Signal::SIGUSR1 => Wish::Totals,
        Signal::SIGTSTP => Wish::Pause,
        Signal::SIGTTIN => Wish::Workers(Change::More(1)),
        Signal::SIGTTOU => Wish::Workers(Change::Fewer(1)),
        // Somebody's habit (a terminal's new size, uWSGI's worker signals): the default would end us.
        _ => return None,
    };
    Some(Event::Wished(wish))
}

fn wish_of_application(ask: Ask) -> Wish {
    match ask {
        Ask::Reload => Wish::Reload,
        Ask::Stop => Wish::Stop,
    }
}

fn event_of(generation: u32, report: Report) -> Event {
    match report {
        Report::Ready => Event::TemplateReady { generation },
        Report::Forked { worker, pid } => Event::Forked { generation, worker, pid },
        Report::ForkFailed { worker, errno } => {
            Event::NotForked { generation, worker, why: io::Error::from_raw_os_error(errno).to_string() }
        }
        Report::Exited { pid, status } => Event::Exited { pid, status },
    }
}

/// Workers that want to be replaced.
fn tired_workers(office: &Office) -> Vec<Event> {
    let tired = |slot: &WorkerSlot| Some(Event::Tired { pid: slot.process(), why: slot.tired()? });
    office.area().slots().filter_map(tired).collect()
}

/// Workers that are in a late request and do not even ask to be replaced: stopped, or worse.
fn frozen_workers(office: &Office, late_ms: u64) -> Vec<Event> {
    let (area, now) = (office.area(), clock::now().millis());
    let late = |number: u32| {
        let mut busy = area.cores_of(number).filter_map(|(_, core)| core.busy()?.deadline);
        busy.any(|deadline| deadline.after(late_ms) <= now)
    };
    let frozen = |number: &u32| {
        let slot = area.slot(*number);
        slot.process() != 0 && slot.tired().is_none() && late(*number)
    };
    (1..=area.slot_count())
        .filter(frozen)
        .map(|number| Event::Frozen { pid: area.slot(number).process() })
        .collect()
}

/// Workers that serve, by their own word. The state machine forgets those it knew.
fn ready_workers(office: &Office) -> Vec<Event> {
    office.notify_taken();
    let serves = |doing| matches!(doing, Doing::Ready | Doing::Draining);
    let slots = office.area().slots().filter(|slot| serves(slot.state()));
    slots.map(|slot| Event::Ready { pid: slot.process() }).collect()
}

/// Whether somebody waits to be accepted.
fn clients_wait(listeners: &[Listener]) -> bool {
    listeners.iter().any(|listener| net::is_readable(listener.as_raw_fd()))
}
