//! Options that say nothing without another: whoever wrote them believes that the other is there.

use super::Sight;
use crate::options::scaling::{ALGORITHMS, Algorithm};

/// Options, and which one of these they need.
const NEEDS: &[(&[&str], &[&str])] = &[
    (
        &[
            "harakiri-verbose",
            "harakiri-graceful-timeout",
            "harakiri-graceful-signal",
            "harakiri-queue-threshold",
        ],
        &["harakiri"],
    ),
    (&["max-requests-delta"], &["max-requests"]),
    (&["max-worker-lifetime-delta"], &["max-worker-lifetime"]),
    (
        &[
            "cheaper-algo",
            "cheaper-initial",
            "cheaper-step",
            "cheaper-overload",
            "cheaper-idle",
            "cheaper-rss-limit-soft",
            "cheaper-rss-limit-hard",
        ],
        &["cheaper"],
    ),
    (&["die-on-idle"], &["idle"]),
    (
        &["log-maxsize", "log-truncate", "log-reopen", "touch-logreopen", "touch-logrotate"],
        &["logto", "logto2", "daemonize", "daemonize2", "logger", "req-logger"],
    ),
    (&["log-backupname"], &["log-maxsize", "touch-logrotate"]),
    (&["stats-http", "stats-minified", "stats-no-cores"], &["stats"]),
    (&["py-auto-reload-ignore"], &["py-auto-reload"]),
];

pub(super) fn contradictions(sight: &mut Sight<'_>) {
    for (unheard, needed) in NEEDS {
        // Rules set deadlines too, each its own.
        let by_rules =
            needed[0] == "harakiri" && sight.settings.given.iter().any(|given| given.key.contains("route"));
        if by_rules || needed.iter().any(|name| is_there(sight, name)) {
            continue;
        }
        // One is enough to see it by.
        if let Some(given) =
            unheard.iter().find_map(|name| sight.last(name).filter(|_| is_there(sight, name)))
        {
            let why = format!("{} says nothing without {}", given.key, needed.join(", "));
            sight.note(given, why);
        }
    }
    busyness(sight);
    if let (Some(file), Some(log)) = (sight.last_of(&["daemonize", "daemonize2"]), sight.last("logto"))
        && file.value != log.value
    {
        let to = file.value.as_deref().unwrap_or_default();
        sight.note(log, format!("{} is not used: {} = {to} ({}) is the log", log.key, file.key, file.origin));
    }
}

fn busyness(sight: &mut Sight<'_>) {
    let scaling = &sight.settings.scaling;
    let knob = sight.given.iter().find(|(name, _)| name.starts_with("cheaper-busyness-"));
    let Some((_, given)) = knob.filter(|_| scaling.algorithm != Algorithm::Busyness) else { return };
    let algorithm = ALGORITHMS.iter().find(|(_, algorithm)| *algorithm == scaling.algorithm);
    let why = format!(
        "{} is for cheaper-algo = busyness, and it is {}",
        given.key,
        algorithm.map_or("another", |(name, _)| *name)
    );
    sight.note(given, why);
}

/// Given, and neither 0 nor off.
fn is_there(sight: &Sight<'_>, name: &str) -> bool {
    sight.on(name).is_some()
}
