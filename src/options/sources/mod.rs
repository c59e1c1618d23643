//! Where options come from. Each source turns its text into keys and values, in order, and judges nothing.

pub mod argv;
pub mod env;
pub mod ini;
