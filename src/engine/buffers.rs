//! The receive buffers of one engine: pieces of one mapping, named by number. How they are handed out is the
//! engine's business (`ring/offers`, `epoll/stock`).

use std::io;
use std::mem::MaybeUninit;
use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Received bytes in a pooled buffer. Deliberately neither `Clone` nor `Copy`: one owner, who gives it back.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    pub(super) id: u32,
    pub(super) len: u32,
}

/// Numbers from here on are those of a layer above the engine: the engines' own have 16 bits.
const LAYER: u32 = 1 << 16;

impl Chunk {
    /// Of a layer that has buffers of its own, by its own number for one; `None`: it has too many.
    pub fn of_layer(number: usize, len: usize) -> Option<Chunk> {
        let id = u32::try_from(number).ok()?.checked_add(LAYER)?;
        Some(Chunk { id, len: u32::try_from(len).ok()? })
    }

    /// The number that the layer gave it; `None`: it is the engine's.
    pub fn layer_number(&self) -> Option<usize> {
        self.id.checked_sub(LAYER).map(|number| number as usize)
    }

    /// Number of the engine's buffer.
    pub(super) fn own(&self) -> u16 {
        u16::try_from(self.id).expect("a chunk of this engine")
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Private anonymous memory, zeroed, aligned to a page.
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: NonZeroUsize,
}

impl Mapping {
    /// Maps `len` bytes; untouched ones cost address space only.
    pub(super) fn new(len: usize) -> io::Result<Mapping> {
        let len = NonZeroUsize::new(len).ok_or(io::ErrorKind::InvalidInput)?;
        // SAFETY: a fresh private anonymous mapping at an address of the kernel's choice touches nothing of ours.
        let start = unsafe {
            mmap_anonymous(None, len, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE)
        };
        Ok(Mapping { start: start.map_err(io::Error::from)?.cast(), len })
    }

    /// Its first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length; who uses the memory borrows the mapping, or is the kernel, whose
        // ring is dropped first (field order in `ring::Ring`).
        let _ = unsafe { munmap(self.start.cast(), self.len.get()) };
    }
}

/// `count` buffers of `size` bytes.
pub(super) struct Buffers {
    memory: Mapping,
    count: u16,
    size: usize,
}

impl Buffers {
    /// Maps them.
    pub(super) fn new(count: u16, size: usize) -> io::Result<Buffers> {
        Ok(Buffers { memory: Mapping::new(usize::from(count) * size)?, count, size })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// Size of one, bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The first byte of buffer `id`.
    pub(super) fn first(&self, id: u16) -> NonNull<u8> {
        assert!(id < self.count, "no buffer {id}");
        // SAFETY: `id < count`, so the buffer lies inside the mapping.
        unsafe { self.memory.start().add(usize::from(id) * self.size) }
    }

    /// The bytes of `chunk`.
    pub(super) fn bytes(&self, chunk: &Chunk) -> &[u8] {
        debug_assert!(chunk.len() <= self.size);
        // SAFETY: `len <= size` bytes of that buffer were written by the kernel; until the chunk is given back (which
        // consumes it) nobody writes to it, so the borrow may live as long as both borrows given.
        unsafe { std::slice::from_raw_parts(self.first(chunk.own()).as_ptr(), chunk.len()) }
    }

    /// Buffer `id`, to be written to: no chunk names it.
    pub(super) fn room(&mut self, id: u16) -> &mut [MaybeUninit<u8>] {
        // SAFETY: `size` bytes inside the mapping; `&mut self` keeps other borrows away, and nobody else has been
        // given this buffer: its number is in nobody's chunk.
        unsafe { std::slice::from_raw_parts_mut(self.first(id).as_ptr().cast(), self.size) }
    }
}
