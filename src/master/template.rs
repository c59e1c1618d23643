//! The generation process: an interpreter that loads the application once, then forks workers when the master says
//! so, and reports them and their ends. It runs nothing else, so a fork of it is a worker that is ready in
//! no time, however long the application took to import.
//!
//! ```text
//!  load ── Ready ──► wait ── Fork ──► fork ── parent: Forked ──► wait
//!   │                 │  ▲              └──── child: a worker, to its end
//!   │ failed          │  └── a worker ended: Exited
//!   ▼                 ▼ the channel ends
//!  exit 22 or 1      exit 0
//! ```

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::channel::{Heard, Order, Report, TemplateEnd};
use super::seat::{self, Taken, attach, follow};
use super::shared::Shared;
use super::{startup, titles};
use crate::options::hooks::Moment;
use crate::options::settings::Settings;
use crate::plugin::office::Office;
use crate::plugin::{Plugin, host};
use crate::shared::area::Area;
use crate::shared::seen::AppCard;
use crate::sys::process::{self, Fork};
use crate::sys::shell;
use crate::sys::socket::Listener;
use crate::sys::{event, signals, title, trim};
use crate::worker::{self, Plan, office, relay};

/// How often children are looked at where the kernel gives no descriptor for them, milliseconds.
const LOOK_MS: u64 = 200;
/// After so long without an order what only loading needed is given back, milliseconds.
const CALM_MS: u64 = 1_000;
/// The process could not be made a template.
const EXIT_FAILED: i32 = 1;
/// `need-app`: there is no application.
const EXIT_NO_APP: i32 = 22;

/// Becomes the template in this interpreter, with what the master has left in the descriptor of number `seat`. The
/// result is the process's exit code: that of a template, or of the worker which a fork of it has become.
pub fn run(seat: i32, plugin: Plugin) -> i32 {
    let seat = match seat::find(seat) {
        Ok(seat) => seat,
        Err(cause) => {
            crate::log!("[uwring] template: cannot take over from the master: {cause}");
            return EXIT_FAILED;
        }
    };
    match prepare(&seat).and_then(|()| load_application(&seat, plugin)).and_then(|()| settle(&seat)) {
        Ok(()) => serve(seat, plugin),
        Err(code) => code,
    }
}

/// The process itself, before anything of the application is in it.
fn prepare(seat: &Taken) -> Result<(), i32> {
    if let Err(cause) = signals::sleep_through() {
        crate::log!("[uwring] template: signals: {cause}");
        return Err(EXIT_FAILED);
    }
    // As the server was started, not as the interpreter was.
    title::show(&seat.argv);
    titles::set(&seat.settings.process, "template");
    shell::choose(&seat.settings.process.shells);
    if seat.settings.process.no_orphans {
        follow(seat.master_pid);
    }
    Ok(())
}

fn load_application(seat: &Taken, plugin: Plugin) -> Result<(), i32> {
    let (settings, shared) = (&seat.settings, &seat.shared);
    let desk = Desk {
        area: Arc::clone(&shared.area),
        notify: Arc::clone(&shared.notify),
        master_pid: seat.master_pid,
        generation: seat.generation,
        place: Arc::clone(&shared.place),
    };
    // The plugin keeps both as long as the process lives.
    let desk: &'static Desk = Box::leak(Box::new(desk));
    desk.area.cards_of(seat.generation).for_each(AppCard::clear);
    let signals = desk.area.signals(seat.generation);
    signals.begin(seat.generation);
    for (signal, cause) in &settings.process.raises {
        if let Err(why) = signals.add(*signal, cause) {
            crate::log!("[uwsgi-signal] signal {signal}: nothing raises it, {why:?}: {cause:?}");
        }
    }
    let api: &'static _ = Box::leak(Box::new(host::api(desk, 0)));
    plugin.start(api, settings).map_err(|refused| {
        crate::log!("{refused}");
        EXIT_FAILED
    })?;
    let hook = |moment: Moment| {
        let stopped = |error: startup::Error| {
            crate::log!("{error}");
            error.code()
        };
        startup::hook(&settings.process.hooks, moment).map_err(stopped)
    };
    if settings.process.lazy_apps {
        return Ok(());
    }
    hook(Moment::PreApp)?;
    if plugin.load() <= 0 && settings.process.need_app {
        return Err(EXIT_NO_APP);
    }
    hook(Moment::PostApp)
}

/// `master-as-root`: nothing needs the rights of root any more.
fn settle(seat: &Taken) -> Result<(), i32> {
    let process = &seat.settings.process;
    if !process.master_as_root {
        return Ok(());
    }
    let given_up = startup::give_up(process).and_then(|()| startup::hook(&process.hooks, Moment::AsUser));
    given_up.map_err(|error| {
        crate::log!("{error}");
        error.code()
    })?;
    // Who becomes another hears no more of a parent's end.
    if process.no_orphans {
        follow(seat.master_pid);
    }
    Ok(())
}

/// What the application may ask for while it is imported.
struct Desk {
    area: Arc<Area>,
    notify: Arc<OwnedFd>,
    master_pid: u32,
    generation: u32,
    place: Arc<File>,
}

impl Office for Desk {
    fn log(&self, line: &[u8]) {
        crate::logging::line(&String::from_utf8_lossy(line));
    }

    fn control(&self, what: u32, arg: u64) -> i64 {
        if what == uwring_abi::CONTROL_GENERATION {
            return i64::from(self.generation);
        }
        if what == uwring_abi::CONTROL_PLACE {
            return i64::from(self.place.as_raw_fd());
        }
        if what == uwring_abi::CONTROL_LEDGER {
            return office::ledger(&self.area, self.area.ledger_of_template(self.generation), arg);
        }
        office::control(&self.area, self.notify.as_raw_fd(), self.master_pid, 0, what, arg)
    }

    fn loaded(&self, app: u32, mountpoint: &[u8], seconds: u64) {
        office::loaded(&self.area, self.generation, app, mountpoint, seconds);
    }

    fn cache(&self, call: &host::CacheCall<'_>) -> (i64, Vec<Vec<u8>>) {
        office::cache(&self.area, call)
    }

    fn metric(&self, what: u32, name: &[u8], number: i64) -> i64 {
        office::metric(&self.area, what, name, number)
    }

    fn signal(&self, call: &host::SignalCall<'_>) -> i64 {
        // Whoever sends one here does so before there are workers: they look when they begin to serve.
        let wake = || drop(event::signal(self.notify.as_raw_fd()));
        worker::raised::common(&self.area, self.generation, call, wake).0
    }
}

fn serve(seat: Taken, plugin: Plugin) -> i32 {
    let Taken { generation, channel, shared, listeners, tls, settings, master_pid, .. } = seat;
    let template_pid = std::process::id();
    let relay = relay(&settings);
    let birth = Birth { plugin: &plugin, shared: &shared, generation };
    let worker = match (Nursery { channel, children: Vec::new(), calm: false }).run(&birth) {
        Over::Dismissed => return 0,
        Over::Worker(worker) => worker,
    };
    // A worker now; what only the template needed is dropped.
    let slot = shared.area.slot_number(worker, generation);
    let is_first = shared.area.is_first(worker, generation);
    shared.area.slot(slot).occupy(generation);
    let seat = worker;
    let worker = shared.area.id_of(seat);
    attach(worker);
    titles::set(&settings.process, &format!("worker {worker}"));
    if settings.process.no_orphans {
        follow(template_pid);
    }
    let Shared { area, life, notify, stacks, place, bells } = shared;
    let mapped = |listener: &Listener| settings.sockets.is_for(listener.index, worker);
    let listeners = listeners.into_iter().filter(mapped).collect();
    let settings = Arc::new(settings);
    worker::run(Plan {
        id: worker,
        is_first,
        settings,
        listeners,
        area,
        slot,
        bells,
        relay,
        life,
        notify,
        stacks,
        place,
        plugin,
        master_pid,
        tls,
    })
}

/// What workers hand requests to each other by, where there are several and all have the same sockets.
fn relay(settings: &Settings) -> Option<relay::Sockets> {
    if settings.process.processes < 2 || !settings.sockets.map.is_empty() {
        return None;
    }
    relay::Sockets::new()
        .inspect_err(|error| crate::log!("[uwring] socketpair: {error}; requests wait where they are"))
        .ok()
}

/// What goes on around a fork.
trait Around {
    fn before(&self);
    fn in_parent(&self);
    /// Signals still wait.
    fn in_child(&self, worker: u32);
}

/// For a real worker: the interpreter's hooks, and a worker's signal handlers.
struct Birth<'a> {
    plugin: &'a Plugin,
    shared: &'a Shared,
    generation: u32,
}

impl Around for Birth<'_> {
    fn before(&self) {
        self.plugin.before_fork();
    }

    fn in_parent(&self) {
        self.plugin.after_fork_parent();
    }

    fn in_child(&self, worker: u32) {
        let bell = self.shared.bell(self.shared.area.slot_number(worker, self.generation));
        if let Err(cause) = signals::handle_in_worker(bell.as_raw_fd()) {
            crate::log!("[uwring] worker {worker}: signals: {cause}");
        }
        self.plugin.after_fork_child();
    }
}

/// Why [`Nursery::run`] returned.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    /// The master has let go.
    Dismissed,
    /// This process is worker so-and-so now.
    Worker(u32),
}

struct Child {
    pid: u32,
    /// Readable once it ended.
    pidfd: Option<OwnedFd>,
}

/// Where workers are born.
struct Nursery {
    channel: TemplateEnd,
    children: Vec<Child>,
    /// Nothing was to be done for a while: what loading needed has been let go.
    calm: bool,
}

impl Nursery {
    fn run(mut self, around: &impl Around) -> Over {
        // Workers begin with what is left.
        trim::free_heap();
        // Where the master is gone, the next look at the channel says so.
        let _ = self.channel.report(Report::Ready);
        loop {
            self.wait();
            self.report_ended();
            match self.channel.hear() {
                Heard::Nothing => {}
                Heard::Dismissed => return Over::Dismissed,
                Heard::Order(Order::Fork { worker }) => {
                    if self.fork(worker, around) == Side::Worker {
                        return Over::Worker(worker);
                    }
                }
            }
        }
    }

    fn wait(&mut self) {
        let unwatched = self.children.iter().any(|child| child.pidfd.is_none());
        let look = if unwatched { Some(LOOK_MS) } else { (!self.calm).then_some(CALM_MS) };
        let pidfds = self.children.iter().filter_map(|child| child.pidfd.as_ref());
        let fds: Vec<BorrowedFd<'_>> =
            std::iter::once(self.channel.as_fd()).chain(pidfds.map(AsFd::as_fd)).collect();
        match event::readable(&fds, look) {
            Ok(ready) if !self.calm && !ready.contains(&true) => {
                self.calm = true;
                trim::drop_text();
            }
            Ok(_) => {}
            Err(cause) => {
                crate::log!("[uwring] template: poll: {cause}");
                std::thread::sleep(std::time::Duration::from_millis(LOOK_MS));
            }
        }
    }

    /// The report goes first: once the child is reaped, its number may be another's.
    fn report_ended(&mut self) {
        let channel = &self.channel;
        self.children.retain(|child| match process::peek(child.pid) {
            None => true,
            Some(status) => {
                let _ = channel.report(Report::Exited { pid: child.pid, status });
                process::bury(child.pid);
                false
            }
        });
    }

    /// Signals wait meanwhile: the child gets those meant for it once it has a worker's handlers.
    fn fork(&mut self, worker: u32, around: &impl Around) -> Side {
        let held = signals::Meanwhile::held();
        around.before();
        let forked = process::fork_among_threads();
        if matches!(forked, Ok(Fork::Child)) {
            around.in_child(worker);
            drop(held);
            return Side::Worker;
        }
        around.in_parent();
        let report = match forked {
            Ok(Fork::Parent(pid)) => {
                self.children.push(Child { pid, pidfd: process::pidfd(pid).ok() });
                Report::Forked { worker, pid }
            }
            Ok(Fork::Child) => unreachable!("it has returned above"),
            Err(cause) => {
                let errno = cause.raw_os_error().unwrap_or(crate::sys::errno::EAGAIN);
                Report::ForkFailed { worker, errno }
            }
        };
        let _ = self.channel.report(report);
        Side::Template
    }
}

/// Who comes back from [`Nursery::fork`].
#[derive(PartialEq, Eq)]
enum Side {
    Template,
    Worker,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::master::channel::{self, MasterEnd};
    use crate::sys::process::{Status, exit_now, fork_among_threads};

    struct Quiet;

    impl Around for Quiet {
        fn before(&self) {}
        fn in_parent(&self) {}
        fn in_child(&self, _: u32) {}
    }

    /// A nursery in a process of its own, whose workers end with their number as exit code.
    fn nursery() -> (MasterEnd, u32) {
        let (master, template) = channel::pair().expect("a channel");
        match fork_among_threads().expect("forked") {
            Fork::Parent(pid) => (master, pid),
            Fork::Child => {
                drop(master);
                match (Nursery { channel: template, children: Vec::new(), calm: false }).run(&Quiet) {
                    Over::Dismissed => exit_now(0),
                    Over::Worker(number) => exit_now(number.cast_signed()),
                }
            }
        }
    }

    fn next(master: &MasterEnd, read: &mut Vec<Report>) -> Report {
        while read.is_empty() {
            assert_eq!(event::readable(&[master.as_fd()], Some(5_000)).expect("polled"), [true]);
            assert!(master.read(read), "the template is gone");
        }
        read.remove(0)
    }

    #[test]
    fn workers_are_born_and_their_ends_reported() {
        let (master, template) = nursery();
        let mut read = Vec::new();
        assert_eq!(next(&master, &mut read), Report::Ready);
        for worker in [3, 4] {
            master.order(Order::Fork { worker }).expect("sent");
            let Report::Forked { worker: born, pid } = next(&master, &mut read) else { panic!("no worker") };
            assert_eq!(born, worker);
            let status = Status::Exited(worker.cast_signed());
            assert_eq!(next(&master, &mut read), Report::Exited { pid, status });
        }
        drop(master);
        while process::peek(template).is_none() {
            std::thread::yield_now();
        }
        assert_eq!(process::peek(template), Some(Status::Exited(0)));
        process::bury(template);
    }
}
