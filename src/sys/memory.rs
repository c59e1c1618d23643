//! Memory that outlives the process which made it: shared with every process forked later.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Size of a page, bytes.
pub fn page_bytes() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// A shared mapping, zeroed at first, aligned to a page. It lies in a file of memory without a name, so that the next
/// program of this process can map it again.
#[derive(Debug)]
pub struct SharedMap {
    start: NonNull<u8>,
    len: NonZeroUsize,
    file: OwnedFd,
}

// SAFETY: the mapping belongs to no thread; whoever uses the memory behind `start` answers for how (area.rs uses
// atomics only).
unsafe impl Send for SharedMap {}
// SAFETY: as above: `&SharedMap` gives away an address and a length, no access.
unsafe impl Sync for SharedMap {}

impl SharedMap {
    /// Maps `len` bytes.
    pub fn new(len: usize) -> io::Result<SharedMap> {
        let file = super::exec::memory_file("uwring-shared")?;
        file.set_len(u64::try_from(len).map_err(io::Error::other)?)?;
        SharedMap::again(file.into(), len)
    }

    /// Maps a file that [`SharedMap::new`] made with `len` bytes, with what is in it.
    pub fn again(file: OwnedFd, len: usize) -> io::Result<SharedMap> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        // Beyond the end of a file there is no memory, only SIGBUS.
        if nix::sys::stat::fstat(&file)?.st_size < i64::try_from(len.get()).map_err(io::Error::other)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: no address is asked for, so nothing that exists is mapped over; the file has `len` bytes, and
        // nobody makes it shorter.
        let start = unsafe { mmap(None, len, access, MapFlags::MAP_SHARED, &file, 0) }?;
        Ok(SharedMap { start: start.cast(), len, file })
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

impl AsRawFd for SharedMap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Drop for SharedMap {
    fn drop(&mut self) {
        // SAFETY: `start` and `len` are those `mmap` gave; users of the memory borrow the map.
        // Unmapping can only fail for an address that is no mapping, which this one is.
        let _ = unsafe { munmap(self.start.cast(), self.len.get()) };
    }
}
