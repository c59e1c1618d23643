//! The door to a request plugin: finding and loading it, and the safe face of the two tables of functions that
//! make up the boundary (`plugins/abi`).

pub mod host;
pub mod load;
pub mod python;
