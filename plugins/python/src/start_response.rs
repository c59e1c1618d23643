//! `start_response(status, headers[, exc_info])` and the `write` it returns: two C functions over the thread's
//! [`exchange`], because they are called for every request and a wrapped function costs 100 ns more.
//!
//! Both carry a ticket, which the exchange of their request knows: called later, or by another thread, they are
//! refused instead of writing into somebody else's answer. A thread uses the same pair for all its requests, until
//! an application keeps one of them: then the next request has a new pair.
//!
//! Texts of exceptions are uWSGI's where it raises them. What it lets through and we refuse: line breaks in
//! names and values (response splitting) and names that are no tokens (RFC 9110 §5.6.2).

use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::{PyAssertionError, PyOSError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::ffi::{
    METH_KEYWORDS, METH_O, PyCFunction_NewEx, PyCFunctionWithKeywords, PyErr_Clear, PyMethodDef,
    PyMethodDefPointer, PyObject,
};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};
use uwring::base::text;
use uwring_abi::{HEAD_CLOSE, HEAD_HAS_DATE, HEAD_HAS_SERVER};

use crate::call::is_kept;
use crate::exchange::{self, Exchange, Head, Phase, Ticket};
use crate::interpreter::{AsUtf8, as_utf8};
use crate::item::bytes_of;
use crate::reason::reason;
use crate::{host, traceback};

/// Named in the headers of 3.10's limited API, the same since 3.7.
const METH_FASTCALL: c_int = 0x80;

/// Arguments, their number, and names of keyword arguments (or null).
type FastCall =
    unsafe extern "C" fn(*mut PyObject, *const *mut PyObject, isize, *mut PyObject) -> *mut PyObject;

// The two functions ---------------------------------------------------------------------------------------

/// The pair of one thread.
#[derive(Debug)]
pub struct Functions<'py> {
    /// For the application.
    pub start_response: Bound<'py, PyAny>,
    /// What that returns.
    pub write: Bound<'py, PyAny>,
    /// What both carry: alive as long as one of them is, so no other has its address.
    pub ticket: Ticket,
}

impl<'py> Functions<'py> {
    /// A new pair.
    pub fn new(py: Python<'py>) -> PyResult<Functions<'py>> {
        static START: OnceLock<Definition> = OnceLock::new();
        static WRITE: OnceLock<Definition> = OnceLock::new();
        let start = START.get_or_init(|| {
            // SAFETY: with METH_FASTCALL | METH_KEYWORDS CPython calls it by its true signature.
            let meth = unsafe { std::mem::transmute::<FastCall, PyCFunctionWithKeywords>(start_response) };
            let meth = PyMethodDefPointer { PyCFunctionWithKeywords: meth };
            Definition::new(c"start_response", meth, METH_FASTCALL | METH_KEYWORDS)
        });
        let write = WRITE
            .get_or_init(|| Definition::new(c"write", PyMethodDefPointer { PyCFunction: write }, METH_O));
        // Any object of its own will do.
        let ticket = PyList::empty(py).into_any();
        Ok(Functions {
            start_response: start.function(&ticket)?,
            write: write.function(&ticket)?,
            ticket: Ticket(ticket.as_ptr().addr()),
        })
    }

    /// Whether the application still has one of them.
    pub fn are_kept(&self) -> bool {
        is_kept(&self.start_response) || is_kept(&self.write)
    }
}

/// What a function object points to, for ever.
struct Definition(PyMethodDef);

// SAFETY: CPython only reads it: a name and a function, both static.
unsafe impl Send for Definition {}
// SAFETY: as above.
unsafe impl Sync for Definition {}

impl Definition {
    fn new(name: &'static std::ffi::CStr, meth: PyMethodDefPointer, flags: c_int) -> Definition {
        Definition(PyMethodDef {
            ml_name: name.as_ptr(),
            ml_meth: meth,
            ml_flags: flags,
            ml_doc: std::ptr::null(),
        })
    }

    fn function<'py>(&'static self, ticket: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let definition = std::ptr::from_ref(&self.0).cast_mut();
        // SAFETY: attached; the definition is static and not written to; no module is allowed to be null.
        let made = unsafe { PyCFunction_NewEx(definition, ticket.as_ptr(), std::ptr::null_mut()) };
        // SAFETY: a new reference, or null with an exception set.
        unsafe { Bound::from_owned_ptr_or_err(ticket.py(), made) }
    }
}

unsafe extern "C" fn start_response(
    ticket: *mut PyObject,
    args: *const *mut PyObject,
    count: isize,
    names: *mut PyObject,
) -> *mut PyObject {
    // SAFETY: CPython calls us, attached.
    let py = unsafe { Python::assume_attached() };
    let argument = |index: isize| {
        // SAFETY: CPython passes `count` positional arguments, then one for each name; asked for below only.
        let place = unsafe { args.offset(index) };
        // SAFETY: as above.
        let pointer = unsafe { *place };
        // SAFETY: a borrowed reference that the caller holds during the call.
        unsafe { Bound::from_borrowed_ptr(py, pointer) }
    };
    // SAFETY: null, or a tuple that the caller holds.
    let names = unsafe { Bound::from_borrowed_ptr_or_opt(py, names) };
    let exc_info = match (count, names) {
        (2, None) => None,
        (3, None) => Some(argument(2)),
        (2, Some(names)) if is_exc_info(&names) => Some(argument(2)),
        _ => {
            let error =
                PyTypeError::new_err("start_response() takes a status, a list of headers and exc_info");
            return raise(py, error);
        }
    };
    let ticket = Ticket(ticket.addr());
    match respond(py, ticket, &argument(0), &argument(1), exc_info.filter(|info| !info.is_none())) {
        Ok(write) => write.into_ptr(),
        Err(error) => raise(py, error),
    }
}

unsafe extern "C" fn write(ticket: *mut PyObject, data: *mut PyObject) -> *mut PyObject {
    // SAFETY: CPython calls us, attached.
    let py = unsafe { Python::assume_attached() };
    // SAFETY: METH_O: one argument, which the caller holds.
    let data = unsafe { Bound::from_borrowed_ptr(py, data) };
    if exchange::with(|exchange| exchange.ticket) != Some(Ticket(ticket.addr())) {
        return raise(py, PyRuntimeError::new_err("write() was called outside of its request"));
    }
    match bytes_of(&data) {
        // A client that left is no reason to break the application: iteration of its body ends as well.
        Ok(bytes) => drop(exchange::with(|exchange| exchange.send(py, bytes.as_bytes(), false))),
        Err(error) => return raise(py, error),
    }
    py.None().into_ptr()
}

fn raise(py: Python<'_>, error: PyErr) -> *mut PyObject {
    error.restore(py);
    std::ptr::null_mut()
}

fn is_exc_info(names: &Bound<'_, PyAny>) -> bool {
    names.cast::<PyTuple>().is_ok_and(|names| {
        names.len() == 1
            && names
                .get_item(0)
                .and_then(|name| name.extract::<String>())
                .is_ok_and(|name| name == "exc_info")
    })
}

// What it does --------------------------------------------------------------------------------------------

fn respond<'py>(
    py: Python<'py>,
    ticket: Ticket,
    status: &Bound<'py, PyAny>,
    headers: &Bound<'py, PyAny>,
    exc_info: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let phase =
        exchange::with(|exchange| if exchange.ticket == ticket { exchange.phase } else { Phase::Idle });
    let phase = phase.unwrap_or(Phase::Idle);
    match (phase, &exc_info) {
        (Phase::Idle, _) => {
            return Err(outside());
        }
        (Phase::Sent, Some(info)) => return Err(error_of(py, info)?),
        (Phase::Sent, None) => return Err(PyOSError::new_err("headers already sent")),
        (Phase::Ready, None) => {
            return Err(PyAssertionError::new_err("start_response() was called again without exc_info"));
        }
        (Phase::Waiting | Phase::Ready | Phase::Gone, Some(info)) => {
            if let Ok(error) = error_of(py, info) {
                traceback::log(py, error);
            }
        }
        (Phase::Waiting | Phase::Gone, None) => {}
    }
    let set = exchange::with(|exchange| set_head(exchange, status, headers));
    set.unwrap_or_else(|| Err(PyRuntimeError::new_err("start_response() was called inside of itself")))?;
    let write = exchange::with(|exchange| exchange.write.as_ref().map(|write| write.clone_ref(py)));
    write.flatten().map(|write| write.into_bound(py)).ok_or_else(outside)
}

fn outside() -> PyErr {
    PyRuntimeError::new_err("start_response() was called outside of its request")
}

/// The exception in a `sys.exc_info()` tuple.
fn error_of(py: Python<'_>, info: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let (kind, value, trace): (Bound<'_, PyAny>, Bound<'_, PyAny>, Bound<'_, PyAny>) = info.extract()?;
    if value.is_none() && kind.is_none() {
        return Err(PyTypeError::new_err("exc_info holds no exception"));
    }
    let trace = if trace.is_none() { std::ptr::null_mut() } else { trace.into_ptr() };
    // What 3.12 has in its place is not in the limited API of 3.9.
    #[allow(deprecated)]
    // SAFETY: attached; takes over the three references that `into_ptr` gave up.
    unsafe {
        pyo3::ffi::PyErr_Restore(kind.into_ptr(), value.into_ptr(), trace)
    };
    Ok(PyErr::fetch(py))
}

fn set_head(exchange: &mut Exchange, status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
    let was = exchange.phase;
    // Until all of it is checked there is no head.
    if was != Phase::Gone {
        exchange.phase = Phase::Waiting;
    }
    let head = &mut exchange.head;
    head.clear();
    set_status(head, status)?;
    let headers = headers
        .cast::<PyList>()
        .map_err(|_| PyTypeError::new_err("http headers must be in a python list"))?;
    for header in headers {
        add_field(head, &header)?;
    }
    if was != Phase::Gone {
        exchange.phase = Phase::Ready;
    }
    Ok(())
}

fn set_status(head: &mut Head, status: &Bound<'_, PyAny>) -> PyResult<()> {
    let status =
        status.cast::<PyString>().map_err(|_| PyTypeError::new_err("http status must be a string"))?;
    append_latin1(&mut head.line, status)?;
    let digits = head.line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
    let code = digits
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u16>().ok());
    head.status = match code {
        Some(code @ 100..) if head.line.get(3).is_none_or(|&byte| byte == b' ') => code,
        _ => return Err(PyValueError::new_err("http status must be three digits and a reason")),
    };
    refuse_controls(&head.line)?;
    if head.line.len() <= 4 {
        head.line.truncate(3);
        head.line.push(b' ');
        head.line.extend_from_slice(reason(head.status).as_bytes());
    }
    Ok(())
}

fn add_field(head: &mut Head, header: &Bound<'_, PyAny>) -> PyResult<()> {
    let pair = header
        .cast::<PyTuple>()
        .map_err(|_| PyTypeError::new_err("http header must be defined in a tuple"))?;
    if pair.len() != 2 {
        return Err(PyTypeError::new_err("http header must be a 2-item tuple"));
    }
    let (name, value) = (pair.get_borrowed_item(0)?, pair.get_borrowed_item(1)?);
    let name =
        name.cast::<PyString>().map_err(|_| PyTypeError::new_err("http header key must be a string"))?;
    let value =
        value.cast::<PyString>().map_err(|_| PyTypeError::new_err("http header value must be a string"))?;

    let start = head.fields.len();
    append_latin1(&mut head.fields, &name)?;
    let name_end = head.fields.len();
    if start == name_end || !head.fields[start..].iter().all(|&byte| is_token(byte)) {
        return Err(PyValueError::new_err("http header name must be a token"));
    }
    head.fields.extend_from_slice(b": ");
    let value_start = head.fields.len();
    append_latin1(&mut head.fields, &value)?;
    refuse_controls(&head.fields[value_start..])?;
    let verdict = judge(&head.fields[start..name_end], &head.fields[value_start..], head.content_length)?;
    match verdict {
        Verdict::Keep(flag) => head.flags |= flag,
        Verdict::Length(len) => head.content_length = Some(len),
        Verdict::Drop(flag) => {
            head.flags |= flag;
            head.fields.truncate(start);
            return Ok(());
        }
    }
    head.fields.extend_from_slice(b"\r\n");
    head.field_count += 1;
    Ok(())
}

/// What becomes of a field.
enum Verdict {
    /// Sent; a flag for the host.
    Keep(u32),
    /// Sent; it is the length.
    Length(u64),
    /// Left out; a flag for the host.
    Drop(u32),
}

/// Hop-by-hop fields are the server's (PEP 3333 "Other HTTP Features"); three others it must know about.
fn judge(name: &[u8], value: &[u8], length: Option<u64>) -> PyResult<Verdict> {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    // Told apart by length first: most names stop here.
    let hop = match name.len() {
        2 => is("te"),
        4 if is("date") => return Ok(Verdict::Keep(HEAD_HAS_DATE)),
        6 if is("server") => return Ok(Verdict::Keep(HEAD_HAS_SERVER)),
        7 => is("upgrade") || is("trailer"),
        8 => is("trailers"),
        10 if is("connection") => {
            return Ok(Verdict::Drop(if text::lists(value, b"close") { HEAD_CLOSE } else { 0 }));
        }
        10 => is("keep-alive"),
        14 if is("content-length") => return parse_length(value, length),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        18 => is("proxy-authenticate"),
        19 => is("proxy-authorization"),
        _ => false,
    };
    if hop {
        log_dropped(name);
        return Ok(Verdict::Drop(0));
    }
    Ok(Verdict::Keep(0))
}

fn parse_length(value: &[u8], before: Option<u64>) -> PyResult<Verdict> {
    let digits = std::str::from_utf8(value.trim_ascii())
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse::<u64>().ok()) {
        Some(len) if before.is_none() && i64::try_from(len).is_ok() => Ok(Verdict::Length(len)),
        Some(len) if before == Some(len) => Ok(Verdict::Drop(0)),
        _ => Err(PyValueError::new_err("Content-Length must be one number")),
    }
}

/// Once a process: an application that does it does it with every answer.
fn log_dropped(name: &[u8]) {
    static LOGGED: AtomicBool = AtomicBool::new(false);
    if !LOGGED.swap(true, Ordering::Relaxed) {
        let name = String::from_utf8_lossy(name);
        host::log(&format!(
            "the application set {name}, which is the server's to say: left out, as others of its kind"
        ));
    }
}

// Texts ---------------------------------------------------------------------------------------------------

/// Adds a native string: characters up to U+00FF, a byte each (PEP 3333 "A Note on String Types").
fn append_latin1(out: &mut Vec<u8>, text: &Bound<'_, PyString>) -> PyResult<()> {
    let not_latin1 = || PyTypeError::new_err("http header must be encodable in latin1");
    let utf8 = utf8_of(text).ok_or_else(not_latin1)?;
    if utf8.is_ascii() {
        out.extend_from_slice(utf8);
        return Ok(());
    }
    for character in std::str::from_utf8(utf8).map_err(|_| not_latin1())?.chars() {
        out.push(u8::try_from(u32::from(character)).map_err(|_| not_latin1())?);
    }
    Ok(())
}

/// The text's UTF-8 form, which CPython keeps with it; of an ASCII text it is the text itself.
fn utf8_of<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a [u8]> {
    static AS_UTF8: OnceLock<Option<AsUtf8>> = OnceLock::new();
    let as_utf8 = (*AS_UTF8.get_or_init(as_utf8))?;
    let mut len = 0;
    // SAFETY: attached, and `text` is a str.
    let first = unsafe { as_utf8(text.as_ptr(), &raw mut len) };
    if first.is_null() {
        // Lone surrogates. The caller raises what uWSGI raises.
        // SAFETY: attached.
        unsafe { PyErr_Clear() };
        return None;
    }
    // SAFETY: CPython keeps `len` bytes at `first` as long as the text lives, which is borrowed for 'a.
    Some(unsafe { std::slice::from_raw_parts(first.cast(), usize::try_from(len).ok()?) })
}

/// RFC 9110 §5.5, RFC 9112 §4: line breaks split responses, and no sender makes the others.
fn refuse_controls(text: &[u8]) -> PyResult<()> {
    if text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(PyValueError::new_err(
            "http status and headers must not contain CR, LF, NUL or other control characters",
        ));
    }
    Ok(())
}

/// RFC 9110 §5.6.2, a lookup for each byte of each name.
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = {
        let mut table = [false; 256];
        let marks = b"!#$%&'*+-.^_`|~";
        let mut index = 0;
        while index < 256 {
            table[index] = (index as u8).is_ascii_alphanumeric();
            index += 1;
        }
        let mut index = 0;
        while index < marks.len() {
            table[marks[index] as usize] = true;
            index += 1;
        }
        table
    };
    TOKEN[usize::from(byte)]
}
