//! The layer over the epoll engine, against rustls as a client.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::super::material::{Material, Pem};
use super::*;
use crate::engine::epoll::Epoll;
use crate::options::tls::Identity;

const DOOR: Token = Token(7);
const CONN: Token = Token(8);

/// An engine with one TLS socket, and what a client needs.
fn scene() -> (Layer<Epoll>, TcpListener, Arc<ClientConfig>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let cert = params.self_signed(&key).expect("a certificate");
    let identity = Identity { cert: "c".into(), key: "k".into(), ciphers: None, clients: None };
    let pem = Pem { identity, cert: cert.pem(), key: key.serialize_pem(), clients: None };
    let shop = Shop::open(&Material { sockets: vec![pem], names: Vec::new() }, false).expect("a shop");
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut layer = Layer::new(Epoll::new().expect("an engine"), Arc::new(shop), [(listener.as_raw_fd(), 0)]);
    layer.adopt(listener.as_raw_fd()).expect("adopt");
    layer.accept(listener.as_raw_fd(), DOOR);
    (layer, listener, Arc::new(config))
}

fn connect(listener: &TcpListener, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let stream = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    let name = ServerName::try_from("localhost").expect("a name");
    StreamOwned::new(ClientConnection::new(Arc::clone(config), name).expect("a client"), stream)
}

/// Waits for the first event that `pick` takes.
fn until<T>(layer: &mut Layer<Epoll>, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        let mut events = Vec::new();
        layer.wait(Some(Duration::from_secs(90)), &mut events).expect("events");
        assert!(!events.is_empty() || !layer.lines.is_empty(), "nothing happens");
        if let Some(found) = events.into_iter().find_map(&mut pick) {
            return found;
        }
    }
}

fn accepted(layer: &mut Layer<Epoll>) -> OwnedFd {
    until(layer, |event| match event {
        Event::Accepted { token: DOOR, result } => Some(result.expect("a connection")),
        _ => None,
    })
}

fn received(layer: &mut Layer<Epoll>) -> io::Result<Option<Vec<u8>>> {
    let result = until(layer, |event| match event {
        Event::Received { token: CONN, result } => Some(result),
        _ => None,
    });
    result.map(|chunk| {
        chunk.map(|chunk| {
            let bytes = layer.bytes(&chunk).to_vec();
            layer.release(chunk);
            bytes
        })
    })
}

#[test]
fn what_comes_and_goes_is_plain_here_and_not_outside() {
    let (mut layer, listener, config) = scene();
    let mut client = connect(&listener, &config);
    let far = thread::spawn(move || {
        client.write_all(b"hello").expect("send");
        let mut all = Vec::new();
        client.read_to_end(&mut all).expect("close_notify");
        all
    });
    let fd = accepted(&mut layer);
    assert!(!layer.is_open_to_all(fd.as_raw_fd()));
    layer.recv(fd.as_raw_fd(), CONN);
    assert_eq!(received(&mut layer).expect("bytes"), Some(b"hello".to_vec()));
    assert!(layer.chunks.is_empty());
    // More than any socket takes at once, and the end.
    let answer: Vec<u8> = (0..9_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    layer.send(Then::Close(fd), CONN, answer.clone().into(), Notice::Prompt);
    let mut steps = 0;
    let (result, buffer) = until(&mut layer, |event| match event {
        Event::Sent { token: CONN, result, buffer } => Some((result, buffer)),
        Event::Progress { token: CONN } => {
            steps += 1;
            None
        }
        _ => None,
    });
    assert!(result.is_ok() && *buffer == answer[..] && steps > 3, "{result:?} {steps}");
    assert!(far.join().expect("the client") == answer);
    assert!(layer.lines.is_empty() && layer.by_fd.is_empty());
}

#[test]
fn a_body_is_taken_in_the_measure_asked_for() {
    let (mut layer, listener, config) = scene();
    let mut client = connect(&listener, &config);
    let far = thread::spawn(move || {
        client.write_all(b"abcdefgh").expect("send");
        client
    });
    let fd = accepted(&mut layer);
    let mut all = Vec::new();
    for (max, expected) in [(3, "abc"), (1, "abcd"), (100, "abcdefgh")] {
        layer.recv_into(fd.as_raw_fd(), CONN, all, max);
        let (result, buffer) = until(&mut layer, |event| match event {
            Event::Filled { token: CONN, result, buffer } => Some((result, buffer)),
            _ => None,
        });
        assert!(result.expect("bytes") > 0);
        assert_eq!(buffer, expected.as_bytes());
        all = buffer;
    }
    // Gone without a word, and without having read the tickets.
    drop(far.join().expect("the client").sock);
    layer.recv(fd.as_raw_fd(), CONN);
    assert!(matches!(received(&mut layer), Ok(None) | Err(_)));
    layer.close(fd);
    assert!(layer.lines.is_empty() && layer.by_fd.is_empty());
}

#[test]
fn who_is_given_up_in_the_middle_of_a_handshake_leaves_nothing() {
    let (mut layer, listener, _) = scene();
    let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
    client.write_all(&[0x16, 3, 1, 2]).expect("send");
    let fd = accepted(&mut layer);
    layer.recv(fd.as_raw_fd(), CONN);
    layer.submit().expect("submit");
    layer.shutdown(fd.as_raw_fd());
    assert!(matches!(received(&mut layer), Ok(None)));
    layer.close(fd);
    assert!(layer.lines.is_empty() && layer.by_fd.is_empty());
}

#[test]
fn plain_http_can_be_answered_and_noise_gets_an_alert() {
    for (said, kind) in [
        (&b"GET / HTTP/1.1\r\n"[..], io::ErrorKind::Unsupported),
        (b"\x99\x03\x01\x00\x02ab", io::ErrorKind::InvalidData),
    ] {
        let (mut layer, listener, _) = scene();
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("connect");
        client.write_all(said).expect("send");
        let fd = accepted(&mut layer);
        layer.recv(fd.as_raw_fd(), CONN);
        assert_eq!(received(&mut layer).expect_err("no TLS").kind(), kind);
        layer.send(Then::Close(fd), CONN, b"plain words".to_vec().into(), Notice::Prompt);
        until(&mut layer, |event| matches!(event, Event::Sent { token: CONN, .. }).then_some(()));
        let mut all = Vec::new();
        client.read_to_end(&mut all).expect("the end");
        let expected: &[u8] = if kind == io::ErrorKind::Unsupported { b"plain words" } else { &[0x15] };
        assert!(all.starts_with(expected), "{all:?}");
        assert!(layer.lines.is_empty() && layer.by_fd.is_empty());
    }
}
