//! What others see of the server: statistics, metrics, health.

use serde::{Deserialize, Serialize};

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
    /// `metrics`: where metrics and health checks are answered.
    pub metrics: Option<String>,
    /// `metrics-path`: where metrics are there; without it `/metrics`.
    pub metrics_path: Option<String>,
    /// `agent-check`: where HAProxy asks.
    pub agent_check: Option<String>,
    /// `health-checks`: request sockets answer them too.
    pub health_checks: bool,
    /// `health-timeout`, seconds after which a worker whose threads are all in requests counts as stuck; 0: only by
    /// `harakiri`.
    pub health_timeout: u64,
}

impl Monitor {
    /// Whether somebody wants to see which requests run.
    pub fn shows_requests(&self) -> bool {
        self.stats.is_some() && !self.stats_no_cores
    }
}
