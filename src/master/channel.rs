//! What master and template say to each other: one message a packet, numbers in little-endian order.
//!
//! ```text
//!  master ── Fork{worker} ──► template        Ready · Forked{worker, pid} · ForkFailed{worker} · Exited{pid} ──► master
//! ```
//! The end of the channel is a message too: to the template that it is dismissed, to the master nothing (it
//! learns of the template's end as of any child's).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::sys::exec::Handed;
use crate::sys::packets::{self, Taken};
use crate::sys::process::Status;

/// Bytes of a message: what it is, and two numbers.
const MESSAGE_BYTES: usize = 12;

/// Master to template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Fork worker `worker`.
    Fork {
        /// Its number, from 1.
        worker: u32,
    },
}

/// Template to master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Everything is loaded: workers can be forked.
    Ready,
    /// A worker runs.
    Forked {
        /// Its number.
        worker: u32,
        /// Its process.
        pid: u32,
    },
    /// A worker could not be forked.
    ForkFailed {
        /// Its number.
        worker: u32,
        /// The error number.
        errno: i32,
    },
    /// A worker has ended. Sent before it is reaped, so that its pid is nobody else's yet.
    Exited {
        /// Its process.
        pid: u32,
        /// How.
        status: Status,
    },
}

impl Order {
    fn encode(self) -> [u8; MESSAGE_BYTES] {
        let Order::Fork { worker } = self;
        message(1, worker, 0)
    }

    fn decode(bytes: &[u8]) -> Option<Order> {
        match fields(bytes)? {
            (1, worker, _) => Some(Order::Fork { worker }),
            _ => None,
        }
    }
}

impl Report {
    fn encode(self) -> [u8; MESSAGE_BYTES] {
        match self {
            Report::Ready => message(1, 0, 0),
            Report::Forked { worker, pid } => message(2, worker, pid),
            Report::ForkFailed { worker, errno } => message(3, worker, errno.cast_unsigned()),
            Report::Exited { pid, status: Status::Exited(code) } => message(4, pid, code.cast_unsigned()),
            Report::Exited { pid, status: Status::Killed(signal) } => message(5, pid, signal.cast_unsigned()),
            Report::Exited { pid, status: Status::Unknown } => message(6, pid, 0),
        }
    }

    fn decode(bytes: &[u8]) -> Option<Report> {
        Some(match fields(bytes)? {
            (1, ..) => Report::Ready,
            (2, worker, pid) => Report::Forked { worker, pid },
            (3, worker, errno) => Report::ForkFailed { worker, errno: errno.cast_signed() },
            (4, pid, code) => Report::Exited { pid, status: Status::Exited(code.cast_signed()) },
            (5, pid, signal) => Report::Exited { pid, status: Status::Killed(signal.cast_signed()) },
            (6, pid, _) => Report::Exited { pid, status: Status::Unknown },
            _ => return None,
        })
    }
}

fn message(what: u32, first: u32, second: u32) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    for (place, number) in bytes.chunks_exact_mut(4).zip([what, first, second]) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn fields(bytes: &[u8]) -> Option<(u32, u32, u32)> {
    let words = bytes.as_chunks::<4>().0;
    match words {
        [what, first, second] if bytes.len() == MESSAGE_BYTES => {
            Some((u32::from_le_bytes(*what), u32::from_le_bytes(*first), u32::from_le_bytes(*second)))
        }
        _ => None,
    }
}

/// The master's end.
#[derive(Debug)]
pub struct MasterEnd(OwnedFd);

/// The template's end.
#[derive(Debug)]
pub struct TemplateEnd(OwnedFd);

/// Both ends of a new channel.
pub fn pair() -> io::Result<(MasterEnd, TemplateEnd)> {
    let (master, template) = packets::pair()?;
    Ok((MasterEnd(master), TemplateEnd(template)))
}

impl MasterEnd {
    /// Gives an order; never waits.
    pub fn order(&self, order: Order) -> io::Result<()> {
        packets::put(&self.0, &order.encode())
    }

    /// Leaves it to the next program of this process.
    pub fn hand_over(&self) -> Handed {
        Handed::of(&self.0)
    }

    /// Takes it over from the program before.
    pub fn take_over(left: Handed) -> io::Result<MasterEnd> {
        Ok(MasterEnd(left.take()?))
    }

    /// Adds the reports that have come to `into`. `false`: the template's end is closed, there will be no more. So
    /// it is with a message that cannot be understood: nothing after it could be.
    pub fn read(&self, into: &mut Vec<Report>) -> bool {
        loop {
            match next(&self.0) {
                Next::Message(bytes) => match Report::decode(&bytes) {
                    Some(report) => into.push(report),
                    None => return false,
                },
                Next::Nothing => return true,
                Next::End => return false,
            }
        }
    }
}

impl AsFd for MasterEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// What the template finds on its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An order.
    Order(Order),
    /// Nothing yet.
    Nothing,
    /// The master has let go, or is gone.
    Dismissed,
}

impl TemplateEnd {
    /// Leaves it to the next program of this process.
    pub fn hand_over(&self) -> Handed {
        Handed::of(&self.0)
    }

    /// Takes it over from the program before.
    pub fn take_over(left: Handed) -> io::Result<TemplateEnd> {
        Ok(TemplateEnd(left.take()?))
    }

    /// Reports; waits for room.
    pub fn report(&self, report: Report) -> io::Result<()> {
        packets::put_waiting(&self.0, &report.encode())
    }

    /// What the master said.
    pub fn hear(&self) -> Heard {
        match next(&self.0) {
            Next::Message(bytes) => Order::decode(&bytes).map_or(Heard::Dismissed, Heard::Order),
            Next::Nothing => Heard::Nothing,
            Next::End => Heard::Dismissed,
        }
    }
}

impl AsFd for TemplateEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

enum Next {
    Message([u8; MESSAGE_BYTES]),
    Nothing,
    End,
}

fn next(fd: &OwnedFd) -> Next {
    let mut bytes = [0; MESSAGE_BYTES];
    match packets::take(fd, &mut bytes) {
        Taken::Message(MESSAGE_BYTES) => Next::Message(bytes),
        Taken::Nothing => Next::Nothing,
        Taken::Message(_) | Taken::End => Next::End,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let (master, template) = pair().expect("a channel");
        assert_eq!(template.hear(), Heard::Nothing);
        master.order(Order::Fork { worker: 7 }).expect("sent");
        assert_eq!(template.hear(), Heard::Order(Order::Fork { worker: 7 }));
        let all = [
            Report::Ready,
            Report::Forked { worker: 1, pid: 4_194_303 },
            Report::ForkFailed { worker: 2, errno: crate::sys::errno::EAGAIN },
            Report::Exited { pid: 5, status: Status::Exited(22) },
            Report::Exited { pid: 6, status: Status::Killed(9) },
            Report::Exited { pid: 7, status: Status::Unknown },
        ];
        all.into_iter().for_each(|report| template.report(report).expect("sent"));
        let mut read = Vec::new();
        assert!(master.read(&mut read));
        assert_eq!(read, all);
        drop(template);
        assert!(!master.read(&mut read));
        assert!(master.order(Order::Fork { worker: 1 }).is_err());
    }

    #[test]
    fn the_template_hears_that_the_master_let_go() {
        let (master, template) = pair().expect("a channel");
        master.order(Order::Fork { worker: 1 }).expect("sent");
        drop(master);
        assert_eq!(template.hear(), Heard::Order(Order::Fork { worker: 1 }));
        assert_eq!(template.hear(), Heard::Dismissed);
    }

    #[test]
    fn half_a_message_is_none() {
        assert_eq!(Order::decode(&[1, 0, 0]), None);
        assert_eq!(Report::decode(&[9; MESSAGE_BYTES]), None);
    }
}
