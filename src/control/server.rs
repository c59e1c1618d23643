//! The master's end. Nothing here waits: a client that dawdles costs a descriptor, and only so many are kept.

use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ABSTRACT_PREFIX;
use super::words::{Answer, REQUEST_BYTES_MAX, Request};
use crate::sys::exec::Handed;
use crate::sys::socket::bind::{Manner, bind};
use crate::sys::socket::{Address, Kind};
use crate::sys::{Error, credentials, identity};

/// Clients at a time; one more, and the oldest is let go.
const CLIENTS_MAX: usize = 16;
/// How long one may keep the master waiting with the rest of a long answer.
const WRITE_PATIENCE: Duration = Duration::from_millis(200);
/// Clients that may wait to be accepted.
const BACKLOG: u32 = 16;

/// Names a client towards the master's state.
pub type ClientId = u32;

/// The control socket and those connected to it.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    file: Option<PathBuf>,
    clients: Vec<Client>,
    next: ClientId,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    stream: UnixStream,
    asked: Vec<u8>,
    /// Has asked, and waits for the answer.
    waits: bool,
}

impl Server {
    /// Listens at `address`; without one, at an abstract address that the client finds.
    pub fn open(address: Option<&str>) -> Result<Server, Error> {
        let address = address.map_or_else(default_address, str::to_owned);
        let manner = Manner { backlog: BACKLOG, ..Manner::default() };
        let parsed = Address::parse(&address)?;
        if let Address::Tcp(_) = parsed {
            let why =
                "control-socket is a path or @NAME: who asks can be told on unix sockets only".to_owned();
            return Err(Error::Address { text: address, why });
        }
        let made = bind(&parsed, manner)?;
        let file = match made.kind {
            Kind::Unix(file) => file,
            Kind::Tcp => None,
        };
        Ok(Server { listener: UnixListener::from(made.fd), file, clients: Vec::new(), next: 0 })
    }

    /// What to wait for.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listener.as_fd()).chain(self.clients.iter().map(|client| client.stream.as_fd()))
    }

    /// What clients have asked since the last time.
    pub fn requests(&mut self) -> Vec<(ClientId, Request)> {
        while let Ok((stream, _)) = self.listener.accept() {
            self.admit(stream);
        }
        let mut requests = Vec::new();
        let mut gone = Vec::new();
        for client in &mut self.clients {
            match client.read() {
                Heard::Nothing => {}
                Heard::Request(request) => requests.push((client.id, request)),
                Heard::Nonsense => {
                    client.write(&Answer::failed(
                        "this request is not understood: is the client of another version?",
                    ));
                    gone.push(client.id);
                }
                Heard::End => gone.push(client.id),
            }
        }
        self.clients.retain(|client| !gone.contains(&client.id));
        requests
    }

    /// Answers a client; one that has gone does not mind.
    pub fn answer(&mut self, client: ClientId, answer: &impl Serialize) {
        if let Some(place) = self.clients.iter().position(|other| other.id == client) {
            self.clients.remove(place).write(answer);
        }
    }

    /// Answers a client and keeps the connection: its end tells the client that the server has ended.
    pub fn answer_and_keep(&mut self, client: ClientId, answer: &impl Serialize) {
        if let Some(client) = self.clients.iter_mut().find(|other| other.id == client) {
            client.write(answer);
        }
    }

    /// The file of the socket, if it has one: to be removed when the server ends.
    pub fn file(&self) -> Option<&PathBuf> {
        self.file.as_ref()
    }

    /// What the next program of this process needs to go on.
    pub fn hand_over(&self) -> Left {
        let client = |client: &Client| ClientLeft {
            id: client.id,
            fd: Handed::of(&client.stream),
            waits: client.waits,
        };
        let clients = self.clients.iter().map(client).collect();
        Left { fd: Handed::of(&self.listener), file: self.file.clone(), clients, next: self.next }
    }

    /// Goes on where the program before has left.
    pub fn take_over(left: Left) -> io::Result<Server> {
        let Left { fd, file, clients, next } = left;
        let client = |ClientLeft { id, fd, waits }| {
            Ok(Client { id, stream: UnixStream::from(fd.take()?), asked: Vec::new(), waits })
        };
        let clients = clients.into_iter().map(client).collect::<io::Result<_>>()?;
        Ok(Server { listener: UnixListener::from(fd.take()?), file, clients, next })
    }

    fn admit(&mut self, stream: UnixStream) {
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let allowed = credentials::of_peer(&stream).is_ok_and(|peer| identity::may_control(peer.user));
        self.next = self.next.wrapping_add(1);
        let mut client = Client { id: self.next, stream, asked: Vec::new(), waits: false };
        if !allowed {
            client.write(&Answer::failed("only root and the user this server runs as may control it"));
            return;
        }
        if self.clients.len() == CLIENTS_MAX {
            self.clients.remove(0);
        }
        self.clients.push(client);
    }
}

/// A control socket as one program leaves it to the next.
#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    fd: Handed,
    file: Option<PathBuf>,
    clients: Vec<ClientLeft>,
    next: ClientId,
}

#[derive(Debug, Serialize, Deserialize)]
struct ClientLeft {
    id: ClientId,
    fd: Handed,
    waits: bool,
}

impl Left {
    /// Everything that has to stay open.
    pub fn descriptors(&self) -> impl Iterator<Item = Handed> {
        std::iter::once(self.fd).chain(self.clients.iter().map(|client| client.fd))
    }
}

/// Unused, and telling the pid to the client.
fn default_address() -> String {
    let micros = crate::base::clock::wall();
    format!("{ABSTRACT_PREFIX}{}/{micros:x}", std::process::id())
}

enum Heard {
    Nothing,
    Request(Request),
    Nonsense,
    End,
}

impl Client {
    fn read(&mut self) -> Heard {
        let mut bytes = [0; REQUEST_BYTES_MAX];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Heard::End,
                // More than one request: only the first was invited.
                Ok(_) if self.waits => {}
                Ok(len) => self.asked.extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return self.understand(),
                Err(_) => return Heard::End,
            }
            if self.asked.len() > REQUEST_BYTES_MAX {
                return Heard::Nonsense;
            }
        }
    }

    fn understand(&mut self) -> Heard {
        let Some(end) = self.asked.iter().position(|byte| *byte == b'\n') else { return Heard::Nothing };
        if std::mem::replace(&mut self.waits, true) {
            return Heard::Nothing;
        }
        let request = std::str::from_utf8(&self.asked[..end]).ok().and_then(Request::parse);
        request.map_or(Heard::Nonsense, Heard::Request)
    }

    /// Nearly every answer is smaller than what a unix socket holds: one write. For the rest of a larger one a client that
    /// does not read is waited for so long.
    fn write(&mut self, answer: &impl Serialize) {
        let text = serde_json::to_string(answer).map(|text| text + "\n").map_err(io::Error::from);
        let write = |text: String| {
            self.stream.set_nonblocking(false)?;
            self.stream.set_write_timeout(Some(WRITE_PATIENCE))?;
            self.stream.write_all(text.as_bytes())?;
            self.stream.set_nonblocking(true)
        };
        if let Err(error) = text.and_then(write)
            && error.kind() != ErrorKind::BrokenPipe
        {
            crate::log!("[uwring] control socket: cannot answer: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    use super::*;

    fn connect(server: &Server) -> UnixStream {
        let address = server.listener.local_addr().expect("a name");
        let name = address.as_abstract_name().expect("abstract").to_owned();
        UnixStream::connect_addr(&SocketAddr::from_abstract_name(name).expect("a name")).expect("listens")
    }

    #[test]
    fn a_request_may_come_in_pieces_and_is_answered_once() {
        let mut server = Server::open(None).expect("bound");
        let mut client = connect(&server);
        client.write_all(b"rel").expect("sent");
        assert_eq!(server.requests(), []);
        client.write_all(b"oad wait\nstatus\n").expect("sent");
        let [(id, Request::Reload { wait: true })] = server.requests()[..] else { panic!("no reload") };
        assert_eq!(server.requests(), []);
        server.answer(id, &Answer::done("loaded"));
        let mut text = String::new();
        client.read_to_string(&mut text).expect("answered");
        assert_eq!(serde_json::from_str::<Answer>(&text).expect("JSON"), Answer::done("loaded"));
        assert_eq!(server.fds().count(), 1);
    }

    #[test]
    fn nonsense_is_refused_and_the_gone_are_forgotten() {
        let mut server = Server::open(None).expect("bound");
        let mut client = connect(&server);
        client.write_all(b"GET / HTTP/1.1\r\n").expect("sent");
        assert_eq!(server.requests(), []);
        let mut text = String::new();
        client.read_to_string(&mut text).expect("answered");
        assert!(!serde_json::from_str::<Answer>(&text).expect("JSON").ok, "{text}");
        let silent: Vec<UnixStream> = (0..CLIENTS_MAX + 4)
            .map(|_| {
                let client = connect(&server);
                server.requests();
                client
            })
            .collect();
        assert_eq!(server.fds().count(), CLIENTS_MAX + 1);
        drop(silent);
        server.requests();
        assert_eq!(server.fds().count(), 1);
    }

    #[test]
    fn ports_are_no_control_sockets() {
        let error = Server::open(Some("127.0.0.1:0")).expect_err("refused").to_string();
        assert!(error.contains("a path or @NAME"), "{error}");
    }
}
