//! Rows: statistics, metrics, health.

use super::super::row::{Kind::*, Row, Takes, bare, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row(
        &["stats", "stats-server"],
        Text(|s| &mut s.monitor.stats, "ADDRESS"),
        "serve statistics as JSON here, as uwsgitop reads them",
    ),
    row(&["stats-http"], Flag(|s| &mut s.monitor.stats_http), "serve statistics over HTTP"),
    row(
        &["stats-minified", "stats-min"],
        Flag(|s| &mut s.monitor.stats_minified),
        "serve statistics without blanks",
    ),
    row(
        &["stats-no-cores"],
        Flag(|s| &mut s.monitor.stats_no_cores),
        "leave the single threads and their requests out of the statistics",
    ),
    bare(&["stats-push"], Takes::Value("PUSHER"), "send statistics there"),
    bare(&["enable-metrics"], Takes::Nothing, "keep metrics"),
    bare(&["carbon"], Takes::Value("ADDRESS"), "send statistics to a carbon server"),
];
