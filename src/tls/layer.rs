//! An engine whose connections to TLS sockets look like plain ones: what the caller asks for is done with ciphertext on the
//! engine below, and its events come when the plaintext is there, or out. Other connections pass through.
//!
//! Each connection has at most one receive and one send below. Handshakes, alerts and tickets are sent by the layer itself,
//! between the caller's. A caller that gives a connection up while such a send is under way need not know.

mod line;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use slab::Slab;

use self::line::{Asked, Line, Outgoing, Source};
use super::shop::Shop;
use crate::engine::{Chunk, Event, Notice, Payload, Reactor, Then, Token};

/// Names of the layer's own operations below: this bit, and the line's number.
const OWN: u64 = 1 << 63;
/// Buffers for ciphertext that are kept: of a piece each, 2 MiB at most.
const SPARES: usize = 32;

/// See the module's page.
pub struct Layer<R> {
    below: R,
    shop: Arc<Shop>,
    /// Identities of the listening sockets that speak TLS.
    covered: HashMap<RawFd, usize>,
    /// The same by the name of their accepts.
    accepts: HashMap<Token, usize>,
    lines: Slab<Line>,
    /// Lines of the connections that the caller has.
    by_fd: HashMap<RawFd, usize>,
    /// Plaintext in the caller's hands.
    chunks: Slab<Vec<u8>>,
    /// Memory for ciphertext.
    spares: Vec<Vec<u8>>,
    /// Events of the caller's that are ready.
    ready: Vec<Event>,
    /// Those of the engine below.
    raw: Vec<Event>,
}

impl<R: Reactor> Layer<R> {
    /// Over `below`, for the listening sockets `covered`, each with the number of its identity.
    pub fn new(below: R, shop: Arc<Shop>, covered: impl IntoIterator<Item = (RawFd, usize)>) -> Layer<R> {
        Layer {
            below,
            shop,
            covered: covered.into_iter().collect(),
            accepts: HashMap::new(),
            lines: Slab::new(),
            by_fd: HashMap::new(),
            chunks: Slab::new(),
            spares: Vec::new(),
            ready: Vec::new(),
            raw: Vec::new(),
        }
    }

    fn line_of(&self, fd: RawFd) -> Option<usize> {
        self.by_fd.get(&fd).copied()
    }

    /// Gives the caller what there is for it, or receives more.
    fn serve(&mut self, at: usize) {
        let line = &mut self.lines[at];
        if matches!(line.asked, Asked::Nothing) {
            return;
        }
        if line.session.has_plain() {
            let event = match std::mem::replace(&mut line.asked, Asked::Nothing) {
                Asked::Chunk(token) => {
                    let plain = line.session.take_plain();
                    let len = plain.len();
                    Event::Received { token, result: Ok(Chunk::of_layer(self.chunks.insert(plain), len)) }
                }
                Asked::Filled { token, mut buffer, max } => {
                    let n = line.session.append_plain(&mut buffer, max);
                    Event::Filled { token, result: Ok(n), buffer }
                }
                Asked::Nothing => return,
            };
            self.ready.push(event);
        } else if let Some(over) = line.over() {
            match std::mem::replace(&mut line.asked, Asked::Nothing) {
                Asked::Chunk(token) => {
                    self.ready.push(Event::Received { token, result: over.map(|()| None) })
                }
                Asked::Filled { token, buffer, .. } => {
                    self.ready.push(Event::Filled { token, result: over.map(|()| 0), buffer });
                }
                Asked::Nothing => {}
            }
        } else if !line.receiving {
            line.receiving = true;
            self.below.recv(line.fd, own(at));
        }
    }

    /// Sends what there is to send, a piece at a time.
    fn push(&mut self, at: usize) {
        let line = &mut self.lines[at];
        if line.sending {
            return;
        }
        let mut cipher = self.spares.pop().unwrap_or_default();
        let prepared = line.prepare(&mut cipher);
        if let Err(error) = prepared {
            self.recycle(cipher);
            return self.finish(at, Err(error));
        }
        let last = line.outgoing.as_ref().is_some_and(Outgoing::is_over);
        if cipher.is_empty() {
            self.recycle(cipher);
            if last {
                self.finish(at, Ok(()));
            }
            return;
        }
        line.sending = true;
        let notice = match &line.outgoing {
            Some(outgoing) if last => outgoing.notice,
            _ => Notice::Prompt,
        };
        line.lazy = notice == Notice::Lazy;
        let then = match line.outgoing.as_mut().filter(|_| last).and_then(|outgoing| outgoing.closing.take())
        {
            Some(fd) => {
                self.by_fd.remove(&line.fd);
                line.closed = true;
                Then::End(fd)
            }
            None => Then::Keep(line.fd),
        };
        self.below.send(then, own(at), cipher.into(), notice);
    }

    /// What the caller sends is out, or cannot be sent.
    fn finish(&mut self, at: usize, result: io::Result<()>) {
        let line = &mut self.lines[at];
        let Some(outgoing) = line.outgoing.take() else { return };
        let Outgoing { token, source, closing, .. } = outgoing;
        self.ready.push(match source {
            Source::Bytes { buffer, .. } => Event::Sent { token, result, buffer },
            Source::File { .. } => Event::FileSent { token, result },
        });
        if let Some(fd) = closing {
            self.end(at, fd);
        }
    }

    fn start(&mut self, at: usize, outgoing: Outgoing) {
        let line = &mut self.lines[at];
        debug_assert!(line.outgoing.is_none(), "one send at a time");
        line.outgoing = Some(outgoing);
        self.push(at);
    }

    /// An event of the layer's own operations.
    fn translate(&mut self, at: usize, event: Event) {
        match event {
            Event::Received { result, .. } => self.received(at, result),
            Event::Sent { result, buffer, .. } => self.sent(at, result, buffer.into_own()),
            Event::Progress { .. } => self.progressed(at),
            // Nothing else is asked for under these names.
            _ => {}
        }
    }

    fn received(&mut self, at: usize, result: io::Result<Option<Chunk>>) {
        let line = &mut self.lines[at];
        line.receiving = false;
        match result {
            Ok(Some(chunk)) => {
                line.take(self.below.bytes(&chunk));
                self.below.release(chunk);
            }
            Ok(None) => line.come_to_end(Ok(())),
            Err(error) => line.come_to_end(Err(error)),
        }
        if self.is_gone(at) {
            return;
        }
        self.push(at);
        self.serve(at);
    }

    fn recycle(&mut self, mut cipher: Vec<u8>) {
        if self.spares.len() < SPARES {
            cipher.clear();
            self.spares.push(cipher);
        }
    }

    fn sent(&mut self, at: usize, result: io::Result<()>, buffer: Vec<u8>) {
        self.recycle(buffer);
        let line = &mut self.lines[at];
        line.sending = false;
        if line.closed {
            self.finish(at, result);
            self.lines.remove(at);
            return;
        }
        if self.is_gone(at) {
            return;
        }
        let line = &mut self.lines[at];
        let over = line.outgoing.as_ref().is_some_and(Outgoing::is_over);
        match result {
            Err(error) => self.finish(at, Err(error)),
            Ok(()) if over => {
                self.finish(at, Ok(()));
                self.push_if_there(at);
            }
            Ok(()) => {
                self.progressed(at);
                self.push(at);
            }
        }
    }

    fn push_if_there(&mut self, at: usize) {
        if self.lines.contains(at) {
            self.push(at);
        }
    }

    fn progressed(&mut self, at: usize) {
        if let Some(Outgoing { token, .. }) = &self.lines[at].outgoing {
            self.ready.push(Event::Progress { token: *token });
        }
    }

    /// The caller has given the connection up: closes it when nothing is under way below.
    fn end(&mut self, at: usize, fd: OwnedFd) {
        let line = &mut self.lines[at];
        self.by_fd.remove(&line.fd);
        line.say_end();
        if line.receiving || line.sending {
            self.below.shutdown(line.fd);
            line.parting = Some(fd);
            return;
        }
        self.lines.remove(at);
        self.below.close(fd);
    }

    /// Whether the caller has given the connection up; closes it when that can be.
    fn is_gone(&mut self, at: usize) -> bool {
        let line = &mut self.lines[at];
        if line.parting.is_none() {
            return false;
        }
        if let Some(fd) = line.parting.take_if(|_| !line.receiving && !line.sending) {
            self.lines.remove(at);
            self.below.close(fd);
        }
        true
    }
}

fn own(at: usize) -> Token {
    Token(OWN | at as u64)
}

/// The line an event is for; `None`: it is the caller's.
fn line_named(event: &Event) -> Option<usize> {
    let token = event.token();
    (token.0 & OWN != 0).then(|| usize::try_from(token.0 & !OWN).expect("a slab's index"))
}

impl<R: Reactor> Reactor for Layer<R> {
    fn adopt(&mut self, listener: RawFd) -> io::Result<()> {
        self.below.adopt(listener)
    }

    fn accept(&mut self, listener: RawFd, token: Token) {
        if let Some(number) = self.covered.get(&listener) {
            self.accepts.insert(token, *number);
        }
        self.below.accept(listener, token);
    }

    fn recv(&mut self, fd: RawFd, token: Token) {
        let Some(at) = self.line_of(fd) else { return self.below.recv(fd, token) };
        self.lines[at].asked = Asked::Chunk(token);
        self.serve(at);
    }

    fn recv_into(&mut self, fd: RawFd, token: Token, buffer: Vec<u8>, max: usize) {
        let Some(at) = self.line_of(fd) else { return self.below.recv_into(fd, token, buffer, max) };
        self.lines[at].asked = Asked::Filled { token, buffer, max };
        self.serve(at);
    }

    fn send(&mut self, then: Then, token: Token, buffer: Payload, notice: Notice) {
        let Some(at) = self.line_of(then.fd()) else { return self.below.send(then, token, buffer, notice) };
        let closing = then.into_owned();
        self.start(at, Outgoing { token, source: Source::Bytes { buffer, at: 0 }, closing, notice });
    }

    fn send_file(&mut self, fd: RawFd, token: Token, file: Arc<OwnedFd>, offset: u64, len: u64) {
        let Some(at) = self.line_of(fd) else { return self.below.send_file(fd, token, file, offset, len) };
        let source = Source::File { file, offset, left: len };
        self.start(at, Outgoing { token, source, closing: None, notice: Notice::Prompt });
    }

    fn write(&mut self, file: &Arc<File>, token: Token, buffer: Vec<u8>, offset: Option<u64>) {
        self.below.write(file, token, buffer, offset);
    }

    fn watch(&mut self, fd: RawFd, token: Token) {
        self.below.watch(fd, token);
    }

    fn cancel_accepts(&mut self, token: Token) {
        self.below.cancel_accepts(token);
    }

    fn close(&mut self, fd: OwnedFd) {
        match self.line_of(fd.as_raw_fd()) {
            Some(at) => self.end(at, fd),
            None => self.below.close(fd),
        }
    }

    fn submit(&mut self) -> io::Result<()> {
        self.below.submit()
    }

    fn wait(&mut self, timeout: Option<Duration>, events: &mut Vec<Event>) -> io::Result<()> {
        let timeout = if self.ready.is_empty() { timeout } else { Some(Duration::ZERO) };
        let mut raw = std::mem::take(&mut self.raw);
        let waited = self.below.wait(timeout, &mut raw);
        for event in raw.drain(..) {
            match line_named(&event) {
                Some(at) => self.translate(at, event),
                None => {
                    if let Event::Accepted { token, result: Ok(fd) } = &event
                        && let Some(number) = self.accepts.get(token)
                    {
                        let line = Line::new(fd.as_raw_fd(), Arc::clone(&self.shop), *number);
                        self.by_fd.insert(fd.as_raw_fd(), self.lines.insert(line));
                    }
                    events.push(event);
                }
            }
        }
        self.raw = raw;
        events.append(&mut self.ready);
        waited
    }

    fn bytes<'a>(&'a self, chunk: &'a Chunk) -> &'a [u8] {
        match chunk.layer_number() {
            Some(number) => &self.chunks[number],
            None => self.below.bytes(chunk),
        }
    }

    fn release(&mut self, chunk: Chunk) {
        match chunk.layer_number() {
            Some(number) => drop(self.chunks.remove(number)),
            None => self.below.release(chunk),
        }
    }

    fn is_open_to_all(&self, fd: RawFd) -> bool {
        self.line_of(fd).is_none()
    }

    fn told(&self, fd: RawFd) -> Option<&[(&'static str, Vec<u8>)]> {
        let told = self.lines[self.line_of(fd)?].session.told();
        (!told.is_empty()).then_some(told)
    }

    fn send_aside(&mut self, fd: RawFd, bytes: &[u8]) {
        let Some(at) = self.line_of(fd) else { return self.below.send_aside(fd, bytes) };
        // Before the handshake there is nobody to tell.
        let _ = self.lines[at].session.write(bytes);
        self.push(at);
    }

    fn shutdown(&mut self, fd: RawFd) {
        if let Some(at) = self.line_of(fd) {
            self.lines[at].say_end();
        }
        self.below.shutdown(fd);
    }

    fn shutdown_write(&mut self, fd: RawFd) {
        if let Some(at) = self.line_of(fd) {
            self.lines[at].say_end();
        }
        self.below.shutdown_write(fd);
    }
}

#[cfg(test)]
mod tests;
