//! The ring's receive buffers: a provided buffer ring (Linux 5.19). The kernel picks a buffer when bytes have arrived,
//! so idle connections hold none.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::super::buffers::{Buffers, Chunk, Mapping};

/// Group number the ring's buffers are registered under.
pub(super) const GROUP: u16 = 0;

/// The buffers and the ring that offers them to the kernel.
pub(super) struct Pool {
    /// As many entries as buffers, page aligned, shared with the kernel.
    entries: Mapping,
    buffers: Buffers,
    tail: u16,
    /// Buffers the kernel may use now.
    offered: u16,
}

impl Pool {
    /// `count` (a power of two) buffers of `size` bytes, all offered.
    pub(super) fn new(count: u16, size: usize) -> io::Result<Pool> {
        assert!(count.is_power_of_two(), "the kernel masks the ring's index");
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let mut pool = Pool { entries, buffers: Buffers::new(count, size)?, tail: 0, offered: 0 };
        (0..count).for_each(|id| pool.offer(id));
        pool.publish();
        Ok(pool)
    }

    fn entries(&self) -> NonNull<BufRingEntry> {
        self.entries.start().cast()
    }

    /// Address of the entries, for the registration.
    pub(super) fn address(&self) -> u64 {
        self.entries().as_ptr() as u64
    }

    /// Number of entries, for the registration.
    pub(super) fn count(&self) -> u16 {
        self.buffers.count()
    }

    /// Size of one buffer in bytes.
    pub(super) fn size(&self) -> usize {
        self.buffers.size()
    }

    /// Whether the kernel has a buffer left.
    pub(super) fn has_offers(&self) -> bool {
        self.offered > 0
    }

    /// Takes over buffer `id` with the `len` bytes the kernel put there.
    pub(super) fn taken(&mut self, id: u16, len: u32) -> Chunk {
        self.offered -= 1;
        Chunk { id: id.into(), len }
    }

    /// The bytes of `chunk`.
    pub(super) fn bytes(&self, chunk: &Chunk) -> &[u8] {
        self.buffers.bytes(chunk)
    }

    /// Offers the buffer of `chunk` again.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        self.offer(chunk.own());
        self.publish();
    }

    fn offer(&mut self, id: u16) {
        let slot = usize::from(self.tail & (self.count() - 1));
        // SAFETY: `slot < count`: inside the mapping.
        let entry = unsafe { self.entries().add(slot) };
        // SAFETY: the entry lies behind the published tail, so the kernel does not read it yet, and `&mut self`
        // keeps every other writer out; zeroes are a valid entry.
        let entry = unsafe { &mut *entry.as_ptr() };
        entry.set_addr(self.buffers.first(id).as_ptr() as u64);
        entry.set_len(u32::try_from(self.size()).expect("a buffer is far smaller than 4 GiB"));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        self.offered += 1;
    }

    fn publish(&self) {
        // SAFETY: `entries` points to the registered ring, where `tail` finds the kernel's tail word.
        let tail = unsafe { BufRingEntry::tail(self.entries().as_ptr()) };
        // SAFETY: that word is 2 bytes, aligned, lives as long as the mapping, and is shared with the kernel,
        // which reads it atomically.
        let tail = unsafe { &*tail.cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }
}
