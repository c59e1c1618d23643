//! uwring's request plugin for CPython.
//!
//! The chosen interpreter loads this library as an extension module ([`boot`]) and gives its main thread to the server's
//! template, which drives the plugin through the table in [`host`] (`uwring_abi::PluginApi`):
//!
//! ```text
//!  template   start → load → (before_fork … after_fork_parent)*
//!  worker     after_fork_child → worker_start → serve(thread)* → worker_stop
//! ```
//!
//! One request: [`threads`] takes it, [`environ`] makes the dict, [`wsgi`] calls the application with
//! [`start_response`], [`body`] sends what comes back; [`input`], [`errors`] and [`file_wrapper`] are the objects
//! inside the dict. [`module`] is `import uwsgi`.
//!
//! Everything runs in the main interpreter: sub-interpreters break too many extension modules.
#![deny(unsafe_code)]

mod config;

#[allow(unsafe_code)]
mod host;
#[allow(unsafe_code)]
mod interpreter;
mod interrupt;

mod traceback;

mod errors;
mod file_wrapper;
mod input;

#[allow(unsafe_code)]
mod call;
mod exchange;
mod item;
mod reason;
#[allow(unsafe_code)]
mod start_response;

#[allow(unsafe_code)]
mod environ;

#[allow(unsafe_code)]
mod lend;

mod apps;
mod autoreload;
mod body;
mod load;
mod module;
mod pauses;
mod series;
mod threads;
mod whereabouts;
mod wsgi;

mod boot;
