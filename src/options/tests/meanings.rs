//! Options whose meaning is put together of several, or is that of another.

use super::*;
use crate::options::monitor::Push;
use crate::options::settings::Sockets;

/// What the one does is tested where it lives.
#[test]
fn some_options_are_another_way_to_say_the_same() {
    let of = |lines: &str| settings(of_file(lines).unwrap_or_else(|error| panic!("{lines}: {error}")));
    for (short, long) in [
        ("log-syslog = shop", "logger = syslog:shop"),
        ("log-socket = /run/log.sock", "logger = socket:/run/log.sock"),
    ] {
        let loggers = |lines: &str| format!("{:?}", of(lines).logging.loggers);
        assert_eq!(loggers(short), loggers(long));
        assert_ne!(loggers(short), "[]");
    }
    let keyed = "https2 = addr=:1,cert=a.crt,key=a.key,ciphers=HIGH,clientca=!c";
    let sockets = |lines: &str| {
        let Sockets { specs, tls, .. } = of(lines).sockets;
        format!("{specs:?} {:?}", tls.sockets)
    };
    assert_eq!(sockets(keyed), sockets("https-socket = :1,a.crt,a.key,HIGH,!c"));
    let cache = |lines: &str| of(lines).caches;
    assert_eq!(cache("cache = 9\ncache-no-expire = 1"), cache("cache2 = name=default,items=9,no_expire=1"));
    assert_ne!(cache("cache = 9\ncache-no-expire = 1"), cache("cache = 9"));
}

#[test]
fn pushers_and_patience_are_told_what_stands_apart_from_them() {
    let of = |lines: &str| settings(of_file(lines).expect(lines));
    let push = |lines: &str| of(lines).monitor.pushers.remove(0).to;
    for (lines, expected) in [
        ("stats-push = statsd:h:1", (false, false)),
        ("statsd-all-gauges = true\nstats-push = statsd:h:1", (true, false)),
        ("stats-push = statsd:h:1\nstatsd-no-workers = true", (false, true)),
    ] {
        assert!(
            matches!(push(lines), Push::Statsd { gauges, totals, .. } if (gauges, totals) == expected),
            "{lines}"
        );
    }
    let carbon = "carbon = g:1\ncarbon-id = shop\ncarbon-root = mine";
    for (lines, expected) in [(carbon, false), (&format!("{carbon}\ncarbon-no-workers = true"), true)] {
        let Push::Carbon { prefix, totals, .. } = push(lines) else { panic!("{lines}") };
        assert!(prefix.starts_with("mine.") && prefix.ends_with(".shop"), "{prefix}");
        assert_eq!(totals, expected, "{lines}");
    }
    assert_eq!(of("http-timeout = 300").request.socket_timeout_ms, 300_000);
}

#[test]
fn requests_are_for_python_alone() {
    for name in ["http-modifier1", "https-socket-modifier1", "fastcgi-modifier1", "scgi-modifier1"] {
        for number in [0, 30] {
            of_file(&format!("{name} = {number}")).expect("Python's");
        }
        let said = error(&format!("{name} = 5"));
        assert!(said.contains("requests are for Python"), "{said}");
    }
}
