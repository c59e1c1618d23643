//! Memory that outlives the process which made it: shared with every process forked later.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// Size of a page, bytes.
pub fn page_bytes() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten();
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(4096)
}

/// How much memory a process uses, bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident.
    pub rss: u64,
    /// Addresses in use.
    pub address_space: u64,
    /// Resident, pages shared with others in proportion; 0 where not asked for.
    pub pss: u64,
    /// Resident and shared with nobody; 0 where not asked for.
    pub uss: u64,
}

/// Bytes resident of process `pid`, one of ours; 0 where it is gone.
pub fn resident_of(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = statm.split_ascii_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok());
    pages.unwrap_or(0) * page_bytes()
}

/// That of this process. `walk`: all of it, for which the kernel looks at every page.
pub fn usage(walk: bool) -> io::Result<Usage> {
    usage_in(Path::new("/proc/self"), walk)
}

/// That of process `pid`.
pub fn usage_of(pid: u32, walk: bool) -> io::Result<Usage> {
    usage_in(&Path::new("/proc").join(pid.to_string()), walk)
}

fn usage_in(process: &Path, walk: bool) -> io::Result<Usage> {
    let statm = std::fs::read_to_string(process.join("statm"))?;
    let mut pages =
        statm.split_ascii_whitespace().map(|word| word.parse::<u64>().unwrap_or(0) * page_bytes());
    let (address_space, rss) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
    let mut usage = Usage { rss, address_space, pss: 0, uss: 0 };
    if walk {
        for line in std::fs::read_to_string(process.join("smaps_rollup"))?.lines() {
            let mut words = line.split_ascii_whitespace();
            let (name, kb) =
                (words.next(), words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0));
            match name {
                Some("Pss:") => usage.pss = kb * 1024,
                Some("Private_Clean:" | "Private_Dirty:") => usage.uss += kb * 1024,
                _ => {}
            }
        }
    }
    Ok(usage)
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
    /// Maps `len` bytes, of a file that is `room` bytes longer: see [`SharedMap::part`].
    pub fn new(len: usize, room: u64) -> io::Result<SharedMap> {
        let file = super::exec::memory_file("uwring-shared")?;
        file.set_len(u64::try_from(len).map_err(io::Error::other)?.saturating_add(room))?;
        SharedMap::again(file.into(), len)
    }

    /// Maps a file that [`SharedMap::new`] made with `len` bytes, with what is in it.
    pub fn again(file: OwnedFd, len: usize) -> io::Result<SharedMap> {
        SharedMap::mapped(file, 0, len)
    }

    /// Maps `len` bytes of such a file, which has this number, from `offset`, the start of a page.
    pub fn part(file: RawFd, offset: u64, len: usize) -> io::Result<SharedMap> {
        // SAFETY: the caller's shared area holds the descriptor during the call; a number that is not open is refused.
        let file = unsafe { BorrowedFd::borrow_raw(file) };
        SharedMap::mapped(file.try_clone_to_owned()?, offset, len)
    }

    fn mapped(file: OwnedFd, offset: u64, len: usize) -> io::Result<SharedMap> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        let offset = i64::try_from(offset).map_err(io::Error::other)?;
        let end = i64::try_from(len.get()).map_err(io::Error::other)?.saturating_add(offset);
        // Beyond the end of a file there is no memory, only SIGBUS.
        if nix::sys::stat::fstat(&file)?.st_size < end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: no address is asked for, so nothing that exists is mapped over; the file has `len` bytes from
        // `offset`, and nobody makes it shorter.
        let start = unsafe { mmap(None, len, access, MapFlags::MAP_SHARED, &file, offset) }?;
        Ok(SharedMap { start: start.cast(), len, file })
    }

    /// All of it as numbers, which whoever maps it may change at any time.
    pub fn words(&self) -> &[AtomicU64] {
        let count = self.len.get() / size_of::<AtomicU64>();
        // SAFETY: the mapping starts on a page and has that many words, for as long as `self` is borrowed. It was zeroed,
        // and any bits are a valid number; this is said of maps only whose users all use atomics.
        unsafe { std::slice::from_raw_parts(self.start.cast::<AtomicU64>().as_ptr(), count) }
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
