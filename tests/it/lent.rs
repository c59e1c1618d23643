//! A large answer is sent from the application's own bytes: nothing of it is copied for a client that takes its time, the thread
//! is free, and the application's object goes when the client has it all, or is gone.

use crate::support::{Address, Server, uwring_only};

/// Bytes of the answer to `/<seed>`.
const LEN: usize = 251 * (900 * 1024 / 251 + 1);

/// With sockets that take far less than that at once.
fn serve() -> (Server, Address) {
    let server = Server::app("lent")
        .without("socket")
        .ini("http-socket = {dir}/http.sock\ndisable-logging = true")
        .start();
    let address = Address::Unix(server.path("http.sock"));
    (server, address)
}

fn given_back(server: &Server) -> usize {
    server.log().count(|line| line.contains("given back"))
}

fn assert_whole(body: &[u8], seed: usize) {
    let right = |(n, byte): (usize, &u8)| usize::from(*byte) == (seed + n % 251) % 251;
    assert!(body.len() == LEN && body.iter().enumerate().all(right), "{} bytes", body.len());
}

#[test]
fn large_answers_stay_where_they_lie_until_they_are_read() {
    if uwring_only("one client that does not read holds the worker") {
        return;
    }
    let (server, address) = serve();
    let mut clients: Vec<_> = (0..20)
        .map(|seed| {
            let mut client = address.connect();
            client.send(format!("GET /{seed} HTTP/1.1\r\nHost: test\r\n\r\n"));
            client
        })
        .collect();
    assert_eq!(address.get("/").expect(200).text(), "free");
    assert_eq!(given_back(&server), 0, "{}", server.log().text());
    for (seed, client) in clients.iter_mut().enumerate() {
        assert_whole(&client.response("GET").expect(200).body, seed);
    }
    // Nobody asks for anything now: the thread lets go by itself.
    server.log().wait_n(20, |line| line.contains("given back")).expect("all of them");
    let mut first = clients.swap_remove(0);
    first.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(first.response("GET").expect(200).text(), "free", "the connection goes on");
}

#[test]
fn who_leaves_gives_back_what_was_kept_for_him() {
    if uwring_only("one client that does not read holds the worker") {
        return;
    }
    let (server, address) = serve();
    let mut rude = address.connect();
    rude.send("GET /7 HTTP/1.1\r\nHost: test\r\n\r\n");
    rude.exactly(1);
    assert_eq!(address.get("/").expect(200).text(), "free");
    assert_eq!(given_back(&server), 0);
    rude.reset();
    server.log().wait_n(1, |line| line.contains("given back")).expect("it is");
}
