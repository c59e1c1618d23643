//! From the master to a new generation: a fork of the master reads the configuration and becomes the chosen interpreter,
//! which finds in a file of memory what it needs to be the template.
//!
//! ```text
//!  master ── fork ──► Seat::take_up: configuration, interpreter ── exec ──► python ── plugin ──► template::run
//! ```

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::channel::TemplateEnd;
use super::jobs::plan::Plan;
use super::shared::Shared;
use super::{Reread, certificates, listeners, startup};
use crate::base::errors;
use crate::logging::relay::ports;
use crate::options::settings::{Monitor, Settings};
use crate::plugin::find::{self, Library};
use crate::shared::area::{self, Area};
use crate::sys::exec::{self, Handed};
use crate::sys::process;
use crate::sys::socket::Listener;
use crate::sys::title;
use crate::tls::Shop;

/// The process could not become a template.
const EXIT_FAILED: i32 = 1;
/// Which form the file has: the library is always that of the program, see [`Library`].
const RELEASE: &str = env!("CARGO_PKG_VERSION");

/// What the new process has when it is forked.
pub struct Seat {
    /// Which generation it is.
    pub generation: u32,
    /// Its end of the channel.
    pub channel: TemplateEnd,
    /// What it gives to the workers.
    pub shared: Shared,
    /// The same.
    pub listeners: Vec<Listener>,
    /// Certificates and keys as the master has them.
    pub tls: Option<Arc<OwnedFd>>,
    /// As the server was started; a later generation reads them again.
    pub settings: Settings,
    /// Where the daemons and cron jobs that it has found are told to the master.
    pub plan: Option<Plan>,
    /// How it reads them.
    pub reread: Reread,
    /// Where the server was started.
    pub start_dir: PathBuf,
    /// The command line, which the processes go by.
    pub argv: Vec<OsString>,
    /// The master's process id.
    pub master_pid: u32,
    /// What the interpreter loads.
    pub library: Library,
}

/// What the template has.
pub struct Taken {
    /// Which generation it is.
    pub generation: u32,
    /// Its end of the channel.
    pub channel: TemplateEnd,
    /// What it gives to the workers.
    pub shared: Shared,
    /// The same.
    pub listeners: Vec<Listener>,
    /// What HTTPS is served with.
    pub tls: Option<Arc<Shop>>,
    /// Those of this generation.
    pub settings: Settings,
    /// The command line.
    pub argv: Vec<OsString>,
    /// The master's process id.
    pub master_pid: u32,
}

/// What lies in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Left {
    release: String,
    generation: u32,
    channel: Handed,
    area: area::Left,
    bells: Vec<Handed>,
    life: Handed,
    notify: Handed,
    stacks: Handed,
    place: Handed,
    listeners: Vec<listeners::Left>,
    #[serde(default)]
    tls: Option<Handed>,
    settings: Settings,
    argv: Vec<OsString>,
    master_pid: u32,
    date: Option<String>,
    log: Option<ports::Left>,
    library: Vec<Handed>,
}

impl Seat {
    /// Becomes the template. Returns, with the exit code, only if that was not possible; the log says why.
    pub fn take_up(self) -> i32 {
        match self.prepare() {
            Ok(never) => match never {},
            Err(code) => code,
        }
    }

    fn prepare(mut self) -> Result<std::convert::Infallible, i32> {
        let failed = |what: &str, cause: &dyn std::fmt::Display| {
            crate::log!("[uwring] template: {what}: {cause}");
            EXIT_FAILED
        };
        attach(0);
        (self.settings, self.tls) = self.settings()?;
        if let Some(plan) = &self.plan {
            plan.write(&self.settings.process)
                .map_err(|cause| failed("cannot tell daemons and cron jobs", &cause))?;
        }
        let python = find::interpreter(&self.settings).map_err(|error| {
            crate::log!("{error}");
            EXIT_FAILED
        })?;
        let left = self.left();
        let file = left.write().map_err(|cause| failed("cannot leave what it needs", &cause))?;
        let seat = Handed::of(&file);
        exec::keep_open(&left.descriptors(), true)
            .and_then(|()| exec::keep_open(&[seat], true))
            .map_err(|cause| failed("cannot keep its descriptors", &cause))?;
        let room = title::bytes(&self.argv);
        let cause = find::become_python(&python, &self.settings, &self.library, seat, room);
        Err(failed(&format!("cannot run {}", python.display()), &format!("{cause} {}", errors::CANNOT_RUN)))
    }

    /// Those of the start; for a reload, as the files have them now. What was made before the first fork stays.
    fn settings(&self) -> Result<(Settings, Option<Arc<OwnedFd>>), i32> {
        if self.generation == 1 {
            return Ok((self.settings.clone(), self.tls.clone()));
        }
        let failed = |what: &str, cause: &dyn std::fmt::Display| {
            crate::log!("*** {what}: {cause} *** {}", errors::REREAD);
            EXIT_FAILED
        };
        std::env::set_current_dir(&self.start_dir)
            .map_err(|cause| failed("cannot return to the start folder", &cause))?;
        let mut new =
            (self.reread)().map_err(|cause| failed("the configuration cannot be read again", &cause))?;
        let places = &self.settings.sockets.specs;
        let wanted = if new.sockets.specs == *places { &new.sockets.tls } else { &self.settings.sockets.tls };
        let tls = certificates::again(wanted, self.tls.as_ref()).map_err(|error| failed("reload", &error))?;
        startup::enter(&new.process).map_err(|error| failed("reload", &error))?;
        let old = &self.settings;
        if new.scaling.auto && old.scaling.auto {
            new.process.processes = old.process.processes;
        }
        if new.process.processes != old.process.processes || new.sockets.specs != old.sockets.specs {
            crate::log!(
                "processes and sockets are made once: their changes need a restart {}",
                errors::NEEDS_RESTART
            );
            new.process.processes = old.process.processes;
            new.sockets = old.sockets.clone();
        }
        if new.caches != old.caches {
            crate::log!("caches are made once: their changes need a restart");
            new.caches.clone_from(&old.caches);
        }
        // The monitor goes on; workers read this one anew.
        let shown = |monitor: &Monitor| Monitor { health_checks: false, ..monitor.clone() };
        if shown(&new.monitor) != shown(&old.monitor) {
            crate::log!(
                "stats, metrics and the like are made once: their changes need a restart {}",
                errors::NEEDS_RESTART
            );
        }
        let cores = self.shared.area.cores();
        if new.process.threads > cores {
            crate::log!(
                "threads: a reload can bring no more than {cores}; more need a restart {}",
                errors::NEEDS_RESTART
            );
            new.process.threads = cores;
        }
        Ok((new, tls))
    }

    fn left(&self) -> Left {
        let Shared { area, bells, life, notify, stacks, place } = &self.shared;
        Left {
            release: RELEASE.to_owned(),
            generation: self.generation,
            channel: self.channel.hand_over(),
            area: area.hand_over(),
            bells: bells.iter().map(|bell| Handed::of(&**bell)).collect(),
            life: Handed::of(&**life),
            notify: Handed::of(&**notify),
            stacks: Handed::of(&**stacks),
            place: Handed::of(&**place),
            listeners: self.listeners.iter().map(listeners::Left::of).collect(),
            tls: self.tls.as_ref().map(|sealed| Handed::of(&**sealed)),
            settings: self.settings.clone(),
            argv: self.argv.clone(),
            master_pid: self.master_pid,
            date: crate::logging::date(),
            log: ports::hand_over(),
            library: self.library.handed(),
        }
    }
}

impl Left {
    fn write(&self) -> io::Result<File> {
        let mut file = exec::memory_file("uwring-seat")?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        Ok(file)
    }

    fn descriptors(&self) -> Vec<Handed> {
        let Left { channel, area, bells, life, notify, stacks, place, listeners, tls, log, library, .. } =
            self;
        let mut all = vec![*channel, area.file, *life, *notify, *stacks, *place];
        all.extend(library);
        all.extend(bells);
        all.extend(tls);
        all.extend(listeners.iter().map(listeners::Left::descriptor));
        all.extend(log.iter().flat_map(ports::Left::descriptors));
        all
    }
}

/// In the interpreter: takes what was left in the descriptor of that number.
pub fn find(number: i32) -> io::Result<Taken> {
    let mut file = File::from(exec::take_number(number)?);
    file.rewind()?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    #[derive(Deserialize)]
    struct Release {
        release: String,
    }
    let Release { release } = serde_json::from_str(&text)?;
    if release != RELEASE {
        let why = format!(
            "the plugin is of release {RELEASE}, the server of {release}: install both from one {}",
            errors::RELEASES
        );
        return Err(io::Error::other(why));
    }
    let left: Left = serde_json::from_str(&text)?;
    // First of all: whatever happens, it can be said then.
    left.log.map_or(Ok(()), ports::Left::take)?;
    crate::logging::set_date(left.date);
    // It is loaded, and not for what the application starts.
    for library in left.library {
        drop(library.take()?);
    }
    let bells = left.bells.into_iter().map(|bell| bell.take().map(Arc::new)).collect::<io::Result<_>>()?;
    Ok(Taken {
        generation: left.generation,
        channel: TemplateEnd::take_over(left.channel)?,
        shared: Shared {
            area: Arc::new(Area::take_over(left.area)?),
            bells,
            life: Arc::new(left.life.take()?),
            notify: Arc::new(left.notify.take()?),
            stacks: Arc::new(left.stacks.take()?),
            place: Arc::new(File::from(left.place.take()?)),
        },
        listeners: left.listeners.iter().map(listeners::Left::take).collect::<io::Result<_>>()?,
        tls: left.tls.map(|sealed| certificates::open(sealed, &left.settings.sockets.tls)).transpose()?,
        settings: left.settings,
        argv: left.argv,
        master_pid: left.master_pid,
    })
}

/// Output of its own to the log process, if there is one. Without, it goes where that of the parent goes.
pub fn attach(worker: u32) {
    if let Err(cause) = ports::attach(worker) {
        crate::log!("[uwring] no way of its own to the log: {cause} {}", errors::LOG_PROCESS);
    }
}

/// `no-orphans`.
pub fn follow(parent: u32) {
    if let Err(cause) = process::die_with_parent(parent) {
        crate::log!("[uwring] no-orphans: {cause}");
    }
}
