//! Options that make sense one by one and not together, or not on this machine.

use std::path::Path;

use super::remark::{Remark, Weight};
use super::settings::{Given, Settings};
use crate::base::text;

/// The longest path of a unix socket: `sun_path` of 108 bytes ends with a NUL.
const SOCKET_PATH_MAX: usize = 107;
/// How long nginx waits for an answer unless told otherwise (`uwsgi_read_timeout`, `proxy_read_timeout`).
const NGINX_PATIENCE_SECS: u64 = 60;

/// What contradicts itself.
pub fn contradictions(settings: &Settings) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let mut note = |given: &Given, text: String| {
        remarks.push(Remark::at(Weight::Note, &given.origin, &given.key, text));
    };
    let last = |names: &[&str]| settings.given.iter().rev().find(|given| names.contains(&given.key.as_str()));
    let specs = &settings.sockets.specs;
    // With auto the number is not known before the start.
    let auto = settings.scaling.auto;
    let processes = if auto { u64::MAX } else { u64::from(settings.process.processes) };
    if let Some(given) = last(&["cheaper"])
        && let Some(least) = number(given).filter(|least| *least >= processes)
    {
        let why = format!("cheaper = {least}: not below processes = {processes}, so no worker can be spared");
        note(given, why);
    }
    if let Some(given) = last(&["cheaper-initial"])
        && number(given).is_some_and(|initial| initial > processes)
    {
        note(given, format!("cheaper-initial is above processes = {processes}"));
    }
    if let Some(given) = last(&["protocol", "socket-protocol"])
        && last(&["socket", "s"]).is_none()
        && !specs.is_empty()
    {
        let why = format!(
            "{} is for `socket`, and there is none: http and http-socket speak HTTP, uwsgi-socket uwsgi",
            given.key
        );
        note(given, why);
    }
    if let Some(given) = last(&["chmod-socket", "chmod", "chown-socket"])
        && !specs.is_empty()
        && specs.iter().all(|spec| spec.address.contains(':'))
    {
        note(given, format!("{} is for unix sockets, and there is none", given.key));
    }
    if let Some(given) = last(&["harakiri"])
        && let Some(seconds) = number(given).filter(|seconds| *seconds > NGINX_PATIENCE_SECS)
    {
        let why = format!(
            "harakiri = {seconds}: nginx answers 504 after {NGINX_PATIENCE_SECS} seconds, unless uwsgi_read_timeout or \
             proxy_read_timeout says {seconds}"
        );
        note(given, why);
    }
    if let Some(given) = last(&["gevent"])
        && let Some(threads) = last(&["threads"])
    {
        note(given, format!("gevent and threads ({}): threads counts here", threads.origin));
    } else if let Some(given) = last(&["gevent"])
        && let Some(wanted) = number(given).filter(|wanted| *wanted > u64::from(settings.process.threads))
    {
        let threads = settings.process.threads;
        let why = format!(
            "gevent = {wanted}: {threads} threads serve at a time in each worker; say threads = N for more, where clients \
             are long in the line"
        );
        note(given, why);
    }
    if let Some(given) = last(&["http-websockets"]).filter(|given| is_on(given)) {
        let why = "http-websockets: uwsgi.websocket_… is not there; if the application calls it, serve its websockets by \
                   a server for them";
        remarks.push(Remark::at(Weight::Differs, &given.origin, &given.key, why));
    }
    let mut note = |given: &Given, text: String| {
        remarks.push(Remark::at(Weight::Note, &given.origin, &given.key, text));
    };
    for of in settings.routes.in_caches() {
        let known = settings.caches.iter().any(|cache| of.name.is_empty() || cache.name == of.name);
        let named = |given: &&Given| {
            given.key.contains("route") && given.value.as_ref().is_some_and(|value| value.contains(&of.name))
        };
        if let (false, Some(given)) = (known, settings.given.iter().find(named)) {
            note(
                given,
                format!(
                    "no cache2 makes a cache with name={}: this rule finds nothing and keeps nothing",
                    of.name
                ),
            );
        }
    }
    remarks
}

/// What does not fit this machine: files that are missing, rights that are not there. The start would tell.
pub fn surroundings(settings: &Settings) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let last = |names: &[&str]| settings.given.iter().rev().find(|given| names.contains(&given.key.as_str()));
    let mut fatal = |given: &Given, text: String| {
        remarks.push(Remark::at(Weight::Fatal, &given.origin, &given.key, text));
    };
    for given in &settings.given {
        let value = given.value.as_deref().unwrap_or_default();
        if matches!(given.key.as_str(), "socket" | "s" | "uwsgi-socket" | "http-socket")
            && !value.contains(':')
        {
            let folder = Path::new(value).parent().filter(|folder| !folder.as_os_str().is_empty());
            if value.len() > SOCKET_PATH_MAX {
                let why = format!(
                    "the path of a unix socket has at most {SOCKET_PATH_MAX} bytes, this has {}",
                    value.len()
                );
                fatal(given, why);
            } else if let Some(folder) = folder.filter(|f| value.starts_with('/') && !f.is_dir()) {
                fatal(given, format!("there is no folder {}", folder.display()));
            }
        }
    }
    for (name, path) in [("chdir", &settings.process.chdir)] {
        if let (Some(path), Some(given)) = (path, last(&[name]))
            && !path.is_dir()
        {
            fatal(given, format!("there is no folder {}", path.display()));
        }
    }
    if let (Some(home), Some(given)) =
        (&settings.python.home, last(&["home", "virtualenv", "venv", "pyhome", "H"]))
        && !Path::new(home).is_dir()
    {
        fatal(given, format!("there is no virtualenv {home}"));
    }
    if let Some(given) = last(&["listen", "l"])
        && let (Some(wanted), Some(most)) = (number(given), somaxconn())
        && wanted > most
    {
        let why = format!(
            "listen = {wanted}: the kernel allows {most}, which is used (sysctl net.core.somaxconn={wanted})"
        );
        remarks.push(Remark::at(Weight::Note, &given.origin, &given.key, why));
    }
    if let Some(given) = last(&["uid", "gid"])
        && !is_root()
    {
        let why = format!("{} needs root: start as root, or leave it out and start as that user", given.key);
        remarks.push(Remark::at(Weight::Note, &given.origin, &given.key, why));
    }
    remarks.extend(missing(settings));
    remarks
}

/// What no server can do without.
fn missing(settings: &Settings) -> Vec<Remark> {
    let mut remarks = Vec::new();
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
        remarks.push(Remark::about_all(Weight::Fatal, why));
    }
    if settings.sockets.specs.is_empty() {
        let why = "nothing to listen on: say socket, http-socket or http = ADDRESS (or start it from a systemd socket)";
        remarks.push(Remark::about_all(Weight::Note, why));
    }
    remarks
}

fn is_on(given: &Given) -> bool {
    given.value.as_deref().is_none_or(|value| text::truth(value) != Some(false))
}

fn number(given: &Given) -> Option<u64> {
    text::leading_number(given.value.as_deref()?).map(|leading| leading.value)
}

fn somaxconn() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()
}

/// Of the effective user: who owns this process.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::super::{Command, load};
    use super::*;

    fn settings(args: &[&str]) -> Settings {
        let argv: Vec<_> = ["uwring"].iter().chain(args).map(std::ffi::OsString::from).collect();
        match load(&argv, &[]).expect("the options are right").command {
            Command::Serve(settings) => *settings,
            other => panic!("not to be served: {other:?}"),
        }
    }

    #[test]
    fn each_contradiction_is_told() {
        for (args, said) in [
            (&["--cheaper=4", "-p4"][..], "not below processes = 4"),
            (&["--cheaper=1", "-p4", "--cheaper-initial=5"], "above processes = 4"),
            (&["--protocol=http", "--http-socket=:0"], "protocol is for `socket`"),
            (&["--chmod-socket=660", "--socket=:0"], "chmod-socket is for unix sockets"),
            (&["--harakiri=120"], "nginx answers 504 after 60 seconds"),
            (&["--gevent=10", "--threads=4"], "threads counts here"),
            (&["--gevent=1000"], "gevent = 1000: 64 threads serve at a time"),
            (&["--http-websockets"], "uwsgi.websocket_… is not there"),
            (
                &["--cache2=name=a,items=1", "--route-run=cachestore:key=k,name=b"],
                "no cache2 makes a cache with name=b",
            ),
            (&["--route-if=incache:key=k last:"], "no cache2 makes"),
        ] {
            let said_of: Vec<_> = contradictions(&settings(args)).iter().map(Remark::to_string).collect();
            assert!(said_of.len() == 1 && said_of[0].contains(said), "{args:?}: {said_of:?}");
        }
        let fine =
            ["--cheaper=1", "-p4", "--protocol=http", "-s/tmp/s", "-C660", "--harakiri=60", "--gevent=9"];
        assert_eq!(contradictions(&settings(&fine)), []);
    }

    #[test]
    fn what_does_not_fit_the_machine_is_told() {
        let long = format!("--socket=/{}", "x".repeat(120));
        for (args, said) in [
            (&[long.as_str()][..], "at most 107 bytes, this has 121"),
            (&["--socket=/no/such/folder/s"], "there is no folder /no/such/folder"),
            (&["--chdir=/no/such"], "there is no folder /no/such"),
            (&["--venv=/no/such"], "there is no virtualenv /no/such"),
            (&["--listen=99999999"], "the kernel allows"),
            (&["--http=:0"], "no application is named"),
            (&["-w", "app"], "nothing to listen on"),
        ] {
            let remarks = surroundings(&settings(args));
            assert!(remarks.iter().any(|r| r.text.contains(said)), "{args:?}: {remarks:?}");
        }
        assert_eq!(surroundings(&settings(&["-w", "app", "--http=:0"])), []);
    }
}
