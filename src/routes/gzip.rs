//! The router's `gzip`: which answers are compressed for whom, and the compressing itself (RFC 9110 §8.4.1.3).

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::fields::Fields;
use crate::base::text;

/// What the rules want of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// As it is.
    #[default]
    Plain,
    /// Compressed, if only this client took it: caches have to know.
    Refused,
    /// Compressed.
    Gzip,
}

/// Edits the fields of an answer as `wish` says. `true`: its body is to be compressed.
pub fn apply(wish: Wish, status: u16, fields: &mut Fields) -> bool {
    if wish == Wish::Plain || matches!(status, 100..=199 | 204 | 206) || !may_be_encoded(fields) {
        return false;
    }
    let varies = fields.all(b"vary").any(|value| value == b"*" || text::lists(value, b"accept-encoding"));
    if !varies {
        fields.add(b"Vary: Accept-Encoding");
    }
    // Not modified is what the client has, in whatever form it has it.
    if wish == Wish::Refused || status == 304 {
        return false;
    }
    fields.remove(b"Content-Length");
    fields.add(b"Content-Encoding: gzip");
    // Other bytes, same meaning: a strong validator would be a lie (RFC 9110 §8.8.1).
    if let Some(tag) = fields.get(b"etag").filter(|tag| tag.starts_with(b"\"")) {
        let weak = [b"ETag: W/", tag].concat();
        fields.remove(b"etag");
        fields.add(&weak);
    }
    // Ranges of the plain bytes cannot be had from these.
    fields.remove(b"Accept-Ranges");
    true
}

/// Neither encoded already, nor a part, nor to be left alone (RFC 9111 §5.2.2.6).
fn may_be_encoded(fields: &Fields) -> bool {
    fields.get(b"content-encoding").is_none_or(|coding| coding.eq_ignore_ascii_case(b"identity"))
        && fields.get(b"content-range").is_none()
        && !fields.all(b"cache-control").any(|value| text::lists(value, b"no-transform"))
}

/// Compresses one body.
#[derive(Debug)]
pub struct Squeeze {
    encoder: GzEncoder<Vec<u8>>,
    /// Bytes that the application's Content-Length has promised and that have not come.
    owed: Option<u64>,
}

impl Squeeze {
    /// For a body of `promised` bytes, where the application has said how many.
    pub fn new(promised: Option<u64>) -> Squeeze {
        // Level 6 is what zlib, nginx's module and uWSGI take by default or recommend.
        Squeeze { encoder: GzEncoder::new(Vec::new(), Compression::default()), owed: promised }
    }

    /// Takes a piece: no more than was promised. With `flush` the client is to see it at once (PEP 3333).
    pub fn push(&mut self, piece: &[u8], flush: bool) -> Vec<u8> {
        let wanted = self
            .owed
            .map_or(piece.len(), |owed| piece.len().min(usize::try_from(owed).unwrap_or(usize::MAX)));
        self.owed = self.owed.map(|owed| owed - wanted as u64);
        if wanted == 0 {
            return Vec::new();
        }
        // Into memory: it cannot fail.
        let _ = self.encoder.write_all(&piece[..wanted]);
        if flush {
            let _ = self.encoder.flush();
        }
        std::mem::take(self.encoder.get_mut())
    }

    /// The end; `None` where less came than was promised.
    pub fn end(self) -> Option<Vec<u8>> {
        if self.owed.is_some_and(|owed| owed > 0) {
            return None;
        }
        self.encoder.finish().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::proto::head::Head;
    use crate::request::Version;

    fn applied(wish: Wish, status: u16, fields: &str) -> (bool, String) {
        let count = u32::try_from(fields.lines().count()).expect("few");
        let head = Head {
            status,
            status_line: b"200 OK",
            fields: fields.as_bytes(),
            field_count: count,
            content_length: fields.contains("Content-Length").then_some(9),
            has_date: false,
            close: false,
        };
        let mut fields = Fields::of(&head, Version::Http11);
        let done = apply(wish, status, &mut fields);
        let after = fields.head(&head);
        assert!(!done || after.content_length.is_none());
        (done, String::from_utf8_lossy(after.fields).replace("\r\n", "|"))
    }

    #[test]
    fn an_answer_is_compressed_once_and_says_so() {
        use Wish::{Gzip, Plain, Refused};
        let encoded = "Vary: Accept-Encoding|Content-Encoding: gzip|";
        for (wish, status, before, done, after) in [
            (Plain, 200, "A: b\r\n", false, "A: b|".to_owned()),
            (Refused, 200, "A: b\r\n", false, "A: b|Vary: Accept-Encoding|".to_owned()),
            (Gzip, 200, "Content-Length: 9\r\n", true, encoded.to_owned()),
            (Gzip, 404, "", true, encoded.to_owned()),
            (
                Gzip,
                200,
                "Vary: Cookie, accept-encoding\r\n",
                true,
                "Vary: Cookie, accept-encoding|Content-Encoding: gzip|".to_owned(),
            ),
            (Gzip, 200, "ETag: \"a\"\r\nAccept-Ranges: bytes\r\n", true, format!("{encoded}ETag: W/\"a\"|")),
            (Gzip, 200, "Content-Encoding: br\r\n", false, "Content-Encoding: br|".to_owned()),
            (
                Gzip,
                200,
                "Cache-Control: public, No-Transform\r\n",
                false,
                "Cache-Control: public, No-Transform|".to_owned(),
            ),
            (Gzip, 206, "Content-Range: bytes 0-1/9\r\n", false, "Content-Range: bytes 0-1/9|".to_owned()),
            (Gzip, 204, "", false, String::new()),
            (Gzip, 304, "ETag: \"a\"\r\n", false, "ETag: \"a\"|Vary: Accept-Encoding|".to_owned()),
        ] {
            assert_eq!(applied(wish, status, before), (done, after), "{wish:?} {status} {before}");
        }
    }

    #[test]
    fn pieces_can_be_read_when_they_are_flushed_and_end_as_promised() {
        let mut squeeze = Squeeze::new(Some(8));
        let mut sent = squeeze.push(b"hello ", true);
        let mut seen = [0; 6];
        flate2::read::GzDecoder::new(sent.as_slice()).read_exact(&mut seen).expect("flushed");
        assert_eq!(&seen, b"hello ");
        sent.extend(squeeze.push(b"you there", false));
        sent.extend(squeeze.end().expect("all came"));
        let mut text = String::new();
        flate2::read::GzDecoder::new(sent.as_slice()).read_to_string(&mut text).expect("whole");
        assert_eq!(text, "hello yo");
        assert_eq!(Squeeze::new(Some(1)).end(), None);
        assert!(Squeeze::new(None).end().is_some_and(|bytes| !bytes.is_empty()));
    }
}
