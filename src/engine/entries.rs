//! What rings are asked for, and the wait for it.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use io_uring::{IoUring, opcode, squeue, types};

/// `IORING_ACCEPT_POLL_FIRST` (Linux 6.10), which the crate has no name for: a kernel that tries at once makes a socket and a
/// file before it finds out that nobody is there, and throws them away.
const WAIT_FIRST: u16 = 1 << 2;

/// One `enter`: everything submitted, at least one completion waited for unless `timeout` ends first.
pub fn enter(ring: &IoUring, timeout: Option<Duration>) -> io::Result<()> {
    let entered = match timeout {
        None => ring.submit_and_wait(1),
        Some(timeout) => {
            let time = types::Timespec::from(timeout);
            ring.submitter().submit_with_args(1, &types::SubmitArgs::new().timespec(&time))
        }
    };
    match entered {
        Ok(_) => Ok(()),
        // Interrupted, timed out, or completions must be read first: all of them are an ordinary turn.
        Err(e)
            if matches!(e.raw_os_error(), Some(libc::EINTR | libc::ETIME | libc::EBUSY | libc::EAGAIN)) =>
        {
            Ok(())
        }
        Err(e) => Err(e),
    }
}

/// Accepts one. `wait_first`: it is likely that nobody is there yet. Of [`can_wait_first`] kernels only.
pub fn accept(listener: RawFd, wait_first: bool) -> squeue::Entry {
    let entry = opcode::Accept::new(types::Fd(listener), std::ptr::null_mut(), std::ptr::null_mut())
        .flags(libc::SOCK_CLOEXEC)
        .build();
    if wait_first { with_priority(entry, WAIT_FIRST) } else { entry }
}

/// Whether the kernel knows what `wait_first` asks for: it came with bundles.
pub fn can_wait_first(ring: &IoUring) -> bool {
    ring.params().is_feature_recvsend_bundle()
}

/// Sets `ioprio`, where accepts have flags of their own.
fn with_priority(mut entry: squeue::Entry, flags: u16) -> squeue::Entry {
    const IOPRIO_AT: usize = 2;
    const { assert!(size_of::<squeue::Entry>() == 64) };
    let at = std::ptr::from_mut(&mut entry).cast::<u8>().wrapping_add(IOPRIO_AT).cast::<u16>();
    // SAFETY: an entry is a `struct io_uring_sqe` and nothing else (`repr(C)`, and of its size), of which these two aligned
    // bytes are `ioprio`; any number may be there.
    unsafe { at.write(flags) };
    entry
}

/// Waits until `fd` is ready; `multi`: each time.
pub fn poll(fd: RawFd, events: libc::c_short, multi: bool) -> squeue::Entry {
    opcode::PollAdd::new(types::Fd(fd), u32::from(events.cast_unsigned())).multi(multi).build()
}

/// Reports nothing where it goes well.
pub fn close(fd: RawFd) -> squeue::Entry {
    opcode::Close::new(types::Fd(fd)).build().flags(squeue::Flags::SKIP_SUCCESS)
}

/// The same.
pub fn cancel(data: u64) -> squeue::Entry {
    opcode::AsyncCancel::new(data).build().flags(squeue::Flags::SKIP_SUCCESS)
}

/// Sends `bytes`, which stay where they are until it has ended.
pub fn send(fd: RawFd, bytes: &[u8], flags: libc::c_int) -> squeue::Entry {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    opcode::Send::new(types::Fd(fd), bytes.as_ptr(), len).flags(libc::MSG_NOSIGNAL | flags).build()
}

/// Receives at most `max` bytes into `buffer`'s spare room, which stays where it is until it has ended.
pub fn receive(fd: RawFd, buffer: &mut Vec<u8>, max: usize) -> squeue::Entry {
    buffer.reserve(max);
    let len = u32::try_from(max).unwrap_or(u32::MAX);
    let room = buffer.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    opcode::Recv::new(types::Fd(fd), room, len).build()
}

/// Adds what [`receive`] has brought.
///
/// # Safety
/// `n` is its result, it was for this buffer, and that has not changed since.
pub unsafe fn received(buffer: &mut Vec<u8>, n: usize) {
    let len = buffer.len() + n;
    assert!(len <= buffer.capacity(), "the kernel was given the spare room only");
    // SAFETY: the kernel wrote `n` bytes at the old end, within the capacity.
    unsafe { buffer.set_len(len) };
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use super::*;

    fn result(ring: &mut IoUring, entry: squeue::Entry) -> i32 {
        // SAFETY: an accept without an address points nowhere.
        unsafe { ring.submission().push(&entry) }.expect("room");
        enter(ring, None).expect("waited");
        ring.completion().next().expect("one completion").result()
    }

    #[test]
    fn who_is_waited_for_first_is_accepted() {
        let Ok(mut ring) = IoUring::new(4) else { return eprintln!("skipped: no ring here") };
        let door = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = door.local_addr().expect("its address");
        let unknown = with_priority(accept(door.as_raw_fd(), false), 1 << 15);
        let _first = TcpStream::connect(address).expect("connected");
        assert_eq!(result(&mut ring, unknown), -libc::EINVAL, "the kernel reads them where they are put");
        for wait_first in [false, can_wait_first(&ring)] {
            let _client = TcpStream::connect(address).expect("connected");
            let fd = result(&mut ring, accept(door.as_raw_fd(), wait_first));
            assert!(fd >= 0, "{wait_first}: {}", io::Error::from_raw_os_error(-fd));
            // SAFETY: the kernel has just made it for us.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}
