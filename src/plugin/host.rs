//! The executable's side of the boundary: a safe trait, and the `extern "C"` functions that carry a plugin's
//! calls to it.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::BorrowedFd;

use uwring_abi as abi;
use uwring_abi::{HostApi, RequestView, Slice};

pub use super::piece::Piece;
use crate::proto::head::Head;

/// A request on its way through an interpreter thread: what the plugin sees, and what the host knows of it.
/// The view comes first, so that a pointer to it is a pointer to the whole.
#[repr(C)]
#[derive(Debug)]
pub struct Exchange<J, B> {
    view: RequestView,
    /// The host's own.
    pub job: J,
    /// The body that is still to come: apart from the job, because a thread of the application may read it while
    /// the interpreter thread answers.
    pub body: B,
}

// SAFETY: the view's pointers lead to memory of the same exchange (`View`), which moves between threads as one.
unsafe impl<J: Send, B: Send> Send for Exchange<J, B> {}

/// What [`Exchange::lend`] shows to the plugin. Everything in it must stay where it is until `finish`.
#[derive(Debug)]
pub struct View<'a> {
    /// Received bytes, derived bytes, fixed bytes.
    pub areas: [&'a [u8]; 3],
    /// The variables.
    pub vars: &'a [abi::Var],
    /// Number of the listening socket.
    pub listener: u32,
    /// `PROTOCOL_*`.
    pub protocol: u8,
    /// Open file with the whole body.
    pub body_fd: Option<i32>,
    /// `wsgi.url_scheme`.
    pub scheme: &'a [u8],
    /// Whole length of the body.
    pub body_len: u64,
    /// Its first bytes.
    pub body: &'a [u8],
}

impl<J, B> Exchange<J, B> {
    /// With nothing to see yet.
    pub fn new(job: J, body: B) -> Exchange<J, B> {
        let view = RequestView {
            areas: [Slice::EMPTY; 3],
            vars: std::ptr::null(),
            vars_len: 0,
            listener: 0,
            protocol: abi::PROTOCOL_UWSGI,
            body_unsized: 0,
            body_fd: -1,
            scheme: Slice::EMPTY,
            body_len: 0,
            body: Slice::EMPTY,
            serial: 0,
        };
        Exchange { view, job, body }
    }

    /// Fills the plugin's view from the job and what the caller adds. The slices are kept as addresses: see
    /// [`View`].
    pub fn lend<'a>(&'a mut self, show: impl FnOnce(&'a J) -> View<'a>) {
        let view = show(&self.job);
        self.view = RequestView {
            areas: view.areas.map(Slice::new),
            vars: view.vars.as_ptr(),
            vars_len: view.vars.len(),
            listener: view.listener,
            protocol: view.protocol,
            body_unsized: 0,
            body_fd: view.body_fd.unwrap_or(-1),
            scheme: Slice::new(view.scheme),
            body_len: view.body_len,
            body: Slice::new(view.body),
            serial: 0,
        };
    }
}

impl<J, B> Exchange<J, B> {
    /// What was lent: the areas that [`View::areas`] says.
    pub fn shown(&self) -> [&[u8]; 3] {
        // SAFETY: `lend` took them from this exchange's own job, or from what lives as long as the worker, and whoever
        // called it keeps them in place until the request is finished (see `View`); the result borrows from `self`.
        self.view.areas.map(|area| unsafe { area.as_bytes() })
    }

    /// Says which request of its thread this is.
    pub fn number(&mut self, serial: u64) {
        self.view.serial = serial;
    }
}

/// Why a call from an interpreter thread could not be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client is gone.
    Gone,
    /// The client is silent for too long.
    Timeout,
    /// Called out of order.
    Misuse,
}

impl Refusal {
    fn code(self) -> i32 {
        match self {
            Refusal::Gone => abi::ERR_GONE,
            Refusal::Timeout => abi::ERR_TIMEOUT,
            Refusal::Misuse => abi::ERR_MISUSE,
        }
    }
}

/// How the application fared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    #[default]
    Ok,
    /// It raised.
    Exception,
    /// It raised, and the worker is to be replaced for it.
    LastException,
    /// There is none for this request.
    NoApp,
}

/// What a process offers its plugin. Called from interpreter threads.
pub trait Host: Sync + 'static {
    /// The host's part of an [`Exchange`].
    type Job: Send + 'static;
    /// What there is to know of a body that is still to come.
    type Body: Send + Sync + 'static;

    /// The next request, if there is one.
    fn take(&self, thread: u32) -> Option<Box<Exchange<Self::Job, Self::Body>>>;
    /// Sleeps until there is something to do.
    fn wait(&self, thread: u32) -> Wake;
    /// Starts the response; `last`: `body` is all of it.
    fn respond(
        &self,
        job: &mut Self::Job,
        head: &Head<'_>,
        body: Piece<'_>,
        last: bool,
    ) -> Result<(), Refusal>;
    /// More of the body, if it can be put beside what is not sent yet. `false`: it is to be written.
    fn join(&self, job: &mut Self::Job, body: &[u8]) -> bool;
    /// More of the body; may wait for the client.
    fn write(&self, job: &mut Self::Job, body: &[u8]) -> Result<(), Refusal>;
    /// A part of a file as more of the body; may wait for an earlier one.
    fn send_file(
        &self,
        job: &mut Self::Job,
        fd: BorrowedFd<'_>,
        offset: u64,
        len: u64,
    ) -> Result<(), Refusal>;
    /// More of the request body; may wait for the client. 0 at its end.
    fn read_body(&self, body: &Self::Body, buffer: &mut [u8]) -> Result<usize, Refusal>;
    /// The request is done.
    fn finish(&self, exchange: Box<Exchange<Self::Job, Self::Body>>, outcome: Outcome, app: u32);
    /// `uwsgi.set_logvar`.
    fn set_logvar(&self, job: &mut Self::Job, name: &[u8], value: &[u8]);
    /// One line for the server log.
    fn log(&self, line: &[u8]);
    /// One of `abi::CONTROL_*`.
    fn control(&self, what: u32, arg: u64) -> i64;
    /// An application was loaded.
    fn loaded(&self, app: u32, mountpoint: &[u8], seconds: u64);
    /// One of `abi::CACHE_*`: its result, and what it found.
    fn cache(&self, call: &CacheCall<'_>) -> (i64, Vec<Vec<u8>>);
    /// One of `abi::METRIC_*`.
    fn metric(&self, what: u32, name: &[u8], number: i64) -> i64;
    /// One of `abi::SIGNAL_*`.
    fn signal(&self, call: &SignalCall<'_>) -> i64;
}

/// Why an interpreter thread was woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// There will be no request any more.
    Over,
    /// There may be one.
    Request,
    /// There may be a signal of the application's.
    Signal,
}

impl Wake {
    fn code(self) -> i32 {
        match self {
            Wake::Over => abi::WAIT_OVER,
            Wake::Request => abi::WAIT_REQUEST,
            Wake::Signal => abi::WAIT_SIGNAL,
        }
    }
}

/// What concerns a signal of the application's: see [`abi::SignalCall`].
#[derive(Debug)]
#[expect(missing_docs, reason = "they are those of abi::SignalCall")]
pub struct SignalCall<'a> {
    pub what: u32,
    pub signal: i32,
    pub text: &'a [u8],
    pub numbers: [i64; 5],
}

/// What an application asks of a cache: see [`abi::CacheCall`].
#[derive(Debug)]
#[expect(missing_docs, reason = "they are those of abi::CacheCall")]
pub struct CacheCall<'a> {
    pub what: u32,
    pub cache: &'a [u8],
    pub key: &'a [u8],
    pub value: &'a [u8],
    pub number: i64,
    pub expires: u64,
}

/// The table of functions for `host`, which lives as long as the process.
pub fn api<H: Host>(host: &'static H, worker_id: u32) -> HostApi {
    HostApi {
        abi: abi::ABI_VERSION,
        worker_id,
        ctx: std::ptr::from_ref(host).cast(),
        take: take::<H>,
        wait: wait::<H>,
        respond: respond::<H>,
        join: join::<H>,
        write: write::<H>,
        send_file: send_file::<H>,
        read_body: read_body::<H>,
        finish: finish::<H>,
        set_logvar: set_logvar::<H>,
        log: log::<H>,
        control: control::<H>,
        loaded: loaded::<H>,
        cache: cache::<H>,
        metric: metric::<H>,
        signal: signal::<H>,
    }
}

/// # Safety
/// `ctx` comes from the table made by [`api`] for an `H`.
unsafe fn host<H: Host>(ctx: *const c_void) -> &'static H {
    // SAFETY: `api` took it from a `&'static H`; the plugin passes it on unchanged (contract of `HostApi::ctx`).
    unsafe { &*ctx.cast::<H>() }
}

/// # Safety
/// `request` comes from `take` of the same host and has not been finished.
unsafe fn job<'a, H: Host>(request: *mut RequestView) -> &'a mut H::Job {
    // SAFETY: `take` made it from a box whose first field is the view; until `finish` the job in it belongs to the
    // one interpreter thread that took it, and each call uses it only while it lasts. Other threads of the
    // application reach only the body (`body`), which is another field.
    unsafe { &mut (*request.cast::<Exchange<H::Job, H::Body>>()).job }
}

/// # Safety
/// As for `job`, but from any thread.
unsafe fn body<'a, H: Host>(request: *mut RequestView) -> &'a H::Body {
    // SAFETY: as in `job`; the body is shared by reference only until `finish`, which the plugin calls after the
    // last of these calls has returned.
    unsafe { &(*request.cast::<Exchange<H::Job, H::Body>>()).body }
}

fn code(result: Result<(), Refusal>) -> i32 {
    result.map_or_else(Refusal::code, |()| abi::OK)
}

unsafe extern "C" fn take<H: Host>(ctx: *const c_void, thread: u32) -> *mut RequestView {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    host.take(thread).map_or(std::ptr::null_mut(), |exchange| Box::into_raw(exchange).cast())
}

unsafe extern "C" fn wait<H: Host>(ctx: *const c_void, thread: u32) -> i32 {
    // SAFETY: the plugin passes the table's own `ctx`.
    unsafe { host::<H>(ctx) }.wait(thread).code()
}

unsafe extern "C" fn respond<H: Host>(
    ctx: *const c_void,
    request: *mut RequestView,
    head: *const abi::ResponseHead,
    body: Slice,
    holder: *const abi::Holder,
    last: u8,
) -> i32 {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: a request it took and has not finished.
    let job = unsafe { job::<H>(request) };
    // SAFETY: lent for this call.
    let head = unsafe { &*head };
    // SAFETY: lent for this call.
    let status_line = unsafe { head.status_line.as_bytes() };
    // SAFETY: lent for this call.
    let fields = unsafe { head.fields.as_bytes() };
    // SAFETY: lent for this call.
    let bytes = unsafe { body.as_bytes() };
    // SAFETY: null, or lent for this call.
    let holder = unsafe { holder.as_ref() };
    // SAFETY: the plugin lends both for this call, and the bytes are the object's.
    let body = unsafe { Piece::new(bytes, holder) };
    let head = Head {
        status: head.status,
        status_line,
        fields,
        field_count: head.field_count,
        content_length: u64::try_from(head.content_length).ok(),
        has_date: head.flags & abi::HEAD_HAS_DATE != 0,
        close: head.flags & abi::HEAD_CLOSE != 0,
    };
    code(host.respond(job, &head, body, last != 0))
}

unsafe extern "C" fn join<H: Host>(ctx: *const c_void, request: *mut RequestView, body: Slice) -> i32 {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: a request it took and has not finished.
    let job = unsafe { job::<H>(request) };
    // SAFETY: lent for this call.
    i32::from(host.join(job, unsafe { body.as_bytes() }))
}

unsafe extern "C" fn write<H: Host>(ctx: *const c_void, request: *mut RequestView, body: Slice) -> i32 {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: a request it took and has not finished.
    let job = unsafe { job::<H>(request) };
    // SAFETY: lent for this call.
    code(host.write(job, unsafe { body.as_bytes() }))
}

unsafe extern "C" fn send_file<H: Host>(
    ctx: *const c_void,
    request: *mut RequestView,
    fd: i32,
    offset: u64,
    len: u64,
) -> i32 {
    if fd < 0 {
        return abi::ERR_MISUSE;
    }
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: a request it took and has not finished.
    let job = unsafe { job::<H>(request) };
    // SAFETY: the plugin keeps `fd` open for this call.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    code(host.send_file(job, fd, offset, len))
}

unsafe extern "C" fn read_body<H: Host>(
    ctx: *const c_void,
    request: *mut RequestView,
    buf: *mut u8,
    capacity: usize,
) -> isize {
    if capacity == 0 {
        return 0;
    }
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: a request it took and has not finished.
    let body = unsafe { body::<H>(request) };
    // SAFETY: the plugin lends `capacity` initialised bytes for this call.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buf, capacity) };
    match host.read_body(body, buffer) {
        Ok(n) => isize::try_from(n).expect("no buffer is larger than isize::MAX"),
        Err(refusal) => refusal.code() as isize,
    }
}

unsafe extern "C" fn finish<H: Host>(ctx: *const c_void, request: *mut RequestView, outcome: u32) {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: `take` made it with `into_raw`; the plugin finishes a request once and forgets it.
    let exchange = unsafe { Box::from_raw(request.cast::<Exchange<H::Job, H::Body>>()) };
    let kind = match outcome & ((1 << abi::OUTCOME_APP_SHIFT) - 1) {
        abi::OUTCOME_OK => Outcome::Ok,
        abi::OUTCOME_NO_APP => Outcome::NoApp,
        abi::OUTCOME_EXCEPTION_LAST => Outcome::LastException,
        _ => Outcome::Exception,
    };
    host.finish(exchange, kind, outcome >> abi::OUTCOME_APP_SHIFT);
}

unsafe extern "C" fn set_logvar<H: Host>(
    ctx: *const c_void,
    request: *mut RequestView,
    name: Slice,
    value: Slice,
) {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: a request it took and has not finished.
    let job = unsafe { job::<H>(request) };
    // SAFETY: lent for this call.
    let name = unsafe { name.as_bytes() };
    // SAFETY: lent for this call.
    let value = unsafe { value.as_bytes() };
    host.set_logvar(job, name, value);
}

unsafe extern "C" fn log<H: Host>(ctx: *const c_void, line: Slice) {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: lent for this call.
    host.log(unsafe { line.as_bytes() });
}

unsafe extern "C" fn control<H: Host>(ctx: *const c_void, what: u32, arg: u64) -> i64 {
    // SAFETY: the plugin passes the table's own `ctx`.
    unsafe { host::<H>(ctx) }.control(what, arg)
}

unsafe extern "C" fn loaded<H: Host>(ctx: *const c_void, app: u32, mountpoint: Slice, seconds: u64) {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: lent for this call.
    host.loaded(app, unsafe { mountpoint.as_bytes() }, seconds);
}

unsafe extern "C" fn metric<H: Host>(ctx: *const c_void, what: u32, name: Slice, number: i64) -> i64 {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: lent for this call.
    host.metric(what, unsafe { name.as_bytes() }, number)
}

unsafe extern "C" fn signal<H: Host>(ctx: *const c_void, call: *const abi::SignalCall) -> i64 {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: lent for this call.
    let call = unsafe { &*call };
    // SAFETY: lent for this call.
    let text = unsafe { call.text.as_bytes() };
    host.signal(&SignalCall { what: call.what, signal: call.signal, text, numbers: call.numbers })
}

unsafe extern "C" fn cache<H: Host>(
    ctx: *const c_void,
    call: *const abi::CacheCall,
    take: unsafe extern "C" fn(to: *mut c_void, bytes: Slice),
    to: *mut c_void,
) -> i64 {
    // SAFETY: the plugin passes the table's own `ctx`.
    let host = unsafe { host::<H>(ctx) };
    // SAFETY: lent for this call.
    let call = unsafe { &*call };
    // SAFETY: lent for this call, as the others.
    let [cache, key, value] = [call.cache, call.key, call.value].map(|slice| unsafe { slice.as_bytes() });
    let (what, number, expires) = (call.what, call.number, call.expires);
    let (result, found) = host.cache(&CacheCall { what, cache, key, value, number, expires });
    for bytes in found {
        // SAFETY: the plugin's own function and context; the bytes are lent for the call.
        unsafe { take(to, Slice::new(&bytes)) }
    }
    result
}
