//! The boundary between the server and a request plugin.
//!
//! Two tables of functions and plain data, nothing else: [`HostApi`] is what the server offers a plugin,
//! [`PluginApi`] is what a plugin offers the server (exported as [`ENTRY_SYMBOL`]). Both sides check
//! [`ABI_VERSION`] before they call anything else. The server knows no Python, the plugin no sockets.
//!
//! Life of a request, seen from the plugin's interpreter thread:
//! `take` → read the [`RequestView`] → `respond` once → `write`/`send_file` any number of times → `finish` once.
//! After `finish` the view must not be touched again.

use std::ffi::c_void;

/// Raised with every change of a type or a meaning in this crate.
pub const ABI_VERSION: u32 = 8;

/// The symbol every plugin exports: `extern "C" fn() -> *const PluginApi`.
pub const ENTRY_SYMBOL: &std::ffi::CStr = c"uwring_plugin";

/// Borrowed bytes. Who lends them, and for how long, is said where a `Slice` is used.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// First byte; may dangle when `len` is 0.
    pub ptr: *const u8,
    /// Length in bytes.
    pub len: usize,
}

impl Slice {
    /// No bytes.
    pub const EMPTY: Slice = Slice { ptr: std::ptr::NonNull::dangling().as_ptr(), len: 0 };

    /// Lends `bytes`.
    pub const fn new(bytes: &[u8]) -> Slice {
        Slice { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes themselves.
    ///
    /// # Safety
    /// The lender must still hold the bytes, unchanged, for all of `'a`.
    pub const unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller promises that the lender still holds `len` unchanged bytes at `ptr`.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

/// Index into [`RequestView::areas`]: the bytes as received, uwsgi block or HTTP head.
pub const AREA_HEAD: u8 = 0;
/// Index into [`RequestView::areas`]: text made for this request (decoded path, peer address, joined fields).
pub const AREA_DERIVED: u8 = 1;
/// Index into [`RequestView::areas`]: text that is the same for every request of a listener.
pub const AREA_FIXED: u8 = 2;

/// [`Var::kind`]: the name is the environ key, byte for byte.
pub const VAR_PLAIN: u8 = 0;
/// [`Var::kind`]: the name is an HTTP field name as received. The environ key is `HTTP_` and the name in upper
/// case with `-` as `_`; `Content-Type` and `Content-Length` take no prefix (RFC 3875 §4.1.18).
pub const VAR_FIELD: u8 = 1;

/// One request variable, in wire order. Of equal names the last wins.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Var {
    /// Area of the name.
    pub name_area: u8,
    /// Area of the value.
    pub value_area: u8,
    /// [`VAR_PLAIN`] or [`VAR_FIELD`].
    pub kind: u8,
    /// Length of the name in bytes is kept in 16 bits: both protocols bound it.
    pub name_len: u16,
    /// Offset of the name in its area.
    pub name_off: u32,
    /// Offset of the value in its area.
    pub value_off: u32,
    /// Length of the value in bytes.
    pub value_len: u32,
}

/// [`RequestView::protocol`]: uwsgi.
pub const PROTOCOL_UWSGI: u8 = 0;
/// [`RequestView::protocol`]: HTTP/1.x.
pub const PROTOCOL_HTTP: u8 = 1;

/// A request as an interpreter thread sees it, between `take` and `finish`. The host owns everything in it.
#[repr(C)]
#[derive(Debug)]
pub struct RequestView {
    /// The bytes that [`Var`] offsets point into, by `AREA_*`.
    pub areas: [Slice; 3],
    /// First of `vars_len` variables.
    pub vars: *const Var,
    /// Number of variables.
    pub vars_len: usize,
    /// Which listening socket it came by: environ templates are learned per listener.
    pub listener: u32,
    /// `PROTOCOL_*`.
    pub protocol: u8,
    /// 1 where the body's length is unknown until it ends (a chunked body that is still arriving).
    pub body_unsized: u8,
    /// Open file holding the complete body from offset 0, or -1. Owned by the host, readable with `pread`.
    pub body_fd: i32,
    /// `wsgi.url_scheme`.
    pub scheme: Slice,
    /// Length of the whole body in bytes (0: none). Meaningless where `body_unsized`.
    pub body_len: u64,
    /// The first bytes of the body, already in memory. All of it when `body_len` equals its length.
    /// Where it is less and `body_fd` is -1, the rest comes by [`HostApi::read_body`].
    pub body: Slice,
    /// Number of the request on its interpreter thread, from 1, for [`PluginApi::interrupt`].
    pub serial: u64,
}

/// [`ResponseHead::flags`]: the application set `Date`.
pub const HEAD_HAS_DATE: u32 = 1;
/// [`ResponseHead::flags`]: the application set `Connection: close`. (The field itself is not among `fields`.)
pub const HEAD_CLOSE: u32 = 2;
/// [`ResponseHead::flags`]: the application set `Server`.
pub const HEAD_HAS_SERVER: u32 = 4;

/// Status and fields of a response. Lent for the call only.
#[repr(C)]
#[derive(Debug)]
pub struct ResponseHead {
    /// Three-digit code.
    pub status: u16,
    /// Number of fields in `fields`.
    pub field_count: u32,
    /// `HEAD_*`.
    pub flags: u32,
    /// Code and reason, as `200 OK`. Checked: no CR, LF or NUL.
    pub status_line: Slice,
    /// `Name: value CRLF` for each field, checked (token names, no CR, LF or NUL in values), without the
    /// hop-by-hop ones. `Content-Length` is among them when the application set it.
    pub fields: Slice,
    /// Value of `Content-Length`, or -1.
    pub content_length: i64,
}

/// An object of the plugin's that bytes belong to: by it the host can keep them for longer than the call they are lent for.
/// Itself lent for the call only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Holder {
    /// The plugin's own.
    pub object: *mut c_void,
    /// Holds the object: until `release` its bytes stay where they are and as they are. Called within the call that lends
    /// it, on the same thread; gives a handle.
    pub hold: unsafe extern "C" fn(object: *mut c_void) -> *mut c_void,
    /// Gives the handle back, once, from any thread.
    pub release: unsafe extern "C" fn(handle: *mut c_void),
}

/// All went well.
pub const OK: i32 = 0;
/// The client is gone, or the write timed out: stop producing, call `finish`.
pub const ERR_GONE: i32 = -1;
/// Called out of order (a second `respond`, a `write` before it).
pub const ERR_MISUSE: i32 = -2;
/// `read_body`: the client sent nothing for `socket-timeout`.
pub const ERR_TIMEOUT: i32 = -3;

/// [`HostApi::respond`] with `last` 1 takes at most this much of the body, in bytes. Where the body is longer the
/// rest is passed to [`HostApi::write`]; the response is framed for the whole all the same.
pub const WHOLE_MAX: usize = 1024 * 1024;

/// [`HostApi::finish`]: the outcome is in the low 8 bits, the application's number above them.
pub const OUTCOME_APP_SHIFT: u32 = 8;
/// [`HostApi::finish`]: the application answered.
pub const OUTCOME_OK: u32 = 0;
/// [`HostApi::finish`]: the application raised. Where nothing was sent yet the host answers 500, otherwise it
/// breaks the response off so that the client notices.
pub const OUTCOME_EXCEPTION: u32 = 1;
/// [`HostApi::finish`]: no application for this request: the host answers 500 with uWSGI's text.
pub const OUTCOME_NO_APP: u32 = 2;

/// [`HostApi::finish`]: as [`OUTCOME_EXCEPTION`], and another worker shall take this one's place, once the requests in
/// hand are finished (`reload-on-exception`).
pub const OUTCOME_EXCEPTION_LAST: u32 = 3;

/// [`HostApi::control`]: ask the master for a graceful reload. Result 1, or 0 without a master.
pub const CONTROL_RELOAD: u32 = 1;
/// [`HostApi::control`]: ask the master to stop gracefully. Result 1, or 0.
pub const CONTROL_STOP: u32 = 2;
/// [`HostApi::control`]: take user lock `arg`, waiting for it. Call detached. Result 1, 0 for an unknown lock.
pub const CONTROL_LOCK: u32 = 3;
/// [`HostApi::control`]: give user lock `arg` back. Result 1, 0 for an unknown lock.
pub const CONTROL_UNLOCK: u32 = 4;
/// [`HostApi::control`]: result 1 where user lock `arg` is taken, 0 free, -1 for an unknown lock.
pub const CONTROL_IS_LOCKED: u32 = 5;
/// [`HostApi::control`]: requests this worker has finished.
pub const CONTROL_REQUESTS: u32 = 6;
/// [`HostApi::control`]: requests all workers have finished.
pub const CONTROL_TOTAL_REQUESTS: u32 = 7;
/// [`HostApi::control`]: worker `arg`'s process id, 0 where it does not run; `arg` 0: the master's.
pub const CONTROL_PID: u32 = 8;
/// [`HostApi::control`]: which load of the application this process has, from 1: reloads count up.
pub const CONTROL_GENERATION: u32 = 9;
/// [`HostApi::control`]: descriptor of listening socket `arg` (from 0), or -1 where there is none, and in the template.
pub const CONTROL_SOCKET: u32 = 10;
/// [`HostApi::control`]: one of `WORKER_*` of worker `arg & 0xffff_ffff`; which one, is in the upper half of `arg`.
pub const CONTROL_WORKER: u32 = 11;

/// [`HostApi::control`]: where the application's own numbers are kept for the monitor, a ledger of this process: `arg` 0 its
/// length in bytes (0: there is none), 1 the descriptor of the file it lies in, 2 where it begins there.
pub const CONTROL_LEDGER: u32 = 12;
/// [`HostApi::control`]: descriptor of the file to which a process that is not ready yet writes, at USR2, where it stands.
pub const CONTROL_PLACE: u32 = 13;

/// [`CONTROL_WORKER`]: requests finished.
pub const WORKER_REQUESTS: u32 = 0;
/// [`CONTROL_WORKER`]: requests whose application raised.
pub const WORKER_EXCEPTIONS: u32 = 1;
/// [`CONTROL_WORKER`]: bytes sent.
pub const WORKER_TX_BYTES: u32 = 2;
/// [`CONTROL_WORKER`]: time spent in requests, microseconds.
pub const WORKER_RUNNING_TIME_US: u32 = 3;
/// [`CONTROL_WORKER`]: when it was forked, seconds since the epoch.
pub const WORKER_LAST_SPAWN: u32 = 4;
/// [`CONTROL_WORKER`]: how often it was forked.
pub const WORKER_SPAWNS: u32 = 5;
/// [`CONTROL_WORKER`]: requests in hand.
pub const WORKER_IN_FLIGHT: u32 = 6;
/// [`CONTROL_WORKER`]: answers that the client did not take.
pub const WORKER_WRITE_ERRORS: u32 = 7;

/// [`CONTROL_WORKER`]: signals of the application's handled.
pub const WORKER_SIGNALS: u32 = 8;

/// [`HostApi::control`]: the request on the calling interpreter thread has taken too long in `arg` seconds; 0 takes it
/// back. Result 1, or 0 on another thread.
pub const CONTROL_USER_HARAKIRI: u32 = 20;
/// [`HostApi::control`]: no deadline counts any more for the request on the calling interpreter thread. Result as before.
pub const CONTROL_DISARM: u32 = 21;

/// What an application asks of a cache. Lent for the call only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CacheCall {
    /// `CACHE_*`.
    pub what: u32,
    /// Name of the cache; empty: the first.
    pub cache: Slice,
    /// Key.
    pub key: Slice,
    /// Value to store.
    pub value: Slice,
    /// Number to count by.
    pub number: i64,
    /// Seconds until it expires; 0: never.
    pub expires: u64,
}

/// [`CacheCall::what`]: give the value.
pub const CACHE_GET: u32 = 0;
/// [`CacheCall::what`]: store it, unless there is one.
pub const CACHE_SET: u32 = 1;
/// [`CacheCall::what`]: store it.
pub const CACHE_UPDATE: u32 = 2;
/// [`CacheCall::what`]: remove it.
pub const CACHE_DEL: u32 = 3;
/// [`CacheCall::what`]: is there one?
pub const CACHE_EXISTS: u32 = 4;
/// [`CacheCall::what`]: remove all.
pub const CACHE_CLEAR: u32 = 5;
/// [`CacheCall::what`]: add to the number.
pub const CACHE_ADD: u32 = 6;
/// [`CacheCall::what`]: multiply it.
pub const CACHE_MUL: u32 = 7;
/// [`CacheCall::what`]: divide it; by 0 it is 0.
pub const CACHE_DIV: u32 = 8;
/// [`CacheCall::what`]: give all keys.
pub const CACHE_KEYS: u32 = 9;

/// [`HostApi::metric`]: give the value; 0 where there is no such metric.
pub const METRIC_GET: u32 = 0;
/// [`HostApi::metric`]: this is the value.
pub const METRIC_SET: u32 = 1;
/// [`HostApi::metric`]: add to it.
pub const METRIC_ADD: u32 = 2;
/// [`HostApi::metric`]: multiply it.
pub const METRIC_MUL: u32 = 3;
/// [`HostApi::metric`]: divide it; by 0 nothing is done.
pub const METRIC_DIV: u32 = 4;
/// [`HostApi::metric`]: it is at least this.
pub const METRIC_MAX: u32 = 5;
/// [`HostApi::metric`]: it is at most this.
pub const METRIC_MIN: u32 = 6;

/// [`HostApi::wait`]: the worker stops, and nothing is left to take.
pub const WAIT_OVER: i32 = 0;
/// [`HostApi::wait`]: there may be a request.
pub const WAIT_REQUEST: i32 = 1;
/// [`HostApi::wait`]: there may be a signal of the application's, for [`SIGNAL_TAKE`].
pub const WAIT_SIGNAL: i32 = 2;

/// What concerns a signal of the application's. Lent for the call only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SignalCall {
    /// `SIGNAL_*`.
    pub what: u32,
    /// Which, 0 to 255; -1: any.
    pub signal: i32,
    /// A target or a path.
    pub text: Slice,
    /// Times.
    pub numbers: [i64; 5],
}

/// [`SignalCall::what`]: `text` is to handle it. Result 1, or [`SIGNAL_NOBODY`].
pub const SIGNAL_REGISTER: u32 = 0;
/// [`SignalCall::what`]: send it. Result 1, or [`SIGNAL_FULL`].
pub const SIGNAL_SEND: u32 = 1;
/// [`SignalCall::what`]: the next signal for this worker to handle, or -1. [`SIGNAL_HANDLED`] follows on the same thread.
pub const SIGNAL_TAKE: u32 = 2;
/// [`SignalCall::what`]: what [`SIGNAL_TAKE`] gave was handled.
pub const SIGNAL_HANDLED: u32 = 3;
/// [`SignalCall::what`]: *detached*; waits for this signal, or any, and gives its number; -1 in the template.
pub const SIGNAL_WAIT: u32 = 4;
/// [`SignalCall::what`]: send it each time that many milliseconds (`numbers[0]`) are over, `numbers[1]` times (0: for ever).
/// Result as for the next ones 1, [`SIGNAL_FULL`] or [`SIGNAL_TOO_LONG`].
pub const SIGNAL_EVERY: u32 = 5;
/// [`SignalCall::what`]: send it at that minute, hour, day, month and weekday.
pub const SIGNAL_CRON: u32 = 6;
/// [`SignalCall::what`]: send it when the file or folder `text` changes.
pub const SIGNAL_FILE: u32 = 7;

/// [`HostApi::signal`]: there is nobody of that name.
pub const SIGNAL_NOBODY: i64 = -1;
/// [`HostApi::signal`]: there is no room for more.
pub const SIGNAL_FULL: i64 = -2;
/// [`HostApi::signal`]: that path is too long.
pub const SIGNAL_TOO_LONG: i64 = -3;

/// [`PluginApi::stacks`]: all threads.
pub const ALL_THREADS: u32 = u32::MAX;

/// What the executable offers. Valid for the life of the process; `ctx` goes first into every call.
///
/// Functions marked *detached* may block and must be called without the interpreter lock; no other one blocks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct HostApi {
    /// [`ABI_VERSION`] the executable was built with.
    pub abi: u32,
    /// 0 in the template process (only `log`, `control`, `loaded`, `cache`, `metric` and `signal` may be called), else the worker's number from 1.
    pub worker_id: u32,
    /// The executable's own.
    pub ctx: *const c_void,
    /// Next request for interpreter thread `thread` (0-based), or null. The pointer is given back by `finish`.
    pub take: unsafe extern "C" fn(ctx: *const c_void, thread: u32) -> *mut RequestView,
    /// *Detached.* Sleeps until there is something to do: one of `WAIT_*`.
    pub wait: unsafe extern "C" fn(ctx: *const c_void, thread: u32) -> i32,
    /// Starts the response. `last` 1: `body` is all of it (the host may then add `Content-Length` on HTTP), of
    /// which the first [`WHOLE_MAX`] bytes are taken. `holder`: by what the body can be kept, or null.
    /// Never blocks. Returns [`OK`], [`ERR_GONE`] or [`ERR_MISUSE`].
    pub respond: unsafe extern "C" fn(
        ctx: *const c_void,
        request: *mut RequestView,
        head: *const ResponseHead,
        body: Slice,
        holder: *const Holder,
        last: u8,
    ) -> i32,
    /// More of the body, if it can be put beside what is not sent yet, without waiting: 1; otherwise 0, and it is to be
    /// written.
    pub join: unsafe extern "C" fn(ctx: *const c_void, request: *mut RequestView, body: Slice) -> i32,
    /// *Detached.* Queues more of the body; waits while more than the high-water mark is unsent.
    pub write: unsafe extern "C" fn(ctx: *const c_void, request: *mut RequestView, body: Slice) -> i32,
    /// *Detached.* Queues `len` bytes of file `fd` from `offset` as more of the body; waits while another file is on
    /// its way. The host duplicates `fd`.
    pub send_file: unsafe extern "C" fn(
        ctx: *const c_void,
        request: *mut RequestView,
        fd: i32,
        offset: u64,
        len: u64,
    ) -> i32,
    /// *Detached.* More body bytes into `buf`: the count, 0 at the end, [`ERR_GONE`] or [`ERR_TIMEOUT`].
    pub read_body: unsafe extern "C" fn(
        ctx: *const c_void,
        request: *mut RequestView,
        buf: *mut u8,
        capacity: usize,
    ) -> isize,
    /// Ends the request with an `OUTCOME_*` (and the application's number, see [`OUTCOME_APP_SHIFT`]); `request`
    /// is the host's again.
    pub finish: unsafe extern "C" fn(ctx: *const c_void, request: *mut RequestView, outcome: u32),
    /// Sets `%(name)` for this request's log line (`uwsgi.set_logvar`).
    pub set_logvar:
        unsafe extern "C" fn(ctx: *const c_void, request: *mut RequestView, name: Slice, value: Slice),
    /// Writes one line to the server log, without a trailing newline.
    pub log: unsafe extern "C" fn(ctx: *const c_void, line: Slice),
    /// One of `CONTROL_*`.
    pub control: unsafe extern "C" fn(ctx: *const c_void, what: u32, arg: u64) -> i64,
    /// Application number `app` was loaded in `seconds`; it is mounted at `mountpoint`.
    pub loaded: unsafe extern "C" fn(ctx: *const c_void, app: u32, mountpoint: Slice, seconds: u64),
    /// Does one of `CACHE_*`; what it finds goes to `take`, which is called with `to` for each value or key before this
    /// returns. Result 1 where it was done, 0 where not, -1 where there is no such cache. Holds no lock while it calls
    /// `take`; may wait for another process's copy of a value.
    pub cache: unsafe extern "C" fn(
        ctx: *const c_void,
        call: *const CacheCall,
        take: unsafe extern "C" fn(to: *mut c_void, bytes: Slice),
        to: *mut c_void,
    ) -> i64,
    /// Does one of `METRIC_*` to the metric of that name. Result: its value for [`METRIC_GET`]; else 1 where it was done,
    /// 0 where not.
    pub metric: unsafe extern "C" fn(ctx: *const c_void, what: u32, name: Slice, number: i64) -> i64,
    /// Does one of `SIGNAL_*`; its result is said there.
    pub signal: unsafe extern "C" fn(ctx: *const c_void, call: *const SignalCall) -> i64,
}

/// A named setting for the plugin. Names repeat for lists. Lent for the call only.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name.
    pub name: Slice,
    /// Value.
    pub value: Slice,
    /// 0 where the option was given without a value (`uwsgi.opt` shows `True`).
    pub has_value: u8,
}

/// How the plugin shall start. Lent for the call only.
#[repr(C)]
#[derive(Debug)]
pub struct PluginConfig {
    /// First of `settings_len`: what the server worked out for the plugin (see `docs/internals.md`).
    pub settings: *const Setting,
    /// Number of settings.
    pub settings_len: usize,
    /// First of `options_len`: every option as given, in order, for `uwsgi.opt`.
    pub options: *const Setting,
    /// Number of options.
    pub options_len: usize,
    /// `processes`.
    pub processes: u32,
    /// `threads`, the interpreter threads of one worker.
    pub threads: u32,
    /// The master's process id.
    pub master_pid: u32,
    /// `buffer-size` in bytes.
    pub buffer_size: u32,
}

/// What a plugin offers. Functions return 0 for success unless said otherwise; they have logged what went wrong.
#[repr(C)]
pub struct PluginApi {
    /// [`ABI_VERSION`] the plugin was built with.
    pub abi: u32,
    /// Prepares the interpreter, which runs already. Once a process, on its main thread.
    pub start: unsafe extern "C" fn(host: *const HostApi, config: *const PluginConfig) -> i32,
    /// Imports the applications. Returns how many were loaded, negative where one that was asked for failed.
    pub load: unsafe extern "C" fn() -> i32,
    /// Around a fork of the template, on its main thread (`PyOS_BeforeFork` and friends).
    pub before_fork: unsafe extern "C" fn(),
    /// After the fork, in the parent.
    pub after_fork_parent: unsafe extern "C" fn(),
    /// After the fork, in the child.
    pub after_fork_child: unsafe extern "C" fn(),
    /// In a worker, on its main thread, before the first `serve`: hooks, random seeds, `post_fork_hook`.
    pub worker_start: unsafe extern "C" fn(host: *const HostApi) -> i32,
    /// Serves requests as interpreter thread `thread` until `wait` returns [`WAIT_OVER`]. Thread 0 is the main thread.
    pub serve: unsafe extern "C" fn(thread: u32),
    /// Gives the Python stacks of all threads ([`ALL_THREADS`]) or of one interpreter thread, as text, to `take`, which is
    /// called at most once with `ctx`. From a thread of the executable's own: it waits for the interpreter lock.
    pub stacks: unsafe extern "C" fn(
        thread: u32,
        take: unsafe extern "C" fn(ctx: *mut c_void, text: Slice),
        ctx: *mut c_void,
    ),
    /// Raises an exception in interpreter thread `thread` if it works on request `serial` still: 1, else 0. From a thread
    /// of the executable's own: it waits for the interpreter lock.
    pub interrupt: unsafe extern "C" fn(thread: u32, serial: u64) -> i32,
    /// After the last `serve` returned, on the main thread: `uwsgi.atexit`, then the interpreter ends.
    pub worker_stop: unsafe extern "C" fn(),
}

/// The type behind [`ENTRY_SYMBOL`].
pub type Entry = unsafe extern "C" fn() -> *const PluginApi;
