//! Destinations: files, streams, sockets.

use std::fs::File;
use std::io::{self, Write};
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::options::logger::{Destination, LogFile};
use crate::sys::{files, pipes, time};

/// The socket of this machine's log (syslog(3)).
const SYSLOG: &str = "/dev/log";
/// Severity of what goes there (RFC 5424 § 6.2.1: informational).
const INFO: u8 = 6;
/// How long a full socket of another process is waited for, per line.
const SOCKET_WAIT: Duration = Duration::from_secs(5);

/// A destination that is open.
#[derive(Debug)]
pub enum Sink {
    /// Appended to.
    File(FileSink),
    /// Written to: a terminal, a pipe.
    Stream(File),
    /// Sent to, one datagram a line.
    Datagrams(Datagrams),
}

/// A file that may be renamed.
#[derive(Debug)]
pub struct FileSink {
    spec: LogFile,
    mode: Option<u32>,
    file: File,
    bytes: u64,
}

/// A socket.
#[derive(Debug)]
pub struct Datagrams {
    to: Peer,
    head: Head,
}

#[derive(Debug)]
enum Peer {
    /// The socket is sent to by name each time: it may be made anew.
    Unix(UnixDatagram, PathBuf),
    Udp(UdpSocket),
}

/// What is put before each line.
#[derive(Debug)]
enum Head {
    Text(String),
    /// RFC 3164: priority, time, program.
    Syslog {
        pri: u8,
        ident: String,
    },
}

/// Opens a destination. `original`: where the log of this process went. `mode`: of new files.
pub fn open(to: &Destination, original: &File, mode: Option<u32>) -> io::Result<Sink> {
    Ok(match to {
        Destination::File(spec) => Sink::File(FileSink::open(spec.clone(), mode)?),
        Destination::Stdio => Sink::Stream(original.try_clone()?),
        Destination::Fd(number) => Sink::Stream(pipes::copy(*number)?),
        Destination::Socket { address, prefix } => {
            Sink::Datagrams(Datagrams { to: peer(address)?, head: Head::Text(prefix.clone()) })
        }
        Destination::Syslog { ident, facility } => Sink::Datagrams(Datagrams {
            to: Peer::Unix(unix()?, PathBuf::from(SYSLOG)),
            head: Head::Syslog { pri: facility * 8 + INFO, ident: ident.clone() },
        }),
        Destination::Rsyslog { address, ident, pri } => Sink::Datagrams(Datagrams {
            to: peer(address)?,
            head: Head::Syslog { pri: *pri, ident: ident.clone() },
        }),
    })
}

fn unix() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SOCKET_WAIT))?;
    Ok(socket)
}

fn peer(address: &str) -> io::Result<Peer> {
    if address.contains('/') {
        return Ok(Peer::Unix(unix()?, PathBuf::from(address)));
    }
    let to = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let any = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    Ok(Peer::Udp(socket))
}

impl Sink {
    /// Writes lines. How many could not be written, and why, is the error.
    pub fn write(&mut self, lines: &[Vec<u8>]) -> Result<(), (usize, io::Error)> {
        match self {
            Sink::File(file) => file.write(lines).map_err(|cause| (lines.len(), cause)),
            Sink::Stream(stream) => stream.write_all(&lines.concat()).map_err(|cause| (lines.len(), cause)),
            Sink::Datagrams(socket) => {
                let failed: Vec<io::Error> =
                    lines.iter().filter_map(|line| socket.send(line).err()).collect();
                let count = failed.len();
                failed.into_iter().next().map_or(Ok(()), |cause| Err((count, cause)))
            }
        }
    }

    /// Whether each line goes out by itself.
    pub fn takes_lines_apart(&self) -> bool {
        matches!(self, Sink::Datagrams(_))
    }

    /// Opens a file anew, where it is one.
    pub fn reopen(&mut self) -> io::Result<()> {
        match self {
            Sink::File(file) => file.reopen(),
            _ => Ok(()),
        }
    }

    /// Renames the file and goes on in a new one, where it is one. To what it was renamed, and its size.
    pub fn rotate(&mut self) -> io::Result<Option<(u64, PathBuf)>> {
        match self {
            Sink::File(file) => file.rotate().map(Some),
            _ => Ok(None),
        }
    }

    /// Whether it is a file that has become too large.
    pub fn is_full(&self) -> bool {
        matches!(self, Sink::File(file) if file.spec.bytes_max > 0 && file.bytes > file.spec.bytes_max)
    }

    /// The number of its descriptor.
    pub fn fd(&self) -> RawFd {
        match self {
            Sink::File(file) => file.file.as_raw_fd(),
            Sink::Stream(stream) => stream.as_raw_fd(),
            Sink::Datagrams(Datagrams { to: Peer::Unix(socket, _), .. }) => socket.as_raw_fd(),
            Sink::Datagrams(Datagrams { to: Peer::Udp(socket), .. }) => socket.as_raw_fd(),
        }
    }

    /// The file's path, where it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Sink::File(file) => Some(&file.spec.path),
            _ => None,
        }
    }
}

impl FileSink {
    /// Opens it. Its path is kept whole: the server may go to another folder.
    pub fn open(mut spec: LogFile, mode: Option<u32>) -> io::Result<FileSink> {
        spec.path = std::path::absolute(&spec.path)?;
        spec.backup = spec.backup.map(std::path::absolute).transpose()?;
        let file = files::open_log(&spec.path, mode)?;
        let bytes = file.metadata()?.len();
        Ok(FileSink { spec, mode, file, bytes })
    }

    fn write(&mut self, lines: &[Vec<u8>]) -> io::Result<()> {
        let text = lines.concat();
        self.file.write_all(&text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.file = files::open_log(&self.spec.path, self.mode)?;
        self.bytes = self.file.metadata()?.len();
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<(u64, PathBuf)> {
        let bytes = self.bytes;
        let to = match &self.spec.backup {
            Some(name) => name.clone(),
            None => self.free_name(crate::base::clock::wall_seconds()),
        };
        std::fs::rename(&self.spec.path, &to)?;
        self.reopen()?;
        Ok((bytes, to))
    }

    /// The log's name with the second; twice in one second, with a number too.
    fn free_name(&self, second: u64) -> PathBuf {
        let name = |more: &str| {
            let mut name = self.spec.path.as_os_str().to_owned();
            name.push(format!(".{second}{more}"));
            PathBuf::from(name)
        };
        let numbered = (1..).map(|n| name(&format!(".{n}")));
        std::iter::once(name("")).chain(numbered).find(|name| !name.exists()).unwrap_or_else(|| name(""))
    }
}

impl Datagrams {
    fn send(&self, line: &[u8]) -> io::Result<()> {
        let mut bytes = match &self.head {
            Head::Text(text) => text.clone().into_bytes(),
            Head::Syslog { pri, ident } => {
                let now = time::local(crate::base::clock::wall_seconds(), "%b %e %H:%M:%S");
                format!("<{pri}>{now} {ident}: ").into_bytes()
            }
        };
        let syslog = matches!(self.head, Head::Syslog { .. });
        bytes.extend_from_slice(if syslog { line.trim_ascii_end() } else { line });
        match &self.to {
            Peer::Unix(socket, path) => socket.send_to(&bytes, path),
            Peer::Udp(socket) => socket.send(&bytes),
        }
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_file_is_renamed_and_nothing_is_written_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.log");
        let spec = LogFile { path: path.clone(), bytes_max: 3, backup: None };
        let mut sink = Sink::File(FileSink::open(spec, Some(0o600)).expect("opened"));
        let mut names = Vec::new();
        for text in ["one\n", "two\n", "three\n"] {
            assert!(!sink.is_full());
            sink.write(&lines(&[text])).expect("written");
            assert!(sink.is_full());
            let (bytes, to) = sink.rotate().expect("renamed").expect("a file");
            assert_eq!(bytes, text.len() as u64);
            assert_eq!(std::fs::read_to_string(&to).expect("read"), text);
            names.push(to);
        }
        names.dedup();
        assert_eq!(names.len(), 3);
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "");
        let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_socket_gets_a_datagram_a_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("log");
        let text = path.display().to_string();
        let original = File::open("/dev/null").expect("opened");
        let open = |to: Destination| open(&to, &original, None).expect("opened");
        let mut plain = open(Destination::Socket { address: text.clone(), prefix: "web ".to_owned() });
        // Nobody is there yet.
        assert_eq!(plain.write(&lines(&["a\n", "b\n"])).expect_err("no socket").0, 2);
        let server = UnixDatagram::bind(&path).expect("bound");
        plain.write(&lines(&["c\n"])).expect("sent");
        let mut syslog = open(Destination::Rsyslog { address: text, ident: "shop".into(), pri: 29 });
        syslog.write(&lines(&["d\n"])).expect("sent");
        let mut buffer = [0; 100];
        let mut next = || {
            let len = server.recv(&mut buffer).expect("received");
            String::from_utf8_lossy(&buffer[..len]).into_owned()
        };
        assert_eq!(next(), "web c\n");
        let said = next();
        assert!(said.starts_with("<29>") && said.ends_with(" shop: d"), "{said}");
    }
}
