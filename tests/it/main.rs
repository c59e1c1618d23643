//! End to end: real servers, real nginx, real frameworks. One binary, one module per subject.
//!
//! The same tests drive two servers: uwring, and with `TARGET=uwsgi` the uWSGI installed on this machine. What passes
//! on both is compatible; where uwring means to be better, a test says so with `uwring_only(reason)`.
//! Golden environs are recorded from uWSGI by `UWRING_BLESS=1 TARGET=uwsgi cargo test --test it environ`.

mod support;

mod abuse;
mod agents;
mod always;
mod cache;
mod check;
mod configs;
mod conformance;
mod control;
mod corpora;
mod ctl;
mod descriptors;
mod drain;
mod effects;
mod emperor;
mod engines;
mod environ;
mod even;
mod faults;
mod frameworks;
mod fronts;
mod fuzz;
mod harakiri;
mod health;
mod http;
mod imports;
mod inis;
mod install;
mod interpreters;
mod jobs;
mod lacks;
mod language;
mod leaks;
mod letter;
mod locks;
mod log;
mod log_json;
mod log_process;
mod long;
mod metrics;
mod module;
mod mounts;
mod options;
mod overload;
mod packets;
mod privileges;
mod process;
mod proxies;
mod push;
mod python;
mod raised;
mod recycle;
mod requests;
mod routes;
mod rules;
mod scaling;
mod soak;
mod stacks;
mod static_files;
mod stats;
mod status_page;
mod surroundings;
mod systemd;
mod tls;
mod top;
mod tracing;
mod trust;
mod upgrade;
mod versions;
mod wsgi;
mod wsgi_edges;
