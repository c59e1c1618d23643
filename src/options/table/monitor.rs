//! Rows: statistics, metrics, health.

use super::super::draft::Draft;
use super::super::metric::{Metric, Threshold};
use super::super::monitor;
use super::super::row::{Kind::*, Reading, Row, Takes, row};

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
    row(
        &["metrics"],
        Text(|s| &mut s.monitor.metrics, "ADDRESS"),
        "serve metrics for Prometheus here, health checks and a status page: /metrics, /-/live, /-/ready, /-/startup, /-/status",
    ),
    row(
        &["metrics-path"],
        Set(Takes::Value("PATH"), metrics_path),
        "serve metrics at this path (default /metrics)",
    ),
    row(
        &["metrics-no-status"],
        Flag(|s| &mut s.monitor.metrics_no_status),
        "leave the status page, which shows paths of requests, out of the address of metrics",
    ),
    row(
        &["metrics-no-app"],
        Flag(|s| &mut s.monitor.metrics_no_app),
        "leave what applications count with prometheus_client out of the metrics",
    ),
    row(
        &["health-checks"],
        Flag(|s| &mut s.monitor.health_checks),
        "answer /-/live, /-/ready and /-/startup on the sockets of requests too",
    ),
    row(
        &["health-timeout"],
        Seconds(|s| &mut s.monitor.health_timeout),
        "health checks take a worker for stuck when all its threads are so long in requests (default: their harakiri)",
    ),
    row(
        &["agent-check"],
        Text(|s| &mut s.monitor.agent_check, "ADDRESS"),
        "tell HAProxy's agent check here whether to send requests",
    ),
    row(
        &["stats-push"],
        Set(Takes::Value("DESTINATION"), push),
        "send statistics there: file:path=FILE,freq=N,separator=TEXT, socket:ADDRESS, statsd:HOST:PORT[,PREFIX]",
    ),
    row(
        &["stats-pusher-default-freq", "stats-pushers-default-freq"],
        CountIfSet(|s| &mut s.monitor.push_seconds),
        "send statistics every so many seconds (default 3)",
    ),
    row(
        &["enable-metrics"],
        Flag(|s| &mut s.monitor.enable_metrics),
        "show the statistics by the names of uWSGI's metrics too",
    ),
    row(
        &["metric"],
        Set(Takes::Value("METRIC"), metric),
        "let the application count by this name (uwsgi.metric_inc): NAME, or name=NAME,type=…,initial_value=…",
    ),
    row(
        &["metric-threshold", "metric-alarm", "alarm-metric"],
        Set(Takes::Value("THRESHOLD"), threshold),
        "raise an alarm when a metric reaches a value: key=METRIC,value=N,alarm=NAME,rate=SECONDS,reset=N,msg=TEXT",
    ),
    row(
        &["metrics-no-cores"],
        Flag(|s| &mut s.monitor.metrics_no_cores),
        "leave the single threads out of these",
    ),
    row(
        &["stats-no-metrics"],
        Flag(|s| &mut s.monitor.stats_no_metrics),
        "leave these out of the stats server's document",
    ),
    row(
        &["disable-recorder"],
        Flag(|s| &mut s.monitor.recorder_off),
        "do not keep the slowest and the last failed requests for `uwring ctl requests`, `uwring top` and the status page",
    ),
    row(
        &["recorder-query"],
        Flag(|s| &mut s.monitor.recorder_query),
        "keep the queries of these requests, and show those of running ones (they may hold secrets)",
    ),
    row(
        &["carbon"],
        List(|s| &mut s.carbon.addresses, "HOST:PORT"),
        "send statistics to this server of Graphite",
    ),
    row(&["carbon-freq"], Seconds(|s| &mut s.carbon.seconds), "so often (default 60)"),
    row(
        &["carbon-root"],
        Set(Takes::Value("NAME"), |s, name| {
            name.clone_into(&mut s.carbon.root);
            Ok(None)
        }),
        "what the names there begin with (default uwsgi)",
    ),
    row(
        &["carbon-id"],
        Text(|s| &mut s.carbon.id, "NAME"),
        "what this server is called there (default: its first socket)",
    ),
    row(
        &["carbon-hostname-dots"],
        Set(Takes::Value("TEXT"), |s, dots| {
            dots.clone_into(&mut s.carbon.dots);
            Ok(None)
        }),
        "what stands for the dots in this machine's name there (default _)",
    ),
    row(&["carbon-no-workers"], Flag(|s| &mut s.carbon.totals), "send nothing of single workers"),
    row(
        &["statsd-all-gauges"],
        Flag(|s| &mut s.statsd_gauges),
        "tell StatsD how counters stand, not what came",
    ),
    row(&["statsd-no-workers"], Flag(|s| &mut s.statsd_totals), "tell StatsD nothing of single workers"),
];

fn push(draft: &mut Draft, value: &str) -> Reading {
    draft.monitor.pushers.push(monitor::pusher(value)?);
    Ok(None)
}

fn metric(draft: &mut Draft, value: &str) -> Reading {
    let (metric, remark) = Metric::read(value)?;
    if draft.monitor.declared.iter().any(|other| other.name == metric.name) {
        return Err(format!("a name of its own: there is a metric {} already", metric.name));
    }
    draft.monitor.declared.push(metric);
    Ok(remark)
}

fn threshold(draft: &mut Draft, value: &str) -> Reading {
    draft.monitor.thresholds.push(Threshold::read(value)?);
    Ok(None)
}

fn metrics_path(draft: &mut Draft, value: &str) -> Reading {
    if !value.starts_with('/') {
        return Err("a path that begins with /".to_owned());
    }
    draft.monitor.metrics_path = Some(value.to_owned());
    Ok(None)
}
