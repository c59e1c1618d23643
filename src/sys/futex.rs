//! Sleeping on a word of memory: within one process (`wait`, `wake`), or in memory that several processes map
//! (`wait_shared`, `wake_shared`).
#![allow(unsafe_code)]

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::sys::time::TimeSpec;

/// Sleeps while `word` holds `expected`, until woken. May return without cause.
pub fn wait(word: &AtomicU32, expected: u32) {
    sleep(word, libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG, expected, None);
}

/// Wakes up to `count` sleepers.
pub fn wake(word: &AtomicU32, count: u32) {
    rouse(word, libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, count);
}

/// As [`wait`], for a word in memory that several processes map.
pub fn wait_shared(word: &AtomicU32, expected: u32) {
    sleep(word, libc::FUTEX_WAIT, expected, None);
}

/// As [`wait_shared`], for so many milliseconds at most. `false`: nobody woke us until then.
pub fn wait_shared_for(word: &AtomicU32, expected: u32, ms: u32) -> bool {
    sleep(word, libc::FUTEX_WAIT, expected, Some(Duration::from_millis(ms.into())))
}

/// As [`wake`], for a word in memory that several processes map.
pub fn wake_shared(word: &AtomicU32, count: u32) {
    rouse(word, libc::FUTEX_WAKE, count);
}

/// `false`: nobody woke us within `time`.
fn sleep(word: &AtomicU32, op: i32, expected: u32, time: Option<Duration>) -> bool {
    let time = time.map(TimeSpec::from_duration);
    let timeout = time.as_ref().map_or(std::ptr::null(), |time| std::ptr::from_ref(time.as_ref()));
    // SAFETY: `word` and `time` live across the call; the kernel only reads them.
    let result = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, expected, timeout) };
    result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ETIMEDOUT)
}

fn rouse(word: &AtomicU32, op: i32, count: u32) {
    // SAFETY: `word` is only an address here.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), op, count) };
}
