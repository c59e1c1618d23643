//! The request line: uWSGI's default (byte for byte), or `log-format`, compiled once into items.
//!
//! Control bytes of what a client sent are written as `\xNN`, so that nobody can forge a line.

use std::cell::RefCell;

use crate::base::digits::{decimal, signed};
use crate::options::settings::Logging;
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
    pub host: &'a [u8],
    pub agent: &'a [u8],
    pub referer: &'a [u8],
    pub forwarded_for: &'a [u8],
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
    pub via: &'a str,
    pub modifier1: u8,
    pub modifier2: u8,
    pub logvars: &'a [(Vec<u8>, Vec<u8>)],
    /// The value of a request variable, for `%(var.NAME)`.
    pub variables: &'a dyn Variables,
}

/// Access to the request's variables by name.
pub trait Variables: std::fmt::Debug {
    /// Value of the last variable of that name.
    fn value(&self, name: &[u8]) -> Option<&[u8]>;
}

/// Whether a request gets a line: all do, unless `disable-logging`; then those the `log-*` options name.
pub fn wanted(logging: &Logging, status: u16, took_us: u64, body_bytes: u64) -> bool {
    !logging.disable_requests
        || logging.log_4xx && (400..500).contains(&status)
        || logging.log_5xx && (500..600).contains(&status)
        || logging.log_zero && body_bytes == 0
        || logging.log_slow_ms > 0 && took_us / 1000 >= logging.log_slow_ms
        || logging.log_big > 0 && body_bytes >= logging.log_big
}

/// A compiled form of line.
#[derive(Debug)]
pub struct Line {
    items: Option<Vec<Item>>,
    micros: bool,
    forwarded_for: bool,
    memory: bool,
    /// `%(ctime)`, `%(ltime)` and `%(ftime)` of the second of the last request.
    ctime: RefCell<Stamp>,
    ltime: RefCell<Stamp>,
    ftime: RefCell<Stamp>,
}

/// A form of time, and its text in one second: requests are many to a second, and time zones take their time.
#[derive(Debug)]
struct Stamp {
    form: String,
    second: u64,
    text: String,
}

impl Stamp {
    fn new(form: &str) -> RefCell<Stamp> {
        RefCell::new(Stamp { form: form.into(), second: u64::MAX, text: String::new() })
    }

    fn append(&mut self, out: &mut Vec<u8>, second: u64) {
        if self.second != second {
            (self.second, self.text) = (second, time::local(second, &self.form));
        }
        out.extend_from_slice(self.text.as_bytes());
    }
}

/// As an access log of Apache shows it.
const LTIME: &str = "%d/%b/%Y:%H:%M:%S %z";

#[derive(Debug, PartialEq, Eq)]
enum Item {
    Text(String),
    Var(String),
    Logvar(String),
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
];

impl Line {
    /// As the options say.
    pub fn compile(logging: &Logging) -> Line {
        Line {
            items: logging.format.as_deref().map(items),
            micros: logging.micros,
            forwarded_for: logging.x_forwarded_for,
            memory: logging.memory_report,
            ctime: Stamp::new(time::CTIME),
            ltime: Stamp::new(LTIME),
            ftime: Stamp::new(logging.date.as_deref().filter(|form| !form.is_empty()).unwrap_or(LTIME)),
        }
    }

    /// Appends the line of one request.
    pub fn append(&self, out: &mut Vec<u8>, record: &Record<'_>) {
        match &self.items {
            None => self.append_default(out, record),
            Some(items) => items.iter().for_each(|item| self.append_item(out, item, record)),
        }
        out.push(b'\n');
    }

    fn addr<'a>(&self, record: &Record<'a>) -> &'a [u8] {
        if self.forwarded_for && !record.forwarded_for.is_empty() {
            record.forwarded_for
        } else {
            record.addr
        }
    }

    fn append_default(&self, out: &mut Vec<u8>, r: &Record<'_>) {
        let text = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
        if self.memory {
            append_memory(out);
        }
        text(out, "[pid: ");
        decimal(out, r.pid.into());
        text(out, "|app: ");
        signed(out, r.app);
        text(out, "|req: ");
        signed(out, r.app_requests);
        text(out, "/");
        decimal(out, r.total_requests);
        text(out, "] ");
        safe(out, self.addr(r));
        text(out, " (");
        safe(out, r.user);
        text(out, ") {");
        decimal(out, r.vars as u64);
        text(out, " vars in ");
        decimal(out, r.packet_bytes as u64);
        text(out, " bytes} [");
        self.ctime.borrow_mut().append(out, seconds(r));
        text(out, "] ");
        safe(out, r.method);
        text(out, " ");
        safe(out, r.uri);
        text(out, " => generated ");
        decimal(out, r.body_bytes);
        text(out, " bytes in ");
        decimal(out, if self.micros { r.took_us } else { r.took_us / 1000 });
        text(out, if self.micros { " micros" } else { " msecs" });
        text(out, r.via);
        text(out, "(");
        safe(out, r.protocol);
        text(out, " ");
        decimal(out, r.status.into());
        text(out, ") ");
        decimal(out, r.header_count.into());
        text(out, " headers in ");
        decimal(out, r.header_bytes);
        text(out, " bytes (1 switches on core ");
        decimal(out, r.core.into());
        text(out, ")");
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
            Item::Known(name) => self.append_known(out, *name, record),
        }
    }

    fn append_known(&self, out: &mut Vec<u8>, name: Name, r: &Record<'_>) {
        match name {
            Name::Uri => or_dash(out, r.uri),
            Name::Method => or_dash(out, r.method),
            Name::User => or_dash(out, r.user),
            Name::Addr => or_dash(out, self.addr(r)),
            Name::Host => or_dash(out, r.host),
            Name::Proto => or_dash(out, r.protocol),
            Name::Uagent => or_dash(out, r.agent),
            Name::Referer => or_dash(out, r.referer),
            Name::Ltime => self.ltime.borrow_mut().append(out, seconds(r)),
            Name::Ctime => self.ctime.borrow_mut().append(out, seconds(r)),
            Name::Ftime => self.ftime.borrow_mut().append(out, seconds(r)),
            // The only one with a fraction.
            Name::Secs => {
                decimal(out, r.took_us / 1_000_000);
                out.push(b'.');
                // A digit in front keeps the zeros; it goes.
                let at = out.len();
                decimal(out, 1_000_000 + r.took_us % 1_000_000);
                out.remove(at);
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
        // One call of the application is one switch; errors of the connection are counted, not logged.
        Name::Switches => 1,
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
    match NAMES.iter().find(|(known, _)| *known == name) {
        Some((_, known)) => Item::Known(*known),
        None => Item::Logvar(name.to_owned()),
    }
}

fn or_dash(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() { out.push(b'-') } else { safe(out, value) }
}

/// Appends what a client sent, control bytes made visible.
fn safe(out: &mut Vec<u8>, value: &[u8]) {
    // Almost always there is none, so all of it goes at once.
    for piece in value.split_inclusive(u8::is_ascii_control) {
        match piece {
            [text @ .., byte] if byte.is_ascii_control() => {
                out.extend_from_slice(text);
                let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
                out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
            }
            text => out.extend_from_slice(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct None_;
    impl Variables for None_ {
        fn value(&self, name: &[u8]) -> Option<&[u8]> {
            (name == b"HTTP_X").then_some(b"x")
        }
    }

    fn record(logvars: &[(Vec<u8>, Vec<u8>)]) -> Record<'_> {
        Record {
            pid: 7,
            worker: 1,
            core: 0,
            app: 0,
            app_requests: 3,
            total_requests: 9,
            addr: b"127.0.0.1",
            user: b"",
            method: b"GET",
            uri: b"/a\nforged",
            protocol: b"HTTP/1.1",
            host: b"h",
            agent: b"curl",
            referer: b"",
            forwarded_for: b"10.0.0.1, 10.0.0.2",
            vars: 24,
            packet_bytes: 300,
            started_wall_us: 1_000_000_000_000_000,
            took_us: 2_345,
            status: 200,
            header_count: 2,
            header_bytes: 79,
            body_bytes: 12,
            content_length: 0,
            via: " ",
            modifier1: 0,
            modifier2: 0,
            logvars,
            variables: &None_,
        }
    }

    fn line(logging: &Logging) -> String {
        let mut out = Vec::new();
        let logvars = [(b"who".to_vec(), b"me".to_vec())];
        Line::compile(logging).append(&mut out, &record(&logvars));
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_default_line_is_uwsgis() {
        let date = time::ctime(1_000_000_000);
        let expected = format!(
            "[pid: 7|app: 0|req: 3/9] 127.0.0.1 () {{24 vars in 300 bytes}} [{date}] GET /a\\x0aforged => generated \
             12 bytes in 2 msecs (HTTP/1.1 200) 2 headers in 79 bytes (1 switches on core 0)\n"
        );
        assert_eq!(line(&Logging::default()), expected);
    }

    #[test]
    fn options_change_the_default_line() {
        let text =
            line(&Logging { micros: true, x_forwarded_for: true, memory_report: true, ..Logging::default() });
        assert!(text.contains("in 2345 micros (") && text.contains("] 10.0.0.1, 10.0.0.2 () {"), "{text}");
        assert!(text.starts_with("{address space usage: ") && text.contains("MB} {rss usage: "), "{text}");
    }

    #[test]
    fn a_line_seen_from_uwsgi_comes_out_byte_for_byte() {
        // uWSGI 2.0.21 with `log-micros` and `log-x-forwarded-for`, but for the time of day.
        let seen = "[pid: 17144|app: 0|req: 1/1] 9.9.9.9, 8.8.8.8 () {32 vars in 391 bytes} [CTIME] POST /a?b => \
                    generated 5 bytes in 225 micros (HTTP/1.1 200) 2 headers in 51 bytes (1 switches on core 0)\n";
        let record = Record {
            pid: 17144,
            app_requests: 1,
            total_requests: 1,
            forwarded_for: b"9.9.9.9, 8.8.8.8",
            vars: 32,
            packet_bytes: 391,
            method: b"POST",
            uri: b"/a?b",
            body_bytes: 5,
            took_us: 225,
            header_bytes: 51,
            ..record(&[])
        };
        let logging = Logging { micros: true, x_forwarded_for: true, ..Logging::default() };
        let mut out = Vec::new();
        Line::compile(&logging).append(&mut out, &record);
        let line = String::from_utf8(out).expect("text");
        assert_eq!(line, seen.replace("CTIME", &time::ctime(1_000_000_000)));
    }

    #[test]
    fn a_line_cannot_be_forged() {
        for (value, shown) in [
            (&b"plain"[..], "plain"),
            (b"a\r\nb", "a\\x0d\\x0ab"),
            (b"\0\x1b[2J\x7f", "\\x00\\x1b[2J\\x7f"),
            (b"", ""),
            (b"\n", "\\x0a"),
        ] {
            let mut out = Vec::new();
            safe(&mut out, value);
            assert_eq!(String::from_utf8(out).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn times_are_uwsgis_and_follow_the_clock() {
        let form = |form: &str, date: Option<&str>| Logging {
            format: Some(form.into()),
            date: date.map(Into::into),
            ..Logging::default()
        };
        for (took_us, secs) in
            [(294, "0.000294"), (1_200_401, "1.200401"), (0, "0.000000"), (60_000_000, "60.000000")]
        {
            let mut out = Vec::new();
            Line::compile(&form("%(secs)", None)).append(&mut out, &Record { took_us, ..record(&[]) });
            assert_eq!(String::from_utf8(out), Ok(format!("{secs}\n")));
        }
        // Without a form of its own `%(ftime)` is `%(ltime)`.
        let text = line(&form("%(ftime)|%(ltime)", Some("")));
        let (ftime, ltime) = text.trim_end().split_once('|').expect("two times");
        assert!(ftime == ltime && ftime.contains("/Sep/2001:"), "{text}");
        assert_eq!(line(&form("%(ftime)", Some("%Y"))), "2001\n");
        let (line, mut out) = (Line::compile(&form("%(ftime)", Some("%s"))), Vec::new());
        for second in [5, 6, 5] {
            line.append(&mut out, &Record { started_wall_us: second * 1_000_000, ..record(&[]) });
        }
        assert_eq!(out, b"5\n6\n5\n");
    }

    #[test]
    fn a_form_is_filled_in() {
        let form = "%(addr) - %(user) \"%(method) %(proto)\" %(status) %(size) %(msecs) %(who) %(var.HTTP_X) %(nobody) 5%(";
        let text = line(&Logging { format: Some(form.into()), ..Logging::default() });
        assert_eq!(text, "127.0.0.1 - - \"GET HTTP/1.1\" 200 91 2 me x - 5%(\n");
    }

    #[test]
    fn every_known_name_is_filled_in() {
        for (name, _) in NAMES {
            let text = line(&Logging { format: Some(format!("<%({name})>")), ..Logging::default() });
            assert!(text.len() > 3, "{name}: {text}");
        }
    }

    #[test]
    fn which_requests_are_logged() {
        let off = || Logging { disable_requests: true, ..Logging::default() };
        assert!(wanted(&Logging::default(), 200, 0, 5));
        assert!(!wanted(&off(), 500, 9_000_000, 0));
        assert!(wanted(&Logging { log_4xx: true, ..off() }, 404, 0, 5));
        assert!(!wanted(&Logging { log_4xx: true, ..off() }, 500, 0, 5));
        assert!(wanted(&Logging { log_5xx: true, ..off() }, 500, 0, 5));
        assert!(wanted(&Logging { log_zero: true, ..off() }, 200, 0, 0));
        assert!(wanted(&Logging { log_slow_ms: 2, ..off() }, 200, 2_000, 5));
        assert!(!wanted(&Logging { log_slow_ms: 2, ..off() }, 200, 1_999, 5));
        assert!(wanted(&Logging { log_big: 5, ..off() }, 200, 0, 5));
    }
}
