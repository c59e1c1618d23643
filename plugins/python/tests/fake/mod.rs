//! A host in memory: requests wait in a list, responses are written down.

pub mod bench;

use std::collections::VecDeque;
use std::ffi::c_void;
use std::os::fd::RawFd;
use std::sync::Mutex;

use uwring_abi::{
    ABI_VERSION, CONTROL_DISARM, CONTROL_IS_LOCKED, CONTROL_LOCK, CONTROL_PID, CONTROL_SOCKET,
    CONTROL_TOTAL_REQUESTS, CONTROL_UNLOCK, ERR_GONE, ERR_MISUSE, ERR_TIMEOUT, Holder, HostApi, OK,
    PROTOCOL_HTTP, PROTOCOL_UWSGI, RequestView, ResponseHead, SignalCall, Slice, VAR_FIELD, VAR_PLAIN, Var,
};

/// The master's process id that the host pretends to have.
pub const MASTER_PID: i64 = 4321;

static QUEUE: Mutex<VecDeque<Waiting>> = Mutex::new(VecDeque::new());
static DONE: Mutex<Vec<Reply>> = Mutex::new(Vec::new());
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Waiting(Box<Live>);

// SAFETY: the pointers inside point into the same box.
unsafe impl Send for Waiting {}

/// A request to be.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub vars: Vec<(Vec<u8>, Vec<u8>, u8)>,
    pub protocol: u8,
    pub scheme: &'static str,
    pub body: Vec<u8>,
    pub body_len: Option<u64>,
    pub unsized_body: bool,
    pub arriving: VecDeque<Vec<u8>>,
    pub timeout: bool,
    pub file: Option<RawFd>,
    pub writes_until_gone: Option<usize>,
}

/// What became of it.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub status: String,
    pub code: u16,
    pub fields: Vec<(String, String)>,
    pub flags: u32,
    pub content_length: i64,
    pub body: Vec<u8>,
    pub last: bool,
    pub writes: usize,
    pub file: Option<(u64, u64)>,
    pub outcome: Option<u32>,
    pub logvars: Vec<(String, String)>,
}

#[repr(C)]
struct Live {
    view: RequestView,
    request: Request,
    reply: Reply,
    head: Vec<u8>,
    vars: Vec<Var>,
}

impl Request {
    pub fn get(path: &str) -> Request {
        Request::new("GET", path)
    }

    pub fn new(method: &str, path: &str) -> Request {
        let mut request = Request { scheme: "http", protocol: PROTOCOL_HTTP, ..Request::default() };
        for (name, value) in
            [("REQUEST_METHOD", method), ("PATH_INFO", path), ("SCRIPT_NAME", ""), ("QUERY_STRING", "")]
        {
            request.vars.push((name.into(), value.into(), VAR_PLAIN));
        }
        request
    }

    pub fn uwsgi(mut self) -> Request {
        self.protocol = PROTOCOL_UWSGI;
        self
    }

    pub fn var(mut self, name: &str, value: &[u8]) -> Request {
        self.vars.retain(|(known, _, _)| known != name.as_bytes());
        self.vars.push((name.into(), value.into(), VAR_PLAIN));
        self
    }

    pub fn again(mut self, name: &str, value: &[u8]) -> Request {
        self.vars.push((name.into(), value.into(), VAR_PLAIN));
        self
    }

    pub fn field(mut self, name: &str, value: &str) -> Request {
        self.vars.push((name.into(), value.into(), VAR_FIELD));
        self
    }

    pub fn body(mut self, body: &[u8]) -> Request {
        self.body = body.to_vec();
        self
    }

    /// A body that arrives in pieces after its beginning.
    pub fn arriving(mut self, pieces: &[&[u8]], len: Option<u64>) -> Request {
        self.arriving = pieces.iter().map(|piece| piece.to_vec()).collect();
        self.unsized_body = len.is_none();
        self.body_len = len;
        self
    }

    fn live(self) -> Box<Live> {
        let (mut head, mut vars) = (Vec::new(), Vec::new());
        for (name, value, kind) in &self.vars {
            let name_off = head.len() as u32;
            head.extend_from_slice(name);
            let value_off = head.len() as u32;
            head.extend_from_slice(value);
            vars.push(Var {
                name_area: 0,
                value_area: 0,
                kind: *kind,
                name_len: name.len() as u16,
                name_off,
                value_off,
                value_len: value.len() as u32,
            });
        }
        let mut live = Box::new(Live {
            view: RequestView {
                areas: [Slice::EMPTY; 3],
                vars: std::ptr::null(),
                vars_len: vars.len(),
                listener: 0,
                protocol: self.protocol,
                body_unsized: u8::from(self.unsized_body),
                body_fd: self.file.unwrap_or(-1),
                scheme: Slice::new(self.scheme.as_bytes()),
                body_len: self.body_len.unwrap_or(self.body.len() as u64),
                body: Slice::EMPTY,
                serial: 0,
            },
            request: self,
            reply: Reply::default(),
            head,
            vars,
        });
        live.view.areas[0] = Slice::new(&live.head);
        live.view.vars = live.vars.as_ptr();
        live.view.body = Slice::new(&live.request.body);
        live
    }
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Puts a request in line.
pub fn push(request: Request) {
    QUEUE.lock().unwrap().push_back(Waiting(request.live()));
}

/// The responses since the last call.
pub fn replies() -> Vec<Reply> {
    std::mem::take(&mut DONE.lock().unwrap())
}

/// The log since the last call.
pub fn log_lines() -> String {
    std::mem::take(&mut *LOG.lock().unwrap()).join("\n")
}

/// The table for the plugin.
pub fn api(worker_id: u32) -> HostApi {
    HostApi {
        abi: ABI_VERSION,
        worker_id,
        ctx: std::ptr::null(),
        take,
        wait,
        respond,
        join,
        write,
        send_file,
        read_body,
        finish,
        set_logvar,
        log,
        control,
        loaded,
        cache,
        metric,
        signal,
    }
}

unsafe extern "C" fn signal(_: *const c_void, _: *const SignalCall) -> i64 {
    -1
}

fn live<'a>(view: *mut RequestView) -> &'a mut Live {
    // SAFETY: every view given out by `take` is the first field of a `Live`, alive until `finish`.
    unsafe { &mut *view.cast::<Live>() }
}

fn bytes(slice: Slice) -> Vec<u8> {
    // SAFETY: the plugin lends its slices for the call.
    unsafe { slice.as_bytes() }.to_vec()
}

unsafe extern "C" fn take(_: *const c_void, _: u32) -> *mut RequestView {
    let next = QUEUE.lock().unwrap().pop_front();
    next.map_or(std::ptr::null_mut(), |waiting| Box::into_raw(waiting.0).cast())
}

unsafe extern "C" fn wait(_: *const c_void, _: u32) -> i32 {
    i32::from(!QUEUE.lock().unwrap().is_empty())
}

unsafe extern "C" fn respond(
    _: *const c_void,
    view: *mut RequestView,
    head: *const ResponseHead,
    body: Slice,
    _: *const Holder,
    last: u8,
) -> i32 {
    let live = live(view);
    if live.reply.code != 0 {
        return ERR_MISUSE;
    }
    // SAFETY: lent for the call.
    let head = unsafe { &*head };
    let fields = String::from_utf8_lossy(&bytes(head.fields)).into_owned();
    live.reply.status = String::from_utf8_lossy(&bytes(head.status_line)).into_owned();
    live.reply.code = head.status;
    live.reply.flags = head.flags;
    live.reply.content_length = head.content_length;
    live.reply.fields = fields
        .split_terminator("\r\n")
        .map(|field| field.split_once(": ").expect("a colon and a blank"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(live.reply.fields.len(), head.field_count as usize);
    live.reply.body = bytes(body);
    live.reply.last = last != 0;
    if live.request.writes_until_gone == Some(0) { ERR_GONE } else { OK }
}

unsafe extern "C" fn join(_: *const c_void, _: *mut RequestView, _: Slice) -> i32 {
    0
}

unsafe extern "C" fn write(_: *const c_void, view: *mut RequestView, body: Slice) -> i32 {
    let live = live(view);
    if live.reply.code == 0 {
        return ERR_MISUSE;
    }
    live.reply.body.extend(bytes(body));
    live.reply.writes += 1;
    if live.request.writes_until_gone.is_some_and(|limit| live.reply.writes >= limit) { ERR_GONE } else { OK }
}

unsafe extern "C" fn send_file(
    _: *const c_void,
    view: *mut RequestView,
    fd: i32,
    offset: u64,
    len: u64,
) -> i32 {
    let live = live(view);
    let mut data = vec![0; len as usize];
    // SAFETY: `data` has room for `len` bytes.
    let count = unsafe { libc::pread(fd, data.as_mut_ptr().cast(), data.len(), offset as i64) };
    data.truncate(count.max(0) as usize);
    live.reply.body.extend(data);
    live.reply.file = Some((offset, len));
    OK
}

unsafe extern "C" fn read_body(
    _: *const c_void,
    view: *mut RequestView,
    buf: *mut u8,
    capacity: usize,
) -> isize {
    let live = live(view);
    if live.request.timeout {
        return ERR_TIMEOUT as isize;
    }
    let Some(mut piece) = live.request.arriving.pop_front() else { return 0 };
    if piece.len() > capacity {
        live.request.arriving.push_front(piece.split_off(capacity));
    }
    // SAFETY: `buf` has room for `capacity` bytes, and the piece is no longer.
    unsafe { std::ptr::copy_nonoverlapping(piece.as_ptr(), buf, piece.len()) };
    piece.len() as isize
}

unsafe extern "C" fn finish(_: *const c_void, view: *mut RequestView, outcome: u32) {
    // SAFETY: made by `Box::into_raw` in `take`, and given back once.
    let mut live = unsafe { Box::from_raw(view.cast::<Live>()) };
    live.reply.outcome = Some(outcome);
    DONE.lock().unwrap().push(live.reply);
}

unsafe extern "C" fn set_logvar(_: *const c_void, view: *mut RequestView, name: Slice, value: Slice) {
    let text = |slice| String::from_utf8_lossy(&bytes(slice)).into_owned();
    live(view).reply.logvars.push((text(name), text(value)));
}

unsafe extern "C" fn log(_: *const c_void, line: Slice) {
    let line = String::from_utf8_lossy(&bytes(line)).into_owned();
    if std::env::var_os("UWRING_TEST_VERBOSE").is_some() {
        eprintln!("    | {line}");
    }
    LOG.lock().unwrap().push(line);
}

unsafe extern "C" fn loaded(_: *const c_void, _: u32, _: Slice, _: u64) {}

/// There is no cache.
unsafe extern "C" fn cache(
    _: *const c_void,
    _: *const uwring_abi::CacheCall,
    _: unsafe extern "C" fn(*mut c_void, Slice),
    _: *mut c_void,
) -> i64 {
    -1
}

unsafe extern "C" fn metric(_: *const c_void, _: u32, _: Slice, _: i64) -> i64 {
    0
}

unsafe extern "C" fn control(_: *const c_void, what: u32, arg: u64) -> i64 {
    match what {
        CONTROL_PID if arg == 0 => MASTER_PID,
        CONTROL_PID => i64::from(std::process::id()),
        CONTROL_LOCK | CONTROL_UNLOCK => i64::from(arg == 0),
        CONTROL_IS_LOCKED if arg != 0 => -1,
        CONTROL_TOTAL_REQUESTS => 77,
        CONTROL_DISARM => {
            LOG.lock().unwrap().push("disarmed".to_owned());
            0
        }
        CONTROL_SOCKET if arg > 0 => -1,
        _ => 0,
    }
}
