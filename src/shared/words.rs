//! Bytes in words that several processes write.

use std::sync::atomic::{AtomicU64, Ordering};

/// Writes `bytes` from the first word on; the rest of the last one becomes zeroes.
pub fn write(words: &[AtomicU64], bytes: &[u8]) {
    for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
        let mut eight = [0; 8];
        eight[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
    }
}

/// The first `len` bytes.
pub fn read(words: &[AtomicU64], len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len.next_multiple_of(8));
    for word in &words[..len.div_ceil(8).min(words.len())] {
        bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Whether they begin with `bytes`.
pub fn begin_with(words: &[AtomicU64], bytes: &[u8]) -> bool {
    words
        .iter()
        .zip(bytes.chunks(8))
        .all(|(word, chunk)| word.load(Ordering::Relaxed).to_le_bytes()[..chunk.len()] == *chunk)
}

/// A value as the number that was counted in it.
pub fn number(value: &[u8]) -> i64 {
    let mut eight = [0; 8];
    let len = value.len().min(8);
    eight[..len].copy_from_slice(&value[..len]);
    i64::from_le_bytes(eight)
}

/// FNV-1a: keys are short, and nobody outside chooses buckets to slow us down by more than a walk over the items.
pub fn hash(key: &[u8]) -> u64 {
    key.iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
