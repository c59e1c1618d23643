//! The receive buffers of the epoll engine: a stack, so that the one used last, still in the cache, is used next.

use std::io;
use std::mem::MaybeUninit;

use super::super::buffers::{Buffers, Chunk};

/// See the module's page.
pub(super) struct Stock {
    buffers: Buffers,
    free: Vec<u16>,
}

impl Stock {
    /// `count` buffers of `size` bytes.
    pub(super) fn new(count: u16, size: usize) -> io::Result<Stock> {
        Ok(Stock { buffers: Buffers::new(count, size)?, free: (0..count).rev().collect() })
    }

    /// Size of one buffer, bytes.
    pub(super) fn size(&self) -> usize {
        self.buffers.size()
    }

    /// The buffer that is filled next; `None`: all are out.
    pub(super) fn room(&mut self) -> Option<&mut [MaybeUninit<u8>]> {
        let id = *self.free.last()?;
        Some(self.buffers.room(id))
    }

    /// Takes that one, whose first `len` bytes were written.
    pub(super) fn take(&mut self, len: usize) -> Chunk {
        let id = self.free.pop().expect("there was room");
        Chunk { id: id.into(), len: u32::try_from(len).expect("a buffer is far smaller than 4 GiB") }
    }

    /// The bytes of `chunk`.
    pub(super) fn bytes(&self, chunk: &Chunk) -> &[u8] {
        self.buffers.bytes(chunk)
    }

    /// Takes a chunk back.
    pub(super) fn give_back(&mut self, chunk: Chunk) {
        self.free.push(chunk.own());
    }
}
