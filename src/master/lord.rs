//! The line to an Emperor, where this server is one of its vassals: a byte each way, as uWSGI's Emperor has them.
//!
//! The Emperor may be ours or uWSGI's. Its end of the line is its life: where that is gone, so is the server.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::state::{Event, Wish};
use crate::base::clock::Millis;
use crate::base::errors;
use crate::base::vassalage::{HEARTBEAT, LINE, LOYAL, READY, RELOAD, STOP, STOP_GRACEFULLY};
use crate::hooks;
use crate::options::hooks::{Hook, Moment};
use crate::sys::exec::{self, Handed};

/// Whether a request was served is looked at so often, milliseconds, until one was.
const LOYAL_MS: u64 = 1_000;

/// The line.
#[derive(Debug)]
pub struct Lord {
    line: UnixStream,
    gone: bool,
    ready: bool,
    loyal: bool,
    /// `heartbeat`, milliseconds; 0: none.
    every_ms: u64,
    /// When something is to be said.
    next: Option<Millis>,
    /// `hook-emperor-…`.
    hooks: Vec<Hook>,
}

impl Lord {
    /// Of this process's environment, where there is one.
    pub fn find(heartbeat_seconds: u64, hooks: &[Hook], now: Millis) -> Option<Lord> {
        let number = std::env::var(LINE).ok()?.parse().ok()?;
        let line = UnixStream::from(exec::take_number(number).ok()?);
        line.set_nonblocking(true).ok()?;
        let every_ms = heartbeat_seconds.saturating_mul(1000);
        let next = (every_ms > 0).then_some(now);
        let hooks = hooks.to_vec();
        Some(Lord { line, gone: false, ready: false, loyal: false, every_ms, next, hooks })
    }

    /// What to wait on.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        (!self.gone).then(|| self.line.as_fd())
    }

    /// When to look in again.
    pub fn deadline(&self) -> Option<Millis> {
        self.next.filter(|_| !self.gone)
    }

    /// The descriptor, for the next program.
    pub fn descriptor() -> Option<Handed> {
        let number = std::env::var(LINE).ok()?.parse().ok()?;
        crate::sys::process::is_open(number).then(|| Handed::number(number))
    }

    /// Says what is to be said, and hears what was said.
    pub fn attend(&mut self, serves: bool, requests: u64, now: Millis) -> Vec<Event> {
        if self.gone {
            return Vec::new();
        }
        if serves && !self.ready {
            self.ready = true;
            self.say(READY);
        }
        if requests > 0 && !self.loyal {
            self.loyal = true;
            self.say(LOYAL);
        }
        if self.every_ms > 0 && self.next.is_none_or(|next| next <= now) {
            self.say(HEARTBEAT);
            self.next = Some(now.after(self.every_ms));
        } else if self.every_ms == 0 {
            self.next = (self.ready && !self.loyal).then(|| now.after(LOYAL_MS));
        }
        self.hear()
    }

    fn say(&mut self, word: u8) {
        // An Emperor that does not listen is heard of below.
        let _ = self.line.write(&[word]);
    }

    fn hear(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let mut words = [0; 16];
        loop {
            match self.line.read(&mut words) {
                Ok(len @ 1..) => events.extend(words[..len].iter().filter_map(|word| self.meaning(*word))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return events,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    self.gone = true;
                    crate::log!("lost connection with my emperor !!! {}", errors::EMPEROR_LOST);
                    self.hook(Moment::EmperorLost);
                    events.push(Event::Wished(Wish::StopNow));
                    return events;
                }
            }
        }
    }

    fn meaning(&self, word: u8) -> Option<Event> {
        crate::log!("received message {word} from emperor");
        let (moment, wish) = match word {
            STOP | STOP_GRACEFULLY => (Moment::EmperorStop, Wish::Stop),
            RELOAD => (Moment::EmperorReload, Wish::Reload),
            _ => return None,
        };
        self.hook(moment);
        Some(Event::Wished(wish))
    }

    /// One that fails is told, and changes nothing.
    fn hook(&self, moment: Moment) {
        let _ = hooks::run(&self.hooks, moment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lord(every_ms: u64) -> (Lord, UnixStream) {
        let (line, theirs) = UnixStream::pair().expect("a pair");
        line.set_nonblocking(true).expect("set");
        theirs.set_nonblocking(true).expect("set");
        let next = (every_ms > 0).then_some(Millis(0));
        (Lord { line, gone: false, ready: false, loyal: false, every_ms, next, hooks: Vec::new() }, theirs)
    }

    fn said(theirs: &mut UnixStream) -> Vec<u8> {
        let mut words = [0; 16];
        theirs.read(&mut words).map_or(Vec::new(), |len| words[..len].to_vec())
    }

    #[test]
    fn the_emperor_hears_when_it_serves_and_has_served() {
        let (mut lord, mut theirs) = lord(0);
        assert!(lord.attend(false, 0, Millis(5)).is_empty());
        assert_eq!((said(&mut theirs), lord.deadline()), (vec![], None));
        lord.attend(true, 0, Millis(10));
        assert_eq!((said(&mut theirs), lord.deadline()), (vec![READY], Some(Millis(1_010))));
        lord.attend(true, 1, Millis(20));
        assert_eq!((said(&mut theirs), lord.deadline()), (vec![LOYAL], None));
        lord.attend(true, 2, Millis(30));
        assert!(said(&mut theirs).is_empty());
    }

    #[test]
    fn a_heart_beats_in_time() {
        let (mut lord, mut theirs) = lord(5_000);
        lord.attend(false, 0, Millis(0));
        assert_eq!((said(&mut theirs), lord.deadline()), (vec![HEARTBEAT], Some(Millis(5_000))));
        lord.attend(false, 0, Millis(4_999));
        assert!(said(&mut theirs).is_empty());
        lord.attend(false, 0, Millis(5_000));
        assert_eq!(said(&mut theirs), [HEARTBEAT]);
    }

    #[test]
    fn words_of_the_emperor_are_wishes() {
        let (mut lord, mut theirs) = lord(0);
        theirs.write_all(&[RELOAD, STOP, STOP_GRACEFULLY, 99]).expect("written");
        let wishes = [Wish::Reload, Wish::Stop, Wish::Stop].map(Event::Wished);
        assert_eq!(lord.attend(false, 0, Millis(0)), wishes);
        // A child that another test forks just now has the descriptor, too.
        theirs.shutdown(std::net::Shutdown::Both).expect("shut");
        assert_eq!(lord.attend(false, 0, Millis(0)), [Event::Wished(Wish::StopNow)]);
        assert!(lord.fd().is_none() && lord.attend(false, 0, Millis(0)).is_empty());
    }
}
