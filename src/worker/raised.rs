//! Signals of the application's in a worker: what its interpreter threads send, register and handle.

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{Ordering, fence};

use uwring_abi as abi;

use super::ring_thread::Ring;
use super::serve::Desk;
use crate::engine::Reactor;
use crate::options::jobs::Cause;
use crate::plugin::host::SignalCall;
use crate::shared::area::Area;
use crate::shared::signals::{Refused, Signals, Target};
use crate::sys::event;

thread_local! {
    /// This thread has handled a signal: a request is next, if one waits.
    static HANDLED: Cell<bool> = const { Cell::new(false) };
    /// The one it was.
    static LAST: Cell<u8> = const { Cell::new(0) };
}

/// One of `SIGNAL_*`, as any process of `generation` may ask it. Result: the answer, and the slots whose bells are to be
/// rung. `wake`: wakes the master, which has something to look after.
pub fn common(area: &Area, generation: u32, call: &SignalCall<'_>, wake: impl Fn()) -> (i64, Vec<u32>) {
    let Ok(signal) = u8::try_from(call.signal) else { return (abi::SIGNAL_NOBODY, Vec::new()) };
    let signals = area.signals(generation);
    let numbers = call.numbers;
    let cause = match call.what {
        abi::SIGNAL_SEND => return send(area, generation, signal),
        abi::SIGNAL_REGISTERED => return (i64::from(signals.target(signal).is_some()), Vec::new()),
        abi::SIGNAL_REGISTER => {
            let Some(target) = Target::parse(call.text, area.workers()) else {
                return (abi::SIGNAL_NOBODY, Vec::new());
            };
            signals.register(signal, target);
            return (1, Vec::new());
        }
        abi::SIGNAL_EVERY => {
            Cause::Every { ms: numbers[0].unsigned_abs().max(1), times: numbers[1].unsigned_abs() }
        }
        abi::SIGNAL_CRON => Cause::Cron(numbers.map(|n| i32::try_from(n).unwrap_or(-1))),
        abi::SIGNAL_FILE => Cause::File(OsStr::from_bytes(call.text).into()),
        _ => return (-1, Vec::new()),
    };
    let result = match signals.add(signal, &cause) {
        Ok(()) => 1,
        Err(Refused::Full) => abi::SIGNAL_FULL,
        Err(Refused::TooLong) => abi::SIGNAL_TOO_LONG,
    };
    wake();
    (result, Vec::new())
}

/// Sends it; says so where it could not be.
pub fn send(area: &Area, generation: u32, signal: u8) -> (i64, Vec<u32>) {
    let (ring, all) = area.send_signal(generation, signal);
    if !all {
        crate::log!("[uwsgi-signal] signal {signal} is lost: as many as there may be wait for their worker");
    }
    (if all { 1 } else { abi::SIGNAL_FULL }, ring)
}

impl Desk {
    fn signals(&self) -> Signals<'_> {
        self.plan.area.signals(self.plan.slot().generation())
    }

    /// Whether the calling thread is to handle a signal before the next request.
    pub(super) fn owes_signal(&self) -> bool {
        self.handoff.has_signals() && !HANDLED.replace(false)
    }

    /// Has those that wait handled.
    pub(super) fn look_at_signals(&self) {
        if self.signals().waits(self.plan.id) {
            self.handoff.tell_signals();
        }
    }

    /// One of `SIGNAL_*`.
    pub(super) fn signal_call(&self, call: &SignalCall<'_>) -> i64 {
        match call.what {
            abi::SIGNAL_TAKE => self.take_signal().map_or(-1, i64::from),
            abi::SIGNAL_HANDLED => {
                self.signals().count_handled(self.plan.id);
                self.handoff.signal_handled();
                1
            }
            abi::SIGNAL_WAIT => i64::from(self.wait_for_signal(u8::try_from(call.signal).ok())),
            _ => {
                let generation = self.plan.slot().generation();
                let wake = || drop(event::signal(self.plan.notify.as_raw_fd()));
                let (result, ring) = common(&self.plan.area, generation, call, wake);
                for number in ring {
                    // A bell that cannot be rung has rung already.
                    let _ = event::signal(self.plan.bell(number).as_raw_fd());
                }
                result
            }
        }
    }

    fn take_signal(&self) -> Option<u8> {
        self.handoff.forget_signals();
        fence(Ordering::SeqCst);
        if self.plan.slot().is_draining() {
            return None;
        }
        let signal = self.signals().claim(self.plan.id, LAST.get())?;
        LAST.set(signal);
        HANDLED.set(true);
        self.handoff.signal_begins();
        self.look_at_signals();
        Some(signal)
    }

    fn wait_for_signal(&self, wanted: Option<u8>) -> u8 {
        let (signals, id) = (self.signals(), self.plan.id);
        loop {
            let seen = signals.sent();
            let found = match wanted {
                Some(signal) => signals.claim_one(id, signal).then_some(signal),
                None => signals.claim(id, LAST.get()),
            };
            if let Some(signal) = found {
                LAST.set(signal);
                signals.count_handled(id);
                return signal;
            }
            signals.sleep(seen);
        }
    }
}

impl<R: Reactor> Ring<R> {
    /// Its bell was rung.
    pub(super) fn look_at_signals(&self) {
        self.desk.look_at_signals();
    }
}
