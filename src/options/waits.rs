//! `wait-for-…`: what a server waits for before it goes on.

use serde::{Deserialize, Serialize};

/// How long it waits where nothing else is said, seconds.
pub const PATIENCE_S: u64 = 60;

/// What is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Thing {
    /// `wait-for-fs`: anything of this path.
    Path,
    /// `wait-for-file`.
    File,
    /// `wait-for-dir`.
    Folder,
    /// `wait-for-mountpoint`: a folder on which something is mounted.
    Mount,
    /// `wait-for-interface`: a network interface of this name.
    Interface,
    /// `wait-for-socket`: somebody who listens at this address.
    Socket,
}

impl Thing {
    /// How the log calls it.
    pub fn name(self) -> &'static str {
        match self {
            Thing::Path => "path",
            Thing::File => "file",
            Thing::Folder => "folder",
            Thing::Mount => "mountpoint",
            Thing::Interface => "interface",
            Thing::Socket => "socket",
        }
    }
}

/// The `wait-for-…-timeout`s, seconds.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// `wait-for-fs-timeout`: all that has a path.
    pub paths: u64,
    /// `wait-for-interface-timeout`.
    pub interfaces: u64,
    /// `wait-for-socket-timeout`.
    pub sockets: u64,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience { paths: PATIENCE_S, interfaces: PATIENCE_S, sockets: PATIENCE_S }
    }
}

impl Patience {
    /// For this one.
    pub fn with(&self, thing: Thing) -> u64 {
        match thing {
            Thing::Path | Thing::File | Thing::Folder | Thing::Mount => self.paths,
            Thing::Interface => self.interfaces,
            Thing::Socket => self.sockets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_waited_for_as_long_as_its_own_option_says() {
        let patience = Patience { paths: 1, interfaces: 2, sockets: 3 };
        for (thing, seconds) in [
            (Thing::Path, 1),
            (Thing::File, 1),
            (Thing::Folder, 1),
            (Thing::Mount, 1),
            (Thing::Interface, 2),
            (Thing::Socket, 3),
        ] {
            assert_eq!(patience.with(thing), seconds, "{}", thing.name());
        }
    }
}
