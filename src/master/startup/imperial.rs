//! What an Emperor needs before it rules: its log, its folder, its pidfiles, and no more privileges than it keeps.

use super::*;
use crate::options::catalogue::Shape;

/// Options that mean something to an Emperor, beside those of its own.
const HEARD: &[&str] = &[
    "master",
    "ini",
    "xml",
    "yaml",
    "yml",
    "json",
    "js",
    "toml",
    "config",
    "include",
    "inherit",
    "logto",
    "daemonize",
    "daemonize2",
    "pidfile",
    "pidfile2",
    "safe-pidfile",
    "safe-pidfile2",
    "vacuum",
    "uid",
    "gid",
    "add-gid",
    "no-initgroups",
    "chdir",
    "umask",
    "env",
    "unenv",
    "die-on-term",
    "cap",
    "flock",
    "flock2",
    "flock-wait",
    "flock-wait2",
    "limit-as",
    "chmod-socket",
    "binsh",
    "limit-nproc",
    "max-fd",
    "prio",
    "reload-mercy",
    "log-date",
    "log-master",
    "strict",
    "lenient",
    "set",
    "set-placeholder",
    "set-ph",
    "print",
    "iprint",
    "show-config",
    "no-orphans",
    "enable-threads",
    "thunder-lock",
    "plugin",
    "plugins",
    "plugins-dir",
    "plugin-dir",
];

/// What is given and does nothing here. `Err`: an Emperor with sockets.
fn unheard(settings: &Settings) -> Result<Vec<String>, Error> {
    if let Some(socket) = settings.sockets.specs.first() {
        log!(
            "an Emperor serves nothing itself, but {} is a socket: move it to the configuration of a vassal",
            socket.address
        );
        return Err(Error::Said(1));
    }
    // `emperor…`, `vassals-…`, and its hooks: `hook-emperor-…`, `exec-as-emperor`, `hook-as-vassal`…
    let own = |key: &str| key.contains("emperor") || key.contains("vassal");
    let known = |key: &str| crate::options::catalogue::verdict(key).is_some();
    let block =
        |key: &str| crate::options::catalogue::shape(key).is_some_and(|(_, shape)| shape == Shape::Reading);
    let names = settings.given.iter().map(|given| given.key.as_str());
    let unheard = names.filter(|key| known(key) && !own(key) && !block(key) && !HEARD.contains(key));
    Ok(unheard.map(str::to_owned).collect())
}

/// Does it. The result is what to remove at the end, and what is locked until then.
pub fn prepare(settings: &Settings, notes: &[String], warnings: &[String]) -> Result<(Vacuum, Locks), Error> {
    let failed = |what: &'static str| move |cause| SysError::call(what, "for the Emperor", cause);
    crate::sys::signals::block().map_err(failed("block signals"))?;
    let mut settings = settings.clone();
    // It has no log process: what it has to say goes to one file, or to standard error.
    settings.logging = Logging { logto: settings.logging.logto.take(), ..Logging::default() };
    locks::try_early(&settings.process)?;
    open_log(&settings)?;
    let locks = Locks::take(&settings.process)?;
    banner();
    notes.iter().chain(warnings).for_each(|line| crate::logging::line(line));
    for name in unheard(&settings)? {
        log!("option {name} has no effect in an Emperor: it belongs to the configuration of a vassal");
    }
    let identity = rights::wanted(&settings.process)?;
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let pidfiles: Vec<PathBuf> =
        settings.process.pidfiles.iter().chain(&settings.emperor.pidfile).map(absolute).collect();
    enter(&settings.process)?;
    let pidfiles = write_pidfiles(&pidfiles)?;
    set_limits(&settings.process)?;
    // A tyrant becomes whoever owns the configuration, each time.
    if !settings.emperor.tyrant {
        rights::drop_privileges(&identity, &settings.process.capabilities)?;
    }
    Ok((Vacuum::new(pidfiles, &[], &[]), locks))
}
