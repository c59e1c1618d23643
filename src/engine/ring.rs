//! The io_uring engine: one ring, made after fork in the thread that uses it.
//!
//! An operation's life: `insert` gives it a slot, its buffers move in, an SQE carries `tag | generation | slot`
//! to the kernel; the last CQE takes the slot out and its buffers go back in an [`Event`]. Three tricks, each
//! measured (docs/internals.md):
//! * *Silent sends*: `MSG_DONTWAIT` with `CQE_SKIP_SUCCESS` is finished inside the `enter` that submits it.
//!   Success posts nothing and is reported by [`Ring::settle`]; a CQE means a rest, which goes as ordinary send.
//! * *Send and close* as one linked pair, both silent: the end of a connection costs no CQE.
//! * *One wait for everything*: the next deadline rides on `enter` as its timeout.

mod files;
mod offers;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;

use super::buffers::Chunk;
use super::choice::Unavailable;
use super::{Event, Notice, Payload, Reactor, Then, Token, entries};
use crate::base::limits;
use crate::sys::net;
use offers::Pool;

/// Entries of the submission queue; the completion queue has four times as many.
const ENTRIES: u32 = 1024;

const TAG_MAIN: u64 = 0;
/// The close linked to a send: it reports only when it was cancelled.
const TAG_CLOSE: u64 = 1;
/// Cancels and closes nobody waits for.
const TAG_NONE: u64 = 2;

enum Op {
    /// `polled`: the socket is waited for, and accepted from then.
    Accept {
        listener: RawFd,
        polled: bool,
    },
    Recv {
        fd: RawFd,
    },
    Fill {
        buffer: Vec<u8>,
    },
    Send(Send),
    File(files::Sending),
    Write(files::Writing),
    Watch {
        fd: RawFd,
    },
}

struct Send {
    fd: RawFd,
    /// Closed at the end.
    owned: Option<OwnedFd>,
    buffer: Payload,
    sent: usize,
    /// Neither a CQE has come nor has `settle` seen it: success is assumed there.
    silent: bool,
}

struct Slot {
    token: Token,
    generation: u32,
    op: Op,
}

/// The engine. Field order matters: the ring goes before the buffers the kernel fills through it.
pub struct Ring {
    ring: IoUring,
    /// Whether accepts wait before they try: most are armed while nobody is there.
    waits_first: bool,
    pool: Pool,
    ops: Slab<Slot>,
    generation: u32,
    /// Slots of silent sends since the last complete submission.
    silent: Vec<usize>,
    /// Slots of receives that found the pool empty.
    starved: VecDeque<usize>,
    /// Slots of armed accepts, few.
    accepting: Vec<usize>,
}

impl Ring {
    /// A ring for the calling thread, with its pool of receive buffers.
    pub fn new() -> Result<Ring, Unavailable> {
        let ring = build(true).or_else(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => build(false), // NO_SQARRAY is Linux 6.6
            _ => Err(error),
        });
        let ring = ring.map_err(|cause| Unavailable::new("io_uring_setup", cause))?;
        let pool = Pool::new(limits::POOL_BUFFERS, limits::POOL_BUFFER_BYTES)
            .map_err(|cause| Unavailable::new("mmap", cause))?;
        // SAFETY: the pool's entries are `count` page-aligned ring entries that outlive the ring (field order).
        let registered = unsafe {
            ring.submitter().register_buf_ring_with_flags(pool.address(), pool.count(), offers::GROUP, 0)
        };
        registered.map_err(|cause| Unavailable::new("io_uring_register", cause))?;
        Ok(Ring {
            waits_first: entries::can_wait_first(&ring),
            ring,
            pool,
            ops: Slab::with_capacity(256),
            generation: 0,
            silent: Vec::new(),
            starved: VecDeque::new(),
            accepting: Vec::new(),
        })
    }

    fn insert(&mut self, token: Token, op: Op) -> usize {
        self.generation = (self.generation + 1) & 0xff_ffff;
        self.ops.insert(Slot { token, generation: self.generation, op })
    }

    fn user_data(&self, slot: usize, tag: u64) -> u64 {
        tag << 56 | u64::from(self.ops[slot].generation) << 32 | slot as u64
    }

    /// Puts entries in the submission queue, next to each other.
    fn push(&mut self, entries: &[squeue::Entry]) {
        let room = {
            let queue = self.ring.submission();
            queue.capacity() - queue.len()
        };
        if room < entries.len() {
            // A failing submission leaves the queue as it was; then the push below asserts.
            let _ = self.ring.submit();
        }
        // SAFETY: whatever the entries point to is owned by their slot in `ops`, which is freed only after the
        // last CQE (or after `settle` saw a silent send finished).
        let pushed = unsafe { self.ring.submission().push_multiple(entries) };
        assert!(pushed.is_ok(), "the kernel takes no submissions any more");
    }

    fn submit_accept(&mut self, slot: usize) {
        let Op::Accept { listener, .. } = self.ops[slot].op else { return };
        let data = self.user_data(slot, TAG_MAIN);
        self.push(&[entries::accept(listener, self.waits_first).user_data(data)]);
    }

    fn submit_recv(&mut self, slot: usize) {
        let Op::Recv { fd } = self.ops[slot].op else { return };
        let size = u32::try_from(self.pool.size()).expect("a buffer is far smaller than 4 GiB");
        let entry = opcode::Recv::new(types::Fd(fd), std::ptr::null_mut(), size)
            .buf_group(offers::GROUP)
            .build()
            .flags(squeue::Flags::BUFFER_SELECT)
            .user_data(self.user_data(slot, TAG_MAIN));
        self.push(&[entry]);
    }

    /// Sends what is left of a send, with a CQE at its end.
    fn submit_rest(&mut self, slot: usize) {
        let data = self.user_data(slot, TAG_MAIN);
        let Op::Send(send) = &mut self.ops[slot].op else { return };
        send.silent = false;
        let rest = &send.buffer[send.sent..];
        // What fits now is sent, so that a slow peer's progress is seen.
        let entry = entries::send(send.fd, rest, 0).user_data(data);
        self.push(&[entry]);
    }

    fn submit_poll(&mut self, slot: usize, fd: RawFd, events: libc::c_short, multi: bool) {
        let data = self.user_data(slot, TAG_MAIN);
        self.push(&[entries::poll(fd, events, multi).user_data(data)]);
    }

    /// One CQE.
    fn complete(&mut self, entry: &cqueue::Entry, events: &mut Vec<Event>) {
        let data = entry.user_data();
        let (tag, generation) = (data >> 56, u32::try_from(data >> 32 & 0xff_ffff).expect("24 bits"));
        let slot = usize::try_from(data & 0xffff_ffff).expect("32 bits");
        let known = self.ops.get(slot).is_some_and(|s| s.generation == generation);
        if tag != TAG_MAIN || !known {
            // A cancelled close after a failed send: the send's own CQE does what is to be done.
            self.keep_buffer(entry);
            return;
        }
        let result = check(entry.result());
        match &self.ops[slot].op {
            Op::Accept { .. } => self.accepted(slot, result, events),
            Op::Recv { .. } => self.received(slot, entry, result, events),
            Op::Fill { .. } => self.filled(slot, result, events),
            Op::Send(_) => self.sent(slot, result, events),
            Op::File(_) => self.file_ready(slot, events),
            Op::Write(_) => self.written(slot, result, events),
            Op::Watch { fd } => {
                let fd = *fd;
                events.push(Event::Readable { token: self.ops[slot].token });
                if !cqueue::more(entry.flags()) {
                    self.submit_poll(slot, fd, libc::POLLIN, true);
                }
            }
        }
    }

    /// A pooled buffer that came with a CQE nobody wants is offered again.
    fn keep_buffer(&mut self, entry: &cqueue::Entry) {
        if let Some(id) = cqueue::buffer_select(entry.flags()) {
            let chunk = self.pool.taken(id, 0);
            self.pool.give_back(chunk);
        }
    }

    fn accepted(&mut self, slot: usize, result: io::Result<u32>, events: &mut Vec<Event>) {
        let Slot { op: Op::Accept { listener, polled }, .. } = &mut self.ops[slot] else { return };
        if std::mem::take(polled) && result.is_ok() {
            return self.submit_accept(slot);
        }
        if matches!(&result, Err(e) if e.raw_os_error() == Some(libc::EAGAIN)) {
            // Another program made the shared socket one that does not wait, and older kernels heed that.
            let listener = *listener;
            *polled = true;
            return self.submit_poll(slot, listener, libc::POLLIN, false);
        }
        let token = self.ops.remove(slot).token;
        self.accepting.retain(|&s| s != slot);
        let result = result.map(|fd| {
            let fd = RawFd::try_from(fd).expect("the kernel numbers descriptors in an int");
            // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
            unsafe { OwnedFd::from_raw_fd(fd) }
        });
        events.push(Event::Accepted { token, result });
    }

    fn received(
        &mut self,
        slot: usize,
        entry: &cqueue::Entry,
        result: io::Result<u32>,
        events: &mut Vec<Event>,
    ) {
        if matches!(&result, Err(e) if e.raw_os_error() == Some(libc::ENOBUFS)) {
            // Armed again when a buffer comes back: at once it would fail at once.
            self.starved.push_back(slot);
            self.feed_starved();
            return;
        }
        let token = self.ops.remove(slot).token;
        let buffer = cqueue::buffer_select(entry.flags());
        let result = match (result, buffer) {
            (Ok(len), Some(id)) if len > 0 => Ok(Some(self.pool.taken(id, len))),
            (result, _) => {
                self.keep_buffer(entry);
                result.map(|_| None)
            }
        };
        events.push(Event::Received { token, result });
    }

    fn filled(&mut self, slot: usize, result: io::Result<u32>, events: &mut Vec<Event>) {
        let Slot { token, op: Op::Fill { mut buffer }, .. } = self.ops.remove(slot) else { return };
        let result = result.map(|n| n as usize);
        if let Ok(n) = result {
            // SAFETY: the receive of this slot has ended; its buffer was the slot's since `recv_into`.
            unsafe { entries::received(&mut buffer, n) };
        }
        events.push(Event::Filled { token, result, buffer });
    }

    fn sent(&mut self, slot: usize, result: io::Result<u32>, events: &mut Vec<Event>) {
        let Slot { token, op: Op::Send(send), .. } = &mut self.ops[slot] else { return };
        send.silent = false;
        match result {
            Ok(n) => {
                send.sent += n as usize;
                if n > 0 && send.sent < send.buffer.len() {
                    events.push(Event::Progress { token: *token });
                }
            }
            Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
            Err(e) => return self.finish_send(slot, Err(e), events),
        }
        if send.sent < send.buffer.len() {
            self.submit_rest(slot);
        } else {
            self.finish_send(slot, Ok(()), events);
        }
    }

    /// Ends a send whose connection, where it was to be closed, is still open.
    fn finish_send(&mut self, slot: usize, result: io::Result<()>, events: &mut Vec<Event>) {
        let Slot { token, op: Op::Send(send), .. } = self.ops.remove(slot) else { return };
        if let Some(fd) = send.owned {
            self.close(fd);
        }
        events.push(Event::Sent { token, result, buffer: send.buffer });
    }

    /// Silent sends without a CQE have succeeded once the kernel has taken every submission.
    fn settle(&mut self, events: &mut Vec<Event>) {
        if self.silent.is_empty() || !self.ring.submission().is_empty() {
            return;
        }
        for slot in std::mem::take(&mut self.silent) {
            let done =
                matches!(self.ops.get(slot), Some(Slot { op: Op::Send(Send { silent: true, .. }), .. }));
            if !done {
                continue; // a CQE took it over
            }
            let Slot { token, op: Op::Send(send), .. } = self.ops.remove(slot) else { continue };
            // The linked close has closed it already.
            let _ = send.owned.map(IntoRawFd::into_raw_fd);
            events.push(Event::Sent { token, result: Ok(()), buffer: send.buffer });
        }
    }

    fn feed_starved(&mut self) {
        while self.pool.has_offers() {
            let Some(slot) = self.starved.pop_front() else { return };
            self.submit_recv(slot);
        }
    }
}

impl Reactor for Ring {
    fn adopt(&mut self, listener: RawFd) -> io::Result<()> {
        // An accept through the ring would return at once from a socket that does not wait.
        net::set_nonblocking(listener, false)
    }

    fn accept(&mut self, listener: RawFd, token: Token) {
        let slot = self.insert(token, Op::Accept { listener, polled: false });
        self.accepting.push(slot);
        self.submit_accept(slot);
    }

    fn recv(&mut self, fd: RawFd, token: Token) {
        let slot = self.insert(token, Op::Recv { fd });
        if self.pool.has_offers() {
            self.submit_recv(slot);
        } else {
            self.starved.push_back(slot);
        }
    }

    fn recv_into(&mut self, fd: RawFd, token: Token, mut buffer: Vec<u8>, max: usize) {
        // The room stays where it is when the buffer moves.
        let entry = entries::receive(fd, &mut buffer, max);
        let slot = self.insert(token, Op::Fill { buffer });
        let data = self.user_data(slot, TAG_MAIN);
        self.push(&[entry.user_data(data)]);
    }

    fn send(&mut self, then: Then, token: Token, buffer: Payload, notice: Notice) {
        let (fd, silent) = (then.fd(), notice == Notice::Lazy);
        let ends = silent && matches!(then, Then::End(_));
        let owned = then.into_owned();
        let closes = owned.is_some();
        // Not by the ring, whose shutdown goes by way of another thread. An error is found again.
        let sent = if ends { net::send_end(fd, &buffer).unwrap_or(0) } else { 0 };
        let is_out = sent == buffer.len();
        let slot = self.insert(token, Op::Send(Send { fd, owned, buffer, sent, silent }));
        if !silent || ends && !is_out {
            return self.submit_rest(slot);
        }
        self.silent.push(slot);
        let close = entries::close(fd).user_data(self.user_data(slot, TAG_CLOSE));
        if ends {
            return self.push(&[close]);
        }
        let data = self.user_data(slot, TAG_MAIN);
        let Op::Send(send) = &self.ops[slot].op else { return };
        let entry = entries::send(fd, &send.buffer, libc::MSG_DONTWAIT | libc::MSG_WAITALL).user_data(data);
        if closes {
            self.push(&[entry.flags(squeue::Flags::SKIP_SUCCESS | squeue::Flags::IO_LINK), close]);
        } else {
            self.push(&[entry.flags(squeue::Flags::SKIP_SUCCESS)]);
        }
    }

    fn send_file(&mut self, fd: RawFd, token: Token, file: Arc<OwnedFd>, offset: u64, len: u64) {
        self.begin_file(fd, token, file, offset, len);
    }

    fn write(&mut self, file: &Arc<File>, token: Token, buffer: Vec<u8>, offset: Option<u64>) {
        self.begin_write(file, token, buffer, offset);
    }

    fn watch(&mut self, fd: RawFd, token: Token) {
        let slot = self.insert(token, Op::Watch { fd });
        self.submit_poll(slot, fd, libc::POLLIN, true);
    }

    fn cancel_accepts(&mut self, token: Token) {
        let named: Vec<usize> =
            self.accepting.iter().copied().filter(|&s| self.ops[s].token == token).collect();
        for slot in named {
            let data = self.user_data(slot, TAG_MAIN);
            self.push(&[entries::cancel(data).user_data(TAG_NONE << 56)]);
        }
    }

    fn close(&mut self, fd: OwnedFd) {
        self.push(&[entries::close(fd.into_raw_fd()).user_data(TAG_NONE << 56)]);
    }

    fn submit(&mut self) -> io::Result<()> {
        match self.ring.submit() {
            // What could not be submitted now is with the next wait.
            Err(e) if !matches!(e.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN)) => Err(e),
            _ => Ok(()),
        }
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        entries::enter(&self.ring, timeout)?;
        // The iterator borrows the ring; completing may submit. Copying an entry costs 16 bytes.
        loop {
            let next = self.ring.completion().next();
            let Some(entry) = next else { break };
            self.complete(&entry, events);
        }
        self.settle(events);
        Ok(())
    }

    fn bytes<'a>(&'a self, chunk: &'a Chunk) -> &'a [u8] {
        self.pool.bytes(chunk)
    }

    fn release(&mut self, chunk: Chunk) {
        self.pool.give_back(chunk);
        self.feed_starved();
    }
}

impl Drop for Ring {
    /// Closing a ring ends its operations asynchronously: until then the kernel may still write to their buffers,
    /// so these are leaked. A worker drops its ring once, at its end.
    fn drop(&mut self) {
        let ops = ManuallyDrop::new(std::mem::take(&mut self.ops));
        for (_, slot) in ops.iter() {
            if let Op::Send(Send { owned: Some(fd), .. }) = &slot.op {
                let _ = net::shutdown(fd.as_raw_fd());
            }
        }
    }
}

fn build(no_sqarray: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .dontfork()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_clamp()
        .setup_cqsize(ENTRIES * 4);
    if no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(ENTRIES)
}

/// A CQE's result: a count, or an errno.
fn check(result: i32) -> io::Result<u32> {
    u32::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}
