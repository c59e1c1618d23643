//! The log process: where more is to be done with a line than to append it to a file (`log-master` and what
//! implies it), every process writes into pipes of its own, and one process reads them all.
//!
//! ```text
//!  worker ─ messages, output, requests ─┐  (a pipe each; their other ends come over a socket)
//!  worker ─ messages, output, requests ─┼─► lines ─► filter, route ─► dress ─► queue ─► thread ─► file
//!  master, template ─ messages, output ─┘                                  └─► queue ─► thread ─► socket
//! ```
//! A pipe of its own means that what one process prints is not cut by what another does. The reading end never
//! waits for a destination: each has a thread with a queue that is bounded, and what does not fit is counted and
//! said. The master keeps the pipes' reading ends too, so that a log process that dies is replaced without a loss
//! of what they hold, and without an error to anyone who writes.

pub mod dress;
pub mod lines;
pub mod ports;
pub mod process;
pub mod rules;
pub mod sinks;
pub mod writer;

/// Where bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Source {
    /// The server's own messages, in frames.
    Server,
    /// What the application prints, on standard output and error.
    Output,
    /// Request lines.
    Request,
}

/// A pipe's label: what is in it, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// What it carries.
    pub source: Source,
    /// Whose it is.
    pub pid: u32,
    /// Number of the worker; 0 for master and template.
    pub worker: u32,
}

impl Label {
    const BYTES: usize = 9;

    /// As a message.
    pub fn encode(self) -> [u8; Label::BYTES] {
        let mut bytes = [0; Label::BYTES];
        bytes[0] = match self.source {
            Source::Server => 0,
            Source::Output => 1,
            Source::Request => 2,
        };
        bytes[1..5].copy_from_slice(&self.pid.to_le_bytes());
        bytes[5..].copy_from_slice(&self.worker.to_le_bytes());
        bytes
    }

    /// From a message.
    pub fn decode(bytes: &[u8]) -> Option<Label> {
        let bytes: &[u8; Label::BYTES] = bytes.try_into().ok()?;
        let source = match bytes[0] {
            0 => Source::Server,
            1 => Source::Output,
            2 => Source::Request,
            _ => return None,
        };
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        Some(Label { source, pid: number(1), worker: number(5) })
    }
}

/// One message on its way, without its line end. Only the server's own and tracebacks have more than one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where it came from.
    pub label: Label,
    /// What it says.
    pub text: &'a [u8],
}

/// What the master tells the log process, beside the pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Open the files anew.
    Reopen,
    /// Rename the files, and go on in new ones.
    Rotate,
    /// Write what is there, and say so.
    Sync,
}

impl Order {
    /// As a message.
    pub fn encode(self) -> [u8; 1] {
        [match self {
            Order::Reopen => b'l',
            Order::Rotate => b'L',
            Order::Sync => b's',
        }]
    }

    /// From a message.
    pub fn decode(bytes: &[u8]) -> Option<Order> {
        match bytes {
            b"l" => Some(Order::Reopen),
            b"L" => Some(Order::Rotate),
            b"s" => Some(Order::Sync),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_orders_survive_the_way() {
        for source in [Source::Server, Source::Output, Source::Request] {
            let label = Label { source, pid: 70_000, worker: 3 };
            assert_eq!(Label::decode(&label.encode()), Some(label));
        }
        assert_eq!(Label::decode(b"x"), None);
        for order in [Order::Reopen, Order::Rotate, Order::Sync] {
            assert_eq!(Order::decode(&order.encode()), Some(order));
        }
    }
}
