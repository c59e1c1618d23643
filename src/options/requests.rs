//! How requests are read, and what is believed of them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::base::networks::Networks;

/// The trace context of a request that came without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Context {
    /// None: whoever records spans decides.
    Received,
    /// A new one, which asks for being recorded.
    Sampled,
    /// A new one, which does not.
    Unsampled,
}

/// Requests, their limits and times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requests {
    /// `buffer-size`, bytes of a uwsgi block or an HTTP head.
    pub buffer_size: u32,
    /// `post-buffering`: read bodies whole before the application is called; bytes kept in memory, 0 off.
    pub post_buffering: u64,
    /// `limit-post`, bytes; 0 no limit.
    pub limit_post: u64,
    /// `socket-timeout`, milliseconds a read of the body or a write may make no progress.
    pub socket_timeout_ms: u64,
    /// `header-timeout`, milliseconds for a whole request head.
    pub header_timeout_ms: u64,
    /// `body-min-rate`, bytes a second that a request body received before the application is called must come with,
    /// beyond a first `socket-timeout`; 0 off.
    pub body_min_rate: u64,
    /// `keepalive-requests`: requests one HTTP connection may carry; 0 any number.
    pub keepalive_requests: u32,
    /// `request-queue-size`: requests that may wait for an interpreter thread of a worker; 0 any number.
    pub queue_size: u32,
    /// `request-queue-timeout`, seconds a request may wait for one; 0 any time.
    pub queue_timeout: u64,
    /// `http-keepalive`, milliseconds an idle HTTP connection is kept; 0 closes after each answer.
    pub keepalive_ms: u64,
    /// `enable-proxy-protocol`: connections may begin with the PROXY protocol.
    pub proxy_protocol: bool,
    /// `proxy-protocol`: whose connections must.
    pub proxies: Networks,
    /// `trusted-proxies`: whose word about the client counts.
    pub trusted_proxies: Networks,
    /// `tracing`: every request has an id, and what a front end says of its trace is believed.
    pub tracing: bool,
    /// `trace-context`: what a request without one gets.
    pub trace_context: Context,
    /// `manage-script-name`.
    pub manage_script_name: bool,
    /// `max-connections` of one worker.
    pub connections_max: u32,
    /// `error-page-404` and the like: a status, and the HTML file that is sent with it where the server itself
    /// answers so.
    pub error_pages: Vec<(u16, PathBuf)>,
}

impl Default for Requests {
    fn default() -> Requests {
        Requests {
            buffer_size: crate::base::limits::BUFFER_SIZE_DEFAULT,
            post_buffering: 0,
            limit_post: 0,
            socket_timeout_ms: 60_000,
            header_timeout_ms: 30_000,
            body_min_rate: crate::base::limits::BODY_RATE_MIN,
            keepalive_requests: 0,
            queue_size: 0,
            queue_timeout: 0,
            keepalive_ms: 60_000,
            proxy_protocol: false,
            proxies: Networks::default(),
            trusted_proxies: Networks::default(),
            tracing: false,
            trace_context: Context::Received,
            manage_script_name: false,
            connections_max: 20_000,
            error_pages: Vec::new(),
        }
    }
}
