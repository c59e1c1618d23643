//! uwring: a Python application server on io_uring that takes a uWSGI configuration unchanged.
//!
//! ```text
//!  master            no Python, no ring: sockets, signals, the table of decisions
//!   +- template      the chosen python itself: imports the application, forks workers on demand
//!       +- worker    ring thread (sockets, protocols, deadlines) and interpreter threads (the application)
//! ```
//!
//! A module uses only those declared before it (`tests/tidy.rs` holds it to that), so this list is the map:
//! bytes and clocks at the top, processes at the bottom. The executable knows no Python: that lives in the
//! request plugin (`plugins/python`), behind the tables of functions in `plugins/abi`.
#![deny(unsafe_code)]

pub mod base;

pub mod options;
pub mod request;
pub mod response;
pub mod sys;

pub mod engine;
pub mod proto;
pub mod shared;

pub mod files;
pub mod logging;
pub mod tls;

pub mod hooks;

pub mod routes;
pub mod stats;

pub mod plugin;
pub mod worker;

pub mod control;

pub mod emperor;
pub mod master;

pub mod commands;
