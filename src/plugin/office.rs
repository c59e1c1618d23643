//! A [`Host`] where no requests come: what the template process offers its plugin.

use std::convert::Infallible;
use std::os::fd::BorrowedFd;

use super::host::{CacheCall, Exchange, Host, Outcome, Piece, Refusal, SignalCall, Wake};
use crate::proto::head::Head;

/// The part of a host that does something there.
pub trait Office: Sync + 'static {
    /// See [`Host::log`].
    fn log(&self, line: &[u8]);
    /// See [`Host::control`].
    fn control(&self, what: u32, arg: u64) -> i64;
    /// See [`Host::loaded`].
    fn loaded(&self, app: u32, mountpoint: &[u8], seconds: u64);
    /// See [`Host::cache`].
    fn cache(&self, call: &CacheCall<'_>) -> (i64, Vec<Vec<u8>>);
    /// See [`Host::metric`].
    fn metric(&self, what: u32, name: &[u8], number: i64) -> i64;
    /// See [`Host::signal`].
    fn signal(&self, call: &SignalCall<'_>) -> i64;
}

impl<O: Office> Host for O {
    type Job = Infallible;
    type Body = Infallible;

    fn take(&self, _: u32) -> Option<Box<Exchange<Infallible, Infallible>>> {
        None
    }
    fn wait(&self, _: u32) -> Wake {
        Wake::Over
    }
    fn respond(&self, job: &mut Infallible, _: &Head<'_>, _: Piece<'_>, _: bool) -> Result<(), Refusal> {
        match *job {}
    }
    fn join(&self, job: &mut Infallible, _: &[u8]) -> bool {
        match *job {}
    }
    fn write(&self, job: &mut Infallible, _: &[u8]) -> Result<(), Refusal> {
        match *job {}
    }
    fn send_file(&self, job: &mut Infallible, _: BorrowedFd<'_>, _: u64, _: u64) -> Result<(), Refusal> {
        match *job {}
    }
    fn read_body(&self, body: &Infallible, _: &mut [u8]) -> Result<usize, Refusal> {
        match *body {}
    }
    fn finish(&self, exchange: Box<Exchange<Infallible, Infallible>>, _: Outcome, _: u32) {
        match exchange.job {}
    }
    fn set_logvar(&self, job: &mut Infallible, _: &[u8], _: &[u8]) {
        match *job {}
    }
    fn log(&self, line: &[u8]) {
        Office::log(self, line);
    }
    fn control(&self, what: u32, arg: u64) -> i64 {
        Office::control(self, what, arg)
    }
    fn loaded(&self, app: u32, mountpoint: &[u8], seconds: u64) {
        Office::loaded(self, app, mountpoint, seconds);
    }
    fn cache(&self, call: &CacheCall<'_>) -> (i64, Vec<Vec<u8>>) {
        Office::cache(self, call)
    }
    fn metric(&self, what: u32, name: &[u8], number: i64) -> i64 {
        Office::metric(self, what, name, number)
    }
    fn signal(&self, call: &SignalCall<'_>) -> i64 {
        Office::signal(self, call)
    }
}
