//! Sockets that another program opened for us: `fd://N`, and systemd's, which come from descriptor 3 on
//! (sd_listen_fds(3)).

use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::sys::socket::sockopt::AcceptConn;
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname, getsockopt};

use super::bind::Made;
use super::{Kind, bind};
use crate::sys::{Error, net, process};

/// The first descriptor that systemd passes.
const SYSTEMD_FIRST: RawFd = 3;

/// Takes over socket `fd`. One that does not listen yet does so from now on.
pub fn adopt(fd: RawFd, backlog: u32) -> Result<Made, Error> {
    if fd == 0 {
        return stdin(backlog);
    }
    let name = format!("fd://{fd}");
    match process::inherit(fd) {
        Ok(fd) => examine(fd, name, backlog),
        Err(cause) => Err(Error::call("take over", name, cause)),
    }
}

/// Whether standard input is a socket that listens.
pub fn stdin_listens() -> bool {
    getsockopt(&std::io::stdin(), AcceptConn).unwrap_or(false)
}

/// Takes over the socket that is standard input, by another number: 0 stays what programs expect.
pub fn stdin(backlog: u32) -> Result<Made, Error> {
    match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(fd) => examine(fd, "fd://0".to_owned(), backlog),
        Err(cause) => Err(Error::call("take over", "fd://0", cause)),
    }
}

fn examine(fd: OwnedFd, name: String, backlog: u32) -> Result<Made, Error> {
    let refused = |cause: std::io::Error| Error::call("take over", name.clone(), cause);
    let address = getsockname::<SockaddrStorage>(fd.as_raw_fd()).map_err(|errno| refused(errno.into()))?;
    if !getsockopt(&fd, AcceptConn).map_err(|errno| refused(errno.into()))? {
        bind::listen(&fd, backlog).map_err(refused)?;
    }
    net::set_nonblocking(fd.as_raw_fd(), true).map_err(refused)?;
    let kind = match address.family() {
        Some(AddressFamily::Inet | AddressFamily::Inet6) => Kind::Tcp,
        _ => Kind::Unix(None),
    };
    Ok(Made { fd, name: name_of(&address).unwrap_or(name), kind })
}

/// The address of a socket in uWSGI's spelling; `None` where it has none.
pub(super) fn name_of(address: &SockaddrStorage) -> Option<String> {
    if let Some(unix) = address.as_unix_addr() {
        let named = unix.path().map(|path| path.display().to_string());
        return named
            .or_else(|| unix.as_abstract().map(|name| format!("@{}", String::from_utf8_lossy(name))));
    }
    let v4 = address.as_sockaddr_in().map(ToString::to_string);
    v4.or_else(|| address.as_sockaddr_in6().map(ToString::to_string))
}

/// The descriptors systemd passed to this very process, by what `variable` reads from the environment.
pub fn from_systemd(variable: impl Fn(&str) -> Option<String>) -> std::ops::Range<RawFd> {
    let number = |name| variable(name).and_then(|text| text.parse::<u32>().ok());
    let ours = number("LISTEN_PID") == Some(std::process::id());
    let count = number("LISTEN_FDS").filter(|_| ours).and_then(|count| RawFd::try_from(count).ok());
    SYSTEMD_FIRST..SYSTEMD_FIRST.saturating_add(count.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::IntoRawFd;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_open_socket_keeps_its_address() {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("bound");
        let name = tcp.local_addr().expect("named").to_string();
        let made = adopt(tcp.into_raw_fd(), 10).expect("adopted");
        assert_eq!((made.name, made.kind), (name, Kind::Tcp));

        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.sock");
        let unix = UnixListener::bind(&path).expect("bound");
        let made = adopt(unix.into_raw_fd(), 10).expect("adopted");
        assert_eq!((made.name, made.kind), (path.display().to_string(), Kind::Unix(None)));
    }

    #[test]
    fn what_is_no_socket_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        assert!(adopt(file.into_raw_fd(), 10).is_err());
        let error = adopt(987_655, 10).expect_err("closed").to_string();
        assert!(error.starts_with("take over fd://987655: Bad file descriptor"), "{error}");
    }

    #[test]
    fn systemd_names_the_process_it_means() {
        let own = std::process::id().to_string();
        let variables = |pid: &str, fds: &str| {
            let (pid, fds) = (pid.to_owned(), fds.to_owned());
            from_systemd(move |name| match name {
                "LISTEN_PID" => Some(pid.clone()),
                "LISTEN_FDS" => Some(fds.clone()),
                _ => None,
            })
        };
        assert_eq!(variables(&own, "2"), 3..5);
        assert_eq!(variables("1", "2"), 3..3);
        assert_eq!(variables(&own, "x"), 3..3);
        assert_eq!(from_systemd(|_| None), 3..3);
    }
}
