//! The request line: uWSGI's default (byte for byte), or `log-format`, compiled once into items.
//!
//! Control bytes of what a client sent are written as `\xNN`, so that nobody can forge a line.

mod text;
mod usual;

use std::cell::RefCell;

pub use text::is_plain_json;
use text::{or_dash, safe};
use usual::Opening;

use super::json;
use crate::base::digits::{decimal, fixed, signed};
use crate::options::settings::Logging;
use crate::proto::trace;
use crate::sys::time;

/// One finished request. Bytes are as received.
#[derive(Debug)]
#[expect(
    missing_docs,
    reason = "each field is the log variable of its name (uwsgi-docs, Formatting uWSGI requests logs)"
)]
pub struct Record<'a> {
    pub pid: u32,
    pub worker: u32,
    pub core: u32,
    /// -1: no application.
    pub app: i64,
    pub app_requests: i64,
    pub total_requests: u64,
    pub addr: &'a [u8],
    pub user: &'a [u8],
    pub method: &'a [u8],
    pub uri: &'a [u8],
    pub protocol: &'a [u8],
    /// Names and values, both counted, as uWSGI does.
    pub vars: usize,
    pub packet_bytes: usize,
    pub started_wall_us: u64,
    pub took_us: u64,
    pub status: u16,
    pub header_count: u32,
    pub header_bytes: u64,
    pub body_bytes: u64,
    pub content_length: u64,
    pub via_sendfile: bool,
    /// The answer could not be sent.
    pub broken: bool,
    /// What the application asked for of the body did not come.
    pub cut_off: bool,
    pub modifier1: u8,
    pub modifier2: u8,
    pub logvars: &'a [(Vec<u8>, Vec<u8>)],
    /// `tracing`.
    pub traced: bool,
    /// What few forms ask for.
    pub variables: &'a dyn Variables,
}

impl<'a> Record<'a> {
    /// `X-Request-Id`.
    pub fn request_id(&self) -> Option<&'a [u8]> {
        self.variables.value(trace::REQUEST_ID)
    }

    /// Of `traceparent`.
    pub fn trace_id(&self) -> Option<&'a [u8]> {
        self.variables.value(trace::PARENT).and_then(trace::trace_id)
    }
}

/// Access to the request's variables.
pub trait Variables: std::fmt::Debug {
    /// Value of the last variable of that name.
    fn value(&self, name: &[u8]) -> Option<&[u8]>;
    /// One of those that have a place of their own; empty where there is none.
    fn known(&self, which: Known) -> &[u8];
    /// What the metric of that name is; 0 where there is none.
    fn metric(&self, name: &[u8]) -> i64;
}

/// Variables that have a place of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in log-format")]
pub enum Known {
    Host,
    Agent,
    Referer,
    ForwardedFor,
}

/// Whether a request gets a line: all do, unless `disable-logging`; then those the `log-*` options name.
pub fn wanted(logging: &Logging, status: u16, took_us: u64, body_bytes: u64, how: Sent) -> bool {
    !logging.disable_requests
        || logging.log_4xx && (400..500).contains(&status)
        || logging.log_5xx && (500..600).contains(&status)
        || logging.log_zero && body_bytes == 0
        || logging.log_slow_ms > 0 && took_us / 1000 >= logging.log_slow_ms
        || logging.log_big > 0 && body_bytes >= logging.log_big
        || logging.log_sendfile && how == Sent::File
        || logging.log_ioerror && how == Sent::Broken
}

/// How the answer went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// As usual.
    Whole,
    /// From a file.
    File,
    /// Not to its end.
    Broken,
}

/// A compiled form of line.
#[derive(Debug)]
pub struct Line {
    form: Form,
    micros: bool,
    forwarded_for: bool,
    memory: bool,
    /// `%(ctime)`, `%(ltime)` and `%(ftime)` of the second of the last request, and that of JSON.
    ctime: RefCell<Stamp>,
    ltime: RefCell<Stamp>,
    ftime: RefCell<Stamp>,
    of_json: RefCell<Stamp>,
    opening: RefCell<Opening>,
}

/// Which kind of line.
#[derive(Debug)]
enum Form {
    /// uWSGI's own.
    Default,
    /// `log-format`.
    Items(Vec<Item>),
    /// `log-format = json`, `log-json`.
    Json,
}

/// A form of time, and its text in one second: requests are many to a second, and time zones take their time.
#[derive(Debug)]
struct Stamp {
    /// For `strftime`; none: as JSON has it.
    form: Option<String>,
    second: u64,
    text: Vec<u8>,
}

impl Stamp {
    fn new(form: Option<&str>) -> RefCell<Stamp> {
        RefCell::new(Stamp { form: form.map(Into::into), second: u64::MAX, text: Vec::new() })
    }

    fn append(&mut self, out: &mut Vec<u8>, second: u64) {
        if self.second != second {
            self.second = second;
            self.text = match &self.form {
                Some(form) => time::local(second, form).into_bytes(),
                None => json::second(second),
            };
        }
        out.extend_from_slice(&self.text);
    }
}

/// As an access log of Apache shows it.
const LTIME: &str = "%d/%b/%Y:%H:%M:%S %z";

#[derive(Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    Var(String),
    Logvar(String),
    Metric(String),
    Known(Name),
}

/// The names of `log-format` that are neither request variables nor logvars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as in log-format")]
pub enum Name {
    Uri,
    Method,
    User,
    Addr,
    Host,
    Proto,
    Uagent,
    Referer,
    Status,
    Rsize,
    Hsize,
    Size,
    Cl,
    Micros,
    Msecs,
    Secs,
    Tmsecs,
    Tmicros,
    Time,
    Epoch,
    Ltime,
    Ftime,
    Ctime,
    Pid,
    Wid,
    Core,
    Vars,
    Pktsize,
    Modifier1,
    Modifier2,
    Headers,
    Switches,
    Rss,
    Vsz,
    RssM,
    VszM,
    Werr,
    Rerr,
    Ioerr,
    RequestId,
    TraceId,
}

const NAMES: &[(&str, Name)] = &[
    ("uri", Name::Uri),
    ("method", Name::Method),
    ("user", Name::User),
    ("addr", Name::Addr),
    ("host", Name::Host),
    ("proto", Name::Proto),
    ("uagent", Name::Uagent),
    ("referer", Name::Referer),
    ("status", Name::Status),
    ("rsize", Name::Rsize),
    ("hsize", Name::Hsize),
    ("size", Name::Size),
    ("cl", Name::Cl),
    ("micros", Name::Micros),
    ("msecs", Name::Msecs),
    ("secs", Name::Secs),
    ("tmsecs", Name::Tmsecs),
    ("tmicros", Name::Tmicros),
    ("time", Name::Time),
    ("epoch", Name::Epoch),
    ("ltime", Name::Ltime),
    ("ftime", Name::Ftime),
    ("ctime", Name::Ctime),
    ("pid", Name::Pid),
    ("wid", Name::Wid),
    ("core", Name::Core),
    ("vars", Name::Vars),
    ("pktsize", Name::Pktsize),
    ("modifier1", Name::Modifier1),
    ("modifier2", Name::Modifier2),
    ("headers", Name::Headers),
    ("switches", Name::Switches),
    ("rss", Name::Rss),
    ("vsz", Name::Vsz),
    ("rssM", Name::RssM),
    ("vszM", Name::VszM),
    ("werr", Name::Werr),
    ("rerr", Name::Rerr),
    ("ioerr", Name::Ioerr),
    ("request_id", Name::RequestId),
    ("trace_id", Name::TraceId),
];

impl Line {
    /// As the options say.
    pub fn compile(logging: &Logging) -> Line {
        Line {
            form: match &logging.format {
                _ if logging.json => Form::Json,
                Some(format) => Form::Items(items(format)),
                None => Form::Default,
            },
            micros: logging.micros,
            forwarded_for: logging.x_forwarded_for,
            memory: logging.memory_report,
            ctime: Stamp::new(Some(time::CTIME)),
            ltime: Stamp::new(Some(LTIME)),
            // As in uWSGI, only with both options.
            ftime: Stamp::new(
                logging
                    .date
                    .as_deref()
                    .filter(|form| logging.format_strftime && !form.is_empty())
                    .or(Some(LTIME)),
            ),
            of_json: Stamp::new(None),
            opening: RefCell::default(),
        }
    }

    /// Whether it says how many requests all workers have had: adding them up takes a while.
    pub fn tells_total(&self) -> bool {
        !matches!(self.form, Form::Items(_))
    }

    /// Appends the line of one request.
    pub fn append(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        match &self.form {
            Form::Default => return usual::append(self, out, record),
            Form::Items(items) => items.iter().for_each(|item| self.append_item(out, item, record)),
            Form::Json => {
                return json::request(out, record, self.addr(record), |out| {
                    self.of_json.borrow_mut().append(out, seconds(record));
                });
            }
        }
        out.push(b'\n');
    }

    fn addr<'a>(&self, record: &Record<'a>) -> &'a [u8] {
        match record.variables {
            variables if self.forwarded_for => match variables.known(Known::ForwardedFor) {
                [] => record.addr,
                all => all,
            },
            _ => record.addr,
        }
    }

    fn append_item(&self, out: &mut Vec<u8>, item: &Item, record: &Record<'_>) {
        match item {
            Item::Text(text) => out.extend_from_slice(text.as_bytes()),
            Item::Var(name) => or_dash(out, record.variables.value(name.as_bytes()).unwrap_or_default()),
            Item::Logvar(name) => {
                let value =
                    record.logvars.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, v)| v.as_slice());
                or_dash(out, value.unwrap_or_default());
            }
            Item::Metric(name) => signed(out, record.variables.metric(name.as_bytes())),
            Item::Known(name) => self.append_known(out, *name, record),
        }
    }

    fn append_known(&self, out: &mut Vec<u8>, name: Name, r: &Record<'_>) {
        match name {
            Name::Uri => or_dash(out, r.uri),
            Name::Method => or_dash(out, r.method),
            Name::User => or_dash(out, r.user),
            Name::Addr => or_dash(out, self.addr(r)),
            Name::Host => or_dash(out, r.variables.known(Known::Host)),
            Name::Proto => or_dash(out, r.protocol),
            Name::Uagent => or_dash(out, r.variables.known(Known::Agent)),
            Name::Referer => or_dash(out, r.variables.known(Known::Referer)),
            Name::RequestId => or_dash(out, r.request_id().unwrap_or_default()),
            Name::TraceId => or_dash(out, r.trace_id().unwrap_or_default()),
            Name::Ltime => self.ltime.borrow_mut().append(out, seconds(r)),
            Name::Ctime => self.ctime.borrow_mut().append(out, seconds(r)),
            Name::Ftime => self.ftime.borrow_mut().append(out, seconds(r)),
            // The only one with a fraction.
            Name::Secs => {
                decimal(out, r.took_us / 1_000_000);
                out.push(b'.');
                fixed::<3>(out, r.took_us);
            }
            name => decimal(out, number(name, r)),
        }
    }
}

/// When the request began, seconds since the epoch.
fn seconds(r: &Record<'_>) -> u64 {
    r.started_wall_us / 1_000_000
}

/// `memory-report`.
fn append_memory(out: &mut Vec<u8>) {
    let (rss, vsz) = memory();
    for (name, bytes) in [("address space", vsz), ("rss", rss)] {
        out.push(b'{');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" usage: ");
        decimal(out, bytes);
        out.extend_from_slice(b" bytes/");
        decimal(out, bytes >> 20);
        out.extend_from_slice(b"MB} ");
    }
}

fn number(name: Name, r: &Record<'_>) -> u64 {
    match name {
        Name::Status => r.status.into(),
        Name::Rsize => r.body_bytes,
        Name::Hsize => r.header_bytes,
        Name::Size => r.body_bytes + r.header_bytes,
        Name::Cl => r.content_length,
        Name::Micros => r.took_us,
        Name::Msecs => r.took_us / 1000,
        Name::Tmicros => r.started_wall_us,
        Name::Tmsecs => r.started_wall_us / 1000,
        Name::Time => seconds(r),
        Name::Epoch => (r.started_wall_us + r.took_us) / 1_000_000,
        Name::Pid => r.pid.into(),
        Name::Wid => r.worker.into(),
        Name::Core => r.core.into(),
        Name::Vars => r.vars as u64,
        Name::Pktsize => r.packet_bytes as u64,
        Name::Modifier1 => r.modifier1.into(),
        Name::Modifier2 => r.modifier2.into(),
        Name::Headers => r.header_count.into(),
        Name::Rss => memory().0,
        Name::RssM => memory().0 >> 20,
        Name::Vsz => memory().1,
        Name::VszM => memory().1 >> 20,
        // One call of the application is one switch.
        Name::Switches => 1,
        Name::Werr => r.broken.into(),
        Name::Rerr => r.cut_off.into(),
        Name::Ioerr => u64::from(r.broken) + u64::from(r.cut_off),
        _ => 0,
    }
}

/// Resident and virtual size of this process, bytes; 0 where /proc does not say.
fn memory() -> (u64, u64) {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text.split(' ').map(|n| n.parse::<u64>().unwrap_or(0) * crate::sys::memory::page_bytes());
    let vsz = pages.next().unwrap_or(0);
    (pages.next().unwrap_or(0), vsz)
}

/// `%(name)` items and the text between them. What does not close is text.
fn items(form: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut rest = form;
    while let Some((text, behind)) = rest.split_once("%(") {
        let Some((name, behind)) = behind.split_once(')') else { break };
        if !text.is_empty() {
            items.push(Item::Text(text.to_owned()));
        }
        items.push(item(name));
        rest = behind;
    }
    if !rest.is_empty() {
        items.push(Item::Text(rest.to_owned()));
    }
    items
}

fn item(name: &str) -> Item {
    if let Some(var) = name.strip_prefix("var.") {
        return Item::Var(var.to_owned());
    }
    if let Some(metric) = name.strip_prefix("metric.") {
        return Item::Metric(metric.to_owned());
    }
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, known)) => Item::Known(*known),
        None => Item::Logvar(name.to_owned()),
    }
}

#[cfg(test)]
mod tests;
