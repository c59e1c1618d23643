//! Where the application finds itself: the environment, the root of the file system, the folder.

use crate::log;
use crate::options::settings::Process;
use crate::sys::{Error as SysError, identity, process};

/// The environment and the folder that the application finds. A later generation comes by here again.
pub fn enter(settings: &Process) -> Result<(), SysError> {
    set_variables(settings)?;
    go_to_folder(settings)
}

fn set_variables(settings: &Process) -> Result<(), SysError> {
    for (name, value) in &settings.env {
        process::set_env(name, value.as_deref())
            .map_err(|cause| SysError::call("set variable", name, cause))?;
    }
    Ok(())
}

fn go_to_folder(settings: &Process) -> Result<(), SysError> {
    if let Some(dir) = &settings.chdir {
        log!("chdir() to {}", dir.display());
        std::env::set_current_dir(dir)
            .map_err(|cause| SysError::call("chdir to", dir.display().to_string(), cause))?;
    }
    Ok(())
}

/// What can be done before the root changes, if it does.
pub fn before_root(settings: &Process) -> Result<(), SysError> {
    if settings.chroot.is_some() { set_variables(settings) } else { enter(settings) }
}

/// `chroot`. The folder is one in there.
pub fn change_root(settings: &Process) -> Result<(), SysError> {
    let Some(root) = &settings.chroot else { return Ok(()) };
    log!("chroot() to {}", root.display());
    identity::change_root(root)?;
    go_to_folder(settings)
}
