//! The server in figures, for those who look from outside: [`snapshot`] gathers what the shared area and the kernel
//! know, [`json`] says it as uWSGI's stats server does, [`openmetrics`] as Prometheus scrapes it; [`health`] is the verdict. Nothing here waits, and nothing is written.

pub mod declared;
mod exporter;
pub mod figures;
pub mod flights;
pub mod health;
pub mod json;
pub mod live;
pub mod openmetrics;
mod page;
pub mod series;
pub mod snapshot;
pub mod totals;
pub mod vars;
