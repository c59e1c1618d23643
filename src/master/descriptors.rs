//! `reload-on-fd`, `alarm-fd`: descriptors that the server was started with, read when there is something.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::lines;
use crate::options::descriptors::OnFd;
use crate::sys::{net, pipes};

/// Whoever writes faster than it is read does not keep the master: the next look reads on.
const READS_MAX: usize = 1_000;

/// Those that are watched.
#[derive(Debug, Default)]
pub struct Descriptors(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    /// A copy: the one that the server was started with stays open, for the next program.
    file: File,
    fd: i32,
    bytes: usize,
    leads_to: Vec<OnFd>,
}

impl Descriptors {
    /// Watches these. One that is not open is said, and no reason not to serve.
    pub fn new(wanted: &[OnFd]) -> Descriptors {
        let mut all: Vec<Watched> = Vec::new();
        for on in wanted {
            if let Some(other) = all.iter_mut().find(|other| other.fd == on.fd) {
                other.bytes = other.bytes.max(on.bytes);
                other.leads_to.push(on.clone());
                continue;
            }
            match pipes::copy(on.fd) {
                Ok(file) => {
                    if on.alarm.is_none() {
                        crate::logging::line(&lines::fd_watched(on.fd, on.bytes));
                    }
                    all.push(Watched { file, fd: on.fd, bytes: on.bytes, leads_to: vec![on.clone()] });
                }
                Err(cause) => crate::logging::line(&lines::fd_done(on.fd, &cause.to_string())),
            }
        }
        Descriptors(all)
    }

    /// What to wait on.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|watched| watched.file.as_fd())
    }

    /// Reads where there is something, and says what that leads to. What has ended is watched no more.
    pub fn look(&mut self) -> Vec<OnFd> {
        let mut found = Vec::new();
        self.0.retain_mut(|watched| {
            let (something, done) = watched.read();
            if something {
                found.extend(watched.leads_to.iter().cloned());
            }
            if let Some(why) = &done {
                crate::logging::line(&lines::fd_done(watched.fd, &why.to_string()));
            }
            done.is_none()
        });
        found
    }
}

impl Watched {
    /// Whether there was something; and why there will never be again.
    fn read(&mut self) -> (bool, Option<io::Error>) {
        let mut buffer = Vec::new();
        let mut something = false;
        for _ in 0..READS_MAX {
            // Whoever gave it to us may want reading to wait: only where something is there.
            if !net::is_readable(self.file.as_raw_fd()) {
                break;
            }
            buffer.resize(self.bytes, 0);
            match self.file.read(&mut buffer) {
                Ok(0) => {
                    let end = io::Error::new(io::ErrorKind::UnexpectedEof, "its other end was closed");
                    return (something, Some(end));
                }
                Ok(_) => something = true,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    _ => return (something, Some(error)),
                },
            }
        }
        (something, None)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::sys::event;

    fn watching(fd: &OwnedFd, wanted: &[&str]) -> Descriptors {
        let on = |text: &&str| match text.split_once(' ') {
            Some((alarm, rest)) => OnFd::alarm(&format!("{alarm} {}{rest}", fd.as_raw_fd())),
            None => OnFd::reload(&format!("{}{text}", fd.as_raw_fd())),
        };
        Descriptors::new(&wanted.iter().map(|text| on(text).expect("read")).collect::<Vec<_>>())
    }

    fn names(found: Vec<OnFd>) -> Vec<String> {
        found.into_iter().map(|on| on.alarm.unwrap_or_else(|| "reload".to_owned())).collect()
    }

    #[test]
    fn whatever_was_written_leads_to_one_thing_each() {
        let (read, write) = pipes::pipe().expect("a pipe");
        let mut descriptors = watching(&read, &["", "disk :64 full"]);
        assert_eq!(descriptors.fds().count(), 1);
        assert!(descriptors.look().is_empty());
        for text in [&b"x"[..], &[b'x'; 1_000]] {
            pipes::put(write.as_raw_fd(), text).expect("written");
            assert_eq!(names(descriptors.look()), ["reload", "disk"]);
            assert!(descriptors.look().is_empty());
        }
    }

    #[test]
    fn a_counter_is_taken_whole_whatever_length_is_given() {
        let counter = event::new().expect("an eventfd");
        for length in ["", ":1", ":8", ":64"] {
            let mut descriptors = watching(&counter, &[length]);
            event::signal(counter.as_raw_fd()).expect("signalled");
            event::signal(counter.as_raw_fd()).expect("signalled");
            assert_eq!(names(descriptors.look()), ["reload"], "{length}");
            assert!(descriptors.look().is_empty(), "{length}");
        }
    }

    #[test]
    fn an_end_is_the_end_and_what_came_before_counts() {
        let (read, write) = pipes::pipe().expect("a pipe");
        let mut descriptors = watching(&read, &[""]);
        pipes::put(write.as_raw_fd(), b"last words").expect("written");
        drop(write);
        assert_eq!(names(descriptors.look()), ["reload"]);
        assert_eq!((descriptors.fds().count(), descriptors.look().len()), (0, 0));
        let closed = OnFd::reload("987654").expect("read");
        assert_eq!(Descriptors::new(&[closed]).fds().count(), 0);
    }
}
