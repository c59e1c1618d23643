//! The socket of a vassal that is started by its first connection (`emperor-on-demand-…`).

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::monitor::Found;
use crate::options::emperor::{Emperor, OnDemand};
use crate::sys::socket::bind::{self, Manner};
use crate::sys::socket::{Address, Kind};
use crate::sys::{Error, files, net, shell};

/// As uWSGI's Emperor makes them.
const OPEN: u32 = 0o666;

/// A socket that listens for a vassal, whether that runs or not.
#[derive(Debug)]
pub struct Gate {
    fd: OwnedFd,
    /// As it was bound.
    name: String,
    /// What to remove at the end.
    file: Option<PathBuf>,
}

impl Gate {
    /// For this vassal; `None`: it is started at once.
    pub fn open(found: &Found, policy: &Emperor) -> Result<Option<Gate>, Error> {
        let Some(rule) = &policy.on_demand else { return Ok(None) };
        let Some(address) = address(rule, found)? else { return Ok(None) };
        let backlog = bind::backlog_max();
        let made = bind::bind(&Address::parse(&address)?, Manner { backlog, ..Manner::default() })?;
        let file = match made.kind {
            Kind::Unix(file) => file,
            Kind::Tcp => None,
        };
        if let Some(file) = &file {
            give_away(file, found, policy).map_err(|cause| Error::call("give away", &made.name, cause))?;
        }
        Ok(Some(Gate { fd: made.fd, name: made.name, file }))
    }

    /// For the log.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What to wait on.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether somebody is there.
    pub fn knocks(&self) -> bool {
        net::is_readable(self.fd.as_raw_fd())
    }

    /// The vassal's standard input.
    pub fn hand_over(&self) -> std::io::Result<Stdio> {
        self.fd.try_clone().map(Stdio::from)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Gone is gone, whoever did it.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// Everyone may connect, unless the Emperor's `chmod-socket` says otherwise.
fn give_away(file: &Path, found: &Found, policy: &Emperor) -> std::io::Result<()> {
    files::chmod(file, policy.socket_mode.unwrap_or(OPEN))?;
    if policy.tyrant {
        let (user, group) = found.stamp.owner;
        files::chown(file, Some(user.into()), Some(group.into()))?;
    }
    Ok(())
}

/// Where the vassal listens, if it is one of these.
fn address(rule: &OnDemand, found: &Found) -> Result<Option<String>, Error> {
    let failed = |what: &'static str, on: &str| {
        let on = on.to_owned();
        move |cause: std::io::Error| Error::call(what, on, cause)
    };
    let first = |text: &str| {
        let line = text.lines().next().unwrap_or_default().trim().to_owned();
        (!line.is_empty()).then_some(line)
    };
    match rule {
        OnDemand::Extension(suffix) => {
            let name = format!("{}{suffix}", found.name);
            let path =
                found.folder.as_ref().map_or_else(|| PathBuf::from(&name), |folder| folder.join(&name));
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok(first(&text)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(failed("read", &name)(error)),
            }
        }
        OnDemand::Folder(folder) => {
            let name = Path::new(&found.name).file_name().unwrap_or_default().to_string_lossy();
            Ok(Some(folder.join(format!("{name}.socket")).display().to_string()))
        }
        OnDemand::Command(command) => {
            let output = Command::new(shell::program())
                .arg("-c")
                .arg(format!("{command} \"$0\""))
                .arg(&found.name)
                .stdin(Stdio::null())
                .stderr(Stdio::inherit())
                .output()
                .map_err(failed("run", command))?;
            Ok(first(&String::from_utf8_lossy(&output.stdout)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emperor::vassal::Stamp;

    #[test]
    fn each_rule_has_its_address() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.ini.socket"), "127.0.0.1:0\n").expect("written");
        let found = |name: &str| Found {
            name: name.to_owned(),
            folder: Some(folder.path().to_owned()),
            stamp: Stamp::default(),
        };
        let of = |rule: OnDemand, name: &str| address(&rule, &found(name)).expect("told");
        let extension = || OnDemand::Extension(".socket".to_owned());
        assert_eq!(of(extension(), "a.ini").as_deref(), Some("127.0.0.1:0"));
        assert_eq!(of(extension(), "b.ini"), None);
        assert_eq!(of(OnDemand::Folder("/run/x".into()), "a.ini").as_deref(), Some("/run/x/a.ini.socket"));
        assert_eq!(of(OnDemand::Command("echo @for".to_owned()), "a.ini").as_deref(), Some("@for a.ini"));
        assert_eq!(of(OnDemand::Command("true".to_owned()), "a.ini"), None);
        let policy = Emperor { on_demand: Some(extension()), ..Emperor::default() };
        let gate = Gate::open(&found("a.ini"), &policy).expect("bound").expect("on demand");
        assert!(!gate.knocks());
        let _client = std::net::TcpStream::connect(gate.name()).expect("it listens");
        while !gate.knocks() {
            std::thread::yield_now();
        }
    }
}
