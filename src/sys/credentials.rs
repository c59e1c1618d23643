//! Who is on the other end of a unix socket: the kernel's word, which nobody can forge (unix(7), `SO_PEERCRED`).

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::Uid;

/// A process at the other end: at its `connect`, or, seen from the client, at the server's `listen`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Process id; 0 where it is of another pid namespace.
    pub pid: u32,
    /// Effective user.
    pub user: Uid,
}

/// Who is at the other end of `socket`.
pub fn of_peer(socket: &impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(&socket.as_fd(), sockopt::PeerCredentials)?;
    let pid = u32::try_from(credentials.pid()).unwrap_or(0);
    Ok(Peer { pid, user: Uid::from_raw(credentials.uid()) })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn both_ends_of_a_pair_are_this_process() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        assert_eq!(of_peer(&one).expect("told"), Peer { pid: std::process::id(), user: Uid::effective() });
    }
}
