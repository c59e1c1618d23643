//! The table of functions that a request plugin offers, made safe to call.
#![allow(unsafe_code)]

use std::ffi::c_void;

use uwring_abi::{HostApi, PluginApi, Slice};

use super::python::StartConfig;
use crate::options::settings::Settings;

/// A request plugin. It lives as long as the process.
///
/// Its functions have an order, which the callers keep: `start`, `load`, then in each worker `worker_start`,
/// `serve`, `worker_stop`; all but `serve` of other threads on the main thread.
#[derive(Clone, Copy)]
pub struct Plugin {
    api: &'static PluginApi,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("abi", &self.api.abi).finish()
    }
}

impl Plugin {
    /// The plugin whose table this is.
    pub fn of(api: &'static PluginApi) -> Plugin {
        Plugin { api }
    }

    /// Prepares the interpreter; the plugin has logged what went wrong when it cannot.
    pub fn start(&self, host: &HostApi, settings: &Settings) -> Result<(), Refused> {
        let config = StartConfig::new(settings);
        let lent = config.lend();
        // SAFETY: both are lent for the call, as the boundary says.
        let code = unsafe { (self.api.start)(host, lent.as_abi()) };
        if code == 0 { Ok(()) } else { Err(Refused) }
    }

    /// Imports the applications: how many, or negative where one that was asked for failed.
    pub fn load(&self) -> i32 {
        // SAFETY: no arguments; the caller keeps the order of calls.
        unsafe { (self.api.load)() }
    }

    /// Before a fork of the template, on its main thread.
    pub fn before_fork(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.before_fork)() }
    }

    /// After it, in the parent.
    pub fn after_fork_parent(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.after_fork_parent)() }
    }

    /// After it, in the child.
    pub fn after_fork_child(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.after_fork_child)() }
    }

    /// In a worker, before it serves. The plugin keeps a copy of `host`.
    pub fn worker_start(&self, host: &HostApi) -> Result<(), Refused> {
        // SAFETY: lent for the call; what `ctx` points to lives as long as the worker (see `HostApi`).
        let code = unsafe { (self.api.worker_start)(host) };
        if code == 0 { Ok(()) } else { Err(Refused) }
    }

    /// Serves requests as interpreter thread `thread` until the host's `wait` says that it is over.
    pub fn serve(&self, thread: u32) {
        // SAFETY: as `load`; each thread number is served by one thread.
        unsafe { (self.api.serve)(thread) }
    }

    /// The Python stacks of all threads (`None`) or of one interpreter thread. Waits for the interpreter lock: not for
    /// a thread that serves anybody.
    pub fn stacks(&self, thread: Option<u32>) -> String {
        let mut text = String::new();
        let into = std::ptr::from_mut(&mut text).cast();
        // SAFETY: `keep` is called within this call only, with `text` that is borrowed nowhere else meanwhile.
        unsafe { (self.api.stacks)(thread.unwrap_or(uwring_abi::ALL_THREADS), keep, into) };
        text
    }

    /// Raises an exception in an interpreter thread that works on request `serial` still; `false` where it does not.
    /// Waits as `stacks` does.
    pub fn interrupt(&self, thread: u32, serial: u64) -> bool {
        // SAFETY: numbers only.
        unsafe { (self.api.interrupt)(thread, serial) != 0 }
    }

    /// After the last `serve`, on the main thread.
    pub fn worker_stop(&self) {
        // SAFETY: as `load`.
        unsafe { (self.api.worker_stop)() }
    }
}

/// Takes the text of [`Plugin::stacks`].
unsafe extern "C" fn keep(into: *mut c_void, text: Slice) {
    // SAFETY: `stacks` passes its own `String`.
    let into = unsafe { &mut *into.cast::<String>() };
    // SAFETY: lent for the call.
    into.push_str(&String::from_utf8_lossy(unsafe { text.as_bytes() }));
}

/// The plugin could not do it, and has logged why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Python plugin refused")]
pub struct Refused;
