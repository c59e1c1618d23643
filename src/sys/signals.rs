//! Signals. The master blocks them and reads a descriptor; the template sleeps through them; a worker has
//! handlers that leave a note and ring a bell, and do nothing else.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::os::raw::c_int;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use super::event;
pub use nix::sys::signal::Signal;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, pthread_sigmask, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde::{Deserialize, Serialize};

/// What a worker shall do. Later ones outrank earlier ones.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Command {
    /// Serve.
    #[default]
    Run = 0,
    /// Take nothing new, finish what is in hand, end: others serve who waits, or will.
    Yield = 1,
    /// The same, and who waits is served first: nobody else may be left.
    Drain = 2,
    /// End now.
    Quit = 3,
}

impl Command {
    /// From its number; what is no number of a command ends the worker.
    pub fn from_word(word: u32) -> Command {
        match word {
            0 => Command::Run,
            1 => Command::Yield,
            2 => Command::Drain,
            _ => Command::Quit,
        }
    }
}

/// What the master listens to. SIGPIPE is ignored already (the Rust runtime does it, for every process here).
const MASTER: [Signal; 11] = [
    Signal::SIGHUP,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGWINCH,
    Signal::SIGCHLD,
];
/// What a worker, and the template, must not die of: a terminal sends it to all of them at once.
const SENT_TO_ALL: [Signal; 4] = [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT, Signal::SIGQUIT];

/// The worker's note: the highest [`Command`] that a signal asked for.
static ASKED: AtomicU32 = AtomicU32::new(Command::Run as u32);
/// The worker's other note: somebody wants to see what it does.
static DUMP: AtomicBool = AtomicBool::new(false);
/// The worker's bell, an eventfd, or -1.
static BELL: AtomicI32 = AtomicI32::new(-1);
/// The process that set the handlers.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// The master's signals, read instead of handled.
#[derive(Debug)]
pub struct SignalReader(SignalFd);

impl SignalReader {
    /// Blocks the master's signals and reads them from now on. Those sent before are not lost if they were
    /// blocked already ([`block`]).
    pub fn new() -> io::Result<SignalReader> {
        block()?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        Ok(SignalReader(SignalFd::with_flags(&masters(), flags)?))
    }

    /// The next signal that has come.
    pub fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok().flatten()?;
        Signal::try_from(c_int::try_from(info.ssi_signo).ok()?).ok()
    }
}

impl AsFd for SignalReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Keeps the master's signals waiting until a [`SignalReader`] takes them.
pub fn block() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&masters()), None)?)
}

/// Whether the master's signals come is another matter as long as this lives. It holds what was so before.
#[derive(Debug)]
pub struct Meanwhile(SigSet);

impl Meanwhile {
    /// They wait: around a fork, so that a child gets them with its own handlers, and the parent does not take them for it.
    pub fn held() -> io::Result<Meanwhile> {
        Meanwhile::set(SigmaskHow::SIG_BLOCK)
    }

    /// They come, and do what they do to any program: around waiting that nothing else would end.
    pub fn open() -> io::Result<Meanwhile> {
        Meanwhile::set(SigmaskHow::SIG_UNBLOCK)
    }

    fn set(how: SigmaskHow) -> io::Result<Meanwhile> {
        let mut before = SigSet::empty();
        pthread_sigmask(how, Some(&masters()), Some(&mut before))?;
        Ok(Meanwhile(before))
    }
}

impl Drop for Meanwhile {
    fn drop(&mut self) {
        // Only a wrong first argument is refused.
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.0), None);
    }
}

fn masters() -> SigSet {
    MASTER.into_iter().collect()
}

/// In a freshly forked child of a test: dispositions as a program expects them, and nothing blocked.
#[cfg(test)]
pub fn reset() -> io::Result<()> {
    defaults().and_then(|()| unblock())
}

/// In the template: dispositions as a program expects them, and nothing blocked; but what is sent to the whole process
/// group at once does nothing, and neither does the master's USR2 until the interpreter has a handler of its own for
/// it. Handlers, not `SIG_IGN`: a command which the application starts shall find the defaults. They are there before
/// a signal can come that has waited.
pub fn sleep_through() -> io::Result<()> {
    defaults()?;
    OWNER.store(std::process::id(), Ordering::Relaxed);
    for signal in SENT_TO_ALL.into_iter().chain([Signal::SIGUSR2]) {
        set(signal, SigHandler::Handler(nothing))?;
    }
    unblock()
}

/// Dispositions as a program expects them. Among them the faults, where the Rust runtime looks for a stack overflow
/// first: an application's crash shall be a crash at once, with the dump where it happened.
fn defaults() -> io::Result<()> {
    for signal in MASTER.into_iter().chain([Signal::SIGSEGV, Signal::SIGBUS]) {
        set(signal, SigHandler::SigDfl)?;
    }
    ASKED.store(Command::Run as u32, Ordering::Relaxed);
    BELL.store(-1, Ordering::Relaxed);
    Ok(())
}

fn unblock() -> io::Result<()> {
    Ok(pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// In a worker: TERM, HUP and QUIT drain it, INT ends it. `bell` is rung after the note is written; it must stay
/// open as long as the process lives.
pub fn handle_in_worker(bell: RawFd) -> io::Result<()> {
    BELL.store(bell, Ordering::Relaxed);
    OWNER.store(std::process::id(), Ordering::Relaxed);
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        set(signal, SigHandler::Handler(drain))?;
    }
    set(Signal::SIGUSR2, SigHandler::Handler(dump))?;
    set(Signal::SIGINT, SigHandler::Handler(quit))
}

/// Whether USR2 has come since the last time.
pub fn take_dump() -> bool {
    DUMP.swap(false, Ordering::AcqRel)
}

/// What a signal asked this worker to do.
pub fn asked() -> Command {
    Command::from_word(ASKED.load(Ordering::Acquire))
}

/// In a thread beside the main one: signals go elsewhere.
pub fn block_all() {
    // Only a wrong first argument is refused.
    let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None);
}

fn set(signal: Signal, handler: SigHandler) -> io::Result<()> {
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handlers here (`drain`, `quit`, `nothing`) touch atomics and call `write`, which are safe to
    // use in a handler; the others are the kernel's own.
    unsafe { sigaction(signal, &action) }?;
    Ok(())
}

extern "C" fn drain(signal: c_int) {
    if is_ours(signal) {
        note(Command::Drain);
    }
}

extern "C" fn quit(signal: c_int) {
    if is_ours(signal) {
        note(Command::Quit);
    }
}

extern "C" fn dump(signal: c_int) {
    if is_ours(signal) {
        DUMP.store(true, Ordering::Release);
        note(Command::Run);
    }
}

extern "C" fn nothing(signal: c_int) {
    is_ours(signal);
}

/// Whether this is the process that set the handlers. A child which the application forked (multiprocessing) has
/// inherited them: there the signal shall do what it does by default, as its parent expects of it.
fn is_ours(signal: c_int) -> bool {
    if std::process::id() == OWNER.load(Ordering::Relaxed) {
        return true;
    }
    // SAFETY: both are on the list of functions a handler may call; raised here, the signal is delivered when the
    // handler returns, by then with its default action.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
    false
}

/// The handler's whole work. It keeps `errno` for the code it interrupted.
fn note(command: Command) {
    let errno = nix::errno::Errno::last_raw();
    ASKED.fetch_max(command as u32, Ordering::AcqRel);
    let bell = BELL.load(Ordering::Relaxed);
    if bell >= 0 {
        let _ = event::signal(bell);
    }
    nix::errno::Errno::set_raw(errno);
}

/// Sends `signal` to the process that `pidfd` stands for. Unlike `kill` it cannot hit a newcomer with the same
/// number.
pub fn send(pidfd: &OwnedFd, signal: Signal) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let (fd, number) = (pidfd.as_raw_fd(), signal as c_int);
    let no_info: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: plain numbers, and a null pointer, which the call takes for "as kill does".
    match unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, number, no_info, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends `signal` to the process numbered `pid`: for a number from a pidfile, where there is nothing better.
pub fn send_to_number(pid: u32, signal: Signal) -> io::Result<()> {
    // 0 and negative numbers would mean groups of processes.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal)?)
}

/// The kernel ends this process in so many seconds, whatever it waits for then.
pub fn die_in(seconds: u32) {
    nix::unistd::alarm::set(seconds);
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use nix::sys::signal::raise;

    use super::*;
    use crate::sys::process::{Status, in_child};

    #[test]
    fn a_worker_notes_signals_and_rings() {
        let status = in_child(|| {
            let bell = event::new().expect("an eventfd");
            reset().expect("reset");
            handle_in_worker(bell.as_raw_fd()).expect("handlers");
            let mut steps = vec![asked() == Command::Run && !event::take(&bell)];
            raise(Signal::SIGTERM).expect("raised");
            steps.push(asked() == Command::Drain && event::take(&bell));
            raise(Signal::SIGINT).expect("raised");
            steps.push(asked() == Command::Quit && event::take(&bell));
            raise(Signal::SIGHUP).expect("raised");
            steps.push(asked() == Command::Quit);
            i32::from(steps.contains(&false))
        });
        assert_eq!(status, Status::Exited(0));
    }

    #[test]
    fn a_child_of_the_application_dies_of_a_signal_and_rings_nobody() {
        let status = in_child(|| {
            let bell = event::new().expect("an eventfd");
            reset().expect("reset");
            handle_in_worker(bell.as_raw_fd()).expect("handlers");
            let child = in_child(|| {
                raise(Signal::SIGTERM).expect("raised");
                7
            });
            i32::from(child != Status::Killed(Signal::SIGTERM as i32) || event::take(&bell))
        });
        assert_eq!(status, Status::Exited(0));
    }

    #[test]
    fn blocked_signals_are_read_later() {
        let status = in_child(|| {
            block().expect("blocked");
            raise(Signal::SIGTERM).expect("raised");
            let reader = SignalReader::new().expect("a signalfd");
            i32::from(!(reader.next() == Some(Signal::SIGTERM) && reader.next().is_none()))
        });
        assert_eq!(status, Status::Exited(0));
    }

    #[test]
    fn held_signals_come_when_let_go() {
        let status = in_child(|| {
            let bell = event::new().expect("an eventfd");
            reset().and_then(|()| handle_in_worker(bell.as_raw_fd())).expect("handlers");
            let held = Meanwhile::held().expect("held");
            raise(Signal::SIGTERM).expect("raised");
            let before = asked();
            drop(held);
            i32::from(!(before == Command::Run && asked() == Command::Drain))
        });
        assert_eq!(status, Status::Exited(0));
    }

    #[test]
    fn the_template_sleeps_through_what_a_terminal_sends() {
        let status = in_child(|| {
            sleep_through().expect("handlers");
            SENT_TO_ALL
                .into_iter()
                .chain([Signal::SIGUSR2])
                .for_each(|signal| raise(signal).expect("raised"));
            0
        });
        assert_eq!(status, Status::Exited(0));
    }

    #[test]
    fn commands_rise() {
        let rising = [Command::Run, Command::Yield, Command::Drain, Command::Quit];
        assert!(rising.is_sorted());
        assert_eq!([0, 1, 2, 3].map(Command::from_word), rising);
        assert_eq!(Command::from_word(9), Command::Quit);
    }
}
