//! A host that costs next to nothing: the same few requests over and over, responses copied and forgotten.

use std::cell::RefCell;
use std::ffi::c_void;

use uwring_abi::{Holder, HostApi, OK, RequestView, ResponseHead, Slice};

use super::{Request, Waiting};

#[derive(Default)]
struct Bench {
    requests: Vec<Waiting>,
    left: usize,
    out: Vec<u8>,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::default());
}

/// The next `serve` gets `rounds` requests, these in turn.
pub fn prepare(requests: Vec<Request>, rounds: usize) {
    BENCH.with_borrow_mut(|bench| {
        bench.requests = requests.into_iter().map(|request| Waiting(request.live())).collect();
        bench.left = rounds;
    });
}

/// The table for the plugin.
pub fn api() -> HostApi {
    HostApi { take, wait, respond, finish, ..super::api(1) }
}

unsafe extern "C" fn take(_: *const c_void, _: u32) -> *mut RequestView {
    BENCH.with_borrow_mut(|bench| {
        if bench.left == 0 {
            return std::ptr::null_mut();
        }
        bench.left -= 1;
        let index = bench.left % bench.requests.len();
        &raw mut bench.requests[index].0.view
    })
}

unsafe extern "C" fn wait(_: *const c_void, _: u32) -> i32 {
    0
}

unsafe extern "C" fn respond(
    _: *const c_void,
    _: *mut RequestView,
    head: *const ResponseHead,
    body: Slice,
    _: *const Holder,
    _: u8,
) -> i32 {
    // SAFETY: lent for the call.
    let head = unsafe { &*head };
    BENCH.with_borrow_mut(|bench| {
        bench.out.clear();
        for slice in [head.status_line, head.fields, body] {
            // SAFETY: lent for the call.
            bench.out.extend_from_slice(unsafe { slice.as_bytes() });
        }
    });
    OK
}

unsafe extern "C" fn finish(_: *const c_void, _: *mut RequestView, _: u32) {}
