//! What outlives a worker: made before the first fork, shared by every process of the server.

pub mod area;
pub mod cache;
pub mod core;
pub mod flight;
pub mod instance;
pub mod locks;
pub mod meters;
pub mod seen;
pub mod series;
pub mod shape;
pub mod signals;
pub mod slot;
pub mod tally;
mod words;
