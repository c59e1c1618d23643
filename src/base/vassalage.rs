//! What an Emperor and its vassals say to each other: uWSGI's words, a byte each, over a line whose descriptor the vassal
//! finds in its environment.

/// The variable with the number of the line's descriptor.
pub const LINE: &str = "UWSGI_EMPEROR_FD";

/// To a vassal: end.
pub const STOP: u8 = 0;
/// To a vassal: load everything anew.
pub const RELOAD: u8 = 1;
/// To a vassal, from uWSGI's Emperor: end when all is done.
pub const STOP_GRACEFULLY: u8 = 2;
/// From a vassal: it serves.
pub const READY: u8 = 5;
/// From a vassal: it has served a request.
pub const LOYAL: u8 = 17;
/// From a vassal of uWSGI that was started on demand: nobody needs it now.
pub const IDLE: u8 = 22;
/// From a vassal: all is well.
pub const HEARTBEAT: u8 = 26;
