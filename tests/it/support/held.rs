//! What a server under test holds, and what this test process may.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// Open ones.
    pub descriptors: usize,
    /// Of memory that is no file: what is its own, and its part of what it shares.
    pub kilobytes: usize,
}

/// Of the process `pid`, one of ours.
pub fn held(pid: i32) -> Held {
    let descriptors =
        std::fs::read_dir(format!("/proc/{pid}/fd")).expect("our own server's descriptors").count();
    let memory =
        std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("our own server's memory");
    // Without the pages of programs: its part of those grows when the template lets go of them.
    let of = |name: &str| -> usize {
        let line = memory.lines().find_map(|line| line.strip_prefix(name)).expect("a line of each kind");
        line.trim_end_matches("kB").trim().parse().expect("a number")
    };
    let kilobytes = of("Pss_Anon:") + of("Pss_Shmem:");
    Held { descriptors, kilobytes }
}

/// How many connections of `wanted` this process and the servers it starts can have open at a time: all of them, or as
/// many as the hard limit allows, which is said. `None`, and said, where that is next to nothing.
pub fn descriptors_for(wanted: usize) -> Option<usize> {
    const FOR_THE_REST: usize = 500;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised");
    }
    let most = usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(FOR_THE_REST);
    if most < 100 {
        super::skipped(&format!("a hard limit of {hard} descriptors"));
        return None;
    }
    if most < wanted {
        super::note(&format!("{most} connections instead of {wanted}: the hard limit is {hard} descriptors"));
    }
    Some(most.min(wanted))
}
