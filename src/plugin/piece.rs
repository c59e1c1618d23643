//! A piece of an answer's body, as the plugin lends it: for a call, or until the client has it.
#![allow(unsafe_code)]

use std::ffi::c_void;

use uwring_abi::Holder;

use crate::engine::Loan;

/// Bytes of a body, lent for a call, or for longer.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    bytes: &'a [u8],
    holder: Option<&'a Holder>,
}

impl<'a> Piece<'a> {
    /// With what holds it.
    ///
    /// # Safety
    /// `bytes` are those of `holder`'s object, and both are lent for `'a`.
    pub(super) unsafe fn new(bytes: &'a [u8], holder: Option<&'a Holder>) -> Piece<'a> {
        Piece { bytes, holder }
    }

    /// Bytes that cannot be kept.
    pub fn of(bytes: &'a [u8]) -> Piece<'a> {
        Piece { bytes, holder: None }
    }

    /// At most `max` bytes of it. Where there are more it cannot be kept: who waits for the last of many bytes shall not keep
    /// all of them in memory.
    pub fn up_to(self, max: usize) -> Piece<'a> {
        if self.bytes.len() > max { Piece::of(&self.bytes[..max]) } else { self }
    }

    /// Keeps `part`, one of its own, beyond the call, if that can be.
    pub fn keep(&self, part: &[u8]) -> Option<Loan> {
        let holder = self.holder?;
        let (ours, theirs) = (self.bytes.as_ptr_range(), part.as_ptr_range());
        assert!(ours.start <= theirs.start && theirs.end <= ours.end, "a part of the piece");
        // SAFETY: we are within the call that lends the holder (`new`).
        let held = Held { handle: unsafe { (holder.hold)(holder.object) }, release: holder.release };
        // SAFETY: `part` lies in the object's bytes (`new`), which do not change until it is released (contract of `Holder`).
        Some(unsafe { Loan::new(part, Box::new(held)) })
    }
}

impl std::ops::Deref for Piece<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

/// A plugin's object that is held; released when dropped.
struct Held {
    handle: *mut c_void,
    release: unsafe extern "C" fn(handle: *mut c_void),
}

// SAFETY: the handle is for `release` only, which may be called from any thread (contract of `Holder`).
unsafe impl Send for Held {}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: `hold` has made the handle, and this is the one time.
        unsafe { (self.release)(self.handle) }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use super::*;

    unsafe extern "C" fn hold(object: *mut c_void) -> *mut c_void {
        // SAFETY: the address of an `Arc` that outlives the call (`holder`).
        let owner = unsafe { &*object.cast::<Arc<Vec<u8>>>() };
        Box::into_raw(Box::new(Arc::clone(owner))).cast()
    }

    unsafe extern "C" fn release(handle: *mut c_void) {
        // SAFETY: made by `hold`, given back once.
        drop(unsafe { Box::from_raw(handle.cast::<Arc<Vec<u8>>>()) });
    }

    /// Calls `work` with a piece that can be kept: then `owner` is not the only one who has the bytes.
    pub fn with_piece<R>(owner: &Arc<Vec<u8>>, work: impl FnOnce(Piece<'_>) -> R) -> R {
        let object = std::ptr::from_ref(owner).cast_mut().cast();
        work(Piece { bytes: owner, holder: Some(&Holder { object, hold, release }) })
    }

    #[test]
    fn a_part_of_a_piece_is_kept_until_the_loan_ends() {
        let owner = Arc::new(b"0123456789".to_vec());
        let loan = with_piece(&owner, |piece| piece.keep(&piece[4..])).expect("it can be kept");
        assert_eq!((&*loan, Arc::strong_count(&owner)), (&b"456789"[..], 2));
        drop(loan);
        assert_eq!(Arc::strong_count(&owner), 1);
    }

    #[test]
    fn what_nobody_holds_or_is_only_the_first_of_more_is_not_kept() {
        let owner = Arc::new(b"0123456789".to_vec());
        let part = with_piece(&owner, |piece| piece.up_to(9).keep(&piece[..9]).is_some());
        let whole = with_piece(&owner, |piece| piece.up_to(10).keep(&piece).is_some());
        let bare = Piece::of(&owner);
        assert_eq!((part, whole, bare.keep(&owner).is_some()), (false, true, false));
        assert_eq!((&*bare.up_to(3), Arc::strong_count(&owner)), (&b"012"[..], 1));
    }
}
