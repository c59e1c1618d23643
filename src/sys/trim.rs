//! Memory that only a start needed goes back to the kernel: what is needed again comes back by itself.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::ops::Range;

/// Gives back the heap's free pages, of which those in the middle stay with a process for ever otherwise.
pub fn free_heap() {
    // SAFETY: it takes the allocator's own locks, and touches nothing that is allocated.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets go of the pages of programs and libraries that this process has read so far. They stay in the page cache, from
/// where those that are used again are mapped again.
pub fn drop_text() {
    // Without /proc everything stays as it is.
    for range in read_only(&std::fs::read_to_string("/proc/self/smaps").unwrap_or_default()) {
        // SAFETY: every page of this private mapping is as its file has it (none was anonymous a moment ago, and nobody
        // can write to it), so whoever reads it finds the same. It is advice: where it fails, they stay.
        unsafe { libc::madvise(range.start as *mut c_void, range.len(), libc::MADV_DONTNEED) };
    }
}

/// Private mappings of files in smaps, proc_pid_smaps(5), that cannot be written to, and of which no page differs from
/// the file: what the loader has changed and protected then, or somebody has patched, is not among them.
fn read_only(smaps: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut mapping = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match (words.next(), words.next()) {
            (Some(addresses), Some("r--p" | "r-xp")) => mapping = line.find('/').and(range(addresses)),
            (Some(addresses), _) if addresses.contains('-') => mapping = None,
            (Some("Anonymous:"), Some("0")) => ranges.extend(mapping.take()),
            _ => {}
        }
    }
    ranges
}

fn range(addresses: &str) -> Option<Range<usize>> {
    let (start, end) = addresses.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two fields of each are enough.
    const SMAPS: &str = "\
1000-3000 r--p 00000000 fe:00 12  /usr/bin/python3.11
Rss:                   8 kB
Anonymous:             0 kB
3000-5000 r-xp 00002000 fe:00 12  /usr/bin/python3.11
Anonymous:             0 kB
Swap:                  0 kB
5000-6000 r--p 00004000 fe:00 12  /usr/lib/x y.so
Anonymous:             4 kB
6000-7000 rw-p 00005000 fe:00 12  /usr/bin/python3.11
Anonymous:             0 kB
7000-8000 r--s 00000000 fe:00 13  /usr/share/zoneinfo
Anonymous:             0 kB
8000-9000 r-xp 00000000 00:00 0   [vdso]
Anonymous:             0 kB
9000-a000 r--p 00000000 00:00 0
Anonymous:             0 kB
";

    #[test]
    fn only_what_is_as_in_its_file_is_let_go() {
        assert_eq!(read_only(SMAPS), [0x1000..0x3000, 0x3000..0x5000]);
        assert!(read_only("").is_empty());
    }

    #[test]
    fn everything_is_still_there_afterwards() {
        let text = || read_only(&std::fs::read_to_string("/proc/self/smaps").expect("read"));
        let is_here = |text: Vec<Range<usize>>| {
            text.iter().any(|range| range.contains(&(drop_text as *const () as usize)))
        };
        assert!(is_here(text()));
        let kept = vec![7u8; 100_000];
        free_heap();
        drop_text();
        assert!(is_here(text()));
        assert!(kept.iter().all(|&byte| byte == 7));
    }
}
