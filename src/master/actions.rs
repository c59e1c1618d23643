//! Acting: what the state machine decided becomes system calls. Nothing here decides, and nothing here fails the
//! master: what cannot be done is logged, or comes back as an [`Event`].

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::channel::{self, MasterEnd, Order, Report, TemplateEnd};
use super::dumps::Dumps;
use super::ending;
use super::handover::{Image, OfficeLeft};
use super::herald::Herald;
use super::jobs::{self, Jobs};
use super::lines;
use super::logs::Logs;
use super::monitor::Monitor;
use super::processes::Processes;
use super::shared::Shared;
use super::state::{Action, Command, Event};
use crate::base::clock;
use crate::base::errors;
use crate::control::server::{ClientId, Server};
use crate::control::words::Answer;
use crate::hooks::Stop;
use crate::logging::relay::process::Setup;
use crate::shared::area::Area;
use crate::stats::snapshot::View;
use crate::sys::exec::{self, Handed};
use crate::sys::process::{self, Fork};
use crate::sys::shell;
use crate::sys::signals::{self, Signal};
use crate::sys::{cgroup, event, memory, packets, trim};

/// What came of an action.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Done,
    /// It is done, and this happened.
    Event(Event),
    /// The server ends.
    Exit(i32),
    /// The pidfiles are to be written anew.
    Pidfiles,
    /// The program was replaced: the master becomes the new one, and starts the template of this generation then.
    Replace {
        /// Which.
        generation: u32,
    },
    /// This process is the new template: everything of the master's is to be dropped.
    Template {
        /// Which.
        generation: u32,
        /// Its end of the channel.
        channel: TemplateEnd,
    },
}

/// The master's hands.
#[derive(Debug)]
pub struct Office {
    pub(super) shared: Shared,
    /// Closed by the master's end, whatever it dies of: that is what it is for.
    far_life: OwnedFd,
    channels: HashMap<u32, MasterEnd>,
    processes: Processes,
    pub(super) control: Option<Server>,
    dumps: Dumps,
    /// Daemons and cron jobs.
    jobs: Jobs,
    logs: Option<Logs>,
    monitor: Option<Monitor>,
    pub(super) view: Option<View>,
    image: Image,
    herald: Herald,
    /// Another program lies in the place of this one, and could not take over: this one does the next thing.
    stays: bool,
}

impl Office {
    /// Makes what is shared with the other processes but the area.
    pub fn new(area: Area, control: Option<Server>, logs: Option<Logs>, image: Image) -> io::Result<Office> {
        let (near, far) = packets::life_line()?;
        let bells = (0..area.slot_count()).map(|_| event::new().map(Arc::new)).collect::<io::Result<_>>()?;
        let notify = Arc::new(event::new()?);
        let (dumps, stacks) = Dumps::new()?;
        let place = Arc::new(exec::memory_log("uwring-place")?);
        let shared = Shared { area: Arc::new(area), bells, life: Arc::new(near), notify, stacks, place };
        Ok(Office {
            shared,
            far_life: far,
            channels: HashMap::new(),
            processes: Processes::default(),
            control,
            dumps,
            jobs: Jobs::default(),
            logs,
            monitor: None,
            view: None,
            image,
            herald: Herald::new(clock::now().millis()),
            stays: false,
        })
    }

    /// What the next program of this process needs to go on.
    pub fn hand_over(&self) -> OfficeLeft {
        let Shared { area, bells, life, notify, stacks, place } = &self.shared;
        let (near, dumps) = self.dumps.hand_over();
        let jobs::Left { daemons, crons, commands } = self.jobs.hand_over(clock::now().millis());
        OfficeLeft {
            area: area.hand_over(),
            bells: bells.iter().map(|bell| Handed::of(&**bell)).collect(),
            life: Handed::of(&**life),
            far_life: Handed::of(&self.far_life),
            notify: Handed::of(&**notify),
            stacks: [near, Handed::of(&**stacks)],
            place: Some(Handed::of(&**place)),
            dumps,
            channels: self.channels.iter().map(|(number, end)| (*number, end.hand_over())).collect(),
            control: self.control.as_ref().map(Server::hand_over),
            daemons: daemons.running,
            leaving: daemons.leaving,
            crons,
            commands,
            logs: self.logs.as_ref().map(Logs::hand_over),
            monitor: self.monitor.as_ref().map(Monitor::hand_over),
        }
    }

    /// Goes on where the program before has left. `pids` are the processes it knew.
    /// `logs` would make another log process.
    pub fn take_over(
        left: OfficeLeft,
        logs: Option<Setup>,
        image: Image,
        pids: &[u32],
    ) -> io::Result<Office> {
        let OfficeLeft {
            area,
            bells,
            life,
            far_life,
            notify,
            stacks,
            place,
            dumps: waiting,
            channels,
            control,
            logs: logs_left,
            ..
        } = left;
        let [dumps, stacks] = stacks;
        // First of all: whatever happens, it can be said then.
        let logs = logs_left.map(|left| Logs::take_over(left, logs)).transpose()?;
        let bells = bells.into_iter().map(|bell| bell.take().map(Arc::new)).collect::<io::Result<_>>()?;
        let shared = Shared {
            area: Arc::new(Area::take_over(area)?),
            bells,
            life: Arc::new(life.take()?),
            notify: Arc::new(notify.take()?),
            stacks: Arc::new(stacks.take()?),
            place: Arc::new(match place {
                Some(place) => File::from(place.take()?),
                None => exec::memory_log("uwring-place")?,
            }),
        };
        let channels = channels.into_iter().map(|(number, end)| Ok((number, MasterEnd::take_over(end)?)));
        let mut office = Office {
            shared,
            far_life: far_life.take()?,
            channels: channels.collect::<io::Result<_>>()?,
            processes: Processes::default(),
            control: control.map(Server::take_over).transpose()?,
            dumps: Dumps::take_over(dumps, waiting)?,
            jobs: Jobs::default(),
            logs,
            monitor: None,
            view: None,
            image,
            herald: Herald::new(clock::now().millis()),
            stays: false,
        };
        pids.iter().for_each(|pid| office.processes.remember(*pid));
        Ok(office)
    }

    /// The new program could not take over: the template of the reload is this program's.
    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// Daemons and cron jobs.
    pub fn jobs(&self) -> &Jobs {
        &self.jobs
    }

    /// Daemons and cron jobs, to be gone on with.
    pub fn jobs_mut(&mut self) -> &mut Jobs {
        &mut self.jobs
    }

    /// Says in the shared area how daemons and cron jobs are.
    pub fn show_jobs(&mut self) {
        let changed = self.jobs.take_changed();
        let mut jobs = self.jobs.all();
        for slot in (0..).map_while(|index| self.shared.area.job(index)) {
            let job = jobs.next();
            if changed {
                slot.put(job.map(|(job, _)| job));
            }
            let Some((_, standing)) = job else { continue };
            slot.pid.store(standing.pid, Ordering::Relaxed);
            slot.starts.store(standing.starts, Ordering::Relaxed);
            slot.started_on.store(standing.started_on, Ordering::Relaxed);
        }
    }

    /// The monitor, for what happens to it.
    pub fn monitor_mut(&mut self) -> Option<&mut Monitor> {
        self.monitor.as_mut()
    }

    /// The monitor.
    pub fn monitor(&self) -> Option<&Monitor> {
        self.monitor.as_ref()
    }

    /// What there is to see.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// From now on this is the monitor, and this is what there is to see.
    pub fn set_monitor(&mut self, monitor: Option<Monitor>, view: View) {
        (self.monitor, self.view) = (monitor, Some(view));
    }

    /// How this program was started.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// The shared area.
    pub fn area(&self) -> &Area {
        &self.shared.area
    }

    /// The same, to be kept.
    pub fn shared_area(&self) -> Arc<Area> {
        Arc::clone(&self.shared.area)
    }

    /// The master's bell, for waiting.
    pub fn notify(&self) -> &OwnedFd {
        &self.shared.notify
    }

    /// Stills the bell.
    pub fn notify_taken(&self) {
        event::take(&self.shared.notify);
    }

    /// What clients wait for that want to see stacks.
    pub fn dumps(&self) -> &Dumps {
        &self.dumps
    }

    /// Hands on the stacks that have come.
    pub fn pass_stacks_on(&mut self) {
        for (client, stacks) in self.dumps.collect(clock::now().millis()) {
            if let Some(control) = &mut self.control {
                control.answer(client, &stacks);
            }
        }
    }

    /// The control socket, for waiting.
    pub fn control(&self) -> Option<&Server> {
        self.control.as_ref()
    }

    /// The log process.
    pub fn logs(&self) -> Option<&Logs> {
        self.logs.as_ref()
    }

    /// The log process, for what happens to it.
    pub fn logs_mut(&mut self) -> Option<&mut Logs> {
        self.logs.as_mut()
    }

    /// The control socket, for what was asked there.
    pub fn control_mut(&mut self) -> Option<&mut Server> {
        self.control.as_mut()
    }

    /// The templates' channels, for waiting.
    pub fn channels(&self) -> impl Iterator<Item = &MasterEnd> {
        self.channels.values()
    }

    /// What the templates have reported, with their generations. Channels that ended are forgotten.
    pub fn reports(&mut self) -> Vec<(u32, Report)> {
        let mut all = Vec::new();
        let mut read = Vec::new();
        self.channels.retain(|generation, channel| {
            let open = channel.read(&mut read);
            all.extend(read.drain(..).map(|report| (*generation, report)));
            open
        });
        for (_, report) in &all {
            if let Report::Forked { pid, .. } = report {
                self.processes.remember(*pid);
            }
        }
        all
    }

    /// Who tells the service manager.
    pub fn herald_mut(&mut self) -> &mut Herald {
        &mut self.herald
    }

    /// Wakes the ring thread of slot `number`: there is something to read in the shared area.
    pub fn ring(&self, number: u32) -> io::Result<()> {
        event::signal(self.shared.bell(number).as_raw_fd())
    }

    /// What a template keeps of this, when the rest is dropped.
    pub fn into_shared(self) -> Shared {
        self.shared
    }

    /// Does it.
    pub fn perform(&mut self, action: Action) -> Outcome {
        match action {
            Action::StartTemplate { generation } => return self.start_template(generation),
            Action::Weigh { generation, pid } => {
                let (resident, limit) = (memory::resident_of(pid), cgroup::limits().memory);
                return Outcome::Event(Event::Weighed { generation, resident, limit });
            }
            Action::Fork { generation, worker } => return self.fork(generation, worker),
            Action::Tell { generation, worker, command } => self.tell(generation, worker, command),
            Action::Kill { pid } => self.processes.kill(pid),
            Action::Locate { pid } => self.locate(pid),
            Action::Located { generation } => {
                let stack = self.shared.place();
                return Outcome::Event(Event::Located { generation, stack });
            }
            Action::Dismiss { generation } => drop(self.channels.remove(&generation)),
            Action::Bury { pid, crashed } => self.bury(pid, crashed),
            Action::Announce => {
                self.herald.announce();
                trim::free_heap();
                trim::drop_text();
            }
            Action::Serve { generation } => {
                let before = self.shared.area.serving();
                self.shared.area.set_serving(generation);
                for number in self.shared.area.forward_signals(before, generation) {
                    // A bell that cannot be rung has rung already.
                    let _ = self.ring(number);
                }
                self.jobs.reload(generation, clock::now().millis());
            }
            Action::Say(line) => crate::logging::line(&line),
            Action::Totals => self.totals(),
            Action::Pause(paused) => self.pause(paused),
            Action::Dump { client, pid } => self.dump(client, pid),
            Action::Drain(draining) => self.shared.area.set_draining(draining),
            Action::Run(command) => {
                if let Err(error) = shell::start(&command, shell::Manner::default()) {
                    crate::log!("[uwring] master: {error} {}", errors::MASTER);
                }
            }
            Action::Hook(action) => match self.jobs.hook(&action) {
                Ok(()) => {}
                Err(Stop::Exit(code)) => return Outcome::Exit(code),
                Err(Stop::Failed(error)) => {
                    crate::log!("[uwring] hook-touch: {error} {}", errors::HOOK_TOUCH)
                }
            },
            Action::Pidfiles => return Outcome::Pidfiles,
            Action::Answer { client, answer, keep } => self.answer(client, &answer, keep),
            Action::Report { client, picture } => self.report(client, picture),
            Action::Look { client } => self.look(client),
            Action::Hurry { seconds } => signals::die_in(seconds),
            Action::Exit(code) => return Outcome::Exit(code),
        }
        Outcome::Done
    }

    fn start_template(&mut self, generation: u32) -> Outcome {
        // For a reload: a template that is only started again belongs to workers of this program.
        let reloads = generation > self.shared.area.serving().max(1);
        if reloads && !std::mem::take(&mut self.stays) && self.image.was_replaced() {
            return Outcome::Replace { generation };
        }
        if reloads {
            self.jobs.prepare(generation);
            self.logs.iter().for_each(Logs::reload);
        }
        let failed = |cause: io::Error| {
            Outcome::Event(Event::TemplateNotForked { generation, why: format!("cannot fork: {cause}") })
        };
        let (master, template) = match channel::pair() {
            Ok(ends) => ends,
            Err(cause) => return failed(cause),
        };
        match process::fork_alone() {
            Ok(Fork::Child) => Outcome::Template { generation, channel: template },
            Ok(Fork::Parent(pid)) => {
                self.channels.insert(generation, master);
                self.processes.remember(pid);
                Outcome::Event(Event::TemplateForked { generation, pid })
            }
            Err(cause) => failed(cause),
        }
    }

    fn fork(&mut self, generation: u32, worker: u32) -> Outcome {
        self.shared.area.slot(self.shared.area.slot_number(worker, generation)).vacate();
        let sent = match self.channels.get(&generation) {
            Some(channel) => channel.order(Order::Fork { worker }),
            // The template is dying; its end is news that comes by itself.
            None => return Outcome::Done,
        };
        match sent {
            Ok(()) => Outcome::Done,
            Err(cause) => Outcome::Event(Event::NotForked {
                generation,
                worker,
                why: format!("no word to the template: {cause}"),
            }),
        }
    }

    fn tell(&self, generation: u32, worker: u32, command: Command) {
        let number = self.shared.area.slot_number(worker, generation);
        self.shared.area.slot(number).set_command(command);
        if let Err(cause) = self.ring(number) {
            crate::log!(
                "[uwring] master: cannot ring for worker {}: {cause} {}",
                self.shared.area.id_of(worker),
                errors::MASTER
            );
        }
    }

    /// Has a process write where it stands: its interpreter does, when it gets the signal.
    fn locate(&self, pid: u32) {
        match self.shared.forget_place() {
            Ok(()) => self.processes.send(pid, Signal::SIGUSR2),
            Err(cause) => crate::log!("[uwring] master: a file of memory: {cause} {}", errors::MASTER),
        }
    }

    /// The workers look at it when their bells ring.
    fn pause(&self, paused: bool) {
        self.shared.area.set_paused(paused);
        self.shared.ring_all();
    }

    fn bury(&mut self, pid: u32, crashed: Option<u32>) {
        self.processes.forget(pid);
        for lock in self.shared.area.locks().release_all_of(pid) {
            crate::log!(
                "[deadlock-detector] process {pid} died holding user lock {lock}: released {}",
                errors::LOCK_FREED
            );
        }
        let area = &self.shared.area;
        let Some(number) = area.slot_with(pid) else { return };
        let now = clock::now();
        for (thread, core) in area.cores_of(number) {
            if let (Some(id), Some(busy)) = (crashed, core.busy()) {
                let ms = now.since(busy.since) / 1000;
                crate::logging::line(&lines::died_in(id, pid, thread, &core.text(), ms));
            }
            area.keep_killed(number, thread, pid, now);
            core.clear();
        }
        if let Some(why) = ending::of(area, area.slot(number), crashed.is_some()) {
            area.instance().count_ending(why);
        }
        area.slot(number).vacate();
        // The kernel may have woken it for a client that nobody else was woken for.
        self.shared.ring_all();
    }

    fn dump(&mut self, client: ClientId, pid: u32) {
        let area = &self.shared.area;
        match area.slot_with(pid) {
            Some(number) => {
                area.slot(number).want_stacks();
                // A bell that cannot be rung has rung already.
                let _ = self.ring(number);
                self.dumps.expect(client, pid, clock::now().millis());
            }
            None => self.answer(client, &Answer::failed(format!("no worker has process id {pid}")), false),
        }
    }

    fn answer(&mut self, client: ClientId, answer: &Answer, keep: bool) {
        match &mut self.control {
            Some(control) if keep => control.answer_and_keep(client, answer),
            Some(control) => control.answer(client, answer),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
