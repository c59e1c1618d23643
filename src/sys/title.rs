//! The name a process goes by in `ps` and `top`.
//!
//! The kernel shows the memory that held the arguments at the start, and finds its place in `/proc/self/stat`.
//! Only that memory is written, never the environment behind it, so a title longer than the command line was is
//! cut. Whoever wants the arguments reads them before the first title is set.
#![allow(unsafe_code)]

use std::ffi::{CString, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Sets the title of this process (and of what it forks).
pub fn set(title: &str) {
    short(title.as_bytes());
    write(title.as_bytes());
}

/// Shows other arguments than this program was started with, and its name in the first of them.
pub fn show(arguments: &[OsString]) {
    if let Some(program) = arguments.first() {
        short(Path::new(program).file_name().unwrap_or(program).as_bytes());
    }
    write(&arguments.iter().map(|word| word.as_bytes()).collect::<Vec<_>>().join(&0));
}

/// Bytes that [`show`] needs for these.
pub fn bytes(arguments: &[OsString]) -> usize {
    arguments.iter().map(|word| word.len() + 1).sum()
}

/// The short name, for `top`. The kernel cuts it to 15 bytes.
fn short(name: &[u8]) {
    if let Ok(name) = CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

fn write(text: &[u8]) {
    let Some(room) = arguments() else { return };
    let len = room.len();
    // At least one NUL stays at the end: without it the kernel reads on into the environment.
    let shown = text.len().min(len - 1);
    let start = std::ptr::with_exposed_provenance_mut::<u8>(room.start);
    // SAFETY: `room` is where the kernel says that it put our arguments: writable stack memory of this process
    // for all its life, referred to by the C library's `argv` only, which nobody reads any more (see above).
    let room = unsafe { std::slice::from_raw_parts_mut(start, len) };
    room.fill(0);
    room[..shown].copy_from_slice(&text[..shown]);
}

/// Where the arguments lie: fields 48 and 49 of `/proc/self/stat` (proc(5)).
fn arguments() -> Option<Range<usize>> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let room = parse(&stat)?;
    // A process without arguments, or a sandbox that hides them.
    (room.start != 0 && room.len() > 1).then_some(room)
}

fn parse(stat: &str) -> Option<Range<usize>> {
    // The second field is a name in parentheses, with anything inside.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3);
    let start = fields.next()?.parse().ok()?;
    let end = fields.next()?.parse().ok()?;
    (start <= end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn fields_are_counted_behind_the_name() {
        let rest: Vec<String> = (3..=52).map(|n| (n * 10).to_string()).collect();
        let stat = format!("1 (a) b) {}", rest.join(" "));
        assert_eq!(parse(&stat), Some(480..490));
        assert_eq!(parse("1 (a) 2 3"), None);
    }

    #[test]
    fn a_title_replaces_the_command_line() {
        let status = in_child(|| {
            set("uW 1");
            let shown = std::fs::read("/proc/self/cmdline").unwrap_or_default();
            i32::from(shown.split(|b| *b == 0).next() != Some(b"uW 1"))
        });
        assert_eq!(status, Status::Exited(0));
    }

    #[test]
    fn other_arguments_are_shown() {
        let status = in_child(|| {
            show(&["/x/uW".into(), "-a".into()]);
            let shown = std::fs::read("/proc/self/cmdline").unwrap_or_default();
            let comm = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
            i32::from(!shown.starts_with(b"/x/uW\0-a\0") || comm != "uW\n")
        });
        assert_eq!(status, Status::Exited(0));
    }
}
