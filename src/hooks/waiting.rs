//! Waiting for something that others bring: a file, a mount, an interface, a server.

use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::options::waits::Thing;
use crate::sys::socket::Address;

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(100);

/// Waits until it is there: `false` if it is not after so many seconds.
pub fn wait(thing: Thing, on: &str, seconds: u64) -> bool {
    let until = Instant::now() + Duration::from_secs(seconds);
    crate::log!("waiting for {} {on} (max {seconds} seconds) ...", thing.name());
    while !is_there(thing, on) {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    crate::log!("{} {on} is ready", thing.name());
    true
}

fn is_there(thing: Thing, on: &str) -> bool {
    let path = Path::new(on);
    match thing {
        Thing::Path => path.exists(),
        Thing::File => path.is_file(),
        Thing::Folder => path.is_dir(),
        Thing::Mount => is_mount(path),
        Thing::Interface => Path::new("/sys/class/net").join(on).exists(),
        Thing::Socket => answers(on),
    }
}

/// Whether it is on another file system than the folder it lies in.
fn is_mount(path: &Path) -> bool {
    let above = path.join("..");
    match (path.metadata(), above.metadata()) {
        (Ok(own), Ok(above)) => own.is_dir() && (own.dev() != above.dev() || own.ino() == above.ino()),
        _ => false,
    }
}

fn answers(address: &str) -> bool {
    match Address::parse(address) {
        Ok(Address::Tcp(address)) => TcpStream::connect_timeout(&address, LOOK * 10).is_ok(),
        Ok(Address::Unix(path)) => UnixStream::connect(path).is_ok(),
        Ok(Address::Abstract(name)) => {
            SocketAddr::from_abstract_name(name).and_then(|name| UnixStream::connect_addr(&name)).is_ok()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn what_is_there_is_told_from_what_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let name = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(name("file"), "").expect("written");
        let (tcp, _unix) =
            (TcpListener::bind("127.0.0.1:0").expect("bound"), UnixListener::bind(name("s")).expect("bound"));
        let address = tcp.local_addr().expect("bound").to_string();
        for (thing, on, there) in [
            (Thing::Path, name("file"), true),
            (Thing::Path, name("s"), true),
            (Thing::Path, name("none"), false),
            (Thing::File, name("file"), true),
            (Thing::File, name(""), false),
            (Thing::Folder, name(""), true),
            (Thing::Folder, name("file"), false),
            (Thing::Mount, "/proc".to_owned(), true),
            (Thing::Mount, "/".to_owned(), true),
            (Thing::Mount, name(""), false),
            (Thing::Interface, "lo".to_owned(), true),
            (Thing::Interface, "no-such0".to_owned(), false),
            (Thing::Socket, name("s"), true),
            (Thing::Socket, name("none"), false),
            (Thing::Socket, address.clone(), true),
        ] {
            assert_eq!(is_there(thing, &on), there, "{thing:?} {on}");
        }
        drop(tcp);
        assert!(!wait(Thing::Socket, &address, 0));
    }
}
