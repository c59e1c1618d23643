//! x
pub mod channel;
pub mod lines;
pub mod state;
