//! A client that sends literal bytes and reads answers as HTTP says they end.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use rustls::{ClientConnection, StreamOwned};

use super::{PATIENCE, Packet};

/// Where a server listens.
#[derive(Clone, Debug)]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// A unix socket's path.
    Unix(PathBuf),
    /// An abstract unix socket's name.
    Abstract(String),
}

impl Address {
    /// Connects.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        let stream = match self {
            Address::Tcp(address) => TcpStream::connect(address).map(|stream| {
                stream.set_nodelay(true).expect("set TCP_NODELAY");
                stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
                stream.set_write_timeout(Some(PATIENCE)).expect("set a timeout");
                Stream::Tcp(stream)
            }),
            Address::Unix(path) => UnixStream::connect(path).map(unix),
            Address::Abstract(name) => std::os::unix::net::SocketAddr::from_abstract_name(name)
                .and_then(|address| UnixStream::connect_addr(&address))
                .map(unix),
        };
        let stream = stream.unwrap_or_else(|e| panic!("connect to {self:?}: {e}"));
        Connection { stream, unread: Vec::new() }
    }

    /// One GET by HTTP on its own connection.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// One request by HTTP on its own connection, closed afterwards.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("Host: test\r\n");
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || method == "POST" {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut client = self.connect();
        client.send([head.as_bytes(), body].concat());
        client.response(method)
    }

    /// One request in the uwsgi protocol.
    #[track_caller]
    pub fn uwsgi(&self, packet: &Packet) -> Response {
        let mut client = self.connect();
        client.send(packet.bytes());
        client.response("GET")
    }
}

fn unix(stream: UnixStream) -> Stream {
    stream.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("set a timeout");
    Stream::Unix(stream)
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Tls>),
}

/// A connection by TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// One open connection.
pub struct Connection {
    stream: Stream,
    unread: Vec<u8>,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status line without its line end.
    pub status_line: String,
    /// Names and values in order.
    pub headers: Vec<(String, String)>,
    /// Body, chunks joined.
    pub body: Vec<u8>,
}

/// How the end of a body is known.
enum Framing {
    Nothing,
    Length(usize),
    Chunked,
    Close,
}

impl Connection {
    /// By TLS.
    pub fn tls(stream: Tls) -> Connection {
        stream.sock.set_nodelay(true).expect("set TCP_NODELAY");
        stream.sock.set_read_timeout(Some(PATIENCE)).expect("set a timeout");
        stream.sock.set_write_timeout(Some(PATIENCE)).expect("set a timeout");
        Connection { stream: Stream::Tls(Box::new(stream)), unread: Vec::new() }
    }

    /// The certificate that the server showed.
    pub fn shown(&self) -> Vec<u8> {
        let Stream::Tls(stream) = &self.stream else { panic!("no TLS") };
        stream.conn.peer_certificates().expect("a handshake")[0].to_vec()
    }

    /// Our own port, of a TCP connection.
    pub fn port(&self) -> String {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().expect("our address").port().to_string(),
            Stream::Tls(stream) => stream.sock.local_addr().expect("our address").port().to_string(),
            Stream::Unix(_) => String::new(),
        }
    }

    /// Sends all bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("send");
    }

    /// Sends all bytes, or gives the error (a server that refuses may close early).
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes.as_ref()),
            Stream::Tls(stream) => stream.write_all(bytes.as_ref()),
            Stream::Unix(stream) => stream.write_all(bytes.as_ref()),
        }
    }

    /// Tells the server that no more will come.
    pub fn finish_sending(&mut self) {
        // An error means that the server has closed already: the answer tells.
        let _ = match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }

    /// Waits for some bytes; 0 at the end.
    fn receive(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 65536];
        let n = self.read(&mut buffer)?;
        self.unread.extend(&buffer[..n]);
        Ok(n)
    }

    #[track_caller]
    fn receive_more(&mut self, what: &str) {
        match self.receive() {
            Ok(0) => panic!("closed within {what}; so far: {:?}", String::from_utf8_lossy(&self.unread)),
            Ok(_) => {}
            Err(e) => panic!("{e} within {what}; so far: {:?}", String::from_utf8_lossy(&self.unread)),
        }
    }

    fn take(&mut self, n: usize) -> Vec<u8> {
        self.unread.drain(..n).collect()
    }

    #[track_caller]
    fn take_line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.take(end + 2);
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            self.receive_more("a line");
        }
    }

    /// The next `n` bytes.
    #[track_caller]
    pub fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.unread.len() < n {
            self.receive_more("a body");
        }
        self.take(n)
    }

    /// Reads one head: the status line and headers.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        let status_line = self.take_line();
        let mut headers = Vec::new();
        loop {
            let line = self.take_line();
            if line.is_empty() {
                return Response { status_line, headers, body: Vec::new() };
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("header line {line:?}"));
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// Reads one complete answer to a request with this method.
    #[track_caller]
    pub fn response(&mut self, method: &str) -> Response {
        let mut response = self.head();
        response.body = match response.framing(method) {
            Framing::Nothing => Vec::new(),
            Framing::Length(n) => self.exactly(n),
            Framing::Close => self.rest(),
            Framing::Chunked => self.chunks(),
        };
        response
    }

    #[track_caller]
    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.take_line();
            let size = usize::from_str_radix(line.split(';').next().unwrap_or(""), 16)
                .unwrap_or_else(|e| panic!("chunk size {line:?}: {e}"));
            body.extend(self.exactly(size));
            assert_eq!(self.exactly(2), b"\r\n", "after a chunk, or a trailer");
            if size == 0 {
                return body;
            }
        }
    }

    /// Everything until the server closes. A reset fails the test.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.receive() {
                Ok(0) => return std::mem::take(&mut self.unread),
                Ok(_) => {}
                Err(e) => panic!("{e} instead of an orderly end; so far {} bytes", self.unread.len()),
            }
        }
    }

    /// How many bytes come until the server closes, without keeping them.
    #[track_caller]
    pub fn count_rest(&mut self) -> usize {
        let mut count = 0;
        loop {
            count += std::mem::take(&mut self.unread).len();
            match self.receive() {
                Ok(0) => return count,
                Ok(_) => {}
                Err(e) => panic!("{e} instead of an orderly end; so far {count} bytes"),
            }
        }
    }

    /// Everything until the server closes or resets: for requests that deserve no better.
    pub fn rest_or_reset(&mut self) -> Vec<u8> {
        while matches!(self.receive(), Ok(n) if n > 0) {}
        std::mem::take(&mut self.unread)
    }

    /// Some bytes, at most 16 KiB; none at the end.
    #[track_caller]
    pub fn some(&mut self) -> Vec<u8> {
        if self.unread.is_empty() {
            let mut buffer = [0; 16 * 1024];
            let n = self.read(&mut buffer).expect("bytes");
            self.unread.extend(&buffer[..n]);
        }
        std::mem::take(&mut self.unread)
    }

    /// Whether there is anything to read (or the end), now or soon.
    pub fn has_bytes_within(&mut self, patience: Duration) -> bool {
        let mut polled = [PollFd::new(self.descriptor(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(patience).expect("a short time");
        !self.unread.is_empty() || poll(&mut polled, patience).is_ok_and(|ready| ready > 0)
    }

    /// Has the kernel take in no more than so many bytes that were not read.
    pub fn set_receive_buffer(&self, bytes: usize) {
        setsockopt(&self.descriptor(), sockopt::RcvBuf, &bytes).expect("set SO_RCVBUF");
    }

    /// Goes away without saying goodbye: the server's next look finds a reset connection.
    pub fn reset(self) {
        let at_once = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&self.descriptor(), sockopt::Linger, &at_once).expect("set SO_LINGER");
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match &self.stream {
            Stream::Tcp(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.sock.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    fn set_nonblocking(&self, on: bool) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_nonblocking(on),
            Stream::Tls(stream) => stream.sock.set_nonblocking(on),
            Stream::Unix(stream) => stream.set_nonblocking(on),
        }
        .expect("set");
    }

    /// Whether the server has said nothing, and has not closed, until now.
    pub fn is_silent(&mut self) -> bool {
        self.set_nonblocking(true);
        let received = self.receive();
        self.set_nonblocking(false);
        matches!(received, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Did the server close (or reset) without another byte?
    pub fn is_closed(&mut self) -> bool {
        self.unread.is_empty()
            && match self.receive() {
                Ok(n) => n == 0,
                Err(e) => e.kind() == ErrorKind::ConnectionReset,
            }
    }
}

impl Response {
    /// Status code.
    #[track_caller]
    pub fn status(&self) -> u16 {
        let code = self.status_line.split(' ').nth(1).unwrap_or("");
        code.parse().unwrap_or_else(|_| panic!("status line {:?}", self.status_line))
    }

    /// First value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e} in {}: {:?}", self.status_line, self.text()))
    }

    /// Panics unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status(), status, "{}: {}", self.status_line, self.text());
        self
    }

    /// RFC 9112 §6.3.
    fn framing(&self, method: &str) -> Framing {
        if method == "HEAD" || matches!(self.status(), 100..200 | 204 | 304) {
            return Framing::Nothing;
        }
        if self.header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Framing::Chunked;
        }
        match self.header("Content-Length") {
            Some(length) => Framing::Length(length.parse().expect("Content-Length is a number")),
            None => Framing::Close,
        }
    }
}
