//! Telling systemd how we are (sd_notify(3)): one datagram to the socket that `NOTIFY_SOCKET` names.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Whether anybody asked to be told.
pub fn is_wanted() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// How often, in microseconds, `WATCHDOG=1` has to come at least, where it is this process that is watched
/// (sd_watchdog_enabled(3)).
pub fn watchdog_us() -> Option<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    if std::env::var_os("WATCHDOG_PID").is_some() && number("WATCHDOG_PID") != Some(std::process::id().into())
    {
        return None;
    }
    number("WATCHDOG_USEC").filter(|us| *us > 0)
}

/// Tells `state` (`READY=1`, `STATUS=…`) to whoever asked to be told. Nobody asked, nobody listens: fine.
pub fn tell(state: &str) {
    if let Ok(name) = std::env::var("NOTIFY_SOCKET") {
        let _ = tell_at(&name, state);
    }
}

fn tell_at(name: &str, state: &str) -> std::io::Result<()> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_arrives() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("bound");
        tell_at(&path.display().to_string(), "READY=1").expect("told");
        let mut buffer = [0; 32];
        let len = socket.recv(&mut buffer).expect("heard");
        assert_eq!(&buffer[..len], b"READY=1");
        assert!(tell_at("/nonexistent/notify", "READY=1").is_err());
    }
}
