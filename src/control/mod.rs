//! The control socket (and, in [`monitor`], what others see of the server): how `uwring ctl` speaks with a running master.
//!
//! ```text
//!  uwring ctl ── "reload wait\n" ──►  master      one request a connection
//!             ◄── {"ok": true, …}\n ──            one JSON object; then the connection ends
//! ```
//! Without `control-socket` its address is an abstract one made from the master's pid, which needs no file and
//! which the client finds by itself. Who may ask is not left to file modes: the kernel says who the other side is,
//! in both directions.

pub mod client;
pub mod monitor;
mod requests;
pub mod server;
mod stacks;
pub mod top;
pub mod words;

/// How the address of every control socket begins that was not configured; the master's pid and a number that
/// tells servers with the same pid apart (containers that share a network) follow.
pub const ABSTRACT_PREFIX: &str = "@uwring/";
