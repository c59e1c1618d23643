//! The boundary with the executable, both ways: [`api`]'s table of what it offers us, made safe, and the table
//! of what we offer it. Nothing else in the plugin touches a pointer that came from the executable.
//!
//! Panics cannot cross: an `extern "C"` function that panics aborts the process, after [`log_panics`] has put
//! the reason in the server log, and the master replaces the worker.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, Ordering};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use uwring_abi::{
    ABI_VERSION, ALL_THREADS, CONTROL_PID, CONTROL_WORKER, CacheCall, ERR_MISUSE, HostApi, OK, PluginApi,
    PluginConfig, RequestView, ResponseHead, Setting, SignalCall, Slice, Var, WAIT_OVER,
};

use crate::config::{self, Config};
use crate::{interpreter, interrupt, lend, load, pauses, threads};

// What the executable offers ------------------------------------------------------------------------------

static HOST: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

/// The executable's table, as one thing that may go into a detached closure.
struct Table(HostApi);

// SAFETY: plain data and functions made to be called from every interpreter thread.
unsafe impl Send for Table {}
// SAFETY: as above; nobody writes to an installed table.
unsafe impl Sync for Table {}

impl std::ops::Deref for Table {
    type Target = HostApi;

    fn deref(&self) -> &HostApi {
        &self.0
    }
}

/// The table installed last: the template's, then the worker's.
fn api() -> Option<&'static Table> {
    // SAFETY: the pointer is null or came from `Box::leak` in `install`, so it is valid for ever.
    unsafe { HOST.load(Ordering::Acquire).as_ref() }
}

fn install(table: HostApi) {
    // A worker installs one more: the template's few bytes are not worth a lock on every call.
    HOST.store(Box::leak(Box::new(Table(table))), Ordering::Release);
}

/// One line (or a traceback of several) to the server log.
pub fn log(line: &str) {
    let Some(api) = api() else {
        eprintln!("{line}");
        return;
    };
    // SAFETY: `log` may be called at any time from any thread; `line` is borrowed for the call.
    unsafe { (api.log)(api.ctx, Slice::new(line.as_bytes())) }
}

/// A question or a wish for the server (`CONTROL_*`). The ones that may block are called detached.
pub fn control(what: u32, arg: u64) -> i64 {
    let Some(api) = api() else { return -1 };
    // SAFETY: `control` may be called at any time from any thread, in the template too.
    unsafe { (api.control)(api.ctx, what, arg) }
}

/// Application number `app` was loaded in so many seconds.
pub fn loaded(app: usize, mountpoint: &str, seconds: u64) {
    let Some(api) = api() else { return };
    let app = u32::try_from(app).unwrap_or(u32::MAX);
    // SAFETY: `loaded` may be called in the template too; the text is lent for the call.
    unsafe { (api.loaded)(api.ctx, app, Slice::new(mountpoint.as_bytes()), seconds) }
}

/// Does one of `METRIC_*`.
pub fn metric(what: u32, name: &str, number: i64) -> i64 {
    let Some(api) = api() else { return 0 };
    // SAFETY: `metric` may be called at any time from any thread, in the template too; the name is lent for the call.
    unsafe { (api.metric)(api.ctx, what, Slice::new(name.as_bytes()), number) }
}

/// One of `SIGNAL_*`.
pub fn signal(what: u32, signal: i32, text: &[u8], numbers: [i64; 5]) -> i64 {
    let Some(api) = api() else { return -1 };
    let call = SignalCall { what, signal, text: Slice::new(text), numbers };
    // SAFETY: `signal` may be called at any time from any thread, in the template too; `call` is lent for it.
    unsafe { (api.signal)(api.ctx, &raw const call) }
}

/// Asks something of a cache: its answer, and what was found.
pub fn cache(call: &CacheCall) -> (i64, Vec<Vec<u8>>) {
    let Some(api) = api() else { return (-1, Vec::new()) };
    let mut found: Vec<Vec<u8>> = Vec::new();
    // SAFETY: `cache` may be called at any time from any thread; `call` is lent for it, and `found` is what `take` expects.
    let result = unsafe { (api.cache)(api.ctx, call, take_found, (&raw mut found).cast()) };
    (result, found)
}

unsafe extern "C" fn take_found(to: *mut c_void, bytes: Slice) {
    // SAFETY: `cache` passed its own list, which nobody else reaches meanwhile.
    let found = unsafe { &mut *to.cast::<Vec<Vec<u8>>>() };
    // SAFETY: lent for this call.
    found.push(unsafe { bytes.as_bytes() }.to_vec());
}

/// 0 in the template, else the worker's number.
pub fn worker_id() -> u32 {
    api().map_or(0, |api| api.worker_id)
}

/// One of `WORKER_*` of worker `id`.
pub fn worker_figure(id: u32, what: u32) -> u64 {
    u64::try_from(control(CONTROL_WORKER, u64::from(what) << 32 | u64::from(id))).unwrap_or(0)
}

/// The master's process id: asked for, since an exec'd master is another process; what `start` said otherwise.
pub fn master_pid() -> u32 {
    let pid = control(CONTROL_PID, 0);
    u32::try_from(pid).ok().filter(|pid| *pid > 0).unwrap_or(config::config().master_pid)
}

/// The next request for this interpreter thread.
pub fn take(thread: u32) -> Option<Request> {
    let api = api()?;
    // SAFETY: called on interpreter thread `thread` only (`threads::serve`), as the table wants it.
    let view = unsafe { (api.take)(api.ctx, thread) };
    NonNull::new(view).map(|view| Request { view, owned: PhantomData })
}

/// Sleeps, detached, until there is something to do: one of `WAIT_*`.
pub fn wait(py: Python<'_>, thread: u32) -> i32 {
    let Some(api) = api() else { return WAIT_OVER };
    pauses::detached(py, || {
        // SAFETY: detached from the interpreter, on interpreter thread `thread`.
        unsafe { (api.wait)(api.ctx, thread) }
    })
}

/// A request, ours from `take` to [`Request::finish`].
#[derive(Debug)]
pub struct Request {
    view: NonNull<RequestView>,
    /// The views of its slices borrow from it.
    owned: PhantomData<RequestView>,
}

impl Request {
    fn view(&self) -> &RequestView {
        // SAFETY: the host keeps the view unchanged between `take` and `finish`, and `finish` consumes `self`.
        unsafe { self.view.as_ref() }
    }

    /// The variables in wire order.
    pub fn vars(&self) -> &[Var] {
        let view = self.view();
        if view.vars_len == 0 {
            return &[];
        }
        // SAFETY: the host lends `vars_len` variables at `vars` until `finish`.
        unsafe { std::slice::from_raw_parts(view.vars, view.vars_len) }
    }

    /// The areas the variables point into.
    pub fn areas(&self) -> Areas<'_> {
        // SAFETY: the host lends all areas, unchanged, until `finish`; the result borrows from `self`.
        Areas(self.view().areas.map(|area| unsafe { area.as_bytes() }))
    }

    /// `wsgi.url_scheme`.
    pub fn scheme(&self) -> &[u8] {
        // SAFETY: lent until `finish`, as the areas.
        unsafe { self.view().scheme.as_bytes() }
    }

    /// Its number on this thread.
    pub fn serial(&self) -> u64 {
        self.view().serial
    }

    /// Which listening socket it came by.
    pub fn listener(&self) -> u32 {
        self.view().listener
    }

    /// `PROTOCOL_*`.
    pub fn protocol(&self) -> u8 {
        self.view().protocol
    }

    /// Length of the body, 0 where it is not known.
    pub fn body_len(&self) -> u64 {
        if self.view().body_unsized == 0 { self.view().body_len } else { 0 }
    }

    /// Starts the response. `owner`: what `body` belongs to, so that the host may keep it.
    pub fn respond(
        &self,
        head: &ResponseHead,
        body: &[u8],
        owner: Option<&Bound<'_, PyBytes>>,
        last: bool,
    ) -> i32 {
        let Some(api) = api() else { return ERR_MISUSE };
        let holder = owner.map(lend::holder);
        let holder = holder.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the view is ours (see `view`); head, body and holder are lent for the call, and bytes do not change.
        unsafe { (api.respond)(api.ctx, self.view.as_ptr(), head, Slice::new(body), holder, u8::from(last)) }
    }

    /// More of the body; waits, detached, while too much is unsent.
    pub fn write(&self, py: Python<'_>, body: &[u8]) -> i32 {
        let Some(api) = api() else { return ERR_MISUSE };
        // SAFETY: the view is ours (see `view`); the body is lent for the call.
        if unsafe { (api.join)(api.ctx, self.view.as_ptr(), Slice::new(body)) } != 0 {
            return OK;
        }
        let view = Pointer(self.view);
        py.detach(move || {
            let view = view.get();
            // SAFETY: the view is ours and `self` is borrowed for the call; `body` belongs to a bytes object
            // that the caller holds, and bytes do not change.
            unsafe { (api.write)(api.ctx, view, Slice::new(body)) }
        })
    }

    /// More of the body from a file; waits, detached, for an earlier file.
    pub fn send_file(&self, py: Python<'_>, fd: i32, offset: u64, len: u64) -> i32 {
        let Some(api) = api() else { return ERR_MISUSE };
        let view = Pointer(self.view);
        py.detach(move || {
            let view = view.get();
            // SAFETY: the view is ours and `self` is borrowed for the call; the host duplicates `fd` within it.
            unsafe { (api.send_file)(api.ctx, view, fd, offset, len) }
        })
    }

    /// `uwsgi.set_logvar`.
    pub fn set_logvar(&self, name: &[u8], value: &[u8]) {
        let Some(api) = api() else { return };
        // SAFETY: the view is ours; both slices are lent for the call.
        unsafe { (api.set_logvar)(api.ctx, self.view.as_ptr(), Slice::new(name), Slice::new(value)) }
    }

    /// The body, for `wsgi.input`.
    ///
    /// # Safety
    /// The result must be dropped before [`Request::finish`] is called.
    pub unsafe fn body(&self) -> RequestBody {
        RequestBody { view: Pointer(self.view) }
    }

    /// Gives the request back with an `OUTCOME_*`.
    pub fn finish(self, outcome: u32) {
        let Some(api) = api() else { return };
        // SAFETY: `self` is consumed, so nobody of ours reaches the view any more; what `body` gave out is
        // gone by its own contract.
        unsafe { (api.finish)(api.ctx, self.view.as_ptr(), outcome) }
    }
}

/// The three areas of a request.
#[derive(Clone, Copy)]
pub struct Areas<'a>([&'a [u8]; 3]);

impl<'a> Areas<'a> {
    /// A variable's name as received.
    pub fn name(&self, var: &Var) -> &'a [u8] {
        self.slice(var.name_area, var.name_off as usize, usize::from(var.name_len))
    }

    /// A variable's value.
    pub fn value(&self, var: &Var) -> &'a [u8] {
        self.slice(var.value_area, var.value_off as usize, var.value_len as usize)
    }

    /// An offset the host got wrong is an empty text, never a read outside.
    fn slice(&self, area: u8, offset: usize, len: usize) -> &'a [u8] {
        self.0.get(usize::from(area)).and_then(|area| area.get(offset..offset + len)).unwrap_or_default()
    }
}

/// A request's body, as long as the request lasts (see [`Request::body`]).
#[derive(Debug)]
pub struct RequestBody {
    view: Pointer,
}

impl RequestBody {
    fn view(&self) -> &RequestView {
        // SAFETY: `Request::body` promises that we are gone before the request is.
        unsafe { self.view.0.as_ref() }
    }

    /// What is in memory already.
    pub fn memory(&self) -> &[u8] {
        // SAFETY: lent by the host until `finish`; the result borrows from `self`.
        unsafe { self.view().body.as_bytes() }
    }

    /// Length of the whole body, where it is known.
    pub fn len(&self) -> Option<u64> {
        let view = self.view();
        (view.body_unsized == 0).then_some(view.body_len)
    }

    /// The file that holds all of it.
    pub fn file(&self) -> Option<i32> {
        let fd = self.view().body_fd;
        (fd >= 0).then_some(fd)
    }

    /// More of the body from the client into `buffer`, detached: the count, 0 at the end, or `ERR_*`.
    pub fn receive(&self, py: Python<'_>, buffer: &mut [u8]) -> isize {
        let Some(api) = api() else { return 0 };
        let view = Pointer(self.view.0);
        py.detach(move || {
            let view = view.get();
            // SAFETY: the view outlives `self`, which is borrowed for the call; `buffer` is ours alone.
            unsafe { (api.read_body)(api.ctx, view, buffer.as_mut_ptr(), buffer.len()) }
        })
    }

    /// `buffer.len()` bytes at most from the body's file at `offset`, detached.
    pub fn read_file(&self, py: Python<'_>, fd: i32, buffer: &mut [u8], offset: u64) -> isize {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        py.detach(move || {
            // SAFETY: `fd` stays open until `finish` (it is the host's); `buffer` is ours alone.
            unsafe { libc::pread(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset) }
        })
    }
}

/// A request's address on its way into a detached closure.
#[derive(Clone, Copy, Debug)]
struct Pointer(NonNull<RequestView>);

impl Pointer {
    fn get(self) -> *mut RequestView {
        self.0.as_ptr()
    }
}

// SAFETY: the host's functions may be called from any interpreter thread while the request lasts; who holds a
// `Pointer` sees to that (`Request::write`, `RequestBody`).
unsafe impl Send for Pointer {}
// SAFETY: nothing is changed through a shared `Pointer` here; what the host changes is its own affair.
unsafe impl Sync for Pointer {}

// What we offer -------------------------------------------------------------------------------------------

static PLUGIN: PluginApi = PluginApi {
    abi: ABI_VERSION,
    start,
    load: load_applications,
    before_fork,
    after_fork_parent,
    after_fork_child,
    worker_start,
    serve,
    stacks,
    interrupt,
    worker_stop,
};

/// What we offer, for the template.
pub fn plugin() -> uwring::plugin::Plugin {
    uwring::plugin::Plugin::of(&PLUGIN)
}

/// The same for whoever finds this library by itself: the tests (`uwring_abi::ENTRY_SYMBOL`).
// SAFETY: no other symbol of the process has this name: it is ours.
#[unsafe(no_mangle)]
pub extern "C" fn uwring_plugin() -> *const PluginApi {
    &PLUGIN
}

unsafe extern "C" fn start(host: *const HostApi, config: *const PluginConfig) -> i32 {
    // SAFETY: the executable passes a table it built with the version that it compared before.
    let table = unsafe { *host };
    if table.abi != ABI_VERSION {
        return -1;
    }
    install(table);
    log_panics();
    // SAFETY: lent for this call.
    let lent = unsafe { &*config };
    if !config::set(owned(lent)) {
        log("the Python interpreter was started already");
        return -1;
    }
    interpreter::start()
}

unsafe extern "C" fn load_applications() -> i32 {
    Python::attach(load::load)
}

unsafe extern "C" fn before_fork() {
    interpreter::before_fork();
}

unsafe extern "C" fn after_fork_parent() {
    interpreter::after_fork_parent();
}

unsafe extern "C" fn after_fork_child() {
    interpreter::after_fork_child();
}

unsafe extern "C" fn worker_start(host: *const HostApi) -> i32 {
    // SAFETY: a table of the version that `start` checked.
    install(unsafe { *host });
    Python::attach(interpreter::worker_start)
}

unsafe extern "C" fn serve(thread: u32) {
    Python::attach(|py| threads::serve(py, thread));
}

unsafe extern "C" fn stacks(
    thread: u32,
    take: unsafe extern "C" fn(ctx: *mut c_void, text: Slice),
    ctx: *mut c_void,
) {
    let one = (thread != ALL_THREADS).then_some(thread);
    let text = Python::attach(|py| {
        interrupt::stacks(py, one).unwrap_or_else(|error| format!("the stacks cannot be told: {error}"))
    });
    // SAFETY: the executable's own function and context, for this call; the text is lent for it.
    unsafe { take(ctx, Slice::new(text.as_bytes())) }
}

unsafe extern "C" fn interrupt(thread: u32, serial: u64) -> i32 {
    i32::from(Python::attach(|py| interrupt::interrupt(py, thread, serial)))
}

/// Interrupts what the process's main thread waits for in the kernel.
pub fn signal_main_thread(signal: i32) -> bool {
    let pid = std::process::id();
    // SAFETY: numbers only; the main thread has the process's own, and lives as long as we do.
    unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, signal) == 0 }
}

unsafe extern "C" fn worker_stop() {
    Python::attach(interpreter::worker_stop);
}

fn owned(lent: &PluginConfig) -> Config {
    let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Config {
        settings: settings(lent.settings, lent.settings_len)
            .into_iter()
            .map(|(name, value)| (name, value.unwrap_or_else(|| "true".to_owned())))
            .collect(),
        options: settings(lent.options, lent.options_len),
        processes: lent.processes,
        threads: lent.threads.max(1),
        master_pid: lent.master_pid,
        buffer_size: lent.buffer_size,
        started_on: started.as_secs(),
    }
}

fn settings(first: *const Setting, len: usize) -> Vec<(String, Option<String>)> {
    if len == 0 {
        return Vec::new();
    }
    // SAFETY: the executable lends `len` settings at `first` for the call to `start`.
    let lent = unsafe { std::slice::from_raw_parts(first, len) };
    lent.iter().map(|one| (text(one.name), (one.has_value != 0).then(|| text(one.value)))).collect()
}

fn text(slice: Slice) -> String {
    // SAFETY: lent for the call to `start`, which is where this is called from.
    let bytes = unsafe { slice.as_bytes() };
    String::from_utf8_lossy(bytes).into_owned()
}

/// A panic is our bug: say where, in the server's log, before the process aborts.
fn log_panics() {
    std::panic::set_hook(Box::new(|info| log(&format!("uwring-python: {info}"))));
}

/// The C functions looked up by name, since they are not in every version's limited API.
pub fn symbol(name: &std::ffi::CStr) -> Option<NonNull<c_void>> {
    // SAFETY: `name` ends with NUL; libpython was loaded RTLD_GLOBAL before us, so the default search finds it.
    NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// For threads of our own: signals are for the main thread, where Python's handlers run.
pub fn block_signals() {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills `set`.
    unsafe { libc::sigfillset(set.as_mut_ptr()) };
    // SAFETY: `set` is filled; the old mask is not wanted.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
}

/// Size of a regular file; `None` for anything else.
pub fn regular_file_size(fd: i32) -> Option<u64> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` has room for the answer; a closed `fd` is an error, not a fault.
    if unsafe { libc::fstat(fd, stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: fstat succeeded, so it filled `stat`.
    let stat = unsafe { stat.assume_init() };
    (stat.st_mode & libc::S_IFMT == libc::S_IFREG).then(|| u64::try_from(stat.st_size).unwrap_or(0))
}
