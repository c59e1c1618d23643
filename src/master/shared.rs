//! What the master makes once and every template and worker has.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::shared::area::Area;
use crate::sys::event;

/// Of where a process stands: more than that nobody reads.
const PLACE_BYTES_MAX: usize = 16 * 1024;

/// What templates and workers take with them from the master.
#[derive(Clone, Debug)]
pub struct Shared {
    /// What all processes share.
    pub area: Arc<Area>,
    /// A bell for each slot (1 is the first): the master has a command.
    pub bells: Vec<Arc<OwnedFd>>,
    /// Read end of a pipe whose other end only the master has.
    pub life: Arc<OwnedFd>,
    /// The master's bell.
    pub notify: Arc<OwnedFd>,
    /// Where workers send the stacks that the master asked for.
    pub stacks: Arc<OwnedFd>,
    /// Where a process that loads the application writes where it stands.
    pub place: Arc<File>,
}

impl Shared {
    /// The bell of slot `number`.
    pub fn bell(&self, number: u32) -> &Arc<OwnedFd> {
        &self.bells[number as usize - 1]
    }

    /// Rings all of them.
    pub fn ring_all(&self) {
        for bell in &self.bells {
            // A bell that cannot be rung has rung already.
            let _ = event::signal(bell.as_raw_fd());
        }
    }

    /// Where somebody stood before.
    pub fn forget_place(&self) -> io::Result<()> {
        self.place.set_len(0)
    }

    /// What a process has written there since.
    pub fn place(&self) -> String {
        let mut text = vec![0; PLACE_BYTES_MAX];
        let len = self.place.read_at(&mut text, 0).unwrap_or(0);
        String::from_utf8_lossy(&text[..len]).into_owned()
    }
}
