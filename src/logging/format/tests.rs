//! Lines as operators read them.

use super::*;

#[derive(Debug)]
struct None_;
impl Variables for None_ {
    fn value(&self, name: &[u8]) -> Option<&[u8]> {
        (name == b"HTTP_X").then_some(b"x")
    }

    fn metric(&self, name: &[u8]) -> i64 {
        if name == b"orders" { -7 } else { 0 }
    }

    fn known(&self, which: Known) -> &[u8] {
        match which {
            Known::Host => b"h",
            Known::Agent => b"curl",
            Known::Referer => b"",
            Known::ForwardedFor => b"9.9.9.9, 8.8.8.8",
        }
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
        vars: 24,
        packet_bytes: 300,
        started_wall_us: 1_000_000_000_000_000,
        took_us: 2_345,
        status: 200,
        header_count: 2,
        header_bytes: 79,
        body_bytes: 12,
        content_length: 0,
        broken: false,
        cut_off: false,
        via_sendfile: false,
        modifier1: 0,
        modifier2: 0,
        traced: false,
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
fn there_is_room_for_the_longest_line() {
    let most = Record {
        pid: u32::MAX,
        core: u32::MAX,
        app: i64::MIN,
        app_requests: i64::MIN,
        total_requests: u64::MAX,
        vars: usize::MAX,
        packet_bytes: usize::MAX,
        took_us: u64::MAX,
        status: u16::MAX,
        header_count: u32::MAX,
        header_bytes: u64::MAX,
        body_bytes: u64::MAX,
        via_sendfile: true,
        uri: &[b'\n'; 10_000],
        ..record(&[])
    };
    let mut out = b"before\n".to_vec();
    Line::compile(&Logging { micros: true, ..Logging::default() }).append(&mut out, &most);
    let line = String::from_utf8(out).expect("text");
    assert!(
        line.starts_with("before\n[pid: 4294967295|app: -9223372036854775808|req: -9223372036854775808/1844")
    );
    assert!(line.ends_with("bytes (1 switches on core 4294967295)\n"), "{line:.100}");
    assert_eq!(line.matches("\\x0a").count(), 10_000);
}

#[test]
fn options_change_the_default_line() {
    let text =
        line(&Logging { micros: true, x_forwarded_for: true, memory_report: true, ..Logging::default() });
    assert!(text.contains("in 2345 micros (") && text.contains("] 9.9.9.9, 8.8.8.8 () {"), "{text}");
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
fn times_are_uwsgis_and_follow_the_clock() {
    let form = |form: &str, date: Option<&str>| Logging {
        format: Some(form.into()),
        date: date.map(Into::into),
        format_strftime: true,
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
    let without = Logging { format_strftime: false, ..form("%(ftime)", Some("%Y")) };
    assert!(line(&without).contains("/Sep/2001:"));
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
    assert!(wanted(&Logging::default(), 200, 0, 5, Sent::Whole));
    assert!(!wanted(&off(), 500, 9_000_000, 0, Sent::Whole));
    assert!(wanted(&Logging { log_4xx: true, ..off() }, 404, 0, 5, Sent::Whole));
    assert!(!wanted(&Logging { log_4xx: true, ..off() }, 500, 0, 5, Sent::Whole));
    assert!(wanted(&Logging { log_5xx: true, ..off() }, 500, 0, 5, Sent::Whole));
    assert!(wanted(&Logging { log_zero: true, ..off() }, 200, 0, 0, Sent::Whole));
    assert!(wanted(&Logging { log_slow_ms: 2, ..off() }, 200, 2_000, 5, Sent::Whole));
    assert!(!wanted(&Logging { log_slow_ms: 2, ..off() }, 200, 1_999, 5, Sent::Whole));
    assert!(wanted(&Logging { log_big: 5, ..off() }, 200, 0, 5, Sent::Whole));
    assert!(wanted(&Logging { log_sendfile: true, ..off() }, 200, 0, 5, Sent::File));
    assert!(wanted(&Logging { log_ioerror: true, ..off() }, 200, 0, 5, Sent::Broken));
    assert!(!wanted(&Logging { log_ioerror: true, ..off() }, 200, 0, 5, Sent::File));
}
