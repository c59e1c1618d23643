//! Memory that outlives the process which made it: shared with every process forked later.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Size of a page, bytes.
pub fn page_bytes() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// An anonymous shared mapping, zeroed, aligned to a page.
#[derive(Debug)]
pub struct SharedMap {
    start: NonNull<u8>,
    len: NonZeroUsize,
}

// SAFETY: the mapping belongs to no thread; whoever uses the memory behind `start` answers for how (area.rs uses
// atomics only).
unsafe impl Send for SharedMap {}
// SAFETY: as above: `&SharedMap` gives away an address and a length, no access.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    /// Maps `len` bytes.
    pub fn new(len: usize) -> io::Result<SharedMap> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: no address is asked for, so nothing that exists is mapped over.
        let start = unsafe {
            mmap_anonymous(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED)
        }?;
        Ok(SharedMap { start: start.cast(), len })
    }

    /// Its first byte.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.len.get()
    }

    /// Never: there is no mapping without a byte.
    pub fn is_empty(&self) -> bool {
        false
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are those `mmap` gave; users of the memory borrow the map.
        // Unmapping can only fail for an address that is no mapping, which this one is.
        let _ = unsafe { munmap(self.start.cast(), self.len.get()) };
    }
}
