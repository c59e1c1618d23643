//! Calls the application: by vectorcall where this CPython exports it (24 ns cheaper than a tuple of arguments).

use std::sync::OnceLock;

use pyo3::ffi::Py_REFCNT;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::host::{Request, RequestBody};
use crate::input::Input;
use crate::interpreter::{Vectorcall, vectorcall};

/// `PY_VECTORCALL_ARGUMENTS_OFFSET`: the callee may use the slot before the first argument.
const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// `application(environ, start_response)`.
pub fn call<'py>(
    application: &Bound<'py, PyAny>,
    environ: &Bound<'py, PyDict>,
    start_response: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    static VECTORCALL: OnceLock<Option<Vectorcall>> = OnceLock::new();
    let Some(vectorcall) = *VECTORCALL.get_or_init(vectorcall) else {
        return application.call1((environ, start_response));
    };
    let mut arguments = [std::ptr::null_mut(), environ.as_ptr(), start_response.as_ptr()];
    // SAFETY: index 1 of 3.
    let first = unsafe { arguments.as_mut_ptr().add(1) };
    // SAFETY: attached (we hold `Bound`s); two arguments that outlive the call, and the slot before them is ours.
    let result =
        unsafe { vectorcall(application.as_ptr(), first, 2 | ARGUMENTS_OFFSET, std::ptr::null_mut()) };
    // SAFETY: a new reference, or null with an exception set.
    unsafe { Bound::from_owned_ptr_or_err(application.py(), result) }
}

/// Opens `input` for a request, and shuts it when dropped: before the request can be finished, since it borrows it.
pub struct OpenInput<'a, 'py> {
    input: &'a Bound<'py, Input>,
}

impl<'a, 'py> OpenInput<'a, 'py> {
    /// Lends the request's body to `input`.
    pub fn new(input: &'a Bound<'py, Input>, request: &Request) -> OpenInput<'a, 'py> {
        // SAFETY: `shut`, in our `drop`, drops the body again; `wsgi::handle` finishes the request after that.
        let body: RequestBody = unsafe { request.body() };
        input.get().open(input.py(), body);
        OpenInput { input }
    }
}

impl Drop for OpenInput<'_, '_> {
    fn drop(&mut self) {
        self.input.get().shut(self.input.py());
    }
}

/// Whether anybody but `object`'s holder has a reference to it.
pub fn is_kept<T>(object: &Bound<'_, T>) -> bool {
    // SAFETY: attached, and the object is alive. A count that means something else (3.14 keeps flags beside it)
    // is not 1, which costs a new object.
    unsafe { Py_REFCNT(object.as_ptr()) != 1 }
}
