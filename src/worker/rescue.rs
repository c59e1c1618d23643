//! A thread that may wait for the interpreter lock, so that the ring thread never does: it tells the stacks of threads and
//! raises exceptions in them. Started when it is first needed; a lock that is never released keeps it for ever, and
//! nobody else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::Plan;
use super::serve::Desk;
use crate::base::clock;
use crate::plugin::Plugin;
use crate::sys::packets;

/// Of stacks for the master, bytes: one message, which a socket has to hold.
pub const STACKS_BYTES_MAX: usize = 120 * 1024;
/// Tasks waiting at most: more than that is nobody's wish but a lock that does not come.
const WAITING_MAX: usize = 64;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Tell the stack of an interpreter thread, and raise an exception in it if it works on this request still.
    Interrupt { core: u32, serial: u64 },
    /// Raise it again.
    Again { core: u32, serial: u64 },
    /// Write the stacks of all threads to the log.
    Dump,
    /// Send them to the master.
    Send,
}

/// What came of [`Task::Interrupt`].
#[derive(Debug)]
pub struct Found {
    pub core: u32,
    pub serial: u64,
    /// The stack, as Python writes it.
    pub stack: String,
}

/// The ring thread's end.
pub struct Rescue {
    desk: &'static Desk,
    tasks: Option<Sender<Task>>,
    waiting: Arc<AtomicUsize>,
    found: Arc<Mutex<Vec<Found>>>,
}

impl Rescue {
    /// Nothing is started yet.
    pub fn new(desk: &'static Desk) -> Rescue {
        Rescue { desk, tasks: None, waiting: Arc::default(), found: Arc::default() }
    }

    /// Has it done, some time.
    pub fn ask(&mut self, task: Task) {
        if self.tasks.is_none() {
            self.tasks =
                self.start().inspect_err(|e| crate::log!("[uwring] cannot start a thread: {e}")).ok();
        }
        if self.waiting.load(Ordering::Relaxed) < WAITING_MAX
            && let Some(tasks) = &self.tasks
        {
            self.waiting.fetch_add(1, Ordering::Relaxed);
            // It never ends, so somebody listens.
            let _ = tasks.send(task);
        }
    }

    /// What was found out since the last time.
    pub fn found(&self) -> Vec<Found> {
        std::mem::take(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn start(&self) -> std::io::Result<Sender<Task>> {
        let (sender, receiver) = channel();
        let desk = self.desk;
        let (waiting, found) = (Arc::clone(&self.waiting), Arc::clone(&self.found));
        let body = move || {
            crate::sys::signals::block_all();
            work(desk, &receiver, &waiting, &found);
        };
        thread::Builder::new().name("uwring-rescue".into()).spawn(body)?;
        Ok(sender)
    }
}

fn work(desk: &'static Desk, tasks: &Receiver<Task>, waiting: &AtomicUsize, found: &Mutex<Vec<Found>>) {
    let plan = &desk.plan;
    while let Ok(task) = tasks.recv() {
        match task {
            Task::Interrupt { core, serial } => {
                let stack = plan.plugin.stacks(Some(core));
                // The stack is of this request only if it is not over by now.
                let stack = if plan.plugin.interrupt(core, serial) { stack } else { String::new() };
                let news = Found { core, serial, stack };
                found.lock().unwrap_or_else(PoisonError::into_inner).push(news);
                desk.handoff.nudge();
            }
            Task::Again { core, serial } => _ = plan.plugin.interrupt(core, serial),
            Task::Dump => crate::logging::line(&dump(&plan.plugin, plan.id)),
            Task::Send => send(plan),
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What each thread works on.
pub fn status(plan: &Plan) -> String {
    let mut text = format!("*** worker {} (pid: {}) status ***", plan.id, std::process::id());
    for (core, line) in plan.area.cores_of(plan.slot) {
        if let Some(busy) = line.busy() {
            let ms = clock::now().since(busy.since) / 1000;
            text.push_str(&format!("\n[core {core}] managing request {} since {ms} ms", line.text()));
        }
    }
    text
}

/// One message, behind this process's number: the master knows by that whose it is.
fn send(plan: &Plan) {
    let mut text = format!("{}\n{}", status(plan), plan.plugin.stacks(None));
    if text.len() > STACKS_BYTES_MAX {
        let end = (0..=STACKS_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push_str("\n… (cut off; SIGUSR2 writes all of it to the log)");
    }
    let message = [&std::process::id().to_le_bytes(), text.as_bytes()].concat();
    if let Err(cause) = packets::put_waiting(&plan.stacks, &message) {
        crate::log!("[uwring] cannot send stacks to the master: {cause}");
    }
}

/// The stacks of all threads, with a headline as uWSGI's tracebacker has it.
pub fn dump(plugin: &Plugin, worker: u32) -> String {
    let stacks = plugin.stacks(None);
    format!(
        "*** uWSGI Python tracebacker output *** (worker {worker}, pid {})\n\n{stacks}\n",
        std::process::id()
    )
}
