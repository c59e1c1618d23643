//! The door to a request plugin: find it, load it, call it through its table.

pub mod load;
pub mod python;
