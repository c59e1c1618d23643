//! What an Emperor is told: where the configurations of its vassals are, and how they are run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::hooks::Action;

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
    /// `exec-as-vassal`, `hook-as-vassal`: commands in the vassal's process, before it is the vassal.
    pub as_vassal: Vec<String>,
    /// `exec-as-emperor`, `hook-as-emperor`: after the start of a vassal.
    pub as_emperor: Vec<Action>,
    /// `hook-as-emperor-before-vassal`: before it.
    pub before_vassal: Vec<Action>,
    /// `hook-as-on-demand-vassal`: when one waits for its first connection.
    pub on_demand_hooks: Vec<Action>,
    /// `emperor-on-demand-…`: which vassals are started by their first connection.
    pub on_demand: Option<OnDemand>,
    /// `chmod-socket`, for the sockets of these.
    pub socket_mode: Option<u32>,
}

/// Where the address of a vassal that is started by its first connection comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDemand {
    /// A file beside its configuration, of the same name and this suffix.
    Extension(String),
    /// A unix socket of its name in this folder.
    Folder(PathBuf),
    /// The first line that this command says, whose argument is its name.
    Command(String),
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
            as_vassal: Vec::new(),
            as_emperor: Vec::new(),
            before_vassal: Vec::new(),
            on_demand_hooks: Vec::new(),
            on_demand: None,
            socket_mode: None,
        }
    }
}
