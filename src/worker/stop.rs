//! The end of a worker: the backlogs are emptied, connections that stay idle for a moment close, requests in hand are answered with
//! `Connection: close`, then the loop is over. The master bounds the time.

use super::connection::Reading;
use super::ring_thread::Ring;
use crate::engine::{Reactor, Token};
use crate::shared::area::{Command, State};

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Serving.
    Open,
    /// Told to end: taking what already waits in the backlogs, for nobody may be left to answer it.
    Sweeping,
    /// Finishing what is in hand.
    Draining,
    /// Now.
    Over,
}

/// At once is after so many milliseconds, where an interpreter thread has yet to tell of a request that is over.
const UNTOLD_MS: u64 = 20;
/// While draining, connections that closed without an event of their own are looked for this often, ms.
const POLL_MS: u64 = 20;
/// A connection without a request may still bring one for so long once the end began, milliseconds.
pub(super) const LAST_CALL_MS: u64 = 100;

impl<R: Reactor> Ring<R> {
    /// The master has written a command, or a signal has come.
    pub(super) fn look_at_command(&mut self) {
        self.plan.slot().answer_poke();
        self.look_for_forgotten();
        self.look_at_signals();
        let (log, stacks) = self.plan.slot().take_dump();
        if crate::sys::signals::take_dump() || log {
            self.dump();
        }
        if stacks {
            self.send_stacks();
        }
        match self.plan.command() {
            Command::Run => {}
            Command::Yield => self.begin_drain(true),
            Command::Drain => self.begin_drain(false),
            Command::Quit => {
                self.phase = Phase::Over;
                self.patient_until = self.now.millis().after(UNTOLD_MS);
            }
        }
    }

    /// The master's end of the life line is closed.
    pub(super) fn master_is_gone(&mut self) {
        if self.phase == Phase::Open {
            crate::log!(
                "uWSGI worker {} screams: UAAAAAAH my master disconnected: i will kill myself !!!",
                self.plan.id
            );
        }
        self.begin_drain(false);
    }

    /// Takes no more connections and ends when everything in hand is answered.
    /// `others`: there are some who serve those that wait to be accepted.
    pub(super) fn begin_drain(&mut self, others: bool) {
        if self.phase != Phase::Open {
            return;
        }
        // After a reload the next generation answers what waits, and where it was replaced its successor.
        let succeeded = self.plan.area.partner(self.plan.slot).state() == State::Ready;
        let superseded = others
            || succeeded
            || !self.gets_on()
            || self.plan.slot().generation() < self.plan.area.serving();
        self.succeeded = superseded;
        self.phase = if superseded { Phase::Draining } else { Phase::Sweeping };
        self.plan.slot().set_state(State::Draining);
        let last_call = self.now.millis().after(LAST_CALL_MS);
        let tokens: Vec<Token> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.is_idle())
            .map(|(index, conn)| super::connection::Name::Conn(index, conn.generation).token())
            .collect();
        for token in tokens {
            let Some(conn) = self.conn(token) else { continue };
            // Its next request may be on its way: closed now, a busy client would lose it. It is answered, with
            // `Connection: close`.
            conn.deadline = Some(last_call);
            conn.reminder = Some(last_call);
            self.wheel.insert(last_call, token);
        }
    }

    /// After a turn in which accepts were under way: one that finds nobody waiting ends the sweep.
    pub(super) fn end_sweep(&mut self, sweeping: bool) {
        if sweeping && self.newcomers == 0 && self.phase == Phase::Sweeping {
            self.phase = Phase::Draining;
        }
    }

    /// Whether the loop ends.
    pub(super) fn is_over(&self) -> bool {
        match self.phase {
            Phase::Open | Phase::Sweeping => false,
            // What is over is told, and logged.
            Phase::Over => !self.is_untold() || self.patient_until <= self.now.millis(),
            Phase::Draining => {
                self.in_flight <= self.given_up()
                    && self.backlog.is_empty()
                    && !self.doors.any_armed()
                    && !self.owes_relayed()
                    && self.conns.iter().all(|(_, conn)| conn.reading == Reading::Closing)
            }
        }
    }

    pub(super) fn stop_poll(&self) -> Option<u64> {
        match self.phase {
            Phase::Open => None,
            Phase::Sweeping => Some(0),
            Phase::Over => Some(1),
            Phase::Draining => Some(POLL_MS),
        }
    }
}
