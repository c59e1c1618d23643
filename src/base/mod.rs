//! No policy; the clock is its only contact with the world.

pub mod base64;
pub mod clock;
pub mod date;
pub mod digits;
pub mod engine;
pub mod errors;
pub mod limits;
pub mod networks;
pub mod pattern;
pub mod protocol;
pub mod text;
pub mod vassalage;
pub mod words;
