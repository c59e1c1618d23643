//! `error-page-…`: what is sent where the server itself answers that something is not there or went wrong.

use std::path::PathBuf;

use crate::base::errors;
use crate::response::{Answer, Body};

/// The pages, read when the worker starts.
#[derive(Debug, Default)]
pub struct Pages(Vec<(u16, Vec<u8>)>);

impl Pages {
    /// Of these files. One that cannot be read is told and left out.
    pub fn read(files: &[(u16, PathBuf)]) -> Pages {
        let read = |(status, file): &(u16, PathBuf)| match std::fs::read(file) {
            Ok(text) => Some((*status, text)),
            Err(error) => {
                crate::log!(
                    "[uwring] error-page-{status}: cannot read {}: {error} {}",
                    file.display(),
                    errors::NO_ERROR_PAGE
                );
                None
            }
        };
        Pages(files.iter().filter_map(read).collect())
    }

    /// The answer, with the page of its status where there is one.
    pub fn dress(&self, answer: Answer) -> Answer {
        match self.0.iter().find(|(status, _)| *status == answer.status && answer.plain) {
            None => answer,
            Some((_, text)) => {
                let mut dressed = Answer::new(answer.line, Body::Bytes(text.clone()));
                dressed.field("Content-Type", b"text/html");
                dressed
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_answer_gets_the_page_of_its_status() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("404.html");
        std::fs::write(&file, "<p>gone").expect("written");
        let pages = Pages::read(&[(404, file), (500, folder.path().join("none"))]);
        let dressed = pages.dress(Answer::reason("404 Not Found"));
        assert_eq!(dressed.fields, b"Content-Type: text/html\r\n");
        assert!(matches!(dressed.body, Body::Bytes(text) if text == b"<p>gone"));
        let own = pages.dress(Answer::text("404 Not Found", "said by a rule"));
        assert!(matches!(own.body, Body::Bytes(text) if text == b"said by a rule"));
        assert!(pages.dress(Answer::reason("500 Internal Server Error")).plain);
    }
}
