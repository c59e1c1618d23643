//! What the user asked for: one table of options, many sources, one typed result.

pub mod settings;
