//! Socket addresses as uWSGI's users write them
//! (<https://uwsgi-docs.readthedocs.io/en/latest/Options.html>, `socket`).
//!
//! | written | meaning |
//! | --- | --- |
//! | `127.0.0.1:8000`, `name:8000` | TCP; names are looked up, IPv4 |
//! | `:8000` | any IPv4 address |
//! | `[::1]:8000`, `[::]:8000` | IPv6 |
//! | `127.0.0.1:0`, `127.0.0.1:` | a port the kernel chooses |
//! | `192.168.*:8000` | the first own address that begins so |
//! | `/run/app.sock`, `app.sock` | unix |
//! | `@app` | unix, abstract |
//! | `fd://3` | a socket that is open already |

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::RawFd;
use std::path::PathBuf;

use crate::base::text;
use crate::sys::Error;

/// Room for a path in a unix address, bytes (unix(7)), less the closing NUL.
const PATH_BYTES_MAX: usize = 107;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// IPv4 or IPv6.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
    /// A name beyond the file system, without the `@`.
    Abstract(String),
    /// An open descriptor.
    Fd(RawFd),
}

impl Address {
    /// Understands `text`. Host names are looked up.
    pub fn parse(text: &str) -> Result<Address, Error> {
        parse(text).map_err(|why| Error::Address { text: text.to_owned(), why })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
            Address::Abstract(name) => write!(f, "@{name}"),
            Address::Fd(fd) => write!(f, "fd://{fd}"),
        }
    }
}

fn parse(written: &str) -> Result<Address, String> {
    let text = text::address(written);
    if let Some(number) = text.strip_prefix("fd://") {
        let fd = number.parse().map_err(|_| "expected fd:// and a descriptor's number".to_owned())?;
        return Ok(Address::Fd(fd));
    }
    if let Some(name) = text.strip_prefix('@') {
        return bounded(name).map(|name| Address::Abstract(name.to_owned()));
    }
    // Those that exist are resolved with the options.
    if let Some(number) = text.strip_prefix('=') {
        return Err(format!("there is no shared socket {number}: shared-socket makes them, counted from 0"));
    }
    // A path may hold a colon, but not an address a slash.
    match text.rsplit_once(':') {
        Some((host, port)) if !text.contains('/') => tcp(host, port).map(Address::Tcp),
        _ => bounded(text).map(|path| Address::Unix(PathBuf::from(path))),
    }
}

fn bounded(path: &str) -> Result<&str, String> {
    match path.len() {
        0 => Err("expected an address".to_owned()),
        1..=PATH_BYTES_MAX if path.contains('\0') => Err("a NUL cannot be part of it".to_owned()),
        1..=PATH_BYTES_MAX => Ok(path),
        len => Err(format!("{len} bytes long, unix sockets take {PATH_BYTES_MAX}")),
    }
}

fn tcp(host: &str, port: &str) -> Result<SocketAddr, String> {
    let port = match port {
        "" => 0,
        port => port.parse().map_err(|_| format!("{port:?} is no port (0 to 65535)"))?,
    };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match (bare.unwrap_or(host), bare.is_some()) {
        ("", _) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (host, _) if host.parse::<IpAddr>().is_ok() => host.parse().map_err(|_| String::new())?,
        (host, true) => return Err(format!("{host:?} is no IPv6 address")),
        (host, false) => match host.strip_suffix('*') {
            Some(prefix) => own_address(prefix)?,
            None => look_up(host)?,
        },
    };
    Ok(SocketAddr::new(address, port))
}

fn look_up(host: &str) -> Result<IpAddr, String> {
    let found = (host, 0).to_socket_addrs().map_err(|cause| format!("cannot look up {host}: {cause}"))?;
    let mut addresses = found.map(|address| address.ip());
    addresses.find(IpAddr::is_ipv4).ok_or_else(|| format!("{host} has no IPv4 address"))
}

/// The first address of this machine that begins with `prefix`.
fn own_address(prefix: &str) -> Result<IpAddr, String> {
    let all = nix::ifaddrs::getifaddrs().map_err(|errno| format!("cannot list own addresses: {errno}"))?;
    all.filter_map(|interface| interface.address?.as_sockaddr_in().map(|v4| v4.ip()))
        .find(|ip| ip.to_string().starts_with(prefix))
        .map(IpAddr::V4)
        .ok_or_else(|| format!("no interface has an address that begins with {prefix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn addresses_mean_what_they_mean_to_uwsgi() {
        let tcp = |text: &str| Address::Tcp(text.parse().expect("an address"));
        assert_eq!(address("127.0.0.1:8000"), tcp("127.0.0.1:8000"));
        assert_eq!(address(":8000"), tcp("0.0.0.0:8000"));
        assert_eq!(address("127.0.0.1:"), tcp("127.0.0.1:0"));
        assert_eq!(address("127.0.0.1:0"), tcp("127.0.0.1:0"));
        assert_eq!(address("localhost:80"), tcp("127.0.0.1:80"));
        assert_eq!(address("[::1]:8000"), tcp("[::1]:8000"));
        assert_eq!(address("[::]:8000"), tcp("[::]:8000"));
        assert_eq!(address("::1:8000"), tcp("[::1]:8000"));
        assert_eq!(address("127.0.*:80"), tcp("127.0.0.1:80"));
        assert_eq!(address(":8000 ; nginx, see http://wiki/"), tcp("0.0.0.0:8000"));
        assert_eq!(address("127.0.0.1:80\t# x:1"), tcp("127.0.0.1:80"));
        assert_eq!(address("/run/app.sock ; x"), Address::Unix("/run/app.sock ; x".into()));
        assert_eq!(address("/run/app.sock"), Address::Unix("/run/app.sock".into()));
        assert_eq!(address("/run/a:b.sock"), Address::Unix("/run/a:b.sock".into()));
        assert_eq!(address("app.sock"), Address::Unix("app.sock".into()));
        assert_eq!(address("@app"), Address::Abstract("app".to_owned()));
        assert_eq!(address("fd://3"), Address::Fd(3));
    }

    #[test]
    fn an_address_is_printed_as_it_is_written() {
        for text in ["127.0.0.1:8000", "[::1]:8000", "/run/app.sock", "@app", "fd://3"] {
            assert_eq!(address(text).to_string(), text);
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        let long = "x".repeat(200);
        let cases = [
            ("", "expected an address"),
            ("@", "expected an address"),
            ("127.0.0.1:80 x", "\"80 x\" is no port (0 to 65535)"),
            ("127.0.0.1:http", "\"http\" is no port (0 to 65535)"),
            ("127.0.0.1:65536", "\"65536\" is no port (0 to 65535)"),
            ("[127.0.0.x]:80", "\"127.0.0.x\" is no IPv6 address"),
            ("999.999.*:80", "no interface has an address that begins with 999.999."),
            ("fd://x", "expected fd:// and a descriptor's number"),
            (&long, "200 bytes long, unix sockets take 107"),
        ];
        for (text, why) in cases {
            let error = Address::parse(text).expect_err(text);
            assert_eq!(error.to_string(), format!("socket address {text:?}: {why}"));
        }
    }
}
