//! Rows: processes, signals, privileges, files of the master.

use super::super::draft::Draft;
use super::super::locks::Lock;
use super::super::row::{Kind::*, Reading, Row, Takes, always, bare, number, row};
use super::super::sources::envdir;
use crate::base::engine::Kind as Engine;

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["processes", "workers"],
        Set(Takes::Value("N"), processes),
        "start this many workers; auto: as many as processors and memory of this container allow",
    )
    .short('p'),
    row(
        &["engine"],
        Set(Takes::Value("NAME"), engine),
        "what workers run on: io_uring, epoll, or auto (the default): io_uring where the kernel gives it",
    ),
    row(&["threads"], Count(|s| &mut s.process.threads), "run this many interpreter threads in each worker"),
    always(&["master"], Takes::Nothing, "run a master process above the workers", "there always is a master")
        .short('M'),
    always(
        &["enable-threads"],
        Takes::Nothing,
        "let the application start threads",
        "threads of the application always run",
    )
    .short('T'),
    bare(&["thunder-lock"], Takes::Nothing, "take turns in accepting connections")
        .accepted("a worker accepts only when it has room, and only one is woken"),
    always(
        &["die-on-term"],
        Takes::Nothing,
        "make SIGTERM a shutdown instead of a reload",
        "SIGTERM always is a graceful shutdown; SIGHUP reloads",
    ),
    row(
        &["reaper"],
        Flag(|s| &mut s.process.reaper),
        "collect child processes the application left behind, after each request",
    )
    .short('r'),
    always(
        &["close-on-exec", "close-on-exec2"],
        Takes::Nothing,
        "keep sockets from programs started by workers",
        "sockets are always closed on exec",
    ),
    row(
        &["lazy-apps"],
        Flag(|s| &mut s.process.lazy_apps),
        "import the application in each worker, not once before the fork",
    ),
    row(&["lazy"], Flag(|s| &mut s.process.lazy_apps), "the same as lazy-apps here"),
    row(
        &["need-app"],
        Flag(|s| &mut s.process.need_app),
        "refuse to start without an application (on unless switched off)",
    ),
    row(&["no-orphans"], Flag(|s| &mut s.process.no_orphans), "end the workers at once when the master dies"),
    row(&["vacuum"], Flag(|s| &mut s.process.vacuum), "remove unix sockets and pidfiles at the end"),
    row(&["pidfile"], Path(|s| &mut s.pidfiles[0], "FILE"), "write the master's pid here"),
    row(
        &["pidfile2"],
        Path(|s| &mut s.pidfiles[1], "FILE"),
        "write the master's pid here, a second file for other tools",
    ),
    row(
        &["safe-pidfile"],
        Path(|s| &mut s.pidfiles[2], "FILE"),
        "write the master's pid here once the start succeeded",
    ),
    row(
        &["safe-pidfile2"],
        Path(|s| &mut s.pidfiles[3], "FILE"),
        "write the master's pid here once the start succeeded, a second file",
    ),
    row(
        &["daemonize"],
        Text(|s| &mut s.process.daemonize, "FILE"),
        "go to the background and log to this file",
    )
    .short('d'),
    row(
        &["daemonize2"],
        Set(Takes::Value("FILE"), daemonize_late),
        "go to the background once a worker serves, and log to this file",
    ),
    row(
        &["control-socket"],
        Text(|s| &mut s.process.control_socket, "ADDRESS"),
        "answer `uwring ctl` here: a path, @NAME, or none (default: an abstract socket it finds by itself)",
    ),
    row(&["uid"], Text(|s| &mut s.process.uid, "USER"), "run as this user, a name or a number"),
    row(&["gid"], Text(|s| &mut s.process.gid, "GROUP"), "run as this group, a name or a number"),
    row(&["add-gid"], List(|s| &mut s.process.add_gid, "GROUP"), "be a member of this group too"),
    row(
        &["no-initgroups"],
        Flag(|s| &mut s.process.no_initgroups),
        "do not become a member of the groups of the user",
    ),
    row(
        &["master-as-root", "drop-after-apps"],
        Flag(|s| &mut s.process.master_as_root),
        "become uid and gid when the application is loaded; the master, its daemons and cron jobs stay root",
    ),
    row(
        &["chdir"],
        Path(|s| &mut s.process.chdir, "FOLDER"),
        "go to this folder before the application is imported",
    ),
    row(
        &["chdir2"],
        Path(|s| &mut s.process.chdir2, "FOLDER"),
        "go to this folder after the application is imported",
    ),
    row(&["umask"], Mode(|s| &mut s.process.umask), "mode bits to withhold from new files, in octal"),
    row(&["env"], Set(Takes::Value("NAME=VALUE"), env), "set a variable in the environment"),
    row(
        &["envdir"],
        Set(Takes::Value("FOLDER"), envdir),
        "set variables from a folder: each file is named like one and holds its value",
    ),
    row(&["unenv"], Set(Takes::Value("NAME"), unenv), "remove a variable from the environment"),
    row(
        &["auto-procname"],
        Flag(|s| &mut s.process.auto_procname),
        "give the processes titles that tell their part",
    ),
    row(
        &["procname-prefix"],
        Set(Takes::Value("TEXT"), |s, v| titled(s, |s| s.process.procname_prefix = v.to_owned())),
        "put this before the titles of the processes",
    ),
    row(
        &["procname-prefix-spaced"],
        Set(Takes::Value("TEXT"), |s, v| titled(s, |s| s.process.procname_prefix = format!("{v} "))),
        "put this and a blank before the titles of the processes",
    ),
    row(
        &["procname-append"],
        Set(Takes::Value("TEXT"), |s, v| titled(s, |s| s.process.procname_append = v.to_owned())),
        "put this after the titles of the processes",
    ),
    row(
        &["procname"],
        Set(Takes::Value("TEXT"), |s, v| titled(s, |s| s.process.procname = Some(v.to_owned()))),
        "give the processes this title",
    ),
    row(
        &["procname-master"],
        Set(Takes::Value("TEXT"), |s, v| titled(s, |s| s.process.procname_master = Some(v.to_owned()))),
        "give the master this title",
    ),
    row(&["skip-atexit"], Flag(|s| &mut s.process.skip_atexit), "end workers without running exit handlers"),
    row(
        &["locks"],
        Count(|s| &mut s.process.locks),
        "make this many locks for the application, beside lock 0",
    ),
    row(
        &["cap"],
        Set(Takes::Value("NAMES"), cap),
        "Linux capabilities to keep when root is given up, with commas between",
    ),
    row(
        &["chroot"],
        Path(|s| &mut s.process.chroot, "FOLDER"),
        "make this folder the root of the file system before privileges are given up; Python and what a reload reads lie in it",
    ),
    row(
        &["flock"],
        Set(Takes::Value("FILE"), |s, file| lock(s, file, false, false)),
        "lock this file as long as the server lives, and end where another process has it locked",
    ),
    row(
        &["flock2"],
        Set(Takes::Value("FILE"), |s, file| lock(s, file, false, true)),
        "the same, once the server is in the background and its log open",
    ),
    row(
        &["flock-wait"],
        Set(Takes::Value("FILE"), |s, file| lock(s, file, true, false)),
        "lock this file as long as the server lives, and wait while another process has it locked",
    ),
    row(
        &["flock-wait2"],
        Set(Takes::Value("FILE"), |s, file| lock(s, file, true, true)),
        "the same, once the server is in the background and its log open",
    ),
    row(
        &["check-mount", "mount-check", "check-mountpoint", "mountpoint-check"],
        Paths(|s| &mut s.process.mountpoints, "FOLDER"),
        "end the server when this folder's file system is gone or no longer answers",
    ),
    bare(&["pivot-root"], Takes::Value("FOLDERS"), "change the root of the file system")
        .refused("use RootDirectory= in a systemd unit, or a container"),
    bare(&["immediate-uid"], Takes::Value("USER"), "become this user while reading the configuration")
        .refused("use uid"),
    bare(&["immediate-gid"], Takes::Value("GROUP"), "become this group while reading the configuration")
        .refused("use gid"),
    row(
        &["limit-as"],
        NumberIfSet(|s| &mut s.process.limit_as, "MB"),
        "limit the address space of each process",
    ),
    row(
        &["limit-nproc"],
        NumberIfSet(|s| &mut s.process.limit_nproc, "N"),
        "limit the processes of the user",
    ),
    row(&["max-fd"], NumberIfSet(|s| &mut s.process.max_fd, "N"), "limit the open files of each process"),
    row(&["prio"], Set(Takes::Value("NICE"), prio), "be nice to others by so much (-20 to 19)"),
    bare(&["binary-path"], Takes::Value("FILE"), "path of the server's binary, for reloads")
        .accepted("the running binary is found through /proc"),
    row(
        &["honour-stdin"],
        Flag(|s| &mut s.process.honour_stdin),
        "do not replace the standard input by /dev/null",
    ),
    row(
        &["force-cwd"],
        Path(|s| &mut s.process.force_cwd, "FOLDER"),
        "read the configuration from this folder, also at a reload",
    ),
    row(
        &["thread-stack-size", "thread-stacksize", "threads-stack-size", "threads-stacksize"],
        Set(Takes::Value("KB"), stack),
        "size of the stack of each thread that calls the application, beside the first",
    ),
    row(&["binsh"], Paths(|s| &mut s.process.shells, "FILE"), "run commands with this shell, if it is there"),
    row(
        &["cpu-affinity"],
        Count(|s| &mut s.process.affinity),
        "run each worker on this many processors of its own, 0 on all",
    ),
];

fn engine(draft: &mut Draft, value: &str) -> Reading {
    let name = value.trim();
    draft.process.engine = match Engine::ALL.into_iter().find(|kind| kind.name() == name) {
        None if name != "auto" => return Err("io_uring, epoll or auto".to_owned()),
        kind => kind,
    };
    Ok(None)
}

fn processes(draft: &mut Draft, value: &str) -> Reading {
    let mut remark = None;
    draft.scaling.auto = value.trim() == "auto";
    if draft.scaling.auto {
        // The master counts, when it starts.
        draft.process.processes = 1;
        return Ok(remark);
    }
    let wanted = number(Some(value), &mut remark)?;
    match u32::try_from(wanted) {
        Ok(wanted) if wanted >= 1 => draft.process.processes = wanted,
        _ => return Err("a number of workers, 1 or more, or auto".to_owned()),
    }
    Ok(remark)
}

fn stack(draft: &mut Draft, value: &str) -> Reading {
    let mut remark = None;
    let kilobytes = number(Some(value), &mut remark)?;
    let bytes = usize::try_from(kilobytes.saturating_mul(1024)).unwrap_or(usize::MAX);
    draft.process.stack_bytes = Some(bytes).filter(|bytes| *bytes > 0);
    Ok(remark)
}

fn prio(draft: &mut Draft, value: &str) -> Reading {
    match value.trim().parse() {
        Ok(nice @ -20..=19) => draft.process.nice = Some(nice),
        _ => return Err("a number from -20 to 19".to_owned()),
    }
    Ok(None)
}

fn cap(draft: &mut Draft, value: &str) -> Reading {
    let names = value.split([',', ' ']).filter(|name| !name.is_empty());
    draft.process.capabilities.extend(names.map(str::to_owned));
    Ok(None)
}

fn lock(draft: &mut Draft, file: &str, waits: bool, late: bool) -> Reading {
    draft.process.file_locks.push(Lock { path: file.into(), waits, late });
    Ok(None)
}

fn daemonize_late(draft: &mut Draft, file: &str) -> Reading {
    draft.process.daemonize = Some(file.to_owned());
    draft.process.daemonize_late = true;
    Ok(None)
}

fn env(draft: &mut Draft, value: &str) -> Reading {
    let (name, value) = match value.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        // As putenv("NAME") does.
        None => (value, None),
    };
    if name.is_empty() {
        return Ok(Some("no variable is named, so none is set".to_owned()));
    }
    draft.process.env.push((name.to_owned(), value));
    Ok(None)
}

fn envdir(draft: &mut Draft, folder: &str) -> Reading {
    let all =
        envdir::read(std::path::Path::new(folder)).map_err(|why| format!("a folder of variables: {why}"))?;
    draft.process.env.extend(all);
    Ok(None)
}

fn unenv(draft: &mut Draft, value: &str) -> Reading {
    draft.process.env.push((value.to_owned(), None));
    Ok(None)
}

/// Any title option asks for titles.
fn titled(draft: &mut Draft, set: impl FnOnce(&mut Draft)) -> Reading {
    set(draft);
    draft.process.auto_procname = true;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_worker() {
        let mut draft = Draft::default();
        assert!(processes(&mut draft, "4").is_ok());
        assert_eq!(draft.process.processes, 4);
        assert!(processes(&mut draft, "0").is_err());
        assert!(processes(&mut draft, "99999999999").is_err());
        assert!(processes(&mut draft, "auto").is_ok());
        assert!(draft.scaling.auto);
        // The last one counts.
        assert!(processes(&mut draft, "3").is_ok());
        assert_eq!((draft.scaling.auto, draft.process.processes), (false, 3));
    }

    #[test]
    fn the_environment_is_set_and_unset_in_order() {
        let mut draft = Draft::default();
        env(&mut draft, "A=b=c").unwrap();
        env(&mut draft, "B").unwrap();
        unenv(&mut draft, "A").unwrap();
        assert!(env(&mut draft, "=x").unwrap().is_some());
        let expected =
            [("A".to_owned(), Some("b=c".to_owned())), ("B".to_owned(), None), ("A".to_owned(), None)];
        assert_eq!(draft.process.env, expected);
    }

    #[test]
    fn a_title_option_asks_for_titles() {
        let mut draft = Draft::default();
        let row = ROWS.iter().find(|r| r.name() == "procname-prefix-spaced").expect("declared above");
        row.set(&mut draft, Some("shop")).unwrap();
        assert_eq!(draft.process.procname_prefix, "shop ");
        assert!(draft.process.auto_procname);
    }
}
