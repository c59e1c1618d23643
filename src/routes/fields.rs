//! The fields of a response head while they are edited: `add-header`, `del-header`, `collect-header`, route actions.

use crate::proto::head::Head;
use crate::request::Version;

/// Fields and what the framing must know of them.
#[derive(Debug)]
pub struct Fields {
    bytes: Vec<u8>,
    count: u32,
    content_length: Option<u64>,
    has_date: bool,
    close: bool,
    uwsgi: bool,
}

impl Fields {
    /// Those of `head`.
    pub fn of(head: &Head<'_>, version: Version) -> Fields {
        Fields {
            bytes: head.fields.to_vec(),
            count: head.field_count,
            content_length: head.content_length,
            has_date: head.has_date,
            close: head.close,
            uwsgi: version == Version::Uwsgi,
        }
    }

    /// The head with these fields.
    pub fn head<'a>(&'a self, head: &Head<'a>) -> Head<'a> {
        Head {
            status: head.status,
            status_line: head.status_line,
            fields: &self.bytes,
            field_count: self.count,
            content_length: self.content_length,
            has_date: self.has_date,
            close: self.close,
        }
    }

    /// The value of the first field of that name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// The values of all fields of that name.
    pub fn all(&self, name: &[u8]) -> impl Iterator<Item = &[u8]> {
        lines(&self.bytes).filter_map(move |line| value_of(line, name))
    }

    /// Takes out all fields of that name.
    pub fn remove(&mut self, name: &[u8]) {
        let mut kept = Vec::with_capacity(self.bytes.len());
        for line in lines(&self.bytes) {
            if value_of(line, name).is_some() {
                self.count -= 1;
            } else {
                kept.extend_from_slice(line);
            }
        }
        self.bytes = kept;
        if name.eq_ignore_ascii_case(b"content-length") {
            self.content_length = None;
        } else if name.eq_ignore_ascii_case(b"date") {
            self.has_date = false;
        }
    }

    /// Adds `Name: value`, which ends no line ([`line_of`] made it). The connection is the server's: over HTTP
    /// its field is heard, not sent.
    pub fn add(&mut self, line: &[u8]) {
        let value = |name: &[u8]| value_of(line, name);
        if let Some(value) = value(b"connection") {
            self.close |= value.eq_ignore_ascii_case(b"close");
            if !self.uwsgi {
                return;
            }
        }
        self.has_date |= value(b"date").is_some();
        self.bytes.extend_from_slice(line);
        self.bytes.extend_from_slice(b"\r\n");
        self.count += 1;
    }
}

/// Makes a line that [`Fields::add`] takes from `text`: control bytes become blanks. `None` for what is no field, or
/// one that frames the body.
pub fn line_of(text: &[u8]) -> Option<Vec<u8>> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let name = text[..colon].trim_ascii();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let framing =
        name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding");
    if name.is_empty() || !name.iter().all(token) || framing {
        return None;
    }
    let value = text[colon + 1..].trim_ascii();
    let mut line = [name, b": "].concat();
    line.extend(value.iter().map(|&byte| if byte.is_ascii_control() { b' ' } else { byte }));
    Some(line)
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|&byte| byte == b'\n')
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (own, value) = line.split_at_checked(name.len())?;
    (own.eq_ignore_ascii_case(name) && value.first() == Some(&b':')).then(|| value[1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(version: Version) -> Fields {
        let head = Head {
            status: 200,
            status_line: b"200 OK",
            fields: b"Content-Type: text/plain\r\nX-A: 1\r\nX-AB: 2\r\nx-a: 3\r\nContent-Length: 5\r\n",
            field_count: 5,
            content_length: Some(5),
            has_date: false,
            close: false,
        };
        Fields::of(&head, version)
    }

    #[test]
    fn fields_are_found_removed_and_added_by_their_whole_names() {
        let mut fields = fields(Version::Http11);
        assert_eq!(fields.get(b"x-ab"), Some(b"2".as_slice()));
        fields.remove(b"X-a");
        assert_eq!((fields.get(b"X-A"), fields.count), (None, 3));
        fields.add(b"X-B: 4");
        fields.add(b"Date: now");
        assert_eq!((fields.get(b"x-b"), fields.count, fields.has_date), (Some(b"4".as_slice()), 5, true));
        fields.remove(b"content-length");
        assert_eq!(fields.content_length, None);
    }

    #[test]
    fn the_connections_field_is_heard() {
        for (version, count) in [(Version::Http11, 5), (Version::Uwsgi, 6)] {
            let mut fields = fields(version);
            fields.add(b"Connection: close");
            assert_eq!((fields.close, fields.count), (true, count));
        }
    }

    #[test]
    fn lines_are_fields_and_nothing_else() {
        assert_eq!(line_of(b" X-A :1\r\nX-B: 2").as_deref(), Some(b"X-A: 1  X-B: 2".as_slice()));
        for wrong in ["X-A", ": x", "X A: 1", "Content-Length: 3", "transfer-encoding: chunked"] {
            assert_eq!(line_of(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
