//! Templates and workers as those who are sent signals, without a chance to hit a newcomer with the same number.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::base::errors;
use crate::sys::signals::{self, Signal};
use crate::sys::{event, process};

/// A descriptor for each process that has one.
#[derive(Debug, Default)]
pub struct Processes(HashMap<u32, OwnedFd>);

impl Processes {
    /// A process that has begun.
    pub fn remember(&mut self, pid: u32) {
        // Templates are buried by nobody; their descriptors go when the next process comes.
        self.0.retain(|_, pidfd| {
            event::readable(&[pidfd.as_fd()], Some(0)).is_ok_and(|ended| ended == [false])
        });
        // Without a descriptor (a kernel or a sandbox that gives none) the number has to do.
        if let Ok(pidfd) = process::pidfd(pid) {
            self.0.insert(pid, pidfd);
        }
    }

    /// One that was buried.
    pub fn forget(&mut self, pid: u32) {
        self.0.remove(&pid);
    }

    /// SIGKILL. What fails is logged.
    pub fn kill(&self, pid: u32) {
        self.send(pid, Signal::SIGKILL);
    }

    /// Sends `signal`. What fails is logged.
    pub fn send(&self, pid: u32, signal: Signal) {
        let sent = match self.0.get(&pid) {
            Some(pidfd) => signals::send(pidfd, signal),
            None => signals::send_to_number(pid, signal),
        };
        // Who is gone already needs no signal.
        if let Err(cause) = sent
            && cause.kind() != io::ErrorKind::NotFound
            && cause.raw_os_error() != Some(crate::sys::errno::ESRCH)
        {
            crate::log!("[uwring] master: cannot send {signal} to process {pid}: {cause} {}", errors::MASTER);
        }
    }
}
