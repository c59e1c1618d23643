//! What an Emperor is told: where the configurations of its vassals are, and how they are run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The Emperor's options. It is one where `monitors` is not empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Emperor {
    /// `emperor`: folders and patterns.
    pub monitors: Vec<String>,
    /// `emperor-freq`: seconds between two looks at them.
    pub every: u64,
    /// `emperor-extra-extension`.
    pub extensions: Vec<String>,
    /// `emperor-nofollow`: a link's own time counts, not that of what it leads to.
    pub nofollow: bool,
    /// `emperor-tyrant`: each vassal runs as the owner of its configuration.
    pub tyrant: bool,
    /// `emperor-tyrant-nofollow`: a link's own owner counts.
    pub tyrant_nofollow: bool,
    /// `emperor-pidfile`.
    pub pidfile: Option<PathBuf>,
    /// `emperor-required-heartbeat`, seconds.
    pub heartbeat: u64,
    /// `emperor-throttle`, milliseconds.
    pub throttle_ms: u64,
    /// `emperor-max-throttle`, milliseconds.
    pub max_throttle_ms: u64,
    /// `emperor-no-blacklist`: no pauses.
    pub no_blacklist: bool,
    /// `emperor-curse-tolerance`, seconds.
    pub curse: u64,
    /// `reload-mercy`, seconds: for all vassals together, when the Emperor ends.
    pub mercy: u64,
    /// `emperor-wrapper`: the program that is started, in place of this one.
    pub wrapper: Option<String>,
    /// `vassals-include-before`, `vassals-inherit-before`, and their option.
    pub before: Vec<(String, String)>,
    /// `vassals-include`, `vassals-inherit`, `vassals-set`.
    pub behind: Vec<(String, String)>,
    /// `vassals-start-hook`.
    pub start_hook: Option<String>,
    /// `vassals-stop-hook`.
    pub stop_hook: Option<String>,
}

impl Default for Emperor {
    fn default() -> Emperor {
        Emperor {
            monitors: Vec::new(),
            every: 3,
            extensions: Vec::new(),
            nofollow: false,
            tyrant: false,
            tyrant_nofollow: false,
            pidfile: None,
            heartbeat: 30,
            throttle_ms: 1_000,
            max_throttle_ms: 180_000,
            no_blacklist: false,
            curse: 30,
            mercy: 30,
            wrapper: None,
            before: Vec::new(),
            behind: Vec::new(),
            start_hook: None,
            stop_hook: None,
        }
    }
}
