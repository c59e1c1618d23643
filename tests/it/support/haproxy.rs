//! A real HAProxy in front, run as whoever runs the tests. It takes its listening socket as stdin, so that no port is
//! guessed, and a client that comes before it is ready waits in the backlog.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;

use super::{Address, Log, Running, find};

/// A running HAProxy; stopped when dropped.
pub struct Haproxy {
    address: SocketAddr,
    process: Running,
    _folder: tempfile::TempDir,
}

impl Haproxy {
    /// In front of one server over HTTP, sharing connections to it. Its log has a line `proxied METHOD TARGET STATUS`
    /// for each request; one that was not passed on has the server `<NOSRV>`.
    #[track_caller]
    pub fn start(to: &Address) -> Haproxy {
        Haproxy::start_with(to, "")
    }

    /// The same, with `options` of its `server` line.
    #[track_caller]
    pub fn start_with(to: &Address, options: &str) -> Haproxy {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
        let address = listener.local_addr().expect("its address");
        let server = match to {
            Address::Tcp(address) => address.to_string(),
            Address::Unix(path) => format!("unix@{}", path.display()),
            Address::Abstract(name) => format!("abns@{name}"),
        };
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, configuration(&format!("{server} {options}"))).expect("write haproxy.cfg");
        let program = find("haproxy").expect("the test asked has(&[\"haproxy\"]) first");
        let mut command = Command::new(program);
        command.args(["-db", "-f"]).arg(&file).stdin(OwnedFd::from(listener));
        Haproxy { address, process: Running::spawn(command), _folder: folder }
    }

    /// Where it listens.
    pub fn address(&self) -> Address {
        Address::Tcp(self.address)
    }

    /// Its log.
    pub fn log(&self) -> &Log {
        &self.process.log
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("---- haproxy log\n{}\n----", self.log().text());
        }
    }
}

fn configuration(server: &str) -> String {
    format!(
        "global
    log fd@2 format raw local0 info
    maxconn 200
defaults
    mode http
    log global
    log-format \"proxied %HM %HU %ST %s\"
    option http-keep-alive
    http-reuse always
    timeout connect 10s
    timeout client 10s
    timeout server 10s
frontend front
    bind fd@0
    default_backend back
backend back
    server app {server}
"
    )
}
