//! Sleeping on a word of memory, within one process.
#![allow(unsafe_code)]

use std::sync::atomic::AtomicU32;

/// Sleeps while `word` holds `expected`, until woken. May return without cause.
pub fn wait(word: &AtomicU32, expected: u32) {
    let no_timeout: *const libc::timespec = std::ptr::null();
    let op = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: `word` lives across the call; the kernel only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, expected, no_timeout) };
}

/// Wakes up to `count` sleepers.
pub fn wake(word: &AtomicU32, count: u32) {
    let op = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: `word` is only an address here.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, count) };
}
