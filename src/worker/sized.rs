//! Bodies of a known size: where they go, and how much of one is received at once.

use std::io;
use std::os::fd::RawFd;

use super::job::Job;
use super::serve::Desk;
use crate::base::limits;
use crate::request::Version;
use crate::sys::net;

/// Body bytes received, or written to a spool file, at once; those kept in memory as many as have come, if that is more, and
/// all that are left where there is room for them.
pub const PIECE_BYTES: usize = 64 * 1024;

/// Where a body goes that is not all here, before the application sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Into memory.
    Memory,
    /// Into a temporary file.
    File,
    /// Nowhere: the application reads it from the connection.
    Stream,
}

/// What was received of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Come {
    /// A whole request.
    Whole,
    /// One whose body is on its way.
    Part,
    /// Anything else.
    Else,
}

impl Desk {
    /// Where the body of a request goes, with memory for a large one.
    pub(super) fn keep_where(&self, job: &mut Job) -> Keep {
        let buffering = self.plan.settings.request.post_buffering;
        let faces_clients = self.plan.listeners[job.listener].faces_clients;
        let http = job.request.version != Version::Uwsgi;
        if job.body_len <= limits::BODY_MEMORY_MAX.max(buffering) {
            Keep::Memory
        } else if buffering == 0 && !faces_clients && !http {
            Keep::Stream
        } else {
            job.granted = if buffering == 0 { self.allowance.grant(job.body_len) } else { None };
            if job.granted.is_some() { Keep::Memory } else { Keep::File }
        }
    }
}

/// Makes room where it was granted.
pub fn make_room(job: &mut Job) {
    if job.granted.is_some() {
        // Room, not memory: that is taken as bytes come. Else each doubling would copy them.
        job.body.reserve_exact(usize::try_from(job.body_len).unwrap_or(0).saturating_add(1));
    }
}

/// What came behind the head is in the body: the head alone stays. It can be as long as all that an interpreter thread has
/// received before it passed the connection on, and nobody counts that.
pub fn cut_head(job: &mut Job) {
    job.head.truncate(job.request.head_bytes);
    job.head.shrink_to(limits::POOL_BUFFER_BYTES);
}

/// How many bytes of a body are received at once, so far as memory is concerned.
pub fn at_once(job: &Job) -> usize {
    match (&job.spool, &job.granted) {
        (Some(_), _) => PIECE_BYTES,
        // There is room for all of it.
        (None, Some(_)) => usize::MAX,
        // Memory grows with what has come, not with what is promised.
        (None, None) => job.body.len().max(PIECE_BYTES),
    }
}

/// Receives what is here of the rest of a body, into memory.
pub fn receive_now(job: &mut Job, fd: RawFd) -> Come {
    loop {
        let left = usize::try_from(job.body_len).unwrap_or(usize::MAX).saturating_sub(job.body.len());
        if left == 0 {
            return Come::Whole;
        }
        // One more byte tells of a client that sends on.
        let max = at_once(job).min(left.saturating_add(1));
        match net::append_now(fd, &mut job.body, max) {
            Ok(n) if n > left => return Come::Else,
            Ok(n) if n == left || n == max => {}
            Ok(1..) => return Come::Part,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Come::Part,
            // An end and an error are found again where all others are.
            Ok(0) | Err(_) => return Come::Else,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::worker::allowance::Allowance;

    /// A job that waits for a body of so many bytes, its connection, and its client.
    fn waiting(body_len: u64) -> (Job, UnixStream, UnixStream) {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        (Job { body_len, ..Job::default() }, ours, theirs)
    }

    #[test]
    fn a_body_comes_in_as_many_parts_as_it_likes() {
        let (mut job, ours, mut theirs) = waiting(6);
        let come = |job: &mut Job| receive_now(job, ours.as_raw_fd());
        assert_eq!(come(&mut job), Come::Part, "nothing is here");
        theirs.write_all(b"abc").expect("sent");
        assert_eq!(come(&mut job), Come::Part);
        theirs.write_all(b"def").expect("sent");
        assert_eq!((come(&mut job), job.body.as_slice()), (Come::Whole, &b"abcdef"[..]));
    }

    #[test]
    fn a_large_one_is_received_piece_by_piece() {
        let len = PIECE_BYTES as u64 * 2 + 1;
        let (mut job, ours, mut theirs) = waiting(len);
        theirs.write_all(&vec![b'x'; PIECE_BYTES]).expect("sent");
        assert_eq!(receive_now(&mut job, ours.as_raw_fd()), Come::Part);
        assert!(job.body.capacity() <= 2 * PIECE_BYTES, "no room for what was only promised");
        theirs.write_all(&vec![b'y'; PIECE_BYTES + 1]).expect("sent");
        assert_eq!(receive_now(&mut job, ours.as_raw_fd()), Come::Whole);
        assert_eq!(job.body.len() as u64, len);
        assert!(job.body.ends_with(b"yy") && job.body.starts_with(b"xx"));
    }

    #[test]
    fn one_that_has_room_is_received_whole_and_moved_nowhere() {
        let (mut job, ours, mut theirs) = waiting(100_000);
        job.granted = Allowance::default().grant(job.body_len);
        make_room(&mut job);
        let place = job.body.as_ptr();
        theirs.write_all(&vec![b'x'; 100_000]).expect("sent");
        assert_eq!(receive_now(&mut job, ours.as_raw_fd()), Come::Whole);
        assert_eq!((job.body.len(), job.body.as_ptr()), (100_000, place));
    }

    #[test]
    fn behind_a_head_nothing_is_kept_twice() {
        let mut job = Job { head: vec![b'x'; 1 << 20], ..Job::default() };
        job.request.head_bytes = 100;
        cut_head(&mut job);
        assert!(job.head.len() == 100 && job.head.capacity() <= limits::POOL_BUFFER_BYTES);
    }

    #[test]
    fn who_sends_on_or_ends_is_for_others() {
        let (mut job, ours, mut theirs) = waiting(3);
        theirs.write_all(b"abc\r\n").expect("sent");
        assert_eq!((receive_now(&mut job, ours.as_raw_fd()), job.body.len()), (Come::Else, 4));
        let (mut job, ours, mut theirs) = waiting(3);
        theirs.write_all(b"ab").expect("sent");
        drop(theirs);
        assert_eq!(receive_now(&mut job, ours.as_raw_fd()), Come::Part);
        assert_eq!((receive_now(&mut job, ours.as_raw_fd()), job.body.as_slice()), (Come::Else, &b"ab"[..]));
    }
}
