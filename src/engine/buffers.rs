//! The pool of receive buffers: a provided buffer ring (Linux 5.19). The kernel picks a buffer when bytes have
//! arrived, so idle connections hold none.

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Received bytes in a pooled buffer. Deliberately neither `Clone` nor `Copy`: one owner, who gives it back.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    pub(super) id: u16,
    pub(super) len: u32,
}

impl Chunk {
    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Group number the ring's buffers are registered under.
pub(super) const GROUP: u16 = 0;

/// The buffers and the ring that offers them to the kernel.
pub(super) struct Pool {
    /// `count` entries, page aligned, shared with the kernel.
    entries: NonNull<BufRingEntry>,
    /// `count * size` bytes.
    memory: NonNull<u8>,
    count: u16,
    size: usize,
    tail: u16,
    /// Buffers the kernel may use now.
    offered: u16,
}

impl Pool {
    /// `count` (a power of two) buffers of `size` bytes, all offered.
    pub(super) fn new(count: u16, size: usize) -> io::Result<Pool> {
        assert!(count.is_power_of_two(), "the kernel masks the ring's index");
        let entries = map(usize::from(count) * size_of::<BufRingEntry>())?.cast();
        let memory = map(usize::from(count) * size)?;
        let mut pool = Pool { entries, memory, count, size, tail: 0, offered: 0 };
        (0..count).for_each(|id| pool.offer(id));
        pool.publish();
        Ok(pool)
    }

    /// Address of the entries, for the registration.
    pub(super) fn address(&self) -> u64 {
        self.entries.as_ptr() as u64
    }

    /// Number of entries, for the registration.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// Size of one buffer in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Whether the kernel has a buffer left.
    pub(super) fn has_offers(&self) -> bool {
        self.offered > 0
    }

    /// Takes over buffer `id` with the `len` bytes the kernel put there.
    pub(super) fn taken(&mut self, id: u16, len: u32) -> Chunk {
        self.offered -= 1;
        Chunk { id, len }
    }

    /// The bytes of `chunk`.
    pub(super) fn bytes(&self, chunk: &Chunk) -> &[u8] {
        let start = usize::from(chunk.id) * self.size;
        // SAFETY: `id < count`, so the buffer lies inside the mapping made in `new`.
        let first = unsafe { self.memory.as_ptr().add(start) };
        // SAFETY: `len <= size` bytes of that buffer were written by the kernel; until `give_back` consumes the
        // chunk the buffer is not offered again, so nobody writes to it while the borrow lives.
        unsafe { std::slice::from_raw_parts(first, chunk.len as usize) }
    }

    /// Offers the buffer of `chunk` again.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        self.offer(chunk.id);
        self.publish();
    }

    fn offer(&mut self, id: u16) {
        let slot = usize::from(self.tail & (self.count - 1));
        // SAFETY: `slot < count`: inside the mapping.
        let entry = unsafe { self.entries.as_ptr().add(slot) };
        // SAFETY: the entry lies behind the published tail, so the kernel does not read it yet, and `&mut self`
        // keeps every other writer out.
        let entry = unsafe { &mut *entry };
        // SAFETY: `id < count` (it came from `new` or from a chunk), inside the mapping.
        let first = unsafe { self.memory.as_ptr().add(usize::from(id) * self.size) };
        entry.set_addr(first as u64);
        entry.set_len(u32::try_from(self.size).expect("a buffer is far smaller than 4 GiB"));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        self.offered += 1;
    }

    fn publish(&self) {
        // SAFETY: `entries` points to the registered ring, where `tail` finds the kernel's tail word.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: that word is 2 bytes, aligned, lives as long as the mapping, and is shared with the kernel,
        // which reads it atomically.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let sizes =
            [usize::from(self.count) * size_of::<BufRingEntry>(), usize::from(self.count) * self.size];
        for (address, len) in [self.entries.cast::<u8>(), self.memory].into_iter().zip(sizes) {
            // SAFETY: both mappings were made in `new` with this length; the ring that used them was dropped
            // first (field order in `ring::Ring`), so the kernel holds no reference.
            let _ = unsafe { munmap(address.cast(), len) };
        }
    }
}

fn map(len: usize) -> io::Result<NonNull<u8>> {
    let len = NonZeroUsize::new(len).expect("a pool is not empty");
    // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice touches nothing of ours.
    let address = unsafe {
        mmap_anonymous(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)
    };
    Ok(address.map_err(io::Error::from)?.cast())
}
