//! What a client sent, as it stands in a line: control bytes made visible.

use crate::base::words::{TOPS, below, is, words};

/// Appends it, or `-` where there is nothing.
pub fn or_dash(out: &mut Vec<u8>, value: &[u8]) {
    if value.is_empty() { out.push(b'-') } else { safe(out, value) }
}

/// Appends it.
pub fn safe(out: &mut Vec<u8>, value: &[u8]) {
    // Almost always there is nothing to be shown, so all of it goes at once.
    if is_plain(value) {
        return out.extend_from_slice(value);
    }
    for byte in value {
        if byte.is_ascii_control() {
            let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
            out.extend_from_slice(&[b'\\', b'x', digit(byte >> 4), digit(byte & 15)]);
        } else {
            out.push(*byte);
        }
    }
}

/// Whether there are no control bytes in it.
fn is_plain(value: &[u8]) -> bool {
    words(value).fold(0, |marks, word| marks | below(word, 0x20) | is(word, 0x7f)) & TOPS == 0
}

/// Whether `value` can stand in a string of JSON as it is: of ASCII, and nothing that has to be escaped.
pub fn is_plain_json(value: &[u8]) -> bool {
    let marks = |word| below(word, 0x20) | is(word, 0x7f) | is(word, b'"') | is(word, b'\\') | word;
    words(value).fold(0, |all, word| all | marks(word)) & TOPS == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cannot_be_forged() {
        for (value, shown) in [
            (&b"plain"[..], "plain"),
            (b"a\r\nb", "a\\x0d\\x0ab"),
            (b"\0\x1b[2J\x7f", "\\x00\\x1b[2J\\x7f"),
            (b"", ""),
            (b"\n", "\\x0a"),
        ] {
            let mut out = Vec::new();
            safe(&mut out, value);
            assert_eq!(String::from_utf8(out).as_deref(), Ok(shown));
        }
    }

    #[test]
    fn each_byte_is_seen_at_each_place() {
        for len in 1..26 {
            for at in 0..len {
                for byte in 0..=255u8 {
                    let mut value = vec![b'a'; len];
                    value[at] = byte;
                    let control = byte.is_ascii_control();
                    assert_eq!(is_plain(&value), !control, "{byte} at {at} of {len}");
                    let special = control || matches!(byte, b'"' | b'\\' | 0x80..);
                    assert_eq!(is_plain_json(&value), !special, "{byte} at {at} of {len}");
                }
            }
        }
    }
}
