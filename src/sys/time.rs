//! Local time as text, by the C library: it knows the time zones.
#![allow(unsafe_code)]

use std::ffi::CString;

/// `seconds` since the epoch in local time, in the form of `strftime(3)`. Empty where the form makes no text, or
/// more than 256 bytes of it.
pub fn local(seconds: u64, form: &str) -> String {
    let Ok(form) = CString::new(form) else { return String::new() };
    // To whatever `time_t` is here.
    let Ok(time) = seconds.try_into() else { return String::new() };
    let mut parts = std::mem::MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both point to live memory of their types.
    let filled = unsafe { libc::localtime_r(&raw const time, parts.as_mut_ptr()) };
    if filled.is_null() {
        return String::new();
    }
    let mut text = vec![0u8; 256];
    // SAFETY: `parts` was filled above; the buffer is as long as is said; the form ends with NUL.
    let len = unsafe { libc::strftime(text.as_mut_ptr().cast(), text.len(), form.as_ptr(), parts.as_ptr()) };
    text.truncate(len);
    String::from_utf8_lossy(&text).into_owned()
}

/// The form of `ctime(3)`, without its line end: `Sat Nov 21 02:37:41 2026`.
pub const CTIME: &str = "%a %b %e %H:%M:%S %Y";

/// `seconds` since the epoch in the form [`CTIME`].
pub fn ctime(seconds: u64) -> String {
    local(seconds, CTIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_filled_in() {
        assert_eq!(local(0, "%%"), "%");
        assert_eq!(local(1_000_000_000, "%s"), "1000000000");
        assert_eq!(local(0, ""), "");
        assert_eq!(ctime(1_000_000_000).len(), 24);
    }
}
