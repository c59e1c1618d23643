//! Sockets that get in each other's way, and those that are open to more people than one may think.

use super::Sight;
use crate::base::text;
use crate::options::remark::Weight;
use crate::options::settings::Given;

/// Options that name an address to serve requests at, and what is spoken there.
const SERVING: [(&str, &str); 11] = [
    ("socket", "what protocol says"),
    ("uwsgi-socket", "uwsgi"),
    ("http-socket", "HTTP"),
    ("http", "HTTP"),
    ("fastcgi-socket", "FastCGI"),
    ("fastcgi-nph-socket", "FastCGI"),
    ("scgi-socket", "SCGI"),
    ("scgi-nph-socket", "SCGI"),
    ("https-socket", "HTTPS"),
    ("https", "HTTPS"),
    ("suwsgi-socket", "uwsgi over TLS"),
];
/// Those for people who look after the server.
const WATCHING: [&str; 3] = ["stats", "metrics", "agent-check"];

pub(super) fn contradictions(sight: &mut Sight<'_>) {
    let specs = &sight.settings.sockets.specs;
    if let Some(given) = sight.last("protocol")
        && sight.last("socket").is_none()
        && !specs.is_empty()
    {
        let why = format!(
            "{} is for `socket`, and there is none: http and http-socket speak HTTP, uwsgi-socket uwsgi",
            given.key
        );
        sight.note(given, why);
    }
    if let Some(given) = sight.last_of(&["chmod-socket", "chown-socket"])
        && !specs.is_empty()
        && specs.iter().all(|spec| spec.address.contains(':'))
    {
        sight.note(given, format!("{} is for unix sockets, and there is none", given.key));
    }
    twice(sight);
}

/// As in uWSGI, the second socket of an address counts as bound already: nothing speaks its protocol.
fn twice(sight: &mut Sight<'_>) {
    let mut seen: Vec<(&str, &str, &Given)> = Vec::new();
    for (name, given) in sight.given.clone() {
        let Some((_, spoken)) = SERVING.iter().find(|(serving, _)| *serving == name) else { continue };
        let address = address(given);
        if address.ends_with(":0") {
            continue;
        }
        match seen.iter().find(|(before, ..)| *before == address) {
            None => seen.push((address, spoken, given)),
            Some((_, other, first)) if other != spoken => {
                let why = format!(
                    "{} = {address}: {} ({}) has that address, so it speaks {other} there and nobody {spoken}",
                    given.key, first.key, first.origin
                );
                sight.say(Weight::Mistake, given, why);
            }
            Some(_) => {}
        }
    }
}

/// What may be meant, and is worth a look.
pub(super) fn openings(sight: &mut Sight<'_>) {
    collisions(sight);
    for name in WATCHING {
        let Some(given) = sight.last(name) else { continue };
        if let Some((_, port)) = host_and_port(given).filter(|(host, _)| is_any(host)) {
            let why = format!(
                "{} = {}: whoever reaches port {port} of this machine reads it; write 127.0.0.1:{port} unless it is to be \
                 read from others",
                given.key,
                given.value.as_deref().unwrap_or_default()
            );
            sight.note(given, why);
        }
    }
    let has_files = sight.settings.sockets.specs.iter().any(|spec| spec.address.starts_with(['/', '.']));
    if let Some(given) = sight.last("chmod-socket")
        && let Some(mode) = sight.settings.sockets.chmod.filter(|mode| mode & 0o002 != 0)
        && has_files
    {
        let why = format!(
            "{} = {mode:o}: every user of this machine may send requests there, with any REMOTE_USER; 660 and \
             chown-socket = USER:GROUP leave it to the web server",
            given.key
        );
        sight.note(given, why);
    }
}

/// Two addresses of which only one can be bound: the same port, on all addresses and on one of them.
fn collisions(sight: &mut Sight<'_>) {
    if sight.settings.sockets.reuse_port {
        return;
    }
    let mut seen: Vec<(&str, &str, bool, &Given)> = Vec::new();
    for (name, given) in sight.given.clone() {
        let serves = SERVING.iter().any(|(serving, _)| *serving == name);
        if !serves && !WATCHING.contains(&name) {
            continue;
        }
        let Some((host, port)) = host_and_port(given).filter(|(_, port)| *port != "0") else { continue };
        let clash = seen.iter().find(|(other, of, other_serves, _)| {
            // Two that serve at the same address are one socket.
            let one = *other == host && serves && *other_serves;
            *of == port && (*other == host || is_any(other) || is_any(host)) && !one
        });
        match clash {
            Some((.., first)) => {
                let why = format!(
                    "{} = {}: port {port} is taken by {} ({})",
                    given.key,
                    given.value.as_deref().unwrap_or_default(),
                    first.key,
                    first.origin
                );
                sight.say(Weight::Fatal, given, why);
            }
            None => seen.push((host, port, serves, given)),
        }
    }
}

/// The address of an option that names one, without certificates.
fn address(given: &Given) -> &str {
    let value = text::address(given.value.as_deref().unwrap_or_default());
    value.split_once(',').map_or(value, |(address, _)| address)
}

/// Of an address of TCP and IPv4, as far as that can be told.
fn host_and_port(given: &Given) -> Option<(&str, &str)> {
    let (host, port) = address(given).rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && !host.contains(['/', '[']))
        .then_some((host, port))
}

fn is_any(host: &str) -> bool {
    matches!(host, "" | "0.0.0.0")
}
