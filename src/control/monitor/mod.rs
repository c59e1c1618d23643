//! The monitor: a process that shows the server to those outside: the stats server, metrics, health. It reads what all processes share
//! and what the kernel tells, so nobody who looks is in the way of a request or of the master. It ends with its master.
//!
//! ```text
//!  uwsgitop ──► door ──┐                        ┌── shared area (a store by its only writer for each figure)
//!  exporter ──► door ──┴─► uring (or plain) ─► desk ── /proc, TCP_INFO, sock_diag
//! ```

pub mod desk;
mod http;
mod plain;
pub mod push;
pub mod site;
#[cfg(not(target_env = "musl"))]
mod uring;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::errors;
use crate::options::monitor::Pusher;
use crate::options::settings::Monitor;
use crate::sys::socket::bind::{Manner, bind};
use crate::sys::socket::{Address, Kind};
use crate::sys::{Error, net, pipes, process};
use desk::Desk;

/// Clients that may wait to be accepted.
const BACKLOG: u32 = 128;
/// Clients at a time.
const CLIENTS_MAX: usize = 64;
/// How long a client may take to ask and to read the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long what a client still sends is waited for when it has its answer: closing with unread bytes would destroy
/// what is on its way.
const LINGER: Duration = Duration::from_secs(1);

/// What is told at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// The statistics to whoever connects, without a question.
    Stats,
    /// The statistics over HTTP.
    StatsHttp,
    /// Metrics and health checks, over HTTP.
    Metrics,
    /// Whether to send requests here, in HAProxy's words, without a question.
    Agent,
}

impl Role {
    /// Whether a client asks first.
    fn asks(self) -> bool {
        matches!(self, Role::StatsHttp | Role::Metrics)
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Door {
    /// What is told there.
    pub role: Role,
    /// Its address, as it really is.
    pub name: String,
    /// Its file, if it has one that we made.
    pub file: Option<PathBuf>,
    /// The socket. It does not wait.
    pub listener: Listener,
}

/// A listening socket of either family.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix.
    Unix(UnixListener),
}

impl Listener {
    /// Of a descriptor.
    pub fn new(fd: OwnedFd, tcp: bool) -> Listener {
        if tcp { Listener::Tcp(fd.into()) } else { Listener::Unix(fd.into()) }
    }

    /// The next client. Reading from it waits.
    fn accept(&self) -> io::Result<OwnedFd> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(stream, _): (TcpStream, _)| stream.into()),
            Listener::Unix(listener) => listener.accept().map(|(stream, _): (UnixStream, _)| stream.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// Opens the doors that are asked for.
pub fn open(settings: &Monitor) -> Result<Vec<Door>, Error> {
    let stats = if settings.stats_http { Role::StatsHttp } else { Role::Stats };
    let wanted =
        [(stats, &settings.stats), (Role::Metrics, &settings.metrics), (Role::Agent, &settings.agent_check)];
    let wanted = wanted.into_iter().filter_map(|(role, address)| Some((role, address.as_ref()?)));
    wanted.map(|(role, address)| open_one(role, address)).collect()
}

fn open_one(role: Role, address: &str) -> Result<Door, Error> {
    let made = bind(&Address::parse(address)?, Manner { backlog: BACKLOG, ..Manner::default() })?;
    net::set_nonblocking(made.fd.as_raw_fd(), true).map_err(|cause| Error::call("listen", address, cause))?;
    let tcp = made.kind == Kind::Tcp;
    let file = match made.kind {
        Kind::Unix(file) => file,
        Kind::Tcp => None,
    };
    Ok(Door { role, name: made.name, file, listener: Listener::new(made.fd, tcp) })
}

/// Becomes the monitor, in a fresh child of the master `parent` that ends by `exit_now`: the result is its exit code.
pub fn run(doors: Vec<Door>, desk: Desk, pushers: Vec<Pusher>, parent: u32) -> i32 {
    let ready = process::die_with_parent(parent).and_then(|()| {
        let log = crate::logging::relay::ports::lines_fd();
        let keep = doors.iter().map(|door| door.listener.as_raw_fd()).chain(desk.descriptors());
        pipes::close_others(&keep.chain([log]).collect::<Vec<_>>())
    });
    if let Err(cause) = ready {
        crate::log!("[uwring] the monitor cannot start: {cause} {}", errors::MONITOR);
        return 1;
    }
    // The process ends with them.
    let (doors, desk): (&'static [Door], &'static Desk) = (doors.leak(), Box::leak(Box::new(desk)));
    push::start(pushers, desk);
    #[cfg(not(target_env = "musl"))]
    if desk.view.area.instance().engine() == crate::base::engine::Kind::IoUring {
        match uring::serve(doors, desk) {
            Ok(never) => match never {},
            Err(refused) => {
                crate::log!("[uwring] the monitor goes on with threads: {refused} {}", errors::MONITOR)
            }
        }
    }
    match plain::serve(doors, desk) {
        Ok(never) => match never {},
        Err(cause) => {
            crate::log!("[uwring] the monitor cannot go on: {cause} {}", errors::MONITOR);
            1
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::{Read, Write};
    use std::sync::Arc;

    use super::*;
    use crate::shared::area::Area;
    use crate::stats::json::Style;
    use crate::stats::snapshot::View;
    use crate::stats::vars::Variables;

    type Way = fn(&'static [Door], &'static Desk) -> io::Result<Infallible>;

    /// Both, each in a thread that goes on until the tests are over.
    const WAYS: &[Way] = &[
        #[cfg(not(target_env = "musl"))]
        uring::serve,
        plain::serve,
    ];

    fn desk() -> Desk {
        let view = View {
            area: Arc::new(Area::new(1, 1, 1).expect("mapped")),
            listeners: Vec::new(),
            master_pid: 42,
            uid: 1,
            gid: 2,
            folder: "/srv".to_owned(),
            threads: 1,
            locks: 1,
            variables: Variables::default(),
            declared: Vec::new(),
        };
        Desk {
            view,
            style: Style { minified: true, ..Style::default() },
            metrics_path: "/metrics".to_owned(),
            has_page: true,
            figures_of_cores: true,
            ledgers: None,
            patience_ms: 0,
        }
    }

    fn ask(stream: &mut (impl Read + Write), words: &str) -> String {
        stream.write_all(words.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("answered");
        text
    }

    #[test]
    fn both_ways_answer_at_every_door() {
        for (number, serve) in WAYS.iter().enumerate() {
            let name = format!("@uwring-monitor-{}-{number}", std::process::id());
            let doors = [(Role::Stats, name.as_str()), (Role::StatsHttp, "127.0.0.1:0")]
                .map(|(role, address)| open_one(role, address).expect("opened"));
            let http = doors[1].name.clone();
            let (doors, desk): (&[Door], &Desk) = (Vec::from(doors).leak(), Box::leak(Box::new(desk())));
            std::thread::spawn(move || serve(doors, desk));
            let unix = || {
                use std::os::linux::net::SocketAddrExt;
                let address = std::os::unix::net::SocketAddr::from_abstract_name(&name[1..]).expect("a name");
                UnixStream::connect_addr(&address).expect("connected")
            };
            // One who says nothing keeps nobody waiting.
            let silent = TcpStream::connect(&http).expect("connected");
            // What somebody says unasked destroys no answer.
            for words in ["", "GET / HTTP/1.0\r\n\r\n"] {
                let mut client = unix();
                let text = ask(&mut client, words);
                assert!(text.starts_with("{\"version\":") && text.ends_with("]}"), "{text}");
            }
            let mut client = TcpStream::connect(&http).expect("connected");
            client.write_all(b"GET /x HT").expect("sent");
            let text = ask(&mut client, "TP/1.1\r\nHost: h\r\n\r\n");
            assert!(
                text.starts_with("HTTP/1.0 200 OK\r\n") && text.contains("\r\n\r\n{\"version\""),
                "{text}"
            );
            drop(silent);
        }
    }
}
