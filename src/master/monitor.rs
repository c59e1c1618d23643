//! The monitor process as its master sees it: started before the first template, replaced if it dies, and by the next
//! program when that takes over. Its listening sockets stay the master's, so nobody who comes meanwhile is refused.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{startup, titles};
use crate::base::errors;
use crate::control::monitor::desk::Desk;
use crate::control::monitor::{self, Door, Listener as DoorListener, Role};
use crate::options::monitor::Pusher;
use crate::options::settings::Settings;
use crate::shared::area::Area;
use crate::stats::json::Style;
use crate::stats::snapshot::View;
use crate::sys::exec::Handed;
use crate::sys::memory::SharedMap;
use crate::sys::process::{self, Fork};
use crate::sys::signals::{self, Signal};
use crate::sys::socket::Listener;
use crate::sys::{host, identity};

/// `stats-pusher-default-freq`.
const PUSH_SECONDS: u64 = 3;
/// A monitor that ends sooner is not started again at once.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// See the module's page.
#[derive(Debug)]
pub struct Monitor {
    doors: Vec<Door>,
    source: Source,
    pid: u32,
    started: Instant,
    /// When to start another one.
    due: Option<Instant>,
}

/// What a monitor is made of beside its doors.
#[derive(Debug)]
pub struct Source {
    /// The options.
    pub settings: Settings,
    /// What all processes share.
    pub area: Arc<Area>,
    /// The listening sockets of requests.
    pub listeners: Vec<Listener>,
}

/// What the next program of this process needs of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    pid: u32,
    doors: Vec<DoorLeft>,
}

#[derive(Debug, Serialize, Deserialize)]
struct DoorLeft {
    role: Role,
    name: String,
    file: Option<PathBuf>,
    tcp: bool,
    fd: Handed,
}

impl Monitor {
    /// Starts it; nothing where nobody looks. That it cannot be started is no reason not to serve.
    pub fn start(doors: Vec<Door>, source: Source) -> Option<Monitor> {
        if doors.is_empty() && source.settings.monitor.pushers.is_empty() {
            return None;
        }
        let due = Some(Instant::now());
        let mut monitor = Monitor { doors, source, pid: 0, started: Instant::now(), due };
        monitor.restart();
        Some(monitor)
    }

    /// Goes on where the program before has left: its monitor goes, ours comes.
    pub fn take_over(left: Left, source: Source) -> io::Result<Option<Monitor>> {
        let door = |left: DoorLeft| {
            let DoorLeft { role, name, file, tcp, fd } = left;
            Ok(Door { role, name, file, listener: DoorListener::new(fd.take()?, tcp) })
        };
        let doors = left.doors.into_iter().map(door).collect::<io::Result<_>>()?;
        // Its end is nobody's news: a child that this program does not know.
        let _ = signals::send_to_number(left.pid, Signal::SIGKILL);
        Ok(Monitor::start(doors, source))
    }

    /// Process `pid` has ended. Whether it was the monitor, which then is another one.
    pub fn ended(&mut self, pid: u32) -> bool {
        if pid != self.pid {
            return false;
        }
        self.due = Some(self.started + RESTART_AFTER);
        self.restart();
        true
    }

    /// When to call [`Monitor::restart`].
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Starts another one, if it is time.
    pub fn restart(&mut self) {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        self.due = None;
        let again = self.pid != 0;
        self.started = Instant::now();
        let master = std::process::id();
        match process::fork_alone() {
            Ok(Fork::Parent(pid)) => {
                self.pid = pid;
                if again {
                    crate::log!(
                        "[uwring] the monitor had ended: another one goes on (pid: {pid}) {}",
                        errors::MONITOR
                    );
                }
            }
            Ok(Fork::Child) => {
                crate::sys::title::set("uwring monitor");
                titles::set(&self.source.settings.process, "monitor");
                if let Err(cause) = crate::logging::relay::ports::attach(0) {
                    crate::log!("[uwring] no way of its own to the log: {cause} {}", errors::LOG_PROCESS);
                }
                if let Err(error) = startup::give_up(&self.source.settings.process) {
                    crate::log!("{error}");
                    process::exit_now(1);
                }
                let doors = std::mem::take(&mut self.doors);
                let pushers = self.source.pushers();
                process::exit_now(monitor::run(doors, self.source.desk(master), pushers, master))
            }
            Err(cause) => {
                crate::log!("[uwring] cannot start the monitor: {cause} {}", errors::MONITOR);
                self.due = Some(self.started + RESTART_AFTER);
            }
        }
    }

    /// What the next program needs.
    pub fn hand_over(&self) -> Left {
        let door = |door: &Door| DoorLeft {
            role: door.role,
            name: door.name.clone(),
            file: door.file.clone(),
            tcp: matches!(door.listener, DoorListener::Tcp(_)),
            fd: Handed::of(&door.listener),
        };
        Left { pid: self.pid, doors: self.doors.iter().map(door).collect() }
    }
}

impl Left {
    /// Its descriptors, to be kept open.
    pub fn descriptors(&self) -> impl Iterator<Item = Handed> {
        self.doors.iter().map(|door| door.fd)
    }
}

impl Source {
    /// With how often each goes out.
    fn pushers(&self) -> Vec<Pusher> {
        let monitor = &self.settings.monitor;
        let usual = monitor.push_seconds.map_or(PUSH_SECONDS, u64::from);
        let each = |pusher: &Pusher| Pusher {
            seconds: if pusher.seconds == 0 { usual } else { pusher.seconds },
            ..pusher.clone()
        };
        monitor.pushers.iter().map(each).collect()
    }

    /// What there is to look at.
    pub fn view(&self, master_pid: u32) -> View {
        let process = &self.settings.process;
        let folder = std::env::current_dir().unwrap_or_default();
        let (uid, gid) = identity::numbers();
        View {
            area: Arc::clone(&self.area),
            listeners: self.listeners.clone(),
            master_pid,
            uid,
            gid,
            folder: folder.to_string_lossy().into_owned(),
            threads: process.threads,
            locks: process.locks + 1,
            variables: crate::stats::vars::Variables::new(&host::node(), &self.listeners),
            declared: self.settings.monitor.declared.clone(),
        }
    }

    /// What applications count. That it cannot be mapped is no reason not to tell the rest.
    fn ledgers(&self) -> Option<SharedMap> {
        let mapped = self.area.ledgers();
        mapped.unwrap_or_else(|cause| {
            crate::log!("[uwring] applications' own metrics are not shown: cannot map them: {cause}");
            None
        })
    }

    fn desk(&self, master_pid: u32) -> Desk {
        let monitor = &self.settings.monitor;
        let metrics_on = monitor.has_figures();
        Desk {
            view: self.view(master_pid),
            style: Style {
                minified: monitor.stats_minified,
                no_cores: monitor.stats_no_cores,
                metrics: metrics_on && !monitor.stats_no_metrics,
                metrics_of_cores: !monitor.metrics_no_cores,
                metrics_lock: metrics_on,
            },
            figures_of_cores: !monitor.metrics_no_cores,
            metrics_path: monitor.metrics_path.clone().unwrap_or_else(|| "/metrics".to_owned()),
            has_page: !monitor.metrics_no_status,
            ledgers: self.ledgers(),
            patience_ms: monitor.health_timeout.saturating_mul(1000),
        }
    }
}
