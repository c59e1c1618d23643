//! A small ring of one thread that waits for one thing at a time: somebody at a listening socket, or bytes on a connection.
//! A bell ends the wait, and so does time; what came in that moment all the same is not lost.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::{IoUring, cqueue, squeue};

use super::entries;

/// One operation, its cancellation, and the bell.
const ENTRIES: u32 = 4;

const MAIN: u64 = 1;
const BELL: u64 = 2;
/// What nobody waits for.
const ASIDE: u64 = 3;

/// What ends a wait in which nothing comes. (A limit of time costs two changes of the processor's timer.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The bell.
    Bell,
    /// The bell, or so much time.
    BellOr(Duration),
    /// So much time; when the bell rings, it begins anew.
    Time(Duration),
}

impl Until {
    fn time(self) -> Option<Duration> {
        match self {
            Until::Bell => None,
            Until::BellOr(time) | Until::Time(time) => Some(time),
        }
    }
}

/// The ring. Whatever the kernel writes to is lent for the length of a call: no call returns before its operation has ended.
pub struct Solo {
    ring: IoUring,
    can_wait_first: bool,
    bell: RawFd,
}

impl Solo {
    /// For the calling thread. `bell`: an eventfd that outlives it.
    pub fn new(bell: RawFd) -> io::Result<Solo> {
        let mut builder = IoUring::builder();
        builder.dontfork().setup_single_issuer().setup_defer_taskrun().setup_submit_all();
        let ring = builder.build(ENTRIES)?;
        let mut solo = Solo { can_wait_first: entries::can_wait_first(&ring), ring, bell };
        solo.watch_bell();
        Ok(solo)
    }

    /// Accepts somebody at `listener`. `None`: nobody came. `wait_first`: it is likely that nobody is there yet.
    pub fn accept(&mut self, listener: RawFd, wait_first: bool, until: Until) -> io::Result<Option<OwnedFd>> {
        let accept = entries::accept(listener, wait_first && self.can_wait_first);
        let Some(fd) = self.carry_out(accept, until)? else { return Ok(None) };
        let fd = RawFd::try_from(fd).expect("the kernel numbers descriptors in an int");
        // SAFETY: the kernel has just made this descriptor for us; nobody else knows it.
        Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Receives once, at most `max` bytes, appending to `buffer`: how many; 0 at the end of the stream. `None`: nothing came.
    pub fn receive(
        &mut self,
        fd: RawFd,
        buffer: &mut Vec<u8>,
        max: usize,
        until: Until,
    ) -> io::Result<Option<usize>> {
        let entry = entries::receive(fd, buffer, max);
        let Some(n) = self.carry_out(entry, until)? else { return Ok(None) };
        // SAFETY: `carry_out` has brought it to its end, and `buffer` was borrowed all the while.
        unsafe { entries::received(buffer, n as usize) };
        Ok(Some(n as usize))
    }

    /// One operation to its end. `None`: it was ended before it came to anything.
    fn carry_out(&mut self, entry: squeue::Entry, until: Until) -> io::Result<Option<u32>> {
        self.push(entry.user_data(MAIN));
        let mut cancelled = false;
        loop {
            // If it fails, what is under way can neither be ended nor waited for, and its memory is on loan.
            entries::enter(&self.ring, until.time().filter(|_| !cancelled))
                .expect("the kernel takes an enter");
            let (result, rang) = self.look();
            match result {
                Some(result) if result >= 0 => return Ok(Some(result.cast_unsigned())),
                // Another program may have made the shared socket one that does not wait.
                Some(result) if matches!(-result, libc::ECANCELED | libc::EAGAIN | libc::EINTR) => {
                    return Ok(None);
                }
                Some(result) => return Err(io::Error::from_raw_os_error(-result)),
                None => {}
            }
            // Time is up, a signal has come, or the bell rang.
            let unheard = rang && matches!(until, Until::Time(_));
            if !cancelled && !unheard {
                self.push(entries::cancel(MAIN).user_data(ASIDE));
                cancelled = true;
            }
        }
    }

    fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: what the entry points to stays where it is until its completion was seen: `carry_out` does not return before.
        let pushed = unsafe { self.ring.submission().push(&entry) };
        assert!(pushed.is_ok(), "at most three entries are in a queue of four");
    }

    fn watch_bell(&mut self) {
        self.push(entries::poll(self.bell, libc::POLLIN, true).user_data(BELL));
    }

    /// The result of the operation, if it has ended; and whether the bell rang.
    fn look(&mut self) -> (Option<i32>, bool) {
        let (mut result, mut rang) = (None, false);
        loop {
            let next = self.ring.completion().next();
            let Some(entry) = next else { return (result, rang) };
            match entry.user_data() {
                MAIN => result = Some(entry.result()),
                BELL => {
                    rang = true;
                    if !cqueue::more(entry.flags()) {
                        self.watch_bell();
                    }
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread;

    use nix::sys::eventfd::{EfdFlags, EventFd};

    use super::*;

    /// A moment; nothing comes in it.
    const SHORT: Until = Until::BellOr(Duration::from_micros(200));

    /// `None`, and said: this machine gives no ring.
    fn solo() -> Option<(EventFd, Solo)> {
        let bell = EventFd::from_flags(EfdFlags::EFD_NONBLOCK).expect("an eventfd");
        match Solo::new(bell.as_raw_fd()) {
            Ok(solo) => Some((bell, solo)),
            Err(error) => {
                eprintln!("skipped: no ring here: {error}");
                None
            }
        }
    }

    fn door() -> (tempfile::TempDir, std::path::PathBuf, UnixListener) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("door");
        let listener = UnixListener::bind(&path).expect("bound");
        (folder, path, listener)
    }

    #[test]
    fn somebody_comes_and_speaks() {
        let Some((_bell, mut solo)) = solo() else { return };
        let (_folder, path, listener) = door();
        let mut client = UnixStream::connect(path).expect("connected");
        let next = solo.accept(listener.as_raw_fd(), false, Until::Bell).expect("no error");
        let next = next.expect("somebody");
        let mut buffer = b"before ".to_vec();
        assert_eq!(solo.receive(next.as_raw_fd(), &mut buffer, 100, SHORT).expect("no error"), None);
        client.write_all(b"hello").expect("written");
        assert_eq!(solo.receive(next.as_raw_fd(), &mut buffer, 3, Until::Bell).expect("no error"), Some(3));
        assert_eq!(solo.receive(next.as_raw_fd(), &mut buffer, 100, Until::Bell).expect("no error"), Some(2));
        assert_eq!(buffer, b"before hello");
        drop(client);
        assert_eq!(solo.receive(next.as_raw_fd(), &mut buffer, 100, Until::Bell).expect("no error"), Some(0));
        let wrong = solo.receive(listener.as_raw_fd(), &mut buffer, 100, Until::Bell);
        assert!(wrong.is_err(), "nothing can be received there");
    }

    #[test]
    fn the_bell_ends_a_wait_each_time() {
        let Some((bell, mut solo)) = solo() else { return };
        let (_folder, path, listener) = door();
        for _ in 0..3 {
            thread::scope(|scope| {
                scope.spawn(|| bell.write(1).expect("rung"));
                let came = solo.accept(listener.as_raw_fd(), true, Until::Bell);
                assert!(came.expect("no error").is_none());
            });
        }
        let _client = UnixStream::connect(path).expect("connected");
        let came = solo.accept(listener.as_raw_fd(), false, Until::Bell).expect("no error");
        assert!(came.is_some(), "whoever comes later is accepted");
    }

    #[test]
    fn the_bell_ends_no_wait_for_a_time() {
        let Some((bell, mut solo)) = solo() else { return };
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut buffer = Vec::new();
        bell.write(1).expect("rung");
        thread::scope(|scope| {
            scope.spawn(|| {
                bell.write(1).expect("rung");
                theirs.write_all(b"late").expect("written");
            });
            let until = Until::Time(Duration::from_secs(60));
            let came = solo.receive(ours.as_raw_fd(), &mut buffer, 100, until).expect("no error");
            assert_eq!(came, Some(4));
        });
        let until = Until::Time(Duration::from_micros(200));
        assert_eq!(solo.receive(ours.as_raw_fd(), &mut buffer, 100, until).expect("no error"), None);
    }

    #[test]
    fn who_comes_as_the_wait_ends_is_not_lost() {
        const CLIENTS: usize = 500;
        let Some((_bell, mut solo)) = solo() else { return };
        let (_folder, path, listener) = door();
        let clients = thread::spawn(move || {
            (0..CLIENTS)
                .map(|n| {
                    let mut client = UnixStream::connect(&path).expect("connected");
                    client.write_all(&n.to_ne_bytes()).expect("written");
                    client.read_exact(&mut [0]).expect("answered");
                })
                .count()
        });
        let mut served = 0;
        while served < CLIENTS {
            let time = Duration::from_micros(served as u64 % 40);
            let until = if served % 2 == 0 { Until::BellOr(time) } else { Until::Time(time) };
            let came = solo.accept(listener.as_raw_fd(), served % 3 == 0, until);
            let Some(guest) = came.expect("no error") else { continue };
            let mut buffer = Vec::new();
            while buffer.len() < 8 {
                solo.receive(guest.as_raw_fd(), &mut buffer, 8, until).expect("no error");
            }
            assert_eq!(buffer, served.to_ne_bytes(), "nothing twice, nothing left out");
            UnixStream::from(guest).write_all(b"!").expect("written");
            served += 1;
        }
        assert_eq!(clients.join().expect("no panic"), CLIENTS);
    }
}
