//! Which engine runs here: the ring where the kernel gives it with all that it needs, else epoll.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::ring::Ring;
use super::{Event, Reactor, Token};
use crate::base::engine::Kind;

/// The kernel does not give what the ring needs.
#[derive(Debug, thiserror::Error)]
#[error("io_uring is not available: {call}: {cause}{hint}")]
pub struct Unavailable {
    call: &'static str,
    cause: io::Error,
    hint: &'static str,
}

impl Unavailable {
    /// System call `call` was refused with `cause`.
    pub(super) fn new(call: &'static str, cause: io::Error) -> Unavailable {
        Unavailable { call, hint: hint(&cause), cause }
    }
}

/// The likely cause of a refusal, and what to do.
fn hint(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            " (a container's seccomp profile forbids it, or the sysctl kernel.io_uring_disabled: allow the calls \
             io_uring_setup, io_uring_enter and io_uring_register)"
        }
        Some(libc::ENOSYS) => {
            " (the kernel was built without it, or a seccomp profile hides it; Linux 6.1 or later is needed)"
        }
        Some(libc::EINVAL) => " (Linux 6.1 or later is needed)",
        Some(libc::ENOMEM) => " (memory that may be locked is used up: see `ulimit -l`)",
        _ => "",
    }
}

/// The engine that was wanted cannot run.
#[derive(Debug, thiserror::Error)]
#[error("engine = io_uring, but {0}; with `engine = auto` uwring runs on epoll there (see docs/engines.md)")]
pub struct Refused(#[from] Unavailable);

/// An engine, and why this one.
#[derive(Debug)]
pub struct Choice {
    /// Which.
    pub kind: Kind,
    /// For the log.
    pub why: String,
    /// The kernel refused what would have been taken.
    pub is_second_best: bool,
}

/// What runs here; `wanted`: what was configured, if anything.
pub fn choose(wanted: Option<Kind>) -> Result<Choice, Refused> {
    decide(wanted, probe)
}

fn decide(wanted: Option<Kind>, probe: impl FnOnce() -> Result<(), Unavailable>) -> Result<Choice, Refused> {
    let configured =
        |kind: Kind| Choice { kind, why: format!("`engine = {}`", kind.name()), is_second_best: false };
    match wanted {
        Some(Kind::Epoll) => Ok(configured(Kind::Epoll)),
        Some(Kind::IoUring) => Ok(probe().map(|()| configured(Kind::IoUring))?),
        None => Ok(match probe() {
            Ok(()) => Choice {
                kind: Kind::IoUring,
                why: "this kernel has all that it needs".to_owned(),
                is_second_best: false,
            },
            Err(refusal) => Choice { kind: Kind::Epoll, why: refusal.to_string(), is_second_best: true },
        }),
    }
}

/// Tries what every worker will do after the fork: a ring with its buffers and one round trip. Once, at start, so
/// that a refusal is one clear line and not a loop of dying workers.
fn probe() -> Result<(), Unavailable> {
    let mut ring = Ring::new()?;
    round_trip(&mut ring).map_err(|cause| Unavailable::new("io_uring_enter", cause))
}

fn round_trip(ring: &mut Ring) -> io::Result<()> {
    let (ours, theirs) = UnixStream::pair()?;
    (&theirs).write_all(b"?")?;
    ring.recv(ours.as_raw_fd(), Token(0));
    let mut events = Vec::new();
    ring.wait(Some(Duration::from_secs(1)), &mut events)?;
    match events.pop() {
        Some(Event::Received { result, .. }) => result.map(drop),
        _ => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: i32) -> Unavailable {
        Unavailable::new("io_uring_setup", io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn a_refusal_names_its_likely_cause() {
        for (errno, word) in
            [(libc::EPERM, "seccomp"), (libc::ENOSYS, "6.1"), (libc::EINVAL, "6.1"), (libc::ENOMEM, "ulimit")]
        {
            let text = refused(errno).to_string();
            assert!(text.starts_with("io_uring is not available: io_uring_setup: "), "{text}");
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn the_ring_is_taken_where_there_is_one_and_epoll_elsewhere() {
        let kind =
            |wanted, probe: Result<(), Unavailable>| decide(wanted, || probe).map(|choice| choice.kind);
        for (wanted, there, without) in [
            (None, Some(Kind::IoUring), Some(Kind::Epoll)),
            (Some(Kind::IoUring), Some(Kind::IoUring), None),
            (Some(Kind::Epoll), Some(Kind::Epoll), Some(Kind::Epoll)),
        ] {
            assert_eq!(kind(wanted, Ok(())).ok(), there);
            assert_eq!(kind(wanted, Err(refused(libc::ENOSYS))).ok(), without);
        }
    }

    #[test]
    fn who_wants_the_ring_and_cannot_have_it_is_told_what_to_do() {
        let error = decide(Some(Kind::IoUring), || Err(refused(libc::EPERM))).expect_err("refused");
        let text = error.to_string();
        for word in ["engine = io_uring", "io_uring_register", "engine = auto", "docs/engines.md"] {
            assert!(text.contains(word), "{text}");
        }
    }

    #[test]
    fn epoll_is_not_asked_for_by_a_probe() {
        let choice = decide(Some(Kind::Epoll), || panic!("asked")).expect("always there");
        assert_eq!((choice.kind, choice.why.as_str()), (Kind::Epoll, "`engine = epoll`"));
    }
}
