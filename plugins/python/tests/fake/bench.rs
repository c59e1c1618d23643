//! A host that costs next to nothing: the same few requests over and over, responses copied and forgotten.

use std::cell::RefCell;
use std::ffi::c_void;

use uwring_abi::{HostApi, OK, RequestView, ResponseHead, Slice};

use super::{Live, Request};

#[derive(Default)]
struct Bench {
    requests: Vec<Box<Live>>,
    left: usize,
    out: Vec<u8>,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench::default());
}

/// The next `serve` gets `rounds` requests, these in turn.
pub fn prepare(requests: Vec<Request>, rounds: usize) {
    BENCH.with_borrow_mut(|bench| {
        bench.requests = requests.into_iter().map(Request::live).collect();
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
        &raw mut bench.requests[index].view
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
    _: u8,
) -> i32 {
    BENCH.with_borrow_mut(|bench| {
        bench.out.clear();
        // SAFETY: lent for the call, head and slices.
        bench.out.extend_from_slice(unsafe { (*head).status_line.as_bytes() });
        // SAFETY: as above.
        bench.out.extend_from_slice(unsafe { (*head).fields.as_bytes() });
        // SAFETY: as above.
        bench.out.extend_from_slice(unsafe { body.as_bytes() });
    });
    OK
}

unsafe extern "C" fn finish(_: *const c_void, _: *mut RequestView, _: u32) {}
