//! `flock` and its family: files that only one server at a time may hold locked.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A file to lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Which.
    pub path: PathBuf,
    /// `flock-wait`, `flock-wait2`: until the other server lets go. Else this one ends.
    pub waits: bool,
    /// `flock2`, `flock-wait2`: only when the log is open and the server is in the background.
    pub late: bool,
}
