//! Memory for request bodies beyond the ordinary. A body of up to a mebibyte is sooner received into memory than written to
//! a file and read again, as long as all such bodies of a worker together stay within bounds. What a client announces
//! counts, not what it has sent, so a promise can be kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::limits::{BODIES_MEMORY_MAX, BODY_LARGE_MAX};

/// What one worker has left, bytes.
#[derive(Debug)]
pub struct Allowance(Arc<AtomicU64>);

/// A part of it, given back when it is dropped.
#[derive(Debug)]
pub struct Granted {
    left: Arc<AtomicU64>,
    bytes: u64,
}

impl Default for Allowance {
    fn default() -> Allowance {
        Allowance(Arc::new(AtomicU64::new(BODIES_MEMORY_MAX)))
    }
}

impl Allowance {
    /// Memory for a body of `bytes`, if there is some left and the body is not too large for it.
    pub fn grant(&self, bytes: u64) -> Option<Granted> {
        let fits = |left: u64| left.checked_sub(bytes).filter(|_| bytes <= BODY_LARGE_MAX);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).ok()?;
        Some(Granted { left: Arc::clone(&self.0), bytes })
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_have_memory_until_it_is_spent_and_again_when_it_is_given_back() {
        let allowance = Allowance::default();
        assert!(allowance.grant(BODY_LARGE_MAX + 1).is_none(), "too large for any");
        let all = BODIES_MEMORY_MAX / BODY_LARGE_MAX;
        let mut granted: Vec<_> = (0..all).map(|_| allowance.grant(BODY_LARGE_MAX).expect("room")).collect();
        assert!(allowance.grant(1).is_none(), "all is spent");
        granted.pop();
        assert!(allowance.grant(BODY_LARGE_MAX).is_some());
    }
}
