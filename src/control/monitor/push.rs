//! `stats-push`: statistics go out by themselves, every few seconds, each in a thread of its own.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::desk::Desk;
use crate::base::clock;
use crate::base::errors;
use crate::options::monitor::{Push, Pusher};
use crate::stats::declared;
use crate::stats::figures::{Figure, Kind};
use crate::sys::net::connect_to_any;

/// How often the log hears of one that fails: once in so many times.
const SAY_EVERY: u32 = 100;
/// How long a server of Graphite may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Starts them.
pub fn start(pushers: Vec<Pusher>, desk: &'static Desk) {
    for pusher in pushers {
        let name = format!("push {}", pusher.to.name());
        if let Err(cause) = thread::Builder::new().name(name.clone()).spawn(move || run(&pusher, desk)) {
            crate::log!("[uwring] monitor: {name}: {cause} {}", errors::MONITOR);
        }
    }
}

fn run(pusher: &Pusher, desk: &Desk) {
    // Another monitor may have told what was counted before.
    let mut told = counters(&desk.figures());
    let mut failures = 0;
    loop {
        thread::sleep(Duration::from_secs(pusher.seconds.max(1)));
        let figures = desk.figures();
        match push(&pusher.to, desk, &figures, &mut told) {
            Ok(()) => {
                failures = 0;
                declared::begin_anew(&desk.view.declared, desk.view.area.meters(), &figures);
            }
            Err(cause) => {
                if failures % SAY_EVERY == 0 {
                    crate::log!(
                        "[uwring] stats-push to {}: {cause} {}",
                        pusher.to.name(),
                        errors::NOT_PUSHED
                    );
                }
                failures += 1;
            }
        }
    }
}

fn push(to: &Push, desk: &Desk, figures: &[Figure], told: &mut HashMap<String, i64>) -> io::Result<()> {
    match to {
        Push::File { path, separator } => {
            let mut text = desk.statistics();
            text.push_str(separator);
            File::options().append(true).create(true).open(path)?.write_all(text.as_bytes())
        }
        Push::Socket { address, prefix } => {
            send(address, format!("{prefix}{}", desk.statistics()).as_bytes())
        }
        Push::Statsd { address, prefix, gauges, totals } => {
            for words in messages(figures, prefix, (*gauges, *totals), told) {
                send(address, words.as_bytes())?;
            }
            *told = counters(figures);
            Ok(())
        }
        Push::Carbon { address, prefix, totals } => {
            let now = clock::wall_seconds();
            let lines: String =
                figures.iter().filter_map(|figure| line(figure, prefix, *totals, now)).collect();
            connect(address)?.write_all(lines.as_bytes())
        }
    }
}

/// One message to a `host:port`, or to a unix socket.
fn send(address: &str, bytes: &[u8]) -> io::Result<()> {
    if address.contains(':') && !address.contains('/') {
        let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        UdpSocket::bind(any)?.send_to(bytes, address).map(drop)
    } else {
        UnixDatagram::unbound()?.send_to(bytes, Path::new(address)).map(drop)
    }
}

/// What StatsD is told: `statsd-all-gauges` and `statsd-no-workers` choose.
fn messages(
    figures: &[Figure],
    prefix: &str,
    (gauges, totals): (bool, bool),
    told: &HashMap<String, i64>,
) -> impl Iterator<Item = String> {
    let figures = figures.iter().filter(move |figure| !totals || !is_of_one(&figure.name));
    figures.map(move |figure| if gauges { stand(figure, prefix) } else { words(figure, prefix, told) })
}

/// What StatsD wants: of a counter, what came since the last time.
fn words(figure: &Figure, prefix: &str, told: &HashMap<String, i64>) -> String {
    let (value, kind) = match figure.kind {
        Kind::Counter => {
            let before = told.get(&figure.name).copied().unwrap_or(0);
            (figure.value.saturating_sub(before).max(0), 'c')
        }
        Kind::Gauge | Kind::Absolute | Kind::Alias => (figure.value, 'g'),
    };
    format!("{prefix}.{}:{value}|{kind}", figure.name)
}

/// The same with `statsd-all-gauges`.
fn stand(figure: &Figure, prefix: &str) -> String {
    format!("{prefix}.{}:{}|g", figure.name, figure.value)
}

/// Whether it is about one worker: 0 stands for all.
fn is_of_one(name: &str) -> bool {
    name.starts_with("worker.") && !name.starts_with("worker.0.")
}

/// What Graphite is told, by the names of uWSGI's plugin; `None`: nothing of this one.
fn line(figure: &Figure, prefix: &str, totals: bool, now: u64) -> Option<String> {
    let (worker, name) = match figure.name.strip_prefix("worker.") {
        Some(rest) => rest.split_once('.')?,
        None => ("0", figure.name.as_str()),
    };
    let name = match name {
        "avg_response_time" => "avg_rt",
        "total_tx" => "tx",
        "requests" | "rss_size" | "vsz_size" => name,
        _ => return None,
    };
    let value = figure.value;
    match worker {
        _ if totals && worker != "0" => None,
        "0" => Some(format!("{prefix}.{name} {value} {now}\n")),
        _ => Some(format!("{prefix}.worker{worker}.{name} {value} {now}\n")),
    }
}

/// To the first address of that name that answers.
fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = connect_to_any(address, PATIENCE)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn counters(figures: &[Figure]) -> HashMap<String, i64> {
    let counters = figures.iter().filter(|figure| figure.kind == Kind::Counter);
    counters.map(|figure| (figure.name.clone(), figure.value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statsd_is_told_what_came_since() {
        let figure = |kind, value| Figure { name: "a.b".to_owned(), oid: String::new(), kind, value };
        let told = counters(&[figure(Kind::Counter, 5), figure(Kind::Gauge, 9)]);
        assert_eq!(words(&figure(Kind::Counter, 12), "x", &told), "x.a.b:7|c");
        assert_eq!(words(&figure(Kind::Counter, 3), "x", &told), "x.a.b:0|c");
        assert_eq!(words(&figure(Kind::Absolute, 12), "x", &told), "x.a.b:12|g");
        assert_eq!(words(&figure(Kind::Counter, 12), "x", &HashMap::new()), "x.a.b:12|c");
    }

    #[test]
    fn statsd_is_told_what_is_chosen() {
        let figure =
            |name: &str| Figure { name: name.to_owned(), oid: String::new(), kind: Kind::Counter, value: 7 };
        let figures = ["worker.0.tx", "worker.1.tx", "own"].map(figure);
        let told = HashMap::from([("own".to_owned(), 5)]);
        let said =
            |gauges, totals| -> Vec<String> { messages(&figures, "x", (gauges, totals), &told).collect() };
        assert_eq!(said(false, false), ["x.worker.0.tx:7|c", "x.worker.1.tx:7|c", "x.own:2|c"]);
        assert_eq!(said(true, false), ["x.worker.0.tx:7|g", "x.worker.1.tx:7|g", "x.own:7|g"]);
        assert_eq!(said(false, true), ["x.worker.0.tx:7|c", "x.own:2|c"]);
    }

    #[test]
    fn graphite_hears_the_names_of_uwsgis_plugin() {
        let line = |name: &str, totals| {
            let name = name.to_owned();
            line(&Figure { name, oid: String::new(), kind: Kind::Gauge, value: 7 }, "u.h.i", totals, 99)
        };
        assert_eq!(line("worker.0.requests", true).as_deref(), Some("u.h.i.requests 7 99\n"));
        assert_eq!(line("worker.3.total_tx", false).as_deref(), Some("u.h.i.worker3.tx 7 99\n"));
        assert_eq!(line("rss_size", true).as_deref(), Some("u.h.i.rss_size 7 99\n"));
        for (name, totals) in
            [("worker.3.total_tx", true), ("worker.1.core.0.requests", false), ("core.x", false)]
        {
            assert_eq!(line(name, totals), None, "{name}");
        }
        assert!(is_of_one("worker.2.tx") && !is_of_one("worker.0.tx") && !is_of_one("rss_size"));
    }

    #[test]
    fn messages_reach_both_kinds_of_sockets() {
        let mut buffer = [0; 16];
        let udp = UdpSocket::bind("127.0.0.1:0").expect("bound");
        send(&udp.local_addr().expect("an address").to_string(), b"one").expect("sent");
        assert_eq!(udp.recv(&mut buffer).expect("received"), 3);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        let unix = UnixDatagram::bind(&path).expect("bound");
        send(&path.display().to_string(), b"two").expect("sent");
        assert_eq!(unix.recv(&mut buffer).expect("received"), 3);
    }
}
