//! When workers are replaced, and what becomes of requests that take too long.

use serde::{Deserialize, Serialize};

/// When a worker is replaced; 0 never.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Recycling {
    /// `max-requests`.
    pub max_requests: u64,
    /// `max-requests-delta`: up to so many more, at random; a tenth where it is not set.
    pub max_requests_delta: Option<u32>,
    /// `max-worker-lifetime`, seconds.
    pub max_lifetime: u64,
    /// `max-worker-lifetime-delta`: up to so many seconds more, at random; a tenth where it is not set.
    pub max_lifetime_delta: Option<u32>,
    /// `min-worker-lifetime`, seconds.
    pub min_lifetime: u64,
    /// `reload-on-rss`, MB resident.
    pub rss_mb: u64,
    /// `reload-on-as`, MB of addresses.
    pub as_mb: u64,
    /// `reload-on-pss`, MB, shared ones in proportion.
    pub pss_mb: u64,
    /// `reload-on-uss`, MB of its own.
    pub uss_mb: u64,
    /// `evil-reload-on-rss`, MB.
    pub evil_rss_mb: u64,
    /// `evil-reload-on-as`, MB.
    pub evil_as_mb: u64,
}

impl Default for Recycling {
    fn default() -> Recycling {
        Recycling {
            max_requests: 0,
            max_requests_delta: None,
            max_lifetime: 0,
            max_lifetime_delta: None,
            min_lifetime: 10,
            rss_mb: 0,
            as_mb: 0,
            pss_mb: 0,
            uss_mb: 0,
            evil_rss_mb: 0,
            evil_as_mb: 0,
        }
    }
}

/// Requests that take too long.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Harakiri {
    /// `harakiri`: seconds with the application; 0 for ever.
    pub seconds: u64,
    /// `harakiri-graceful-timeout`: seconds to end after it was interrupted.
    pub grace_seconds: u64,
    /// `harakiri-graceful-signal`: sent to the worker besides.
    pub signal: Option<u32>,
    /// `harakiri-verbose`.
    pub verbose: bool,
    /// `harakiri-no-arh`: the after-request hook does not count.
    pub without_hook: bool,
}

impl Default for Harakiri {
    fn default() -> Harakiri {
        Harakiri { seconds: 0, grace_seconds: 3, signal: None, verbose: false, without_hook: false }
    }
}
