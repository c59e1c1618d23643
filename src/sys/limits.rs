//! What the kernel allows a process, and where it runs: limits, priority, processors, capabilities.
#![allow(unsafe_code)]

use std::io;
use std::str::FromStr;

use caps::{CapSet, Capability, CapsHashSet};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;

/// Limits the address space of this process and its children, bytes.
pub fn address_space(bytes: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_AS, bytes, bytes)?)
}

/// Limits the number of processes of this user.
pub fn processes(count: u64) -> io::Result<()> {
    Ok(setrlimit(Resource::RLIMIT_NPROC, count, count)?)
}

/// Sets how many files may be open; the hard limit too, where that is allowed.
pub fn open_files(count: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, count, hard.max(count))?)
}

/// Sets the nice value of this process and its children.
pub fn be_nice(nice: i32) -> io::Result<()> {
    // SAFETY: plain numbers; 0 is this process.
    match unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Capabilities that outlive root (capabilities(7)).
#[derive(Debug)]
pub struct Kept(CapsHashSet);

/// Those of these names, as `net_bind_service`; `None` where there are none.
pub fn capabilities(names: &[String]) -> io::Result<Option<Kept>> {
    let parse = |name: &String| {
        let name = name.trim().to_ascii_uppercase();
        let name = if name.starts_with("CAP_") { name } else { format!("CAP_{name}") };
        Capability::from_str(&name).map_err(io::Error::other)
    };
    let found = names.iter().map(parse).collect::<io::Result<CapsHashSet>>()?;
    Ok((!found.is_empty()).then_some(Kept(found)))
}

impl Kept {
    /// Before root is given up: they shall stay permitted.
    pub fn hold(&self) -> io::Result<()> {
        nix::sys::prctl::set_keepcaps(true)?;
        Ok(())
    }

    /// Afterwards: they work, in programs that are started too, and no other is left.
    pub fn raise(&self) -> io::Result<()> {
        let set = |which| caps::set(None, which, &self.0).map_err(io::Error::other);
        set(CapSet::Effective)?;
        set(CapSet::Permitted)?;
        set(CapSet::Inheritable)?;
        set(CapSet::Ambient)
    }
}

/// The processors of worker `worker` (from 1), `each` of those `allowed`: neighbours, and in turn where there are not
/// enough. A container's may begin anywhere and have gaps.
pub fn processors_of(worker: u32, each: u32, allowed: &[u32]) -> Vec<u32> {
    let each = each as usize;
    let first = (worker as usize - 1) * each;
    (first..first + each.min(allowed.len())).map(|n| allowed[n % allowed.len()]).collect()
}

/// Runs this thread, and those it starts, on these processors only.
pub fn run_on(processors: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for processor in processors {
        set.set(*processor as usize)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn processors_are_dealt_in_turn() {
        let four = [0, 1, 2, 3];
        assert_eq!(processors_of(1, 1, &four), [0]);
        assert_eq!(processors_of(5, 1, &four), [0]);
        assert_eq!(processors_of(2, 2, &four), [2, 3]);
        assert_eq!(processors_of(2, 3, &four), [3, 0, 1]);
        assert_eq!(processors_of(3, 8, &[0, 1]), [0, 1]);
        assert_eq!(processors_of(2, 2, &[4, 6, 7]), [7, 4]);
        assert_eq!(processors_of(1, 1, &[]), [0; 0]);
    }

    #[test]
    fn capabilities_have_names() {
        let names = ["net_bind_service", "CAP_SETUID"].map(str::to_owned);
        let kept = capabilities(&names).expect("known").expect("two");
        assert_eq!(kept.0.len(), 2);
        assert!(capabilities(&[]).expect("none is fine").is_none());
        assert!(capabilities(&["fly".to_owned()]).is_err());
    }

    #[test]
    fn limits_are_set() {
        let status = in_child(|| {
            let set = open_files(64).and_then(|()| address_space(1 << 40)).and_then(|()| run_on(&[0]));
            let files = getrlimit(Resource::RLIMIT_NOFILE).map(|(soft, _)| soft);
            i32::from(set.is_err() || files != Ok(64))
        });
        assert_eq!(status, Status::Exited(0));
    }
}
