//! `uwring ctl dump`: stacks on their way from a worker to the client that wants to see them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::clock::Millis;
use crate::control::server::ClientId;
use crate::control::words::Stacks;
use crate::sys::exec::Handed;
use crate::sys::packets::{self, Taken};

/// So long a client waits, milliseconds: then nothing moves in that worker, or something holds the interpreter lock.
const PATIENCE_MS: u64 = 5_000;
/// More than a worker sends.
const MESSAGE_BYTES_MAX: usize = 128 * 1024;

/// Who waits for whose stacks, and where they come.
#[derive(Debug)]
pub struct Dumps {
    near: OwnedFd,
    waiting: Vec<Waiting>,
}

/// A client that waits for the stacks of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    client: ClientId,
    pid: u32,
    until: Millis,
}

impl Dumps {
    /// And the workers' end.
    pub fn new() -> io::Result<(Dumps, Arc<OwnedFd>)> {
        let (near, far) = packets::pair()?;
        Ok((Dumps { near, waiting: Vec::new() }, Arc::new(far)))
    }

    /// For the next program of this process, with those who wait.
    pub fn hand_over(&self) -> (Handed, Vec<Waiting>) {
        (Handed::of(&self.near), self.waiting.clone())
    }

    /// Goes on where the program before has left.
    pub fn take_over(near: Handed, waiting: Vec<Waiting>) -> io::Result<Dumps> {
        Ok(Dumps { near: near.take()?, waiting })
    }

    /// To wait for.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }

    /// When somebody has waited long enough.
    pub fn due(&self) -> Option<Millis> {
        self.waiting.iter().map(|waiting| waiting.until).min()
    }

    /// `client` waits for the stacks of `pid`.
    pub fn expect(&mut self, client: ClientId, pid: u32, now: Millis) {
        self.waiting.push(Waiting { client, pid, until: now.after(PATIENCE_MS) });
    }

    /// Answers for those who have waited.
    pub fn collect(&mut self, now: Millis) -> Vec<(ClientId, Stacks)> {
        let mut answers = Vec::new();
        let mut buffer = vec![0; if self.waiting.is_empty() { 4 } else { MESSAGE_BYTES_MAX }];
        while let Taken::Message(len) = packets::take(&self.near, &mut buffer) {
            let Some((pid, text)) = buffer[..len].split_first_chunk() else { continue };
            let (pid, text) = (u32::from_le_bytes(*pid), String::from_utf8_lossy(text).into_owned());
            self.waiting.retain(|waiting| {
                let theirs = waiting.pid == pid;
                if theirs {
                    answers.push((waiting.client, Stacks { pid, ok: true, text: text.clone() }));
                }
                !theirs
            });
        }
        self.waiting.retain(|waiting| {
            let late = waiting.until <= now;
            if late {
                let text = "no answer: something holds the interpreter lock, or the process stands still";
                answers.push((waiting.client, Stacks { pid: waiting.pid, ok: false, text: text.to_owned() }));
            }
            !late
        });
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_reach_those_who_wait_for_them() {
        let (mut dumps, far) = Dumps::new().expect("a pair");
        dumps.expect(1, 7, Millis(0));
        dumps.expect(2, 8, Millis(0));
        for pid in [9_u32, 7] {
            packets::put(&far, &[&pid.to_le_bytes(), b"stacks".as_slice()].concat()).expect("sent");
        }
        let answers = dumps.collect(Millis(1));
        assert_eq!(answers, [(1, Stacks { pid: 7, ok: true, text: "stacks".to_owned() })]);
        assert_eq!(dumps.due(), Some(Millis(PATIENCE_MS)));
        let [(2, Stacks { pid: 8, ok: false, .. })] = dumps.collect(Millis(PATIENCE_MS))[..] else {
            panic!("nobody gave up")
        };
        assert_eq!(dumps.due(), None);
    }
}
