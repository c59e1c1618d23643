//! The epoll engine, for where io_uring is denied: the same promises with the system calls every Linux has.
//!
//! An operation is tried as soon as it is submitted where it is likely to succeed, and otherwise when the kernel says
//! that it will. What ended at once comes out of the next [`Reactor::wait`] like everything else:
//! * *Sends* are always tried at once; most answers fit, and are one `send`.
//! * *Receives* are tried at once on a connection that was just accepted, when the kernel has said that there is something,
//!   and while they fill their buffers. Otherwise they wait for the kernel's word. A connection is registered when it has
//!   to wait for the first time, edge-triggered, and stays: later requests on it cost no further call. What the kernel
//!   says while nobody asks is remembered (`Place::likely`). A receive that does not fill its buffer has taken all there
//!   was: the next word comes with the next bytes.
//! * *Listening sockets* are registered while there are accepts to serve, exclusively: the kernel wakes one worker for a
//!   connection, and nobody is woken who would not take it.
//! * *Files* are read and written by threads (`helpers`) where the kernel would have to wait for a disk or a reader.

mod doors;
mod files;
mod helpers;
mod stock;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::buffers::Chunk;
use super::sendfile::Outgoing;
use super::{Event, Notice, Payload, Reactor, Then, Token};
use crate::base::limits;
use crate::sys::net;
use doors::Door;
use helpers::{Bell, Lane};
use stock::Stock;

/// Events taken from the kernel at once.
const BATCH: usize = 512;
/// Batches taken in one wait: enough for every connection of a busy worker, and an end.
const BATCHES_MAX: usize = 16;
/// Threads that wait for disks.
const DISK_THREADS: usize = 4;

const READ: EpollFlags = EpollFlags::EPOLLIN.union(EpollFlags::EPOLLRDHUP);
const WRITE: EpollFlags = EpollFlags::EPOLLOUT;
/// The kernel reports these asked or not; whoever waits finds out what they mean by trying.
const ENDS: EpollFlags = EpollFlags::EPOLLERR.union(EpollFlags::EPOLLHUP);
const EDGE: EpollFlags = EpollFlags::EPOLLET;

/// What the kernel hands back with an event: which kind of thing it is about, in the top byte.
const TAG_CONNECTION: u64 = 0;
const TAG_WATCH: u64 = 1;
const TAG_DOOR: u64 = 2;
const TAG_BELL: u64 = 3;

/// What waits for a connection to become readable.
enum Reader {
    Pooled(Token),
    Into { token: Token, buffer: Vec<u8>, max: usize },
}

/// What waits for it to become writable, or for a helper.
enum Writer {
    Bytes { token: Token, buffer: Payload, sent: usize, owned: Option<OwnedFd>, ends: bool },
    File { token: Token, out: Outgoing, fetching: bool },
}

/// What is known of one descriptor.
struct Place {
    /// What it is registered for; empty: not at all.
    armed: EpollFlags,
    /// A receive may succeed at once.
    likely: bool,
    /// The kernel has told of an end: what a receive finds there, and no further word.
    ended: bool,
    reader: Option<Reader>,
    writer: Option<Box<Writer>>,
}

impl Default for Place {
    fn default() -> Place {
        Place { armed: EpollFlags::empty(), likely: true, ended: false, reader: None, writer: None }
    }
}

/// The engine.
pub struct Epoll {
    epoll: nix::sys::epoll::Epoll,
    stock: Stock,
    /// By descriptor number.
    places: Vec<Place>,
    doors: Vec<Door>,
    watches: Vec<Token>,
    /// Receives that found the stock empty.
    starved: VecDeque<(RawFd, Token)>,
    /// What ended without being waited for.
    ready: Vec<Event>,
    /// Sends of which the caller need not hear at once.
    lazy: Vec<Event>,
    /// The last wait asked nothing of the kernel.
    skipped: bool,
    /// How often the kernel was asked.
    asked: u64,
    room: Vec<EpollEvent>,
    bell: Arc<Bell>,
    /// For what waits for a disk, and for a log's reader: the one must not wait for the other.
    disks: Lane,
    streams: Lane,
}

impl Epoll {
    /// For the calling thread, with its receive buffers.
    pub fn new() -> io::Result<Epoll> {
        let bell = Arc::new(Bell::new()?);
        let epoll = nix::sys::epoll::Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(bell.as_ref(), EpollEvent::new(EpollFlags::EPOLLIN | EDGE, TAG_BELL << 56))?;
        Ok(Epoll {
            epoll,
            stock: Stock::new(limits::POOL_BUFFERS, limits::POOL_BUFFER_BYTES)?,
            places: Vec::new(),
            doors: Vec::new(),
            watches: Vec::new(),
            starved: VecDeque::new(),
            ready: Vec::new(),
            lazy: Vec::new(),
            skipped: false,
            asked: 1,
            room: vec![EpollEvent::empty(); BATCH],
            disks: Lane::new("uwring-disk", DISK_THREADS, Arc::clone(&bell)),
            streams: Lane::new("uwring-stream", 1, Arc::clone(&bell)),
            bell,
        })
    }

    fn place(&mut self, fd: RawFd) -> &mut Place {
        let index = index(fd);
        if index >= self.places.len() {
            self.places.resize_with(index + 1, Place::default);
        }
        &mut self.places[index]
    }

    /// Registers `fd` for `wanted` and nothing else. What is so already is told.
    fn arm(&mut self, fd: RawFd, wanted: EpollFlags) -> io::Result<()> {
        let armed = self.places[index(fd)].armed;
        // SAFETY: callers own the descriptor and do not close it during the call; it is not kept.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let mut event = EpollEvent::new(wanted | EDGE, TAG_CONNECTION << 56 | index(fd) as u64);
        if wanted.is_empty() {
            self.epoll.delete(borrowed)?;
        } else if armed.is_empty() {
            self.epoll.add(borrowed, event)?;
        } else {
            self.epoll.modify(borrowed, &mut event)?;
        }
        self.places[index(fd)].armed = wanted;
        Ok(())
    }

    /// The receive on `fd` waits for the kernel's word. Where that is refused, it is over.
    fn await_bytes(&mut self, fd: RawFd, events: &mut Vec<Event>) {
        let armed = self.places[index(fd)].armed;
        if armed.contains(READ) {
            return;
        }
        if let Err(error) = self.arm(fd, armed | READ)
            && let Some(reader) = self.places[index(fd)].reader.take()
        {
            events.push(failed(reader, error));
        }
    }

    /// The same for what is to be written. The kernel is asked each time: a file's slice may have gone without filling the
    /// socket, and then there would be no word.
    fn await_room(&mut self, fd: RawFd, writer: Box<Writer>, events: &mut Vec<Event>) {
        let armed = self.places[index(fd)].armed;
        match self.arm(fd, armed | WRITE) {
            Ok(()) => self.places[index(fd)].writer = Some(writer),
            Err(error) => self.finish_write(fd, *writer, Err(error), events),
        }
    }

    fn begin_read(&mut self, fd: RawFd, reader: Reader) {
        let place = self.place(fd);
        debug_assert!(place.reader.is_none(), "one receive at a time");
        place.reader = Some(reader);
        let mut ready = std::mem::take(&mut self.ready);
        if self.places[index(fd)].likely {
            self.read(fd, &mut ready);
        } else {
            self.await_bytes(fd, &mut ready);
        }
        self.ready = ready;
    }

    /// Tries the receive that waits on `fd`.
    fn read(&mut self, fd: RawFd, events: &mut Vec<Event>) {
        let Some(reader) = self.places[index(fd)].reader.take() else { return };
        let (event, full) = match reader {
            Reader::Pooled(token) => {
                let size = self.stock.size();
                let Some(room) = self.stock.room() else {
                    return self.starved.push_back((fd, token));
                };
                let result = match net::receive_now(fd, room) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return self.wait_to_read(fd, Reader::Pooled(token), events);
                    }
                    result => result,
                };
                let full = matches!(result, Ok(n) if n == size);
                let result = result.map(|n| (n > 0).then(|| self.stock.take(n)));
                (Event::Received { token, result }, full)
            }
            Reader::Into { token, mut buffer, max } => {
                let result = match net::append_now(fd, &mut buffer, max) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        return self.wait_to_read(fd, Reader::Into { token, buffer, max }, events);
                    }
                    result => result,
                };
                let full = matches!(result, Ok(n) if n == max);
                (Event::Filled { token, result, buffer }, full)
            }
        };
        let place = &mut self.places[index(fd)];
        place.likely = full || place.ended;
        events.push(event);
    }

    fn wait_to_read(&mut self, fd: RawFd, reader: Reader, events: &mut Vec<Event>) {
        let place = &mut self.places[index(fd)];
        (place.likely, place.ended) = (false, false);
        place.reader = Some(reader);
        self.await_bytes(fd, events);
    }

    /// Goes on with what waits to be written to `fd`.
    fn write_on(&mut self, fd: RawFd, events: &mut Vec<Event>) {
        let Some(mut writer) = self.places[index(fd)].writer.take() else { return };
        match &mut *writer {
            Writer::Bytes { token, buffer, sent, ends, .. } => {
                let rest = &buffer[*sent..];
                let send = if *ends { net::send_end } else { net::send_now };
                match send(fd, rest) {
                    Ok(n) => {
                        *sent += n;
                        if *sent == buffer.len() {
                            return self.finish_write(fd, *writer, Ok(()), events);
                        }
                        if n > 0 {
                            events.push(Event::Progress { token: *token });
                        }
                    }
                    Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) => {}
                    Err(e) => return self.finish_write(fd, *writer, Err(e), events),
                }
            }
            Writer::File { fetching: true, .. } => {
                self.places[index(fd)].writer = Some(writer);
                return;
            }
            Writer::File { .. } => return self.file_on(fd, writer, false, events),
        }
        self.await_room(fd, writer, events);
    }

    /// The end of a write that had to wait.
    fn finish_write(&mut self, fd: RawFd, writer: Writer, result: io::Result<()>, events: &mut Vec<Event>) {
        let armed = self.places[index(fd)].armed;
        if armed.contains(WRITE) {
            // Else each reading by a peer on a unix socket would be told.
            let _ = self.arm(fd, armed - WRITE);
        }
        match writer {
            Writer::Bytes { token, buffer, owned, .. } => {
                if let Some(owned) = owned {
                    self.close(owned);
                }
                events.push(Event::Sent { token, result, buffer });
            }
            Writer::File { token, .. } => {
                // As it was before: blocking.
                let result = result.and(net::set_nonblocking(fd, false));
                events.push(Event::FileSent { token, result });
            }
        }
    }

    /// Takes what the kernel has to say, waiting at most `timeout`.
    fn ask(&mut self, timeout: EpollTimeout, events: &mut Vec<Event>) -> io::Result<()> {
        let mut timeout = timeout;
        let mut room = std::mem::take(&mut self.room);
        for _ in 0..BATCHES_MAX {
            let count = match self.epoll.wait(&mut room, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(errno) => {
                    self.room = room;
                    return Err(errno.into());
                }
            };
            for event in &room[..count] {
                self.happened(event.data(), event.events(), events);
            }
            if count < BATCH {
                break;
            }
            timeout = EpollTimeout::ZERO;
        }
        self.room = room;
        Ok(())
    }

    fn happened(&mut self, data: u64, flags: EpollFlags, events: &mut Vec<Event>) {
        let number = usize::try_from(data & 0xffff_ffff).expect("32 bits");
        match data >> 56 {
            TAG_WATCH => events.push(Event::Readable { token: self.watches[number] }),
            TAG_DOOR => self.welcome(number, events),
            TAG_BELL => self.help_came(events),
            _ => self.connection_is_ready(RawFd::try_from(number).expect("an int"), flags, events),
        }
    }

    fn connection_is_ready(&mut self, fd: RawFd, flags: EpollFlags, events: &mut Vec<Event>) {
        let place = &mut self.places[index(fd)];
        if flags.intersects(READ | ENDS) {
            place.likely = true;
            place.ended |= flags.intersects(EpollFlags::EPOLLRDHUP | ENDS);
            self.read(fd, events);
        }
        if flags.intersects(WRITE | ENDS) {
            self.write_on(fd, events);
        }
    }

    /// Tries the receives that found the stock empty.
    fn feed_starved(&mut self) {
        while self.stock.room().is_some() {
            let Some((fd, token)) = self.starved.pop_front() else { return };
            self.places[index(fd)].likely = true;
            self.begin_read(fd, Reader::Pooled(token));
        }
    }
}

/// The operation is over before it began.
fn failed(reader: Reader, error: io::Error) -> Event {
    match reader {
        Reader::Pooled(token) => Event::Received { token, result: Err(error) },
        Reader::Into { token, buffer, .. } => Event::Filled { token, result: Err(error), buffer },
    }
}

/// Where a descriptor's place is.
fn index(fd: RawFd) -> usize {
    usize::try_from(fd).expect("descriptors are numbered from 0")
}

/// As the kernel takes it: whole milliseconds, rather later than sooner.
fn whole(timeout: Option<Duration>) -> EpollTimeout {
    let ms = timeout.map(|timeout| timeout.as_micros().div_ceil(1000));
    ms.map_or(EpollTimeout::NONE, |ms| EpollTimeout::try_from(ms).unwrap_or(EpollTimeout::MAX))
}

impl Reactor for Epoll {
    fn adopt(&mut self, listener: RawFd) -> io::Result<()> {
        net::set_nonblocking(listener, true)
    }

    fn accept(&mut self, listener: RawFd, token: Token) {
        self.expect_guest(listener, token);
    }

    fn recv(&mut self, fd: RawFd, token: Token) {
        self.begin_read(fd, Reader::Pooled(token));
    }

    fn recv_into(&mut self, fd: RawFd, token: Token, buffer: Vec<u8>, max: usize) {
        self.begin_read(fd, Reader::Into { token, buffer, max });
    }

    fn send(&mut self, then: Then, token: Token, buffer: Payload, notice: Notice) {
        let (fd, ends, owned) = (then.fd(), matches!(then, Then::End(_)), then.into_owned());
        debug_assert!(self.place(fd).writer.is_none(), "one send at a time");
        self.place(fd).writer = Some(Box::new(Writer::Bytes { token, buffer, sent: 0, owned, ends }));
        let mut ready = std::mem::take(&mut self.ready);
        self.write_on(fd, &mut ready);
        if notice == Notice::Lazy
            && matches!(ready.last(), Some(Event::Sent { token: of, .. }) if *of == token)
        {
            self.lazy.extend(ready.pop());
        }
        self.ready = ready;
    }

    fn send_file(&mut self, fd: RawFd, token: Token, file: Arc<OwnedFd>, offset: u64, len: u64) {
        self.begin_file(fd, token, Outgoing::new(file, offset, len));
    }

    fn write(&mut self, file: &Arc<File>, token: Token, buffer: Vec<u8>, offset: Option<u64>) {
        self.begin_write(Arc::clone(file), token, buffer, offset);
    }

    fn watch(&mut self, fd: RawFd, token: Token) {
        let tag = TAG_WATCH << 56 | self.watches.len() as u64;
        self.watches.push(token);
        // SAFETY: the caller keeps the descriptor as long as the engine; it is only borrowed for this call.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        // Each write to it is told once, read or not.
        if let Err(errno) = self.epoll.add(borrowed, EpollEvent::new(EpollFlags::EPOLLIN | EDGE, tag)) {
            crate::log!("[uwring] epoll_ctl on descriptor {fd}: {errno}");
        }
    }

    fn cancel_accepts(&mut self, token: Token) {
        self.turn_away(token);
    }

    fn close(&mut self, fd: OwnedFd) {
        let raw = fd.as_raw_fd();
        if let Some(place) = self.places.get_mut(index(raw)) {
            let place = std::mem::take(place);
            if !place.armed.is_empty() {
                // Closing alone would not end it while a process the application forked has a copy.
                let _ = self.epoll.delete(&fd);
            }
        }
    }

    fn submit(&mut self) -> io::Result<()> {
        self.man_doors()
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        events.append(&mut self.lazy);
        // What is there already comes first, but not always: others must get their turn.
        let skip = !self.ready.is_empty() && !self.skipped && timeout != Some(Duration::ZERO);
        self.skipped = skip;
        let timeout = if self.ready.is_empty() { whole(timeout) } else { EpollTimeout::ZERO };
        events.append(&mut self.ready);
        if skip {
            return Ok(());
        }
        self.man_doors()?;
        self.asked += 1;
        self.ask(timeout, events)
    }

    fn bytes<'a>(&'a self, chunk: &'a Chunk) -> &'a [u8] {
        self.stock.bytes(chunk)
    }

    fn release(&mut self, chunk: Chunk) {
        self.stock.give_back(chunk);
        self.feed_starved();
    }
}

#[cfg(test)]
mod tests;
