//! What others see of the server: statistics, metrics, health.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::metric::{Metric, Threshold};

/// See the module's page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitor {
    /// `stats`: where the stats server listens.
    pub stats: Option<String>,
    /// `stats-http`: it speaks HTTP.
    pub stats_http: bool,
    /// `stats-minified`: no blanks.
    pub stats_minified: bool,
    /// `stats-no-cores`: nothing of the single interpreter threads.
    pub stats_no_cores: bool,
    /// `stats-no-metrics`: without the figures by the names of uWSGI's metrics.
    pub stats_no_metrics: bool,
    /// `enable-metrics`: with them.
    pub enable_metrics: bool,
    /// `metrics-no-cores`: without those of single threads.
    pub metrics_no_cores: bool,
    /// `metric`: what the application counts by name, and what is worked out of it.
    #[serde(default)]
    pub declared: Vec<Metric>,
    /// `metric-threshold`.
    #[serde(default)]
    pub thresholds: Vec<Threshold>,
    /// `stats-push`.
    pub pushers: Vec<Pusher>,
    /// `stats-pusher-default-freq`, seconds; `None`: 3.
    pub push_seconds: Option<u32>,
    /// `metrics`: where metrics and health checks are answered.
    pub metrics: Option<String>,
    /// `metrics-path`: where metrics are there; without it `/metrics`.
    pub metrics_path: Option<String>,
    /// `agent-check`: where HAProxy asks.
    pub agent_check: Option<String>,
    /// `health-checks`: request sockets answer them too.
    pub health_checks: bool,
    /// `metrics-no-status`: there is no status page at the address of metrics.
    #[serde(default)]
    pub metrics_no_status: bool,
    /// `metrics-no-app`: what the application counts itself is not among them.
    #[serde(default)]
    pub metrics_no_app: bool,
    /// `disable-recorder`: slow and failed requests are not kept.
    #[serde(default)]
    pub recorder_off: bool,
    /// `recorder-query`: they are kept with their query.
    #[serde(default)]
    pub recorder_query: bool,
    /// `health-timeout`, seconds after which a worker whose threads are all in requests counts as stuck; 0: only by
    /// `harakiri`.
    pub health_timeout: u64,
}

impl Monitor {
    /// Whether the figures are shown by the names of uWSGI's metrics: each of these turns them on.
    pub fn has_figures(&self) -> bool {
        self.enable_metrics
            || !self.pushers.is_empty()
            || !self.declared.is_empty()
            || !self.thresholds.is_empty()
    }

    /// Whether somebody wants to see which requests run.
    pub fn shows_requests(&self) -> bool {
        self.stats.is_some() && !self.stats_no_cores
    }

    /// Whether metrics are served, with those of the application.
    pub fn shows_application(&self) -> bool {
        self.metrics.is_some() && !self.metrics_no_app
    }
}

/// Statistics that go out by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pusher {
    /// Where to.
    pub to: Push,
    /// How often, seconds; 0: `stats-pusher-default-freq`.
    pub seconds: u64,
}

/// The destination of a [`Pusher`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Push {
    /// The document, appended to a file.
    File {
        /// Which.
        path: PathBuf,
        /// What follows each.
        separator: String,
    },
    /// The document, as a datagram.
    Socket {
        /// `host:port` or a path.
        address: String,
        /// What stands before it.
        prefix: String,
    },
    /// Metrics, a datagram each.
    Statsd {
        /// `host:port`.
        address: String,
        /// Before the names, without the dot.
        prefix: String,
        /// `statsd-all-gauges`: counters are told as they stand, too.
        gauges: bool,
        /// `statsd-no-workers`: nothing of single workers.
        totals: bool,
    },
    /// Lines for Graphite, over TCP.
    Carbon {
        /// `host:port`.
        address: String,
        /// Before the names, without the dot.
        prefix: String,
        /// `carbon-no-workers`.
        totals: bool,
    },
}

/// What the `carbon-…` options say of all `carbon`s.
#[derive(Clone, Debug)]
pub struct Carbon {
    /// `carbon`: where to.
    pub addresses: Vec<String>,
    /// `carbon-freq`, seconds.
    pub seconds: u64,
    /// `carbon-root`.
    pub root: String,
    /// `carbon-id`: the name of this server; without it the name of its first socket.
    pub id: Option<String>,
    /// `carbon-hostname-dots`: what stands for the dots in the name of the machine.
    pub dots: String,
    /// `carbon-no-workers`.
    pub totals: bool,
}

impl Default for Carbon {
    fn default() -> Carbon {
        let (addresses, root, dots) = (Vec::new(), "uwsgi".to_owned(), "_".to_owned());
        Carbon { addresses, seconds: 60, root, id: None, dots, totals: false }
    }
}

impl Carbon {
    /// One pusher for each address. `host`: this machine; `socket`: the first socket.
    pub fn pushers(&self, host: &str, socket: &str) -> Vec<Pusher> {
        let id = self.id.clone().unwrap_or_else(|| socket.replace(['.', '/', ':'], "_"));
        let prefix: Vec<String> = [self.root.clone(), host.replace('.', &self.dots), id].into();
        let prefix = prefix.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".");
        let push = |address: &String| Push::Carbon {
            address: address.clone(),
            prefix: prefix.clone(),
            totals: self.totals,
        };
        self.addresses.iter().map(|address| Pusher { to: push(address), seconds: self.seconds }).collect()
    }
}

impl Push {
    /// For the log.
    pub fn name(&self) -> String {
        match self {
            Push::File { path, .. } => format!("file {}", path.display()),
            Push::Socket { address, .. } => format!("socket {address}"),
            Push::Statsd { address, .. } => format!("statsd {address}"),
            Push::Carbon { address, .. } => format!("carbon {address}"),
        }
    }
}

/// Reads a `stats-push`: `file:path=FILE,freq=SECONDS,separator=TEXT`, `socket:ADDRESS[,PREFIX]`,
/// `statsd:HOST:PORT[,PREFIX]`.
pub fn pusher(text: &str) -> Result<Pusher, String> {
    let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
    let addressed = |usual: &str| {
        let (address, prefix) = rest.split_once(',').unwrap_or((rest, usual));
        if address.is_empty() {
            Err(format!("{kind}: needs an address"))
        } else {
            Ok((address.to_owned(), prefix.to_owned()))
        }
    };
    match kind {
        "file" => file(rest),
        "socket" => {
            addressed("").map(|(address, prefix)| Pusher { to: Push::Socket { address, prefix }, seconds: 0 })
        }
        "statsd" => addressed("uwsgi")
            .map(|(address, prefix)| Push::Statsd { address, prefix, gauges: false, totals: false })
            .map(|to| Pusher { to, seconds: 0 }),
        other => {
            Err(format!("file:, socket: or statsd:, not {other:?} (let Prometheus scrape metrics = ADDRESS)"))
        }
    }
}

fn file(rest: &str) -> Result<Pusher, String> {
    let (mut path, mut separator, mut seconds) = (PathBuf::from("uwsgi.stats"), "\n".to_owned(), 0);
    for part in rest.split(',').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("path", value)) => path = value.into(),
            Some(("separator", value)) => value.clone_into(&mut separator),
            Some(("freq", value)) => {
                seconds = value.parse().map_err(|_| format!("freq is a number of seconds, not {value:?}"))?;
            }
            Some((key, _)) => return Err(format!("file: knows path, freq and separator, not {key:?}")),
            None => path = part.into(),
        }
    }
    Ok(Pusher { to: Push::File { path, separator }, seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_read() {
        for (text, name, seconds) in [
            ("file:path=/a,freq=7,separator=@@", "file /a", 7),
            ("file:/b", "file /b", 0),
            ("file", "file uwsgi.stats", 0),
            ("socket:/run/s,x", "socket /run/s", 0),
            ("statsd:host:8125,my.app", "statsd host:8125", 0),
        ] {
            let pusher = pusher(text).expect(text);
            assert_eq!((pusher.to.name().as_str(), pusher.seconds), (name, seconds));
        }
        let statsd = pusher("statsd:h:1").expect("read");
        let (address, prefix) = ("h:1".to_owned(), "uwsgi".to_owned());
        assert_eq!(statsd.to, Push::Statsd { address, prefix, gauges: false, totals: false });
        let mut carbon = Carbon { addresses: vec!["g:2003".to_owned()], ..Carbon::default() };
        let prefix = |carbon: &Carbon| match carbon.pushers("a.example", "127.0.0.1:80").remove(0).to {
            Push::Carbon { prefix, .. } => prefix,
            other => other.name(),
        };
        assert_eq!(prefix(&carbon), "uwsgi.a_example.127_0_0_1_80");
        (carbon.root, carbon.id, carbon.dots) = (String::new(), Some("shop".to_owned()), "-".to_owned());
        assert_eq!(prefix(&carbon), "a-example.shop");
        for text in ["mongodb:x", "statsd", "file:freq=x", "file:pth=/a"] {
            assert!(pusher(text).is_err(), "{text}");
        }
    }
}
