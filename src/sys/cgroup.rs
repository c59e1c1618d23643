//! What this process may use of the machine: processors it may run on, processor time and memory of its cgroups.
//!
//! A container sees all processors of the machine; what it may use of them is said in files of the kernel: cgroups(7),
//! in version 2 `cpu.max` and `memory.max`, in version 1 `cpu.cfs_quota_us`, `cpu.cfs_period_us` and
//! `memory.limit_in_bytes`. Every group above counts as well.

use std::fs;
use std::path::{Path, PathBuf};

/// Where cgroups are mounted.
const MOUNTED: &str = "/sys/fs/cgroup";
/// Groups within groups that are looked at: the kernel allows more, nobody has them.
const DEPTH_MAX: usize = 64;
/// Version 1 says "no limit" with a number that no machine has, bytes.
const NO_LIMIT: u64 = 1 << 60;

/// What the cgroups of a process allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a processor.
    pub millis: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
}

/// Those of this process.
pub fn limits() -> Limits {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    read(Path::new(MOUNTED), &own)
}

/// How many processors this process may run on.
pub fn affinity() -> u32 {
    u32::try_from(allowed().len()).unwrap_or(u32::MAX).max(1)
}

/// Their numbers; none if the kernel does not tell.
pub fn allowed() -> Vec<u32> {
    let mask = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0));
    let numbers = |set: nix::sched::CpuSet| {
        let is_set = move |cpu: &u32| set.is_set(*cpu as usize).unwrap_or(false);
        (0..u32::try_from(nix::sched::CpuSet::count()).unwrap_or(u32::MAX)).filter(is_set).collect()
    };
    mask.map(numbers).unwrap_or_default()
}

/// How many of `affinity` processors a process with these limits can keep busy: a part of one counts as one.
pub fn processors(affinity: u32, limits: Limits) -> u32 {
    let share = limits.millis.map_or(u64::MAX, |millis| millis.div_ceil(1000).max(1));
    u32::try_from(share).unwrap_or(u32::MAX).min(affinity)
}

/// `own` is `/proc/PID/cgroup`: a line `number:controllers:path` for each hierarchy, without controllers for version 2.
fn read(mounted: &Path, own: &str) -> Limits {
    let mut limits = Limits::default();
    let mut lower = |found: Limits| {
        let least = |a: Option<u64>, b: Option<u64>| a.into_iter().chain(b).min();
        let (millis, memory) = (least(limits.millis, found.millis), least(limits.memory, found.memory));
        limits = Limits { millis, memory };
    };
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let has = |name: &str| controllers.split(',').any(|controller| controller == name);
        if controllers.is_empty() {
            [mounted.to_owned(), mounted.join("unified")]
                .iter()
                .flat_map(|root| groups(root, path))
                .map(|group| second(&group))
                .for_each(&mut lower);
        }
        for name in ["cpu", "memory"].into_iter().filter(|name| has(name)) {
            [mounted.join(name), mounted.join(controllers)]
                .iter()
                .flat_map(|root| groups(root, path))
                .map(|group| first(&group))
                .for_each(&mut lower);
        }
    }
    limits
}

/// The group `path` and all above it. In a container the path may be that of the machine, where nothing is mounted: the
/// root is this group then.
fn groups(root: &Path, path: &str) -> Vec<PathBuf> {
    let whole = root.join(path.trim_start_matches('/'));
    whole
        .ancestors()
        .take(DEPTH_MAX)
        .take_while(|group| group.starts_with(root))
        .map(Path::to_owned)
        .collect()
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn second(group: &Path) -> Limits {
    let max = fs::read_to_string(group.join("cpu.max")).unwrap_or_default();
    let mut words = max.split_whitespace().map(|word| word.parse::<u64>().ok());
    let millis = match (words.next().flatten(), words.next().flatten()) {
        (Some(quota), Some(period)) => share(quota, period),
        _ => None,
    };
    Limits { millis, memory: number(&group.join("memory.max")) }
}

fn first(group: &Path) -> Limits {
    // Without a limit the quota is -1.
    let quota = number(&group.join("cpu.cfs_quota_us"));
    let period = number(&group.join("cpu.cfs_period_us"));
    let millis = quota.zip(period).and_then(|(quota, period)| share(quota, period));
    let memory = number(&group.join("memory.limit_in_bytes")).filter(|bytes| *bytes < NO_LIMIT);
    Limits { millis, memory }
}

fn share(quota: u64, period: u64) -> Option<u64> {
    quota.saturating_mul(1000).checked_div(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(all: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (name, text) in all {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        dir
    }

    fn limits(millis: impl Into<Option<u64>>, memory: impl Into<Option<u64>>) -> Limits {
        Limits { millis: millis.into(), memory: memory.into() }
    }

    #[test]
    fn version_2_counts_every_group_above() {
        let dir = files(&[
            ("cpu.max", "max 100000\n"),
            ("kube/cpu.max", "400000 100000\n"),
            ("kube/memory.max", "536870912\n"),
            ("kube/pod/cpu.max", "150000 100000\n"),
            ("kube/pod/memory.max", "max\n"),
        ]);
        assert_eq!(read(dir.path(), "0::/kube/pod\n"), limits(1500, 512 << 20));
        assert_eq!(read(dir.path(), "0::/kube\n"), limits(4000, 512 << 20));
        assert_eq!(read(dir.path(), "0::/\n"), limits(None, None));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_root() {
        let dir = files(&[("cpu.max", "50000 100000\n"), ("memory.max", "1048576\n")]);
        assert_eq!(read(dir.path(), "0::/docker/0123abc\n"), limits(500, 1 << 20));
        assert_eq!(read(dir.path(), "0::/\n"), limits(500, 1 << 20));
    }

    #[test]
    fn version_1_has_a_hierarchy_for_each() {
        let dir = files(&[
            ("cpu,cpuacct/docker/x/cpu.cfs_quota_us", "250000\n"),
            ("cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n"),
            ("cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("memory/docker/x/memory.limit_in_bytes", "268435456\n"),
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        let own = "12:pids:/docker/x\n4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/docker/x\n";
        assert_eq!(read(dir.path(), own), limits(2500, 256 << 20));
        assert_eq!(read(dir.path(), "4:memory:/\n3:cpu,cpuacct:/\n"), limits(None, None));
    }

    #[test]
    fn what_cannot_be_read_is_no_limit() {
        let dir = files(&[("cpu.max", "much\n"), ("memory.max", "\n"), ("cpu/cpu.cfs_quota_us", "1")]);
        assert_eq!(read(dir.path(), "0::/\n1:cpu:/\nnonsense\n"), limits(None, None));
        assert_eq!(read(Path::new("/no/such"), "0::/\n"), limits(None, None));
    }

    #[test]
    fn a_part_of_a_processor_counts_as_one() {
        for (affinity, millis, workers) in
            [(64, Some(1500), 2), (64, Some(100), 1), (2, Some(4000), 2), (8, None, 8), (4, Some(0), 1)]
        {
            assert_eq!(processors(affinity, limits(millis, None)), workers);
        }
        assert!(affinity() >= 1);
    }
}
