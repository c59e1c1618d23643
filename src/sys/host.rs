//! What the machine says of itself, for the first lines of the log.
#![allow(unsafe_code)]

use std::ffi::CStr;

/// System and release: `Linux-6.1.0`.
pub fn system() -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{}-{}", read("ostype").trim(), read("osrelease").trim())
}

/// The machine's name in its network.
pub fn node() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Processors this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Bytes of a memory page.
pub fn page_bytes() -> u64 {
    let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096);
    u64::try_from(size).unwrap_or(4096)
}

/// Local time as ctime(3) writes it, without the newline: `Sat Nov 21 02:37:41 2026`.
pub fn ctime(epoch_s: u64) -> String {
    let Ok(time) = libc::time_t::try_from(epoch_s) else { return String::new() };
    // ctime(3) asks for 26.
    let mut text = [0_u8; 64];
    // SAFETY: both pointers are to locals that live across the call, and the buffer is larger than it fills.
    let written = unsafe { libc::ctime_r(&raw const time, text.as_mut_ptr().cast()) };
    if written.is_null() {
        return String::new();
    }
    CStr::from_bytes_until_nul(&text).map(|text| text.to_string_lossy().trim_end().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_has_a_name_and_a_clock() {
        assert!(system().starts_with("Linux-"));
        assert!(cores() > 0 && page_bytes() >= 4096);
        let text = ctime(1_700_000_000);
        assert_eq!((text.len(), &text[..7]), (24, "Tue Nov"));
    }
}
