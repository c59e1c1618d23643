//! What the machine says of itself, for the first lines of the log.

/// System and release: `Linux-6.1.0`.
pub fn system() -> String {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
    format!("{}-{}", read("ostype").trim(), read("osrelease").trim())
}

/// The machine's name in its network.
pub fn node() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Gives the machine, or this container, another name.
pub fn set_name(name: &str) -> std::io::Result<()> {
    Ok(nix::unistd::sethostname(name)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_what_it_is() {
        assert!(system().starts_with("Linux-"));
        assert!(cores() > 0 && page_bytes() >= 4096);
    }
}
