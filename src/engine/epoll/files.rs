//! Files: sent to sockets, written to. What the kernel can do at once is done at once; what it would wait for is for a
//! helper.

use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use super::helpers::{Done, Job, Writing};
use super::{Epoll, Writer};
use crate::engine::sendfile::{Outgoing, Step};
use crate::engine::{Event, Token};
use crate::sys::{net, page_cache};

impl Epoll {
    pub(super) fn begin_file(&mut self, fd: RawFd, token: Token, out: Outgoing) {
        // Without it a full socket would hold the whole loop. A failure shows as a failing sendfile.
        let _ = net::set_nonblocking(fd, true);
        debug_assert!(self.place(fd).writer.is_none(), "one send at a time");
        let mut ready = std::mem::take(&mut self.ready);
        let writer = Box::new(Writer::File { token, out, fetching: false });
        self.file_on(fd, writer, false, &mut ready);
        self.ready = ready;
    }

    /// Sends the next slice of a file. `fetched`: it was waited for.
    pub(super) fn file_on(
        &mut self,
        fd: RawFd,
        mut writer: Box<Writer>,
        fetched: bool,
        events: &mut Vec<Event>,
    ) {
        let Writer::File { token, out, fetching } = &mut *writer else { return };
        *fetching = false;
        match out.step(fd, fetched) {
            Step::Cold(at) => {
                *fetching = true;
                self.disks.give(Job::Fetch { fd, file: Arc::clone(&out.file), at });
                self.place(fd).writer = Some(writer);
            }
            Step::Full => self.await_room(fd, writer, events),
            Step::Progress => {
                events.push(Event::Progress { token: *token });
                self.await_room(fd, writer, events);
            }
            Step::Over(result) => self.finish_write(fd, *writer, result, events),
        }
    }

    pub(super) fn begin_write(
        &mut self,
        file: Arc<File>,
        token: Token,
        buffer: Vec<u8>,
        offset: Option<u64>,
    ) {
        // Where that fails it would have to wait, or cannot tell.
        let done = page_cache::write_now(file.as_raw_fd(), &buffer, offset).unwrap_or(0);
        let writing = Writing { file, token, buffer, done, offset };
        if writing.done == writing.buffer.len() {
            self.ready.push(writing.end(Ok(())));
        } else if offset.is_some() {
            self.disks.give(Job::Write(writing));
        } else {
            self.streams.give(Job::Write(writing));
        }
    }

    /// Helpers have done something.
    pub(super) fn help_came(&mut self, events: &mut Vec<Event>) {
        for done in self.bell.take() {
            match done {
                Done::Told(event) => events.push(event),
                Done::Fetched(fd) => {
                    if let Some(writer) = self.place(fd).writer.take() {
                        self.file_on(fd, writer, true, events);
                    }
                }
            }
        }
    }
}
