//! An answer the server makes itself: a static file, a redirect, a refusal of the internal router.

use std::fs::File;

use crate::base::digits::decimal;

/// Status, fields and body.
#[derive(Debug)]
pub struct Answer {
    /// Three-digit code.
    pub status: u16,
    /// Code and reason.
    pub line: Vec<u8>,
    /// `Name: value CRLF` each, without Content-Length.
    pub fields: Vec<u8>,
    /// How many.
    pub field_count: u32,
    /// What follows.
    pub body: Body,
    /// The connection ends with it.
    pub close: bool,
    /// Nobody has said what to answer: a page of `error-page-…` may take its place.
    pub plain: bool,
}

/// The body of an [`Answer`].
#[derive(Debug)]
pub enum Body {
    /// None, and no Content-Length either (304).
    None,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A part of a file.
    File {
        /// Open for reading.
        file: File,
        /// First byte.
        offset: u64,
        /// Bytes.
        len: u64,
    },
}

impl Answer {
    /// Without fields, with `body`. `line` begins with the code.
    pub fn new(line: impl Into<Vec<u8>>, body: Body) -> Answer {
        let line = line.into();
        let status =
            line.iter().take(3).filter(|b| b.is_ascii_digit()).fold(0, |n, b| n * 10 + u16::from(b - b'0'));
        Answer { status, line, fields: Vec::new(), field_count: 0, body, close: false, plain: false }
    }

    /// Plain text.
    pub fn text(line: impl Into<Vec<u8>>, text: impl Into<Vec<u8>>) -> Answer {
        let mut answer = Answer::new(line, Body::Bytes(text.into()));
        answer.field("Content-Type", b"text/plain");
        answer
    }

    /// The reason of the status as plain text, as the server says it by itself.
    pub fn reason(line: &str) -> Answer {
        let reason = line.split_once(' ').map_or(line, |(_, reason)| reason);
        Answer { plain: true, ..Answer::text(line, reason) }
    }

    /// Adds a field; control bytes in the value become blanks, so that none makes a second field.
    pub fn field(&mut self, name: &str, value: &[u8]) {
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.extend_from_slice(b": ");
        self.fields.extend(value.iter().map(|&byte| if byte.is_ascii_control() { b' ' } else { byte }));
        self.fields.extend_from_slice(b"\r\n");
        self.field_count += 1;
    }

    /// Length of the body in bytes, which is said in the head; `None` where there is nothing to say.
    pub fn length(&self) -> Option<u64> {
        match &self.body {
            Body::None => None,
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File { len, .. } => Some(*len),
        }
    }

    /// Adds Content-Length to the fields.
    pub fn add_length(&mut self) {
        if let Some(len) = self.length() {
            self.fields.extend_from_slice(b"Content-Length: ");
            decimal(&mut self.fields, len);
            self.fields.extend_from_slice(b"\r\n");
            self.field_count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_knows_its_status_and_nobody_adds_a_field_by_a_value() {
        let mut answer = Answer::text("404 Not Found", "none");
        answer.field("Location", b"/a\r\nX: y");
        answer.add_length();
        assert_eq!((answer.status, answer.field_count), (404, 3));
        assert_eq!(answer.fields, b"Content-Type: text/plain\r\nLocation: /a  X: y\r\nContent-Length: 4\r\n");
        assert_eq!(Answer::new("", Body::None).status, 0);
    }
}
