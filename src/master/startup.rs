//! What happens before the first fork, in order: log, banner, folder, sockets, pidfiles, privileges, shared
//! memory. Ports and pidfiles need root, the rest shall not have it. Pidfiles come after the sockets (before them
//! in uWSGI): a second start that finds its port taken must not overwrite the pidfile of the server that has it.

mod imperial;
mod place;
mod preload;
mod rights;

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificates;
use super::foreground;
use super::lines;
use super::listeners;
use super::locks::{self, Locks};
use super::logs::Logs;
use super::pidfile::{self, Kept, Vacuum};
use crate::base::engine::Kind as Engine;
use crate::base::{clock, errors};
use crate::control::monitor::{self, Door};
use crate::control::server::Server;
use crate::engine::choice::{self, Refused};
use crate::hooks::{self, Stop};
use crate::log;
use crate::logging::relay::process::{self as relay, Setup};
use crate::options::VERSION;
use crate::options::hooks::{Hook, Moment};
use crate::options::settings::{Logging, Process, Settings, is_elsewhere};
use crate::shared::area::{Area, Shape};
use crate::shared::seen::JOBS_SPARE;
use crate::shared::series::LEDGER_BYTES;
use crate::sys::identity::{self, Identity};
use crate::sys::socket::Listener;
use crate::sys::{Error as SysError, files, host, limits, process, shell};

/// Descriptors a worker needs beside its connections: files of the application, its databases.
const SPARE_FILES: u64 = 1024;

/// Interpreter threads that a reload may bring, where there are fewer at the start.
const THREADS_ROOM: u32 = 16;

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing to listen on.
    #[error("{}\n{id}", lines::NO_SOCKET, id = errors::NO_SOCKET)]
    NoSocket,
    /// The log has it already.
    #[error("the server cannot start")]
    Said(i32),
    /// A destination of the log.
    #[error("cannot open log {0}: {1} {id}", id = errors::NO_LOG)]
    Log(String, std::io::Error),
    /// Only root becomes somebody else.
    #[error("cannot set{kind}() as non-root user: start as root, or without {kind} {id}", id = errors::NOT_ROOT)]
    NotRoot {
        /// `uid` or `gid`.
        kind: &'static str,
    },
    /// It is not installed whole.
    #[error(transparent)]
    Plugin(crate::plugin::find::Error),
    /// No ring, and nothing else is wanted.
    #[error("{0} {id}", id = errors::NO_RING)]
    Engine(#[from] Refused),
    /// Certificates.
    #[error("{0} {id}", id = errors::TLS)]
    Tls(#[from] crate::tls::Error),
    /// `flock`.
    #[error("uWSGI ERROR: {} is locked by another instance {id}", .0.display(), id = errors::LOCKED)]
    Locked(PathBuf),
    /// A hook says so.
    #[error("a hook ends the server with code {0} {id}", id = errors::HOOK)]
    Exit(i32),
    /// The kernel, or a name it does not know.
    #[error("{0}{hint} {id}", hint = hint(.0), id = id(.0))]
    Sys(#[from] SysError),
}

impl Error {
    /// The exit code that it leads to.
    pub fn code(&self) -> i32 {
        match self {
            Error::Exit(code) | Error::Said(code) => *code,
            _ => 1,
        }
    }
}

/// Does the hooks of `moment`.
pub fn hook(all: &[Hook], moment: Moment) -> Result<(), Error> {
    hooks::run(all, moment).map_err(|stop| match stop {
        Stop::Exit(code) => Error::Exit(code),
        Stop::Failed(error) => Error::Sys(error),
    })
}

/// What to try, where that is known.
fn hint(error: &SysError) -> &'static str {
    let bind = matches!(error, SysError::Call { attempt: "bind", .. });
    let mount = matches!(error, SysError::Call { attempt: "mount" | "unmount", .. });
    match error.errno() {
        Some(crate::sys::errno::EPERM | crate::sys::errno::EACCES) if mount => {
            " (mounting needs root or CAP_SYS_ADMIN, which containers rarely give: mount it outside, before the start)"
        }
        Some(crate::sys::errno::EACCES) if bind => {
            " (ports below 1024 need root or CAP_NET_BIND_SERVICE, a unix socket needs a writable folder)"
        }
        Some(crate::sys::errno::EADDRNOTAVAIL) if bind => " (this machine has no such address; see freebind)",
        Some(crate::sys::errno::ENOENT) if bind => " (the folder does not exist)",
        _ => "",
    }
}

/// Its number.
fn id(error: &SysError) -> errors::Id {
    match error {
        SysError::Address { .. } => errors::ADDRESS,
        SysError::InUse { .. } => errors::IN_USE,
        SysError::Nobody { .. } => errors::NOBODY,
        SysError::Kept(_) => errors::KEPT,
        SysError::Call { attempt: "bind", .. } => errors::BIND,
        SysError::Call { .. } => errors::SYSTEM,
    }
}

/// What is made before the first fork.
#[derive(Debug)]
pub struct Prepared {
    /// The sockets.
    pub listeners: Vec<Listener>,
    /// What all processes share.
    pub area: Area,
    /// What to remove at the end.
    pub vacuum: Vacuum,
    /// Certificates and keys, sealed.
    pub tls: Option<Arc<OwnedFd>>,
    /// `flock`.
    pub locks: Locks,
    /// Where `uwring ctl` asks.
    pub control: Option<Server>,
    /// Where the server is looked at.
    pub doors: Vec<Door>,
    /// The log process.
    pub logs: Option<Logs>,
}

/// Does it all. `notes` and `warnings` are what reading the options had to say.
pub fn prepare(settings: &Settings, notes: &[String], warnings: &[String]) -> Result<Prepared, Error> {
    locks::try_early(&settings.process)?;
    let mut setup = open_log(settings)?;
    let logto2 = settings.logging.logto2.as_deref().map(|file| named_here(file, &settings.process));
    let made = make(settings, notes, warnings).and_then(|made| {
        if let Some(file) = &logto2 {
            match &mut setup {
                Some(setup) => {
                    let original = setup
                        .original()
                        .try_clone()
                        .map_err(|cause| SysError::call("copy", "standard error", cause))?;
                    *setup = open_setup(&settings.logging, Some(file), original)?;
                }
                None => log_to(&settings.logging, file)?,
            }
        }
        Ok(made)
    });
    let logs = setup.map(|setup| Logs::start(setup, settings.logging.reopen)).transpose();
    let logs = logs.map_err(|cause| SysError::call("start", "the log process", cause))?;
    match made {
        Ok(made) => Ok(Prepared { logs, ..made }),
        Err(error) => match logs {
            Some(logs) => {
                log!("{error}");
                logs.sync();
                Err(Error::Said(error.code()))
            }
            None => Err(error),
        },
    }
}

/// The part of it that an Emperor needs.
pub use imperial::prepare as prepare_emperor;
pub use place::enter;
pub use rights::give_up;

/// All of it but the log.
fn make(settings: &Settings, notes: &[String], warnings: &[String]) -> Result<Prepared, Error> {
    // Before anything that another server would notice.
    let locks = Locks::take(&settings.process)?;
    banner();
    notes.iter().chain(warnings).for_each(|line| crate::logging::line(line));
    let hooks = &settings.process.hooks;
    shell::choose(&settings.process.shells);
    if let Some(folder) = &settings.process.force_cwd {
        std::env::set_current_dir(folder)
            .map_err(|cause| SysError::call("chdir to", folder.display().to_string(), cause))?;
    }
    // As root: keys are often its alone. In the folder of the start, as in uWSGI.
    let tls = certificates::read(&settings.sockets.tls)?;
    hook(hooks, Moment::Asap)?;
    let identity = rights::wanted(&settings.process)?;
    // Named from where the server was started.
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let pidfiles: Vec<PathBuf> = settings.process.pidfiles.iter().map(absolute).collect();
    give_log_away(settings, &identity)?;
    place::before_root(&settings.process)?;
    // Before there is anything to tidy up.
    let wanted = settings.process.engine;
    if wanted == Some(Engine::IoUring) {
        choice::choose(wanted)?;
    }
    let listeners = listeners::open(&settings.sockets)?;
    let control = open_control(&settings.process, &identity)?;
    let doors = open_doors(settings)?;
    let pidfiles = write_pidfiles(&pidfiles)?;
    set_limits(&settings.process)?;
    raise_limits(settings);
    rights::give_away(settings, &identity, &listeners, &doors)?;
    for moment in [Moment::First, Moment::PreJail, Moment::PostJail] {
        hook(hooks, moment)?;
    }
    place::change_root(&settings.process)?;
    for moment in [Moment::InJail, Moment::AsRoot] {
        hook(hooks, moment)?;
    }
    if settings.process.master_as_root {
        rights::keep(&identity)?;
    } else {
        rights::drop_privileges(&identity, &settings.process.capabilities)?;
        hook(hooks, Moment::AsUser)?;
    }
    let process = &settings.process;
    let cores = process.threads.max(THREADS_ROOM);
    let area = Area::for_server(shape(settings, cores), &settings.caches, &settings.monitor)
        .map_err(|cause| SysError::call("map", "the shared area", cause))?;
    // As who the workers will be: the kernel may give the ring to root alone.
    let engine = choice::choose(wanted)?;
    let line = if engine.is_second_best { lines::engine_refused } else { lines::engine };
    log!("{}", line(engine.kind, &engine.why));
    area.instance().set_engine(engine.kind);
    log!("your mercy for graceful operations on workers is {} seconds", process.worker_reload_mercy);
    log!("{}", lines::mapped(area.bytes(), process.processes * process.threads));
    for cache in &settings.caches {
        log!("{}", lines::cache(cache));
    }
    preload::store(&area, &settings.preloads)?;
    log!("{}", lines::mode(process.processes, process.threads));
    let vacuum = Vacuum::new(pidfiles, &listeners, &doors);
    Ok(Prepared { vacuum, listeners, tls, locks, area, control, doors, logs: None })
}

/// What the shared area has room for.
fn shape(settings: &Settings, cores: u32) -> Shape {
    let process = &settings.process;
    Shape {
        workers: process.processes,
        cores,
        locks: process.locks + 1,
        caches: 0,
        cache_words: 0,
        meters: 0,
        jobs: u32::try_from(process.daemons.len() + process.crons.len() + JOBS_SPARE).unwrap_or(u32::MAX),
        heads: settings.monitor.shows_requests(),
        no_flights: settings.monitor.recorder_off,
        queries: settings.monitor.recorder_query,
        ledger_bytes: if settings.monitor.shows_application() { LEDGER_BYTES } else { 0 },
    }
}

/// Where the server is looked at.
fn open_doors(settings: &Settings) -> Result<Vec<Door>, Error> {
    let doors = monitor::open(&settings.monitor)?;
    for door in &doors {
        log!("{}", lines::door(door.role, &door.name, door.listener.as_raw_fd()));
        if let (Some(mode), Some(file)) = (settings.sockets.chmod, &door.file) {
            files::chmod(file, mode).map_err(|cause| SysError::call("chmod", &door.name, cause))?;
        }
    }
    Ok(doors)
}

/// The control socket. That nobody asked for it is no reason not to start, should it fail.
fn open_control(settings: &Process, identity: &Identity) -> Result<Option<Server>, Error> {
    let address = match settings.control_socket.as_deref() {
        Some("none") => return Ok(None),
        other => other,
    };
    match Server::open(address) {
        Ok(server) => {
            if let Some(file) = server.file() {
                let owner = if identity::is_root() { identity.user.as_ref() } else { None };
                files::chmod(file, 0o600)
                    .and_then(|()| files::chown(file, owner.map(|user| user.uid), None))
                    .map_err(|cause| SysError::call("chown", file.display().to_string(), cause))?;
            }
            Ok(Some(server))
        }
        Err(error) if address.is_none() => {
            log!("no control socket, so uwring ctl cannot be used: {error} {}", errors::NO_CONTROL);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Into the background, with the log open before: what goes wrong until then is said on the terminal. The result
/// is what the log process will be made of, where there is to be one; lines are held back then.
fn open_log(settings: &Settings) -> Result<Option<Setup>, Error> {
    let logging = &settings.logging;
    set_date(logging);
    let null = |cause| SysError::call("open", "/dev/null", cause);
    let copy = || process::stderr_copy().map_err(|cause| SysError::call("copy", "standard error", cause));
    let terminal = copy()?;
    let file = settings.process.daemonize.as_deref().or(logging.logto.as_deref());
    if let (true, Some(file)) = (logging.truncate, file.filter(|file| !is_elsewhere(file))) {
        files::truncate(Path::new(file)).map_err(|cause| SysError::call("empty log", file, cause))?;
    }
    if let Some(file) = file.filter(|file| !is_elsewhere(file)) {
        log_to(logging, file)?;
    }
    let setup = log_setup(settings, copy()?)?;
    match &settings.process.daemonize {
        Some(file) if settings.process.daemonize_late && !is_elsewhere(file) => {
            foreground::leave(Path::new(file), terminal)?;
        }
        Some(_) => process::daemonize().map_err(|cause| SysError::call("daemonize", "", cause))?,
        // A listening socket may have come as standard input.
        None if !settings.process.honour_stdin && !listeners::is_stdin() => {
            process::null_stdin().map_err(null)?;
        }
        None => {}
    }
    if setup.is_some() {
        crate::logging::hold();
    }
    // As uWSGI: a daemon's sockets are open to the web server unless a mask says otherwise.
    match (settings.process.umask, &settings.process.daemonize) {
        (Some(mask), _) => process::set_umask(mask),
        (None, Some(_)) => process::set_umask(0),
        (None, None) => {}
    }
    Ok(setup)
}

/// `log-date`. A line of JSON has its time anyway.
pub fn set_date(logging: &Logging) {
    crate::logging::set_date(logging.date.clone().filter(|_| !logging.json));
}

/// What the log process is made of, where the options ask for one. `original`: where the log goes without.
pub fn log_setup(settings: &Settings, original: File) -> Result<Option<Setup>, Error> {
    let logging = &settings.logging;
    let relayed = logging.relayed() || settings.process.daemonize.as_deref().is_some_and(is_elsewhere);
    let file = settings.process.daemonize.as_deref().or(logging.logto.as_deref());
    relayed.then(|| open_setup(logging, file, original)).transpose()
}

fn open_setup(logging: &Logging, file: Option<&str>, original: File) -> Result<Setup, Error> {
    relay::open(logging, file, original).map_err(|(what, cause)| Error::Log(what, cause))
}

/// As in uWSGI `logto2` is opened late, and lies where the start is, not in `chdir`. (Within `chroot` the start is nowhere.)
fn named_here(file: &str, process: &Process) -> String {
    if is_elsewhere(file) || process.chroot.is_some() {
        return file.to_owned();
    }
    let file = process.force_cwd.as_deref().unwrap_or(Path::new("")).join(file);
    std::path::absolute(&file).unwrap_or(file).display().to_string()
}

fn log_to(logging: &Logging, file: &str) -> Result<(), Error> {
    let opened =
        files::open_log(Path::new(file), logging.chmod).and_then(|opened| process::redirect_output(&opened));
    Ok(opened.map_err(|cause| SysError::call("open log", file, cause))?)
}

/// `logfile-chown`.
fn give_log_away(settings: &Settings, identity: &Identity) -> Result<(), SysError> {
    let file = settings.process.daemonize.as_deref().or(settings.logging.logto.as_deref());
    let Some(file) = file.filter(|file| settings.logging.chown && !is_elsewhere(file)) else { return Ok(()) };
    let uid = identity.user.as_ref().map(|user| user.uid);
    files::chown(Path::new(file), uid, identity.group).map_err(|cause| SysError::call("chown", file, cause))
}

fn banner() {
    log!("{}", lines::starting(VERSION, &crate::sys::time::ctime(clock::wall_seconds())));
    log!("os: {}", host::system());
    log!("nodename: {}", host::node());
    log!("machine: {}", std::env::consts::ARCH);
    log!("detected number of CPU cores: {}", host::cores());
    if let Ok(dir) = std::env::current_dir() {
        log!("current working directory: {}", dir.display());
    }
    if let Ok(path) = std::env::current_exe() {
        log!("detected binary path: {}", path.display());
    }
    log!("your memory page size is {} bytes", host::page_bytes());
}

fn write_pidfiles(paths: &[PathBuf]) -> Result<Vec<Kept>, SysError> {
    let write = |path: &PathBuf| {
        log!("writing pidfile to {}", path.display());
        pidfile::write(path)
    };
    paths.iter().map(write).collect()
}

/// What the kernel shall allow this process and all it starts.
fn set_limits(settings: &Process) -> Result<(), SysError> {
    let limit = |name: &'static str, set: fn(u64) -> std::io::Result<()>, value: Option<u64>| {
        value.map_or(Ok(()), |value| {
            log!("limiting {name} to {value}");
            set(value).map_err(|cause| SysError::call("set limit", format!("{name} = {value}"), cause))
        })
    };
    limit("limit-as", |megabytes| limits::address_space(megabytes << 20), settings.limit_as)?;
    limit("limit-nproc", limits::processes, settings.limit_nproc)?;
    limit("max-fd", limits::open_files, settings.max_fd)?;
    match settings.nice {
        Some(nice) => limits::be_nice(nice)
            .map_err(|cause| SysError::call("set priority", format!("prio = {nice}"), cause)),
        None => Ok(()),
    }
}

fn raise_limits(settings: &Settings) {
    if settings.process.max_fd.is_some() {
        return;
    }
    let wanted = u64::from(settings.request.connections_max) + SPARE_FILES;
    match process::raise_open_files(wanted) {
        Ok(limit) => log!("detected max file descriptor number: {limit}"),
        Err(cause) => log!("cannot raise the number of open files to {wanted}: {cause}"),
    }
}

/// The line of a socket.
pub(super) fn say_socket(listener: &Listener, how: listeners::Origin) {
    let (index, tcp, fd) = (listener.index, listener.is_tcp(), listener.fd.as_raw_fd());
    let line = match how {
        listeners::Origin::Inherited => lines::inherited(index, tcp, &listener.name, fd),
        listeners::Origin::Bound { auto_port } => lines::bound(index, tcp, &listener.name, auto_port, fd),
    };
    crate::logging::line(&line);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_metrics_have_room_unless_they_are_not_wanted() {
        let mut settings = Settings::default();
        let room = |settings: &Settings| shape(settings, 1).ledger_bytes;
        assert_eq!(room(&settings), 0, "nobody looks");
        settings.monitor.metrics = Some(":9100".to_owned());
        assert_eq!(room(&settings), LEDGER_BYTES);
        settings.monitor.metrics_no_app = true;
        assert_eq!(room(&settings), 0, "metrics-no-app");
    }

    #[test]
    fn an_error_says_what_to_try() {
        let cause = std::io::Error::from_raw_os_error(crate::sys::errno::EACCES);
        let error = Error::Sys(SysError::call("bind", "127.0.0.1:80", cause)).to_string();
        assert!(error.starts_with("bind 127.0.0.1:80: Permission denied"), "{error}");
        assert!(error.contains("ports below 1024 need root"), "{error}");
    }
}
