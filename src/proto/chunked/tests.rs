//! Bodies good and bad; every one also byte by byte and at every split.

use super::*;
use proptest::prelude::*;

/// All of `data` at once, then in two at every split, then byte by byte; they must agree on the
/// body, on where it ends, and on whether it is refused.
fn outcome(data: &[u8]) -> Result<(Vec<u8>, Option<usize>), Error> {
    let whole = feed(data.chunks(data.len().max(1)));
    for split in 1..data.len() {
        let (a, b) = data.split_at(split);
        assert_eq!(feed([a, b].into_iter()), whole, "split at {split}");
    }
    assert_eq!(feed(data.chunks(1)), whole, "byte by byte");
    whole
}

fn feed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(Vec<u8>, Option<usize>), Error> {
    let (mut decoder, mut out, mut used, mut done) = (Decoder::default(), Vec::new(), 0, false);
    for piece in pieces {
        let progress = decoder.decode(piece, &mut out)?;
        assert!(progress.consumed == piece.len() || progress.done);
        (used, done) = (used + progress.consumed, progress.done);
    }
    Ok((out, done.then_some(used)))
}

#[test]
fn bodies_come_out_whole_and_end_where_they_end() {
    for (data, body, end) in [
        ("0\r\n\r\n", "", Some(5)),
        ("5\r\nhello\r\n0\r\n\r\n", "hello", Some(15)),
        ("5\r\nhello\r\n0\r\n\r\nGET /", "hello", Some(15)),
        ("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", Some(28)),
        ("00005\r\nhello\r\n000\r\n\r\n", "hello", Some(21)),
        ("5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "hello", Some(29)),
        ("5 ;a\r\nhello\r\n0\t ;x\r\n\r\n", "hello", Some(22)),
        ("1\r\na\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n", "a", Some(33)),
        ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", Some(12)),
        ("5\r\nhel", "hel", None),
        ("5", "", None),
        ("0\r\n", "", None),
        ("", "", None),
    ] {
        assert_eq!(outcome(data.as_bytes()), Ok((body.as_bytes().to_vec(), end)), "{data:?}");
    }
}

#[test]
fn anything_else_is_refused() {
    for (data, why) in [
        ("\r\n", "no size"),
        ("x\r\n", "not a digit"),
        ("-1\r\na\r\n", "a sign"),
        ("+1\r\na\r\n", "another"),
        (" 1\r\na\r\n", "a blank before the size"),
        ("1 \r\na\r\n", "blanks without an extension"),
        ("0x1\r\na\r\n", "a C prefix"),
        ("1_0\r\na\r\n", "a separator"),
        ("1\na\r\n", "bare LF after the size"),
        ("1\ra\r\n", "bare CR after the size"),
        ("1;a\nb\r\n", "bare LF in an extension"),
        ("1;a\rb\r\n", "bare CR in an extension"),
        ("1;a\0b\r\n", "NUL in an extension"),
        ("1\r\nab\r\n", "more data than the size"),
        ("1\r\na\n0\r\n\r\n", "bare LF after the data"),
        ("1\r\na0\r\n\r\n", "no line end after the data"),
        ("0\r\n\n", "bare LF at the end"),
        ("0\r\nA: b\n\r\n", "bare LF in a trailer"),
        ("0\r\n folded: b\r\n\r\n", "a folded trailer"),
        ("0\r\nA: \0\r\n\r\n", "NUL in a trailer"),
        ("0\r\nGET / HTTP/1.1\r\n\r\n", "a request for a trailer"),
        ("0\r\nA\r\n\r\n", "a trailer without a colon"),
        ("0\r\n: b\r\n\r\n", "a trailer without a name"),
        ("0\r\nA : b\r\n\r\n", "a blank before a trailer's colon"),
    ] {
        assert_eq!(outcome(data.as_bytes()).expect_err(why).status, Some(400), "{data:?}");
    }
}

#[test]
fn chunk_size_overflow_is_refused() {
    let largest = format!("{:x}\r\n", u64::MAX);
    assert_eq!(outcome(largest.as_bytes()), Ok((vec![], None)));
    let error = outcome(b"10000000000000000\r\n").expect_err("17 digits");
    assert_eq!(
        (error.status, error.reason.as_str()),
        (Some(400), "invalid chunked body: a size beyond 64 bits")
    );
}

#[test]
fn what_no_data_makes_up_for_is_bounded_over_the_whole_body() {
    let refused = |data: Vec<u8>| feed(data.chunks(1000)).expect_err("too much").status;
    // Of each chunk 32 bytes are skipped, and its one byte makes up for two.
    let one = b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n";
    let fits = IDLE_BYTES_MAX as usize / 30 - 1;
    assert!(feed(one.repeat(fits).chunks(1000)).is_ok());
    assert_eq!(refused(one.repeat(fits + 2)), Some(431));
    assert_eq!(refused(vec![b'0'; IDLE_BYTES_MAX as usize + 2]), Some(431));
    assert_eq!(refused([b"0\r\n".to_vec(), b"A: b\r\n".repeat(5000)].concat()), Some(431));
    // Who sends data may say something about it, however long it goes on.
    let signed = [&b"40;signature=0123456789\r\n"[..], &[b'x'; 64], b"\r\n"].concat();
    assert!(feed(signed.repeat(2000).chunks(1000)).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(data in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        if let Ok(progress) = Decoder::default().decode(&data, &mut out) {
            prop_assert!(progress.consumed <= data.len() && out.len() <= data.len());
        }
    }

    #[test]
    fn likely_bytes_never_panic(data in "[0-2a;\r\n ]{0,40}") {
        let _ = outcome(data.as_bytes());
    }

    #[test]
    fn what_is_encoded_comes_back(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..6)) {
        let mut coded = Vec::new();
        for piece in &pieces {
            encode(&mut coded, piece);
        }
        end(&mut coded);
        let len = coded.len();
        coded.extend_from_slice(b"next");
        prop_assert_eq!(feed(coded.chunks(7)), Ok((pieces.concat(), Some(len))));
    }
}
