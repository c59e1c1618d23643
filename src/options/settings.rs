//! The typed result of all sources: what the rest of the server reads. Names follow the options.

use std::path::PathBuf;

pub use super::cache::Cache;
use super::cache::Preload;
pub use super::emperor::Emperor;
pub use super::files::Files;
pub use super::headers::Headers;
pub use super::monitor::Monitor;
pub use super::recycling::{Harakiri, Recycling};
pub use super::requests::{Context, Requests};
pub use super::routes::Routes;
pub use super::scaling::Scaling;
pub use super::tls::Tls;

use serde::{Deserialize, Serialize};

use super::alarms::Alarms;
use super::descriptors::OnFd;
use super::hooks::{self, Hook};
use super::jobs::{Cause, Cron, Daemon};
use super::locks::Lock;
use super::logger::{EncoderOf, Logger, Route};
use crate::base::engine::Kind as Engine;
use crate::base::pattern::Pattern;

/// Where an option was given, for messages: `app.ini:12`, `environment`, `command line`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin(pub String);

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One option as it was given, after expansion, in order (`uwsgi.opt`, `show-config`).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Given {
    /// Name as written.
    pub key: String,
    /// `None`: a flag given without a value on the command line.
    pub value: Option<String>,
    /// Where.
    pub origin: Origin,
}

/// Everything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Settings {
    /// Processes, signals, privileges.
    pub process: Process,
    /// How many workers there are.
    pub scaling: Scaling,
    /// When workers are replaced.
    pub recycling: Recycling,
    /// Requests that take too long.
    pub harakiri: Harakiri,
    /// Listening sockets.
    pub sockets: Sockets,
    /// Requests, their limits and times.
    pub request: Requests,
    /// Static files.
    pub files: Files,
    /// Headers of answers.
    pub headers: Headers,
    /// Rules of the internal router.
    pub routes: Routes,
    /// Caches shared by the workers.
    pub caches: Vec<Cache>,
    /// What lies in them from the start.
    #[serde(default)]
    pub preloads: Vec<Preload>,
    /// The Python application.
    pub python: Python,
    /// Logs.
    pub logging: Logging,
    /// What an Emperor is told.
    pub emperor: Emperor,
    /// What others see of the server.
    pub monitor: Monitor,
    /// `fallback-config`: what to start with where this configuration ends with code 1.
    pub fallback: Option<String>,
    /// Every option as given, in order.
    pub given: Vec<Given>,
}

/// What the touch of a file leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Touch {
    /// `touch-reload`, `fs-reload`: load configuration and application anew.
    Reload,
    /// `touch-chain-reload`, `touch-workers-reload`: replace the workers one by one.
    Workers,
    /// `touch-exec`: run this command.
    Run(String),
    /// `hook-touch`: do this.
    Hook(hooks::Action),
}

/// Processes, signals, privileges.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Process {
    /// `processes`/`workers`.
    pub processes: u32,
    /// `engine`: what workers run on; `None`: what the kernel gives.
    pub engine: Option<Engine>,
    /// `threads`: interpreter threads of one worker.
    pub threads: u32,
    /// `lazy-apps`: each worker imports the application itself.
    pub lazy_apps: bool,
    /// `need-app`: refuse to start without an application. On by default here.
    pub need_app: bool,
    /// `no-orphans`: workers die with the master at once.
    pub no_orphans: bool,
    /// `worker-reload-mercy`, seconds a worker may take to finish its requests when told to end.
    pub worker_reload_mercy: u64,
    /// `drain-delay`: seconds a server told to stop serves before it does.
    pub drain_delay: u64,
    /// `reload-timeout`: seconds a new generation has until it serves; 0: for ever.
    pub reload_timeout: u64,
    /// `forkbomb-delay`, seconds between respawns of workers that die at once.
    pub forkbomb_delay: u64,
    /// `vacuum`: remove unix sockets and pidfiles at exit.
    pub vacuum: bool,
    /// `pidfile`, `pidfile2`, `safe-pidfile`, `safe-pidfile2`.
    pub pidfiles: Vec<PathBuf>,
    /// `daemonize`/`daemonize2`: log file of the background server.
    pub daemonize: Option<String>,
    /// `daemonize2`: whoever starts it waits until it serves.
    pub daemonize_late: bool,
    /// `uid`, name or number.
    pub uid: Option<String>,
    /// `gid`, name or number.
    pub gid: Option<String>,
    /// `add-gid`, names or numbers.
    pub add_gid: Vec<String>,
    /// `no-initgroups`: keep only `gid` and `add-gid`.
    pub no_initgroups: bool,
    /// `master-as-root`, `drop-after-apps`: rights are given up by templates, when the application is loaded.
    pub master_as_root: bool,
    /// `chdir`, before the application is imported.
    pub chdir: Option<PathBuf>,
    /// `chroot`.
    pub chroot: Option<PathBuf>,
    /// `chdir2`, after.
    pub chdir2: Option<PathBuf>,
    /// `umask`.
    pub umask: Option<u32>,
    /// `env` (`Some`) and `unenv` (`None`), in order.
    pub env: Vec<(String, Option<String>)>,
    /// `auto-procname`.
    pub auto_procname: bool,
    /// `procname-prefix` / `procname-prefix-spaced` (the blank is included).
    pub procname_prefix: String,
    /// `procname-append`.
    pub procname_append: String,
    /// `procname`.
    pub procname: Option<String>,
    /// `procname-master`.
    pub procname_master: Option<String>,
    /// `touch-reload`: reload when one of these changes.
    pub touch: Vec<(PathBuf, Touch)>,
    /// `hook-…`, `mount-…`, `umount-…` and `exec-…`, those of a moment in their order.
    pub hooks: Vec<Hook>,
    /// `flock` and its family.
    pub file_locks: Vec<Lock>,
    /// `reload-on-fd`, `alarm-fd`.
    pub on_fds: Vec<OnFd>,
    /// `check-mount`: the server ends when one of these file systems no longer answers.
    pub mountpoints: Vec<PathBuf>,
    /// `attach-daemon` and its family.
    pub daemons: Vec<Daemon>,
    /// `cron` and its family.
    pub crons: Vec<Cron>,
    /// `timer`, `touch-signal` and their families: what raises which signal of the application.
    pub raises: Vec<(u8, Cause)>,
    /// `master-fifo`, in the order of their slots.
    pub fifos: Vec<PathBuf>,
    /// `limit-as`, megabytes of address space for each process.
    pub limit_as: Option<u64>,
    /// `limit-nproc`, processes of the user.
    pub limit_nproc: Option<u64>,
    /// `max-fd`, open files of each process.
    pub max_fd: Option<u64>,
    /// `prio`, the nice value.
    pub nice: Option<i32>,
    /// `cpu-affinity`, processors of each worker; 0: all.
    pub affinity: u32,
    /// `cap`, names of capabilities to keep.
    pub capabilities: Vec<String>,
    /// `exit-on-reload`.
    pub exit_on_reload: bool,
    /// `control-socket`: a path, `@NAME`, or `none`; without it, an abstract one of the master's pid.
    pub control_socket: Option<String>,
    /// `skip-atexit`.
    pub skip_atexit: bool,
    /// `reaper`.
    pub reaper: bool,
    /// `heartbeat`, seconds.
    pub heartbeat: u64,
    /// `locks`: user locks beside lock 0.
    pub locks: u32,
    /// `honour-stdin`: standard input stays what it is.
    pub honour_stdin: bool,
    /// `force-cwd`: the folder of a reload, in place of that of the start.
    pub force_cwd: Option<PathBuf>,
    /// `thread-stack-size`, bytes of each interpreter thread but the first.
    pub stack_bytes: Option<usize>,
    /// `binsh`: shells for commands, the first that is there.
    pub shells: Vec<PathBuf>,
}

impl Default for Process {
    fn default() -> Process {
        Process {
            processes: 1,
            engine: None,
            threads: 1,
            lazy_apps: false,
            need_app: true,
            no_orphans: false,
            worker_reload_mercy: 60,
            drain_delay: 0,
            reload_timeout: 600,
            forkbomb_delay: 2,
            vacuum: false,
            pidfiles: Vec::new(),
            daemonize: None,
            daemonize_late: false,
            uid: None,
            gid: None,
            add_gid: Vec::new(),
            no_initgroups: false,
            master_as_root: false,
            chdir: None,
            chdir2: None,
            chroot: None,
            umask: None,
            env: Vec::new(),
            auto_procname: false,
            procname_prefix: String::new(),
            procname_append: String::new(),
            procname: None,
            procname_master: None,
            touch: Vec::new(),
            hooks: Vec::new(),
            file_locks: Vec::new(),
            on_fds: Vec::new(),
            mountpoints: Vec::new(),
            daemons: Vec::new(),
            crons: Vec::new(),
            raises: Vec::new(),
            fifos: Vec::new(),
            limit_as: None,
            limit_nproc: None,
            max_fd: None,
            nice: None,
            affinity: 0,
            capabilities: Vec::new(),
            exit_on_reload: false,
            control_socket: None,
            skip_atexit: false,
            reaper: false,
            heartbeat: 0,
            locks: 0,
            honour_stdin: false,
            force_cwd: None,
            stack_bytes: None,
            shells: Vec::new(),
        }
    }
}

pub use crate::base::protocol::{Cover, SocketProtocol};

/// One listening socket asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketSpec {
    /// Address as written (REFERENCE: `host:port`, `[v6]:port`, path, `@abstract`, `fd://N`).
    pub address: String,
    /// What is spoken.
    pub protocol: SocketProtocol,
    /// Clients may be anyone (`http`, `http-socket`): uploads are spooled before the application is called.
    pub faces_clients: bool,
    /// What lies around it.
    #[serde(default)]
    pub cover: Cover,
}

/// Listening sockets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sockets {
    /// In order of declaration.
    pub specs: Vec<SocketSpec>,
    /// `listen`; `None`: as much as the kernel allows (`net.core.somaxconn`).
    pub listen: Option<u32>,
    /// `chmod-socket`, a file mode.
    pub chmod: Option<u32>,
    /// `chown-socket`, `user[:group]`.
    pub chown: Option<String>,
    /// `reuse-port`.
    pub reuse_port: bool,
    /// `so-keepalive`.
    pub keepalive: bool,
    /// `freebind`.
    pub freebind: bool,
    /// `socket-sndbuf`, bytes.
    pub send_buffer: Option<u32>,
    /// `socket-rcvbuf`, bytes.
    pub receive_buffer: Option<u32>,
    /// `tcp-fastopen`.
    pub fast_open: Option<u32>,
    /// `map-socket`: number of the socket, and the workers which alone accept there.
    pub map: Vec<(usize, Vec<u32>)>,
    /// Certificates and keys of those that speak TLS.
    #[serde(default)]
    pub tls: Tls,
}

impl Sockets {
    /// Whether this worker accepts on the socket of that number.
    pub fn is_for(&self, index: usize, worker: u32) -> bool {
        let mut maps = self.map.iter().filter(|(socket, _)| *socket == index).peekable();
        maps.peek().is_none() || maps.any(|(_, workers)| workers.contains(&worker))
    }
}

/// The Python application.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Python {
    /// `module`/`wsgi`, in order; `module:callable` kept as written.
    pub modules: Vec<String>,
    /// `wsgi-file`/`file`.
    pub files: Vec<String>,
    /// `eval`: the application's source.
    pub sources: Vec<String>,
    /// `pecan`: its configuration files.
    pub pecan: Vec<String>,
    /// `paste`: `config:FILE`, as paste.deploy names applications.
    pub paste: Vec<String>,
    /// `paste-logger`: the same files set up the logs.
    pub paste_logger: bool,
    /// `callable`.
    pub callable: Option<String>,
    /// `mount`: `(mountpoint, application)`.
    pub mounts: Vec<(String, String)>,
    /// `pythonpath`/`pp`, in order.
    pub pythonpath: Vec<String>,
    /// `home`/`virtualenv`/`venv`/`pyhome`.
    pub home: Option<String>,
    /// `python`: the interpreter to load where there is no `home`; path or name.
    pub interpreter: Option<String>,
    /// `pyargv`.
    pub pyargv: Option<String>,
    /// `import`/`pyimport` and `shared-import`: modules imported after and before the application.
    pub imports: Vec<String>,
    /// `shared-import`/`shared-pyimport`.
    pub shared_imports: Vec<String>,
    /// `wsgi-disable-file-wrapper`.
    pub no_file_wrapper: bool,
    /// `optimize`.
    pub optimize: u32,
    /// `no-default-app`.
    pub no_default_app: bool,
    /// `ignore-script-name`.
    pub ignore_script_name: bool,
    /// `wsgi-accept-buffer`.
    pub accept_buffer: bool,
    /// `py-tracebacker`: prefix of the sockets.
    pub tracebacker: Option<String>,
    /// `catch-exceptions`.
    pub catch_exceptions: bool,
    /// `py-auto-reload`, seconds; 0: never.
    pub auto_reload_s: u32,
    /// `py-auto-reload-ignore`: modules.
    pub auto_reload_ignore: Vec<String>,
    /// `pymodule-alias`: a name and a module or file.
    pub aliases: Vec<String>,
    /// `post-pymodule-alias`.
    pub late_aliases: Vec<String>,
    /// `py-executable`: `sys.executable`.
    pub executable: Option<String>,
    /// `no-site`: the module `site` is not imported.
    pub no_site: bool,
    /// `reload-on-exception`.
    pub reload_on_exception: bool,
    /// `reload-on-exception-type`: names of classes.
    pub reload_on_type: Vec<String>,
    /// `reload-on-exception-value`: texts of exceptions.
    pub reload_on_value: Vec<String>,
    /// `reload-on-exception-repr`: `class: text`.
    pub reload_on_repr: Vec<String>,
}

/// Logs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Logging {
    /// `disable-logging`: no request lines but those the options below force.
    pub disable_requests: bool,
    /// `log-4xx`.
    pub log_4xx: bool,
    /// `log-5xx`.
    pub log_5xx: bool,
    /// `log-slow`, milliseconds; 0 off.
    pub log_slow_ms: u64,
    /// `log-zero`.
    pub log_zero: bool,
    /// `log-big`, bytes; 0 off.
    pub log_big: u64,
    /// `log-x-forwarded-for`.
    pub x_forwarded_for: bool,
    /// `log-micros`.
    pub micros: bool,
    /// `log-date`/`log-prefix`: `Some("")` the default form, else a strftime format.
    pub date: Option<String>,
    /// `log-format`/`logformat`.
    pub format: Option<String>,
    /// `memory-report`.
    pub memory_report: bool,
    /// `logto`.
    pub logto: Option<String>,
    /// `logto2`.
    pub logto2: Option<String>,
    /// `log-sendfile`.
    pub log_sendfile: bool,
    /// `log-ioerror`.
    pub log_ioerror: bool,
    /// `logformat-strftime`: `%(ftime)` in the form of `log-date`.
    pub format_strftime: bool,
    /// `log-master`: lines go to the log process, which writes them.
    pub master: bool,
    /// `log-json`, `log-format = json`: every line is one JSON object.
    pub json: bool,
    /// `logger`.
    pub loggers: Vec<Logger>,
    /// `req-logger`.
    pub req_loggers: Vec<Logger>,
    /// `log-encoder`.
    pub encoders: Vec<EncoderOf>,
    /// `log-req-encoder`.
    pub req_encoders: Vec<EncoderOf>,
    /// `log-route`.
    pub routes: Vec<Route>,
    /// `log-req-route`.
    pub req_routes: Vec<Route>,
    /// `log-filter`: only lines that match one.
    pub filters: Vec<Pattern>,
    /// `log-drain`: no lines that match one.
    pub drains: Vec<Pattern>,
    /// `log-maxsize`, bytes; 0 off.
    pub bytes_max: u64,
    /// `log-backupname`.
    pub backup: Option<PathBuf>,
    /// `log-truncate`.
    pub truncate: bool,
    /// `log-reopen`.
    pub reopen: bool,
    /// `logfile-chmod`.
    pub chmod: Option<u32>,
    /// `logfile-chown`.
    pub chown: bool,
    /// `touch-logreopen`.
    pub touch_reopen: Vec<PathBuf>,
    /// `touch-logrotate`.
    pub touch_rotate: Vec<PathBuf>,
    /// `alarm` and its family.
    pub alarms: Alarms,
}

impl Logging {
    /// Whether a process of their own writes the logs: where more is to be done with a line than to append it.
    pub fn relayed(&self) -> bool {
        let lists = [
            self.loggers.is_empty(),
            self.req_loggers.is_empty(),
            self.encoders.is_empty(),
            self.req_encoders.is_empty(),
            self.routes.is_empty(),
            self.req_routes.is_empty(),
            self.filters.is_empty(),
            self.drains.is_empty(),
            self.touch_reopen.is_empty(),
            self.touch_rotate.is_empty(),
            self.alarms.lines.is_empty(),
        ];
        self.master
            || self.json
            || self.reopen
            || self.bytes_max > 0
            || lists.contains(&false)
            || [&self.logto, &self.logto2].into_iter().flatten().any(|to| is_elsewhere(to))
    }
}

/// Whether a `logto` is another machine (`host:port`) and no file.
pub fn is_elsewhere(logto: &str) -> bool {
    logto.contains(':') && !logto.contains('/')
}
