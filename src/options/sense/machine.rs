//! What is not there on this machine: files, folders, rights.

use std::path::{Path, PathBuf};

use super::{Sight, number};
use crate::options::remark::{Remark, Weight};
use crate::options::settings::Given;

/// The longest path of a unix socket: `sun_path` of 108 bytes ends with a NUL.
const SOCKET_PATH_MAX: usize = 107;

pub(super) fn misfits(sight: &mut Sight<'_>) {
    for (name, given) in sight.given.clone() {
        match name {
            "socket" | "uwsgi-socket" | "http-socket" => unix_socket(sight, given),
            "logto" | "daemonize" | "daemonize2" | "pidfile" | "safe-pidfile" => parent(sight, given),
            "logger" | "req-logger" => {
                let file =
                    value(given).split_once("file:").map(|(_, rest)| rest.split(',').next().unwrap_or(rest));
                folder_of(sight, given, Path::new(file.unwrap_or_default()));
            }
            "static-map" | "static-map2" => static_folder(sight, given),
            "touch-reload" | "touch-chain-reload" if !Path::new(value(given)).exists() => {
                sight.note(given, format!("there is no {} yet; making it counts as a touch", value(given)));
            }
            _ => {}
        }
    }
    folders(sight);
    if let Some(given) = sight.last("listen")
        && let (Some(wanted), Some(most)) = (number(given), somaxconn())
        && wanted > most
    {
        let why = format!(
            "listen = {wanted}: the kernel allows {most}, which is used (sysctl net.core.somaxconn={wanted})"
        );
        sight.note(given, why);
    }
    if let Some((given, _)) = sight.number("tcp-fastopen")
        && !kernel_opens_fast()
    {
        let why = format!("{}: the kernel does not take part (sysctl net.ipv4.tcp_fastopen=3)", given.key);
        sight.note(given, why);
    }
    if let Some(given) = sight.last_of(&["uid", "gid"])
        && !is_root()
    {
        let why = format!("{} needs root: start as root, or leave it out and start as that user", given.key);
        sight.note(given, why);
    }
    if let Some(given) = sight.last("uid")
        && sight.last("gid").is_none()
    {
        let why = format!(
            "uid = {} without gid: the group stays that of whoever starts it; say gid too",
            value(given)
        );
        sight.note(given, why);
    }
    missing(sight);
}

fn unix_socket(sight: &mut Sight<'_>, given: &Given) {
    let value = value(given);
    if value.contains(':') {
        return;
    }
    if value.len() > SOCKET_PATH_MAX {
        let why = format!(
            "the path of a unix socket has at most {SOCKET_PATH_MAX} bytes, this has {}",
            value.len()
        );
        sight.say(Weight::Fatal, given, why);
    } else {
        parent(sight, given);
    }
}

/// The folder of a file that is to be made.
fn parent(sight: &mut Sight<'_>, given: &Given) {
    folder_of(sight, given, Path::new(value(given)));
}

fn folder_of(sight: &mut Sight<'_>, given: &Given, path: &Path) {
    if let Some(folder) = path.parent().filter(|folder| path.is_absolute() && !folder.is_dir()) {
        sight.say(Weight::Fatal, given, format!("there is no folder {}", folder.display()));
    }
}

/// It may be made later: `collectstatic` does.
fn static_folder(sight: &mut Sight<'_>, given: &Given) {
    let target = value(given).split_once('=').map_or("", |(_, target)| target);
    if target.starts_with('/') && !Path::new(target).exists() {
        sight.note(given, format!("there is no {target}: 404 until there is"));
    }
}

/// Folders that are gone to, and files that are loaded.
fn folders(sight: &mut Sight<'_>) {
    let settings = sight.settings;
    if let (Some(path), Some(given)) = (&settings.process.chdir, sight.last("chdir"))
        && !path.is_dir()
    {
        sight.say(Weight::Fatal, given, format!("there is no folder {}", path.display()));
    }
    if let (Some(home), Some(given)) = (&settings.python.home, sight.last("home"))
        && !Path::new(home).is_dir()
    {
        sight.say(Weight::Fatal, given, format!("there is no virtualenv {home}"));
    }
    if let Some(given) = sight.last("wsgi-file")
        && let Some(file) = settings.python.files.first().filter(|file| !file.contains("://"))
    {
        let path = settings.process.chdir.clone().unwrap_or_default().join(file);
        let bare = file
            .rsplit_once(':')
            .map(|(bare, _)| path.with_file_name(Path::new(bare).file_name().unwrap_or_default()));
        if !path.exists() && !bare.is_some_and(|path| path.exists()) {
            sight.say(Weight::Fatal, given, format!("there is no file {}", path.display()));
        }
    }
    let set = settings.process.env.iter().rev().find(|(name, _)| name == "TMPDIR");
    let temporary = match set {
        Some((_, value)) => value.as_deref().map(PathBuf::from),
        None => std::env::var_os("TMPDIR").map(PathBuf::from),
    };
    let temporary = temporary.unwrap_or_else(|| PathBuf::from("/tmp"));
    if !temporary.is_dir() {
        let why = format!("there is no folder {}: large uploads fail (see TMPDIR)", temporary.display());
        match sight.number("post-buffering") {
            Some((given, _)) => sight.note(given, why),
            None => sight.remarks.push(Remark::about_all(Weight::Note, why)),
        }
    }
}

/// What no server can do without.
fn missing(sight: &mut Sight<'_>) {
    let settings = sight.settings;
    let python = &settings.python;
    if settings.process.need_app
        && python.modules.is_empty()
        && python.files.is_empty()
        && python.paste.is_empty()
        && python.pecan.is_empty()
        && python.sources.is_empty()
        && python.mounts.is_empty()
    {
        let why = "no application is named: say module = PACKAGE.MODULE:CALLABLE, wsgi-file = FILE or mount = PATH=APP";
        sight.remarks.push(Remark::about_all(Weight::Fatal, why));
    }
    if settings.sockets.specs.is_empty() {
        let why = "nothing to listen on: say socket, http-socket or http = ADDRESS (or start it from a systemd socket)";
        sight.remarks.push(Remark::about_all(Weight::Note, why));
    }
}

fn value(given: &Given) -> &str {
    given.value.as_deref().unwrap_or_default()
}

fn somaxconn() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// Bit 1 is that of servers. Where it cannot be told, nothing is said.
fn kernel_opens_fast() -> bool {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen").unwrap_or_default();
    text.trim().parse::<u32>().map_or(true, |bits| bits & 2 != 0)
}

/// Of the effective user: who owns this process.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}
