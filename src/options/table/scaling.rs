//! Rows: how many workers there are, as the load comes and goes.

use super::super::draft::Draft;
use super::super::row::{Kind::*, Reading, Row, Takes, row};
use super::super::scaling::ALGORITHMS;

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["cheaper"],
        Count(|s| &mut s.scaling.least),
        "keep at least this many workers, and start more under load, up to processes",
    ),
    row(
        &["cheaper-initial"],
        Count(|s| &mut s.scaling.initial),
        "start with this many workers (default: cheaper)",
    ),
    row(&["cheaper-step"], Count(|s| &mut s.scaling.step), "start so many workers at a time (default 1)"),
    row(
        &["cheaper-algo", "cheaper-algorithm"],
        Set(Takes::Value("NAME"), algorithm),
        "what decides how many: spare (one worker is free), spare2, backlog, busyness, manual",
    ),
    row(
        &["cheaper-overload"],
        Number(|s| &mut s.scaling.overload),
        "seconds of overload before a worker comes, of rest before one goes; for backlog, connections (default 3)",
    ),
    row(
        &["cheaper-idle"],
        Seconds(|s| &mut s.scaling.idle_seconds),
        "spare2: time with too many free workers before one goes (default 10)",
    ),
    row(
        &["cheaper-rss-limit-soft"],
        Number(|s| &mut s.scaling.rss_soft),
        "start no more workers while all of them have so many bytes resident",
    ),
    row(
        &["cheaper-rss-limit-hard"],
        Number(|s| &mut s.scaling.rss_hard),
        "end workers while all of them have so many bytes resident",
    ),
    row(
        &["cheaper-busyness-max"],
        Number(|s| &mut s.scaling.busyness.max),
        "busyness: per cent of their time in requests above which workers come (default 50)",
    ),
    row(
        &["cheaper-busyness-min"],
        Number(|s| &mut s.scaling.busyness.min),
        "busyness: per cent below which a worker goes (default 25)",
    ),
    row(
        &["cheaper-busyness-multiplier"],
        Number(|s| &mut s.scaling.busyness.multiplier),
        "busyness: times cheaper-overload of rest before a worker goes (default 10)",
    ),
    row(
        &["cheaper-busyness-penalty"],
        Number(|s| &mut s.scaling.busyness.penalty),
        "busyness: added to the multiplier when a worker went too early (default 2)",
    ),
    row(
        &["cheaper-busyness-verbose"],
        Flag(|s| &mut s.scaling.busyness.verbose),
        "busyness: write each decision to the log",
    ),
    row(
        &["cheaper-busyness-backlog-alert"],
        Number(|s| &mut s.scaling.busyness.backlog_alert),
        "busyness: waiting connections at which emergency workers come at once (default 33)",
    ),
    row(
        &["cheaper-busyness-backlog-multiplier"],
        Number(|s| &mut s.scaling.busyness.backlog_multiplier),
        "busyness: the multiplier while there are emergency workers (default 3)",
    ),
    row(
        &["cheaper-busyness-backlog-step"],
        Count(|s| &mut s.scaling.busyness.backlog_step),
        "busyness: emergency workers at a time (default 1)",
    ),
    row(
        &["cheaper-busyness-backlog-nonzero"],
        Seconds(|s| &mut s.scaling.busyness.backlog_nonzero),
        "busyness: time some connection has been waiting at which an emergency worker comes (default 60)",
    ),
    row(&["cheap"], Flag(|s| &mut s.scaling.cheap), "start workers when the first connection comes"),
    row(
        &["idle"],
        Seconds(|s| &mut s.scaling.idle),
        "keep no worker when no request came for so long; the next connection brings them back",
    ),
    row(
        &["die-on-idle"],
        Flag(|s| &mut s.scaling.die_on_idle),
        "end the server in place of keeping no worker",
    ),
];

/// An unknown one is `spare`, as in uWSGI, and a remark.
fn algorithm(draft: &mut Draft, value: &str) -> Reading {
    let found = ALGORITHMS.iter().find(|(name, _)| *name == value.trim());
    draft.scaling.algorithm = found.map(|(_, algorithm)| *algorithm).unwrap_or_default();
    let names = ALGORITHMS.map(|(name, _)| name).join(", ");
    Ok(found.is_none().then(|| format!("read as spare: the algorithms are {names}")))
}

#[cfg(test)]
mod tests {
    use super::super::super::scaling::Algorithm;
    use super::*;

    #[test]
    fn an_unknown_algorithm_is_spare_and_remarked() {
        let mut draft = Draft::default();
        assert_eq!(algorithm(&mut draft, "busyness"), Ok(None));
        assert_eq!(draft.scaling.algorithm, Algorithm::Busyness);
        assert!(algorithm(&mut draft, "busines").expect("read").is_some());
        assert_eq!(draft.scaling.algorithm, Algorithm::Spare);
    }
}
