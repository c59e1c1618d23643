//! Sleeping on a word of memory: within one process (`wait`, `wake`), or in memory that several processes map
//! (`wait_shared`, `wake_shared`).
#![allow(unsafe_code)]

use std::sync::atomic::AtomicU32;

/// Sleeps while `word` holds `expected`, until woken. May return without cause.
pub fn wait(word: &AtomicU32, expected: u32) {
    sleep(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected);
}

/// Wakes up to `count` sleepers.
pub fn wake(word: &AtomicU32, count: u32) {
    rouse(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count);
}

/// As [`wait`], for a word in memory that several processes map.
pub fn wait_shared(word: &AtomicU32, expected: u32) {
    sleep(word, libc::FUTEX_WAIT, expected);
}

/// As [`wait_shared`], for so many milliseconds at most. `false`: nobody woke us until then.
pub fn wait_shared_for(word: &AtomicU32, expected: u32, ms: u32) -> bool {
    let timeout = libc::timespec {
        tv_sec: (ms / 1000).into(),
        tv_nsec: libc::c_long::from((ms % 1000) as i32) * 1_000_000,
    };
    // SAFETY: `word` and `timeout` live across the call; the kernel only reads them.
    let result =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &timeout) };
    result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ETIMEDOUT)
}

/// As [`wake`], for a word in memory that several processes map.
pub fn wake_shared(word: &AtomicU32, count: u32) {
    rouse(word, libc::FUTEX_WAKE, count);
}

fn sleep(word: &AtomicU32, op: i32, expected: u32) {
    let no_timeout: *const libc::timespec = std::ptr::null();
    // SAFETY: `word` lives across the call; the kernel only reads it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, expected, no_timeout) };
}

fn rouse(word: &AtomicU32, op: i32, count: u32) {
    // SAFETY: `word` is only an address here.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, count) };
}
