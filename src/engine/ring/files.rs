//! Files: sent to sockets, written to. Neither holds up the loop (`super::super::sendfile`).

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use io_uring::{opcode, types};

use super::super::sendfile::{Outgoing, Step};
use super::{Event, Op, Ring, Slot, TAG_MAIN, Token};
use crate::sys::net;

/// A [`super::Reactor::send_file`] under way.
pub(super) struct Sending {
    fd: RawFd,
    out: Outgoing,
    /// Room for the byte that is read to wait for the disk, while it is.
    waiting: Vec<u8>,
}

/// A [`super::Reactor::write`] under way.
pub(super) struct Writing {
    file: Arc<File>,
    buffer: Vec<u8>,
    done: usize,
    offset: Option<u64>,
}

impl Ring {
    pub(super) fn begin_file(&mut self, fd: RawFd, token: Token, file: Arc<OwnedFd>, offset: u64, left: u64) {
        let out = Outgoing::new(file, offset, left);
        let slot = self.insert(token, Op::File(Sending { fd, out, waiting: Vec::new() }));
        // Without it a full socket would hold the whole loop. A failure shows as a failing sendfile.
        let _ = net::set_nonblocking(fd, true);
        self.submit_poll(slot, fd, libc::POLLOUT, false);
    }

    /// The socket takes more, or the slice has been read from the disk.
    pub(super) fn file_ready(&mut self, slot: usize, events: &mut Vec<Event>) {
        let Slot { token, op: Op::File(op), .. } = &mut self.ops[slot] else { return };
        let (token, fd) = (*token, op.fd);
        let fetched = std::mem::take(&mut op.waiting).capacity() > 0;
        let result = match op.out.step(fd, fetched) {
            Step::Cold(last) => return self.wait_for_disk(slot, last),
            Step::Full => return self.submit_poll(slot, fd, libc::POLLOUT, false),
            Step::Progress => {
                events.push(Event::Progress { token });
                return self.submit_poll(slot, fd, libc::POLLOUT, false);
            }
            Step::Over(result) => result,
        };
        self.ops.remove(slot);
        // Other operations on the socket rely on the kernel waiting for it.
        let result = result.and(net::set_nonblocking(fd, false));
        events.push(Event::FileSent { token, result });
    }

    /// Has the last byte of a slice read by the ring: that ends when the slice is there. Whatever comes of it,
    /// sendfile(2) is next, and tells of errors.
    fn wait_for_disk(&mut self, slot: usize, last: u64) {
        let data = self.user_data(slot, TAG_MAIN);
        let Slot { op: Op::File(op), .. } = &mut self.ops[slot] else { return };
        op.waiting = vec![0];
        let (from, room) = (types::Fd(op.out.file.as_raw_fd()), op.waiting.as_mut_ptr());
        // The byte's room is the slot's until this read has ended: `file_ready`, called by its CQE, takes it.
        let entry = opcode::Read::new(from, room, 1).offset(last).build().user_data(data);
        self.push(&[entry]);
    }

    pub(super) fn begin_write(
        &mut self,
        file: &Arc<File>,
        token: Token,
        buffer: Vec<u8>,
        offset: Option<u64>,
    ) {
        let op = Writing { file: Arc::clone(file), buffer, done: 0, offset };
        let slot = self.insert(token, Op::Write(op));
        self.submit_write(slot);
    }

    fn submit_write(&mut self, slot: usize) {
        let data = self.user_data(slot, TAG_MAIN);
        let Op::Write(Writing { file, buffer, done, offset }) = &self.ops[slot].op else { return };
        let rest = &buffer[*done..];
        let at = offset.map_or(u64::MAX, |o| o + *done as u64);
        let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let entry = opcode::Write::new(types::Fd(file.as_raw_fd()), rest.as_ptr(), len).offset(at).build();
        self.push(&[entry.user_data(data)]);
    }

    pub(super) fn written(&mut self, slot: usize, result: io::Result<u32>, events: &mut Vec<Event>) {
        let Op::Write(op) = &mut self.ops[slot].op else { return };
        let result = match result {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                op.done += n as usize;
                Ok(())
            }
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => Ok(()),
            Err(e) => Err(e),
        };
        if result.is_ok() && op.done < op.buffer.len() {
            return self.submit_write(slot);
        }
        let Slot { token, op: Op::Write(op), .. } = self.ops.remove(slot) else { return };
        events.push(Event::Written { token, result, buffer: op.buffer });
    }
}
