//! Bytes objects that the host keeps until a client has them.

use std::ffi::c_void;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use uwring_abi::Holder;

/// By what the host can keep `owner`: bytes do not change, and have their memory until the last reference is gone.
pub fn holder(owner: &Bound<'_, PyBytes>) -> Holder {
    Holder { object: owner.as_ptr().cast(), hold, release }
}

/// Takes a reference for the host.
unsafe extern "C" fn hold(object: *mut c_void) -> *mut c_void {
    // SAFETY: called within the call that lends the holder, whose caller has the object; attached.
    let owner = Python::attach(|py| unsafe { Bound::from_borrowed_ptr(py, object.cast()) }.unbind());
    Box::into_raw(Box::new(owner)).cast()
}

/// Drops it: at once where the thread is attached, else when one attaches.
unsafe extern "C" fn release(handle: *mut c_void) {
    // SAFETY: `hold` made it, and the host gives it back once.
    drop(unsafe { Box::from_raw(handle.cast::<Py<PyAny>>()) });
}
