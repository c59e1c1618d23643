//! Processes: fork, wait, leave the terminal, limits.
//!
//! Forking is safe in the ways offered here, each of which says what it relies on. Nothing else in the server
//! calls `fork`.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{ForkResult, Pid};

/// On which side of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// The one that goes on; its child's pid.
    Parent(u32),
    /// The new one.
    Child,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// Somebody else took the status: the application waits for every child, or ignores SIGCHLD.
    Unknown,
}

/// Forks a process that has one thread. Refused where there are more: a lock which another thread holds at that
/// moment would stay locked in the child for ever.
pub fn fork_alone() -> io::Result<Fork> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads > 1 {
        return Err(io::Error::other(format!("{threads} threads run, fork wants one")));
    }
    fork()
}

/// Forks whatever other threads do: for the template, where the application may have started some. The C library
/// puts its own locks right in the child, the interpreter does by its hooks around this call, and of our code
/// none runs in another thread there. Log lines go out by `write`; the standard streams' locks are Rust's, and
/// are used by the one forking thread only.
pub fn fork_among_threads() -> io::Result<Fork> {
    fork()
}

fn fork() -> io::Result<Fork> {
    // SAFETY: the callers' comments say why no lock is left held by a thread that does not exist in the child.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Fork::Parent(child.as_raw().cast_unsigned())),
        ForkResult::Child => Ok(Fork::Child),
    }
}

/// Ends this process without destructors, exit handlers or flushing: they are the parent's.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes any number and runs no code of this process.
    unsafe { libc::_exit(code) }
}

/// The next child that has ended, if any, with its status; it is gone then.
pub fn reap() -> Option<(u32, Status)> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => {
                return Some((pid.as_raw().cast_unsigned(), Status::Exited(code)));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                return Some((pid.as_raw().cast_unsigned(), Status::Killed(signal as i32)));
            }
            // Real-time signals have no name there, and come as this.
            Err(Errno::EINVAL | Errno::EINTR) => {}
            Ok(WaitStatus::StillAlive) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

/// How child `pid` ended, once it did; it stays a zombie until [`bury`].
pub fn peek(pid: u32) -> Option<Status> {
    let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::Pid(Pid::from_raw(pid.cast_signed())), flags) {
        Ok(WaitStatus::Exited(_, code)) => Some(Status::Exited(code)),
        Ok(WaitStatus::Signaled(_, signal, _)) => Some(Status::Killed(signal as i32)),
        Err(Errno::ECHILD) => Some(Status::Unknown),
        _ => None,
    }
}

/// Takes the status of child `pid`, which has ended.
pub fn bury(pid: u32) {
    // It was seen by `peek`: if it is gone meanwhile, so much the better.
    let _ = waitpid(Pid::from_raw(pid.cast_signed()), Some(WaitPidFlag::WNOHANG));
}

/// A descriptor that stands for process `pid`: readable once it ended.
pub fn pidfd(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.cast_signed(), 0) };
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us (close-on-exec, as all pidfds are).
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Orphans among our descendants become our children: workers whose template died.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(prctl::set_child_subreaper(true)?)
}

/// The kernel kills this process when the one that forked it ends. `parent` is who that should be: it may have
/// ended already, and then nobody would send the signal.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if std::os::unix::process::parent_id() == parent {
        return Ok(());
    }
    exit_now(1);
}

/// Goes into the background: a new session, no terminal, standard input from nowhere. The calling process ends
/// with code 0; its grandchild returns. The caller sends the output elsewhere first.
pub fn daemonize() -> io::Result<()> {
    if fork_alone()? != Fork::Child {
        exit_now(0);
    }
    leave_terminal()
}

/// The second half of it, in a process that somebody else has forked.
pub fn leave_terminal() -> io::Result<()> {
    nix::unistd::setsid()?;
    // A second time: a session leader could still be given a terminal.
    if fork_alone()? != Fork::Child {
        exit_now(0);
    }
    null_stdin()
}

/// Standard input from nowhere.
pub fn null_stdin() -> io::Result<()> {
    let null = File::open("/dev/null")?;
    Ok(nix::unistd::dup2_stdin(&null)?)
}

/// Sends standard output and error to `file`.
pub fn redirect_output(file: &File) -> io::Result<()> {
    nix::unistd::dup2_stdout(file)?;
    Ok(nix::unistd::dup2_stderr(file)?)
}

/// Standard error by a descriptor of its own.
pub fn stderr_copy() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
}

/// Lets this process open `wanted` descriptors, as far as the hard limit allows: the limit now.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let raised = wanted.min(hard);
    if raised <= soft {
        return Ok(soft);
    }
    setrlimit(Resource::RLIMIT_NOFILE, raised, hard)?;
    Ok(raised)
}

/// Sets the mask for the modes of new files.
pub fn set_umask(mask: u32) {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(mask));
}

/// Sets (`Some`) or removes (`None`) a variable of this process's environment.
pub fn set_env(name: &str, value: Option<&str>) -> io::Result<()> {
    let broken =
        name.is_empty() || name.contains(['=', '\0']) || value.is_some_and(|value| value.contains('\0'));
    if broken || std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count) > 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match value {
        // SAFETY: this is the process's only thread (looked at above), so nobody reads the environment meanwhile.
        Some(value) => unsafe { std::env::set_var(name, value) },
        // SAFETY: as above.
        None => unsafe { std::env::remove_var(name) },
    }
    Ok(())
}

/// The kernel's number of the calling thread.
pub fn thread_id() -> u32 {
    nix::unistd::gettid().as_raw().cast_unsigned()
}

/// Whether there is a process of that id (or one that nobody has buried).
pub fn is_alive(pid: u32) -> bool {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH)
}

/// Sends this process a signal by its number.
pub fn signal_self(number: u32) -> io::Result<()> {
    let number = i32::try_from(number).map_err(io::Error::other)?;
    let pid = std::process::id().cast_signed();
    // By the number: those that have no name, the real-time ones, are signals too.
    // SAFETY: numbers only; what the signal does is what its handler, the application's or ours, does.
    match unsafe { libc::kill(pid, number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Where a thread of this process is in the kernel: its system call, and what it waits for.
pub fn whereabouts(thread: u32) -> String {
    let read = |file: &str| {
        let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/{file}"));
        text.map_or_else(|error| error.to_string(), |text| text.trim().to_owned())
    };
    format!("syscall {}, wchan {}", read("syscall"), read("wchan"))
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It runs, or waits for something that will come.
    Something,
    /// It was stopped by a signal.
    Stopped,
    /// A debugger has stopped it.
    Traced,
    /// There is no such process.
    Gone,
}

/// What process `pid` is doing, by its main thread.
pub fn doing(pid: u32) -> Doing {
    // Much longer than all that stands before its letter: one call reads it.
    let mut stat = [0; 128];
    let read = std::fs::File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut stat));
    let Ok(len) = read else { return Doing::Gone };
    // Its name, in parentheses, may contain anything; behind it are numbers.
    let letter = stat[..len].iter().rposition(|&byte| byte == b')').and_then(|end| stat.get(end + 2));
    match letter {
        Some(b'T') => Doing::Stopped,
        Some(b't') => Doing::Traced,
        _ => Doing::Something,
    }
}

/// Whether `fd` is the number of an open descriptor.
pub fn is_open(fd: RawFd) -> bool {
    // SAFETY: F_GETFD reads a flag of a number, which may be of nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}

/// Takes over descriptor `fd`, which another program opened for us, and has it closed on exec.
pub fn inherit(fd: RawFd) -> io::Result<OwnedFd> {
    // The standard ones are never ours alone.
    if fd <= 2 || !is_open(fd) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, and came with the process: the address or LISTEN_FDS that names it makes it ours.
    // `socket::adopt` takes each number once.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: plain numbers on a descriptor we own.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fd)
}

/// For tests: runs `body` in a child and says how it ended. The child writes nothing and ends by `_exit`.
#[cfg(test)]
pub(crate) fn in_child(body: impl FnOnce() -> i32) -> Status {
    match fork_among_threads().expect("forked") {
        Fork::Child => exit_now(body()),
        Fork::Parent(pid) => match waitpid(Pid::from_raw(pid.cast_signed()), None).expect("waited") {
            WaitStatus::Exited(_, code) => Status::Exited(code),
            WaitStatus::Signaled(_, signal, _) => Status::Killed(signal as i32),
            other => panic!("{other:?}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::event;

    #[test]
    fn forking_beside_threads_is_refused() {
        // The test harness has threads of its own.
        std::thread::spawn(|| assert!(fork_alone().is_err())).join().expect("joined");
    }

    #[test]
    fn an_ended_child_is_seen_before_it_is_buried() {
        let Fork::Parent(pid) = fork_among_threads().expect("forked") else { exit_now(9) };
        let pidfd = pidfd(pid).expect("a pidfd");
        assert_eq!(event::readable(&[pidfd.as_fd()], Some(5000)).expect("polled"), [true]);
        assert_eq!(peek(pid), Some(Status::Exited(9)));
        assert_eq!(peek(pid), Some(Status::Exited(9)));
        bury(pid);
        assert_eq!(peek(pid), Some(Status::Unknown));
    }

    #[test]
    fn a_signal_reaches_the_process_behind_a_pidfd() {
        let Fork::Parent(pid) = fork_among_threads().expect("forked") else {
            loop {
                std::thread::park();
            }
        };
        let pidfd = pidfd(pid).expect("a pidfd");
        assert_eq!(peek(pid), None);
        crate::sys::signals::send(&pidfd, Signal::SIGKILL).expect("sent");
        assert_eq!(event::readable(&[pidfd.as_fd()], Some(5000)).expect("polled"), [true]);
        assert_eq!(peek(pid), Some(Status::Killed(9)));
        bury(pid);
    }

    #[test]
    fn a_number_of_nothing_is_not_taken_over() {
        assert_eq!(inherit(2).expect_err("standard error").raw_os_error(), Some(libc::EBADF));
        assert_eq!(inherit(987_654).expect_err("closed").raw_os_error(), Some(libc::EBADF));
    }
}
