//! `stats-push`: statistics go out by themselves, every few seconds, each in a thread of its own.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::desk::Desk;
use crate::options::monitor::{Push, Pusher};
use crate::stats::figures::{Figure, Kind};

/// How often the log hears of one that fails: once in so many times.
const SAY_EVERY: u32 = 100;

/// Starts them.
pub fn start(pushers: Vec<Pusher>, desk: &'static Desk) {
    for pusher in pushers {
        let name = format!("push {}", pusher.to.name());
        if let Err(cause) = thread::Builder::new().name(name.clone()).spawn(move || run(&pusher, desk)) {
            crate::log!("[uwring] monitor: {name}: {cause}");
        }
    }
}

fn run(pusher: &Pusher, desk: &Desk) {
    // Another monitor may have told what was counted before.
    let mut told = counters(&desk.figures());
    let mut failures = 0;
    loop {
        thread::sleep(Duration::from_secs(pusher.seconds.max(1)));
        match push(&pusher.to, desk, &mut told) {
            Ok(()) => failures = 0,
            Err(cause) => {
                if failures % SAY_EVERY == 0 {
                    crate::log!("[uwring] stats-push to {}: {cause}", pusher.to.name());
                }
                failures += 1;
            }
        }
    }
}

fn push(to: &Push, desk: &Desk, told: &mut HashMap<String, u64>) -> io::Result<()> {
    match to {
        Push::File { path, separator } => {
            let mut text = desk.statistics();
            text.push_str(separator);
            File::options().append(true).create(true).open(path)?.write_all(text.as_bytes())
        }
        Push::Socket { address, prefix } => {
            send(address, format!("{prefix}{}", desk.statistics()).as_bytes())
        }
        Push::Statsd { address, prefix } => {
            let figures = desk.figures();
            for figure in &figures {
                send(address, words(figure, prefix, told).as_bytes())?;
            }
            *told = counters(&figures);
            Ok(())
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

/// What StatsD wants: of a counter, what came since the last time.
fn words(figure: &Figure, prefix: &str, told: &HashMap<String, u64>) -> String {
    let (value, kind) = match figure.kind {
        Kind::Counter => {
            let before = told.get(&figure.name).copied().unwrap_or(0);
            (figure.value.saturating_sub(before), 'c')
        }
        Kind::Gauge | Kind::Absolute | Kind::Alias => (figure.value, 'g'),
    };
    format!("{prefix}.{}:{value}|{kind}", figure.name)
}

fn counters(figures: &[Figure]) -> HashMap<String, u64> {
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
