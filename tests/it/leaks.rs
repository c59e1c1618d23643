//! Memory and descriptors after many requests and many clients that go away: back at their level.
//!
//! 200,000 requests and 10,000 aborted clients; `UWRING_LEAK_DIVISOR=10` makes it a tenth on a slow machine.

use std::process::Command;

use crate::support::{Address, Held, Packet, Server, has, held, uwring_only};

fn scaled(n: usize) -> usize {
    let divisor: usize = std::env::var("UWRING_LEAK_DIVISOR")
        .map_or(1, |n| n.parse().expect("UWRING_LEAK_DIVISOR is a number"));
    n / divisor
}

/// `n` requests by ab, `clients` at a time.
fn load(address: &Address, n: usize, clients: usize, keep: bool) {
    let Address::Tcp(address) = address else { unreachable!("ab speaks TCP") };
    let mut command = Command::new("ab");
    command.args(["-q", "-n", &n.to_string(), "-c", &clients.to_string()]);
    if keep {
        command.arg("-k");
    }
    let output = command.arg(format!("http://{address}/")).output().expect("run ab");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!report.contains("Non-2xx") && report.contains("Failed requests:        0"), "{report}");
}

/// Clients that go away at every possible point.
fn abort(server: &Server, n: usize) {
    let packet = Packet::get("/").post("some body").bytes();
    let http = b"POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nsome body";
    for i in 0..n {
        let (address, bytes) =
            if i % 2 == 0 { (server.socket(), &packet[..]) } else { (server.tcp(0), &http[..]) };
        let mut client = address.connect();
        // The server may be faster than we are.
        let _ = client.try_send(&bytes[..i / 2 % (bytes.len() + 1)]);
    }
}

/// The last load left more behind than ten bytes a request.
fn has_risen(levels: &[Held]) -> bool {
    let [.., before, after] = levels else { return false };
    after.kilobytes > before.kilobytes + before.kilobytes / 20 + 1536
}

#[test]
fn memory_and_descriptors_return_to_their_level() {
    if !has(&["ab"]) {
        return;
    }
    let server = Server::app("hello").http().ini("disable-logging = true\nsocket-timeout = 1").start();
    let pid = server.workers()[0];
    let n = scaled(200_000);
    // Tables, buffers and arenas grow once, to the most that was open at a time: the level is what they have after
    // loads of the same kinds, with as many clients that go away.
    load(&server.tcp(0), 5_000, 100, true);
    load(&server.tcp(0), n / 10, 100, false);
    abort(&server, scaled(10_000));
    settle(&server);
    let mut levels = vec![held(pid)];
    // On a busy machine more clients may be open at a time than ever before: once more, then. A leak is one each time.
    while levels.len() < 2 || levels.len() < 4 && has_risen(&levels) {
        load(&server.tcp(0), n, 100, true);
        load(&server.tcp(0), n / 10, 100, false);
        abort(&server, scaled(10_000));
        settle(&server);
        levels.push(held(pid));
    }
    assert!(levels.iter().all(|level| level.descriptors == levels[0].descriptors), "{levels:?}");
    assert!(!has_risen(&levels), "{levels:?}");
    assert_eq!(server.workers().len(), 1, "the worker was replaced");
}

/// Nothing is open any more once a new client is served: the server's end of all others is closed before, or soon
/// after. Waits for the descriptors to stop falling, by serving clients.
fn settle(server: &Server) {
    let pid = server.workers()[0];
    let mut last = held(pid).descriptors;
    let mut same = 0;
    while same < 50 {
        server.socket().uwsgi(&Packet::get("/")).expect(200);
        let now = held(pid).descriptors;
        same = if now == last { same + 1 } else { 0 };
        last = now;
    }
}

#[test]
fn idle_connections_cost_no_request_buffers() {
    if uwring_only("http-socket closes after each request; an idle client blocks the worker") {
        return;
    }
    let server = Server::app("hello").http().start();
    let pid = server.workers()[0];
    let mut clients: Vec<_> = (0..500).map(|_| server.http()).collect();
    let before = held(pid);
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
        client.response("GET").expect(200);
    }
    let after = held(pid);
    // 500 connections of at most 8 KiB each.
    assert!(after.kilobytes <= before.kilobytes + 4_000, "{before:?} → {after:?}");
}
