//! Numbers and times of workers that do not fit together.

use super::{Sight, number};
use crate::base::limits::NGINX_PATIENCE_SECS;
use crate::options::remark::Weight;
use crate::options::table::NO_WEBSOCKETS;

pub(super) fn contradictions(sight: &mut Sight<'_>) {
    how_many(sight);
    times(sight);
    limits(sight);
    threads(sight);
    if let Some(given) = sight.last("touch-chain-reload")
        && !sight.settings.process.lazy_apps
    {
        let why = format!(
            "{} without lazy-apps: the new workers have the application as it was loaded; say touch-reload to load it \
             anew, or lazy-apps = true",
            given.key
        );
        sight.note(given, why);
    }
}

fn how_many(sight: &mut Sight<'_>) {
    let scaling = sight.settings.scaling;
    // With auto the number is not known before the start.
    let processes = if scaling.auto { u64::MAX } else { u64::from(sight.settings.process.processes) };
    let least = sight.number("cheaper");
    if let Some((given, least)) = least.filter(|(_, least)| *least >= processes) {
        let why = format!("cheaper = {least}: not below processes = {processes}, so no worker can be spared");
        sight.note(given, why);
    }
    if let Some((given, initial)) = sight.number("cheaper-initial") {
        match least {
            _ if initial > processes => {
                sight.note(given, format!("cheaper-initial is above processes = {processes}"));
            }
            Some((_, least)) if initial < least => {
                let why = format!("cheaper-initial = {initial}: below cheaper = {least}, which counts");
                sight.note(given, why);
            }
            _ => {}
        }
    }
    let (min, max) = (scaling.busyness.min, scaling.busyness.max);
    if let Some(given) = sight.last_of(&["cheaper-busyness-min", "cheaper-busyness-max"])
        && min >= max
    {
        let why = format!(
            "cheaper-busyness-min = {min}: not below cheaper-busyness-max = {max}, so workers come and go all the time"
        );
        sight.note(given, why);
    }
}

fn times(sight: &mut Sight<'_>) {
    let Some((given, seconds)) = sight.number("harakiri") else { return };
    if seconds > NGINX_PATIENCE_SECS {
        let why = format!(
            "harakiri = {seconds}: nginx answers 504 after {NGINX_PATIENCE_SECS} seconds, unless uwsgi_read_timeout or \
             proxy_read_timeout says {seconds}"
        );
        sight.note(given, why);
    }
    if let Some((given, patience)) = sight.number("http-timeout").filter(|(_, patience)| *patience < seconds)
    {
        let why = format!(
            "http-timeout = {patience}: below harakiri = {seconds}; clients have that time, the application that of \
             harakiri"
        );
        sight.note(given, why);
    }
    if let Some((given, mercy)) = sight.number("worker-reload-mercy").filter(|(_, mercy)| *mercy < seconds) {
        let why = format!(
            "worker-reload-mercy = {mercy}: below harakiri = {seconds}, so a reload breaks off requests that take longer \
             than {mercy} seconds"
        );
        sight.note(given, why);
    }
    if let Some((given, slow)) = sight.number("log-slow").filter(|(_, slow)| *slow >= seconds * 1000) {
        let why = format!(
            "log-slow = {slow}: milliseconds, and harakiri = {seconds} ends requests before; did you mean {}?",
            slow / 1000
        );
        sight.note(given, why);
    }
}

/// Limits of memory that come before others.
fn limits(sight: &mut Sight<'_>) {
    for (evil, mild) in [("evil-reload-on-rss", "reload-on-rss"), ("evil-reload-on-as", "reload-on-as")] {
        if let (Some((given, hard)), Some((_, soft))) = (sight.number(evil), sight.number(mild))
            && hard <= soft
        {
            let why = format!(
                "{evil} = {hard}: not above {mild} = {soft}, so workers are killed, never replaced in order"
            );
            sight.note(given, why);
        }
    }
    if let (Some((given, most)), Some((_, all))) = (sight.number("reload-on-as"), sight.number("limit-as"))
        && most >= all
    {
        let why = format!(
            "reload-on-as = {most}: not below limit-as = {all}: the application gets no more memory before it is replaced"
        );
        sight.note(given, why);
    }
}

/// Threads, and what stands for other ways to run code.
fn threads(sight: &mut Sight<'_>) {
    if let Some(given) = sight.last("gevent") {
        let threads = sight.settings.process.threads;
        if let Some(with) = sight.last("threads") {
            sight.note(given, format!("gevent and threads ({}): threads counts here", with.origin));
        } else if let Some(wanted) = number(given).filter(|wanted| *wanted > u64::from(threads)) {
            let why = format!(
                "gevent = {wanted}: {threads} threads serve at a time in each worker; say threads = N for more, where \
                 clients are long in the line"
            );
            sight.note(given, why);
        }
    }
    if let Some(given) = sight.on("http-websockets") {
        let why = format!("http-websockets: {NO_WEBSOCKETS}");
        sight.say(Weight::Differs, given, why);
    }
}
