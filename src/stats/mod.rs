//! The server in figures, for those who look from outside: [`snapshot`] gathers what the shared area and the kernel
//! know, [`json`] says it as uWSGI's stats server does. Nothing here waits, and nothing is written.

pub mod json;
pub mod snapshot;
pub mod vars;
