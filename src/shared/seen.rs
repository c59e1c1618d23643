//! What else is seen from outside: the heads of running requests, the applications with their counts, daemons and cron
//! jobs. Each has one writer; a reader may see a text that is being replaced.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::slot::bump;

/// Applications of one worker that are counted.
pub const APPS_MAX: usize = 64;
/// Bytes of a request's head that are kept.
const HEAD_WORDS: usize = 512;
/// Bytes of a mountpoint that are kept, in words.
const MOUNT_WORDS: usize = 14;

/// Bytes in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Text<const WORDS: usize> {
    len: AtomicU32,
    mark: AtomicU32,
    words: [AtomicU64; WORDS],
}

impl<const WORDS: usize> Text<WORDS> {
    /// *Its writer.* Keeps `bytes` as far as there is room, and `mark` with them.
    pub fn put(&self, bytes: &[u8], mark: u32) {
        self.len.store(0, Ordering::Relaxed);
        let kept = &bytes[..bytes.len().min(WORDS * 8)];
        let (whole, rest) = kept.as_chunks::<8>();
        for (word, piece) in self.words.iter().zip(whole) {
            word.store(u64::from_ne_bytes(*piece), Ordering::Relaxed);
        }
        if let (false, Some(word)) = (rest.is_empty(), self.words.get(whole.len())) {
            let mut piece = [0; 8];
            piece[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_ne_bytes(piece), Ordering::Relaxed);
        }
        self.mark.store(mark, Ordering::Relaxed);
        self.len.store(u32::try_from(kept.len()).unwrap_or(0), Ordering::Release);
    }

    /// The bytes and their mark.
    pub fn get(&self) -> (Vec<u8>, u32) {
        let len = (self.len.load(Ordering::Acquire) as usize).min(WORDS * 8);
        let words = self.words.iter().take(len.div_ceil(8));
        let mut bytes: Vec<u8> = words.flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect();
        bytes.truncate(len);
        (bytes, self.mark.load(Ordering::Relaxed))
    }
}

/// The head of the request an interpreter thread works on, as received, marked with the number of its listening
/// socket. Its writer is that thread.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Head {
    /// The bytes.
    pub text: Text<HEAD_WORDS>,
}

/// What a worker's ring thread counts of one application.
#[repr(C)]
#[derive(Debug, Default)]
pub struct AppCount {
    /// Requests finished.
    pub requests: AtomicU64,
    /// Those in which it raised.
    pub exceptions: AtomicU64,
}

impl AppCount {
    /// *Its ring thread.* One more.
    pub fn count(&self, raised: bool) {
        bump(&self.requests, 1);
        if raised {
            bump(&self.exceptions, 1);
        }
    }
}

/// What is known of an application of one generation. Its writer is the template; with `lazy-apps` each worker, and
/// they say the same.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct AppCard {
    /// Seconds it took to load, and one more; 0: there is none.
    loaded: AtomicU64,
    mountpoint: Text<MOUNT_WORDS>,
}

impl AppCard {
    /// It was loaded.
    pub fn put(&self, mountpoint: &[u8], seconds: u64) {
        self.mountpoint.put(mountpoint, 0);
        self.loaded.store(seconds + 1, Ordering::Release);
    }

    /// Another generation comes: there is none yet.
    pub fn clear(&self) {
        self.loaded.store(0, Ordering::Release);
    }

    /// Its mountpoint, and the seconds it took to load.
    pub fn get(&self) -> Option<(Vec<u8>, u64)> {
        let seconds = self.loaded.load(Ordering::Acquire).checked_sub(1)?;
        Some((self.mountpoint.get().0, seconds))
    }
}

/// A daemon or a cron job. Its writer is the master.
#[repr(C, align(128))]
#[derive(Debug, Default)]
pub struct JobSlot {
    /// Its process, 0 while there is none.
    pub pid: AtomicU32,
    /// How often it was started.
    pub starts: AtomicU64,
    /// When it was started last, seconds since the epoch.
    pub started_on: AtomicU64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::area::Area;

    #[test]
    fn a_text_is_kept_as_far_as_there_is_room() {
        let area = Area::new(1, 1, 0).expect("mapped");
        let card = area.card(1, 0).expect("there is room");
        assert_eq!(card.get(), None);
        for len in [0, 1, 7, 8, 9, 112, 113, 300] {
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            card.put(&bytes, 3);
            let kept = &bytes[..bytes.len().min(MOUNT_WORDS * 8)];
            assert_eq!(card.get(), Some((kept.to_vec(), 3)), "{len}");
        }
        card.clear();
        assert_eq!(card.get(), None);
    }
}
