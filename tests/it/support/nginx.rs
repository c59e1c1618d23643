//! A real nginx in front, run as whoever runs the tests, with its own folder and free ports.
//!
//! nginx takes listening sockets from its parent by the variable `NGINX` (it is how it upgrades itself): the test binds
//! port 0 itself and hands the socket over as stdin and stdout, so no port is guessed and none can be lost to another.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;

use super::{Address, Log, Running, find, is_root};

/// A running nginx; stopped when dropped. Its error log must be clean unless the test allows errors.
pub struct Nginx {
    /// The IPv4 address it listens on.
    pub v4: SocketAddr,
    /// The IPv6 address, where the machine has IPv6.
    pub v6: Option<SocketAddr>,
    /// Its folder.
    pub folder: tempfile::TempDir,
    process: Running,
    errors_allowed: bool,
}

impl Nginx {
    /// Starts nginx with `server` inside its `server { … }`, after the `listen` lines. `{dir}` is its own folder.
    #[track_caller]
    pub fn start(server: &str) -> Nginx {
        Nginx::start_with("", server)
    }

    /// The same, with `http` before the server block (`upstream`, `map`).
    #[track_caller]
    pub fn start_with(http: &str, server: &str) -> Nginx {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let first = TcpListener::bind("127.0.0.1:0").expect("bind a free port");
        let v4 = first.local_addr().expect("its address");
        let second = TcpListener::bind("[::1]:0").ok();
        let v6 = second.as_ref().map(|listener| listener.local_addr().expect("its address"));
        let listen = std::iter::once(v4).chain(v6).map(|a| format!("listen {a};\n")).collect::<String>();
        let dir = folder.path().display().to_string();
        let configuration = configuration(&listen, http, server).replace("{dir}", &dir);
        std::fs::write(folder.path().join("nginx.conf"), configuration).expect("write nginx.conf");

        let program = find("nginx").expect("the test asked has(&[\"nginx\"]) first");
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(folder.path());
        command.stdin(OwnedFd::from(first)).env("NGINX", if v6.is_some() { "0;1;" } else { "0;" });
        if let Some(second) = second {
            command.stdout(OwnedFd::from(second));
        }
        let process = Running::spawn(command);
        if process.log.wait_n(1, |line| line.contains("start worker process ")).is_none() {
            panic!("nginx did not start:\n{}", process.log.text());
        }
        Nginx { v4, v6, folder, process, errors_allowed: false }
    }

    /// In front of one server: every path, by `uwsgi_pass`, with the distribution's usual parameters.
    #[track_caller]
    pub fn uwsgi_pass(to: &Address) -> Nginx {
        Nginx::start(&format!("location / {{ include uwsgi_params; uwsgi_pass {}; }}", upstream(to)))
    }

    /// Where it listens.
    pub fn address(&self) -> Address {
        Address::Tcp(self.v4)
    }

    /// Its error log.
    pub fn log(&self) -> &Log {
        &self.process.log
    }

    /// Its worker process.
    #[track_caller]
    pub fn worker(&self) -> i32 {
        let line = self.log().wait_for("start worker process ");
        line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid ends the line")
    }

    /// Errors in its log are part of the test.
    pub fn allow_errors(mut self) -> Nginx {
        self.errors_allowed = true;
        self
    }

    /// Lines that nginx calls errors or worse.
    pub fn errors(&self) -> Vec<String> {
        const LEVELS: [&str; 4] = ["[error]", "[crit]", "[alert]", "[emerg]"];
        self.log()
            .lines()
            .into_iter()
            .filter(|line| LEVELS.iter().any(|level| line.contains(level)))
            .collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("---- nginx log\n{}\n----", self.log().text());
        } else if !self.errors_allowed {
            assert_eq!(self.errors(), Vec::<String>::new(), "nginx's error log is not empty");
        }
    }
}

/// As `uwsgi_pass` wants it.
pub fn upstream(to: &Address) -> String {
    match to {
        Address::Tcp(address) => address.to_string(),
        Address::Unix(path) => format!("unix:{}", path.display()),
        Address::Abstract(name) => panic!("nginx knows no abstract sockets: {name}"),
    }
}

/// The parameters every distribution ships, in its order (nginx's own `conf/uwsgi_params`).
const UWSGI_PARAMS: [(&str, &str); 14] = [
    ("QUERY_STRING", "$query_string"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("REQUEST_URI", "$request_uri"),
    ("PATH_INFO", "$document_uri"),
    ("DOCUMENT_ROOT", "$document_root"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"),
    ("HTTPS", "$https if_not_empty"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("SERVER_PORT", "$server_port"),
    ("SERVER_NAME", "$server_name"),
];

fn configuration(listen: &str, http: &str, server: &str) -> String {
    let params: String =
        UWSGI_PARAMS.iter().map(|(name, value)| format!("uwsgi_param {name} {value};\n")).collect();
    let server = server.replace("include uwsgi_params;", &params);
    // Started by root, its workers would be "nobody" and could not open a socket in a private folder.
    let user = if is_root() { "user root;\n" } else { "" };
    format!(
        "daemon off;
pid {{dir}}/nginx.pid;
error_log stderr notice;
worker_processes 1;
worker_rlimit_nofile 8192;
{user}events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {{dir}}/body;
    proxy_temp_path {{dir}}/proxy;
    fastcgi_temp_path {{dir}}/fastcgi;
    scgi_temp_path {{dir}}/scgi;
    uwsgi_temp_path {{dir}}/uwsgi;
    client_max_body_size 0;
    types {{ text/html html; text/css css; application/javascript js; }}
    {http}
    server {{
        {listen}
        server_name test;
        {server}
    }}
}}
"
    )
}
