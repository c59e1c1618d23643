//! Requests that the application works on for too long (`harakiri`, `uwsgi.set_user_harakiri`).
//!
//! ```text
//!  deadline ── 504 to the client, its thread is interrupted, the log gets its stack
//!      │ each second: interrupted again          │ it ends: the worker goes on as before
//!      ▼ grace (`harakiri-graceful-timeout`)
//!  lost ── the worker asks for a successor; its other threads serve on until that one serves
//! ```
//! The interpreter threads write what they work on into the shared area; here it is only looked at, at the time when
//! the first of them could be late. Nothing here waits for Python.

use super::connection::{Reading, Writing};
use super::rescue::{Rescue, Task};
use super::ring_thread::Ring;
use super::serve::Desk;
use crate::base::clock::{self, Micros, Millis};
use crate::base::errors;
use crate::engine::{Reactor, Token};
use crate::options::settings::Harakiri;
use crate::proto::Error;
use crate::shared::area::{Tired, bump};
use crate::sys::process;
use crate::sys::socket::queue::Queues;

/// So long the log waits for the stack, milliseconds: then the interpreter lock is not to be had.
const STACK_MS: u64 = 500;
/// With `harakiri-queue-threshold`, those who wait are counted again after, milliseconds.
const QUEUE_MS: u64 = 250;
/// An exception that was swallowed is raised again so often, milliseconds.
const AGAIN_MS: u64 = 1_000;

/// What the ring thread knows of requests that are late.
pub struct Watch {
    rules: Harakiri,
    /// With `harakiri-queue-threshold`: the listening sockets'.
    queues: Option<Queues>,
    /// When to look at the threads again.
    look_at: Option<Millis>,
    late: Vec<Late>,
    /// Late requests that were answered here, with the status, until their threads bring them.
    answered: Vec<(u32, u64, u16)>,
    rescue: Rescue,
    /// The interpreter lock is not to be had: no thread gets on.
    locked: bool,
}

/// A late request.
#[derive(Debug)]
struct Late {
    core: u32,
    serial: u64,
    since: Micros,
    /// What became of its client.
    client: &'static str,
    stack: Option<String>,
    told: bool,
    tell_at: Millis,
    again_at: Millis,
    lost_at: Millis,
    /// Its thread is given up.
    lost: bool,
}

impl Watch {
    /// Over the threads of a worker.
    pub fn new(rules: Harakiri, desk: &'static Desk) -> Watch {
        let (late, answered) = (Vec::new(), Vec::new());
        let queues = (rules.queue_threshold > 0).then(Queues::new);
        Watch { rules, queues, look_at: None, late, answered, rescue: Rescue::new(desk), locked: false }
    }

    /// Milliseconds until something is due.
    pub fn look_in(&self, now: Millis) -> Option<u64> {
        self.look_at.map(|at| at.since(now))
    }

    /// A request is with the interpreter: it may be late some time.
    pub fn expect(&mut self, now: Millis) {
        if self.look_at.is_none() && self.rules.seconds > 0 {
            self.look_at = Some(now.after(self.rules.seconds.saturating_mul(1000)));
        }
    }

    /// The status that a finished request was answered with meanwhile.
    pub fn verdict(&mut self, core: u32, serial: u64) -> Option<u16> {
        let at = self.answered.iter().position(|(c, s, _)| (*c, *s) == (core, serial))?;
        Some(self.answered.swap_remove(at).2)
    }

    /// Threads that are given up.
    fn lost(&self) -> usize {
        self.late.iter().filter(|late| late.lost).count()
    }

    fn next_look(&self) -> Option<Millis> {
        let due = |late: &Late| {
            let told = (!late.told).then_some(late.tell_at);
            let rest = (!late.lost).then(|| late.again_at.min(late.lost_at));
            told.into_iter().chain(rest).min()
        };
        self.late.iter().filter_map(due).min()
    }
}

impl<R: Reactor> Ring<R> {
    /// Looks at the threads, when it is time to.
    pub(super) fn watch_threads(&mut self) {
        let now = self.now.millis();
        let nudged = self.desk.handoff.take_nudge();
        if self.in_flight > 0 {
            self.watch.expect(now);
        }
        if !nudged && self.watch.look_at.is_none_or(|at| at > now) {
            return;
        }
        // Which connection a request came by may be told only there (`lone`).
        self.read_replies();
        self.forget_returned();
        let next = self.find_late();
        self.see_to_late();
        let again = self.watch.next_look();
        self.watch.look_at = next.into_iter().chain(again).min();
    }

    /// Threads that have got on since.
    fn forget_returned(&mut self) {
        for found in self.watch.rescue.found() {
            self.watch.locked = false;
            let same = |late: &&mut Late| (late.core, late.serial) == (found.core, found.serial);
            if let Some(late) = self.watch.late.iter_mut().find(same) {
                late.stack = Some(found.stack);
            }
        }
        let now = self.now;
        let (area, slot) = (&self.plan.area, self.plan.slot);
        let serves = |late: &Late| {
            let core = area.core(slot, late.core);
            core.and_then(|core| core.busy()).is_some_and(|busy| busy.serial == late.serial)
        };
        let (late, returned) = std::mem::take(&mut self.watch.late).into_iter().partition(serves);
        self.watch.late = late;
        for mut late in returned {
            if !late.told {
                self.tell(&mut late);
            }
            if late.lost {
                let ms = now.since(late.since) / 1000;
                crate::log!(
                    "HARAKIRI: core {} of worker {} came back after {ms} ms",
                    late.core,
                    self.plan.id
                );
            }
        }
    }

    /// Begins with requests that are late now. When the next one may be.
    fn find_late(&mut self) -> Option<Millis> {
        let now = self.now.millis();
        let mut next = None;
        let usual_ms = self.watch.rules.seconds.saturating_mul(1000);
        if self.in_flight > 0 && usual_ms > 0 {
            next = Some(now.after(usual_ms));
        }
        let plan = std::sync::Arc::clone(&self.plan);
        for (core, line) in plan.area.cores_of(plan.slot) {
            let Some(busy) = line.busy() else { continue };
            let Some(deadline) = busy.deadline else { continue };
            if self.watch.late.iter().any(|late| (late.core, late.serial) == (core, busy.serial)) {
                continue;
            }
            if deadline > now {
                next = next.into_iter().chain([deadline]).min();
                continue;
            }
            if self.few_wait() {
                next = next.into_iter().chain([now.after(QUEUE_MS)]).min();
                continue;
            }
            let text = line.bytes();
            let client = self.take_client_away(core, busy.serial, Token(busy.token), 504);
            let answered = self.watch.answered.iter().any(|(c, s, _)| (*c, *s) == (core, busy.serial));
            self.record_late(core, &busy, &text, if answered { 504 } else { 0 });
            self.watch.rescue.ask(Task::Interrupt { core, serial: busy.serial });
            self.watch.late.push(Late {
                core,
                serial: busy.serial,
                since: busy.since,
                client,
                stack: None,
                told: false,
                tell_at: now.after(STACK_MS),
                again_at: now.after(AGAIN_MS),
                lost_at: now.after(self.watch.rules.grace_seconds.saturating_mul(1000)),
                lost: false,
            });
            bump(&plan.slot().harakiris, 1);
            if let Some(signal) = self.watch.rules.signal
                && let Err(error) = process::signal_self(signal)
            {
                crate::log!("harakiri-graceful-signal = {signal}: {error}");
            }
        }
        next
    }

    /// Whether fewer wait than `harakiri-queue-threshold` says: late requests hold up nobody.
    fn few_wait(&self) -> bool {
        let Some(queues) = &self.watch.queues else { return false };
        let here = self.backlog.len() + self.desk.handoff.waiting();
        let outside: u32 = self.doors.all().map(|door| queues.waiting(&door.listener)).sum();
        here + (outside as usize) < self.watch.rules.queue_threshold as usize
    }

    fn see_to_late(&mut self) {
        let now = self.now.millis();
        let mut all = std::mem::take(&mut self.watch.late);
        let mut newly_lost = Vec::new();
        for late in &mut all {
            let (core, serial) = (late.core, late.serial);
            if !late.told && (late.stack.is_some() || late.tell_at <= now) {
                self.watch.locked |= late.stack.is_none();
                self.tell(late);
            }
            if !late.lost && late.lost_at <= now {
                late.lost = true;
                newly_lost.push(core);
            }
            if !late.lost && late.again_at <= now {
                late.again_at = now.after(AGAIN_MS);
                self.watch.rescue.ask(Task::Again { core, serial });
            }
        }
        self.watch.late = all;
        if !newly_lost.is_empty() {
            self.give_up(&newly_lost);
        }
    }

    /// Threads that do not come back: the worker is to be replaced.
    fn give_up(&mut self, cores: &[u32]) {
        let seconds = self.watch.rules.grace_seconds;
        let cores = cores.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let locked = if self.watch.locked { ", and nobody gets the interpreter lock" } else { "" };
        self.tire(
            Tired::Stuck,
            &format!("core {cores} did not come back in {seconds} s (harakiri-graceful-timeout){locked}"),
            Some(errors::HARAKIRI),
        );
        if !self.gets_on() {
            self.turn_all_away();
        }
    }

    /// Whether any thread of this worker can still serve.
    pub(super) fn gets_on(&self) -> bool {
        let locked = self.watch.locked && self.watch.late.iter().any(|late| late.lost);
        !locked && self.watch.lost() < self.plan.settings.process.threads as usize
    }

    /// Requests with the interpreter that nobody waits for when the worker ends.
    pub(super) fn given_up(&self) -> usize {
        if self.gets_on() { self.watch.lost() } else { self.in_flight }
    }

    /// No thread will take what waits, nor finish what it has: the clients hear it now.
    fn turn_all_away(&mut self) {
        let waiting = self.desk.handoff.reclaim();
        self.in_flight -= waiting.len();
        let waiting: Vec<_> = waiting.into_iter().chain(std::mem::take(&mut self.backlog)).collect();
        for parcel in waiting {
            self.turn_away(parcel, "all threads of this worker are lost (harakiri)".to_owned());
        }
        let plan = std::sync::Arc::clone(&self.plan);
        for (core, line) in plan.area.cores_of(plan.slot) {
            let Some(busy) = line.busy() else { continue };
            if !self.watch.late.iter().any(|late| (late.core, late.serial) == (core, busy.serial)) {
                self.take_client_away(core, busy.serial, Token(busy.token), 503);
            }
        }
    }

    /// Answers a request that is with the interpreter, whose own answer is not wanted any more. What became of it.
    fn take_client_away(&mut self, core: u32, serial: u64, token: Token, status: u16) -> &'static str {
        let head = self.plan.area.core(self.plan.slot, core).map(|line| line.text());
        let is_head = head.is_some_and(|text| text.contains(" - HEAD "));
        let Some(conn) = self.conn(token) else { return "the client had gone" };
        if conn.reading != Reading::Dispatched || conn.disowned {
            return "the client had gone";
        }
        if conn.output.is_some() || conn.writing != Writing::Idle {
            self.close(token);
            return "connection closed: the answer had begun";
        }
        if !self.desk.claims.take(core, serial) {
            self.close(token);
            return "connection closed: the answer had begun";
        }
        let Some(conn) = self.conn(token) else { return "the client had gone" };
        conn.lent = false;
        conn.disowned = true;
        if let Some(input) = conn.input.take() {
            input.break_off();
        }
        self.watch.answered.push((core, serial, status));
        self.refuse_quietly(token, &Error::new(status, "harakiri".to_owned()), is_head);
        if status == 504 { "answered 504" } else { "answered 503" }
    }

    /// One event for the log: uWSGI's lines, and what it does not know.
    fn tell(&self, late: &mut Late) {
        late.told = true;
        let (worker, pid, core) = (self.plan.id, std::process::id(), late.core);
        let line = self.plan.area.core(self.plan.slot, core);
        let request = line.map(|line| line.text()).unwrap_or_default();
        let ms = self.now.since(late.since) / 1000;
        let epoch = clock::wall_seconds().saturating_sub(ms / 1000);
        let mut text = format!(
            "*** HARAKIRI ON WORKER {worker} (pid: {pid}, try: 1, graceful: yes) ***\n\
             HARAKIRI [core {core}] {request} since {epoch}: {ms} ms with the application, {}\n",
            late.client
        );
        if self.watch.rules.verbose
            && let Some(thread) = line.map(|line| line.thread())
        {
            text.push_str(&format!(
                "HARAKIRI [core {core}] in the kernel: {}\n",
                process::whereabouts(thread)
            ));
        }
        match late.stack.as_deref() {
            Some("") => text.push_str("it ended before its stack could be told\n"),
            Some(stack) => {
                text.push_str(&format!("Python stack of core {core} (most recent call last):\n{stack}\n"))
            }
            None => {
                text.push_str("no Python stack: something holds the interpreter lock and does not let go\n")
            }
        }
        text.push_str(&format!("HARAKIRI triggered by worker {worker} core {core} !!! {}", errors::HARAKIRI));
        crate::logging::line(&text);
    }

    /// What each thread works on, now; and the stacks of all as soon as the interpreter lock is to be had.
    pub(super) fn dump(&mut self) {
        crate::logging::line(&super::rescue::status(&self.plan));
        self.watch.rescue.ask(Task::Dump);
    }

    /// The same to the master, which has asked.
    pub(super) fn send_stacks(&mut self) {
        self.watch.rescue.ask(Task::Send);
    }
}
