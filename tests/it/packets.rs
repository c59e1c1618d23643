//! The uwsgi protocol from a hostile or broken peer: whatever comes, nothing is called, loaded or changed, and the
//! next request is served by the same worker.

use crate::support::{Packet, Server, uwring_only};

/// A packet of `block`, whose size may be a lie.
fn packet(modifier1: u8, size: usize, block: &[u8]) -> Vec<u8> {
    let [low, high] = u16::try_from(size).expect("16 bits").to_le_bytes();
    [&[modifier1, low, high, 0], block].concat()
}

/// The packet as long as it says.
fn honest(block: &[u8]) -> Vec<u8> {
    packet(0, block.len(), block)
}

/// Names and values, each with its length.
fn block(vars: &[(&str, &str)]) -> Vec<u8> {
    let text =
        |text: &str| [&u16::try_from(text.len()).expect("short").to_le_bytes()[..], text.as_bytes()].concat();
    vars.iter().flat_map(|(name, value)| [text(name), text(value)].concat()).collect()
}

/// What the peer gets to hear: the status of a refusal, or nothing at all.
const SILENCE: &str = "";

/// (what is wrong, the bytes, the status).
fn hostile() -> Vec<(String, Vec<u8>, &'static str)> {
    let good = Packet::get("/called").bytes();
    let length = |value: &str| Packet::get("/called").var("CONTENT_LENGTH", value).bytes();
    let vars = |count: usize| honest(&block(&vec![("A", "b"); count]));
    let mut cases: Vec<(String, Vec<u8>, &str)> = [
        ("nothing", vec![], SILENCE),
        ("one byte", good[..1].to_vec(), SILENCE),
        ("three bytes", good[..3].to_vec(), SILENCE),
        ("a header", good[..4].to_vec(), SILENCE),
        ("half a packet", good[..good.len() / 2].to_vec(), SILENCE),
        ("a packet less one byte", good[..good.len() - 1].to_vec(), SILENCE),
        ("an empty packet", packet(0, 0, b""), SILENCE),
        ("an empty packet, then a good one", [packet(0, 0, b""), good.clone()].concat(), SILENCE),
        ("a size beyond buffer-size", packet(0, 5000, b""), "431"),
        ("the largest size", packet(0, 65_535, &[0; 100]), "431"),
        ("as many bytes as buffer-size, all zero", honest(&[0; 4096]), "400"),
        ("a name of 65535 bytes", honest(b"\xff\xffA\x01\0B"), "400"),
        ("a name one byte too long", honest(b"\x02\0A"), "400"),
        ("a value of 65535 bytes", honest(b"\x01\0A\xff\xffB"), "400"),
        ("a value one byte too long", honest(b"\x01\0A\x02\0B"), "400"),
        ("no value", honest(b"\x01\0A"), "400"),
        ("half a length of a value", honest(b"\x01\0A\x01"), "400"),
        ("half a length of a name", honest(b"\x01\0A\x01\0B\x01"), "400"),
        ("no name", honest(b"\0\0\x01\0B"), "400"),
        ("no name, no value", honest(b"\0\0\0\0"), "400"),
        ("a last byte of nothing", honest(&[block(&[("REQUEST_METHOD", "GET")]), vec![7]].concat()), "400"),
        ("257 variables", vars(257), "431"),
        ("682 variables", vars(682), "431"),
        ("a length of letters", length("abc"), "400"),
        ("a length with letters behind", length("5abc"), "400"),
        ("a negative length", length("-1"), "400"),
        ("a length with a sign", length("+5"), "400"),
        ("a length with a blank", length(" 5"), "400"),
        ("a length with a blank behind", length("5 "), "400"),
        ("two lengths in one", length("5, 5"), "400"),
        ("a hexadecimal length", length("0x5"), "400"),
        ("a length with an exponent", length("1e3"), "400"),
        ("a length with a NUL", length("5\0"), "400"),
        ("a length of 2^64", length("18446744073709551616"), "400"),
        ("a length of 100 digits", length(&"9".repeat(100)), "400"),
        ("the largest length, and no body", length("18446744073709551615"), "413"),
        ("a body beyond limit-post", Packet::get("/called").post(vec![b'x'; 100_001]).bytes(), "413"),
        ("a body cut off", length("5"), SILENCE),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_vec(), SILENCE),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), SILENCE),
        ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), SILENCE),
        ("the PROXY protocol, version 2", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec(), SILENCE),
        ("FastCGI", b"\x01\x01\0\x01\0\x08\0\0\0\x01\0\0\0\0\0\0".to_vec(), SILENCE),
        ("a netstring of SCGI", b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,".to_vec(), SILENCE),
    ]
    .into_iter()
    .map(|(what, bytes, status)| (what.to_owned(), bytes, status))
    .collect();
    // Every modifier but those of WSGI would be another plugin's, another protocol's or a command.
    for modifier1 in (1..30).chain(31..=255) {
        let bytes = Packet::get("/called").modifier1(modifier1).bytes();
        cases.push((format!("modifier {modifier1}"), bytes, SILENCE));
    }
    cases
}

#[test]
fn hostile_packets_are_refused_and_the_worker_lives() {
    if uwring_only("reads lengths by their beginning, and closes without an answer") {
        return;
    }
    let server = Server::app("seen").ini("buffer-size = 4096\nlimit-post = 100000").start();
    for (what, bytes, status) in hostile() {
        let mut client = server.socket().connect();
        // The server may have refused before the last byte is out.
        let _ = client.try_send(&bytes);
        client.finish_sending();
        let answer = String::from_utf8_lossy(&client.rest_or_reset()).into_owned();
        assert_eq!(answer.split(' ').nth(1).unwrap_or(SILENCE), status, "{what}: {answer}");
    }
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.log().count(|line| line.contains("/called")), 0, "the application was called");
    assert_eq!(server.log().count(|line| line.contains("Respawned")), 0, "a worker died");
}

/// The same bytes for every run, and unlike for every seed.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

#[test]
fn noise_in_packets_harms_nobody() {
    let server = Server::app("seen").start();
    let good = Packet::get("/").bytes();
    for seed in 0..300 {
        let mut bytes = good.clone();
        // Some bytes of a good packet changed, or a block of nothing else.
        for (n, byte) in noise(seed, 4).into_iter().enumerate() {
            let at = (seed as usize * 31 + n * 97) % bytes.len();
            bytes[at] = byte;
        }
        if seed % 3 == 0 {
            bytes = honest(&noise(seed, 200));
        }
        let mut client = server.socket().connect();
        let _ = client.try_send(&bytes);
        client.finish_sending();
        client.rest_or_reset();
    }
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.log().count(|line| line.contains("Respawned")), 0, "a worker died");
}

#[test]
fn a_second_packet_behind_the_first_is_no_request() {
    let server = Server::app("seen").start();
    let mut client = server.socket().connect();
    client.send([Packet::get("/first").bytes(), Packet::get("/second").bytes()].concat());
    client.finish_sending();
    let answer = String::from_utf8_lossy(&client.rest_or_reset()).into_owned();
    assert!(answer.ends_with("GET /first") && !answer.contains("/second"), "{answer}");
    server.socket().uwsgi(&Packet::get("/")).expect(200);
    assert_eq!(server.log().count(|line| line.contains("GET /second")), 0);
}

#[test]
fn variables_load_no_code_and_change_nothing() {
    if uwring_only("does what they say: whoever reaches the socket runs code") {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let marker = folder.path().join("marker");
    let evil = folder.path().join("evil.py");
    let code = format!(
        "open({marker:?}, 'w').close()\ndef application(e, s):\n    s('200 OK', [])\n    return [b'evil']\n"
    );
    std::fs::write(&evil, code).expect("write evil.py");
    let dir = folder.path().display().to_string();
    let server = Server::app("inside").ini(&format!("pythonpath = {dir}")).start();
    let plain = server.socket().uwsgi(&Packet::get("/")).expect(200).json();
    let file = evil.display().to_string();
    let touched = folder.path().join("touched");
    std::fs::write(&touched, "").expect("write a file");
    let touched_name = touched.display().to_string();
    let attacks: &[&[(&str, &str)]] = &[
        &[("UWSGI_FILE", &file)],
        &[("UWSGI_SCRIPT", "evil")],
        &[("UWSGI_SCRIPT", "evil:application")],
        &[("UWSGI_MODULE", "evil")],
        &[("UWSGI_MODULE", "evil"), ("UWSGI_CALLABLE", "application")],
        &[("UWSGI_PYHOME", &dir), ("UWSGI_FILE", &file)],
        &[("UWSGI_HOME", &dir)],
        &[("UWSGI_CHDIR", &dir)],
        &[("UWSGI_CHDIR", &dir), ("UWSGI_FILE", &file)],
        &[("UWSGI_SETENV", "SPOILT=yes")],
        &[("UWSGI_POSTFILE", &file)],
        &[("UWSGI_POSTFILE", &file), ("REQUEST_METHOD", "POST")],
        &[("UWSGI_TOUCH_RELOAD", &touched_name)],
        &[("UWSGI_CACHE_GET", "key")],
        &[("DOCUMENT_ROOT", &dir), ("PATH_INFO", "/evil.py")],
        &[("SCRIPT_FILENAME", &file)],
        &[("wsgi.errors", "x"), ("wsgi.input", "x"), ("wsgi.url_scheme", "evil"), ("wsgi.version", "9")],
    ];
    for attack in attacks {
        // Neither an application of that name nor one at that mountpoint is there, which makes uWSGI load one.
        for (name, value) in [("SCRIPT_NAME", "/unknown"), ("UWSGI_APPID", "unknown"), ("SCRIPT_NAME", "")] {
            let packet = attack
                .iter()
                .fold(Packet::get("/").var(name, value), |packet, (name, value)| packet.var(name, value));
            for _ in 0..2 {
                let seen = server.socket().uwsgi(&packet).expect(200).json();
                assert_eq!(seen, plain, "{attack:?}");
            }
            assert!(!marker.exists(), "{attack:?} has run code");
        }
        std::fs::write(&touched, "touched").expect("write a file");
    }
    assert_eq!(server.log().count(|line| line.contains("Respawned")), 0, "a worker went");
}

#[test]
fn keys_of_the_server_are_not_a_packets_to_set() {
    let server = Server::app("inside").start();
    let packet = Packet::get("/")
        .var("wsgi.errors", "x")
        .var("wsgi.input", "x")
        .var("wsgi.url_scheme", "evil")
        .var("wsgi.multithread", "x");
    for _ in 0..3 {
        let seen = server.socket().uwsgi(&packet).expect(200).json();
        assert_eq!(
            (&seen["scheme"], &seen["logged"], &seen["body"]),
            (&"http".into(), &true.into(), &"".into())
        );
    }
}

#[test]
fn appid_names_an_application() {
    let mounts = "mount = /={apps}/hello/app.py\nmount = /back={apps}/unread/app.py";
    let server = Server::app("hello").without("wsgi-file").ini(mounts).start();
    let (front, back) = ("Hello, world!", "ignored");
    for (vars, expected) in [
        (&[("SCRIPT_NAME", "")][..], front),
        (&[("SCRIPT_NAME", "/back")], back),
        (&[("UWSGI_APPID", "/back")], back),
        (&[("UWSGI_APPID", "/back"), ("SCRIPT_NAME", "/")], back),
        (&[("UWSGI_APPID", "/"), ("SCRIPT_NAME", "/back")], front),
        (&[("UWSGI_APPID", "/nowhere"), ("SCRIPT_NAME", "/back")], front),
        (&[("UWSGI_APPID", ""), ("SCRIPT_NAME", "/back")], back),
    ] {
        let packet = vars.iter().fold(Packet::get("/"), |packet, (name, value)| packet.var(name, value));
        assert_eq!(server.socket().uwsgi(&packet).expect(200).text(), expected, "{vars:?}");
    }
}
