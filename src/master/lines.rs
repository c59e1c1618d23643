//! What the master says. Where uWSGI says the same, it is said in its words: operators and their tools look for
//! them.

use std::fmt::Display;
use std::path::Path;

use crate::base::engine::Kind;
use crate::base::errors;
use crate::control::monitor::Role;
use crate::options::settings::{Cache, Touch};
use crate::sys::process::Status;

/// First line.
pub fn starting(version: &str, ctime: &str) -> String {
    format!("*** Starting uwring {version} (64bit) on [{ctime}] ***")
}

/// What kind of server this is.
pub fn mode(processes: u32, threads: u32) -> String {
    let mode = match (processes > 1, threads > 1) {
        (true, true) => "preforking+threaded",
        (true, false) => "preforking",
        (false, true) => "threaded",
        (false, false) => "single process",
    };
    format!("*** Operational MODE: {mode} ***")
}

/// What workers run on, and why.
pub fn engine(kind: Kind, why: &str) -> String {
    format!("[uwring] engine: {}; {why}", kind.name())
}

/// The same where the kernel did not give what was wanted most.
pub fn engine_refused(kind: Kind, why: &str) -> String {
    format!("{} {}", engine(kind, why), errors::NO_RING_HERE)
}

/// Where the server is looked at.
pub fn door(role: Role, name: &str, fd: i32) -> String {
    match role {
        Role::Stats | Role::StatsHttp => format!("*** Stats server enabled on {name} fd: {fd} ***"),
        Role::Metrics => format!("[uwring] metrics and health checks on {name}"),
        Role::Agent => format!("[uwring] HAProxy's agent check on {name}"),
    }
}

/// A socket that we bound.
pub fn bound(index: usize, tcp: bool, name: &str, auto_port: bool, fd: i32) -> String {
    let family = if tcp { "TCP" } else { "UNIX" };
    let note = if auto_port { " (port auto-assigned)" } else { "" };
    format!("uwsgi socket {index} bound to {family} address {name}{note} fd {fd}")
}

/// A socket that was open already.
pub fn inherited(index: usize, tcp: bool, name: &str, fd: i32) -> String {
    let family = if tcp { "INET" } else { "UNIX" };
    format!("uwsgi socket {index} inherited {family} address {name} fd {fd}")
}

/// Somebody else is there.
pub fn another_instance(name: &str) -> String {
    format!("probably another instance of uWSGI is running on the same address ({name}).")
}

/// The shared area.
pub fn mapped(bytes: usize, cores: u32) -> String {
    format!("mapped {bytes} bytes ({} KB) for {cores} cores", bytes / 1024)
}

/// A cache was made.
pub fn cache(cache: &Cache) -> String {
    let (keys, data) = (cache.items * cache.key_bytes, cache.blocks * cache.block_bytes);
    format!(
        "*** Cache \"{}\" initialized: {}MB (keys: {keys} bytes, data: {data} bytes), allocated as it is used ***",
        cache.name,
        (keys + data) / (1024 * 1024)
    )
}

/// The master is up.
pub fn spawned_master(pid: u32) -> String {
    format!("spawned uWSGI master process (pid: {pid})")
}

/// A worker serves for the first time.
pub fn spawned_worker(worker: u32, pid: u32, cores: u32) -> String {
    format!("spawned uWSGI worker {worker} (pid: {pid}, cores: {cores})")
}

/// A worker took another's place.
pub fn respawned(worker: u32, pid: u32) -> String {
    format!("Respawned uWSGI worker {worker} (new pid: {pid})")
}

/// A worker died that should not have.
pub fn died(worker: u32, pid: u32, status: Status) -> String {
    let (start, id) = (format!("DAMN ! worker {worker} (pid: {pid}) died"), errors::DIED);
    match status {
        Status::Killed(signal) => format!("{start}, killed by signal {signal} :( trying respawn ... {id}"),
        Status::Exited(code) => format!("{start} :( trying respawn ... (exit code {code}) {id}"),
        Status::Unknown => format!("{start} :( trying respawn ... {id}"),
    }
}

/// Who may have ended a worker that died so, where that is not plain.
pub fn who_kills(worker: u32, status: Status) -> Option<String> {
    const KILL: i32 = 9;
    (status == Status::Killed(KILL)).then(|| {
        format!(
            "worker {worker} was killed from outside: if no line above says why, and nobody used kill -9, the kernel did \
             for want of memory (see dmesg, memory.events of the cgroup, and reload-on-rss) {}",
            errors::KILLED
        )
    })
}

/// A worker that was told to end has ended.
pub fn buried(worker: u32, after_ms: u64) -> String {
    format!("worker {worker} buried after {} seconds", after_ms / 1000)
}

/// A worker does not end.
pub fn no_mercy(worker: u32, pid: u32) -> String {
    format!("worker {worker} (pid: {pid}) is taking too much time to die...NO MERCY !!! {}", errors::NO_MERCY)
}

/// A worker's successor serves.
pub fn relieved(worker: u32, pid: u32) -> String {
    format!("worker {worker} (pid: {pid}) has a successor that serves: it finishes what it has in hand")
}

/// A worker's memory has grown beyond all bounds (`evil-reload-on-rss`, `evil-reload-on-as`).
pub fn evil(worker: u32, pid: u32) -> String {
    format!("*** EVIL RELOAD ON WORKER {worker} PID: {pid} *** {}", errors::EVIL)
}

/// A worker is in a request that should have ended long ago, and its own watch did nothing.
pub fn frozen(worker: u32, pid: u32) -> String {
    format!(
        "*** HARAKIRI ON WORKER {worker} (pid: {pid}, try: 2, graceful: no) *** it does not react at all (stopped?): killed {}",
        errors::FROZEN
    )
}

/// A worker whose ring thread does not turn.
pub fn silent(worker: u32, pid: u32) -> String {
    format!(
        "worker {worker} (pid: {pid}) gives no sign of life (stopped, or stuck in the kernel; stuck-worker-timeout): killed {}",
        errors::SILENT
    )
}

/// A request that a worker died in.
pub fn died_in(worker: u32, pid: u32, core: u32, request: &str, ms: u64) -> String {
    format!(
        "worker {worker} (pid: {pid}) died in this request: [core {core}] {request} (since {ms} ms) {}",
        errors::DIED_IN
    )
}

/// A worker keeps dying at its start.
pub fn forkbomb(worker: u32, deaths: u32, delay_ms: u64) -> String {
    format!(
        "*** worker {worker} died {deaths} times in a row right after its start: next try in {} seconds *** {}",
        delay_ms.div_ceil(1000),
        errors::BOOT_LOOP
    )
}

/// No worker could be forked.
pub fn cannot_fork(worker: u32, why: &dyn Display) -> String {
    format!(
        "*** cannot fork worker {worker}: {why} (memory? `ulimit -u`? pids of the cgroup?) *** {}",
        errors::NO_FORK
    )
}

/// The template ended at the first start. It has said why itself, if it could.
pub fn cannot_start(why: &str) -> String {
    format!("*** the application could not be started ({why}) *** {}", errors::NOT_STARTED)
}

/// The template died while workers serve.
pub fn template_died(pid: u32, status: Status) -> String {
    format!(
        "template process (pid: {pid}) died ({}): workers go on, it is started again when needed {}",
        how(status),
        errors::TEMPLATE_DIED
    )
}

/// A line in front of a socket is full; `which` says whose and how long it is.
pub fn line_full(which: &str) -> String {
    format!("*** uWSGI {which} *** {}", errors::LINE_FULL)
}

/// The application takes its time.
pub fn still_loading(generation: u32, pid: u32, ms: u64, site: Option<&str>) -> String {
    let (seconds, site) = (ms / 1000, site.map(|site| format!(", at {site}")).unwrap_or_default());
    format!(
        "generation {generation} still loads the application, for {seconds} seconds{site} (pid: {pid}) {}",
        errors::STILL_LOADING
    )
}

/// The template could not be started again.
pub fn template_retry(why: &str, delay_ms: u64) -> String {
    format!(
        "*** the template process did not start ({why}): next try in {} seconds *** {}",
        delay_ms.div_ceil(1000),
        errors::TEMPLATE_RETRY
    )
}

/// `processes = auto`: `affinity` processors, `millis` thousandths of one and `memory` bytes by the cgroup.
pub fn auto(workers: u32, affinity: u32, millis: Option<u64>, memory: Option<u64>) -> String {
    let mut why = format!("{affinity} processors to run on");
    if let Some(millis) = millis {
        why += &format!(", {}.{:02} of them by the cgroup", millis / 1000, millis % 1000 / 10);
    }
    if let Some(memory) = memory {
        why += &format!(", {} MB", memory >> 20);
    }
    format!("processes = auto: {workers} workers ({why})")
}

/// The memory of its cgroup allows no more.
pub fn too_heavy(most: u32, wanted: u32, resident: u64, limit: u64) -> String {
    format!(
        "processes = auto: {most} workers in place of {wanted}: the loaded application has {} MB, and so many times that \
         shall not exceed 80 % of the {} MB of the cgroup",
        resident >> 20,
        limit >> 20
    )
}

/// A worker goes because the others are enough.
pub fn cheaped(worker: u32) -> String {
    format!("uWSGI worker {worker} cheaped.")
}

/// `idle`.
pub fn inactive(seconds: u64) -> String {
    format!("workers have been inactive for more than {seconds} seconds")
}

/// A reload has succeeded, to the client that waited for it.
pub fn now_serves(generation: u32) -> String {
    format!("generation {generation} serves now")
}

/// A reload has failed, to the client that waited for it.
pub fn still_serves(old: u32, why: &str) -> String {
    format!("the reload failed ({why}; the log has more): generation {old} still serves")
}

/// The master is another program now.
pub fn new_program(version: &str) -> String {
    format!(
        "the program was replaced: the master is uwring {version} now, and goes on with its sockets and workers"
    )
}

/// It could not be.
pub fn old_program(why: &dyn Display) -> String {
    format!(
        "*** the program was replaced, but the new one cannot take over ({why}): this one goes on *** {}",
        errors::OLD_PROGRAM
    )
}

/// A file was touched.
pub fn touched(path: &Path, what: &Touch) -> String {
    let what = match what {
        Touch::Reload => "grace them all !!!".to_owned(),
        Touch::Workers => "replacing the workers one by one".to_owned(),
        Touch::Run(command) => format!("running {command}"),
        Touch::Hook(action) => format!("{action:?}"),
    };
    format!("*** {} has been touched... {what} ***", path.display())
}

/// `check-mount`: it is lost.
pub fn detonation(path: &Path, why: &str) -> String {
    format!("mountpoint {} failed, triggering detonation... ({why}) {}", path.display(), errors::FS_LOST)
}

/// `reload-on-fd`: from now on.
pub fn fd_watched(fd: i32, bytes: usize) -> String {
    format!("added graceful reload monitor for fd {fd} (read size: {bytes})")
}

/// The same: something can be read there.
pub fn fd_ready(fd: i32, message: &str) -> String {
    match message {
        "" => format!("*** fd {fd} ready !!! ***"),
        message => format!("*** fd {fd} ready: {message} ***"),
    }
}

/// Nothing will.
pub fn fd_done(fd: i32, why: &str) -> String {
    format!("[uwring] i will stop monitoring fd {fd}: {why} {}", errors::FD_DONE)
}

/// TSTP.
pub fn paused(paused: bool) -> String {
    let text = if paused { "*** PAUSE (send SIGTSTP again to go on) ***" } else { "*** going on ***" };
    text.to_owned()
}

/// A template that does not answer.
pub fn template_stuck(pid: u32) -> String {
    format!(
        "template process (pid: {pid}) does not fork any more: it is killed and started again {}",
        errors::TEMPLATE_STUCK
    )
}

/// The template was stopped.
pub fn template_silent(pid: u32) -> String {
    format!(
        "template process (pid: {pid}) was stopped (stuck-worker-timeout): it is killed and started again {}",
        errors::TEMPLATE_SILENT
    )
}

/// Clients are to look for another server, or to stay.
pub fn draining(draining: bool) -> &'static str {
    if draining {
        "*** DRAINING: serving without keep-alive, not ready for more ***"
    } else {
        "*** no longer draining ***"
    }
}

/// The end comes after `drain-delay`.
pub fn stop_later(ms: u64) -> String {
    format!("stopping in {} s (drain-delay); a second signal: now", ms / 1000)
}

/// A reload begins.
pub fn reloading(old: u32, new: u32) -> String {
    format!("...gracefully reloading: generation {new} loads while generation {old} serves...")
}

/// The new workers serve.
pub fn reloaded(new: u32) -> String {
    format!("...generation {new} serves, gracefully killing workers of the one before...")
}

/// A worker is told to finish.
pub fn finishing(worker: u32, pid: u32) -> String {
    format!("Gracefully killing worker {worker} (pid: {pid})...")
}

/// A reload failed.
pub fn reload_failed(new: u32, old: u32, why: &str) -> String {
    format!(
        "*** reload failed: generation {new}: {why}; generation {old} goes on serving *** {}",
        errors::RELOAD_FAILED
    )
}

/// How a process ended, in a few words.
pub fn how(status: Status) -> String {
    match status {
        Status::Exited(22) => "no app loaded".to_owned(),
        Status::Exited(code) => format!("exit code {code}"),
        Status::Killed(signal) => format!("signal {signal}"),
        Status::Unknown => "status unknown".to_owned(),
    }
}

/// A reload was asked for too early.
pub const STILL_STARTING: &str = "reload ignored: the server is still starting";
/// A new generation that does not get ready.
pub fn reload_late(timeout_ms: u64, site: Option<&str>) -> String {
    let (seconds, site) =
        (timeout_ms / 1000, site.map(|site| format!(", it stands at {site}")).unwrap_or_default());
    format!("its workers do not serve after {seconds} seconds (reload-timeout){site}")
}

/// The whole of it.
pub fn stands(generation: u32, stack: &str) -> String {
    format!("generation {generation} stands here:\n{}", stack.trim_end())
}

/// A reload was asked for while another had not come through.
pub const RELOAD_AGAIN: &str = "given up for a newer reload";
/// A reload was asked for while the last one is being finished.
pub const RELOAD_LATER: &str = "another reload follows as soon as the workers of the last one are gone";
/// `exit-on-reload`.
pub const EXIT_ON_RELOAD: &str = "uWSGI: exit-on-reload is set: stopping instead of reloading";
/// A stop, graceful or not: the line operators look for.
pub const KILLING: &str = "SIGINT/SIGTERM received...killing workers...";
/// There is no worker until a connection comes.
pub const CHEAP_MODE: &str = "cheap mode enabled: waiting for socket connection...";
/// The last line.
pub const GOODBYE: &str = "goodbye to uWSGI.";
/// As root.
pub const ROOT_WARNING: &str = "*** WARNING: you are running uWSGI as root !!! (use the --uid flag) ***";
/// Nothing to listen on.
pub const NO_SOCKET: &str = "The -s/--socket option is missing and stdin is not a socket.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_that_tools_look_for() {
        assert_eq!(mode(4, 2), "*** Operational MODE: preforking+threaded ***");
        assert_eq!(mode(4, 1), "*** Operational MODE: preforking ***");
        assert_eq!(mode(1, 2), "*** Operational MODE: threaded ***");
        assert_eq!(mode(1, 1), "*** Operational MODE: single process ***");
        assert_eq!(
            bound(0, true, "127.0.0.1:19080", false, 3),
            "uwsgi socket 0 bound to TCP address 127.0.0.1:19080 fd 3"
        );
        assert_eq!(bound(1, false, "/x", false, 4), "uwsgi socket 1 bound to UNIX address /x fd 4");
        assert_eq!(mapped(250_128, 4), "mapped 250128 bytes (244 KB) for 4 cores");
        assert_eq!(spawned_master(9), "spawned uWSGI master process (pid: 9)");
        assert_eq!(spawned_worker(1, 9, 2), "spawned uWSGI worker 1 (pid: 9, cores: 2)");
        assert_eq!(respawned(1, 9), "Respawned uWSGI worker 1 (new pid: 9)");
        assert_eq!(
            died(1, 9, Status::Killed(11)),
            "DAMN ! worker 1 (pid: 9) died, killed by signal 11 :( trying respawn ... [UWR-W001]"
        );
        assert_eq!(
            no_mercy(1, 9),
            "worker 1 (pid: 9) is taking too much time to die...NO MERCY !!! [UWR-W006]"
        );
    }
}
