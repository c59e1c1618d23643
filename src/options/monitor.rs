//! What others see of the server: the stats server.

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
}

impl Monitor {
    /// Whether anybody looks.
    pub fn is_used(&self) -> bool {
        self.stats.is_some()
    }

    /// Whether somebody wants to see which requests run.
    pub fn shows_requests(&self) -> bool {
        self.stats.is_some() && !self.stats_no_cores
    }
}
