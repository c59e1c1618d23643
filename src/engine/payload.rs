//! Bytes to be sent: our own, or somebody else's that are sent from where they lie.

use std::ops::Deref;
use std::ptr::NonNull;

/// Somebody else's bytes, kept for as long as they are needed.
pub struct Loan {
    bytes: NonNull<[u8]>,
    /// Gives them back when it is dropped.
    _owner: Box<dyn Send>,
}

// SAFETY: the bytes do not change while the owner lives (`Loan::new`), and the owner may be dropped in any thread.
unsafe impl Send for Loan {}
// SAFETY: a shared loan is read only, and its owner is not reached through it.
unsafe impl Sync for Loan {}

impl Loan {
    /// Borrows `bytes` for as long as `owner` is kept.
    ///
    /// # Safety
    /// Until `owner` is dropped they stay where they are and as they are.
    pub unsafe fn new(bytes: &[u8], owner: Box<dyn Send>) -> Loan {
        Loan { bytes: NonNull::from(bytes), _owner: owner }
    }

    /// What follows the first `n` bytes; `None`: nothing does.
    pub fn after(mut self, n: usize) -> Option<Loan> {
        let rest = NonNull::from(self.get(n..).filter(|rest| !rest.is_empty())?);
        self.bytes = rest;
        Some(self)
    }
}

impl Deref for Loan {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: a part of what `new` was given, whose owner is ours still.
        unsafe { self.bytes.as_ref() }
    }
}

impl std::fmt::Debug for Loan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loan").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// See the module's page.
#[derive(Debug)]
pub enum Payload {
    /// Our own.
    Own(Vec<u8>),
    /// Somebody else's.
    Lent(Loan),
}

impl Payload {
    /// Our own buffer. A loan is given back, for an empty one.
    pub fn into_own(self) -> Vec<u8> {
        match self {
            Payload::Own(buffer) => buffer,
            Payload::Lent(_) => Vec::new(),
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(buffer: Vec<u8>) -> Payload {
        Payload::Own(buffer)
    }
}

impl From<Loan> for Payload {
    fn from(loan: Loan) -> Payload {
        Payload::Lent(loan)
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Payload::Own(buffer) => buffer,
            Payload::Lent(loan) => loan,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use super::*;

    /// A loan of `bytes`, and who tells whether it was given back: then it is the only one left.
    pub fn loan(bytes: &[u8]) -> (Loan, Arc<Vec<u8>>) {
        let owner = Arc::new(bytes.to_vec());
        // SAFETY: the vector is not changed, and its memory stays until the last `Arc` is gone.
        (unsafe { Loan::new(&owner, Box::new(Arc::clone(&owner))) }, owner)
    }

    #[test]
    fn what_was_lent_is_given_back_when_the_rest_of_it_is() {
        let (loan, owner) = loan(b"abcdef");
        let rest = loan.after(2).expect("four are left");
        assert_eq!((&*rest, Arc::strong_count(&owner)), (&b"cdef"[..], 2));
        assert!(rest.after(4).is_none());
        assert_eq!(Arc::strong_count(&owner), 1);
    }

    #[test]
    fn a_payload_is_its_bytes_and_gives_back_what_is_not_ours() {
        let (loan, owner) = loan(b"lent");
        let (own, lent) = (Payload::from(b"own".to_vec()), Payload::from(loan));
        assert_eq!((&*own, &*lent), (&b"own"[..], &b"lent"[..]));
        assert_eq!((own.into_own(), lent.into_own()), (b"own".to_vec(), Vec::new()));
        assert_eq!(Arc::strong_count(&owner), 1);
    }
}
