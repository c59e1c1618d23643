//! Whose rights the server has: users and groups, given up for good.
//!
//! Usually once, by the master, before there is any other process. With `master-as-root` and `drop-after-apps` the master
//! keeps its rights; the monitor gives them up when it starts, a template when it has loaded the application.

use super::Error;
use crate::base::errors;
use crate::control::monitor::Door;
use crate::log;
use crate::options::settings::{Process, Settings};
use crate::sys::identity::{self, Identity};
use crate::sys::socket::{Kind, Listener};
use crate::sys::{Error as SysError, files, limits};

use super::lines;

/// Who the configuration wants to be.
pub fn wanted(settings: &Process) -> Result<Identity, Error> {
    let user = settings.uid.as_deref().map(identity::user).transpose()?;
    let group = settings.gid.as_deref().map(identity::group).transpose()?;
    let more_groups = settings.add_gid.iter().map(|text| identity::group(text)).collect::<Result<_, _>>()?;
    // A user without a group would keep root's.
    let group = group.or_else(|| user.as_ref().and_then(|user| user.gid));
    Ok(Identity { user, group, more_groups, no_initgroups: settings.no_initgroups })
}

/// Unix sockets were made by root, and belong to whom we become, or to whom `chown-socket` says.
pub fn give_away(
    settings: &Settings,
    identity: &Identity,
    listeners: &[Listener],
    doors: &[Door],
) -> Result<(), SysError> {
    let (uid, gid) = match &settings.sockets.chown {
        Some(owner) => identity::owner(owner)?,
        None if identity::is_root() => (identity.user.as_ref().map(|user| user.uid), identity.group),
        None => return Ok(()),
    };
    if uid.is_none() && gid.is_none() {
        return Ok(());
    }
    let of_requests = listeners.iter().filter_map(|listener| match &listener.kind {
        Kind::Unix(path) => path.as_ref(),
        Kind::Tcp => None,
    });
    for path in of_requests.chain(doors.iter().filter_map(|door| door.file.as_ref())) {
        files::chown(path, uid, gid)
            .map_err(|cause| SysError::call("chown", path.display().to_string(), cause))?;
    }
    Ok(())
}

/// `master-as-root`: a process becomes the user that the configuration names, for good. Else it is that already.
pub fn give_up(process: &Process) -> Result<(), Error> {
    if !process.master_as_root {
        return Ok(());
    }
    drop_privileges(&wanted(process)?, &process.capabilities)
}

/// Only looks whether it could become this: root can, and asking for what we are is fine.
pub fn keep(identity: &Identity) -> Result<(), Error> {
    match identity.differs() {
        Some(kind) if !identity::is_root() => Err(Error::NotRoot { kind }),
        _ => Ok(()),
    }
}

/// Becomes this, for good, but for the capabilities.
pub fn drop_privileges(identity: &Identity, capabilities: &[String]) -> Result<(), Error> {
    keep(identity)?;
    if !identity::is_root() {
        return Ok(());
    }
    if let Some(gid) = identity.group {
        log!("setgid() to {gid}");
    }
    if let Some(user) = &identity.user {
        log!("setuid() to {}", user.uid);
    }
    let kept = limits::capabilities(capabilities)
        .map_err(|cause| SysError::call("understand", format!("cap = {}", capabilities.join(",")), cause))?;
    let keeping = |cause| SysError::call("keep capabilities", capabilities.join(","), cause);
    if let Some(kept) = &kept {
        kept.hold().map_err(keeping)?;
    }
    identity.assume()?;
    if let Some(kept) = &kept {
        kept.raise().map_err(keeping)?;
        log!("capabilities kept: {}", capabilities.join(","));
    }
    if identity::is_root() {
        log!("{} {}", lines::ROOT_WARNING, errors::ROOT);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_brings_the_group_along() {
        let settings = Process { uid: Some("root".to_owned()), ..Process::default() };
        let identity = wanted(&settings).expect("known");
        assert_eq!(identity.group.map(|gid| gid.as_raw()), Some(0));
        let settings = Process { uid: Some("nobody-at-all".to_owned()), ..Process::default() };
        assert!(wanted(&settings).is_err());
    }
}
