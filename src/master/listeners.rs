//! The listening sockets of this server: those the configuration names, those systemd opened, and a listening
//! socket that came as standard input.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{lines, startup};
use crate::base::errors;
use crate::log;
use crate::options::settings::{Cover, SocketProtocol, Sockets};
use crate::sys::exec::Handed;
use crate::sys::socket::bind::{self, Made, Manner, bind};
use crate::sys::socket::{Address, Kind, Listener, adopt};
use crate::sys::{Error, files, process};

/// Where a socket comes from, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// We made it.
    Bound {
        /// The kernel chose the port.
        auto_port: bool,
    },
    /// It was open.
    Inherited,
}

/// A socket as one process leaves it to its next program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Left {
    fd: Handed,
    name: String,
    kind: Kind,
    protocol: SocketProtocol,
    faces_clients: bool,
    #[serde(default)]
    cover: Cover,
    index: usize,
}

impl Left {
    /// Leaves it.
    pub fn of(listener: &Listener) -> Left {
        let Listener { fd, name, kind, protocol, faces_clients, cover, index } = listener;
        Left {
            fd: Handed::of(&**fd),
            name: name.clone(),
            kind: kind.clone(),
            protocol: *protocol,
            faces_clients: *faces_clients,
            cover: *cover,
            index: *index,
        }
    }

    /// Its descriptor, to be kept open.
    pub fn descriptor(&self) -> Handed {
        self.fd
    }

    /// Takes it over.
    pub fn take(&self) -> io::Result<Listener> {
        let Left { fd, name, kind, protocol, faces_clients, cover, index } = self.clone();
        Ok(Listener { fd: Arc::new(fd.take()?), name, kind, protocol, faces_clients, cover, index })
    }
}

/// Opens all of them, in order of declaration.
pub fn open(settings: &Sockets) -> Result<Vec<Listener>, startup::Error> {
    let manner = manner(settings);
    let mut all = Vec::new();
    for spec in &settings.specs {
        let address = Address::parse(&spec.address)?;
        // Named twice: it is bound already (uWSGI does the same).
        if all.iter().any(|listener: &Listener| is_already(listener, &address)) {
            continue;
        }
        let made = bind(&address, manner).inspect_err(say_who_is_there)?;
        let origin = match &address {
            Address::Fd(_) => Origin::Inherited,
            Address::Tcp(at) => Origin::Bound { auto_port: at.port() == 0 },
            Address::Unix(_) | Address::Abstract(_) => Origin::Bound { auto_port: false },
        };
        add(&mut all, made, (spec.protocol, spec.cover), spec.faces_clients, origin);
    }
    let stdin_is_named = settings.specs.iter().any(|spec| spec.address == "fd://0");
    add_systemd(&mut all, manner.backlog)?;
    add_stdin(&mut all, manner.backlog, stdin_is_named)?;
    if all.is_empty() {
        return Err(startup::Error::NoSocket);
    }
    set_modes(settings, &all)?;
    log!("your server socket listen backlog is limited to {} connections", manner.backlog);
    Ok(all)
}

fn is_already(listener: &Listener, address: &Address) -> bool {
    match address {
        Address::Fd(fd) => listener.fd.as_raw_fd() == *fd,
        address => listener.name == address.to_string(),
    }
}

fn add(
    all: &mut Vec<Listener>,
    made: Made,
    (protocol, cover): (SocketProtocol, Cover),
    faces_clients: bool,
    origin: Origin,
) {
    let Made { fd, name, kind } = made;
    let listener =
        Listener { fd: Arc::new(fd), name, kind, protocol, faces_clients, cover, index: all.len() };
    startup::say_socket(&listener, origin);
    all.push(listener);
}

/// What came with the process. Its protocol is not said anywhere, so the first byte of each connection has to.
fn add_systemd(all: &mut Vec<Listener>, backlog: u32) -> Result<(), Error> {
    let systemd = adopt::from_systemd(|name| std::env::var(name).ok());
    if !systemd.is_empty() {
        log!("- SystemD socket activation detected -");
    }
    for fd in systemd {
        // `fd://3` may have named it, with a protocol.
        if all.iter().any(|listener| listener.fd.as_raw_fd() == fd) {
            continue;
        }
        add(all, adopt::adopt(fd, backlog)?, (SocketProtocol::Auto, Cover::None), false, Origin::Inherited);
    }
    for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        // They are meant for this process only. One that cannot be removed is harmless: it names our pid.
        let _ = process::set_env(name, None);
    }
    Ok(())
}

fn add_stdin(all: &mut Vec<Listener>, backlog: u32, named: bool) -> Result<(), Error> {
    if !is_stdin() {
        return Ok(());
    }
    if !named {
        add(all, adopt::stdin(backlog)?, (SocketProtocol::Auto, Cover::None), false, Origin::Inherited);
    }
    process::null_stdin().map_err(|cause| Error::call("open", "/dev/null", cause))
}

/// Whether standard input is a socket that listens, as inetd passes it.
pub fn is_stdin() -> bool {
    adopt::stdin_listens()
}

fn manner(settings: &Sockets) -> Manner {
    let max = bind::backlog_max();
    let backlog = match settings.listen {
        Some(wanted) if wanted > max => {
            log!(
                "Listen queue size {wanted} is greater than the system max net.core.somaxconn ({max}): \
                 {max} is used (sysctl net.core.somaxconn) {}",
                errors::SOMAXCONN
            );
            max
        }
        Some(wanted) => wanted,
        None => max,
    };
    Manner {
        backlog,
        reuse_port: settings.reuse_port,
        keepalive: settings.keepalive,
        freebind: settings.freebind,
        send_buffer: settings.send_buffer,
        receive_buffer: settings.receive_buffer,
        fast_open: settings.fast_open,
    }
}

fn say_who_is_there(error: &Error) {
    if let Error::InUse { name, .. } = error {
        log!("{}", lines::another_instance(name));
    }
}

fn set_modes(settings: &Sockets, all: &[Listener]) -> Result<(), Error> {
    let Some(mode) = settings.chmod else { return Ok(()) };
    for listener in all {
        if let Kind::Unix(Some(path)) = &listener.kind {
            files::chmod(path, mode).map_err(|cause| Error::call("chmod", &listener.name, cause))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::options::settings::SocketSpec;

    fn sockets(addresses: &[&str]) -> Sockets {
        let spec = |address: &&str| SocketSpec {
            address: (*address).to_owned(),
            protocol: SocketProtocol::Http,
            faces_clients: true,
            cover: Cover::None,
        };
        Sockets { specs: addresses.iter().map(spec).collect(), listen: Some(64), ..Sockets::default() }
    }

    #[test]
    fn sockets_are_numbered_in_order_and_opened_once() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("app.sock").display().to_string();
        let settings = Sockets { chmod: Some(0o600), ..sockets(&["127.0.0.1:0", &path, &path]) };
        let all = open(&settings).expect("opened");
        assert_eq!(all.iter().map(|listener| listener.index).collect::<Vec<_>>(), [0, 1]);
        assert!(all[0].is_tcp() && !all[0].name.ends_with(":0"));
        assert_eq!((all[1].protocol, all[1].faces_clients), (SocketProtocol::Http, true));
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
    }

    #[test]
    fn a_server_without_a_socket_is_none() {
        assert!(matches!(open(&sockets(&[])), Err(startup::Error::NoSocket)));
    }

    #[test]
    fn a_longer_backlog_than_allowed_is_cut() {
        let settings = Sockets { listen: Some(u32::MAX), ..Sockets::default() };
        assert_eq!(manner(&settings).backlog, bind::backlog_max());
        assert_eq!(manner(&Sockets::default()).backlog, bind::backlog_max());
    }
}
