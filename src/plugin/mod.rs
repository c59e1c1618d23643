//! The door to a request plugin: which interpreter it lives in, and the safe face of the two tables of functions that
//! make up the boundary (`plugins/abi`).

pub mod api;
pub mod find;
pub mod host;
pub mod office;
pub mod piece;
pub mod python;

pub use api::Plugin;
