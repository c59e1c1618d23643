//! The request line: uWSGI's default (byte for byte), or `log-format`, compiled once into items.
//!
//! Control bytes of what a client sent are written as `\xNN`, so that nobody can forge a line.

use std::io::Write;

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
    /// Form of `%(ftime)`.
    date: Option<String>,
}

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
            date: logging.date.clone().filter(|form| !form.is_empty()),
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
        if self.memory {
            let (rss, vsz) = memory();
            put(out, format_args!("{{address space usage: {vsz} bytes/{}MB}} ", vsz >> 20));
            put(out, format_args!("{{rss usage: {rss} bytes/{}MB}} ", rss >> 20));
        }
        put(
            out,
            format_args!("[pid: {}|app: {}|req: {}/{}] ", r.pid, r.app, r.app_requests, r.total_requests),
        );
        safe(out, self.addr(r));
        out.extend_from_slice(b" (");
        safe(out, r.user);
        put(out, format_args!(") {{{} vars in {} bytes}} [", r.vars, r.packet_bytes));
        put(out, format_args!("{}] ", time::ctime(r.started_wall_us / 1_000_000)));
        safe(out, r.method);
        out.push(b' ');
        safe(out, r.uri);
        let (took, unit) = if self.micros { (r.took_us, "micros") } else { (r.took_us / 1000, "msecs") };
        put(out, format_args!(" => generated {} bytes in {took} {unit}{}(", r.body_bytes, r.via));
        safe(out, r.protocol);
        put(out, format_args!(" {}) {} headers in {} bytes ", r.status, r.header_count, r.header_bytes));
        put(out, format_args!("(1 switches on core {})", r.core));
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
            Name::Ltime => put(out, format_args!("{}", self.start(r, "%d/%b/%Y:%H:%M:%S %z"))),
            Name::Ctime => put(out, format_args!("{}", time::ctime(r.started_wall_us / 1_000_000))),
            Name::Ftime => {
                let form = self.date.as_deref().unwrap_or("%a %b %e %H:%M:%S %Y");
                put(out, format_args!("{}", self.start(r, form)));
            }
            name => put(out, format_args!("{}", number(name, r))),
        }
    }

    fn start(&self, r: &Record<'_>, form: &str) -> String {
        time::local(r.started_wall_us / 1_000_000, form)
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
        Name::Secs => r.took_us / 1_000_000,
        Name::Tmicros => r.started_wall_us,
        Name::Tmsecs => r.started_wall_us / 1000,
        Name::Time => r.started_wall_us / 1_000_000,
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

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a Vec takes everything");
}

fn or_dash(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() { out.push(b'-') } else { safe(out, value) }
}

/// Appends what a client sent, control bytes made visible.
fn safe(out: &mut Vec<u8>, value: &[u8]) {
    for &byte in value {
        if byte < 0x20 || byte == 0x7f {
            put(out, format_args!("\\x{byte:02x}"));
        } else {
            out.push(byte);
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
