//! Even work: workers that share sockets get about the same share of the requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::support::{Server, uwring_only};

/// The busiest worker's requests by the laziest one's, in percent.
fn unevenness(server: &Server) -> u64 {
    let status = server.status();
    let workers = status["workers"].as_array().expect("workers");
    let counts: Vec<u64> =
        workers.iter().map(|worker| worker["requests"].as_u64().expect("a count")).collect();
    let (least, most) = (counts.iter().min().expect("workers"), counts.iter().max().expect("workers"));
    println!("{counts:?}");
    most * 100 / least.max(&1)
}

#[test]
fn short_and_kept_connections_are_shared_evenly() {
    if uwring_only("http-socket keeps none") {
        return;
    }
    for kept in [false, true] {
        let server =
            Server::app("work").processes(8).http().without("socket").ini("disable-logging = true").start();
        // Whoever is answered sooner asks more often.
        let left = Arc::new(AtomicI64::new(6400));
        let clients: Vec<_> = (0..64)
            .map(|_| {
                let (address, left) = (server.tcp(0), Arc::clone(&left));
                std::thread::spawn(move || {
                    let mut client = address.connect();
                    while left.fetch_sub(1, Ordering::Relaxed) > 0 {
                        if !kept {
                            client = address.connect();
                        }
                        client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
                        client.response("GET").expect(200);
                    }
                })
            })
            .collect();
        clients.into_iter().for_each(|client| client.join().expect("no request failed"));
        // 110 to 150 where measured, with all of it on two busy cores.
        let percent = unevenness(&server);
        assert!(
            percent < 300,
            "kept {kept}: the busiest worker has {percent} % of the laziest one's requests"
        );
    }
}
