//! The log process as its master sees it: started before anything else is, told what to do, replaced if it dies.
//! The master keeps a copy of every pipe's reading end, so that what is in the pipes outlives a log process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::base::errors;
use crate::logging::relay::process::Setup;
use crate::logging::relay::{Label, Order, ports};
use crate::sys::exec::{self, Handed};
use crate::sys::process::{self, Fork};
use crate::sys::{event, packets, pipes};

/// How long the end of the server waits for its last lines to be written.
const LAST_WAIT: Duration = Duration::from_secs(6);
/// A log process that ends sooner is not started again at once.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// See the module's page.
#[derive(Debug)]
pub struct Logs {
    /// How to make another; a program that took over does not know.
    setup: Option<Setup>,
    pid: u32,
    started: Instant,
    control: OwnedFd,
    /// Where pipes are announced: our end, and the number of that which every process has for all its life.
    near: OwnedFd,
    far: RawFd,
    /// When to start another one.
    due: Option<Instant>,
    kept: Vec<(Label, OwnedFd)>,
    /// `log-reopen`.
    reopen: bool,
}

/// What the next program of this process needs of it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Left {
    pid: u32,
    control: Handed,
    near: Handed,
    far: RawFd,
    lines: RawFd,
    original: Option<Handed>,
    kept: Vec<(Label, Handed)>,
    reopen: bool,
}

impl Logs {
    /// Starts it, and sends this process's own output there, the lines held back until now first.
    pub fn start(setup: Setup, reopen: bool) -> io::Result<Logs> {
        let (near, far) = packets::pair()?;
        let (pid, control, setup) = fork(setup, false)?;
        let started = Instant::now();
        let far = pipes::leak(far);
        ports::open(far);
        let (setup, kept) = (Some(setup), Vec::new());
        let mut logs = Logs { setup, pid, started, control, near, far, due: None, kept, reopen };
        // Nobody else reads the announcements yet, and they are few.
        ports::attach(0)?;
        logs.take_pipes();
        crate::logging::release();
        Ok(logs)
    }

    /// What to wait on.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }

    /// Takes the pipes that were announced, keeps them and passes them on.
    pub fn take_pipes(&mut self) {
        let mut message = [0; 16];
        while let pipes::Taken::Message(len, Some(pipe)) = pipes::take_with(&self.near, &mut message) {
            if let Some(label) = Label::decode(&message[..len]) {
                self.pass_on(label, &pipe);
                self.kept.push((label, pipe));
            }
        }
    }

    fn pass_on(&self, label: Label, pipe: &OwnedFd) {
        // Its socket is full only if it hangs; then it will be replaced, and gets all of them.
        if pipes::send_with(self.control.as_raw_fd(), &label.encode(), pipe, false).is_err() {
            let _ = crate::sys::signals::send_to_number(self.pid, crate::sys::signals::Signal::SIGKILL);
        }
    }

    /// Process `pid` has ended. Whether it was the log process, which then is another one.
    pub fn ended(&mut self, pid: u32) -> bool {
        self.kept.retain(|(label, _)| label.pid != pid);
        if pid != self.pid {
            return false;
        }
        // Once a second at most; the next finds what was written meanwhile.
        self.due = self.setup.is_some().then(|| self.started + RESTART_AFTER);
        self.restart();
        true
    }

    /// When to call [`Logs::restart`].
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Starts another log process, if it is time.
    pub fn restart(&mut self) {
        if self.due.is_none_or(|due| due > Instant::now()) {
            return;
        }
        self.due = None;
        let Some(setup) = self.setup.take() else { return };
        self.started = Instant::now();
        match fork(setup, true) {
            Ok((pid, control, setup)) => {
                (self.pid, self.control, self.setup) = (pid, control, Some(setup));
                self.kept.iter().for_each(|(label, pipe)| self.pass_on(*label, pipe));
                crate::log!(
                    "[uwring] the log process had ended: another one goes on (pid: {pid}) {}",
                    errors::LOG_PROCESS
                );
            }
            Err(cause) => {
                crate::log!("[uwring] cannot start the log process again: {cause} {}", errors::LOG_PROCESS)
            }
        }
    }

    /// Tells it to do something.
    pub fn order(&self, order: Order) {
        // Where it is gone, its end is news that comes by itself.
        let _ = packets::put(&self.control, &order.encode());
    }

    /// A reload begins.
    pub fn reload(&self) {
        if self.reopen {
            self.order(Order::Reopen);
        }
    }

    /// Waits until all that was said is written, but not for ever.
    pub fn sync(&self) {
        self.order(Order::Sync);
        let until = Instant::now() + LAST_WAIT;
        let mut answer = [0; 16];
        loop {
            match packets::take(&self.control, &mut answer) {
                packets::Taken::Nothing => {}
                packets::Taken::Message(_) | packets::Taken::End => return,
            }
            let left = until.saturating_duration_since(Instant::now()).as_millis();
            let waited = event::readable(&[self.control.as_fd()], u64::try_from(left).ok());
            if left == 0 || waited.is_err() {
                return;
            }
        }
    }

    /// What the next program needs.
    pub fn hand_over(&self) -> Left {
        Left {
            pid: self.pid,
            control: Handed::of(&self.control),
            near: Handed::of(&self.near),
            far: self.far,
            original: self.setup.as_ref().map(|setup| Handed::of(setup.original())),
            kept: self.kept.iter().map(|(label, pipe)| (*label, Handed::of(pipe))).collect(),
            lines: ports::lines_fd(),
            reopen: self.reopen,
        }
    }

    /// Goes on where the program before has left. `setup` would make another log process.
    pub fn take_over(left: Left, setup: Option<Setup>) -> io::Result<Logs> {
        let Left { pid, control, near, far, kept, lines, reopen, .. } = left;
        ports::open(pipes::leak(exec::take_number(far)?));
        ports::resume(pipes::leak(exec::take_number(lines)?));
        let kept = kept.into_iter().map(|(label, pipe)| Ok((label, pipe.take()?)));
        let kept = kept.collect::<io::Result<_>>()?;
        let started = Instant::now();
        Ok(Logs {
            setup,
            pid,
            started,
            control: control.take()?,
            near: near.take()?,
            far,
            due: None,
            kept,
            reopen,
        })
    }
}

impl Left {
    /// Its descriptors, to be kept open.
    pub fn descriptors(&self) -> impl Iterator<Item = Handed> {
        let kept = self.kept.iter().map(|(_, pipe)| *pipe);
        let numbers = [self.far, self.lines].map(Handed::number);
        kept.chain([self.control, self.near]).chain(self.original).chain(numbers)
    }

    /// Where the log went without a log process.
    pub fn original(&self) -> Option<io::Result<File>> {
        self.original.map(|original| original.take().map(File::from))
    }
}

/// Forks a log process: its pid, the way to it, and the setup for the next.
fn fork(setup: Setup, again: bool) -> io::Result<(u32, OwnedFd, Setup)> {
    let (ours, theirs) = packets::pair()?;
    match process::fork_alone()? {
        Fork::Parent(pid) => Ok((pid, ours, setup)),
        Fork::Child => {
            crate::sys::title::set("uwring logger");
            process::exit_now(setup.run(theirs, again))
        }
    }
}
